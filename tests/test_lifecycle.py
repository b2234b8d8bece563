"""Start-up, first-request and shutdown functions: when each runs, on which loop, and what a failure does."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import duoflask
from duoflask import DuoFlask, current_app, g, has_request_context, request

COLOURS = ["def", "async def"]


def coloured(colour: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if colour == "def":
        return function

    @functools.wraps(function)
    async def on_loop(*args: Any, **kwargs: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return function(*args, **kwargs)

    return on_loop


class Lifespan:
    """A fake ASGI server's side of the lifespan."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._events = ["startup", "shutdown"]
        self._shutdown = anyio.Event()
        self._answered = anyio.Event()
        self.sent: list[dict[str, Any]] = []

    async def _receive(self) -> dict[str, Any]:
        event = self._events.pop(0)
        if event == "shutdown":
            await self._shutdown.wait()
        return {"type": f"lifespan.{event}"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self._answered.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Lifespan]:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}}
        async with anyio.create_task_group() as group:
            group.start_soon(self._app, scope, self._receive, self._send)
            await self._answered.wait()
            yield self
            self._shutdown.set()


@pytest.mark.anyio
@pytest.mark.parametrize("colour", COLOURS)
async def test_lifespan_runs_start_up_and_shutdown_functions_once(channel, colour):
    app = DuoFlask(__name__)
    calls: list[str] = []
    for name, register in (("up", app.before_serving), ("down", app.after_serving)):
        for which in (1, 2):
            register(coloured(colour, functools.partial(calls.append, f"{name} {which}")))
    app.add_url_rule("/", "view", lambda: "ok")
    async with Lifespan(app).running() as lifespan:
        assert calls == ["up 1", "up 2"]
        for _ in range(3):
            exchange = channel()
            await exchange.serve(app)
            assert exchange.text == "ok"
        assert calls == ["up 1", "up 2"]
    assert calls == ["up 1", "up 2", "down 1", "down 2"]
    assert [message["type"] for message in lifespan.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


@pytest.mark.parametrize("colour", COLOURS)
def test_client_runs_start_up_and_shutdown_functions_once(client, colour):
    app = DuoFlask(__name__)
    calls: list[str] = []
    app.before_serving(coloured(colour, lambda: calls.append("up")))
    app.after_serving(coloured(colour, lambda: calls.append("down")))
    app.add_url_rule("/", "view", lambda: "ok")
    served = client(app)
    for _ in range(3):
        assert served.get("/").text == "ok"
    assert calls == ["up"]
    served.close()
    assert calls == ["up", "down"]


@pytest.mark.parametrize("colour", COLOURS)
def test_shutdown_functions_run_without_a_start_up_function(client, colour):
    app = DuoFlask(__name__)
    calls: list[str] = []
    app.after_serving(coloured(colour, lambda: calls.append("down")))
    app.add_url_rule("/", "view", lambda: "ok")
    served = client(app)
    for _ in range(2):
        served.get("/")
    assert calls == []
    served.close()
    assert calls == ["down"]


def test_shutdown_functions_do_not_run_after_a_failed_start_up(wsgi_call):
    app = DuoFlask(__name__)
    calls: list[str] = []

    @app.before_serving
    def fail():
        raise LookupError

    app.after_serving(lambda: calls.append("down"))
    assert wsgi_call(app).status.startswith("503 ")
    app._lifecycle.stop_portal()
    assert calls == []


@pytest.mark.parametrize("colour", COLOURS)
def test_start_up_functions_see_the_app_and_no_request(client, colour):
    app = DuoFlask(__name__)
    seen: list[Any] = []
    app.before_serving(coloured(colour, lambda: seen.append((current_app.name, has_request_context()))))
    app.after_serving(coloured(colour, lambda: seen.append((current_app.name, has_request_context()))))
    app.add_url_rule("/", "view", lambda: request.path)
    served = client(app)
    assert served.get("/").text == "/"
    served.close()
    assert seen == [(__name__, False)] * 2


@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
def test_g_of_a_start_up_function_is_not_that_of_the_first_request(client, colour, view_colour):
    app = DuoFlask(__name__)
    app.before_serving(coloured(colour, lambda: setattr(g, "mine", 1)))
    app.add_url_rule("/", "view", coloured(view_colour, lambda: str("mine" in g)))
    assert client(app).get("/").text == "False"


def test_resource_of_the_loop_is_usable_from_views_of_both_colours(loop_client):
    app = DuoFlask(__name__)
    resource: dict[str, Any] = {}

    @app.before_serving
    async def connect():
        resource["lock"] = anyio.Lock()
        resource["loop"] = anyio.lowlevel.current_token()

    async def use() -> str:
        async with resource["lock"]:
            await anyio.lowlevel.checkpoint()
            return str(anyio.lowlevel.current_token() == resource["loop"])

    @app.after_serving
    async def disconnect():
        resource["closed"] = await use()

    app.add_url_rule("/async", "on_loop", use)
    app.add_url_rule("/def", "in_thread", lambda: app.async_to_sync(use)())
    served = loop_client(app)
    assert served.get("/async").text == "True"
    assert served.get("/def").text == "True"
    served.close()
    assert resource["closed"] == "True"


def test_task_of_a_start_up_function_runs_on_between_requests(client):
    app = DuoFlask(__name__)
    tasks: list[asyncio.Task[None]] = []

    @app.before_serving
    async def begin():
        app.config["ask"] = asyncio.Queue()
        app.config["answer"] = asyncio.Queue()

        async def serve() -> None:
            while True:
                await app.config["answer"].put(2 * await app.config["ask"].get())

        tasks.append(asyncio.get_running_loop().create_task(serve()))

    @app.after_serving
    async def end():
        tasks[0].cancel()
        await asyncio.wait(tasks)

    @app.route("/<int:n>")
    async def view(n):
        await app.config["ask"].put(n)
        return str(await app.config["answer"].get())

    served = client(app)
    assert [served.get(f"/{n}").text for n in range(3)] == ["0", "2", "4"]


@pytest.mark.anyio
@pytest.mark.parametrize("colour", COLOURS)
async def test_failing_start_up_is_told_to_the_server(colour, caplog):
    app = DuoFlask(__name__)
    calls: list[str] = []

    def fail() -> None:
        raise LookupError("no database")

    app.before_serving(coloured(colour, fail))
    app.before_serving(coloured(colour, lambda: calls.append("second")))
    async with Lifespan(app).running() as lifespan:
        pass
    assert [message["type"] for message in lifespan.sent] == ["lifespan.startup.failed"]
    assert "no database" in lifespan.sent[0]["message"]
    assert calls == []
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info[0] is LookupError


@pytest.mark.anyio
async def test_failing_shutdown_is_told_to_the_server(caplog):
    app = DuoFlask(__name__)

    @app.after_serving
    async def fail():
        raise LookupError("no database")

    async with Lifespan(app).running() as lifespan:
        pass
    assert [message["type"] for message in lifespan.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.failed",
    ]
    assert len(caplog.records) == 1


@pytest.mark.parametrize("colour", COLOURS)
def test_failing_start_up_under_wsgi_answers_503_and_is_logged_once(wsgi_call, caplog, colour):
    app = DuoFlask(__name__)
    calls: list[str] = []

    def fail() -> None:
        calls.append("start-up")
        raise LookupError("no database")

    app.before_serving(coloured(colour, fail))
    app.add_url_rule("/", "view", lambda: calls.append("view") or "ok")
    for _ in range(3):
        call = wsgi_call(app)
        assert call.status.startswith("503 ")
        assert "no database" not in call.read()
    assert calls == ["start-up"]
    assert [record.exc_info[0] for record in caplog.records] == [LookupError]


@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
def test_failing_start_up_under_wsgi_with_many_threads_is_logged_once(wsgi_call, caplog, colour, view_colour):
    app = DuoFlask(__name__)
    calls: list[str] = []

    def fail() -> None:
        calls.append("start-up")
        raise LookupError("no database")

    app.before_serving(coloured(colour, fail))
    app.add_url_rule("/", "view", coloured(view_colour, lambda: "ok"))
    together = threading.Barrier(20)

    def serve(_: int) -> str:
        together.wait(20)
        return wsgi_call(app).status

    with ThreadPoolExecutor(20) as pool:
        answers = set(pool.map(serve, range(20)))
    assert answers == {"503 SERVICE UNAVAILABLE"}
    assert calls == ["start-up"]
    assert len(caplog.records) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("colour", COLOURS)
async def test_asgi_server_without_lifespan_starts_up_before_the_first_request(channel, colour):
    app = DuoFlask(__name__)
    calls: list[str] = []
    app.before_serving(coloured(colour, lambda: calls.append("up")))
    app.add_url_rule("/", "view", coloured(colour, lambda: str(len(calls))))
    exchanges = [channel() for _ in range(50)]
    async with anyio.create_task_group() as group:
        for exchange in exchanges:
            group.start_soon(exchange.serve, app)
    assert [exchange.text for exchange in exchanges] == ["1"] * 50
    assert calls == ["up"]


@pytest.mark.anyio
async def test_asgi_server_without_lifespan_answers_503_after_a_failure(channel, caplog):
    app = DuoFlask(__name__)

    @app.before_serving
    async def fail():
        raise LookupError("no database")

    app.add_url_rule("/", "view", lambda: "ok")
    exchanges = [channel() for _ in range(5)]
    async with anyio.create_task_group() as group:
        for exchange in exchanges:
            group.start_soon(exchange.serve, app)
    assert [exchange.status for exchange in exchanges] == [503] * 5
    assert len(caplog.records) == 1


def test_start_up_functions_run_once_for_each_loop(channel, wsgi_call):
    app = DuoFlask(__name__)
    loops: list[Any] = []

    @app.before_serving
    async def up():
        loops.append(anyio.lowlevel.current_token())

    app.add_url_rule("/", "view", lambda: str(len(loops)))

    async def serve() -> str:
        exchange = channel()
        await exchange.serve(app)
        return exchange.text

    try:
        assert wsgi_call(app).read() == "1"
        assert anyio.run(serve) == "2"
        assert anyio.run(serve, backend="trio") == "3"
        assert wsgi_call(app).read() == "3"
    finally:
        app._lifecycle.stop_portal()
    assert len(set(loops)) == 3


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("view_colour", COLOURS)
def test_before_first_request_runs_once_with_fifty_threads(wsgi_call, colour, view_colour):
    app = DuoFlask(__name__)
    calls: list[str] = []
    together = threading.Barrier(50)
    app.before_first_request(coloured(colour, lambda: calls.append("first")))
    app.add_url_rule("/", "view", coloured(view_colour, lambda: str(len(calls))))

    def serve(_: int) -> str:
        together.wait(20)
        return wsgi_call(app).read()

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(serve, range(50))) == ["1"] * 50
    assert calls == ["first"]


@pytest.mark.anyio
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("view_colour", COLOURS)
async def test_before_first_request_runs_once_with_fifty_tasks(channel, colour, view_colour):
    app = DuoFlask(__name__)
    calls: list[str] = []
    app.before_first_request(coloured(colour, lambda: calls.append("first")))
    app.add_url_rule("/", "view", coloured(view_colour, lambda: str(len(calls))))
    exchanges = [channel() for _ in range(50)]
    async with anyio.create_task_group() as group:
        for exchange in exchanges:
            group.start_soon(exchange.serve, app)
    assert [exchange.text for exchange in exchanges] == ["1"] * 50
    assert calls == ["first"]


@pytest.mark.anyio
@pytest.mark.parametrize("threads", [1, 2])
async def test_before_first_request_that_waits_for_the_loop_needs_no_second_worker(channel, threads):
    app = DuoFlask(__name__)
    app.config["WORKER_THREADS"] = threads
    calls: list[str] = []

    @app.before_request
    def hook():
        pass

    @app.before_first_request
    async def first():
        await anyio.lowlevel.checkpoint()
        calls.append(await app.sync_to_async(lambda: "first")())

    app.add_url_rule("/", "view", lambda: "ok")
    exchanges = [channel() for _ in range(20)]
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for exchange in exchanges:
                group.start_soon(exchange.serve, app)
    assert [exchange.text for exchange in exchanges] == ["ok"] * 20
    assert calls == ["first"]


@pytest.mark.parametrize("colour", COLOURS)
def test_before_first_request_that_fails_runs_again_for_the_next_request(client, colour):
    app = DuoFlask(__name__)
    calls: list[str] = []

    def first() -> None:
        calls.append("first")
        if len(calls) == 1:
            raise LookupError

    app.before_first_request(coloured(colour, first))
    app.add_url_rule("/", "view", lambda: "ok")
    served = client(app)
    assert [served.get("/").status_code for _ in range(3)] == [500, 200, 200]
    assert calls == ["first", "first"]


@pytest.mark.anyio
async def test_cancelled_first_request_leaves_its_work_to_the_next(channel):
    app = DuoFlask(__name__)
    entered = anyio.Event()
    calls: list[str] = []

    @app.before_first_request
    async def first():
        calls.append("begun")
        if len(calls) == 1:
            entered.set()
            await anyio.sleep_forever()

    app.add_url_rule("/", "view", lambda: "ok")
    following = channel()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:

                async def cancel() -> None:
                    await entered.wait()
                    group.start_soon(following.serve, app)
                    for _ in range(10):
                        with anyio.CancelScope(shield=True):
                            await anyio.lowlevel.checkpoint()
                    scope.cancel()

                group.start_soon(cancel)
                await channel().serve(app)
    assert following.text == "ok"
    assert calls == ["begun", "begun"]


AT_EXIT = """
from duoflask import DuoFlask
from duoflask.testing import create_environ

app = DuoFlask("at_exit")

@app.before_serving
async def up():
    print("up")

@app.after_serving
async def down():
    print("down on the loop")

@app.after_serving
def down_in_thread():
    print("down in a thread")

@app.route("/")
def view():
    return "view"

print(b"".join(app(create_environ("/"), lambda status, headers: None)).decode())
"""


def test_shutdown_functions_run_when_the_process_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", AT_EXIT],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PYTHONPATH": str(Path(duoflask.__file__).parents[1])},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["up", "view", "down on the loop", "down in a thread"]


def test_setup_after_the_first_request_says_what_to_do(client):
    app = DuoFlask(__name__)
    app.add_url_rule("/", "view", lambda: "ok")
    client(app).get("/")
    with pytest.raises(AssertionError, match="before_serving.*after its first request"):
        app.before_serving(lambda: None)
