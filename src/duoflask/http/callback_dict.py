"""Dicts that tell somebody when they were changed: what writes a header back, or marks a session as modified."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

__all__ = ["CallbackDict", "UpdateDictMixin"]

K = TypeVar("K")
V = TypeVar("V")
_missing: Any = object()


class UpdateDictMixin(dict[K, V]):
    """A dict that calls `on_update` with itself after each change; None calls nobody."""

    on_update: Callable[[Any], None] | None = None

    def _changed(self) -> None:
        if self.on_update is not None:
            self.on_update(self)

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        self._changed()

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)
        self._changed()

    def setdefault(self, key: K, default: V | None = None) -> Any:
        """Return the value of `key`, which becomes `default` if it is missing; only that counts as a change."""
        if key not in self:
            self[key] = default  # type: ignore[assignment]
        return self[key]

    def pop(self, key: K, default: Any = _missing) -> Any:
        """Remove `key` and return its value; a missing key is no change."""
        if key in self:
            value = super().pop(key)
            self._changed()
            return value
        if default is _missing:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[K, V]:
        """Remove and return the last pair."""
        item = super().popitem()
        self._changed()
        return item

    def clear(self) -> None:
        """Remove everything."""
        super().clear()
        self._changed()

    def update(self, arg: Any = None, /, **kwargs: Any) -> None:
        """Set the items of a mapping or of pairs, then the keyword arguments; one change."""
        super().update(() if arg is None else arg, **kwargs)
        self._changed()

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        super().update(other)
        self._changed()
        return self


class CallbackDict(UpdateDictMixin[K, V]):
    """A dict that calls `on_update` with itself after each change.

    Args:
        initial: A mapping or pairs.
        on_update: What to call; it is an attribute and may be set later.
    """

    def __init__(self, initial: Any = None, on_update: Callable[[Any], None] | None = None) -> None:
        super().__init__(() if initial is None else initial)
        self.on_update = on_update

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {dict.__repr__(self)}>"
