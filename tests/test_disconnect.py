"""A client that leaves, at every point of a streamed answer: the producer ends, teardown runs once, nothing is left."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from duoflask import DuoFlask, Response, g, request
from duoflask.sending import PIECES_A_LOOK

STOP_SECONDS = 20.0
# How long the producer may go on; without DUOFLASK_FULL other jobs may run beside.
END_SECONDS = 0.1 if os.environ.get("DUOFLASK_FULL") == "1" else STOP_SECONDS


class Leaving:
    """One request whose client leaves at `point`; the app, its marks and the fake channel.

    Args:
        channel: The fake channel's class.
        point: Where the client leaves.
        colour: The colour of the body.
    """

    def __init__(self, channel: Any, point: str, colour: str) -> None:
        self.point = point
        self.marks: list[str] = []
        self.left_at: float | None = None
        self.closed_at: float | None = None
        self.channel = channel("/stream", on_send=self.on_send)
        self.gone = threading.Event()
        self.app = DuoFlask("app")
        self.app.before_request(self.before)
        self.app.teardown_request(self.tear_down)
        self.app.add_url_rule("/stream", "view", self.view_of(colour))

    # the points

    def leave(self, point: str) -> bool:
        if point != self.point or self.left_at is not None:
            return False
        self.left_at = time.monotonic()
        self.channel.disconnect()
        return True

    async def wait_at(self, point: str) -> None:
        if self.leave(point):
            await anyio.sleep_forever()

    def wait_in_thread_at(self, point: str) -> None:
        if self.point == point and self.left_at is None:
            anyio.from_thread.run_sync(self.leave, point, token=self.home)
            while not request.is_disconnected():
                time.sleep(0.001)

    async def on_send(self, message: Any) -> None:
        body = message.get("body", b"")
        what = "start" if "status" in message else body.decode() if message.get("more_body") else "end"
        await anyio.lowlevel.checkpoint()
        if self.leave(f"send {what} raises"):
            raise BrokenPipeError("gone")
        if what == "end":
            self.leave("send end")  # from here on nothing is cancelled
        await self.wait_at(f"send {what}")
        self.leave(f"after send {what}")

    # the app

    async def before(self) -> None:
        await anyio.lowlevel.checkpoint()
        await self.wait_at("before hook")

    def view_of(self, colour: str) -> Any:
        def respond(body: Any) -> Response:
            g.mark = "mark"
            response = Response(body)
            response.call_on_close(self.on_close)
            return response

        if colour == "def":

            def view() -> Response:
                self.wait_in_thread_at("view")
                return respond(self.chunks())

            return view

        async def async_view() -> Response:
            await self.wait_at("view")
            return respond(self.async_chunks())

        return async_view

    def chunks(self) -> Iterator[str]:
        try:
            for number in range(4):
                self.wait_in_thread_at(f"make {number}")
                yield str(number)
                if self.point == f"leave behind {number}":
                    anyio.from_thread.run_sync(self.leave, self.point, token=self.home)
            self.wait_in_thread_at("behind the last")
        finally:
            self.closed_at = time.monotonic()
            self.marks.append(f"closed {g.mark}")

    async def async_chunks(self) -> AsyncIterator[str]:
        try:
            for number in range(4):
                await self.wait_at(f"make {number}")
                yield str(number)
                self.leave(f"leave behind {number}")
                await anyio.lowlevel.checkpoint()
            await self.wait_at("behind the last")
        finally:
            self.closed_at = time.monotonic()
            self.marks.append(f"closed {g.mark}")

    def on_close(self) -> None:
        self.marks.append("on close")
        if self.point == "on close":
            anyio.from_thread.run_sync(self.leave, self.point, token=self.home)

    async def tear_down(self, error: BaseException | None) -> None:
        await anyio.lowlevel.checkpoint()
        self.leave("teardown")
        await anyio.lowlevel.checkpoint()
        self.marks.append("teardown")

    # the run

    async def serve(self) -> None:
        self.home = anyio.lowlevel.current_token()
        self.leave("before the request")
        with anyio.fail_after(STOP_SECONDS):
            try:
                await self.channel.serve(self.app)
            except BrokenPipeError:
                assert self.point.endswith("raises")
        self.leave("after the request")
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        self.tasks = _tasks_beside_this()
        with anyio.fail_after(STOP_SECONDS):
            workers = self.app._workers
            while workers._spare != workers.threads:  # one that has been started for nothing says so a little later
                await anyio.sleep(0.001)


def _tasks_beside_this() -> int:
    """How many tasks are left on asyncio; on trio they could not outlive the request."""
    try:
        return len(asyncio.all_tasks()) - 1
    except RuntimeError:
        return 0


POINTS = [
    "before the request",
    "before hook",
    "view",
    "send start",
    "send start raises",
    "after send start",
    "make 0",
    "send 0",
    "send 0 raises",
    "after send 0",
    "leave behind 0",
    "make 2",
    "send 2",
    "send 2 raises",
    "leave behind 2",
    "make 3",
    "send 3",
    "leave behind 3",
    "behind the last",
    "send end",
    "send end raises",
    "on close",
    "teardown",
    "after the request",
]
# Where the view has not run, there is no body to close.
BEFORE_THE_BODY = {"before the request", "before hook", "view"}
# Where the body has not begun, its `finally` does not run either.
BEFORE_THE_FIRST_PIECE = {"send start", "send start raises"}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize("point", POINTS)
def test_client_that_leaves(channel: Any, caplog: Any, point: str, colour: str, backend: str) -> None:
    leaving = Leaving(channel, point, colour)
    caplog.set_level(logging.INFO)
    anyio.run(leaving.serve, backend=backend)
    assert leaving.left_at is not None, "the point was never reached"
    assert leaving.marks.count("teardown") == 1
    assert leaving.marks[-1] == "teardown"
    closes = [mark for mark in leaving.marks if mark.startswith("closed")]
    assert closes in ([], ["closed mark"])
    if point not in BEFORE_THE_BODY | BEFORE_THE_FIRST_PIECE | {"after send start"}:
        assert closes
    if leaving.closed_at is not None:
        assert leaving.closed_at - leaving.left_at < END_SECONDS
    if point not in BEFORE_THE_BODY:
        assert leaving.marks.count("on close") == 1
    assert leaving.tasks == 0
    assert [record.getMessage() for record in caplog.records] == []
    gc.collect()  # what nobody awaited would warn


# -- bodies that are hard to stop


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Served:
    """A request on its way, whose app notes what happens."""

    def __init__(self, channel: Any, **kwargs: Any) -> None:
        self.app = DuoFlask("app")
        self.marks: list[str] = []
        self.app.teardown_request(lambda error: self.marks.append("teardown"))
        self.channel = channel("/", **kwargs)

    async def run(self) -> None:
        with anyio.fail_after(STOP_SECONDS):
            await self.channel.serve(self.app)

    async def leave_after(self, pieces: int) -> None:
        while len(self.channel.sent) < pieces + 1:
            await anyio.lowlevel.checkpoint()
        self.channel.disconnect()

    async def run_and_leave(self, pieces: int) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.leave_after, pieces)
            await self.run()


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_body_that_never_waits_is_stopped(channel: Any, caplog: Any, backend: str, colour: str, size: int) -> None:
    served = Served(channel)

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * size
        finally:
            served.marks.append("closed")

    async def async_chunks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * size
        finally:
            served.marks.append("closed")

    served.app.add_url_rule("/", "view", chunks if colour == "def" else async_chunks)
    anyio.run(served.run_and_leave, 3, backend=backend)
    assert served.marks == ["closed", "teardown"]
    assert caplog.records == []


def test_a_body_that_swallows_its_cancellation_ends_soon_all_the_same(channel: Any, backend: str) -> None:
    served = Served(channel)

    @served.app.get("/")
    async def view() -> Any:
        async def chunks() -> AsyncIterator[str]:
            yield "first"
            try:
                await anyio.sleep_forever()
            except anyio.get_cancelled_exc_class():
                served.marks.append("swallowed")
            while True:
                yield "more"

        return chunks()

    anyio.run(served.run_and_leave, 1, backend=backend)
    assert served.marks == ["swallowed", "teardown"]
    assert served.channel.text.count("more") < PIECES_A_LOOK


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_a_body_that_reads_the_request_of_a_client_that_leaves(
    channel: Any, caplog: Any, backend: str, colour: str
) -> None:
    """An echo: what reading raises is no failure of the body's."""
    served = Served(channel, method="POST")
    told = threading.Event()

    async def receive() -> dict[str, Any]:
        if not told.is_set():
            told.set()
            return {"type": "http.request", "body": b"one", "more_body": True}
        return {"type": "http.disconnect"}

    served.channel.scope["headers"].append((b"transfer-encoding", b"chunked"))
    served.channel.receive = receive

    def chunks() -> Iterator[bytes]:
        yield from request.stream

    async def async_chunks() -> AsyncIterator[bytes]:
        async for piece in request.stream:
            yield piece

    view = chunks if colour == "def" else async_chunks
    served.app.add_url_rule("/", "view", view, methods=["POST"], stream_body=True)
    anyio.run(served.run, backend=backend)
    assert served.channel.text in ("one", "")  # nobody is there to be sent it
    assert not any(message.get("more_body") is None for message in served.channel.sent[1:])
    assert served.marks == ["teardown"]
    assert caplog.records == []


def test_a_def_body_may_ask_whether_its_client_has_left(channel: Any, backend: str) -> None:
    served = Served(channel)

    @served.app.get("/")
    def view() -> Iterator[str]:
        yield "first"
        while not request.is_disconnected():
            time.sleep(0.001)
        served.marks.append("saw it")
        yield "never sent"

    anyio.run(served.run_and_leave, 1, backend=backend)
    assert served.marks == ["saw it", "teardown"]
    assert served.channel.text == "first"


# -- CANCEL_ON_DISCONNECT


@pytest.mark.parametrize("cancels", [True, False])
def test_cancel_on_disconnect_decides_about_an_async_view(channel: Any, backend: str, cancels: bool) -> None:
    served = Served(channel)
    assert served.app.config["CANCEL_ON_DISCONNECT"] is True
    served.app.config["CANCEL_ON_DISCONNECT"] = cancels

    @served.app.get("/")
    async def view() -> str:
        served.channel.disconnect()
        for _ in range(10):
            await anyio.sleep(0)
        served.marks.append(f"went on, disconnected: {request.is_disconnected()}")
        return "x"

    anyio.run(served.run, backend=backend)
    assert served.marks == (["teardown"] if cancels else ["went on, disconnected: True", "teardown"])


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_without_cancellation_a_stream_ends_with_its_next_piece(
    channel: Any, caplog: Any, backend: str, colour: str
) -> None:
    served = Served(channel)
    served.app.config["CANCEL_ON_DISCONNECT"] = False
    go_on = threading.Event()

    def chunks() -> Iterator[str]:
        try:
            yield "first"
            while not go_on.wait(0.001):
                pass
            served.marks.append("not interrupted")
            yield "second"
            yield "third"
            while True:
                yield "more"
        finally:
            served.marks.append("closed")

    async def async_chunks() -> AsyncIterator[str]:
        try:
            yield "first"
            while not go_on.is_set():
                await anyio.sleep(0.001)
            served.marks.append("not interrupted")
            yield "second"
            served.marks.append("asked for more")
        finally:
            served.marks.append("closed")

    served.app.add_url_rule("/", "view", chunks if colour == "def" else async_chunks)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(served.run)
            await served.leave_after(1)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert served.marks == []
            go_on.set()

    anyio.run(main, backend=backend)
    assert served.marks == ["not interrupted", "closed", "teardown"]
    assert served.channel.text == "first"
    assert caplog.records == []


# -- mounted applications


class OwnError(Exception):
    """What a framework makes of the error of `send`."""


def test_a_mounted_framework_that_dresses_up_the_error_of_send_is_not_logged(channel: Any, backend: str) -> None:
    async def framework(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        except OSError as exc:
            raise OwnError from exc

    async def refuse(message: Any) -> None:
        if message.get("body"):
            raise BrokenPipeError("the server's own")

    app = DuoFlask("app")
    app.mount("/a", framework, protocol="asgi")
    with pytest.raises(BrokenPipeError, match="the server's own"):  # which the server knows again
        anyio.run(channel("/a", on_send=refuse).serve, app, backend=backend)


@pytest.mark.parametrize("told", [False, True])
def test_other_errors_of_a_mounted_framework_pass(channel: Any, backend: str, told: bool) -> None:
    async def framework(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        except OSError:
            assert told
        raise OwnError

    async def refuse(message: Any) -> None:
        if told:
            raise BrokenPipeError

    app = DuoFlask("app")
    app.mount("/a", framework, protocol="asgi")
    with pytest.raises(OwnError):
        anyio.run(channel("/a", on_send=refuse).serve, app, backend=backend)


# -- WSGI


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize("pulled", [0, 1, 2, 4])
def test_a_client_that_leaves_under_wsgi(wsgi_call: Any, caplog: Any, colour: str, pulled: int) -> None:
    """A server tells by `close()`, and may do so in another thread than the one that iterated."""
    app, marks = DuoFlask("app"), []
    app.teardown_request(lambda error: marks.append(f"teardown {error}"))

    def chunks() -> Iterator[str]:
        try:
            yield from "abcd"
        finally:
            marks.append(f"closed {request.path}")

    async def async_chunks() -> AsyncIterator[str]:
        try:
            for piece in "abcd":
                await anyio.lowlevel.checkpoint()
                yield piece
        finally:
            marks.append(f"closed {request.path}")

    def view() -> Response:
        response = Response(chunks() if colour == "def" else async_chunks())
        response.call_on_close(lambda: marks.append("on close"))
        return response

    app.add_url_rule("/a", "view", view)
    call = wsgi_call(app, "/a")
    pieces = iter(call.body)
    assert [next(pieces) for _ in range(pulled)] == [b"a", b"b", b"c", b"d"][:pulled]
    closing = threading.Thread(target=call.close)
    closing.start()
    closing.join()
    call.close()
    assert marks == [*(["closed /a"] if pulled else []), "on close", "teardown None"]
    assert caplog.records == []
