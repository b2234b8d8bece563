"""Slow clients, idle ones, and a soak; the server is a process of its own.

The sizes that the project promises run with DUOFLASK_FULL=1, smaller ones always.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

resource = pytest.importorskip("resource")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux' /proc"),
]

FULL = os.environ.get("DUOFLASK_FULL") == "1"

PROGRAM = """
import asyncio, gc, json, os, resource, sys
from duoflask import DuoFlask, request
from duoflask.globals import websocket
from duoflask.server import run

app = DuoFlask("load")
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

@app.route("/")
def index():
    return "hello"

@app.post("/upload")
async def upload():
    return str(len(request.get_data()))

@app.route("/stream")
async def stream():
    async def body():
        for _ in range(50):
            yield b"x" * 1000
            await asyncio.sleep(0)
    return body()

@app.route("/fail")
async def fail():
    raise ZeroDivisionError

@app.websocket("/echo")
async def echo():
    async for message in websocket:
        await websocket.send(message)

@app.route("/stats")
async def stats():
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return {
        "rss": pages * resource.getpagesize(),
        "tasks": len(asyncio.all_tasks()),
        "fds": len(os.listdir("/proc/self/fd")),
    }

settings = json.loads(sys.argv[1])
import logging
logging.getLogger("load").disabled = True  # what /fail raises is no news
logging.getLogger("duoflask.access").setLevel(logging.WARNING)
run(app, port=0, access_log=False, **settings)
"""


@contextmanager
def server(**settings: Any) -> Iterator[int]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, json.dumps(settings)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("duoflask: serving on "), line + process.stderr.read()
            yield int(line.split()[3].rpartition(":")[2])
        finally:
            process.terminate()
            errors = process.communicate(timeout=20)[1]
            assert not errors, errors


def allow_descriptors(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < number + 200:
        pytest.skip(f"needs {number} descriptors, {hard} are allowed")
    if soft < number + 200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number + 200, hard))


async def ask(port: int, path: str = "/", data: bytes | None = None) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        method, fields = ("GET", "") if data is None else ("POST", f"Content-Length: {len(data)}\r\n")
        writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n".encode() + (data or b"")
        )
        answer = await reader.read()
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head[9:12]), body


async def stats(port: int) -> dict[str, int]:
    return json.loads((await ask(port, "/stats"))[1])  # type: ignore[no-any-return]


async def settled(port: int, tasks: int, fds: int) -> dict[str, int]:
    """Numbers once they are down to these, or after a while those that there are."""
    for _ in range(100):
        now = await stats(port)
        if now["tasks"] <= tasks and now["fds"] <= fds:
            break
        await asyncio.sleep(0.1)
    return now


async def open_all(port: int, first: list[bytes]) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    opened = []
    for data in first:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        opened.append((reader, writer))
    return opened


def test_slow_clients_do_not_keep_others_from_being_served() -> None:
    half = b"GET / HTTP/1.1\r\nHost: x\r\nA: "
    body = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"

    async def main(port: int) -> None:
        slow = await open_all(port, [half] * 70 + [b"G"] * 60 + [body] * 70)
        trickled = 0

        async def trickle() -> None:
            nonlocal trickled
            while True:
                for _, writer in slow[70:]:
                    writer.write(b"x")
                trickled += 1
                await asyncio.sleep(1)

        trickling = asyncio.create_task(trickle())

        async def normal() -> None:
            for number in range(5):
                assert await ask(port) == (200, b"hello")
                assert await ask(port, "/upload", b"x" * number * 1000) == (200, str(number * 1000).encode())

        async with asyncio.timeout(50):
            await asyncio.gather(*(normal() for _ in range(200)))
        assert not slow[0][0].at_eof()  # they are there still, and were all the time
        assert not slow[199][0].at_eof()
        assert trickled
        trickling.cancel()
        for _, writer in slow:
            writer.close()

    with server(head_timeout=100) as port:
        asyncio.run(main(port))


def test_half_heads_are_given_up_whatever_trickles_in() -> None:
    async def main(port: int) -> None:
        slow = await open_all(port, [b"GET / HTTP/1.1\r\nHost: x\r\nA: "] * 50)

        async def trickle() -> None:
            while True:
                for _, writer in slow:
                    writer.write(b"x")
                await asyncio.sleep(0.1)

        trickling = asyncio.create_task(trickle())
        async with asyncio.timeout(30):
            for reader, _ in slow:
                assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        trickling.cancel()
        for _, writer in slow:
            writer.close()

    with server(head_timeout=0.5) as port:
        asyncio.run(main(port))


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["fresh", "after a request"])
def test_idle_connections_cost_little_memory(first: bytes) -> None:
    number = 5000 if FULL else 1000
    allow_descriptors(number)

    async def main(port: int) -> None:
        for _ in range(20):
            await ask(port)
        before = await stats(port)
        idle = await open_all(port, [first] * number)
        if first:
            for reader, _ in idle:
                await reader.readuntil(b"hello")
        during = await stats(port)
        assert during["fds"] >= before["fds"] + number
        each = (during["rss"] - before["rss"]) / number
        print(f"{each:.0f} bytes a connection")  # noqa: T201 - the figure of docs/server.md
        assert each < 24_000, f"{each:.0f} bytes a connection"
        assert await ask(port) == (200, b"hello")
        for _, writer in idle:
            writer.close()
        after = await settled(port, before["tasks"], before["fds"])
        assert (after["tasks"], after["fds"]) == (before["tasks"], before["fds"])

    with server(head_timeout=100, keep_alive_timeout=100) as port:
        asyncio.run(main(port))


async def _keep_alive(port: int, end: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < end:
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        for _ in range(3):
            await reader.readuntil(b"hello")
    writer.close()


async def _requests(port: int, end: float) -> None:
    while time.monotonic() < end:
        assert (await ask(port, "/upload", b"x" * 50_000))[1] == b"50000"
        assert (await ask(port, "/fail"))[0] == 500
        assert (await ask(port, "/nowhere"))[0] == 404
        assert (await ask(port, "/stream"))[0] == 200


async def _rude(port: int, end: float) -> None:
    """Malformed requests, and departures at every moment."""
    requests = [
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HT",
        b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc",
        b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
        b"\x16\x03\x01\x02",
        b"",
    ]
    turn = 0
    while time.monotonic() < end:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        turn += 1
        writer.write(requests[turn % len(requests)])
        if turn % 3 == 0:
            await asyncio.wait([asyncio.ensure_future(reader.read(100))], timeout=0.05)
        if turn % 2:
            writer.transport.abort()
        writer.close()


async def _websockets(port: int, end: float) -> None:
    from websockets.asyncio.client import connect

    turn = 0
    while time.monotonic() < end:
        turn += 1
        async with connect(f"ws://127.0.0.1:{port}/echo", open_timeout=None) as ws:
            for size in (0, 10, 70_000):
                await ws.send("x" * size)
                assert len(await ws.recv()) == size
            if turn % 2:
                ws.transport.abort()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_soak_leaks_nothing(loop: str) -> None:
    if loop == "uvloop" and not FULL:
        pytest.skip("DUOFLASK_FULL=1")
    seconds = 60 if FULL else 5

    async def work(port: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as tasks:
            for client in (_keep_alive, _requests, _rude, _websockets):
                for _ in range(4):
                    tasks.create_task(client(port, end))

    async def main(port: int) -> None:
        await work(port, 3)
        before = await settled(port, 0, 0) if FULL else await stats(port)
        await work(port, seconds)
        after = await settled(port, 0, before["fds"])
        rested = await settled(port, after["tasks"], before["fds"])
        assert rested["fds"] <= before["fds"]
        assert rested["tasks"] <= before["tasks"]
        assert rested["rss"] - before["rss"] < 12_000_000

    with server(loop=loop, linger_timeout=0.2, keep_alive_timeout=1, head_timeout=1) as port:
        asyncio.run(main(port))
