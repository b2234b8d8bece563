"""Files under every server: whole, in parts, given up midway, cut short."""

from __future__ import annotations

import json
import socket
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.e2e

WAYS = ["/static/{}", "/send/{}", "/send-async/{}"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["short.txt", "five.bin"])
def test_file_arrives_whole(download_server: Server, site: Path, way: str, name: str) -> None:
    body = (site / "static" / name).read_bytes()
    response, received = download_server.get(way.format(name))
    assert response.status == 200
    assert response.headers.get_all("Content-Length") == [str(len(body))]
    assert response.headers.get_all("Date") is None or len(response.headers.get_all("Date")) == 1  # type: ignore[arg-type]
    assert received == body
    again, received = download_server.get(way.format(name), {"If-None-Match": response.headers["ETag"]})
    assert (again.status, received) == (304, b"")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("field", "start", "stop"),
    [("bytes=1000000-3999999", 1_000_000, 4_000_000), ("bytes=-3", -3, None), ("bytes=4000000-", 4_000_000, None)],
)
def test_range_arrives(download_server: Server, site: Path, way: str, field: str, start: int, stop: int | None) -> None:
    body = (site / "static" / "five.bin").read_bytes()[start:stop]
    response, received = download_server.get(way.format("five.bin"), {"Range": field})
    assert (response.status, response.headers["Content-Length"]) == (206, str(len(body)))
    assert received == body


def test_several_ranges_arrive(download_server: Server, site: Path) -> None:
    whole = (site / "static" / "five.bin").read_bytes()
    response, received = download_server.get("/static/five.bin", {"Range": "bytes=0-9,1000000-1999999,-10"})
    assert response.status == 206
    assert response.headers["Content-Length"] == str(len(received))
    for part in (whole[:10], whole[1_000_000:2_000_000], whole[-10:]):
        assert b"\r\n\r\n" + part + b"\r\n--" in received


@pytest.mark.parametrize("way", WAYS)
def test_head_and_downloads_share_a_connection(download_server: Server, site: Path, way: str) -> None:
    connection = download_server.connect()
    try:
        for method, name in (("HEAD", "five.bin"), ("GET", "five.bin"), ("HEAD", "short.txt"), ("GET", "short.txt")):
            body = (site / "static" / name).read_bytes()
            connection.request(method, way.format(name))
            response = connection.getresponse()
            received = response.read()
            assert (response.status, response.headers["Content-Length"]) == (200, str(len(body)))
            assert received == (b"" if method == "HEAD" else body)
    finally:
        connection.close()


def _state(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.get("/state")[1])
    return found


@pytest.mark.parametrize("way", WAYS)
def test_client_that_leaves_midway_leaves_no_file_open(download_server: Server, way: str) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", download_server.port), timeout=20) as client:
            client.sendall(f"GET {way.format('huge.bin')} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            received = 0
            while received < 300_000:
                received += len(client.recv(65536))
    deadline = time.monotonic() + 20
    while (state := _state(download_server))["open"] and time.monotonic() < deadline:
        time.sleep(0.1)
    assert state["open"] == 0


@pytest.mark.parametrize("path", ["/truncated", "/truncated-async"])
def test_truncated_file_never_looks_complete(download_server: Server, path: str) -> None:
    connection = HTTPConnection("127.0.0.1", download_server.port, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.headers["Content-Length"] == "3000000"
        with pytest.raises((HTTPException, OSError)):
            response.read()
    finally:
        connection.close()
    assert _state(download_server)["open"] == 0
    assert download_server.get("/static/short.txt")[0].status == 200


@pytest.mark.parametrize(
    "target",
    [
        *("/static/../secret.txt", "/static/..%2fsecret.txt", "/static/%2e%2e/secret.txt", "/static/..%5csecret.txt"),
        *("/static/sub/../../secret.txt", "/static//etc/passwd", "/static/%2fetc%2fpasswd", "/static/short.txt%00"),
        *("/static/..%c0%afsecret.txt", "/static/%252e%252e/secret.txt", "/static/NUL:", "/static/short.txt."),
    ],
)
def test_raw_path_that_leads_out_is_refused(download_server: Server, target: str) -> None:
    with socket.create_connection(("127.0.0.1", download_server.port), timeout=20) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        received = b""
        while piece := client.recv(65536):
            received += piece
    status = int(received.split(None, 2)[1])
    assert status in (400, 404, 308)
    assert not received.endswith(b"secret")
