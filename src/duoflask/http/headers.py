"""Header fields to write: `Headers`. Those of a request are read by its two views in `header_views`.

Theory of operation: `Headers` is a list of pairs. Every write passes the checks of `grammar`, so that what is
in the list may go on the wire as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self, SupportsIndex

from .errors import BadRequestKeyError
from .grammar import LOWER_NAMES, check_field_name, check_field_value, lower_field_name
from .multidict import MultiDict, iter_multi_items
from .options import dump_options_header

__all__ = ["Headers"]

_missing: Any = object()


class Headers:
    """An ordered list of header fields; names have no case and may repeat. Iterating gives pairs.

    Every name must be a token and every value latin-1 text without control characters, or ValueError is
    raised.

    Args:
        defaults: Pairs, a mapping (lists, tuples and sets are several values), or other headers.
    """

    __slots__ = ("_list",)

    _list: list[tuple[str, str]]

    def __init__(self, defaults: Any = None) -> None:
        self._list = []
        if defaults is not None:
            self.extend(defaults)

    # reading

    def _find(self, key: str) -> str | None:
        """Return the first value of `key` or None. The two views replace this and `_pairs`."""
        length = len(key)
        key = key.lower()
        for name, value in self._list:
            if len(name) == length and name.lower() == key:
                return value
        return None

    def _pairs(self) -> list[tuple[str, str]]:
        return self._list

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            value = self._find(key)
            if value is None:
                raise BadRequestKeyError(key)
            return value
        if isinstance(key, int):
            return self._pairs()[key]
        result = Headers()
        result._list = self._pairs()[key]
        return result

    def get(self, key: str, default: Any = None, type: Callable[[str], Any] | None = None) -> Any:
        """Return the first value of `key`; `default` if it is missing or `type` refuses it."""
        value = self._find(key)
        if value is None:
            return default
        if type is None:
            return value
        try:
            return type(value)
        except (ValueError, TypeError):
            return default

    def getlist(self, key: str, type: Callable[[str], Any] | None = None) -> list[Any]:
        """Return all values of `key`; those for which `type` raises ValueError or TypeError are left out."""
        key = key.lower()
        values = [value for name, value in self._pairs() if name.lower() == key]
        if type is None:
            return values
        result = []
        for value in values:
            try:
                result.append(type(value))
            except (ValueError, TypeError):
                pass
        return result

    def get_all(self, name: str) -> list[str]:
        """Return all values of `name`, as `wsgiref.headers.Headers` calls it."""
        return self.getlist(name)

    def items(self, lower: bool = False) -> Iterator[tuple[str, str]]:
        """Yield the pairs, with lower-case names if `lower`."""
        for name, value in self._pairs():
            yield (name.lower() if lower else name), value

    def keys(self, lower: bool = False) -> Iterator[str]:
        """Yield the names, one for each line."""
        for name, _ in self.items(lower):
            yield name

    def values(self) -> Iterator[str]:
        """Yield the values."""
        for _, value in self._pairs():
            yield value

    def to_wsgi_list(self) -> list[tuple[str, str]]:
        """Return a new list of pairs, as WSGI's start_response takes it."""
        return list(self._pairs())

    def copy(self) -> Any:
        """Return a copy."""
        result = type(self)()
        result._list = list(self._list)
        return result

    def __copy__(self) -> Any:
        return self.copy()

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not None

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs())

    def __len__(self) -> int:
        return len(self._pairs())

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return {(n.lower(), v) for n, v in self._list} == {(n.lower(), v) for n, v in other._list}

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return "".join([f"{name}: {value}\r\n" for name, value in self._pairs()]) + "\r\n"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._pairs())!r})"

    # writing

    def add(self, key: str, value: Any, /, **options: Any) -> None:
        """Append a field; keyword arguments become parameters of the value (`_` stands for `-`)."""
        if options:
            value = _with_options(value, options)
        # PERF: the usual name and value without a call: 180 -> 110 ns (fields, benchmarks/).
        if key not in LOWER_NAMES:
            check_field_name(key)
        if type(value) is not str or not value.isascii() or not value.isprintable():
            value = check_field_value(value)
        self._list.append((key, value))

    def add_header(self, key: str, value: Any, /, **options: Any) -> None:
        """Append a field, as `wsgiref.headers.Headers` calls it."""
        self.add(key, value, **options)

    def set(self, key: str, value: Any, /, **options: Any) -> None:
        """Replace all fields of this name by one, which takes the place of the first."""
        self[key] = _with_options(value, options) if options else value

    def setlist(self, key: str, values: Iterable[Any]) -> None:
        """Replace all fields of this name by one for each value."""
        values = list(values)
        if not values:
            self.remove(key)
            return
        self.set(key, values[0])
        for value in values[1:]:
            self.add(key, value)

    def setdefault(self, key: str, default: Any) -> str:
        """Return the first value of `key`, which is set to `default` if there is none."""
        value = self._find(key)
        if value is None:
            self.set(key, default)
            value = self._find(key)
            assert value is not None  # it has just been set
        return value

    def setlistdefault(self, key: str, default: Iterable[Any] | None) -> list[str]:
        """Return all values of `key`, which are set to `default` if there are none."""
        if key not in self:
            self.setlist(key, default or ())
        return self.getlist(key)

    def extend(self, arg: Any = None, /, **fields: Any) -> None:
        """Append the fields of headers, a mapping or pairs, then the keyword arguments."""
        if isinstance(arg, Headers):
            self._list.extend([(check_field_name(n), check_field_value(v)) for n, v in arg._pairs()])
        elif arg is not None:
            for name, value in iter_multi_items(arg):
                self.add(name, value)
        for name, value in iter_multi_items(fields):
            self.add(name, value)

    def update(self, arg: Any = None, /, **fields: Any) -> None:
        """Replace fields by those of headers, a mapping or pairs, then by the keyword arguments."""
        if isinstance(arg, (Headers, MultiDict)):
            for name in dict.fromkeys(arg.keys()):
                self.setlist(name, arg.getlist(name))
        elif isinstance(arg, Mapping):
            self._replace_all(arg.items())
        elif arg is not None:
            for name, value in arg:
                self.set(name, value)
        self._replace_all(fields.items())

    def _replace_all(self, items: Iterable[tuple[str, Any]]) -> None:
        for name, value in items:
            if isinstance(value, (list, tuple, set, frozenset)):
                self.setlist(name, value)
            else:
                self.set(name, value)

    def remove(self, key: str) -> None:
        """Remove all fields of this name, if there are any."""
        lower = key.lower()
        self._list[:] = [field for field in self._list if field[0].lower() != lower]

    def pop(self, key: str | int | None = None, default: Any = _missing) -> Any:
        """Remove the fields of a name and return the first value, or remove the pair at an index."""
        if key is None:
            return self._list.pop()
        if isinstance(key, int):
            return self._list.pop(key)
        value = self._find(key)
        if value is not None:
            self.remove(key)
            return value
        if default is not _missing:
            return default
        raise BadRequestKeyError(key)

    def popitem(self) -> tuple[str, str]:
        """Remove and return the last pair."""
        return self._list.pop()

    def clear(self) -> None:
        """Remove everything."""
        self._list.clear()

    def __setitem__(self, key: Any, value: Any) -> None:
        # PERF: the usual name and value without a call, and no count of the fields: 450 -> 200 ns (hooks, benchmarks/).
        try:
            lower = LOWER_NAMES[key]
        except (KeyError, TypeError):
            if isinstance(key, (int, slice)):
                self._set_item(key, value)
                return
            lower = lower_field_name(key)
        if type(value) is not str or not value.isascii() or not value.isprintable():
            value = check_field_value(value)
        fields = self._list
        length = len(key)
        for name, _ in fields:
            if len(name) == length and name.lower() == lower:
                break
        else:
            fields.append((key, value))
            return
        index = [field[0] for field in fields].index(name)
        rest = [other for other in fields[index + 1 :] if other[0].lower() != lower]
        fields[index:] = [(key, value), *rest]

    def _set_item(self, key: int | slice, value: Any) -> None:
        if isinstance(key, int):
            self._list[key] = check_field_name(value[0]), check_field_value(value[1])
        else:
            self._list[key] = [(check_field_name(n), check_field_value(v)) for n, v in value]

    def __delitem__(self, key: str | SupportsIndex | slice) -> None:
        if isinstance(key, str):
            self.remove(key)
        else:
            del self._list[key]

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        result = self.copy()
        result.update(other)
        return result

    def __ior__(self, other: Any) -> Self:
        if not isinstance(other, (Mapping, Iterable)):
            return NotImplemented
        self.update(other)
        return self


def _with_options(value: Any, options: dict[str, Any]) -> str:
    return dump_options_header(value, {name.replace("_", "-"): option for name, option in options.items()})
