from __future__ import annotations

import socket
import threading
from datetime import timedelta
from typing import Any

import anyio
import flask
import pytest

import duoflask
from duoflask.exceptions import HTTPException, NotFound
from duoflask.json.provider import DefaultJSONProvider
from duoflask.plans import OVERRIDE_POINTS
from duoflask.testing import create_environ

# -- override points

# Where each is called: the path of a request that comes by.
REACHED_BY = {
    "dispatch_request": "/x",
    "do_teardown_appcontext": "/x",
    "do_teardown_request": "/x",
    "finalize_request": "/x",
    "full_dispatch_request": "/x",
    "handle_exception": "/error",
    "handle_http_exception": "/abort",
    "handle_user_exception": "/abort",
    "log_exception": "/error",
    "make_default_options_response": "OPTIONS /x",
    "make_response": "/x",
    "preprocess_request": "/x",
    "process_response": "/x",
    "raise_routing_exception": "/none",
    "should_ignore_error": "/error",
    "trap_http_exception": "/abort",
}


def fill(app: Any, log: list[str], colour: str) -> Any:
    """Give an app a view, a hook of every kind and a failing view; each writes its name down."""
    app.logger.disabled = True

    def write(name: str, answer: Any = None, fails: Any = None) -> Any:
        def function(*args: Any) -> Any:
            log.append(name)
            if fails is not None:
                raise fails
            return args[0] if answer == "same" else answer

        async def async_function(*args: Any) -> Any:
            await anyio.sleep(0)
            return function(*args)

        return function if colour == "def" else async_function

    app.before_request(write("before"))
    app.after_request(write("after", "same"))
    app.teardown_request(write("teardown"))
    app.teardown_appcontext(write("app teardown"))
    app.add_url_rule("/x", "x", write("view", "answer"))
    app.add_url_rule("/error", "error", write("view", fails=ZeroDivisionError()))
    app.add_url_rule("/abort", "abort", write("view", fails=NotFound() if app_is_ours(app) else None))
    return app


def app_is_ours(app: Any) -> bool:
    return isinstance(app, duoflask.Flask)


def ask(client: Any, app: Any, target: str) -> Any:
    method, _, path = target.rpartition(" ")
    return client(app).open(path, method=method or "GET")


def expected(client: Any, target: str, colour: str) -> tuple[int, bytes, list[str]]:
    log: list[str] = []
    response = ask(client, fill(duoflask.Flask("plain"), log, colour), target)
    return response.status_code, response.data, log


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize("point", REACHED_BY)
def test_override_in_a_subclass_is_called_and_its_super_does_the_rest(point: str, colour: str, client: Any) -> None:
    calls: list[str] = []

    def override(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(point)
        return getattr(duoflask.Flask, point)(self, *args, **kwargs)

    own = type("Own", (duoflask.Flask,), {point: override})
    log: list[str] = []
    target = REACHED_BY[point]
    response = ask(client, fill(own("own"), log, colour), target)
    assert (response.status_code, response.data, log) == expected(client, target, colour)
    assert calls == [point]


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize("point", REACHED_BY)
def test_override_on_the_instance_is_called(point: str, colour: str, client: Any) -> None:
    calls: list[str] = []
    log: list[str] = []
    app = fill(duoflask.Flask("own"), log, colour)
    original = getattr(app, point)

    def override(*args: Any, **kwargs: Any) -> Any:
        calls.append(point)
        return original(*args, **kwargs)

    target = REACHED_BY[point]
    tester = client(app)
    tester.get("/warm")
    log.clear()
    setattr(app, point, override)
    method, _, path = target.rpartition(" ")
    response = tester.open(path, method=method or "GET")
    assert (response.status_code, response.data, log) == expected(client, target, colour)
    assert calls == [point]


def test_every_override_point_is_tested() -> None:
    assert set(REACHED_BY) >= OVERRIDE_POINTS


def test_every_override_point_at_once(client: Any) -> None:
    calls: list[str] = []

    def override_of(point: str) -> Any:
        def override(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append(point)
            return getattr(duoflask.Flask, point)(self, *args, **kwargs)

        return override

    own = type("Own", (duoflask.Flask,), {point: override_of(point) for point in OVERRIDE_POINTS})
    for colour in ("def", "async def"):
        for target in sorted(set(REACHED_BY.values())):
            log: list[str] = []
            response = ask(client, fill(own("own"), log, colour), target)
            assert (response.status_code, response.data, log) == expected(client, target, colour)
    assert set(calls) == set(OVERRIDE_POINTS)


def test_override_may_be_async(client: Any) -> None:
    class Own(duoflask.Flask):
        async def dispatch_request(self) -> Any:  # type: ignore[override]
            await anyio.sleep(0)
            return f"own {duoflask.request.path}"

    app = Own("own")
    app.add_url_rule("/x", "view", lambda: "view")
    assert client(app).get("/x").text == "own /x"


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize(
    "point",
    [
        "dispatch_request",
        "do_teardown_appcontext",
        "do_teardown_request",
        "finalize_request",
        "full_dispatch_request",
        "handle_exception",
        "handle_http_exception",
        "handle_user_exception",
        "preprocess_request",
        "process_response",
    ],
)
def test_async_override_awaits_its_super(point: str, colour: str, client: Any) -> None:
    calls: list[str] = []

    async def override(self: Any, *args: Any, **kwargs: Any) -> Any:
        await anyio.sleep(0)
        calls.append(point)
        return await getattr(duoflask.Flask, point)(self, *args, **kwargs)

    own = type("Own", (duoflask.Flask,), {point: override})
    log: list[str] = []
    target = REACHED_BY[point]
    response = ask(client, fill(own("own"), log, colour), target)
    assert (response.status_code, response.data, log) == expected(client, target, colour)
    assert calls == [point]


def test_override_changes_what_the_view_answers(client: Any) -> None:
    class Own(duoflask.Flask):
        def dispatch_request(self) -> Any:
            return super().dispatch_request().upper()

        def make_response(self, rv: Any) -> Any:
            response = super().make_response(rv)
            response.headers["X-Own"] = "yes"
            return response

        def handle_http_exception(self, e: HTTPException) -> Any:
            return f"code {e.code}", e.code

    app = Own("own")

    @app.route("/<name>")
    async def view(name: str) -> str:
        await anyio.sleep(0)
        return name

    response = client(app).get("/abc")
    assert (response.text, response.headers["X-Own"]) == ("ABC", "yes")
    response = client(app).get("/a/b")
    assert (response.text, response.status_code) == ("code 404", 404)


def test_context_variables_cross_an_override(client: Any) -> None:
    from contextvars import ContextVar

    variable: ContextVar[str] = ContextVar("variable")

    class Own(duoflask.Flask):
        def full_dispatch_request(self) -> Any:
            variable.set("override")
            return super().full_dispatch_request()

    app, seen = Own("own"), []

    @app.route("/")
    async def view() -> str:
        value = variable.get()
        variable.set("view")
        return value

    app.teardown_request(lambda error: seen.append(variable.get()))
    assert client(app).get("/").text == "override"
    assert seen == ["view"]


def test_create_url_adapter_can_be_overridden(client: Any) -> None:
    class Own(duoflask.Flask):
        def create_url_adapter(self, request: Any) -> Any:
            if request is not None and request.headers.get("X-Break"):
                raise NotFound("no adapter")
            return super().create_url_adapter(request)

    app = Own("own")
    app.add_url_rule("/", "view", lambda: "x")
    assert client(app).get("/").text == "x"
    assert client(app).get("/", headers={"X-Break": "1"}).status_code == 404


def test_request_class_is_used_under_both_protocols(client: Any) -> None:
    class Own(duoflask.Request):
        @property
        def shout(self) -> str:
            return self.path.upper()

    app = duoflask.Flask("app")
    app.request_class = Own
    app.add_url_rule("/x", "view", lambda: duoflask.request.shout)  # type: ignore[attr-defined]
    assert client(app).get("/x").text == "/X"


def test_app_ctx_globals_class_and_json_provider_are_used(client: Any) -> None:
    class Own(DefaultJSONProvider):
        compact = True

    class Globals(duoflask.Flask.app_ctx_globals_class):  # type: ignore[misc]
        kind = "own"

    class App(duoflask.Flask):
        json_provider_class = Own
        app_ctx_globals_class = Globals

    app = App("app")
    app.add_url_rule("/", "view", lambda: {"kind": duoflask.g.kind, "a": [1]})
    assert client(app).get("/").text.strip() == '{"a":[1],"kind":"own"}'


# -- configuration


def test_defaults_are_those_of_flask() -> None:
    ours, theirs = dict(duoflask.Flask("a").config), dict(flask.Flask("a").config)
    assert theirs.items() <= ours.items()
    assert set(ours) - set(theirs) == {
        "BACKGROUND_TASK_SHUTDOWN_TIMEOUT",
        "CANCEL_ON_DISCONNECT",
        "DEBUG_TRUSTED_HOSTS",
        "LIVE_RELOAD",
        "MAX_SPOOLED_BODY",
        "REQUEST_TIMEOUT",
        "SESSION_KEY_PREFIX",
        "SESSION_STORE",
        "SESSION_STORE_TIMEOUT",
        "WEBSOCKET_MAX_MESSAGE_SIZE",
        "WEBSOCKET_PING_INTERVAL",
        "WORKER_THREADS",
    }


def test_attributes_are_faces_of_the_configuration() -> None:
    app = duoflask.Flask("app")
    app.testing = True
    app.secret_key = "s"
    app.debug = True
    app.permanent_session_lifetime = 5  # type: ignore[assignment]
    assert (app.config["TESTING"], app.config["SECRET_KEY"], app.config["DEBUG"]) == (True, "s", True)
    assert app.permanent_session_lifetime == timedelta(seconds=5)


def test_configuration_changed_after_a_request_counts_at_the_next(client: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "view", lambda: str(len(duoflask.request.get_data())), methods=["POST"])
    tester = client(app)
    assert tester.post("/", data=b"123").text == "3"
    app.config["MAX_CONTENT_LENGTH"] = 2
    assert tester.post("/", data=b"123").status_code == 413
    app.config.update(MAX_CONTENT_LENGTH=None)
    assert tester.post("/", data=b"123").text == "3"


@pytest.mark.parametrize("hosts", [["localhost"], [".example.org", "localhost"]])
def test_trusted_hosts_are_checked(hosts: list[str], client: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "view", lambda: "x")
    app.config["TRUSTED_HOSTS"] = hosts
    tester = client(app)
    assert tester.get("/").text == "x"
    assert tester.get("/", headers={"Host": "evil.org"}).status_code == 400


def test_name_is_that_of_the_module() -> None:
    assert duoflask.Flask("a.b").name == "a.b"
    assert repr(duoflask.Flask("a.b")) == "<DuoFlask 'a.b'>"
    assert duoflask.Flask(__name__).root_path == flask.Flask(__name__).root_path


# -- URLs

URLS: list[tuple[str, dict[str, Any]]] = [
    ("view", {}),
    ("item", {"id": 3}),
    ("item", {"id": 3, "q": "a b", "list": [1, 2]}),
    ("item", {"id": 3, "_anchor": "x y"}),
    ("item", {"id": 3, "_external": True}),
    ("item", {"id": 3, "_external": True, "_scheme": "https"}),
    ("item", {"id": 3, "_scheme": "https"}),
    ("item", {"id": 3, "_method": "POST"}),
    ("view", {"q": None}),
    ("path", {"name": "a/\u00e4 b"}),
    (".view", {}),
]


def with_rules(kind: type[Any]) -> Any:
    app = kind("app")
    app.add_url_rule("/", "view", lambda: "")
    app.add_url_rule("/get/<int:id>", "item", lambda id: "")
    app.add_url_rule("/post/<int:id>", "item", methods=["POST"])
    app.add_url_rule("/path/<path:name>", "path", lambda name: "")
    return app


@pytest.mark.parametrize(("endpoint", "values"), URLS)
def test_url_is_that_of_flask(endpoint: str, values: dict[str, Any]) -> None:
    ours, theirs = with_rules(duoflask.Flask), with_rules(flask.Flask)
    with ours.test_request_context("/get/1"), theirs.test_request_context("/get/1"):
        assert duoflask.url_for(endpoint, **values) == flask.url_for(endpoint, **values)
        assert ours.url_for(endpoint, **values) == theirs.url_for(endpoint, **values)
    for app in (ours, theirs):
        app.config.update(SERVER_NAME="example.org:81", APPLICATION_ROOT="/root", PREFERRED_URL_SCHEME="https")
    with ours.app_context(), theirs.app_context():
        if not endpoint.startswith("."):
            assert duoflask.url_for(endpoint, **values) == flask.url_for(endpoint, **values)


def test_url_of_an_absolute_path_is_built_in_a_request_of_each_protocol(client: Any) -> None:
    app = with_rules(duoflask.Flask)
    app.add_url_rule("/url", "url", lambda: duoflask.url_for("item", id=1, _external=True))
    assert client(app).get("/url", base_url="https://example.org/root").text == "https://example.org/root/get/1"


def test_url_that_cannot_be_built_asks_the_handlers() -> None:
    app = with_rules(duoflask.Flask)
    asked = []

    def handler(error: Exception, endpoint: str, values: dict[str, Any]) -> str:
        asked.append((type(error).__name__, endpoint, values["a"]))
        return "/made-up"

    with app.test_request_context(), pytest.raises(duoflask.routing.BuildError):
        app.url_for("nothing")
    app.url_build_error_handlers.append(handler)
    with app.test_request_context():
        assert app.url_for("nothing", a=1) == "/made-up"
    assert asked == [("BuildError", "nothing", 1)]


def test_url_defaults_are_added(client: Any) -> None:
    app = duoflask.Flask("app")
    app.url_defaults(lambda endpoint, values: values.setdefault("language", "de"))
    app.add_url_rule("/<language>/", "view", lambda language: duoflask.url_for("view"))
    assert client(app).get("/en/").text == "/de/"


@pytest.mark.parametrize("code", [300, 200, 404])
def test_redirect_takes_redirect_codes_only(code: int) -> None:
    with pytest.raises(ValueError, match="invalid code of a redirect"):
        duoflask.redirect("/", code)


@pytest.mark.parametrize(
    "location",
    ["http://[", "//\u2100", "/a\r\nX-A: b", "\u00e4", "javascript:alert(1)", "http://\ud800/", "/\x00", ""],
)
def test_redirect_to_what_a_user_sent_fails_inside_the_app_or_is_sendable(location: str, client: Any) -> None:
    app = duoflask.Flask("app")
    app.logger.disabled = True
    app.add_url_rule("/", "view", lambda: duoflask.redirect(location))
    response = client(app).get("/")
    if response.status_code == 302:
        value = response.headers["Location"]
        assert value.isascii()
        assert set(value).isdisjoint("\r\n\0")
    else:
        assert response.status_code in (400, 500)


# -- contexts


def test_request_context_takes_an_environ_and_a_scope(channel: Any) -> None:
    app = with_rules(duoflask.Flask)
    for source in (create_environ("/get/3?a=1"), channel("/get/3", query=b"a=1").scope):
        with app.request_context(source) as ctx:
            assert duoflask.request.path == "/get/3"
            assert duoflask.request.args["a"] == "1"
            assert duoflask.request.endpoint == "item"
            assert duoflask.request.view_args == {"id": 3}
            assert ctx.app is app
        assert not duoflask.has_request_context()


def test_test_request_context_takes_what_flask_takes() -> None:
    ours, theirs = with_rules(duoflask.Flask), with_rules(flask.Flask)
    arguments: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        (("/get/1?a=b",), {"method": "POST"}),
        (("/",), {"base_url": "https://example.org/root", "query_string": {"a": "\u00e4"}}),
        (("/",), {"json": {"a": 1}}),
        (("/",), {"data": {"a": "1"}, "headers": {"X-A": "1"}}),
    ]
    for args, kwargs in arguments:
        seen = []
        for app, module in ((ours, duoflask), (theirs, flask)):
            with app.test_request_context(*args, **kwargs):
                r = module.request
                seen.append(
                    (
                        r.method,
                        r.url,
                        dict(r.args),
                        dict(r.form),
                        r.get_json(silent=True),
                        r.headers.get("X-A"),
                    )
                )
        assert seen[0] == seen[1]


def test_steps_can_be_called_in_a_test_request_context() -> None:
    for colour in ("def", "async def"):
        log: list[str] = []
        app = fill(duoflask.Flask("app"), log, colour)
        with app.test_request_context("/x"):
            assert app.preprocess_request() is None
            assert app.dispatch_request() == "answer"
            response = app.full_dispatch_request()
            assert response.data == b"answer"
        assert log == ["before", "view", "before", "view", "after", "teardown", "app teardown"]


# -- run


def listened(app: Any, **kwargs: Any) -> tuple[Any, ...]:
    """What `app.run` hands to the server."""
    calls: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "duoflask.development.run", lambda app, host, port, **options: calls.append((host, port, options))
        )
        app.run(**kwargs)
    return calls[0]


@pytest.mark.parametrize(
    ("server_name", "arguments", "host", "port"),
    [
        (None, {}, "127.0.0.1", 5000),
        (None, {"host": "::1", "port": 0}, "::1", 0),
        ("example.org:81", {}, "example.org", 81),
        ("example.org", {}, "example.org", 5000),
        ("example.org:81", {"port": 82}, "example.org", 82),
        ("example.org:81", {"host": "0.0.0.0"}, "0.0.0.0", 81),
    ],
)
def test_run_listens_where_flask_would(server_name: Any, arguments: Any, host: str, port: int) -> None:
    app = duoflask.Flask("app")
    app.config["SERVER_NAME"] = server_name
    assert listened(app, **arguments)[:2] == (host, port)


def test_run_sets_debug_and_drops_what_only_flask_knows() -> None:
    app = duoflask.Flask("app")
    assert listened(app, debug=True, threaded=True, use_reloader=False, interface="wsgi")[2] == {"interface": "wsgi"}
    assert app.debug is True


def test_run_does_nothing_while_the_command_line_imports_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLASK_RUN_FROM_CLI", "true")
    monkeypatch.setattr("duoflask.development.run", lambda *args, **kwargs: pytest.fail("served"))
    duoflask.Flask("app").run()


def test_run_on_a_taken_address_exits_and_leaves_the_app_usable(capsys: pytest.CaptureFixture[str]) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "view", lambda: "x")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit):
        app.run(port=taken.getsockname()[1])
    assert "in use" in capsys.readouterr().err
    assert threading.current_thread() is threading.main_thread()
    assert app.test_client().get("/").text == "x"
