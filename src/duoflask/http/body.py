"""Request bodies: their announced length, and the two file-like objects they are read from.

`LimitedStream` stands over a WSGI input and never reads past the body's end. `BufferedBody` collects what an
ASGI server sends. Neither waits for anything by itself; every error is an HTTPException, raised at each read.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from copy import copy
from tempfile import TemporaryFile
from typing import IO, Any

from .errors import BadRequest, ClientDisconnected, HTTPException, RequestEntityTooLarge

__all__ = [
    "DEFAULT_MAX_BODY_MEMORY",
    "DEFAULT_MAX_SPOOLED_BODY",
    "BufferedBody",
    "LimitedStream",
    "parse_content_length",
    "read_limited",
]

# Werkzeug moves an uploaded file to disk at 500 kB, Starlette at 1 MB.
DEFAULT_MAX_BODY_MEMORY = 500_000
# What we write to disk ourselves must end somewhere, even when MAX_CONTENT_LENGTH is None: MAX_SPOOLED_BODY.
DEFAULT_MAX_SPOOLED_BODY = 1 << 30

_CHUNK = 1 << 16

# RFC 9110 8.6: Content-Length = 1*DIGIT. More digits than 2**63 has are no length, and int() is quadratic.
_DIGITS_RE = re.compile(r"[0-9]{1,19}")


def parse_content_length(value: str | bytes | None) -> int | None:
    """Return the announced length of a body; None if there is none.

    Raises:
        BadRequest: Anything but 1 to 19 ASCII digits: a sign, a list (two lines of the field arrive as one),
            an underscore, a digit of another script (RFC 9112 6.3).
    """
    if value is None:
        return None
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    text = text.strip(" \t")
    if _DIGITS_RE.fullmatch(text) is None:
        raise BadRequest(f"invalid Content-Length; expected digits; got {text[:50]!r}")
    return int(text)


def _too_large(limit: int, name: str) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"the body is too large; expected at most {limit} bytes ({name})")


def read_limited(stream: Any, limit: int | None, name: str) -> bytes:
    """Read a stream to its end.

    Raises:
        RequestEntityTooLarge: There are more than `limit` bytes; `name` is the configuration key to tell.
    """
    if limit is None:
        return bytes(stream.read())
    pieces: list[bytes] = []
    size = 0
    while piece := stream.read(min(limit + 1 - size, _CHUNK)):
        size += len(piece)
        if size > limit:
            raise _too_large(limit, name)
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
            raise _too_large(limit or 0, "MAX_CONTENT_LENGTH")
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
            raise _too_large(limit, "MAX_CONTENT_LENGTH")
        return data

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes, or everything that is left."""
        if size is None or size < 0:
            return self.readall()
        return self._take(self._stream.read, size)

    def readall(self) -> bytes:
        """Read everything that is left."""
        first = self._take(self._stream.read, _CHUNK)
        if not first or (self.is_exhausted and not self._limit_is_max):
            return first
        pieces = [first]
        while piece := self._take(self._stream.read, _CHUNK):
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
        while piece := self._take(self._stream.readline, wanted if wanted >= 0 else _CHUNK):
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


class BufferedBody(io.BufferedIOBase):
    """Collect a body in pieces, then read it as a file.

    Pieces are kept in memory. When `needs_disk` turns true, the collector calls `spill` where blocking is
    allowed. What goes wrong while collecting is kept (`fail`) and raised at every read.

    Args:
        max_memory: Above this many bytes in memory, `needs_disk` is true; None never.
        max_total: Above this many bytes the body fails with RequestEntityTooLarge; None never.
        limit_name: The configuration key of `max_total`, for the error.
    """

    def __init__(
        self,
        max_memory: int | None = DEFAULT_MAX_BODY_MEMORY,
        max_total: int | None = None,
        limit_name: str = "MAX_CONTENT_LENGTH",
    ) -> None:
        self._pieces: list[bytes] = []
        self._in_memory = 0
        self._file: IO[bytes] | None = None  # where pieces were spilled to
        self._reader: IO[bytes] | None = None
        self.error: HTTPException | None = None
        self.max_memory = max_memory
        self.max_total = max_total
        self.limit_name = limit_name
        self.size = 0

    def add(self, chunk: bytes) -> bool:
        """Append a piece; no I/O.

        Returns:
            False if the body has failed and no more pieces are wanted.
        """
        if self.error is not None:
            return False
        if self._reader is not None:
            raise RuntimeError("a body cannot grow after it has been read")
        self.size += len(chunk)
        if self.max_total is not None and self.size > self.max_total:
            self.fail(_too_large(self.max_total, self.limit_name))
            return False
        if chunk:
            self._pieces.append(chunk)
            self._in_memory += len(chunk)
        return True

    @property
    def needs_disk(self) -> bool:
        """Whether more is in memory than may be."""
        return self.max_memory is not None and self._in_memory > self.max_memory

    def spill(self) -> None:
        """Write the pieces to a temporary file and free their memory. Blocks."""
        if self._file is None:
            self._file = TemporaryFile()  # noqa: SIM115 - closed by close()
        self._file.writelines(self._pieces)
        self._pieces.clear()
        self._in_memory = 0

    def fail(self, error: HTTPException) -> None:
        """Keep an error for every later read, and free what was collected."""
        if self.error is None:
            self.error = error
        self._pieces.clear()
        self._in_memory = 0
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> IO[bytes]:
        if self.error is not None:
            # a copy: one instance would collect the tracebacks of all reads and keep their frames alive
            raise copy(self.error)
        reader = self._reader
        if reader is None:
            if self._file is None:
                reader = io.BytesIO(b"".join(self._pieces))
                self._pieces.clear()
            else:
                self.spill()
                self._file.seek(0)
                reader = self._file
            self._reader = reader
        return reader

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes, or everything that is left."""
        return self._open().read(-1 if size is None else size)

    def read1(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, or everything that is left."""
        return self._open().read(size)

    def readline(self, size: int | None = -1) -> bytes:
        """Read up to and including the next line feed, at most `size` bytes."""
        return self._open().readline(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position."""
        return self._open().seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._open().tell()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def getvalue(self) -> bytes:
        """Return the whole body; the position stays."""
        reader = self._open()
        if isinstance(reader, io.BytesIO):
            return reader.getvalue()
        position = reader.tell()
        reader.seek(0)
        data = reader.read()
        reader.seek(position)
        return data

    def close(self) -> None:
        """Free memory and disk."""
        if not self.closed:
            self._pieces.clear()
            for opened in (self._reader, self._file):
                if opened is not None:
                    opened.close()
            super().close()

    @classmethod
    def of(cls, chunks: Iterable[bytes]) -> BufferedBody:
        """Return a body of these pieces, in memory."""
        body = cls(max_memory=None)
        for chunk in chunks:
            body.add(chunk)
        return body
