"""WebSockets under WSGI: which socket a server hands out, what is answered where there is none, and the end.

Owns what differs between servers. The connection itself is `wsgi_socket`'s, the order `websocket_dispatch`'s.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from typing import Any, Final

from .http.environ import asks_for_websocket
from .http.errors import BadRequest, HTTPException
from .http.status import HTTP_STATUS_CODES
from .http.websocket_handshake import UpgradeRequired, parse_handshake
from .http.websocket_wire import Wire
from .linking import is_own_websocket
from .typing import App, Message, StartResponse, WSGIEnvironment
from .websocket_serving import serve_websocket_now
from .wsgi_socket import SocketChannel

__all__ = ["serve_wsgi_websocket"]

# In the environ: a channel that is ready (the built-in server), a socket (the test client; gunicorn; gunicorn's pywsgi
# workers; Werkzeug's development server).
READY_CHANNEL: Final = "duoflask.websocket"
_SOCKETS: Final = ("duoflask.socket", "gunicorn.socket", "gunicorn.sock", "werkzeug.socket")

NO_SOCKET: Final = (
    "This server does not hand its socket to the application, so that a WebSocket cannot be served here. "
    "These do: gunicorn with '-k gthread' or '-k gevent', gevent's pywsgi, 'duoflask run', and every ASGI server, "
    "such as uvicorn, hypercorn and granian."
)


def serve_wsgi_websocket(
    app: App, environ: WSGIEnvironment, start_response: StartResponse, path: str | None
) -> Iterable[bytes] | None:
    """Serve one WebSocket in the server's thread.

    Args:
        app: The application.
        environ: A request with an Upgrade field.
        start_response: For a denial.
        path: The path below the application; None if its bytes are no UTF-8.

    Returns:
        None for an ordinary request: one that asks for no WebSocket, or leads to a view that handles the socket itself
        as those of Flask's extensions do. Else the body of a denial. Where the server has handed in a channel of its
        own, nothing: it knows.

    Raises:
        ConnectionResetError: The connection was used up, and the server must neither write to it nor read from it: what
            servers do when a client has gone, they do it in silence.
    """
    if not asks_for_websocket(environ) or not is_own_websocket(app, environ, path):
        return None
    ready = environ.get(READY_CHANNEL)
    if ready is not None:
        serve_websocket_now(app, environ, ready, path)
        return ()
    channel = _channel(app, environ)
    try:
        serve_websocket_now(app, environ, channel, path)
    finally:
        channel.finish()
    if channel.denial is not None:
        status, fields, body = channel.denial
        headers = [(name.decode("latin-1").title(), value.decode("latin-1")) for name, value in fields]
        start_response(f"{status} {HTTP_STATUS_CODES.get(status, 'Unknown').upper()}", headers)
        return body
    raise ConnectionResetError(errno.ECONNRESET, "the connection was a WebSocket, which has been closed")


def _channel(app: App, environ: WSGIEnvironment) -> SocketChannel | RefusingChannel:
    """The connection of a request."""
    try:
        handshake = parse_handshake(_fields(environ))
    except (BadRequest, UpgradeRequired) as exc:
        return RefusingChannel(exc)
    sock = _socket_of(environ)
    if sock is None or environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        return RefusingChannel(UpgradeRequired(NO_SOCKET))
    config = app.config
    wire = Wire(handshake, max_message_size=config["WEBSOCKET_MAX_MESSAGE_SIZE"])
    return SocketChannel(sock, wire, ping_interval=config["WEBSOCKET_PING_INTERVAL"])


def _fields(environ: WSGIEnvironment) -> Iterator[tuple[bytes, bytes]]:
    for key, value in environ.items():
        if key.startswith(("HTTP_SEC_WEBSOCKET_", "HTTP_UPGRADE", "HTTP_CONNECTION")):
            yield key[5:].replace("_", "-").encode("latin-1"), value.encode("latin-1")


def _socket_of(environ: WSGIEnvironment) -> Any:
    for key in _SOCKETS:
        sock = environ.get(key)
        if sock is not None:
            return sock
    if environ.get("SERVER_SOFTWARE", "").startswith("gevent/"):  # pywsgi: below the buffered reader of its input
        stream = environ["wsgi.input"]
        return getattr(getattr(getattr(stream, "rfile", stream), "raw", None), "_sock", None)
    return None


class RefusingChannel:
    """The channel of a handshake that cannot be accepted: the application may deny it, or leave that to us.

    Args:
        refusal: What is raised where it is accepted.
    """

    denies: Final = True

    def __init__(self, refusal: HTTPException) -> None:
        self.refusal: HTTPException | None = refusal
        self.denial: tuple[int, list[tuple[bytes, bytes]], list[bytes]] | None = None
        self._told = False

    def receive_now(self) -> Message:
        """Give `websocket.connect`, and then the end."""
        if self._told:
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        self._told = True
        return {"type": "websocket.connect"}

    def send_now(self, message: Message) -> None:
        """Keep a denial.

        Raises:
            HTTPException: The WebSocket is accepted, which it cannot be.
        """
        kind = message["type"]
        if kind == "websocket.http.response.start":
            self.denial = message["status"], list(message.get("headers", ())), []
        elif kind == "websocket.http.response.body" and self.denial is not None:
            self.denial[2].append(message.get("body", b""))
        elif kind == "websocket.close":
            self.denial = 403, [], []
        elif self.refusal is not None:
            raise self.refusal

    async def receive(self) -> Message:
        """As `receive_now`."""
        return self.receive_now()

    async def send(self, message: Message) -> None:
        """As `send_now`."""
        self.send_now(message)

    def finish(self) -> None:
        """There is nothing to end."""
