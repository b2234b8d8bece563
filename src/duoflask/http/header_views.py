"""Header fields of a request: two read-only views of what a server hands over, a WSGI environ or an ASGI scope.

Theory of operation: the views copy nothing. A look-up goes to the WSGI environ, or scans the few pairs of the ASGI
scope. Both answer alike, which means as WSGI can: names without case, underscore and hyphen are the same in a look-up,
lines of one name are one value (joined with ", ", cookies with "; "), an empty Content-Type or Content-Length is none.
A field whose name on the wire holds an underscore does not exist: it could pass for its hyphenated twin
(`X_Forwarded_For`); WSGI servers drop it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from .headers import Headers
from .immutable import ImmutableHeadersMixin

__all__ = ["EnvironHeaders", "ScopeHeaders", "find_raw"]

_missing: Any = object()


class _RequestHeaders(ImmutableHeadersMixin, Headers):
    """What both read-only views share."""

    __slots__ = ()

    def __or__(self, other: Any) -> NoReturn:
        self.copy()

    def getlist(self, key: str, type: Callable[[str], Any] | None = None) -> list[Any]:
        """Return a list of the one value of `key`, all its lines joined; an empty list if it is missing."""
        value = self.get(key, _missing, type)
        return [] if value is _missing else [value]

    def copy(self) -> NoReturn:
        """Raise: a view has nothing to copy."""
        raise TypeError(f"cannot copy {type(self).__name__!r}; write Headers(request.headers)")


# PERF: a look-up by a name that was looked up before: 90 ns instead of 260. The names are the application's, mostly.
_ENVIRON_KEYS: dict[str, str] = {}
_RAW_NAMES: dict[str, bytes] = {}
_MAX_KEPT_NAMES = 1024


def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = "HTTP_" + key
    if len(_ENVIRON_KEYS) < _MAX_KEPT_NAMES and len(name) <= 64:
        _ENVIRON_KEYS[name] = key
    return key


def _raw_name(name: str) -> bytes:
    # "?" stands for what latin-1 lacks; no field name holds it
    raw = name.lower().replace("_", "-").encode("latin-1", "replace")
    if len(_RAW_NAMES) < _MAX_KEPT_NAMES and len(name) <= 64:
        _RAW_NAMES[name] = raw
    return raw


def find_raw(raw: Sequence[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Return the value of a field of an ASGI scope, all its lines joined; None if it is missing."""
    found: bytes | None = None
    for raw_name, raw_value in raw:
        if raw_name == name:
            if found is not None:
                separator = b"; " if name == b"cookie" else b", "
                return separator.join([value for raw_name, value in raw if raw_name == name]).decode("latin-1")
            found = raw_value
    if found is None or (not found and name in (b"content-type", b"content-length")):
        return None
    return found.decode("latin-1")


class EnvironHeaders(_RequestHeaders):
    """The header fields of a WSGI environ (PEP 3333), read-only."""

    __slots__ = ("environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.environ = environ

    def _find(self, key: str) -> str | None:
        name = _ENVIRON_KEYS.get(key) or _environ_key(key)
        value = self.environ.get(name)
        return None if value == "" and name[:5] != "HTTP_" else value

    def _pairs(self) -> list[tuple[str, str]]:
        pairs = []
        for key, value in self.environ.items():
            if key[:5] == "HTTP_":
                if key != "HTTP_CONTENT_TYPE" and key != "HTTP_CONTENT_LENGTH":
                    pairs.append((key[5:].replace("_", "-").title(), value))
            elif (key == "CONTENT_TYPE" or key == "CONTENT_LENGTH") and value:
                pairs.append((key.replace("_", "-").title(), value))
        return pairs

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EnvironHeaders):
            return NotImplemented
        return self.environ is other.environ

    __hash__ = None  # type: ignore[assignment]


class ScopeHeaders(_RequestHeaders):
    """The header fields of an ASGI scope, read-only.

    Args:
        raw: The scope's `headers`: pairs of bytes, names in lower case as the specification demands.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: Iterable[tuple[bytes, bytes]]) -> None:
        self.raw = raw if type(raw) is list else tuple(raw)

    def _find(self, key: str) -> str | None:
        return find_raw(self.raw, _RAW_NAMES.get(key) or _raw_name(key))

    def _pairs(self) -> list[tuple[str, str]]:
        merged: dict[bytes, list[bytes]] = {}
        for raw_name, raw_value in self.raw:
            if b"_" not in raw_name:
                merged.setdefault(raw_name, []).append(raw_value)
        pairs = []
        for raw_name, values in merged.items():
            value = (b"; " if raw_name == b"cookie" else b", ").join(values).decode("latin-1")
            if value or raw_name not in (b"content-type", b"content-length"):
                pairs.append((raw_name.decode("latin-1").title(), value))
        return pairs

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ScopeHeaders):
            return NotImplemented
        return self.raw is other.raw

    __hash__ = None  # type: ignore[assignment]
