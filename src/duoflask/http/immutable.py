"""Lists and dicts that refuse to be changed, as request data does."""

from __future__ import annotations

from typing import Any, NoReturn, Self, TypeVar

__all__ = ["ImmutableDict", "ImmutableList", "refuse"]

K = TypeVar("K")
V = TypeVar("V")


def refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raise TypeError: stands for each method that would change a read-only object."""
    raise TypeError(f"{type(self).__name__!r} objects are immutable; change a copy: .copy()")


class ImmutableList(list[V]):
    """A list that cannot be changed."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list.__repr__(self)})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (list(self),)

    append = extend = insert = pop = remove = reverse = sort = clear = refuse
    __delitem__ = __setitem__ = __iadd__ = __imul__ = refuse


class ImmutableDict(dict[K, V]):
    """A dict that cannot be changed; hashable if its values are. `copy()` gives a plain dict."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict.__repr__(self)})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (dict(self),)

    def copy(self) -> dict[K, V]:
        """Return a plain dict that may be changed."""
        return dict(self)

    def __copy__(self) -> Self:
        return self

    clear = pop = popitem = setdefault = update = refuse
    __delitem__ = __setitem__ = __ior__ = refuse
