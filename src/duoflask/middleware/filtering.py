"""What middleware does to a response on its way out: to its head, and to its body piece by piece, in both protocols.

Owns when a head may leave: a filter that wants to see a complete body gets it together with the head, so the head waits
for the first piece. Never holds more than one piece, and passes on at once what the application has sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

import anyio

from ..http.headers import Headers
from ..http.options import parse_list_header
from ..typing import ASGIApplication, Message, Receive, Scope, Send, StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["ResponseFilter", "add_vary", "filter_asgi", "filter_wsgi"]

# Work on more bytes than this goes to a thread, under ASGI: gzip takes 2 ms for 64 KiB.
MAX_BYTES_ON_LOOP: Final = 65_536


class ResponseFilter:
    """What is done to one response."""

    sees_body = False
    """Whether `whole`, `begin` and `piece` are called, or `head` alone."""

    def head(self, status: int, headers: Headers) -> None:
        """Change the header fields of a response whose body stays as it is."""

    def whole(self, status: int, headers: Headers, body: bytes) -> bytes:
        """Change the header fields and a complete body."""
        return body

    def begin(self, status: int, headers: Headers) -> bool:
        """Change the header fields of a response whose body comes in pieces; say whether `piece` is to see them."""
        return False

    def piece(self, data: bytes, more: bool) -> bytes:
        """Change a piece of the body; at the end, with nothing or with the last piece, `more` is False."""
        return data


def add_vary(headers: Headers, *names: str) -> None:
    """Add to the Vary field (RFC 9110 12.5.5), whose lines become one."""
    values = parse_list_header(", ".join(headers.getlist("Vary")))
    known = {value.lower() for value in values}
    if "*" not in known:
        values += [name for name in names if name.lower() not in known]
        headers["Vary"] = ", ".join(values)


def _headers(pairs: Iterable[tuple[str, str]]) -> Headers:
    """Header fields as the application gave them; it is the server that checks those."""
    headers = Headers()
    headers._list = list(pairs)
    return headers


def filter_wsgi(
    app: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse, amend: ResponseFilter
) -> Iterable[bytes]:
    """Call a WSGI application with a filter for its response."""
    if amend.sees_body:
        return _Filtered(amend, start_response, environ["REQUEST_METHOD"] == "HEAD").answer(app, environ)

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
        fields = _headers(headers)
        amend.head(int(status[:3]), fields)
        return start_response(status, fields._list, *exc_info)

    return app(environ, start)


class _Filtered:
    """One response of a WSGI application whose body a filter sees."""

    __slots__ = ("_active", "_amend", "_body", "_head", "_is_head", "_start_response", "_write")

    def __init__(self, amend: ResponseFilter, start_response: StartResponse, is_head: bool) -> None:
        self._amend = amend
        self._start_response = start_response
        self._is_head = is_head
        self._head: tuple[Any, ...] | None = None
        self._active = False
        self._write: Callable[[bytes], object] | None = None
        self._body: Any = ()

    def answer(self, app: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        self._body = app(environ, self._start)
        if self._head is not None:
            if isinstance(self._body, (list, tuple)) and not self._is_head:
                status, headers, exc_info = self._take_head()
                data = self._amend.whole(int(status[:3]), headers, b"".join(self._body))
                self._start_response(status, headers._list, *exc_info)
                return [data]
            try:
                self._release()
            except BaseException:  # the server refuses the head; the application has to end all the same
                self.close()
                raise
            if not self._active:
                return self._body  # type: ignore[no-any-return]  # the server may know it: wsgi.file_wrapper
        return self

    def _start(self, status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
        if self._write is not None:  # after the head has left only an error may come
            return self._start_response(status, headers, *exc_info)
        self._head = (status, headers, exc_info)
        return self._written

    def _take_head(self) -> tuple[str, Headers, tuple[Any, ...]]:
        assert self._head is not None  # the callers have looked
        (status, headers, exc_info), self._head = self._head, None
        return status, _headers(headers), exc_info

    def _release(self) -> None:
        status, headers, exc_info = self._take_head()
        self._active = self._amend.begin(int(status[:3]), headers) and not self._is_head
        self._write = self._start_response(status, headers._list, *exc_info)

    def _written(self, data: bytes) -> None:
        if self._head is not None:
            self._release()
        assert self._write is not None  # `_release` has set it
        self._write(self._amend.piece(data, True) if self._active else data)

    def __iter__(self) -> Iterator[bytes]:
        for data in self._body:
            if self._head is not None:
                self._release()
            yield self._amend.piece(data, True) if self._active and data else data
        if self._head is not None:
            self._release()
        if self._active:
            yield self._amend.piece(b"", False)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


async def filter_asgi(app: ASGIApplication, scope: Scope, receive: Receive, send: Send, amend: ResponseFilter) -> None:
    """Call an ASGI application with a filter for its response."""
    if amend.sees_body:
        sender = _Sender(amend, send, scope.get("method") == "HEAD")  # a WebSocket has none
        await app(_without_zerocopysend(scope), receive, sender)
        await sender.release_head()
        return

    async def send_amended(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = _decoded(message)
            amend.head(message["status"], headers)
            message = {**message, "headers": _encoded(headers)}
        await send(message)

    await app(scope, receive, send_amended)


def _without_zerocopysend(scope: Scope) -> Scope:
    """A scope whose application does not send by a descriptor of the server's: the bytes would pass by."""
    extensions = scope.get("extensions")
    if not extensions or "http.response.zerocopysend" not in extensions:
        return scope
    kept = {name: value for name, value in extensions.items() if name != "http.response.zerocopysend"}
    return {**scope, "extensions": kept}


def _decoded(message: Message) -> Headers:
    return _headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ()))


def _encoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers._list]


class _Sender:
    """`send` for an ASGI application whose body a filter sees."""

    __slots__ = ("_active", "_amend", "_is_head", "_send", "_start")

    def __init__(self, amend: ResponseFilter, send: Send, is_head: bool) -> None:
        self._amend = amend
        self._send = send
        self._is_head = is_head
        self._start: Message | None = None
        self._active = False

    async def __call__(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self._start = message
        elif kind == "http.response.body":
            await self._body(message)
        elif kind == "http.response.pathsend":
            await self._file(message)
        else:
            await self._send(message)

    async def _body(self, message: Message) -> None:
        data: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        start = self._start
        if start is not None and not more and not self._is_head:
            self._start = None
            headers = _decoded(start)
            data = await self._work(len(data), partial(self._amend.whole, start["status"], headers, data))
            await self._send({**start, "headers": _encoded(headers)})
            await self._send({"type": "http.response.body", "body": data})
            return
        await self.begin()
        if self._active and (data or not more):
            message = {**message, "body": await self._work(len(data), partial(self._amend.piece, data, more))}
        await self._send(message)

    async def _file(self, message: Message) -> None:
        """Read a file that the server would have read, if the filter wants to see it."""
        await self.begin()
        if not self._active:
            await self._send(message)
            return
        async for data in _blocks(message["path"]):
            data = await self._work(len(data), partial(self._amend.piece, data, True))
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        await self._send({"type": "http.response.body", "body": self._amend.piece(b"", False)})

    async def begin(self) -> None:
        """Send the head of a body in pieces."""
        start, self._start = self._start, None
        if start is not None:
            headers = _decoded(start)
            self._active = self._amend.begin(start["status"], headers) and not self._is_head
            await self._send({**start, "headers": _encoded(headers)})

    async def release_head(self) -> None:
        """Send the head of a response that has no body at all, which is for the server to judge."""
        if self._start is not None:
            start, self._start = self._start, None
            await self._send(start)

    async def _work(self, size: int, function: Callable[[], bytes]) -> bytes:
        return function() if size <= MAX_BYTES_ON_LOOP else await anyio.to_thread.run_sync(function)


async def _blocks(path: str) -> AsyncIterator[bytes]:
    async with await anyio.open_file(path, "rb") as file:
        while block := await file.read(MAX_BYTES_ON_LOOP):
            yield block
