from __future__ import annotations

import copy
import datetime
import pickle
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Any

import flask
import pytest
from hypothesis import given, settings, strategies as st
from werkzeug.test import run_wsgi_app

import duoflask
from duoflask.exceptions import NotFound
from duoflask.response import BaseResponse
from duoflask.testing import create_environ

ours, theirs = duoflask.Response, flask.Response


def both(make: Callable[[Any], Any]) -> tuple[Any, Any]:
    """What a function answers for our class and for Flask's; an exception is its class."""
    results = []
    for kind in (ours, theirs):
        try:
            results.append(make(kind))
        except Exception as exc:
            results.append(type(exc))
    return results[0], results[1]


def facts(response: Any) -> Any:
    return (
        response.status,
        response.status_code,
        response.get_data(),
        list(response.headers.items()),
        response.mimetype,
        response.mimetype_params,
        response.content_length,
        response.is_json,
    )


def without_type(pairs: Any, status: int) -> list[tuple[str, str]]:
    """Fields as they are compared: Werkzeug leaves Content-Type on a 204 and, in part, on a 304."""
    dropped = "content-type" if status in (204, 304) else ""
    return sorted((name.lower(), value) for name, value in pairs if name.lower() != dropped)


# -- status


@pytest.mark.parametrize(
    "status",
    [
        200,
        404,
        299,
        599,
        "200",
        "404 Not Found",
        "404 Own Words",
        "  201 Created ",
        "299",
        "299 x",
        HTTPStatus.CREATED,
        HTTPStatus.IM_A_TEAPOT,
        None,
    ],
)
def test_status_is_read_as_by_flask(status: Any) -> None:
    mine, flasks = both(lambda kind: facts(kind("", status)))
    assert mine == flasks


@pytest.mark.parametrize("status", ["", " ", None, 1.5, [], b"200"])
def test_wrong_status_is_refused_as_by_flask(status: Any) -> None:
    def assign(kind: Any) -> Any:
        response = kind()
        response.status = status
        return response.status_code

    mine, flasks = both(assign)
    assert isinstance(mine, type) is isinstance(flasks, type)


@pytest.mark.parametrize("status", ["200 OK\r\nX: 1", "200 a\nb", "200 \x00", "200 \u20ac", "a\r\nb"])
def test_status_that_would_split_the_response_is_refused(status: str) -> None:
    with pytest.raises(ValueError, match="invalid"):
        ours("", status)


# -- making one


@pytest.mark.parametrize(
    "make",
    [
        lambda kind: kind(),
        lambda kind: kind("text"),
        lambda kind: kind(b"bytes"),
        lambda kind: kind(bytearray(b"bytes")),
        lambda kind: kind(["a", b"b", "\u00e4"]),
        lambda kind: kind(("a", "b")),
        lambda kind: kind(c for c in "abc"),
        lambda kind: kind("x", mimetype="text/plain"),
        lambda kind: kind("x", mimetype="application/json"),
        lambda kind: kind("x", mimetype="application/xml"),
        lambda kind: kind("x", mimetype="application/javascript"),
        lambda kind: kind("x", mimetype="application/x-own+xml"),
        lambda kind: kind("x", mimetype="image/svg+xml"),
        lambda kind: kind("x", content_type="text/plain"),
        lambda kind: kind("x", content_type="text/plain", mimetype="text/html"),
        lambda kind: kind("x", headers={"Content-Type": "a/b"}),
        lambda kind: kind("x", headers={"content-type": "a/b"}, mimetype="c/d"),
        lambda kind: kind("x", headers=[("X-A", "1"), ("X-A", "2")]),
        lambda kind: kind("x", headers={"X-A": ["1", "2"], "X-B": 3}),
        lambda kind: kind("x", headers={"Content-Length": "7"}),
        lambda kind: kind("", 204),
        lambda kind: kind("x", 304),
        lambda kind: kind("x", 201, {"X-A": "1"}, "text/css", None, False),
    ],
)
def test_constructor_is_that_of_flask(make: Any) -> None:
    def facts_as_sent(kind: Any) -> Any:
        response = make(kind)
        seen = facts(response)
        fields = without_type(response.get_wsgi_headers(create_environ("/")), response.status_code)
        return *seen[:3], *seen[4:6], *seen[7:], fields

    mine, flasks = both(facts_as_sent)
    assert mine == flasks


def test_length_of_a_complete_body_is_always_known() -> None:
    # Werkzeug adds it to `headers` only when a single str or bytes was given.
    assert "Content-Length" not in ours().headers
    assert ("Content-Length", "0") in ours().wsgi_headers()
    assert ours("").headers["Content-Length"] == "0"
    assert "Content-Length" not in ours(["a", "b"]).headers
    assert ("Content-Length", "2") in ours(["a", "b"]).wsgi_headers()
    assert "Content-Length" not in ours(iter("ab")).headers


def test_charset_of_a_mimetype_is_kept() -> None:
    assert ours("x", mimetype="text/plain; charset=latin-1").content_type == "text/plain; charset=latin-1"


@pytest.mark.parametrize(
    "status", [99, 600, 1000, -1, 0, True, "abc", "abc def", "-1 x", "20", "2000 x", "\u0661\u0660\u0660"]
)
def test_status_that_no_client_understands_is_refused(status: Any) -> None:
    with pytest.raises(ValueError, match="expected 100-599"):
        ours("", status)


@settings(max_examples=200, deadline=None)
@given(
    name=st.text(st.characters(codec="ascii"), min_size=1, max_size=4),
    value=st.text(st.sampled_from("a \t\r\n\x00\x1f\x7f\u0085\u00e4\u20ac:"), max_size=4),
)
def test_what_is_sent_holds_nothing_that_splits_it(name: str, value: str) -> None:
    try:
        response = ours("x", headers=[(name, value)])
    except ValueError:
        return
    for sent_name, sent_value in response.wsgi_headers():
        assert not set(sent_name) & set("\r\n\0: \t")
        assert not set(sent_value) & set("\r\n\0")
        sent_value.encode("latin-1")
    response.raw_headers()


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.headers.__setitem__("X-A", "a\r\nb"),
        lambda r: r.headers.add("X-A", "a\nb"),
        lambda r: r.headers.extend({"X-A": "a\0"}),
        lambda r: r.headers.setdefault("X\n", "a"),
        lambda r: setattr(r, "location", "/a\r\nX: b"),
        lambda r: setattr(r, "content_type", "a\nb"),
        lambda r: setattr(r, "mimetype", "a\nb"),
        lambda r: setattr(r, "headers", [("a", "b\r")]),
        lambda r: r.set_cookie("a", "b", path="/;\r\nx"),
        lambda r: r.set_cookie("a\r\n", "b"),
        lambda r: r.set_cookie("a", "b", domain="x\r\ny"),
        lambda r: r.set_cookie("a", "b", samesite="x\r\n"),
    ],
)
def test_field_that_would_split_the_response_is_refused(change: Any) -> None:
    response = ours()
    with pytest.raises(ValueError):
        change(response)
    assert all(set("\r\n\0").isdisjoint(name + value) for name, value in response.wsgi_headers())


# -- body


def test_body_is_set_and_read_as_with_flask() -> None:
    def walk(kind: Any) -> Any:
        response = kind("x")
        seen = [response.is_streamed, response.is_sequence, response.calculate_content_length()]
        response.set_data("\u00e4\u00e4")
        seen += [response.get_data(), response.get_data(as_text=True), response.content_length]
        response.data = b"raw"
        seen += [response.data, response.headers["Content-Length"]]
        response.response = iter(["a", b"b"])
        seen += [response.is_streamed, response.is_sequence]
        response.make_sequence()
        return [*seen, response.is_sequence, response.get_data(), b"".join(response.iter_encoded())]

    mine, flasks = both(walk)
    assert mine == flasks


def test_length_of_a_stream_is_unknown_and_asking_does_not_read_it() -> None:
    response = ours(iter("ab"))  # Werkzeug reads it to its end
    assert response.calculate_content_length() is None
    assert response.is_streamed


def test_direct_passthrough_is_not_read() -> None:
    mine, flasks = both(lambda kind: kind(iter([b"a"]), direct_passthrough=True).get_data())
    assert mine is flasks is RuntimeError


def test_json_is_read_as_with_flask() -> None:
    for data, mimetype in [
        ('{"a": 1}', "application/json"),
        ('{"a": 1}', "application/x+json"),
        ("[", "application/json"),
    ]:
        mine, flasks = both(
            lambda kind: (r := kind(data, mimetype=mimetype)).get_json(silent=True)  # noqa: B023
        )
        assert mine == flasks
    assert both(lambda kind: kind("1", mimetype="text/x").json) == (None, None)
    assert both(lambda kind: kind("1", mimetype="text/x").get_json(force=True)) == (1, 1)


def test_text_is_an_error_where_the_body_is_async() -> None:
    async def body() -> AsyncIterator[str]:
        yield "a"

    response = ours(body())
    assert response.is_async
    assert response.is_streamed
    with pytest.raises(RuntimeError, match="await response.make_sequence_async"):
        response.get_data()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_body_is_read_by_await(backend: str) -> None:
    import anyio

    async def body() -> AsyncIterator[str]:
        yield "a"
        await anyio.sleep(0)
        yield "\u00e4"

    async def main() -> Any:
        response = ours(body())
        await response.make_sequence_async()
        return response.get_data(as_text=True), response.content_length, response.is_sequence

    text, length, whole = anyio.run(main, backend=backend)
    assert (text, whole) == ("a\u00e4", True)
    assert length in (3, None)


# -- closing


def test_call_on_close_is_called_once_by_the_server(client: Any) -> None:
    app, closed = duoflask.Flask("app"), []

    @app.route("/<kind>")
    def view(kind: str) -> Any:
        response = duoflask.Response("x" if kind == "whole" else iter("xy"))
        response.call_on_close(lambda: closed.append(duoflask.request.path))
        return response

    tester = client(app)
    for path in ("/whole", "/stream"):
        tester.get(path, buffered=True).close()
        assert closed.pop() == path
        assert closed == []


def test_async_close_callback_is_awaited(client: Any) -> None:
    app, closed = duoflask.Flask("app"), []

    @app.route("/")
    def view() -> Any:
        async def done() -> None:
            closed.append(duoflask.request.path)

        response = duoflask.Response("x")
        response.call_on_close(done)
        return response

    client(app).get("/", buffered=True).close()
    assert closed == ["/"]


def test_every_callback_is_called_whatever_the_others_raise(client: Any) -> None:
    app, closed = duoflask.Flask("app"), []
    app.logger.disabled = True

    @app.route("/")
    def view() -> Any:
        response = duoflask.Response("x")
        response.call_on_close(lambda: 1 // 0)
        response.call_on_close(lambda: closed.append("second"))
        return response

    with pytest.raises(ZeroDivisionError):
        client(app).get("/", buffered=True).close()
    assert closed == ["second"]


def test_close_closes_the_body_and_calls_back_once() -> None:
    class Body:
        closed = 0

        def __iter__(self) -> Any:
            return iter([b"a"])

        def close(self) -> None:
            self.closed += 1

    def walk(kind: Any) -> Any:
        body, called = Body(), []
        with kind(body) as response:
            response.call_on_close(lambda: called.append(1))
        return body.closed, called

    mine, flasks = both(walk)
    assert mine == flasks == (1, [1])


def test_close_calls_the_others_though_one_raises() -> None:
    response, called = ours("x"), []
    response.call_on_close(lambda: 1 // 0)
    response.call_on_close(lambda: called.append(1))
    with pytest.raises(ZeroDivisionError):
        response.close()
    assert called == [1]


# -- cookies

COOKIES: list[dict[str, Any]] = [
    {"key": "a"},
    {"key": "a", "value": "b c"},
    {"key": "a", "value": '"x"; y=\u00e4'},
    {"key": "a", "value": "b", "max_age": 5},
    {"key": "a", "value": "b", "max_age": datetime.timedelta(days=2)},
    {"key": "a", "value": "b", "max_age": 0},
    {"key": "a", "value": "b", "expires": 0},
    {"key": "a", "value": "b", "expires": datetime.datetime(2030, 1, 2, 3, 4, 5)},
    {"key": "a", "value": "b", "expires": "Wed, 02 Jan 2030 03:04:05 GMT"},
    {"key": "a", "value": "b", "path": "/x y/\u00e4"},
    {"key": "a", "value": "b", "path": None},
    {"key": "a", "value": "b", "domain": "example.org"},
    {"key": "a", "value": "b", "domain": ".Example.org:80"},
    {"key": "a", "value": "b", "secure": True, "httponly": True},
    {"key": "a", "value": "b", "samesite": "lax"},
    {"key": "a", "value": "b", "samesite": "None", "partitioned": True},
    {"key": "a", "value": "b", "samesite": "nonsense"},
]


@pytest.mark.parametrize("arguments", COOKIES)
def test_cookie_is_set_as_by_flask(arguments: dict[str, Any]) -> None:
    def cookie(kind: Any) -> Any:
        response = kind()
        response.set_cookie(**arguments)
        return response.headers.getlist("Set-Cookie")

    mine, flasks = both(cookie)
    assert mine == flasks


@pytest.mark.parametrize(
    "arguments",
    [{"key": "a"}, {"key": "a", "path": "/x", "domain": "example.org", "secure": True, "samesite": "Strict"}],
)
def test_cookie_is_deleted_as_by_flask(arguments: dict[str, Any]) -> None:
    def cookie(kind: Any) -> Any:
        response = kind()
        response.delete_cookie(**arguments)
        return response.headers.getlist("Set-Cookie")

    mine, flasks = both(cookie)
    assert mine == flasks


# -- as an application


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [200, 204, 304, 404])
@pytest.mark.parametrize("make", [lambda kind, s: kind("body", s), lambda kind, s: kind(iter(["bo", "dy"]), s)])
def test_response_is_a_wsgi_application(make: Any, status: int, method: str) -> None:
    def run(kind: Any) -> Any:
        body, line, headers = run_wsgi_app(make(kind, status), create_environ("/", method=method))
        return b"".join(body), line, without_type(headers, status)

    mine, flasks = both(run)
    assert mine == flasks


async def call_asgi(application: Any, method: str) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        raise AssertionError("nothing to receive")

    async def send(message: Any) -> None:
        sent.append(message)

    await application({"type": "http", "method": method, "path": "/", "headers": []}, receive, send)
    return sent


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304])
def test_response_is_an_asgi_application(status: int, method: str) -> None:
    import anyio

    async def agen() -> AsyncIterator[str]:
        yield "bo"
        yield "dy"

    for body in ("body", iter(["bo", b"dy"]), agen()):
        closed: list[int] = []
        response = ours(body, status)
        response.call_on_close(lambda: closed.append(1))  # noqa: B023
        sent = anyio.run(call_asgi, response, method)
        assert (sent[0]["type"], sent[0]["status"]) == ("http.response.start", status)
        assert not sent[-1].get("more_body", False)
        text = b"".join(message.get("body", b"") for message in sent[1:])
        assert text == (b"body" if method == "GET" and status == 200 else b"")
        assert closed == [1]
        if hasattr(body, "aclose"):
            anyio.run(body.aclose)


def test_exception_is_an_application_of_both_protocols() -> None:
    import anyio

    body, status, _ = run_wsgi_app(NotFound(), create_environ("/"))
    assert status == "404 NOT FOUND"
    assert b"404 Not Found" in b"".join(body)
    assert anyio.run(call_asgi, NotFound(), "GET")[0]["status"] == 404


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("body", ["body", "stream"])
def test_bodiless_status_sends_no_body(status: int, body: str, client: Any) -> None:
    app, pulled = duoflask.Flask("app"), []

    def stream() -> Any:
        pulled.append(1)
        yield "x"

    app.add_url_rule("/", "view", lambda: (body if body == "body" else stream(), status))
    response = client(app).get("/")
    assert (response.status_code, response.data) == (status, b"")
    assert "Content-Length" not in response.headers
    assert pulled == []


def test_head_tells_the_length_and_pulls_no_stream(client: Any) -> None:
    app, pulled = duoflask.Flask("app"), []

    def stream() -> Any:
        pulled.append(1)
        yield "x"

    app.add_url_rule("/whole", "whole", lambda: "body")
    app.add_url_rule("/stream", "stream", stream)
    tester = client(app)
    assert (tester.head("/whole").content_length, tester.head("/whole").data) == (4, b"")
    assert tester.head("/stream").data == b""
    assert pulled == []


# -- made of something else


def test_force_type_takes_other_classes_and_wsgi_apps() -> None:
    class Own(ours):
        pass

    made = Own.force_type(ours("x", 201, {"X-A": "1"}))
    assert (type(made), made.status_code, made.data, made.headers["X-A"]) == (Own, 201, b"x", "1")
    forced = Own.force_type(theirs("y", 202), create_environ("/"))
    assert (type(forced), forced.status_code, forced.data) == (Own, 202, b"y")
    same = Own("z")
    assert Own.force_type(same) is same
    with pytest.raises(TypeError, match="environ"):
        Own.force_type(theirs("y"))


def test_from_app_is_that_of_flask() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("201 Made", [("Content-Type", "text/x")])
        return [b"a", b"b"]

    mine, flasks = both(lambda kind: facts(kind.from_app(application, create_environ("/"), buffered=True)))
    assert mine == flasks


def test_object_that_starts_no_response_is_refused() -> None:
    with pytest.raises(TypeError, match="did not call start_response"):
        ours.from_app(lambda environ, start_response: [], create_environ("/"))


def test_subclass_has_its_own_defaults(client: Any) -> None:
    class Own(ours):
        default_mimetype = "application/x-own"
        default_status = 202

    class Bare(ours):
        default_mimetype = None

    app = duoflask.Flask("app")
    app.response_class = Own
    app.add_url_rule("/", "view", lambda: "x")
    response = client(app).get("/")
    assert (response.status_code, response.content_type) == (202, "application/x-own")
    assert "Content-Type" not in Bare("x").headers
    assert Bare("x").content_type is None


def test_repr_is_short_and_shows_the_status() -> None:
    assert repr(ours("abc", 404)) == "<Response 3 bytes [404 NOT FOUND]>" == repr(theirs("abc", 404))


@pytest.mark.parametrize("kind", [{"default_mimetype": None}, {"automatically_set_content_length": False}])
def test_class_without_a_usual_head_sends_none(client: Any, kind: dict[str, Any]) -> None:
    app = duoflask.DuoFlask(__name__)
    app.response_class = type("Own", (duoflask.Response,), kind)

    @app.get("/")
    def text() -> str:
        return "text"

    headers = client(app).get("/").headers
    assert ("Content-Type" in headers) is ("default_mimetype" not in kind)
    assert ("Content-Length" in headers) is ("default_mimetype" in kind)


def test_response_made_of_anothers_dict_is_the_same_response() -> None:
    class Adopting(ours):
        def __init__(self, response: Any) -> None:
            self.__dict__ = response.__dict__
            self.extra = 1

    first = ours("body", 201, {"X-A": "b"}, content_type="a/b")
    closed: list[int] = []
    first.call_on_close(lambda: closed.append(1))
    second = Adopting(first)
    assert (second.get_data(), second.status_code, second.content_type) == (b"body", 201, "a/b")
    assert second.headers is first.headers
    assert second.extra == 1
    second.close()
    assert closed == [1]
    streamed = Adopting(ours(iter("ab")))
    assert streamed.is_streamed and streamed.get_data() == b"ab"


def test_response_is_copied_with_its_attributes() -> None:
    first = ours("body", 404, {"X-A": "b"})
    first.max_cookie_size = 7
    first.note = "kept"
    for second in (copy.copy(first), pickle.loads(pickle.dumps(first))):
        assert (second.get_data(), second.status_code, second.headers["X-A"]) == (b"body", 404, "b")
        assert (second.max_cookie_size, second.note) == (7, "kept")


def test_the_base_class_is_plain_text_and_the_response_html() -> None:
    assert BaseResponse("x").content_type == "text/plain; charset=utf-8"
    assert BaseResponse.of_body(b"x").content_type == "text/plain; charset=utf-8"
    assert duoflask.Response("x").content_type == "text/html; charset=utf-8"
    assert issubclass(duoflask.Response, BaseResponse)


def test_a_view_may_return_the_base_class(client: Any) -> None:
    app = duoflask.DuoFlask("bases")

    @app.get("/")
    def view() -> Any:
        return BaseResponse("<p>", 201, {"X-A": "1"})

    @app.get("/async")
    async def async_view() -> Any:
        return BaseResponse("<p>")

    sender = client(app)
    response = sender.get("/")
    assert (response.status_code, response.mimetype, response.headers["X-A"]) == (201, "text/plain", "1")
    assert sender.get("/async").content_type == "text/plain; charset=utf-8"


def test_force_type_takes_the_base_class() -> None:
    forced = duoflask.Response.force_type(BaseResponse("x"))
    assert type(forced) is duoflask.Response
    assert forced.content_type == "text/plain; charset=utf-8"
    assert BaseResponse.force_type(forced) is forced
