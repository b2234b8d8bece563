"""Which other origins' pages may read the answers."""

from __future__ import annotations

import re
from typing import Any

import anyio
import pytest

import duoflask
from duoflask.middleware import CORSMiddleware

A, B = "https://a.example", "https://b.example"


def make_app(*args: Any, **options: Any) -> duoflask.Flask:
    app = duoflask.Flask("app")
    app.logger.disabled = True
    app.add_url_rule("/", "index", lambda: "x", methods=["GET", "PUT"])
    app.add_url_rule("/vary", "vary", lambda: ("x", [("Vary", "Accept"), ("Vary", "Cookie, origin")]))
    app.add_url_rule("/star", "star", lambda: ("x", {"Vary": "*"}))
    app.add_url_rule("/own", "own", lambda: ("x", {"Access-Control-Allow-Origin": B}))
    app.add_url_rule("/error", "error", lambda: 1 // 0)

    @app.route("/async")
    async def view() -> Any:
        async def body() -> Any:
            yield "a"
            yield "b"

        return body()

    CORSMiddleware.install(app, *args, **options)
    return app


def cors_fields(response: Any) -> dict[str, str]:
    response.close()
    names = ("Origin", "Credentials", "Methods", "Headers", "Max-Age")
    found = {name: response.headers.get(f"Access-Control-Allow-{name}") for name in names}
    found["Max-Age"] = response.headers.get("Access-Control-Max-Age")
    found["Expose"] = response.headers.get("Access-Control-Expose-Headers")
    found["Vary"] = response.headers.get("Vary")
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize("path", ["/", "/async", "/missing", "/error"])
def test_every_origin_is_a_star_without_vary(client: Any, path: str) -> None:
    made = client(make_app("*"))
    assert cors_fields(made.get(path)) == {"Origin": "*"}
    assert cors_fields(made.get(path, headers={"Origin": A})) == {"Origin": "*"}


@pytest.mark.parametrize("path", ["/", "/async", "/missing", "/error"])
def test_a_listed_origin_is_named_and_every_answer_varies(client: Any, path: str) -> None:
    made = client(make_app([A, B]))
    for origin in (A, B):
        assert cors_fields(made.get(path, headers={"Origin": origin})) == {"Origin": origin, "Vary": "Origin"}
    for headers in ({}, {"Origin": "https://c.example"}, {"Origin": "null"}, {"Origin": ""}):
        assert cors_fields(made.get(path, headers=headers)) == {"Vary": "Origin"}


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://x.example.com", True),
        ("https://example.com", False),
        ("https://x.example.com.evil", False),
        ("https://evil/https://x.example.com", False),
        ("http://x.example.com", False),
        ("https://x.example.com\\", False),
    ],
)
def test_a_pattern_matches_whole_origins(client: Any, origin: str, allowed: bool) -> None:
    made = client(make_app(re.compile(r"https://[a-z]+\.example\.com")))
    assert cors_fields(made.get("/", headers={"Origin": origin})).get("Origin") == (origin if allowed else None)


def test_origins_have_no_case_and_no_slash_at_the_end(client: Any) -> None:
    made = client(make_app("HTTPS://A.example/"))
    assert cors_fields(made.get("/", headers={"Origin": A}))["Origin"] == A


def test_credentials_and_exposed_fields(client: Any) -> None:
    made = client(make_app([A], credentials=True, expose=["X-A", "X-B"]))
    assert cors_fields(made.get("/", headers={"Origin": A})) == {
        "Origin": A,
        "Credentials": "true",
        "Expose": "X-A, X-B",
        "Vary": "Origin",
    }
    assert cors_fields(made.get("/", headers={"Origin": B})) == {"Vary": "Origin"}


def preflight(client: Any, app: Any, origin: str = A, **headers: str) -> Any:
    fields = {"Origin": origin, "Access-Control-Request-Method": "PUT", **headers}
    return client(app).options("/", headers=fields)


def test_a_preflight_request_is_answered_without_the_application(client: Any) -> None:
    app = make_app([A], methods=["get", "put"], headers=["X-A", "Authorization"], credentials=True, max_age=5)
    ran = []
    app.before_request(lambda: ran.append(True))
    response = preflight(client, app)
    assert (response.status_code, response.get_data()) == (204, b"")
    assert cors_fields(response) == {
        "Origin": A,
        "Credentials": "true",
        "Methods": "GET, PUT",
        "Headers": "X-A, Authorization",
        "Max-Age": "5",
        "Vary": "Origin",
    }
    assert not ran


def test_a_preflight_request_of_another_origin_gets_nothing(client: Any) -> None:
    response = preflight(client, make_app([A]), origin=B)
    assert response.status_code == 204
    assert cors_fields(response) == {"Vary": "Origin"}


def test_a_preflight_request_where_every_origin_may(client: Any) -> None:
    response = preflight(client, make_app("*", headers="*", max_age=None))
    assert cors_fields(response) == {
        "Origin": "*",
        "Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        "Headers": "*",
    }


@pytest.mark.parametrize("headers", [{"Origin": A}, {"Access-Control-Request-Method": "PUT"}])
def test_other_options_requests_are_the_applications(client: Any, headers: dict[str, str]) -> None:
    response = client(make_app([A])).options("/", headers=headers)
    assert response.status_code == 200
    assert {"GET", "PUT"} <= set(response.headers["Allow"].split(", "))


def test_vary_lines_become_one(client: Any) -> None:
    made = client(make_app([A]))
    response = made.get("/vary", headers={"Origin": A})
    assert response.headers.getlist("Vary") == ["Accept, Cookie, origin"]
    assert made.get("/star").headers.getlist("Vary") == ["*"]


def test_an_application_that_decides_itself_is_left_alone(client: Any) -> None:
    response = client(make_app([A], credentials=True)).get("/own", headers={"Origin": A})
    assert cors_fields(response) == {"Origin": B, "Vary": "Origin"}


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (("*",), {"credentials": True}, "would let any site act in the name of your users"),
        ((["null"],), {"credentials": True}, "would let any site act in the name of your users"),
        (([A],), {"credentials": True, "headers": "*"}, "would let any site act in the name of your users"),
        (("a.example",), {}, "expected scheme and host"),
        (("https://*.example",), {}, "For several hosts write a pattern"),
        (("https://a.example/path",), {}, "expected scheme and host"),
        (("https://user@a.example",), {}, "expected scheme and host"),
        (([A],), {"methods": ["GE T"]}, "expected a token"),
        (([A],), {"headers": ["X-A\r\nX-B: c"]}, "expected a token"),
        (([A],), {"expose": [""]}, "expected a token"),
    ],
)
def test_a_mistake_is_told_when_it_is_made(args: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CORSMiddleware(None, *args, **options)


@pytest.mark.parametrize("origin", ["x" * 1_000_000, "https://" + "a" * 1_000_000, "\xff" * 1000, "a\tb"])
def test_any_origin_a_peer_sends_is_no_error(client: Any, origin: str) -> None:
    made = client(make_app([A, re.compile(r"https://([a-z]+\.)?example\.com")]))
    assert made.get("/", headers={"Origin": origin}).status_code == 200


@pytest.mark.parametrize("origin", [b"https://a\x7f.example", b"\x00", b"https://\xff", b"a\x0bb"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_pattern_that_allows_all_sends_no_control_character_back(
    channel: Any, wsgi_call: Any, origin: bytes, method: str
) -> None:
    app = make_app(re.compile(r".*", re.DOTALL))
    made = channel("/", method=method)
    made.scope["headers"] += [(b"origin", origin), (b"access-control-request-method", b"PUT")]
    anyio.run(made.serve, app)
    answer = wsgi_call(
        app,
        method=method,
        environ_overrides={"HTTP_ORIGIN": origin.decode("latin-1"), "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PUT"},
    )
    answer.close()
    assert answer.status[:3] == str(made.status) == ("200" if method == "GET" else "204")
    assert b"access-control-allow-origin" not in dict(made.sent[0]["headers"])


def test_a_websocket_passes_by() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(send)

    send = object()
    scope = {"type": "websocket", "path": "/", "headers": [(b"origin", B.encode())]}
    with pytest.raises(StopIteration):
        CORSMiddleware(app, A)(scope, None, send).send(None)
    assert seen == [send]
