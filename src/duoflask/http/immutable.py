"""Lists and dicts that refuse to be changed, as request data does; the mixins make others refuse as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, Self, TypeVar

__all__ = [
    "ImmutableDict",
    "ImmutableDictMixin",
    "ImmutableHeadersMixin",
    "ImmutableList",
    "ImmutableListMixin",
    "refuse",
]

K = TypeVar("K")
V = TypeVar("V")


def refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raise TypeError: stands for each method that would change a read-only object."""
    raise TypeError(f"{type(self).__name__!r} objects are immutable; change a copy: .copy()")


def _refuse_list(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    raise TypeError(f"{type(self).__name__!r} objects are immutable; change a copy: list(...)")


def _refuse_headers(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    raise TypeError(f"{type(self).__name__!r} objects are immutable; change a copy: Headers(...)")


class ImmutableListMixin:
    """Makes a list refuse every change and hashable; to be named before `list`."""

    def __hash__(self) -> int:
        return hash(tuple(self))  # type: ignore[arg-type]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (list(self),)  # type: ignore[call-overload]

    append = extend = insert = pop = remove = reverse = sort = clear = _refuse_list
    __delitem__ = __setitem__ = __iadd__ = __imul__ = _refuse_list


class ImmutableList(ImmutableListMixin, list[V]):  # type: ignore[misc]
    """A list that cannot be changed."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list.__repr__(self)})"


class ImmutableDictMixin:
    """Makes a dict refuse every change, and hashable if its values are; to be named before the dict."""

    def __hash__(self) -> int:
        return hash(frozenset(self._iter_hashitems()))

    def _iter_hashitems(self) -> Iterator[Any]:
        return iter(self.items())  # type: ignore[attr-defined]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (dict(self),)  # type: ignore[call-overload]

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None) -> Self:
        """Make one with `keys`, each with `value`."""
        return cls(dict.fromkeys(keys, value))  # type: ignore[call-arg]

    clear = pop = popitem = setdefault = update = refuse
    __delitem__ = __setitem__ = __ior__ = refuse


class ImmutableDict(ImmutableDictMixin, dict[K, V]):  # type: ignore[misc]
    """A dict that cannot be changed; hashable if its values are. `copy()` gives a plain dict."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict.__repr__(self)})"

    def copy(self) -> dict[K, V]:
        """Return a plain dict that may be changed."""
        return dict(self)

    def __copy__(self) -> Self:
        return self


class ImmutableHeadersMixin:
    """Makes header fields refuse every change; to be named before `Headers`."""

    __slots__ = ()

    add = add_header = insert = set = setlist = setdefault = setlistdefault = _refuse_headers
    extend = update = remove = pop = popitem = clear = _refuse_headers
    __setitem__ = __delitem__ = __ior__ = _refuse_headers
