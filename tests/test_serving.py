"""The built-in server under Werkzeug's names, over real sockets."""

from __future__ import annotations

import http.client
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import werkzeug.serving

import duoflask
from duoflask import serving
from duoflask.serving import BaseWSGIServer, ThreadedWSGIServer, WSGIRequestHandler, make_server


def hello(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["PATH_INFO"].encode(), b"|", environ["wsgi.input"].read()]


@pytest.fixture
def duo() -> duoflask.Flask:
    app = duoflask.Flask("served")

    @app.route("/colour/def")
    def sync_view() -> str:
        return f"{duoflask.request.scope is not None}"

    @app.route("/colour/async")
    async def async_view() -> str:
        return f"{duoflask.request.scope is not None}"

    return app


@pytest.fixture
def running() -> Iterator[Callable[..., BaseWSGIServer]]:
    started: list[tuple[BaseWSGIServer, threading.Thread]] = []

    def run(server: BaseWSGIServer) -> BaseWSGIServer:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        started.append((server, thread))
        return server

    yield run
    for server, thread in started:
        server.shutdown()
        thread.join(20)
        server.server_close()
        assert not thread.is_alive(), "the server did not stop"


def ask(server: BaseWSGIServer, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_server_in_a_thread_serves_a_wsgi_application(running: Callable[..., BaseWSGIServer]) -> None:
    server = running(make_server("127.0.0.1", 0, hello, threaded=True))
    assert server.port == server.server_port == server.server_address[1] > 0
    assert server.host == "127.0.0.1"
    assert ask(server, "/a") == (200, b"/a|")
    assert ask(server, "/b", b"body") == (200, b"/b|body")


@pytest.mark.parametrize("colour", ["def", "async"])
def test_duoflask_app_is_served_as_asgi(
    running: Callable[..., BaseWSGIServer], duo: duoflask.Flask, colour: str
) -> None:
    server = running(make_server("127.0.0.1", 0, duo))
    assert ask(server, f"/colour/{colour}") == (200, b"True")
    assert ask(server, "/missing")[0] == 404


def test_address_is_taken_before_it_serves() -> None:
    server = make_server("127.0.0.1", 0, hello)
    try:
        with pytest.raises(OSError, match="cannot listen on 127.0.0.1"):
            make_server("127.0.0.1", server.port, hello)
    finally:
        server.server_close()


def test_what_an_application_raises_is_a_500_and_the_next_request_is_served(
    running: Callable[..., BaseWSGIServer],
) -> None:
    def fails(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/fails":
            raise ValueError("no")
        return hello(environ, start_response)

    server = running(make_server("127.0.0.1", 0, fails))
    assert ask(server, "/fails")[0] == 500
    assert ask(server, "/works")[0] == 200


def test_shutdown_before_serving_and_twice_is_harmless() -> None:
    server = make_server("127.0.0.1", 0, hello)
    server.shutdown()
    server.serve_forever()  # returns at once
    server.shutdown()
    server.server_close()


def test_shutdown_finishes_what_is_in_flight(running: Callable[..., BaseWSGIServer]) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(environ: Any, start_response: Any) -> list[bytes]:
        entered.set()
        assert leave.wait(20)
        return hello(environ, start_response)

    server = running(make_server("127.0.0.1", 0, slow))
    answers: list[Any] = []
    client = threading.Thread(target=lambda: answers.append(ask(server, "/slow")))
    client.start()
    assert entered.wait(20)
    server.shutdown()
    leave.set()
    client.join(20)
    assert answers == [(200, b"/slow|")]


def test_inherited_socket_is_used(running: Callable[..., BaseWSGIServer]) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    listening.setblocking(False)
    server = running(make_server("ignored", 0, hello, fd=listening.detach()))
    assert server.port == port
    assert ask(server, "/fd") == (200, b"/fd|")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
def test_unix_socket(running: Callable[..., BaseWSGIServer], tmp_path: Path) -> None:
    path = tmp_path / "s"
    running(make_server(f"unix://{path}", 0, hello))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(b"GET /unix HTTP/1.0\r\n\r\n")
        data = b""
        while piece := client.recv(1000):
            data += piece
    assert data.startswith(b"HTTP/1.1 200") and data.endswith(b"/unix|")


def test_classes_and_arguments_are_those_that_extensions_use() -> None:
    class Handler(WSGIRequestHandler):
        def log(self, *args: Any) -> None:
            raise AssertionError("not called")

    server = make_server("127.0.0.1", 0, hello, True, 1, Handler, False, None)
    assert isinstance(server, BaseWSGIServer)
    server.server_close()
    server = ThreadedWSGIServer("127.0.0.1", 0, hello, Handler)
    assert isinstance(server, BaseWSGIServer) and server.multithread
    server.server_close()


def test_several_processes_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="Take gunicorn"):
        make_server("127.0.0.1", 0, hello, processes=2)


SCRIPT = """
import sys
from duoflask.serving import run_simple

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"app"]

run_simple(
    "127.0.0.1", int(sys.argv[1]), app, threaded=True, use_debugger=False, use_reloader=False,
    static_files={"/static": sys.argv[2]},
)
"""


def test_run_simple_serves_until_sigint(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a file")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(port), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(duoflask.__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert f"http://127.0.0.1:{port}" in process.stderr.readline()
        for path, body in (("/", b"app"), ("/static/a.txt", b"a file"), ("/static/missing", b"app")):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", path)
            assert connection.getresponse().read() == body
            connection.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("options", [{}, {"use_reloader": True}])
def test_address_in_use_is_one_line_and_ends_the_program(
    options: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WERKZEUG_RUN_MAIN", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as caught:
            serving.run_simple("127.0.0.1", port, hello, **options)
    assert caught.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Error: cannot listen on 127.0.0.1:{port}: ")
    assert line.endswith(f"choose another port: app.run(port={port + 1})")


def test_other_errors_of_the_system_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*args: Any, **options: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory", "key.pem")

    monkeypatch.setattr("duoflask.serving.run_development", run)
    with pytest.raises(FileNotFoundError):
        serving.run_simple("127.0.0.1", 0, hello)


def test_reloader_calls_the_function_in_its_child(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    serving.run_with_reloader(lambda: calls.append("ran"), extra_files=["a"], reloader_type="stat")
    assert calls == ["ran"]


def test_is_running_from_reloader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WERKZEUG_RUN_MAIN", raising=False)
    assert not serving.is_running_from_reloader()
    monkeypatch.setenv("WERKZEUG_RUN_MAIN", "true")
    assert serving.is_running_from_reloader()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "unix://some/path"])
def test_addresses_are_werkzeugs(host: str) -> None:
    family = serving.select_address_family(host, 5000)
    assert family == werkzeug.serving.select_address_family(host, 5000)
    assert serving.get_sockaddr(host, 5000, family) == werkzeug.serving.get_sockaddr(host, 5000, family)


def test_name_that_is_not_found_stays_a_name() -> None:
    assert serving.get_sockaddr("no.such.host.invalid", 1, socket.AF_INET) == ("no.such.host.invalid", 1)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_interface_has_an_address(family: socket.AddressFamily) -> None:
    socket.inet_pton(family, serving.get_interface_ip(family))


def test_log_goes_to_the_logger_werkzeug(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "werkzeug"):
        serving._log("info", "a line %s\n", "of text")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [("werkzeug", "a line of text")]
