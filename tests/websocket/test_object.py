"""The WebSocket object: fields, messages, states, and what a developer may do wrong; under both protocols."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from duoflask import DuoFlask, g, request
from duoflask.globals import websocket, websocket_ctx
from duoflask.testing.websocket_core import WebsocketResponseError
from duoflask.websocket_context import (
    after_this_websocket,
    copy_current_websocket_context,
    has_websocket_context,
)
from duoflask.websocket_object import BadMessage, Websocket, WebsocketDisconnect


def _app(**config: Any) -> DuoFlask:
    app = DuoFlask("tests.websocket.object")
    app.config.update(config)
    return app


def _run(client: Any, app: DuoFlask, view: Any, **kwargs: Any) -> Any:
    """What a view, which sends one JSON value, answers."""
    app.add_websocket("/ws", "ws", view)
    with client(app).websocket("/ws", **kwargs) as ws:
        return ws.receive_json()


def test_fields_are_those_of_the_handshake(client: Any) -> None:
    app = _app()

    async def view() -> None:
        own = websocket
        await websocket.send_json(
            path=own.path,
            args=own.args.to_dict(),
            cookies=dict(own.cookies),
            header=own.headers["X-One"],
            scheme=own.scheme,
            url=own.url,
            method=own.method,
            endpoint=own.endpoint,
            view_args=own.view_args,
            host=own.host,
            blueprint=own.blueprint,
            rule=str(own.url_rule),
            offered=own.requested_subprotocols,
            same=[request.path == own.path, request.url == own.url, request.method, request.endpoint == own.endpoint],
            data=request.get_data(as_text=True),
            secure=own.is_secure,
        )

    made = client(app)
    made.set_cookie("c", "1")
    app.add_websocket("/ws", "ws", view)
    with made.websocket("/ws?a=1&b=2", headers={"X-One": "1"}, subprotocols=["v2", "v1"]) as ws:
        got = ws.receive_json()
    assert got == {
        "path": "/ws",
        "args": {"a": "1", "b": "2"},
        "cookies": {"c": "1"},
        "header": "1",
        "scheme": "ws",
        "url": "ws://localhost/ws?a=1&b=2",
        "method": "GET",
        "endpoint": "ws",
        "view_args": {},
        "host": "localhost",
        "blueprint": None,
        "rule": "/ws",
        "offered": ["v2", "v1"],
        "same": [True, True, "GET", True],
        "data": "",
        "secure": False,
    }


def test_accept_sends_fields_and_the_subprotocol(client: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.accept(headers={"X-Two": "2"}, subprotocol="v1")
        await websocket.accept()  # changes nothing

    with client(app).websocket("/ws", subprotocols=["v2", "v1"]) as ws:
        assert ws.subprotocol == "v1"
        assert ws.headers["X-Two"] == "2"


def test_subprotocol_that_is_not_offered_refuses_the_handshake(client: Any, caplog: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.accept(subprotocol="v9")

    with pytest.raises(WebsocketResponseError) as caught, client(app).websocket("/ws"):
        pass
    assert caught.value.response.status_code == 400
    assert "v9" in caught.value.response.text
    assert not caplog.records


@pytest.mark.parametrize("name", ["Sec-WebSocket-Protocol", "upgrade", "Connection", "Sec-WebSocket-Accept"])
def test_field_of_the_handshake_cannot_be_set(client: Any, name: str) -> None:
    async def view() -> None:
        with pytest.raises(ValueError, match=f"(?i)cannot set the field '{name}'"):
            await websocket.accept(headers={name: "x"})
        await websocket.send_json(True)

    assert _run(client, _app(), view) is True


def test_field_that_would_split_the_answer_is_refused(client: Any) -> None:
    async def view() -> None:
        with pytest.raises(ValueError):
            await websocket.accept(headers=[("X-Bad", "a\r\nb: c")])
        await websocket.send_json(True)

    assert _run(client, _app(), view) is True


def test_json_in_both_directions(client: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.send_json(await websocket.receive_json())
        await websocket.send_json(1, 2)
        await websocket.send_json(a=1)
        with pytest.raises(TypeError, match="not both"):
            await websocket.send_json(1, a=1)

    @app.websocket("/def")
    def blocking() -> None:
        websocket.send_json(websocket.receive_json())
        websocket.send_json(1, 2)
        websocket.send_json(a=1)

    made = client(app)
    for path in ("/ws", "/def"):
        with made.websocket(path) as ws:
            ws.send_json({"x": [1, None]})
            assert [ws.receive_json() for _ in range(3)] == [{"x": [1, None]}, [1, 2], {"a": 1}]


def test_message_that_is_no_json_closes_with_1008(client: Any, caplog: Any) -> None:
    app = _app()
    caught: list[Exception] = []

    @app.websocket("/ws")
    async def view() -> None:
        try:
            await websocket.receive_json()
        except ValueError as exc:
            caught.append(exc)
        await websocket.receive_json()

    with client(app).websocket("/ws") as ws:
        ws.send("{")
        ws.send("[" * 100_000)
        assert ws.wait_closed() == 1008
    assert [type(exc) for exc in caught] == [BadMessage]
    assert not caplog.records


def test_close_has_a_code_and_a_reason(client: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.accept()
        await websocket.close(4999, "r" * 123)
        await websocket.close(1000)  # changes nothing

    with client(app).websocket("/ws") as ws:
        assert (ws.wait_closed(), ws.close_reason) == (4999, "r" * 123)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, "1000", None])
def test_code_that_may_not_be_sent_is_refused(client: Any, code: Any) -> None:
    async def view() -> None:
        with pytest.raises(ValueError, match="invalid close code; expected 1000 to 1003"):
            await websocket.close(code)
        await websocket.send_json(True)

    assert _run(client, _app(), view) is True


def test_reason_that_no_frame_holds_is_refused(client: Any) -> None:
    async def view() -> None:
        with pytest.raises(ValueError, match="up to 123 bytes"):
            await websocket.close(1000, "ä" * 62)
        await websocket.send_json(True)

    assert _run(client, _app(), view) is True


def test_send_after_close_says_so(client: Any) -> None:
    app = _app()
    caught: list[str] = []

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.accept()
        await websocket.close(1000)
        for method in (lambda: websocket.send("x"), lambda: websocket.send_json(1), websocket.accept):
            with pytest.raises(RuntimeError, match="not open any more: close.. was called with the code 1000") as info:
                await method()
            caught.append(str(info.value))
        with pytest.raises(WebsocketDisconnect):
            await websocket.receive()
        async for _ in websocket:
            raise AssertionError("nothing comes after close()")
        caught.append("end")

    with client(app).websocket("/ws") as ws:
        assert ws.wait_closed() == 1000
    assert caught[-1] == "end"
    assert caught[0].startswith("send() was called")


class _Odd:
    pass


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "got NoneType; write send_json"),
        ({}, "got dict; write send_json"),
        ([1], "got list; write send_json"),
        (1, "got int; write send_json"),
        (_Odd(), "got _Odd; make a str or bytes"),
    ],
)
def test_message_of_another_type_is_refused(client: Any, value: Any, words: str) -> None:
    async def view() -> None:
        with pytest.raises(TypeError, match=words):
            await websocket.send(value)
        await websocket.send_json(True)

    assert _run(client, _app(), view) is True


def test_forgotten_await_before_receive_is_named(client: Any) -> None:
    async def view() -> None:
        with pytest.raises(TypeError, match="'await websocket.receive\\(\\)'"):
            await websocket.send(websocket.receive())
        await websocket.send_json(True)

    assert _run(client, _app(), view) is True


def test_bytes_like_messages_are_bytes(client: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.send(bytearray(b"a"))
        await websocket.send(memoryview(b"b"))
        await websocket.send(b"")
        await websocket.send("")

    with client(app).websocket("/ws") as ws:
        assert [ws.receive() for _ in range(4)] == [b"a", b"b", b"", ""]


def test_plain_for_on_the_loop_says_what_to_write(client: Any) -> None:
    async def view() -> None:
        with pytest.raises(TypeError, match="write 'async for'"):
            for _ in websocket:
                pass
        await websocket.send_json(True)

    assert _run(client, _app(), view) is True


def test_view_that_leaves_something_unawaited_is_named(client: Any) -> None:
    app = _app(TESTING=True)

    @app.websocket("/ws")
    async def view() -> Any:
        await websocket.accept()
        return websocket.send("x")

    with pytest.raises(TypeError, match="still has to be awaited; write 'await'"), client(app).websocket("/ws") as end:
        end.wait_closed()


def test_def_view_may_return_what_has_to_be_awaited(client: Any) -> None:
    app = _app()
    app.add_websocket("/ws", "ws", lambda: websocket_ctx.app.async_view())

    async def async_view() -> None:
        await websocket.send("x")

    app.async_view = async_view  # type: ignore[attr-defined]
    with client(app).websocket("/ws") as ws:
        assert ws.receive() == "x"


@pytest.mark.parametrize("colour", ["async", "def"])
def test_view_that_yields_is_named(client: Any, colour: str) -> None:
    app = _app(TESTING=True)
    if colour == "async":

        @app.websocket("/ws")
        async def view() -> Any:
            yield "x"

    else:

        @app.websocket("/ws")
        def def_view() -> Any:
            yield "x"

    with pytest.raises(TypeError, match="is a generator: its 'yield' sends nothing"), client(app).websocket("/ws"):
        pass


def test_value_that_nobody_gets_is_a_warning(client: Any, caplog: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> str:
        await websocket.accept()
        return "lost"

    with client(app).websocket("/ws") as end:
        assert end.wait_closed() == 1000
    (record,) = caplog.records
    assert "returned str after accept()" in record.getMessage()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"methods": ["POST"]}, "always a GET"),
        ({"inline": True}, "async def"),
        ({"stream_body": True}, "no body"),
        ({"max_content_length": 1}, "no body"),
        ({"provide_automatic_options": True}, "OPTIONS"),
        ({"timeout": 5}, "asyncio.timeout"),
    ],
)
def test_option_that_a_websocket_cannot_have_is_refused(options: dict[str, Any], words: str) -> None:
    app = _app()
    with pytest.raises(TypeError, match=words):
        app.websocket("/ws", **options)
    with pytest.raises(TypeError, match=words):
        app.add_websocket("/ws", "ws", lambda: None, **options)


def test_proxy_outside_a_websocket_says_where_it_is_bound(client: Any) -> None:
    app = _app()

    @app.get("/")
    def index() -> str:
        assert not has_websocket_context()
        with pytest.raises(RuntimeError, match="in the view of a plain request use 'request'"):
            _ = websocket.path
        with pytest.raises(RuntimeError, match="Working outside of websocket context"):
            websocket.receive()
        with pytest.raises(RuntimeError, match="after_this_websocket was called while no WebSocket is active"):
            after_this_websocket(lambda response: None)
        with pytest.raises(RuntimeError, match="no WebSocket is active"):
            copy_current_websocket_context(index)
        assert not websocket
        return repr(websocket)

    assert client(app).get("/").text == "<LocalProxy unbound>"
    with pytest.raises(RuntimeError, match="Working outside of websocket context"):
        _ = websocket.path


def test_class_of_the_app_is_used(client: Any) -> None:
    app = _app()

    class Own(Websocket):
        def shout(self) -> Any:
            return self.send(self.path.upper())

    app.websocket_class = Own

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.shout()  # type: ignore[attr-defined]

    @app.websocket("/def")
    def def_view() -> None:
        websocket.shout()  # type: ignore[attr-defined]

    made = client(app)
    with made.websocket("/ws") as end:
        assert end.receive() == "/WS"
    with made.websocket("/def") as end:
        assert end.receive() == "/DEF"


# -- other tasks and threads


def test_child_tasks_share_the_connection(client: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> None:
        queue: asyncio.Queue[Any] = asyncio.Queue()
        g.queue = queue

        async def reader() -> None:
            async for message in websocket:
                await g.queue.put(message)

        async def writer() -> None:
            while True:
                await websocket.send(f"back {await queue.get()}")

        async with asyncio.TaskGroup() as group:
            write = group.create_task(writer())
            await group.create_task(reader())
            write.cancel()

    with client(app).websocket("/ws") as end:
        for number in range(50):
            end.send(str(number))
        assert [end.receive() for _ in range(50)] == [f"back {number}" for number in range(50)]


def test_thread_of_a_view_sends_and_receives(client: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.accept()

        def work() -> None:
            websocket.send(f"thread got {websocket.receive()}")

        await asyncio.to_thread(copy_current_websocket_context(work))
        await asyncio.to_thread(work)  # to_thread copies the Context itself

    @app.websocket("/def")
    def def_view() -> None:
        websocket.accept()

        def work() -> None:
            websocket.send(f"thread got {websocket.receive()}")

        for _ in range(2):
            thread = threading.Thread(target=copy_current_websocket_context(work))
            thread.start()
            thread.join()

    made = client(app)
    for path in ("/ws", "/def"):
        with made.websocket(path) as end:
            for text in ("a", "b"):
                end.send(text)
                assert end.receive() == f"thread got {text}"


def test_task_copy_of_the_context_shares_g(client: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> None:
        g.value = 1

        async def work() -> None:
            g.value += 1
            await websocket.send(str(g.value))

        await asyncio.create_task(copy_current_websocket_context(work)())

    with client(app).websocket("/ws") as end:
        assert end.receive() == "2"


def test_loop_of_another_thread_is_refused(client: Any) -> None:
    app = _app()
    caught: list[str] = []

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.accept()

        async def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="belongs to another event loop") as info:
                await websocket.send("x")
            caught.append(str(info.value))

        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))

    with client(app).websocket("/ws") as end:
        end.wait_closed()
    assert caught


def test_disconnected_is_known_after_the_end(client: Any) -> None:
    app = _app()
    seen: list[bool] = []

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.accept()
        seen.append(websocket.disconnected)
        async for _ in websocket:
            pass
        seen.append(websocket.disconnected)

    with client(app).websocket("/ws") as end:
        end.send("x")
    assert seen == [False, True]


# -- made-up contexts


def test_test_websocket_context() -> None:
    app = _app()
    app.add_websocket("/ws/<int:n>", "ws", lambda n: None)
    torn: list[str] = []
    app.teardown_websocket(lambda error: torn.append("websocket"))
    app.teardown_request(lambda error: torn.append("request"))
    with app.test_websocket_context("/ws/3?a=1", subprotocols=["x"], headers={"X-A": "1"}):
        assert has_websocket_context()
        assert (websocket.endpoint, websocket.view_args, websocket.scheme) == ("ws", {"n": 3}, "ws")
        assert (websocket.args["a"], websocket.headers["X-A"], websocket.requested_subprotocols) == ("1", "1", ["x"])
        assert request.path == "/ws/3"
        assert app.url_for("ws", n=1, _external=True) == "ws://localhost/ws/1"
        with pytest.raises(RuntimeError, match="client.websocket"):
            websocket.send("x")
    assert torn == ["websocket", "request"]
    assert not has_websocket_context()
    with app.test_websocket_context("/nothing"):
        assert websocket.routing_exception is not None
        assert websocket.routing_exception.code == 404


def test_context_of_a_scope_and_of_a_websocket(channel: Any) -> None:
    app = _app()
    app.add_websocket("/ws", "ws", lambda: None)
    scope = {**channel("/ws").scope, "type": "websocket", "scheme": "ws", "subprotocols": []}
    del scope["method"]

    async def enter() -> None:
        async with app.websocket_context(scope):
            assert websocket.endpoint == "ws"
            inner = websocket._get_current_object()
        async with app.websocket_context(inner):
            assert websocket.path == "/ws"
            assert request.environ["REQUEST_METHOD"] == "GET"

    asyncio.run(enter())


def test_plain_with_and_an_async_teardown_on_a_loop_is_refused() -> None:
    app = _app()

    @app.teardown_websocket
    async def end(error: Any) -> None:
        pass

    async def enter() -> None:
        with pytest.raises(RuntimeError, match="write 'async with'"), app.test_websocket_context("/"):
            pass

    asyncio.run(enter())
