from __future__ import annotations

import math
import socket
import time
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.to_thread
import pytest

from duoflask.server import serve

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send(start(200, (b"content-type", b"text/plain")))
    await send(body(b"hello"))


async def test_connection_is_kept_for_further_requests(connect: Any, echo: Any) -> None:
    async with connect(echo) as client:
        for _ in range(3):
            await client.send(GET)
            assert (await client.answer()).body == b"GET "
        await client.send(LAST)
        answer = await client.answer()
        assert answer.headers["connection"] == "close"
        assert await client.read_all() == b""
    assert len(echo.scopes) == 4


async def test_pipelined_requests_are_answered_in_order(connect: Any, echo: Any) -> None:
    post = b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d"
    async with connect(echo) as client:
        await client.send(b"".join(post % (n, n) for n in range(5)))
        for n in range(5):
            assert (await client.answer()).body == b"POST %d" % n
    assert [scope["path"] for scope in echo.scopes] == ["/0", "/1", "/2", "/3", "/4"]


async def test_scope_says_what_was_asked(connect: Any, echo: Any) -> None:
    async with connect(echo, root_path="/root") as client:
        await client.send(b"GET /a%2Fb%C3%A9?q=%zz HTTP/1.1\r\nHost: x\r\nA_b: evil\r\nA-B:  c \r\n\r\n")
        await client.answer()
        await client.send(b"GET http://y/root/z HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.answer()
    first, second = echo.scopes
    assert first["type"] == "http"
    assert first["asgi"] == {"version": "3.0", "spec_version": "2.4"}
    assert (first["method"], first["http_version"], first["scheme"]) == ("GET", "1.1", "http")
    assert (first["path"], first["raw_path"]) == ("/root/a/b\xe9", b"/root/a%2Fb%C3%A9")
    assert (first["query_string"], first["root_path"]) == (b"q=%zz", "/root")
    assert first["headers"] == [(b"host", b"x"), (b"a-b", b"c")]
    assert (second["path"], second["headers"]) == ("/root/z", [(b"host", b"y")])


async def test_http_1_0_is_closed_unless_it_asks_to_be_kept(connect: Any) -> None:
    async with connect(hello) as client:
        await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await client.answer()
        assert (answer.headers["connection"], answer.headers["content-length"]) == ("keep-alive", "5")
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.answer()).headers["connection"] == "close"
        assert await client.read_all() == b""


async def stream(scope: Any, receive: Any, send: Any) -> None:
    await send(start())
    for piece in (b"ab", b"", b"c" * 20_000):
        await send(body(piece, more=True))
    await send(body(b"d"))


async def test_stream_is_chunked(connect: Any) -> None:
    async with connect(stream) as client:
        await client.send(GET)
        answer = await client.answer()
        assert answer.headers["transfer-encoding"] == "chunked"
        assert answer.body == b"ab" + b"c" * 20_000 + b"d"
        await client.send(GET)
        assert (await client.answer()).status == 200


async def test_stream_to_http_1_0_ends_with_the_connection(connect: Any) -> None:
    async with connect(stream) as client:
        await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answer = await client.read_all()
        assert b"transfer-encoding" not in answer
        assert b"connection: close" in answer
        assert answer.endswith(b"\r\n\r\nab" + b"c" * 20_000 + b"d")


@pytest.mark.parametrize("app", [hello, stream])
async def test_head_has_no_body(app: Any, connect: Any) -> None:
    async with connect(app) as client:
        await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer("HEAD")).status == 200
        await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await client.read_all()
        assert answer.endswith(b"\r\n\r\n")
        assert answer.count(b"\r\n\r\n") == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_status_without_body_has_none(status: int, connect: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(status))
        await send(body(b"never"))

    async with connect(app) as client:
        await client.send(GET)
        answer = await client.answer()
        assert answer.status == status
        assert "content-length" not in answer.headers
        await client.send(LAST)
        assert (await client.read_all()).endswith(b"\r\n\r\n")


async def test_date_and_server_are_set_unless_the_application_does(connect: Any) -> None:
    async def own(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200, (b"Date", b"then"), (b"Server", b"mine")))
        await send(body())

    async with connect(hello) as client:
        await client.send(GET)
        headers = (await client.answer()).headers
        assert headers["date"].endswith(" GMT")
        assert headers["server"] == "duoflask"
    async with connect(own) as client:
        await client.send(LAST)
        raw = await client.read_all()
        assert raw.lower().count(b"\r\ndate: ") == raw.lower().count(b"\r\nserver: ") == 1
        assert b"\r\nDate: then\r\n" in raw


async def test_chunked_body_arrives_piece_by_piece(connect: Any, echo: Any) -> None:
    async with connect(echo) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r")
        await client.send(b"\n2;x\r\nd", b"e\r\n0\r\nT: x\r\n\r\n" + GET)
        assert (await client.answer()).body == b"POST abcde"
        assert (await client.answer()).body == b"GET "
    assert (b"t", b"x") not in echo.scopes[0]["headers"]


async def test_continue_is_said_once_and_only_when_the_body_is_wanted(connect: Any, echo: Any) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    async with connect(echo) as client:
        await client.send(head)
        assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"ab", b"cd")
        assert (await client.answer()).body == b"POST abcd"
        await client.send(head + b"abcd")  # it did not wait
        assert (await client.answer()).body == b"POST abcd"
    async with connect(hello) as client:
        await client.send(head)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await client.read_all() == b""


async def test_continue_is_not_said_to_http_1_0_or_without_a_body(connect: Any, echo: Any) -> None:
    async with connect(echo) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n")
        assert (await client.read_until(b"\r\n")).startswith(b"HTTP/1.1 200")
    async with connect(echo) as client:
        await client.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", b"a")
        assert (await client.read_until(b"\r\n")).startswith(b"HTTP/1.1 200")


async def test_small_rest_of_a_body_is_skipped(connect: Any) -> None:
    async with connect(hello) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"12345")
        assert (await client.answer()).body == b"hello"
        await client.send(b"6789" + GET)
        assert (await client.answer()).body == b"hello"


async def test_early_answer_to_a_large_body_closes_after_reading_on(connect: Any) -> None:
    async with connect(hello, linger_timeout=0.2) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n")
        assert (await client.answer()).headers["connection"] == "close"
        await client.send(b"x" * 30_000)  # not reset yet
        with anyio.fail_after(20):
            await client.done.wait()


@pytest.mark.parametrize("sent", [b"", b"GET / HT"])
async def test_head_that_does_not_come_is_given_up(sent: bytes, connect: Any, echo: Any) -> None:
    async with connect(echo, head_timeout=0.1) as client:
        if sent:
            await client.send(sent)
        answer = await client.read_all()
        assert answer.startswith(b"HTTP/1.1 408 ") if sent else answer == b""
    assert echo.scopes == []


async def test_head_sent_a_byte_at_a_time_is_given_up(connect: Any, echo: Any) -> None:
    async with connect(echo, head_timeout=0.1) as client:
        begun = time.monotonic()
        try:
            for byte in GET[:-1] * 10:
                await client.send(bytes([byte]))
                await anyio.sleep(0.02)
                if client.connection not in client.shared.connections or client.connection.eof:
                    break
                if time.monotonic() - begun > 0.4:
                    break
        except anyio.BrokenResourceError:
            pass
        assert (await client.read_all()).startswith(b"HTTP/1.1 408 ")
    assert echo.scopes == []


async def test_idle_connection_is_closed_without_a_word(connect: Any) -> None:
    async with connect(hello, keep_alive_timeout=0.05) as client:
        await client.send(GET)
        await client.answer()
        assert await client.read_all() == b""


async def test_body_that_does_not_come_is_given_up(connect: Any, echo: Any) -> None:
    async with connect(echo, body_timeout=0.05) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"123")
        assert (await client.read_all()).startswith(b"HTTP/1.1 408 ")
    assert (echo.bodies, echo.disconnects) == ([], 1)


async def test_body_that_ends_early_is_refused(connect: Any, echo: Any) -> None:
    async with connect(echo) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", b"123")
        await client.stream.send_eof()
        assert (await client.read_all()).startswith(b"HTTP/1.1 400 ")
    assert (echo.bodies, echo.disconnects) == ([], 1)


async def test_client_that_takes_nothing_is_given_up(connect: Any) -> None:
    failures: list[Exception] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        try:
            while True:
                await send(body(b"x" * 65_536, more=True))
        except OSError as exc:
            failures.append(exc)
            raise

    async with connect(endless, size=1, write_timeout=0.1) as client:
        await client.send(GET)
        with anyio.fail_after(20):
            await client.done.wait()
    assert len(failures) == 1


async def test_stream_that_never_waits_lets_others_run(connect: Any) -> None:
    released = False
    sent = 0

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(start())
        while not released:
            await send(body(b"x", more=True))  # of an answer to HEAD nothing goes to the socket, which is never full
            sent += 1
        await send(body())

    async with connect(endless) as client:
        await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        while not sent:
            await anyio.lowlevel.checkpoint()
        released = True
        assert (await client.answer("HEAD")).status == 200


async def test_writer_waits_for_a_slow_reader(connect: Any) -> None:
    sent = 0

    async def large(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(start())
        for _ in range(100):
            await send(body(b"x" * 65_536, more=True))
            sent += 1
        await send(body())

    async with connect(large, size=1) as client:
        await client.send(GET)
        await anyio.sleep(0.1)
        assert sent < 50
        assert len((await client.answer()).body) == 6_553_600


async def test_reader_waits_for_a_slow_application(connect: Any, anyio_backend: str) -> None:
    go = anyio.Event()

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await hello(scope, receive, send)

    if anyio_backend == "trio":
        return  # nothing reads ahead there
    async with connect(waits) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        with anyio.move_on_after(0.2) as scope:
            while True:
                await client.stream.send(b"x" * 65_536)
        assert scope.cancelled_caught
        go.set()


async def watcher(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "http.request"
    watcher.seen.append((await receive())["type"])  # type: ignore[attr-defined]


async def test_departure_is_told_to_an_application_that_waits(connect: Any) -> None:
    watcher.seen = []  # type: ignore[attr-defined]
    async with connect(watcher, half_closed_timeout=60) as client:
        await client.send(GET)
        await anyio.sleep(0.15)
        await client.stream.aclose()
        with anyio.fail_after(20):
            await client.done.wait()
    assert watcher.seen == ["http.disconnect"]  # type: ignore[attr-defined]


async def looks(receive: Any) -> bool:
    with anyio.move_on_after(0.002):
        return bool((await receive())["type"] == "http.disconnect")
    return False


async def test_departure_is_told_to_an_application_that_looks_in_short_turns(connect: Any) -> None:
    seen = []

    async def polls(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with anyio.move_on_after(20):
            while not await looks(receive):
                await anyio.sleep(0.02)
            seen.append("gone")

    async with connect(polls, half_closed_timeout=60) as client:
        await client.send(GET)
        await anyio.sleep(0.2)
        await client.stream.aclose()
        with anyio.fail_after(30):
            await client.done.wait()
    assert seen == ["gone"]


async def test_half_closed_client_gets_its_answer_while_the_application_looks_in_short_turns(connect: Any) -> None:
    async def polls(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for _ in range(10):
            assert not await looks(receive)
            await anyio.sleep(0.02)
        await hello(scope, receive, send)

    async with connect(polls) as client:
        await client.send(GET)
        await client.stream.send_eof()
        assert (await client.read_all()).endswith(b"\r\n\r\nhello")


async def test_client_that_leaves_with_its_request_is_gone_after_a_while(connect: Any) -> None:
    watcher.seen = []  # type: ignore[attr-defined]
    async with connect(watcher, half_closed_timeout=0.05) as client:
        await client.send(GET)
        await client.stream.aclose()
        with anyio.fail_after(20):
            await client.done.wait()
    assert watcher.seen == ["http.disconnect"]  # type: ignore[attr-defined]


async def test_half_closed_client_gets_its_answer_while_the_application_watches(connect: Any) -> None:
    async def works(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        async with anyio.create_task_group() as tasks:

            async def watch() -> None:
                await receive()
                tasks.cancel_scope.cancel()

            tasks.start_soon(watch)
            await anyio.sleep(0.15)
            await hello(scope, receive, send)

    async with connect(works) as client:
        await client.send(GET)
        await client.stream.send_eof()
        assert (await client.read_all()).endswith(b"\r\n\r\nhello")


async def test_receive_ends_with_the_response(connect: Any) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

        async def watch() -> None:
            seen.append((await receive())["type"])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await anyio.sleep(0.01)
            await hello(scope, receive, send)
        seen.append((await receive())["type"])

    async with connect(app) as client:
        for _ in range(2):
            await client.send(GET)
            assert (await client.answer()).body == b"hello"
    assert seen == ["http.disconnect"] * 4


async def test_what_arrives_while_the_application_watches_is_the_next_request(connect: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with anyio.move_on_after(0.05):
            await receive()
        await send(start())
        await send(body(scope["path"].encode()))

    async with connect(app) as client:
        await client.send(GET)
        await client.send(b"GET /second HTTP/1.1\r\nHo")
        assert (await client.answer()).body == b"/"
        await client.send(b"st: x\r\n\r\n")
        assert (await client.answer()).body == b"/second"


async def test_send_after_the_client_has_left_raises_oserror(connect: Any, caplog: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        while True:
            await send(body(b"x" * 1000, more=True))

    async with connect(app) as client:
        await client.send(GET)
        await client.read_until(b"x")
        await client.stream.aclose()
        with anyio.fail_after(20):
            await client.done.wait()
    assert "error in the application" not in caplog.text


async def test_failed_application_is_a_500_without_details(connect: Any, caplog: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError("secret")

    async with connect(app) as client:
        await client.send(GET)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (500, "close")
        assert b"secret" not in answer.body
    assert caplog.text.count("ZeroDivisionError: secret") == 1


async def test_failed_stream_does_not_end_as_if_complete(connect: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"part", more=True))
        raise ZeroDivisionError

    async with connect(app) as client:
        await client.send(GET)
        assert (await client.read_all()).endswith(b"\r\n\r\n4\r\npart\r\n")


@pytest.mark.parametrize("length", [b"3", b"9"])
async def test_body_that_does_not_fit_its_length_is_an_error(length: bytes, connect: Any, caplog: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200, (b"content-length", length)))
        await send(body(b"12", more=True))
        await send(body(b"345"))

    async with connect(app) as client:
        await client.send(GET)
        assert (await client.read_all()).endswith(b"\r\n\r\n12")
    assert "than its Content-Length" in caplog.text


@pytest.mark.parametrize(
    "header",
    [
        (b"a", b"b\r\nc: d"),
        (b"a", b"b\0"),
        (b"a b", b"c"),
        (b"a\r\nb", b"c"),
        (b"", b"a"),
        (b"content-length", b"-1"),
    ],
)
async def test_header_that_would_split_the_response_is_an_error(header: Any, connect: Any, caplog: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200, header))
        await send(body())

    async with connect(app) as client:
        await client.send(GET)
        assert (await client.answer()).status == 500
    assert "ValueError: invalid" in caplog.text


@pytest.mark.parametrize(
    "messages",
    [
        [body()],
        [start(), start()],
        [start(), body(), body()],
        [start(99)],
        [{"type": "http.response.nonsense"}],
        [start()],
        [],
    ],
)
async def test_broken_order_of_messages_is_logged(messages: Any, connect: Any, caplog: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async with connect(app) as client:
        await client.send(GET)
        answer = await client.read_all() if len(messages) < 3 else b""
        assert answer.startswith((b"HTTP/1.1 500 ", b""))
        if len(messages) == 3:
            await client.answer()
    assert "the application" in caplog.text


async def test_context_variables_end_with_the_request(connect: Any) -> None:
    var: ContextVar[str] = ContextVar("var", default="clean")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(var.get().encode()))
        await anyio.sleep(0)
        var.set("dirty")

    async with connect(app) as client:
        for _ in range(2):
            await client.send(GET)
            assert (await client.answer()).body == b"clean"


async def test_access_log_is_one_line_that_cannot_be_forged(connect: Any, caplog: Any) -> None:
    caplog.set_level("INFO", "duoflask.access")
    async with connect(hello) as client:
        await client.send(b'GET /%0d%0a%1b[31m%C2%85%E2%80%A8"x\\?q HTTP/1.1\r\nHost: x\r\n\r\n')
        await client.answer()
    (record,) = [record for record in caplog.records if record.name == "duoflask.access"]
    line = record.getMessage()
    assert line.isprintable()
    assert line.endswith(' - "GET /%0d%0a%1b[31m%C2%85%E2%80%A8\\x22x\\x5c?q HTTP/1.1" 200 5')


async def test_more_than_the_window_is_not_kept_for_a_client_that_pipelines(connect: Any, anyio_backend: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with anyio.move_on_after(0.1):
            await receive()
        await hello(scope, receive, send)

    async with connect(app) as client:
        with anyio.move_on_after(0.1):
            while True:
                await client.stream.send(GET * 1000)
        assert len(client.connection.reader.buffer) < 1_000_000
    assert math.isfinite(client.shared.now)


async def test_cancelled_task_of_the_application_ends_its_connection_only(
    connect: Any, anyio_backend: str, caplog: Any
) -> None:
    if anyio_backend == "trio":
        return  # trio has no such thing
    import asyncio

    async def app(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await anyio.sleep(1)

    async with connect(app) as client:
        await client.send(GET)
        assert await client.read_all() == b""
        assert not client.shared.connections


async def test_task_left_in_receive_does_not_hold_up_the_next_request(connect: Any) -> None:
    seen: list[str] = []

    async with anyio.create_task_group() as left_behind:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()

            async def watch() -> None:
                seen.append((await receive())["type"])

            left_behind.start_soon(watch)
            await anyio.sleep(0.01)
            await hello(scope, receive, send)

        async with connect(app) as client:
            for _ in range(3):
                await client.send(GET)
                assert (await client.answer()).body == b"hello"
    assert seen == ["http.disconnect"] * 3


async def test_continue_is_not_said_after_the_response_has_begun(connect: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"early ", more=True))
        message = await receive()
        await send(body(message["body"]))

    async with connect(app) as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        await client.read_until(b"early \r\n")
        await client.send(b"ab")
        assert await client.read_all() == b"2\r\nab\r\n0\r\n\r\n"


async def test_failure_between_start_and_body_is_a_500(connect: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        raise ZeroDivisionError

    async with connect(app) as client:
        await client.send(GET)
        assert (await client.answer()).status == 500


async def test_small_limits_hold_for_a_head_that_comes_whole(connect: Any, echo: Any) -> None:
    async with connect(echo, max_head=50) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 50 + b"\r\n\r\n")
        assert (await client.answer()).status == 431


async def test_stream_that_fails_without_framing_is_reset(tmp_path: Any, anyio_backend: str) -> None:
    from duoflask.server import Server, ServerConfig

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"part", more=True))
        await anyio.sleep(0.05)
        raise ZeroDivisionError

    server = Server(app, ServerConfig(port=0, lifespan="off"), shutdown_trigger=anyio.sleep_forever)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        await server.started.wait()
        async with await anyio.connect_tcp("127.0.0.1", int(server.addresses[0].rpartition(":")[2])) as stream:
            await stream.send(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises(anyio.BrokenResourceError), anyio.fail_after(20):
                while True:
                    await stream.receive()
        server.stop()


async def test_client_that_takes_a_little_at_a_time_is_not_given_up(connect: Any, anyio_backend: str) -> None:
    large = b"x" * (3 << 20)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(large))

    async with connect(app, size=1, write_timeout=1.5) as client:
        await client.send(GET)
        data = b""
        with anyio.fail_after(20):
            while len(data) < len(large):
                data += await client.stream.receive(65_536)
                await anyio.sleep(0.05)  # all of it takes longer than the time-out
    assert data.endswith(large)


async def test_stop_does_not_wait_for_a_client_that_takes_nothing_of_the_rest(anyio_backend: str) -> None:
    ended = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        with anyio.move_on_after(0.2):
            while True:
                await send(body(b"x" * 1_000_000, more=True))
        ended.set()

    with anyio.fail_after(20), socket.socket() as client:
        async with serve(app, port=0, lifespan="off", write_timeout=1000, graceful_timeout=0.1) as server:
            await anyio.to_thread.run_sync(client.connect, ("127.0.0.1", int(server.addresses[0].rpartition(":")[2])))
            client.sendall(GET)
            await ended.wait()


async def test_reset_of_a_connection_that_is_lost_already_is_no_error(connect: Any, caplog: Any) -> None:
    left = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"x", more=True))
        await left.wait()
        with pytest.raises(OSError, match="closed"):
            while True:
                await send(body(b"x" * 65_536, more=True))
                await anyio.sleep(0.01)

    async with connect(app) as client:
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        await client.read_until(b"x")
        await client.stream.aclose()
        left.set()
        with anyio.fail_after(20):
            await client.done.wait()
    assert not [record for record in caplog.records if "internal error" in record.getMessage()]


async def test_malformed_body_under_an_answer_without_framing_does_not_look_whole(anyio_backend: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"part", more=True))
        await receive()

    async with serve(app, port=0, lifespan="off") as server:
        port = int(server.addresses[0].rpartition(":")[2])

        def ask() -> bytes:
            with socket.create_connection(("127.0.0.1", port), 10) as sock:
                sock.sendall(b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n")
                data = b""
                while not data.endswith(b"part"):
                    data += sock.recv(1000)
                sock.shutdown(socket.SHUT_WR)
                with pytest.raises(ConnectionResetError):
                    sock.recv(1000)
                return data

        with anyio.fail_after(20):
            assert (await anyio.to_thread.run_sync(ask)).endswith(b"part")


async def test_cancelled_send_leaves_no_gap(anyio_backend: str) -> None:
    size = 8_000_000
    cancelled = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200, (b"content-length", b"%d" % (size + 3))))
        with anyio.move_on_after(0.2):
            await send(body(b"x" * size, more=True))
        cancelled.set()
        await send(body(b"end"))

    def read_all(client: socket.socket) -> bytes:
        client.settimeout(20)
        data = b""
        try:
            while not data.endswith(b"end") and (piece := client.recv(1 << 20)):
                data += piece
        except ConnectionResetError:
            pass
        return data.partition(b"\r\n\r\n")[2]

    with anyio.fail_after(30), socket.socket() as client:
        async with serve(app, port=0, lifespan="off") as server:
            await anyio.to_thread.run_sync(client.connect, ("127.0.0.1", int(server.addresses[0].rpartition(":")[2])))
            client.sendall(GET)
            await cancelled.wait()
            got = await anyio.to_thread.run_sync(read_all, client)
    assert got == b"x" * size + b"end" if anyio_backend == "asyncio" else set(got) <= set(b"x")
