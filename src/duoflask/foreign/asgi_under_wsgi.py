"""An ASGI application for a WSGI server: in a task on the portal, pulled chunk by chunk by the server's thread.

Owns the translation. The server's thread reads the request's body and hands over the response; whichever side is not
ready makes the other wait, so that no body is ever held whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import Context, copy_context
from typing import Any, Final
from urllib.parse import quote

from ..bridge import WSGIDriver, hand_over, to_loop, to_thread
from ..http.body import LimitedStream, parse_content_length
from ..http.errors import HTTPException
from ..http.grammar import check_field_name, check_field_value
from ..http.wire import parse_status
from ..typing import ASGIApplication, Message, Scope, StartResponse, WSGIEnvironment
from .guest import Guest

__all__ = ["scope_from_environ", "serve_asgi_in_thread"]

_END: Final = object()

READ_SIZE: Final = 65_536


def serve_asgi_in_thread(
    app: ASGIApplication, environ: WSGIEnvironment, start_response: StartResponse, state: dict[str, Any] | None = None
) -> Iterable[bytes]:
    """Serve one request of a WSGI server with an ASGI application; one with an invalid Content-Length gets a 400.

    Args:
        app: The application.
        environ: The request.
        start_response: The server's.
        state: What the application's lifespan left for its requests.

    Raises:
        ValueError: A status or header field of the application's that could not be sent.
        BaseException: What the application raised before it answered.
    """
    scope = scope_from_environ(environ)
    if state is not None:
        scope["state"] = state.copy()
    try:
        stream = _stream_of(environ)
    except HTTPException as exc:  # an invalid Content-Length
        return exc(environ, start_response)  # type: ignore[no-any-return]
    visit = _Visit()
    driver = WSGIDriver(visit, _converse(app, scope, stream))
    start, first, complete = driver.resume()
    try:
        status, code = parse_status(start["status"])
        fields = [
            (check_field_name(name.decode("latin-1")).title(), check_field_value(value.decode("latin-1")))
            for name, value in start.get("headers", ())
        ]
        start_response(status, fields)
    except BaseException:  # the application has to end all the same
        if not driver.finished:
            driver.resume(False)
        raise
    has_body = environ["REQUEST_METHOD"] != "HEAD" and code not in (204, 304)
    if first is not _END and not has_body:
        first = b""
    if driver.finished:
        return [] if first is _END else [first]
    return _Body(driver, first, complete, has_body)


class _Visit:
    """What the driver moves: a conversation with the application, in a Context of its own."""

    __slots__ = ("context", "on_loop")

    def __init__(self) -> None:
        self.context: Context = copy_context()
        self.on_loop = False

    def suspended(self) -> bool:
        return True

    def leaves_thread(self) -> None:
        pass


async def _converse(app: ASGIApplication, scope: Scope, stream: LimitedStream | None) -> tuple[Message, Any, bool]:
    """Hand over the response's head with its first chunk, then the other chunks, while the server wants them.

    An application that has ended by then, as most have, needs no more than this one trip to the portal: the head and
    the chunk are what the coroutine returns.
    """

    async def pull() -> Message:
        if stream is None:
            return {"type": "http.request", "body": b"", "more_body": False}
        await to_thread()
        try:
            piece = stream.read(READ_SIZE)
        except HTTPException:  # the body ended early: its client has left
            return {"type": "http.disconnect"}
        finally:
            await to_loop()
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}

    await to_loop()
    guest = Guest(app, scope, pull)
    try:
        start = await guest.start()
        first: Any = await anext(guest, _END)
        answer = start, first, guest.complete
        if not (guest.complete and await guest.has_ended()):
            await to_thread()
            more = await hand_over(answer) and not guest.complete
            await to_loop()
            while more:
                given = await anext(guest, _END)
                await to_thread()
                # Behind the end only the close is asked for: what the application still does delays no client.
                more = await hand_over(given) and given is not _END
                await to_loop()
        return answer
    finally:
        await guest.aclose()


class _Body:
    """The body that the server pulls; `close()` tells the application that nobody wants more."""

    __slots__ = ("_complete", "_driver", "_first", "_has_body")

    def __init__(self, driver: WSGIDriver, first: Any, complete: bool, has_body: bool) -> None:
        self._driver = driver
        self._first = first
        self._complete = complete
        self._has_body = has_body

    def __iter__(self) -> Iterator[bytes]:
        if self._first is not _END:
            yield self._first
        if self._complete:
            return
        while (chunk := self._driver.resume(True)) is not _END:
            if self._has_body:
                yield chunk

    def close(self) -> None:
        """End the request, once."""
        if not self._driver.finished:
            self._driver.resume(False)


def _stream_of(environ: WSGIEnvironment) -> LimitedStream | None:
    """The request's body, bounded; None if there is none."""
    length = parse_content_length(environ.get("CONTENT_LENGTH") or None)
    if length is not None:
        return LimitedStream(environ["wsgi.input"], length) if length else None
    if environ.get("wsgi.input_terminated") and "HTTP_TRANSFER_ENCODING" in environ:
        return LimitedStream(environ["wsgi.input"], None, is_max=True)
    return None


def scope_from_environ(environ: WSGIEnvironment) -> Scope:
    """Return the `http` scope of an environ (ASGI 3.0, HTTP & WebSocket specification 2.4)."""
    root = environ.get("SCRIPT_NAME", "").encode("latin-1", "replace").rstrip(b"/")
    path = root + (environ.get("PATH_INFO") or "").encode("latin-1", "replace")
    written = (environ.get("RAW_URI") or environ.get("REQUEST_URI") or "").partition("?")[0]
    raw_path = written.encode("latin-1", "replace") if written[:1] == "/" else quote(path, "/!$&'()*+,:;=@").encode()
    client, server = environ.get("REMOTE_ADDR"), environ.get("SERVER_NAME")
    headers: list[tuple[bytes, bytes]] = []
    for key, value in environ.items():
        name = key[5:] if key[:5] == "HTTP_" else key if value and key in ("CONTENT_TYPE", "CONTENT_LENGTH") else None
        if name is not None and isinstance(value, str):
            headers.append((name.lower().replace("_", "-").encode("latin-1"), value.encode("latin-1", "replace")))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2] or "1.1",
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": path.decode("utf-8", "replace"),
        "raw_path": raw_path,
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1", "replace"),
        "root_path": root.decode("utf-8", "replace"),
        "headers": headers,
        "client": None if client is None else (client, _number(environ.get("REMOTE_PORT"))),
        "server": None if server is None else (server, _number(environ.get("SERVER_PORT")) or None),
        "extensions": {},
    }


def _number(text: Any) -> int:
    text = str(text or "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else 0
