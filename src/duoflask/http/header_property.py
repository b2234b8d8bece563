"""Attributes that stand for a header field, or for a key of the environ.

Owns how a field is read into a value and written back, a missing or invalid one included. Knows of its owner only
that it has `headers` or an `environ`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Generic, Self, TypeVar, overload

from .callback_dict import CallbackDict
from .header_set import HeaderSet, parse_set_header
from .options import dump_header, dump_options_header, parse_options_header

__all__ = ["environ_property", "header_property", "joined_field", "media_parameters", "replace_first", "set_property"]

_T = TypeVar("_T")


class environ_property(Generic[_T]):  # noqa: N801 - Werkzeug's name
    """An attribute that is a key of `environ`, read-only unless said otherwise.

    Args:
        name: The key.
        default: The value where the key is missing, or `load_func` raises ValueError or TypeError.
        load_func: Makes the value of what is stored.
        dump_func: Makes what is stored of a value.
        read_only: Whether assigning and deleting raise AttributeError.
        doc: The attribute's docstring.
    """

    read_only = True

    def __init__(
        self,
        name: str,
        default: _T | None = None,
        load_func: Callable[[str], _T | None] | None = None,
        dump_func: Callable[[Any], str | None] | None = None,
        read_only: bool | None = None,
        doc: str | None = None,
    ) -> None:
        self.name = name
        self.default = default
        self.load_func = load_func
        self.dump_func = dump_func
        if read_only is not None:
            self.read_only = read_only
        self.__doc__ = doc

    def lookup(self, obj: Any) -> MutableMapping[str, Any]:
        """Return what the values are in."""
        return obj.environ  # type: ignore[no-any-return]

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> _T | None: ...

    def __get__(self, instance: object | None, owner: type) -> Self | _T | None:
        if instance is None:
            return self
        value = self.lookup(instance).get(self.name)
        if value is None:
            return self.default
        if self.load_func is None:
            return value  # type: ignore[no-any-return]
        try:
            return self.load_func(value)
        except (ValueError, TypeError):
            return self.default

    def __set__(self, instance: object, value: Any) -> None:
        self._require_writable()
        if value is not None and self.dump_func is not None:
            value = self.dump_func(value)
        if value is None:
            self.lookup(instance).pop(self.name, None)
        else:
            self.lookup(instance)[self.name] = value

    def __delete__(self, instance: object) -> None:
        self._require_writable()
        self.lookup(instance).pop(self.name, None)

    def _require_writable(self) -> None:
        if self.read_only:
            raise AttributeError(f"the attribute for {self.name!r} is read-only")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class header_property(environ_property[_T]):  # noqa: N801 - Werkzeug's name
    """An attribute that is a header field; None removes it. Arguments as for `environ_property`."""

    read_only = False

    def lookup(self, obj: Any) -> Any:
        """Return the header fields."""
        return obj.headers


def media_parameters(headers: Any) -> CallbackDict[str, str]:
    """Return the parameters of the media type in Content-Type; changes are written back."""

    def write_back(parameters: dict[str, str]) -> None:
        kind: str | None = headers.get("Content-Type")
        headers["Content-Type"] = dump_options_header(kind and kind.partition(";")[0].strip(), parameters)

    return CallbackDict(parse_options_header(headers.get("Content-Type", ""))[1], write_back)


def joined_field(headers: Any, name: str) -> str | None:
    """Return the value of a field that is a list, its lines joined (RFC 9110 5.3); None if there is none."""
    lines = headers.getlist(name)
    return ", ".join(lines) if lines else None


def replace_first(headers: Any, name: str, value: str | None) -> None:
    """Write back the first field of a name, whose other lines stay as they are; None or "" removes it."""
    lower = name.lower()
    for index, (found, _) in enumerate(headers):
        if found.lower() == lower:
            if value:
                headers[index] = (found, value)
            else:
                del headers[index]
            return
    if value:
        headers.add(name, value)


def set_property(name: str, doc: str, *, optional: bool = False) -> Any:
    """Make an attribute that is a field with a list of tokens, as a `HeaderSet` that writes its changes back.

    Several lines are read as one list, and written as one line.

    Args:
        name: The field.
        doc: The attribute's docstring.
        optional: The value is None where the field is missing; else an empty set.
    """

    def read(self: Any) -> HeaderSet | None:
        headers = self.headers
        value = joined_field(headers, name)
        if value is None and optional:
            return None

        def write_back(items: HeaderSet) -> None:
            if items:
                headers[name] = items.to_header()
            else:
                headers.remove(name)

        return parse_set_header(value, write_back)

    def write(self: Any, value: str | Mapping[str, Any] | Iterable[str] | None) -> None:
        if not value:
            self.headers.remove(name)
        else:
            self.headers[name] = value if isinstance(value, str) else dump_header(value)

    def remove(self: Any) -> None:
        self.headers.remove(name)

    return property(read, write, remove, doc)
