from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import werkzeug.test

from duoflask.testing import ProtocolError
from duoflask.testing.wsgi_run import run_wsgi, run_wsgi_app


class Body:
    def __init__(self, *pieces: Any, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.error = error
        self.closed = 0
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        for piece in self.pieces:
            self.taken += 1
            yield piece
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1


def app_of(body: Any, *fields: tuple[str, str], status: Any = "200 OK") -> Any:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response(status, list(fields))
        return body  # type: ignore[no-any-return]

    return app


def test_a_stream_is_read_on_demand_and_closed_at_its_end() -> None:
    body = Body(b"", b"a", b"b", b"c")
    answer = run_wsgi(app_of(body), {})
    assert body.taken == 2
    assert b"".join(answer.body) == b"abc"
    assert body.closed == 1


def test_a_stream_given_up_is_closed_once() -> None:
    body = Body(b"a", b"b")
    answer = run_wsgi(app_of(body), {})
    answer.body.close()  # type: ignore[attr-defined]
    answer.body.close()  # type: ignore[attr-defined]
    assert (body.closed, body.taken) == (1, 1)
    assert list(answer.body) == [b"a"]


@pytest.mark.parametrize("body", [Body(b"abc"), Body(b"", b"abc", b"")])
def test_a_body_whose_length_is_reached_is_closed_at_once(body: Body) -> None:
    answer = run_wsgi(app_of(body, ("content-length", "3")), {})
    assert (b"".join(answer.body), body.closed) == (b"abc", 1)


def test_a_buffered_body_is_closed_at_once() -> None:
    body = Body(b"a", b"b")
    assert list(run_wsgi(app_of(body), {}, buffered=True).body) == [b"a", b"b"]
    assert body.closed == 1


def test_an_error_in_the_body_comes_out_and_closes_it() -> None:
    body = Body(b"a", error=ValueError("boom"))
    answer = run_wsgi(app_of(body), {})
    with pytest.raises(ValueError, match="boom"):
        list(answer.body)
    assert body.closed == 1


def test_start_response_may_come_with_the_first_piece() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])(b"written ")
        yield b"body"

    assert list(run_wsgi(app, {}).body) == [b"written ", b"body"]


def test_exc_info_replaces_a_head_that_was_not_sent() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            raise ValueError
        except ValueError:
            start_response("500 X", [], sys.exc_info())
        return [b"sorry"]

    assert run_wsgi(app, {}).status == "500 X"


def test_exc_info_after_the_first_piece_is_raised() -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        try:
            raise ValueError("boom")
        except ValueError:
            start_response("500 X", [], sys.exc_info())
        yield b"b"

    with pytest.raises(ValueError, match="boom"):
        list(run_wsgi(app, {}).body)


def twice(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


@pytest.mark.parametrize(
    ("app", "message"),
    [
        (lambda environ, start_response: [], "without calling start_response"),
        (lambda environ, start_response: [b"x"], "before start_response"),
        (twice, "called twice"),
        (app_of(["text"]), "expected bytes; got str"),
        (app_of([], status=200), "invalid status"),
        (app_of([], status="200"), "invalid status"),
        (app_of([], ("X", "a\r\nb")), "expected one line"),
        (app_of([], ("X", b"1")), "expected two strings"),  # type: ignore[arg-type]
    ],
)
def test_an_app_that_breaks_the_protocol_is_refused(app: Any, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        run_wsgi(app, {})


PIECES = [
    lambda: Body(b"a", b"b"),
    lambda: [b"a", b"b"],
    lambda: ["a", 5],  # nothing is checked
    lambda: [],
    lambda: iter([b""]),
]


@pytest.mark.parametrize("make", PIECES)
@pytest.mark.parametrize("buffered", [False, True])
def test_run_wsgi_app_is_werkzeugs(make: Any, buffered: bool) -> None:
    bodies = make(), make()
    answers = []
    for run, body in zip((run_wsgi_app, werkzeug.test.run_wsgi_app), bodies):
        pieces, status, headers = run(app_of(body, ("X-A", "1"), ("X-A", "2")), {"wsgi.version": (1, 0)}, buffered)
        got = (list(pieces), status, list(headers))
        getattr(pieces, "close", lambda: None)()
        answers.append((got, getattr(body, "closed", None)))
    assert answers[0] == answers[1]


def test_run_wsgi_app_reads_no_further_than_the_start() -> None:
    body = Body(b"a", b"b")
    run_wsgi_app(app_of(body), {})
    assert (body.taken, body.closed) == (1, 0)


def test_run_wsgi_app_keeps_what_is_written_in_front() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])(b"written ")
        yield b"and "
        yield b"yielded"

    assert b"".join(run_wsgi_app(app, {})[0]) == b"written and yielded"


def test_run_wsgi_app_gives_the_app_a_copy() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        environ["a"] = 2
        start_response("200 OK", [])
        return []

    environ = {"a": 1}
    run_wsgi_app(app, environ)
    run_wsgi_app(app, SimpleNamespace(environ=environ))
    assert environ == {"a": 1}


def test_run_wsgi_app_raises_what_the_app_reports_or_forgets() -> None:
    def reporting(environ: Any, start_response: Any) -> Iterable[bytes]:
        try:
            raise LookupError("in the app")
        except LookupError:
            start_response("500 Oh", [], sys.exc_info())
        return []

    with pytest.raises(LookupError):
        run_wsgi_app(reporting, {})
    with pytest.raises(ProtocolError):
        run_wsgi_app(lambda environ, start_response: [b"x"], {})
