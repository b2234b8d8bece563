"""Every step of a request runs in one and the same `contextvars.Context`, on whichever thread."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from duoflask import DuoFlask, Response, g

COLOURS = ["def", "async def"]

value: ContextVar[str] = ContextVar("value", default="unset")


def coloured(colour: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if colour == "def":
        return function

    @functools.wraps(function)
    async def on_loop(*args: Any, **kwargs: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        result = function(*args, **kwargs)
        await anyio.lowlevel.checkpoint()
        return result

    return on_loop


def body_of(colour: str, read: Callable[[], str]) -> Any:
    if colour == "def":

        def sync_body():
            yield read()
            yield read()

        return sync_body()

    async def async_body():
        yield read()
        await anyio.lowlevel.checkpoint()
        yield read()

    return async_body()


@pytest.mark.parametrize("here", COLOURS)
@pytest.mark.parametrize("there", COLOURS)
def test_variable_set_in_a_before_hook_is_seen_by_all_that_follows(loop_client, here, there):
    app = DuoFlask(__name__)
    seen: dict[str, str] = {}

    def note(step: str, answer: Any = None) -> Any:
        seen[step] = value.get()
        return answer

    app.before_request(coloured(here, lambda: value.set("hook") and None))
    app.after_request(coloured(there, lambda response: note("after", response)))
    app.teardown_request(coloured(there, lambda error: note("teardown")))
    app.teardown_appcontext(coloured(there, lambda error: note("teardown_appcontext")))

    def view():
        note("view")
        response = Response(body_of(there, value.get))
        response.call_on_close(coloured(there, lambda: note("close")))
        return response

    app.add_url_rule("/", "view", coloured(there, view))
    assert loop_client(app).get("/").text == "hookhook"
    assert seen == dict.fromkeys(("view", "after", "close", "teardown", "teardown_appcontext"), "hook")


@pytest.mark.parametrize("here", COLOURS)
@pytest.mark.parametrize("there", COLOURS)
def test_variable_of_a_view_is_seen_by_the_body_and_one_of_the_body_by_teardown(loop_client, here, there):
    app = DuoFlask(__name__)
    seen: list[str] = []

    def from_body() -> str:
        before = value.get()
        value.set("body")
        return before + " "

    def view():
        value.set("view")
        return body_of(there, from_body)

    app.add_url_rule("/", "view", coloured(here, view))
    app.teardown_request(coloured(here, lambda error: seen.append(value.get())))
    assert loop_client(app).get("/").text == "view body "
    assert seen == ["body"]


@pytest.mark.parametrize("here", COLOURS)
@pytest.mark.parametrize("there", COLOURS)
def test_variable_set_in_a_view_is_seen_by_an_error_handler(loop_client, here, there):
    app = DuoFlask(__name__)

    def view():
        value.set("view")
        raise KeyError

    app.add_url_rule("/", "view", coloured(here, view))
    app.register_error_handler(KeyError, coloured(there, lambda error: value.get()))
    assert loop_client(app).get("/").text == "view"


@pytest.mark.parametrize("here", COLOURS)
@pytest.mark.parametrize("there", COLOURS)
def test_token_taken_in_a_hook_is_reset_in_teardown(loop_client, here, there):
    app = DuoFlask(__name__)
    tokens: list[Token[str]] = []
    seen: list[str] = []

    def reset(error: BaseException | None) -> None:
        value.reset(tokens.pop())
        seen.append(value.get())

    app.before_request(coloured(here, lambda: tokens.append(value.set("hook"))))
    app.teardown_request(coloured(there, reset))
    app.add_url_rule("/", "view", coloured(there, value.get))
    assert loop_client(app).get("/").text == "hook"
    assert seen == ["unset"]


@pytest.mark.parametrize("here", COLOURS)
@pytest.mark.parametrize("there", COLOURS)
def test_token_taken_in_a_view_is_reset_in_the_body(loop_client, here, there):
    app = DuoFlask(__name__)
    tokens: list[Token[str]] = []

    def read() -> str:
        if tokens:
            value.reset(tokens.pop())
        return value.get()

    def view():
        tokens.append(value.set("view"))
        return body_of(there, read)

    app.add_url_rule("/", "view", coloured(here, view))
    assert loop_client(app).get("/").text == "unsetunset"


@pytest.mark.parametrize("here", COLOURS)
def test_nothing_survives_into_the_next_request(loop_client, here):
    app = DuoFlask(__name__)

    def view(number: int) -> str:
        before = f"{value.get()} {'number' in g}"
        value.set("set")
        g.number = number
        return before

    app.add_url_rule("/<int:number>", "view", coloured(here, view))
    served = loop_client(app)
    assert [served.get(f"/{number}").text for number in range(3)] == ["unset False"] * 3


@pytest.mark.parametrize("here", COLOURS)
def test_nothing_survives_a_body_that_is_read_halfway(loop_client, here):
    app = DuoFlask(__name__)

    def read() -> str:
        before = value.get()
        value.set("set")
        return before

    app.add_url_rule("/", "view", lambda: body_of(here, read))
    served = loop_client(app)
    for _ in range(2):
        response = served.get("/")
        assert next(iter(response.response)) == b"unset"
        response.close()
    assert value.get() == "unset"


@pytest.mark.parametrize("here", COLOURS)
def test_nothing_survives_on_a_worker_thread(loop_client, here):
    app = DuoFlask(__name__)
    app.config["WORKER_THREADS"] = 1
    seen: list[tuple[str, str]] = []

    @app.before_request
    def hook():
        seen.append((value.get(), threading.current_thread().name))
        value.set("set")

    app.add_url_rule("/", "view", coloured(here, lambda: "ok"))
    served = loop_client(app)
    for _ in range(3):
        served.get("/")
    assert [before for before, _ in seen] == ["unset"] * 3
    assert len({thread for _, thread in seen}) == 1


@pytest.mark.parametrize("here", COLOURS)
def test_variable_of_the_server_is_seen_and_not_changed(wsgi_call, here):
    app = DuoFlask(__name__)

    def view() -> str:
        before = value.get()
        value.set("view")
        return before

    app.add_url_rule("/", "view", coloured(here, view))
    token = value.set("server")
    try:
        assert wsgi_call(app).read() == "server"
        assert value.get() == "server"
    finally:
        value.reset(token)


@pytest.mark.anyio
@pytest.mark.parametrize("here", COLOURS)
async def test_variable_of_the_server_task_is_seen_and_not_changed(channel, here):
    app = DuoFlask(__name__)

    def view() -> str:
        before = value.get()
        value.set("view")
        return before

    app.add_url_rule("/", "view", coloured(here, view))
    token = value.set("server")
    exchange = channel()
    await exchange.serve(app)
    assert exchange.text == "server"
    assert value.get() == "server"
    value.reset(token)


def test_cancel_scope_may_stay_open_around_the_yields_of_an_async_body(loop_client):
    app = DuoFlask(__name__)

    @app.route("/")
    async def view():
        async def body():
            with anyio.fail_after(20):
                yield "a"
                await anyio.lowlevel.checkpoint()
                yield "b"

        return body()

    assert loop_client(app).get("/").text == "ab"


def test_all_async_steps_of_a_request_run_in_one_task(loop_client):
    app = DuoFlask(__name__)
    tasks: list[int] = []

    async def note(*args: Any) -> Any:
        tasks.append(anyio.get_current_task().id)
        return args[0] if args else None

    app.before_request(note)
    app.before_request(lambda: None)
    app.after_request(note)
    app.teardown_request(note)

    @app.route("/")
    async def view():
        await note()

        async def body():
            await note()
            yield "body"

        return body()

    assert loop_client(app).get("/").text == "body"
    assert len(tasks) == 5
    assert len(set(tasks)) == 1
