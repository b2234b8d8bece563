from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import flask
import flask.views
import pytest

import duoflask
from duoflask.blueprints import Blueprint
from duoflask.views import MethodView, View, http_method_funcs

OURS = SimpleNamespace(Flask=duoflask.Flask, View=View, MethodView=MethodView, request=duoflask.request)
FLASKS = SimpleNamespace(
    Flask=flask.Flask, View=flask.views.View, MethodView=flask.views.MethodView, request=flask.request
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")


def require_same_answers(build: Callable[[Any], Any], client: Any, *paths: str) -> None:
    """Build an app of either framework and compare what they answer to all methods."""
    ours, theirs = client(build(OURS)), build(FLASKS).test_client()
    for path in paths:
        for method in METHODS:
            answer, expected = ours.open(path, method=method), theirs.open(path, method=method)
            assert answer.status_code == expected.status_code, (path, method)
            if expected.status_code == 200:
                assert answer.text == expected.text, (path, method)
            allow = [set(each.headers.get("Allow", "").split(", ")) for each in (answer, expected)]
            assert allow[0] == allow[1], (path, method)


def plain_views(lib: Any) -> Any:
    app = lib.Flask("app")

    class Index(lib.View):
        methods = ("GET", "POST")

        def dispatch_request(self) -> str:
            return f"index {lib.request.method}"

    class Item(lib.View):
        def __init__(self, prefix: str, end: str = "") -> None:
            self.prefix, self.end = prefix, end

        def dispatch_request(self, id: int) -> str:
            return f"{self.prefix} {id} {self.end}"

    class Async(lib.View):
        async def dispatch_request(self) -> str:
            return "async"

    app.add_url_rule("/", view_func=Index.as_view("index"))
    app.add_url_rule("/only", view_func=Index.as_view("only"), methods=["PUT"])
    app.add_url_rule("/<int:id>", view_func=Item.as_view("item", "item", end="end"))
    app.add_url_rule("/async", view_func=Async.as_view("async"))
    return app


def test_plain_views_answer_as_in_flask(client: Any) -> None:
    require_same_answers(plain_views, client, "/", "/only", "/3", "/async", "/none")


def method_views(lib: Any) -> Any:
    app = lib.Flask("app")

    class Reads(lib.MethodView):
        def get(self) -> str:
            return "get"

    class Writes(Reads):
        async def post(self) -> str:
            return "post"

        def propfind(self) -> str:
            return "not called by its name alone"

    class Explicit(Writes):
        methods = ["POST", "PUT"]

        def put(self) -> str:
            return "put"

    class Below(Explicit):
        def delete(self) -> str:
            return "delete"

    class Own(lib.MethodView):
        def head(self) -> str:
            return ""

        def get(self) -> str:
            raise AssertionError

        def options(self) -> str:
            return "options"

        def trace(self) -> str:
            return "trace"

    class Both(Reads, Own):
        pass

    class Silent(lib.MethodView):
        provide_automatic_options = False

        def get(self) -> str:
            return "silent"

    for view in (Reads, Writes, Explicit, Below, Own, Both, Silent):
        name = view.__name__.lower()
        app.add_url_rule(f"/{name}", view_func=view.as_view(name))
        app.sets = [*getattr(app, "sets", []), (name, view.methods and set(view.methods))]
    return app


def test_method_views_answer_as_in_flask(client: Any) -> None:
    paths = ("/reads", "/writes", "/explicit", "/below", "/both", "/silent")
    require_same_answers(method_views, client, *paths)
    assert method_views(OURS).sets == method_views(FLASKS).sets


def test_own_head_and_options_are_called(client: Any) -> None:
    app = method_views(OURS)
    assert client(app).head("/own").status_code == 200
    assert client(app).options("/own").text == "options"


def test_method_that_the_view_lacks_is_an_error_that_names_it(client: Any) -> None:
    class Reads(MethodView):
        def get(self) -> str:
            return ""

    app = duoflask.Flask("app")
    app.testing = True
    app.add_url_rule("/", view_func=Reads.as_view("view"), methods=["GET", "POST"])
    with pytest.raises(AssertionError, match="Reads answers no 'POST' request; expected a method 'post'"):
        client(app).post("/")


def test_method_of_the_peer_calls_no_other_attribute(client: Any) -> None:
    class Reads(MethodView):
        def get(self) -> str:
            return "get"

    app = duoflask.Flask("app")
    app.testing = True
    app.add_url_rule("/", view_func=Reads.as_view("view"), methods=["GET", "AS_VIEW", "DISPATCH_REQUEST"])
    for method in ("AS_VIEW", "DISPATCH_REQUEST"):
        with pytest.raises(AssertionError, match="answers no"):
            client(app).open("/", method=method)


def test_view_function_has_flasks_attributes() -> None:
    class Page(MethodView):
        """A page."""

        provide_automatic_options = True

        def get(self) -> str:
            return ""

    view: Any = Page.as_view("page")
    assert view.view_class is Page
    assert view.__name__ == "page"
    assert view.__doc__ == "A page."
    assert view.__module__ == Page.__module__
    assert view.methods == {"GET"}
    assert view.provide_automatic_options is True
    assert http_method_funcs == flask.views.http_method_funcs


def test_view_without_dispatch_request_says_so(client: Any) -> None:
    app = duoflask.Flask("app")
    app.testing = True
    app.add_url_rule("/", view_func=View.as_view("view"))
    with pytest.raises(NotImplementedError, match=r"View has no dispatch_request\(\)"):
        client(app).get("/")


def test_each_request_has_an_object_unless_one_is_for_all(client: Any) -> None:
    class Counter(View):
        def __init__(self) -> None:
            self.count = 0

        def dispatch_request(self) -> str:
            self.count += 1
            return str(self.count)

    class Shared(Counter):
        init_every_request = False

    app = duoflask.Flask("app")
    app.add_url_rule("/each", view_func=Counter.as_view("each"))
    app.add_url_rule("/all", view_func=Shared.as_view("all"))
    tester = client(app)
    assert [tester.get("/each").text for _ in range(2)] == ["1", "1"]
    assert [tester.get("/all").text for _ in range(2)] == ["1", "2"]


# -- decorators


def exclaim(view: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that looks at what the view returns, as decorators of `def` views do."""

    @functools.wraps(view)
    def wrapper(**values: Any) -> str:
        return f"{view(**values)}!"

    return wrapper


def question(view: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **values: f"{view(**values)}?"


def decorated(lib: Any) -> Any:
    app = lib.Flask("app")

    class Plain(lib.MethodView):
        decorators = [exclaim, question]

        def get(self) -> str:
            return "get"

        async def post(self) -> str:
            return "post"

    app.add_url_rule("/", view_func=Plain.as_view("view"))
    return app


def test_decorators_are_applied_in_flasks_order_and_see_answers(client: Any) -> None:
    require_same_answers(decorated, client, "/")
    assert client(decorated(OURS)).post("/").text == "post!?"


def test_async_view_may_have_a_def_decorator_that_passes_its_result_on(client: Any) -> None:
    def passing(view: Callable[..., Any]) -> Callable[..., Any]:
        return lambda **values: view(**values)

    class Async(MethodView):
        decorators = [passing]

        async def get(self) -> str:
            await anyio.sleep(0)
            return "async"

    app = duoflask.Flask("app")
    app.add_url_rule("/", view_func=Async.as_view("view"))
    assert client(app).get("/").text == "async"


def test_async_view_may_have_an_async_decorator(loop_client: Any) -> None:
    def awaiting(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        async def wrapper(**values: Any) -> str:
            return f"{await view(**values)}!"

        return wrapper

    class Async(View):
        decorators = [awaiting]

        async def dispatch_request(self) -> str:
            await anyio.sleep(0)
            return "async"

    app = duoflask.Flask("app")
    app.add_url_rule("/", view_func=Async.as_view("view"))
    assert loop_client(app).get("/").text == "async!"


# -- where they run


def test_methods_of_both_colours_run_where_their_colour_does(loop_client: Any) -> None:
    threads: dict[str, int] = {}

    class Mixed(MethodView):
        def get(self) -> str:
            threads["get"] = threading.get_ident()
            return duoflask.request.path

        async def post(self) -> str:
            await anyio.sleep(0)
            threads["post"] = threading.get_ident()
            return duoflask.request.path

    class Async(MethodView):
        async def get(self) -> str:
            await anyio.sleep(0)
            threads["async"] = threading.get_ident()
            return duoflask.request.path

    class OwnMethod(Async):
        methods = ("GET", "PROPFIND")

        def propfind(self) -> str:
            threads["own"] = threading.get_ident()
            return duoflask.request.path

    class Overridden(Async):
        def dispatch_request(self, **values: Any) -> Any:
            threads["override"] = threading.get_ident()
            return super().dispatch_request(**values)

    app = duoflask.Flask("app")
    for view in (Mixed, Async, OwnMethod, Overridden):
        app.add_url_rule(f"/{view.__name__}", view_func=view.as_view(view.__name__))
    tester = loop_client(app)
    assert tester.get("/Mixed").text == tester.post("/Mixed").text == "/Mixed"
    assert threads["post"] != threads["get"]
    assert tester.get("/Async").text == "/Async"
    assert threads["async"] == threads["post"]
    assert tester.open("/OwnMethod", method="PROPFIND").text == "/OwnMethod"
    assert threads["own"] != threads["async"]
    assert tester.get("/Overridden").text == "/Overridden"
    assert threads["override"] != threads["async"]
    assert [app._plan(name).view_on_loop for name in ("Mixed", "Async", "OwnMethod", "Overridden")] == [
        False,
        True,
        False,
        False,
    ]


def test_decorated_view_that_must_wait_on_a_loop_says_so() -> None:
    class Mixed(MethodView):
        decorators = [exclaim]

        def get(self) -> str:
            return "get"

        async def post(self) -> str:
            return "post"

    app = duoflask.Flask("app")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.add_url_rule("/", view_func=Mixed.as_view("view"), inline=True)

    async def main() -> None:
        async with app.async_test_client() as tester:
            assert (await tester.get("/")).text == "get!"
            message = "a method of the view .*Mixed' is asynchronous.*take inline=True off"
            with pytest.raises(RuntimeError, match=message):
                await tester.post("/")

    anyio.run(main)


def test_async_generator_of_a_method_is_a_body(client: Any) -> None:
    class Stream(MethodView):
        async def get(self) -> Any:
            async def body() -> Any:
                yield "a"
                yield duoflask.request.path

            return body()

    app = duoflask.Flask("app")
    app.add_url_rule("/", view_func=Stream.as_view("view"))
    assert client(app).get("/").text == "a/"


def test_views_belong_to_blueprints_too(client: Any) -> None:
    class Page(MethodView):
        async def get(self, id: int) -> str:
            return f"{duoflask.request.endpoint} {id}"

    blueprint = Blueprint("b", "b", url_prefix="/b")
    blueprint.add_url_rule("/<int:id>", view_func=Page.as_view("page"))
    app = duoflask.Flask("app")
    app.register_blueprint(blueprint)
    assert client(app).get("/b/7").text == "b.page 7"
