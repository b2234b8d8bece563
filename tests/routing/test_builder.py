from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from werkzeug import routing

from duoflask.routing import BuildError, IntegerConverter, Map, MapAdapter, Rule

from ..growth import require_linear


def adapter(*rules: Rule, **options: object) -> MapAdapter:
    return Map(rules, **options).bind("example.com", "/app")  # type: ignore[arg-type]


def test_unknown_values_become_the_query() -> None:
    bound = adapter(Rule("/<int:a>", endpoint="x"))
    for _ in range(2):
        assert bound.build("x", {"a": 1, "q": "a b", "l": [1, 2], "n": None}) == "/app/1?q=a+b&l=1&l=2"
        assert bound.build("x", {"a": 1, "q": 2}, append_unknown=False) == "/app/1"


def test_query_is_sorted_if_the_map_says_so() -> None:
    assert adapter(Rule("/", endpoint="x"), sort_parameters=True).build("x", {"b": 1, "a": 2}) == "/app/?a=2&b=1"


def test_values_are_quoted() -> None:
    bound = adapter(Rule("/ü/<a>/<path:b>", endpoint="x"))
    assert bound.build("x", {"a": "é ?#", "b": "c/d\\"}) == "/app/%C3%BC/%C3%A9%20%3F%23/c/d%5C"


def test_value_with_leading_slashes_does_not_become_a_host() -> None:
    bound = Map([Rule("/<path:p>", endpoint="x")]).bind("example.com")
    for _ in range(2):
        assert bound.build("x", {"p": "//evil.example"}) == "/evil.example"


def test_external_and_websocket_urls_are_absolute() -> None:
    bound = adapter(Rule("/a", endpoint="a"), Rule("/ws", endpoint="ws", websocket=True))
    assert bound.build("a", force_external=True) == "http://example.com/app/a"
    assert bound.build("a", force_external=True, url_scheme="https") == "https://example.com/app/a"
    assert bound.build("a", force_external=True, url_scheme="") == "//example.com/app/a"
    assert bound.build("ws") == "ws://example.com/app/ws"
    assert bound.build("ws", url_scheme="https") == "wss://example.com/app/ws"


def test_rule_is_chosen_by_values_defaults_and_method() -> None:
    bound = adapter(
        Rule("/all/", {"page": 1}, endpoint="all"),
        Rule("/all/<int:page>", endpoint="all"),
        Rule("/save", endpoint="all", methods=["POST"]),
    )
    assert bound.build("all", {"page": 1}) == "/app/all/"
    assert bound.build("all", {"page": 2}) == "/app/all/2"
    assert bound.build("all", method="POST") == "/app/all/"
    assert bound.build("all", {"page": 2, "x": 1}) == "/app/all/2?x=1"


def test_url_on_another_subdomain_is_absolute() -> None:
    url_map = Map([Rule("/", subdomain="<user>", endpoint="user")])
    bound = url_map.bind("example.com", subdomain="ada")
    assert bound.build("user", {"user": "ada"}) == "/"
    assert bound.build("user", {"user": "bob"}) == "http://bob.example.com/"


@pytest.mark.parametrize(
    ("endpoint", "values", "method", "hint"),
    [
        ("usr.show", {}, None, "Did you mean 'user.show' instead?"),
        ("user.show", {"q": 1}, None, "Did you forget to specify values ['id']?"),
        ("user.show", {"id": 1}, "PUT", "Did you mean to use methods ['GET', 'HEAD']?"),
    ],
)
def test_build_error_says_what_is_missing(
    endpoint: str, values: dict[str, object], method: str | None, hint: str
) -> None:
    bound = adapter(Rule("/user/<int:id>", endpoint="user.show", methods=["GET"]), Rule("/", endpoint="index"))
    with pytest.raises(BuildError) as caught:
        bound.build(endpoint, values, method)
    assert str(caught.value).startswith(f"Could not build url for endpoint {endpoint!r}")
    assert hint in str(caught.value)
    assert caught.value.suggested.endpoint == "user.show"


def test_build_error_of_an_empty_map() -> None:
    with pytest.raises(BuildError) as caught:
        adapter().build("x")
    assert caught.value.suggested is None
    assert "no rules" in str(caught.value)


def test_external_url_follows_what_the_adapter_is_bound_to() -> None:
    bound = adapter(Rule("/a", endpoint="a"), Rule("/b", endpoint="b", subdomain="api"))
    for _ in range(2):
        assert bound.build("a", force_external=True) == "http://example.com/app/a"
        assert bound.build("b") == "http://api.example.com/app/b"
    bound.server_name, bound.script_name, bound.url_scheme, bound.subdomain = "b.org", "/x/", "https", "api"
    assert bound.build("a", force_external=True) == "https://b.org/x/a"
    assert bound.build("b") == "/x/b"


def test_one_function_is_made_for_the_rules_of_an_endpoint() -> None:
    bound = adapter(Rule("/a/<int:n>", endpoint="x"), Rule("/a/<int:n>/<b>", endpoint="x"), Rule("/o", endpoint="o"))
    assert bound.build("x", {"n": 1}) == bound.build("x", {"n": 1}) == "/app/a/1"
    assert bound.build("x", {"n": 1, "b": "c"}) == "/app/a/1/c"
    assert set(bound.map.recipes) == {"x"}


@pytest.mark.parametrize(("values", "missing"), [({}, "['n']"), ({"n": None}, "['n']"), ({"b": 1}, "['n']")])
def test_missing_value_is_named_by_the_recipe_as_by_the_rule(values: dict[str, object], missing: str) -> None:
    bound = adapter(Rule("/a/<int:n>", endpoint="x"))
    for _ in range(3):
        with pytest.raises(BuildError, match=rf"specify values {re.escape(missing)}"):
            bound.build("x", values)
        assert bound.build("x", {"n": 1}) == "/app/a/1"


def test_host_matching_builds_on_the_bound_host_first() -> None:
    bound = Map(
        [
            Rule("/a", endpoint="one", host="one.example"),
            Rule("/b", endpoint="both", host="two.example"),
            Rule("/b", endpoint="both", host="one.example"),
            Rule("/c", endpoint="any", host="<name>.example"),
        ],
        host_matching=True,
    ).bind("one.example", "/app")
    for _ in range(2):
        assert bound.build("one") == "/app/a"
        assert bound.build("one", force_external=True) == "http://one.example/app/a"
        assert bound.build("both") == "/app/b"
        assert bound.build("any", {"name": "one"}) == "/app/c"
        assert bound.build("any", {"name": "two"}) == "http://two.example/app/c"


def test_script_name_of_slashes_makes_no_host() -> None:
    bound = Map([Rule("/<path:p>", endpoint="x")]).bind("h", "//")
    for _ in range(2):
        assert bound.build("x", {"p": "/evil.example"}) == "/evil.example"


def test_recipe_makes_no_host_behind_an_empty_default_or_of_an_own_number() -> None:
    class Slashed(IntegerConverter):
        def to_url(self, value: object) -> str:
            return f"/{value}"

    url_map = Map(
        [
            Rule("/<string(minlength=0):a><path:b>", {"a": ""}, endpoint="x"),
            Rule("/<slashed:n>", endpoint="n"),
        ],
        converters={"slashed": Slashed},
    )
    bound = url_map.bind("h")
    for _ in range(2):  # the second answer comes from the recipe
        assert bound.build("x", {"b": "/evil.example"}) == "/evil.example"
        assert bound.build("n", {"n": 1}) == "/1"
    assert set(url_map.recipes) == {"x", "n"}


@pytest.mark.parametrize(
    ("rule", "value", "kind"),
    [
        ("/<lang>/<int:id>", "abc", ValueError),
        ("/<lang>/<int:id>", [1], TypeError),
        ("/<lang>/<float:id>", "abc", ValueError),
        ("/<lang>/<any(x, y):id>", "z", ValueError),
    ],
)
def test_error_of_a_converter_names_placeholder_and_endpoint(rule: str, value: object, kind: type[Exception]) -> None:
    bound, other = adapter(Rule(rule, endpoint="item")), routing.Map([routing.Rule(rule, endpoint="item")]).bind("h")
    with pytest.raises(Exception) as expected:
        other.build("item", {"lang": "de", "id": value})
    for method in (None, "GET"):
        with pytest.raises(kind) as caught:
            bound.build("item", {"lang": "de", "id": value}, method)
        assert type(caught.value) is type(expected.value) and str(caught.value) == str(expected.value)
        (note,) = caught.value.__notes__
        for part in ("placeholder 'id'", repr(rule), "endpoint 'item'", repr(value)):
            assert part in note


def test_error_of_a_converter_shows_no_more_than_the_beginning_of_a_value() -> None:
    with pytest.raises(ValueError, match="int") as caught:
        adapter(Rule("/<int:id>", endpoint="item")).build("item", {"id": "x" * 4000})
    assert len(caught.value.__notes__[0]) < 300


@pytest.mark.measures
def test_rule_with_very_many_variables_is_built_in_linear_time() -> None:
    def make(count: int) -> Callable[[], None]:
        values = {f"v{number}": number for number in range(count)}
        rule = Rule("".join(f"/<{name}>" for name in values), endpoint="many", build_only=True)
        bound = Map([rule]).bind("localhost", "/")

        def build() -> None:
            assert bound.build("many", values) == "".join(f"/{number}" for number in values.values())

        return build

    require_linear(make, 1000)  # 4 ms for 4000; all in one function it took minutes at 10,000
