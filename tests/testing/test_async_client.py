from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest
import pytest_asyncio
from client_apps import MARK, Boom, LivingApp, asgi_app

from duoflask.testing import AsyncClient, ClientRedirectError, LifespanError, TestResponse

Run = Callable[[Callable[[], Awaitable[None]]], None]


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Run:
    def run(function: Callable[[], Awaitable[None]]) -> None:
        anyio.run(function, backend=request.param)

    return run


def test_requests_cookies_and_redirects_work_as_in_the_sync_client(run: Run) -> None:
    async def main() -> None:
        client = AsyncClient(asgi_app)
        response = await client.post("/x?y=1", json={"a": 1}, headers={"X-A": "1"})
        assert isinstance(response, TestResponse)
        assert (response.json["method"], response.json["body"], response.json["x"]) == (
            "POST",
            '{"a": 1}',
            "1",
        )
        await client.get("/set", query_string={"c": "a=1"})
        response = await client.put(
            "/redirect", query_string={"code": "307", "to": "/to"}, data="body", follow_redirects=True
        )
        assert (response.json["cookie"], response.json["body"], len(response.history)) == ("a=1", "body", 1)
        with pytest.raises(ClientRedirectError):
            await client.get("/circle", follow_redirects=True)
        with pytest.raises(Boom, match="in the app"):
            await client.get("/boom")

    run(main)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options", "trace"])
def test_each_method_is_sent(run: Run, method: str) -> None:
    async def main() -> None:
        response = await getattr(AsyncClient(asgi_app), method)("/")
        assert response.json["method"] == method.upper()

    run(main)


def test_startup_and_shutdown_run_around_the_block(run: Run) -> None:
    async def main() -> None:
        app = LivingApp()
        async with AsyncClient(app) as client:
            assert app.log == ["startup"]
            assert (await client.get("/")).text == "started"
            with pytest.raises(RuntimeError, match="nested"):
                await client.__aenter__()
        assert app.log == ["startup", "request", "shutdown"]
        async with client:
            pass
        assert app.log[3:] == ["startup", "shutdown"]

    run(main)


def test_without_the_block_the_app_is_not_started(run: Run) -> None:
    async def main() -> None:
        app = LivingApp()
        assert (await AsyncClient(app).get("/")).text == "none"
        assert app.log == ["request"]

    run(main)


def test_an_app_without_lifespan_is_served(run: Run) -> None:
    async def main() -> None:
        async with AsyncClient(asgi_app) as client:
            assert (await client.get("/")).status_code == 200

    run(main)


@pytest.mark.parametrize(("fail", "error"), [("startup", LifespanError), ("raise", Boom), ("shutdown", LifespanError)])
def test_a_failed_life_comes_out(run: Run, fail: str, error: type[Exception]) -> None:
    async def main() -> None:
        with pytest.raises(error):
            async with AsyncClient(LivingApp(fail)):
                pass

    run(main)


def test_an_exception_in_the_block_comes_out_unwrapped_after_shutdown(run: Run) -> None:
    async def main() -> None:
        app = LivingApp()
        with pytest.raises(ZeroDivisionError):
            async with AsyncClient(app):
                raise ZeroDivisionError
        assert app.log == ["startup", "shutdown"]

    run(main)


def test_a_cancelled_block_still_shuts_down(run: Run) -> None:
    async def main() -> None:
        app = LivingApp()
        with anyio.move_on_after(0.01) as scope:
            async with AsyncClient(app):
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert app.log == ["startup", "shutdown"]

    run(main)


def test_an_app_that_never_shuts_down_is_cancelled(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duoflask.testing.beside.DEFAULT_MAX_CLOSE_SECONDS", 0.01)
    ended: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    async def main() -> None:
        async with AsyncClient(app):
            assert ended == []
        assert ended == [True]

    run(main)


def test_a_request_runs_in_the_callers_task_and_context(run: Run) -> None:
    seen: list[Any] = []
    inner: contextvars.ContextVar[str] = contextvars.ContextVar("inner")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((anyio.get_current_task().id, MARK.get()))
        inner.set("app")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def main() -> None:
        MARK.set("test")
        await AsyncClient(app).get("/")
        assert seen == [(anyio.get_current_task().id, "test")]
        assert inner.get() == "app"

    run(main)


def test_a_cancelled_request_cancels_the_app(run: Run) -> None:
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            log.append("cancelled")

    async def main() -> None:
        with anyio.move_on_after(0.01) as scope:
            await AsyncClient(app).get("/")
        assert scope.cancelled_caught
        assert log == ["cancelled"]

    run(main)


def test_requests_may_overlap(run: Run) -> None:
    async def main() -> None:
        both = anyio.Event()
        waiting: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            waiting.append(scope["path"])
            if len(waiting) == 2:
                both.set()
            await both.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": scope["path"].encode()})

        client, texts = AsyncClient(app), []

        async def ask(path: str) -> None:
            texts.append((await client.get(path)).text)

        async with anyio.create_task_group() as group:
            group.start_soon(ask, "/a")
            group.start_soon(ask, "/b")
        assert sorted(texts) == ["/a", "/b"]

    run(main)


@pytest_asyncio.fixture
async def living() -> AsyncIterator[tuple[LivingApp, AsyncClient]]:
    app = LivingApp()
    async with AsyncClient(app) as client:
        yield app, client
    assert app.log[-1] == "shutdown"


@pytest.mark.asyncio
async def test_the_client_works_as_an_async_fixture(living: tuple[LivingApp, AsyncClient]) -> None:
    app, client = living
    assert (await client.get("/")).text == "started"
    assert asyncio.get_running_loop().is_running()
    assert app.log == ["startup", "request"]
