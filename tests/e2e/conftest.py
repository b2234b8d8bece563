"""Start a real server on 127.0.0.1 with examples/hello, and stop it with everything that it has started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

import duoflask
from duoflask.server.tls import make_ssl_devcert

HELLO = Path(__file__).parents[2] / "examples" / "hello"
APPS = Path(__file__).parent / "apps"
START_SECONDS = 20
STOP_SECONDS = 15

PYTHON = sys.executable
# -P keeps the current directory out of sys.path, as for the installed script.
DUOFLASK = (PYTHON, "-P", "-c", "from duoflask.cli import main; main()", "--app", "hello", "run")
WSGIREF = """
import sys
from wsgiref.simple_server import make_server
from wsgiref.validate import validator
from hello import app
make_server("127.0.0.1", int(sys.argv[1]), validator(app)).serve_forever()
"""
# The server comes after the app: nothing that the app imports tells it what kind of loop will run.
UVICORN_LATE = """
import sys
from hello import app
import uvicorn
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
"""


@dataclass(frozen=True)
class ServerKind:
    """A server's command line, `{port}` standing for the port; what it cannot do is named in `lacks`."""

    name: str
    command: tuple[str, ...]
    lacks: frozenset[str] = frozenset()


def _kind(name: str, *command: str, lacks: tuple[str, ...] = ()) -> ServerKind:
    return ServerKind(name, command, frozenset(lacks))


_GUNICORN = (PYTHON, "-m", "gunicorn", "-b", "127.0.0.1:{port}", "--graceful-timeout", "10")
_UVICORN = (PYTHON, "-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}")
_HYPERCORN = (PYTHON, "-m", "hypercorn", "-b", "127.0.0.1:{port}")
_GRANIAN = (PYTHON, "-m", "granian", "--host", "127.0.0.1", "--port", "{port}")

KINDS = {
    kind.name: kind
    for kind in (
        _kind("python-hello", PYTHON, "hello.py"),
        _kind("duoflask-run", *DUOFLASK, "--port", "{port}"),
        _kind("duoflask-run-wsgi", *DUOFLASK, "--port", "{port}", "--interface", "wsgi"),
        _kind("gunicorn-sync", *_GUNICORN, "hello:app", lacks=("concurrency",)),
        _kind("gunicorn-gthread", *_GUNICORN, "-k", "gthread", "--threads", "8", "hello:app"),
        _kind("gunicorn-gevent", *_GUNICORN, "-k", "gevent", "hello:app"),
        _kind(
            "gunicorn-preload",
            *(*_GUNICORN, "--preload", "-w", "2", "hello:app"),
            lacks=("concurrency", "one process"),
        ),
        _kind("gunicorn-asgi", *_GUNICORN, "-k", "asgi", "hello:app"),
        _kind("waitress", PYTHON, "-m", "waitress", "--listen=127.0.0.1:{port}", "hello:app"),
        _kind("uvicorn", *_UVICORN, "hello:app"),
        _kind("uvicorn-uvloop", *_UVICORN, "--loop", "uvloop", "--http", "httptools", "hello:app"),
        _kind("uvicorn-after-the-app", PYTHON, "-c", UVICORN_LATE, "{port}"),
        _kind("hypercorn", *_HYPERCORN, "asgi:hello:app"),
        _kind("hypercorn-trio", *_HYPERCORN, "-k", "trio", "asgi:hello:app"),
        _kind("granian-asgi", *_GRANIAN, "--interface", "asgi", "hello:app"),
        _kind("granian-wsgi", *_GRANIAN, "--interface", "wsgi", "hello:app"),
        _kind("wsgiref", PYTHON, "-c", WSGIREF, "{port}", lacks=("chunked requests", "concurrency")),
    )
}

# Not among KINDS: an ASGI worker class of uvicorn's under gunicorn's arbiter.
GUNICORN_UVICORN = _kind("gunicorn-uvicorn", *_GUNICORN, "-k", "uvicorn.workers.UvicornWorker", "hello:app")

# WSGI servers that hand their socket to the application, and some that do not.
_SOCKETS = (PYTHON, "sockets.py")
SOCKET_KINDS = {
    kind.name: kind
    for kind in (
        _kind("gunicorn-gthread", *_GUNICORN, "-k", "gthread", "--threads", "60", "sockets:app"),
        _kind("gunicorn-gevent", *_GUNICORN, "-k", "gevent", "sockets:app"),
        _kind("gunicorn-gevent-pywsgi", *_GUNICORN, "-k", "gevent_pywsgi", "sockets:app"),
        _kind("gunicorn-sync", *_GUNICORN, "sockets:app", lacks=("concurrency",)),
        _kind("werkzeug", *_SOCKETS, "werkzeug", "{port}"),
        _kind("pywsgi", *_SOCKETS, "pywsgi", "{port}", lacks=("concurrency",)),
    )
}
_CERTIFICATE = ("--certfile", "{cert}.crt", "--keyfile", "{cert}.key")
TLS_KINDS = {
    kind.name: kind
    for kind in (
        _kind("gunicorn-gthread", *_GUNICORN, "-k", "gthread", "--threads", "20", *_CERTIFICATE, "sockets:app"),
        _kind("gunicorn-gevent", *_GUNICORN, "-k", "gevent", *_CERTIFICATE, "sockets:app"),
        _kind("gunicorn-sync", *_GUNICORN, *_CERTIFICATE, "sockets:app"),
        _kind("werkzeug", *_SOCKETS, "werkzeug", "{port}", "adhoc"),
    )
}
SOCKETLESS_KINDS = {
    kind.name: kind
    for kind in (
        _kind("waitress", PYTHON, "-m", "waitress", "--listen=127.0.0.1:{port}", "sockets:app"),
        _kind("wsgiref", *_SOCKETS, "wsgiref", "{port}"),
        _kind("granian-wsgi", *_GRANIAN, "--interface", "wsgi", "sockets:app"),
    )
}


# What serves apps/talk.py.
TALK_KINDS = {
    kind.name: kind
    for kind in (
        KINDS["uvicorn"],
        KINDS["uvicorn-uvloop"],
        _kind("uvicorn-wsproto", *_UVICORN, "--ws", "wsproto", "hello:app"),
        KINDS["hypercorn"],
        KINDS["hypercorn-trio"],
    )
}


class Server:
    """One running server process group.

    Args:
        kind: The server.
        log_path: What it prints goes there.
        app: Where the app is, instead of examples/hello: a module of the folder `apps` beside this file.
        variables: More of the environment.
        folder: Where the module is, instead of `apps`.
    """

    def __init__(
        self,
        kind: ServerKind,
        log_path: Path,
        app: str = "",
        variables: dict[str, str] | None = None,
        folder: Path = APPS,
    ) -> None:
        self.kind = kind
        self.port = _free_port()
        self.log_path = log_path
        command = [part.replace("{port}", str(self.port)) for part in kind.command]
        if app:
            command = [part.replace("hello", app) for part in command]
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "PYTEST_"))}
        # The package may be installed, or be taken from src/; the example comes from the current directory.
        environment["PYTHONPATH"] = str(Path(duoflask.__file__).parents[1])
        environment["PYTHONUNBUFFERED"] = "1"
        environment["PORT"] = str(self.port)
        environment.update(variables or {})
        with log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder if app else HELLO,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait_until_listening(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.kind.name} ended with {self.process.returncode}:\n{self.log()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"{self.kind.name} did not listen within {START_SECONDS} s:\n{self.log()}")

    def connect(self, timeout: float = 10) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def get(
        self, target: str, headers: dict[str, str] | None = None, timeout: float = 10
    ) -> tuple[HTTPResponse, bytes]:
        connection = self.connect(timeout)
        try:
            connection.request("GET", target, headers=headers or {})
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def terminate(self) -> int:
        """Send SIGTERM to the server as a supervisor does, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(STOP_SECONDS)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _running(
    kind: ServerKind, log_path: Path, app: str = "", folder: Path = APPS, **variables: str
) -> Iterator[Server]:
    server = Server(kind, log_path, app, variables, folder)
    try:
        server.wait_until_listening()
        yield server
    finally:
        server.kill()


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, id=name, marks=pytest.mark.xdist_group(name)) for name, kind in KINDS.items()],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of the module that name it, each kind in turn."""
    kind: ServerKind = request.param
    yield from _running(kind, tmp_path_factory.mktemp(kind.name) / "server.log")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the app `downloads`."""
    root = tmp_path_factory.mktemp("site")
    (root / "static").mkdir()
    (root / "static" / "short.txt").write_bytes(b"Hello, file!\n")
    (root / "static" / "five.bin").write_bytes(os.urandom(5 << 20))
    (root / "secret.txt").write_bytes(b"secret")
    with (root / "static" / "huge.bin").open("wb") as file:
        file.truncate(1 << 28)
    return root


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, id=name, marks=pytest.mark.xdist_group(name))
        for name, kind in KINDS.items()
        if name != "python-hello"
    ],
)
def download_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, site: Path
) -> Iterator[Server]:
    """One server of apps/downloads.py for all tests of the module that name it, each kind in turn."""
    kind: ServerKind = request.param
    yield from _running(kind, tmp_path_factory.mktemp(kind.name) / "server.log", "downloads", SITE=str(site))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(KINDS[name], id=name, marks=pytest.mark.xdist_group(name))
        for name in ("uvicorn", "hypercorn-trio", "duoflask-run", "gunicorn-gthread", "gunicorn-gevent")
    ],
)
def mounts_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server of apps/mounts.py for all tests of the module that name it, each kind in turn."""
    kind: ServerKind = request.param
    yield from _running(kind, tmp_path_factory.mktemp(kind.name) / "server.log", "mounts")


@pytest.fixture(scope="module", params=SOCKET_KINDS)
def socket_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server of apps/sockets.py for all tests of the module that name it, each kind in turn."""
    kind = SOCKET_KINDS[request.param]
    yield from _running(kind, tmp_path_factory.mktemp(kind.name) / "server.log", "sockets")


@pytest.fixture(scope="module", params=TLS_KINDS)
def tls_socket_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server of apps/sockets.py that speaks TLS for all tests of the module that name it, each kind in turn."""
    kind, folder = TLS_KINDS[request.param], tmp_path_factory.mktemp(request.param)
    make_ssl_devcert(str(folder / "made"), host="localhost")
    command = tuple(part.replace("{cert}", str(folder / "made")) for part in kind.command)
    yield from _running(replace(kind, command=command), folder / "server.log", "sockets")


@pytest.fixture(params=SOCKETLESS_KINDS)
def socketless_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A WSGI server of apps/sockets.py that keeps its socket, each kind in turn."""
    yield from _running(SOCKETLESS_KINDS[request.param], tmp_path / "server.log", "sockets")


@pytest.fixture
def start_socket_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start a server of apps/sockets.py: `start_socket_server(kind, **variables)`."""
    with ExitStack() as stack:

        def start(name: str, **variables: str) -> Server:
            running = contextmanager(_running)(SOCKET_KINDS[name], tmp_path / "server.log", "sockets", **variables)
            return stack.enter_context(running)

        yield start


@pytest.fixture
def life_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server of apps/life.py for one test, of the kind that the test's indirect parameter names."""
    kind = {**KINDS, GUNICORN_UVICORN.name: GUNICORN_UVICORN}[request.param]
    yield from _running(kind, tmp_path / "server.log", "life", LIFE_LOG=str(tmp_path / "life.log"))


@pytest.fixture
def failing_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """The same, with a start-up function that fails; it may never listen."""
    variables = {"LIFE_LOG": str(tmp_path / "life.log"), "FAIL": "1"}
    server = Server(KINDS[request.param], tmp_path / "server.log", "life", variables)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(kind, id=name, marks=pytest.mark.xdist_group(name))
        for name, kind in KINDS.items()
        if name not in ("python-hello", "gunicorn-preload")
    ],
)
def streams_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server of apps/streams.py for all tests of the module that name it, each kind in turn."""
    kind: ServerKind = request.param
    yield from _running(kind, tmp_path_factory.mktemp(kind.name) / "server.log", "streams")


@pytest.fixture(
    scope="module",
    params=[pytest.param(kind, id=name, marks=pytest.mark.xdist_group(name)) for name, kind in TALK_KINDS.items()],
)
def talk_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One ASGI server of apps/talk.py for all tests of the module that name it, each kind in turn."""
    kind: ServerKind = request.param
    yield from _running(kind, tmp_path_factory.mktemp(kind.name) / "server.log", "talk")


@pytest.fixture
def talk_uvicorn(tmp_path: Path) -> Iterator[Server]:
    """One uvicorn of apps/talk.py for one test."""
    yield from _running(KINDS["uvicorn"], tmp_path / "server.log", "talk")


@pytest.fixture
def start_talk(tmp_path: Path) -> Iterator[Callable[[str], Server]]:
    """Start a uvicorn of an app: `start_talk("talk")`."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(contextmanager(_running)(KINDS["uvicorn"], tmp_path / f"{app}.log", app))


@pytest.fixture
def project_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Path], Server]]:
    """Start a server of a folder's module `chat`, of the kind that the test's indirect parameter names."""
    kind = {**KINDS, **SOCKET_KINDS}[request.param]
    command = tuple(part.replace("sockets:app", "hello:app") for part in kind.command)
    with ExitStack() as stack:

        def start(folder: Path) -> Server:
            running = contextmanager(_running)(replace(kind, command=command), tmp_path / "server.log", "chat", folder)
            return stack.enter_context(running)

        yield start


@pytest.fixture
def own_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server for one test, of the kind that the test's indirect parameter names."""
    yield from _running(KINDS[request.param], tmp_path / "server.log")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for value in item.funcargs.values():
            if isinstance(value, Server):
                report.sections.append((f"log of {value.kind.name}", value.log()[-8000:]))
    return report
