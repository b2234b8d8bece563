from __future__ import annotations

import pytest

from duoflask.routing import BuildError, Map, MapAdapter, Rule


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
