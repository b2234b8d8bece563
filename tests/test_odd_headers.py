"""No header field that a client sends is a server error, whoever looks at it, under both protocols."""

from __future__ import annotations

import inspect

import anyio
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import duoflask
from duoflask import Response, redirect, request

from .growth import seconds_of

FIELDS = [
    *("Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Cookie"),
    *("Content-Encoding", "Content-MD5", "Content-Type", "Date", "If-Match", "If-Modified-Since", "If-None-Match"),
    *("If-Range", "If-Unmodified-Since", "Max-Forwards", "Origin", "Pragma", "Range", "Referer", "User-Agent"),
    *("X-Forwarded-For", "X-Forwarded-Proto", "Access-Control-Request-Headers", "Access-Control-Request-Method"),
    *("Sec-Fetch-Site", "Sec-Fetch-User", "Forwarded", "Via", "Expect", "Upgrade", "Trailer", "TE"),
]
# what has brought down one of our peers, and relatives of it
NASTY = [
    *("Sun, 06 Nov 1994 08:49:37 +99999999999999999999", "Sun, 06 Nov 1994 08:49:37 -9999", "9" * 400, "-1", "+1"),
    *("Fri, 31 Dec 9999 23:59:59 -2359", "Basic \xe9", "Basic \xff:", "Basic /w==", "Basic x", "Digest", "Bearer"),
    *("bytes=9-1", "bytes=-0", "bytes=0-" + "9" * 400, "bytes=" + "0-1," * 100, '"', 'W/"', "W/", '"a", W/"b', "*"),
    *("text/html;q=nan", "text/html;q=" + "1" * 400, "*/b", "nope", ";q=1", "a;b*=x'y'%ff", "a;b*0*=utf-16''%00"),
    *("multipart/form-data; boundary=", "multipart/form-data", "application/json; charset=nope", "=", "=a", "a=\\"),
    *('a="\\', 'a="\\777"', "__Host-a=b", ",,,", ";;;", "\xff\xfe", "max-age=1_0, max-age", "\xb2", "xn--a.xn--a"),
]
VALUES = st.sampled_from(NASTY) | st.text(
    alphabet=st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_categories=["Cc"]), max_size=40
)

# methods that read; the others need arguments or would change something
CALLED = ("get_json", "get_data")


def look_at_everything() -> str:
    """Look at each public attribute of the request, and ask what it holds."""
    looked = 0
    for name in sorted(set(dir(type(request._get_current_object()))) | {"environ", "scope"}):
        if name.startswith("_") or isinstance(inspect.getattr_static(duoflask.Request, name, None), classmethod):
            continue
        try:
            value = getattr(request, name)
            str(value), repr(value), bool(value)
            if name in CALLED:
                value()
            if name == "accept_mimetypes":
                value.best_match(["text/html", "application/json"])
                value.accept_html, value.accept_json, value.best, value.to_header()
            elif name.startswith("accept_"):
                value.best_match(["en", "utf-8", "gzip"])
            elif name == "cache_control":
                [getattr(value, key) for key in dir(value) if not key.startswith("_")]
            elif name == "range" and value is not None:
                value.range_for_length(100), value.to_content_range_header(100), value.make_content_range(100)
        except duoflask.HTTPException as exc:
            assert exc.code is not None
            assert 400 <= exc.code < 500
        looked += 1
    return f"{looked} attributes"


def make_app() -> duoflask.Flask:
    app = duoflask.Flask("app")
    app.testing = True  # what a view raises reaches the test

    @app.route("/", methods=["GET", "POST"])
    def view() -> str:
        return look_at_everything()

    @app.route("/async", methods=["GET", "POST"])
    async def async_view() -> str:
        return look_at_everything()

    @app.route("/conditional", methods=["GET"])
    def conditional() -> Response:
        response = Response("x" * 100)
        response.add_etag()
        return response.make_conditional(request, accept_ranges=True, complete_length=100)

    return app


@pytest.mark.parametrize("path", ["/", "/async", "/conditional"])
def test_drawn_fields_are_no_server_error(client, path):
    made = client(make_app())
    suppressed = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

    @settings(suppress_health_check=suppressed, max_examples=max(30, settings().max_examples // 10), deadline=None)
    @given(st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=5))
    def draw(headers: dict[str, str]) -> None:
        assert made.get(path, headers=headers).status_code < 500
        if path != "/conditional":
            assert made.post(path, data=b"\xff=\xff&a", headers=headers).status_code < 500

    draw()


@pytest.mark.parametrize("path", ["/", "/async"])
@pytest.mark.parametrize("value", NASTY)
def test_known_bad_value_in_every_field_is_no_server_error(client, path, value):
    answer = client(make_app()).get(path, headers={field: value for field in FIELDS if field != "Content-Type"})
    assert answer.status_code == 200
    assert answer.get_data(as_text=True).endswith("attributes")


@pytest.mark.parametrize("path", ["/", "/async"])
@pytest.mark.parametrize(
    "host", ["[:e:1]:80", "[", "]", "a b", "a/b", "\xff", "a:b", "xn--a", "a..b", ":", "a:99999999"]
)
def test_odd_host_is_no_server_error(path, host, wsgi_call, channel):
    call = wsgi_call(make_app(), path, headers={"Host": host})
    assert call.status[:3] == "200"
    assert call.read().endswith("attributes")
    sent = channel(path)
    sent.scope["headers"] = [(b"host", host.encode("latin-1"))]
    anyio.run(sent.serve, make_app())
    assert sent.status == 200
    assert sent.text.endswith("attributes")


def test_odd_query_is_no_server_error(client):
    made = client(make_app())
    for query in ("\xff", "%ff=%fe", "a=%", "%00", "&&=&", "a[]=1", "=" * 100):
        assert made.get("/", query_string=query).status_code == 200


@pytest.mark.measures
def test_accept_with_64_kb_of_blanks_costs_nothing(client):
    app = duoflask.Flask("app")

    @app.get("/")
    def view() -> str:
        names = ("accept_mimetypes", "accept_languages", "accept_charsets", "accept_encodings")
        return str(seconds_of(lambda: [getattr(request, name).best_match(["text/html"]) for name in names]))

    for value in ("a" + " " * 65_536 + "b", "a;" + " " * 65_536 + "q=1", "a," * 32_768, "a/b;q=0.1," * 6_000):
        names = ("Accept", "Accept-Language", "Accept-Charset", "Accept-Encoding")
        answer = client(app).get("/", headers=dict.fromkeys(names, value))
        assert answer.status_code == 200
        assert float(answer.get_data(as_text=True)) < 1


OUTPUT = {
    "name with a blank": lambda response: response.headers.add("X Y", "a"),
    "name with a line feed": lambda response: response.headers.add("X\nY", "a"),
    "empty name": lambda response: response.headers.set("", "a"),
    "value with CR LF": lambda response: response.headers.add("X", "a\r\nSet-Cookie: b"),
    "value with NUL": lambda response: response.headers.add("X", "a\x00"),
    "value with an escape": lambda response: response.headers.add("X", "\x1b[31m"),
    "value beyond latin-1": lambda response: response.headers.add("X", "\u20ac"),
    "reason": lambda response: setattr(response, "status", "200 OK\r\nX: y"),
    "cookie name": lambda response: response.set_cookie("a;b", "c"),
    "cookie domain": lambda response: response.set_cookie("a", "c", domain="x; Secure"),
    "cookie path": lambda response: response.set_cookie("a", "c", path="/\r\n"),
    "cookie same site": lambda response: response.set_cookie("a", "c", samesite="Lax; Domain=x"),
    "policy": lambda response: setattr(response.content_security_policy, "img_src", "*; script-src *"),
    "vary": lambda response: response.vary.add("a\r\nb"),
}


@pytest.mark.parametrize("write", OUTPUT.values(), ids=OUTPUT)
@pytest.mark.parametrize("colour", ["def", "async def"])
def test_field_that_cannot_be_sent_is_an_error_where_it_is_written(client, write, colour):
    app = duoflask.Flask("app")
    app.register_error_handler(ValueError, lambda error: (f"refused: {error}", 503))

    def make() -> Response:
        response = Response("x")
        write(response)
        return response

    async def make_async() -> Response:
        return make()

    app.add_url_rule("/", view_func=make if colour == "def" else make_async)
    answer = client(app).get("/")
    assert answer.status_code == 503
    assert answer.get_data(as_text=True).startswith("refused: invalid")


@pytest.mark.parametrize(
    "target", ["http://[", "http://[x]/", "http://\u2488.com/", "//evil\\", "/a\r\nX: y", "http://a:b/"]
)
def test_redirect_to_any_text_is_answered_or_refused_within_the_app(client, target):
    app = duoflask.Flask("app")
    app.register_error_handler(ValueError, lambda error: ("refused", 400))
    app.add_url_rule("/", view_func=lambda: redirect(target))
    answer = client(app).get("/")
    assert answer.status_code in (302, 303, 400)
    assert "X" not in answer.headers


def test_second_vary_line_is_not_lost(client):
    app = duoflask.Flask("app")

    @app.get("/")
    def view() -> Response:
        response = Response("x")
        response.headers.add("Vary", "Accept-Encoding")
        response.headers.add("Vary", "Origin")
        response.vary.add("Cookie")
        return response

    answer = client(app).get("/")
    varies = ", ".join(answer.headers.getlist("Vary"))
    assert varies == "Accept-Encoding, Origin, Cookie"


def test_a_missing_field_of_the_request_is_the_clients_mistake(client):
    app = duoflask.DuoFlask(__name__)
    app.add_url_rule("/", "view", lambda: request.headers["X-Missing"])
    assert client(app).get("/").status_code == 400
    assert client(app).get("/", headers={"X-Missing": "there"}).text == "there"
