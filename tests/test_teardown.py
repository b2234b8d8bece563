"""Teardown runs exactly once per request: the matrix of endings, under both protocols and in both colours."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from duoflask import DuoFlask, Request, Response, request
from duoflask.http.body import LimitedStream

COLOURS = ["def", "async def"]
every_colour = pytest.mark.parametrize(("view_colour", "hook_colour"), list(itertools.product(COLOURS, COLOURS)))
only_asyncio = pytest.mark.parametrize("anyio_backend", ["asyncio"])


class Fatal(BaseException):
    """Nothing that a web framework may swallow."""


def coloured(colour: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function in the wanted colour; an `async def` one suspends for real."""
    if colour == "def":
        return function

    @functools.wraps(function)
    async def on_loop(*args: Any, **kwargs: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return function(*args, **kwargs)

    return on_loop


class Ending:
    """An app whose teardown functions, of one colour, note each call."""

    def __init__(self, colour: str) -> None:
        self.app = DuoFlask(__name__)
        self.calls: list[tuple[str, type[BaseException] | None]] = []
        for name, register in (
            ("request 1", self.app.teardown_request),
            ("request 2", self.app.teardown_request),
            ("appcontext 1", self.app.teardown_appcontext),
            ("appcontext 2", self.app.teardown_appcontext),
        ):
            register(coloured(colour, functools.partial(self.note, name)))

    def note(self, name: str, error: BaseException | None = None) -> None:
        self.calls.append((name, None if error is None else type(error)))

    def require_one_teardown(self, error: type[BaseException] | None = None) -> None:
        """All four ran once, in Flask's order, and were told of the error."""
        names = ["request 2", "request 1", "appcontext 2", "appcontext 1"]
        assert self.calls == [(name, error) for name in names]

    def require_one_teardown_of_a_late_cancellation(self) -> None:
        """All four ran once; whether the cancellation or the end of the thread's work came first is open."""
        assert [name for name, _ in self.calls] == ["request 2", "request 1", "appcontext 2", "appcontext 1"]
        assert {error for _, error in self.calls} <= {None, anyio.get_cancelled_exc_class()}


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*args: Any) -> Any:
        raise error

    return fail


@every_colour
def test_normal_request(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.add_url_rule("/", "view", coloured(view_colour, lambda: "ok"))
    assert client(ending.app).get("/").text == "ok"
    ending.require_one_teardown()


@every_colour
def test_request_class_whose_close_raises(client, view_colour, hook_colour):
    class Own(Request):
        def close(self):
            raise OSError("close")

    ending, bodies = Ending(hook_colour), []
    ending.app.request_class = Own
    view = coloured(view_colour, lambda: bodies.append(request.stream) or "ok")
    ending.app.add_url_rule("/", "view", view, methods=["POST"])
    with pytest.raises(OSError, match="close"):
        client(ending.app).post("/", data=b"body")
    ending.require_one_teardown()
    assert bodies[0].closed or isinstance(bodies[0], LimitedStream)  # what a gateway has collected is closed


@every_colour
def test_view_raises(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.add_url_rule("/", "view", coloured(view_colour, failing(KeyError("view"))))
    assert client(ending.app).get("/").status_code == 500
    ending.require_one_teardown(KeyError)


@every_colour
def test_view_raises_and_the_error_is_propagated(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.testing = True
    ending.app.add_url_rule("/", "view", coloured(view_colour, failing(KeyError("view"))))
    with pytest.raises(KeyError):
        client(ending.app).get("/")
    ending.require_one_teardown(KeyError)


@every_colour
def test_view_raises_what_a_handler_answers(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.add_url_rule("/", "view", coloured(view_colour, failing(KeyError("view"))))
    ending.app.register_error_handler(KeyError, coloured(hook_colour, lambda error: "handled"))
    assert client(ending.app).get("/").text == "handled"
    ending.require_one_teardown()


@every_colour
def test_before_hook_raises(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.before_request(coloured(view_colour, failing(KeyError("hook"))))
    ending.app.add_url_rule("/", "view", lambda: "never")
    assert client(ending.app).get("/").status_code == 500
    ending.require_one_teardown(KeyError)


@every_colour
def test_before_hook_answers(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.before_request(coloured(view_colour, lambda: "hook"))
    ending.app.add_url_rule("/", "view", lambda: "never")
    assert client(ending.app).get("/").text == "hook"
    ending.require_one_teardown()


@every_colour
def test_after_hook_raises(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.after_request(coloured(view_colour, failing(KeyError("hook"))))
    ending.app.add_url_rule("/", "view", coloured(view_colour, lambda: "ok"))
    assert client(ending.app).get("/").status_code == 500
    ending.require_one_teardown(KeyError)


@every_colour
def test_error_handler_raises(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.add_url_rule("/", "view", coloured(view_colour, failing(KeyError("view"))))
    ending.app.register_error_handler(KeyError, coloured(hook_colour, failing(LookupError("handler"))))
    assert client(ending.app).get("/").status_code == 500
    ending.require_one_teardown(LookupError)


@every_colour
def test_handler_of_the_500_raises(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.add_url_rule("/", "view", coloured(view_colour, failing(KeyError("view"))))
    ending.app.register_error_handler(500, coloured(hook_colour, failing(LookupError("handler"))))
    with pytest.raises(LookupError):
        client(ending.app).get("/")
    ending.require_one_teardown(LookupError)


@every_colour
def test_no_rule_matches(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.before_request(coloured(view_colour, lambda: None))
    assert client(ending.app).get("/nowhere").status_code == 404
    ending.require_one_teardown()


@every_colour
def test_one_teardown_raises_and_the_others_still_run(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.add_url_rule("/", "view", coloured(view_colour, lambda: "ok"))
    ending.app.teardown_request(coloured(hook_colour, failing(KeyError("teardown"))))
    with pytest.raises(KeyError, match="teardown"):
        client(ending.app).get("/")
    ending.require_one_teardown()


@every_colour
def test_several_teardowns_raise_and_the_others_still_run(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.add_url_rule("/", "view", coloured(view_colour, lambda: "ok"))
    ending.app.teardown_request(coloured(hook_colour, failing(KeyError("request"))))
    ending.app.teardown_appcontext(coloured(view_colour, failing(ValueError("appcontext"))))
    with pytest.raises(BaseExceptionGroup) as caught:
        client(ending.app).get("/")
    assert caught.group_contains(KeyError)
    assert caught.group_contains(ValueError)
    ending.require_one_teardown()


def body_of(colour: str, step: Callable[[int], None], chunks: int = 3) -> Any:
    """A body of the wanted colour that calls `step` before each chunk."""
    if colour == "def":

        def sync_body():
            for number in range(chunks):
                step(number)
                yield f"{number}"

        return sync_body()

    async def async_body():
        for number in range(chunks):
            await anyio.lowlevel.checkpoint()
            step(number)
            yield f"{number}"

    return async_body()


@every_colour
def test_streamed_body_ends(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    open_during: list[int] = []
    ending.app.add_url_rule(
        "/", "view", lambda: body_of(view_colour, lambda number: open_during.append(len(ending.calls)))
    )
    assert client(ending.app).get("/").text == "012"
    assert open_during == [0, 0, 0]
    ending.require_one_teardown()


@every_colour
def test_body_iterator_raises_midway(client, view_colour, hook_colour):
    ending = Ending(hook_colour)

    def step(number: int) -> None:
        if number == 1:
            raise KeyError("body")

    ending.app.add_url_rule("/", "view", lambda: body_of(view_colour, step))
    with pytest.raises(KeyError, match="body"):
        _ = client(ending.app).get("/").data
    ending.require_one_teardown(KeyError)


@every_colour
def test_body_iterator_raises_a_base_exception(client, view_colour, hook_colour):
    ending = Ending(hook_colour)

    def step(number: int) -> None:
        raise Fatal

    ending.app.add_url_rule("/", "view", lambda: body_of(view_colour, step))
    with pytest.raises(Fatal):
        _ = client(ending.app).get("/").data
    ending.require_one_teardown(Fatal)


@pytest.mark.parametrize("error", [Fatal, SystemExit, KeyboardInterrupt, GeneratorExit])
@every_colour
def test_base_exception_in_a_view_under_wsgi(wsgi_call, view_colour, hook_colour, error):
    ending = Ending(hook_colour)
    ending.app.add_url_rule("/", "view", coloured(view_colour, failing(error())))
    ending.app.add_url_rule("/next", "next", coloured(view_colour, lambda: "next"))
    with pytest.raises(error):
        wsgi_call(ending.app)
    ending.require_one_teardown(error)
    assert wsgi_call(ending.app, "/next").read() == "next"


@pytest.mark.anyio
@pytest.mark.parametrize("error", [Fatal, SystemExit, KeyboardInterrupt])
@every_colour
async def test_base_exception_in_a_view_under_asgi(channel, view_colour, hook_colour, error):
    ending = Ending(hook_colour)
    ending.app.add_url_rule("/", "view", coloured(view_colour, failing(error())))
    ending.app.add_url_rule("/next", "next", coloured(view_colour, lambda: "next"))
    caught: BaseException | None = None
    try:
        await channel().serve(ending.app)
    except BaseException as exc:
        caught = exc
    while isinstance(caught, BaseExceptionGroup):
        (caught,) = caught.exceptions
    assert type(caught) is error
    ending.require_one_teardown(error)
    following = channel("/next")
    await following.serve(ending.app)
    assert following.text == "next"


@every_colour
def test_client_gone_before_the_body_under_wsgi(wsgi_call, view_colour, hook_colour):
    ending = Ending(hook_colour)
    steps: list[int] = []
    ending.app.add_url_rule("/", "view", lambda: body_of(view_colour, steps.append))
    call = wsgi_call(ending.app)
    assert ending.calls == []
    call.close()
    call.close()
    assert steps == []
    ending.require_one_teardown()


@every_colour
def test_client_gone_midway_under_wsgi(wsgi_call, view_colour, hook_colour):
    ending = Ending(hook_colour)
    ending.app.add_url_rule("/", "view", lambda: body_of(view_colour, lambda number: None))
    call = wsgi_call(ending.app)
    assert next(iter(call.body)) == b"0"
    assert ending.calls == []
    call.close()
    call.close()
    ending.require_one_teardown()


@pytest.mark.anyio
@every_colour
async def test_client_gone_before_the_body_under_asgi(channel, view_colour, hook_colour):
    async def refuse(message: dict[str, Any]) -> None:
        raise ConnectionResetError("gone")

    ending = Ending(hook_colour)
    steps: list[int] = []
    ending.app.add_url_rule("/", "view", lambda: body_of(view_colour, steps.append))
    with pytest.raises(ConnectionResetError):
        await channel(on_send=refuse).serve(ending.app)
    assert steps == []
    ending.require_one_teardown(ConnectionResetError)


@pytest.mark.anyio
@every_colour
async def test_send_fails_midway_under_asgi(channel, view_colour, hook_colour):
    async def refuse_second_chunk(message: dict[str, Any]) -> None:
        if message.get("body") == b"1":
            raise ConnectionResetError("gone")

    ending = Ending(hook_colour)
    ending.app.add_url_rule("/", "view", lambda: body_of(view_colour, lambda number: None))
    with pytest.raises(ConnectionResetError):
        await channel(on_send=refuse_second_chunk).serve(ending.app)
    ending.require_one_teardown(ConnectionResetError)


@pytest.mark.anyio
@every_colour
async def test_disconnect_while_the_server_takes_no_more_of_the_body(channel, view_colour, hook_colour):
    async def stall(message: dict[str, Any]) -> None:
        if message.get("body") == b"1":
            exchange.disconnect()
            await anyio.sleep_forever()

    ending = Ending(hook_colour)
    exchange = channel(on_send=stall)
    ending.app.add_url_rule("/", "view", lambda: body_of(view_colour, lambda number: None))
    with anyio.fail_after(20):
        await exchange.serve(ending.app)
    ending.require_one_teardown(anyio.get_cancelled_exc_class())


@pytest.mark.anyio
@pytest.mark.parametrize("hook_colour", COLOURS)
async def test_disconnect_cancels_an_async_view_that_waits(channel, hook_colour):
    ending = Ending(hook_colour)
    exchange = channel()
    after: list[Response] = []
    ending.app.after_request(after.append)

    @ending.app.route("/")
    async def view():
        exchange.disconnect()
        await anyio.sleep_forever()

    with anyio.fail_after(20):
        await exchange.serve(ending.app)
    assert exchange.sent == []
    assert after == []
    ending.require_one_teardown(anyio.get_cancelled_exc_class())


@pytest.mark.anyio
@pytest.mark.parametrize("hook_colour", COLOURS)
async def test_disconnect_cancels_an_async_body_that_waits(channel, hook_colour):
    ending = Ending(hook_colour)
    exchange = channel()
    closed: list[str] = []

    @ending.app.route("/")
    async def view():
        async def body():
            try:
                yield "first"
                exchange.disconnect()
                await anyio.sleep_forever()
            finally:
                closed.append("body")

        return body()

    with anyio.fail_after(20):
        await exchange.serve(ending.app)
    assert closed == ["body"]
    ending.require_one_teardown(anyio.get_cancelled_exc_class())


@pytest.mark.anyio
@pytest.mark.parametrize("hook_colour", COLOURS)
async def test_disconnect_while_a_worker_thread_is_at_work(channel, hook_colour):
    ending = Ending(hook_colour)
    exchange = channel()
    go_on = threading.Event()
    entered = anyio.Event()
    home = anyio.lowlevel.current_token()

    def view():
        anyio.from_thread.run_sync(entered.set, token=home)
        assert go_on.wait(20)
        assert ending.calls == []
        return "late"

    ending.app.add_url_rule("/", "view", view)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(exchange.serve, ending.app)
            await entered.wait()
            exchange.disconnect()
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert ending.calls == []
            go_on.set()
    ending.require_one_teardown_of_a_late_cancellation()


def waiting_view(ending: Ending, colour: str, entered: Any, go_on: threading.Event) -> Callable[..., Any]:
    """A view that tells when it runs, and then waits: on the loop for ever, in a thread for `go_on`."""
    home = anyio.lowlevel.current_token()
    if colour == "async def":

        async def on_loop():
            entered.set()
            await anyio.sleep_forever()

        return on_loop

    def in_thread():
        anyio.from_thread.run_sync(entered.set, token=home)
        assert go_on.wait(20)
        assert ending.calls == []
        return "late"

    return in_thread


@pytest.mark.anyio
@only_asyncio
@every_colour
async def test_native_cancellation_of_a_view(channel, view_colour, hook_colour):
    ending = Ending(hook_colour)
    entered, go_on = anyio.Event(), threading.Event()
    ending.app.add_url_rule("/", "view", waiting_view(ending, view_colour, entered, go_on))
    task = asyncio.get_running_loop().create_task(channel().serve(ending.app))
    await entered.wait()
    task.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
    ending.require_one_teardown_of_a_late_cancellation()


@pytest.mark.anyio
@only_asyncio
@pytest.mark.parametrize("hook_colour", COLOURS)
async def test_native_cancellation_again_and_again_while_a_thread_is_at_work(channel, hook_colour):
    ending = Ending(hook_colour)
    entered, go_on = anyio.Event(), threading.Event()
    ending.app.add_url_rule("/", "view", waiting_view(ending, "def", entered, go_on))
    task = asyncio.get_running_loop().create_task(channel().serve(ending.app))
    await entered.wait()
    for _ in range(5):
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
    assert ending.calls == []
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    ending.require_one_teardown_of_a_late_cancellation()


@pytest.mark.anyio
@every_colour
async def test_cancel_scope_around_a_view(channel, view_colour, hook_colour):
    ending = Ending(hook_colour)
    entered, go_on = anyio.Event(), threading.Event()
    ending.app.add_url_rule("/", "view", waiting_view(ending, view_colour, entered, go_on))

    async def cancel(scope: anyio.CancelScope) -> None:
        await entered.wait()
        scope.cancel()
        for _ in range(20):
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
        go_on.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(cancel, scope)
                await channel().serve(ending.app)
    assert scope.cancelled_caught
    ending.require_one_teardown_of_a_late_cancellation()


@pytest.mark.anyio
@every_colour
async def test_cancellation_while_the_body_waits(channel, view_colour, hook_colour):
    ending = Ending(hook_colour)
    entered = anyio.Event()

    async def stall(message: dict[str, Any]) -> None:
        if message.get("body") == b"1":
            entered.set()
            await anyio.sleep_forever()

    ending.app.add_url_rule("/", "view", lambda: body_of(view_colour, lambda number: None))
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(channel(on_send=stall).serve, ending.app)
            await entered.wait()
            group.cancel_scope.cancel()
    ending.require_one_teardown(anyio.get_cancelled_exc_class())


@pytest.mark.anyio
@every_colour
async def test_cancellation_in_a_before_hook(channel, view_colour, hook_colour):
    ending = Ending(hook_colour)
    entered, go_on = anyio.Event(), threading.Event()
    ending.app.before_request(waiting_view(ending, view_colour, entered, go_on))
    ending.app.add_url_rule("/", "view", lambda: "never")

    async def cancel(scope: anyio.CancelScope) -> None:
        await entered.wait()
        scope.cancel()
        go_on.set()

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(cancel, scope)
            await channel().serve(ending.app)
    ending.require_one_teardown_of_a_late_cancellation()


@pytest.mark.anyio
async def test_cancellation_between_two_teardowns_loses_none(channel):
    app = DuoFlask(__name__)
    entered, go_on = anyio.Event(), threading.Event()
    home = anyio.lowlevel.current_token()
    calls: list[str] = []
    for name in ("async 1", "async 2"):
        app.teardown_request(coloured("async def", lambda error, name=name: calls.append(name)))

    @app.teardown_request
    def in_thread(error):
        anyio.from_thread.run_sync(entered.set, token=home)
        assert go_on.wait(20)
        calls.append("def")

    app.add_url_rule("/", "view", lambda: "ok")

    async def cancel(scope: anyio.CancelScope) -> None:
        await entered.wait()
        scope.cancel()
        go_on.set()

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(cancel, scope)
            await channel().serve(app)
    assert calls == ["def", "async 2", "async 1"]


@pytest.mark.anyio
@pytest.mark.parametrize("hook_colour", COLOURS)
async def test_teardown_that_raises_after_a_cancellation_stops_no_other(channel, hook_colour):
    ending = Ending(hook_colour)
    entered = anyio.Event()
    ending.app.teardown_request(coloured(hook_colour, failing(KeyError("teardown"))))
    ending.app.add_url_rule("/", "view", waiting_view(ending, "async def", entered, threading.Event()))

    async def cancel(scope: anyio.CancelScope) -> None:
        await entered.wait()
        scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                group.start_soon(cancel, scope)
                await channel().serve(ending.app)
    except* KeyError:
        pass  # a loop may drop it in favour of the cancellation
    ending.require_one_teardown(anyio.get_cancelled_exc_class())


@pytest.mark.anyio
async def test_async_teardown_after_a_cancellation_may_wait(channel):
    app = DuoFlask(__name__)
    entered = anyio.Event()
    calls: list[str] = []

    @app.teardown_request
    async def slow(error):
        calls.append("begun")
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        calls.append("ended")

    @app.route("/")
    async def view():
        entered.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(channel().serve, app)
        await entered.wait()
        group.cancel_scope.cancel()
    assert calls == ["begun", "ended"]


@pytest.mark.anyio
async def test_async_teardown_after_a_cancellation_may_not_wait_for_ever(channel, monkeypatch):
    monkeypatch.setattr("duoflask.closing.TEARDOWN_TIMEOUT", 0.02)
    app = DuoFlask(__name__)
    entered = anyio.Event()
    calls: list[str] = []
    app.teardown_appcontext(lambda error: calls.append("appcontext"))

    @app.teardown_request
    async def endless(error):
        calls.append("begun")
        await anyio.sleep_forever()

    @app.route("/")
    async def view():
        entered.set()
        await anyio.sleep_forever()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(channel().serve, app)
            await entered.wait()
            group.cancel_scope.cancel()
    assert calls == ["begun", "appcontext"]


@pytest.mark.anyio
async def test_disconnect_during_teardown_interrupts_nothing(channel):
    ending = Ending("async def")
    exchange = channel()
    calls: list[str] = []

    @ending.app.teardown_request
    async def slow(error):
        calls.append("begun")
        exchange.disconnect()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        calls.append("ended")

    ending.app.add_url_rule("/", "view", coloured("async def", lambda: "ok"))
    with anyio.fail_after(20):
        await exchange.serve(ending.app)
    assert calls == ["begun", "ended"]
    ending.require_one_teardown()


@pytest.mark.anyio
@only_asyncio
async def test_native_cancellation_during_teardown_calls_the_other_teardowns(channel):
    ending = Ending("async def")
    entered = anyio.Event()

    @ending.app.teardown_request
    async def slow(error):
        entered.set()
        await anyio.sleep_forever()

    ending.app.add_url_rule("/", "view", lambda: "ok")
    task = asyncio.get_running_loop().create_task(channel().serve(ending.app))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ending.require_one_teardown()


@every_colour
def test_call_on_close_runs_once_before_teardown(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    closed: list[int] = []

    def view() -> Response:
        response = Response("ok")
        response.call_on_close(coloured(hook_colour, lambda: closed.append(len(ending.calls))))
        return response

    ending.app.add_url_rule("/", "view", coloured(view_colour, view))
    assert client(ending.app).get("/").text == "ok"
    assert closed == [0]
    ending.require_one_teardown()


@every_colour
def test_call_on_close_of_a_body_that_raises_runs_once(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    closed: list[str] = []

    def view() -> Response:
        response = Response(body_of(view_colour, failing(KeyError("body"))))
        response.call_on_close(coloured(hook_colour, lambda: closed.append("closed")))
        return response

    ending.app.add_url_rule("/", "view", view)
    with pytest.raises(KeyError, match="body"):
        _ = client(ending.app).get("/").data
    assert closed == ["closed"]
    ending.require_one_teardown(KeyError)


@every_colour
def test_a_close_callback_that_raises_stops_no_other_and_no_teardown(client, view_colour, hook_colour):
    ending = Ending(hook_colour)
    closed: list[str] = []

    def view() -> Response:
        response = Response(body_of(view_colour, lambda number: None))
        response.call_on_close(coloured(hook_colour, failing(KeyError("close"))))
        response.call_on_close(coloured(hook_colour, lambda: closed.append("closed")))
        return response

    ending.app.add_url_rule("/", "view", view)
    with pytest.raises(KeyError, match="close"):
        _ = client(ending.app).get("/").data
    assert closed == ["closed"]
    ending.require_one_teardown(KeyError)


@pytest.mark.anyio
async def test_call_on_close_after_a_disconnect_runs_once(channel):
    ending = Ending("async def")
    closed: list[str] = []
    exchange = channel()

    @ending.app.route("/")
    async def view():
        async def body():
            yield "first"
            exchange.disconnect()
            await anyio.sleep_forever()

        response = Response(body())
        response.call_on_close(lambda: closed.append("def"))
        response.call_on_close(coloured("async def", lambda: closed.append("async def")))
        return response

    with anyio.fail_after(20):
        await exchange.serve(ending.app)
    assert closed == ["def", "async def"]
    assert len(ending.calls) == 4


def test_head_of_a_streamed_body_closes_it_and_tears_down(client):
    ending = Ending("def")
    closed: list[str] = []

    class Body:
        def __iter__(self):
            return iter(["never"])

        def close(self):
            closed.append("body")

    ending.app.add_url_rule("/", "view", lambda: Response(Body()))
    assert client(ending.app).head("/").data == b""
    assert closed == ["body"]
    ending.require_one_teardown()
