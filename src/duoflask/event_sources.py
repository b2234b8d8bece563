"""Where events come from: iterables of each colour, each waited for with a limit, so that heartbeats come between.

Owns in which thread, task and Context a source runs, and its end. Knows no event and no response.

Theory of operation
-------------------
A source is asked with a limit: `pull(seconds)` gives what there is, nothing when the time is over, None at the end. A
subscription of `broadcast` can do so by itself. An async iterable cannot: its next item must not be cancelled by a
heartbeat, so it is iterated by a task of its own (`Paced`), in a copy of the request's Context, and one item at a
time is handed over. Under ASGI that task has the steps of a sync iterable made by a worker thread (`Threaded`). Under
WSGI a sync iterable is pulled by the server's thread, and nobody can speak while it is silent.
"""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Sequence
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Final, Protocol

import anyio

from .bridge import Home, Workers, home_of_context

__all__ = ["Direct", "Inline", "Paced", "Threaded", "Timed"]

# How long a source may take to close after the client has left, in seconds.
_CLOSE_SECONDS: Final = 5.0
# A sync iterable that is quick gives several items a thread hop: for so long (seconds), and so many.
_STEP_SECONDS: Final = 0.002
_STEP_ITEMS: Final = 100


class Timed(Protocol):
    """A source that can be waited for with a limit, in both colours: `Subscription` of `broadcast` is one."""

    @property
    def position(self) -> str:
        """The id that a client would have to name to miss nothing; asked when it has begun."""

    def open_now(self) -> Any:
        """Begin, in a thread.

        Raises:
            ServiceUnavailable: The source cannot be reached; logged.
        """

    async def open(self) -> Any:
        """Begin, on a loop; raises the same."""

    def pull_now(self, seconds: float | None) -> Sequence[Any] | None:
        """What there is, or has come within the time; None at the end."""

    async def pull(self, seconds: float | None) -> Sequence[Any] | None:
        """The same, on a loop."""

    def close_now(self) -> None:
        """End, in a thread."""

    async def aclose(self) -> None:
        """End, on a loop."""


class Inline:
    """A sync iterable in the thread that asks."""

    def __init__(self, source: Iterable[Any]) -> None:
        self._iterator = iter(source)

    def open_now(self) -> None:
        pass

    def pull_now(self, seconds: float | None) -> Sequence[Any] | None:
        for item in self._iterator:
            return (item,)
        return None

    def close_now(self) -> None:
        _close(self._iterator)


def _close(iterator: Any) -> None:
    close = getattr(iterator, "close", None)
    if close is not None:
        close()


class Direct:
    """An async iterable in the task that asks."""

    def __init__(self, source: AsyncIterable[Any]) -> None:
        self._iterator = source.__aiter__()

    async def open(self) -> None:
        pass

    async def pull(self, seconds: float | None) -> Sequence[Any] | None:
        try:
            return (await self._iterator.__anext__(),)
        except StopAsyncIteration:
            return None

    async def aclose(self) -> None:
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await close()


class Threaded:
    """A sync iterable whose steps run in worker threads, all of them in one copy of the Context."""

    def __init__(self, source: Iterable[Any], workers: Workers) -> None:
        self._iterator = iter(source)
        self._workers = workers
        self._context: Context | None = None
        self._error: BaseException | None = None
        self._ended = False

    async def pull(self, seconds: float | None) -> Sequence[Any] | None:
        if self._ended:
            return None
        items: list[Any] = await self._in_thread(self._step)
        if not items and self._error is not None:
            error, self._error = self._error, None
            raise error
        return items or None

    async def aclose(self) -> None:
        self._ended = True
        await self._in_thread(self._finish)
        if self._error is not None:
            raise self._error

    async def _in_thread(self, function: Callable[[], Any]) -> Any:
        context = self._context
        if context is None:
            self._context = context = copy_context()
            context.run(home_of_context.set, Home())
        result, cancellation = await _hop(self._workers, partial(context.run, function))
        if cancellation is not None:
            raise cancellation
        return result

    # in the thread; what is raised there is kept

    def _step(self) -> list[Any]:
        items: list[Any] = []
        if self._error is not None:  # of the step before, which had items to be sent first
            return items
        until = time.perf_counter() + _STEP_SECONDS
        try:
            for item in self._iterator:
                items.append(item)
                if len(items) == _STEP_ITEMS or time.perf_counter() >= until:
                    return items
            self._ended = True
        except BaseException as exc:
            self._error = exc
        return items

    def _finish(self) -> None:
        try:
            _close(self._iterator)
        except BaseException as exc:
            self._error = exc


@types.coroutine
def _hop(workers: Workers, function: Callable[[], Any]) -> Generator[Any, Any, tuple[Any, BaseException | None]]:
    return (yield from workers.wait_for(function, Home()))  # type: ignore[no-any-return]


class Paced:
    """What another source gives, pulled by a task of its own, so that waiting for it may end without ending it.

    It is asked for the next only when this is: a slow reader stops it.
    """

    def __init__(self, source: Direct | Threaded) -> None:
        self._source = source
        self._scope: anyio.CancelScope | None = None
        self._asked = False
        self._items: Sequence[Any] | None = None
        self._error: BaseException | None = None

    async def open(self) -> None:
        self._scope = anyio.CancelScope()
        self._wanted, self._news, self._done = anyio.Event(), anyio.Event(), anyio.Event()
        Home().spawn(self._run(), copy_context())

    async def pull(self, seconds: float | None) -> Sequence[Any] | None:
        if not self._asked and not self._done.is_set():
            self._asked = True
            self._news = anyio.Event()
            self._wanted.set()
        with anyio.move_on_after(seconds):
            await self._news.wait()
        if not self._news.is_set():
            return ()
        self._asked = False
        self._raise_error()
        items, self._items = self._items, None
        return items

    async def aclose(self) -> None:
        if self._scope is None:
            await self._source.aclose()
            return
        self._scope.cancel()
        cancellation: BaseException | None = None
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            while not self._done.is_set():
                try:
                    await self._done.wait()
                except asyncio.CancelledError as exc:  # natively, which no scope shields from: the client has left
                    if cancellation is not None:  # the time is over
                        raise
                    cancellation = exc
        self._raise_error()
        if cancellation is not None:
            raise cancellation

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    async def _run(self) -> None:
        """The task; all its errors are the asker's."""
        assert self._scope is not None  # `open` has made it
        try:
            with self._scope:
                try:
                    await self._serve()
                finally:
                    with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                        await self._source.aclose()
        except anyio.get_cancelled_exc_class():
            raise  # by the loop's own end
        except BaseException as exc:
            self._error = exc
        finally:
            self._news.set()
            self._done.set()

    async def _serve(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            self._items = await self._source.pull(None)
            if self._items is None:
                return  # `_run` closes the source first, and tells then
            self._news.set()
