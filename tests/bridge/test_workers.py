"""Worker threads: how many there are, what a cancellation does to their work, what a nested call may not wait for."""

from __future__ import annotations

import functools
import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

import duoflask
from duoflask import DuoFlask
from duoflask.bridge import Home, Workers

only_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Running:
    """Awaits a function in a worker."""

    def __init__(self, workers: Workers, function: Any, *, nested: bool = False) -> None:
        self._generator = functools.partial(workers.wait_for, function, Home(), nested=nested)

    def __await__(self) -> Any:
        return self._generator()


async def in_worker(workers: Workers, function: Any, *, nested: bool = False) -> Any:
    result, cancellation = await Running(workers, function, nested=nested)
    if cancellation is not None:
        raise cancellation
    return result


@pytest.mark.parametrize("number", [0, -1, "4", None, True, 1.5])
def test_number_of_threads_must_be_a_positive_int(number):
    with pytest.raises(ValueError, match=r"WORKER_THREADS.*expected an int of 1 or more; got"):
        Workers(number)


@pytest.mark.anyio
async def test_calls_in_turn_share_one_thread():
    workers = Workers(5)
    assert workers.threads == 0
    names = {await in_worker(workers, threading.get_ident) for _ in range(20)}
    assert len(names) == workers.threads == 1
    assert threading.get_ident() not in names


@pytest.mark.anyio
async def test_limit_is_the_number_of_calls_at_the_same_time():
    workers = Workers(3)
    lock = threading.Lock()
    now = highest = 0
    full = threading.Barrier(3)

    def work() -> None:
        nonlocal now, highest
        with lock:
            now += 1
            highest = max(highest, now)
        full.wait(20)  # twelve calls pass it in threes
        with lock:
            now -= 1

    async with anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(in_worker, workers, work)
    assert highest == 3
    assert workers.threads == 3
    assert workers.waiting == 0


@pytest.mark.anyio
async def test_limit_of_an_app_comes_from_its_configuration(channel):
    app = DuoFlask(__name__)
    app.config["WORKER_THREADS"] = 2
    full = threading.Barrier(2)
    threads: set[int] = set()

    @app.route("/")
    def view():
        full.wait(20)
        threads.add(threading.get_ident())
        return "ok"

    exchanges = [channel() for _ in range(8)]
    async with anyio.create_task_group() as group:
        for exchange in exchanges:
            group.start_soon(exchange.serve, app)
    assert [exchange.status for exchange in exchanges] == [200] * 8
    assert len(threads) == 2


@pytest.mark.anyio
async def test_queued_work_is_withdrawn_by_a_cancellation():
    workers = Workers(1)
    go_on, entered = threading.Event(), anyio.Event()
    home = anyio.lowlevel.current_token()
    ran: list[str] = []

    def occupy() -> None:
        anyio.from_thread.run_sync(entered.set, token=home)
        assert go_on.wait(20)

    async with anyio.create_task_group() as group:
        group.start_soon(in_worker, workers, occupy)
        await entered.wait()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await in_worker(workers, lambda: ran.append("withdrawn"))
        assert scope.cancelled_caught
        go_on.set()
    await in_worker(workers, lambda: ran.append("next"))
    assert ran == ["next"]


@pytest.mark.anyio
async def test_work_that_has_begun_is_waited_for_and_then_the_cancellation_goes_on():
    workers = Workers(1)
    go_on, entered = threading.Event(), anyio.Event()
    home = anyio.lowlevel.current_token()
    ended: list[str] = []

    def work() -> None:
        anyio.from_thread.run_sync(entered.set, token=home)
        assert go_on.wait(20)
        ended.append("ended")

    async def release(scope: anyio.CancelScope) -> None:
        await entered.wait()
        scope.cancel()
        for _ in range(5):
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
        assert ended == []
        go_on.set()

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(release, scope)
            await in_worker(workers, work)
    assert scope.cancelled_caught
    assert ended == ["ended"]


@pytest.mark.anyio
@only_asyncio
async def test_wait_for_work_after_a_cancellation_of_a_scope_does_not_turn_the_loop():
    workers = Workers(1)
    go_on, entered = threading.Event(), anyio.Event()
    home = anyio.lowlevel.current_token()
    resumed = 0

    def work() -> None:
        anyio.from_thread.run_sync(entered.set, token=home)
        assert go_on.wait(20)

    class Counting:
        """Counts how often the loop resumes the wait."""

        def __await__(self) -> Any:
            nonlocal resumed
            generator = Running(workers, work).__await__()
            advance, argument = generator.send, None
            while True:
                try:
                    wanted = advance(argument)
                except StopIteration as stop:
                    return stop.value
                advance, argument = generator.send, None
                try:
                    yield wanted
                except BaseException as exc:
                    advance, argument = generator.throw, exc
                resumed += 1

    async def release(scope: anyio.CancelScope) -> None:
        await entered.wait()
        scope.cancel()
        for _ in range(100):
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
        go_on.set()

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(release, scope)
            await Counting()
    assert resumed <= 5


@pytest.mark.anyio
async def test_nested_work_may_exceed_the_limit_and_its_thread_ends_afterwards():
    workers = Workers(1)
    home = anyio.lowlevel.current_token()

    def outer() -> int:
        return anyio.from_thread.run(
            functools.partial(in_worker, workers, lambda: workers.threads, nested=True), token=home
        )

    with anyio.fail_after(20):
        assert await in_worker(workers, outer) == 2
        while workers.threads > 1:
            await anyio.lowlevel.checkpoint()


@pytest.mark.anyio
async def test_thread_that_nobody_needs_ends(monkeypatch):
    monkeypatch.setattr("duoflask.bridge.workers.IDLE_SECONDS", 0.01)
    workers = Workers(4)
    full = threading.Barrier(4)
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(in_worker, workers, functools.partial(full.wait, 10))
    with anyio.fail_after(20):
        while workers.threads:
            await anyio.sleep(0.005)
    assert await in_worker(workers, lambda: "again") == "again"


@pytest.mark.anyio
async def test_idle_thread_keeps_nothing_of_its_last_work_alive():
    class Big:
        pass

    workers = Workers(1)
    big = Big()
    alive = weakref.ref(big)
    await in_worker(workers, functools.partial(id, big))
    del big
    await in_worker(workers, lambda: None)
    gc.collect()
    assert alive() is None


def test_forked_child_has_threads_of_its_own():
    script = """
import os, anyio
from duoflask import DuoFlask

app = DuoFlask("x")
app.config["WORKER_THREADS"] = 1
app.add_url_rule("/", "view", lambda: str(os.getpid()))

async def get():
    sent = []
    async def receive():
        await anyio.sleep_forever()
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "scheme": "http"}
    with anyio.fail_after(20):
        await app(scope, receive, send)
    return sent[1]["body"].decode()

assert anyio.run(get) == str(os.getpid())
child = os.fork()
if not child:
    os._exit(anyio.run(get) != str(os.getpid()))
print(os.waitpid(child, 0)[1])
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PYTHONPATH": str(Path(duoflask.__file__).parents[1]), "PATH": os.environ["PATH"]},
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_home_outside_a_loop_is_an_error_that_says_so():
    with pytest.raises(RuntimeError, match="no event loop is running|async"):
        Home()
