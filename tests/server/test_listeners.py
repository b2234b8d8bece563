"""Where the server listens, and how much it takes at a time."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner

from duoflask.cli_run import run_command
from duoflask.server import LifespanError, Server, ServerConfig, serve
from duoflask.server.listen import bind, parse_bind

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def connect(address: str) -> Any:
    if address.startswith("unix:"):
        return await anyio.connect_unix(address.removeprefix("unix:"))
    host, _, port = address.removeprefix("http://").rpartition(":")
    return await anyio.connect_tcp(host.strip("[]"), int(port))


async def read_all(stream: Any) -> bytes:
    data = b""
    with anyio.fail_after(20):
        try:
            while True:
                data += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return data


async def ask(address: str, data: bytes = GET) -> bytes:
    async with await connect(address) as stream:
        await stream.send(data)
        return await read_all(stream)


async def test_one_server_listens_in_many_places(tmp_path: Path, anyio_backend: str) -> None:
    path = str(tmp_path / "sock")
    with socket.socket() as inherited:
        inherited.bind(("127.0.0.1", 0))
        inherited.listen()
        binds = ["127.0.0.1:0", "localhost:0", f"unix:{path}", f"fd:{os.dup(inherited.fileno())}"]
        async with serve(hello, lifespan="off", binds=binds) as server:
            assert len(server.addresses) >= 4
            assert f"unix:{path}" in server.addresses
            for address in server.addresses:
                assert (await ask(address)).endswith(b"hello")
    assert not os.path.exists(path)


async def test_inherited_socket_is_served_and_left_where_it_is(tmp_path: Path, anyio_backend: str) -> None:
    path = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX) as inherited:
        inherited.bind(path)
        inherited.listen()
        async with serve(hello, lifespan="off", fd=os.dup(inherited.fileno())) as server:
            assert (await ask(server.addresses[0])).endswith(b"hello")
        assert os.path.exists(path)  # whoever made it hands it to the next server


def test_descriptor_that_is_no_socket_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot listen on the descriptor 999"):
        bind(ServerConfig(fd=999))
    with (tmp_path / "file").open("w") as file, pytest.raises(OSError, match="cannot listen on the descriptor"):
        bind(ServerConfig(fd=file.fileno()))
    with socket.socket(type=socket.SOCK_DGRAM) as sock, pytest.raises(OSError, match="it is no stream socket"):
        bind(ServerConfig(fd=sock.fileno()))


def test_address_that_cannot_be_had_closes_the_others(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="cannot listen on 127.0.0.1"):
            bind(ServerConfig(binds=[f"unix:{path}", f"127.0.0.1:{taken.getsockname()[1]}"]))
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":80", ("", 80)),
        ("[::1]:80", ("::1", 80)),
        ("[::1]", ("::1", 5000)),
        ("localhost", ("localhost", 5000)),
        ("unix:/a/b", ("unix", "/a/b")),
        ("unix:///a/b", ("unix", "/a/b")),
        ("fd:3", ("fd", 3)),
        ("fd://3", ("fd", 3)),
    ],
)
def test_addresses(text: str, parsed: Any) -> None:
    assert parse_bind(text, 5000) == parsed


@pytest.mark.parametrize("text", ["a:b", "a:-1", "a:65536", "a:\u0663", "fd:x", "fd:", "unix:", "fd:-1", "a:1_0"])
def test_address_that_cannot_be_understood(text: str) -> None:
    with pytest.raises(ValueError, match="invalid address to bind"):
        parse_bind(text, 5000)


async def test_requests_beyond_the_limit_are_told_503(anyio_backend: str) -> None:
    entered = anyio.Event()
    go = anyio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await go.wait()
        await hello(scope, receive, send)

    async with serve(slow, port=0, lifespan="off", max_in_flight=1) as server:
        [address] = server.addresses
        async with await connect(address) as busy:
            await busy.send(GET)
            await entered.wait()
            answer = await ask(address)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nretry-after: 1\r\n" in answer
            assert b"\r\nconnection: close\r\n" in answer
            go.set()
            assert (await read_all(busy)).endswith(b"hello")
        assert (await ask(address)).endswith(b"hello")


async def test_embedded_server_stops_with_its_block(anyio_backend: str) -> None:
    async with serve(hello, host="127.0.0.1", port=0, lifespan="off") as server:
        assert isinstance(server, Server)
        assert (await ask(server.addresses[0])).endswith(b"hello")
    with pytest.raises(OSError):
        await ask(server.addresses[0])


async def test_error_of_the_block_stops_the_server_and_comes_out_as_it_is(anyio_backend: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with serve(hello, port=0, lifespan="off"):
            raise ZeroDivisionError


async def test_embedded_server_that_does_not_start_is_an_error(anyio_backend: str) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed", "message": "no"})

    with pytest.raises(LifespanError, match="no"):
        async with serve(fails, port=0):
            raise AssertionError
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="cannot listen"):
            async with serve(hello, port=taken.getsockname()[1], lifespan="off"):
                raise AssertionError
    with pytest.raises(TypeError, match="not both"):
        serve(hello, ServerConfig(), port=0)


async def test_serve_is_taken_by_task_groups_and_awaited(anyio_backend: str) -> None:
    started = anyio.Event()
    stop = anyio.Event()

    async def run() -> None:
        await serve(hello, ServerConfig(port=0, lifespan="off"), shutdown_trigger=stop.wait)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        tasks.start_soon(lambda: serve(hello, port=0, lifespan="off", started=started, shutdown_trigger=stop.wait))
        with anyio.fail_after(20):
            await started.wait()
        stop.set()


@pytest.mark.parametrize(
    "settings",
    [
        {"binds": "127.0.0.1:80"},
        {"trusted_proxies": "127.0.0.1"},
        {"max_in_flight": 0},
        {"max_connections": -1},
        {"head_timeout": -1},
        {"websocket_ping_interval": 0},
        {"forwarded_fields": ["for", "by"]},
    ],
)
def test_wrong_setting_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match=f"invalid {next(iter(settings))}; expected"):
        ServerConfig(**settings)


def test_options_of_the_command_reach_the_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("duoflask.development.run", lambda app, host, port, **options: seen.append(options))
    (tmp_path / "app.py").write_text("from duoflask import DuoFlask\napp = DuoFlask(__name__)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "app", raising=False)
    arguments = ["--bind", "127.0.0.1:0", "--bind", "unix:/tmp/x", "--trusted-proxies", "10.0.0.0/8, unix"]
    arguments += ["--max-in-flight", "5", "--head-timeout", "2.5", "--no-access-log", "--no-reload", "--no-debugger"]
    result = CliRunner().invoke(run_command, arguments)
    assert result.exit_code == 0, result.output
    options = seen[0]
    assert options["binds"] == ("127.0.0.1:0", "unix:/tmp/x")
    assert options["trusted_proxies"] == ["10.0.0.0/8", "unix"]
    assert (options["max_in_flight"], options["head_timeout"], options["access_log"]) == (5, 2.5, False)
    assert "fd" not in options
    assert "threads" not in options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bind", "a:b"], "Invalid value for '--bind'"),
        (["--trusted-proxies", "a.b"], "Invalid value for '--trusted-proxies'"),
        (["--forwarded-fields", "by"], "Invalid value for '--forwarded-fields'"),
        (["--root-path", "a"], "Invalid value for '--root-path'"),
        (["--max-connections", "0"], "Invalid value for '--max-connections'"),
        (["--head-timeout", "-1"], "Invalid value for '--head-timeout'"),
    ],
)
def test_wrong_option_is_an_error_of_the_command_line(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(run_command, arguments)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.parametrize("text", ["a\r\nb", "\u20ac"])
def test_server_field_that_cannot_be_sent_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid server_header"):
        ServerConfig(server_header=text)


async def test_inherited_socket_that_does_not_listen_yet_is_served(anyio_backend: str) -> None:
    given = socket.socket()
    given.bind(("127.0.0.1", 0))
    address = given.getsockname()
    async with serve(hello, fd=given.detach(), lifespan="off"):
        with anyio.fail_after(20):
            async with await anyio.connect_tcp(*address) as client:
                await client.send(b"GET / HTTP/1.0\r\n\r\n")
                assert (await client.receive()).startswith(b"HTTP/1.1 200 ")
