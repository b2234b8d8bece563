"""A blocking function whose task awaits things for it."""

from __future__ import annotations

import threading
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import pytest

from duoflask.bridge import Workers, drive, to_loop, to_thread
from duoflask.bridge.asking import Asker, run_asking

variable: ContextVar[str] = ContextVar("variable", default="unset")


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Any:
    def run_main(main: Any) -> Any:
        return anyio.run(main, backend=request.param)

    return run_main


def test_what_it_asks_for_is_awaited_in_the_waiting_task(run: Any) -> None:
    async def main() -> Any:
        loop_thread = threading.current_thread()

        async def double(number: int) -> tuple[int, bool]:
            await anyio.sleep(0)
            return number * 2, threading.current_thread() is loop_thread

        def work(ask: Any) -> Any:
            assert threading.current_thread() is not loop_thread
            return [ask(double, number) for number in range(3)]

        return await run_asking(Workers(1), work, copy_context())

    assert run(main) == [(0, True), (2, True), (4, True)]


def test_it_runs_in_the_context_that_it_is_given(run: Any) -> None:
    async def main() -> None:
        context = copy_context()
        context.run(variable.set, "inside")
        assert await run_asking(Workers(1), lambda ask: variable.get(), context) == "inside"
        assert variable.get() == "unset"

    run(main)


def test_errors_cross_in_both_directions(run: Any) -> None:
    async def fail() -> None:
        raise LookupError("asked")

    def work(ask: Any) -> None:
        with pytest.raises(LookupError, match="asked"):
            ask(fail)
        raise SystemExit("worked")

    async def main() -> None:
        with pytest.raises(SystemExit, match="worked"):
            await run_asking(Workers(1), work, copy_context())

    run(main)


def test_after_a_cancellation_every_question_is_refused_and_the_end_is_waited_for(run: Any) -> None:
    asking, refused, done = threading.Event(), [], []

    async def never() -> None:
        asking.set()
        await anyio.sleep_forever()

    def work(ask: Any) -> None:
        for _ in range(2):
            try:
                ask(never)
            except ConnectionAbortedError as exc:
                refused.append(str(exc))
        done.append(True)

    async def main() -> None:
        async with anyio.create_task_group() as group:

            async def call() -> None:
                await run_asking(Workers(1), work, copy_context())

            group.start_soon(call)
            await anyio.to_thread.run_sync(asking.wait)
            group.cancel_scope.cancel()
        assert done == [True]

    run(main)
    assert len(refused) == 2


def test_a_cancellation_while_it_computes_waits_for_it(run: Any) -> None:
    computing, go_on, refused = threading.Event(), threading.Event(), []

    async def nothing() -> None:
        pass

    def work(ask: Any) -> None:
        computing.set()
        go_on.wait(20)
        with pytest.raises(ConnectionAbortedError):
            ask(nothing)
        refused.append(True)

    async def main() -> None:
        async with anyio.create_task_group() as group:

            async def call() -> None:
                await run_asking(Workers(1), work, copy_context())

            group.start_soon(call)
            await anyio.to_thread.run_sync(computing.wait)
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            go_on.set()

    run(main)
    assert refused == [True]


def test_one_that_waits_for_a_thread_is_withdrawn(run: Any) -> None:
    go_on, began = threading.Event(), []

    async def main() -> None:
        workers = Workers(1)
        async with anyio.create_task_group() as group:

            async def occupy() -> None:
                await run_asking(workers, lambda ask: go_on.wait(20), copy_context())

            async def call() -> None:
                with anyio.move_on_after(0.01):
                    await run_asking(workers, began.append, copy_context())
                go_on.set()

            group.start_soon(occupy)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(call)

    run(main)
    assert began == []


def test_many_at_once_keep_apart(run: Any) -> None:
    async def echo(value: int) -> int:
        await anyio.sleep(0)
        return value

    async def main() -> None:
        workers = Workers(4)

        async def call(value: int) -> None:
            answers = await run_asking(workers, lambda ask: [ask(echo, value) for _ in range(50)], copy_context())
            assert answers == [value] * 50

        async with anyio.create_task_group() as group:
            for value in range(20):
                group.start_soon(call, value)

    run(main)


# -- the legs of a traveller


class Journey:
    """A traveller, and what it did where."""

    on_loop = False

    def __init__(self) -> None:
        self.context = copy_context()
        self.notes: list[Any] = []

    def suspended(self) -> bool:
        return True

    def leaves_thread(self) -> None:
        raise AssertionError("nobody goes to the portal")


async def _travel(journey: Journey, work: Any, *, pool: Workers | None = None) -> Any:
    """Run a function in a thread leg of a journey; it is given the asker."""
    asker = Asker(pool or Workers(2))

    async def steps() -> Any:
        variable.set("the journey's")
        await to_thread()
        journey.notes.append(journey.on_loop)
        result = work(asker)
        await to_loop()
        return result

    return await drive(journey, steps(), asker.leg)


def test_function_in_a_leg_has_the_task_await_for_it(run: Any) -> None:
    async def main() -> None:
        home = threading.current_thread()
        journey = Journey()

        async def where(number: int) -> tuple[int, bool, str]:
            await anyio.sleep(0)
            return number, threading.current_thread() is home, variable.get()

        def work(ask: Any) -> list[Any]:
            assert threading.current_thread() is not home
            assert variable.get() == "the journey's"
            return [ask(where, number) for number in range(3)]

        # What is awaited runs outside the journey's Context, which the thread is in.
        assert await _travel(journey, work) == [(number, True, "unset") for number in range(3)]
        assert journey.notes == [False]
        assert journey.on_loop

    run(main)


def test_thread_of_a_function_has_a_task_of_its_own(run: Any) -> None:
    async def main() -> None:
        home = threading.current_thread()

        async def where() -> bool:
            await anyio.sleep(0)
            return threading.current_thread() is home

        def work(ask: Any) -> list[bool]:
            seen: list[bool] = []
            thread = threading.Thread(target=lambda: seen.append(ask(where)))
            thread.start()
            thread.join()
            return seen

        assert await _travel(Journey(), work) == [True]

    run(main)


def test_what_a_leg_asks_for_may_fail(run: Any) -> None:
    async def main() -> None:
        async def fail() -> None:
            raise LookupError("asked")

        def work(ask: Any) -> str:
            with pytest.raises(LookupError, match="asked"):
                ask(fail)
            raise ValueError("worked")

        with pytest.raises(ValueError, match="worked"):
            await _travel(Journey(), work)

    run(main)


def test_cancelled_leg_is_refused_what_it_asks_for(run: Any) -> None:
    refused: list[str] = []

    async def main() -> None:
        asked = anyio.Event()

        async def wait() -> None:
            asked.set()
            await anyio.sleep_forever()

        def work(ask: Any) -> None:
            for _ in range(2):
                with pytest.raises(ConnectionAbortedError, match="has been cancelled") as info:
                    ask(wait)
                refused.append(str(info.value))

        async with anyio.create_task_group() as group:
            group.start_soon(_travel, Journey(), work)
            await asked.wait()
            group.cancel_scope.cancel()

    run(main)
    assert len(refused) == 2
