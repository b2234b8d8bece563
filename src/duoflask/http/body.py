"""Request bodies: their announced length, their limits, and reading them from a WSGI input.

`LimitedStream` never reads past the body's end; every error is an HTTPException, raised at each read.
`buffered.BufferedBody` is the other file-like object that a body is read from.
"""

from __future__ import annotations

import io
import re
import time
from typing import Any

from .errors import BadRequest, ClientDisconnected, HTTPException, RequestEntityTooLarge

__all__ = [
    "CHUNK_BYTES",
    "DEFAULT_MAX_BODY_MEMORY",
    "DEFAULT_MAX_SPOOLED_BODY",
    "DRAIN_SECONDS",
    "MAX_DRAINED_BODY",
    "LimitedStream",
    "drain",
    "drain_input",
    "parse_content_length",
    "read_limited",
    "read_now",
    "too_large",
]

# For a whole body. Each uploaded file stays in memory up to 500 kB in Werkzeug, 1 MiB in Starlette, 2.5 MiB in Django.
DEFAULT_MAX_BODY_MEMORY = 2 << 20
# What we write to disk ourselves must end somewhere, even when MAX_CONTENT_LENGTH is None: MAX_SPOOLED_BODY.
DEFAULT_MAX_SPOOLED_BODY = 1 << 30

CHUNK_BYTES = 1 << 16  # how much of a body is read at a time

# How much of a refused body is read, and for how long (seconds): a server that closes the connection while the client
# still sends resets it, and the client never sees the answer. Tomcat's maxSwallowSize is 2 MiB, too.
MAX_DRAINED_BODY = 2 << 20
DRAIN_SECONDS = 2.0

# RFC 9110 8.6: Content-Length = 1*DIGIT. More digits than 2**63 has are no length, and int() is quadratic.
_DIGITS_RE = re.compile(r"[0-9]{1,19}")

# PERF: what up to four digits say: found in 80 ns, read in 150, and WSGI needs it twice a request (form, benchmarks/).
_LENGTHS: dict[str, int] = {}


def parse_content_length(value: str | bytes | None) -> int | None:
    """Return the announced length of a body; None if there is none.

    Raises:
        BadRequest: Anything but 1 to 19 ASCII digits: a sign, a list (two lines of the field arrive as one),
            an underscore, a digit of another script (RFC 9112 6.3).
    """
    if value is None:
        return None
    if type(value) is str and (length := _LENGTHS.get(value)) is not None:
        return length
    if value.isdigit() and value.isascii() and len(value) < 20:  # PERF: 150 ns, the pattern 600
        length = int(value)
        if len(value) < 5 and type(value) is str:
            _LENGTHS[value] = length
        return length
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    text = text.strip(" \t")
    if _DIGITS_RE.fullmatch(text) is None:
        raise BadRequest(f"invalid Content-Length; expected digits; got {text[:50]!r}")
    return int(text)


def too_large(limit: int, name: str, size: int | None = None) -> RequestEntityTooLarge:
    """Return the error for a body over a limit; `name` is the configuration key to tell."""
    got = "" if size is None else f"; got {size}"
    return RequestEntityTooLarge(f"the body is too large; expected at most {limit} bytes ({name}){got}")


def drain(stream: Any, size: int = MAX_DRAINED_BODY) -> None:
    """Read on from a refused body, at most `size` bytes and only a little, so that its client sees the answer."""
    left, until = min(size, MAX_DRAINED_BODY), time.monotonic() + DRAIN_SECONDS
    try:
        while left > 0 and time.monotonic() < until and (piece := stream.read(min(left, CHUNK_BYTES))):
            left -= len(piece)
    except (OSError, ValueError, HTTPException):
        pass  # it cannot be read: then nobody waits for the answer


def drain_input(environ: dict[str, Any], length: int | None) -> None:
    """Drain the refused body of a WSGI request of this declared length, unless its client waits to be told to send.

    gunicorn has told it before it calls the application.
    """
    waits = "HTTP_EXPECT" in environ  # RFC 9110 10.1.1
    if length is not None and not (waits and not environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")):
        drain(environ["wsgi.input"], length)
        environ["wsgi.input"] = io.BytesIO()  # once: where a server gives its bare socket, more would be waited for


def read_limited(stream: Any, limit: int | None, name: str) -> bytes:
    """Read a stream to its end.

    Raises:
        RequestEntityTooLarge: There are more than `limit` bytes; `name` is the configuration key to tell.
    """
    if limit is None:
        return bytes(stream.read())
    pieces: list[bytes] = []
    size = 0
    while piece := stream.read(min(limit + 1 - size, CHUNK_BYTES)):
        size += len(piece)
        if size > limit:
            drain(stream)
            raise too_large(limit, name)
        pieces.append(piece)
    return b"".join(pieces)


class LimitedStream(io.RawIOBase):
    """Read a body from a stream that may go on behind it.

    Args:
        stream: A WSGI input: `read` and `readline` must take a size.
        limit: The body's exact length, or its maximum if `is_max`; None (with `is_max`) reads to the end.
        is_max: The stream ends by itself (`wsgi.input_terminated`).

    Every read may raise `ClientDisconnected` (the stream ended early, or failed) or `RequestEntityTooLarge`
    (there is more than the maximum; exactly the maximum is fine).
    """

    def __init__(self, stream: Any, limit: int | None, is_max: bool = False) -> None:
        if limit is None and not is_max:
            raise TypeError("a stream that does not end by itself needs a limit")
        self._stream = stream
        self._position = 0
        self._limit_is_max = is_max
        self._oversized = False
        self.limit = limit

    @property
    def is_exhausted(self) -> bool:
        """Whether as many bytes as the limit have been read."""
        return self.limit is not None and self._position >= self.limit

    def _take(self, method: Any, size: int) -> bytes:
        """Read at most `size` bytes with a method of the stream, all that may be read if it is negative."""
        limit = self.limit
        if self._oversized:
            raise too_large(limit or 0, "MAX_CONTENT_LENGTH")
        if size == 0:
            return b""
        if limit is not None:
            # one byte more than a maximum tells whether the body is larger
            room = limit - self._position + self._limit_is_max
            if room <= 0:
                return b""
            size = room if size < 0 or size > room else size
        try:
            data: bytes = method(size)
        except (OSError, ValueError) as exc:
            raise ClientDisconnected(f"the body could not be read after {self._position} bytes") from exc
        if not data:
            if not self._limit_is_max:
                raise ClientDisconnected(f"the body ended early; expected {limit} bytes; got {self._position}")
            return b""
        self._position += len(data)
        if limit is not None and self._position > limit:
            self._oversized = True
            drain(self._stream)
            raise too_large(limit, "MAX_CONTENT_LENGTH")
        return data

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes, or everything that is left."""
        if size is None or size < 0:
            return self.readall()
        return self._take(self._stream.read, size)

    def readall(self) -> bytes:
        """Read everything that is left."""
        # PERF: 1 MiB in one piece costs half of what sixteen do (page faults); more than that has to arrive first.
        rest = 0 if self.limit is None else self.limit - self._position
        first = self._take(self._stream.read, rest if CHUNK_BYTES < rest <= DEFAULT_MAX_BODY_MEMORY else CHUNK_BYTES)
        if not first or (self.is_exhausted and not self._limit_is_max):
            return first
        pieces = [first]
        while piece := self._take(self._stream.read, CHUNK_BYTES):
            pieces.append(piece)
        return b"".join(pieces)

    def exhaust(self) -> bytes:
        """Read and return everything that is left."""
        return self.readall()

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, at most its length."""
        data = self._take(self._stream.read, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readline(self, size: int | None = -1) -> bytes:
        """Read up to and including the next line feed, at most `size` bytes."""
        wanted = -1 if size is None else size
        # the line may come in pieces when the stream is a socket
        pieces: list[bytes] = []
        while piece := self._take(self._stream.readline, wanted if wanted >= 0 else CHUNK_BYTES):
            pieces.append(piece)
            if piece[-1] == 0x0A:
                break
            if wanted >= 0:
                wanted -= len(piece)
        return b"".join(pieces)

    def tell(self) -> int:
        """Return the number of bytes read."""
        return self._position

    def readable(self) -> bool:
        """Return True."""
        return True


def read_now(stream: Any, length: int) -> Any:
    """Read a body of this length, and return it as a stream.

    PERF: 1.1 us less than reading a `LimitedStream`, for a body that is there (form, body; benchmarks/). What is not
    becomes one: each read raises what has gone wrong.
    """
    try:
        data: bytes = stream.read(length)
    except (OSError, ValueError):
        data = b""
    if len(data) != length:
        body = LimitedStream(stream, length)
        body._position = len(data)
        try:
            data += body.readall()
        except HTTPException:
            return body
    return io.BytesIO(data)
