"""Server-sent events of a Broadcast under real servers of several workers, while Redis goes and comes back.

`DUOFLASK_FULL=1` runs it at full size: 500 clients get 1,000 events each.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

import duoflask
from duoflask.broadcast import Broadcast
from duoflask.sse import EventParser

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("broadcast")]

FULL = bool(os.environ.get("DUOFLASK_FULL"))
CLIENTS = 500 if FULL else 30
EVENTS = 1000 if FULL else 50
SECONDS = 600 if FULL else 45
SERVED = Path(__file__).parent / "served"
CHAT = Path(__file__).parents[2] / "examples" / "chat"

if FULL:
    pytestmark.append(pytest.mark.timeout(900))

_GUNICORN = ("-m", "gunicorn", "-b", "127.0.0.1:{port}", "-w", "2", "--graceful-timeout", "1")
COMMANDS = {
    "gunicorn-gthread": (*_GUNICORN, "-k", "gthread", "--threads", "40", "app:app"),
    "gunicorn-gevent": (*_GUNICORN, "-k", "gevent", "app:app"),
    "uvicorn": ("-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--workers", "2", "app:app"),
    "hypercorn-trio": ("-m", "hypercorn", "-b", "127.0.0.1:{port}", "-k", "trio", "asgi:app:app"),
}


class Served:
    """A running server."""

    def __init__(self, kind: str, url: str, log: Path, folder: Path = SERVED, **environment: str) -> None:
        self._log = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        names = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))}
        names.update(environment, BROADCAST_URL=url, PYTHONPATH=str(Path(duoflask.__file__).parents[1]))
        command = [sys.executable, *(part.replace("{port}", str(self.port)) for part in COMMANDS[kind])]
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                command, cwd=folder, env=names, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                self.request("GET", "/state" if folder is SERVED else "/")
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{kind} did not start:\n{self.log()}")

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def request(self, method: str, path: str, body: str | None = None) -> str:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            form = {"Content-Type": "application/x-www-form-urlencoded"} if body and "=" in body else {}
            connection.request(method, path, body, form)
            response = connection.getresponse()
            text = response.read().decode()
            assert response.status in (200, 202), self.log()[-4000:]
            return text
        finally:
            connection.close()

    def stop(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(15)


class Client:
    """An EventSource, more or less."""

    def __init__(self) -> None:
        self.last_id = ""
        self.found: list[str] = []
        self.pid = 0

    async def connect(self, port: int, path: str) -> None:
        """Connect, and read until the server has subscribed."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
        field = f"Last-Event-ID: {self.last_id}\r\n" if self.last_id else ""
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n".encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert head.split()[1] == "200"
        self._chunked = b"" if "transfer-encoding: chunked" in head else None
        self.pid = int(head.partition("x-pid: ")[2].partition("\r\n")[0])
        self.parser = EventParser()
        while not self.parser.last_event_id:  # which comes at the beginning
            await self._read()

    async def _read(self) -> None:
        data = await self._reader.read(65536)
        assert data, f"the stream ended behind {self.found[-1:]}"
        events = self.parser.feed(data if self._chunked is None else self._without_chunks(data))
        self.found += [event.data for event in events]
        self.last_id = self.parser.last_event_id

    def _without_chunks(self, data: bytes) -> bytes:
        """What there is of whole chunks (RFC 9112 7.1)."""
        rest, pieces = (self._chunked or b"") + data, []
        while b"\r\n" in rest:
            line, _, behind = rest.partition(b"\r\n")
            size = int(line, 16)
            if len(behind) < size + 2:
                break
            pieces.append(behind[:size])
            rest = behind[size + 2 :]
        self._chunked = rest
        return b"".join(pieces)

    async def read_until(self, last: str) -> None:
        while self.found[-1:] != [last]:
            await self._read()

    async def wait_for_heartbeat(self) -> None:
        seen = self.parser.comments
        while self.parser.comments == seen:
            await self._read()

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def connected(number: int, server: Served, workers: int, path: str = "/events/news") -> list[Client]:
    """So many clients, and some more until each worker has one."""
    clients: list[Client] = []
    while len(clients) < number or len({client.pid for client in clients}) < workers:
        clients.append(Client())
        await clients[-1].connect(server.port, path)
        assert len(clients) < number + 300
    return clients


@pytest.fixture
def serve(tmp_path: Path, own_redis: Any) -> Iterator[Callable[..., Served]]:
    """Start servers, and stop them at the end of the test."""
    running: list[Served] = []

    def start(kind: str, **options: Any) -> Served:
        running.append(Served(kind, own_redis.url, tmp_path / f"{kind}-{len(running)}.log", **options))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread", "gunicorn-gevent", "hypercorn-trio"])
def test_clients_of_all_workers_get_all_events_in_order_although_redis_restarts(
    serve: Callable[..., Served], own_redis: Any, kind: str
) -> None:
    """Redis restarts without its data, between two events; nobody was told of an event that it then forgot."""
    server = serve(kind)
    number = CLIENTS if kind == "uvicorn" else 20
    events = EVENTS if kind == "uvicorn" else 50
    broadcast = Broadcast(own_redis.url, timeout=20)

    async def main() -> float:
        # gunicorn's workers take connections as they like, and a thread each
        clients = await connected(number // 2, server, 2 if kind == "uvicorn" else 1)
        # a `def` view: the server's thread, or a task of the loop all the same
        clients += await connected(number - number // 2, server, 1, "/events/def/news")
        try:
            return await listen(clients)
        finally:
            for client in clients:
                await client.close()

    async def listen(clients: list[Client]) -> float:
        began = time.monotonic()
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(client.read_until(str(events - 1)))
            for turn in range(events):
                if turn == events // 2:
                    async with asyncio.TaskGroup() as halfway:
                        for client in clients:
                            if client.found[-1:] != [str(turn - 1)]:
                                halfway.create_task(until_found(client, turn))
                    await asyncio.to_thread(own_redis.stop)
                    await asyncio.to_thread(own_redis.start)
                if turn % 10 == 3:
                    await asyncio.to_thread(server.request, "POST", "/publish/news", str(turn))
                elif turn % 10 == 7:
                    await asyncio.to_thread(server.request, "POST", "/publish/async/news", str(turn))
                else:
                    await broadcast.publish("news", str(turn))
        seconds = time.monotonic() - began
        for client in clients:
            assert client.found == list(map(str, range(events)))
        return seconds

    async def until_found(client: Client, turn: int) -> None:
        while client.found[-1:] != [str(turn - 1)]:
            await asyncio.sleep(0.01)

    seconds = asyncio.run(main())
    broadcast.close()
    log = server.log()
    assert f"the connection to redis {own_redis.socket} is lost" in log
    assert f"the connection to redis {own_redis.socket} is back" in log
    assert "missed" not in log
    assert "Traceback" not in log, log[-6000:]
    if FULL:
        print(f"{kind}: {number} clients got {events} events each in {seconds:.1f} s")  # noqa: T201


def test_log_says_how_many_events_a_restart_has_cost(serve: Callable[..., Served], own_redis: Any) -> None:
    """The workers stand still while Redis takes seven events and forgets them."""
    server = serve("uvicorn")
    broadcast = Broadcast(own_redis.url, timeout=20)

    async def main() -> None:
        async with asyncio.timeout(SECONDS):
            clients = await connected(10, server, 2)
            await broadcast.publish("news", "a")
            for client in clients:
                await client.read_until("a")
            workers = {client.pid for client in clients}
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
            kill_listeners(own_redis)
            for _ in range(7):
                await broadcast.publish("news", "nobody hears it")
            own_redis.stop()
            own_redis.start()
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
            await broadcast.publish("news", "b")
            for client in clients:
                await client.read_until("b")
                assert client.found == ["a", "b"]
                await client.close()
            for _ in workers:
                assert server.log().count("missed 7 messages of channel 'news': 2 to 8") == len(workers)

    asyncio.run(main())
    broadcast.close()
    assert "Traceback" not in server.log(), server.log()[-6000:]


def kill_listeners(own_redis: Any) -> None:
    redis = pytest.importorskip("redis")
    client = redis.Redis.from_url(own_redis.url)
    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    client.close()


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread", "gunicorn-gevent", "hypercorn-trio"])
def test_client_comes_back_where_it_left(serve: Callable[..., Served], kind: str) -> None:
    """Its id is good at the other worker; the one that it has left notices, by a heartbeat under WSGI."""
    server = serve(kind, HEARTBEAT="0.05")

    async def main() -> None:
        async with asyncio.timeout(SECONDS):
            client = Client()
            for path in ("/events/news", "/events/def/news"):
                await client.connect(server.port, path)
                await client.wait_for_heartbeat()
                for data in ("a", "b"):
                    await asyncio.to_thread(server.request, "POST", "/publish/news", data)
                await client.read_until("b")
                await client.close()
                await asyncio.to_thread(server.request, "POST", "/publish/async/news", "c")
                pid = client.pid
                await client.connect(server.port, path)
                await client.read_until("c")
                assert client.found == ["a", "b", "c"]
                await client.close()
                client.found.clear()
                for one in {pid, client.pid}:
                    await nobody_left(one)

    async def nobody_left(pid: int) -> None:
        while True:
            state = await asyncio.to_thread(server.request, "GET", "/state")
            if f'"pid":{pid},' in state.replace(" ", "") and '"subscribers":0' in state.replace(" ", ""):
                return
            await asyncio.sleep(0.01)

    asyncio.run(main())
    assert "Traceback" not in server.log(), server.log()[-6000:]


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread", "gunicorn-gevent", "hypercorn-trio"])
def test_websockets_of_all_workers_hear_each_other(serve: Callable[..., Served], own_redis: Any, kind: str) -> None:
    """In examples/chat; what one says, all hear, in one order."""
    sockets = pytest.importorskip("websockets.sync.client")
    server = serve(kind, folder=CHAT, CHAT_BROADCAST=own_redis.url)
    url = f"ws://127.0.0.1:{server.port}/rooms/lobby/socket"
    with ExitStack() as stack:
        clients = [stack.enter_context(sockets.connect(url, open_timeout=30)) for _ in range(8)]
        for number, client in enumerate(clients):
            client.send(json.dumps({"name": "somebody", "text": str(number)}))
        server.request("POST", "/rooms/lobby", "name=Ada&text=last")
        heard = [[json.loads(client.recv(timeout=30))["text"] for _ in range(9)] for client in clients]
    assert sorted(heard[0]) == ["0", "1", "2", "3", "4", "5", "6", "7", "last"]
    assert heard == [heard[0]] * 8
    assert "Traceback" not in server.log(), server.log()[-6000:]
