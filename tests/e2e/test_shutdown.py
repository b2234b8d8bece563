"""A server's start and end: SIGTERM under load loses no request and no background task, a failing start-up stops it."""

from __future__ import annotations

import os
import socket
import threading
import time
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.e2e

FULL = bool(os.environ.get("DUOFLASK_FULL"))
CLIENTS = 32 if FULL else 6
REQUESTS = 1000 if FULL else 40

# Not hypercorn: it loses requests whatever the app is (a bare one lost 85 in 6 runs of 32 clients).
SERVERS = ["uvicorn", "gunicorn-gthread", "gunicorn-uvicorn", "gunicorn-gevent", "gunicorn-asgi", "granian-asgi"]
SERVERS += ["duoflask-run", "duoflask-run-wsgi"]


class Load:
    """Clients that ask one request after the other, each on a connection of its own, until the server is gone."""

    def __init__(self, server: Server) -> None:
        self.answers: dict[str, tuple[int, str]] = {}
        self._server = server
        self._lock = threading.Lock()
        self._number = 0
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        refused = 0
        while refused < 3:
            with self._lock:
                self._number += 1
                number = str(self._number)
            target = f"/{('def', 'async')[self._number % 2]}?n={number}"
            try:
                response, body = self._server.get(target, timeout=30)
            except (OSError, HTTPException):
                refused += 1
                time.sleep(0.05)
            else:
                refused = 0
                self.answers[number] = (response.status, body.decode())
                if len(self.answers) >= REQUESTS:
                    self._enough.set()

    def wait_for_enough(self) -> None:
        assert self._enough.wait(60), f"{len(self.answers)} answers of {REQUESTS}"

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.parametrize("life_server", SERVERS, indirect=True)
def test_sigterm_under_load_answers_every_request_and_ends_every_task(life_server: Server) -> None:
    load = Load(life_server)
    load.wait_for_enough()
    life_server.terminate()
    load.join()
    log = (life_server.log_path.parent / "life.log").read_text().splitlines()
    begun = {line.split()[1] for line in log if line.startswith("begun ")}
    sent = {line.split()[1] for line in log if line.startswith("sent ")}
    tasks = {line.split()[1] for line in log if line.startswith("task ")}
    unanswered = {number for number in begun if load.answers.get(number) != (200, f"life {number}")}
    assert not unanswered
    assert tasks == sent == begun
    assert log[-3:] == ["def down", "while down", "after"]
    for line in ("before", "while up", "def down", "while down", "after"):
        assert log.count(line) == 1, line
    assert "Traceback" not in life_server.log()


@pytest.mark.parametrize(
    "failing_server", ["uvicorn", "hypercorn", "hypercorn-trio", "granian-asgi", "duoflask-run"], indirect=True
)
def test_failing_start_up_stops_an_asgi_server_with_its_error(failing_server: Server) -> None:
    try:
        failing_server.process.wait(20)
    finally:
        text = failing_server.log()
    assert "LookupError: no database" in text
    if failing_server.kind.name in ("uvicorn", "duoflask-run"):  # the main process of the others ends with 0
        assert failing_server.process.returncode != 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", failing_server.port), timeout=1).close()


@pytest.mark.parametrize("failing_server", ["gunicorn-gthread"], indirect=True)
def test_failing_start_up_under_wsgi_is_503_and_logged_once(failing_server: Server) -> None:
    failing_server.wait_until_listening()
    assert [failing_server.get("/def?n=1")[0].status for _ in range(5)] == [503] * 5
    assert failing_server.log().count("LookupError: no database") == 1


@pytest.mark.parametrize("path", ["/hints", "/hints-async"])
@pytest.mark.parametrize(
    "life_server",
    ["gunicorn-gthread", "gunicorn-gevent", "gunicorn-asgi", "duoflask-run", "duoflask-run-wsgi"],
    indirect=True,
)
def test_early_hints_come_before_the_response(life_server: Server, path: str) -> None:
    with socket.create_connection(("127.0.0.1", life_server.port), timeout=20) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    first, _, rest = answer.partition(b"\r\n\r\n")
    assert first.lower() == b"http/1.1 103 early hints\r\nlink: </a.css>; rel=preload; as=style"
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
    assert rest.endswith(b"\r\n\r\nTrue")


@pytest.mark.parametrize("life_server", ["uvicorn"], indirect=True)
def test_early_hints_are_false_where_the_server_has_none(life_server: Server) -> None:
    assert [life_server.get(path)[1] for path in ("/hints", "/hints-async")] == [b"False"] * 2
