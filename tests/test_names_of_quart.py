"""Quart's names for what the app does outside of requests: `startup`, `shutdown`, `run_task`, `ensure_async`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from duoflask import DuoFlask, request
from duoflask.serving import make_ssl_devcert

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.parametrize("colour", ["def", "async def"])
async def test_startup_and_shutdown_run_once_around_requests(colour: str) -> None:
    app = DuoFlask("a")
    calls: list[str] = []

    if colour == "def":

        @app.while_serving
        def life() -> Any:
            calls.append("start")
            app.state.pool = "open"
            yield
            calls.append("end")

    else:

        @app.while_serving
        async def life() -> Any:
            calls.append("start")
            app.state.pool = "open"
            yield
            calls.append("end")

    @app.before_serving
    async def first() -> None:
        calls.append("first")

    @app.get("/")
    async def index() -> str:
        return str(app.state.pool)

    await app.startup()
    client = app.async_test_client()
    assert (await client.get("/")).text == "open"
    assert (await client.get("/")).text == "open"
    assert calls == ["first", "start"]
    await app.shutdown()
    assert calls == ["first", "start", "end"]


async def test_shutdown_waits_for_background_tasks() -> None:
    app = DuoFlask("a")
    done: list[str] = []

    async def work() -> None:
        await anyio.sleep(0.01)
        done.append("work")

    @app.get("/")
    async def index() -> str:
        app.add_background_task(work)
        return ""

    await app.startup()
    await app.async_test_client().get("/")
    await app.shutdown()
    assert done == ["work"]


async def test_startup_raises_what_a_function_raises() -> None:
    app = DuoFlask("a")

    @app.before_serving
    def start() -> None:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        await app.startup()


async def test_ensure_async_takes_both_colours() -> None:
    app = DuoFlask("a")

    def blocking(number: int) -> tuple[int, int]:
        return number, threading.get_ident()

    async def waiting(number: int) -> int:
        return number

    here = threading.get_ident()
    number, thread = await app.ensure_async(blocking)(1)
    assert (number, thread != here) == (1, True)
    assert app.ensure_async(waiting) is waiting


def test_ensure_async_keeps_the_context_of_a_request(loop_client: Any) -> None:
    app = DuoFlask("a")

    @app.get("/<name>")
    async def view(name: str) -> Any:
        return await app.ensure_async(lambda: request.path)()

    assert loop_client(app).get("/x").text == "/x"


@pytest.mark.parametrize("secure", [False, True])
async def test_run_task_serves_until_the_trigger_returns(
    secure: bool, tmp_path: Path, unused_port: int, capsys: Any
) -> None:
    app = DuoFlask("a")
    app.add_url_rule("/", "index", lambda: request.scheme)
    options: dict[str, str] = {}
    if secure:
        certificate, key = make_ssl_devcert(str(tmp_path / "made"), host="localhost")
        options = {"certfile": certificate, "keyfile": key}
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: app.run_task(port=unused_port, shutdown_trigger=stop.wait, **options))
        scheme = "https" if secure else "http"
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            with anyio.fail_after(20):
                while True:
                    try:
                        response = await client.get(f"{scheme}://127.0.0.1:{unused_port}/")
                        break
                    except httpx.ConnectError:
                        await anyio.sleep(0.01)
        assert response.text == scheme
        stop.set()


def test_run_task_wants_a_certificate_for_a_key() -> None:
    with pytest.raises(TypeError, match="pass certfile="):
        DuoFlask("a").run_task(keyfile="x")


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
