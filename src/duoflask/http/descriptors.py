"""`cached_property`: compute an attribute once, keep it in the instance's `__dict__`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

__all__ = ["cached_property"]

_T = TypeVar("_T")


class cached_property(Generic[_T]):  # noqa: N801 - a decorator
    """Compute the value at the first access; assignment and deletion are the instance's own.

    Unlike `functools.cached_property`, whose lock up to Python 3.11 costs 600 ns a value and holds up other
    instances. A non-data descriptor: once the value is in `__dict__`, access costs as much as a plain
    attribute.
    """

    def __init__(self, fget: Callable[[Any], _T], name: str | None = None, doc: str | None = None) -> None:
        self.fget = fget
        self.__name__ = name or fget.__name__
        self.__doc__ = doc or fget.__doc__
        self.__module__ = fget.__module__

    def __set_name__(self, owner: type, name: str) -> None:
        self.__name__ = name

    @overload
    def __get__(self, instance: None, owner: type) -> cached_property[_T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...

    def __get__(self, instance: object | None, owner: type) -> cached_property[_T] | _T:
        if instance is None:
            return self
        value = instance.__dict__[self.__name__] = self.fget(instance)
        return value
