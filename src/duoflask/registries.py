"""Flask's public registries: dictionaries and lists that may be changed at any time, and report it.

Owns the two classes. Knows not what is registered.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

__all__ = ["WatchedDict", "WatchedList", "told_while_alive"]

_K = TypeVar("_K")
_V = TypeVar("_V")


def told_while_alive(method: Callable[[], None]) -> Callable[[], None]:
    """Make a method into what calls it as long as its object lives.

    What an app owns must not hold the app in turn: it would be freed at the next garbage collection only.
    """
    reference = weakref.WeakMethod(method)

    def tell() -> None:
        bound = reference()
        if bound is not None:
            bound()

    return tell


def _watch(kind: type, names: Iterable[str]) -> None:
    """Have each mutating method of a dict or list subclass report the change after it."""
    for name in names:
        method = getattr(kind, name)

        def changing(self: Any, *args: Any, _method: Callable[..., Any] = method, **kwargs: Any) -> Any:
            try:
                return _method(self, *args, **kwargs)
            finally:
                self._changed()

        setattr(kind, name, functools.wraps(method)(changing))


class WatchedList(list[_V]):
    """A list that reports each of its changes."""

    __slots__ = ("_changed",)

    def __init__(self, changed: Callable[[], None], items: Iterable[_V] = ()) -> None:
        list.__init__(self, items)
        self._changed = changed

    def like(self, items: Iterable[_V]) -> WatchedList[_V]:
        """Make a list of other items that reports its changes as this one does."""
        return WatchedList(self._changed, items)


class WatchedDict(dict[_K, _V], Generic[_K, _V]):
    """A dict that reports each of its changes, and makes missing values like a `defaultdict`.

    Args:
        changed: Called after every change.
        factory: Makes the value of a missing key from `changed`. A plain list or dict that is stored instead is
            copied into such a value, so that its later changes are reported, too.
    """

    __slots__ = ("_changed", "_factory")

    def __init__(self, changed: Callable[[], None], factory: Callable[[Callable[[], None]], _V] | None = None) -> None:
        dict.__init__(self)
        self._changed = changed
        self._factory = factory

    def __missing__(self, key: _K) -> _V:
        if self._factory is None:
            raise KeyError(key)
        value = self._factory(self._changed)
        dict.__setitem__(self, key, value)  # an empty value changes no plan
        return value

    def like(self, items: Any) -> WatchedDict[_K, _V]:
        """Make a dict of other items that reports its changes as this one does."""
        made: WatchedDict[_K, _V] = WatchedDict(self._changed, self._factory)
        made.update(items)
        return made

    def __setitem__(self, key: _K, value: Any) -> None:
        if self._factory is not None and type(value) in (list, dict):
            plain, value = value, self._factory(self._changed)
            (value.extend if isinstance(value, list) else value.update)(plain)
        dict.__setitem__(self, key, value)

    def setdefault(self, key: _K, default: Any = None) -> _V:
        """The value of a key, which is set to the default if it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set the keys and values of a mapping, or of pairs."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> WatchedDict[_K, _V]:  # type: ignore[override,misc]
        self.update(other)
        return self


_watch(
    WatchedList,
    ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"]
    + ["__setitem__", "__delitem__", "__iadd__", "__imul__"],
)
_watch(
    WatchedDict,
    ["clear", "pop", "popitem", "__setitem__", "__delitem__"],
)
