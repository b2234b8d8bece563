from __future__ import annotations

import pytest

from duoflask.routing import BaseConverter, EndpointPrefix, Map, Rule, RuleTemplate, Subdomain, Submount


def message(error: type[Exception], pattern: str) -> str:
    with pytest.raises(error) as caught:
        Map([Rule(pattern, endpoint="x")])
    return str(caught.value.args[0])


def place(text: str) -> str:
    """Return what the caret line points at."""
    _, rule, carets, *_ = text.split("\n")
    start = carets.index("^")
    return rule[start : carets.rindex("^") + 1]


@pytest.mark.parametrize(
    ("pattern", "error", "pointed", "hint"),
    [
        ("users", ValueError, "u", "'/users'"),
        ("/u/<int:id", ValueError, "<int:id", "<int:id>"),
        ("/u/<int:id/x", ValueError, "<int:id", "<int:id>"),
        ("/u/int:id>", ValueError, ">", "<converter:name>"),
        ("/u/<>", ValueError, "<>", "needs a name"),
        ("/u/< id >", ValueError, "< id >", "write <id>"),
        ("/u/<int:>", ValueError, "<int:>", "no name"),
        ("/u/<int(min=1:id>", ValueError, "<int(min=1:id>", "never closed"),
        ("/u/<1d>", ValueError, "<1d>", "digit"),
        ("/u/<foo:bar>", LookupError, "foo", "Use one of any, default, float, int"),
        ("/u/<id:int>", LookupError, "id", "Write <int:id> instead"),
        ("/<a>/<int:a>", ValueError, "a", "a name of its own"),
        ("/<int(*):a>", ValueError, "*", ""),
        ("/<int(maximum=3):a>", TypeError, "maximum=3", ""),
        ("/<string(minlength=5, maxlength=2):a>", ValueError, "minlength=5, maxlength=2", ""),
        ("/<string(length=-1):a>", ValueError, "length=-1", ""),
        ("/<string(length=x):a>", ValueError, "length=x", ""),
        ("/<any():a>", ValueError, "<any():a>", ""),
    ],
)
def test_misspelt_rule_is_an_error_that_points_at_the_place(
    pattern: str, error: type[Exception], pointed: str, hint: str
) -> None:
    text = message(error, pattern)
    assert pattern in text
    assert place(text) == pointed
    assert hint in text.split("\n", 3)[-1]


def test_methods_as_a_string_are_refused() -> None:
    with pytest.raises(TypeError, match=r"methods=\['GET'\]"):
        Rule("/", methods="GET")


def test_head_comes_with_get() -> None:
    assert Rule("/", methods=["get"]).methods == {"GET", "HEAD"}
    assert Rule("/", methods=["POST"]).methods == {"POST"}


def test_websocket_rule_with_post_is_refused() -> None:
    with pytest.raises(ValueError, match="WebSocket rules"):
        Rule("/", methods=["POST"], websocket=True)


def test_rule_cannot_be_added_twice() -> None:
    rule = Rule("/", endpoint="x")
    Map([rule])
    with pytest.raises(RuntimeError, match="already bound"):
        Map([rule])
    Map([rule.empty()])


def test_a_copy_keeps_every_setting() -> None:
    rule = Rule("/x", {"a": 1}, "s", ["GET"], True, "e", False, False, "to", True, "h", True)
    copy = rule.empty()
    for name in ("rule", "defaults", "subdomain", "methods", "build_only", "endpoint", "strict_slashes"):
        assert getattr(copy, name) == getattr(rule, name)
    for name in ("merge_slashes", "redirect_to", "alias", "host", "websocket"):
        assert getattr(copy, name) == getattr(rule, name)


def test_repr_shows_rule_methods_and_endpoint() -> None:
    rule = Rule("/u/<int:id>", endpoint="user", methods=["GET"])
    assert repr(rule) == "<Rule (unbound)>"
    Map([rule])
    assert repr(rule) == "<Rule '/u/<id>' (GET, HEAD) -> user>"


def test_rules_are_equal_if_they_read_alike() -> None:
    one, two, other = Rule("/<a>", endpoint="x"), Rule("/<int:a>", endpoint="y"), Rule("/<b>", endpoint="x")
    Map([one, two, other])
    assert one == two
    assert one != other


def test_arguments_are_variables_and_defaults() -> None:
    rule = Rule("/<int:a>", {"b": 1}, endpoint="x")
    Map([rule])
    assert rule.arguments == {"a", "b"}
    assert set(rule._converters) == {"a"}


def test_factories_change_copies_of_their_rules() -> None:
    shared = [Rule("/", endpoint="index"), Rule("/<slug>", endpoint="show", websocket=True)]
    url_map = Map([Submount("/blog/", [EndpointPrefix("blog.", shared)]), Subdomain("api", shared)])
    found = {(rule.rule, rule.endpoint, rule.subdomain, rule.websocket) for rule in url_map.iter_rules()}
    assert found == {
        ("/blog/", "blog.index", "", False),
        ("/blog/<slug>", "blog.show", "", True),
        ("/", "index", "api", False),
        ("/<slug>", "show", "api", True),
    }
    assert shared[0].map is None


def test_template_fills_in_its_rules() -> None:
    resource = RuleTemplate([Rule("/$name/<int:id>", endpoint="$name.show", defaults={"kind": "$name"})])
    url_map = Map([resource(name="user"), resource(name="page")])
    assert url_map.bind("h").match("/page/3") == ("page.show", {"id": 3, "kind": "page"})


def test_misspelt_subdomain_and_host_point_at_the_place() -> None:
    with pytest.raises(LookupError) as caught:
        Map([Rule("/", subdomain="<slug:a>.x", endpoint="x")])
    assert place(str(caught.value.args[0])) == "slug"
    with pytest.raises(ValueError) as malformed:
        Map([Rule("/", host="<a", endpoint="x")], host_matching=True)
    assert place(str(malformed.value)) == "<a"


@pytest.mark.parametrize("malformed", ["(a", "(?i)a"])  # flags for the whole pattern are none for a part of it
def test_own_converter_with_a_malformed_regex_is_an_error_at_registration(malformed: str) -> None:
    class Broken(BaseConverter):
        regex = malformed

    with pytest.raises(ValueError) as caught:
        Map([Rule("/<broken:a>", endpoint="x")], converters={"broken": Broken})
    assert place(str(caught.value)) == "<broken:a>"


def test_redirect_to_an_unknown_placeholder_is_an_error_at_registration() -> None:
    with pytest.raises(ValueError) as caught:
        Map([Rule("/old/<int:id>", redirect_to="new/<idd>/x")])
    assert place(str(caught.value)) == "<idd>"
    assert "Write <id> instead." in str(caught.value)


def test_default_that_its_converter_refuses_is_an_error_at_registration() -> None:
    with pytest.raises(ValueError):
        Map([Rule("/<any(a, b):x>", {"x": "c"}, endpoint="x")])
