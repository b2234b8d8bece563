"""WebSockets on the built-in server, over real connections, with the `websockets` package as the peer."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect as connect_websocket

from duoflask import DuoFlask, Response, request
from duoflask.globals import websocket
from duoflask.server import Server, serve

pytestmark = pytest.mark.anyio

FULL = os.environ.get("DUOFLASK_FULL") == "1"

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
HANDSHAKE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + KEY + b"\r\n"


def url_of(server: Server, path: str = "/") -> str:
    return "ws" + server.addresses[0].removeprefix("http") + path


async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
    """Run a blocking client; the server's loop goes on."""
    with anyio.fail_after(30):
        return await anyio.to_thread.run_sync(function, *args)


def close_code(ws: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as caught:
        ws.recv(timeout=20)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code


async def echo_app(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "websocket"
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "headers": [(b"x-own", b"1")]})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


@asynccontextmanager
async def serving(app: Any, **settings: Any) -> AsyncIterator[Server]:
    settings.setdefault("lifespan", "off")
    async with serve(app, port=0, **settings) as server:
        yield server


async def test_messages_are_echoed_with_and_without_compression(anyio_backend: str) -> None:
    def talk(url: str, compression: str | None) -> None:
        with connect_websocket(url, compression=compression) as ws:  # type: ignore[arg-type]
            assert ws.response is not None
            assert ws.response.headers["X-Own"] == "1"
            assert ws.response.headers["Server"] == "duoflask"
            assert "Date" in ws.response.headers
            assert ("Sec-WebSocket-Extensions" in ws.response.headers) is (compression is not None)
            for data in ("", "text \u2603", b"", b"\0\xff", "x" * 300_000, b"y" * 70_000):
                ws.send(data)
                assert ws.recv() == data
            ws.send(["frag", "men", "ts"])
            assert ws.recv() == "fragments"
            assert ws.ping().wait(20)

    async with serving(echo_app) as server:
        await in_thread(talk, url_of(server), "deflate")
        await in_thread(talk, url_of(server), None)
    async with serving(echo_app, websocket_compression=False) as server:
        with pytest.raises(AssertionError):
            await in_thread(talk, url_of(server), "deflate")


async def test_scope_is_that_of_a_websocket(anyio_backend: str) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send({"type": "websocket.accept", "subprotocol": "b"})
        await send({"type": "websocket.close"})

    def talk(url: str) -> None:
        with connect_websocket(url, subprotocols=["a", "b"]) as ws:  # type: ignore[list-item]
            assert ws.subprotocol == "b"
            with pytest.raises(ConnectionClosed) as caught:
                ws.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1000

    async with serving(app) as server:
        await in_thread(talk, url_of(server, "/a%20b?c=d"))
    [scope] = scopes
    assert (scope["type"], scope["scheme"], scope["path"]) == ("websocket", "ws", "/a b")
    assert (scope["query_string"], scope["subprotocols"]) == (b"c=d", ["a", "b"])
    assert "method" not in scope
    assert scope["extensions"] == {"websocket.http.response": {}}


async def test_close_codes_pass_in_both_directions(anyio_backend: str) -> None:
    heard: list[Any] = []
    told = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/server":
            await send({"type": "websocket.close", "code": 4001, "reason": "enough"})
        else:
            heard.append(await receive())
            heard.append(await receive())  # it stays at that
            with pytest.raises(OSError, match="closed"):
                await send({"type": "websocket.send", "text": "late"})
            told.set()

    def talk(url: str) -> None:
        with connect_websocket(url + "server") as ws, pytest.raises(ConnectionClosed) as caught:
            ws.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "enough")
        with connect_websocket(url) as ws:
            ws.close(4002, "bye")
        assert told.wait(20)

    async with serving(app) as server:
        await in_thread(talk, url_of(server))
    assert heard == [{"type": "websocket.disconnect", "code": 4002, "reason": "bye"}] * 2


@pytest.mark.parametrize("way", ["response", "close", "return", "raise"])
async def test_handshake_is_denied(way: str, anyio_backend: str, caplog: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if way == "response":
            fields = [(b"x-why", b"because"), (b"content-type", b"text/plain")]
            await send({"type": "websocket.http.response.start", "status": 401, "headers": fields})
            await send({"type": "websocket.http.response.body", "body": b"no, ", "more_body": True})
            await send({"type": "websocket.http.response.body", "body": b"never"})
        elif way == "close":
            await send({"type": "websocket.close"})
        elif way == "raise":
            raise ZeroDivisionError

    def talk(url: str) -> Any:
        with pytest.raises(InvalidStatus) as caught, connect_websocket(url):
            pass
        return caught.value.response

    caplog.set_level(logging.INFO, "duoflask.access")
    async with serving(app) as server:
        response = await in_thread(talk, url_of(server))
    status = {"response": 401, "close": 403, "return": 500, "raise": 500}[way]
    assert response.status_code == status
    assert response.headers["Server"] == "duoflask"
    if way == "response":
        assert (response.headers["X-Why"], bytes(response.body)) == ("because", b"no, never")
    assert f'"GET / HTTP/1.1" {status} ' in caplog.text
    assert ("error in the application" in caplog.text) is (way == "raise")


async def test_failure_after_the_handshake_closes_with_1011(anyio_backend: str, caplog: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        raise ZeroDivisionError

    def talk(url: str) -> None:
        with connect_websocket(url) as ws, pytest.raises(ConnectionClosed) as caught:
            ws.recv()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1011

    async with serving(app) as server:
        await in_thread(talk, url_of(server))
    assert "error in the application: WebSocket /" in caplog.text


async def test_message_over_the_limit_closes_with_1009(anyio_backend: str) -> None:
    def talk(url: str) -> None:
        with connect_websocket(url) as ws:
            ws.send("x" * 1000)
            assert ws.recv() == "x" * 1000
            ws.send("x" * 1001)
            with pytest.raises(ConnectionClosed) as caught:
                ws.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1009

    async with serving(echo_app, websocket_max_size=1000) as server:
        await in_thread(talk, url_of(server))


async def raw_connection(server: Server, data: bytes = HANDSHAKE, until: bytes = b"\r\n\r\n") -> Any:
    host, _, port = server.addresses[0].removeprefix("http://").rpartition(":")
    stream = await anyio.connect_tcp(host, int(port))
    await stream.send(data)
    answer = b""
    with anyio.fail_after(20):
        while until not in answer:
            answer += await stream.receive()
    return stream, answer


async def test_silent_peer_is_pinged_and_then_given_up(anyio_backend: str) -> None:
    heard: list[Any] = []
    done = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        heard.append(await receive())
        done.set()

    async with serving(app, websocket_ping_interval=0.05, websocket_ping_timeout=0.05) as server:
        stream, _ = await raw_connection(server)
        async with stream:
            with anyio.fail_after(20):
                assert (await stream.receive())[:1] == b"\x89"  # a ping, which stays without an answer
                await done.wait()
    assert heard == [{"type": "websocket.disconnect", "code": 1006, "reason": "no answer to a ping"}]


async def test_peer_that_answers_pings_is_kept(anyio_backend: str) -> None:
    def talk(url: str) -> None:
        with connect_websocket(url, ping_interval=None) as ws:  # answers pings in a thread of its own
            with pytest.raises(TimeoutError):
                ws.recv(timeout=1)
            ws.send("still")
            assert ws.recv() == "still"

    async with serving(echo_app, websocket_ping_interval=0.05, websocket_ping_timeout=20) as server:
        await in_thread(talk, url_of(server))


async def test_peer_that_vanishes_is_a_disconnect(anyio_backend: str, caplog: Any) -> None:
    heard: list[Any] = []
    done = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        heard.append(await receive())
        done.set()
        await send({"type": "websocket.send", "text": "nobody hears"})

    async with serving(app) as server:
        stream, _ = await raw_connection(server)
        await stream.aclose()
        with anyio.fail_after(20):
            await done.wait()
    assert heard[0]["code"] == 1006
    assert "error in the application" not in caplog.text


async def test_pings_are_answered_while_the_application_is_busy_and_reading_stops_when_it_lags(
    anyio_backend: str,
) -> None:
    go = anyio.Event()
    received = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal received
        await receive()
        await send({"type": "websocket.accept"})
        await go.wait()
        while (await receive())["type"] != "websocket.disconnect":
            received += 1

    frame = b"\x82\xfe\x80\x00\0\0\0\0" + b"x" * 32_768
    async with serving(app) as server:
        stream, _ = await raw_connection(server)
        async with stream:
            await stream.send(b"\x89\x80\0\0\0\0")
            with anyio.fail_after(20):
                assert (await stream.receive()) == b"\x8a\x00"
            sent = 0
            with anyio.move_on_after(1):
                while sent < 2_000:  # 64 MiB
                    await stream.send(frame)
                    sent += 1
            assert sent < 2_000
            go.set()
            with anyio.fail_after(20):
                while received < sent:
                    await anyio.sleep(0.01)


async def test_first_frames_may_come_with_the_handshake(anyio_backend: str) -> None:
    async with serving(echo_app) as server:
        stream, answer = await raw_connection(server, HANDSHAKE + b"\x81\x82\0\0\0\0hi", until=b"\x81\x02hi")
        assert answer.startswith(b"HTTP/1.1 101 ")
        await stream.aclose()


async def test_graceful_stop_closes_with_1012(anyio_backend: str) -> None:
    heard: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        heard.append(await receive())
        with pytest.raises(OSError, match="closed"):
            await send({"type": "websocket.send", "text": "late"})

    with ExitStack() as stack:
        async with serving(app) as server:
            url = url_of(server)
            ws = await in_thread(lambda: stack.enter_context(connect_websocket(url)))
        assert await in_thread(close_code, ws) == 1012
    assert heard == [{"type": "websocket.disconnect", "code": 1012, "reason": "the server stops"}]


async def test_application_that_ignores_the_stop_is_cancelled_after_the_deadline(anyio_backend: str) -> None:
    ended: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    async with serving(app, graceful_timeout=0.1) as server:
        stream, _ = await raw_connection(server)
    await stream.aclose()
    assert ended == [True]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((b"GET /", b"POST /"), 400),
        ((b"Version: 13", b"Version: 7"), 426),
        ((b"Sec-WebSocket-Version: 13\r\n", b""), 400),
        ((b"dGhlIHNhbXBsZSBub25jZQ==", b"short"), 400),
        ((b"Upgrade: websocket", b"Upgrade: websocket\r\nContent-Length: 1"), 400),
        ((b"Upgrade: websocket", b"Upgrade: websocket\r\nTransfer-Encoding: chunked"), 400),
        ((b"Upgrade: websocket", b"Upgrade: websocket\r\nSec-WebSocket-Protocol: a b"), 400),
    ],
)
async def test_malformed_handshake_is_refused(change: tuple[bytes, bytes], status: int, connect: Any) -> None:
    calls: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope)

    async with connect(app) as client:
        await client.send(HANDSHAKE.replace(*change))
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert (b"\r\nsec-websocket-version: 13\r\n" in answer) is (status == 426)
    assert calls == []


@pytest.fixture(params=["asgi", "wsgi"])
def interface(request: pytest.FixtureRequest) -> str:
    return request.param


def make_site() -> DuoFlask:
    app = DuoFlask("site")
    app.secret_key = "secret"

    @app.websocket("/def")
    def blocking() -> None:
        websocket.accept(headers={"X-Colour": "def"})
        for message in websocket:
            websocket.send(message)

    @app.websocket("/async")
    async def waiting() -> None:
        await websocket.accept(headers={"X-Colour": "async"})
        async for message in websocket:
            await websocket.send(message)

    @app.websocket("/denied")
    def denied() -> Response:
        return Response("not you", 401)

    @app.websocket("/fails")
    def fails() -> None:
        websocket.accept()
        raise ZeroDivisionError

    @app.websocket("/close")
    def close() -> None:
        websocket.accept()
        websocket.close(4003, "done")

    @app.route("/plain")
    def plain() -> str:
        return "plain " + request.path

    return app


async def test_duoflask_serves_websockets_under_both_interfaces(interface: str, anyio_backend: str) -> None:
    def talk(url: str) -> None:
        for colour in ("def", "async"):
            with connect_websocket(url + colour) as ws:
                assert ws.response is not None
                assert ws.response.headers["X-Colour"] == colour
                for data in ("text", b"bytes", "y" * 100_000):
                    ws.send(data)
                    assert ws.recv(timeout=20) == data
        with pytest.raises(InvalidStatus) as caught, connect_websocket(url + "denied"):
            pass
        assert (caught.value.response.status_code, bytes(caught.value.response.body)) == (401, b"not you")
        with pytest.raises(InvalidStatus) as caught, connect_websocket(url + "nowhere"):
            pass
        assert caught.value.response.status_code == 404
        for path, code in (("fails", 1011), ("close", 4003)):
            with connect_websocket(url + path) as ws, pytest.raises(ConnectionClosed) as closed:
                ws.recv(timeout=20)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == code

    async with serving(make_site(), interface=interface, lifespan="auto") as server:
        await in_thread(talk, url_of(server))


async def test_plain_wsgi_application_denies_a_websocket_by_its_answer(anyio_backend: str) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        assert environ["wsgi.url_scheme"] == "http"
        assert environ["REQUEST_METHOD"] == "GET"
        start_response("418 I'm a teapot", [("X-Own", "1")])
        return [b"tea"]

    def talk(url: str) -> Any:
        with pytest.raises(InvalidStatus) as caught, connect_websocket(url):
            pass
        return caught.value.response

    async with serving(app, interface="wsgi") as server:
        response = await in_thread(talk, url_of(server))
    assert (response.status_code, response.headers["X-Own"], bytes(response.body)) == (418, "1", b"tea")


async def test_graceful_stop_reaches_views_in_threads(anyio_backend: str) -> None:
    def open_it(url: str) -> ClientConnection:
        ws = stack.enter_context(connect_websocket(url))
        ws.send("ready")
        assert ws.recv(timeout=20) == "ready"
        return ws

    with ExitStack() as stack:
        async with serving(make_site(), interface="wsgi") as server:
            sockets = [await in_thread(open_it, url_of(server, path)) for path in ("/def", "/async")]
        for ws in sockets:
            assert await in_thread(close_code, ws) == 1012


async def _many(url: str, number: int, work: Callable[[Any, int], Awaitable[None]]) -> None:
    from websockets.asyncio.client import connect

    async def one(index: int) -> None:
        async with connect(url, open_timeout=None, compression=None, ping_interval=None) as ws:
            opened.append(index)
            if len(opened) == number:
                all_open.set()
            await all_open.wait()
            await work(ws, index)

    opened: list[int] = []
    all_open = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for index in range(number):
            tasks.create_task(one(index))


@pytest.mark.parametrize("path", ["/async", "/def"])
async def test_many_sockets_at_a_time(path: str, interface: str, anyio_backend: str) -> None:
    # A `def` view under ASGI occupies one of 40 worker threads.
    number = 30 if path == "/def" and interface == "asgi" else 1000 if FULL else 100

    async def work(ws: Any, index: int) -> None:
        for turn in range(3):
            await ws.send(f"{index} {turn}")
            assert await ws.recv() == f"{index} {turn}"

    async with serving(make_site(), interface=interface) as server:
        url = url_of(server, path)
        with anyio.fail_after(55):
            await anyio.to_thread.run_sync(lambda: asyncio.run(_many(url, number, work)))


@pytest.mark.parametrize("frame", [b"\x88\x80abcd", b"\xc1\x80abcd"])
async def test_socket_that_ends_before_it_is_accepted_does_not_stop_the_loop(frame: bytes, anyio_backend: str) -> None:
    accepted, heard = anyio.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await anyio.sleep(0.1)  # the frame is there
        await send({"type": "websocket.accept"})
        accepted.set()
        await anyio.sleep(0.1)
        heard.append(await receive())

    async with serve(app, port=0, lifespan="off") as server:
        port = int(server.addresses[0].rpartition(":")[2])
        with anyio.fail_after(20):
            async with await anyio.connect_tcp("127.0.0.1", port) as client:
                await client.send(HANDSHAKE + frame)
                await accepted.wait()
                await client.send_eof()
                with pytest.raises(anyio.EndOfStream):
                    while True:
                        await client.receive()
    assert heard[0]["type"] == "websocket.disconnect"
