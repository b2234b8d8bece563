"""What a response's body may be besides complete bytes: pieces of another body, a list that is written to.

Owns how an iterable becomes bytes, and that what was announced is what is sent. Knows no head and no gateway.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from .http.ranges import Piece

__all__ = ["AsyncSelection", "Closing", "ResponseStream", "Pieces", "Selection", "Written", "encoded", "selection_of"]

_BLOCK_BYTES: Final = 65536


def encoded(item: Any) -> bytes:
    """One piece of a body as bytes."""
    if type(item) is bytes:
        return item
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    raise TypeError(f"invalid piece of a response body; expected str or bytes; got {type(item).__name__}")


class Pieces(list[Any]):
    """The pieces of a complete body, for somebody to look at; a change of the list is one of the body.

    Args:
        pieces: The pieces.
        changed: Told after every change.
    """

    __slots__ = ("_changed",)

    def __init__(self, pieces: Iterable[Any], changed: Callable[[Pieces], None]) -> None:
        super().__init__(pieces)
        self._changed = changed

    def __reduce__(self) -> tuple[Any, ...]:  # a copy is a list like any other
        return list, (list(self),)


def _telling(name: str) -> Callable[..., Any]:
    change = getattr(list, name)

    def method(self: Pieces, *args: Any, **kwargs: Any) -> Any:
        result = change(self, *args, **kwargs)
        self._changed(self)
        return result

    method.__name__ = name
    return method


for _name in ("append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"):
    setattr(Pieces, _name, _telling(_name))
for _name in ("delitem", "iadd", "imul", "setitem"):
    setattr(Pieces, f"__{_name}__", _telling(f"__{_name}__"))


class Closing:
    """An iterable of bytes with the `close()` that WSGI servers call."""

    __slots__ = ("_body", "close")

    def __init__(self, body: Iterable[bytes], close: Callable[[], None]) -> None:
        self._body = body
        self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)


class _Cutter:
    """Cuts pieces out of chunks that come in order, whatever their sizes.

    Args:
        pieces: What is wanted, in order and apart.
        tail: What is sent behind them.
    """

    __slots__ = ("_heads", "_pieces", "_position", "_tail", "done")

    def __init__(self, pieces: Sequence[Piece], tail: bytes) -> None:
        self._pieces = list(reversed(pieces))
        self._tail = tail
        self._position = 0
        self._heads = len(pieces)  # how many heads have not been sent
        self.done = not pieces

    @property
    def next_start(self) -> int:
        """Where the next wanted byte is."""
        return max(self._pieces[-1].start, self._position)

    def seek(self, position: int) -> None:
        """Told that the next chunk comes from there."""
        self._position = position

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk; return what is to be sent of it."""
        out: list[bytes] = []
        begin, end = self._position, self._position + len(chunk)
        self._position = end
        pieces = self._pieces
        while pieces and pieces[-1].start < end:
            head, start, stop = pieces[-1]
            if self._heads == len(pieces):
                self._heads -= 1
                if head:
                    out.append(head)
            if part := chunk[max(start - begin, 0) : stop - begin]:
                out.append(part)
            if stop > end:
                return out
            pieces.pop()
        if not pieces:
            self.done = True
            if self._tail:
                out.append(self._tail)
        return out

    def ended(self) -> RuntimeError:
        """The error for a body that has no more chunks: a server must not end the message as if it were complete."""
        missing = sum(stop - max(start, self._position) for _, start, stop in self._pieces)
        return RuntimeError(f"the body ended early; expected {missing} more bytes for the ranges that were announced")


class Selection:
    """Pieces of a sync iterable; of a file that can seek, only they are read."""

    def __init__(self, body: Any, pieces: Sequence[Piece], tail: bytes) -> None:
        self._body = body
        self._cutter = _Cutter(pieces, tail)

    def __iter__(self) -> Iterator[bytes]:
        cutter, body = self._cutter, self._body
        seekable = getattr(body, "seekable", None)
        can_seek = seekable is not None and seekable()
        chunks: Iterator[Any] = iter(body) if not hasattr(body, "read") else _blocks(body)
        position = None
        while not cutter.done:
            if can_seek and position != cutter.next_start:
                position = cutter.next_start
                body.seek(position)
                cutter.seek(position)
            try:
                chunk = encoded(next(chunks))
            except StopIteration:
                raise cutter.ended() from None
            if position is not None:
                position += len(chunk)
            yield from cutter.feed(chunk)

    def close(self) -> None:
        """Close the iterable."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


def _blocks(file: Any) -> Iterator[Any]:
    while block := file.read(_BLOCK_BYTES):
        yield block


class AsyncSelection:
    """Pieces of an async iterable."""

    def __init__(self, body: Any, pieces: Sequence[Piece], tail: bytes) -> None:
        self._body = body
        self._cutter = _Cutter(pieces, tail)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        cutter = self._cutter
        chunks = self._body.__aiter__()
        while not cutter.done:
            try:
                chunk = encoded(await chunks.__anext__())
            except StopAsyncIteration:
                raise cutter.ended() from None
            for part in cutter.feed(chunk):
                yield part

    async def aclose(self) -> None:
        """Close the iterable."""
        close = getattr(self._body, "aclose", None)
        if close is not None:
            await close()


def selection_of(body: Any, pieces: Sequence[Piece], tail: bytes) -> Any:
    """Return an iterable of the same colour with pieces of a body, which it closes as well."""
    return (AsyncSelection if hasattr(body, "__aiter__") else Selection)(body, pieces, tail)


class Written(list[Any]):
    """A body that is being written to, piece by piece; joined when somebody looks at it.

    Args:
        pieces: What is there.
        length: How many bytes that is.
    """

    __slots__ = ("length",)

    def __init__(self, pieces: Iterable[str | bytes], length: int) -> None:
        super().__init__(pieces)
        self.length = length

    def write(self, piece: str | bytes) -> int:
        """Append a piece and return its length in bytes."""
        length = len(encoded(piece))
        self.append(piece)
        self.length += length
        return length


class ResponseStream:
    """A response's body as a file to write to; what is written stands behind what is there.

    Args:
        response: The response.
    """

    mode = "wb+"
    encoding = "utf-8"

    def __init__(self, response: Any) -> None:
        self.response = response
        self.closed = False

    def _require_open(self) -> None:
        if self.closed:
            raise ValueError("the response's stream is closed; nothing can be written any more")

    def write(self, value: str | bytes) -> int:
        """Append to the body.

        Raises:
            ValueError: The stream is closed.
            RuntimeError: The body is an iterable that cannot be read here; see `Response.get_data`.
        """
        self._require_open()
        return self.response._append(value)  # type: ignore[no-any-return]

    def writelines(self, seq: Iterable[str | bytes]) -> None:
        """Append several pieces."""
        for item in seq:
            self.write(item)

    def tell(self) -> int:
        """The length of the body."""
        length: int = self.response._complete_length()
        return length

    def flush(self) -> None:
        """Do nothing: there is no buffer."""
        self._require_open()

    def isatty(self) -> bool:
        """Say that this is no terminal."""
        self._require_open()
        return False

    def close(self) -> None:
        """Refuse all further writing."""
        self.closed = True
