from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from typing import Any
from wsgiref.validate import validator

import anyio
import flask
import pytest

import duoflask
from duoflask.testing import create_environ


def wsgi_app(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi"]


async def agen() -> AsyncIterator[str]:
    yield "a"
    await anyio.sleep(0)
    yield "b"


async def waits() -> str:
    await anyio.sleep(0)
    return "async"


async def waits_then_streams() -> Any:
    await anyio.sleep(0)
    return iter("ab")


ANSWERS: dict[str, Any] = {
    "text": lambda: "text",
    "empty": lambda: "",
    "json": lambda: {"a": 1},
    "headers": lambda: ("x", 201, [("X-A", "1"), ("X-A", "2")]),
    "stream": lambda: iter("ab"),
    "empty stream": lambda: iter(()),
    "async": waits,
    "async stream": agen,
    "async then stream": waits_then_streams,
    "no content": lambda: ("", 204),
    "not modified": lambda: ("", 304),
    "redirect": lambda: duoflask.redirect("/x"),
    "wsgi": lambda: wsgi_app,
    "cookie": lambda: duoflask.make_response("x", {"Set-Cookie": "a=b"}),
    "not found": lambda: duoflask.abort(404),
    "error": lambda: 1 // 0,
    "body": lambda: str(len(duoflask.request.get_data())),
}


def make_app() -> duoflask.Flask:
    app = duoflask.Flask("app")
    app.logger.disabled = True
    for place, (name, view) in enumerate(ANSWERS.items()):
        app.add_url_rule(f"/{name}", f"view {place}", view, methods=["GET", "POST"])
    return app


def environ_of(path: str = "/", **kwargs: Any) -> dict[str, Any]:
    environ = create_environ(path, **kwargs)
    return {key: value for key, value in environ.items() if key not in {"CONTENT_TYPE", "CONTENT_LENGTH"} or value}


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("name", [*ANSWERS, "none of them"])
def test_every_answer_passes_the_validator(name: str, method: str) -> None:
    started: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        started.append((status, headers))
        return lambda data: None

    body = validator(make_app())(environ_of(f"/{name}", method=method), start_response)
    try:
        data = b"".join(body)
    finally:
        body.close()
    assert len(started) == 1
    assert started[0][0][:3].isdigit()
    if method == "HEAD":
        assert data == b""


def test_second_answer_passes_the_validator_on_the_same_app() -> None:
    app = validator(make_app())
    for _ in range(2):
        body = app(environ_of("/async stream"), lambda *args: lambda data: None)
        assert b"".join(body) == b"ab"
        body.close()


# -- paths (PEP 3333: bytes as latin-1)


def answer(app: Any, environ: dict[str, Any]) -> tuple[str, bytes]:
    status: list[str] = []
    body = app(environ, lambda line, headers, exc_info=None: status.append(line))
    data = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    return status[0], data


def test_path_is_utf_8_in_latin_1() -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/\u00e4/<name>", "view", lambda name: f"{name} {duoflask.request.path}")
    environ = environ_of()
    environ["PATH_INFO"] = "/\u00e4/\u20ac".encode().decode("latin-1")
    assert answer(app, environ) == ("200 OK", "\u20ac /\u00e4/\u20ac".encode())


@pytest.mark.parametrize("raw", [b"/\xff", b"/a/\xc3", b"/\xed\xa0\x80"])
def test_path_that_is_no_utf_8_is_a_400(raw: bytes) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/<path:name>", "view", lambda name: "reached")
    environ = environ_of()
    environ["PATH_INFO"] = raw.decode("latin-1")
    status, data = answer(app, environ)
    assert status == "400 BAD REQUEST"
    assert b"UTF-8" in data


@pytest.mark.parametrize(
    ("info", "path"), [("", "/"), ("/", "/"), ("//", "/"), ("//x", "/x"), ("x", "/x"), ("///x/y", "/x/y")]
)
def test_path_always_starts_with_one_slash(info: str, path: str) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "root", lambda: duoflask.request.path)
    app.add_url_rule("/<path:name>", "view", lambda name: f"/{name}")
    environ = environ_of()
    environ["PATH_INFO"] = info
    assert answer(app, environ) == ("200 OK", path.encode())


def test_script_name_is_the_root_path() -> None:
    for module in (duoflask, flask):  # Werkzeug leaves it unquoted, too
        app = module.Flask("app")
        app.add_url_rule("/x", "view", lambda m=module: f"{m.request.root_path} {m.url_for('view')}")
        environ = environ_of()
        environ.update(SCRIPT_NAME="/\u00e4".encode().decode("latin-1"), PATH_INFO="/x")
        assert answer(app, environ) == ("200 OK", "/\u00e4 /\u00e4/x".encode())


# -- the body


def test_input_terminated_is_read_to_its_end() -> None:
    app = make_app()
    environ = environ_of("/body", method="POST")
    environ.update(
        {
            "wsgi.input": io.BytesIO(b"x" * 70_000),
            "wsgi.input_terminated": True,
            "HTTP_TRANSFER_ENCODING": "chunked",
        }
    )
    assert answer(app, environ) == ("200 OK", b"70000")


def test_input_without_a_length_is_not_read() -> None:
    environ = environ_of("/body", method="POST")
    environ["wsgi.input"] = io.BytesIO(b"of the next request")
    assert answer(make_app(), environ) == ("200 OK", b"0")
    assert environ["wsgi.input"].tell() == 0


def test_input_is_never_read_past_its_length() -> None:
    environ = environ_of("/body", method="POST")
    environ.update({"wsgi.input": io.BytesIO(b"12345 and the next request"), "CONTENT_LENGTH": "5"})
    assert answer(make_app(), environ) == ("200 OK", b"5")
    assert environ["wsgi.input"].tell() == 5


# -- close


def streaming_app(kind: str, events: list[str]) -> Any:
    app = duoflask.Flask("app")
    app.teardown_request(lambda exc: events.append(f"teardown {exc!r}"))

    def sync_body() -> Iterator[str]:
        try:
            yield duoflask.request.path
            yield "b"
        finally:
            events.append("body closed")

    async def async_body() -> AsyncIterator[str]:
        try:
            yield duoflask.request.path
            await anyio.sleep(0)
            yield "b"
        finally:
            await anyio.sleep(0)
            events.append("body closed")

    app.add_url_rule("/x", "view", sync_body if kind == "sync" else async_body)
    return app


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("pulled", [0, 1, 2, 3])
def test_close_ends_the_body_then_the_request(kind: str, pulled: int) -> None:
    events: list[str] = []
    body = streaming_app(kind, events)(environ_of("/x"), lambda *args: None)
    iterator = iter(body)
    got = [next(iterator, b"") for _ in range(pulled)]
    assert b"".join(got) == b"/xb"[: 2 * pulled]
    body.close()
    ended = ["teardown None"] if pulled == 0 else ["body closed", "teardown None"]
    assert events == ended
    body.close()
    assert events == ended


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_body_that_is_read_to_its_end_and_closed_ends_once(kind: str) -> None:
    events: list[str] = []
    assert answer(streaming_app(kind, events), environ_of("/x")) == ("200 OK", b"/xb")
    assert events == ["body closed", "teardown None"]


def test_complete_body_is_torn_down_before_the_server_has_it() -> None:
    app, events = duoflask.Flask("app"), []
    app.teardown_request(lambda exc: events.append("teardown"))
    app.add_url_rule("/", "view", lambda: "x")
    body = app(environ_of("/"), lambda *args: events.append("start"))
    assert events == ["teardown", "start"]
    assert list(body) == [b"x"]


def test_middleware_wraps_wsgi_app() -> None:
    app = make_app()
    inner = app.wsgi_app
    app.wsgi_app = lambda environ, start: inner({**environ, "PATH_INFO": "/text"}, start)  # type: ignore[method-assign]
    assert answer(app, environ_of("/")) == ("200 OK", b"text")
