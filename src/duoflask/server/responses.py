"""Responses into bytes: the head, the framing of the body, the server's own answers.

Owns what a response is on the wire. Sans-I/O; knows no connection. h11 writes responses too, at 20 us each
where this takes 3, which is why it only reads here; what it would have checked is checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from time import time

from .config import ServerConfig
from .requests import RequestHead

__all__ = ["ResponseWriter", "dump_informational", "dump_refusal", "server_fields"]

_PHRASES = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}
_STATUS_LINES = {code: b"HTTP/1.1 %d %b\r\n" % (code, phrase) for code, phrase in _PHRASES.items()}
_NAME_RE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BAD_VALUE_RE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# Hop by hop (RFC 9110 section 7.6.1): the server's business. Connection is looked at for "close".
_DROPPED = frozenset({b"connection", b"transfer-encoding", b"keep-alive"})
_SPECIAL = _DROPPED | {b"content-length", b"date", b"server"}

MAX_JOINED = 16_384  # a larger body is not copied to stand behind its head

RETRY_AFTER = 1  # seconds; a server that is full now has room soon

_names: dict[bytes, bytes] = {}  # checked names -> lower case; an application has a few dozen
_MAX_NAMES = 1_024
_date = (0, b"")


def _lower_name(name: bytes) -> bytes:
    lowered = name.lower()
    if not _NAME_RE.fullmatch(name):
        raise ValueError(f"invalid response header name; expected a token; got {name!r}")
    if len(_names) < _MAX_NAMES:
        _names[bytes(name)] = lowered
    return lowered


def _date_line() -> bytes:
    global _date
    now = int(time())
    if _date[0] != now:
        _date = now, b"date: " + formatdate(now, usegmt=True).encode("ascii") + b"\r\n"
    return _date[1]


class ResponseWriter:
    """One response. `keep_alive` says whether another may follow."""

    __slots__ = (
        "_bodyless",
        "_chunked",
        "_config",
        "_head",
        "_left",
        "_lines",
        "keep_alive",
        "length",
        "status",
    )

    def __init__(self, head: RequestHead, config: ServerConfig, keep_alive: bool) -> None:
        self._head = head
        self._config = config
        self.keep_alive = keep_alive
        self.status = 0
        self.length = 0  # bytes of body that were sent
        self._lines: list[bytes] | None = None  # the head until it is sent
        self._left = -1  # bytes that Content-Length still allows; -1 without
        self._chunked = False
        self._bodyless = False

    @property
    def begun(self) -> bool:
        """Whether the head was handed out."""
        return self.status > 0 and self._lines is None

    @property
    def framed(self) -> bool:
        """Whether the client can tell a whole body from a part of it."""
        return self._chunked or self._left >= 0 or self._bodyless or self._lines is not None

    def start(self, status: int, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Take status and fields; they are sent with the first piece of the body.

        Raises:
            ValueError: A status, name or value that may not be sent.
        """
        line = _STATUS_LINES.get(status)
        if line is None or status < 200:
            if type(status) is not int or not 200 <= status <= 999:
                raise ValueError(f"invalid status code; expected 200-999; got {status!r}")
            line = b"HTTP/1.1 %d \r\n" % status
        lines = [line]
        seen: set[bytes] = set()
        for name, value in fields:
            lowered = _names.get(name) or _lower_name(name)
            if _BAD_VALUE_RE.search(value):
                raise ValueError(f"invalid value of header {name!r}; expected no control characters; got {value!r}")
            if lowered in _SPECIAL:
                if lowered == b"connection" and b"close" in value.lower():
                    self.keep_alive = False
                if lowered in _DROPPED:
                    continue
                if lowered == b"content-length":
                    if status == 204:
                        continue
                    self._take_length(value)
                    continue
                seen.add(lowered)
            lines.append(b"%b: %b\r\n" % (name, value))
        config = self._config
        if config.date_header and b"date" not in seen:
            lines.append(_date_line())
        if config.server_header and b"server" not in seen:
            lines.append(b"server: " + config.server_header.encode("latin-1") + b"\r\n")
        self._bodyless = status in (204, 304) or self._head.method == "HEAD"
        self._lines = lines
        self.status = status

    def _take_length(self, value: bytes) -> None:
        text = value.strip()
        if not (text.isdigit() and len(text) < 19) or self._left not in (-1, int(text)):
            raise ValueError(f"invalid Content-Length of the response; expected one number; got {value!r}")
        self._left = int(text)

    def body(self, data: bytes, more: bool) -> tuple[bytes, ...]:
        """Return what to send for a piece of the body, the head before the first; one write if it is small.

        Raises:
            ValueError: The body is longer or shorter than its Content-Length.
        """
        if self._bodyless:
            data = b""
        elif self._left >= 0 and self._lines is None:
            self._count(len(data), more)
        prefix = b""
        if self._lines is not None:
            prefix = self._dump_head(self._lines, len(data), more)
            self._lines = None
        size = len(data)
        self.length += size
        suffix = b""
        if self._chunked:
            if data:
                prefix += b"%x\r\n" % size
                suffix = b"\r\n"
            if not more:
                suffix += b"0\r\n\r\n"
        if size > MAX_JOINED:
            return prefix, data, suffix
        return (prefix + data + suffix,)

    def _count(self, size: int, more: bool) -> None:
        if size > self._left or (size < self._left and not more):
            than = "longer" if size > self._left else "shorter"
            raise ValueError(
                f"response body is {than} than its Content-Length; the difference is {abs(self._left - size)}"
            )
        self._left -= size

    def _dump_head(self, lines: list[bytes], size: int, more: bool) -> bytes:
        if self._left >= 0:
            lines.append(b"content-length: %d\r\n" % self._left)
            if not self._bodyless:
                self._count(size, more)
        elif self._bodyless:
            pass
        elif not more:
            lines.append(b"content-length: %d\r\n" % size)
        elif self._head.http_version == "1.1":
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        else:
            self.keep_alive = False  # the end of the connection is the end of the body
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        elif self._head.http_version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)


def dump_informational(status: int, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return an interim response (RFC 9110 section 15.2).

    Raises:
        ValueError: A status, name or value that may not be sent.
    """
    if type(status) is not int or not 100 <= status <= 199 or status == 101:
        raise ValueError(f"invalid status code of an interim response; expected 100-199, not 101; got {status!r}")
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, _PHRASES.get(status, b""))]
    for name, value in fields:
        lowered = _names.get(name) or _lower_name(name)
        if _BAD_VALUE_RE.search(value):
            raise ValueError(f"invalid value of header {name!r}; expected no control characters; got {value!r}")
        if lowered in _DROPPED or lowered == b"content-length":
            raise ValueError(f"invalid header of an interim response, which has no body; got {name!r}")
        lines.append(b"%b: %b\r\n" % (name, value))
    lines.append(b"\r\n")
    return b"".join(lines)


def server_fields(config: ServerConfig) -> list[tuple[bytes, bytes]]:
    """Return `Date` and `Server`, as far as they are wanted."""
    fields = []
    if config.date_header:
        fields.append((b"date", _date_line()[6:-2]))
    if config.server_header:
        fields.append((b"server", config.server_header.encode("latin-1")))
    return fields


def dump_refusal(status: int, reason: str, config: ServerConfig, *, bodyless: bool = False) -> bytes:
    """Return a whole response by the server itself, after which the connection is closed."""
    phrase = _PHRASES.get(status, b"")
    body = b"%d %b: %b\n" % (status, phrase, reason.encode("ascii", "replace"))
    server = b"server: " + config.server_header.encode("latin-1") + b"\r\n" if config.server_header else b""
    head = b"HTTP/1.1 %d %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % (
        status,
        phrase,
        len(body),
    )
    if status == 503:
        head += b"retry-after: %d\r\n" % RETRY_AFTER
    elif status == 426:
        head += b"upgrade: websocket\r\nsec-websocket-version: 13\r\n"
    closing = b"close, upgrade" if status == 426 else b"close"
    head += _date_line() + server + b"connection: " + closing + b"\r\n\r\n"
    return head if bodyless else head + body
