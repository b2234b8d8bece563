"""`url_for` as method and as function, and what of the configuration matching depends on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest

import duoflask
from duoflask import DuoFlask, request, url_for
from duoflask.routing import BaseConverter, BuildError, Map, Rule

Client = Callable[..., Any]


def with_rules(kind: Any = duoflask) -> Any:
    """The same app of ours and of Flask's."""
    app = kind.Flask("app", subdomain_matching=True)
    admin, pages = kind.Blueprint("admin", "admin"), kind.Blueprint("pages", "pages")
    for blueprint in (admin, pages):
        blueprint.add_url_rule("/", "index", lambda: "")
        blueprint.add_url_rule("/<int:id>", "show", lambda id: "")
    admin.register_blueprint(pages, url_prefix="/pages")
    app.register_blueprint(admin, url_prefix="/admin")
    app.add_url_rule("/", "index", lambda: "")
    app.add_url_rule("/item/<int:id>", "item", lambda id: "")
    app.add_url_rule("/item/<int:id>/save", "item", methods=["POST"])
    app.add_url_rule("/all/", "all", lambda page: "", defaults={"page": 1})
    app.add_url_rule("/all/<int:page>", "all")
    app.add_url_rule("/files/<path:name>", "files", lambda name: "")
    app.add_url_rule("/", "user", lambda user: "", subdomain="<user>")
    return app


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("index", {}),
    ("index", {"_external": True}),
    ("index", {"_external": True, "_scheme": "https"}),
    ("index", {"_scheme": "wss"}),
    ("index", {"_scheme": ""}),
    ("index", {"_anchor": "a b/ü?#%20"}),
    ("index", {"_anchor": ""}),
    ("index", {"q": ["a", "b c"], "n": None, "u": "ü&=", "t": ("x",), "e": []}),
    ("index", {"q": 1, "_anchor": "x", "_external": True}),
    ("item", {"id": 3}),
    ("item", {"id": "3"}),
    ("item", {"id": 3, "_method": "POST"}),
    ("item", {"id": 3, "_method": "PUT"}),
    ("item", {}),
    ("item", {"id": "x"}),
    ("all", {}),
    ("all", {"page": 1}),
    ("all", {"page": 2}),
    ("files", {"name": "//evil.example/../a b"}),
    ("user", {"user": "ada"}),
    ("admin.index", {}),
    ("admin.show", {"id": 1}),
    ("admin.pages.index", {}),
    ("admin.pages.show", {"id": 1, "q": "x"}),
    (".index", {}),
    (".show", {"id": 2}),
    (".pages.index", {}),
    ("nothing", {"a": 1}),
    ("index", {"_external": False, "_scheme": "https"}),
]


def result(kind: Any, app: Any, endpoint: str, values: dict[str, Any]) -> Any:
    try:
        urls = {app.url_for(endpoint, **values), kind.url_for(endpoint, **values)}
    except (LookupError, ValueError, RuntimeError) as exc:
        return type(exc).__name__  # the two libraries' own errors have one name
    assert len(urls) == 1
    return urls


@pytest.mark.parametrize("path", ["/", "/admin/", "/admin/7", "/admin/pages/", "/missing"])
@pytest.mark.parametrize(("endpoint", "values"), CALLS)
def test_url_in_a_request_is_flasks(endpoint: str, values: dict[str, Any], path: str) -> None:
    answers = []
    for kind in (duoflask, flask):
        app = with_rules(kind)
        with app.test_request_context(path, base_url="https://example.org:81/root"):
            answers.append(result(kind, app, endpoint, values))
    assert answers[0] == answers[1]


@pytest.mark.parametrize(("endpoint", "values"), CALLS)
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"SERVER_NAME": "example.org"},
        {"SERVER_NAME": "example.org:81", "APPLICATION_ROOT": "/root", "PREFERRED_URL_SCHEME": "https"},
        {"SERVER_NAME": "bücher.example", "APPLICATION_ROOT": "/root/"},
    ],
)
def test_url_outside_a_request_is_flasks(config: dict[str, str], endpoint: str, values: dict[str, Any]) -> None:
    answers = []
    for kind in (duoflask, flask):
        app = with_rules(kind)
        app.config.update(config)
        with app.app_context():
            answers.append(result(kind, app, endpoint, values))
    assert answers[0] == answers[1]


def test_url_outside_a_request_and_a_context_is_built_from_the_configuration() -> None:
    app = with_rules()
    with pytest.raises(RuntimeError, match=r"set SERVER_NAME .* or write 'with app.test_request_context\(\):'"):
        app.url_for("index")
    app.config["SERVER_NAME"] = "example.org"
    assert app.url_for("index") == "http://example.org/"
    assert app.url_for("index", _external=False) == "/"
    with pytest.raises(RuntimeError, match="app"):
        url_for("index")


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_url_is_the_same_in_views_of_both_colours(client: Client, colour: str) -> None:
    app = with_rules()
    urls = lambda: [url_for("item", id=1), app.url_for("item", id=1, _external=True), url_for(".index")]  # noqa: E731

    def view() -> Any:
        return urls()

    async def async_view() -> Any:
        return urls()

    app.add_url_rule("/urls", "urls", view if colour == "def" else async_view)
    answer = client(app).get("/urls", base_url="https://example.org/root")
    assert answer.json == ["/root/item/1", "https://example.org/root/item/1", "/root/"]


def test_query_of_the_request_goes_on_in_a_url(client: Client) -> None:
    app = with_rules()
    app.add_url_rule("/next", "next", lambda: url_for("index", **request.args.to_dict(flat=False)))
    assert client(app).get("/next?a=1&a=2&b=%C3%BC").text == "/?a=1&a=2&b=%C3%BC"


def test_url_defaults_of_app_and_blueprint_come_first_to_last(client: Client) -> None:
    app, pages = DuoFlask("app"), duoflask.Blueprint("pages", "pages", url_prefix="/<lang>")
    seen: list[str] = []

    @app.url_defaults
    def of_app(endpoint: str, values: dict[str, Any]) -> None:
        seen.append("app")
        if app.url_map.is_endpoint_expecting(endpoint, "lang"):
            values.setdefault("lang", "de")

    @pages.url_defaults
    def of_blueprint(endpoint: str, values: dict[str, Any]) -> None:
        seen.append(f"blueprint {endpoint}")

    pages.add_url_rule(
        "/", "index", lambda lang: f"{url_for('.index')} {url_for('.index', lang='fr')} {url_for('home')}"
    )
    app.add_url_rule("/", "home", lambda: "")
    app.register_blueprint(pages)
    assert client(app).get("/en/").text == "/de/ /fr/ /"
    assert seen == ["app", "blueprint pages.index", "app", "blueprint pages.index", "app"]


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_url_value_preprocessor_takes_values_away(client: Client, colour: str) -> None:
    app, pages = DuoFlask("app"), duoflask.Blueprint("pages", "pages", url_prefix="/<lang>")
    order: list[str] = []

    def pull(endpoint: str | None, values: dict[str, Any] | None) -> None:
        order.append(f"blueprint {endpoint}")
        duoflask.g.lang = (values or {}).pop("lang", None)

    async def async_pull(endpoint: str | None, values: dict[str, Any] | None) -> None:
        pull(endpoint, values)

    app.url_value_preprocessor(lambda endpoint, values: order.append(f"app {endpoint} {values}"))
    pages.url_value_preprocessor(pull if colour == "def" else async_pull)
    pages.url_defaults(lambda endpoint, values: values.setdefault("lang", duoflask.g.lang))
    pages.add_url_rule("/<int:id>", "show", lambda id: f"{duoflask.g.lang} {id} {url_for('.show', id=id + 1)}")
    app.register_blueprint(pages)
    assert client(app).get("/en/7").text == "en 7 /en/8"
    assert order == ["app pages.show {'lang': 'en', 'id': 7}", "blueprint pages.show"]


def test_url_that_cannot_be_built_asks_each_handler_in_turn() -> None:
    app = with_rules()
    asked: list[tuple[str, str, dict[str, Any]]] = []

    def no_answer(error: Exception, endpoint: str, values: dict[str, Any]) -> Any:
        asked.append(("first", endpoint, dict(values)))

    def another_error(error: Exception, endpoint: str, values: dict[str, Any]) -> Any:
        raise BuildError("replaced", values, None)

    def answer(error: Any, endpoint: str, values: dict[str, Any]) -> str:
        return f"/made-up?{error.endpoint}"

    app.url_build_error_handlers += [no_answer, another_error]
    with app.test_request_context():
        with pytest.raises(BuildError) as caught:
            app.url_for("nothing", a=1, _anchor="x")
        assert caught.value.endpoint == "replaced"
        app.url_build_error_handlers.append(answer)
        assert app.url_for("nothing", a=1, _anchor="x") == "/made-up?replaced"
    given = {"a": 1, "_anchor": "x", "_method": None, "_scheme": None, "_external": False}
    assert asked == [("first", "nothing", given)] * 2


def test_handle_url_build_error_can_be_overridden() -> None:
    class Own(DuoFlask):
        def handle_url_build_error(self, error: BuildError, endpoint: str, values: dict[str, Any]) -> str:
            return f"/{endpoint}-{len(values)}"

    with Own("app").test_request_context():
        assert url_for("x", a=1) == "/x-5"


@pytest.mark.parametrize(
    ("endpoint", "values", "said"),
    [
        ("admin.shwo", {"id": 1}, "Did you mean 'admin.show' instead?"),
        ("item", {}, "Did you forget to specify values ['id']?"),
        ("item", {"id": 1, "_method": "PATCH"}, "Did you mean to use methods ['GET', 'HEAD', 'OPTIONS']?"),
    ],
)
def test_build_error_names_the_closest_endpoint_and_the_missing_values(
    endpoint: str, values: dict[str, Any], said: str
) -> None:
    with with_rules().test_request_context(), pytest.raises(BuildError) as caught:
        url_for(endpoint, **values)
    assert said in str(caught.value)


# -- what matching takes from the configuration


def show() -> str:
    return f"{request.host} {request.root_path} {request.path} {url_for('show', _external=True)}"


def test_server_name_does_not_refuse_other_hosts(client: Client) -> None:
    app = DuoFlask("app")
    app.config["SERVER_NAME"] = "example.org"
    app.add_url_rule("/x", "show", show)
    assert client(app).get("/x", base_url="http://other.org").text == "other.org  /x http://example.org/x"


def test_subdomains_are_those_of_the_server_name(client: Client) -> None:
    app = DuoFlask("app", subdomain_matching=True)
    app.config["SERVER_NAME"] = "example.org:80"
    app.add_url_rule("/", "home", lambda: "home")
    app.add_url_rule("/", "user", lambda user: user, subdomain="<user>")
    tester = client(app)
    assert tester.get("/", base_url="http://example.org").text == "home"
    assert tester.get("/", base_url="http://ada.example.org").text == "ada"
    for host in ("evil.org", "aexample.org"):
        with pytest.warns(UserWarning, match="SERVER_NAME"):
            assert tester.get("/", base_url=f"http://{host}").status_code == 404


def test_internationalized_server_name_has_subdomains(client: Client) -> None:
    app = DuoFlask("app", subdomain_matching=True)
    app.config["SERVER_NAME"] = "bücher.example"
    app.add_url_rule("/", "user", lambda user: url_for("user", user="b", _external=True), subdomain="<user>")
    answer = client(app).get("/", base_url="http://a.xn--bcher-kva.example")
    assert answer.text == "http://b.xn--bcher-kva.example/"


def test_whole_hosts_are_matched(client: Client) -> None:
    app = DuoFlask("app", host_matching=True, static_host="static.example.org")
    app.add_url_rule("/", "one", lambda: url_for("two", name="x"), host="one.example.org")
    app.add_url_rule("/", "two", lambda name: name + url_for("two", name=name), host="<name>.example.net:81")
    tester = client(app)
    assert tester.get("/", base_url="http://one.example.org").text == "http://x.example.net:81/"
    assert tester.get("/", base_url="http://a.example.net:81").text == "a/"
    assert tester.get("/", base_url="http://two.example.org").status_code == 404


@pytest.mark.parametrize("host", ["EXAMPLE.org", "a.b.example.net", "example.net:8080"])
def test_trusted_hosts_are_let_in(client: Client, host: str) -> None:
    app = DuoFlask("app")
    app.config["TRUSTED_HOSTS"] = ["example.org", ".example.net"]
    app.add_url_rule("/x", "show", lambda: url_for("show", _external=True))
    assert client(app).get("/x", headers={"Host": host}).text.lower() == f"http://{host}/x".lower()


@pytest.mark.parametrize(
    "host", ["evil.org", "example.org.evil.org", "evilexample.net", "example.org@evil.org", "a b", ""]
)
def test_untrusted_hosts_get_a_400_whose_page_may_hold_links(client: Client, host: str) -> None:
    app = DuoFlask("app")
    app.config["TRUSTED_HOSTS"] = ["example.org", ".example.net"]
    app.add_url_rule("/x/<int:id>", "show", lambda id: "found")
    app.register_error_handler(
        400, lambda error: (f"{url_for('show', id=1)} {url_for('show', id=2, _external=True)}", 400)
    )
    answer = client(app).get("/x/1", headers={"Host": host}, base_url="http://server.internal/root")
    assert answer.status_code == 400
    assert answer.text.startswith("/root/x/1 http://")
    assert "evil" not in answer.text


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_malformed_host_is_a_400_where_an_absolute_url_is_built(client: Client, colour: str) -> None:
    app = DuoFlask("app")

    def view(external: int) -> str:
        return url_for("view", external=external, _external=bool(external))

    async def async_view(external: int) -> str:
        return view(external)

    app.add_url_rule("/<int:external>", "view", view if colour == "def" else async_view)
    tester = client(app)
    assert tester.get("/1", headers={"Host": "a b"}).status_code == 400
    assert tester.get("/0", headers={"Host": "a b"}).text == "/0"


def test_request_with_an_empty_path_is_the_roots(client: Client) -> None:
    app = DuoFlask("app")
    app.add_url_rule("/", "index", lambda: "root")
    assert client(app).get("", base_url="http://localhost/app").text == "root"


# -- the app's map


def test_own_classes_of_map_and_rule_are_used(client: Client) -> None:
    class OwnRule(Rule):
        def __init__(self, string: str, **options: Any) -> None:
            self.note = options.pop("note", "")
            super().__init__(string, **options)

        def get_empty_kwargs(self) -> dict[str, Any]:
            return {**super().get_empty_kwargs(), "note": self.note}

    class OwnMap(Map):
        def bind_to_environ(self, environ: Any, server_name: Any = None, subdomain: Any = None) -> Any:
            adapter = super().bind_to_environ(environ, server_name, subdomain)
            adapter.default_method = "GET"
            return adapter

    class Own(DuoFlask):
        url_rule_class = OwnRule
        url_map_class = OwnMap

    app = Own("app")
    app.add_url_rule("/x", "x", lambda: request.url_rule.note, note="noted")
    assert type(app.url_map) is OwnMap
    assert client(app).get("/x").text == "noted"


def test_map_is_used_directly(client: Client) -> None:
    class Slug(BaseConverter):
        regex = "[a-z-]+"

    app = DuoFlask("app")
    app.url_map.converters["slug"] = Slug
    app.url_map.strict_slashes = False
    app.url_map.add(duoflask.routing.Submount("/blog", [Rule("/<slug:name>/", endpoint="post")]))

    @app.endpoint("post")
    def post(name: str) -> str:
        return name

    tester = client(app)
    assert tester.get("/blog/a-b").text == "a-b"
    assert tester.get("/blog/A").status_code == 404
    assert [str(rule) for rule in app.url_map.iter_rules("post")] == ["/blog/<slug:name>/"]
    app.url_map.add(Rule("/late", endpoint="post", defaults={"name": "late"}))
    assert tester.get("/late").text == "late"


def test_misspelt_rule_of_an_app_points_at_the_place() -> None:
    with pytest.raises(LookupError) as caught:
        DuoFlask("app").add_url_rule("/user/<itn:id>", "x", lambda id: "")
    assert "/user/<itn:id>\n           ^^^" in str(caught.value.args[0])
