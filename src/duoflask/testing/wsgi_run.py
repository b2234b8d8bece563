"""Run a WSGI app: as a server does, with what it does checked against PEP 3333, or as it is (`run_wsgi_app`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from types import TracebackType
from typing import Any

from ..http.environ import ClosingIterator
from ..http.headers import Headers
from ..typing import WSGIApplication, WSGIEnvironment
from .answer import Answer, ProtocolError

__all__ = ["run_wsgi", "run_wsgi_app"]

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]


class _Exchange:
    """One request: the answer's head, what was written, and the rest of the body."""

    def __init__(self) -> None:
        self.status: str | None = None
        self.fields: list[tuple[str, str]] = []
        self.chunks: list[bytes] = []
        self._iterable: Any = ()
        self._iterator: Iterator[bytes] = iter(())
        self._open = True
        self._began = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        """Take the head of the answer; with `exc_info` it replaces one of which nothing has been sent."""
        if exc_info is not None and exc_info[1] is not None:
            try:
                if self._began:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status is not None:
            raise ProtocolError("start_response was called twice; a second call needs exc_info (PEP 3333)")
        if not isinstance(status, str) or len(status) < 4 or not status[:3].isdecimal() or status[3] != " ":
            raise ProtocolError(f"invalid status; expected text such as '200 OK'; got {status!r}")
        for name, value in headers:
            if not isinstance(name, str) or not isinstance(value, str):
                raise ProtocolError(f"invalid header field; expected two strings; got {name!r}: {value!r}")
            if any(char in name + value for char in "\r\n\0"):
                raise ProtocolError(f"invalid header field; expected one line; got {name!r}: {value!r}")
        self.status, self.fields = status, list(headers)
        return self._write

    def _write(self, data: bytes) -> None:
        self.chunks.append(self._checked(data))

    def _checked(self, data: Any) -> bytes:
        if not isinstance(data, bytes):
            raise ProtocolError(f"invalid piece of a body; expected bytes; got {type(data).__name__}")
        if self.status is None:
            raise ProtocolError("a piece of the body came before start_response was called")
        self._began = self._began or bool(data)
        return data

    def begin(self, iterable: Iterable[bytes]) -> None:
        self._iterable = iterable
        self._iterator = iter(iterable)

    def pull(self) -> bytes | None:
        """The next piece, or None at the end, when the body has been closed."""
        if not self._open:
            return None
        try:
            for data in self._iterator:
                return self._checked(data)
        except BaseException:
            self.close()
            raise
        self.close()
        return None

    def close(self) -> None:
        """Close the body, once."""
        if self._open:
            self._open = False
            close = getattr(self._iterable, "close", None)
            self._iterable = self._iterator = iter(())
            if close is not None:
                close()

    def is_complete(self) -> bool:
        """Whether the body is as long as Content-Length promises."""
        for name, value in self.fields:
            if name.lower() == "content-length":
                return value == str(sum(map(len, self.chunks)))
        return False


class _Body:
    """A body that is read as the test reads it."""

    def __init__(self, exchange: _Exchange) -> None:
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        chunks = self._exchange.chunks
        data = chunks.pop(0) if chunks else self._exchange.pull()
        if data is None:
            raise StopIteration
        return data

    def close(self) -> None:
        self._exchange.close()


def run_wsgi(app: WSGIApplication, environ: WSGIEnvironment, buffered: bool = False) -> Answer:
    """Call an app and read its answer, up to the first piece of a body that is still being made.

    A body whose Content-Length is reached, a list and a buffered body are read and closed at once.

    Raises:
        ProtocolError: The app breaks PEP 3333.
    """
    exchange = _Exchange()
    iterable = app(environ, exchange.start_response)
    exchange.begin(iterable)
    whole = buffered or isinstance(iterable, (list, tuple))
    while (data := exchange.pull()) is not None:
        exchange.chunks.append(data)
        if not whole and any(exchange.chunks):
            break
    if exchange.status is None:
        raise ProtocolError("the app returned without calling start_response")
    if data is None or exchange.is_complete():
        exchange.close()
        return Answer(exchange.status, exchange.fields, exchange.chunks)
    return Answer(exchange.status, exchange.fields, _Body(exchange))


def run_wsgi_app(app: WSGIApplication, environ: Any, buffered: bool = False) -> tuple[Iterable[Any], str, Headers]:
    """Call a WSGI app and return its body, status and header fields; nothing of them is checked.

    The body is read up to the piece with which the answer has started, and the rest as the caller reads it.

    Args:
        app: The app.
        environ: The request, or an object that has it as `environ`; the app gets a copy.
        buffered: Read the whole body, and close it.

    Raises:
        ProtocolError: The app has ended without an answer.
        BaseException: What the app raised, or handed to `start_response`.
    """
    head: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[Any] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
    ) -> Callable[[bytes], object]:
        if exc_info is not None:
            try:
                raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # it holds this frame
        head[:] = [(status, headers)]
        return written.append

    body = app({**getattr(environ, "environ", environ)}, start_response)
    close = getattr(body, "close", None)
    iterator = iter(body)
    rest: Iterable[Any] = written
    if buffered:
        try:
            written.extend(iterator)
        finally:
            if close is not None:
                close()
    else:
        for piece in iterator:
            written.append(piece)
            if head:
                break
        rest = chain(written, iterator) if written else iterator
        if close is not None and rest is not body:
            rest = ClosingIterator(rest, close)
    if not head:
        raise ProtocolError("the app ended without calling start_response")
    status, headers = head[0]
    return rest, status, Headers(headers)
