"""An ASGI application that is pulled: its head, its chunks, its end."""

from __future__ import annotations

import math
from typing import Any

import anyio
import pytest

from duoflask.foreign import Guest, guest as guest_module

START = {"type": "http.response.start", "status": 200, "headers": []}


def chunk(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Any:
    return lambda main: anyio.run(main, backend=request.param)


class Body:
    """A request body of pieces; counts how often it is asked."""

    def __init__(self, *pieces: bytes, cut: bool = False) -> None:
        self._pieces = list(pieces)
        self._cut = cut
        self.pulled = 0

    async def __call__(self) -> dict[str, Any]:
        self.pulled += 1
        if not self._pieces and self._cut:
            return {"type": "http.disconnect"}
        body = self._pieces.pop(0) if self._pieces else b""
        return {"type": "http.request", "body": body, "more_body": bool(self._pieces) or self._cut}


async def read(guest: Guest) -> list[bytes]:
    await guest.start()
    chunks = [chunk async for chunk in guest]
    await guest.aclose()
    return chunks


def test_head_and_chunks_come_in_order(run: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for body in (b"a", b"", b"b"):
            await send(chunk(body))
        await send(chunk(b"c", False))

    async def main() -> None:
        assert await read(Guest(app, {}, Body())) == [b"a", b"b", b"c"]

    run(main)


def test_the_application_waits_until_its_chunk_is_taken(run: Any) -> None:
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        for number in range(100):
            await send(chunk(b"%d" % number))
            sent.append(number)
        await send(chunk(b"", False))

    async def main() -> None:
        guest = Guest(app, {}, Body())
        await guest.start()
        for number in range(5):
            assert await anext(guest) == b"%d" % number
            await anyio.sleep(0.001)
            assert len(sent) <= number + 1
        await guest.aclose()

    run(main)


def test_the_body_is_asked_for_only_when_the_application_wants_it(run: Any) -> None:
    body = Body(b"a", b"b")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        first = await receive()
        await send(START)
        assert body.pulled == 1
        await send(chunk(first["body"]))
        await send(chunk((await receive())["body"], False))

    async def main() -> None:
        assert await read(Guest(app, {}, body)) == [b"a", b"b"]
        assert body.pulled == 2

    run(main)


def test_receive_behind_the_body_waits_for_the_disconnect(run: Any) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await receive())["type"])
        await send(START)
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                seen.append((await receive())["type"])
                group.cancel_scope.cancel()

            group.start_soon(watch)
            while True:
                await send(chunk(b"x"))

    async def main() -> None:
        guest = Guest(app, {}, Body())
        await guest.start()
        assert await anext(guest) == b"x"
        assert seen == ["http.request"]
        await guest.aclose()
        assert seen == ["http.request", "http.disconnect"]

    run(main)


def test_a_body_that_is_cut_is_a_disconnect(run: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        kinds = [(await receive())["type"] for _ in range(3)]
        await send(START)
        await send(chunk(" ".join(kinds).encode(), False))

    async def main() -> None:
        assert await read(Guest(app, {}, Body(b"a", cut=True))) == [b"http.request http.disconnect http.disconnect"]

    run(main)


def test_send_raises_an_oserror_once_the_client_has_left(run: Any) -> None:
    caught = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            while True:
                await send(chunk(b"x"))
        except OSError as exc:
            caught.append(exc)
            raise RuntimeError("wrapped, as Starlette does") from exc

    async def main() -> None:
        guest = Guest(app, {}, Body())
        await guest.start()
        await guest.aclose()
        await guest.aclose()

    run(main)
    assert len(caught) == 1


def test_an_error_that_does_not_come_of_the_disconnect_is_raised_at_the_close(run: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        raise LookupError("clean-up failed")

    async def main() -> None:
        guest = Guest(app, {}, Body())
        await guest.start()
        with anyio.move_on_after(0.01):
            await anext(guest)
        with pytest.raises(LookupError, match="clean-up failed"):
            await guest.aclose()

    run(main)


def test_one_that_does_not_notice_is_cancelled(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_module, "CLOSE_TIMEOUT", 0.01)
    cleaned = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append(True)

    async def main() -> None:
        guest = Guest(app, {}, Body())
        await guest.start()
        await guest.aclose()

    run(main)
    assert cleaned == [True]


def test_what_runs_behind_a_complete_body_is_waited_for(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_module, "CLOSE_TIMEOUT", 0.001)
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(chunk(b"all", False))
        await anyio.sleep(0.02)
        done.append(True)

    async def main() -> None:
        assert await read(Guest(app, {}, Body())) == [b"all"]

    run(main)
    assert done == [True]


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([], "returned without an answer"),
        ([chunk(b"x")], "expected 'http.response.start'; got 'http.response.body'"),
        ([START], "returned before its body was complete"),
        ([START, chunk(b"x")], "returned before its body was complete"),
        ([START, START], "expected 'http.response.body'; got 'http.response.start'"),
    ],
)
def test_broken_protocol_is_an_error(run: Any, messages: list[Any], error: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def main() -> None:
        guest = Guest(app, {}, Body())
        with pytest.raises(RuntimeError, match=error):
            await guest.start()
            async for _ in guest:
                pass
        await guest.aclose()

    run(main)


@pytest.mark.parametrize("error", [LookupError("x"), SystemExit("x")])
@pytest.mark.parametrize("started", [False, True])
def test_what_the_application_raises_reaches_who_pulls(run: Any, error: BaseException, started: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if started:
            await send(START)
        raise error

    async def main() -> None:
        guest = Guest(app, {}, Body())
        with pytest.raises(type(error)):
            await guest.start()
            await anext(guest)
        await guest.aclose()

    run(main)


def test_a_puller_that_fails_is_a_disconnect_for_the_application(run: Any) -> None:
    seen = []

    async def pull() -> dict[str, Any]:
        raise LookupError("cannot read")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((await receive())["type"])

    async def main() -> None:
        guest = Guest(app, {}, pull)
        with pytest.raises(LookupError):
            await guest.start()
        await guest.aclose()

    run(main)
    assert seen == ["http.disconnect"]


def test_a_guest_that_never_started_has_nothing_to_close() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    anyio.run(Guest(app, {}, Body()).aclose)
    assert math.isfinite(guest_module.CLOSE_TIMEOUT)
