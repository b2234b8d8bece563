from __future__ import annotations

import threading
import warnings
from collections.abc import Callable

import pytest
import werkzeug.routing

import duoflask.routing
from duoflask.http.errors import BadHost, MethodNotAllowed, NotFound
from duoflask.routing import (
    Map,
    MapAdapter,
    NoMatch,
    RedirectRequired,
    RequestPath,
    RequestRedirect,
    Rule,
    StateMachineMatcher,
    WebsocketMismatch,
)

from ..growth import require_linear, seconds_of


def adapter(*rules: Rule, **options: object) -> MapAdapter:
    return Map(rules, **options).bind("example.com")  # type: ignore[arg-type]


def redirect(bound: MapAdapter, path: str, **options: object) -> str:
    with pytest.raises(RequestRedirect) as caught:
        bound.match(path, **options)  # type: ignore[call-overload]
    assert caught.value.code == 308
    assert ("Location", caught.value.new_url) in caught.value.get_headers()
    return caught.value.new_url


def test_five_lines_of_the_documentation() -> None:
    bound = adapter(
        Rule("/", endpoint="index"),
        Rule("/downloads/", endpoint="downloads/index"),
        Rule("/downloads/<int:id>", endpoint="downloads/show"),
    )
    assert bound.match("/") == ("index", {})
    assert bound.match("/downloads/42") == ("downloads/show", {"id": 42})
    assert bound.match("/downloads/") == ("downloads/index", {})
    assert redirect(bound, "/downloads") == "http://example.com/downloads/"
    with pytest.raises(NotFound):
        bound.match("/missing")


def test_find_returns_rule_and_new_arguments() -> None:
    static, dynamic = Rule("/a", {"x": 1}, endpoint="a"), Rule("/b/<int:n>", endpoint="b", methods=["GET"])
    url_map = Map([static, dynamic])
    for _ in range(2):
        rule, arguments = url_map.find("/a", "GET")
        assert rule is static
        assert arguments == {"x": 1}
        arguments.clear()
    rule, arguments = url_map.find("/b/7", "HEAD")
    assert rule is dynamic
    assert arguments == {"n": 7}


def test_find_says_what_is_wrong() -> None:
    url_map = Map([Rule("/a", endpoint="a", methods=["POST", "PUT"]), Rule("/ws", endpoint="w", websocket=True)])
    for _ in range(2):
        assert url_map.find("/b", "GET") is None
    with pytest.raises(MethodNotAllowed) as wrong:
        url_map.find("/a", "GET")
    assert wrong.value.valid_methods == ["POST", "PUT"]
    with pytest.raises(WebsocketMismatch):
        url_map.find("/ws", "GET")
    assert url_map.find("/ws", "GET", websocket=True)[0].endpoint == "w"


def test_redirect_from_find_is_made_absolute_by_the_adapter() -> None:
    url_map = Map([Rule("/a/", endpoint="a")])
    with pytest.raises(RedirectRequired) as caught:
        url_map.find("/a", "GET")
    bound = url_map.bind("example.com", "/app", url_scheme="https", query_args="q=1")
    assert bound.redirect_for(caught.value, "GET").new_url == "https://example.com/app/a/?q=1"


def test_rules_added_after_a_match_are_found() -> None:
    url_map = Map([Rule("/a", endpoint="a")])
    assert url_map.find("/a", "GET")[0].endpoint == "a"
    url_map.add(Rule("/b/<c>", endpoint="b"))
    assert url_map.find("/b/c", "GET")[0].endpoint == "b"
    assert url_map.bind("h").build("b", {"c": 1}) == "/b/1"


def test_static_is_preferred_to_dynamic_and_backtracking_finds_the_other() -> None:
    bound = adapter(
        Rule("/a/b", endpoint="static"),
        Rule("/<x>/c", endpoint="dynamic"),
        Rule("/<path:p>", endpoint="path"),
    )
    assert bound.match("/a/b") == ("static", {})
    assert bound.match("/a/c") == ("dynamic", {"x": "a"})
    assert bound.match("/a/d") == ("path", {"p": "a/d"})


def test_methods_of_several_rules_with_one_path() -> None:
    bound = adapter(Rule("/a", endpoint="get", methods=["GET"]), Rule("/a", endpoint="post", methods=["POST"]))
    assert bound.match("/a", "POST")[0] == "post"
    assert bound.allowed_methods("/a") == ["GET", "HEAD", "POST"]
    assert bound.test("/a", "HEAD")
    assert not bound.test("/a", "PUT")


def test_slashes_are_merged_by_a_redirect() -> None:
    bound = adapter(Rule("/a/b", endpoint="x"), Rule("/raw//x", endpoint="raw", merge_slashes=False))
    assert redirect(bound, "//a//b") == "http://example.com/a/b"
    assert bound.match("/raw//x") == ("raw", {})


def test_without_strict_slashes_both_forms_match() -> None:
    bound = adapter(Rule("/a/", endpoint="a"), Rule("/b", endpoint="b"), strict_slashes=False)
    assert bound.match("/a")[0] == "a"
    assert bound.match("/b/")[0] == "b"


def test_defaults_and_alias_redirect_to_the_canonical_url() -> None:
    bound = adapter(
        Rule("/all/", {"page": 1}, endpoint="all"),
        Rule("/all/page/<int:page>", endpoint="all"),
        Rule("/everything", {"page": 1}, endpoint="all", alias=True),
    )
    assert redirect(bound, "/all/page/1", query_args="q=1") == "http://example.com/all/?q=1"
    assert redirect(bound, "/everything") == "http://example.com/all/"
    assert bound.match("/all/page/2") == ("all", {"page": 2})


def test_redirect_to_takes_a_pattern_or_a_function() -> None:
    bound = adapter(
        Rule("/old/<int:id>", redirect_to="new/<id>"),
        Rule("/fn/<id>", redirect_to=lambda adapter, id: f"/f/{id}"),
    )
    assert redirect(bound, "/old/3") == "http://example.com/new/3"
    assert redirect(bound, "/fn/3") == "http://example.com/f/3"


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/..",
        "///evil.example",
        "/\\evil.example",
        "/\\\\evil.example/",
        "/\r\nLocation: x",
        "/\tevil.example",
        "/@evil.example",
        "/%2f%2fevil.example",
        "/http://evil.example",
    ],
)
def test_redirect_never_leaves_the_host(path: str) -> None:
    bound = adapter(
        Rule("/<path:p>/", endpoint="p"), Rule("/<a>/", endpoint="a"), Rule("/go/<path:p>", redirect_to="<p>")
    )
    redirects = []
    for tried in (path, "/x/" + path, path + "//x", "/go" + path):
        try:
            bound.match(tried)
        except RequestRedirect as exc:
            redirects.append(exc.new_url)
        except NotFound:
            assert "\n" in path
    assert redirects
    for url in redirects:
        assert url.startswith("http://example.com/")
        assert all("!" <= character <= "~" and character != "\\" for character in url)


def test_query_of_a_redirect_holds_no_control_characters() -> None:
    url = redirect(adapter(Rule("/a/", endpoint="a")), "/a", query_args="x=\r\nSet-Cookie: a=b")
    assert url == "http://example.com/a/?x=%0D%0ASet-Cookie:%20a=b"


def test_subdomain_and_host_rules() -> None:
    bound = Map([Rule("/", subdomain="<user>", endpoint="user"), Rule("/", subdomain="www", endpoint="www")])
    assert bound.bind("example.com", subdomain="www").match("/") == ("www", {})
    assert bound.bind("example.com", subdomain="ada").match("/") == ("user", {"user": "ada"})
    hosts = Map([Rule("/", host="<sub>.example.com", endpoint="sub")], host_matching=True)
    assert hosts.bind("a.example.com").match("/") == ("sub", {"sub": "a"})
    with pytest.raises(RuntimeError, match="host matching"):
        hosts.bind("a.example.com", subdomain="x")


def test_host_is_bound_as_idna() -> None:
    assert Map().bind("Bücher.example:8080").server_name == "xn--bcher-kva.example:8080"
    with pytest.raises(BadHost):
        Map().bind("a" * 64 + ".example")


@pytest.mark.measures
@pytest.mark.parametrize("end", ["", "/\n"])
@pytest.mark.parametrize("unit", ["/a", "/..", "/a/\n", "/1", "/"])
def test_several_path_converters_stay_linear(unit: str, end: str) -> None:
    bound = adapter(
        Rule("/<path:a>/<path:b>/<path:c>/end", endpoint="1"),
        Rule("/<path:a>/<int:b>/<path:c>/end", endpoint="2"),
        Rule("/<path:a>/<b>/<path:c>/<d>/<path:e>/end", endpoint="3"),
        Rule("/<path:a>-<path:b>-<path:c>x", endpoint="4"),
    )

    def make(size: int) -> Callable[[], None]:
        path = unit * (size // len(unit)) + end

        def match() -> None:
            with pytest.raises(NotFound):
                bound.match(path)

        return match

    require_linear(make, 10_000)


def test_concurrent_first_matches_agree() -> None:
    url_map = Map([Rule(f"/r{number}/<int:a>", endpoint=number) for number in range(500)])
    start = threading.Barrier(8)
    answers: list[object] = []

    def match() -> None:
        start.wait()
        answers.append([url_map.find(f"/r{number}/1", "GET")[0].endpoint for number in range(500)])

    threads = [threading.Thread(target=match) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [list(range(500))] * 8


def test_endpoint_expects_arguments() -> None:
    url_map = Map([Rule("/<lang>/", endpoint="i"), Rule("/", endpoint="i")])
    assert url_map.is_endpoint_expecting("i", "lang")
    assert not url_map.is_endpoint_expecting("i", "lang", "x")


def test_dispatch_calls_the_view_and_returns_redirects() -> None:
    bound = adapter(Rule("/a/", endpoint="a"))
    assert bound.dispatch(lambda endpoint, values: (endpoint, values), "/a/") == ("a", {})
    assert isinstance(bound.dispatch(lambda endpoint, values: None, "/a"), RequestRedirect)
    assert isinstance(bound.dispatch(lambda endpoint, values: None, "/b", catch_http_exceptions=True), NotFound)


def test_subclasses_of_rule_and_map_work() -> None:
    class Upper(Rule):
        def build(self, values: object, append_unknown: bool = True) -> tuple[str, str]:
            return "", "/BUILT"

    class Own(Map):
        pass

    bound = Own([Upper("/x/<a>", endpoint="x")]).bind("h")
    assert bound.match("/x/1") == ("x", {"a": "1"})
    assert [bound.build("x", {"a": 1}) for _ in range(2)] == ["/BUILT"] * 2


@pytest.mark.measures
def test_ten_thousand_rules_are_registered_in_a_second() -> None:
    def register() -> None:
        url_map = Map([Rule(f"/r{number}/<int:a>/x/<b>", endpoint=number) for number in range(10000)])
        assert url_map.find("/r9999/1/x/2", "GET")[1] == {"a": 1, "b": "2"}

    assert seconds_of(register) < 2


def environ(**changes: str) -> dict[str, object]:
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/app",
        "PATH_INFO": "/caf\xc3\xa9",
        "QUERY_STRING": "a=1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "HTTP_HOST": "Api.Example.com:80",
        "wsgi.url_scheme": "http",
        **changes,
    }


def test_environ_and_scope_bind_alike() -> None:
    url_map = Map([Rule("/<a>/", subdomain="api", endpoint="x", methods=["POST"])])
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "root_path": "/app",
        "path": "/app/café",
        "query_string": b"a=1",
        "headers": [(b"host", b"Api.Example.com:80")],
        "server": ("127.0.0.1", 80),
    }
    for source in (environ(), scope):
        bound = url_map.bind_to_environ(source, "example.com")
        assert bound.subdomain == "api"
        with pytest.raises(RequestRedirect) as caught:
            bound.match()
        assert caught.value.new_url == "http://api.example.com/app/caf%C3%A9/?a=1"


def test_environ_of_a_websocket_handshake_matches_websocket_rules() -> None:
    url_map = Map([Rule("/café", endpoint="x", websocket=True)])
    handshake = environ(HTTP_CONNECTION="keep-alive, Upgrade", HTTP_UPGRADE="websocket")
    bound = url_map.bind_to_environ(handshake)
    assert bound.url_scheme == "ws"
    assert bound.match()[0] == "x"


def test_environ_of_another_host_warns_and_matches_nothing() -> None:
    url_map = Map([Rule("/<a>", endpoint="x")])
    with pytest.warns(UserWarning, match="SERVER_NAME"):
        bound = url_map.bind_to_environ(environ(), "example.org")
    with pytest.raises(NotFound):
        bound.match()


def test_scope_binds_as_an_environ() -> None:
    url_map = Map([Rule("/", endpoint="index"), Rule("/ws", endpoint="ws", websocket=True)])
    scope = {
        "type": "websocket",
        "scheme": "wss",
        "path": "/ws",
        "query_string": b"",
        "headers": [(b"host", b"a.b:443")],
    }
    bound = url_map.bind_to_scope(scope)
    assert (bound.server_name, bound.url_scheme, bound.match()) == ("a.b", "wss", ("ws", {}))
    assert bound.build("ws") == "wss://a.b/ws"
    assert url_map.bind_to_scope({**scope, "type": "http"}, "b", subdomain="x").get_host(None) == "x.b"


def test_object_with_an_environ_or_a_scope_binds_too() -> None:
    url_map = Map([Rule("/<a>", endpoint="x", methods=["POST"])])

    class WithEnviron:
        environ = environ()

    class WithScope:
        scope = {"type": "http", "method": "POST", "path": "/y", "query_string": b"", "headers": [(b"host", b"a")]}

    assert url_map.bind_to_environ(WithEnviron()).match() == ("x", {"a": "café"})
    assert url_map.bind_to_environ(WithScope()).match() == ("x", {"a": "y"})


def test_standard_port_of_the_server_name_is_no_part_of_it() -> None:
    url_map = Map([Rule("/<a>", endpoint="x")])
    for port, changes in (("80", {}), ("443", {"wsgi.url_scheme": "https", "HTTP_HOST": "api.example.com:443"})):
        assert url_map.bind_to_environ(environ(**changes), f"Example.com:{port}").subdomain == "api"


def test_map_is_asked_for_its_rules() -> None:
    first, second, alias = (
        Rule("/<a>", endpoint="x"),
        Rule("/<a>/<b>", endpoint="x"),
        Rule("/y", endpoint="x", alias=True),
    )
    other = Rule("/o", endpoint="o")
    url_map = Map([first, other, alias, second])
    assert list(url_map.iter_rules()) == [second, first, alias, other]
    assert list(url_map.iter_rules("o")) == [other]
    with pytest.raises(KeyError):
        url_map.iter_rules("missing")
    with pytest.raises(KeyError):
        url_map.is_endpoint_expecting("missing", "a")
    assert repr(Map([other.empty()])) == "Map([<Rule '/o' -> o>])"


def test_lock_class_is_used() -> None:
    locks: list[object] = []

    class Own(Map):
        @staticmethod
        def lock_class() -> object:  # type: ignore[override]
            locks.append(threading.Lock())
            return locks[-1]

    assert Own([Rule("/", endpoint="x")]).bind("h").match("/") == ("x", {})
    assert len(locks) == 1


def test_refreshed_rule_is_read_again() -> None:
    rule = Rule("/old", endpoint="x")
    url_map = Map([rule])
    assert url_map.bind("h").build("x") == "/old"
    rule.rule = "/new/<a>"
    rule.refresh()
    assert url_map.bind("h").match("/new/1") == ("x", {"a": "1"})
    assert url_map.bind("h").build("x", {"a": 2}) == "/new/2"
    rule.rule = "/newest/<b>"
    rule.refresh()
    assert rule.arguments == {"b"}
    assert url_map.bind("h").build("x", {"b": 3}) == "/newest/3"


def test_settings_changed_later_hold_from_then_on() -> None:
    url_map = Map([Rule("/a/b", endpoint="x")])
    url_map.merge_slashes = False
    assert url_map.find("/a//b", "GET") is None
    url_map.sort_parameters = True
    assert url_map.bind("h").build("x", {"b": "1", "a": "2"}) == "/a/b?a=2&b=1"


def test_rule_belongs_to_one_map() -> None:
    rule = Rule("/", endpoint="x")
    Map([rule])
    with pytest.raises(RuntimeError, match=r"add a copy, rule.empty\(\)"):
        Map([rule])


def test_parts_of_redirects_are_made_by_the_adapter() -> None:
    short, long = Rule("/all/", {"page": 1}, endpoint="all"), Rule("/all/<int:page>", endpoint="all")
    bound = Map([short, long, Rule("/every", {"page": 1}, endpoint="all", alias=True)]).bind(
        "h", "/app", "s", query_args="q=1"
    )
    bound.map.update()
    assert bound.get_default_redirect(long, "GET", {"page": 1}, {"a": "b c"}) == "http://h/app/all/?a=b+c"
    assert bound.get_default_redirect(long, "GET", {"page": 2}, "") is None
    assert (
        bound.make_alias_redirect_url("s|/every", "all", {"page": 1}, "GET", {"a": [1, 2]})
        == "http://h/app/all/?a=1&a=2"
    )
    assert bound.make_redirect_url("/x") == "http://s.h/app/x?q=1"
    assert bound.make_redirect_url("x", {"a": 1}, domain_part="t") == "http://t.h/app/x?a=1"
    assert bound.encode_query_args({"a": "ü", "b": None}) == "a=%C3%BC"
    assert [bound.get_host(None), bound.get_host(""), bound.get_host("t")] == ["s.h", "h", "t.h"]


def test_dispatch_takes_path_and_method_and_raises_errors_of_the_view() -> None:
    bound = adapter(Rule("/a", endpoint="a", methods=["PUT"]))

    def view(endpoint: object, values: object) -> object:
        raise BadHost()

    with pytest.raises(BadHost):
        bound.dispatch(view, "/a", "put")
    assert isinstance(bound.dispatch(view, "/a", "PUT", catch_http_exceptions=True), BadHost)
    with pytest.raises(MethodNotAllowed):
        bound.dispatch(view, "/a")


def test_path_and_method_are_those_that_were_bound() -> None:
    bound = Map([Rule("/a", endpoint="a", methods=["PUT"])]).bind("h", path_info="/a", default_method="PUT")
    assert bound.match() == ("a", {})
    assert bound.test() and not bound.test(method="GET") and not bound.test("/b")
    assert bound.allowed_methods() == ["PUT"]
    rule, arguments = bound.match(return_rule=True)
    assert (rule.endpoint, arguments) == ("a", {})


def test_matcher_is_used_alone() -> None:
    url_map = Map([Rule("/<a>", endpoint="x"), Rule("/b", endpoint="b", methods=["GET"])])
    matcher = StateMachineMatcher(True)
    for rule in url_map.iter_rules():
        matcher.add(rule)
    matcher.update()
    rule, arguments = matcher.match("", "/1", "GET", False)
    assert (rule.endpoint, arguments) == ("x", {"a": "1"})
    with pytest.raises(RequestPath) as redirected:
        matcher.match("", "//b", "GET", False)
    assert redirected.value.path_info == "/b"
    with pytest.raises(NoMatch) as missing:
        matcher.match("", "/1/2", "GET", False)
    assert (missing.value.have_match_for, missing.value.websocket_mismatch) == (set(), False)


def test_every_name_of_werkzeugs_is_there() -> None:
    for name in werkzeug.routing.__dict__:
        if isinstance(getattr(werkzeug.routing, name), type):
            assert name in duoflask.routing.__all__
    assert {"NoMatch", "RequestPath", "RuleFactory", "StateMachineMatcher", "parse_converter_args"} <= set(
        duoflask.routing.__all__
    )


def test_foreign_host_has_werkzeugs_subdomain_and_matches_no_placeholder() -> None:
    url_map = Map([Rule("/", subdomain="<user>", endpoint="user")])
    with pytest.warns(UserWarning, match="Current server name"):
        bound = url_map.bind_to_environ(environ(HTTP_HOST="other.example"), "example.com")
    assert bound.subdomain == "<invalid>"
    with pytest.raises(NotFound):
        bound.match("/")


def test_warning_of_a_foreign_host_is_flasks_for_filters() -> None:
    url_map = Map([Rule("/", endpoint="x")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Current server name", UserWarning, "flask.app")
        assert url_map.bind_to_environ(environ(HTTP_HOST="other.example"), "example.com").subdomain == "<invalid>"
