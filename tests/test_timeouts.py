"""Time-outs of requests: which functions they stop, with which answer, under both protocols and on both loops."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from duoflask import Blueprint, DuoFlask, request
from duoflask.timeouts import dispatch_within

COLOURS = ["def", "async def"]
# Long enough that a busy machine begins a view in it, short enough to wait for.
SHORT = 0.1
LONG = 30


def coloured(colour: str, function: Callable[..., Any]) -> Callable[..., Any]:
    if colour == "def":
        return function

    @functools.wraps(function)
    async def on_loop(*args: Any, **kwargs: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return function(*args, **kwargs)

    return on_loop


def quiet(app: DuoFlask) -> DuoFlask:
    app.logger.disabled = True
    return app


def test_async_view_is_cancelled_and_answered_with_504(loop_client, caplog):
    app = DuoFlask(__name__)
    calls: list[str] = []

    @app.get("/", timeout=SHORT)
    async def view():
        calls.append("begun")
        try:
            await anyio.sleep(LONG)
        finally:
            calls.append("ended")

    app.teardown_request(lambda exc: calls.append(f"teardown {exc!r}"))
    response = loop_client(app).get("/")
    assert response.status_code == 504
    assert "did not finish" in response.text
    assert calls == ["begun", "ended", "teardown None"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'view'" in caplog.text


@pytest.mark.parametrize("colour", COLOURS)
def test_view_in_time_is_answered(loop_client, colour, caplog):
    app = DuoFlask(__name__)
    app.add_url_rule("/<int:n>", "view", coloured(colour, lambda n: {"n": n}), timeout=LONG, methods=["GET", "POST"])
    served = loop_client(app)
    assert served.get("/1").json == {"n": 1}
    assert served.post("/2", data=b"body").json == {"n": 2}
    assert caplog.records == []


@pytest.mark.parametrize("colour", COLOURS)
def test_body_of_a_request_with_a_timeout(loop_client, colour):
    app = DuoFlask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 10
    app.add_url_rule("/", "view", coloured(colour, lambda: request.get_data()), timeout=LONG, methods=["POST"])
    app.add_url_rule(
        "/stream",
        "stream",
        coloured(colour, lambda: b"+".join(request.stream) if colour == "def" else request.url_rule.rule),
        timeout=LONG,
        methods=["POST"],
        stream_body=True,
    )
    served = loop_client(app)
    assert served.post("/", data=b"body").data == b"body"
    assert served.post("/", data=b"longer than ten").status_code == 413
    assert served.post("/stream", data=b"body").data == (b"body" if colour == "def" else b"/stream")
    assert served.post("/stream", data=b"longer than ten").status_code == 413


def test_async_hooks_count_too(loop_client):
    app = quiet(DuoFlask(__name__))
    app.config["REQUEST_TIMEOUT"] = SHORT
    ran: list[str] = []

    @app.before_request
    async def before():
        if request.path == "/before":
            await anyio.sleep(LONG)

    @app.after_request
    async def after(response):
        ran.append(f"after {response.status_code}")
        if request.path == "/after" and response.status_code == 200:
            await anyio.sleep(LONG)
        return response

    for colour in COLOURS:
        for path in ("/before", "/after"):
            app.add_url_rule(path, f"{path} {colour}", coloured(colour, lambda: "ok"), methods=[colour[:1].upper() * 3])
    served = loop_client(app)
    for colour in COLOURS:
        for path in ("/before", "/after"):
            assert served.open(path, method=colour[:1].upper() * 3).status_code == 504
    assert ran == ["after 504", "after 200", "after 504"] * 2


def test_def_view_cannot_be_stopped_and_is_warned_of(loop_client, caplog):
    app = DuoFlask(__name__)
    left: list[float] = []

    @app.get("/", timeout=SHORT)
    def view():
        left.append(request.time_left)
        while request.time_left > -SHORT:
            time.sleep(0.001)
        left.append(request.time_left)
        return "late"

    response = loop_client(app).get("/")
    assert (response.status_code, response.text) == (200, "late")
    assert 0 < left[0] <= SHORT
    assert left[1] < 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "'view'" in caplog.text
    assert "time_left" in caplog.text


def test_late_def_view_with_async_hooks(loop_client, caplog):
    app = DuoFlask(__name__)

    @app.before_request
    async def before():
        await anyio.lowlevel.checkpoint()

    @app.get("/", timeout=SHORT)
    def view():
        time.sleep(2 * SHORT)
        return "late"

    response = loop_client(app).get("/")
    assert (response.status_code, response.text) == (200, "late")
    assert "time_left" in caplog.text


def test_def_view_that_fails_late_keeps_its_error(loop_client):
    app = quiet(DuoFlask(__name__))

    @app.before_request
    async def before():
        await anyio.lowlevel.checkpoint()

    @app.get("/", timeout=SHORT)
    def view():
        time.sleep(2 * SHORT)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        app.config["PROPAGATE_EXCEPTIONS"] = True
        loop_client(app).get("/")


@pytest.mark.anyio
async def test_no_free_worker_thread_is_503_with_retry_after(channel):
    app = quiet(DuoFlask(__name__))
    app.config["WORKER_THREADS"] = 1
    begun, go_on = threading.Event(), threading.Event()

    @app.get("/busy")
    def busy():
        begun.set()
        go_on.wait(20)
        return "ok"

    @app.get("/", timeout=SHORT)
    def view():
        return "ok"

    app.after_request(lambda response: response)
    first, second = channel("/busy"), channel("/")
    async with anyio.create_task_group() as group:
        group.start_soon(first.serve, app)
        while not begun.is_set():
            await anyio.sleep(0.001)
        app.config["WORKER_THREADS"] = 1
        group.start_soon(second.serve, app)
        await anyio.sleep(3 * SHORT)
        go_on.set()
    assert first.status == 200
    assert second.status == 503
    assert (b"Retry-After", b"1") in second.sent[0]["headers"] or (b"retry-after", b"1") in second.sent[0]["headers"]
    assert "no worker thread" in second.text


@pytest.mark.parametrize("colour", COLOURS)
def test_error_handler_answers_the_time_out(loop_client, colour):
    app = quiet(DuoFlask(__name__))
    app.errorhandler(504)(coloured(colour, lambda error: (f"sorry: {error.code} {request.path}", 504)))

    @app.get("/x", timeout=SHORT)
    async def view():
        await anyio.sleep(LONG)

    response = loop_client(app).get("/x")
    assert (response.status_code, response.text) == (504, "sorry: 504 /x")


def test_scope_of_the_view_still_works(loop_client):
    app = quiet(DuoFlask(__name__))

    @app.get("/inner", timeout=LONG)
    async def inner():
        with anyio.move_on_after(SHORT) as scope:
            await anyio.sleep(LONG)
        try:
            with anyio.fail_after(SHORT):
                await anyio.sleep(LONG)
        except TimeoutError:
            return f"caught {scope.cancelled_caught}"

    @app.get("/outer", timeout=SHORT)
    async def outer():
        with anyio.fail_after(LONG):
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, LONG)
                await anyio.sleep(LONG)

    served = loop_client(app)
    assert served.get("/inner").text == "caught True"
    assert served.get("/outer").status_code == 504


def test_blueprint_and_configuration(loop_client):
    app, blueprint = quiet(DuoFlask(__name__)), Blueprint("b", __name__)
    patient = Blueprint("p", __name__, timeout=LONG)

    async def slow():
        await anyio.sleep(3 * SHORT)
        return "ok"

    app.config["REQUEST_TIMEOUT"] = SHORT
    app.add_url_rule("/default", "default", slow)
    app.add_url_rule("/none", "none", slow, timeout=None)
    app.add_url_rule("/both/own", "both", slow, timeout=LONG)
    app.add_url_rule("/both/default", "both")
    blueprint.get("/own", timeout=LONG)(slow)
    blueprint.get("/default", endpoint="d")(slow)
    patient.get("/default")(slow)
    patient.get("/own", timeout=SHORT, endpoint="own")(slow)
    app.register_blueprint(blueprint, url_prefix="/b")
    app.register_blueprint(patient, url_prefix="/p")
    served = loop_client(app)
    answers = {
        path: served.get(path).status_code
        for path in (
            "/default",
            "/none",
            "/both/own",
            "/both/default",
            "/b/own",
            "/b/default",
            "/p/own",
            "/p/default",
            "/missing",
        )
    }
    assert answers == {
        "/default": 504,
        "/none": 200,
        "/both/own": 200,
        "/both/default": 504,
        "/b/own": 200,
        "/b/default": 504,
        "/p/own": 504,
        "/p/default": 200,
        "/missing": 404,
    }


def test_plan_without_a_timeout_has_nothing_of_it():
    app = DuoFlask(__name__)
    app.add_url_rule("/", "plain", lambda: "ok")
    app.add_url_rule("/t", "timed", lambda: "ok", timeout=1)
    assert app._plan("plain").full_dispatch_request is None
    assert app._plan("timed").full_dispatch_request is dispatch_within
    app.config["REQUEST_TIMEOUT"] = 1
    assert app._plan("plain").full_dispatch_request is dispatch_within


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_timeout_has_to_be_above_zero(value):
    with pytest.raises(ValueError, match="more than 0 seconds"):
        DuoFlask(__name__).add_url_rule("/", "view", lambda: "ok", timeout=value)


@pytest.mark.parametrize("value", ["5", True, object()])
def test_timeout_has_to_be_a_number(value):
    with pytest.raises(TypeError, match="number of seconds"):
        DuoFlask(__name__).add_url_rule("/", "view", lambda: "ok", timeout=value)


def test_time_left_without_a_timeout(client):
    app = DuoFlask(__name__)
    app.add_url_rule("/", "view", lambda: str(request.time_left))
    assert client(app).get("/").text == "None"


@pytest.mark.parametrize("colour", COLOURS)
def test_override_of_full_dispatch_request_is_within_the_time(loop_client, colour):
    class App(DuoFlask):
        def full_dispatch_request(self):
            response = super().full_dispatch_request()
            response.headers["X-Override"] = "1"
            return response

    app = App(__name__)
    app.add_url_rule("/", "view", coloured(colour, lambda: "ok"), timeout=LONG)
    response = loop_client(app).get("/")
    assert (response.text, response.headers["X-Override"]) == ("ok", "1")


def test_stream_is_not_limited(loop_client):
    app = DuoFlask(__name__)

    @app.get("/", timeout=SHORT)
    async def view():
        async def chunks():
            for text in "abc":
                await anyio.sleep(SHORT)
                yield text

        return chunks()

    assert loop_client(app).get("/").text == "abc"


def test_decorated_async_view_is_stopped_too(loop_client):
    app = quiet(DuoFlask(__name__))

    def decorator(view):
        @functools.wraps(view)
        def wrapped(*args, **kwargs):
            return view(*args, **kwargs)

        return wrapped

    @app.get("/", timeout=SHORT)
    @decorator
    async def view():
        await anyio.sleep(LONG)

    assert loop_client(app).get("/").status_code == 504


@pytest.mark.anyio
async def test_cancellation_from_outside_passes_through(channel):
    app = DuoFlask(__name__)
    ended: list[str] = []
    begun = anyio.Event()

    @app.get("/", timeout=LONG)
    async def view():
        begun.set()
        try:
            await anyio.sleep(LONG)
        finally:
            ended.append("view")

    app.teardown_request(lambda exc: ended.append("teardown"))
    exchange = channel()
    async with anyio.create_task_group() as group:
        group.start_soon(exchange.serve, app)
        await begun.wait()
        exchange.disconnect()
        while len(ended) < 2:
            await anyio.sleep(0.001)
    assert ended == ["view", "teardown"]
    assert exchange.sent == []


@pytest.mark.parametrize("value", [0, "5"])
def test_bad_configuration_is_an_error_where_it_is_set(value):
    app = DuoFlask(__name__)
    with pytest.raises((TypeError, ValueError), match="invalid timeout"):
        app.config["REQUEST_TIMEOUT"] = value


@pytest.mark.measures
def test_late_def_view_costs_no_processor(loop_client):
    app = quiet(DuoFlask(__name__))

    @app.before_request
    async def before():
        await anyio.lowlevel.checkpoint()

    @app.get("/", timeout=SHORT)
    def view():
        time.sleep(1)
        return "late"

    served = loop_client(app)
    before_all = time.process_time()
    assert served.get("/").text == "late"
    assert time.process_time() - before_all < 0.5


@pytest.mark.parametrize("hooks", ["none", "async def"])
def test_exit_of_a_def_view_passes_through(loop_client, hooks):
    class Exit(BaseException):
        pass

    app = quiet(DuoFlask(__name__))
    ends: list[Any] = []

    if hooks == "async def":

        @app.before_request
        async def before():
            await anyio.lowlevel.checkpoint()

    @app.get("/", timeout=30)
    def view():
        raise Exit

    @app.teardown_request
    def teardown(error):
        ends.append(type(error))

    with pytest.raises(BaseException) as caught:  # trio may put it into a group
        loop_client(app).get("/")
    raised = caught.value
    while isinstance(raised, BaseExceptionGroup):
        (raised,) = raised.exceptions
    assert type(raised) is Exit
    assert ends == [Exit]
