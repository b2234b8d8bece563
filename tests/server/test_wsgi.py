from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import anyio
import pytest

from duoflask.foreign import build_environ
from duoflask.server.wsgi import WSGIAdapter

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def serve(app: Any, threads: int = 4) -> WSGIAdapter:
    return WSGIAdapter(app, threads)


async def test_application_passes_the_validator(connect: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode("latin-1"), environ["wsgi.input"].read(3)]

    async with connect(serve(validator(app))) as client:
        await client.send(b"POST /%C3%A9?q HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"/\xc3\xa9abc")


async def test_environ_follows_pep_3333() -> None:
    scope = {
        "method": "POST",
        "path": "/root/\xe9",
        "raw_path": b"/root/%C3%A9",
        "root_path": "/root",
        "query_string": b"a=%zz",
        "scheme": "https",
        "http_version": "1.0",
        "server": ("::1", 8443),
        "client": ("10.0.0.1", 99),
        "headers": [
            (b"content-type", b"text/x"),
            (b"content-length", b"3"),
            (b"x-a", b"1"),
            (b"x-a", b"\xff"),
            (b"cookie", b"a=b"),
            (b"cookie", b"c=d"),
        ],
    }
    environ = build_environ(scope)
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/root",
        "PATH_INFO": "/\xc3\xa9",
        "QUERY_STRING": "a=%zz",
        "REQUEST_URI": "/root/%C3%A9?a=%zz",
        "SERVER_NAME": "::1",
        "SERVER_PORT": "8443",
        "SERVER_PROTOCOL": "HTTP/1.0",
        "REMOTE_ADDR": "10.0.0.1",
        "REMOTE_PORT": "99",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "3",
        "HTTP_X_A": "1, \xff",
        "HTTP_COOKIE": "a=b; c=d",
        "wsgi.url_scheme": "https",
        "wsgi.input_terminated": True,
        "wsgi.multithread": True,
    }
    assert {key: environ[key] for key in expected} == expected


async def test_chunked_body_is_read_to_its_end(connect: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        assert environ["wsgi.input_terminated"]
        return [b"|".join(environ["wsgi.input"])]

    async with connect(serve(app)) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n")
        await client.send(b"2\r\nc\n\r\n0\r\n\r\n")
        assert (await client.answer()).body == b"a\n|bc\n"


async def test_body_that_ends_early_does_not_look_whole(connect: Any) -> None:
    seen: list[Exception] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as exc:
            seen.append(exc)
            raise
        raise AssertionError

    async with connect(serve(app)) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        await client.stream.send_eof()
        assert (await client.read_all()).startswith(b"HTTP/1.1 400 ")
    assert len(seen) == 1


async def test_pieces_are_sent_as_they_come_and_close_is_called_in_the_thread(connect: Any) -> None:
    go = threading.Event()
    closed: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"first"
            assert go.wait(20)
            yield b"second"

        def close(self) -> None:
            closed.append(threading.current_thread() is not threading.main_thread())

    def app(environ: Any, start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body()

    async with connect(serve(app)) as client:
        await client.send(GET)
        await client.read_until(b"first\r\n")
        go.set()
        assert await client.read_until(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"
        with anyio.fail_after(20):
            while not closed:
                await anyio.sleep(0.005)
    assert closed == [True]


async def test_slow_client_stops_the_iterator_and_departure_closes_it(connect: Any) -> None:
    pulled = 0
    closed = threading.Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            nonlocal pulled
            while True:
                pulled += 1
                yield b"x" * 65_536

        def close(self) -> None:
            closed.set()

    def app(environ: Any, start_response: Any) -> Endless:
        start_response("200 OK", [])
        return Endless()

    async with connect(serve(app), size=1) as client:
        await client.send(GET)
        with anyio.fail_after(20):
            while not pulled:
                await anyio.sleep(0.005)
        await anyio.sleep(0.1)
        assert pulled < 50
        await client.stream.aclose()
        with anyio.fail_after(20):
            while not closed.is_set():
                await anyio.sleep(0.005)


async def test_write_comes_before_what_is_returned(connect: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("201 Created", [("A", "b")])
        write(b"one ")
        return [b"two"]

    async with connect(serve(app)) as client:
        await client.send(GET)
        answer = await client.answer()
        assert (answer.status, answer.headers["a"], answer.body) == (201, "b", b"one two")


async def test_start_response_may_be_replaced_before_the_body_only(connect: Any, caplog: Any) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/late":
            start_response("200 OK", [])("never")
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as exc:
            start_response("500 Oops", [], (type(exc), exc, exc.__traceback__))
        return [b"replaced"]

    async with connect(serve(app)) as client:
        await client.send(GET)
        answer = await client.answer()
        assert (answer.status, answer.body) == (500, b"replaced")
        await client.send(b"GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).status == 500
    assert "start_response was called twice" in caplog.text


@pytest.mark.parametrize("status", ["20", "abc", "200OK", "\u0662\u0660\u0660 OK"])
async def test_wrong_status_is_an_error(status: str, connect: Any, caplog: Any) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response(status, [])
        return []

    async with connect(serve(app)) as client:
        await client.send(GET)
        assert (await client.answer()).status == 500
    assert "invalid status" in caplog.text


async def test_application_that_does_not_start_is_a_500(connect: Any) -> None:
    async with connect(serve(lambda environ, start_response: [b"x"])) as client:
        await client.send(GET)
        assert (await client.answer()).status == 500


async def test_requests_beyond_the_threads_wait(anyio_backend: str) -> None:
    running = peak = 0
    lock = threading.Lock()
    go = threading.Event()

    def app(environ: Any, start_response: Any) -> list[bytes]:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        go.wait(0.05)
        with lock:
            running -= 1
        start_response("200 OK", [])
        return [b""]

    adapter = serve(app, threads=2)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
    }
    scope |= {"scheme": "http", "http_version": "1.1", "server": None, "client": None, "headers": []}

    async def nothing(message: Any = None) -> Any: ...

    async with anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(adapter, scope, nothing, nothing)
    assert peak == 2
