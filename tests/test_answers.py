from __future__ import annotations

import asyncio
import datetime
import decimal
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from typing import Any

import anyio
import flask
import pytest
from werkzeug import exceptions as werkzeug_exceptions
from werkzeug.datastructures import Headers as WerkzeugHeaders

import duoflask
from duoflask import exceptions
from duoflask.http.headers import Headers


def wsgi_hello(environ: Any, start_response: Any) -> Any:
    start_response("202 Fine", [("X-Path", environ["PATH_INFO"]), ("Content-Type", "text/x-own")])
    return [b"hello ", b"wsgi"]


def wsgi_late(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("203 Late", [("Content-Type", "text/plain")])
    yield b"late"


def wsgi_writes(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])(b"written ")
    return [b"returned"]


class Text(str):
    __slots__ = ()


class Chunks:
    def __init__(self, *chunks: Any) -> None:
        self._chunks = iter(chunks)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._chunks)


# Each takes the module, its exceptions and its Headers, and makes what a view returns.
FORMS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "str": lambda m, e, h: "text",
    "empty str": lambda m, e, h: "",
    "str beyond ascii": lambda m, e, h: "\u00e4\u20ac\U0001f600",
    "str of a subclass": lambda m, e, h: Text("text"),
    "bytes": lambda m, e, h: b"\x00\xff",
    "bytearray": lambda m, e, h: bytearray(b"bytes"),
    "dict": lambda m, e, h: {"b": 1, "a": [None, True, "\u00e4"]},
    "empty dict": lambda m, e, h: {},
    "list": lambda m, e, h: [1, {"a": 2}],
    "dict with dates": lambda m, e, h: {"d": datetime.date(2026, 1, 2), "n": decimal.Decimal("1.10")},
    "generator of str": lambda m, e, h: (c for c in "abc"),
    "generator of bytes": lambda m, e, h: (c for c in (b"a", b"", b"c")),
    "iterator object": lambda m, e, h: Chunks("a", b"b"),
    "empty generator": lambda m, e, h: iter(()),
    "tuple with a code": lambda m, e, h: ("x", 201),
    "tuple with a status": lambda m, e, h: ("x", "299 Own Word"),
    "tuple with an HTTPStatus": lambda m, e, h: ("x", HTTPStatus.ACCEPTED),
    "tuple with an unknown code": lambda m, e, h: ("x", 599),
    "tuple with a dict of headers": lambda m, e, h: ("x", {"X-A": "1", "Content-Type": "text/x-own"}),
    "tuple with a list of headers": lambda m, e, h: ("x", [("X-A", "1"), ("X-A", "2")]),
    "tuple with a list in headers": lambda m, e, h: ("x", {"X-A": ["1", "2"]}),
    "tuple with Headers": lambda m, e, h: ("x", h([("X-A", "1")])),
    "tuple with both": lambda m, e, h: ({"a": 1}, 202, {"X-A": "1"}),
    "tuple with None in it": lambda m, e, h: ("x", None, None),
    "tuple of a generator": lambda m, e, h: ((c for c in "abc"), 201, {"X-A": "1"}),
    "tuple of a response": lambda m, e, h: (
        m.Response("x", headers={"X-A": "1", "X-B": "1"}),
        201,
        {"X-A": "2"},
    ),
    "tuple of a wsgi app": lambda m, e, h: (wsgi_hello, 203, {"X-A": "1"}),
    "tuple of an exception": lambda m, e, h: (e.NotFound(response=m.Response("own", 404)), 410),
    "response": lambda m, e, h: m.Response("x", 202, {"X-A": "1"}, mimetype="text/csv"),
    "response of an iterable": lambda m, e, h: m.Response(["a", b"b"]),
    "response of a generator": lambda m, e, h: m.Response((c for c in "abc"), content_type="x/y"),
    "json": lambda m, e, h: m.jsonify(a=1, b=[2]),
    "json of a scalar": lambda m, e, h: m.jsonify(None),
    "redirect": lambda m, e, h: m.redirect("/a?b=%C3%A4#c"),
    "redirect with a code": lambda m, e, h: m.redirect("https://example.org/x", 303),
    "wsgi app": lambda m, e, h: wsgi_hello,
    "wsgi app as generator": lambda m, e, h: wsgi_late,
    "wsgi app that writes": lambda m, e, h: wsgi_writes,
    "make_response": lambda m, e, h: m.make_response("x", 201, {"X-A": "1"}),
    "make_response of nothing": lambda m, e, h: m.make_response(),
    "exception with a response": lambda m, e, h: e.NotFound(response=m.Response("own", 404)),
    "no content": lambda m, e, h: ("", 204),
    "not modified": lambda m, e, h: ("", 304, {"ETag": '"x"'}),
    "content length of its own": lambda m, e, h: ((c for c in ("a", "b")), {"Content-Length": "2"}),
    "cookie": lambda m, e, h: ("x", {"Set-Cookie": "a=b"}),
}
# A Werkzeug exception's page has other words.
PAGES: dict[str, Callable[[Any], Any]] = {
    "exception": lambda e: e.Forbidden("not you"),
    "exception with headers": lambda e: e.MethodNotAllowed(["GET"]),
    "tuple of an exception": lambda e: (e.Forbidden("not you"), 451, {"X-A": "1"}),
}


def as_sync(make: Callable[[], Any]) -> Callable[[], Any]:
    return make


def as_async(make: Callable[[], Any]) -> Callable[[], Any]:
    async def view() -> Any:
        await anyio.sleep(0)
        return make()

    return view


def fields_of(response: Any) -> list[tuple[str, str]]:
    # Werkzeug leaves Content-Type on a 204, which wsgiref's validator refuses.
    dropped = "content-type" if response.status_code == 204 else ""
    pairs = [(name.lower(), value) for name, value in response.headers.items()]
    return [pair for pair in pairs if pair[0] != dropped]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("colour", [as_sync, as_async])
@pytest.mark.parametrize("form", FORMS)
def test_answer_is_that_of_flask(form: str, colour: Any, method: str, client: Any) -> None:
    make = FORMS[form]
    ours, theirs = duoflask.Flask("ours"), flask.Flask("theirs")
    ours.add_url_rule("/x", "x", colour(lambda: make(duoflask, exceptions, Headers)))
    theirs.add_url_rule("/x", "x", lambda: make(flask, werkzeug_exceptions, WerkzeugHeaders))
    got, expected = client(ours).open("/x", method=method), theirs.test_client().open("/x", method=method)
    if got.status_code < 600 and client(ours).protocol == "asgi":
        assert got.status_code == expected.status_code  # ASGI carries no reason phrase
    else:
        assert got.status == expected.status
    assert got.data == expected.data
    assert fields_of(got) == fields_of(expected)


@pytest.mark.parametrize("colour", [as_sync, as_async])
@pytest.mark.parametrize("form", PAGES)
def test_returned_exception_is_its_page(form: str, colour: Any, client: Any) -> None:
    make = PAGES[form]
    ours, theirs = duoflask.Flask("ours"), flask.Flask("theirs")
    ours.add_url_rule("/x", "x", colour(lambda: make(exceptions)))
    theirs.add_url_rule("/x", "x", lambda: make(werkzeug_exceptions))
    got, expected = client(ours).get("/x"), theirs.test_client().get("/x")
    assert got.status_code == expected.status_code
    assert got.mimetype == expected.mimetype
    assert got.headers.get("Allow") == expected.headers.get("Allow")
    assert got.headers.get("X-A") == expected.headers.get("X-A")
    assert b"not you" in got.data or "Forbidden" not in expected.text


async def async_text() -> AsyncIterator[str]:
    for chunk in ("a", "\u00e4", ""):
        await anyio.sleep(0)
        yield chunk


async def async_bytes() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"\xff"


@pytest.mark.parametrize("colour", [as_sync, as_async])
@pytest.mark.parametrize(
    ("make", "status", "body"),
    [
        (async_text, 200, "a\u00e4".encode()),
        (async_bytes, 200, b"a\xff"),
        (lambda: (async_bytes(), 201, {"X-A": "1"}), 201, b"a\xff"),
        (lambda: duoflask.Response(async_text(), 202), 202, "a\u00e4".encode()),
    ],
)
def test_async_iterator_is_a_body(make: Any, status: int, body: bytes, colour: Any, client: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "view", colour(make))
    response = client(app).get("/")
    assert (response.status_code, response.data) == (status, body)
    assert "Content-Length" not in response.headers


def test_async_generator_function_is_a_view(client: Any) -> None:
    app = duoflask.Flask("app")

    @app.route("/<name>")
    async def view(name: str) -> AsyncIterator[str]:
        yield name
        await anyio.sleep(0)
        yield duoflask.request.method

    assert client(app).get("/x").text == "xGET"


def test_generator_function_is_a_view(client: Any) -> None:
    app = duoflask.Flask("app")

    @app.route("/")
    def view() -> Iterator[str]:
        yield "a"
        yield duoflask.request.method

    assert client(app).get("/").text == "aGET"


def test_response_class_of_the_app_is_used_for_every_form(client: Any) -> None:
    class Own(duoflask.Response):
        default_mimetype = "text/x-own"

    app = duoflask.Flask("app")
    app.response_class = Own
    app.add_url_rule("/<form>", "view", lambda form: FORMS[form](duoflask, exceptions, Headers))
    seen = []
    app.after_request(lambda response: seen.append(type(response)) or response)
    tester = client(app)
    for form in FORMS:
        tester.get(f"/{form}").close()
    assert set(seen) == {Own}
    assert tester.get("/str").mimetype == "text/x-own"
    assert tester.get("/tuple with a code").mimetype == "text/x-own"


def test_foreign_wsgi_app_does_not_run_on_the_loop(client: Any) -> None:
    app, loops = duoflask.Flask("app"), []

    def foreign(environ: Any, start_response: Any) -> Any:
        try:
            loops.append(asyncio.get_running_loop())
        except RuntimeError:
            pass
        return wsgi_hello(environ, start_response)

    app.add_url_rule("/plain", "plain", as_async(lambda: foreign))
    app.add_url_rule("/tuple", "tuple", as_async(lambda: (foreign, 200)))
    tester = client(app)
    assert tester.get("/plain").text == "hello wsgi"
    assert loops == []
    assert tester.get("/tuple").text == "hello wsgi"
    assert loops == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "returned None; expected a response"),
        ((None, 200), "returned None; expected a response"),
        (("a",), "returned a tuple of 1 items; the tuple must have the form"),
        (("a", 200, {}, 1), "returned a tuple of 4 items; the tuple must have the form"),
        (7, "returned no response: it was a int; expected"),
        ({1}, "returned no response: it was a set; expected"),
        (object, "returned the class 'object'"),
    ],
)
@pytest.mark.parametrize("colour", [as_sync, as_async])
def test_wrong_answer_is_an_error_that_names_the_view(answer: Any, message: str, colour: Any, client: Any) -> None:
    app = duoflask.Flask("app")
    app.testing = True
    view = colour(lambda: answer)
    view.__qualname__ = "my_view"
    app.add_url_rule("/", "shop.index", view)
    with pytest.raises(TypeError, match="the view 'my_view'.*shop.index") as caught:
        client(app).get("/")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        ("x", "200 OK\r\nX-A: 1"),
        ("x", {"X-A": "a\r\nX-B: b"}),
        ("x", {"X-A\n": "a"}),
        ("x", 200, [("X A", "a")]),
    ],
)
def test_answer_that_would_split_the_response_is_an_error(answer: Any, client: Any) -> None:
    app = duoflask.Flask("app")
    app.testing = True
    app.add_url_rule("/", "view", lambda: answer)
    with pytest.raises(ValueError, match="invalid"):
        client(app).get("/")


def test_wrong_piece_of_a_body_is_an_error_that_names_it(client: Any) -> None:
    app = duoflask.Flask("app")
    app.logger.disabled = True
    app.add_url_rule("/", "view", lambda: iter([b"a", 1]))
    with pytest.raises(TypeError, match="expected str or bytes; got int"):
        _ = client(app).get("/").data
