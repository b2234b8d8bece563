from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import anyio
import flask
import pytest
from werkzeug.test import create_environ as oracle_environ, run_wsgi_app

import duoflask
from duoflask.testing import create_environ

ours, theirs = duoflask.Response, flask.Response


async def call_asgi(application: Any, method: str = "GET") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        raise AssertionError("nothing to receive")

    async def send(message: Any) -> None:
        sent.append(message)

    await application({"type": "http", "method": method, "path": "/", "headers": []}, receive, send)
    return sent


async def guest(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that answers with the request's body and path."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    assert scope["extensions"] == {}
    await send({"type": "http.response.start", "status": 203, "headers": [(b"x-a", b"1"), (b"content-type", b"a/b")]})
    await send({"type": "http.response.body", "body": scope["method"].encode() + b" " + body, "more_body": True})
    await anyio.sleep(0)
    await send({"type": "http.response.body", "body": b" " + scope["path"].encode()})


def wsgi_guest(environ: Any, start_response: Any) -> Any:
    start_response("202 Fine", [("Content-Type", "a/b")])
    return [environ["REQUEST_METHOD"].encode(), b" ", environ["wsgi.input"].read(), environ["PATH_INFO"].encode()]


# -- what a view returns


def app_of_guests() -> duoflask.DuoFlask:
    app = duoflask.DuoFlask("app")
    app.testing = False

    @app.route("/asgi/def", methods=["GET", "POST"])
    def asgi_def() -> Any:
        return guest

    @app.route("/asgi/async", methods=["GET", "POST"])
    async def asgi_async() -> Any:
        return guest

    @app.route("/wsgi/def", methods=["GET", "POST"])
    def wsgi_def() -> Any:
        return wsgi_guest

    @app.route("/wsgi/async", methods=["GET", "POST"])
    async def wsgi_async() -> Any:
        return wsgi_guest, {"X-A": "1"}

    return app


@pytest.mark.parametrize("path", ["/def", "/async"])
@pytest.mark.parametrize("body", [b"", b"12345", b"x" * 300_000])
def test_asgi_application_is_an_answer(loop_client: Any, path: str, body: bytes) -> None:
    response = loop_client(app_of_guests()).post(f"/asgi{path}", data=body)
    assert (response.status_code, response.headers["X-A"], response.content_type) == (203, "1", "a/b")
    assert response.data == b"POST " + body + b" /asgi" + path.encode()


@pytest.mark.parametrize("path", ["/def", "/async"])
@pytest.mark.parametrize("body", [b"", b"12345", b"x" * 300_000])
def test_wsgi_application_is_an_answer(loop_client: Any, path: str, body: bytes) -> None:
    response = loop_client(app_of_guests()).post(f"/wsgi{path}", data=body)
    assert response.status_code == 202
    assert response.data == b"POST " + body + b"/wsgi" + path.encode()


def test_head_of_a_guest_has_no_body(loop_client: Any) -> None:
    tester = loop_client(app_of_guests())
    for path in ("/asgi/def", "/asgi/async", "/wsgi/def", "/wsgi/async"):
        response = tester.head(path)
        assert response.status_code in (202, 203)
        assert response.data == b""


def test_guest_that_is_refused_names_the_view(client: Any) -> None:
    app = duoflask.DuoFlask("app")
    app.add_url_rule("/", "view", lambda: lambda one, two, three, four: None)
    app.testing = True
    with pytest.raises(TypeError, match="no WSGI or ASGI application"):
        client(app).get("/")


def test_errors_of_a_guest_have_their_handler(client: Any) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("oh")

    def failing_wsgi(environ: Any, start_response: Any) -> Any:
        raise LookupError("oh")

    app = duoflask.DuoFlask("app")
    app.testing = False
    app.add_url_rule("/asgi", "asgi", lambda: failing)
    app.add_url_rule("/wsgi", "wsgi", lambda: failing_wsgi)

    @app.errorhandler(LookupError)
    async def failed(error: Exception) -> Any:
        return "handled", 418

    app.errorhandler(500)(lambda error: ("handled", 418))
    tester = client(app)
    assert tester.get("/asgi").status_code == 418
    assert tester.get("/wsgi").status_code == 418


def test_guest_with_an_invalid_field_is_ended(client: Any) -> None:
    ended = threading.Event()

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\r\nb")]})
            await send({"type": "http.response.body", "body": b"x"})
        finally:
            ended.set()

    app = duoflask.DuoFlask("app")
    app.testing = False
    app.logger.disabled = True
    app.add_url_rule("/", "view", lambda: broken)
    assert client(app).get("/").status_code == 500
    assert ended.wait(20)


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_guest_with_an_invalid_status_is_ended(client: Any, colour: str, protocol: str) -> None:
    ended = threading.Event()

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 9999, "headers": []})
            await send({"type": "http.response.body", "body": b"x"})
        finally:
            ended.set()

    class Body(list[bytes]):
        def close(self) -> None:
            ended.set()

    def wsgi_broken(environ: Any, start_response: Any) -> Any:
        start_response("9999 Oops", [])
        return Body()

    guest = broken if protocol == "asgi" else wsgi_broken

    async def view() -> Any:
        return guest

    app = duoflask.DuoFlask("app")
    app.testing = False
    app.logger.disabled = True
    app.add_url_rule("/", "view", view if colour == "async def" else lambda: guest)
    assert client(app).get("/").status_code == 500
    assert ended.wait(20)


# -- force_type and from_app


def test_from_app_takes_an_asgi_application() -> None:
    environ = create_environ("/q", method="POST", data=b"zz")
    response = ours.from_app(guest, environ, buffered=True)
    assert (response.status_code, response.get_data(), response.is_sequence) == (203, b"POST zz /q", True)
    streamed = ours.force_type(guest, create_environ("/q"))
    assert streamed.is_async
    assert b"".join(run_wsgi_app(streamed, create_environ("/"), buffered=True)[0]) == b"GET  /q"


def test_application_without_a_request_is_refused() -> None:
    for app in (guest, wsgi_guest, theirs("x")):
        with pytest.raises(TypeError, match="environ"):
            ours.force_type(app)


def test_force_type_on_a_running_loop_says_what_to_do() -> None:
    async def main() -> None:
        ours.force_type(guest, create_environ("/"))

    with pytest.raises(RuntimeError, match="event loop"):
        anyio.run(main)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("buffered", [False, True])
def test_wsgi_application_is_taken_as_by_flask(late: bool, buffered: bool) -> None:
    closed: list[int] = []

    class Body:
        def __init__(self, start: Any) -> None:
            self.start = start

        def __iter__(self) -> Any:
            write = self.start("201 Made", [("X-A", "1")])
            write(b"written ")
            yield b"a"
            yield b"b"

        def close(self) -> None:
            closed.append(1)

    def app(environ: Any, start_response: Any) -> Any:
        if late:
            return Body(start_response)
        start_response("201 Made", [("X-A", "1")])(b"written ")
        return [b"a", b"b"]

    def walk(kind: Any) -> Any:
        response = kind.from_app(app, oracle_environ("/"), buffered)
        seen = response.status, response.headers["X-A"], response.get_data()
        response.close()
        return seen

    answer = walk(ours)
    assert answer == ("201 Made", "1", b"written ab")
    assert closed == ([1] if late else [])
    if not late and not buffered:  # Werkzeug loses what is written
        assert answer == walk(theirs)


def test_wsgi_application_that_fails_is_closed() -> None:
    closed: list[int] = []

    class Body:
        def __iter__(self) -> Any:
            raise LookupError("oh")

        def close(self) -> None:
            closed.append(1)

    with pytest.raises(LookupError):
        ours.from_app(lambda environ, start_response: Body(), create_environ("/"))
    assert closed == [1]


def test_buffered_application_whose_body_fails_is_closed() -> None:
    closed: list[int] = []

    class Body:
        def __iter__(self) -> Any:
            yield b"a"
            raise LookupError("oh")

        def close(self) -> None:
            closed.append(1)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Body()

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            raise LookupError("oh")
        finally:
            closed.append(2)

    for application in (app, asgi):
        with pytest.raises(LookupError):
            ours.from_app(application, create_environ("/"), buffered=True)
    assert closed == [1, 2]


def test_forced_class_keeps_everything() -> None:
    class Own(ours):
        default_mimetype = "text/own"

    response = ours("x", 201)
    response.call_on_close(lambda: None)
    response.json_module = json = object()
    forced = Own.force_type(response)
    assert (type(forced), forced.status, forced.get_data()) == (Own, "201 CREATED", b"x")
    assert forced.content_type == "text/html; charset=utf-8"
    assert forced.json_module is json
    assert len(forced._on_close) == 1


# -- a response that a server calls


async def pieces() -> AsyncIterator[str]:
    yield "bo"
    await anyio.sleep(0)
    yield "dy"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_async_body_goes_out_under_wsgi(method: str) -> None:
    body, status, _ = run_wsgi_app(ours(pieces()), oracle_environ("/", method=method))
    assert (b"".join(body), status) == (b"body" if method == "GET" else b"", "200 OK")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_sync_body_is_read_in_a_thread_under_asgi(backend: str) -> None:
    threads: set[int] = set()

    def slow() -> Any:
        for piece in ("bo", "dy"):
            threads.add(threading.get_ident())
            yield piece

    sent = anyio.run(call_asgi, ours(slow()), backend=backend)
    assert b"".join(message.get("body", b"") for message in sent[1:]) == b"body"
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_response_is_closed_once_under_asgi_whatever_is_raised(backend: str) -> None:
    for body in (pieces(), iter("ab"), "text"):
        closed: list[str] = []

        async def done() -> None:
            await anyio.sleep(0)
            closed.append("async")  # noqa: B023

        response = ours(body)
        response.call_on_close(done)
        response.call_on_close(lambda: closed.append("def"))  # noqa: B023

        async def broken(message: Any) -> None:
            raise ConnectionResetError

        async def main() -> None:
            with pytest.raises(ConnectionResetError):
                await response({"type": "http", "method": "GET"}, None, broken)  # noqa: B023

        anyio.run(main, backend=backend)
        assert sorted(closed) == ["async", "def"]
        response.close()
        assert len(closed) == 2
        if body is not None and hasattr(body, "aclose"):
            anyio.run(body.aclose, backend=backend)


def test_async_callback_runs_on_the_portal_under_wsgi() -> None:
    closed: list[int] = []

    async def done() -> None:
        closed.append(1)

    response = ours("x")
    response.call_on_close(done)
    run_wsgi_app(response, oracle_environ("/"), buffered=True)[0]
    response.close()
    assert closed == [1]


def test_complete_body_is_one_message() -> None:
    sent = anyio.run(call_asgi, ours("body"))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert not sent[1].get("more_body", False)


@pytest.mark.parametrize("status", [100, 103, 204, 304])
def test_bodiless_status_has_no_length(status: int) -> None:
    for body in ("x", iter("x")):
        sent = anyio.run(call_asgi, ours(body, status))
        assert [name for name, _ in sent[0]["headers"] if name.startswith(b"content-")] == []
        assert sent[-1]["body"] == b""


def test_304_tells_nothing_of_the_body_as_with_flask() -> None:
    fields = dict.fromkeys(("Allow", "Content-Encoding", "Content-Language", "Content-Location", "Content-MD5"), "x")
    fields |= {"Content-Range": "bytes 0-1/2", "Last-Modified": "x", "Expires": "0", "ETag": '"a"', "Vary": "x"}

    def walk(kind: Any) -> Any:
        return sorted(kind("x", 304, fields).get_wsgi_headers(oracle_environ("/")))

    assert walk(ours) == walk(theirs)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304, 404])
def test_app_iter_is_that_of_flask(method: str, status: int) -> None:
    def walk(kind: Any) -> Any:
        response = kind(["a", "b"], status)
        body = response.get_app_iter(oracle_environ("/", method=method))
        return b"".join(body), hasattr(body, "close")

    assert walk(ours) == walk(theirs)


def test_overridden_app_iter_and_headers_are_used_by_the_response_itself() -> None:
    class Own(ours):
        def get_app_iter(self, environ: Any) -> Any:
            return [b"own"]

        def get_wsgi_headers(self, environ: Any) -> Any:
            headers = super().get_wsgi_headers(environ)
            headers["X-A"] = environ["PATH_INFO"]
            return headers

    body, _, headers = run_wsgi_app(Own("x"), oracle_environ("/p"))
    assert (b"".join(body), headers["X-A"]) == (b"own", "/p")


def test_location_is_made_absolute_if_the_class_wants_it() -> None:
    def walk(kind: Any) -> Any:
        class Own(kind):  # type: ignore[misc]
            autocorrect_location_header = True

        seen = []
        for location in ("a?b#c", "/x/../y", "//other/x", "http://other/", "\u00e4", ""):
            response = Own("", 302, {"Location": location})
            seen.append(response.get_wsgi_headers(oracle_environ("/p/q?r"))["Location"])
        return seen

    assert walk(ours) == walk(theirs)
