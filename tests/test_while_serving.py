"""`while_serving` and `app.state`: both halves in one task, their order, failures, and the state of each loop."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from duoflask import Blueprint, DuoFlask, current_app, g, has_request_context, request
from duoflask.signals import got_serving_exception

COLOURS = ["def", "async def"]
variable: ContextVar[str] = ContextVar("variable", default="unset")


def generator(colour: str, calls: list[str], name: str) -> Any:
    def plain():
        calls.append(f"{name} up")
        yield
        calls.append(f"{name} down")

    async def asynchronous():
        await anyio.lowlevel.checkpoint()
        calls.append(f"{name} up")
        yield
        await anyio.lowlevel.checkpoint()
        calls.append(f"{name} down")

    return plain if colour == "def" else asynchronous


class Lifespan:
    """A fake ASGI server's side of the lifespan, with state."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._told = 0
        self._shutdown = anyio.Event()
        self._answered = anyio.Event()
        self.state: dict[str, Any] = {"server": 1}
        self.sent: list[dict[str, Any]] = []

    async def _receive(self) -> dict[str, Any]:
        self._told += 1
        if self._told == 1:
            return {"type": "lifespan.startup"}
        await self._shutdown.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self._answered.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Lifespan]:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        async with anyio.create_task_group() as group:
            group.start_soon(self._app, scope, self._receive, self._send)
            await self._answered.wait()
            yield self
            self._shutdown.set()


@pytest.mark.parametrize("other", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
def test_order(loop_client, colour, other):
    app = DuoFlask(__name__)
    calls: list[str] = []
    app.before_serving(lambda: calls.append("before"))
    app.while_serving(generator(colour, calls, "1"))
    app.while_serving(generator(other, calls, "2"))
    app.after_serving(lambda: calls.append("after"))
    app.add_url_rule("/", "view", lambda: calls.append("view") or "ok")
    served = loop_client(app)
    for _ in range(2):
        assert served.get("/").text == "ok"
    served.close()
    assert calls == ["before", "1 up", "2 up", "view", "view", "2 down", "1 down", "after"]
    served.get("/")
    served.close()
    assert calls[8:] == ["before", "1 up", "2 up", "view", "2 down", "1 down", "after"]


@pytest.mark.parametrize("colour", COLOURS)
def test_blueprint_registers_for_the_app(client, colour):
    app, blueprint = DuoFlask(__name__), Blueprint("b", __name__)
    calls: list[str] = []
    blueprint.before_app_serving(lambda: calls.append("before"))
    blueprint.while_app_serving(generator(colour, calls, "1"))
    blueprint.after_app_serving(lambda: calls.append("after"))
    app.register_blueprint(blueprint)
    app.register_blueprint(blueprint, name="again")
    app.add_url_rule("/", "view", lambda: "ok")
    served = client(app)
    served.get("/")
    served.close()
    assert calls == ["before", "1 up", "1 down", "after"]


@pytest.mark.parametrize("view_colour", COLOURS)
def test_task_group_and_cancel_scope_stay_open_in_between(loop_client, view_colour):
    app = DuoFlask(__name__)
    seen: list[Any] = []

    @app.while_serving
    async def tasks():
        token = variable.set("set")
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                send, receive = anyio.create_memory_object_stream[int](10)
                app.state.send = send

                async def work() -> None:
                    with receive:
                        async for item in receive:
                            seen.append(2 * item)

                group.start_soon(work)
                yield
                await send.aclose()
        seen.append(scope.cancelled_caught)
        variable.reset(token)

    async def view_async():
        await app.state.send.send(1)
        return "ok"

    def view_def():
        app.async_to_sync(app.state.send.send)(1)
        return "ok"

    app.add_url_rule("/", "view", view_def if view_colour == "def" else view_async)
    served = loop_client(app)
    for _ in range(3):
        assert served.get("/").text == "ok"
    served.close()
    assert seen == [2, 2, 2, False]


@pytest.mark.parametrize("colour", COLOURS)
def test_it_sees_the_app_and_no_request(client, colour):
    app = DuoFlask(__name__)
    seen: list[Any] = []

    def look() -> None:
        seen.append((current_app.name, has_request_context(), g.get("mine")))

    def plain():
        look()
        g.mine = 1
        yield
        look()

    async def asynchronous():
        look()
        g.mine = 1
        yield
        look()

    app.while_serving(plain if colour == "def" else asynchronous)
    app.add_url_rule("/", "view", lambda: str("mine" in g))
    served = client(app)
    assert served.get("/").text == "False"
    served.close()
    assert seen == [(__name__, False, None), (__name__, False, 1)]


def test_context_managers_are_taken_too(loop_client):
    app = DuoFlask(__name__)
    calls: list[str] = []

    @app.while_serving
    @contextmanager
    def plain():
        calls.append("plain up")
        try:
            yield
        finally:
            calls.append("plain down")

    @app.while_serving
    @asynccontextmanager
    async def asynchronous():
        calls.append("async up")
        try:
            yield
        finally:
            calls.append("async down")

    app.add_url_rule("/", "view", lambda: "ok")
    served = loop_client(app)
    served.get("/")
    served.close()
    assert calls == ["plain up", "async up", "async down", "plain down"]


@pytest.mark.parametrize("other", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
def test_what_has_started_is_ended_when_a_later_one_fails(client, colour, other, caplog):
    app = DuoFlask(__name__)
    calls: list[str] = []

    def fail_plain():
        raise LookupError("no database")
        yield

    async def fail_async():
        raise LookupError("no database")
        yield

    app.while_serving(generator(colour, calls, "1"))
    app.while_serving(generator(other, calls, "2"))
    app.while_serving(fail_plain if other == "def" else fail_async)
    app.while_serving(generator(colour, calls, "4"))
    app.after_serving(lambda: calls.append("after"))
    app.add_url_rule("/", "view", lambda: "ok")
    served = client(app)
    if served.protocol == "wsgi":
        assert [served.get("/").status_code for _ in range(3)] == [503] * 3
        assert len(caplog.records) == 1
    else:
        with pytest.raises(Exception, match="no database"):
            served.get("/")
    served.close()
    assert calls == ["1 up", "2 up", "2 down", "1 down"]


@pytest.mark.anyio
async def test_failure_is_told_to_an_asgi_server(caplog):
    app = DuoFlask(__name__)
    calls: list[str] = []
    app.while_serving(generator("async def", calls, "1"))

    @app.while_serving
    async def fail():
        raise LookupError("no database")
        yield

    async with Lifespan(app).running() as lifespan:
        pass
    assert lifespan.sent == [{"type": "lifespan.startup.failed", "message": "LookupError: no database"}]
    assert calls == ["1 up", "1 down"]


@pytest.mark.anyio
async def test_all_are_ended_whatever_one_raises(caplog):
    app = DuoFlask(__name__)
    calls: list[str] = []
    app.while_serving(generator("async def", calls, "1"))

    @app.while_serving
    async def fail():
        yield
        raise LookupError("one")

    @app.after_serving
    def fail_too():
        raise LookupError("two")

    app.after_serving(lambda: calls.append("after"))
    async with Lifespan(app).running() as lifespan:
        pass
    assert [message["type"] for message in lifespan.sent] == ["lifespan.startup.complete", "lifespan.shutdown.failed"]
    assert calls == ["1 up", "1 down", "after"]
    (record,) = caplog.records
    assert [str(error) for error in record.exc_info[1].exceptions] == ["one", "two"]


@pytest.mark.anyio
async def test_failures_are_signalled(caplog):
    app = DuoFlask(__name__)
    seen: list[str] = []

    @app.after_serving
    async def fail():
        raise LookupError("down")

    def receive(sender, exception):
        seen.append(f"{exception} {current_app.name}")

    async def receive_async(sender, exception):
        await anyio.lowlevel.checkpoint()
        receive(sender, exception)

    with got_serving_exception.connected_to(receive, app), got_serving_exception.connected_to(receive_async, app):
        async with Lifespan(app).running():
            pass
        app.before_serving(fail)
        async with Lifespan(app).running():
            pass
    assert seen == [f"down {__name__}"] * 4


@pytest.mark.parametrize("colour", COLOURS)
def test_function_without_a_yield_is_refused(wsgi_call, caplog, colour):
    app = DuoFlask(__name__)

    def plain():
        return None

    async def asynchronous():
        return None

    app.while_serving(plain if colour == "def" else asynchronous)
    assert wsgi_call(app).status.startswith("503 ")
    assert "write 'yield'" in caplog.text


@pytest.mark.parametrize("colour", COLOURS)
def test_second_yield_is_an_error(client, colour):
    app = DuoFlask(__name__)

    ends: list[str] = []

    def plain():
        try:
            yield
            yield
        finally:
            ends.append("closed")

    async def asynchronous():
        try:
            yield
            yield
        finally:
            ends.append("closed")

    app.while_serving(plain if colour == "def" else asynchronous)
    app.add_url_rule("/", "view", lambda: "ok")
    served = client(app)
    served.get("/")
    with pytest.raises(Exception, match="yielded twice"):
        served.close()
    assert ends == ["closed"]


@pytest.mark.anyio
@pytest.mark.parametrize("view_colour", COLOURS)
async def test_server_without_lifespan(channel, view_colour):
    app = DuoFlask(__name__)
    calls: list[str] = []
    app.while_serving(generator("async def", calls, "1"))
    app.while_serving(generator("def", calls, "2"))
    app.add_url_rule("/", "view", lambda: "ok")
    exchanges = [channel() for _ in range(20)]
    async with anyio.create_task_group() as group:
        for exchange in exchanges:
            group.start_soon(exchange.serve, app)
    assert [exchange.text for exchange in exchanges] == ["ok"] * 20
    assert calls == ["1 up", "2 up"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_end_of_a_loop_that_no_server_announces_ends_what_has_started(channel, backend):
    app = DuoFlask(__name__)
    calls: list[str] = []
    app.while_serving(generator("async def", calls, "1"))
    app.while_serving(generator("def", calls, "2"))
    app.after_serving(lambda: calls.append("after"))
    app.add_url_rule("/", "view", lambda: "ok")

    async def serve() -> None:
        await channel().serve(app)

    anyio.run(serve, backend=backend)
    assert calls == ["1 up", "2 up", "2 down", "1 down", "after"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forked_child_does_not_end_what_its_parent_started():
    code = (
        "import gc, os\n"
        "from duoflask import DuoFlask\n"
        "app = DuoFlask('x')\n"
        "@app.while_serving\n"
        "def one():\n"
        "    print('up', flush=True)\n"
        "    yield\n"
        "    print('down', flush=True)\n"
        "app.add_url_rule('/', 'view', lambda: 'ok')\n"
        "client = app.test_client(); client.get('/')\n"
        "if os.fork() == 0:\n"
        "    client.get('/'); gc.collect(); os._exit(0)\n"
        "os.wait()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "up\nup\ndown\n"


# -- app.state


@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
def test_state_of_a_start_up_function_reaches_views(loop_client, colour, view_colour):
    app = DuoFlask(__name__)

    def plain():
        app.state.pool = "pool"
        app.state["more"] = 1
        yield
        assert app.state.pool == "pool"
        assert app.state.more == 2

    async def asynchronous():
        for _ in plain():
            yield

    app.while_serving(plain if colour == "def" else asynchronous)

    def view_def():
        app.state.more += 1
        return {"pool": current_app.state.pool, "more": current_app.state["more"], "names": sorted(app.state)}

    async def view_async():
        return view_def()

    app.add_url_rule("/", "view", view_def if view_colour == "def" else view_async)
    served = loop_client(app)
    assert served.get("/").json == {"pool": "pool", "more": 2, "names": ["more", "pool"]}
    served.close()
    assert "pool" not in app.state


@pytest.mark.anyio
@pytest.mark.parametrize("view_colour", COLOURS)
async def test_state_is_that_of_the_lifespan(channel, view_colour):
    app = DuoFlask(__name__)

    @app.before_serving
    def up():
        app.state.mine = 1

    def view_def():
        return {name: app.state[name] for name in app.state}

    async def view_async():
        return view_def()

    app.add_url_rule("/", "view", view_def if view_colour == "def" else view_async)
    async with Lifespan(app).running() as lifespan:
        assert lifespan.state == {"server": 1, "mine": 1}
        exchange = channel()
        exchange.scope["state"] = {**lifespan.state, "of the request": 2}
        await exchange.serve(app)
    assert app.json.loads(exchange.text) == {"server": 1, "mine": 1, "of the request": 2}


def test_each_loop_has_its_state(channel, wsgi_call):
    app = DuoFlask(__name__)
    numbers = iter(range(10))

    @app.before_serving
    async def up():
        app.state.number = next(numbers)

    app.add_url_rule("/", "view", lambda: str(app.state.number))

    async def serve() -> str:
        exchange = channel()
        await exchange.serve(app)
        return exchange.text

    try:
        assert wsgi_call(app).read() == "0"
        assert anyio.run(serve) == "1"
        assert anyio.run(serve, backend="trio") == "2"
        assert wsgi_call(app).read() == "0"
    finally:
        app._lifecycle.stop_portal()
    gc.collect()


def test_state_of_the_set_up_is_seen_by_all(loop_client):
    app = DuoFlask(__name__)
    app.state.name = "set up"
    app.state.other = 1
    app.add_url_rule("/", "view", lambda: setattr(app.state, "name", app.state.name + "!") or app.state.name)
    served = loop_client(app)
    assert [served.get("/").text for _ in range(2)] == ["set up!", "set up!!"]
    served.close()
    assert app.state.name == "set up"
    assert dict(app.state) == {"name": "set up", "other": 1}
    del app.state.other
    del app.state["name"]
    assert len(app.state) == 0


def test_missing_state_says_where_it_comes_from():
    app = DuoFlask(__name__)
    with pytest.raises(AttributeError, match="before_serving"):
        _ = app.state.missing
    with pytest.raises(KeyError):
        app.state["missing"]
    with pytest.raises(AttributeError):
        del app.state.missing
    with pytest.raises(KeyError):
        del app.state["missing"]
    with pytest.raises(AttributeError, match="a method 'items'"):
        app.state.items = 1
    assert app.state.get("missing") is None
    assert repr(app.state) == "<State {}>"


def test_portal_thread_ends_generators_from_another_thread(wsgi_call):
    app = DuoFlask(__name__)
    calls: list[str] = []
    app.while_serving(generator("async def", calls, "1"))
    app.while_serving(generator("def", calls, "2"))
    app.add_url_rule("/", "view", lambda: "ok")
    first = threading.Thread(target=lambda: wsgi_call(app).read())
    first.start()
    first.join(20)
    assert calls == ["1 up", "2 up"]
    app._lifecycle.stop_portal()
    assert calls == ["1 up", "2 up", "2 down", "1 down"]


def keeping_app() -> tuple[DuoFlask, list[weakref.ref[Any]]]:
    app = DuoFlask(__name__)
    requests: list[weakref.ref[Any]] = []

    @app.while_serving
    async def database():
        yield

    @app.get("/")
    def view():
        requests.append(weakref.ref(request._get_current_object()))
        return "ok"

    return app, requests


@pytest.mark.anyio
async def test_what_stays_open_does_not_keep_the_first_request(channel):
    app, requests = keeping_app()
    await channel("/").serve(app)
    await channel("/").serve(app)
    gc.collect()
    assert [made() for made in requests] == [None, None]


def test_what_stays_open_on_the_portal_does_not_keep_the_first_request(wsgi_call):
    app, requests = keeping_app()
    assert wsgi_call(app).read() == "ok"
    gc.collect()
    try:
        assert requests[0]() is None
    finally:
        app._lifecycle.stop_portal()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_two_threads_with_the_first_request_of_a_forked_child_start_up_once():
    code = (
        "import os, sys, threading\n"
        "from duoflask import DuoFlask\n"
        "app = DuoFlask('x')\n"
        "@app.while_serving\n"
        "def one():\n"
        "    print('up', flush=True)\n"
        "    yield\n"
        "app.add_url_rule('/', 'view', lambda: 'ok')\n"
        "def get(): assert app.test_client().get('/').text == 'ok'\n"
        "get()\n"
        "sys.setswitchinterval(1e-6)\n"
        "if os.fork() == 0:\n"
        "    threads = [threading.Thread(target=get) for _ in range(8)]\n"
        "    [thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "    sys.stdout.flush(); os._exit(0)\n"
        "os.wait(); os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "up\nup\n"
