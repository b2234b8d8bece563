"""What runs before and after serving: start-up and shutdown functions, and the functions before the first request.

Owns when they run: once for each loop that serves (ASGI's lifespan, or the first request under WSGI, on the portal),
whatever the concurrency. Knows no scope and no environ.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack
from contextvars import copy_context
from typing import Any, Final

from .bridge import Home, WSGIDriver, call, new_lock, new_signal, to_loop
from .ctx import AppContext, _cv_app
from .exceptions import ServiceUnavailable
from .plans import side_of
from .session_steps import loads_early
from .typing import App

__all__ = ["Lifecycle"]

_PORTAL: Final = "portal"  # stands for the process's portal, which need not run for `def` functions


class _HasFailed(Exception):
    """Work that is done once has failed before."""


class _Once:
    """Work that is done once, while whoever else asks for it waits, on whichever side of the crossing."""

    __slots__ = ("_lock", "_running", "_waiters", "done", "failed")

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._running = False
        self._waiters: list[Callable[[], None]] = []
        self.done = False
        self.failed = False  # not the exception: raised for each request, it would collect all their tracebacks

    async def run(self, ctx: AppContext, work: Callable[[], Awaitable[None]], *, again: bool) -> None:
        """Do the work unless it is done; after a failure, do it again or fail again.

        Raises:
            Exception: What the work raised, for the one who did it.
            _HasFailed: It failed before, and is not done again.
        """
        while not self.done:
            if self.failed and not again:
                raise _HasFailed
            with self._lock:
                waiting = self._running and not self.done
                wait = self._wait(ctx) if waiting else None
                if not waiting:
                    self._running = True
            if wait is not None:
                await wait
                continue
            await self._do(work)

    async def _do(self, work: Callable[[], Awaitable[None]]) -> None:
        if self.done:
            return
        try:
            await work()
            self.done = True
        except Exception:
            self.failed = True
            raise
        finally:
            with self._lock:
                self._running = False
                waiters, self._waiters = self._waiters, []
            for notify in waiters:
                notify()

    def _wait(self, ctx: AppContext) -> Awaitable[None]:
        if ctx.on_loop:
            notify, wait = Home().waiter()
            self._waiters.append(notify)
            return _Waiting(wait)
        signal = new_signal()
        self._waiters.append(signal.set)
        return _in_thread(signal.wait)


class _Waiting:
    __slots__ = ("_wait",)

    def __init__(self, wait: Callable[[], Generator[Any, Any, None]]) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, Any, None]:
        return self._wait()


async def _in_thread(wait: Callable[[], Any]) -> None:
    wait()


def _has_ended(loop: Any) -> bool:
    return isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed()


# One process may hold several apps, such as mounted ones; its signal has one handler.
_stopped_by_sigterm: weakref.WeakSet[Lifecycle] = weakref.WeakSet()


def _terminate(number: int, _frame: Any) -> None:
    try:
        with ExitStack() as stack:  # calls all of them, whatever they raise
            for lifecycle in list(_stopped_by_sigterm):
                stack.callback(lifecycle.stop_portal)
    finally:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


class Lifecycle:
    """The start-up, first-request and shutdown functions of one app, and for which loops they have run.

    Args:
        app: The application.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._first = _Once(new_lock())
        self._serving: dict[Any, _Once] = {}
        self._process = os.getpid()

    async def prepare(self, ctx: AppContext) -> None:
        """Before a request: start up for its loop, unless the lifespan did, then run what precedes the first request.

        Raises:
            ServiceUnavailable: A start-up function failed; logged once.
        """
        app = self._app
        app._got_first_request = True
        serving = bool(app.before_serving_funcs or app.after_serving_funcs)
        if serving:
            await self.start_for(ctx)
        if not self._first.done:
            await self._first.run(ctx, lambda: self._run_first(ctx), again=True)
        if not serving:
            app._unprepared = loads_early(app)

    async def _run_first(self, ctx: AppContext) -> None:
        for function in self._app.before_first_request_funcs:
            await call(ctx, function, side_of(function, self._app._inline))

    def has_started(self, gateway: Any) -> bool:
        """Whether nothing has to run before a request of this gateway, as `start_for` would find out."""
        if not self._app.before_serving_funcs and not self._app.after_serving_funcs:
            return True
        once = self._serving.get(gateway.home_key() or _PORTAL)
        return once is not None and once.done and self._process == os.getpid()

    async def start_for(self, ctx: AppContext) -> None:
        """Run the start-up functions for the loop of a context's gateway, unless they have run.

        Raises:
            ServiceUnavailable: One of them failed; logged once.
        """
        if ctx.gateway.serves_on_loop and not ctx.on_loop:
            await to_loop()
        key = self._key(ctx)
        once = self._serving.get(key)
        if once is not None and once.done:
            return
        try:
            ctx.starting = True
            await self._once(key).run(ctx, lambda: self._run_all(ctx, self._app.before_serving_funcs), again=False)
            ctx.starting = False
        except _HasFailed:
            raise ServiceUnavailable() from None
        except Exception as exc:
            self._app.logger.exception("a start-up function failed; every request is answered with 503")
            raise ServiceUnavailable() from exc
        if key is _PORTAL:
            self._stop_at_exit()

    def _stop_at_exit(self) -> None:
        """Have the shutdown functions run when the process ends, however its server ends it."""
        atexit.register(self.stop_portal)
        util = sys.modules.get("multiprocessing.util")
        if util is not None:  # a child of multiprocessing ends without atexit
            util.Finalize(self, self.stop_portal, exitpriority=1)

    def stop_on_sigterm(self) -> None:
        """Run the shutdown functions on SIGTERM where it would simply kill the process.

        A server's own handler replaces this.
        """
        _stopped_by_sigterm.add(self)
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGTERM"):
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _terminate)

    def _once(self, key: Any) -> _Once:
        for old in [loop for loop in self._serving if loop is not _PORTAL and _has_ended(loop)]:
            del self._serving[old]  # served without a lifespan, so nobody has said that it ended
        return self._serving.setdefault(key, _Once(new_lock()))

    def _key(self, ctx: AppContext) -> Any:
        """What stands for the loop that a request's async functions run on."""
        if self._process != os.getpid():  # a child of a process that has served already
            self._process = os.getpid()
            self._serving.clear()
        return ctx.gateway.home_key() or _PORTAL

    async def _run_all(self, ctx: AppContext, functions: list[Any]) -> None:
        """Run functions in the app's context, not in the request's that happens to be the first."""
        outside = AppContext(self._app)
        _cv_app.set(outside)
        try:
            for function in list(functions):
                await call(ctx, function, side_of(function, self._app._inline))
        finally:
            _cv_app.set(ctx)

    async def startup(self, key: Any) -> None:
        """Run the start-up functions on the running loop, for ASGI's lifespan.

        Args:
            key: What `home_key` of the gateway says for this loop.
        """
        ctx = self._outside()
        self._serving[key] = once = _Once(new_lock())
        await self._app._drive(
            ctx, once.run(ctx, lambda: self._run_all(ctx, self._app.before_serving_funcs), again=False)
        )

    async def shutdown(self, key: Any) -> None:
        """Run the shutdown functions on the running loop, for ASGI's lifespan."""
        ctx = self._outside()
        await self._app._drive(ctx, self._finish(ctx, key))

    async def _finish(self, ctx: AppContext, key: Any) -> None:
        once = self._serving.pop(key, None)
        if once is not None and once.done:
            await self._run_all(ctx, self._app.after_serving_funcs)

    def stop_portal(self) -> None:
        """Run the shutdown functions for WSGI, if the start-up functions have run; async ones on the portal."""
        atexit.unregister(self.stop_portal)
        if self._process != os.getpid():
            return
        ctx = self._outside()
        coroutine = self._finish(ctx, _PORTAL)
        driver = WSGIDriver(ctx, coroutine)
        driver.resume()

    def _outside(self) -> AppContext:
        ctx = AppContext(self._app)
        ctx.context = copy_context()
        return ctx
