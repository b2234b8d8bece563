"""Streams under every server: slow readers, clients that leave, bodies that fail midway."""

from __future__ import annotations

import json
import socket
import time
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.e2e

COLOURS = ["def", "async"]
# What a slow reader's server may have taken: the kernel's buffers on both sides (4 to 6 MiB on Linux), waitress's
# 16 MiB before it makes the application wait, granian's channel. Without back-pressure it is hundreds.
MAX_TAKEN = 64 << 20
# A client that leaves shows at the next piece, which comes every 20 ms.
END_SECONDS = 20
# Nothing in HTTP/1.0, and nothing in what granian offers to WSGI applications, breaks a message off.
CANNOT_ABORT = {"wsgiref", "granian-wsgi"}


def state_of(server: Server) -> dict[str, int]:
    return json.loads(server.get("/state")[1])  # type: ignore[no-any-return]


def opened(server: Server, path: str) -> socket.socket:
    """A client that has read the head of the answer, the first byte of its body, and nothing more."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    begun = b""
    while b"\r\n\r\n" not in begun[:-1]:
        got = connection.recv(1)  # not more: its buffer is to stay full
        assert got, f"the connection was closed behind {begun!r}"
        begun += got
    assert begun.split()[1] == b"200"
    return connection


def settled(server: Server) -> dict[str, int]:
    """The counts, once every stream that has begun has ended."""
    deadline = time.monotonic() + END_SECONDS
    while True:
        state = {"begun": 0, "torn down": 0, "made": 0, "other begun": 0, "other closed": 0, **state_of(server)}
        if state["begun"] == state["torn down"] and state["other begun"] == state["other closed"]:
            return state
        assert time.monotonic() < deadline, f"a stream never ended: {state}"
        time.sleep(0.02)


def require_one_end(server: Server, begun: int) -> dict[str, int]:
    """Every stream that has begun has ended once, in its Context."""
    state = settled(server)
    assert state["begun"] == state["closed"] == state["on close"] == state["torn down"] == begun
    assert "closed elsewhere" not in state
    return state


def require_quiet(server: Server) -> None:
    for text in ("Traceback", "was never awaited", "Task was destroyed", "Exception ignored", "socket.send() raised"):
        assert text not in server.log()


# These come before the bodies that fail, whose log is not quiet.


@pytest.mark.parametrize("colour", COLOURS)
def test_a_slow_reader_stops_the_producer(streams_server: Server, colour: str) -> None:
    before = settled(streams_server)
    with opened(streams_server, f"/endless/{colour}"):
        time.sleep(0.5)  # as long as an unbounded producer needs for more than is allowed
        # granian goes on taking, to no effect, for a moment after the client has left
        made = 0 if "concurrency" in streams_server.kind.lacks else state_of(streams_server)["made"]
    after = require_one_end(streams_server, before["begun"] + 1)
    assert (made or after["made"]) - before["made"] < MAX_TAKEN
    require_quiet(streams_server)


@pytest.mark.parametrize("path", ["/tick/def", "/tick/async", "/duo/tick/def", "/duo/tick/async"])
def test_a_client_that_leaves_ends_its_stream_once(streams_server: Server, path: str) -> None:
    before = settled(streams_server)
    for count in range(3):
        opened(streams_server, path).close()
        require_one_end(streams_server, before["begun"] + count + 1)
    require_quiet(streams_server)


@pytest.mark.parametrize("path", ["/starlette/x", "/wsgi/x"])
def test_a_client_that_leaves_a_mounted_application(streams_server: Server, path: str) -> None:
    before = settled(streams_server)
    opened(streams_server, path).close()
    assert settled(streams_server)["other closed"] == before["other closed"] + 1
    require_quiet(streams_server)


def test_a_client_that_leaves_ends_a_body_that_waits(streams_server: Server) -> None:
    name = streams_server.kind.name
    if name not in ("duoflask-run", "gunicorn-asgi", "granian-asgi") and not name.startswith(("uvicorn", "hypercorn")):
        pytest.skip("WSGI servers notice when they write")
    before = settled(streams_server)
    opened(streams_server, "/wait/async").close()
    require_one_end(streams_server, before["begun"] + 1)
    require_quiet(streams_server)


def test_clients_that_leave_by_the_dozen(streams_server: Server) -> None:
    before = settled(streams_server)
    for _ in range(36):
        opened(streams_server, "/tick/async").close()
    require_one_end(streams_server, before["begun"] + 36)
    require_quiet(streams_server)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_body_that_fails_breaks_the_connection_off(streams_server: Server, colour: str) -> None:
    before = settled(streams_server)
    line = f"Exception on /fail/{colour} [GET]"
    logged = streams_server.log().count(line)
    if streams_server.kind.name in CANNOT_ABORT:
        assert streams_server.get(f"/fail/{colour}")[1] == b"x" * 1000
    else:
        with pytest.raises((HTTPException, OSError)):
            streams_server.get(f"/fail/{colour}")
    require_one_end(streams_server, before["begun"] + 1)
    assert streams_server.log().count(line) == logged + 1
