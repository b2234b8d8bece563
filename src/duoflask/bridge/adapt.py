"""Functions of one colour made callable by the other: `async_to_sync`, `sync_to_async`.

For code that a view or extension calls itself. The dispatcher does not use them: it changes sides instead.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

from ..lazy import LazyModule
from .crossing import LOOP, THREAD, Leg, Traveller, Work, drive, nobody_waits_here, to_loop, to_thread
from .portal import portal
from .threads import Signal, new_signal
from .workers import Home, Workers, home_of_context, occupies_thread

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = LazyModule("asyncio")

__all__ = ["async_to_sync", "asyncio_is_running", "loop_is_running", "run_nested", "sync_to_async"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Proves that the running code is inside a given Context: set, then looked up from the outside.
_probe: ContextVar[object | None] = ContextVar("duoflask.probe", default=None)


class _Loop(Protocol):
    def post(self, function: Callable[..., Any], *args: Any) -> bool: ...
    def spawn(self, coroutine: Coroutine[Any, Any, None], context: Context) -> Any: ...


def async_to_sync(function: Callable[_P, Awaitable[_T]]) -> Callable[_P, _T]:
    """Wrap an `async def` function so that a `def` function can call it and gets its result.

    It runs as one task on the loop that the request belongs to: the server's under ASGI, the process's portal under
    WSGI and outside a request. Context variables that it sets are set for the caller too; a token taken in it stays its
    own.

    Raises:
        RuntimeError: The wrapper was called on a running event loop, where it would wait for itself.
    """

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if loop_is_running():
            name = getattr(function, "__qualname__", repr(function))
            raise RuntimeError(
                f"{name}() was called through async_to_sync (or ensure_sync) in a thread whose event loop is running; "
                f"the loop would wait for itself. In an 'async def' function write 'await {name}(...)' instead."
            )
        home: _Loop = home_of_context.get() or portal()
        context = copy_context()
        context.run(occupies_thread.set, True)
        signal = new_signal()
        ended = Leg()
        settling = _settle(function, args, kwargs, ended, signal)
        if not home.post(home.spawn, settling, context):
            settling.close()
            name = getattr(function, "__qualname__", repr(function))
            raise RuntimeError(
                f"{name}() cannot run: the event loop that this code belongs to has ended. Finish such work before the "
                "server stops, or run it in a context of its own."
            )
        signal.wait()
        signal.close()
        _take_over(context)
        if ended.error is not None:
            raise ended.error
        return ended.value  # type: ignore[no-any-return]

    return call


def run_nested(traveller: Traveller, coroutine: Work, workers: Workers) -> Any:
    """Run a coroutine of steps for a `def` function that waits for it in this thread.

    As long as it asks for the thread, it runs right here. What it needs a loop for runs there in a copy of the Context,
    as with `async_to_sync`, because this thread is inside the original.
    """
    wanted: Any = THREAD
    while wanted is THREAD:
        try:
            wanted = coroutine.send(None)
        except StopIteration as stop:
            return stop.value
    if wanted is not LOOP:
        coroutine.throw(nobody_waits_here(coroutine, wanted))

    async def rest() -> Any:
        traveller.context = inner = copy_context()
        try:
            return await drive(traveller, coroutine, workers.leg)
        finally:
            _take_over(inner)

    original = getattr(traveller, "context", None)
    try:
        return async_to_sync(rest)()
    finally:
        traveller.on_loop = False
        if original is not None:
            traveller.context = original


async def _settle(function: Callable[..., Awaitable[Any]], args: Any, kwargs: Any, ended: Leg, signal: Signal) -> None:
    try:
        ended.value = await function(*args, **kwargs)
    except BaseException as exc:
        ended.error = exc
    signal.set()


def asyncio_is_running() -> bool:
    """Whether an asyncio loop is running in this thread; imports nothing to find out."""
    return "asyncio" in sys.modules and asyncio._get_running_loop() is not None


def loop_is_running() -> bool:
    if asyncio_is_running():
        return True
    trio = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_run()


def _take_over(context: Context) -> None:
    """Set the variables that code in a copied Context has changed."""
    for variable, value in context.items():
        if variable is not occupies_thread and variable is not _probe and variable.get(_probe) is not value:
            variable.set(value)


def sync_to_async(
    function: Callable[_P, _T], workers: Workers, request_context: Callable[[], Context | None]
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Wrap a blocking `def` function so that an `async def` function can await it.

    In a request's own coroutine it runs inside the request's Context: in a worker thread under ASGI, in the server's
    waiting thread under WSGI. In a task of its own, or outside a request, it runs in a worker thread in a copy of the
    Context, and context variables that it sets are set for the caller too.

    Args:
        function: The function to wrap.
        workers: The pool whose thread runs it.
        request_context: Answers with the Context of the current request, if there is one.
    """

    @functools.wraps(function)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if _is_inside(request_context()):
            await to_thread()
            try:
                result = function(*args, **kwargs)
            except BaseException:
                await to_loop()
                raise
            await to_loop()
            return result
        return await _in_worker(functools.partial(function, *args, **kwargs), workers)

    return call


def _is_inside(context: Context | None) -> bool:
    """Whether the running code is inside this very Context, not a copy of it (as a task of its own would be)."""
    if context is None:
        return False
    marker = object()
    token = _probe.set(marker)
    inside = context.get(_probe) is marker
    _probe.reset(token)
    return inside


async def _in_worker(function: Callable[[], _T], workers: Workers) -> _T:
    context = copy_context()
    leg, cancellation = await _waited(workers, functools.partial(context.run, _outcome, function))
    _take_over(context)
    error = cancellation if leg.error is None else leg.error  # one may be false
    if error is not None:
        raise error
    return leg.value  # type: ignore[no-any-return]


def _outcome(function: Callable[[], Any]) -> Leg:
    try:
        return Leg(value=function())
    except BaseException as exc:
        return Leg(error=exc)


class _waited:  # noqa: N801 - an awaitable, used as a function
    __slots__ = ("_function", "_workers")

    def __init__(self, workers: Workers, function: Callable[[], Leg]) -> None:
        self._workers = workers
        self._function = function

    def __await__(self) -> Any:
        return self._workers.wait_for(self._function, Home(), nested=occupies_thread.get())
