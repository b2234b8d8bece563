"""Dictionaries with several values for a key that also know the order of all values across the keys.

Werkzeug is giving these up: a `MultiDict` keeps the order of the keys, and of each key's values, which is enough for
nearly everybody. They stand here for request classes that name one as their `parameter_storage_class`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, NoReturn, TypeVar

from .errors import BadRequestKeyError
from .multidict import ImmutableMultiDictMixin, MultiDict, iter_multi_items

__all__ = ["ImmutableOrderedMultiDict", "OrderedMultiDict"]

K = TypeVar("K")
V = TypeVar("V")
_missing: Any = object()
_dict: Any = dict


class OrderedMultiDict(MultiDict[K, V]):
    """A `MultiDict` whose `items(multi=True)` are in the order in which they were added.

    Two of them are equal if that order is, too. To add is cheap; to replace or to remove a key that is there costs a
    walk over all values.

    Args:
        mapping: As for `MultiDict`.
    """

    def __init__(self, mapping: Any = None) -> None:
        super().__init__()
        self._sequence: list[K] = []  # the key of each value
        for key, value in () if mapping is None else iter_multi_items(mapping):
            OrderedMultiDict.add(self, key, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (list(self.items(multi=True)),)

    def __getstate__(self) -> Any:
        return list(self.items(multi=True))

    def __setstate__(self, value: Any) -> None:
        self.clear()
        self.update(value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, OrderedMultiDict) and self._sequence != other._sequence:
            return False
        return _dict.__eq__(self, other)  # type: ignore[no-any-return]

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # type: ignore[assignment]

    def __setitem__(self, key: K, value: V) -> None:
        self.setlist(key, [value])

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise BadRequestKeyError(key)
        self.poplist(key)

    def add(self, key: K, value: V) -> None:
        """Append a value to those of `key`, and to all values."""
        _dict.setdefault(self, key, []).append(value)
        self._sequence.append(key)

    def items(self, multi: bool = False) -> Iterable[tuple[K, V]]:  # type: ignore[override]
        """Yield pairs: of each key and its first value, or with `multi` of every value in the order of the values."""
        return self._all_items() if multi else super().items()

    def _all_items(self) -> Iterator[tuple[K, V]]:
        values = {key: iter(own) for key, own in _dict.items(self)}
        for key in self._sequence:
            yield key, next(values[key])

    def setlist(self, key: K, new_list: Iterable[V]) -> None:
        """Replace the values of `key`, which becomes the last one."""
        self.poplist(key)
        for value in new_list:
            self.add(key, value)

    def setlistdefault(self, key: Any, default_list: Any = None) -> NoReturn:
        """Raise: the order would not know of what is done to the list.

        Raises:
            TypeError: Always.
        """
        raise TypeError(f"{type(self).__name__} has no setlistdefault; write add() or setlist()")

    def clear(self) -> None:
        """Remove everything."""
        _dict.clear(self)
        self._sequence.clear()

    def poplist(self, key: K) -> list[V]:
        """Remove `key` and return all its values; an empty list if it is missing."""
        values: list[V] = _dict.pop(self, key, [])
        if values:
            self._sequence = [other for other in self._sequence if other != key]
        return values

    def pop(self, key: K, default: Any = _missing) -> Any:
        """Remove `key` with all its values and return the first."""
        values = self.poplist(key)
        if values:
            return values[0]
        if default is not _missing:
            return default
        raise BadRequestKeyError(key)

    def popitemlist(self) -> tuple[K, list[V]]:
        """Remove the last key and return it with all its values."""
        key, values = super().popitemlist()
        self._sequence = [other for other in self._sequence if other != key]
        return key, values

    def deepcopy(self, memo: Any = None) -> Any:
        """Return a copy that shares nothing."""
        return type(self)(deepcopy(list(self.items(multi=True)), memo))


class ImmutableOrderedMultiDict(ImmutableMultiDictMixin, OrderedMultiDict[K, V]):  # type: ignore[misc]
    """An `OrderedMultiDict` that cannot be changed. `copy()` gives one that can."""

    def _iter_hashitems(self) -> Iterator[Any]:
        return enumerate(self.items(multi=True))

    def copy(self) -> OrderedMultiDict[K, V]:
        """Return an `OrderedMultiDict` that may be changed."""
        return OrderedMultiDict(self)

    def __copy__(self) -> ImmutableOrderedMultiDict[K, V]:
        return self
