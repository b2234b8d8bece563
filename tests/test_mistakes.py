"""A developer's mistakes: each error says what happened, why, and what to write instead (issue 2)."""

from __future__ import annotations

import asyncio
import functools
import types
from typing import Any

import anyio
import jinja2
import pytest

import duoflask
from duoflask.local import LocalProxy
from duoflask.routing import RequestRedirect
from duoflask.views import MethodView


def make_app() -> duoflask.Flask:
    app = duoflask.Flask("app")
    app.testing = True
    return app


def error_of(client: Any, app: Any, path: str = "/") -> str:
    """The text of what a request raises."""
    with pytest.raises(Exception) as caught:
        client(app).get(path)
    return str(caught.value)


def says(text: str, *parts: str) -> None:
    for part in parts:
        assert part in text, f"{part!r} is not in {text!r}"


# -- what a function returns


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_view_that_returns_none(colour: str, client: Any) -> None:
    app = make_app()

    def forgetful() -> None:
        pass

    async def async_forgetful() -> None:
        pass

    app.add_url_rule("/", "shop.index", forgetful if colour == "def" else async_forgetful)
    says(error_of(client, app), "forgetful", "shop.index", "returned None", "Write 'return'")


def test_after_hook_that_returns_none(client: Any) -> None:
    app = make_app()
    app.add_url_rule("/", "view", lambda: "x")

    @app.after_request
    def forgetful(response: Any) -> None:
        pass

    says(error_of(client, app), "forgetful", "returned None", "Write 'return response'")


def test_error_handler_that_returns_none(client: Any) -> None:
    app = make_app()
    app.add_url_rule("/", "view", lambda: 1 // 0)
    app.register_error_handler(ZeroDivisionError, lambda error: None)
    says(error_of(client, app), "returned None", "expected a response")


def test_view_that_returns_a_number(client: Any) -> None:
    app = make_app()
    app.add_url_rule("/", "view", lambda: 3)
    says(error_of(client, app), "it was a int", "expected a str")


# -- registration


def test_endpoint_registered_twice() -> None:
    app = make_app()
    app.add_url_rule("/a", "view", lambda: "a")
    with pytest.raises(AssertionError) as caught:
        app.add_url_rule("/b", "view", lambda: "b")
    says(str(caught.value), "overwriting", "view", "another name", "endpoint='...'")


def test_same_function_may_have_two_rules(client: Any) -> None:
    app = make_app()

    def view() -> str:
        return duoflask.request.path

    app.add_url_rule("/a", view_func=view)
    app.add_url_rule("/b", view_func=view)
    assert client(app).get("/b").text == "/b"


def test_view_without_a_name() -> None:
    class Callable:
        def __call__(self) -> str:
            return ""

    with pytest.raises(AssertionError, match=r"Write endpoint='\.\.\.'"):
        make_app().add_url_rule("/", view_func=Callable())


def test_rule_without_a_view(client: Any) -> None:
    app = make_app()
    app.add_url_rule("/", "later")
    says(error_of(client, app), "no view function", "'later'", "@app.endpoint('later')", "view_func")


def test_methods_as_a_str() -> None:
    with pytest.raises(TypeError) as caught:
        make_app().route("/", methods="POST")(lambda: "")
    says(str(caught.value), "expected a list of str", "'POST'", "Write methods=['POST']")


def test_methods_on_a_shortcut() -> None:
    with pytest.raises(TypeError, match="'route'"):
        make_app().get("/", methods=["GET"])


@pytest.mark.parametrize(
    ("rule", "part"),
    [
        ("no-slash", "/"),
        ("/<int:id", "<int:id"),
        ("/<itn:id>", "itn"),
        ("/<id>/<id>", "id"),
        ("/<int(min=:id>", "int"),
        ("/<1id>", "1id"),
        ("", "/"),
    ],
)
def test_misspelt_rule_is_an_error_where_it_is_registered(rule: str, part: str) -> None:
    with pytest.raises((ValueError, LookupError)) as caught:
        make_app().add_url_rule(rule, "view", lambda **kwargs: "")
    says(str(caught.value), part)


@pytest.mark.parametrize("name", ["route", "get", "post", "put", "delete", "patch", "endpoint", "errorhandler"])
@pytest.mark.parametrize("make", [make_app, lambda: duoflask.Blueprint("shop", "shop")])
def test_decorator_without_its_parentheses(name: str, make: Any) -> None:
    def view() -> str:
        return ""

    with pytest.raises(TypeError) as caught:
        getattr(make(), name)(view)
    says(str(caught.value), "view", "nothing would be registered", f"Write @app.{name}(", " above the function")


def test_app_errorhandler_without_its_parentheses() -> None:
    with pytest.raises(TypeError, match=r"Write @blueprint\.app_errorhandler\(404\)"):
        duoflask.Blueprint("shop", "shop").app_errorhandler(print)  # type: ignore[arg-type]


def test_class_in_place_of_a_rule() -> None:
    with pytest.raises(TypeError, match=r"Write @app\.route\('/path'\)"):
        make_app().route(MethodView)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "register",
    [
        lambda app, blueprint: app.before_request(5),
        lambda app, blueprint: app.after_request({}),
        lambda app, blueprint: app.url_defaults(None),
        lambda app, blueprint: app.context_processor({"a": 1}),
        lambda app, blueprint: app.teardown_appcontext("close"),
        lambda app, blueprint: app.shell_context_processor({}),
        lambda app, blueprint: app.route("/")("page"),
        lambda app, blueprint: app.endpoint("x")(None),
        lambda app, blueprint: app.errorhandler(404)(None),
        lambda app, blueprint: app.register_error_handler(KeyError, "page"),
        lambda app, blueprint: app.template_filter("x")(5),
        lambda app, blueprint: app.add_template_test(5, "x"),
        lambda app, blueprint: blueprint.before_app_request(5),
        lambda app, blueprint: blueprint.app_errorhandler(404)(None),
        lambda app, blueprint: blueprint.add_app_template_filter(5, "x"),
        lambda app, blueprint: blueprint.add_url_rule("/", "x", "page"),
        lambda app, blueprint: blueprint.record(5),
    ],
)
def test_something_that_cannot_be_called(register: Any) -> None:
    with pytest.raises(TypeError) as caught:
        register(make_app(), duoflask.Blueprint("shop", "shop"))
    says(str(caught.value), "invalid", "expected a function or another callable", "got ", "Pass the function itself")


def test_route_over_a_decorator_that_returns_nothing() -> None:
    with pytest.raises(AssertionError, match="got None.*has to return the function"):
        make_app().route("/")(None)  # type: ignore[type-var]


class Answering:
    """A callable without a name."""

    def __call__(self, **values: Any) -> str:
        return "called"


def wsgi_page(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"called"]


@pytest.mark.parametrize(
    "view",
    [
        Answering(),
        functools.partial(lambda answer: answer, "called"),
        LocalProxy(lambda: lambda: "called"),
        Answering().__call__,
        type("Page", (MethodView,), {"get": lambda self: "called"}).as_view("page"),
        lambda: wsgi_page,
    ],
)
def test_every_kind_of_callable_is_a_view(view: Any, client: Any) -> None:
    app = make_app()
    app.route("/", endpoint="page")(view)
    assert client(app).get("/").text == "called"


@pytest.mark.parametrize(
    "hook", [Answering(), functools.partial(lambda answer: answer, "called"), LocalProxy(lambda: lambda: "called")]
)
def test_every_kind_of_callable_is_a_hook(hook: Any, client: Any) -> None:
    app = make_app()
    app.add_url_rule("/", "page", lambda: "view")
    app.before_request(hook)
    assert client(app).get("/").text == "called"


def test_proxy_of_nothing_yet_may_be_registered() -> None:
    def nothing() -> Any:
        raise RuntimeError("not yet")

    make_app().before_request(LocalProxy(nothing))


@pytest.mark.parametrize("make", [make_app, lambda: duoflask.Blueprint("outer", "outer")])
def test_module_in_place_of_its_blueprint(make: Any) -> None:
    module = types.ModuleType("shop.auth")
    with pytest.raises(TypeError, match=r"<module 'shop.auth'>\. Write register_blueprint\(auth\.bp\)"):
        make().register_blueprint(module)
    module.pages = duoflask.Blueprint("auth", "auth")  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match=r"Write register_blueprint\(auth\.pages\)"):
        make().register_blueprint(module)


# -- what a rule calls its view with


def notes_of(client: Any, app: Any, path: str) -> list[str]:
    with pytest.raises(TypeError) as caught:
        client(app).get(path)
    return getattr(caught.value, "__notes__", [])


def passing_on(f: Any) -> Any:
    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return f(*args, **kwargs)

    return wrapper


@pytest.mark.parametrize("decorate", [lambda f: f, passing_on, functools.partial])
@pytest.mark.parametrize("colour", ["def", "async def"])
def test_view_without_the_argument_of_its_rule(colour: str, decorate: Any, client: Any) -> None:
    app = make_app()

    def user(nick: str) -> str:
        return nick

    async def async_user() -> str:
        return ""

    view = user if colour == "def" else async_user
    app.add_url_rule("/u/<name>", "user", decorate(view))
    (note,) = notes_of(client, app, "/u/x")
    says(note, "'/u/<name>'", "(endpoint 'user')", f"{view.__qualname__}()", "(name)", "or change the rule")


def test_view_with_an_argument_that_its_rule_lacks(client: Any) -> None:
    app = make_app()
    app.add_url_rule("/", "user", lambda name: name)
    says(notes_of(client, app, "/")[0], "The rule '/'", "with the arguments ()")


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_method_of_a_view_class_without_the_argument_of_its_rule(colour: str, client: Any) -> None:
    class Page(MethodView):
        def get(self) -> str:
            return ""

    class AsyncPage(MethodView):
        async def get(self) -> str:
            return ""

    app = make_app()
    app.add_url_rule("/<int:id>", view_func=(Page if colour == "def" else AsyncPage).as_view("page"))
    says(notes_of(client, app, "/1")[0], "'/<int:id>'", "Page.get()", "(id)")


def test_wrong_call_inside_a_view_says_nothing_about_the_rule(client: Any) -> None:
    app = make_app()

    def send(name: str) -> str:
        def inner() -> str:
            return ""

        inner.__qualname__ = send.__qualname__
        return inner(name=name)  # type: ignore[call-arg]

    app.add_url_rule("/<name>", "send", send)
    assert notes_of(client, app, "/x") == []


def test_unknown_option_of_a_rule() -> None:
    with pytest.raises(TypeError, match="methodes"):
        make_app().add_url_rule("/", "view", lambda: "", methodes=["GET"])


def test_setup_method_after_the_first_request(client: Any) -> None:
    app = make_app()
    client(app).get("/")
    with pytest.raises(AssertionError) as caught:
        app.before_request(lambda: None)
    says(
        str(caught.value),
        "'before_request'",
        "after its first request",
        "later requests only",
        "Do all imports",
    )


def test_error_handler_for_an_instance() -> None:
    with pytest.raises(TypeError, match="is an instance, not a class"):
        make_app().register_error_handler(KeyError("x"), print)  # type: ignore[arg-type]


def test_error_handler_for_an_unknown_code() -> None:
    with pytest.raises(ValueError, match="999.*HTTP error code.*HTTPException"):
        make_app().register_error_handler(999, print)


def test_abort_with_an_unknown_code(client: Any) -> None:
    app = make_app()
    app.add_url_rule("/", "view", lambda: duoflask.abort(999))
    says(error_of(client, app), "no exception", "999", "expected one of")


# -- outside a context


@pytest.mark.parametrize("use", [lambda: duoflask.request.args, lambda: duoflask.session["a"]])
def test_request_outside_a_request(use: Any) -> None:
    with pytest.raises(RuntimeError) as caught:
        use()
    says(
        str(caught.value),
        "Working outside of request context",
        "no request is being served",
        "with app.test_request_context():",
    )


@pytest.mark.parametrize("use", [lambda: duoflask.current_app.name, lambda: duoflask.g.user])
def test_app_outside_a_context(use: Any) -> None:
    with pytest.raises(RuntimeError) as caught:
        use()
    says(
        str(caught.value),
        "Working outside of application context",
        "no app is active",
        "with app.app_context():",
    )


def test_request_in_an_app_context_only() -> None:
    with make_app().app_context(), pytest.raises(RuntimeError, match="outside of request context"):
        _ = duoflask.request.path


@pytest.mark.parametrize("function", [duoflask.after_this_request, duoflask.copy_current_request_context])
def test_function_of_a_request_outside_one(function: Any) -> None:
    with pytest.raises(RuntimeError) as caught:
        function(print)
    says(str(caught.value), function.__name__, "no request is active", "with app.test_request_context():")


def test_url_outside_a_request_without_a_server_name() -> None:
    app = make_app()
    app.add_url_rule("/", "view", lambda: "")
    with app.app_context(), pytest.raises(RuntimeError) as caught:
        duoflask.url_for("view")
    says(str(caught.value), "SERVER_NAME", "with app.test_request_context():")


def test_step_of_a_request_outside_one() -> None:
    with pytest.raises(RuntimeError) as caught:
        make_app().preprocess_request()
    says(str(caught.value), "preprocess_request", "no context is active", "with app.test_request_context():")


def test_pop_without_a_push() -> None:
    with pytest.raises(RuntimeError, match="not active.*'with' block"):
        make_app().app_context().pop()


# -- awaiting where it may not be


def test_async_function_called_for_its_result_on_the_loop(client: Any) -> None:
    app = make_app()

    async def helper() -> str:
        return "x"

    @app.route("/")
    async def view() -> str:
        return app.ensure_sync(helper)()

    says(error_of(client, app), "helper", "event loop is running", "write 'await ")


def test_async_function_is_called_from_a_def_view(client: Any) -> None:
    app = make_app()

    async def helper() -> str:
        await anyio.sleep(0)
        return duoflask.request.path

    app.add_url_rule("/", "view", lambda: app.ensure_sync(helper)())
    assert client(app).get("/").text == "/"


def test_coroutine_driven_by_hand_in_a_thread_names_who_waits(client: Any) -> None:
    app = make_app()

    async def sleeper() -> None:
        await asyncio.sleep(1)

    @app.route("/")
    def view() -> str:
        coroutine = sleeper()
        try:
            coroutine.send(None)
        finally:
            coroutine.close()
        return "x"

    says(error_of(client, app), "no running event loop")


def test_with_block_on_a_loop_with_an_async_teardown() -> None:
    app = make_app()

    @app.teardown_appcontext
    async def close(error: Any) -> None:
        pass

    async def main() -> None:
        with app.app_context():
            pass

    with pytest.raises(RuntimeError) as caught:
        anyio.run(main)
    says(str(caught.value), "'async def' teardown", "'with' cannot await", "write 'async with'")


def test_async_body_read_by_a_def_hook(client: Any) -> None:
    app = make_app()

    @app.route("/")
    async def view() -> Any:
        yield "x"

    @app.after_request
    def read(response: Any) -> Any:
        response.get_data()
        return response

    says(error_of(client, app), "async iterable", "await response.make_sequence_async()")


def test_value_that_the_converter_of_a_url_does_not_take(client: Any) -> None:
    app = make_app()
    app.add_url_rule("/item/<int:id>", "item", lambda id: "")
    app.add_url_rule("/", "index", lambda: duoflask.url_for("item", id="abc"))
    with pytest.raises(ValueError, match="invalid literal for int") as caught:
        client(app).get("/")
    (note,) = caught.value.__notes__
    says(note, "placeholder 'id'", "'/item/<int:id>'", "endpoint 'item'", "'abc'")


@pytest.mark.parametrize(
    ("name", "value", "got"),
    [
        ("SECRET_KEY", 5, "got the type 'int'"),
        ("SECRET_KEY", [b"secret"], "got the type 'list'"),
        ("SECRET_KEY_FALLBACKS", ["secret", 5], "in its list; got the type 'int'"),
    ],
)
@pytest.mark.parametrize("colour", ["def", "async def"])
def test_key_of_a_type_that_signs_nothing(name: str, value: Any, got: str, colour: str, client: Any) -> None:
    app = make_app()
    app.secret_key = "for tests"
    app.config[name] = value

    async def view() -> str:
        return str(duoflask.session)

    app.add_url_rule("/", "view", (lambda: str(duoflask.session)) if colour == "def" else view)
    text = error_of(client, app)
    says(text, f"invalid {name}", "expected str or bytes", got, "secrets.token_hex()")
    assert "secret'" not in text  # what is in it stays a secret


@pytest.mark.parametrize("key", ["text", b"bytes", bytearray(b"bytes"), type("Key", (str,), {})("text")])
def test_key_of_every_type_that_signs(key: Any, client: Any) -> None:
    app = make_app()
    app.secret_key = key
    app.add_url_rule("/", "view", lambda: duoflask.session.__setitem__("a", 1) or "signed")
    assert "session=" in client(app).get("/").headers["Set-Cookie"]


def test_key_that_signs_nothing_is_no_error_without_a_session(client: Any) -> None:
    app = make_app()
    app.secret_key = 5
    app.add_url_rule("/", "view", lambda: "x")
    assert client(app).get("/").text == "x"


@pytest.mark.parametrize(
    ("render", "named"),
    [
        (lambda: duoflask.render_template_string("{{ helper() }}"), "the text given to render_template_string"),
        (lambda: duoflask.current_app.jinja_env.get_template("page.html").render(), "the template 'page.html'"),
    ],
)
def test_async_function_called_by_a_sync_template_on_the_loop(render: Any, named: str, client: Any) -> None:
    app = make_app()
    app.jinja_env.loader = jinja2.DictLoader({"page.html": "{{ helper() }}"})

    @app.template_global()
    async def helper() -> str:
        return "x"

    @app.route("/")
    async def view() -> str:
        return render()

    says(error_of(client, app), f"helper(), which {named} calls,")


def test_session_without_a_secret_key(client: Any) -> None:
    app = make_app()
    app.add_url_rule("/", "view", lambda: duoflask.session.__setitem__("a", 1))
    says(error_of(client, app), "no secret key", "Set app.secret_key")


def test_limit_raised_in_a_hook(client: Any) -> None:
    app = make_app()
    app.config["MAX_CONTENT_LENGTH"] = 5
    app.before_request(lambda: setattr(duoflask.request, "max_content_length", 6))
    app.add_url_rule("/", "view", lambda: "")
    says(error_of(client, app), "can only be lowered", "max_content_length=6", "route()")


def test_form_that_a_redirect_of_the_router_would_lose_in_debug_mode(client: Any) -> None:
    class Moved(RequestRedirect):
        code = 301

    app = make_app()
    app.debug = True
    app.before_request(lambda: setattr(duoflask.request, "routing_exception", Moved("http://localhost/new")))
    with pytest.raises(AssertionError) as caught:
        client(app).post("/old")
    says(str(caught.value), "POST", "/old", "is redirected", "without its form", "send it to")


def test_call_of_the_app_with_something_else() -> None:
    with pytest.raises(TypeError, match=r"\(environ, start_response\), \(scope, receive, send\) or \(scope\)"):
        make_app()("x")
