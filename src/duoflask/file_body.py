"""The body of a response that comes from a file, or from a part of it, read block by block.

Owns the open file until it is closed, and that neither less nor more than was announced is sent. Knows no response.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

__all__ = ["BLOCK_BYTES", "MAX_READ_AT_ONCE", "FileBody", "FileTruncated", "read_exactly"]

# One thread hop under ASGI costs about 25 us, reading this much from the page cache 40 to 80; a response holds one.
BLOCK_BYTES: Final = 262_144

# A body up to this size is read where the file is opened, and is then complete: no iterator, no second thread hop.
# asyncio's transports keep as much for a client that does not read (their high-water mark).
MAX_READ_AT_ONCE: Final = 65_536


class FileTruncated(EOFError):
    """A file has become shorter while it was sent; the connection is closed, so that nobody takes the rest for all.

    No OSError: servers take those for the client's leaving.
    """


def _truncated(name: object, missing: int) -> FileTruncated:
    return FileTruncated(f"the file {name!r} became shorter while it was sent; {missing} bytes are missing")


def read_exactly(descriptor: int, size: int, path: str | None) -> bytes:
    """Read that many bytes of an open file.

    Raises:
        FileTruncated: There are fewer.
    """
    data = os.read(descriptor, size)
    if len(data) == size:
        return data
    pieces, missing = [data], size - len(data)
    while missing:
        data = os.read(descriptor, missing)
        if not data:
            raise _truncated(path, missing)
        pieces.append(data)
        missing -= len(data)
    return b"".join(pieces)


class FileBody:
    """A part of a file, as an iterable of blocks and as a file of its own; it closes the file.

    Args:
        file: A file open in binary mode; or the descriptor of one, which then belongs to this object alone.
        start: Where the part begins.
        length: Its length in bytes; None for all that `file.read` gives, from where it stands.
        path: The file's path, if it was opened by that and the part is all of it: a server may then send it itself.
    """

    __slots__ = ("_close", "_file", "_is_own", "_position", "_start", "length", "path")

    def __init__(self, file: Any, start: int = 0, length: int | None = None, path: str | None = None) -> None:
        self._is_own = isinstance(file, int)
        self._file = io.FileIO(file) if self._is_own else file
        self._close: Callable[[], Any] | None = getattr(self._file, "close", None)
        self._start = start
        self._position = 0
        self.length = length
        self.path = None if path is None else os.path.abspath(path)
        if start:
            self._file.seek(start)

    def __iter__(self) -> Iterator[bytes]:
        return iter(partial(self.read, BLOCK_BYTES), b"")

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes; at the end of the part, none.

        Raises:
            FileTruncated: The file has become shorter than the part.
        """
        if self.length is None:  # perhaps a pipe: `read1` gives what is there
            read = getattr(self._file, "read1", None) or self._file.read
            return read(size) or b""
        left = self.length - self._position
        if not left:
            return b""
        block: bytes = self._file.read(left if size < 0 else min(size, left))
        if not block and size:
            raise _truncated(self.path or getattr(self._file, "name", self._file), left)
        self._position += len(block)
        return block

    @property
    def is_short(self) -> bool:
        """Whether it is to be read at once, wherever that may block."""
        return self.length is not None and self.length <= MAX_READ_AT_ONCE

    def drain(self) -> bytes:
        """Read what is left, and close the file."""
        data = b"".join(self)
        self.close()
        return data

    def seekable(self) -> bool:
        """Whether `seek` works: not where the length is unknown."""
        return self.length is not None

    def seek(self, position: int) -> int:
        """Go on reading there, counted from the beginning of the part."""
        self._file.seek(self._start + position)
        self._position = position
        return position

    def fileno(self) -> int:
        """The descriptor of the file.

        Raises:
            OSError: It has none.
        """
        number: int = self._file.fileno()
        return number

    def check_length(self) -> None:
        """Look whether all of the part was there to be sent, after a server has read the file itself.

        Raises:
            FileTruncated: There was less.
        """
        missing = self._start + (self.length or 0) - os.fstat(self.fileno()).st_size
        if missing > 0 and self._position != self.length:
            raise _truncated(self.path, missing)

    def close(self) -> None:
        """Close the file, once."""
        close, self._close = self._close, None
        if close is not None:
            close()

    def __del__(self) -> None:
        # A response that is replaced, by an after hook or an error page, is closed by nobody.
        if self._is_own:
            self.close()
