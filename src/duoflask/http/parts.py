"""The parts of a multipart body, one after the other while it arrives, in both colours.

Owns nothing of the body but the piece at hand. Knows it only as something that gives chunks, by `for` or `async for`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import Any, Final, Self

from .errors import RequestEntityTooLarge
from .headers import Headers
from .multipart import MultipartScanner, PartHead
from .options import parse_options_header

__all__ = ["Part", "Parts"]

_CHUNK = 1 << 16
_MORE: Final = object()
_END: Final = object()


class Parts:
    """The parts of a body: `for part in parts`, or `async for`. It can be gone through once.

    Going on may raise `InvalidMultipart`, `RequestEntityTooLarge`, and what the body raises.

    Args:
        body: A stream with `read`, or an iterable and async iterable of chunks.
        boundary: From `boundary_of`.
        max_parts: The most parts; None for any number.
        max_memory_size: The most bytes of texts that are read as a whole, all together; None for any number.
    """

    def __init__(
        self, body: Any, boundary: bytes, max_parts: int | None = None, max_memory_size: int | None = None
    ) -> None:
        self._body = body
        self._scanner = MultipartScanner(boundary)
        self._max_parts = max_parts
        self._max_memory_size = max_memory_size
        self._memory = 0
        self._count = 0
        self._source: Any = None
        self._events: Iterator[Any] = repeat(_END)
        self._current: Part | None = None

    # Iterators of its own kind, not generators: trio wants an async generator that is left to be closed.

    def __iter__(self) -> Self:
        body = self._body
        self._begin(iter(body) if hasattr(body, "__aiter__") else iter(partial(body.read, _CHUNK), b""))
        return self

    def __next__(self) -> Part:
        for _ in self._current or ():  # what nobody has read
            pass
        head = self._pull()
        if head is _END:
            raise StopIteration
        return self._opened(head, False)

    def __aiter__(self) -> Self:
        body = self._body
        self._begin(aiter(body if hasattr(body, "__aiter__") else _Chunks(body)))
        return self

    async def __anext__(self) -> Part:
        if self._current is not None:
            async for _ in self._current:
                pass
        head = await self._pull_async()
        if head is _END:
            raise StopAsyncIteration
        return self._opened(head, True)

    @property
    def begun(self) -> bool:
        """Whether anything may have been taken from the body."""
        return self._source is not None

    def _begin(self, source: Any) -> None:
        if self._source is not None:
            raise RuntimeError(
                "the parts of this body have been gone through already; it is not kept. Keep what is needed of them."
            )
        self._source = source
        self._events = iter(())

    def _feed(self, chunk: bytes) -> None:
        if chunk:
            self._events = self._scanner.feed(chunk)
        else:
            self._scanner.finish()
            self._events = repeat(_END)

    def _pull(self) -> Any:
        """The next head, piece or None (the end of a part), in a `def` function."""
        while (event := next(self._events, _MORE)) is _MORE:
            self._feed(next(self._source, b""))
        return event

    async def _pull_async(self) -> Any:
        while (event := next(self._events, _MORE)) is _MORE:
            self._feed(await anext(self._source, b""))
        return event

    def _opened(self, head: PartHead, is_async: bool) -> Part:
        self._count += 1
        if self._max_parts is not None and self._count > self._max_parts:
            raise RequestEntityTooLarge(
                f"the form has too many parts; expected at most {self._max_parts} (MAX_FORM_PARTS)"
            )
        part = self._current = Part(self, head, is_async)
        return part

    def _keep(self, size: int) -> None:
        self._memory += size
        limit = self._max_memory_size
        if limit is not None and self._memory > limit:
            raise RequestEntityTooLarge(
                f"the form's texts are too large; expected at most {limit} bytes in sum (MAX_FORM_MEMORY_SIZE)"
            )


class _Chunks:
    """A file as an async iterator, in a task that it may block for the time of a read."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk: bytes = self._stream.read(_CHUNK)
        if not chunk:
            raise StopAsyncIteration
        return chunk


class Part:
    """One part of a body that is still arriving: its head, and its content to be read once, in its turn.

    A part that came by `for` is read with `for chunk in part` or `part.read()`; one that came by `async for` with
    `async for chunk in part` or `await part.read()`.
    """

    def __init__(self, parts: Parts, head: PartHead, is_async: bool) -> None:
        self._parts = parts
        self._head = head
        self._is_async = is_async
        self._rest = b""
        self._ended = False

    @property
    def name(self) -> str:
        """The name of the field."""
        return self._head.name

    @property
    def filename(self) -> str | None:
        """The name of the file as the client has it; None for a text."""
        return self._head.filename

    @property
    def headers(self) -> Headers:
        """The header fields."""
        return self._head.headers

    @property
    def content_type(self) -> str | None:
        """The Content-Type field."""
        return self._head.content_type

    @property
    def mimetype(self) -> str:
        """The media type without parameters, in lower case."""
        return parse_options_header(self.content_type)[0].lower()

    def __iter__(self) -> Self:
        self._require(False)
        return self

    def __next__(self) -> bytes:
        chunk = self._take(-1)
        if not chunk and not self._ended:
            chunk = self._noted(self._parts._pull())
        if not chunk:
            raise StopIteration
        return chunk

    def __aiter__(self) -> Self:
        self._require(True)
        return self

    async def __anext__(self) -> bytes:
        chunk = self._take(-1)
        if not chunk and not self._ended:
            chunk = self._noted(await self._parts._pull_async())
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def _noted(self, chunk: bytes | None) -> bytes:
        """A piece, b"" at the end of the part."""
        self._ended = chunk is None
        return chunk or b""

    def read(self, size: int = -1) -> Any:
        """Read at most `size` bytes, or all that is left; to be awaited if the part came by `async for`.

        Raises:
            RequestEntityTooLarge: A text is read as a whole, and all of them exceed MAX_FORM_MEMORY_SIZE. A file that
                is read as a whole is limited by MAX_CONTENT_LENGTH alone.
        """
        self._require(self._is_async)
        return self._read_async(size) if self._is_async else self._read(size)

    def text(self) -> Any:
        """Read all that is left as text; to be awaited if the part came by `async for`. See `read`."""
        self._require(self._is_async)
        return self._text_async() if self._is_async else self._decoded(self._read(-1))

    async def _text_async(self) -> str:
        return self._decoded(await self._read_async(-1))

    def _decoded(self, data: bytes) -> str:
        return data.decode(self._head.charset, "replace")

    def _read(self, size: int) -> bytes:
        pieces = [self._take(size)]
        left = size - len(pieces[0])
        while (size < 0 or left > 0) and not self._ended:
            left -= self._add(pieces, self._parts._pull(), left if size >= 0 else -1)
        return b"".join(pieces)

    async def _read_async(self, size: int) -> bytes:
        pieces = [self._take(size)]
        left = size - len(pieces[0])
        while (size < 0 or left > 0) and not self._ended:
            left -= self._add(pieces, await self._parts._pull_async(), left if size >= 0 else -1)
        return b"".join(pieces)

    def _add(self, pieces: list[bytes], chunk: bytes | None, size: int) -> int:
        """Take note of what was pulled, and return how much of it was wanted."""
        if chunk is None:
            self._ended = True
            return 0
        self._rest = chunk
        pieces.append(self._take(size))
        if size < 0 and self.filename is None:
            self._parts._keep(len(pieces[-1]))
        return len(pieces[-1])

    def _take(self, size: int) -> bytes:
        rest = self._rest
        if not 0 <= size < len(rest):
            self._rest = b""
            return rest
        self._rest = rest[size:]
        return rest[:size]

    def _require(self, is_async: bool) -> None:
        """Refuse what cannot work: a part of the other colour, or one that has gone by."""
        if is_async is not self._is_async:
            wanted, written = ("async for", "for") if self._is_async else ("for", "async for")
            raise TypeError(
                f"this part came by '{wanted}' and is read with '{written}'; write '{wanted}' in both places, 'for' in "
                "a 'def' view and 'async for' in an 'async def' view"
            )
        if self._parts._current is not self:
            raise RuntimeError(
                f"the part {self.name!r} has gone by: the body is not kept. Read a part before you ask for the next."
            )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}: {self.filename!r} ({self.content_type!r})>"
