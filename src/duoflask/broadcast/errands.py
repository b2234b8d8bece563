"""Coroutines that run on the process's portal loop for whoever needs their result: threads, greenlets, any loop.

Owns that crossing. `bridge.async_to_sync` goes to the loop that a request belongs to; a connection that a process
shares lives on one loop, asyncio's, whatever the server's is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from ..bridge import Home, Waiting, loop_is_running, new_signal, portal

__all__ = ["begin", "run_in_place", "run_later", "run_now"]

_T = TypeVar("_T")


class _Errand:
    __slots__ = ("_function", "_notify", "error", "value")

    def __init__(self, function: Callable[[], Awaitable[Any]], notify: Callable[[], Any]) -> None:
        self._function = function
        self._notify = notify
        self.value: Any = None
        self.error: BaseException | None = None

    async def run(self) -> None:
        try:
            self.value = await self._function()
        except BaseException as exc:
            self.error = exc
        self._notify()

    def begin(self) -> None:
        home = portal()
        home.post(home.spawn, self.run(), Context())  # a request's variables are not the connection's

    def result(self) -> Any:
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame: a cycle
        return self.value


def run_now(function: Callable[[], Awaitable[_T]]) -> _T:
    """Run a coroutine function on the portal and wait for it in this thread or greenlet.

    Raises:
        RuntimeError: An event loop is running in this thread, and would stand still.
    """
    if loop_is_running():
        raise RuntimeError(
            "a blocking call of a Broadcast was made in a thread whose event loop is running, which would stand still. "
            "In an 'async def' function write 'await broadcast.publish(...)', 'async with' and 'async for'."
        )
    signal = new_signal()
    errand = _Errand(function, signal.set)
    errand.begin()
    signal.wait()
    signal.close()
    return errand.result()  # type: ignore[no-any-return]


async def run_later(function: Callable[[], Awaitable[_T]]) -> _T:
    """Run a coroutine function on the portal and wait for it on this loop; a cancellation does not reach it."""
    notify, wait = Home().waiter()
    errand = _Errand(function, notify)
    errand.begin()
    await Waiting(wait)
    return errand.result()  # type: ignore[no-any-return]


def begin(function: Callable[[], Awaitable[Any]]) -> None:
    """Run a coroutine function on the portal; nobody waits for it, nor learns what it raises."""
    _Errand(function, _nothing).begin()


def _nothing() -> None:
    pass


def run_in_place(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine that never suspends.

    Raises:
        RuntimeError: It did.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} suspends, but its back end says that it does no I/O; set does_io = True there")
