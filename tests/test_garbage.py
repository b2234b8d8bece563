"""A request leaves no reference cycle: its memory is free when it has ended, not when the collector comes by."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from duoflask import DuoFlask, abort, g, request, url_for

PATHS = ["/text", "/async", "/object", "/abort", "/missing", "/stream", "/async-stream", "/failure", "/unhandled"]


@pytest.fixture
def app() -> DuoFlask:
    app = DuoFlask(__name__)

    @app.get("/text")
    def text() -> str:
        return "text"

    @app.get("/async")
    async def waiting() -> str:
        await asyncio.sleep(0)
        g.seen = request.args.get("name", "nobody")
        return g.seen

    @app.get("/object")
    def object_() -> dict[str, str]:
        g.seen = request.path
        return {"path": g.seen}

    @app.get("/abort")
    def aborting() -> None:
        abort(404)

    @app.get("/stream")
    def stream() -> Any:
        return iter(["a", request.path])

    @app.get("/async-stream")
    async def async_stream() -> Any:
        async def pieces() -> Any:
            yield "a"
            yield request.path

        return pieces()

    @app.get("/failure")
    def failure() -> None:
        raise KeyError("failure")

    @app.get("/unhandled")
    def unhandled() -> None:
        raise LookupError("unhandled")

    app.logger.disabled = True

    @app.errorhandler(KeyError)
    async def handle(error: KeyError) -> tuple[str, int]:
        return str(error), 409

    @app.after_request
    def after(response: Any) -> Any:
        return response

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        pass

    return app


def _cycles(serve: Callable[[], None], times: int = 50) -> float:
    """How many objects of each call only the collector can free, the least of three counts: threads add some."""
    for _ in range(5):
        serve()
    return min(_count(serve, times) for _ in range(3))


def _count(serve: Callable[[], None], times: int) -> float:
    gc.collect()
    gc.disable()
    try:
        for _ in range(times):
            serve()
        return gc.collect() / times
    finally:
        gc.enable()


@pytest.mark.parametrize("path", PATHS)
def test_wsgi_request_leaves_no_cycle(app: DuoFlask, path: str) -> None:
    def serve() -> None:
        environ: dict[str, Any] = {"PATH_INFO": path}
        setup_testing_defaults(environ)
        body = app(environ, lambda status, headers, exc_info=None: None)
        assert b"".join(body)
        close = getattr(body, "close", None)
        if close is not None:
            close()

    assert _cycles(serve) < 1


@pytest.mark.parametrize("path", PATHS)
def test_asgi_request_leaves_no_cycle(app: DuoFlask, path: str) -> None:
    async def request() -> None:
        never = asyncio.Event()
        sent: list[bytes] = []

        async def receive() -> dict[str, Any]:
            await never.wait()
            raise AssertionError("nobody sets it")

        async def send(message: dict[str, Any]) -> None:
            sent.append(message.get("body", b""))

        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"h")]}
        await app(scope, receive, send)
        await asyncio.sleep(0)  # a watch that was started ends at the loop's next turn
        assert b"".join(sent)

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        assert _cycles(lambda: loop.run_until_complete(request())) < 1


def test_an_app_is_freed_when_nobody_has_it_any_more() -> None:
    app = DuoFlask(__name__)
    freed = weakref.ref(app)
    gc.collect()
    gc.disable()
    try:
        del app
        assert freed() is None
    finally:
        gc.enable()


def test_an_app_that_has_served_is_freed_as_well() -> None:
    served = DuoFlask(__name__)
    served.get("/<int:number>")(lambda number: {"url": url_for("made", number=number)})
    served.add_url_rule("/made/<number>", "made")
    served.before_request(lambda: None)
    served.test_client().get("/1")
    served.test_client().get("/missing")
    freed = weakref.ref(served)
    gc.collect()
    gc.disable()
    try:
        del served
        assert freed() is None
    finally:
        gc.enable()


def test_registries_outlive_their_app() -> None:
    hooks = DuoFlask(__name__).before_request_funcs
    hooks.setdefault(None, []).append(len)
    assert hooks[None] == [len]
