"""A background task by itself, the dismissal of idle workers, and the key of a loop."""

from __future__ import annotations

import logging
import threading
from contextvars import copy_context
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from duoflask.bridge import PORTAL, BackgroundTask, Home, TaskCancelled, Workers, key_here, portal, to_loop, to_thread

LOGGER = logging.getLogger("tests.task")


class Someone:
    """A traveller."""

    def __init__(self) -> None:
        self.on_loop = False
        self.context = copy_context()

    def suspended(self) -> bool:
        return True

    def leaves_thread(self) -> None:
        pass


def started(steps: Any, workers: Workers, *, on_loop: bool, home: Home | None = None) -> BackgroundTask:
    task = BackgroundTask("task", "key", LOGGER)
    task.start(Someone(), steps, workers, home, on_loop=on_loop)
    return task


@pytest.mark.parametrize("on_loop", [False, True])
def test_steps_change_sides(on_loop):
    places: list[Any] = []

    async def steps() -> str:
        for cross in (to_loop, to_thread, to_loop, to_thread):
            await cross()
            places.append(key_here() is PORTAL and threading.current_thread().name)
        return "result"

    assert started(steps(), Workers(2), on_loop=on_loop).result(20) == "result"
    assert places == ["duoflask-portal", "duoflask-worker"] * 2


@pytest.mark.anyio
async def test_key_is_that_of_the_running_loop():
    assert key_here() == anyio.lowlevel.current_token() or key_here() is Home().key
    assert key_here() is not PORTAL


def test_task_that_is_withdrawn_never_begins():
    workers = Workers(1)
    go_on = threading.Event()
    ran: list[int] = []

    async def busy() -> None:
        go_on.wait(20)

    async def steps() -> None:
        ran.append(1)

    first = started(busy(), workers, on_loop=False)
    second = started(steps(), workers, on_loop=False)
    called: list[BackgroundTask] = []
    second.add_done_callback(called.append)
    assert second.cancel()
    assert called == [second]
    go_on.set()
    first.result(20)
    with pytest.raises(TaskCancelled):
        second.result()
    assert ran == []


def test_running_thread_cannot_be_cancelled():
    begun, go_on = threading.Event(), threading.Event()

    async def busy() -> str:
        begun.set()
        go_on.wait(20)
        return "ok"

    task = started(busy(), Workers(1), on_loop=False)
    begun.wait(20)
    assert not task.cancel()
    go_on.set()
    assert task.result(20) == "ok"
    assert not task.cancel()


def test_callback_that_fails_is_logged_and_the_others_run(caplog):
    called: list[BackgroundTask] = []
    go_on = threading.Event()

    async def steps() -> None:
        go_on.wait(20)

    def fail(task: BackgroundTask) -> None:
        raise LookupError

    workers = Workers(1)
    task = started(steps(), workers, on_loop=False)
    task.add_done_callback(fail)
    task.add_done_callback(called.append)
    go_on.set()
    assert task.wait(20)
    assert started(steps(), workers, on_loop=False).wait(20)  # its thread lives
    assert called == [task]
    assert [record.exc_info[0] for record in caplog.records] == [LookupError]
    task.add_done_callback(called.append)
    assert called == [task, task]


def test_exit_of_a_task_reaches_the_one_who_asks():
    async def steps() -> None:
        raise SystemExit(3)

    for on_loop in (False, True):
        with pytest.raises(SystemExit):
            started(steps(), Workers(1), on_loop=on_loop).result(20)
    assert portal().loop.is_running()


def test_dismissed_workers_end_and_new_work_starts_new_ones():
    workers = Workers(4)
    together = threading.Barrier(4)

    async def steps() -> None:
        together.wait(20)

    for _ in range(3):
        for task in [started(steps(), workers, on_loop=False) for _ in range(4)]:
            task.result(20)
        assert workers.threads == 4
        waited = threading.Event()
        for _ in range(1000):  # a thread is spare when its job's end has been told
            workers.dismiss()
            if not workers.threads:
                break
            waited.wait(0.005)
        assert workers.threads == 0
    workers.dismiss()
    assert workers.threads == 0


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_task_for_a_loop_that_has_ended_fails(backend):
    async def home() -> Home:
        return Home()

    async def steps() -> None:
        await to_loop()

    ended = anyio.run(home, backend=backend)
    for on_loop in (False, True):
        with pytest.raises(RuntimeError, match="its event loop has ended"):
            started(steps(), Workers(1), on_loop=on_loop, home=ended).result(20)


def test_task_that_no_thread_can_be_started_for_fails(monkeypatch):
    def fail(*args: Any) -> None:
        raise RuntimeError("can't start new thread")

    async def steps() -> None:
        pass

    monkeypatch.setattr("duoflask.bridge.workers.start_thread", fail)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        started(steps(), Workers(1), on_loop=False).result(20)
