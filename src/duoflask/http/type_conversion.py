"""Dicts whose `get` converts the value it returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar

from .immutable import ImmutableDictMixin

__all__ = ["ImmutableTypeConversionDict", "TypeConversionDict"]

K = TypeVar("K")
V = TypeVar("V")


class TypeConversionDict(dict[K, V]):
    """A dict whose `get` converts."""

    def get(self, key: Any, default: Any = None, type: Callable[[Any], Any] | None = None) -> Any:
        """Return the value for `key`, converted by `type`.

        Args:
            key: The key.
            default: Returned if the key is missing or `type` raises ValueError or TypeError.
            type: Called with the value.
        """
        try:
            value = self[key]
        except KeyError:
            return default
        if type is None:
            return value
        try:
            return type(value)
        except (ValueError, TypeError):
            return default


class ImmutableTypeConversionDict(ImmutableDictMixin, TypeConversionDict[K, V]):  # type: ignore[misc]
    """A `TypeConversionDict` that cannot be changed. `copy()` gives one that can."""

    def copy(self) -> TypeConversionDict[K, V]:
        """Return a `TypeConversionDict` that may be changed."""
        return TypeConversionDict(self)

    def __copy__(self) -> Self:
        return self
