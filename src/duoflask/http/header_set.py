"""Sets of tokens in a header, such as `Vary` and `Allow`: ordered, without case.

`parse_set_header` reads one; what it means is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableSet
from typing import Any

from .options import parse_list_header, quote_header_value

__all__ = ["HeaderSet", "parse_set_header"]


class HeaderSet(MutableSet[str]):
    """A set without case that keeps the order and the spelling of what was added first.

    Args:
        headers: The items.
        on_update: Called with the set after each change.
    """

    def __init__(
        self, headers: Iterable[str] | None = None, on_update: Callable[[HeaderSet], None] | None = None
    ) -> None:
        self._items: dict[str, str] = {}
        for item in headers or ():
            self._items.setdefault(item.lower(), item)
        self.on_update = on_update

    def _changed(self) -> None:
        if self.on_update is not None:
            self.on_update(self)

    def add(self, header: str) -> None:
        """Add an item, at the end if it is new."""
        self.update((header,))

    def update(self, iterable: Iterable[str]) -> None:
        """Add several items; one change, and none if all of them are there."""
        before = len(self._items)
        for item in iterable:
            self._items.setdefault(item.lower(), item)
        if len(self._items) != before:
            self._changed()

    def remove(self, header: str) -> None:
        """Remove an item.

        Raises:
            KeyError: There is no such item.
        """
        if self._items.pop(header.lower(), None) is None:
            raise KeyError(header)
        self._changed()

    def discard(self, header: str) -> None:
        """Remove an item if it is there."""
        if self._items.pop(header.lower(), None) is not None:
            self._changed()

    def clear(self) -> None:
        """Remove everything."""
        self._items.clear()
        self._changed()

    def find(self, header: str) -> int:
        """Return the place of an item, -1 if it is missing."""
        key = header.lower()
        if key not in self._items:
            return -1
        return list(self._items).index(key)

    def index(self, header: str) -> int:
        """Return the place of an item.

        Raises:
            IndexError: There is no such item.
        """
        place = self.find(header)
        if place < 0:
            raise IndexError(header)
        return place

    def as_set(self, preserve_casing: bool = False) -> set[str]:
        """Return a plain set, in lower case unless `preserve_casing`."""
        return set(self._items.values()) if preserve_casing else set(self._items)

    def to_header(self) -> str:
        """Return the header's value."""
        return ", ".join(map(quote_header_value, self._items.values()))

    def __getitem__(self, idx: Any) -> Any:
        return list(self._items.values())[idx]

    def __setitem__(self, idx: Any, value: str) -> None:
        items = list(self._items.values())
        items[idx] = value
        self._replace(items)

    def __delitem__(self, idx: Any) -> None:
        items = list(self._items.values())
        del items[idx]
        self._replace(items)

    def _replace(self, items: list[str]) -> None:
        self._items = {item.lower(): item for item in items}
        self._changed()

    def __contains__(self, header: object) -> bool:
        return isinstance(header, str) and header.lower() in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._items.values())!r})"


def parse_set_header(value: str | None, on_update: Callable[[HeaderSet], None] | None = None) -> HeaderSet:
    """Read a comma-separated list as a set; None is an empty one."""
    return HeaderSet(parse_list_header(value), on_update)
