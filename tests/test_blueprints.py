from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import flask
import pytest
from hypothesis import given, strategies as st

import duoflask
from duoflask.blueprints import Blueprint, BlueprintSetupState
from duoflask.exceptions import MethodNotAllowed, NotFound
from duoflask.templating import render_template_string
from duoflask.unmatched import plan_of_unmatched

from .growth import require_linear
from .pages import Page

OURS = SimpleNamespace(
    Flask=duoflask.Flask,
    Blueprint=Blueprint,
    request=duoflask.request,
    url_for=duoflask.url_for,
    abort=duoflask.abort,
    g=duoflask.g,
)
FLASKS = SimpleNamespace(
    Flask=flask.Flask,
    Blueprint=flask.Blueprint,
    request=flask.request,
    url_for=flask.url_for,
    abort=flask.abort,
    g=flask.g,
)

Build = Callable[[Any], Any]


def require_same_answers(build: Build, client: Any, *requests: str | tuple[str, dict[str, Any]]) -> None:
    """Build an app of either framework and compare what they answer."""
    ours, theirs = client(build(OURS)), build(FLASKS).test_client()
    for item in requests:
        path, options = (item, {}) if isinstance(item, str) else item
        answer, expected = ours.open(path, **options), theirs.open(path, **options)
        assert answer.status_code == expected.status_code, path
        if expected.status_code < 300 or expected.text.startswith("handled"):
            assert answer.text == expected.text, path
        assert answer.headers.get("Location") == expected.headers.get("Location"), path
        expected.close()


def rules_of(app: Any) -> list[tuple[Any, ...]]:
    return sorted(
        (
            rule.rule,
            rule.endpoint,
            sorted(rule.methods),
            rule.subdomain or "",
            repr(sorted((rule.defaults or {}).items())),
        )
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
    )


def require_same_rules(build: Build) -> None:
    assert rules_of(build(OURS)) == rules_of(build(FLASKS))


def text(answer: str) -> Callable[..., str]:
    def view(**values: Any) -> str:
        return f"{answer} {sorted(values.items())}"

    return view


# -- names, prefixes, subdomains


def plain_app(lib: Any) -> Any:
    app = lib.Flask("app")
    one = lib.Blueprint("one", "one", url_prefix="/one/")
    one.add_url_rule("/", "index", text("one"))
    one.add_url_rule("", "bare", text("bare"))
    one.add_url_rule("a/<int:id>", "item", text("item"), defaults={"x": 1})
    one.add_url_rule("/b", "b", text("b"), methods=["POST"])
    two = lib.Blueprint("two", "two", url_defaults={"y": 2})
    two.get("/plain")(text("two"))
    two.endpoint("view")(text("by endpoint"))
    app.register_blueprint(one)
    app.register_blueprint(two)
    app.register_blueprint(one, name="again", url_prefix="/again", url_defaults={"z": 3})
    app.register_blueprint(two, name="third", url_prefix="/<lang>", url_defaults={"y": 4})
    return app


def test_rules_stand_below_the_prefix() -> None:
    require_same_rules(plain_app)


def test_rules_below_the_prefix_answer(client: Any) -> None:
    paths = ("/one/", "/one", "/one/a/3", "/one/b", "/plain", "/again", "/again/", "/again/a/4", "/de/plain", "/none")
    require_same_answers(plain_app, client, *paths, ("/one/b", {"method": "POST"}))


def nested_app(lib: Any) -> Any:
    app = lib.Flask("app")
    outer = lib.Blueprint("outer", "outer", url_prefix="/outer", subdomain="out")
    middle = lib.Blueprint("middle", "middle", subdomain="mid")
    inner = lib.Blueprint("inner", "inner", url_prefix="inner/")
    for blueprint in (outer, middle, inner):
        blueprint.add_url_rule("/", "index", text(blueprint.name))
    middle.register_blueprint(inner, name="renamed", url_defaults={"a": 1})
    middle.register_blueprint(inner, url_prefix="/other", subdomain="own")
    outer.register_blueprint(middle, url_prefix="/m")
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    app.register_blueprint(outer, name="second", subdomain="else", url_prefix="/second/")
    return app


def test_names_prefixes_and_subdomains_of_nested_blueprints_add_up() -> None:
    require_same_rules(nested_app)
    assert list(nested_app(OURS).blueprints) == list(nested_app(FLASKS).blueprints)
    assert [blueprint.name for blueprint in nested_app(OURS).iter_blueprints()][:2] == ["outer", "middle"]


PREFIXES = st.sampled_from([None, "", "/", "/a", "/a/", "b", "b/", "/a/b", "/<x>"])
SUBDOMAINS = st.sampled_from([None, "", "s", "t.u"])
OPTIONS = st.fixed_dictionaries(
    {}, optional={"url_prefix": PREFIXES, "subdomain": SUBDOMAINS, "url_defaults": st.just({"d": 1})}
)
TREES = st.recursive(
    st.tuples(OPTIONS, OPTIONS, st.sampled_from(["", "/", "/r", "r/"]), st.just([])),
    lambda inner: st.tuples(OPTIONS, OPTIONS, st.sampled_from(["", "/", "/r", "r/"]), st.lists(inner, max_size=2)),
    max_leaves=5,
)


@given(TREES)
def test_any_tree_of_blueprints_registers_as_in_flask(tree: Any) -> None:
    def build(lib: Any) -> Any:
        number = iter(range(100))

        def add(parent: Any, node: Any) -> None:
            own, options, rule, children = node
            blueprint = lib.Blueprint(f"b{next(number)}", "x", **own)
            blueprint.add_url_rule(rule, "view", text(""))
            for child in children:
                add(blueprint, child)
            parent.register_blueprint(blueprint, **options)

        app = lib.Flask("app")
        add(app, tree)
        return rules_of(app)

    def outcome(lib: Any) -> Any:
        try:
            return build(lib)
        except (ValueError, SyntaxError):  # a rule without a slash at its start, a variable that is there twice
            return "refused"

    assert outcome(OURS) == outcome(FLASKS)


def links_app(lib: Any) -> Any:
    app = lib.Flask("app")
    outer, inner = lib.Blueprint("outer", "outer", url_prefix="/o"), lib.Blueprint("inner", "inner", url_prefix="/i")

    def links() -> str:
        names = (".links", "outer.links", "outer.inner.links", "links")
        where = f"{lib.request.blueprint} {lib.request.blueprints} {lib.request.endpoint}"
        return where + " ".join(lib.url_for(name, q=1) for name in names)

    for place in (app, outer, inner):
        place.add_url_rule("/links", "links", links)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


def test_url_for_finds_endpoints_of_blueprints(client: Any) -> None:
    require_same_answers(links_app, client, "/links", "/o/links", "/o/i/links")


def test_subdomain_of_a_blueprint_is_matched(client: Any) -> None:
    def build(lib: Any) -> Any:
        app = lib.Flask("app", subdomain_matching=True)
        app.config["SERVER_NAME"] = "example.org"
        admin = lib.Blueprint("admin", "admin", subdomain="admin")
        user = lib.Blueprint("user", "user", subdomain="<name>", url_prefix="/u")
        admin.add_url_rule("/", "index", text("admin"))
        user.add_url_rule("/", "index", text("user"))
        admin.register_blueprint(user)
        app.register_blueprint(admin)
        app.register_blueprint(user, name="other")
        return app

    hosts = ("admin.example.org", "joe.example.org", "joe.admin.example.org", "example.org")
    requests = [(path, {"base_url": f"http://{host}"}) for host in hosts for path in ("/", "/u/")]
    require_same_answers(build, client, *requests)


# -- hooks


def hooks_app(lib: Any) -> Any:
    app = lib.Flask("app")
    outer, inner = lib.Blueprint("outer", "outer", url_prefix="/o"), lib.Blueprint("inner", "inner", url_prefix="/i")
    log: list[str] = []
    app.log = log

    def write(line: str, answer: Any = None) -> Callable[..., Any]:
        def function(*args: Any) -> Any:
            log.append(line)
            return args[0] if answer == "same" else answer

        return function

    for place in (inner, outer, app):
        for number in (1, 2):
            place.before_request(write(f"before {place.name} {number}"))
            place.after_request(write(f"after {place.name} {number}", "same"))
            place.teardown_request(write(f"teardown {place.name} {number}"))
            place.url_value_preprocessor(write(f"values {place.name} {number}"))
        if place is not app:
            place.before_app_request(write(f"before all {place.name}"))
            place.after_app_request(write(f"after all {place.name}", "same"))
            place.teardown_app_request(write(f"teardown all {place.name}"))
            place.app_url_value_preprocessor(write(f"values all {place.name}"))
        place.add_url_rule("/", "index", text(place.name))
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


@pytest.mark.parametrize("path", ["/", "/o/", "/o/i/", "/none"])
def test_hooks_run_in_flasks_order(path: str, client: Any) -> None:
    ours, theirs = hooks_app(OURS), hooks_app(FLASKS)
    client(ours).get(path)
    theirs.test_client().get(path)
    assert ours.log == theirs.log
    assert ours.log


def test_hooks_of_a_blueprint_may_be_async(loop_client: Any) -> None:
    app = duoflask.Flask("app")
    blueprint = Blueprint("b", "b", url_prefix="/b")

    @blueprint.before_request
    async def before() -> None:
        await anyio.sleep(0)
        duoflask.g.log = ["before"]

    @blueprint.app_url_value_preprocessor
    async def values(endpoint: str | None, view_args: dict[str, Any] | None) -> None:
        view_args["added"] = endpoint  # type: ignore[index]

    @blueprint.after_app_request
    async def after(response: Any) -> Any:
        response.headers["X-Log"] = " ".join(duoflask.g.log)
        return response

    @blueprint.errorhandler(ValueError)
    async def handle(error: ValueError) -> str:
        return f"handled {error}"

    @blueprint.get("/")
    async def view(added: str) -> str:
        raise ValueError(added)

    app.register_blueprint(blueprint)
    answer = loop_client(app).get("/b/")
    assert answer.text == "handled b.view"
    assert answer.headers["X-Log"] == "before"


def test_hook_marked_inline_keeps_its_mark(client: Any) -> None:
    app, blueprint = duoflask.Flask("app"), Blueprint("b", "b")
    marked: list[Any] = [
        blueprint.before_request(lambda: None, inline=True),
        blueprint.before_app_request(lambda: None, inline=True),
        blueprint.after_app_request(inline=True)(lambda response: response),
    ]
    blueprint.add_url_rule("/", "view", text("x"), inline=True)
    app.register_blueprint(blueprint)
    assert all(function in app._inline for function in marked)
    assert client(app).get("/").text == "x []"
    plan = app._plan("b.view")
    assert all(side is None for _, side in (*plan.before, *plan.after))
    assert plan.view_on_loop is None


def url_defaults_app(lib: Any) -> Any:
    app = lib.Flask("app")
    blueprint = lib.Blueprint("b", "b", url_prefix="/<lang>")

    @blueprint.url_defaults
    def add(endpoint: str, values: dict[str, Any]) -> None:
        values.setdefault("lang", lib.g.lang)

    @blueprint.url_value_preprocessor
    def take(endpoint: str | None, values: dict[str, Any] | None) -> None:
        lib.g.lang = values.pop("lang")  # type: ignore[union-attr]

    @blueprint.app_url_defaults
    def add_everywhere(endpoint: str, values: dict[str, Any]) -> None:
        values["everywhere"] = 1

    @blueprint.route("/")
    def index() -> str:
        return f"{lib.g.lang} {lib.url_for('.about')} {lib.url_for('plain')}"

    @blueprint.route("/about")
    def about() -> str:
        return f"{lib.g.lang} {lib.url_for('.index')}"

    app.add_url_rule("/plain", "plain", text("plain"))
    app.register_blueprint(blueprint)
    return app


def test_url_defaults_and_preprocessors_work_as_in_flask(client: Any) -> None:
    require_same_answers(url_defaults_app, client, "/de/", "/en/about", "/plain")


def test_first_request_and_serving_functions_of_a_blueprint_run_once(client: Any) -> None:
    app, blueprint, log = duoflask.Flask("app"), Blueprint("b", "b"), []

    @blueprint.before_app_first_request
    def first() -> None:
        log.append("first")

    @blueprint.before_app_serving
    async def start() -> None:
        log.append("start")

    @blueprint.after_app_serving
    def stop() -> None:
        log.append("stop")

    blueprint.add_url_rule("/", "view", text("x"))
    app.register_blueprint(blueprint)
    app.register_blueprint(blueprint, name="again", url_prefix="/again")
    tester = client(app)
    tester.get("/")
    tester.get("/")
    assert sorted(log) == ["first", "start"]
    assert app.after_serving_funcs == [stop]


# -- errors


def errors_app(lib: Any) -> Any:
    app = lib.Flask("app")
    outer, inner = lib.Blueprint("outer", "outer", url_prefix="/o"), lib.Blueprint("inner", "inner", url_prefix="/i")

    def handler(name: str) -> Callable[..., Any]:
        return lambda error: (f"handled by {name}", 400)

    app.register_error_handler(404, handler("app 404"))
    app.register_error_handler(LookupError, handler("app LookupError"))
    outer.register_error_handler(404, handler("outer 404"))
    outer.errorhandler(KeyError)(handler("outer KeyError"))
    inner.errorhandler(403)(handler("inner 403"))
    inner.register_error_handler(LookupError, handler("inner LookupError"))
    inner.app_errorhandler(410)(handler("app's 410 by inner"))
    inner.app_errorhandler(ZeroDivisionError)(handler("app's division by inner"))
    failures: dict[str, Any] = {
        "404": lambda: lib.abort(404),
        "403": lambda: lib.abort(403),
        "410": lambda: lib.abort(410),
        "key": lambda: {}["x"],
        "index": lambda: [][0],
        "zero": lambda: 1 // 0,
    }
    for place in (app, outer, inner):
        place.add_url_rule("/<what>", "fail", lambda what: failures[what]())
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


def test_error_handlers_are_chosen_as_in_flask(client: Any) -> None:
    names = ("404", "403", "410", "key", "index", "zero")
    paths = [f"{prefix}/{name}" for prefix in ("", "/o", "/o/i") for name in names]
    require_same_answers(errors_app, client, *paths, "/o/i/x/y/z", ("/o/404", {"method": "POST"}))


# -- requests that no rule matches


def unmatched_app() -> Any:
    app = duoflask.Flask("app")
    api = Blueprint("api", "api", url_prefix="/api", handles_unmatched=True)
    v2 = Blueprint("v2", "v2", url_prefix="/v2", handles_unmatched=True)
    plain = Blueprint("plain", "plain", url_prefix="/api/plain")
    for blueprint in (api, v2, plain):
        blueprint.get("/thing")(text(blueprint.name))
        blueprint.register_error_handler(404, functools.partial(answer_with, blueprint.name))
    api.register_error_handler(405, functools.partial(answer_with, "api"))
    api.register_blueprint(v2)
    app.register_blueprint(api)
    app.register_blueprint(plain)
    app.register_error_handler(404, functools.partial(answer_with, "app"))
    return app


def answer_with(name: str, error: Any) -> tuple[str, int]:
    return f"{name} {error.code}", error.code


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/none", "app"),
        ("/apis", "app"),
        ("/", "app"),
        ("/api", "api"),
        ("/api/", "api"),
        ("/api/none", "api"),
        ("/api/none/deep/er", "api"),
        ("/api//none", "api"),
        ("/api/v2", "v2"),
        ("/api/v2/none", "v2"),
        ("/api/v2s", "api"),
        ("/api/plain/none", "api"),  # it has not asked for it
        ("/api/%2e%2e/x", "api"),
        ("/api/\u00e4", "api"),
    ],
)
def test_blueprint_answers_404_below_its_prefix(path: str, expected: str, client: Any) -> None:
    assert client(unmatched_app()).get(path).text == f"{expected} 404"


def test_blueprint_answers_405_below_its_prefix(client: Any) -> None:
    tester = client(unmatched_app())
    assert tester.post("/api/thing").text == "api 405"
    assert tester.post("/api/v2/thing").text == "api 405"  # v2 has no handler; it is nested in api
    assert tester.post("/api/v2/thing").status_code == 405


def test_blueprint_does_not_answer_unmatched_requests_unasked(client: Any) -> None:
    app = duoflask.Flask("app")
    blueprint = Blueprint("b", "b", url_prefix="/b")
    blueprint.register_error_handler(404, lambda error: "handled")
    app.register_blueprint(blueprint)
    assert client(app).get("/b/none").status_code == 404


def test_blueprint_without_a_prefix_answers_all_unmatched_requests(client: Any) -> None:
    app, blueprint = duoflask.Flask("app"), Blueprint("b", "b", handles_unmatched=True)

    @blueprint.errorhandler(404)
    async def handle(error: NotFound) -> tuple[str, int]:
        await anyio.sleep(0)
        return f"handled {duoflask.request.blueprint}", 404

    app.register_blueprint(blueprint)
    assert client(app).get("/none/such").text == client(app).get("/").text == "handled None"


def test_prefix_with_a_variable_is_matched(client: Any) -> None:
    app, blueprint = duoflask.Flask("app"), Blueprint("b", "b", url_prefix="/<int:id>/x", handles_unmatched=True)
    blueprint.register_error_handler(404, functools.partial(answer_with, "b"))
    app.register_blueprint(blueprint)
    tester = client(app)
    assert tester.get("/12/x/none").text == tester.get("/12/x").text == "b 404"
    assert "b 404" not in (tester.get("/a/x/none").text, tester.get("/12/y").text)


def test_subdomain_of_unmatched_requests_counts(client: Any) -> None:
    app = duoflask.Flask("app", subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.org"
    blueprint = Blueprint("b", "b", subdomain="b", url_prefix="/x", handles_unmatched=True)
    blueprint.register_error_handler(404, functools.partial(answer_with, "b"))
    app.register_blueprint(blueprint)
    tester = client(app)
    assert tester.get("/x/none", base_url="http://b.example.org").text == "b 404"
    assert tester.get("/x/none", base_url="http://example.org").text != "b 404"
    assert tester.get("/x/none", base_url="http://c.example.org").text != "b 404"


def test_context_processors_of_the_blueprint_serve_its_error_page(client: Any) -> None:
    app, blueprint = duoflask.Flask("app"), Blueprint("b", "b", url_prefix="/b", handles_unmatched=True)
    blueprint.context_processor(lambda: {"who": "b"})
    blueprint.register_error_handler(404, lambda error: render_template_string("page of {{ who }}"))
    app.register_blueprint(blueprint)
    assert client(app).get("/b/none").text == "page of b"


def test_unmatched_errors_raised_by_hooks_go_to_the_blueprint(client: Any) -> None:
    app = unmatched_app()
    app.before_request(lambda: duoflask.abort(404))
    assert client(app).get("/api/none").text == "api 404"
    assert client(app).get("/none").text == "app 404"


def test_handler_added_later_answers_the_next_unmatched_request(client: Any) -> None:
    app = unmatched_app()
    tester = client(app)
    tester.get("/api/none")
    app.error_handler_spec["api"][404][NotFound] = lambda error: "new"
    app.error_handler_spec["api"][405][MethodNotAllowed] = lambda error: "new 405"
    assert tester.get("/api/none").text == "new"
    assert tester.post("/api/thing").text == "new 405"


@pytest.mark.parametrize("prefix", ["b", "/<", "/<none:x>"])
def test_impossible_prefix_is_an_error_at_the_registration(prefix: str) -> None:
    blueprint = Blueprint("b", "b", url_prefix=prefix, handles_unmatched=True)
    with pytest.raises((ValueError, LookupError)):
        duoflask.Flask("app").register_blueprint(blueprint)


def test_untrusted_host_below_a_prefix_is_a_400(client: Any) -> None:
    app = unmatched_app()
    app.config["TRUSTED_HOSTS"] = ["good.example"]
    tester = client(app)
    assert tester.get("/api/none", base_url="http://bad.example").status_code == 400
    assert tester.get("/api/none", base_url="http://good.example").text == "api 404"


@pytest.mark.measures
@pytest.mark.parametrize("part", ["/a", "//", "/api", "a/", "%2f", "/v2"])
def test_unmatched_path_takes_linear_time(part: str) -> None:
    app = unmatched_app()
    with app.test_request_context("/none") as ctx:

        def make(size: int) -> Callable[[], object]:
            path = "/api/" + part * (size // len(part))
            return lambda: plan_of_unmatched(app, app._prefixes, ctx, path)  # type: ignore[arg-type]

        require_linear(make, 32_000)


# -- registration


def test_functions_that_are_recorded_see_each_registration() -> None:
    app, blueprint, states = duoflask.Flask("app"), Blueprint("b", "b", url_prefix="/b", subdomain="s"), []
    once: list[Any] = []
    blueprint.record(states.append)
    blueprint.record_once(once.append)
    app.register_blueprint(blueprint)
    app.register_blueprint(blueprint, name="c", url_prefix="/c", subdomain="t", url_defaults={"a": 1}, own="mine")
    first, second = states
    assert isinstance(first, BlueprintSetupState)
    assert once == [first]
    assert (first.app, first.blueprint, first.options, first.first_registration) == (app, blueprint, {}, True)
    assert (first.name, first.name_prefix, first.url_prefix, first.subdomain) == ("b", "", "/b", "s")
    assert (second.name, second.url_prefix, second.subdomain, second.url_defaults) == ("c", "/c", "t", {"a": 1})
    assert second.options["own"] == "mine"
    assert not second.first_registration
    other = duoflask.Flask("other")
    other.register_blueprint(blueprint)
    assert len(once) == 2


def test_setup_state_may_be_of_another_class(client: Any) -> None:
    class State(BlueprintSetupState):
        def add_url_rule(self, rule: str, endpoint: Any = None, view_func: Any = None, **options: Any) -> None:
            super().add_url_rule(f"/moved{rule}", endpoint, view_func, **options)

    class Own(Blueprint):
        def make_setup_state(self, app: Any, options: Any, first_registration: bool = False) -> State:
            return State(self, app, options, first_registration)

    app, blueprint = duoflask.Flask("app"), Own("b", "b")
    blueprint.add_url_rule("/x", "x", text("x"))
    app.register_blueprint(blueprint)
    assert client(app).get("/moved/x").text == "x []"


@pytest.mark.parametrize("name", ["", "a.b"])
def test_impossible_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name of a blueprint"):
        Blueprint(name, "x")
    with pytest.raises(ValueError):
        flask.Blueprint(name, "x")


def test_endpoint_and_view_name_with_a_dot_are_refused() -> None:
    blueprint = Blueprint("b", "b")
    with pytest.raises(ValueError, match="invalid endpoint.*'a.b'"):
        blueprint.add_url_rule("/", "a.b", text(""))
    view = text("")
    view.__name__ = "x.y"
    with pytest.raises(ValueError, match="name of a view function.*'x.y'"):
        blueprint.add_url_rule("/", view_func=view)


def test_view_without_a_name_needs_an_endpoint(client: Any) -> None:
    app, blueprint = duoflask.Flask("app"), Blueprint("b", "b")
    blueprint.add_url_rule("/", "view", functools.partial(text("partial"), x=1))
    app.register_blueprint(blueprint)
    assert client(app).get("/").text == "partial [('x', 1)]"
    nameless = Blueprint("c", "c")
    nameless.add_url_rule("/", view_func=functools.partial(text("partial")))
    with pytest.raises(AssertionError, match="view function with a name"):
        duoflask.Flask("other").register_blueprint(nameless)


def test_name_that_is_taken_is_refused() -> None:
    app, blueprint = duoflask.Flask("app"), Blueprint("b", "b")
    app.register_blueprint(blueprint)
    with pytest.raises(ValueError, match=r"'b' is registered for this blueprint itself.*name='...'"):
        app.register_blueprint(blueprint)
    with pytest.raises(ValueError, match="'b' is registered for another one, of 'b'"):
        app.register_blueprint(Blueprint("b", "c"))
    outer = Blueprint("outer", "outer")
    outer.register_blueprint(blueprint)
    outer.register_blueprint(blueprint)
    with pytest.raises(ValueError, match=r"'outer\.b' is registered"):
        app.register_blueprint(outer)


def test_blueprint_in_itself_is_refused() -> None:
    blueprint = Blueprint("b", "b")
    with pytest.raises(ValueError, match="on itself"):
        blueprint.register_blueprint(blueprint)


SETUP: dict[str, Callable[[Blueprint], Any]] = {
    "route": lambda b: b.route("/x"),
    "add_url_rule": lambda b: b.add_url_rule("/x", "x", text("")),
    "before_request": lambda b: b.before_request(text("")),
    "before_app_request": lambda b: b.before_app_request(text("")),
    "errorhandler": lambda b: b.errorhandler(404),
    "app_errorhandler": lambda b: b.app_errorhandler(404),
    "context_processor": lambda b: b.context_processor(dict),
    "app_template_filter": lambda b: b.app_template_filter("x"),
    "record": lambda b: b.record(print),
    "register_blueprint": lambda b: b.register_blueprint(Blueprint("x", "x")),
    "endpoint": lambda b: b.endpoint("x"),
    "url_defaults": lambda b: b.url_defaults(text("")),
}


@pytest.mark.parametrize("name", SETUP)
def test_setup_after_the_registration_is_refused(name: str) -> None:
    blueprint = Blueprint("b", "b")
    duoflask.Flask("app").register_blueprint(blueprint)
    with pytest.raises(AssertionError, match=f"the setup method '{name}' was called on the blueprint 'b' after"):
        SETUP[name](blueprint)


def test_registration_after_the_first_request_is_refused(client: Any) -> None:
    app = duoflask.Flask("app")
    client(app).get("/")
    with pytest.raises(AssertionError, match="'register_blueprint'"):
        app.register_blueprint(Blueprint("b", "b"))


def test_blueprint_has_flasks_names() -> None:
    ours, theirs = Blueprint("b", "b"), flask.Blueprint("b", "b")
    missing = {name for name in dir(theirs) if not name.startswith("_")} - set(dir(ours))
    assert missing == set()
    app_missing = {name for name in dir(flask.Flask("a")) if "templ" in name or "jinja" in name or "shell" in name}
    assert app_missing - set(dir(duoflask.Flask("a"))) == set()


# -- functions of templates, commands, files


def test_functions_of_templates_are_the_apps(client: Any) -> None:
    app, blueprint = duoflask.Flask("app"), Blueprint("b", "b")

    @blueprint.app_template_filter()
    def double(value: int) -> int:
        return 2 * value

    @blueprint.app_template_filter("half")
    async def half_of(value: int) -> int:
        return value // 2

    @blueprint.app_template_test
    def big(value: int) -> bool:
        return value > 9

    @blueprint.app_template_global
    def here() -> str:
        return duoflask.request.path

    blueprint.add_app_template_filter(lambda value: value + 1, "inc")
    blueprint.add_app_template_test(lambda value: value == 1, "one")
    blueprint.add_app_template_global(lambda: 3, "three")
    app.register_blueprint(blueprint)
    source = "{{ 2|double|inc }} {{ 8|half }} {{ 10 is big }} {{ 1 is one }} {{ here() }} {{ three() }}"
    app.add_url_rule("/", "view", lambda: render_template_string(source))
    assert client(app).get("/").text == "5 4 True True / 3"


def commands_app(lib: Any) -> Any:
    app = lib.Flask("app")
    for name, options, at_registration in (
        ("own", {}, {}),
        ("named", {"cli_group": "group"}, {}),
        ("merged", {"cli_group": None}, {}),
        ("late", {}, {"cli_group": "later"}),
        ("empty", {}, {}),
    ):
        blueprint = lib.Blueprint(name, name, **options)
        if name != "empty":
            blueprint.cli.command(f"{name}-command")(lambda: None)
        app.register_blueprint(blueprint, **at_registration)
    outer, inner = lib.Blueprint("outer", "outer"), lib.Blueprint("inner", "inner")
    inner.cli.command("nested")(lambda: None)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    return app


def test_commands_of_blueprints_are_grouped_as_in_flask() -> None:
    def names(group: Any) -> Any:
        return {name: names(command) for name, command in getattr(group, "commands", {}).items()}

    assert names(commands_app(OURS).cli) == names(commands_app(FLASKS).cli)


def test_static_files_of_a_blueprint_are_served(client: Any, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("text of a")

    def build(lib: Any) -> Any:
        app = lib.Flask("app")
        root = str(tmp_path)
        one = lib.Blueprint("one", "one", static_folder="files", url_prefix="/one", root_path=root)
        two = lib.Blueprint("two", "two", "files", "/s", url_prefix="/two", root_path=root)
        app.register_blueprint(one)
        one_again = {"name": "again", "url_prefix": "/again"}
        app.register_blueprint(one, **one_again)
        app.register_blueprint(two)
        app.add_url_rule("/", "links", lambda: lib.url_for("one.static", filename="a.txt"))
        return app

    paths = ("/", "/one/files/a.txt", "/again/files/a.txt", "/two/s/a.txt", "/one/files/b.txt", "/one/files/../x")
    require_same_answers(build, client, *paths)


def test_shell_context_has_what_the_processors_add() -> None:
    app = duoflask.Flask("app")

    @app.shell_context_processor
    def add() -> dict[str, Any]:
        return {"a": 1}

    @app.shell_context_processor
    async def add_later() -> dict[str, Any]:
        return {"b": 2}

    with app.app_context():
        names = app.make_shell_context()
        assert names["app"] is app
        assert names["g"] == duoflask.g
        assert (names["a"], names["b"]) == (1, 2)


# -- the page about them


def test_page_about_blueprints_says_what_happens(client: Any) -> None:
    page = Page("blueprints")
    tester = client(page.run("\n\n".join(page.indented))["app"])
    assert tester.get("/shop/cart").json == {"cart": ["tea"], "here": "/shop/cart"}
    assert tester.get("/outlet/cart").json == {"cart": ["tea"], "here": "/outlet/cart"}
    assert tester.get("/api/v1/ping").text == "api.v1.ping"
    assert tester.get("/api/none").json == {"error": "Not Found"}
    assert tester.post("/api/v1/ping").json == {"error": "Method Not Allowed"}
    assert tester.get("/users/3").json == {"id": 3}
    assert tester.delete("/users/3").status_code == 204
