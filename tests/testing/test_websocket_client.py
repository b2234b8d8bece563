"""The test clients' WebSockets, against hand-written ASGI apps and, under both protocols, an app of ours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from duoflask import DuoFlask, abort, request, session
from duoflask.globals import websocket
from duoflask.http.websocket_close import WebsocketDisconnect
from duoflask.testing import AsyncClient, Client, ProtocolError
from duoflask.testing.websocket_core import WebsocketResponseError

MakeClient = Callable[..., Any]


def _app(view: Callable[..., Any], path: str = "/ws") -> DuoFlask:
    app = DuoFlask("app")
    app.secret_key = "key"
    app.add_websocket(path, "ws", view)
    return app


async def _echo() -> None:
    async for data in websocket:
        await websocket.send(data)


def _echo_def() -> None:
    for data in websocket:
        websocket.send(data)


both_colours = pytest.mark.parametrize("echo", [_echo, _echo_def])


@both_colours
def test_messages(client: MakeClient, echo: Any) -> None:
    with client(_app(echo)).websocket("/ws") as ws:
        for data in ("text", b"bytes", "", b"", "é", "x" * (1 << 20)):
            ws.send(data)
            assert ws.receive() == data
        ws.send_json({"a": [1, None]})
        assert ws.receive_json() == {"a": [1, None]}
        assert not ws.closed
        assert ws.response.status_code == 101
    assert ws.close_code == 1000


@both_colours
def test_more_than_the_socket_holds_does_not_lock(client: MakeClient, echo: Any) -> None:
    with client(_app(echo)).websocket("/ws") as ws:
        for _ in range(4):
            ws.send(b"x" * (1 << 20))
        for _ in range(4):
            assert len(ws.receive()) == 1 << 20


@both_colours
def test_compression_where_it_is_asked_for(client: MakeClient, echo: Any) -> None:
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    with client(_app(echo)).websocket("/ws", headers=offer) as ws:
        for _ in range(3):
            ws.send("hello " * 100)
            assert ws.receive() == "hello " * 100


def test_handshake_reaches_the_view(client: MakeClient) -> None:
    async def view() -> None:
        await websocket.accept(subprotocol="b", headers={"X-Seen": websocket.headers["X-Sent"]})
        await websocket.send_json([request.path, dict(request.args), websocket.requested_subprotocols, request.host])
        await websocket.send_json([websocket.scheme, request.remote_addr])

    ws = client(_app(view)).websocket(
        "/ws?x=1", subprotocols=["a", "b"], headers={"X-Sent": "me"}, base_url="https://example.org"
    )
    with ws:
        assert ws.subprotocol == "b"
        assert ws.headers["X-Seen"] == "me"
        assert ws.receive_json() == ["/ws", {"x": "1"}, ["a", "b"], "example.org"]
        assert ws.receive_json() == ["wss", "127.0.0.1"]


@pytest.mark.parametrize("path", ["ws://localhost/ws", "wss://localhost/ws", "http://localhost/ws", "/ws"])
def test_addresses(client: MakeClient, path: str) -> None:
    with client(_app(_echo)).websocket(path) as ws:
        ws.send("a")
        assert ws.receive() == "a"


def test_cookies_of_the_handshake_are_kept_and_sent(client: MakeClient) -> None:
    async def view() -> None:
        session["visits"] = session.get("visits", 0) + 1
        await websocket.send(str(session["visits"]))

    made = client(_app(view))
    for visits in ("1", "2"):
        with made.websocket("/ws") as ws:
            assert ws.receive() == visits
    with made.websocket("/ws", headers={"Cookie": "session=none"}) as ws:
        assert ws.receive() == "1"


def test_close_by_the_app(client: MakeClient) -> None:
    async def view() -> None:
        await websocket.send("one")
        await websocket.send("two")
        await websocket.close(4001, "enough")

    with client(_app(view)).websocket("/ws") as ws:
        assert list(ws) == ["one", "two"]
        assert (ws.close_code, ws.close_reason) == (4001, "enough")
        assert repr(ws) == "<TestWebsocket closed 4001>"
        with pytest.raises(WebsocketDisconnect) as caught:
            ws.receive()
        assert (caught.value.code, caught.value.reason) == (4001, "enough")
        with pytest.raises(WebsocketDisconnect, match="4001 'enough'"):
            ws.send("late")
        ws.close()  # nothing happens
        assert ws.wait_closed() == 4001


@pytest.mark.parametrize("colour", ["async def", "def"])
def test_close_by_the_client(client: MakeClient, colour: str) -> None:
    seen: list[Any] = []

    async def view() -> None:
        await websocket.accept()
        try:
            await websocket.receive()
        except WebsocketDisconnect as exc:
            seen.append((exc.code, exc.reason))
            raise

    def view_def() -> None:
        websocket.accept()
        try:
            websocket.receive()
        except WebsocketDisconnect as exc:
            seen.append((exc.code, exc.reason))
            raise

    made = client(_app(view if colour == "async def" else view_def))
    with made.websocket("/ws") as ws:
        ws.close(3000, "bye")
        with pytest.raises(WebsocketDisconnect):
            ws.receive()
    with made.websocket("/ws") as ws:
        ws.abort()
    with made.websocket("/ws"):
        pass
    assert seen == [(3000, "bye"), (1006, ""), (1000, "")]


def test_refusal_has_the_response(client: MakeClient) -> None:
    async def view() -> Any:
        session["who"] = "nobody"
        return {"error": "who?"}, 401, {"X-Why": "because"}

    made = client(_app(view))
    with pytest.raises(WebsocketResponseError, match="401 UNAUTHORIZED") as caught, made.websocket("/ws"):
        raise AssertionError("it was accepted")
    response = caught.value.response
    assert response.status_code == 401
    assert response.json == {"error": "who?"}
    assert response.headers["X-Why"] == "because"
    assert made.get_cookie("session") is not None


def test_missing_path_is_refused(client: MakeClient) -> None:
    with pytest.raises(WebsocketResponseError) as caught, client(_app(_echo)).websocket("/other"):
        pass
    assert caught.value.response.status_code == 404


def test_error_of_the_view_leaves_the_client(client: MakeClient) -> None:
    async def view() -> None:
        await websocket.accept()
        raise ZeroDivisionError("planned")

    app = _app(view)
    app.testing = True
    with pytest.raises(ZeroDivisionError, match="planned"), client(app).websocket("/ws") as ws:
        ws.wait_closed()
    with pytest.raises(ZeroDivisionError, match="planned"), client(app).websocket("/ws"):
        pass


def test_error_of_the_view_without_propagation(client: MakeClient) -> None:
    async def view() -> None:
        await websocket.accept()
        abort(500)

    app = _app(view)
    app.testing = True
    with client(app, raise_server_exceptions=False).websocket("/ws") as ws:
        assert ws.wait_closed() == 1011


def test_receive_says_that_nothing_comes(client: MakeClient) -> None:
    with client(_app(_echo)).websocket("/ws") as ws:
        with pytest.raises(TimeoutError):
            ws.receive(timeout=0.02)
        ws.send("still open")
        assert ws.receive() == "still open"


def test_use_of_a_closed_or_unopened_one(client: MakeClient) -> None:
    ws = client(_app(_echo)).websocket("/ws")
    with pytest.raises(RuntimeError, match="with client.websocket"):
        ws.send("a")
    with pytest.raises(RuntimeError, match="with client.websocket"):
        ws.receive()
    with pytest.raises(RuntimeError, match="with client.websocket"):
        ws.close()
    with ws, pytest.raises(TypeError, match="str or bytes; got dict; use send_json"):
        ws.send({})
    with pytest.raises(RuntimeError, match="opened once"), ws:
        pass


def test_a_view_that_does_not_end_is_given_up(client: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """An `async def` one that swallows its cancellation is cancelled again."""
    monkeypatch.setattr("duoflask.testing.loop_thread.DEFAULT_MAX_CLOSE_SECONDS", 0.5)

    async def view() -> None:
        await websocket.accept()
        await asyncio.sleep(60)

    with client(_app(view)).websocket("/ws"):
        pass


def test_a_view_that_takes_nothing_does_not_hang_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duoflask.testing.wsgi_websocket_run.DEFAULT_MAX_WAIT_SECONDS", 0.2)
    over = threading.Event()

    def view() -> None:
        websocket.accept()
        over.wait(30)

    with Client(_app(view)).websocket("/ws") as ws:
        with pytest.raises(TimeoutError, match="has not received what was sent in time"):
            ws.send("x" * (8 << 20))
        over.set()


# -- against apps by hand


def _scripted(*messages: dict[str, Any]) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            raise RuntimeError("no lifespan")
        assert (await receive())["type"] == "websocket.connect"
        for message in messages:
            await send(message)

    return app


ACCEPT = {"type": "websocket.accept"}


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([], "without accepting or closing"),
        ([ACCEPT], "without closing"),
        ([{"type": "websocket.send", "text": "a"}], "expected one of websocket.accept"),
        ([ACCEPT, ACCEPT], "expected websocket.send or .close"),
        ([ACCEPT, {"type": "websocket.send"}], "exactly one"),
        ([ACCEPT, {"type": "websocket.send", "text": "a", "bytes": b"a"}], "exactly one"),
        ([ACCEPT, {"type": "websocket.send", "text": b"a"}], "got bytes"),
        ([ACCEPT, {"type": "websocket.close"}, {"type": "websocket.close"}], "after the end"),
        ([{**ACCEPT, "subprotocol": "x"}], "invalid subprotocol"),
        ([{**ACCEPT, "headers": [("a", "b")]}], "two byte strings"),
        ([{**ACCEPT, "headers": [(b"a", b"b\r\n")]}], "expected one line"),
        ([{**ACCEPT, "headers": [(b"sec-websocket-protocol", b"x")]}], "set the message's subprotocol"),
        ([{"type": "websocket.http.response.start", "status": 400}, ACCEPT], "response.body"),
    ],
)
def test_what_breaks_asgis_rules_is_an_error(messages: list[dict[str, Any]], text: str) -> None:
    client = Client(_scripted(*messages), protocol="asgi")
    try:
        with pytest.raises(ProtocolError, match=text), client.websocket("/") as ws:
            ws.wait_closed()
    finally:
        client.close()


def test_scope() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            scopes.append(scope)
            await receive()
            await send({"type": "websocket.close"})

    client = Client(app, protocol="asgi")
    with pytest.raises(WebsocketResponseError) as caught, client.websocket("/a%20b?c=d", subprotocols=["x", "y"]):
        pass
    client.close()
    assert caught.value.response.status_code == 403
    (scope,) = scopes
    assert (scope["type"], scope["scheme"], scope["path"]) == ("websocket", "ws", "/a b")
    assert scope["subprotocols"] == ["x", "y"]
    assert "method" not in scope
    assert "websocket.http.response" in scope["extensions"]
    assert dict(scope["headers"])[b"sec-websocket-protocol"] == b"x, y"
    assert dict(scope["headers"])[b"upgrade"] == b"websocket"


def test_send_to_a_client_that_has_left_fails_as_the_specification_says() -> None:
    seen: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send(ACCEPT)
            assert await receive() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
            assert (await receive())["type"] == "websocket.disconnect"
            try:
                await send({"type": "websocket.send", "text": "a"})
            except OSError as exc:
                seen.append(exc)
                raise

    client = Client(app, protocol="asgi")
    with client.websocket("/") as ws:
        ws.abort()
    client.close()
    assert len(seen) == 1


# -- the async client


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@both_colours
def test_async_client(backend: str, echo: Any) -> None:
    async def main() -> None:
        async with AsyncClient(_app(echo)) as client, client.websocket("/ws") as ws:
            await ws.send("text")
            assert await ws.receive() == "text"
            await ws.send_json([1])
            assert await ws.receive_json() == [1]
            with pytest.raises(TimeoutError):
                await ws.receive(timeout=0.01)
            await ws.close(3000)
        assert ws.close_code == 3000

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_client_sees_the_end(backend: str) -> None:
    async def view() -> None:
        await websocket.send("a")
        await websocket.close(4000, "r")

    async def deny() -> Any:
        return "no", 401

    async def fail() -> None:
        await websocket.accept()
        raise ZeroDivisionError

    async def main() -> None:
        app = _app(view)
        app.add_websocket("/deny", "deny", deny)
        app.add_websocket("/fail", "fail", fail)
        app.testing = True
        client = AsyncClient(app)
        async with client.websocket("/ws") as ws:
            assert [data async for data in ws] == ["a"]
            assert await ws.wait_closed() == 4000
        with pytest.raises(WebsocketResponseError):
            async with client.websocket("/deny"):
                pass
        with pytest.raises(ZeroDivisionError):
            async with client.websocket("/fail") as ws:
                await ws.receive()
        async with client.websocket("/ws") as ws:
            await ws.abort()
        with pytest.raises(RuntimeError, match="opened once"):
            async with ws:
                pass

    anyio.run(main, backend=backend)
