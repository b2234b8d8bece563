"""What a trusted proxy says, and what a client may not say; against Werkzeug's."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, strategies as st
from werkzeug.middleware.proxy_fix import ProxyFix as Reference

import duoflask
from duoflask.http.environ import wsgi_decoded
from duoflask.middleware import ProxyFix
from duoflask.testing import create_environ

FIELDS = ("For", "Proto", "Host", "Port", "Prefix")


def make_app() -> duoflask.Flask:
    app = duoflask.Flask("app")
    app.testing = True

    @app.route("/<path:path>")
    def show(path: str) -> Any:
        request = duoflask.request
        return [request.remote_addr, request.scheme, request.host, request.root_path, request.path, request.url]

    return app


def forwarded(**values: str) -> dict[str, str]:
    return {f"X-Forwarded-{name}": value for name, value in values.items()}


CASES: list[tuple[dict[str, int], dict[str, str], list[str]]] = [
    ({}, {}, ["127.0.0.1", "http", "localhost", "", "/x", "http://localhost/x"]),
    (
        {},
        forwarded(For="1.2.3.4", Proto="https", Host="evil", Port="1", Prefix="/evil"),
        ["1.2.3.4", "https", "localhost", "", "/x", "https://localhost/x"],
    ),
    ({"x_for": 1}, forwarded(For="9.9.9.9, 1.2.3.4"), ["1.2.3.4", "http", "localhost", "", "/x", "http://localhost/x"]),
    ({"x_for": 2}, forwarded(For="9.9.9.9, 1.2.3.4"), ["9.9.9.9", "http", "localhost", "", "/x", "http://localhost/x"]),
    (
        {"x_for": 3},
        forwarded(For="9.9.9.9,1.2.3.4"),
        ["127.0.0.1", "http", "localhost", "", "/x", "http://localhost/x"],
    ),
    ({"x_for": 0}, forwarded(For="9.9.9.9"), ["127.0.0.1", "http", "localhost", "", "/x", "http://localhost/x"]),
    ({"x_host": 1}, forwarded(Host="a.b"), ["127.0.0.1", "http", "a.b", "", "/x", "http://a.b/x"]),
    ({"x_host": 1}, forwarded(Host="a.b:8080"), ["127.0.0.1", "http", "a.b:8080", "", "/x", "http://a.b:8080/x"]),
    (
        {"x_port": 1},
        forwarded(Port="8080"),
        ["127.0.0.1", "http", "localhost:8080", "", "/x", "http://localhost:8080/x"],
    ),
    (
        {"x_host": 1, "x_port": 1},
        forwarded(Host="a.b:1", Port="8080"),
        ["127.0.0.1", "http", "a.b:8080", "", "/x", "http://a.b:8080/x"],
    ),
    (
        {"x_host": 1, "x_port": 1},
        forwarded(Host="[::1]", Port="8080"),
        ["127.0.0.1", "http", "[::1]:8080", "", "/x", "http://[::1]:8080/x"],
    ),
    ({"x_prefix": 1}, forwarded(Prefix="/p"), ["127.0.0.1", "http", "localhost", "/p", "/x", "http://localhost/p/x"]),
    (
        {"x_host": 1, "x_port": 1, "x_prefix": 1},
        forwarded(For="1.2.3.4", Proto="https", Host="a.b", Port="443", Prefix="/p"),
        ["1.2.3.4", "https", "a.b", "/p", "/x", "https://a.b/p/x"],
    ),
]


@pytest.mark.parametrize(("options", "headers", "expected"), CASES)
def test_as_many_values_as_there_are_proxies_are_trusted(
    client: Any, options: dict[str, int], headers: dict[str, str], expected: list[str]
) -> None:
    app = make_app()
    ProxyFix.install(app, **options)
    assert client(app).get("/x", headers=headers).json == expected


@pytest.mark.parametrize(("options", "headers", "expected"), CASES)
def test_werkzeugs_gives_the_same(options: dict[str, int], headers: dict[str, str], expected: list[str]) -> None:
    app = make_app()
    app.wsgi_app = Reference(app.wsgi_app, **options)
    assert app.test_client().get("/x", headers=headers).json == expected


def test_one_attribute_of_the_app_may_be_wrapped(client: Any, protocol: str) -> None:
    app = make_app()
    app.wsgi_app = ProxyFix(app.wsgi_app)
    app.asgi_app = ProxyFix(app.asgi_app)
    assert client(app).get("/x", headers=forwarded(For="1.2.3.4")).json[0] == "1.2.3.4"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (forwarded(Proto="javascript"), "http://localhost/x"),
        (forwarded(Proto="HTTPS"), "https://localhost/x"),
        (forwarded(Port="0"), "http://localhost/x"),
        (forwarded(Port="65536"), "http://localhost/x"),
        (forwarded(Port="8_0"), "http://localhost/x"),
        (forwarded(Port="\u0661".encode().decode("latin-1")), "http://localhost/x"),
        (forwarded(Prefix="//evil.example"), "http://localhost/evil.example/x"),
        (forwarded(Prefix="/"), "http://localhost/x"),
        (forwarded(Prefix="p/"), "http://localhost/p/x"),
        (forwarded(Host=","), "http://localhost/x"),
        (forwarded(For=""), "http://localhost/x"),
    ],
)
def test_what_no_proxy_writes_is_ignored(client: Any, headers: dict[str, str], expected: str) -> None:
    app = make_app()
    ProxyFix.install(app, x_host=1, x_port=1, x_prefix=1)
    assert client(app).get("/x", headers=headers).json[5] == expected


def test_a_malformed_host_is_a_400(client: Any) -> None:
    app = make_app()
    ProxyFix.install(app, x_host=1)
    assert client(app).get("/x", headers=forwarded(Host="a/b@c")).status_code == 400


def test_a_prefix_that_is_not_ascii_is_read_as_utf_8(client: Any) -> None:
    app = make_app()
    ProxyFix.install(app, x_prefix=1)
    answer = client(app).get("/x", headers=forwarded(Prefix="/\u00fc".encode().decode("latin-1")))
    assert answer.json[3:] == ["/\u00fc", "/x", "http://localhost/\u00fc/x"]


@pytest.mark.parametrize("host", ["a.b:x", "a.b:0\u00b2", "a.b:", "a.b:123456"])
def test_a_port_that_is_no_number_does_not_become_the_servers(client: Any, host: str) -> None:
    app = duoflask.Flask("app")
    app.testing = True
    seen: list[Any] = []

    @app.before_request
    def look() -> str:
        seen.append(duoflask.request.server)
        return ""

    ProxyFix.install(app, x_host=1)
    client(app).get("/x", headers=forwarded(Host=host))
    assert seen == [("a.b", 80)]


def test_what_there_was_before_is_kept() -> None:
    seen = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(environ["werkzeug.proxy_fix.orig"])
        return []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["werkzeug.proxy_fix.orig"])

    headers = forwarded(For="1.2.3.4", Proto="https", Host="a.b")
    environ = create_environ("/x", headers=headers, environ_base={"REMOTE_ADDR": "127.0.0.1"})
    ProxyFix(app, x_host=1)(environ, lambda *args: None)
    assert (seen[0]["REMOTE_ADDR"], seen[0]["wsgi.url_scheme"], seen[0]["HTTP_HOST"]) == (
        "127.0.0.1",
        "http",
        "localhost",
    )
    scope = {
        "type": "http",
        "path": "/",
        "scheme": "http",
        "client": ("127.0.0.1", 5),
        "headers": [(b"host", b"localhost"), (b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-host", b"a.b")],
    }
    before = dict(scope)
    anyio.run(ProxyFix(asgi, x_host=1), scope, None, None)
    assert scope == before  # a scope belongs to the server
    assert seen[1]["client"] == ("127.0.0.1", 5)
    assert seen[1]["host"] == b"localhost"


def test_a_websockets_scheme_stays_one() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["scheme"], scope["client"], scope["server"]))

    for proto in (b"http", b"https", b"wss"):
        headers = [(b"x-forwarded-proto", proto), (b"x-forwarded-for", b"1.2.3.4"), (b"x-forwarded-port", b"1")]
        scope = {"type": "websocket", "scheme": "ws", "path": "/", "headers": headers, "server": ("s", 80)}
        anyio.run(ProxyFix(app, x_port=1), scope, None, None)
    assert seen == [(scheme, ("1.2.3.4", 0), ("s", 1)) for scheme in ("ws", "wss", "wss")]


def test_repeated_lines_count_as_one_list(client: Any) -> None:
    app = make_app()
    ProxyFix.install(app, x_for=2)
    headers = [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "2.2.2.2, 3.3.3.3")]
    assert client(app).get("/x", headers=headers).json[0] == "2.2.2.2"


TEXT = st.text("".join(map(chr, (*range(32, 127), *range(160, 256)))), max_size=20)
WORDS = st.sampled_from(["1.2.3.4", "a.b", "a.b:80", "[::1]:8", "443", "http", "/p", ""])
VALUES = st.one_of(TEXT, st.lists(WORDS, max_size=4).map(", ".join))


@given(
    st.dictionaries(st.sampled_from(FIELDS), VALUES),
    st.tuples(*[st.integers(0, 3)] * 5),
)
def test_both_protocols_and_werkzeug_agree(values: dict[str, str], counts: tuple[int, ...]) -> None:
    seen: list[Any] = []

    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        names = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST")
        seen.append([*[environ.get(name) or "" for name in names], wsgi_decoded(environ["SCRIPT_NAME"])])
        return []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        host = dict(scope["headers"])[b"host"].decode("latin-1")
        assert scope["path"] == scope["root_path"] + "/x"
        seen.append([scope["client"][0], scope["scheme"], host, scope["root_path"]])

    options = dict(zip(("x_for", "x_proto", "x_host", "x_port", "x_prefix"), counts))
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/x",
        "SCRIPT_NAME": "",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "h",
        "SERVER_NAME": "h",
        "SERVER_PORT": "80",
    }
    fields = [(b"host", b"h")]
    for name, value in values.items():
        environ[f"HTTP_X_FORWARDED_{name.upper()}"] = value
        fields.append((b"x-forwarded-" + name.lower().encode(), value.encode("latin-1")))
    scope = {
        "type": "http",
        "path": "/x",
        "root_path": "",
        "scheme": "http",
        "client": ("127.0.0.1", 1),
        "server": ("h", 80),
        "headers": fields,
    }
    Reference(wsgi, **options)(dict(environ), lambda *args: None)
    ProxyFix(wsgi, **options)(dict(environ), lambda *args: None)
    with pytest.raises(StopIteration):
        ProxyFix(asgi, **options)(scope, None, None).send(None)
    reference, by_wsgi, by_asgi = seen
    assert by_wsgi[:3] == by_asgi[:3]
    assert by_wsgi[3].encode("latin-1", "replace") == by_asgi[3].encode("latin-1", "replace")
    if reference[1] in ("http", "https", "ws", "wss"):
        assert by_wsgi[1] == reference[1]
    if by_wsgi[2] == reference[2]:
        assert by_wsgi[0] == reference[0]
