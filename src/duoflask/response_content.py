"""The body of a response in its two shapes: complete bytes, or an iterable of either colour.

Owns when one becomes the other. Knows the head only as what tells the length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from .http.descriptors import cached_property
from .response_body import Pieces, ResponseStream, Written, encoded
from .response_fields import ResponseFields

__all__ = ["ResponseContent"]

# Bytes of a body whose pieces `Response.response` still shows when they have been joined.
MAX_REMEMBERED: Final = 65_536


class ResponseContent(ResponseFields):
    """A head with a body; `Response` makes the instances."""

    implicit_sequence_conversion = True
    direct_passthrough: bool = False

    # PERF: slots, as in ResponseHead.
    __slots__ = ("__dict__", "__weakref__", "_iterable")
    _iterable: Any
    _given: tuple[bytes | None, list[Any]] = (None, [])  # a body that was given in pieces, and the pieces

    def call_on_close(self, func: Callable[[], Any]) -> Callable[[], Any]:
        """Register a function that is called once when the response has been sent or given up."""
        raise NotImplementedError

    @property
    def response(self) -> Any:
        """The body as an iterable; a complete one as a list, whose changes are changes of the body."""
        if type(self._iterable) is Written:
            return [*self._iterable]
        if self._iterable is not None:
            return self._iterable
        body, pieces = self._given
        return Pieces(pieces if body is self._body else [self._body], self._set_pieces)

    @response.setter
    def response(self, value: Any) -> None:
        if isinstance(value, (str, bytes, bytearray)):
            self.set_data(value)
            return
        if isinstance(value, (list, tuple)):
            self._set_pieces(value)
        else:
            self._body = None
            self._iterable = value

    def _set_pieces(self, pieces: Sequence[Any]) -> None:
        self.set_data(b"".join(map(encoded, pieces)))
        self._remember(pieces)

    def set_data(self, value: str | bytes | bytearray) -> None:
        """Set a complete body."""
        self._body = value.encode(self.charset) if isinstance(value, str) else bytes(value)
        self._iterable = None
        if self._headers is not None and self.automatically_set_content_length:
            self._headers["Content-Length"] = str(len(self._body))

    def get_data(self, as_text: bool = False) -> Any:
        """The complete body, as bytes or text; an iterable is read to its end.

        Raises:
            RuntimeError: The body is an async iterable, or passed through directly, or the class does not want it
                read (`implicit_sequence_conversion`).
        """
        if self._iterable is not None:
            self._require_sequence()
        body = self._body or b""
        return body.decode(self.charset, "replace") if as_text else body

    data = property(get_data, set_data, doc="The complete body as bytes.")

    def _require_sequence(self) -> None:
        """Have the body complete, unless nobody wants it read."""
        is_written = type(self._iterable) is Written
        if self.direct_passthrough and not is_written:
            raise RuntimeError(
                "the body is passed through directly and is not kept; set direct_passthrough = False, or call "
                "make_sequence(), to read it"
            )
        if not (self.implicit_sequence_conversion or is_written):
            raise RuntimeError(
                "the body is an iterable, and implicit_sequence_conversion is off; call make_sequence() to read it"
            )
        self.make_sequence()

    def make_sequence(self) -> None:
        """Read an iterable body to its end and keep it as bytes.

        Raises:
            RuntimeError: The body is an async iterable (`await make_sequence_async()` reads it).
        """
        iterable = self._iterable
        if iterable is None:
            return
        if self.is_async:
            raise RuntimeError(
                "the body is an async iterable, which a 'def' function cannot read; write "
                "'await response.make_sequence_async()' first"
            )
        pieces = iterable if type(iterable) is Written else list(self.iter_encoded())
        close = getattr(iterable, "close", None)
        if close is not None:
            self.call_on_close(close)
        self._body, self._iterable = b"".join(map(encoded, pieces)), None
        self._remember(pieces)

    def _remember(self, pieces: Sequence[Any]) -> None:
        """Have `response` show the pieces of the body; a large one is not kept twice."""
        if len(pieces) != 1 and len(self._body or b"") <= MAX_REMEMBERED:
            self._given = self._body, list(pieces)

    async def make_sequence_async(self) -> None:
        """Read an iterable body of either colour to its end and keep it as bytes."""
        if self.is_async:
            iterable = self._iterable
            pieces = [encoded(item) async for item in iterable]
            self._body, self._iterable = b"".join(pieces), None
            self._remember(pieces)
            if hasattr(iterable, "aclose"):
                await iterable.aclose()
        else:
            self.make_sequence()

    @cached_property
    def stream(self) -> ResponseStream:
        """The body as a file to write to."""
        return ResponseStream(self)

    def _append(self, piece: str | bytes) -> int:
        """Add to the body and return how many bytes; the pieces are joined when it is looked at."""
        written = self._iterable
        if type(written) is not Written:
            length = self._complete_length()
            self._iterable = written = Written(self.response if length else (), length)
            self._body = None
        added = written.write(piece)
        if self.automatically_set_content_length:
            self.headers["Content-Length"] = str(written.length)
        return added

    def _complete_length(self) -> int:
        """The length of the body, which is made complete."""
        if type(self._iterable) is Written:
            return self._iterable.length
        if self._iterable is not None:
            self._require_sequence()
        return len(self._body or b"")

    def iter_encoded(self) -> Iterator[bytes]:
        """The body, piece by piece, as bytes."""
        if self._iterable is None:
            return iter([self._body or b""])
        return map(encoded, self._iterable)

    def _pieces(self) -> Iterator[Any]:
        """The body as a gateway takes it: its pieces, to be encoded, unless a subclass does that itself.

        PERF: the gateway's own loop encodes in 15 ns, `iter_encoded` in 45 (stream, benchmarks/).
        """
        if self._iterable is None or type(self).iter_encoded is not ResponseContent.iter_encoded:
            return self.iter_encoded()
        return iter(self._iterable)

    @property
    def is_async(self) -> bool:
        """Whether the body is an async iterable."""
        return hasattr(self._iterable, "__aiter__")

    @property
    def is_streamed(self) -> bool:
        """Whether the body is an iterable whose length is not known."""
        return self._iterable is not None and not hasattr(self._iterable, "__len__")

    @property
    def is_sequence(self) -> bool:
        """Whether the body is complete."""
        return self._iterable is None or type(self._iterable) is Written

    def calculate_content_length(self) -> int | None:
        """The length of a complete body in bytes; None for an iterable."""
        return self._complete_length() if self.is_sequence else None
