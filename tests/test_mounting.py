"""Applications of other frameworks below a prefix, of either protocol under either."""

from __future__ import annotations

import io
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import anyio
import flask
import pytest
import starlette.applications
import starlette.background
import starlette.responses
import starlette.routing

import duoflask
from duoflask.mounting import PrefixTable
from duoflask.testing import create_environ


def outer() -> duoflask.Flask:
    app = duoflask.Flask("outer")
    app.testing = True
    app.add_url_rule("/", "index", lambda: "outer")
    app.add_url_rule("/<path:path>", "rest", lambda path: f"outer has {path}")
    return app


def echo_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    """Answers with what it was asked; checked against PEP 3333 from the server's side."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_X_A", "CONTENT_TYPE")
    text = "|".join(environ.get(name, "") for name in names).encode("latin-1") + b"|" + body
    head = [("Content-Type", "text/plain"), ("Content-Length", str(len(text))), ("X-B", "1"), ("Set-Cookie", "a=b")]
    start_response("201 Made", head)
    return [text]


async def echo_asgi(scope: Any, receive: Any, send: Any) -> None:
    """The same as an ASGI application."""
    if scope["type"] == "lifespan":
        raise RuntimeError("this one does not speak it")
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    headers = dict(scope["headers"])
    root = scope["root_path"].encode()
    path = scope["path"].encode()
    assert path.startswith(root)
    parts = [
        scope["method"].encode(),
        root,
        path[len(root) :],
        scope["query_string"],
        headers.get(b"x-a", b""),
        headers.get(b"content-type", b""),
        body,
    ]
    text = b"|".join(parts)
    head = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text)), (b"x-b", b"1")]
    await send({"type": "http.response.start", "status": 201, "headers": [*head, (b"set-cookie", b"a=b")]})
    await send({"type": "http.response.body", "body": text})


@pytest.fixture(params=["wsgi", "asgi"])
def echo(request: pytest.FixtureRequest) -> Any:
    return validator(echo_wsgi) if request.param == "wsgi" else echo_asgi


def test_request_and_response_pass_through(client: Any, echo: Any) -> None:
    app = outer()
    app.mount("/echo", echo)
    response = client(app).post(
        "/echo/ä/b?x=%C3%BC%20y", data=b"body", headers={"X-A": "field"}, content_type="application/x-test"
    )
    assert response.status_code == 201
    text = response.get_data().decode()
    assert text == "POST|/echo|/ä/b|x=%C3%BC%20y|field|application/x-test|body"
    assert response.headers["X-B"] == "1"
    assert response.headers.getlist("Set-Cookie") == ["a=b"]


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/a", "a|"),
        ("/a/", "a|/"),
        ("/a/x/y", "a|/x/y"),
        ("/a/b", "ab|"),
        ("/a/b/c", "ab|/c"),
        ("/a/bc", "a|/bc"),
        ("/ab", "outer has ab"),
        ("/", "outer"),
        ("/x/a", "outer has x/a"),
        ("/é/x", "e|/x"),
    ],
)
def test_longest_prefix_of_whole_segments_wins(client: Any, path: str, answer: str) -> None:
    def named(name: str) -> Any:
        def application(environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [f"{name}|{environ['PATH_INFO']}".encode()]

        return application

    app = outer()
    app.mount("/a", named("a"))
    app.mount("/a/b", named("ab"))
    app.mount("/é/", named("e"))
    assert client(app).get(path).text == answer


def test_no_hook_of_the_outer_app_runs(client: Any, echo: Any) -> None:
    app = outer()
    ran = []
    app.before_request(lambda: ran.append("before"))
    app.after_request(lambda response: ran.append("after") or response)
    app.teardown_request(lambda exc: ran.append("teardown"))
    app.teardown_appcontext(lambda exc: ran.append("appcontext"))
    app.mount("/echo", echo)
    made = client(app)
    assert made.get("/echo").status_code == 201
    assert ran == []
    assert made.get("/").text == "outer"
    assert ran == ["before", "after", "teardown", "appcontext"]


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_contexts_of_a_mounted_duoflask_app_are_its_own(client: Any, colour: str) -> None:
    inner = duoflask.Flask("inner")

    def view() -> Any:
        with app.app_context():
            assert duoflask.current_app.name == "outer"
        assert duoflask.current_app.name == "inner"
        return duoflask.jsonify(
            [duoflask.request.root_path, duoflask.request.path, duoflask.url_for("view"), duoflask.request.base_url]
        )

    async def view_async() -> Any:
        await anyio.sleep(0)
        return view()

    inner.add_url_rule("/v", "view", view if colour == "def" else view_async)
    app = outer()
    app.mount("/in/ner", inner)
    made = client(app)
    expected = ["/in/ner", "/v", "/in/ner/v", "http://localhost/in/ner/v"]
    assert made.get("/in/ner/v").json == expected
    assert made.get("/").text == "outer"
    assert not duoflask.has_app_context()


def test_mounts_nest(client: Any, echo: Any) -> None:
    middle, app = duoflask.Flask("middle"), outer()
    middle.mount("/b", echo)
    app.mount("/a", middle)
    assert client(app).get("/a/b/c").text == "GET|/a/b|/c||||"


def test_flask_and_starlette_apps_are_mounted(client: Any) -> None:
    old = flask.Flask("old")

    @old.route("/<name>", methods=["POST"])
    def hello(name: str) -> str:
        return f"{name} {flask.request.form['a']} {flask.url_for('hello', name='x')} {flask.request.remote_addr}"

    async def new(request: Any) -> Any:
        form = (await request.body()).decode()
        return starlette.responses.PlainTextResponse(f"{form} {request.url_for('new').path}")

    routes = [starlette.routing.Route("/new", new, methods=["POST"], name="new")]
    app = outer()
    app.mount("/old", old)
    app.mount("/starlette", starlette.applications.Starlette(routes=routes))
    made = client(app)
    assert made.post("/old/ada", data={"a": "b"}).text == "ada b /old/x 127.0.0.1"
    assert made.post("/starlette/new", data={"a": "b"}).text == "a=b /starlette/new"
    assert made.get("/starlette/none").status_code == 404


def test_middleware_installed_before_stays_around_the_mounted_application(client: Any, echo: Any) -> None:
    app = outer()
    seen = []
    wsgi_app, asgi_app = app.wsgi_app, app.asgi_app

    def around_wsgi(environ: Any, start_response: Any) -> Any:
        seen.append(environ["PATH_INFO"])
        return wsgi_app(environ, start_response)

    async def around_asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append(scope["path"])
        await asgi_app(scope, receive, send)

    app.wsgi_app, app.asgi_app = around_wsgi, around_asgi
    app.mount("/echo", echo)
    assert client(app).get("/echo/x").status_code == 201
    assert seen == ["/echo/x"]


def test_trio_serves_mounted_applications(loop_client: Any, echo: Any) -> None:
    app = outer()
    app.mount("/echo", echo)
    assert loop_client(app).post("/echo", data=b"x").get_data() == b"POST|/echo|||||x"


# -- streams


def test_streams_of_both_protocols_arrive_piece_by_piece(client: Any) -> None:
    made: list[int] = []
    closed = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            for number in range(1000):
                made.append(number)
                yield b"%d " % number

        def close(self) -> None:
            closed.append("wsgi")

    def wsgi(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body()

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        try:
            for number in range(1000):
                made.append(number)
                await send({"type": "http.response.body", "body": b"%d " % number, "more_body": True})
        finally:
            closed.append("asgi")

    app = outer()
    app.mount("/wsgi", wsgi)
    app.mount("/asgi", asgi, protocol="asgi")
    client_ = client(app)
    for kind in ("wsgi", "asgi"):
        made.clear()
        response = client_.get(f"/{kind}")
        chunks = iter(response.response)
        assert [next(chunks), next(chunks), next(chunks)] == [b"0 ", b"1 ", b"2 "]
        assert len(made) <= 6  # what is made is bounded by what is taken
        response.close()
        assert len(made) <= 7
        assert closed.pop() == kind
        assert closed == []


def test_a_large_upload_reaches_the_application_whole(client: Any, echo: Any) -> None:
    app = outer()
    app.mount("/echo", echo)
    body = bytes(range(256)) * 4096
    assert client(app).post("/echo", data=body).get_data() == b"POST|/echo|||||" + body


def test_input_of_a_wsgi_application_reads_lines_and_parts(client: Any) -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        stream = environ["wsgi.input"]
        parts = [stream.read(2), stream.readline(), *stream, stream.read(5)]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr(parts).encode()]

    app = outer()
    app.mount("/w", wsgi)
    environ_input = b"abc\ndef\nghi"
    assert client(app).post("/w", data=environ_input).text == repr([b"ab", b"c\n", b"def\n", b"ghi", b""])


def test_a_cut_upload_is_an_error_and_never_an_end(client: Any, protocol: str) -> None:
    seen: list[Any] = []

    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        try:
            data = environ["wsgi.input"].read(10)
            seen.append(data if len(data) < 10 else "whole")
        except OSError as exc:
            seen.append(type(exc))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        seen.extend([(await receive())["type"], (await receive())["type"]])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = outer()
    app.mount("/wsgi", wsgi)
    app.mount("/asgi", asgi, protocol="asgi")
    made = client(app)
    made.post("/wsgi", data=b"12345", environ_overrides={"CONTENT_LENGTH": "10"})
    # Under WSGI the application has the server's own stream, and sees that it is short.
    assert seen == ([b"12345"] if protocol == "wsgi" else [ConnectionResetError])
    seen.clear()
    made.post("/asgi", data=b"12345", environ_overrides={"CONTENT_LENGTH": "10"})
    assert seen == ["http.request", "http.disconnect"]


def test_files_of_a_wsgi_application_take_few_trips(channel: Any) -> None:
    opened = io.BytesIO(b"x" * 1_000_000)

    def files(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](opened, 8192)

    app = outer()
    app.mount("/f", files)
    made = channel("/f")
    anyio.run(made.serve, app)
    assert made.text == "x" * 1_000_000
    assert len(made.sent) < 8
    assert opened.closed


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize("size", [5, 3_000_000])
def test_a_view_of_a_wsgi_application_may_return_an_asgi_application(client: Any, colour: str, size: int) -> None:
    """Under ASGI, an environ tells of a scope although its request is a WSGI one."""

    async def guest(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"{scope['root_path']} {len(body)}".encode()})

    async def async_view() -> Any:
        return guest

    inner = duoflask.Flask("inner")
    inner.add_url_rule("/x", "x", (lambda: guest) if colour == "def" else async_view, methods=["POST"])
    app = outer()
    app.mount("/w", lambda environ, start_response: inner.wsgi_app(environ, start_response))
    assert client(app).post("/w/x", data=b"x" * size).text == f"/w {size}"


def test_write_of_start_response_sends_pieces(client: Any) -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"a")
        write(b"b")
        return [b"c"]

    app = outer()
    app.mount("/w", wsgi)
    assert client(app).get("/w").text == "abc"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "200 OK"])
def test_translated_answers_to_head_and_with_empty_codes_have_no_body(client: Any, protocol: str, status: str) -> None:
    def wsgi(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response(status, [("X-A", "1")])
        yield b"never sent"

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": int(status[:3]), "headers": [(b"x-a", b"1")]})
        await send({"type": "http.response.body", "body": b"never sent"})

    app = outer()
    if protocol == "asgi":  # under its own protocol an answer is the server's to cut
        app.mount("/other", wsgi)
    else:
        app.mount("/other", asgi, protocol="asgi")
    made = client(app)
    response = made.head("/other") if status == "200 OK" else made.get("/other")
    assert (response.status_code, response.get_data()) == (int(status[:3]), b"")
    assert response.headers["X-A"] == "1"


def test_a_wsgi_application_keeps_its_thread_for_the_whole_request(client: Any) -> None:
    def wsgi(environ: Any, start_response: Any) -> Iterator[bytes]:
        connection = sqlite3.connect(":memory:")  # refuses to be used in another thread
        try:
            connection.execute("create table t (a)")
            start_response("200 OK", [("Content-Type", "text/plain")])
            for number in range(20):
                connection.execute("insert into t values (?)", [number])
                yield b"%d " % connection.execute("select count(*) from t").fetchone()[0]
        finally:
            connection.close()

    app = outer()
    app.mount("/w", wsgi)
    assert client(app).get("/w").text == "".join(f"{number} " for number in range(1, 21))


def test_slow_clients_of_a_mounted_application_leave_the_apps_own_threads_alone(channel: Any) -> None:
    hold = threading.Event()

    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        hold.wait(20)
        start_response("200 OK", [])
        return [b""]

    app = outer()
    app.mount("/w", wsgi)
    app.config["WORKER_THREADS"] = 2

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(channel("/w").serve, app)
            with anyio.fail_after(20):
                while (app._mounts.workers.threads, app._mounts.workers.waiting) != (2, 2):
                    await anyio.sleep(0.001)
            own = channel("/")
            with anyio.fail_after(20):
                await own.serve(app)
            assert own.text == "outer"
            hold.set()

    anyio.run(main)


# -- disconnects


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_client_that_leaves_ends_an_endless_wsgi_stream(channel: Any, backend: str) -> None:
    """Also where the server's `send` tells nothing, as uvicorn's."""
    closed = threading.Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b"x"

        def close(self) -> None:
            assert not closed.is_set()
            closed.set()

    def wsgi(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Endless()

    app = outer()
    app.mount("/w", wsgi)

    async def main() -> None:
        served = channel("/w")
        async with anyio.create_task_group() as group:
            group.start_soon(served.serve, app)
            while len(served.sent) < 3:
                await anyio.sleep(0)
            served.disconnect()
        assert closed.is_set()
        assert served.sent[-1]["more_body"]

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_server_task_ends_the_wsgi_application_first(channel: Any, backend: str) -> None:
    reading, seen = threading.Event(), []

    def wsgi(environ: Any, start_response: Any) -> Any:
        stream = environ["wsgi.input"]
        stream.read(1)
        reading.set()
        try:
            stream.read(1)
        except OSError as exc:
            seen.append(exc)
            raise

    app = outer()
    app.mount("/w", wsgi)

    class Half(channel):  # type: ignore[misc]
        async def receive(self) -> dict[str, Any]:
            if not reading.is_set():
                return {"type": "http.request", "body": b"a", "more_body": True}
            return await anyio.sleep_forever()  # type: ignore[return-value]

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(Half("/w", method="POST").serve, app)
            await anyio.to_thread.run_sync(reading.wait)
            group.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert isinstance(seen[0], ConnectionAbortedError)


def test_close_of_the_server_ends_an_endless_asgi_stream_under_wsgi(wsgi_call: Any) -> None:
    seen = []

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        except OSError:
            seen.append((await receive())["type"])

    app = outer()
    app.mount("/a", asgi, protocol="asgi")
    call = wsgi_call(app, "/a")
    assert next(iter(call.body)) == b"x"
    call.close()
    call.close()
    assert seen == ["http.disconnect"]


def test_a_client_never_waits_for_what_runs_behind_the_body(wsgi_call: Any) -> None:
    go_on, done = threading.Event(), []

    def background() -> None:
        go_on.wait(20)
        done.append(True)

    async def view(request: Any) -> Any:
        task = starlette.background.BackgroundTask(background)
        return starlette.responses.PlainTextResponse("x", background=task)

    app = outer()
    app.mount("/a", starlette.applications.Starlette(routes=[starlette.routing.Route("/", view)]))
    call = wsgi_call(app, "/a/")
    assert b"".join(call.body) == b"x"
    assert done == []
    go_on.set()
    call.close()
    assert done == [True]


# -- errors


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_mounted_application_raises_reaches_the_server(client: Any, streamed: bool) -> None:
    def wsgi(environ: Any, start_response: Any) -> Any:
        if not streamed:
            raise LookupError("wsgi")
        start_response("200 OK", [("Content-Type", "text/plain")])

        def body() -> Iterator[bytes]:
            yield b"x"
            raise LookupError("wsgi")

        return body()

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if streamed:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise LookupError("asgi")

    app = outer()
    app.mount("/wsgi", wsgi)
    app.mount("/asgi", asgi, protocol="asgi")
    made = client(app)
    for kind in ("wsgi", "asgi"):
        with pytest.raises(LookupError, match=kind):
            made.get(f"/{kind}").get_data()


def test_start_response_with_exc_info_replaces_a_head_that_has_not_left(client: Any) -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            raise LookupError("x")
        except LookupError as exc:
            start_response("500 Oops", [("Content-Type", "text/plain")], (type(exc), exc, exc.__traceback__))
        return [b"failed"]

    app = outer()
    app.mount("/w", wsgi)
    response = client(app).get("/w")
    assert (response.status_code, response.text) == (500, "failed")


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        ("200 OK", [("X-A", "a\r\nb: c")], [b""], "header|field"),
        ("200 OK", [("X A", "b")], [b""], "header"),
        ("2000", [], [b""], "status"),
        ("200 OK", [], ["text"], "bytes"),
        (None, [], [b"x"], "start_response"),
        (None, [], [b"x", b"y"], "start_response"),
    ],
)
def test_broken_wsgi_applications_are_an_error_under_asgi(
    channel: Any, status: Any, headers: Any, body: Any, message: str
) -> None:
    def wsgi(environ: Any, start_response: Any) -> Any:
        if status is not None:
            start_response(status, headers)
        return body

    app = outer()
    app.mount("/w", wsgi)
    served = channel("/w")
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        anyio.run(served.serve, app)
    assert served.sent == []


@pytest.mark.parametrize(
    ("status", "headers"), [(99, []), (200, [(b"x-a", b"a\r\nb: c")]), (200, [(b"x a", b"b")]), ("200", [(1, 2)])]
)
@pytest.mark.parametrize("more", [False, True])
def test_broken_asgi_applications_are_an_error_under_wsgi(
    wsgi_call: Any, status: Any, headers: Any, more: bool
) -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"x", "more_body": more})

    app = outer()
    app.mount("/a", asgi)
    with pytest.raises((ValueError, AttributeError, RuntimeError)):
        wsgi_call(app, "/a").read()


def test_an_invalid_length_is_a_400_for_an_asgi_application(wsgi_call: Any) -> None:
    app = outer()
    app.mount("/a", echo_asgi)
    call = wsgi_call(app, "/a", environ_overrides={"CONTENT_LENGTH": "1_0"})
    assert call.status.startswith("400")
    call.read()


@pytest.mark.parametrize("prefix", ["", "/", "x", "x/", "/a//b", None, "//evil"])
def test_a_prefix_must_be_a_path(prefix: Any) -> None:
    with pytest.raises(ValueError, match="expected a path such as '/legacy'"):
        outer().mount(prefix, echo_wsgi)


def test_mistakes_are_told_at_registration() -> None:
    app = outer()
    app.mount("/a", echo_wsgi)
    with pytest.raises(ValueError, match="mounted at '/a' already"):
        app.mount("/a/", echo_asgi)
    with pytest.raises(ValueError, match="cannot be mounted in itself"):
        app.mount("/b", app)
    with pytest.raises(TypeError, match="protocol='wsgi' or protocol='asgi'"):
        app.mount("/c", object())
    with pytest.raises(ValueError, match="got 'http'"):
        app.mount("/c", echo_wsgi, protocol="http")  # type: ignore[arg-type]


def test_mounting_after_the_first_request_is_an_error(client: Any) -> None:
    app = outer()
    client(app).get("/")
    with pytest.raises(AssertionError, match="'mount' was called"):
        app.mount("/a", echo_wsgi)


# -- lifespan


def lifespan_app(log: list[str], *, fails: bool = False) -> Any:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for event in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{event}"
                log.append(event)
                scope["state"]["answer"] = 42
                if fails:
                    await send({"type": "lifespan.startup.failed", "message": "no database"})
                    return
                await send({"type": f"lifespan.{event}.complete"})
            return
        log.append("request")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": str(scope["state"]["answer"]).encode()})

    return asgi


@pytest.mark.parametrize("first", ["/a", "/"])
def test_lifespan_runs_once_around_the_requests(client: Any, first: str) -> None:
    log: list[str] = []
    app = outer()
    app.before_serving(lambda: log.append("outer starts"))
    app.mount("/a", lifespan_app(log))
    app.after_serving(lambda: log.append("outer stops"))
    made = client(app)
    made.get(first).get_data()
    assert [made.get("/a").text for _ in range(3)] == ["42"] * 3
    made.close()
    assert [entry for entry in log if entry != "request"] == ["outer starts", "startup", "shutdown", "outer stops"]


def test_a_failed_start_up_is_a_503_under_wsgi(wsgi_call: Any) -> None:
    log: list[str] = []
    app = outer()
    app.logger.disabled = True
    app.mount("/a", lifespan_app(log, fails=True))
    for path in ("/a", "/a/x", "/"):
        call = wsgi_call(app, path)
        assert call.status.startswith("503")
        call.read()
    assert log == ["startup"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_failed_start_up_is_told_to_an_asgi_server(backend: str) -> None:
    app = outer()
    app.logger.disabled = True
    app.mount("/a", lifespan_app([], fails=True))
    with app.test_client(protocol="asgi", backend=backend) as client, pytest.raises(RuntimeError, match="no database"):
        client.get("/")


@pytest.mark.parametrize("event", ["startup", "shutdown"])
def test_what_an_application_raises_in_its_lifespan_is_logged_once(
    client: Any, caplog: pytest.LogCaptureFixture, event: str
) -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != f"lifespan.{event}":
                await send({"type": message["type"] + ".complete"})
            raise LookupError(f"in its {event}")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})

    app = outer()
    app.mount("/a", asgi)
    made = client(app)
    assert made.get("/a").text == "served"
    made.close()
    app._lifecycle.stop_portal()  # under WSGI at the end of the process
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == [f"in its {event}"]


def test_without_a_lifespan_the_first_asgi_request_starts_it(channel: Any) -> None:
    log: list[str] = []
    app = outer()
    app.mount("/a", lifespan_app(log))

    async def main() -> None:
        async with anyio.create_task_group() as group:
            channels = [channel("/a") for _ in range(3)]
            for served in channels:
                group.start_soon(served.serve, app)
        assert [served.text for served in channels] == ["42"] * 3

    anyio.run(main)
    assert log == ["startup", "request", "request", "request"]


def test_functions_of_a_mounted_duoflask_app_run(client: Any) -> None:
    log: list[str] = []
    inner, app = duoflask.Flask("inner"), outer()
    inner.before_serving(lambda: log.append("start"))
    inner.after_serving(lambda: log.append("stop"))
    inner.add_url_rule("/", "index", lambda: "inner")
    app.mount("/in", inner)
    made = client(app)
    assert made.get("/in/").text == "inner"
    assert log == ["start"]
    made.close()
    inner._lifecycle.stop_portal()  # under WSGI at the end of the process
    assert log == ["start", "stop"]


# -- WebSockets


def test_websockets_reach_a_mounted_asgi_application_only() -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["root_path"] + "|" + scope["path"]})

    app = outer()
    app.mount("/a", asgi, protocol="asgi")
    app.mount("/w", echo_wsgi)

    async def connect(path: str) -> list[Any]:
        sent = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app({"type": "websocket", "path": path, "headers": []}, receive, send)
        return sent

    assert anyio.run(connect, "/a/x") == [{"type": "websocket.accept", "subprotocol": "/a|/a/x"}]
    assert anyio.run(connect, "/w/x") == [{"type": "websocket.close", "code": 1000}]


# -- paths


def test_bytes_that_are_no_utf8_reach_a_wsgi_application(client: Any) -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [repr(environ["PATH_INFO"].encode("latin-1")).encode()]

    app = outer()
    app.mount("/w", wsgi)
    assert client(app).get("/w/%ff%C3%A9").text == repr(b"/\xff\xc3\xa9")


@pytest.mark.parametrize(
    ("root", "path", "seen"),
    [
        ("/root", "/root/w/x", ("/root/w", "/x")),
        ("/root", "/w/x", ("/root/w", "/x")),
        ("/root/", "/root/w", ("/root/w", "")),
        ("", "/w", ("/w", "")),
    ],
)
def test_a_mount_stands_below_the_servers_own_root(root: str, path: str, seen: tuple[str, str]) -> None:
    """Servers differ in whether the scope's path holds it."""
    found = PrefixTable([("/w", "app")]).for_scope({"root_path": root, "path": path})
    assert found is not None
    assert found[1]["root_path"] == seen[0]
    assert found[1]["path"] == root.rstrip("/") + "/w" + seen[1]


def test_finding_a_prefix_takes_no_longer_for_a_longer_path() -> None:
    table = PrefixTable([("/a/b", 1), ("/a", 2)])
    path = "/a" + "/" * 1_000_000
    environ = create_environ("/")
    environ["PATH_INFO"] = path
    found = table.for_environ(environ)
    assert found is not None and found[0] == 2
    assert found[1]["PATH_INFO"] == path[2:]


TERMINATED = """
import os, signal
import duoflask
from duoflask.testing import create_environ

def app_named(name):
    app = duoflask.Flask(name)
    app.add_url_rule("/", "index", lambda: name)
    app.before_serving(lambda: None)
    app.after_serving(lambda: print(name, "stops", flush=True))
    return app

inner, outer = app_named("inner"), app_named("outer")
outer.mount("/in", inner)
for path in ("/", "/in/"):
    b"".join(outer(create_environ(path), lambda status, headers: None))
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_sigterm_shuts_down_every_app_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", TERMINATED], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == -signal.SIGTERM
    assert sorted(done.stdout.splitlines()) == ["inner stops", "outer stops"], done.stderr
