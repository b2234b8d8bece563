"""`async_to_sync` and `sync_to_async`: for code that a view calls itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from duoflask import DuoFlask, g, request
from duoflask.bridge import Workers
from duoflask.bridge.adapt import sync_to_async

value: ContextVar[str] = ContextVar("value", default="unset")


async def add(a: int, b: int) -> int:
    await anyio.lowlevel.checkpoint()
    return a + b


async def fail(error: type[BaseException]) -> None:
    await anyio.lowlevel.checkpoint()
    raise error("here")


@pytest.fixture
def app() -> DuoFlask:
    app = DuoFlask(__name__)
    app.testing = True
    app.config["WORKER_THREADS"] = 1  # whatever waits for a second thread waits for ever
    return app


def answers(client: Callable[..., Any], app: DuoFlask, view: Callable[..., Any]) -> str:
    app.add_url_rule("/", "view", view)
    return client(app).get("/?n=1").text


def test_async_function_called_by_a_def_view(loop_client, app):
    assert answers(loop_client, app, lambda: str(app.async_to_sync(add)(1, b=2))) == "3"


def test_async_function_called_outside_a_request(app):
    assert app.async_to_sync(add)(1, 2) == 3


@pytest.mark.parametrize("error", [KeyError, SystemExit, GeneratorExit, KeyboardInterrupt])
def test_exception_of_an_async_function_is_its_callers(loop_client, app, error):
    def view() -> str:
        with pytest.raises(error, match="here"):
            app.async_to_sync(fail)(error)
        return str(app.async_to_sync(add)(1, 2))

    assert answers(loop_client, app, view) == "3"


def test_stop_iteration_of_an_async_function_is_its_callers(app):
    def stop() -> Any:
        raise StopIteration("here")

    class Stopping:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return 1

    async def wrapped() -> Any:
        await Stopping()
        return 2

    assert app.async_to_sync(wrapped)() == 2
    with pytest.raises((StopIteration, RuntimeError)):
        app.async_to_sync(stop)()  # type: ignore[arg-type]


def test_wrapper_keeps_name_and_documentation(app):
    async def documented() -> None:
        """What it does."""

    assert app.async_to_sync(documented).__doc__ == "What it does."
    assert app.async_to_sync(documented).__name__ == "documented"


def test_ensure_sync_leaves_a_def_function_alone(app):
    assert app.ensure_sync(len) is len
    assert app.ensure_sync(add)(1, 2) == 3


def test_request_and_g_are_those_of_the_caller(loop_client, app):
    async def use() -> str:
        await anyio.lowlevel.checkpoint()
        g.later = "later"
        return g.early + request.args["n"]

    def view() -> str:
        g.early = "early"
        return app.async_to_sync(use)() + g.later

    assert answers(loop_client, app, view) == "early1later"


def test_variables_set_by_an_async_function_are_set_for_the_caller(loop_client, app):
    async def change() -> str:
        before = value.get()
        await anyio.lowlevel.checkpoint()
        value.set("async")
        return before

    def view() -> str:
        value.set("def")
        return f"{app.async_to_sync(change)()} {value.get()}"

    assert answers(loop_client, app, view) == "def async"


def test_async_function_runs_on_the_loop_of_async_views(loop_client, app):
    loops: list[Any] = []

    async def note() -> str:
        loops.append(anyio.lowlevel.current_token())
        return "ok"

    app.add_url_rule("/async", "on_loop", note)
    app.add_url_rule("/def", "in_thread", lambda: app.async_to_sync(note)())
    served = loop_client(app)
    served.get("/async")
    served.get("/def")
    assert loops[0] == loops[1]


def test_call_on_a_running_loop_names_the_function_and_says_await(loop_client, app):
    async def view() -> str:
        with pytest.raises(RuntimeError, match=r"add\(\).*would wait for itself.*'await add\(\.\.\.\)'"):
            app.async_to_sync(add)(1, 2)
        return "refused"

    assert answers(loop_client, app, view) == "refused"


@pytest.mark.anyio
async def test_call_on_a_running_loop_outside_a_request_is_refused(app):
    with pytest.raises(RuntimeError, match="would wait for itself"):
        app.async_to_sync(add)(1, 2)


def test_blocking_function_awaited_by_an_async_view(loop_client, app):
    def work(a: int, *, b: int) -> str:
        return f"{a + b} {threading.current_thread().name}"

    async def view() -> str:
        here = threading.current_thread().name
        total, _, there = (await app.sync_to_async(work)(1, b=2)).partition(" ")
        assert there != here
        return total

    assert answers(loop_client, app, view) == "3"


def test_blocking_function_runs_in_the_servers_thread_under_wsgi(wsgi_call, app):
    @app.route("/")
    async def view():
        return await app.sync_to_async(lambda: threading.current_thread().name)()

    assert wsgi_call(app).read() == threading.current_thread().name


def test_exception_of_a_blocking_function_is_its_callers(loop_client, app):
    def work() -> None:
        raise KeyError("here")

    async def view() -> str:
        with pytest.raises(KeyError, match="here"):
            await app.sync_to_async(work)()
        await anyio.lowlevel.checkpoint()  # back on the loop
        return "caught"

    assert answers(loop_client, app, view) == "caught"


def test_blocking_function_runs_in_the_context_of_its_caller(loop_client, app):
    def work() -> str:
        before = value.get()
        value.reset(tokens.pop())
        g.later = request.args["n"]
        return before

    tokens: list[Any] = []

    async def view() -> str:
        tokens.append(value.set("async"))
        return f"{await app.sync_to_async(work)()} {value.get()} {g.later}"

    assert answers(loop_client, app, view) == "async unset 1"


def test_blocking_functions_in_tasks_of_their_own(loop_client, app):
    results: list[str] = []

    def work(number: int) -> None:
        assert request.args["n"] == "1"
        value.set(str(number))
        results.append(f"{number} {value.get()}")

    async def view() -> str:
        async def one(number: int) -> None:
            await app.sync_to_async(work)(number)
            assert value.get() == str(number)

        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(one, number)
        return value.get()

    assert answers(loop_client, app, view) == "unset"
    assert sorted(results) == [f"{number} {number}" for number in range(5)]


def test_blocking_function_inside_an_open_cancel_scope(loop_client, app):
    async def view() -> str:
        with anyio.fail_after(20):
            return await app.sync_to_async(lambda: "done")()

    assert answers(loop_client, app, view) == "done"


def test_blocking_function_outside_a_request(app):
    async def main() -> str:
        return await app.sync_to_async(lambda: threading.current_thread().name)()

    for backend in ("asyncio", "trio"):
        assert anyio.run(main, backend=backend) == "duoflask-worker"


def test_there_and_back_with_one_thread(loop_client, app):
    """A `def` view waits for a coroutine, which needs a thread for a `def` function, which needs the loop, ..."""

    def deeper(depth: int) -> str:
        if not depth:
            return "bottom"

        async def on_loop() -> str:
            await anyio.lowlevel.checkpoint()
            return await app.sync_to_async(deeper)(depth - 1)

        return app.async_to_sync(on_loop)()

    assert answers(loop_client, app, lambda: deeper(3)) == "bottom"


def test_there_and_back_from_an_async_view_with_one_thread(loop_client, app):
    async def on_loop(depth: int) -> str:
        await anyio.lowlevel.checkpoint()

        def work() -> str:
            return app.async_to_sync(on_loop)(depth - 1)

        return "bottom" if not depth else await app.sync_to_async(work)()

    async def view() -> str:
        return await on_loop(3)

    assert answers(loop_client, app, view) == "bottom"


@pytest.mark.anyio
async def test_many_requests_there_and_back_with_one_thread(channel, app):
    async def on_loop() -> str:
        await anyio.lowlevel.checkpoint()
        return await app.sync_to_async(lambda: request.args["n"])()

    app.add_url_rule("/", "view", lambda: app.async_to_sync(on_loop)())
    exchanges = [channel("/", b"n=%d" % number) for number in range(50)]
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for exchange in exchanges:
                group.start_soon(exchange.serve, app)
    assert [exchange.text for exchange in exchanges] == [str(number) for number in range(50)]


def test_async_function_from_a_thread_of_the_views_own(loop_client, app):
    def view() -> str:
        results: list[int] = []
        thread = threading.Thread(target=lambda: results.append(app.async_to_sync(add)(1, 2)))
        thread.start()
        thread.join()
        return str(results)

    assert answers(loop_client, app, view) == "[3]"


def test_override_point_calls_super_from_a_def_method(loop_client):
    class App(DuoFlask):
        def dispatch_request(self):
            return f"<{super().dispatch_request()}>"

        def full_dispatch_request(self):
            response = super().full_dispatch_request()
            response.headers["X-Full"] = "yes"
            return response

    app = App(__name__)
    app.config["WORKER_THREADS"] = 1

    @app.before_request
    async def hook():
        await anyio.lowlevel.checkpoint()
        value.set("hook")

    @app.route("/async")
    async def on_loop():
        await anyio.lowlevel.checkpoint()
        return await app.sync_to_async(value.get)()

    app.add_url_rule("/def", "in_thread", lambda: value.get())
    served = loop_client(app)
    for path in ("/async", "/def"):
        response = served.get(path)
        assert response.text == "<hook>"
        assert response.headers["X-Full"] == "yes"


class Empty(Exception):
    """An exception that is false, as a container without items."""

    def __len__(self) -> int:
        return 0


def raise_empty() -> None:
    raise Empty


def test_exception_that_is_false_is_answered(loop_client, app):
    app.register_error_handler(Empty, lambda error: "handled")
    assert answers(loop_client, app, raise_empty) == "handled"


def test_exception_that_is_false_leaves_its_worker():
    async def main() -> None:
        with pytest.raises(Empty):
            await sync_to_async(raise_empty, Workers(1), lambda: None)()

    anyio.run(main)
