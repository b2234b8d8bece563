from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from duoflask.server import LifespanError, Server, ServerConfig, run, serve
from duoflask.server.listen import bind, describe

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def running(app: Any, **settings: Any) -> AsyncIterator[Server]:
    settings.setdefault("port", 0)
    server = Server(app, ServerConfig(**settings), shutdown_trigger=anyio.sleep_forever)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        with anyio.fail_after(20):
            await server.started.wait()
        yield server
        server.stop()


async def ask(server: Server, data: bytes = GET, until: bytes = b"hello") -> bytes:
    async with await connect(server) as stream:
        await stream.send(data)
        return await read(stream, until)


async def connect(server: Server) -> Any:
    address = server.addresses[0]
    if address.startswith("unix:"):
        return await anyio.connect_unix(address.removeprefix("unix:"))
    host, _, port = address.removeprefix("http://").rpartition(":")
    return await anyio.connect_tcp(host.strip("[]"), int(port))


async def read(stream: Any, until: bytes = b"\0") -> bytes:
    data = b""
    with anyio.fail_after(20):
        try:
            while until not in data:
                data += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass
    return data


async def test_request_over_tcp_is_served(anyio_backend: str) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await hello(scope, receive, send)

    async with running(app) as server:
        assert (await ask(server)).endswith(b"hello")
        scope = scopes[-1]
        assert scope["server"] == ("127.0.0.1", int(server.addresses[0].rpartition(":")[2]))
        assert scope["client"][0] == "127.0.0.1"
        assert isinstance(scope["client"][1], int)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
async def test_request_over_ipv6_is_served(anyio_backend: str) -> None:
    async with running(hello, host="::1") as server:
        assert server.addresses[0].startswith("http://[::1]:")
        assert (await ask(server)).endswith(b"hello")


async def test_request_over_a_unix_socket_is_served(anyio_backend: str, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await hello(scope, receive, send)

    async with running(app, uds=path) as server:
        assert server.addresses == [f"unix:{path}"]
        assert (await ask(server)).endswith(b"hello")
        assert (scopes[-1]["client"], scopes[-1]["server"]) == (None, (path, None))
    assert not os.path.exists(path)


async def test_stale_unix_socket_is_replaced_but_not_one_in_use(anyio_backend: str, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    async with running(hello, uds=path) as server:
        assert (await ask(server)).endswith(b"hello")
        with pytest.raises(OSError, match="cannot listen on unix socket"):
            bind(ServerConfig(uds=path))


async def test_wsgi_application_is_served(anyio_backend: str) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"hello"]

    async with running(app, interface="wsgi") as server:
        assert (await ask(server)).endswith(b"hello")


async def test_address_in_use_is_an_error_that_names_it(anyio_backend: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}: "):
            await serve(hello, ServerConfig(port=port), shutdown_trigger=anyio.sleep_forever)


def test_all_interfaces_share_a_free_port() -> None:
    sockets = bind(ServerConfig(host="", port=0))
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        assert all(describe(sock, "http").startswith("http://") for sock in sockets)
    finally:
        for sock in sockets:
            sock.close()


async def test_connections_beyond_the_limit_are_told_so_and_closed(anyio_backend: str) -> None:
    async with running(hello, max_connections=1) as server:
        async with await connect(server) as first:
            await first.send(GET)
            await read(first, b"hello")
            answer = await ask(server, until=b"later\n")
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nretry-after: 1\r\n" in answer
            await first.send(GET)
            assert (await read(first, b"hello")).endswith(b"hello")


async def test_peer_that_resets_while_it_is_refused_ends_nothing_but_its_connection(
    anyio_backend: str, caplog: Any
) -> None:
    reset = struct.pack("ii", 1, 0)
    async with running(hello) as server:
        host, _, port = server.addresses[0].removeprefix("http://").rpartition(":")
        for _ in range(20):
            with socket.create_connection((host, int(port))) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                sock.sendall(b"GET / HTTP/1.1\nHost: x\n\n")
        assert (await ask(server)).endswith(b"hello")
    assert "internal error" not in caplog.text


async def test_stop_lets_requests_in_flight_finish_and_drops_idle_ones(anyio_backend: str) -> None:
    entered = anyio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await anyio.sleep(0.2)
        await hello(scope, receive, send)

    async with running(slow, lifespan="off") as server:
        async with await connect(server) as busy, await connect(server) as idle:
            await busy.send(GET)
            await entered.wait()
            server.stop()
            assert await read(idle) == b""
            answer = await read(busy)
            assert answer.endswith(b"hello")
            assert b"\r\nconnection: close\r\n" in answer


async def test_stop_ends_what_takes_longer_than_the_deadline(anyio_backend: str, caplog: Any) -> None:
    entered = anyio.Event()
    cancelled: list[bool] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(True)

    async with running(endless, lifespan="off", graceful_timeout=0.1) as server:
        async with await connect(server) as stream:
            await stream.send(GET)
            await entered.wait()
            server.stop()
            assert await read(stream) == b""
    assert cancelled == [True]
    assert "1 request was not finished" in caplog.text


class Lifespan:
    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.log: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.log.append(f"request {scope['state']}")
            scope["state"]["mine"] = 1
            await hello(scope, receive, send)
            return
        scope["state"]["pool"] = "pool"
        for kind in ("startup", "shutdown"):
            message = await receive()
            assert message["type"] == f"lifespan.{kind}"
            self.log.append(kind)
            await send({"type": f"lifespan.{kind}.{self.answers.get(kind, 'complete')}", "message": "because"})


async def test_lifespan_surrounds_requests_and_shares_its_state(anyio_backend: str) -> None:
    app = Lifespan()
    async with running(app) as server:
        await ask(server)
        await ask(server)
    assert app.log == ["startup", "request {'pool': 'pool'}", "request {'pool': 'pool'}", "shutdown"]


@pytest.mark.parametrize("kind", ["startup", "shutdown"])
async def test_failed_lifespan_is_the_servers_error(kind: str, anyio_backend: str) -> None:
    app = Lifespan(**{kind: "failed"})
    started = anyio.Event()
    with pytest.raises(LifespanError, match=f"{kind.replace('startup', 'start-up')} failed: because"):
        await serve(app, ServerConfig(port=0), started=started, shutdown_trigger=started.wait)
    assert started.is_set() is (kind == "shutdown")


async def test_application_without_lifespan_is_served_unless_it_is_wanted(anyio_backend: str) -> None:
    async with running(hello) as server:
        assert (await ask(server)).endswith(b"hello")
    with pytest.raises(LifespanError, match="no lifespan here"):
        await serve(hello, ServerConfig(port=0, lifespan="on"), shutdown_trigger=anyio.sleep_forever)


@pytest.mark.parametrize("settings", [{"interface": "x"}, {"lifespan": "x"}, {"root_path": "x"}, {"root_path": "/x/"}])
def test_wrong_setting_is_an_error_that_says_what_was_expected(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        ServerConfig(**settings)


def test_wrong_loop_is_an_error() -> None:
    with pytest.raises(ValueError, match="invalid loop"):
        run(hello, loop="x")


PROGRAM = """
import sys, anyio
from duoflask.server import run
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("shutdown", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    print("request", flush=True)
    await anyio.sleep(0.3)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
run(app, port=0, loop=sys.argv[1])
"""


@pytest.mark.e2e
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_signal_lets_the_request_in_flight_finish(kind: signal.Signals, anyio_backend: str) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, anyio_backend],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("duoflask: serving on http://127.0.0.1:")
        assert line.endswith(" (Press CTRL+C to stop)\n")
        port = int(line.split(" (")[0].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            sock.sendall(GET)
            assert process.stdout.readline() == "request\n"
            process.send_signal(kind)
            data = b""
            while piece := sock.recv(65536):
                data += piece
        assert data.endswith(b"hello")
        begun = time.monotonic()
        output, errors = process.communicate(timeout=20)
        assert time.monotonic() - begun < 9
    assert (process.returncode, output) == (0, "shutdown\n")
    assert errors.count('"GET / HTTP/1.1" 200 5') == 1


async def test_address_in_use_is_said_before_the_application_starts(anyio_backend: str) -> None:
    kinds: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kinds.append(scope["type"])

    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="cannot listen on 127.0.0.1:"):
            await serve(app, port=taken.getsockname()[1])
    assert kinds == []


async def test_sockets_are_closed_when_the_application_does_not_start(anyio_backend: str, tmp_path: Path) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no"})

    path = tmp_path / "socket"
    with pytest.raises(LifespanError):
        await serve(app, uds=str(path))
    assert not path.exists()
    with socket.create_server(("127.0.0.1", 0)) as given, pytest.raises(LifespanError):
        await serve(app, sockets=[given])
    assert given.fileno() == -1


def test_unix_socket_whose_queue_is_full_is_in_use(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as clients:
        listener.bind(path)
        listener.listen(0)
        for _ in range(3):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(path)
        with pytest.raises(OSError, match="in use"):
            bind(ServerConfig(uds=path))
