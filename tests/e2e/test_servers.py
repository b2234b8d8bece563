"""examples/hello under every server: the same answers from all of them, and a clean stop."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.e2e

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}
FORM_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST"})


TEARDOWN_HOOKS = (
    "teardown_request (def)",
    "teardown_request (async def)",
    "teardown_appcontext (def)",
    "teardown_appcontext (async def)",
)


@dataclass(frozen=True)
class Case:
    """A request and what each server has to answer; a body given as a list is sent in chunks."""

    name: str
    target: str
    status: int = 200
    body: bytes | None = None
    json: Any = None
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    send: bytes | list[bytes] | None = None
    allow: frozenset[str] | None = None
    expect: dict[str, str] = field(default_factory=dict)
    without: bytes | None = None


HTML = {"Content-Type": "text/html; charset=utf-8"}
BINARY = {"Content-Type": "application/octet-stream"}
TRAIL = [
    "url_value_preprocessor (def)",
    "url_value_preprocessor (async def)",
    "before_request (def)",
    "before_request (async def) for Ada",
    "view (async def) for Ada",
]

CASES = [
    Case("def view", "/", body=b"Hello, World!", expect={**HTML, "Content-Length": "13"}),
    Case("async def view", "/async", body=b"Hello, async World!", expect={**HTML, "Content-Length": "19"}),
    Case("converter", "/users/7", json={"id": 7, "name": "user 7", "query": None}, expect=JSON),
    Case("query", "/users/7?q=a%20b+c", json={"id": 7, "name": "user 7", "query": "a b c"}),
    Case("bad escape in the query", "/users/7?q=%zz", json={"id": 7, "name": "user 7", "query": "%zz"}),
    Case("converter refuses letters", "/users/seven", 404, body=b"nothing at /users/seven"),
    Case("converter refuses a sign", "/users/-7", 404, body=b"nothing at /users/-7"),
    Case("form page", "/form", body=b'<form method="post"><input name="name"><button>Greet</button></form>'),
    Case(
        "form",
        "/form",
        method="POST",
        headers=FORM,
        send=b"name=Ada+L%C3%B6ve&other=1",
        body="Hello, Ada Löve!".encode(),
        expect={"Content-Type": "text/plain; charset=utf-8"},
    ),
    Case("empty form", "/form", method="POST", headers=FORM, send=b"", body=b"Hello, stranger!"),
    Case("JSON, def", "/sum", method="POST", headers=JSON, send=b'{"numbers": [1, 2, 3]}', json={"sum": 6}),
    Case("JSON, async def", "/sum/async", method="POST", headers=JSON, send=b'{"numbers":[4]}', json={"sum": 4}),
    Case("bad JSON, def", "/sum", 400, method="POST", headers=JSON, send=b'{"numbers": [1,'),
    Case("bad JSON, async def", "/sum/async", 400, method="POST", headers=JSON, send=b"[1,"),
    Case("not JSON, def", "/sum", 415, method="POST", headers=TEXT, send=b'{"numbers": []}'),
    Case("not JSON, async def", "/sum/async", 415, method="POST", headers=TEXT, send=b'{"numbers": []}'),
    Case("body", "/echo", method="POST", send=b"\x00\xff" * 500, body=b"\x00\xff" * 500, expect=BINARY),
    Case("body over the limit", "/echo", 413, method="POST", send=b"x" * 1001),
    Case("body far over the limit", "/echo", 413, method="POST", send=b"x" * 300_000),
    Case("chunked body", "/echo", method="POST", send=[b"one ", b"two ", b"three"], body=b"one two three"),
    Case("chunked body over the limit", "/echo", 413, method="POST", send=[b"x" * 600, b"x" * 600]),
    Case(
        "chunked form",
        "/form",
        method="POST",
        headers=FORM,
        send=[b"name=Gr", b"ace"],
        body=b"Hello, Grace!",
    ),
    Case("hooks of both colours", "/trail", headers={"X-Visitor": "Ada"}, json=TRAIL),
    Case(
        "after hooks",
        "/",
        headers={"X-Visitor": "Ada"},
        expect={"X-After-Def": "Ada", "X-After-Async-Def": "Ada"},
    ),
    Case("context ends with the request", "/", expect={"X-After-Def": "nobody", "X-After-Async-Def": "nobody"}),
    Case(
        "stream, def",
        "/stream",
        headers={"X-Visitor": "Ada"},
        body=b"".join(b"%d for Ada at /stream\n" % number for number in range(5)),
        expect={**HTML, "X-After-Def": "Ada"},
    ),
    Case(
        "stream, async def",
        "/stream/async",
        headers={"X-Visitor": "Ada"},
        body=b"".join(b"%d for Ada at /stream/async\n" % number for number in range(5)),
        expect={**HTML, "X-After-Def": "Ada"},
    ),
    Case("HEAD, def", "/", method="HEAD", body=b"", expect={**HTML, "Content-Length": "13"}),
    Case("HEAD, async def", "/async", method="HEAD", body=b"", expect={**HTML, "Content-Length": "19"}),
    Case("HEAD of a stream", "/stream/async", method="HEAD", body=b"", expect=HTML),
    Case("OPTIONS", "/form", method="OPTIONS", body=b"", allow=FORM_METHODS),
    Case("wrong method", "/form", 405, method="DELETE", allow=FORM_METHODS),
    Case("slash redirect", "/rooms?a=%20b&c", 308, expect={"Location": "http://{host}/rooms/?a=%20b&c"}),
    Case("slash", "/rooms/", body=b"rooms"),
    Case("error handler, def", "/nowhere", 404, body=b"nothing at /nowhere", expect={"X-After-Def": "nobody"}),
    Case("path beyond ASCII", "/n%C3%A4", 404, body="nothing at /nä".encode()),
    Case("path of invalid UTF-8", "/users/%ff", 400),
    Case(
        "error handler, async def",
        "/coffee",
        503,
        json={"error": "the pot is empty"},
        expect={"X-After-Def": "nobody"},
    ),
    Case("unhandled exception", "/crash", 500, without=b"nobody handles", expect={"X-After-Def": "nobody"}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_all_servers_answer_alike(server: Server, case: Case) -> None:
    if isinstance(case.send, list) and "chunked requests" in server.kind.lacks:
        pytest.skip(f"{server.kind.name} reads no chunked requests")
    connection = server.connect()
    body: bytes | Iterator[bytes] | None = iter(case.send) if isinstance(case.send, list) else case.send
    try:
        connection.request(case.method, case.target, body, case.headers, encode_chunked=isinstance(case.send, list))
        response = connection.getresponse()
        got = response.read()
    finally:
        connection.close()
    assert response.status == case.status, got[:300]
    if case.body is not None:
        assert got == case.body
    if case.json is not None:
        assert json.loads(got) == case.json
    if case.allow is not None:
        assert {part.strip() for part in response.getheader("Allow", "").split(",")} == case.allow
    if case.without is not None:
        assert case.without not in got
    for name, value in case.expect.items():
        assert response.getheader(name, "") == value.replace("{host}", f"127.0.0.1:{server.port}"), name


def test_one_connection_serves_requests_of_both_colours_in_turn(server: Server) -> None:
    connection = server.connect()
    try:
        for target, expected in [("/", b"Hello, World!"), ("/async", b"Hello, async World!")] * 3:
            connection.request("GET", target)
            assert connection.getresponse().read() == expected
    finally:
        connection.close()


def test_concurrent_requests_keep_their_own_context(server: Server) -> None:
    names = [f"visitor {number}" for number in range(16)]
    with ThreadPoolExecutor(len(names)) as threads:
        answers = list(threads.map(lambda name: server.get("/trail", {"X-Visitor": name}), names))
    assert [response.status for response, _ in answers] == [200] * len(names)
    assert [json.loads(body)[-1] for _, body in answers] == [f"view (async def) for {name}" for name in names]


LATE_HEAD = (
    b"POST /sum/async HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 17\r\nConnection: close\r\n\r\n"
)
LATE_BODY = b'{"numbers": [23]}'


def test_async_view_reads_a_body_that_comes_after_the_head(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(LATE_HEAD)
        # Time for the server to hand the request to the application, or to wait for more.
        time.sleep(0.1)
        client.sendall(LATE_BODY)
        assert b'{"sum":23}' in _read_to_end(client)


def test_body_that_does_not_come_holds_up_no_other_request(server: Server) -> None:
    if "concurrency" in server.kind.lacks:
        pytest.skip(f"{server.kind.name} serves one request at a time")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(LATE_HEAD + LATE_BODY[:5])
        time.sleep(0.1)
        assert server.get("/async", timeout=20)[1] == b"Hello, async World!"
        assert server.get("/", timeout=20)[1] == b"Hello, World!"
        client.sendall(LATE_BODY[5:])
        assert b'{"sum":23}' in _read_to_end(client)


def _read_to_end(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b"")).replace(b" ", b"")


def test_start_functions_ran_once(server: Server) -> None:
    server.get("/")
    counts = _settled_counts(server)
    assert counts["started"] == ["before_serving (def)", "before_serving (async def)"]
    assert counts["first request"] == ["before_first_request (def)", "before_first_request (async def)"]


def test_teardown_functions_run_once_a_request(server: Server) -> None:
    if "one process" in server.kind.lacks:
        pytest.skip("the counts are those of one of several processes")
    before = _settled_counts(server)
    targets = ("/", "/async", "/stream", "/stream/async", "/nowhere", "/coffee", "/crash")
    for target in targets:
        server.get(target)
    after = _settled_counts(server)
    # Each look at /counts is counted as a request before it answers, and as a teardown after it.
    begun = after["requests"] - before["requests"]
    assert begun > len(targets)
    assert {hook: after[hook] - before[hook] for hook in TEARDOWN_HOOKS} == dict.fromkeys(TEARDOWN_HOOKS, begun)


def _settled_counts(server: Server) -> dict[str, Any]:
    """Return /counts once the teardown of earlier requests, which may follow their last byte, is through."""
    deadline = time.monotonic() + 20
    last: dict[str, Any] = {}
    while True:
        counts: dict[str, Any] = json.loads(server.get("/counts")[1])
        # Nothing but these looks themselves happened between two of them.
        settled = last and all(counts.get(hook, 0) - last.get(hook, 0) == 1 for hook in TEARDOWN_HOOKS)
        if settled or time.monotonic() > deadline:
            return counts
        last = counts
        time.sleep(0.02)


@pytest.mark.parametrize("target", ["/slow/700", "/slow/async/700"], ids=["def", "async def"])
@pytest.mark.parametrize(
    "own_server", ["python-hello", "duoflask-run-wsgi", "gunicorn-gthread", "uvicorn"], indirect=True
)
def test_sigterm_lets_a_request_in_flight_finish(own_server: Server, target: str) -> None:
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(own_server.get, target)
        _wait_for_one_in_flight(own_server)
        own_server.terminate()
        response, body = answer.result()
    assert (response.status, body) == (200, b"waited 700 ms")
    _assert_refused(own_server.port)
    _assert_clean_log(own_server.log())


def _wait_for_one_in_flight(server: Server) -> None:
    asked = 0
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        asked += 1
        if json.loads(server.get("/counts")[1])["requests"] > asked:
            return
    raise AssertionError("the slow request never began")


def _assert_refused(port: int) -> None:
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def _assert_clean_log(log: str) -> None:
    for text in ("was never awaited", "Task was destroyed", "Exception ignored in", "RuntimeWarning"):
        assert text not in log


def test_unhandled_exceptions_are_logged_once_with_their_traceback(server: Server) -> None:
    before = server.log().count("RuntimeError: nobody handles this one")
    server.get("/crash")
    _settled_counts(server)
    log = server.log()
    assert log.count("RuntimeError: nobody handles this one") == before + 1
    assert 'raise RuntimeError("nobody handles this one")' in log


# This one stops the server: it stays the last one in the file.
def test_sigterm_runs_the_shutdown_functions_once(server: Server) -> None:
    assert server.get("/async")[1] == b"Hello, async World!"
    server.terminate()
    log = server.log()
    processes = 1
    if "one process" in server.kind.lacks:
        # Only a process that has served a request has started anything.
        processes = max(1, log.count("hello: after_serving (def)"))
    assert log.count("hello: after_serving (def)") == processes
    assert log.count("hello: after_serving (async def)") == processes
    _assert_clean_log(log)
    _assert_refused(server.port)
