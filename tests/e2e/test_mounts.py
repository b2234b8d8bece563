"""Mounted applications of both protocols under real servers: bounded memory, and clients that leave."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.e2e

SIZE = 64 << 20
CHUNKS = SIZE // 65_536


def state_of(server: Server) -> dict[str, int]:
    return json.loads(server.get("/state")[1])  # type: ignore[no-any-return]


@pytest.mark.parametrize("path", ["/wsgi", "/asgi"])
def test_bodies_pass_in_both_directions_without_filling_the_memory(mounts_server: Server, path: str) -> None:
    connection = mounts_server.connect(timeout=40)
    connection.request("POST", f"{path}/sum", body=iter([b"x" * 65_536] * 4), headers={"Content-Length": str(4 << 16)})
    assert connection.getresponse().read() == str(4 << 16).encode()
    before = state_of(mounts_server)["peak"]
    pieces = iter([b"y" * (1 << 20)] * (SIZE >> 20))
    connection.request("POST", f"{path}/sum", body=pieces, headers={"Content-Length": str(SIZE)})
    assert connection.getresponse().read() == str(SIZE).encode()
    connection.request("GET", f"{path}/stream?{CHUNKS}")
    response = connection.getresponse()
    size = 0
    while piece := response.read(1 << 20):
        size += len(piece)
    assert size == SIZE
    connection.close()
    grown = state_of(mounts_server)["peak"] - before
    assert grown < 8 * 1024, f"the peak grew by {grown} KiB"


@pytest.mark.parametrize("path", ["/wsgi", "/asgi"])
def test_a_client_that_leaves_ends_the_stream_once(mounts_server: Server, path: str) -> None:
    name = path[1:]
    before = state_of(mounts_server)[name]
    with socket.create_connection(("127.0.0.1", mounts_server.port), timeout=20) as connection:
        connection.sendall(f"GET {path}/stream?100000000 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.recv(1000)
    deadline = time.monotonic() + 20
    while state_of(mounts_server)[name] == before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state_of(mounts_server)[name] == before + 1
