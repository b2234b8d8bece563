from __future__ import annotations

import gc
import io
import warnings
from typing import Any

import pytest

import duoflask
from duoflask.middleware import LintMiddleware
from duoflask.middleware.lint import WSGIWarning
from duoflask.testing import create_environ


def heard(app: Any, environ: Any = None, *, close: bool = True, read: bool = True) -> list[str]:
    """The warnings of one request, each as its category and text."""

    def start_response(*args: Any, **kwargs: Any) -> Any:
        return lambda data: None

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        body = LintMiddleware(app)(environ or create_environ("/"), start_response)
        if read:
            list(body)
        if close:
            body.close()
        del body
        gc.collect()
    return [f"{item.category.__name__}: {item.message}" for item in caught]


def answering(status: Any = "200 OK", headers: Any = None, body: Any = (b"x",), *exc_info: Any) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        start_response(status, [("Content-Type", "text/plain")] if headers is None else headers, *exc_info)
        return body

    return app


def test_a_duoflask_app_gives_no_reason_to_warn(client: Any) -> None:
    app = duoflask.DuoFlask("linted")
    LintMiddleware.install(app)

    @app.post("/")
    def view() -> Any:
        return duoflask.request.get_data() + b"!"

    @app.get("/stream")
    def stream() -> Any:
        return iter("ab")

    sender = client(app)
    assert sender.post("/", data=b"x").data == b"x!"
    assert sender.get("/stream").data == b"ab"
    assert sender.get("/nowhere").status_code == 404
    assert heard(app.wsgi_app, create_environ("/stream", method="HEAD")) == []


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("wsgi.version", (0, 7), "wsgi.version"),
        ("SCRIPT_NAME", "a", "'SCRIPT_NAME' does not start"),
        ("PATH_INFO", "a", "'PATH_INFO' does not start"),
    ],
)
def test_a_wrong_environ(key: str, value: Any, text: str) -> None:
    environ = create_environ("/")
    environ[key] = value
    (warning,) = heard(answering(), environ)
    assert warning.startswith("WSGIWarning") and text in warning


def test_an_environ_without_a_key() -> None:
    environ = create_environ("/")
    del environ["wsgi.run_once"]
    assert heard(answering(), environ) == ["WSGIWarning: the environ has no 'wsgi.run_once'"]


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        (answering(b"200 OK"), ["WSGIWarning: invalid status; expected str; got bytes"]),
        (
            answering("20 OK"),
            ["WSGIWarning: invalid status code", "WSGIWarning: invalid status;", "WSGIWarning: invalid status code"],
        ),
        (answering("200"), ["WSGIWarning: invalid status; expected three digits, a blank"]),
        (answering("700 No"), ["HTTPWarning: invalid status code"]),
        (answering(headers=(("A", "b"),)), ["WSGIWarning: Header list is not a list."]),
        (answering(headers=["ab"]), ["WSGIWarning: Header items must be 2-item tuples."]),
        (answering(headers=[("A", 1)]), ["WSGIWarning: invalid header field; expected two strings"]),
        (answering(headers=[("Status", "200")]), ["WSGIWarning: The status header is not supported."]),
        (answering(headers=[("A b", "c")]), ["WSGIWarning: invalid header field 'A b'"]),
        (answering(headers=[("A", "c\r\nB: d")]), ["WSGIWarning: invalid header field 'A'"]),
        (answering(headers=[("Content-Length", "x")]), ["HTTPWarning: invalid Content-Length"]),
        (answering(headers=[("Content-Length", "2")]), ["HTTPWarning: Content-Length is 2, but the body has 1"]),
        (answering(headers=[("ETag", "a")]), ["HTTPWarning: invalid ETag"]),
        (answering(headers=[("ETag", 'W/"a"')]), []),
        (answering("204 No Content"), ["HTTPWarning: an answer to GET with status 204"]),
        (answering("304 Not Modified", [("Content-Length", "5")], ()), ["HTTPWarning: a response 304 has no body"]),
        (answering(body=["x"]), ["WSGIWarning: invalid piece of a body; expected bytes; got str"]),
        (answering(body=b"xy"), ["WSGIWarning: the body is sent byte by byte", *["WSGIWarning: invalid piece"] * 2]),
    ],
)
def test_a_wrong_answer(app: Any, expected: list[str]) -> None:
    found = heard(app)
    assert len(found) == len(expected), found
    assert all(warning.startswith(text) for warning, text in zip(found, expected)), found


def test_a_body_for_head() -> None:
    (warning,) = heard(answering(), create_environ("/", method="HEAD"))
    assert "an answer to HEAD" in warning


def test_start_response_in_the_wrong_place() -> None:
    def never(environ: Any, start_response: Any) -> Any:
        return [b""]

    def late(environ: Any, start_response: Any) -> Any:
        yield b"x"
        start_response("200 OK", [])

    def twice(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return []

    def named(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", headers=[])
        return []

    assert heard(never) == ["WSGIWarning: the body ended before start_response was called"]
    assert heard(late) == ["WSGIWarning: a piece of the body came before start_response was called"]
    assert heard(twice) == ["WSGIWarning: start_response was called twice; a second call needs exc_info"]
    assert "with names" in heard(named)[0]


def test_what_is_written_counts() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "3")])(b"ab")
        return [b"c"]

    assert heard(app) == []


def test_a_server_that_does_not_close_or_reads_on() -> None:
    assert heard(answering(), close=False) == ["WSGIWarning: the server has not closed the body"]

    def start_response(*args: Any) -> Any:
        return lambda data: None

    body = LintMiddleware(answering())(create_environ("/"), start_response)
    body.close()
    with pytest.warns(WSGIWarning, match="after it has closed"):
        next(body)


def test_the_streams_of_the_server() -> None:
    def app(environ: Any, start_response: Any) -> Any:
        assert environ["wsgi.input"].read() == b"abc"
        environ["wsgi.input"].close()
        environ["wsgi.errors"].write("fine")
        environ["wsgi.errors"].flush()
        start_response("200 OK", [])
        return []

    environ = create_environ("/", data=b"abc", errors_stream=io.StringIO())
    found = heard(app, environ)
    assert len(found) == 2
    assert "without a size" in found[0] and "closes a stream" in found[1]
