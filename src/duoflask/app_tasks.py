"""What an app runs beside its requests: the life of a server, background tasks, and what its loops keep.

Owns the methods. When and where things run stands in `lifecycle` and `background`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from .app_contexts import AppContexts
from .app_state import State
from .background import Background, log_and_signal
from .bridge import BackgroundTask, Home
from .lifecycle import Lifecycle
from .registries import WatchedList, told_while_alive
from .scaffold import setupmethod
from .typing import App

__all__ = ["AppTasks"]


class AppTasks(AppContexts):
    """What an app does beside requests."""

    def _start_nothing(self) -> None:
        """Start with nothing to run."""
        changed = told_while_alive(self._first_request_changed)
        self.before_first_request_funcs: list[Any] = WatchedList(changed)
        self.before_serving_funcs: list[Any] = WatchedList(changed)
        self.while_serving_gens: list[Any] = WatchedList(changed)
        self.after_serving_funcs: list[Any] = WatchedList(changed)
        self._background = Background(cast("App", self))
        self._lifecycle = Lifecycle(cast("App", self))
        self.state = State(self._lifecycle.states)

    # -- the life of a server

    @setupmethod
    def before_first_request(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that runs once, before the first request of the process."""
        return self._register(self.before_first_request_funcs, f, inline)

    @setupmethod
    def before_serving(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a start-up function: it runs once for each loop that serves, before its first request."""
        return self._register(self.before_serving_funcs, f, inline)

    @setupmethod
    def while_serving(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a generator function; what stands before its `yield` runs at the start, the rest at the end.

        The start is after `before_serving`, the end before `after_serving`. It runs once for each loop that serves,
        both halves in one task: a task group may stay open between them. The last one started is the first one ended;
        when a later start-up function fails, those that have started are ended.
        """
        self._lifecycle.stop_on_sigterm()
        return self._register(self.while_serving_gens, f, inline)

    @setupmethod
    def after_serving(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a shutdown function: it runs once for each loop that served."""
        self._lifecycle.stop_on_sigterm()
        return self._register(self.after_serving_funcs, f, inline)

    async def startup(self) -> None:
        """Run the start-up functions for the running loop, where no server does: in a script or a test.

        Requests that the app answers on this loop find it started.
        """
        await self._lifecycle.startup(Home().key)

    async def shutdown(self) -> None:
        """Wait for background tasks, then run the shutdown functions; in the task that has called `startup`."""
        await self._lifecycle.shutdown(Home().key)

    # -- background tasks

    @property
    def background_tasks(self) -> set[BackgroundTask]:
        """The background tasks that have not ended."""
        return self._background.tasks

    def add_background_task(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Run a function beside the request, `def` in a worker thread, `async def` on the loop.

        It sees the request, the session and a copy of `g`. What it raises is logged and signalled
        (`got_background_exception`). A shutdown waits for it up to BACKGROUND_TASK_SHUTDOWN_TIMEOUT seconds.

        Args:
            func: The function.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
        """
        self._background.start(func, args, kwargs, reports=True)

    def submit(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> BackgroundTask:
        """Run a function as `add_background_task` does, for its result: `await` it, or call its `result()`.

        What it raises goes to whoever asks for the result; it is logged if nobody does.
        """
        return self._background.start(func, args, kwargs, reports=False)

    def create_task(self, coro: Awaitable[Any]) -> BackgroundTask:
        """Run a coroutine as `submit` runs an `async def` function.

        Raises:
            TypeError: It is no coroutine.
        """
        if not hasattr(coro, "__await__"):
            raise TypeError(
                f"invalid coroutine; expected something to await; got {coro!r}. Write app.submit(function, ...) for a "
                "function that is not called yet."
            )

        async def run() -> Any:
            return await coro

        run.__qualname__ = getattr(coro, "__qualname__", run.__qualname__)
        task = self._background.start(run, (), {}, reports=False)
        if hasattr(coro, "close"):  # else one that never began would be warned of
            task.add_done_callback(lambda _: coro.close())
        return task

    async def handle_background_exception(self, error: Exception) -> None:
        """Signal and log what a background task raised."""
        await log_and_signal(cast("App", self), error)
