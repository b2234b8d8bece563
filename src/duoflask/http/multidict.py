"""Dictionaries with several values for a key: what query strings, forms and cookies are.

`MultiDict` is a dict of lists underneath (`dict.__getitem__` gives the list), so `isinstance(x, dict)` holds,
and answers with the first value. A missing key is a `BadRequestKeyError`: a 400 if nobody catches it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, NoReturn, Self, TypeVar

from .errors import BadRequestKeyError
from .immutable import ImmutableDictMixin, refuse
from .type_conversion import TypeConversionDict

__all__ = [
    "CombinedMultiDict",
    "ImmutableMultiDict",
    "ImmutableMultiDictMixin",
    "MultiDict",
    "dict_of_pieces",
    "iter_multi_items",
]

K = TypeVar("K")
V = TypeVar("V")
_missing: Any = object()
# `dict` with the lists it really holds: the class says K -> V for its user
_dict: Any = dict
_update: Any = dict.update  # PERF: 40 ns less than dict.__init__, which is no method to CPython
_collections = (list, tuple, set)
_new: Any = dict.__new__


def iter_multi_items(mapping: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every pair of a MultiDict, a mapping (lists, tuples and sets are several values) or of pairs."""
    if isinstance(mapping, MultiDict):
        yield from mapping.items(multi=True)
    elif isinstance(mapping, Mapping):
        for key, value in mapping.items():
            if isinstance(value, _collections):
                for item in value:
                    yield key, item
            else:
                yield key, value
    else:
        yield from mapping


def _group(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    lists: dict[Any, list[Any]] = {}
    for key, value in pairs:
        if key in lists:
            lists[key].append(value)
        else:
            lists[key] = [value]
    return lists


class MultiDict(TypeConversionDict[K, V]):
    """A dict that keeps every value of a key, in order, and answers with the first.

    Args:
        mapping: Pairs, a mapping (lists, tuples and sets are several values), another MultiDict, or None.
    """

    def __init__(self, mapping: Any = None) -> None:
        lists: dict[Any, list[Any]]
        if type(mapping) is list:
            # PERF: keys are mostly different: three pairs in 600 ns instead of 1,000
            lists = {key: [value] for key, value in mapping}
            if len(lists) != len(mapping):
                lists = _group(mapping)
        elif mapping is None:
            return
        elif isinstance(mapping, MultiDict):
            lists = dict(mapping.lists())
        elif isinstance(mapping, Mapping):
            lists = {}
            for key, value in mapping.items():
                values = list(value) if isinstance(value, _collections) else [value]
                if values:
                    lists[key] = values
        else:
            lists = _group(mapping)
        _update(self, lists)

    def __getstate__(self) -> Any:
        return dict(self.lists())

    def __setstate__(self, value: Any) -> None:
        _dict.clear(self)
        _dict.update(self, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.to_dict(flat=False),)

    def __iter__(self) -> Iterator[K]:
        # without this, `dict(multi_dict)` copies the lists beneath:
        # https://github.com/python/cpython/issues/87412
        return _dict.__iter__(self)  # type: ignore[no-any-return]

    def __getitem__(self, key: K) -> V:
        values = _dict.get(self, key)
        if values:
            return values[0]  # type: ignore[no-any-return]
        raise BadRequestKeyError(key)

    def __setitem__(self, key: K, value: V) -> None:
        _dict.__setitem__(self, key, [value])

    def get(self, key: Any, default: Any = None, type: Callable[[Any], Any] | None = None) -> Any:
        """Return the first value of `key`, converted by `type`; see `TypeConversionDict.get`."""
        # PERF: 90 ns; through __getitem__ a hit is 190 and a miss, with its exception, 900
        values = _dict.get(self, key)
        if not values:
            return default
        if type is None:
            return values[0]
        try:
            return type(values[0])
        except (ValueError, TypeError):
            return default

    def add(self, key: K, value: V) -> None:
        """Append a value to those of `key`."""
        _dict.setdefault(self, key, []).append(value)

    def getlist(self, key: K, type: Callable[[Any], Any] | None = None) -> list[Any]:
        """Return a new list of the values of `key`; those for which `type` raises are left out."""
        values = _dict.get(self, key)
        if not values:
            return []
        if type is None:
            return list(values)
        result = []
        for value in values:
            try:
                result.append(type(value))
            except (ValueError, TypeError):
                pass
        return result

    def setlist(self, key: K, new_list: Iterable[V]) -> None:
        """Replace the values of `key`."""
        _dict.__setitem__(self, key, list(new_list))

    def setdefault(self, key: K, default: Any = None) -> Any:
        """Return the first value of `key`, which becomes `default` if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def setlistdefault(self, key: K, default_list: Iterable[V] | None = None) -> list[V]:
        """Return the very list of the values of `key`, made from `default_list` if there is none."""
        if key not in self:
            _dict.__setitem__(self, key, list(default_list or ()))
        return _dict.__getitem__(self, key)  # type: ignore[no-any-return]

    def items(self, multi: bool = False) -> Iterable[tuple[K, V]]:  # type: ignore[override]
        """Yield pairs: of each key and its first value, or with `multi` of every value."""
        for key, values in _dict.items(self):
            if multi:
                for value in values:
                    yield key, value
            else:
                yield key, values[0]

    def lists(self) -> Iterable[tuple[K, list[V]]]:
        """Yield each key with a new list of its values."""
        for key, values in _dict.items(self):
            yield key, list(values)

    def values(self) -> Iterable[V]:  # type: ignore[override]
        """Yield the first value of each key."""
        for values in _dict.values(self):
            yield values[0]

    def listvalues(self) -> Iterable[list[V]]:
        """Return the lists of values, in the order of the keys."""
        return _dict.values(self)  # type: ignore[no-any-return]

    def to_dict(self, flat: bool = True) -> dict[K, Any]:
        """Return a plain dict of first values, or of lists if not `flat`."""
        return dict(self.items()) if flat else dict(self.lists())

    def update(self, mapping: Any) -> None:
        """Add the values of `mapping` to those that are there."""
        for key, value in iter_multi_items(mapping):
            self.add(key, value)

    def pop(self, key: K, default: Any = _missing) -> Any:
        """Remove `key` with all its values and return the first."""
        values = _dict.pop(self, key, None)
        if values:
            return values[0]
        if default is not _missing:
            return default
        raise BadRequestKeyError(key)

    def popitem(self) -> tuple[K, V]:
        """Remove the last key and return it with its first value."""
        key, values = self.popitemlist()
        if not values:
            raise BadRequestKeyError(key)
        return key, values[0]

    def poplist(self, key: K) -> list[V]:
        """Remove `key` and return all its values; an empty list if it is missing."""
        return _dict.pop(self, key, [])  # type: ignore[no-any-return]

    def popitemlist(self) -> tuple[K, list[V]]:
        """Remove the last key and return it with all its values."""
        try:
            return _dict.popitem(self)  # type: ignore[no-any-return]
        except KeyError as exc:
            raise BadRequestKeyError(exc.args[0]) from None

    def copy(self) -> Any:
        """Return a copy that shares the values but not the lists."""
        return type(self)(self)

    def deepcopy(self, memo: Any = None) -> Any:
        """Return a copy that shares nothing."""
        return type(self)(deepcopy(self.to_dict(flat=False), memo))

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.deepcopy(memo)

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        result = self.copy()
        result.update(other)
        return result

    def __ior__(self, other: Any) -> Self:  # type: ignore[override]
        if not isinstance(other, (Mapping, Iterable)):
            return NotImplemented
        self.update(other)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self.items(multi=True))!r})"


class ImmutableMultiDictMixin(ImmutableDictMixin):
    """Makes a MultiDict refuse every change, and hashable if its values are; to be named before it."""

    def _iter_hashitems(self) -> Iterator[Any]:
        return ((key, tuple(values)) for key, values in self.lists())  # type: ignore[attr-defined]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (list(self.items(multi=True)),)  # type: ignore[attr-defined]

    add = popitemlist = poplist = setlist = setlistdefault = __setstate__ = refuse


class ImmutableMultiDict(ImmutableMultiDictMixin, MultiDict[K, V]):  # type: ignore[misc]
    """A `MultiDict` that cannot be changed. `copy()` gives one that can."""

    def copy(self) -> MultiDict[K, V]:
        """Return a `MultiDict` that may be changed."""
        return MultiDict(self)

    def __copy__(self) -> Self:
        return self


class CombinedMultiDict(ImmutableMultiDict[K, V]):
    """Several MultiDicts read as one: the first that has a key answers, `getlist` asks them all."""

    def __init__(self, dicts: Iterable[MultiDict[K, V]] | None = None) -> None:
        super().__init__()
        self.dicts: list[MultiDict[K, V]] = list(dicts or ())

    def __reduce_ex__(self, protocol: Any) -> Any:
        return type(self), (self.dicts,)

    @classmethod
    def fromkeys(cls, keys: Any, value: Any = None) -> NoReturn:
        """Raise: there is nothing to combine."""
        raise TypeError(f"cannot create {cls.__name__!r} instances by fromkeys")

    def __getitem__(self, key: K) -> V:
        for one in self.dicts:
            if key in one:
                return one[key]
        raise BadRequestKeyError(key)

    def get(self, key: Any, default: Any = None, type: Callable[[Any], Any] | None = None) -> Any:
        """Return the first value of `key` that `type` accepts."""
        for one in self.dicts:
            value = one.get(key, _missing, type)
            if value is not _missing:
                return value
        return default

    def getlist(self, key: K, type: Callable[[Any], Any] | None = None) -> list[Any]:
        """Return the values of `key` in all dictionaries."""
        return [value for one in self.dicts for value in one.getlist(key, type)]

    def _all_keys(self) -> dict[K, None]:
        return dict.fromkeys(key for one in self.dicts for key in one)

    def keys(self) -> Any:
        """Return the keys of all dictionaries, each once."""
        return self._all_keys().keys()

    def __iter__(self) -> Iterator[K]:
        return iter(self._all_keys())

    def items(self, multi: bool = False) -> Iterable[tuple[K, V]]:  # type: ignore[override]
        """Yield pairs: of each key and its first value, or with `multi` of every value."""
        seen: set[K] = set()
        for one in self.dicts:
            for key, value in one.items(multi):
                if multi:
                    yield key, value
                elif key not in seen:
                    seen.add(key)
                    yield key, value

    def values(self) -> Iterable[V]:  # type: ignore[override]
        """Yield the first value of each key."""
        for _, value in self.items():  # noqa: PERF102
            yield value

    def lists(self) -> Iterable[tuple[K, list[V]]]:
        """Return each key with the values of all dictionaries."""
        result: dict[K, list[V]] = {}
        for one in self.dicts:
            for key, values in one.lists():
                result.setdefault(key, []).extend(values)
        return result.items()

    def listvalues(self) -> Iterable[list[V]]:
        """Yield the lists of values, in the order of the keys."""
        return (values for _, values in self.lists())

    def __len__(self) -> int:
        return len(self._all_keys())

    def __bool__(self) -> bool:
        return any(self.dicts)

    def __contains__(self, key: object) -> bool:
        return any(key in one for one in self.dicts)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, CombinedMultiDict):
            return self.dicts == other.dicts
        return NotImplemented

    __hash__ = ImmutableMultiDict.__hash__  # type: ignore[assignment]

    def deepcopy(self, memo: Any = None) -> MultiDict[K, V]:
        """Return a `MultiDict` that shares nothing."""
        return MultiDict(deepcopy(self.to_dict(flat=False), memo))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.dicts!r})"


def dict_of_pieces(pieces: list[str]) -> ImmutableMultiDict[str, str] | None:
    """Return what is made of pieces such as `name=value`; None where a name is empty or comes twice.

    PERF: without pairs in between, a form of ten fields takes 2.0 us instead of 2.9 (form, benchmarks/).
    """
    lists = {}
    for piece in pieces:
        name, _, value = piece.partition("=")
        lists[name] = [value]
    if len(lists) != len(pieces) or "" in lists:
        return None
    result: ImmutableMultiDict[str, str] = _new(ImmutableMultiDict)
    _update(result, lists)
    return result
