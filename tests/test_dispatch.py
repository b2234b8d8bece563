from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import anyio
import flask
import flask.signals
import pytest
from hypothesis import given, settings, strategies as st
from werkzeug import exceptions as werkzeug_exceptions

import duoflask
from duoflask import exceptions, signals

REQUEST_SIGNALS = (
    "appcontext_pushed",
    "request_started",
    "request_finished",
    "got_request_exception",
    "request_tearing_down",
    "appcontext_tearing_down",
    "appcontext_popped",
)


def paint(function: Callable[..., Any], colour: str) -> Callable[..., Any]:
    """The same function as `def` (d), as `async def` (a), or as `def` that returns an awaitable (r)."""
    if colour == "d":
        return function

    async def as_async(*args: Any, **kwargs: Any) -> Any:
        await anyio.sleep(0)
        return function(*args, **kwargs)

    as_async = functools.wraps(function)(as_async)
    if colour == "a":
        return as_async
    return functools.wraps(function)(lambda *args, **kwargs: as_async(*args, **kwargs))


class Trace:
    """An app whose every function writes its name down; the same for Flask and for us.

    Args:
        kind: The class of the app.
        colours: The colours of its functions, in turn.
        plan: What functions do instead of nothing: name to callable.
    """

    def __init__(self, kind: type[Any], colours: str = "d", plan: dict[str, Callable[..., Any]] | None = None) -> None:
        self.log: list[Any] = []
        self.app = app = kind("trace")
        self._colours, self._made = colours, 0
        self._plan = plan or {}
        self._after_this_request = flask.after_this_request if kind is flask.Flask else duoflask.after_this_request
        module = flask.signals if kind is flask.Flask else signals
        self._receivers: list[Any] = []
        for name in REQUEST_SIGNALS:
            receiver = self.function(name, kind is not flask.Flask)
            self._receivers.append(receiver)
            getattr(module, name).connect(receiver, app)
        app.url_value_preprocessor(self.function("preprocessor"))
        for name in ("before 1", "before 2"):
            app.before_request(self.function(name))
        for name in ("after 1", "after 2"):
            app.after_request(self.function(name, answer=True))
        for name in ("teardown 1", "teardown 2"):
            app.teardown_request(self.function(name))
        for name in ("app teardown 1", "app teardown 2"):
            app.teardown_appcontext(self.function(name))
        app.route("/<name>", methods=["GET", "POST"])(self.view())
        app.logger.disabled = True

    def paint(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self._made += 1
        return paint(function, self._colours[self._made % len(self._colours)])

    def function(self, name: str, painted: bool = True, answer: bool = False) -> Callable[..., Any]:
        def function(*args: Any, **kwargs: Any) -> Any:
            shown = [type(arg).__name__ for arg in args if isinstance(arg, BaseException)]
            self.log.append((name, *shown))
            if name in self._plan:
                return self._plan[name](*args)
            return args[0] if answer else None

        return self.paint(function) if painted else function

    def view(self) -> Callable[..., Any]:
        def view(name: str) -> Any:
            self.log.append(("view", name))
            self._after_this_request(self.function("after this request", answer=True))
            return self._plan["view"]() if "view" in self._plan else name

        return self.paint(view)

    def handler(self, which: Any, name: str) -> None:
        self.app.register_error_handler(which, self.function(name))


def fail(error: type[Exception] = ZeroDivisionError) -> Callable[..., Any]:
    def failing(*args: Any) -> Any:
        raise error

    return failing


def say(what: Any) -> Callable[..., Any]:
    return lambda *args: what


# Name: method, path, what functions do, error handlers.
SCENARIOS: dict[str, tuple[str, str, dict[str, Any], dict[Any, str]]] = {
    "normal": ("GET", "/x", {}, {}),
    "post": ("POST", "/x", {}, {}),
    "head": ("HEAD", "/x", {}, {}),
    "automatic options": ("OPTIONS", "/x", {}, {}),
    "no rule": ("GET", "/x/y", {}, {}),
    "no rule, handled": ("GET", "/x/y", {"on 404": say(("gone", 410))}, {404: "on 404"}),
    "wrong method": ("PUT", "/x", {}, {}),
    "before hook answers": ("GET", "/x", {"before 1": say("early")}, {}),
    "before hook answers a 404": ("GET", "/x/y", {"before 2": say("early")}, {}),
    "before hook raises": ("GET", "/x", {"before 1": fail()}, {}),
    "before hook raises, handled": (
        "GET",
        "/x",
        {"before 1": fail(), "on error": say("sorry")},
        {ZeroDivisionError: "on error"},
    ),
    "preprocessor raises": ("GET", "/x", {"preprocessor": fail()}, {}),
    "view raises": ("GET", "/x", {"view": fail()}, {}),
    "view raises, handled by class": (
        "GET",
        "/x",
        {"view": fail(), "on error": say(("sorry", 503))},
        {ArithmeticError: "on error"},
    ),
    "view raises, handled by code": ("GET", "/x", {"view": fail(), "on 500": say("sorry")}, {500: "on 500"}),
    "handler raises": (
        "GET",
        "/x",
        {"view": fail(), "on error": fail(KeyError)},
        {ArithmeticError: "on error"},
    ),
    "handler of 500 raises": ("GET", "/x", {"view": fail(), "on 500": say(None)}, {404: "unused"}),
    "after hook raises": ("GET", "/x", {"after 1": fail()}, {}),
    "after hook raises, after an error": ("GET", "/x", {"view": fail(), "after 2": fail(KeyError)}, {}),
    "after hook replaces": ("GET", "/x", {"after 2": lambda response: type(response)("other", 201)}, {}),
    "after this request raises": ("GET", "/x", {"after this request": fail()}, {}),
    "view returns None": ("GET", "/x", {"view": say(None)}, {}),
}


def run_flask(scenario: str) -> tuple[Any, ...]:
    method, path, plan, handlers = SCENARIOS[scenario]
    trace = Trace(flask.Flask, "d", plan)
    for which, name in handlers.items():
        trace.handler(which, name)
    response = trace.app.test_client().open(path, method=method)
    return response.status_code, response.data, response.headers.get("Allow"), trace.log


@pytest.mark.parametrize("colours", ["d", "a", "r", "da", "ad", "dda", "aad", "dra"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_order_is_that_of_flask(scenario: str, colours: str, client: Any) -> None:
    method, path, plan, handlers = SCENARIOS[scenario]
    trace = Trace(duoflask.Flask, colours, plan)
    for which, name in handlers.items():
        trace.handler(which, name)
    response = client(trace.app).open(path, method=method)
    theirs = run_flask(scenario)
    assert trace.log == theirs[3]
    assert response.status_code == theirs[0]
    assert (response.headers.get("Allow") or "").split(", ") == sorted((theirs[2] or "").split(", "))
    if not theirs[1].startswith(b"<!doctype"):  # the texts of error pages are our own
        assert response.data == theirs[1]


@pytest.mark.parametrize("colours", ["d", "a", "da"])
def test_raising_teardown_does_not_skip_the_others(client: Any, colours: str) -> None:
    trace = Trace(duoflask.Flask, colours, {"teardown 2": fail(), "app teardown 2": fail(KeyError)})
    with pytest.raises(BaseExceptionGroup) as caught:
        client(trace.app).get("/x")
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError, KeyError]
    names = [entry[0] for entry in trace.log]
    assert names[-8:] == [
        "request_finished",
        "teardown 2",
        "teardown 1",
        "request_tearing_down",
        "app teardown 2",
        "app teardown 1",
        "appcontext_tearing_down",
        "appcontext_popped",
    ]


@pytest.mark.parametrize("colours", ["d", "a"])
def test_before_first_request_runs_once_before_all_else(client: Any, colours: str) -> None:
    trace = Trace(duoflask.Flask, colours)
    trace.app.before_first_request(trace.function("first"))
    tester = client(trace.app)
    tester.get("/x")
    tester.get("/x")
    names = [entry[0] for entry in trace.log]
    assert names.count("first") == 1
    assert names[:3] == ["appcontext_pushed", "first", "request_started"]


@pytest.mark.parametrize("colour", ["d", "a"])
def test_url_value_preprocessor_changes_the_arguments_of_the_view(client: Any, colour: str) -> None:
    app = duoflask.Flask("app")

    def pull(endpoint: str | None, values: dict[str, Any] | None) -> None:
        assert endpoint == "view"
        assert values is not None
        duoflask.g.language = values.pop("language")

    app.url_value_preprocessor(paint(pull, colour))
    app.add_url_rule("/<language>/<name>", "view", lambda name: f"{duoflask.g.language}:{name}")
    assert client(app).get("/de/x").text == "de:x"


def test_url_value_preprocessor_sees_none_where_no_rule_matched(client: Any) -> None:
    app, seen = duoflask.Flask("app"), []
    app.url_value_preprocessor(lambda endpoint, values: seen.append((endpoint, values)))
    assert client(app).get("/nothing").status_code == 404
    assert seen == [(None, None)]


@pytest.mark.parametrize("colour", ["d", "a"])
@pytest.mark.parametrize("key", [404, exceptions.NotFound, exceptions.HTTPException, Exception])
def test_404_of_the_router_has_a_handler_from_its_registration_to_its_removal(
    client: Any, colour: str, key: Any
) -> None:
    app = duoflask.Flask("app")
    client = client(app)
    assert client.get("/nothing").status_code == 404
    code, kind = (key, exceptions.NotFound) if isinstance(key, int) else (None, key)
    app.error_handler_spec[None][code][kind] = paint(lambda error: (error.name, 410), colour)
    answer = client.get("/nothing")
    assert (answer.status_code, answer.text) == (410, "Not Found")
    app.error_handler_spec[None][code].clear()
    assert client.get("/nothing").status_code == 404


def test_404_of_the_router_is_trapped_from_the_setting_on(client: Any) -> None:
    app = duoflask.Flask("app")
    client = client(app)
    assert client.get("/nothing").status_code == 404
    app.config["TRAP_HTTP_EXCEPTIONS"] = True
    assert client.get("/nothing").status_code == 500
    app.trap_http_exception = lambda error: False
    assert client.get("/nothing").status_code == 404


def test_view_runs_after_a_hook_has_read_the_request(client: Any) -> None:
    app = duoflask.Flask("app")
    app.before_request(lambda: None if duoflask.request.args["a"] == "1" else "no")
    app.add_url_rule("/<int:number>", "view", lambda number: f"{number + 1} {duoflask.request.view_args}")
    assert client(app).get("/4?a=1").text == "5 {'number': 4}"


# -- error handlers


class Teapot(exceptions.HTTPException):
    code = 418
    description = "short and stout"


class OwnNotFound(exceptions.NotFound):
    pass


class TheirTeapot(werkzeug_exceptions.HTTPException):
    code = 418
    description = "short and stout"


class TheirOwnNotFound(werkzeug_exceptions.NotFound):
    pass


class OwnLookup(LookupError):
    pass


def pair(name: str) -> tuple[Any, Any]:
    return getattr(exceptions, name), getattr(werkzeug_exceptions, name)


HANDLED = [
    *[(code, code) for code in (400, 403, 404, 405, 418, 500)],
    *[pair(name) for name in ("HTTPException", "NotFound", "BadRequest", "BadRequestKeyError", "InternalServerError")],
    (Teapot, TheirTeapot),
    (OwnNotFound, TheirOwnNotFound),
    *[(kind, kind) for kind in (Exception, LookupError, KeyError, OwnLookup, ArithmeticError, ZeroDivisionError)],
]
RAISED = [
    *[pair(name) for name in ("NotFound", "Forbidden", "BadRequest", "BadRequestKeyError", "InternalServerError")],
    (Teapot, TheirTeapot),
    (OwnNotFound, TheirOwnNotFound),
    *[(kind, kind) for kind in (KeyError, OwnLookup, ZeroDivisionError, ValueError)],
    (None, None),
]


def app_with_handlers(kind: type[Any], which: int, handlers: Any, error: Any, nested: bool) -> Any:
    """An app with an error, and handlers that say who they are; `which` is 0 for ours, 1 for theirs."""
    app = kind("handlers")
    app.logger.disabled = True
    for place, (name, handled) in enumerate(handlers):

        def handler(e: Exception, place: int = place) -> Any:
            original = getattr(e, "original_exception", None)
            return f"{place} {type(e).__name__} {type(original).__name__}", 299

        what = handled[which]
        if name is None:
            app.register_error_handler(what, handler)
        else:
            kind_of, code = app._get_exc_class_and_code(what)
            app.error_handler_spec[name][code][kind_of] = handler

    def view() -> Any:
        if error[which] is not None:
            raise error[which]()
        return "fine"

    app.add_url_rule("/", "outer.inner.view" if nested else "view", view)
    return app


@settings(max_examples=300, deadline=None)
@given(
    handlers=st.lists(
        st.tuples(st.sampled_from([None, None, "outer", "outer.inner"]), st.sampled_from(HANDLED)), max_size=6
    ),
    error=st.sampled_from(RAISED),
    nested=st.booleans(),
)
def test_error_handler_is_chosen_as_by_flask(handlers: Any, error: Any, nested: bool) -> None:
    ours = app_with_handlers(duoflask.Flask, 0, handlers, error, nested).test_client().get("/")
    theirs = app_with_handlers(flask.Flask, 1, handlers, error, nested).test_client().get("/")
    assert ours.status_code == theirs.status_code
    if theirs.status_code == 299:
        assert ours.text.replace("Own", "TheirOwn").replace("Teapot", "TheirTeapot") == theirs.text.replace(
            "OwnLookup", "TheirOwnLookup"
        )


def test_error_handler_is_chosen_alike_under_both_protocols(client: Any) -> None:
    app = app_with_handlers(
        duoflask.Flask, 0, [(None, HANDLED[6]), ("outer", (Exception, Exception))], (KeyError, KeyError), True
    )
    assert client(app).get("/").text == "1 KeyError NoneType"


@pytest.mark.parametrize("colour", ["d", "a"])
def test_handler_of_500_gets_the_original_exception(client: Any, colour: str) -> None:
    app = duoflask.Flask("app")
    app.logger.disabled = True
    app.add_url_rule("/", "view", fail())

    def handler(error: Any) -> Any:
        return repr(error.original_exception), 500

    app.register_error_handler(500, paint(handler, colour))
    response = client(app).get("/")
    assert (response.status_code, response.text) == (500, "ZeroDivisionError()")


def test_redirect_of_the_router_meets_no_error_handler(client: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/x/", "view", lambda: "x")
    app.register_error_handler(exceptions.HTTPException, say("handled"))
    response = client(app).get("/x")
    assert (response.status_code, response.location) == (308, "http://localhost/x/")


def test_http_exception_with_a_response_is_that_response(client: Any) -> None:
    app = duoflask.Flask("app")
    app.register_error_handler(exceptions.HTTPException, say("handled"))
    app.add_url_rule("/", "view", lambda: duoflask.abort(duoflask.Response("whole", 202)))
    response = client(app).get("/")
    assert (response.status_code, response.text) == (202, "whole")


# -- exceptions that nobody handles


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """What an app named `logged` logs."""
    kept: list[logging.LogRecord] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    logger, keeper = logging.getLogger("logged"), Keeper()
    logger.addHandler(keeper)
    propagate, logger.propagate = logger.propagate, False
    yield kept
    logger.removeHandler(keeper)
    logger.propagate = propagate


@pytest.mark.parametrize("colour", ["d", "a"])
def test_unhandled_exception_is_logged_once_with_its_traceback(
    colour: str, client: Any, records: list[logging.LogRecord]
) -> None:
    app = duoflask.Flask("logged")
    app.add_url_rule("/x", "view", paint(fail(), colour))
    response = client(app).get("/x")
    assert response.status_code == 500
    assert "ZeroDivisionError" not in response.text
    [record] = records
    assert record.getMessage() == "Exception on /x [GET]"
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert record.exc_info[2] is not None


def test_path_in_the_log_holds_no_line_break(client: Any, records: list[logging.LogRecord]) -> None:
    app = duoflask.Flask("logged")
    app.before_request(fail())
    client(app).get("/a%0d%0ab%1b%c2%85%e2%80%a8c")
    message = records[0].getMessage()
    assert message.isprintable()
    assert "\n" not in message


def test_handled_exception_is_not_logged(client: Any, records: list[logging.LogRecord]) -> None:
    app = duoflask.Flask("logged")
    app.add_url_rule("/", "view", fail())
    app.register_error_handler(ZeroDivisionError, say("fine"))
    app.register_error_handler(404, say(("gone", 404)))
    assert client(app).get("/").text == "fine"
    assert client(app).get("/none").text == "gone"
    assert records == []


@pytest.mark.parametrize("colour", ["d", "a"])
def test_got_request_exception_is_sent_once(client: Any, colour: str) -> None:
    app, seen = duoflask.Flask("app"), []
    app.logger.disabled = True
    app.add_url_rule("/", "view", fail())

    def receiver(sender: Any, exception: Exception, **extra: Any) -> None:
        seen.append((sender, type(exception), extra))

    kept = paint(receiver, colour)
    signals.got_request_exception.connect(kept, app)
    assert client(app).get("/").status_code == 500
    assert seen == [(app, ZeroDivisionError, {})]


@pytest.mark.parametrize("colour", ["d", "a"])
@pytest.mark.parametrize("option", ["TESTING", "DEBUG", "PROPAGATE_EXCEPTIONS"])
def test_exception_leaves_the_app(option: str, client: Any, colour: str) -> None:
    app, ended = duoflask.Flask("app"), []
    app.config[option] = True
    app.add_url_rule("/", "view", paint(fail(), colour))
    app.teardown_request(lambda exc: ended.append(type(exc)))
    with pytest.raises(ZeroDivisionError):
        client(app).get("/")
    assert ended == [ZeroDivisionError]


def test_propagation_can_be_switched_off_in_tests(client: Any) -> None:
    app = duoflask.Flask("app")
    app.logger.disabled = True
    app.config.update(TESTING=True, PROPAGATE_EXCEPTIONS=False)
    app.add_url_rule("/", "view", fail())
    assert client(app).get("/").status_code == 500


def test_http_exceptions_can_be_trapped(client: Any) -> None:
    app = duoflask.Flask("app")
    app.config.update(TESTING=True, TRAP_HTTP_EXCEPTIONS=True)
    app.add_url_rule("/", "view", lambda: duoflask.abort(409))
    with pytest.raises(exceptions.Conflict):
        client(app).get("/")


def test_missing_key_names_itself_in_debug_mode_only(client: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "view", lambda: duoflask.request.args["secret_name"])
    assert client(app).get("/").status_code == 400
    assert "secret_name" not in client(app).get("/").text
    app.debug = True
    with pytest.raises(exceptions.BadRequestKeyError, match="secret_name"):
        client(app).get("/")


def test_bad_request_can_be_trapped(client: Any) -> None:
    app = duoflask.Flask("app")
    app.config.update(TESTING=True, TRAP_BAD_REQUEST_ERRORS=True)
    app.add_url_rule("/", "view", lambda: duoflask.abort(400))
    with pytest.raises(exceptions.BadRequest):
        client(app).get("/")


# -- after_this_request and signals


@pytest.mark.parametrize("colour", ["d", "a"])
def test_after_this_request_belongs_to_one_request(client: Any, colour: str) -> None:
    app = duoflask.Flask("app")

    def mark(response: Any) -> Any:
        response.headers.add("X-Marked", "yes")
        return response

    @app.before_request
    def before() -> None:
        if duoflask.request.args:
            duoflask.after_this_request(paint(mark, colour))

    app.add_url_rule("/", "view", lambda: "x")
    tester = client(app)
    assert tester.get("/?mark=1").headers.get("X-Marked") == "yes"
    assert "X-Marked" not in tester.get("/").headers


def test_signals_reach_receivers_of_this_app_only(client: Any) -> None:
    app, other, seen = duoflask.Flask("app"), duoflask.Flask("other"), []

    def receiver(sender: Any, **extra: Any) -> None:
        seen.append(sender)

    with ExitStack() as stack:
        stack.enter_context(signals.request_started.connected_to(receiver, other))
        client(app).get("/")
        assert seen == []
        client(other).get("/")
    assert seen == [other]


def test_request_finished_carries_the_response(client: Any) -> None:
    app, seen = duoflask.Flask("app"), []
    app.add_url_rule("/", "view", lambda: ("made", 201))

    async def receiver(sender: Any, response: Any) -> None:
        seen.append((response.status_code, duoflask.request.path))

    with signals.request_finished.connected_to(receiver, app):
        client(app).get("/")
    assert seen == [(201, "/")]


# -- methods


def test_head_is_answered_by_the_view_of_get_without_its_body(client: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "view", lambda: f"method {duoflask.request.method}")
    response = client(app).head("/")
    assert (response.status_code, response.data, response.content_length) == (200, b"", len("method HEAD"))


def test_options_is_answered_with_the_methods_of_all_rules_of_the_path(client: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/<name>", "a", lambda name: "a")
    app.add_url_rule("/<name>", "b", lambda name: "b", methods=["DELETE"])
    response = client(app).options("/x")
    assert response.headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"
    assert response.data == b""


def test_options_can_be_left_to_the_view(client: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/own", "own", lambda: duoflask.request.method, methods=["GET", "OPTIONS"])
    app.add_url_rule("/off", "off", lambda: "", provide_automatic_options=False)
    tester = client(app)
    assert tester.options("/own").text == "OPTIONS"
    assert tester.options("/off").status_code == 405


def test_wrong_method_says_which_are_allowed(client: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "view", lambda: "", methods=["POST"])
    response = client(app).get("/")
    assert (response.status_code, response.headers["Allow"]) == (405, "OPTIONS, POST")


def test_override_of_process_response_is_called_without_hooks(client: Any) -> None:
    class App(duoflask.DuoFlask):
        def process_response(self, response: Any) -> Any:
            response.headers["X-Processed"] = "1"
            return super().process_response(response)

    app = App(__name__)
    app.add_url_rule("/text", view_func=lambda: "text", endpoint="text")
    app.add_url_rule("/json", view_func=lambda: {"a": 1}, endpoint="json")
    tester = client(app)
    for path in ("/text", "/json", "/missing"):
        assert tester.get(path).headers["X-Processed"] == "1"
