"""The WSGI gateway: from `(environ, start_response)` to the dispatcher and back (PEP 3333). Translation only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import copy_context
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from .bridge import Batches, WSGIDriver, hand_over, to_loop, to_thread
from .ctx import AppContext, serving
from .dispatch import dispatch
from .file_body import BLOCK_BYTES, FileBody
from .http.body import CHUNK_BYTES, drain_input
from .http.errors import RequestEntityTooLarge
from .http.wire import LENGTHS
from .lazy import LazyModule
from .response import Response, encoded
from .streamed import StreamedBody
from .typing import App, StartResponse, WSGIEnvironment

if TYPE_CHECKING:
    from . import wsgi_websocket
else:
    wsgi_websocket = LazyModule(f"{__package__}.wsgi_websocket")

__all__ = ["serve_wsgi"]


def serve_wsgi(app: App, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Serve one request in the calling thread (PEP 3333); replace it to wrap the app in WSGI middleware."""
    answer: Iterable[bytes] | None
    path: str | None
    if app._mounts is not None:
        answer = app._mounts.serve_wsgi(environ, start_response)
        if answer is not None:
            return answer
    if "HTTP_UPGRADE" in environ:
        path = _decoded(environ.get("PATH_INFO") or "/")
        answer = wsgi_websocket.serve_wsgi_websocket(app, environ, start_response, path)
        if answer is not None:
            return answer
    method: str = environ["REQUEST_METHOD"]
    ctx = serving(app, environ, _GATEWAY, method)
    length = environ.get("CONTENT_LENGTH")
    if length:
        ctx.declare_length(length)
    elif "HTTP_TRANSFER_ENCODING" in environ:
        ctx.has_body = True
    path = environ.get("PATH_INFO") or "/"
    if not path.isascii():
        path = _decoded(path)
    ctx.context = context = copy_context()
    coroutine = dispatch(ctx, method, path)
    try:
        wanted = context.run(coroutine.send, None)
    except StopIteration as stop:
        response: Any = stop.value
    except BaseException:
        del ctx.context  # see below
        raise
    else:
        driver = WSGIDriver(ctx, coroutine)
        response = driver.go_on(wanted)
        if not driver.finished:
            try:
                start_response(response._status, response.wsgi_headers())
            except BaseException as exc:  # the server refuses it; the request has to end all the same
                ctx.stream_error = exc
                driver.resume(False)
                raise
            if type(response._iterable) is FileBody and response._iterable.path is not None:
                wrapper = environ.get("wsgi.file_wrapper")
                if wrapper is not None and response.has_body(method):
                    return wrapper(_WholeFile(ctx, response, driver), BLOCK_BYTES)  # type: ignore[no-any-return]
            kind = _AsyncBody if response.is_async else _SyncBody
            return kind(ctx, response, driver)
    del ctx.context  # it holds the variable that holds the context object: a cycle
    if type(response) is tuple:
        body, kinds = response
        start_response("200 OK", [kinds[0], LENGTHS[len(body)]])
        return [] if method == "HEAD" else [body]
    start_response(response._status, response.wsgi_headers())
    # PERF: has_body() costs 65 ns; the usual answer is found without it.
    return [response._body] if response._status_code == 200 and method != "HEAD" or response.has_body(method) else []


def _decoded(path: str) -> str | None:
    """A path as text, whose bytes the server has decoded as latin-1; None if they are no UTF-8."""
    try:
        return path.encode("latin-1").decode()
    except UnicodeError:
        return None


class _Body:
    """A body that the server pulls; `close()` lets the dispatcher's coroutine go on to the teardown."""

    __slots__ = ("_ctx", "_driver", "_response")

    def __init__(self, ctx: AppContext, response: Response, driver: WSGIDriver) -> None:
        self._ctx = ctx
        self._response = response
        self._driver = driver

    def close(self) -> None:
        """End the request, once."""
        try:
            if not self._driver.finished:
                self._driver.resume(False)
        finally:
            self._ctx.context = None  # type: ignore[assignment]  # it holds the variable that holds the context object: a cycle


class _SyncBody(_Body):
    """The server's thread iterates inside the request's Context; the coroutine stays suspended meanwhile."""

    __slots__ = ("_failure",)

    def __iter__(self) -> Iterator[bytes]:
        if not self._response.has_body(self._ctx.method):
            return iter(())
        # PERF: all C from the server's next() to the guard's frame, the only one above the body's own: 70 ns a piece
        # more than without a framework (stream, benchmarks/).
        return map(self._ctx.context.run, repeat(self._guarded().__next__))

    def _guarded(self) -> Iterator[bytes]:
        ctx = self._ctx
        try:
            ctx.pieces = pieces = self._response._pieces()
            for piece in pieces:
                yield piece if type(piece) is bytes else encoded(piece)
        except GeneratorExit:
            raise  # the server has given the body up; close() tells the dispatcher
        except BaseException as exc:
            ctx.stream_error = exc
            raise


class _WholeFile(_Body):
    """A file that the server may send by itself (PEP 3333, `wsgi.file_wrapper`).

    It has no `seek`: waitress would then keep it, and end the request in its main thread.
    """

    __slots__ = ()

    def read(self, size: int = -1) -> bytes:
        """Read on, for a server that has no better way."""
        try:
            return self._response._iterable.read(size)  # type: ignore[no-any-return]
        except BaseException as exc:
            self._ctx.stream_error = exc
            raise

    def fileno(self) -> int:
        """The descriptor of the file."""
        return self._response._iterable.fileno()  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the request, once; a file that was too short for what was announced raises, whoever has read it."""
        if not self._driver.finished and self._ctx.stream_error is None:
            try:
                self._response._iterable.check_length()
            except EOFError as exc:
                self._ctx.stream_error = exc
        super().close()


class _AsyncBody(_Body):
    """Made on the portal, in the request's task, and handed over in batches."""

    __slots__ = ()

    def __iter__(self) -> Iterator[bytes]:
        if not self._response.has_body(self._ctx.method):
            return
        while True:
            pieces = self._driver.resume(True)
            if self._driver.finished:
                return
            yield from pieces


async def _back_on_loop(batches: Batches) -> BaseException | None:
    """Go back to the portal; the cancellation that came meanwhile, if it belongs to a step that waits: its time-out."""
    try:
        await to_loop()
    except BaseException as exc:
        if not batches.waits:
            raise
        return exc
    return None


class _WSGIGateway:
    """What the dispatcher asks of this protocol."""

    __slots__ = ()
    serves_on_loop = False

    def read_body(self, ctx: AppContext) -> None:
        """Check what is declared; the body itself is read from the server's stream when somebody looks."""
        try:
            ctx.check_length()
        except RequestEntityTooLarge:
            drain_input(ctx.source or {}, ctx.declared_length)
            raise
        if ctx.rule is not None and ctx.rule.stream_body:
            pull = partial(ctx.request.stream.read, CHUNK_BYTES)
            ctx.body = ctx.request._body = StreamedBody(pull, ctx.app.sync_to_async(pull))
            del ctx.request.stream

    def collect_body(self, ctx: AppContext) -> None:
        """Read the body in the server's thread, before async functions may want it on the portal."""
        ctx.has_body = False
        request = ctx.request
        ctx.body = request._body = request._collected(ctx.declared_length)
        request.__dict__.pop("stream", None)

    async def stream(self, ctx: AppContext, response: Response) -> None:
        """Hand the response to the server, and wait until it has pulled the body or given it up."""
        if ctx.on_loop:
            await to_thread()
        ctx.sent = True
        more = await hand_over(response)
        if ctx.stream_error is not None:
            raise ctx.stream_error
        if response.is_async:
            ctx.pieces = aiter(response._iterable)
            batches = Batches(ctx.pieces, encoded)
            try:
                while more:
                    batch = await batches.take(await _back_on_loop(batches))
                    if not batch:
                        return
                    await to_thread()
                    more = await hand_over(batch)
            finally:
                if batches.waits:
                    await batches.cancel(None if ctx.on_loop else await _back_on_loop(batches))

    def suspended(self, ctx: AppContext) -> bool:
        """Nobody can tell a WSGI application that its client has left."""
        return True

    def client_has_left(self, ctx: AppContext) -> bool:
        """Nobody can tell."""
        return False

    def home_key(self) -> None:
        """No loop of the server's own: the portal."""


_GATEWAY: Final = _WSGIGateway()
