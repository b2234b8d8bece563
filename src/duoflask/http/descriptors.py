"""`cached_property`: compute an attribute once, keep it in the instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

__all__ = ["cached_property"]

_T = TypeVar("_T")
_unset: Any = object()


class cached_property(Generic[_T]):  # noqa: N801 - a decorator
    """Compute the value at the first access; assignment and deletion are the instance's own.

    Unlike `functools.cached_property`, whose lock up to Python 3.11 costs 600 ns a value and holds up other
    instances. A non-data descriptor: once the value is in `__dict__`, access costs as much as a plain
    attribute. A class without `__dict__` keeps the value in a slot `_cache_<name>`, which it has to have.
    """

    def __init__(self, fget: Callable[[Any], _T], name: str | None = None, doc: str | None = None) -> None:
        self.fget = fget
        self.__name__ = name or fget.__name__
        self.__doc__ = doc or fget.__doc__
        self.__module__ = fget.__module__

    def __set_name__(self, owner: type, name: str) -> None:
        self.__name__ = name
        if not owner.__dictoffset__:
            if not hasattr(owner, f"_cache_{name}"):
                raise TypeError(
                    f"{owner.__name__} has no place for the value of {name!r}; add '_cache_{name}' (or '__dict__') to "
                    "its __slots__"
                )
            setattr(owner, name, _slot_property(self.fget, name, self.__doc__))

    fset = fdel = None

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """`isinstance` takes it for a property, as those do that make documentation."""
        return property

    @overload
    def __get__(self, instance: None, owner: type) -> cached_property[_T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> _T: ...

    def __get__(self, instance: object | None, owner: type) -> cached_property[_T] | _T:
        if instance is None:
            return self
        value = instance.__dict__[self.__name__] = self.fget(instance)
        return value


class _slot_property(cached_property[_T]):  # noqa: N801 - as the decorator
    """The same for a class without `__dict__`: it has to be a data descriptor."""

    def __init__(self, fget: Callable[[Any], _T], name: str, doc: str | None) -> None:
        super().__init__(fget, name, doc)
        self._slot = f"_cache_{name}"

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        value = getattr(instance, self._slot, _unset)
        if value is _unset:
            value = self.fget(instance)
            setattr(instance, self._slot, value)
        return value

    def __set__(self, instance: object, value: _T) -> None:
        setattr(instance, self._slot, value)

    def __delete__(self, instance: object) -> None:
        delattr(instance, self._slot)
