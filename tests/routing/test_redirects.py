"""Whatever path, query and host a peer sends, a redirect of the router's stays on the host of the request."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

import anyio
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import duoflask
from duoflask.http.errors import HTTPException
from duoflask.routing import Map, MapAdapter, RequestRedirect, Rule
from duoflask.testing import create_environ

RULES: list[dict[str, Any]] = [
    {"string": "/branch/", "endpoint": "branch"},
    {"string": "/<path:p>/slash/", "endpoint": "slash"},
    {"string": "/<a>/", "endpoint": "one"},
    {"string": "/<a>/<path:p>/leaf", "endpoint": "leaf"},
    {"string": "/list/<path:p>/", "defaults": {"page": 1}, "endpoint": "list"},
    {"string": "/list/<path:p>/page/<int:page>", "endpoint": "list"},
    {"string": "/named/<path:p>", "endpoint": "named"},
    {"string": "/alias/<path:p>", "endpoint": "named", "alias": True},
    {"string": "/go/<path:p>", "endpoint": "go", "redirect_to": "<p>"},
    {"string": "/go-slash/<path:p>", "endpoint": "go", "redirect_to": "/<p>"},
    {"string": "/go-in/<path:p>", "endpoint": "go", "redirect_to": "in/<p>?next=<p>"},
    {"string": "/go-dots/<path:p>", "endpoint": "go", "redirect_to": "../..//<p>"},
]
HOSTILE = [
    "//evil.example/..",
    "//evil.example/%2e%2e",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/%5cevil.example",
    "%2f%2fevil.example",
    "/%2f%2fevil.example/",
    "%252f%252fevil.example",
    "http://evil.example/",
    "http:evil.example",
    "https:/evil.example",
    "javascript:alert(1)",
    "/\tevil.example",
    "/\n/evil.example",
    "\r\nLocation: //evil.example",
    "/\x00//evil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/;//evil.example",
    "@evil.example",
    "/@evil.example//",
    ".evil.example",
    ":80@evil.example/",
    "\u2028//evil.example",
    "／／evil.example",
    "/[::1]//evil.example",
    "//[evil",
    "?//evil.example",
    "#//evil.example",
]
PIECES = [
    *HOSTILE,
    "/",
    "//",
    "\\",
    "..",
    "%2f",
    "%5c",
    "%0a",
    "\t",
    "\n",
    "x",
    "slash",
    "leaf",
    "page/1",
    "é",
    "&",
    "=",
]
PREFIXES = ["", "/x", "/list", "/alias", "/go", "/go-slash", "/go-in", "/go-dots", "/branch"]


def leaves_no_host(location: str, host: str = "localhost") -> bool:
    """Whether a browser that is sent there stays, by the strictest reading."""
    path = location.partition("?")[0]
    return path.startswith(f"http://{host}/") and "\\" not in path and all("!" <= char <= "~" for char in location)


def bound(rules: list[dict[str, Any]] = RULES, **options: Any) -> MapAdapter:
    return Map([Rule(**rule) for rule in rules], **options).bind("localhost")


texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), min_size=1, max_size=5).map("".join)


@settings(max_examples=500)
@given(st.sampled_from(PREFIXES), texts, st.sampled_from(["", "/", "//", "/slash", "/leaf", "/page/1"]), texts)
def test_redirect_of_any_path_stays_on_the_host(prefix: str, text: str, suffix: str, query: str) -> None:
    path = f"{prefix}/{text}{suffix}"
    for adapter in (bound(), bound(merge_slashes=False), bound(strict_slashes=False)):
        try:
            adapter.match(path, query_args=query)
        except RequestRedirect as exc:
            assert leaves_no_host(exc.new_url), exc.new_url
        except HTTPException:
            pass


def app_with_rules() -> Any:
    app = duoflask.DuoFlask("app")
    for rule in RULES:
        app.url_map.add(Rule(**rule, methods=["GET"]))
        app.view_functions[rule["endpoint"]] = lambda **values: "found"
    return app


def send(
    channel: Any, app: Any, protocol: str, raw_path: bytes, raw_query: bytes = b"", host: str = "localhost"
) -> tuple[int, str]:
    """Send what no client would, past the client's own reading of URLs; return the status code and the location."""
    if protocol == "wsgi":
        environ = create_environ("/", headers={"Host": host})
        environ.update(PATH_INFO=raw_path.decode("latin-1"), QUERY_STRING=raw_query.decode("latin-1"))
        answer = []
        body = app(environ, lambda status, headers, exc_info=None: answer.append((int(status[:3]), dict(headers))))
        assert list(body)
        status, headers = answer[0]
        return status, headers.get("Location", "")

    async def talk() -> tuple[int, str]:
        exchange = channel(raw_path.decode("utf-8", "surrogateescape"), raw_query)
        exchange.scope["headers"] = [(b"host", host.encode())]
        exchange.scope["raw_path"] = raw_path
        await exchange.serve(app)
        start = exchange.sent[0]
        return start["status"], dict(start["headers"]).get(b"location", b"").decode()

    return anyio.run(talk)


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_redirect_of_an_app_stays_on_the_host(channel: Any, protocol: str, prefix: str) -> None:
    app = app_with_rules()
    seen = 0
    for text in HOSTILE:
        for path in (
            f"{prefix}/{text}",
            f"/{prefix}{text}/page/1",
            f"{prefix}/{text}//slash",
            f"{prefix}/{unquote(text)}",
        ):
            status, location = send(channel, app, protocol, path.encode(), quote(text).encode())
            if status == 308:
                seen += 1
                assert leaves_no_host(location), (path, location)
            else:
                assert status in (200, 400, 404), path
    assert seen


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=texts, prefix=st.sampled_from(PREFIXES), query=texts)
def test_redirects_of_both_protocols_are_the_same(channel: Any, text: str, prefix: str, query: str) -> None:
    app = app_with_rules()
    path, raw_query = (part.encode("utf-8", "replace") for part in (f"{prefix}/{text}", query))
    answers = [send(channel, app, protocol, path, raw_query) for protocol in ("wsgi", "asgi")]
    assert answers[0] == answers[1]
    if answers[0][0] == 308:
        assert leaves_no_host(answers[0][1])


def test_redirect_keeps_the_query_and_no_control_character_of_it() -> None:
    with pytest.raises(RequestRedirect) as caught:
        bound().match("/branch", query_args="next=//evil.example\r\nSet-Cookie: a=b&ü=")
    wanted = "http://localhost/branch/?next=//evil.example%0D%0ASet-Cookie:%20a=b&%C3%BC="
    assert caught.value.new_url == wanted


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
@pytest.mark.parametrize(
    "host", ["b.example", "localhost@b.example", "b.example\\localhost", "a b", "[::1", "[x]", "b/c", "b?c"]
)
def test_host_of_a_redirect_is_the_requests_or_none(channel: Any, protocol: str, host: str) -> None:
    answer = send(channel, app_with_rules(), protocol, b"/branch", host=host)
    assert answer == ((308, "http://b.example/branch/") if host == "b.example" else (400, ""))


def test_redirect_to_another_host_is_the_authors_choice() -> None:
    adapter = Map([Rule("/old/<path:p>", redirect_to="https://new.example/<p>")]).bind("localhost")
    with pytest.raises(RequestRedirect) as caught:
        adapter.match("/old//evil.example")
    assert caught.value.new_url == "http://localhost/old/evil.example"
    with pytest.raises(RequestRedirect) as caught:
        adapter.match("/old/evil.example")
    assert caught.value.new_url == "https://new.example/evil.example"
