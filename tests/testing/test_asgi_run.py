from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from duoflask.testing import ProtocolError
from duoflask.testing.asgi_run import Exchange, Lifespan

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
BODY: dict[str, Any] = {"type": "http.response.body", "body": b"x"}


def exchange(app: Callable[..., Any], body: bytes = b"", **kwargs: Any) -> Exchange:
    async def main() -> Exchange:
        made = Exchange(app, {"type": "http"}, body, **kwargs)
        await made.run()
        return made

    return anyio.run(main)


def sending(*messages: dict[str, Any]) -> Callable[..., Any]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


def test_a_valid_answer_is_collected() -> None:
    made = exchange(sending(START, {**BODY, "more_body": True}, {"type": "http.response.body"}))
    answer = made.answer(list(made.chunks))
    assert answer == ("200 OK", [("A", "b")], [b"x"])


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([], "without sending http.response.start"),
        ([START], "without finishing its body"),
        ([START, {**BODY, "more_body": True}], "without finishing its body"),
        ([START, START], "sent twice"),
        ([BODY], "before http.response.start"),
        ([START, BODY, BODY], "after the last one"),
        ([{"type": "websocket.send"}], "invalid message"),
        ([{**START, "status": "200"}], "invalid status"),
        ([{**START, "status": 20}], "invalid status"),
        ([{**START, "headers": [("a", b"b")]}], "expected two byte strings"),
        ([{**START, "headers": [(b"a", "b")]}], "expected two byte strings"),
        ([{**START, "headers": [(b"a", b"b\r\nc: d")]}], "expected one line"),
        ([START, {**BODY, "body": "text"}], "expected bytes; got str"),
    ],
)
def test_an_app_that_breaks_the_protocol_is_refused(messages: list[dict[str, Any]], error: str) -> None:
    with pytest.raises(ProtocolError, match=error):
        exchange(sending(*messages))


def test_the_body_comes_in_pieces_and_then_the_client_leaves() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while not seen or seen[-1]["more_body"]:
            seen.append(await receive())
        await sending(START, BODY)(scope, receive, send)
        seen.append(await receive())

    exchange(app, b"x" * 150_000)
    assert [len(message["body"]) for message in seen[:-1]] == [65536, 65536, 150_000 - 131072]
    assert seen[-1] == {"type": "http.disconnect"}


def test_a_client_that_left_is_an_os_error_for_send() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        assert await receive() == {"type": "http.request", "body": b"", "more_body": False}
        assert await receive() == {"type": "http.disconnect"}
        with pytest.raises(OSError, match="gone away"):
            await send(BODY)

    async def main() -> None:
        made = Exchange(app, {"type": "http"}, b"", hold=True)
        async with anyio.create_task_group() as group:
            group.start_soon(made.run)
            await anyio.lowlevel.checkpoint()
            await made.disconnect()
        assert made.returned

    anyio.run(main)


def life_of(app: Callable[..., Any]) -> None:
    async def main() -> None:
        life = Lifespan(app)
        async with anyio.create_task_group() as group:
            group.start_soon(life.run)
            try:
                await life.wait_ready()
                await life.stop()
            finally:
                group.cancel_scope.cancel()

    anyio.run(main)


async def refuses(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"


async def returns(scope: Any, receive: Any, send: Any) -> None:
    return


@pytest.mark.parametrize("app", [refuses, returns])
def test_an_app_without_lifespan_is_no_error(app: Callable[..., Any]) -> None:
    life_of(app)


async def fails_late(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    raise ZeroDivisionError


async def talks_nonsense(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.started"})


@pytest.mark.parametrize(("app", "error"), [(fails_late, ZeroDivisionError), (talks_nonsense, ProtocolError)])
def test_an_apps_failure_comes_out(app: Callable[..., Any], error: type[Exception]) -> None:
    with pytest.raises(BaseException) as info:
        life_of(app)
    assert info.group_contains(error) if isinstance(info.value, BaseExceptionGroup) else isinstance(info.value, error)
