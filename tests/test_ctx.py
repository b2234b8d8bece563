"""The context: pushed and popped in any order, torn down by `with` and `async with`, copied for threads and tasks."""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from duoflask import (
    DuoFlask,
    after_this_request,
    copy_current_request_context,
    current_app,
    g,
    has_app_context,
    has_request_context,
    request,
)


@pytest.fixture
def app() -> DuoFlask:
    return DuoFlask(__name__)


def test_app_context_is_active_inside_its_block(app):
    assert not has_app_context()
    with app.app_context() as ctx:
        assert ctx.app is current_app._get_current_object()
        assert has_app_context()
        assert not has_request_context()
    assert not has_app_context()


def test_request_context_is_active_inside_its_block(app):
    app.add_url_rule("/users/<int:number>", "user", lambda number: "")
    with app.test_request_context("/users/7", method="GET"):
        assert has_app_context()
        assert has_request_context()
        assert (request.endpoint, request.view_args) == ("user", {"number": 7})
    assert not has_request_context()


def test_request_context_of_no_rule_keeps_why(app):
    with app.test_request_context("/nowhere"):
        assert request.routing_exception.code == 404
        assert request.endpoint is None


def test_request_context_of_a_scope(app, channel):
    with app.request_context(channel("/path", b"a=1").scope):
        assert (request.path, request.args["a"]) == ("/path", "1")


def test_contexts_of_two_apps_are_nested():
    outer, inner = DuoFlask("outer"), DuoFlask("inner")
    with outer.app_context():
        g.name = "outer"
        with inner.app_context():
            assert current_app.name == "inner"
            assert "name" not in g
        assert (current_app.name, g.name) == ("outer", "outer")


def test_g_of_a_nested_context_of_the_same_app_is_its_own(app):
    with app.app_context():
        g.a = 1
        with app.app_context():
            assert "a" not in g
        assert g.a == 1


def test_context_that_is_pushed_twice_is_torn_down_by_the_last_pop(app):
    calls: list[Any] = []
    app.teardown_appcontext(calls.append)
    ctx = app.app_context()
    ctx.push()
    ctx.push()
    ctx.pop()
    assert has_app_context()
    assert calls == []
    ctx.pop()
    assert calls == [None]
    assert not has_app_context()


def test_pop_without_a_push_says_so(app):
    with pytest.raises(RuntimeError, match="it is not active"):
        app.app_context().pop()


def test_pop_out_of_order_keeps_the_others():
    first, second, third = (DuoFlask(name).app_context() for name in ("first", "second", "third"))
    for ctx in (first, second, third):
        ctx.push()
    second.pop()
    assert current_app.name == "third"
    third.pop()
    assert current_app.name == "first"
    first.pop()
    assert not has_app_context()


def test_outermost_popped_first_keeps_the_others():
    first, second = DuoFlask("first").app_context(), DuoFlask("second").app_context()
    first.push()
    second.push()
    first.pop()
    assert current_app.name == "second"
    second.pop()
    assert not has_app_context()


def test_pop_in_another_context_restores(app):
    ctx = app.app_context()
    other = copy_context()
    other.run(ctx.push)
    assert not has_app_context()
    other.copy().run(ctx.pop)
    assert not has_app_context()


@pytest.mark.parametrize("error", [KeyError, SystemExit])
def test_teardown_is_told_of_the_error_of_the_block(app, error):
    calls: list[Any] = []
    app.teardown_appcontext(lambda exc: calls.append(type(exc)))
    app.teardown_request(lambda exc: calls.append(type(exc)))
    with pytest.raises(error):
        with app.test_request_context("/"):
            raise error
    assert calls == [error, error]


def test_teardown_of_a_block_runs_inside_it_in_flasks_order(app):
    calls: list[str] = []
    app.teardown_appcontext(lambda exc: calls.append(f"appcontext {current_app.name}"))
    app.teardown_request(lambda exc: calls.append(f"request {request.path}"))
    with app.test_request_context("/path"):
        pass
    assert calls == ["request /path", f"appcontext {__name__}"]


def test_app_context_runs_no_teardown_request(app):
    app.teardown_request(lambda exc: pytest.fail("not a request"))
    with app.app_context():
        pass


def test_failing_teardown_of_a_block_still_pops(app):
    @app.teardown_appcontext
    def fail(exc):
        raise KeyError("teardown")

    with pytest.raises(KeyError, match="teardown"):
        with app.app_context():
            pass
    assert not has_app_context()


def test_async_teardown_of_a_block_in_a_thread(app):
    calls: list[str] = []

    @app.teardown_appcontext
    async def last(exc):
        await asyncio.sleep(0)
        calls.append(g.name)

    with app.app_context():
        g.name = "g"
    assert calls == ["g"]


@pytest.mark.anyio
async def test_async_teardown_of_a_block_on_a_loop_says_async_with(app):
    calls: list[str] = []

    @app.teardown_appcontext
    async def last(exc):
        await anyio.lowlevel.checkpoint()
        calls.append(g.name)

    with pytest.raises(RuntimeError, match="'async with' instead"):
        with app.app_context():
            pass
    assert not has_app_context()
    async with app.app_context():
        g.name = "g"
    assert calls == ["g"]
    assert not has_app_context()


@pytest.mark.anyio
async def test_def_teardown_of_an_async_block(app):
    calls: list[Any] = []

    @app.teardown_request
    def last(exc):
        calls.append((type(exc), request.path))

    with pytest.raises(KeyError):
        async with app.test_request_context("/path"):
            raise KeyError
    assert calls == [(KeyError, "/path")]


def test_after_this_request(client, app):
    @app.route("/")
    async def view():
        @after_this_request
        async def first(response):
            response.headers["X-Order"] = "1"
            return response

        @after_this_request
        def second(response):
            response.headers["X-Order"] += "2"
            return response

        return "ok"

    app.add_url_rule("/without", "without", lambda: "ok")
    served = client(app)
    assert served.get("/").headers["X-Order"] == "12"
    assert "X-Order" not in served.get("/without").headers


@pytest.mark.parametrize("function", [after_this_request, copy_current_request_context])
def test_function_that_needs_a_request_says_so(app, function):
    with pytest.raises(RuntimeError, match=f"{function.__name__} was called while no request is active"):
        function(lambda: None)
    with app.app_context():
        with pytest.raises(RuntimeError, match="no request is active"):
            function(lambda: None)


def test_copied_request_context_in_a_thread(client, app):
    calls: list[Any] = []
    app.teardown_request(lambda exc: calls.append("teardown"))

    @app.route("/")
    def view():
        g.early = "early"
        found: list[str] = []

        @copy_current_request_context
        def work():
            found.append(f"{request.args['n']} {g.early}")
            g.late = "late"

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert calls == []
        return f"{found[0]} {g.late}"

    assert client(app).get("/?n=1").text == "1 early late"
    assert calls == ["teardown"]


def test_copied_request_context_in_a_task_that_outlives_the_request(loop_client, app):
    calls: list[Any] = []
    ended = threading.Event()
    app.teardown_request(lambda exc: calls.append("teardown"))
    found: list[str] = []

    @app.route("/")
    def view():
        @copy_current_request_context
        def work():
            assert torn_down.wait(20)
            found.append(request.args["n"])
            ended.set()

        threading.Thread(target=work).start()
        return "ok"

    torn_down = threading.Event()
    assert loop_client(app).get("/?n=1").text == "ok"
    torn_down.set()
    assert ended.wait(20)
    assert found == ["1"]
    assert calls == ["teardown"]


def test_copied_request_context_may_be_used_by_several_tasks(loop_client, app):
    @app.route("/")
    async def view():
        g.total = 0

        @copy_current_request_context
        async def work(number):
            await anyio.lowlevel.checkpoint()
            g.total += number * int(request.args["n"])

        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(work, number)
        return str(g.total)

    assert loop_client(app).get("/?n=2").text == "20"


def test_context_of_a_streamed_body_needs_no_stream_with_context(loop_client, app):
    @app.route("/def")
    def in_thread():
        return (f"{request.path} {has_request_context()} " for _ in range(2))

    @app.route("/async")
    async def on_loop():
        async def body():
            yield request.path
            await anyio.lowlevel.checkpoint()
            yield str(has_request_context())

        return body()

    served = loop_client(app)
    assert served.get("/def").text == "/def True /def True "
    assert served.get("/async").text == "/asyncTrue"
