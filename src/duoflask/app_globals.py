"""The namespace behind `g`. Knows no app; the context names it in its own repr."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

__all__ = ["_AppCtxGlobals"]

_MISSING: Any = object()


class _AppCtxGlobals:
    """The namespace behind `g`: attributes for the time of one context.

    It is a plain object with a few methods of a dict, because extensions and applications store their own names on it.
    """

    if TYPE_CHECKING:  # PERF: a class that has it at run time is read without CPython's caches, 40 ns slower (hooks)

        def __getattr__(self, name: str) -> Any: ...

    def get(self, name: str, default: Any = None) -> Any:
        """The value of an attribute, or the default."""
        return self.__dict__.get(name, default)

    def pop(self, name: str, default: Any = _MISSING) -> Any:
        """Remove an attribute and return its value.

        Raises:
            KeyError: There is no such attribute and no default.
        """
        if default is _MISSING:
            return self.__dict__.pop(name)
        return self.__dict__.pop(name, default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        """The value of an attribute, which is set to the default if it is missing."""
        return self.__dict__.setdefault(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __repr__(self) -> str:
        return f"<flask.g with {', '.join(self.__dict__) or 'nothing'}>"
