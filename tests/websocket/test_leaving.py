"""A client that leaves, at each point of a WebSocket's life: on asyncio and trio, views of both colours."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from duoflask import DuoFlask, g
from duoflask.globals import websocket
from duoflask.websocket_context import copy_current_websocket_context
from duoflask.websocket_object import WebsocketDisconnect

from .sockets import Socket

# What the goal says is 0.1 s; a machine that runs seven other jobs gets more.
PATIENCE = 0.1 if os.environ.get("DUOFLASK_FULL") else 20.0


class Case:
    """One app with one view, and what happens to it.

    Args:
        backend: asyncio or trio.
        config: Of the app.
        socket: Arguments of the socket.
    """

    def __init__(self, backend: str, config: dict[str, Any] | None = None, **socket: Any) -> None:
        self.backend = backend
        self.app = DuoFlask("tests.websocket.leaving")
        self.app.config.update(config or {})
        self.notes: list[str] = []
        self.told: list[BaseException | None] = []
        self.ready: Any = None
        self.forever: Any = None
        self.seconds = 0.0
        self._options = socket
        self.app.teardown_websocket(self.told.append)
        self.app.teardown_request(lambda error: self.notes.append("torn down"))

    async def stay(self) -> None:
        """Say that the point is reached, and wait for ever."""
        self.ready.set()
        try:
            await self.forever.wait()
        finally:
            self.notes.append("stopped")

    def run(self, *, before: Callable[[Socket], Any] | None = None, leave: bool = True) -> Socket:
        """Serve one connection; its client leaves when the view is ready.

        Args:
            before: Called with the socket before it is served.
            leave: Whether it does.
        """
        return anyio.run(self._run, before, leave, backend=self.backend)

    async def _run(self, before: Any, leave: bool) -> Socket:
        self.ready, self.forever = anyio.Event(), anyio.Event()
        socket = Socket(**self._options)
        if before is not None:
            before(socket)
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(socket.serve, self.app)
                await self.ready.wait()
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
                began = time.perf_counter()
                if leave:
                    socket.leave()
            self.seconds = time.perf_counter() - began
        await self._nothing_is_left(socket)
        return socket

    async def _nothing_is_left(self, socket: Socket) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        if self.backend == "asyncio":
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
        assert socket.readers == 0
        assert socket.most_readers <= 1


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    """The event loop."""
    return request.param


def _check(case: Case, *notes: str, error: type[BaseException] | None = BaseException) -> None:
    """The view has ended as noted, teardown ran once, and soon enough."""
    assert case.notes == [*notes, "torn down"]
    (told,) = case.told
    if error is None:
        assert told is None
    else:
        assert isinstance(told, error)
    assert case.seconds < PATIENCE


def _threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("duoflask-worker")}


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: Any) -> Any:
    """No log noise, and no thread left but the pool's."""
    before = _threads()
    yield
    assert not caplog.records
    assert _threads() <= before


@pytest.mark.parametrize("hook", ["before_request", "before_websocket"])
def test_while_a_hook_waits(backend: str, hook: str) -> None:
    case = Case(backend)
    getattr(case.app, hook)(case.stay)
    case.app.add_websocket("/ws", "ws", lambda: case.notes.append("view"))
    socket = case.run()
    _check(case, "stopped")
    assert socket.sent == []


def test_before_anything(backend: str) -> None:
    case = Case(backend)
    case.app.add_websocket("/ws", "ws", lambda: case.notes.append("view"))

    async def main() -> None:
        socket = Socket()
        socket.inbox.clear()
        socket.leave()
        await socket.serve(case.app)
        assert socket.sent == []

    anyio.run(main, backend=backend)
    assert case.notes == []


def test_while_the_view_waits_before_accept(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        await case.stay()

    case.run()
    _check(case, "stopped")


def test_in_accept(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        case.ready.set()
        await anyio.sleep(0)
        try:
            await websocket.accept()
        except WebsocketDisconnect:
            case.notes.append("accept")
            raise

    case.run(before=lambda socket: setattr(socket, "blocked", True))
    _check(case, "accept", error=None)


def test_while_the_view_waits_after_accept(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        await case.stay()

    socket = case.run()
    _check(case, "stopped")
    assert socket.kinds == ["accept"]


def test_in_receive(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        case.ready.set()
        try:
            await websocket.receive()
        except WebsocketDisconnect as exc:
            case.notes.append(f"{exc.code} {exc.reason}")
            raise

    case.run()
    _check(case, "1001 gone", error=None)


def test_in_an_iteration(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        case.ready.set()
        async for message in websocket:
            await websocket.send(message)
        case.notes.append("ended")

    socket = case.run(before=lambda socket: socket.put("a", "b"))
    _check(case, "ended", error=None)
    assert socket.texts == ["a", "b"]


def test_while_it_handles_a_message(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        async for message in websocket:
            case.notes.append(message)
            if message == "b":
                await case.stay()

    case.run(before=lambda socket: socket.put("a", "b"))
    _check(case, "a", "b", "stopped")


def test_with_messages_that_nobody_has_read(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        await case.stay()

    socket = case.run(before=lambda socket: socket.put(*"abcdef"))
    _check(case, "stopped")
    assert socket.taken == 7


def test_in_a_send_that_waits(backend: str) -> None:
    case = Case(backend)
    at: list[Socket] = []

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        at[0].blocked = True
        case.ready.set()
        try:
            await websocket.send("x")
        except WebsocketDisconnect as exc:
            case.notes.append(str(exc.code))
            raise

    case.run(before=at.append)
    _check(case, "1006", error=None)


@pytest.mark.parametrize("deaf", [False, True])
@pytest.mark.parametrize("waits", [False, True])
def test_in_a_loop_of_sends(backend: str, deaf: bool, waits: bool) -> None:
    case = Case(backend, deaf=deaf, waits=waits)

    @case.app.websocket("/ws")
    async def ws() -> None:
        count = 0
        try:
            while True:
                await websocket.send("x")
                count += 1
                if count == 100:
                    case.ready.set()
        finally:
            case.notes.append("stopped")

    case.run()
    assert case.notes == ["stopped", "torn down"]
    assert len(case.told) == 1


def test_while_a_child_task_receives(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        async def receiver() -> None:
            case.ready.set()
            async for _ in websocket:
                pass
            case.notes.append("iteration ended")

        async with anyio.create_task_group() as group:
            group.start_soon(receiver)
            try:
                await case.forever.wait()
            finally:
                case.notes.append("stopped")

    case.run(before=lambda socket: socket.put("a", "b"))
    _check(case, "iteration ended", "stopped")


def test_disconnect_of_a_child_task_comes_before_the_cancellation(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        async def receiver() -> None:
            case.ready.set()
            while True:
                await websocket.receive()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(receiver)
                group.start_soon(case.forever.wait)
        except* WebsocketDisconnect:
            case.notes.append("caught")

    case.run()
    _check(case, "caught", error=None)


def test_group_of_disconnects_is_no_error(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(websocket.receive)
            group.start_soon(case.forever.wait)
            case.ready.set()

    case.run()
    _check(case, error=None)


def test_inside_a_cancel_scope_of_the_view(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        with anyio.fail_after(60):
            await case.stay()

    case.run()
    _check(case, "stopped")


def test_while_a_def_function_of_an_async_view_runs(backend: str) -> None:
    case = Case(backend)
    ready = _posted(case)

    def work() -> None:
        ready()
        while not websocket.disconnected:
            time.sleep(0.001)
        case.notes.append("worked")

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        await anyio.sleep(0)  # somebody reads ahead now
        await case.app.sync_to_async(work)()
        await case.stay()

    case.run()
    _check(case, "worked", "stopped")


def test_view_that_swallows_its_cancellation(backend: str) -> None:
    if backend == "trio":
        pytest.skip("trio raises the cancellation again at the next thing that is awaited")
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        try:
            await case.stay()
        except asyncio.CancelledError:
            await anyio.sleep(0)
            case.notes.append("swallowed")

    case.run()
    _check(case, "stopped", "swallowed", error=None)


def test_after_hooks_and_teardown_are_not_cancelled(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        await anyio.sleep(0)

    @case.app.after_websocket
    async def after(response: Any) -> None:
        case.ready.set()
        for _ in range(20):
            await anyio.sleep(0)
        case.notes.append("after")

    @case.app.teardown_websocket
    async def end(error: Any) -> None:
        for _ in range(20):
            await anyio.sleep(0)
        case.notes.append("teardown")

    case.run()
    _check(case, "after", "teardown", error=None)


def test_async_teardown_behind_a_cancellation_is_finished(backend: str) -> None:
    case = Case(backend)

    @case.app.teardown_websocket
    async def end(error: Any) -> None:
        for _ in range(5):
            await anyio.sleep(0)
        case.notes.append("teardown")

    @case.app.websocket("/ws")
    async def ws() -> None:
        await case.stay()

    case.run()
    _check(case, "stopped", "teardown")


def test_while_an_error_handler_waits(backend: str) -> None:
    case = Case(backend)
    case.app.register_error_handler(KeyError, lambda error: case.stay())

    @case.app.websocket("/ws")
    async def ws() -> None:
        raise KeyError

    case.run()
    _check(case, "stopped")


def test_while_the_handshake_is_refused(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> Any:
        return "no", 403

    @case.app.after_request
    async def after(response: Any) -> Any:
        case.ready.set()
        for _ in range(20):
            await anyio.sleep(0)
        return response

    socket = case.run()
    _check(case, error=None)
    assert socket.sent == []


def test_config_switches_the_cancellation_off(backend: str) -> None:
    case = Case(backend, {"CANCEL_ON_DISCONNECT": False})
    got: list[str] = []

    @case.app.websocket("/ws")
    async def ws() -> None:
        async for message in websocket:
            case.ready.set()
            for _ in range(20):
                await anyio.sleep(0)
            got.append(message)
        case.notes.append("ended")

    case.run(before=lambda socket: socket.put(*"abc"))
    _check(case, "ended", error=None)
    assert got == ["a", "b", "c"]


def test_what_is_read_ahead_is_bounded(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        for _ in range(300):
            await anyio.sleep(0)
        case.notes.append(str(at[0].taken))
        messages = [await websocket.receive() for _ in range(100)]
        assert messages == [str(number) for number in range(100)]
        case.ready.set()

    at: list[Socket] = []

    def before(socket: Socket) -> None:
        at.append(socket)
        socket.put(*map(str, range(100)))

    case.run(before=before, leave=False)
    _check(case, "33", error=None)  # and the connect


def test_messages_keep_their_order_whoever_reads(backend: str) -> None:
    case = Case(backend)
    got: list[str] = []

    @case.app.websocket("/ws")
    async def ws() -> None:
        g.count = 0
        await websocket.accept()
        case.ready.set()
        async for message in websocket:
            got.append(message)
            g.count += 1
            if g.count % 25 == 7:  # now and then something else: the reader comes and goes
                await anyio.sleep(0)
            await websocket.send(message)

    expected = [str(number) for number in range(2_000)]
    socket = case.run(before=lambda socket: socket.put(*expected))
    # Messages that the client had sent before it left may be lost with the view, but none in between.
    assert got == expected[: len(got)]
    assert socket.texts == got[: len(socket.texts)]


def test_echo_pays_for_no_task() -> None:
    case = Case("asyncio")
    tasks: list[int] = []

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        case.ready.set()
        async for message in websocket:
            tasks.append(len(asyncio.all_tasks()))
            await websocket.send(message)

    async def talk() -> None:
        socket = Socket(waits=True)
        case.ready = anyio.Event()
        served = asyncio.create_task(socket.serve(case.app))
        for number in range(10):
            socket.put(str(number))
            await socket.until_sent(number + 2)
        socket.leave()
        await served

    asyncio.run(talk())
    assert tasks == [2] * 10


def test_view_that_receives_again_is_rid_of_the_reader() -> None:
    case = Case("asyncio")
    tasks: list[int] = []

    @case.app.before_websocket
    async def before() -> None:
        await anyio.sleep(0)

    @case.app.websocket("/ws")
    async def ws() -> None:
        async for message in websocket:
            tasks.append(len(asyncio.all_tasks()))
            await websocket.send(message)

    async def talk() -> None:
        socket = Socket()
        served = asyncio.create_task(socket.serve(case.app))
        for number in range(40):
            socket.put(str(number))
            await socket.until_sent(number + 2)
        socket.leave()
        await served
        assert socket.most_readers == 1

    asyncio.run(talk())
    assert tasks[0] == 3
    assert tasks[-1] == 2


# -- `def` views


def test_def_view_in_receive(backend: str) -> None:
    case = Case(backend)
    ready = _posted(case)

    @case.app.websocket("/ws")
    def ws() -> None:
        websocket.accept()
        ready()
        for _ in websocket:
            pass
        case.notes.append("ended")

    case.run()
    _check(case, "ended", error=None)


def test_def_view_in_send(backend: str) -> None:
    case = Case(backend)
    ready = _posted(case)

    @case.app.websocket("/ws")
    def ws() -> None:
        websocket.accept()
        ready()
        try:
            while True:
                websocket.send("x")
        except WebsocketDisconnect as exc:
            case.notes.append(str(exc.code))
            raise

    case.run()
    _check(case, "1006", error=None)


def test_def_view_that_looks(backend: str) -> None:
    case = Case(backend)
    ready = _posted(case)

    @case.app.websocket("/ws")
    def ws() -> None:
        websocket.accept()
        assert not websocket.disconnected
        ready()
        while not websocket.disconnected:
            time.sleep(0.001)
        case.notes.append("noticed")

    case.run()
    _check(case, "noticed", error=None)


def test_look_of_a_def_view_loses_no_message(backend: str) -> None:
    case = Case(backend)
    ready = _posted(case)

    @case.app.websocket("/ws")
    def ws() -> None:
        websocket.accept()
        assert not websocket.disconnected
        ready()
        case.notes.extend(websocket)

    case.run(before=lambda socket: socket.put("a", "b"))
    _check(case, "a", "b", error=None)


def test_thread_of_a_def_view_in_receive(backend: str) -> None:
    case = Case(backend)
    ready = _posted(case)

    @case.app.websocket("/ws")
    def ws() -> None:
        websocket.accept()

        def work() -> None:
            ready()
            try:
                websocket.receive()
            except WebsocketDisconnect:
                case.notes.append("thread")

        thread = threading.Thread(target=copy_current_websocket_context(work))
        thread.start()
        thread.join()

    case.run()
    _check(case, "thread", error=None)


def _posted(case: Case) -> Callable[[], None]:
    """`case.ready.set`, for a thread."""
    box: list[Any] = []

    async def remember() -> None:
        box.append(case.ready)

    case.app.before_websocket(remember)

    def post() -> None:
        async def tell() -> None:
            box[0].set()

        case.app.async_to_sync(tell)()

    return post


# -- a server that cancels


def test_server_that_cancels_ends_the_view(backend: str) -> None:
    case = Case(backend)

    @case.app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        await case.stay()

    async def main() -> None:
        case.ready, case.forever = anyio.Event(), anyio.Event()
        socket = Socket()
        async with anyio.create_task_group() as group:
            group.start_soon(socket.serve, case.app)
            await case.ready.wait()
            group.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    _check(case, "stopped")


def test_server_that_cancels_ends_a_def_view(backend: str) -> None:
    case = Case(backend)
    ready = _posted(case)

    @case.app.websocket("/ws")
    def ws() -> None:
        websocket.accept()
        ready()
        try:
            websocket.receive()
        except WebsocketDisconnect:
            case.notes.append("stopped")
            raise

    async def main() -> None:
        case.ready, case.forever = anyio.Event(), anyio.Event()
        socket = Socket()
        async with anyio.create_task_group() as group:
            group.start_soon(socket.serve, case.app)
            await case.ready.wait()
            await anyio.sleep(0.05)
            group.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert case.notes == ["stopped", "torn down"]
