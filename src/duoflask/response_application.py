"""A response as an application of either protocol, and an application as a response.

Owns the two ways across: what a response does when a server, or another framework, calls it; and what is taken from an
application that a view returns. Knows of a response only what it is handed. The dispatcher needs neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .bridge import Workers, async_to_sync, sync_to_async
from .http.headers import Headers
from .lazy import LazyModule
from .request import Request
from .response_body import Closing, encoded
from .response_head import ResponseHead
from .typing import Message, Receive, Scope, Send, WSGIEnvironment

if TYPE_CHECKING:
    from . import foreign
else:  # few views return another application
    foreign = LazyModule(f"{__package__}.foreign")

__all__ = ["Taken", "answer_of", "pulled", "send_as_asgi"]

_END: Final = object()
_WORKERS: Final = Workers()  # no thread starts before one is needed
_READ_BYTES: Final = 65536


def _in_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """A blocking function to be awaited; it runs in a worker thread."""
    return sync_to_async(function, _WORKERS, _nothing)


def pulled(iterable: Any) -> Iterator[bytes]:
    """An async iterable as a sync one: each piece is made on the loop that the caller belongs to."""
    iterator = iterable.__aiter__()

    async def pull() -> Any:
        try:
            return await iterator.__anext__()
        except StopAsyncIteration:
            return _END

    advance = async_to_sync(pull)
    try:
        while (item := advance()) is not _END:
            yield encoded(item)
    finally:
        if hasattr(iterator, "aclose"):
            async_to_sync(iterator.aclose)()


async def send_as_asgi(response: Any, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response to an ASGI server, and close it; a sync iterable is read in a worker thread."""
    try:
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers()})
        body = b""
        if response.has_body(scope["method"]):
            if response.is_sequence:
                body = response.get_data()
            elif response.is_async:
                async for item in response.response:
                    await send({"type": "http.response.body", "body": encoded(item), "more_body": True})
            else:
                advance = _in_thread(partial(next, response.iter_encoded(), _END))
                while (item := await advance()) is not _END:
                    await send({"type": "http.response.body", "body": item, "more_body": True})
        await send({"type": "http.response.body", "body": body})
    finally:
        await response.aclose()


class Taken(NamedTuple):
    """What an application answered: as `Response` takes it."""

    body: Any
    status: int | str
    headers: Any

    def close(self) -> None:
        """End the application without reading its body."""
        if hasattr(self.body, "aclose"):
            async_to_sync(self.body.aclose)()
        else:
            self.body.close()


def answer_of(app: Any, environ: WSGIEnvironment) -> Taken:
    """Call an application and take its answer, whose body is still being made.

    It must be called in a thread without a running loop: a WSGI application blocks, and an ASGI application runs on the
    loop that the thread's request belongs to.

    Args:
        app: A WSGI or an ASGI application.
        environ: The request; under ASGI the one that is made of the scope.

    Raises:
        TypeError: It is neither, or it starts no response.
        BaseException: What the application raised.
    """
    try:
        protocol = foreign.protocol_of(app)
    except TypeError:  # a decorated function; the call itself tells
        protocol = "wsgi"
    return _answer_of_asgi(app, environ) if protocol == "asgi" else _answer_of_wsgi(app, environ)


def _answer_of_wsgi(app: Any, environ: WSGIEnvironment) -> Taken:
    head: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], Any]:
        head[:] = [status, headers]
        return written.append

    ctx = _context_of(environ)
    if ctx is not None and ctx.body is not None:  # the gateway has read it already, for async functions
        environ = {**environ, "wsgi.input": ctx.request.stream, "wsgi.input_terminated": True}
    body = app(environ, start_response)
    close = getattr(body, "close", None)
    try:
        iterator = iter(body)
        while not head:  # an application may start the response as late as with its first chunk
            try:
                written.append(next(iterator))
            except StopIteration:
                break
        if not head:
            raise TypeError(f"{app!r} did not call start_response; expected a response or a WSGI application")
    except BaseException:
        if close is not None:
            close()
        raise
    return Taken(Closing(_chained(written, iterator), close or _nothing), *head)


def _context_of(environ: WSGIEnvironment) -> Any:
    """The context of the request that an environ belongs to, if that is being served."""
    ctx = ResponseHead._context()
    return ctx if ctx is not None and ctx.has_request and ctx.source is environ else None


def _nothing() -> None:
    pass


def _chained(written: list[bytes], rest: Iterator[bytes]) -> Iterable[bytes]:
    yield from written
    yield from rest


def _answer_of_asgi(app: Any, environ: WSGIEnvironment) -> Taken:
    """The application's body is pulled by whoever reads this answer's, chunk by chunk."""
    # A WSGI server that itself stands on ASGI leaves its scope there, too; the request is the environ's then.
    original = environ.get("asgi.scope") if _context_of(environ) is None else None
    # What this server offers beside the protocol (`pathsend`, `trailers`) is not ours to pass on.
    scope: Scope = foreign.scope_from_environ(environ) if original is None else {**original, "extensions": {}}
    guest = foreign.Guest(app, scope, _request_body(environ))
    try:
        start = async_to_sync(guest.start)()
        headers = Headers([(name.decode("latin-1").title(), value) for name, value in start.get("headers", ())])
    except BaseException:
        async_to_sync(guest.aclose)()
        raise
    return Taken(guest, start["status"], headers)


def _request_body(environ: WSGIEnvironment) -> Callable[[], Any]:
    """What gives an ASGI application the body of the request, as far as nobody has read it, with the request's limits.

    Under WSGI it is collected right here, in the server's thread, as it is for every async function.
    """
    ctx = _context_of(environ)
    if ctx is not None:
        ctx.leaves_thread()
        stream = ctx.request.stream
    elif "asgi.scope" in environ:
        stream = environ["wsgi.input"]
    else:
        stream = Request(environ, populate_request=False)._collected(None)
    read = _in_thread(stream.read)

    async def pull() -> Message:
        chunk = await read(_READ_BYTES)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunk)}

    return pull
