from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest

import duoflask
from duoflask.exceptions import NotFound


def make_app() -> tuple[duoflask.Flask, list[str]]:
    app, log = duoflask.Flask("app"), []
    app.add_url_rule("/", "view", lambda: "first")
    app.add_url_rule("/error", "error", lambda: duoflask.abort(404))
    return app, log


def write(log: list[str], name: str, answer: Any = None) -> Callable[..., Any]:
    def function(*args: Any) -> Any:
        log.append(name)
        return args[0] if answer == "same" else answer

    return function


# Name: a change of a public registry, and what is logged at the next request.
CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "before": lambda app, f: app.before_request_funcs.setdefault(None, []).append(f("hook")),
    "before, new list": lambda app, f: app.before_request_funcs.__setitem__(None, [f("hook")]),
    "before, update": lambda app, f: app.before_request_funcs.update({None: [f("hook")]}),
    "before, or": lambda app, f: app.before_request_funcs.__ior__({None: [f("hook")]}),
    "before, insert": lambda app, f: app.before_request_funcs[None].insert(0, f("hook")),
    "before, extend": lambda app, f: app.before_request_funcs[None].extend([f("hook")]),
    "before, slice": lambda app, f: app.before_request_funcs[None].__setitem__(slice(0, 0), [f("hook")]),
    "after": lambda app, f: app.after_request_funcs[None].append(f("hook", "same")),
    "teardown": lambda app, f: app.teardown_request_funcs[None].append(f("hook")),
    "app teardown": lambda app, f: app.teardown_appcontext_funcs.append(f("hook")),
    "preprocessor": lambda app, f: app.url_value_preprocessors[None].append(f("hook")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_registry_changed_after_the_first_request_counts_at_the_next(change: str, client: Any) -> None:
    app, log = make_app()
    tester = client(app)
    tester.get("/")
    CHANGES[change](app, lambda name, answer=None: write(log, name, answer))
    assert log == []
    assert tester.get("/").text == "first"
    assert log == ["hook"]


def test_view_function_replaced_after_the_first_request_counts_at_the_next(client: Any) -> None:
    app, _ = make_app()
    tester = client(app)
    assert tester.get("/").text == "first"

    async def second() -> str:
        return "second"

    app.view_functions["view"] = second
    assert tester.get("/").text == "second"
    app.view_functions.update(view=lambda: "third")
    assert tester.get("/").text == "third"


def test_view_function_removed_after_the_first_request_is_missed_at_the_next(client: Any) -> None:
    app, _ = make_app()
    app.testing = True
    tester = client(app)
    tester.get("/")
    del app.view_functions["view"]
    with pytest.raises(LookupError, match=r"@app.endpoint\('view'\)"):
        tester.get("/")


def test_error_handler_changed_after_the_first_request_counts_at_the_next(client: Any) -> None:
    app, _ = make_app()
    tester = client(app)
    assert tester.get("/error").status_code == 404
    app.error_handler_spec[None][404][NotFound] = lambda error: "handled"
    assert tester.get("/error").text == "handled"
    del app.error_handler_spec[None][404][NotFound]
    assert tester.get("/error").status_code == 404


def test_hook_removed_after_the_first_request_is_gone_at_the_next(client: Any) -> None:
    app, log = make_app()
    app.before_request(write(log, "a"))
    app.before_request(write(log, "b"))
    tester = client(app)
    tester.get("/")
    app.before_request_funcs[None].pop(0)
    tester.get("/")
    app.before_request_funcs[None].reverse()
    app.before_request_funcs[None].clear()
    tester.get("/")
    assert log == ["a", "b", "b"]


def test_list_put_into_a_registry_is_watched_too(client: Any) -> None:
    app, log = make_app()
    mine: list[Any] = []
    app.before_request_funcs[None] = mine
    tester = client(app)
    tester.get("/")
    app.before_request_funcs[None].append(write(log, "late"))
    tester.get("/")
    assert log == ["late"]


def test_registry_replaced_as_a_whole_counts_at_the_next_request(client: Any) -> None:
    app, log = make_app()
    tester = client(app)
    tester.get("/")
    app.before_request_funcs = {None: [write(log, "new")]}
    tester.get("/")
    app.before_request_funcs[None].append(write(log, "newer"))
    tester.get("/")
    assert log == ["new", "new", "newer"]


def test_reading_a_registry_makes_nothing_that_matters(client: Any) -> None:
    app, _ = make_app()
    assert app.before_request_funcs["shop"] == []
    assert app.error_handler_spec["shop"][None] == {}
    assert client(app).get("/").text == "first"


def test_registries_are_dicts_and_lists() -> None:
    app = duoflask.Flask("app")
    names = [
        "view_functions",
        "error_handler_spec",
        "before_request_funcs",
        "after_request_funcs",
        "teardown_request_funcs",
        "url_value_preprocessors",
        "url_default_functions",
        "blueprints",
        "extensions",
        "template_context_processors",
    ]
    for name in names[:-1]:
        assert isinstance(getattr(app, name), dict), name
    assert isinstance(app.teardown_appcontext_funcs, list)


SETUP: dict[str, Callable[[Any], Any]] = {
    "route": lambda app: app.route("/new"),
    "get": lambda app: app.get("/new"),
    "post": lambda app: app.post("/new"),
    "put": lambda app: app.put("/new"),
    "delete": lambda app: app.delete("/new"),
    "patch": lambda app: app.patch("/new"),
    "add_url_rule": lambda app: app.add_url_rule("/new", "new", lambda: ""),
    "endpoint": lambda app: app.endpoint("new"),
    "before_request": lambda app: app.before_request(print),
    "after_request": lambda app: app.after_request(print),
    "teardown_request": lambda app: app.teardown_request(print),
    "teardown_appcontext": lambda app: app.teardown_appcontext(print),
    "url_value_preprocessor": lambda app: app.url_value_preprocessor(print),
    "url_defaults": lambda app: app.url_defaults(print),
    "errorhandler": lambda app: app.errorhandler(404),
    "register_error_handler": lambda app: app.register_error_handler(404, print),
    "before_first_request": lambda app: app.before_first_request(print),
    "before_serving": lambda app: app.before_serving(print),
    "after_serving": lambda app: app.after_serving(print),
}


@pytest.mark.parametrize("name", SETUP)
def test_setup_method_after_the_first_request_says_what_to_do(name: str, client: Any) -> None:
    app, _ = make_app()
    client(app).get("/")
    with pytest.raises(AssertionError, match=f"{name!r} was called on 'app' after its first request.*Do all"):
        SETUP[name](app)


@pytest.mark.parametrize("name", SETUP)
def test_setup_methods_work_before_the_first_request(name: str) -> None:
    SETUP[name](duoflask.Flask("app"))


@pytest.mark.parametrize("path", ["/nothing", "/error"])
def test_request_that_fails_is_a_first_request(path: str, client: Any) -> None:
    app, _ = make_app()
    client(app).get(path)
    with pytest.raises(AssertionError):
        app.before_request(print)


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch"])
def test_shortcuts_take_one_method(method: str, client: Any) -> None:
    app = duoflask.Flask("app")
    getattr(app, method)("/", endpoint="e")(lambda: duoflask.request.method)
    tester = client(app)
    assert getattr(tester, method)("/").text == method.upper()
    assert tester.open("/", method="LINK").status_code == 405
    with pytest.raises(TypeError, match="'route'"):
        getattr(duoflask.Flask("app"), method)("/", methods=["GET"])


def test_decorators_return_the_function() -> None:
    app = duoflask.Flask("app")

    def function(*args: Any) -> Any:
        return None

    for decorator in (
        app.route("/"),
        app.endpoint("e"),
        app.before_request,
        app.after_request,
        app.teardown_request,
        app.teardown_appcontext,
        app.url_value_preprocessor,
        app.url_defaults,
        app.errorhandler(404),
        app.errorhandler(KeyError),
        app.before_request(inline=True),
        app.before_first_request,
        app.before_serving,
        app.after_serving,
    ):
        assert decorator(function) is function


@pytest.mark.parametrize("which", [404, KeyError, 999, "404", NotFound("x"), KeyError("x"), int, None, object()])
def test_error_handlers_are_registered_for_what_flask_takes(which: Any) -> None:
    import werkzeug.exceptions

    def outcome(app: Any, what: Any) -> Any:
        try:
            app.register_error_handler(what, print)
        except Exception as exc:
            return type(exc)
        return None

    theirs = werkzeug.exceptions.NotFound("x") if isinstance(which, NotFound) else which
    assert outcome(duoflask.Flask("a"), which) is outcome(flask.Flask("a"), theirs)


def test_endpoint_gives_a_rule_its_view_later(client: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "later")

    @app.endpoint("later")
    async def later() -> str:
        return "here"

    assert client(app).get("/").text == "here"
