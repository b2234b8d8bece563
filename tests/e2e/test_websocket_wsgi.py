"""WebSockets under WSGI servers that hand out their socket: gunicorn's workers, gevent's pywsgi, Werkzeug's server."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.e2e

COLOURS = ["async", "def"]
WAIT_SECONDS = 20


def _connect(server: Server, path: str, **options: Any) -> ClientConnection:
    options.setdefault("max_size", None)
    return connect(f"ws://127.0.0.1:{server.port}{path}", open_timeout=WAIT_SECONDS, close_timeout=10, **options)


def _counts(server: Server) -> dict[str, int]:
    return json.loads(server.get("/counts")[1])  # type: ignore[no-any-return]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def _needs_concurrency(server: Server) -> None:
    if "concurrency" in server.kind.lacks:
        pytest.skip("it serves one connection at a time")


def _handshake(server: Server, path: str) -> socket.socket:
    """Open a WebSocket by hand."""
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_SECONDS)
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        assert piece, head
        head += piece
    assert head.startswith(b"HTTP/1.1 101 "), head
    return sock


def _rest(sock: socket.socket) -> bytes:
    """All that is sent until the end of the connection."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


@pytest.mark.parametrize("colour", COLOURS)
def test_echo(socket_server: Server, colour: str) -> None:
    with _connect(socket_server, f"/{colour}/echo") as client:
        for data in ("hello", b"\x00\xff", "", "é" * 40_000, "x" * (1 << 20), b"y" * (1 << 20)):
            client.send(data)
            assert client.recv(WAIT_SECONDS) == data
        client.send(iter(["in ", "three ", "fragments"]))
        assert client.recv(WAIT_SECONDS) == "in three fragments"
        assert client.ping(b"?").wait(WAIT_SECONDS)
        client.send("still there")
        assert client.recv(WAIT_SECONDS) == "still there"
    assert client.close_code == 1000


@pytest.mark.parametrize("colour", COLOURS)
def test_many_messages_at_once_come_back_in_order(socket_server: Server, colour: str) -> None:
    with _connect(socket_server, f"/{colour}/echo", compression=None) as client:
        for number in range(500):
            client.send(str(number))
        assert [client.recv(WAIT_SECONDS) for _ in range(500)] == [str(number) for number in range(500)]


@pytest.mark.parametrize("colour", COLOURS)
def test_many_clients_at_once_keep_their_own_g_and_request(socket_server: Server, colour: str) -> None:
    _needs_concurrency(socket_server)
    failures: list[Any] = []

    def run(number: int) -> None:
        try:
            with _connect(socket_server, f"/{colour}/own/{number}?x={number * 3}") as client:
                for turn in range(20):
                    client.send(f"m{turn}")
                    answer = client.recv(WAIT_SECONDS)
                    if answer != f"{number} {number * 3} m{turn}":
                        failures.append((number, turn, answer))
        except Exception as exc:
            failures.append((number, exc))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("code", [1000, 1001, 1011, 3000, 4999])
def test_close_by_the_app(socket_server: Server, colour: str, code: int) -> None:
    with _connect(socket_server, f"/{colour}/close/{code}", subprotocols=["other", "chat"]) as client:
        assert client.subprotocol == "chat"
        assert client.response is not None
        assert client.response.headers["X-Code"] == str(code)
        assert client.recv(WAIT_SECONDS) == "bye"
        with pytest.raises(ConnectionClosed):
            client.recv(WAIT_SECONDS)
        assert (client.close_code, client.close_reason) == (code, "reason")


@pytest.mark.parametrize("colour", COLOURS)
def test_close_by_the_client(socket_server: Server, colour: str) -> None:
    with _connect(socket_server, f"/{colour}/echo") as client:
        client.close(3001, "enough")
    assert client.close_code == 3001


@pytest.mark.parametrize("colour", COLOURS)
def test_an_error_of_the_view_closes_with_1011(socket_server: Server, colour: str) -> None:
    with _connect(socket_server, f"/{colour}/fail") as client:
        client.send("go")
        with pytest.raises(ConnectionClosed):
            client.recv(WAIT_SECONDS)
        assert client.close_code == 1011


@pytest.mark.parametrize("colour", COLOURS)
def test_denial(socket_server: Server, colour: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        _connect(socket_server, f"/{colour}/denied")
    response = caught.value.response
    assert response.status_code == 401
    if colour == "def":
        assert response.body == b"no"
        assert response.headers["X-Why"] == "because"
        assert "session=" in response.headers["Set-Cookie"]


def test_no_such_websocket(socket_server: Server) -> None:
    with pytest.raises(InvalidStatus) as caught:
        _connect(socket_server, "/nowhere")
    assert caught.value.response.status_code == 404


def _masked(first: int, payload: bytes) -> bytes:
    assert len(payload) < 126
    return bytes([first, 0x80 | len(payload)]) + bytes(4) + payload


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (_masked(0x81, b"\xff"), 1007),
        (_masked(0x01, b"ok \xf4") + _masked(0x00, b"\x90"), 1007),
        (_masked(0x83, b"a"), 1002),
        (_masked(0xC1, b"a"), 1002),
        (b"\x81\x01a", 1002),
        (_masked(0x80, b"a"), 1002),
        (_masked(0x88, (1005).to_bytes(2)), 1002),
        (b"\x82\xff" + (5 << 20).to_bytes(8) + bytes(4) + b"x" * 300_000, 1009),
    ],
)
def test_broken_rules_close_with_their_code(socket_server: Server, colour: str, sent: bytes, code: int) -> None:
    with _handshake(socket_server, f"/{colour}/echo") as sock:
        sock.sendall(sent)
        data = _rest(sock)
    assert data[0] == 0x88
    assert data[2:4] == code.to_bytes(2)
    assert len(data) == 2 + data[1], "nothing follows the close frame"


@pytest.mark.parametrize("colour", COLOURS)
def test_nothing_is_written_after_the_close_frame(socket_server: Server, colour: str) -> None:
    with _handshake(socket_server, f"/{colour}/close/1000") as sock:
        sock.sendall(_masked(0x88, (1000).to_bytes(2)))
        assert _rest(sock) == b"\x81\x03bye\x88\x08\x03\xe8reason"


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("path", ["wait", "flood", "echo"])
def test_a_client_that_vanishes(socket_server: Server, colour: str, path: str) -> None:
    with _connect(socket_server, "/async/echo"):
        pass  # the portal has descriptors of its own
    _until(lambda: (now := _counts(socket_server))["torn down"] == now["met"])
    before = _counts(socket_server)
    sock = _handshake(socket_server, f"/{colour}/{path}")
    sock.close()
    _until(lambda: _counts(socket_server)["torn down"] == before["torn down"] + 1)
    _until(lambda: _counts(socket_server)["descriptors"] <= before["descriptors"] + 2)
    if path == "wait":
        _until(lambda: _counts(socket_server)["left"] == before["left"] + 1)


@pytest.mark.parametrize("colour", COLOURS)
def test_over_tls(tls_socket_server: Server, colour: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    base = f"wss://127.0.0.1:{tls_socket_server.port}/{colour}"
    with connect(f"{base}/echo", ssl=context, open_timeout=WAIT_SECONDS, compression=None) as client:
        for data in ("hello", "x" * (1 << 20), b"y" * 300_000):
            client.send(data)
            assert client.recv(WAIT_SECONDS) == data
        for number in range(200):
            client.send(f"{number}" + "z" * 1000)
        for number in range(200):
            assert client.recv(WAIT_SECONDS) == f"{number}" + "z" * 1000
    assert client.close_code == 1000
    start = time.monotonic()
    with connect(f"{base}/close/3000", ssl=context, open_timeout=WAIT_SECONDS) as client:
        assert client.recv(WAIT_SECONDS) == "bye"
        with pytest.raises(ConnectionClosed):
            client.recv(WAIT_SECONDS)
    assert client.close_code == 3000
    assert time.monotonic() - start < 9, "the server left the end of the connection to the client's time-out"
    assert "duoflask" not in tls_socket_server.log(), "the log has a traceback of ours"


def test_the_log_is_quiet(socket_server: Server) -> None:
    """Last in the file: nothing but the view's own error was logged."""
    log = socket_server.log()
    assert log.count("Traceback") == log.count("RuntimeError: as planned")


def test_a_server_without_sockets_says_who_has_them(socketless_server: Server) -> None:
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    for path in ("/async/echo", "/def/echo", "/def/denied"):
        response, body = socketless_server.get(path, fields)
        assert response.status == 426
        assert response.headers["Sec-WebSocket-Version"] == "13"
        assert b"gunicorn" in body
        assert b"uvicorn" in body
    assert socketless_server.get("/nowhere", fields)[0].status == 404
    assert socketless_server.get("/counts")[0].status == 200
    assert _counts(socketless_server)["open"] == 0


@pytest.mark.parametrize("kind", ["gunicorn-gthread", "gunicorn-gevent"])
@pytest.mark.parametrize("colour", COLOURS)
def test_a_silent_peer_is_pinged_and_given_up(
    start_socket_server: Callable[..., Server], kind: str, colour: str
) -> None:
    server = start_socket_server(kind, PING="0.3")
    with _connect(server, f"/{colour}/echo", ping_interval=None) as client:
        time.sleep(1.5)  # a living client answers each ping
        client.send("here")
        assert client.recv(WAIT_SECONDS) == "here"
    with _handshake(server, f"/{colour}/echo") as sock:
        data = _rest(sock)
    assert data.startswith(b"\x89\x00\x88")
    assert data[4:6] == (1011).to_bytes(2)
