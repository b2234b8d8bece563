"""A WSGI application for an ASGI server: in a worker thread of its own for the whole request (PEP 3333).

Owns the translation. Bodies pass in both directions piece by piece, each waiting for the other side, so that neither is
ever held whole. A response of a single piece, which nearly every one is, needs one trip to a thread and none back.

The thread stays the application's until `close()` has run: a WSGI application may count on one thread a request
(sqlite3, Django's database connections). So a slow client occupies a thread, as it does under a WSGI server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import copy_context
from io import BufferedReader, RawIOBase
from types import TracebackType
from typing import IO, Any, Final, TypeAlias

import anyio

from ..bridge import Home, Workers, home_of_context
from ..bridge.asking import Ask, run_asking
from ..http.connection import environ_from_scope
from ..http.environ import FileWrapper
from ..http.grammar import check_field_name, check_field_value
from ..http.wire import parse_status
from ..typing import Message, Receive, Scope, Send, WSGIApplication, WSGIEnvironment

__all__ = ["build_environ", "serve_wsgi_on_loop"]

_ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None

READ_SIZE: Final = 65_536
# PERF: each block is a trip to the loop, of 130 us; Werkzeug asks for 8 KiB (1 GiB file: 16 s instead of 1.5).
FILE_BLOCK: Final = 262_144

_EMPTY_BODY: Final = {"type": "http.response.body", "body": b"", "more_body": False}


async def serve_wsgi_on_loop(
    app: WSGIApplication, scope: Scope, receive: Receive, send: Send, workers: Workers
) -> None:
    """Serve one ASGI connection with a WSGI application.

    A lifespan is answered as by an application that has nothing to do; a WebSocket is refused.

    Raises:
        BaseException: What the application raised; the response is not finished then.
    """
    kind = scope["type"]
    if kind == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
    elif kind == "websocket":
        await send({"type": "websocket.close", "code": 1000})  # before it is accepted: the server answers 403
    elif kind == "http":
        channel = _Channel(receive, send)
        call = _Call(app, scope, channel)
        context = copy_context()
        context.run(home_of_context.set, None)  # to a WSGI application the loop is somebody else's
        try:
            body = await run_asking(workers, call.run, context)
        finally:
            channel.end()
        if body is not None:
            assert call.start is not None  # `run` has seen to it
            await send(call.start)
            await send({"type": "http.response.body", "body": body})
    else:
        raise RuntimeError(f"cannot serve an ASGI connection of type {kind!r} with a WSGI application")


class _Channel:
    """The ASGI side; everything here runs in the server's task, but for the watch."""

    __slots__ = ("_ahead", "_over", "_receive", "_receiving", "_send", "_watch", "gone")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._receiving = anyio.Lock()
        self._ahead: Message | None = None  # what the watch has received instead
        self._over = False
        self._watch: anyio.CancelScope | None = None
        self.gone = False

    async def next_piece(self) -> bytes:
        """The next piece of the request's body; b"" at its end.

        Raises:
            ConnectionResetError: The client left first; a body that was cut must not look whole.
        """
        async with self._receiving:
            while self._ahead is not None or not self._over:
                message, self._ahead = self._ahead, None
                if message is None:
                    message = await self._receive()
                    self._note(message)
                if message.get("body"):
                    return message["body"]  # type: ignore[no-any-return]
        if self.gone:
            raise ConnectionResetError("the client left before the end of the request's body")
        return b""

    def _note(self, message: Message) -> None:
        if message["type"] == "http.disconnect":
            self._over = self.gone = True
        elif not message.get("more_body", False):
            self._over = True

    async def respond(self, start: Message | None, body: Message) -> None:
        """Send a piece of the response, behind its head if this is the first.

        Raises:
            ConnectionResetError: The client has left.
        """
        if self.gone:
            raise ConnectionResetError("the client has left")
        if start is not None:
            await self._send(start)
        if self._watch is None and self._ahead is None and body["more_body"]:
            self._watch = anyio.CancelScope()
            Home().spawn(self._wait_for_disconnect(self._watch), copy_context())
        await self._send(body)

    async def hint(self, message: Message) -> None:
        """Send an interim response."""
        await self._send(message)

    async def _wait_for_disconnect(self, scope: anyio.CancelScope) -> None:
        """Notice that the client of a streamed response leaves: not every server's `send` tells.

        What is left of the request's body has to be read before; at most one piece of it is, the rest is the
        application's to ask for.
        """
        with scope:
            try:
                while not self.gone and self._ahead is None:
                    async with self._receiving:
                        message = await self._receive()
                        self._note(message)
                        if message.get("body"):
                            self._ahead = message
            except Exception:
                return
            self._watch = None  # once the piece has been read, the next one that is sent watches again

    def end(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.cancel()


class _Input(RawIOBase):
    """The raw `wsgi.input`: reads what `receive` brings."""

    def __init__(self, channel: _Channel, ask: Ask) -> None:
        self._channel = channel
        self._ask = ask
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest and not self._ended:
            self._rest = self._ask(self._channel.next_piece)
            self._ended = not self._rest
        piece = self._rest[: len(buffer)]
        self._rest = self._rest[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


class _Call:
    """One call of the application, in its worker thread."""

    __slots__ = ("_app", "_ask", "_channel", "_has_body", "_scope", "_started", "start")

    def __init__(self, app: WSGIApplication, scope: Scope, channel: _Channel) -> None:
        self._app = app
        self._scope = scope
        self._channel = channel
        self._started = False
        self._has_body = True
        self.start: Message | None = None  # until it is sent

    def run(self, ask: Ask) -> bytes | None:
        """Call the application; return a body of one piece, or None if everything has been sent."""
        self._ask = ask
        environ = build_environ(self._scope)
        environ["wsgi.input"] = BufferedReader(_Input(self._channel, ask), READ_SIZE)
        if "http.response.early_hint" in (self._scope.get("extensions") or ()):
            environ["wsgi.early_hints"] = self._hint
        iterable = self._app(environ, self._start_response)
        try:
            if isinstance(iterable, (list, tuple)) and len(iterable) <= 1 and not self._started:
                self._require_start()
                body: Any = iterable[0] if iterable else b""
                if not isinstance(body, bytes):
                    raise TypeError(f"{self._app!r} gave {type(body).__name__} as a piece of its body; expected bytes")
                return body if self._has_body else b""
            try:
                self._run_iterable(iterable)
            except ConnectionResetError:
                if not self._channel.gone:
                    raise
            return None
        finally:
            close = getattr(iterable, "close", None)
            if close is not None:
                close()

    def _run_iterable(self, iterable: Iterable[bytes]) -> None:
        for piece in iterable:
            if piece:
                self._write(piece)
        self._require_start()
        self._send(_EMPTY_BODY)

    def _require_start(self) -> None:
        if self.start is None and not self._started:
            raise RuntimeError(f"{self._app!r} gave a body without calling start_response (PEP 3333)")

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo = None, /
    ) -> Callable[[bytes], object]:
        if exc_info is not None:
            try:
                if self._started and exc_info[1] is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.start is not None or self._started:
            raise RuntimeError("start_response was called twice; a second call needs exc_info (PEP 3333)")
        code = parse_status(status)[1]
        self._has_body = self._scope["method"] != "HEAD" and code not in (204, 304)
        self.start = {
            "type": "http.response.start",
            "status": code,
            "headers": [
                (check_field_name(name).lower().encode("latin-1"), check_field_value(value).encode("latin-1"))
                for name, value in headers
            ],
        }
        return self._write

    def _hint(self, headers: list[tuple[str, str]]) -> None:
        """Send the Link fields of a 103 (RFC 8297); once the response has begun they are too late, and dropped."""
        if not self._started and not self._channel.gone:
            links = [check_field_value(value).encode("latin-1") for name, value in headers if name.lower() == "link"]
            self._ask(self._channel.hint, {"type": "http.response.early_hint", "links": links})

    def _write(self, data: bytes) -> None:
        self._require_start()
        if self._has_body:
            self._send({"type": "http.response.body", "body": bytes(data), "more_body": True})

    def _send(self, body: Message) -> None:
        start, self.start = self.start, None
        self._started = True
        try:
            self._ask(self._channel.respond, start, body)
        except OSError as exc:  # what a server's `send` raises when the client has left
            self._channel.gone = True
            raise ConnectionResetError("the client has left") from exc


def _wrap_file(file: IO[bytes], block_size: int = 0) -> FileWrapper:
    """PEP 3333's `wsgi.file_wrapper`; the block size is a suggestion."""
    return FileWrapper(file, max(block_size, FILE_BLOCK))


def build_environ(scope: Scope) -> WSGIEnvironment:
    """Return the environ of an `http` scope, as a server makes it."""
    environ: WSGIEnvironment = environ_from_scope(scope)
    environ["wsgi.file_wrapper"] = _wrap_file
    return environ
