"""Where a function starts, how a coroutine changes sides, and the error for what waits where nobody can."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Generator
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from duoflask import DuoFlask
from duoflask.bridge import Workers, WSGIDriver, call, drive, hand_over, starts_on_loop, to_loop, to_thread

value: ContextVar[str] = ContextVar("value", default="unset")


class Traveller:
    """A request, as the drivers see it."""

    def __init__(self) -> None:
        self.on_loop = False
        self.context = copy_context()
        self.told = 0

    def leaves_thread(self) -> None: ...

    def suspended(self) -> bool:
        self.told += 1
        return True


def on_wsgi(coroutine: Any) -> Any:
    """Drive a coroutine as the WSGI gateway does."""
    return WSGIDriver(Traveller(), coroutine).resume()


async def on_asgi(coroutine: Any, workers: Workers | None = None) -> Any:
    """Drive a coroutine as the ASGI gateway does."""
    return await drive(Traveller(), coroutine, (workers or Workers(2)).leg)


def thread_name() -> str:
    return threading.current_thread().name


class CallableObject:
    def __call__(self) -> None: ...


class AsyncCallableObject:
    async def __call__(self) -> None: ...


def plain() -> None: ...
async def coroutine_function() -> None: ...
async def generator_function() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "on_loop"),
    [
        (plain, False),
        (lambda: None, False),
        (functools.partial(plain), False),
        (CallableObject(), False),
        (CallableObject, False),
        (print, False),
        (coroutine_function, True),
        (functools.partial(coroutine_function), True),
        (functools.partial(functools.partial(coroutine_function)), True),
        (generator_function, True),
        (AsyncCallableObject(), True),
        (AsyncCallableObject().__call__, True),
        (functools.partial(AsyncCallableObject()), True),
    ],
)
def test_side_on_which_a_function_starts(function, on_loop):
    assert starts_on_loop(function) is on_loop


def test_coroutine_that_stays_in_the_thread_needs_no_loop():
    async def steps() -> str:
        await to_thread()
        return thread_name()

    assert on_wsgi(steps()) == threading.current_thread().name


def test_sides_of_a_wsgi_request_are_the_servers_thread_and_the_portal():
    async def steps() -> list[str]:
        names = [thread_name()]
        for change in (to_loop, to_loop, to_thread, to_thread, to_loop, to_thread):
            await change()
            names.append(thread_name())
        return names

    here, portal = threading.current_thread().name, "duoflask-portal"
    assert on_wsgi(steps()) == [here, portal, portal, here, here, portal, here]


@pytest.mark.anyio
async def test_sides_of_an_asgi_request_are_a_worker_and_the_servers_task():
    task = anyio.get_current_task().id

    async def steps() -> None:
        for _ in range(3):
            await to_loop()
            assert anyio.get_current_task().id == task
            await to_thread()
            assert thread_name() == "duoflask-worker"

    await on_asgi(steps())


@pytest.mark.anyio
async def test_every_side_runs_in_the_requests_context():
    async def steps() -> None:
        token = value.set("loop")
        await to_thread()
        assert value.get() == "loop"
        value.reset(token)
        token = value.set("thread")
        await to_loop()
        assert value.get() == "thread"
        await anyio.lowlevel.checkpoint()
        value.reset(token)

    await on_asgi(steps())
    assert value.get() == "unset"


def test_value_handed_over_is_answered_in_the_servers_thread():
    async def steps() -> Any:
        first = await hand_over("one")
        await to_loop()
        await to_thread()
        second = await hand_over("two")
        return [first, second, thread_name()]

    driver = WSGIDriver(Traveller(), steps())
    assert driver.resume() == "one"
    assert not driver.finished
    assert driver.resume(1) == "two"
    assert driver.resume(2) == [1, 2, threading.current_thread().name]
    assert driver.finished


@pytest.mark.parametrize("error", [KeyError, StopIteration, StopAsyncIteration, SystemExit, GeneratorExit])
@pytest.mark.parametrize("change", [to_thread, to_loop])
def test_exception_of_either_side_is_raised_in_the_servers_thread(change, error):
    def fail() -> None:
        raise error("here")

    async def steps() -> None:
        await change()
        try:
            fail()
        except (StopIteration, StopAsyncIteration) as exc:  # a coroutine may not raise these itself
            raise KeyError from exc

    with pytest.raises(KeyError if issubclass(error, (StopIteration, StopAsyncIteration)) else error):
        on_wsgi(steps())
    assert on_wsgi(still_alive()) == "duoflask-portal"


async def still_alive() -> str:
    await to_loop()
    return thread_name()


@pytest.mark.anyio
@pytest.mark.parametrize("error", [KeyError, SystemExit, KeyboardInterrupt, GeneratorExit])
async def test_exception_of_a_worker_is_raised_in_the_servers_task(error):
    workers = Workers(1)

    async def steps() -> None:
        await to_thread()
        raise error("here")

    with pytest.raises(error):
        await on_asgi(steps(), workers)

    async def more() -> str:
        await to_thread()
        return thread_name()

    assert await on_asgi(more(), workers) == "duoflask-worker"


@pytest.mark.anyio
async def test_exception_of_a_worker_is_catchable_on_the_loop():
    async def steps() -> str:
        try:
            await to_thread()
            raise KeyError
        except KeyError:
            await to_loop()
            await anyio.lowlevel.checkpoint()
            return "caught"

    assert await on_asgi(steps()) == "caught"


@pytest.mark.anyio
async def test_traveller_is_told_of_a_foreign_wait_and_of_none_before():
    traveller = Traveller()
    told: list[int] = []

    async def steps() -> None:
        await to_thread()
        await to_loop()
        told.append(traveller.told)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        told.append(traveller.told)

    await drive(traveller, steps(), Workers(1).leg)
    assert told == [0, 1]


class Future:
    """Something to await that only a loop could complete."""

    def __await__(self) -> Generator[Any, Any, None]:
        yield "a future"

    def __repr__(self) -> str:
        return "<a future>"


async def innermost() -> None:
    await Future()


async def outer() -> None:
    await innermost()


def test_wait_in_a_thread_names_the_culprit():
    async def steps() -> None:
        await outer()

    with pytest.raises(RuntimeError, match=r"outer\(\) -> innermost\(\).*'a future'.*make the function 'async def'"):
        on_wsgi(steps())


def test_wait_in_a_thread_is_an_error_that_the_coroutine_may_handle():
    async def steps() -> str:
        try:
            await outer()
        except RuntimeError:
            await to_loop()
            await asyncio.sleep(0)
            return "handled"
        return "not reached"

    assert on_wsgi(steps()) == "handled"


@pytest.mark.anyio
async def test_wait_in_a_worker_names_the_culprit():
    async def steps() -> None:
        await to_thread()
        await outer()

    with pytest.raises(RuntimeError, match=r"outer\(\) -> innermost\(\)"):
        await on_asgi(steps())


def test_result_is_awaited_although_the_function_is_def():
    def decorated() -> Any:
        return coroutine()

    async def coroutine() -> str:
        await asyncio.sleep(0)
        return thread_name()

    traveller = Traveller()
    assert WSGIDriver(traveller, call(traveller, decorated, False)).resume() == "duoflask-portal"


@pytest.mark.anyio
@pytest.mark.parametrize(("on_loop", "name"), [(True, "MainThread"), (False, "duoflask-worker"), (None, "MainThread")])
async def test_function_is_called_on_its_side(on_loop, name):
    traveller = Traveller()
    assert await drive(traveller, call(traveller, thread_name, on_loop), Workers(1).leg) == name


def test_neighbours_of_one_colour_share_a_crossing(client):
    app = DuoFlask(__name__)
    threads: list[int] = []
    for _ in range(3):
        app.before_request(lambda: threads.append(threading.get_ident()))

    @app.after_request
    async def on_loop(response):
        threads.append(threading.get_ident())
        return response

    app.add_url_rule("/", "view", lambda: threads.append(threading.get_ident()) or "ok")
    assert client(app).get("/").text == "ok"
    assert len(set(threads[:4])) == 1
    assert threads[4] != threads[0]


def test_inline_function_runs_on_the_loop_under_asgi_and_in_the_thread_under_wsgi(client, protocol):
    app = DuoFlask(__name__)
    names: list[str] = []
    app.before_request(lambda: names.append(thread_name()), inline=True)

    @app.route("/", inline=True)
    def view():
        names.append(thread_name())
        return "ok"

    assert client(app).get("/").text == "ok"
    assert set(names) == {"MainThread" if protocol == "wsgi" else "duoflask-test-client"}


class _Callable:
    async def __call__(self) -> None: ...

    async def method(self) -> None: ...

    def plain(self) -> None: ...


async def _generates() -> Any:
    yield 1


async def _awaits() -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        *(
            len,
            print,
            int,
            str.upper,
            lambda: 1,
            _Callable,
            _Callable().plain,
            object(),
            functools.partial(int, base=2),
        ),
        *(_awaits, _generates, _Callable(), _Callable().method, functools.partial(_awaits), _Callable.method),
        functools.partial(functools.partial(_Callable().method)),
    ],
)
def test_where_a_function_starts_is_what_inspect_says(function: Any) -> None:
    bare = function
    while isinstance(bare, functools.partial):
        bare = bare.func
    said = [
        inspect.iscoroutinefunction(part) or inspect.isasyncgenfunction(part)
        for part in (bare, getattr(bare, "__call__", None))  # noqa: B004 - the method is wanted
    ]
    assert starts_on_loop(function) is any(said)


def test_marked_function_starts_on_the_loop() -> None:
    def marked() -> None: ...

    marked._is_coroutine_mark = object()  # type: ignore[attr-defined]
    assert starts_on_loop(marked) is inspect.iscoroutinefunction(marked)
