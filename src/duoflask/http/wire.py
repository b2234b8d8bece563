"""What is made once and sent many times: the header pairs and status lines that many responses share.

Owns the tables of pairs in both protocols' forms, and how a status and a content type are written. Knows no response.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .grammar import check_field_value, check_reason
from .status import HTTP_STATUS_CODES

if TYPE_CHECKING:
    from http import HTTPStatus

__all__ = ["CONTENT_TYPES", "LENGTHS", "RAW_LENGTHS", "RAW_PAIRS", "content_type_of", "parse_status"]

_STATUS_LINES: Final[dict[int, str]] = {code: f"{code} {phrase.upper()}" for code, phrase in HTTP_STATUS_CODES.items()}

_TEXT_APPLICATIONS: Final = frozenset(
    {"application/ecmascript", "application/javascript", "application/sql", "application/xml", "application/xml-dtd"}
    | {"application/xml-external-parsed-entity"}
)


class _Lengths(dict[int, tuple[Any, Any]]):
    """The Content-Length pair of each length; those below 4096 are kept."""

    def __init__(self, make: Callable[[int], tuple[Any, Any]]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, length: int) -> tuple[Any, Any]:
        pair = self._make(length)
        if length < 4096:
            self[length] = pair
        return pair


class _ContentTypes(dict[str, tuple[tuple[str, str], tuple[bytes, bytes]]]):
    """The Content-Type pair of each value in both protocols' forms; at most `limit` of them, then it starts anew."""

    limit: Final = 256

    def __missing__(self, value: str) -> tuple[tuple[str, str], tuple[bytes, bytes]]:
        if len(self) >= self.limit:
            self.clear()
        text = check_field_value(value)
        self[value] = pairs = (("Content-Type", text), (b"content-type", text.encode("latin-1")))
        return pairs


CONTENT_TYPES: Final = _ContentTypes()
LENGTHS: Final = _Lengths(lambda length: ("Content-Length", str(length)))
RAW_LENGTHS: Final = _Lengths(lambda length: (b"content-length", b"%d" % length))


class _RawPairs(dict[tuple[str, str], tuple[bytes, bytes]]):
    """ASGI's form of header pairs that were sent before; at most `limit` of them, then it starts anew.

    PERF: encoding a pair costs 210 ns, finding it 35 (benchmarks/, "hooks").
    """

    limit: Final = 1024

    def __missing__(self, pair: tuple[str, str]) -> tuple[bytes, bytes]:
        if len(self) >= self.limit:
            self.clear()
        raw = (pair[0].lower().encode("latin-1"), pair[1].encode("latin-1"))
        if len(pair[1]) <= 128:
            self[pair] = raw
        return raw


RAW_PAIRS: Final = _RawPairs()


def content_type_of(mimetype: str, charset: str) -> str:
    """A media type with the charset that text needs (RFC 6657; JSON has none, RFC 8259 11)."""
    if mimetype == "application/json":
        return mimetype
    kind = mimetype.partition(";")[0].strip().lower()
    is_text = kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXT_APPLICATIONS
    return f"{mimetype}; charset={charset}" if is_text and "charset=" not in mimetype.lower() else mimetype


def parse_status(value: int | str | HTTPStatus) -> tuple[str, int]:
    """Read a status in one of Werkzeug's forms: 404, "404", "404 Not Found", HTTPStatus.NOT_FOUND.

    Raises:
        ValueError: Not a code from 100 to 599, or a reason phrase that cannot be sent.
    """
    if type(value) is int and value in _STATUS_LINES:
        return _STATUS_LINES[value], value  # PERF: 120 ns less for nearly all of them (missing, benchmarks/)
    if isinstance(value, int):
        code, reason = int(value), ""
    else:
        text, _, reason = value.strip().partition(" ")
        code = int(text) if text.isascii() and text.isdecimal() and len(text) == 3 else 0
    if not 100 <= code <= 599:
        if value == "":
            raise ValueError("Empty status argument: expected a code of 100-599 (RFC 9110 15), and a phrase")
        raise ValueError(f"invalid status code; expected 100-599 (RFC 9110 15); got {value!r}")
    if reason:
        return f"{code} {check_reason(reason)}", code
    return _STATUS_LINES.get(code) or f"{code} UNKNOWN", code
