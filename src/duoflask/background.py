"""Work beside requests: background tasks of both colours, and what runs after a response.

Owns the tasks of an app, where each runs, and how a shutdown waits for them. Knows no protocol.

Theory of operation
-------------------
A task runs in a copy of the caller's Context, with a copy of the request's context: it sees the request, the session
and what `g` held, whenever the request itself ends. `async def` functions run as a task of the loop that the caller
belongs to: the server's, or under WSGI and outside a request the portal's. `def` functions run in worker threads of
their own, so that they take none from the views. A function may still change sides by what it returns.
"""

from __future__ import annotations

import copy
import functools
import time
import weakref
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .bridge import (
    PORTAL,
    BackgroundTask,
    Home,
    TaskCancelled,
    Waiting,
    Workers,
    call,
    current_home,
    key_here,
    starts_on_loop,
)
from .closing import teardown
from .ctx import AppContext, _cv_app, _request_context
from .events import emit
from .lazy import LazyModule
from .request_hold import RequestHold, hold
from .response import Response
from .signals import got_background_exception
from .typing import App

if TYPE_CHECKING:
    import inspect

    import anyio
else:  # an app without background work needs neither
    inspect = LazyModule("inspect")
    anyio = LazyModule("anyio")

__all__ = ["Background", "BackgroundTask", "TaskCancelled", "after_response", "log_and_signal"]

_F = TypeVar("_F", bound=Callable[..., Any])

# How long tasks that were cancelled at a shutdown may take to end, in seconds.
CANCEL_TIMEOUT: Final = 1.0


def after_response(f: _F) -> _F:
    """Register a function that runs after the response of this request has been sent, or given up.

    It never delays the response. Of several, each runs after the one before; what one raises is logged.

    Args:
        f: `def` or `async def`; called with the response if it takes an argument.

    Raises:
        RuntimeError: No request is active.
        TypeError: It is no function.
    """
    ctx = _request_context("after_response")
    if not callable(f):
        raise TypeError(f"invalid function for after_response; expected one that is not called yet; got {f!r}")
    if ctx._after is None:
        ctx._after = []  # the response is more than the view's answer from now on
    ctx.after_response = (*ctx.after_response, f)
    return f


async def _run_all(ctx: AppContext, functions: Iterable[Callable[..., Any]], response: Response) -> None:
    """Run the functions of one response, each after the one before, whatever they raise."""
    for function in functions:
        args = (response,) if _takes_one(function) else ()
        try:
            await call(ctx, function, starts_on_loop(function), *args)
        except Exception as exc:
            await _report(ctx, exc)


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


async def _report(ctx: AppContext, error: Exception) -> None:
    """Have the app's `handle_background_exception` log and signal what a background task raised."""
    handle = ctx.app.handle_background_exception
    await call(ctx, handle, starts_on_loop(handle), error)


async def log_and_signal(app: App, error: Exception) -> None:
    """Signal and log what a background task raised."""
    ctx = _cv_app.get()
    if got_background_exception.receivers:
        await emit(ctx, got_background_exception, exception=error)
    app.log_exception((type(error), error, error.__traceback__))


class _EndedStream:
    """The stream of a request whose body nobody has read in time."""

    def read(self, *_args: Any) -> bytes:
        raise RuntimeError(
            "the request has ended, and its body with it; what runs after the response has to read it before: in the "
            "view, write request.get_data()"
        )

    readline = readlines = readinto = read

    def __iter__(self) -> Any:
        return iter(self.read, None)


class Background:
    """The background tasks of one app.

    Args:
        app: The application.
    """

    def __init__(self, app: App) -> None:
        self._reference = weakref.ref(app)  # the app holds this
        self._workers: Workers | None = None
        self.tasks: set[BackgroundTask] = set()  # those that have not ended

    @property
    def _app(self) -> App:
        app = self._reference()
        assert app is not None  # whoever calls has come through it
        return app

    @property
    def workers(self) -> Workers:
        """The threads of `def` functions, as many as WORKER_THREADS says."""
        if self._workers is None:
            self._workers = Workers(self._app.config["WORKER_THREADS"])
        return self._workers

    def forget(self) -> None:
        """In a forked child, which has none of its parent's tasks."""
        self.tasks = set()

    # -- starting

    def start(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, reports: bool
    ) -> BackgroundTask:
        """Start a function beside whatever runs.

        Args:
            function: `def` or `async def`.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
            reports: Whether what it raises is logged and signalled at once; else it is whoever asks for the result who
                gets it, and it is logged when nobody can ask any more.
        """
        if not callable(function):
            raise TypeError(
                f"invalid function of a background task; expected one that is not called yet; got {function!r}. Write "
                "f, *args instead of f(*args), or app.create_task(...) for a coroutine."
            )
        side = starts_on_loop(function)
        bound = functools.partial(function, *args, **kwargs)
        name = getattr(function, "__qualname__", repr(function))
        return self.begin(lambda ctx: call(ctx, bound, side), side, name, reports=reports)

    def begin(
        self, steps: Callable[[AppContext], Coroutine[Any, Any, Any]], on_loop: bool, name: str, *, reports: bool
    ) -> BackgroundTask:
        """Start a coroutine of steps, which may change sides, beside whatever runs; see `start`."""
        app = self._app
        caller = _cv_app.get(None)
        ctx, held = self._context()
        on_portal = caller is not None and caller.belongs_to_portal()
        home, key = (None, PORTAL) if on_portal else (current_home(), key_here())
        if key is PORTAL:
            app._lifecycle.stop_at_exit()
        task = BackgroundTask(name, key, app.logger)
        tasks = self.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        if held is not None:
            task.add_done_callback(held.release)
        task.start(ctx, self._run(ctx, task, steps, reports), self.workers, home, on_loop=on_loop)
        return task

    def _context(self) -> tuple[AppContext, RequestHold | None]:
        """The context of a task, a copy of the request's or one of the app's own; and what keeps the request open."""
        held: RequestHold | None = None
        ctx = _cv_app.get(None)
        if ctx is not None and ctx.app is self._app and ctx.has_request:
            held = hold(ctx)
            twin = ctx.copy()
            twin._g = copy.copy(twin._g)  # what a task sets in it is the task's own
        else:
            twin = AppContext(self._app)
            twin.plan = self._app._plan(None)
        twin.context = copy_context()
        return twin, held

    async def _run(
        self,
        ctx: AppContext,
        task: BackgroundTask,
        steps: Callable[[AppContext], Coroutine[Any, Any, Any]],
        reports: bool,
    ) -> Any:
        error: BaseException | None = None
        _cv_app.set(ctx)
        try:
            return await steps(ctx)
        except Exception as exc:
            error = exc
            if reports:
                await _report(ctx, exc)
                task.is_known = True
            raise
        except BaseException as exc:
            error = exc
            raise
        finally:
            try:
                await teardown(ctx, error)
            finally:
                # Cycles: the task holds the error, whose traceback holds this frame; the Context holds the context.
                del error, task, ctx.context

    def attach(self, ctx: AppContext, response: Response) -> None:
        """Have the functions of `after_response` run when a response has been closed."""
        functions = (*ctx.after_response, *ctx.plan.after_response)
        ctx.after_response = ()
        side = any(starts_on_loop(function) for function in functions)
        on_loop = ctx.gateway is not None and ctx.gateway.serves_on_loop

        def start() -> None:
            if ctx.has_body and not on_loop:  # the server goes on to the next request on this connection
                ctx.has_body = False
                ctx.request.__dict__["stream"] = _EndedStream()
            steps = functools.partial(_run_all, functions=functions, response=response)
            self.begin(steps, side, "after_response", reports=True)

        async def start_on_loop() -> None:
            start()

        response.call_on_close(start_on_loop if on_loop else start)

    # -- ending

    def _of(self, key: Any) -> list[BackgroundTask]:
        return [task for task in list(self.tasks) if task.key is key]

    @property
    def _limit(self) -> float:
        limit = self._app.config["BACKGROUND_TASK_SHUTDOWN_TIMEOUT"]
        return float("inf") if limit is None else float(limit)

    async def drain(self, key: Any) -> None:
        """Wait, on the loop, for the tasks that belong to it; cancel those that take too long."""
        for limit in (self._limit, CANCEL_TIMEOUT):
            with anyio.move_on_after(limit):
                while tasks := self._of(key):
                    for task in tasks:
                        await _until_done(task)
            if not self._cancel(key):
                break
        self._give_up(key)

    def drain_now(self, key: Any) -> None:
        """Do the same in a thread, for the portal's."""
        for limit in (self._limit, CANCEL_TIMEOUT):
            until = time.monotonic() + limit
            while (tasks := self._of(key)) and time.monotonic() < until:
                tasks[0].wait(until - time.monotonic())
            if not self._cancel(key):
                break
        self._give_up(key)

    def _cancel(self, key: Any) -> bool:
        tasks = self._of(key)
        for task in tasks:
            task.cancel()
        return bool(tasks)

    def _give_up(self, key: Any) -> None:
        for task in self._of(key):
            self.tasks.discard(task)
            self._app.logger.warning(
                "%r did not end within BACKGROUND_TASK_SHUTDOWN_TIMEOUT (%s s) of the shutdown, and is abandoned: a "
                "'def' function cannot be stopped",
                task,
                self._limit,
            )
        if self._workers is not None:
            self._workers.dismiss()


async def _until_done(task: BackgroundTask) -> None:
    notify, wait = Home().waiter()
    task.add_done_callback(lambda _: notify())
    await Waiting(wait)
