"""A WSGI application as an ASGI one: what `--interface wsgi` serves (PEP 3333).

Owns the translation and the worker threads' limiter. Knows no socket: it would run under any ASGI server.

Bodies pass in both directions piece by piece, each waiting for the other side, so neither is ever held
whole. A response of a single piece, which is nearly every one, needs one trip to a thread and none back.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from io import BufferedReader, RawIOBase
from types import TracebackType
from typing import Any, TypeAlias
from wsgiref.util import FileWrapper

from anyio import CapacityLimiter, from_thread, to_thread

from ..typing import Message, Receive, Scope, Send, WSGIApplication, WSGIEnvironment
from .logs import server_logger

__all__ = ["WSGIAdapter", "build_environ"]

_ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None

READ_SIZE = 65_536


class _Input(RawIOBase):
    """`wsgi.input`: reads what `receive()` brings; used in a worker thread only."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        return True

    async def _next(self) -> Message:
        return await self._receive()

    def readinto(self, buffer: Any) -> int:
        while not self._rest and not self._ended:
            message = from_thread.run(self._next)
            if message["type"] == "http.disconnect":
                # Never an end of file: a body that was cut must not look whole.
                raise ConnectionResetError("the client closed the connection before the end of the request body")
            self._rest = message.get("body", b"")
            self._ended = not message.get("more_body", False)
        piece = self._rest[: len(buffer)]
        self._rest = self._rest[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


def build_environ(scope: Scope, receive: Receive) -> WSGIEnvironment:
    """Return the environ of an `http` scope; strings are bytes in latin-1 (PEP 3333, "Unicode Issues")."""
    root: str = scope["root_path"]
    path: str = scope["path"]
    if root and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    server = scope["server"] or ("localhost", 80)
    client = scope["client"] or ("", None)
    unix = server[1] is None
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root.encode("utf-8").decode("latin-1"),
        "PATH_INFO": path.encode("utf-8").decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "REQUEST_URI": (scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")).decode(
            "latin-1"
        ),
        "SERVER_NAME": "localhost" if unix else server[0],
        "SERVER_PORT": "0" if unix else str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": "" if client[1] is None else str(client[1]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BufferedReader(_Input(receive), READ_SIZE),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        if name not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = "HTTP_" + name
        value = raw_value.decode("latin-1")
        if name in environ:
            value = f"{environ[name]}{'; ' if name == 'HTTP_COOKIE' else ','}{value}"
        environ[name] = value
    return environ


class _Call:
    """One call of the application, in its worker thread."""

    __slots__ = ("_receive", "_scope", "_send", "_started", "start")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self.start: Message | None = None  # until it is sent
        self._started = False

    def run(self, app: WSGIApplication) -> bytes | None:
        """Call the application; return a body of one piece, or None if everything was sent already."""
        environ = build_environ(self._scope, self._receive)
        iterable = app(environ, self._start_response)
        try:
            if isinstance(iterable, (list, tuple)) and len(iterable) <= 1 and not self._started:
                return iterable[0] if iterable else b""
            self._run_iterable(iterable)
            return None
        finally:
            close = getattr(iterable, "close", None)
            if close is not None:
                close()

    def _run_iterable(self, iterable: Iterable[bytes]) -> None:
        for piece in iterable:
            if piece:
                self._write(piece)
        self._send_now(b"", more=False)

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
        code = status[:3]
        if not (code.isdecimal() and code.isascii() and status[3:4] in ("", " ")):
            raise ValueError(f"invalid status; expected '200 OK'; got {status!r}")
        self.start = {
            "type": "http.response.start",
            "status": int(code),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        }
        return self._write

    def _write(self, data: bytes) -> None:
        self._send_now(data, more=True)

    def _send_now(self, data: bytes, *, more: bool) -> None:
        start, self.start = self.start, None
        if start is None and not self._started:
            raise RuntimeError("the application sent a body before it called start_response")
        self._started = True
        from_thread.run(self._send_both, start, {"type": "http.response.body", "body": data, "more_body": more})

    async def _send_both(self, start: Message | None, body: Message) -> None:
        if start is not None:
            await self._send(start)
        await self._send(body)


class WSGIAdapter:
    """Serve a WSGI application as an ASGI one, in at most `threads` worker threads of its own."""

    def __init__(self, app: WSGIApplication, threads: int) -> None:
        self._app = app
        self._threads = threads
        self._limiter: CapacityLimiter | None = None  # belongs to one event loop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise NotImplementedError(f"unsupported scope; WSGI carries 'http' only; got {scope['type']!r}")
        if self._limiter is None:
            self._limiter = CapacityLimiter(self._threads)
        call = _Call(scope, receive, send)
        body = await to_thread.run_sync(call.run, self._app, limiter=self._limiter)
        if body is None:
            return
        if call.start is None:
            server_logger.error("the WSGI application returned without calling start_response")
            return
        await send(call.start)
        await send({"type": "http.response.body", "body": body, "more_body": False})


async def _lifespan(receive: Receive, send: Send) -> None:
    for kind in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{kind}.complete"})
