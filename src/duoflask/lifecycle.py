"""What runs before and after serving: start-up and shutdown functions, and the functions before the first request.

Owns when they run: once for each loop that serves (ASGI's lifespan, or the first request under WSGI, on the portal),
whatever the concurrency; and the state of such a loop. Knows no scope and no environ.

Theory of operation
-------------------
For each loop there is one `LoopLife`: a context of the app, in which all its start-up and shutdown functions run, what
`while_serving` has opened, and the state. Both halves of a `while_serving` generator run in one task, so that a cancel
scope or a task group may stay open between them:

* ASGI's lifespan is one task, in which the server awaits both.
* An ASGI server without lifespan: the first request starts a task of its own for them, which shuts down when the loop
  cancels it at its end.
* WSGI: one coroutine that hands over to the server's thread in the middle, as a streamed response does. What is `async
  def` runs in its task on the portal, what is `def` in the thread of the first request, or the one that ends the
  process.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Awaitable, Coroutine, MutableMapping
from contextlib import ExitStack
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final

from .bridge import PORTAL, Home, WSGIDriver, call, drive, key_here, to_loop, to_thread
from .ctx import AppContext, _cv_app
from .exceptions import ServiceUnavailable
from .lazy import LazyModule
from .loop_life import LoopLife
from .once import HasFailed, Once
from .plans import side_of
from .session_steps import loads_early
from .typing import App

if TYPE_CHECKING:
    import asyncio
    import signal

    import anyio
else:  # an app that is all `def` under WSGI needs none
    asyncio = LazyModule("asyncio")
    signal = LazyModule("signal")
    anyio = LazyModule("anyio")

__all__ = ["Lifecycle"]


# How long the shutdown functions may take when a loop ends that no server has announced the end of, in seconds.
UNANNOUNCED_SHUTDOWN_TIMEOUT: Final = 5.0


def _has_ended(loop: Any) -> bool:
    return "asyncio" in sys.modules and isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed()


_all: Final[weakref.WeakSet[Lifecycle]] = weakref.WeakSet()


def _begin_anew() -> None:
    for lifecycle in list(_all):
        lifecycle.begin_anew()


if hasattr(os, "register_at_fork"):  # not at the first request: two threads may have it
    os.register_at_fork(after_in_child=_begin_anew)

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
        self._reference = weakref.ref(app)  # the app holds this
        self._first = Once()
        self._serving: dict[Any, LoopLife] = {}
        self._forgotten: list[dict[Any, LoopLife]] = []
        self._base: dict[str, Any] = {}
        self._stops_at_exit = False
        _all.add(self)

    @property
    def _app(self) -> App:
        app = self._reference()
        assert app is not None  # whoever calls has come through it, or a loop's life holds it
        return app

    def is_needed(self) -> bool:
        """Whether there is something to run at the start or the end."""
        app = self._app
        return bool(app.before_serving_funcs or app.after_serving_funcs or app.while_serving_gens)

    async def prepare(self, ctx: AppContext) -> None:
        """Before a request: start up for its loop, unless the lifespan did, then run what precedes the first request.

        Raises:
            ServiceUnavailable: A start-up function failed; logged once.
        """
        app = self._app
        app._got_first_request = True
        serving = self.is_needed()
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
        if not self.is_needed():
            return True
        serving = self._serving.get(gateway.home_key() or PORTAL)
        return serving is not None and serving.once.done

    async def start_for(self, ctx: AppContext) -> None:
        """Run the start-up functions for the loop of a context's gateway, unless they have run.

        Raises:
            ServiceUnavailable: One of them failed; logged once.
        """
        on_loop = ctx.gateway.serves_on_loop
        if on_loop is not ctx.on_loop:
            await (to_loop() if on_loop else to_thread())
        serving = self._of(ctx.gateway.home_key() or PORTAL)
        if serving.once.done:
            return
        start = self._start_beside if on_loop else self._start_here
        if not on_loop:
            serving.ctx.gateway = ctx.gateway  # start-up functions belong to the portal as well
        try:
            ctx.starting = True
            await serving.once.run(ctx, lambda: start(serving), again=False)
            ctx.starting = False
        except HasFailed:
            raise ServiceUnavailable() from None
        except Exception as exc:
            self._app.logger.exception("a start-up function failed; every request is answered with 503")
            raise ServiceUnavailable() from exc

    async def _start_here(self, serving: LoopLife) -> None:
        """Start up in this thread of a WSGI server, and on the portal."""
        serving.driver = WSGIDriver(serving.ctx, serving.start_and_finish())
        Context().run(serving.driver.resume)  # what stays open on the portal must not keep the first request
        self.stop_at_exit()

    async def _start_beside(self, serving: LoopLife) -> None:
        """Start up in a task of its own on an ASGI server's loop: a request's cancellation must not end it."""
        if serving.begun is None:
            serving.begun = anyio.Event()
            Home().spawn(self._keep(serving), Context())  # not the first request's: it lasts as long as the loop
        await serving.begun.wait()
        failure, serving.failure = serving.failure, None
        if failure is not None:
            raise failure

    async def _keep(self, serving: LoopLife) -> None:
        assert serving.begun is not None  # made by whoever has started this task
        try:
            await self._drive(serving, serving.start())
        except Exception as exc:
            serving.failure = exc
            return
        finally:
            serving.begun.set()
        key = Home().key
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():  # the loop ends: asyncio.run and trio cancel what is left
            with anyio.move_on_after(UNANNOUNCED_SHUTDOWN_TIMEOUT, shield=True):
                try:
                    await self.shutdown(key)
                except Exception:
                    self._app.logger.exception("a shutdown function failed")
            raise

    def stop_at_exit(self) -> None:
        """Have the shutdown functions for WSGI run when the process ends, however its server ends it."""
        if self._stops_at_exit:
            return
        self._stops_at_exit = True
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

    # -- one loop

    def begin_anew(self) -> None:
        """In a forked child: what its parent has started is the parent's to end."""
        self._stops_at_exit = False
        self._forgotten.append(self._serving)  # not dropped: that would end the parent's generators here, too
        self._serving = {}
        app = self._reference()
        if app is not None:
            app._background.forget()

    def _of(self, key: Any) -> LoopLife:
        serving = self._serving.get(key)
        if serving is None:
            for old in [loop for loop in list(self._serving) if loop is not PORTAL and _has_ended(loop)]:
                self._serving.pop(old, None)  # served without a lifespan, so nobody has said that it ended
            serving = self._serving.setdefault(key, LoopLife(self._outside()))
        return serving

    def _drive(self, serving: LoopLife, steps: Coroutine[Any, Any, None]) -> Awaitable[None]:
        return drive(serving.ctx, steps, self._app._workers.leg)

    def _outside(self) -> AppContext:
        ctx = AppContext(self._app)
        ctx.context = copy_context()
        return ctx

    def states(self) -> list[MutableMapping[str, Any]]:
        """The dictionaries behind `app.state`, for the calling code; the first one is written.

        They are that of the loop, that which the server has put into the request's scope, and what was set before
        there was any loop.
        """
        ctx = _cv_app.get(None)
        while ctx is not None and ctx.app is not self._app:
            ctx = ctx.previous
        key = PORTAL if ctx is not None and ctx.belongs_to_portal() else key_here()
        if ctx is None and key is PORTAL:
            known = self._serving.get(PORTAL)
            return [self._base] if known is None else [self._base, known.state]
        states: list[MutableMapping[str, Any]] = [self._of(key).state]
        of_scope = None if ctx is None or ctx.source is None else ctx.source.get("state")
        if isinstance(of_scope, MutableMapping):
            states.append(of_scope)
        states.append(self._base)
        return states

    async def startup(self, key: Any, state: MutableMapping[str, Any] | None = None) -> None:
        """Run the start-up functions on the running loop, for ASGI's lifespan.

        Args:
            key: What `home_key` of the gateway says for this loop.
            state: The state that the server keeps for the requests.
        """
        self._serving.pop(key, None)
        serving = self._of(key)
        if state is not None:
            serving.state = state
        try:
            await self._drive(serving, serving.start())
        except Exception:
            serving.once.failed = True
            raise
        serving.once.done = True

    async def shutdown(self, key: Any) -> None:
        """Wait for background tasks and run the shutdown functions on the running loop, for ASGI's lifespan."""
        app = self._app
        await app._background.drain(key)
        serving = self._serving.get(key)
        try:
            if serving is not None and serving.once.done:
                serving.once.done = False  # nobody else ends it meanwhile
                await self._drive(serving, serving.finish())
        finally:
            self._serving.pop(key, None)
            app._workers.dismiss()

    def stop_portal(self) -> None:
        """Do the same for WSGI, if the start-up functions have run; async ones run on the portal."""
        atexit.unregister(self.stop_portal)
        self._stops_at_exit = False
        if self._reference() is None:
            return
        self._app._background.drain_now(PORTAL)
        serving = self._serving.get(PORTAL)
        try:
            if serving is not None and serving.once.done:
                serving.once.done = False
                driver = serving.driver
                if driver is None or driver.finished:
                    driver = WSGIDriver(serving.ctx, serving.finish())
                else:
                    driver.move_here()
                driver.resume()
        finally:
            self._serving.pop(PORTAL, None)
            self._app._workers.dismiss()
