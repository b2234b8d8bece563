"""`BufferedBody`: a request's body that is collected in pieces, in memory or on disk, and then read as a file.

It waits for nothing by itself. What goes wrong is an HTTPException, raised at each read.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterable
from copy import copy
from typing import IO, TYPE_CHECKING, Any

from ..lazy import LazyModule
from .body import DEFAULT_MAX_BODY_MEMORY, too_large
from .errors import HTTPException

if TYPE_CHECKING:
    import tempfile
else:
    tempfile = LazyModule("tempfile")

__all__ = ["BufferedBody", "collect"]

# PERF: how much of a body that is on disk is collected for one trip there. Memory that stays in the processor's cache
# is written in half the time of 2 MiB; a thread hop costs as much as 64 KiB do.
SPILL_BYTES = 256 * 1024

# PERF: how much is read of a stream at a time, and then written to disk in one piece. Of an aligned 64 KiB Linux makes
# one block of 16 pages of its cache, which it keeps no stock of, and which a virtual machine may have to get from its
# host: 2.3 s of the kernel's time for 1 GiB, and 0.4 s in these pieces (benchmarks/uploads.py).
READ_BYTES = 60 * 1024

# Pieces below this many bytes grow one buffer: an object for each of them takes twenty times the memory of two bytes.
SMALL_PIECE = 512

# Guards the position of a file on disk where it cannot be read without one.
_POSITION = threading.Lock()


class BufferedBody(io.BufferedIOBase):
    """Collect a body in pieces, then read it as a file.

    Pieces are kept in memory. When `needs_disk` turns true, the collector calls `spill` where blocking is
    allowed. What goes wrong while collecting is kept (`fail`) and raised at every read.

    `watch`, set before the first `spill`, is called with every piece that is written to disk: who wants to parse a
    large body while it arrives sets it.

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
        self._pieces: list[bytes | bytearray] = []
        self._in_memory = 0
        self._file: IO[bytes] | None = None  # where pieces were spilled to
        self._reader: IO[bytes] | None = None
        self.watch: Callable[[bytes], object] | None = None
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
            self.fail(too_large(self.max_total, self.limit_name))
            return False
        if chunk:
            pieces = self._pieces
            if len(chunk) < SMALL_PIECE:
                if not pieces or type(pieces[-1]) is not bytearray:
                    pieces.append(bytearray())
                pieces[-1] += chunk
            else:
                pieces.append(chunk)
            self._in_memory += len(chunk)
        return True

    @property
    def needs_disk(self) -> bool:
        """Whether more is in memory than may be; once a body is on disk, that is little."""
        limit = self.max_memory
        return limit is not None and self._in_memory > (limit if self._file is None else min(limit, SPILL_BYTES))

    @property
    def on_disk(self) -> bool:
        """Whether `spill` has been called: the body is, or will be, in a temporary file."""
        return self._file is not None

    def spill(self) -> None:
        """Write the pieces to a temporary file and free their memory. Blocks."""
        if self._file is None:
            self._file = tempfile.TemporaryFile()
        self._file.writelines(self._pieces)
        if self.watch is not None:
            for piece in self._pieces:
                self.watch(bytes(piece))
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
                self._file.seek(0)  # flushes, too
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

    def window(self, start: int, size: int) -> IO[bytes]:
        """Return a part of the body as a file of its own, for reading; it ends with the body's `close`."""
        reader = self._open()
        if isinstance(reader, io.BytesIO):
            return io.BytesIO(reader.getvalue()[start : start + size])
        return io.BufferedReader(_Window(self, start, size))

    def _read_at(self, offset: int, buffer: memoryview) -> int:
        """Read from the file without a look at, or a change of, its position: any thread may."""
        file = self._file
        if file is None:
            raise ValueError("read of a file whose request has ended")
        if hasattr(os, "preadv"):
            return os.preadv(file.fileno(), [buffer], offset)
        with _POSITION:  # Windows
            position = file.tell()
            file.seek(offset)
            size = file.readinto(buffer)  # type: ignore[attr-defined]
            file.seek(position)
        return size  # type: ignore[no-any-return]

    def close(self) -> None:
        """Free memory and disk."""
        if not self.closed:
            self._pieces.clear()
            for opened in (self._reader, self._file):
                if opened is not None:
                    opened.close()
            self.watch = self._reader = self._file = None
            super().close()

    @classmethod
    def of(cls, chunks: Iterable[bytes]) -> BufferedBody:
        """Return a body of these pieces, in memory."""
        body = cls(max_memory=None)
        for chunk in chunks:
            body.add(chunk)
        return body


class _Window(io.RawIOBase):
    """A part of a body that is on disk; its position is its own."""

    def __init__(self, body: BufferedBody, start: int, size: int) -> None:
        self._body: BufferedBody | None = body
        self._start = start
        self._size = size
        self._position = 0

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer, at most its length."""
        size = min(len(buffer), self._size - self._position)
        if self._body is None or size <= 0:
            return 0
        size = self._body._read_at(self._start + self._position, memoryview(buffer)[:size])
        self._position += size
        return size

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position."""
        position = offset + (0, self._position, self._size)[whence]
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self._position = position
        return position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Let go of the body; its file is closed with the last who holds it."""
        self._body = None
        super().close()


def collect(stream: Any, body: BufferedBody, length: int | None = None) -> BufferedBody:
    """Read a stream to its end into a body; an error of the stream is kept in the body. Blocks.

    Args:
        stream: Has `read(size)`.
        body: An empty one.
        length: How much is expected: if that may be kept in memory, it is read in one piece.
    """
    size = length if length and body.max_memory is not None and length <= body.max_memory else READ_BYTES
    try:
        while (chunk := stream.read(size)) and body.add(chunk):
            if body.needs_disk or body.on_disk:
                body.spill()
            size = READ_BYTES
    except HTTPException as exc:
        body.fail(exc)
    else:
        if body.on_disk:
            body.spill()
    return body
