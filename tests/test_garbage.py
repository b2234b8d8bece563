"""A request leaves no reference cycle: its memory is free when it has ended, not when the collector comes by."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from duoflask import DuoFlask, abort, after_response, g, request, url_for

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


AT_THE_END = {
    "task", "async-task", "failing-task", "failing-async-task", "cancelled-task", "after-response", "stream-fails",
    "async-stream-fails", "send-fails", "time-out", "teardown-fails",
}  # fmt: skip


@pytest.fixture
def ending_app() -> DuoFlask:
    """An app whose requests end in other ways than with a response, or not with it, and wait for `app.tasks`."""
    app = DuoFlask(__name__)
    app.logger.disabled = True
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.tasks = []  # type: ignore[attr-defined]

    def task(fails: bool = False) -> str:
        if fails:
            raise LookupError(request.path)
        return request.path

    async def async_task(fails: bool = False) -> str:
        await asyncio.sleep(0)
        return task(fails)

    def submitting(function: Any, *args: Any) -> Any:
        def view() -> str:
            app.tasks.append(app.submit(function, *args))  # type: ignore[attr-defined]
            return "text"

        return view

    def pieces() -> Any:
        yield "a"
        raise LookupError(request.path)

    async def async_pieces() -> Any:
        yield "a"
        raise LookupError(request.path)

    async def cancelling() -> str:
        made = app.create_task(asyncio.sleep(100))
        await asyncio.sleep(0)
        made.cancel()
        app.tasks.append(made)  # type: ignore[attr-defined]
        return "text"

    def ending() -> str:
        after_response(lambda response: task(response.status_code == 200))
        return "text"

    async def waiting() -> None:
        await asyncio.sleep(100)

    app.add_url_rule("/task", "task", submitting(task))
    app.add_url_rule("/async-task", "async-task", submitting(async_task))
    app.add_url_rule("/failing-task", "failing-task", submitting(task, True))
    app.add_url_rule("/failing-async-task", "failing-async-task", submitting(async_task, True))
    app.add_url_rule("/cancelled-task", "cancelled-task", cancelling)
    app.add_url_rule("/after-response", "after-response", ending)
    app.add_url_rule("/stream-fails", "stream-fails", pieces)
    app.add_url_rule("/async-stream-fails", "async-stream-fails", async_pieces)
    app.add_url_rule("/send-fails", "send-fails", lambda: iter(["a", request.path]))
    app.add_url_rule("/time-out", "time-out", waiting, timeout=0.001)
    app.add_url_rule("/teardown-fails", "teardown-fails", lambda: "text")

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        if request.path == "/teardown-fails":
            raise LookupError(request.path)

    return app


def _end_tasks(app: Any) -> None:
    tasks, app.tasks = app.tasks, []
    for task in (*tasks, *app.background_tasks):
        assert task.wait(20)
        try:
            task.exception()
        except Exception:
            assert task.cancelled()


@pytest.mark.parametrize("path", sorted(AT_THE_END))
def test_wsgi_request_that_ends_otherwise_leaves_no_cycle(ending_app: DuoFlask, path: str) -> None:
    def serve() -> None:
        environ: dict[str, Any] = {"PATH_INFO": f"/{path}"}
        setup_testing_defaults(environ)
        try:
            body = ending_app(environ, lambda status, headers, exc_info=None: None)
            close = getattr(body, "close", bool)
            try:
                b"".join(body)
            finally:
                close()
        except LookupError:
            pass
        _end_tasks(ending_app)

    assert _cycles(serve, 10) < 1


@pytest.mark.parametrize("path", sorted(AT_THE_END))
def test_asgi_request_that_ends_otherwise_leaves_no_cycle(ending_app: DuoFlask, path: str) -> None:
    async def request() -> None:
        never = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await never.wait()
            raise AssertionError("nobody sets it")

        async def send(message: dict[str, Any]) -> None:
            if path == "send-fails" and message["type"] == "http.response.body":
                raise OSError("the client has left")

        scope = {"type": "http", "method": "GET", "path": f"/{path}", "query_string": b"", "headers": [(b"host", b"h")]}
        try:
            await ending_app(scope, receive, send)
        except (OSError, LookupError):
            pass
        for task in list(ending_app.background_tasks):
            while not task.done():
                await asyncio.sleep(0.001)
        for _ in range(3):  # watches that were started end at the loop's next turns
            await asyncio.sleep(0)
        _end_tasks(ending_app)

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        assert _cycles(lambda: loop.run_until_complete(request()), 10) < 1
