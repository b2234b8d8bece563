"""Background tasks: both colours, both protocols, what they see, how they fail, and how a shutdown waits for them."""

from __future__ import annotations

import functools
import gc
import inspect
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from duoflask import Blueprint, DuoFlask, current_app, g, has_request_context, request, session
from duoflask.background import TaskCancelled, after_response
from duoflask.globals import websocket
from duoflask.signals import got_background_exception

COLOURS = ["def", "async def"]
variable: ContextVar[str] = ContextVar("variable", default="unset")


def coloured(colour: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if colour == "def":
        return function

    @functools.wraps(function)
    async def on_loop(*args: Any, **kwargs: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return function(*args, **kwargs)

    return on_loop


@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
def test_background_task_sees_the_request_after_its_end(loop_client, colour, view_colour):
    app = DuoFlask(__name__)
    app.secret_key = "secret"
    seen: list[Any] = []
    go_on = threading.Event()

    def work(*args: Any, **kwargs: Any) -> None:
        go_on.wait(20)
        seen.append((args, kwargs, request.path, request.args["a"], session["user"], g.mine, variable.get()))
        seen.append((current_app.name, request.headers["X-A"]))

    def work_def(*args: Any, **kwargs: Any) -> None:
        work(*args, **kwargs)

    async def work_async(*args: Any, **kwargs: Any) -> None:
        while not go_on.is_set():
            await anyio.sleep(0.001)
        work(*args, **kwargs)

    def view() -> str:
        session["user"] = "ada"
        g.mine = 1
        variable.set("set")
        app.add_background_task(work_def if colour == "def" else work_async, 1, b=2)
        g.mine = 2
        return "ok"

    app.add_url_rule("/x", "view", coloured(view_colour, view))
    app.teardown_appcontext(lambda exc: g.pop("mine"))
    served = loop_client(app)
    assert served.get("/x?a=5", headers={"X-A": "y"}).text == "ok"
    assert seen == []
    assert len(app.background_tasks) == 1
    go_on.set()
    served.close()
    assert seen == [((1,), {"b": 2}, "/x", "5", "ada", 1, "set"), (__name__, "y")]
    assert not app.background_tasks
    assert variable.get() == "unset"


@pytest.mark.parametrize("colour", COLOURS)
def test_def_task_runs_in_a_worker_thread_and_async_task_on_the_loop_of_the_request(loop_client, colour):
    app = DuoFlask(__name__)
    places: dict[str, Any] = {}

    def note(name: str) -> None:
        places[name] = threading.get_ident()

    @app.route("/")
    async def view():
        note("view")
        await app.submit(coloured(colour, lambda: note("task")))
        return "ok"

    served = loop_client(app)
    served.get("/")
    assert (places["view"] == places["task"]) is (colour == "async def")
    assert places["task"] != threading.get_ident()


@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
def test_submit_gives_the_result_to_code_of_both_colours(loop_client, colour, view_colour):
    app = DuoFlask(__name__)
    app.secret_key = "secret"
    add = coloured(colour, lambda a, b: f"{a + b} {request.path}")

    def view_def():
        return app.submit(add, 1, b=2).result(20)

    async def view_async():
        return await app.submit(add, 1, b=2)

    app.add_url_rule("/x", "view", view_def if view_colour == "def" else view_async)
    assert loop_client(app).get("/x").text == "3 /x"


@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
def test_submit_raises_what_the_function_raised(loop_client, colour, view_colour, caplog):
    app = DuoFlask(__name__)

    def fail() -> None:
        raise LookupError("no")

    def view_def():
        task = app.submit(coloured(colour, fail))
        with pytest.raises(LookupError):
            task.result(20)
        return repr(task.exception()) + str(task.done())

    async def view_async():
        task = app.submit(coloured(colour, fail))
        with pytest.raises(LookupError):
            await task
        return repr(task.exception()) + str(task.done())

    app.add_url_rule("/", "view", view_def if view_colour == "def" else view_async)
    served = loop_client(app)
    assert served.get("/").text == "LookupError('no')True"
    served.close()
    gc.collect()
    assert caplog.records == []


@pytest.mark.parametrize("view_colour", COLOURS)
def test_create_task_runs_a_coroutine_beside_the_view(loop_client, view_colour):
    app = DuoFlask(__name__)

    async def add(a: int, b: int) -> str:
        await anyio.lowlevel.checkpoint()
        return f"{a + b} {request.path}"

    def view_def():
        task = app.create_task(add(1, 2))
        return f"{task.result(20)} {task.name.rpartition('.')[2]}"

    async def view_async():
        tasks = [app.create_task(add(1, n)) for n in range(10)]
        return " ".join([(await task).split()[0] for task in tasks])

    app.add_url_rule("/x", "view", view_def if view_colour == "def" else view_async)
    assert loop_client(app).get("/x").text == ("3 /x add" if view_colour == "def" else "1 2 3 4 5 6 7 8 9 10")


def test_create_task_refuses_a_function(client):
    app = DuoFlask(__name__)
    with pytest.raises(TypeError, match="app.submit"):
        app.create_task(lambda: None)  # type: ignore[arg-type]


def test_result_on_a_running_loop_names_await(loop_client):
    app = DuoFlask(__name__)
    go_on = threading.Event()

    @app.route("/")
    async def view():
        task = app.submit(go_on.wait, 10)
        try:
            with pytest.raises(RuntimeError, match="await task"):
                task.result()
        finally:
            go_on.set()
        return str(await task)

    assert loop_client(app).get("/").text == "True"


def test_result_with_a_timeout(client):
    app = DuoFlask(__name__)
    go_on = threading.Event()

    @app.route("/")
    def view():
        task = app.submit(go_on.wait, 10)
        with pytest.raises(TimeoutError):
            task.result(0.01)
        go_on.set()
        return str(task.result(20))

    assert client(app).get("/").text == "True"


@pytest.mark.parametrize("view_colour", COLOURS)
def test_cancelled_task(loop_client, view_colour):
    app = DuoFlask(__name__)
    ended: list[str] = []
    begun = threading.Event()

    async def forever() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("ended")

    def view_def():
        task = app.submit(forever)
        begun.wait(20)
        assert task.running()
        assert task.cancel()
        with pytest.raises(TaskCancelled):
            task.result(20)
        return f"{task.cancelled()} {task.cancel()}"

    async def view_async():
        task = app.submit(forever)
        while not begun.is_set():
            await anyio.sleep(0.001)
        assert task.cancel()
        with pytest.raises(TaskCancelled):
            await task
        return f"{task.cancelled()} {task.cancel()}"

    app.add_url_rule("/", "view", view_def if view_colour == "def" else view_async)
    assert loop_client(app).get("/").text == "True False"
    assert ended == ["ended"]


def test_task_that_nobody_waits_for_any_more_goes_on(loop_client):
    app = DuoFlask(__name__)
    go_on = threading.Event()
    done: list[str] = []

    def work() -> None:
        go_on.wait(20)
        done.append("done")

    @app.route("/")
    async def view():
        with anyio.move_on_after(0.01):
            await app.submit(work)
        go_on.set()
        return "ok"

    served = loop_client(app)
    assert served.get("/").text == "ok"
    served.close()
    assert done == ["done"]


@pytest.mark.parametrize("colour", COLOURS)
def test_failure_is_logged_and_signalled_in_the_context_of_the_task(loop_client, colour, caplog):
    app = DuoFlask(__name__)
    signalled: list[Any] = []

    def fail() -> None:
        raise LookupError("no")

    def receive(sender: Any, exception: Exception) -> None:
        signalled.append((sender, repr(exception), request.path))

    async def receive_async(sender: Any, exception: Exception) -> None:
        await anyio.lowlevel.checkpoint()
        receive(sender, exception)

    @app.route("/x")
    def view():
        app.add_background_task(coloured(colour, fail))
        return "ok"

    served = loop_client(app)
    with got_background_exception.connected_to(receive, app):
        with got_background_exception.connected_to(receive_async, app):
            assert served.get("/x").text == "ok"
            served.close()
    gc.collect()
    assert signalled == [(app, "LookupError('no')", "/x")] * 2
    assert [record.exc_info[0] for record in caplog.records] == [LookupError]
    assert "/x" in caplog.text


def test_handle_background_exception_may_be_replaced(client):
    seen: list[str] = []

    class App(DuoFlask):
        def handle_background_exception(self, error):
            seen.append(repr(error))

    app = App(__name__)

    async def fail():
        raise LookupError("no")

    app.add_url_rule("/", "view", lambda: app.add_background_task(fail) or "ok")
    served = client(app)
    served.get("/")
    served.close()
    assert seen == ["LookupError('no')"]


def test_failure_that_nobody_asks_for_is_logged(client, caplog):
    app = DuoFlask(__name__)

    def fail() -> None:
        raise LookupError("no")

    app.add_url_rule("/", "view", lambda: str(app.submit(fail).running()))
    served = client(app)
    served.get("/")
    served.close()
    gc.collect()
    assert [record.exc_info[0] for record in caplog.records] == [LookupError]


@pytest.mark.parametrize("colour", COLOURS)
def test_task_of_a_start_up_function_has_an_app_and_no_request(loop_client, colour):
    app = DuoFlask(__name__)
    seen: list[Any] = []
    app.teardown_appcontext(lambda exc: seen.append("teardown"))

    def work() -> None:
        seen.append((current_app.name, has_request_context(), "mine" in g))

    @app.before_serving
    async def up():
        g.mine = 1
        app.add_background_task(coloured(colour, work))

    app.add_url_rule("/", "view", lambda: "ok")
    served = loop_client(app)
    served.get("/")
    served.close()
    assert seen.count((__name__, False, False)) == 1
    assert seen.count("teardown") == 2  # the request's and the task's


@pytest.mark.parametrize("colour", COLOURS)
def test_task_may_start_tasks_and_use_functions_of_the_other_colour(loop_client, colour):
    app = DuoFlask(__name__)
    seen: list[str] = []

    async def note_async(text: str) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(f"{text} {request.path}")

    def note(text: str) -> None:
        seen.append(f"{text} {request.path}")

    def work_def() -> None:
        app.async_to_sync(note_async)("1")
        app.add_background_task(note_async, "2")

    async def work_async() -> None:
        await app.sync_to_async(note)("1")
        app.add_background_task(note, "2")

    @app.route("/x")
    def view():
        app.add_background_task(work_def if colour == "def" else work_async)
        return "ok"

    served = loop_client(app)
    served.get("/x")
    served.close()
    assert seen == ["1 /x", "2 /x"]


def test_def_task_that_returns_a_coroutine_has_it_awaited(loop_client):
    app = DuoFlask(__name__)
    seen: list[str] = []

    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(request.path)

    app.add_url_rule("/x", "view", lambda: app.add_background_task(lambda: work()) or "ok")
    served = loop_client(app)
    served.get("/x")
    served.close()
    assert seen == ["/x"]


@pytest.mark.anyio
@pytest.mark.parametrize("colour", COLOURS)
async def test_async_client_waits_for_tasks_at_its_end(colour):
    app = DuoFlask(__name__)
    seen: list[str] = []
    app.add_url_rule(
        "/x", "view", lambda: app.add_background_task(coloured(colour, lambda: seen.append(request.path))) or "ok"
    )
    async with app.async_test_client() as served:
        assert (await served.get("/x")).text == "ok"
    assert seen == ["/x"]


@pytest.mark.parametrize("colour", COLOURS)
def test_task_of_a_websocket(client, colour):
    app = DuoFlask(__name__)
    seen: list[str] = []

    @app.websocket("/ws")
    async def view():
        app.add_background_task(coloured(colour, lambda: seen.append(f"{request.path} {websocket.path}")))
        await websocket.send(await app.submit(coloured(colour, lambda: request.path)))

    served = client(app)
    with served.websocket("/ws") as socket:
        assert socket.receive() == "/ws"
    served.close()
    assert seen == ["/ws /ws"]


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("view_colour", COLOURS)
def test_body_is_kept_for_a_task(loop_client, colour, view_colour, read):
    app = DuoFlask(__name__)
    seen: list[Any] = []
    go_on = threading.Event()

    def work() -> None:
        go_on.wait(20)
        seen.append((request.get_data(as_text=True), request.json))

    async def work_async() -> None:
        while not go_on.is_set():
            await anyio.sleep(0.001)
        work()

    def view() -> str:
        if read:
            assert request.get_data() == b"[1]"
        for _ in range(2):
            app.add_background_task(work if colour == "def" else work_async)
        return request.get_data() if read else "[1]"

    app.add_url_rule("/", "view", coloured(view_colour, view), methods=["POST"])
    served = loop_client(app)
    assert served.post("/", json=[1]).data == b"[1]"
    go_on.set()
    served.close()
    assert seen == [("[1]", [1])] * 2


@pytest.mark.parametrize("colour", COLOURS)
def test_uploads_are_closed_by_the_last_task(loop_client, colour):
    app = DuoFlask(__name__)
    seen: list[Any] = []
    go_on = threading.Event()

    async def first() -> None:
        while not go_on.is_set():
            await anyio.sleep(0.001)
        seen.append(request.files["f"].read())

    def second() -> None:
        app.add_background_task(third)

    async def third() -> None:
        while not seen:
            await anyio.sleep(0.001)
        seen.append(request.files["f"].stream.closed)
        seen.append(request._get_current_object())

    def view() -> str:
        app.add_background_task(first)
        app.add_background_task(second)
        return "ok"

    app.add_url_rule("/", "view", coloured(colour, view), methods=["POST"])
    served = loop_client(app)
    served.post("/", data={"f": (io.BytesIO(b"x" * 1_000_000), "name")})
    go_on.set()
    served.close()
    assert seen[:2] == [b"x" * 1_000_000, False]
    assert seen[2].files["f"].stream.closed


def test_unread_body_is_gone_after_the_response(wsgi_call, caplog):
    app = DuoFlask(__name__)
    seen: list[Any] = []

    @app.after_response
    def after():
        try:
            request.get_data()
        except RuntimeError as exc:
            seen.append(str(exc))
        seen.append(request.headers["Content-Length"])

    app.add_url_rule("/", "view", lambda: "ok", methods=["POST"])
    app.add_url_rule("/read", "read", lambda: request.get_data(), methods=["POST"])
    wsgi_call(app, "/", method="POST", data=b"body").read()
    app._lifecycle.stop_portal()
    wsgi_call(app, "/read", method="POST", data=b"body").read()
    app._lifecycle.stop_portal()
    assert "has ended" in seen[0]
    assert seen[1:] == ["4", "4"]


# -- shutdown


@pytest.mark.parametrize("colour", COLOURS)
def test_shutdown_waits_for_tasks_before_the_shutdown_functions(loop_client, colour):
    app = DuoFlask(__name__)
    calls: list[str] = []

    def work() -> None:
        threading.Event().wait(0.05)
        calls.append("task")

    app.after_serving(lambda: calls.append("down"))
    app.add_url_rule("/", "view", lambda: app.add_background_task(coloured(colour, work)) or "ok")
    served = loop_client(app)
    for _ in range(3):
        served.get("/")
    served.close()
    assert calls == ["task"] * 3 + ["down"]


def test_shutdown_cancels_an_async_task_that_takes_too_long(loop_client, caplog):
    app = DuoFlask(__name__)
    app.config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"] = 0.01
    calls: list[str] = []

    async def forever() -> None:
        calls.append("begun")
        try:
            await anyio.sleep_forever()
        finally:
            calls.append("ended")

    app.add_url_rule("/", "view", lambda: app.add_background_task(forever) or "ok")
    served = loop_client(app)
    served.get("/")
    served.close()
    assert calls in (["begun", "ended"], [])
    assert not app.background_tasks
    assert caplog.records == []


def test_shutdown_gives_a_def_task_up_that_takes_too_long(loop_client, caplog, monkeypatch):
    monkeypatch.setattr("duoflask.background.CANCEL_TIMEOUT", 0.01)
    app = DuoFlask(__name__)
    app.config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"] = 0.01
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(20)

    @app.route("/")
    def view():
        app.add_background_task(work)
        begun.wait(20)
        return "ok"

    served = loop_client(app)
    served.get("/")
    served.close()
    go_on.set()
    assert not app.background_tasks
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "work" in caplog.text


def test_no_thread_is_left_after_the_shutdown(client):
    app = DuoFlask(__name__)

    def workers() -> int:
        return sum(thread.name == "duoflask-worker" for thread in threading.enumerate())

    app.add_url_rule("/", "view", lambda: app.add_background_task(lambda: None) or "ok")
    before = workers()
    served = client(app)
    for _ in range(10):
        served.get("/")
    served.close()
    ended = threading.Event()
    for _ in range(500):
        if workers() <= before:
            break
        ended.wait(0.01)
    assert workers() <= before


def test_many_def_tasks_take_no_thread_from_the_views(client):
    app = DuoFlask(__name__)
    app.config["WORKER_THREADS"] = 2
    go_on = threading.Event()
    app.add_url_rule("/", "view", lambda: app.add_background_task(go_on.wait, 10) or "ok")
    served = client(app)
    assert [served.get("/").text for _ in range(10)] == ["ok"] * 10
    go_on.set()
    served.close()
    assert not app.background_tasks


def test_def_task_under_wsgi_needs_no_portal():
    code = (
        "from duoflask import DuoFlask\n"
        "from duoflask.bridge import current_portal\n"
        "app = DuoFlask('x'); seen = []\n"
        "app.add_url_rule('/', 'view', lambda: app.add_background_task(seen.append, 1) or 'ok')\n"
        "client = app.test_client(); client.get('/'); client.close()\n"
        "assert seen == [1] and current_portal() is None\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
def test_process_that_ends_waits_for_its_tasks(colour, view_colour):
    code = (
        "import time, asyncio\n"
        "from duoflask import DuoFlask\n"
        "app = DuoFlask('x')\n"
        f"{colour} work():\n"
        f"    {'time.sleep(0.3)' if colour == 'def' else 'await asyncio.sleep(0.3)'}\n"
        "    print('done', flush=True)\n"
        f"{view_colour} view(): return app.add_background_task(work) or 'ok'\n"
        "app.add_url_rule('/', 'view', view)\n"
        "environ = {'REQUEST_METHOD': 'GET', 'PATH_INFO': '/', 'wsgi.url_scheme': 'http', 'HTTP_HOST': 'a'}\n"
        "print(app(environ, lambda *args: None), flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout == "[b'ok']\ndone\n"
    assert done.stderr == ""


# -- after a response


@pytest.mark.parametrize("view_colour", COLOURS)
@pytest.mark.parametrize("colour", COLOURS)
def test_after_response_runs_with_the_request(loop_client, colour, view_colour):
    app = DuoFlask(__name__)
    app.secret_key = "secret"
    seen: list[Any] = []

    def view() -> tuple[str, int]:
        session["user"] = "ada"

        def log(response: Any) -> None:
            seen.append((response.status_code, request.path, session["user"], g.get("kept")))

        assert after_response(coloured(colour, log)) is not None
        g.kept = 1
        return "ok", 201

    app.add_url_rule("/x", "view", coloured(view_colour, view))
    app.add_url_rule("/y", "other", coloured(view_colour, lambda: "ok"))
    served = loop_client(app)
    response = served.get("/x")
    assert (response.status_code, response.text, response.headers["Content-Length"]) == (201, "ok", "2")
    served.get("/y")
    served.close()
    assert seen == [(201, "/x", "ada", 1)]


@pytest.mark.parametrize("colour", COLOURS)
def test_after_response_of_app_and_blueprint(client, colour):
    app, blueprint = DuoFlask(__name__), Blueprint("b", __name__)
    seen: list[str] = []
    app.after_response(coloured(colour, lambda: seen.append(f"app {request.path}")))
    blueprint.after_response(coloured(colour, lambda response: seen.append(f"bp {response.status_code}")))
    blueprint.after_app_response(coloured(colour, lambda: seen.append("bp app")))
    blueprint.add_url_rule("/b", "view", lambda: "ok")
    app.add_url_rule("/a", "view", lambda: "ok")
    app.register_blueprint(blueprint)
    served = client(app)
    for path in ("/a", "/b", "/missing"):
        served.get(path)
        served.close()
    assert seen == ["app /a", "bp app", "bp 200", "app /b", "bp app", "app /missing", "bp app"]


@pytest.mark.parametrize("colour", COLOURS)
def test_after_response_runs_when_an_after_hook_replaces_the_response(client, colour):
    app = DuoFlask(__name__)
    seen: list[str] = []
    app.after_request(lambda response: app.response_class("other"))

    @app.route("/")
    def view():
        after_response(coloured(colour, lambda response: seen.append(response.get_data(as_text=True))))
        return "ok"

    served = client(app)
    assert served.get("/").text == "other"
    served.close()
    assert seen == ["other"]


def test_after_response_runs_after_an_error_and_a_stream(client):
    app = DuoFlask(__name__)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    seen: list[Any] = []

    @app.before_request
    def hook():
        after_response(lambda response: seen.append(response.status_code))

    @app.route("/error")
    def error():
        raise LookupError

    @app.route("/stream")
    def stream():
        def chunks():
            yield "a"
            assert seen == [500]
            yield "b"

        return chunks()

    app.logger.disabled = True
    served = client(app)
    assert served.get("/error").status_code == 500
    served.close()
    assert served.get("/stream").text == "ab"
    served.close()
    assert seen == [500, 200]


def test_failure_after_the_response_is_logged_and_the_others_run(client, caplog):
    app = DuoFlask(__name__)
    seen: list[str] = []

    def fail() -> None:
        raise LookupError("no")

    app.after_response(fail)
    app.after_response(lambda: seen.append("second"))
    app.add_url_rule("/", "view", lambda: "ok")
    served = client(app)
    served.get("/")
    served.close()
    assert seen == ["second"]
    assert [record.exc_info[0] for record in caplog.records] == [LookupError]


def test_after_response_under_wsgi_runs_after_close(wsgi_call):
    app = DuoFlask(__name__)
    seen: list[str] = []

    @app.route("/")
    def view():
        after_response(lambda: seen.append("after"))
        return "ok"

    call = wsgi_call(app)
    assert b"".join(call.body) == b"ok"
    assert not app.background_tasks
    assert seen == []
    call.close()
    app._lifecycle.stop_portal()
    assert seen == ["after"]


@pytest.mark.anyio
@pytest.mark.parametrize("colour", COLOURS)
async def test_after_response_under_asgi_runs_after_the_last_message(channel, colour):
    app = DuoFlask(__name__)
    seen: list[Any] = []
    done = threading.Event()

    async def on_send(message):
        seen.append((message["type"], message.get("more_body", False)))

    @app.route("/")
    def view():
        after_response(coloured(colour, lambda: (seen.append("after"), done.set())))
        return "ok"

    exchange = channel(on_send=on_send)
    await exchange.serve(app)
    with anyio.fail_after(20):
        while not done.is_set():
            await anyio.sleep(0.001)
    assert exchange.text == "ok"
    assert seen[-2:] == [("http.response.body", False), "after"]


@pytest.mark.anyio
async def test_after_response_runs_when_the_client_leaves(channel):
    app = DuoFlask(__name__)
    seen: list[str] = []
    done = threading.Event()

    @app.route("/")
    async def view():
        @after_response
        def note():
            seen.append(request.path)
            done.set()

        async def chunks():
            yield "a"
            await anyio.sleep_forever()

        return chunks()

    async def on_send(message):
        if message.get("body"):
            exchange.disconnect()

    exchange = channel(on_send=on_send)
    with anyio.fail_after(20):
        await exchange.serve(app)
        while not done.is_set():
            await anyio.sleep(0.001)
    assert seen == ["/"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forked_child_waits_for_no_task_of_its_parent():
    code = (
        "import os, threading, time\n"
        "from duoflask import DuoFlask\n"
        "app = DuoFlask('x')\n"
        "app.config['BACKGROUND_TASK_SHUTDOWN_TIMEOUT'] = 40\n"
        "go_on = threading.Event()\n"
        "app.add_url_rule('/', 'view', lambda: app.add_background_task(go_on.wait, 50) or 'ok')\n"
        "client = app.test_client(); client.get('/')\n"
        "if os.fork() == 0:\n"
        "    assert not app.background_tasks; client.close(); print('child', flush=True); os._exit(0)\n"
        "os.wait(); assert app.background_tasks; go_on.set(); client.close(); print('parent')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=50, capture_output=True, text=True)
    assert done.stdout == "child\nparent\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_forked_child_waits_for_its_own_tasks():
    code = (
        "import os, sys, time\n"
        "from duoflask import DuoFlask\n"
        "app = DuoFlask('x')\n"
        "def work(): time.sleep(0.2); print('done', flush=True)\n"
        "app.add_url_rule('/', 'view', lambda: app.add_background_task(work) or 'ok')\n"
        "if os.fork() == 0:\n"
        "    app.test_client().get('/'); sys.exit()\n"
        "os.wait(); print('parent')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=50, capture_output=True, text=True)
    assert done.stdout == "done\nparent\n"


def test_after_response_outside_a_request_says_so():
    with pytest.raises(RuntimeError, match="no request is active"):
        after_response(lambda: None)


def test_request_without_background_work_makes_no_worker(client):
    app = DuoFlask(__name__)
    app.add_url_rule("/", "view", lambda: "ok")
    client(app).get("/")
    assert app._background._workers is None


GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, time
from duoflask import DuoFlask, request
from duoflask.background import after_response
from duoflask.testing import create_environ

app = DuoFlask("x")
seen = []

@app.while_serving
async def life():
    yield
    seen.append("down")

def work():
    time.sleep(0.01)
    seen.append(request.path)
    return 1

async def work_async():
    import asyncio
    await asyncio.sleep(0.01)
    seen.append(request.path)
    return 2

@app.route("/<n>")
def view(n):
    after_response(lambda: seen.append("after"))
    app.add_background_task(work)
    app.add_background_task(work_async)
    one, two = app.submit(work), app.submit(work_async)
    slow = app.submit(time.sleep, 0.2)
    try:
        slow.result(0.001)
    except TimeoutError:
        return str(one.result(20) + two.result())

def call(n):
    body = app(create_environ(f"/{n}"), lambda *args: None)
    try:
        return b"".join(body)
    finally:
        body.close()

greenlets = [gevent.spawn(call, n) for n in range(20)]
gevent.joinall(greenlets, raise_error=True)
assert [g.value for g in greenlets] == [b"3"] * 20, [g.value for g in greenlets]
app._lifecycle.stop_portal()
assert not app.background_tasks
assert sorted(set(seen)) == sorted({"down", "after", *(f"/{n}" for n in range(20))}), seen
assert len(seen) == 1 + 20 * 5, len(seen)
assert seen[-1] == "down"
print("done")
"""


def test_background_work_under_gevent():
    done = subprocess.run([sys.executable, "-c", GEVENT], timeout=60, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_failure_of_handle_background_exception_is_logged(client, caplog):
    class App(DuoFlask):
        def handle_background_exception(self, error):
            raise LookupError("the report failed")

    app = App(__name__)

    def fail():
        raise ValueError("the task failed")

    app.add_url_rule("/", "view", lambda: app.add_background_task(fail) or "ok")
    served = client(app)
    served.get("/")
    served.close()
    gc.collect()
    assert "the report failed" in caplog.text
    assert "the task failed" in caplog.text


@pytest.mark.parametrize("colour", COLOURS)
def test_view_that_closes_its_request_leaves_the_body_to_a_task(loop_client, colour):
    app = DuoFlask(__name__)
    seen: list[bytes] = []
    go_on = threading.Event()

    def task():
        go_on.wait(20)
        seen.append(request.get_data())

    def view():
        app.add_background_task(task)
        request.close()
        return "ok"

    app.add_url_rule("/", "view", coloured(colour, view), methods=["POST"])
    served = loop_client(app)
    served.post("/", data=b"body")
    go_on.set()
    served.close()
    assert seen == [b"body"]


@pytest.mark.filterwarnings("error")
def test_withdrawn_coroutine_is_closed():
    app = DuoFlask(__name__)
    ran: list[int] = []

    async def work():
        ran.append(1)

    async def main():
        coroutine = work()
        task = app.create_task(coroutine)
        assert task.cancel()
        for _ in range(3):  # the loop finds out that there is nothing to begin with
            await anyio.lowlevel.checkpoint()
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED

    anyio.run(main)
    assert ran == []


def test_what_is_no_function_is_refused_where_it_is_given():
    app = DuoFlask(__name__)

    async def work():
        pass

    coroutine = work()
    with pytest.raises(TypeError, match="create_task"):
        app.add_background_task(coroutine)
    coroutine.close()
    with pytest.raises(TypeError, match="not called yet"):
        app.submit(None)
    with app.test_request_context(), pytest.raises(TypeError, match="not called yet"):
        after_response(None)


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("view_colour", COLOURS)
def test_sync_client_on_a_running_loop_waits_for_tasks(colour, view_colour):
    app = DuoFlask(__name__)
    seen: list[str] = []

    def start_up():
        app.state.name = "state"

    def task():
        seen.append(f"{request.path} {app.state.name}")

    def view():
        app.add_background_task(coloured(colour, task))
        after_response(coloured(colour, task))
        return app.state.name

    app.before_serving(coloured(colour, start_up))
    app.add_url_rule("/", "view", coloured(view_colour, view))

    async def main():
        with app.test_client(protocol="wsgi") as served:
            assert served.get("/").text == "state"

    anyio.run(main)
    assert seen == ["/ state", "/ state"]
