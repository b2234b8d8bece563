"""Sessions under real servers: no lost change across processes, none after `kill -9`, and a Redis that comes and goes.

`DUOFLASK_FULL=1` runs them at full size: 16 clients with 500 names each, 2,000 writes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

import duoflask

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("sessions")]

FULL = bool(os.environ.get("DUOFLASK_FULL"))
CLIENTS = 16
NAMES = 500 if FULL else 4
WRITES = 2000 if FULL else 120
SERVED = Path(__file__).parent / "served"

if FULL:
    pytestmark.append(pytest.mark.timeout(900))

COMMANDS = {
    "gunicorn": ("-m", "gunicorn", "-b", "127.0.0.1:{port}", "-w", "2", "-k", "gthread", "--threads", "8", "app:app"),
    "uvicorn": ("-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--workers", "2", "app:app"),
    "uvicorn-one": ("-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "app:app"),
    "hypercorn-trio": ("-m", "hypercorn", "-b", "127.0.0.1:{port}", "-k", "trio", "asgi:app:app"),
}


class Served:
    """A running server."""

    def __init__(self, kind: str, store: str, log: Path, **environment: str) -> None:
        self.log_path = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        names = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))}
        names.update(environment, SESSION_STORE=store, PYTHONPATH=str(Path(duoflask.__file__).parents[1]))
        command = [sys.executable, *(part.replace("{port}", str(self.port)) for part in COMMANDS[kind])]
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                command, cwd=SERVED, env=names, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if self.get("/nothing", "")[0] == 404:
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{kind} did not start:\n{self.log()}")

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def get(self, path: str, cookie: str, connection: HTTPConnection | None = None) -> tuple[int, str, Any]:
        own = connection or HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            own.request("GET", path, headers={"Cookie": cookie} if cookie else {})
            response = own.getresponse()
            return response.status, response.read().decode(), response.headers
        finally:
            if connection is None:
                own.close()

    def start_session(self) -> str:
        return self.get("/start", "")[2]["Set-Cookie"].partition(";")[0]

    def stop(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(15)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start servers, and stop them at the end of the test."""
    running: list[Served] = []

    def start(kind: str, store: str, **environment: str) -> Served:
        running.append(Served(kind, store, tmp_path / f"{kind}-{len(running)}.log", **environment))
        return running[-1]

    yield start
    for server in running:
        server.stop()


def setting(store: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if store == "redis":
        return str(request.getfixturevalue("own_redis").url)
    return f"{store}:{tmp_path / 'sessions'}"


def in_threads(work: Callable[[int], None], number: int) -> None:
    errors: list[BaseException] = []

    def run(index: int) -> None:
        try:
            work(index)
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("store", ["sqlite", "redis", "files"])
def test_no_change_is_lost_between_two_servers_of_several_processes(
    serve: Callable[..., Served], store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Half of the clients ask gunicorn (WSGI), half uvicorn (ASGI), every other request an async view."""
    where = setting(store, tmp_path, request)
    servers = [serve(kind, where) for kind in ("gunicorn", "uvicorn")]
    cookie = servers[0].start_session()

    def add(client: int) -> None:
        server = servers[client % 2]
        connection = HTTPConnection("127.0.0.1", server.port, timeout=120)
        for number in range(NAMES):
            path = f"/add/{'async/' if number % 2 else ''}c{client}-{number}"
            status, text, _ = server.get(path, cookie, connection)
            assert (status, text) == (200, "added"), server.log()[-4000:]
        connection.close()

    began = time.monotonic()
    in_threads(add, CLIENTS)
    seconds = time.monotonic() - began
    found = json.loads(servers[1].get("/names", cookie)[1])
    assert found == sorted(["start", *(f"c{c}-{n}" for c in range(CLIENTS) for n in range(NAMES))])
    if FULL:
        print(f"{store}: {len(found) - 1} names of {CLIENTS * NAMES} are there, after {seconds:.0f} s")  # noqa: T201


@pytest.mark.parametrize("store", ["sqlite", "redis"])
def test_counter_under_the_lock_counts_across_processes(
    serve: Callable[..., Served], store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    where = setting(store, tmp_path, request)
    servers = [serve(kind, where) for kind in ("gunicorn", "uvicorn", "hypercorn-trio")]
    cookie = servers[0].start_session()
    turns = 50 if FULL else 3

    def count(client: int) -> None:
        for turn in range(turns):
            path = "/count/async" if turn % 2 else "/count"
            status, _, _ = servers[client % 3].get(path, cookie)
            assert status == 200, servers[client % 3].log()[-4000:]

    in_threads(count, 6)
    assert servers[0].get("/count", cookie)[1] == str(6 * turns + 1)


@pytest.mark.parametrize("store", ["sqlite", "files"])
def test_what_was_answered_survives_kill_9(
    serve: Callable[..., Served], store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = serve("gunicorn", setting(store, tmp_path, request))
    cookie = server.start_session()
    answered: list[str] = []
    killed: set[int] = set()
    failed = [0]

    def write(client: int) -> None:
        for number in range(WRITES // 4):
            name = f"k{client}-{number}"
            try:
                status, _, headers = server.get(f"/add/{'async/' if number % 2 else ''}{name}", cookie)
            except (OSError, HTTPException):
                failed[0] += 1  # it was being served by a process that was killed
                time.sleep(0.02)
                continue
            if status == 200:
                answered.append(name)
                pid = int(headers["X-Pid"])
                if client == 0 and number % (WRITES // 16) == WRITES // 20 and pid not in killed:
                    killed.add(pid)
                    os.kill(pid, signal.SIGKILL)

    in_threads(write, 4)
    assert killed
    assert len(answered) > WRITES // 2
    server.stop()
    again = serve("gunicorn", setting(store, tmp_path, request))
    names = json.loads(again.get("/names", cookie)[1])
    assert set(answered) <= set(names)
    if store == "sqlite":
        connection = sqlite3.connect(tmp_path / "sessions")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()
    else:
        assert [json.loads(path.read_text())["start"] for path in (tmp_path / "sessions").rglob("*.json")] == ["1"]
    if FULL:
        print(f"{store}: {len(answered)} answered, all there; {failed[0]} lost to {len(killed)} kills")  # noqa: T201


@pytest.mark.parametrize("kind", ["gunicorn", "uvicorn-one", "hypercorn-trio"])
def test_redis_may_go_and_come_back(serve: Callable[..., Served], own_redis: Any, kind: str) -> None:
    server = serve(kind, own_redis.url, SESSION_STORE_TIMEOUT="0.5")
    cookie = server.start_session()
    assert server.get("/add/a", cookie)[0] == 200

    def expect_503() -> None:
        for path in ("/add/b", "/add/async/b", "/names"):
            began = time.monotonic()
            status, _, _ = server.get(path, cookie)
            assert status == 503, server.log()[-4000:]
            assert time.monotonic() - began < 5

    own_redis.freeze()
    expect_503()
    own_redis.thaw()
    assert json.loads(server.get("/names", cookie)[1]) == ["a", "start"]
    own_redis.stop()
    expect_503()
    assert server.get("/start", "")[0] == 503  # it can be read without Redis, and not be kept
    assert server.get("/nothing", "")[0] == 404
    own_redis.start()
    assert json.loads(server.get("/names", cookie)[1]) == []  # this Redis had nothing on disk
    cookie = server.start_session()
    for path in ("/add/a", "/add/async/b"):
        assert server.get(path, cookie)[0] == 200, server.log()[-4000:]
    assert json.loads(server.get("/names", cookie)[1]) == ["a", "b", "start"]
    lines = [line for line in server.log().splitlines() if f"the session store redis {own_redis.socket}" in line]
    assert len(lines) == 7
    assert all("is unavailable: " in line for line in lines)
    assert "Traceback" not in server.log()
