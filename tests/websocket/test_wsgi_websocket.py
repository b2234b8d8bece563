"""Which WSGI requests become WebSockets, on which socket, and what the server sees at the end."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from duoflask import DuoFlask, Response, abort, request
from duoflask.globals import websocket
from duoflask.http.websocket_handshake import UpgradeRequired
from duoflask.testing import create_environ

from .frames import ACCEPT, KEY, TEXT, close, frame, read_frames

FIELDS = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Key": KEY.decode(),
    "Sec-WebSocket-Version": "13",
}
HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    + ACCEPT
    + b"\r\n\r\n"
)


def _app() -> DuoFlask:
    app = DuoFlask("app")

    @app.websocket("/async")
    async def echo() -> None:
        async for data in websocket:
            await websocket.send(data)

    @app.websocket("/def")
    def echo_def() -> None:
        for data in websocket:
            websocket.send(data)

    @app.websocket("/denied")
    def denied() -> Any:
        return "no", 403, [("X-A", "1"), ("X-A", "2")]

    @app.route("/page")
    def page() -> str:
        return "page"

    return app


class Called:
    """One call of a WSGI app, as a server that hands out its socket makes it."""

    def __init__(self, app: Any, environ: dict[str, Any]) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.body: Any = None
        self.error: BaseException | None = None
        try:
            self.body = b"".join(app(environ, self._start_response))
        except BaseException as exc:
            self.error = exc

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self.status, self.headers = status, headers


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's and the client's end of a connection."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    with ours, theirs:
        yield ours, theirs


def _environ(path: str, fields: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {**create_environ(path, headers=FIELDS if fields is None else fields), **more}


def _all(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


@pytest.mark.parametrize("path", ["/async", "/def"])
@pytest.mark.parametrize("key", ["gunicorn.socket", "gunicorn.sock", "werkzeug.socket", "duoflask.socket"])
def test_the_servers_socket_is_used(pair: Any, key: str, path: str) -> None:
    pair[1].sendall(frame(TEXT, "hello") + close(3000))
    called = Called(_app(), _environ(path, **{key: pair[0]}))
    assert isinstance(called.error, ConnectionResetError)
    assert called.error.errno == errno.ECONNRESET
    assert called.status == ""
    data = _all(pair[1])
    assert data.startswith(HEAD)
    assert read_frames(data[len(HEAD) :]) == [(TEXT, b"hello"), (8, (3000).to_bytes(2))]
    with pytest.raises(BrokenPipeError):
        pair[0].send(b"HTTP/1.1 500 the server cannot write any more")


def test_the_socket_of_gevents_pywsgi_is_below_its_reader(pair: Any) -> None:
    pair[1].sendall(close(1000))
    with pair[0].makefile("rb") as reader:
        environ = _environ("/def", **{"wsgi.input": reader, "SERVER_SOFTWARE": "gevent/26.9 Python/3.11"})
        assert isinstance(Called(_app(), environ).error, ConnectionResetError)
    assert _all(pair[1]).startswith(HEAD)


def test_a_denial_is_the_servers_to_send(pair: Any) -> None:
    pair[0].settimeout(3)
    called = Called(_app(), _environ("/denied", **{"gunicorn.socket": pair[0]}))
    assert called.error is None
    assert (called.status, called.body) == ("403 FORBIDDEN", b"no")
    assert [value for name, value in called.headers if name == "X-A"] == ["1", "2"]
    assert pair[0].gettimeout() == 3
    pair[0].shutdown(socket.SHUT_WR)
    assert _all(pair[1]) == b""


@pytest.mark.parametrize("path", ["/async", "/def", "/denied"])
def test_without_a_socket_426_names_servers_and_no_view_runs(path: str) -> None:
    app = _app()
    seen: list[str] = []
    app.before_websocket(lambda: seen.append("before"))
    app.teardown_websocket(lambda error: seen.append("teardown"))
    called = Called(app, _environ(path))
    assert called.status == "426 UPGRADE REQUIRED"
    assert ("sec-websocket-version", "13") in [(name.lower(), value) for name, value in called.headers]
    for server in (b"gunicorn", b"pywsgi", b"duoflask run", b"uvicorn"):
        assert server in called.body
    assert seen == ["before", "teardown"]


def test_a_hook_denies_before_the_426() -> None:
    app = _app()
    app.before_request(lambda: abort(401))
    assert Called(app, _environ("/def")).status == "401 UNAUTHORIZED"


def test_an_error_handler_answers_the_426() -> None:
    app = _app()

    @app.errorhandler(UpgradeRequired)
    def handle(error: Any) -> Response:
        return Response(f"sorry: {error.code}", 426)

    assert Called(app, _environ("/def")).body == b"sorry: 426"


def test_an_old_protocol_has_no_websocket(pair: Any) -> None:
    environ = _environ("/def", **{"gunicorn.socket": pair[0], "SERVER_PROTOCOL": "HTTP/1.0"})
    assert Called(_app(), environ).status == "426 UPGRADE REQUIRED"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"Sec-WebSocket-Key": "short"}, "400 BAD REQUEST"),
        ({"Sec-WebSocket-Version": "8"}, "426 UPGRADE REQUIRED"),
        ({"Sec-WebSocket-Protocol": "a b"}, "400 BAD REQUEST"),
        ({"Sec-WebSocket-Extensions": "a b"}, "400 BAD REQUEST"),
    ],
)
def test_a_malformed_handshake(pair: Any, change: dict[str, str], status: str) -> None:
    called = Called(_app(), _environ("/def", {**FIELDS, **change}, **{"gunicorn.socket": pair[0]}))
    assert called.status == status


@pytest.mark.parametrize(
    "fields",
    [{}, {"Upgrade": "h2c", "Connection": "Upgrade"}, {"Upgrade": "websocket"}, {**FIELDS, "Connection": "close"}],
)
def test_other_requests_are_requests(pair: Any, fields: dict[str, str]) -> None:
    app = _app()
    assert Called(app, _environ("/page", fields, **{"gunicorn.socket": pair[0]})).body == b"page"
    assert Called(app, _environ("/def", fields)).status.startswith("4")


def test_a_view_that_handles_the_socket_itself_is_called_as_ever(pair: Any) -> None:
    """As Flask-Sock's: a rule with websocket=True and an ordinary view."""
    app = _app()

    @app.route("/own", websocket=True)
    def own() -> str:
        return f"own {request.environ['gunicorn.socket'] is pair[0]}"

    assert Called(app, _environ("/own", **{"gunicorn.socket": pair[0]})).body == b"own True"


@pytest.mark.parametrize("path", ["/async", "/def"])
def test_a_channel_that_a_server_hands_in(path: str) -> None:
    class Ready:
        denies = True

        def __init__(self) -> None:
            self.messages = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "a"}]
            self.sent: list[Any] = []

        def receive_now(self) -> Any:
            return self.messages.pop(0) if self.messages else {"type": "websocket.disconnect", "code": 1000}

        def send_now(self, message: Any) -> None:
            self.sent.append(message)

        async def receive(self) -> Any:
            return self.receive_now()

        async def send(self, message: Any) -> None:
            self.send_now(message)

    ready = Ready()
    called = Called(_app(), _environ(path, **{"duoflask.websocket": ready}))
    assert (called.error, called.body, called.status) == (None, b"", "")
    assert [message["type"] for message in ready.sent] == ["websocket.accept", "websocket.send"]
    ready = Ready()
    Called(_app(), _environ("/denied", **{"duoflask.websocket": ready}))
    assert [message["type"] for message in ready.sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]


@pytest.mark.parametrize("path", ["/async", "/def"])
def test_the_size_of_messages_is_configured(pair: Any, path: str) -> None:
    app = _app()
    app.config["WEBSOCKET_MAX_MESSAGE_SIZE"] = 10
    pair[1].sendall(frame(TEXT, "x" * 10) + frame(TEXT, "x" * 11))
    Called(app, _environ(path, **{"gunicorn.socket": pair[0]}))
    answers = read_frames(_all(pair[1])[len(HEAD) :])
    assert answers[0] == (TEXT, b"x" * 10)
    assert answers[1][1][:2] == (1009).to_bytes(2)


def test_an_error_of_the_view_that_propagates_comes_after_the_end(pair: Any) -> None:
    app = _app()
    app.testing = True

    @app.websocket("/fail")
    def fail() -> None:
        websocket.accept()
        raise ZeroDivisionError

    pair[1].sendall(close(1000))
    called = Called(app, _environ("/fail", **{"gunicorn.socket": pair[0]}))
    assert isinstance(called.error, ZeroDivisionError)
    assert read_frames(_all(pair[1])[len(HEAD) :])[-1][1][:2] in ((1011).to_bytes(2), (1000).to_bytes(2))
    with pytest.raises(BrokenPipeError):
        pair[0].send(b"HTTP/1.1 500")
