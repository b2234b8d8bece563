"""What SIGINT and SIGTERM do to a process that serves: a real one, with an application of views of both colours."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from duoflask.server import Server, ServerConfig

pytestmark = pytest.mark.e2e

PROGRAM = """
import asyncio, sys, time
import anyio
from duoflask import DuoFlask, request, websocket
from duoflask.server import run

app = DuoFlask("stopping")

@app.get("/executor")
async def executor():
    print("in", flush=True)
    await asyncio.to_thread(time.sleep, 60)
    return ""

@app.after_serving
async def stopped():
    print("shutdown", flush=True)

@app.get("/thread")
def thread():
    print("in", flush=True)
    time.sleep(60)
    return ""

@app.get("/loop")
async def loop():
    print("in", flush=True)
    time.sleep(60)
    return ""

@app.get("/task")
async def task():
    print("in", flush=True)
    try:
        await anyio.sleep(60)
    finally:
        print("cancelled", flush=True)
    return ""

@app.get("/teardown")
async def waits():
    print("in", flush=True)
    await anyio.sleep(60)
    return ""

@app.teardown_request
async def slow(error):
    if request.path == "/teardown":
        await anyio.sleep(1.3)
        print("torn down", flush=True)

@app.get("/def-stream")
def def_stream():
    print("in", flush=True)
    def body():
        while True:
            yield "data: x\\n\\n"
            time.sleep(0.02)
    return body()

@app.get("/async-stream")
async def async_stream():
    print("in", flush=True)
    async def body():
        while True:
            yield "data: x\\n\\n"
            await anyio.sleep(0.02)
    return body()

@app.websocket("/def-socket")
def def_socket():
    print("in", flush=True)
    while True:
        websocket.receive()

@app.websocket("/async-socket")
async def async_socket():
    print("in", flush=True)
    while True:
        await websocket.receive()

interface, loop, timeout = sys.argv[1:]
served = app if interface == "asgi" else app.wsgi_app
try:
    run(served, port=0, interface=interface, loop=loop, graceful_timeout=float(timeout))
finally:
    print("after", flush=True)
    time.sleep(1.5)
    print("later", flush=True)
"""

_HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@contextmanager
def asked(
    path: str, *, interface: str = "asgi", loop: str = "asyncio", timeout: float = 30
) -> Iterator[tuple[Any, socket.socket]]:
    """A serving process whose view for `path` has begun, and the connection to it."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, interface, loop, str(timeout)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            port = int(process.stderr.readline().split(" (")[0].rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
                fields = _HANDSHAKE if path.endswith("socket") else ""
                sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
                assert process.stdout.readline() == "in\n"
                yield process, sock
        finally:
            process.kill()


def ended(process: Any) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=20)
    return process.returncode, output, errors


def stop(process: Any) -> None:
    """Send the first signal, and wait until the server waits for the request."""
    process.send_signal(signal.SIGINT)
    while not process.stderr.readline().startswith("waiting up to 30.0 s for 1 request; stop again to drop it"):
        pass


@pytest.mark.parametrize(("interface", "loop"), [("asgi", "asyncio"), ("asgi", "trio"), ("wsgi", "asyncio")])
def test_second_interrupt_ends_the_process_though_a_thread_does_not_end(interface: str, loop: str) -> None:
    with asked("/thread", interface=interface, loop=loop) as (process, _):
        stop(process)
        process.send_signal(signal.SIGINT)
        code, _, errors = ended(process)
    assert code == 128 + signal.SIGINT
    assert errors.splitlines()[-1] == (
        "ending the process: SIGINT for the second signal, and these have not ended: GET /thread"
    )


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_second_signal_ends_the_process_though_an_application_keeps_the_loop(loop: str) -> None:
    with asked("/loop", loop=loop) as (process, _):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # two of one number may arrive as one
        code, _, errors = ended(process)
    assert code == 128 + signal.SIGTERM
    assert errors.splitlines()[-1].endswith("have not ended: GET /loop")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("path", "interface", "loop"),
    [("/task", "asgi", "asyncio"), ("/task", "asgi", "trio"), ("/def-stream", "asgi", "asyncio")]
    + [("/def-stream", "wsgi", "asyncio"), ("/async-stream", "asgi", "trio"), ("/async-stream", "wsgi", "asyncio")],
)
def test_second_signal_lets_what_follows_run_where_nothing_is_stuck(
    path: str, interface: str, loop: str, number: int
) -> None:
    with asked(path, interface=interface, loop=loop) as (process, _):
        stop(process)
        process.send_signal(number)
        code, output, errors = ended(process)
    assert code == 128 + number
    before = "cancelled\n" if path == "/task" else ""
    assert output == f"{before}after\nlater\n" + ("shutdown\n" if interface == "wsgi" else "")  # WSGI: at the exit
    assert "ending the process" not in errors
    assert "Traceback" not in errors


def test_second_signal_ends_the_process_though_the_loop_waits_for_its_executor() -> None:
    with asked("/executor") as (process, _):
        stop(process)
        process.send_signal(signal.SIGINT)
        code, output, errors = ended(process)
    assert (code, output) == (128 + signal.SIGINT, "")
    assert errors.splitlines()[-1] == "ending the process: SIGINT for the second signal"


def test_third_signal_ends_the_process_without_a_word() -> None:
    with asked("/thread") as (process, _):
        stop(process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        code, _, errors = ended(process)
    assert code == 128 + signal.SIGTERM
    assert "ending the process" not in errors


@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_function_that_does_not_end_is_left_after_the_graceful_timeout(interface: str) -> None:
    with asked("/thread", interface=interface, timeout=0.2) as (process, _):
        process.send_signal(signal.SIGTERM)
        code, output, errors = ended(process)
    assert code == 0
    if interface == "asgi":
        assert output == "shutdown\n"
    assert "1 request was not finished 0.2 s after the stop" in errors
    assert errors.splitlines()[-1].endswith("these have not ended: GET /thread")


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_teardown_ends_before_the_shutdown_functions_begin(loop: str) -> None:
    with asked("/teardown", loop=loop, timeout=3) as (process, _):
        process.send_signal(signal.SIGTERM)
        code, output, errors = ended(process)
    assert code == 0
    assert output.split("\n")[:3] == ["torn down", "shutdown", "after"]
    assert "ending the process" not in errors


def test_servers_that_end_in_any_order_leave_the_handlers_that_were_there() -> None:
    async def serve_two() -> None:
        tasks = []
        for _ in range(2):
            server = Server(empty, ServerConfig(port=0, lifespan="off"))
            tasks.append(asyncio.create_task(server.serve()))
            await server.started.wait()
        for task in tasks:
            task.cancel()
            await asyncio.wait([task])

    async def empty(scope: Any, receive: Any, send: Any) -> None: ...

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    asyncio.run(serve_two())
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("path", ["/def-stream", "/async-stream"])
@pytest.mark.parametrize(("interface", "loop"), [("asgi", "asyncio"), ("asgi", "trio"), ("wsgi", "asyncio")])
def test_endless_stream_is_cut_at_the_end_of_the_graceful_timeout(path: str, interface: str, loop: str) -> None:
    with asked(path, interface=interface, loop=loop, timeout=0.3) as (process, sock):
        process.send_signal(signal.SIGTERM)
        data = b""
        while piece := sock.recv(65_536):
            data += piece
        code, output, errors = ended(process)
    assert data.count(b"data: x") > 3
    assert not data.endswith(b"0\r\n\r\n")
    assert code == 0
    assert "1 request was not finished" in errors
    assert "ending the process" not in errors
    assert output == ("shutdown\nafter\nlater\n" if interface == "asgi" else "after\nlater\nshutdown\n")


@pytest.mark.parametrize("path", ["/def-socket", "/async-socket"])
@pytest.mark.parametrize(("interface", "loop"), [("asgi", "asyncio"), ("asgi", "trio"), ("wsgi", "asyncio")])
def test_websocket_is_closed_with_1012_and_costs_little_of_the_graceful_timeout(
    path: str, interface: str, loop: str
) -> None:
    with asked(path, interface=interface, loop=loop) as (process, sock):
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        data = b""
        while piece := sock.recv(65_536):  # and never answers the close frame
            data += piece
        code, _, errors = ended(process)
        assert time.monotonic() - begun < 8
    assert data.endswith(b"\x88\x02" + (1012).to_bytes(2, "big"))
    assert code == 0
    assert "not finished" not in errors
