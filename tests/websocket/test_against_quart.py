"""The surface that Quart has, too: the same app code, the same answers."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
import quart
import quart.signals
from quart.testing.connections import WebsocketResponseError as QuartResponseError

import duoflask
from duoflask import globals as names, signals
from duoflask.blueprints import Blueprint
from duoflask.testing.websocket_core import WebsocketResponseError
from duoflask.websocket_object import Websocket, WebsocketDisconnect


def _build(app: Any, ws: Any, g: Any, session: Any, request_module: Any) -> list[Any]:
    """The routes and hooks that both get."""
    app.secret_key = "k"
    calls: list[Any] = []

    @app.before_websocket
    async def before() -> Any:
        calls.append("before")
        g.count = 0
        if "refuse" in ws.args:
            return "refused", 401

    @app.after_websocket
    async def after(response: Any) -> Any:
        calls.append(("after", None if response is None else response.status_code))
        return response

    @app.teardown_websocket
    async def teardown(error: Any) -> None:
        calls.append("teardown")

    @app.websocket("/echo/<int:number>")
    async def echo(number: int) -> None:
        while True:
            message = await ws.receive()
            g.count += 1
            await ws.send(f"{number} {g.count} {message}")

    @app.websocket("/json")
    async def json_view() -> None:
        await ws.send_json(await ws.receive_json())
        await ws.send_json(1, 2)
        await ws.send_json(a=1)

    @app.websocket("/fields")
    async def fields() -> None:
        await ws.accept(headers={"X-One": "1"})
        await ws.send_json(
            {
                "path": ws.path,
                "args": ws.args.to_dict(),
                "header": ws.headers["X-Own"],
                "endpoint": ws.endpoint,
                "view_args": ws.view_args,
                "scheme": ws.scheme,
                "method": ws.method,
                "offered": ws.requested_subprotocols,
                "host": ws.host,
                "url": ws.url,
                "is_secure": ws.is_secure,
                "blueprints": ws.blueprints,
            }
        )

    @app.websocket("/response")
    async def response() -> Any:
        return "teapot", 418, {"X-Tea": "yes"}

    @app.websocket("/closes")
    async def closes() -> None:
        await ws.accept()
        await ws.send("x")
        await ws.close(4001, "why")

    @app.errorhandler(KeyError)
    async def handle(error: KeyError) -> Any:
        return f"handled {error}", 409

    @app.websocket("/error")
    async def error() -> None:
        raise KeyError("x")

    @app.get("/plain")
    async def plain() -> str:
        return "plain"

    return calls


async def _talk(client: Any, refusal: type[Exception]) -> list[Any]:
    """The same conversation with both."""
    seen: list[Any] = []
    async with client.websocket("/echo/7") as ws:
        for text in ("a", "b"):
            await ws.send(text)
            seen.append(await ws.receive())
        await ws.send(b"bytes")
        seen.append(await ws.receive())
    async with client.websocket("/json") as ws:
        await ws.send_json({"a": [1]})
        seen += [await ws.receive_json() for _ in range(3)]
    async with client.websocket("/fields?x=1", headers={"X-Own": "o"}) as ws:
        seen.append(await ws.receive_json())
    for path in ("/response", "/error", "/echo/7?refuse=1", "/echo/x", "/nothing"):
        with pytest.raises(refusal) as caught:
            async with client.websocket(path) as ws:
                await ws.receive()
        response: Any = caught.value.response  # type: ignore[attr-defined]
        seen.append((path, response.status_code, response.headers.get("X-Tea")))
        if path in ("/response", "/error"):
            data = response.get_data()
            seen.append(await data if hasattr(data, "__await__") else data)
    async with client.websocket("/closes") as ws:
        seen.append(await ws.receive())
    return seen


def test_same_app_gives_the_same_answers() -> None:
    async def with_quart() -> tuple[list[Any], list[Any]]:
        app = quart.Quart("tests.websocket.quart")
        calls = _build(app, quart.websocket, quart.g, quart.session, quart)
        return await _talk(app.test_client(), QuartResponseError), calls

    async def with_duoflask() -> tuple[list[Any], list[Any]]:
        app = duoflask.DuoFlask("tests.websocket.quart")
        calls = _build(app, names.websocket, names.g, names.session, duoflask)
        async with app.async_test_client() as client:
            return await _talk(client, WebsocketResponseError), calls

    theirs, their_calls = asyncio.run(with_quart())
    ours, our_calls = asyncio.run(with_duoflask())
    assert ours == theirs
    # Where the client leaves, Quart cancels the view and calls no after function (docs/differences.md).
    assert [call for call in our_calls if call != ("after", None)] == [
        call for call in their_calls if call != ("after", None)
    ]


def _public(kind: type) -> set[str]:
    return {name for name in dir(kind) if "websocket" in name and not name.startswith("_")}


# Quart's own inner steps; here they are no methods of the app (docs/differences.md).
INNER = {
    "asgi_websocket_class",
    "dispatch_websocket",
    "do_teardown_websocket",
    "finalize_websocket",
    "full_dispatch_websocket",
    "handle_websocket",
    "handle_websocket_exception",
    "postprocess_websocket",
    "preprocess_websocket",
}


def test_every_name_of_quarts_app_and_blueprint_exists() -> None:
    assert _public(quart.Quart) - INNER <= _public(duoflask.DuoFlask)
    assert _public(quart.Blueprint) <= _public(Blueprint)
    app = duoflask.DuoFlask("x")
    for name in ("before_websocket_funcs", "after_websocket_funcs", "teardown_websocket_funcs"):
        assert isinstance(getattr(app, name), dict)


def test_every_name_of_quarts_websocket_exists() -> None:
    theirs = {name for name in dir(quart.wrappers.Websocket) if not name.startswith("_")}
    assert {name for name in theirs if name not in dir(Websocket)} <= {"json_module", *NOT_OURS}


# Of Quart's base class: asynchronous loading and caching that `Connection` does without.
NOT_OURS = {"custom_max_content_length", "http_version", "raise_on_invalid_websocket"}


def test_every_signal_of_quarts_websockets_exists() -> None:
    for name in dir(quart.signals):
        if "websocket" in name:
            assert getattr(signals, name).name == getattr(quart.signals, name).name


@pytest.mark.parametrize("name", ["accept", "close", "receive", "receive_json", "send", "send_json"])
def test_methods_take_the_same_arguments(name: str) -> None:
    theirs = list(inspect.signature(getattr(quart.wrappers.Websocket, name)).parameters)
    ours = list(inspect.signature(getattr(Websocket, name)).parameters)
    assert ours[: len(theirs)] == theirs


def test_disconnect_is_an_exception_of_ours() -> None:
    assert issubclass(WebsocketDisconnect, Exception)
