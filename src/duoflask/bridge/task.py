"""A coroutine of steps that runs beside its caller, as a future for code of both colours.

Owns its states, who waits for it, and the thread or task that drives it. Knows not what it does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from ..lazy import LazyModule
from .adapt import loop_is_running
from .crossing import Leg, Traveller, Work, drive, run_leg
from .portal import portal
from .threads import new_lock, new_signal
from .workers import Home, Workers, _Job, home_of_context, occupies_thread

if TYPE_CHECKING:
    import logging

    import anyio
else:
    anyio = LazyModule("anyio")

__all__ = ["BackgroundTask", "TaskCancelled"]

_PENDING, _RUNNING, _DONE, _CANCELLED = "pending", "running", "done", "cancelled"


class TaskCancelled(Exception):
    """The task was cancelled, so it has no result."""


class BackgroundTask:
    """A future: `await task` in `async def` code, `task.result()` in a thread.

    To stop waiting does not stop the task: that is `cancel()`.

    Args:
        name: That of its function.
        key: What stands for the loop that it belongs to.
        logger: Gets the exception of a task whose result nobody has asked for.
    """

    def __init__(self, name: str, key: Any, logger: logging.Logger) -> None:
        self.name = name
        self.key = key
        self._logger = logger
        self._lock = new_lock()
        self._state = _PENDING
        self._outcome: Leg | None = None
        self._stop: Callable[[], Any] | None = None
        self._callbacks: list[Callable[[BackgroundTask], Any]] = []
        self.is_known = False  # what it raised: somebody has asked, or it has been logged

    def done(self) -> bool:
        """Whether it has ended, or was cancelled."""
        return self._state in (_DONE, _CANCELLED)

    def running(self) -> bool:
        """Whether it has begun and not ended."""
        return self._state is _RUNNING

    def cancelled(self) -> bool:
        """Whether it was cancelled before it came to its end."""
        return self._state is _CANCELLED

    def cancel(self) -> bool:
        """Withdraw it if it has not begun, or cancel what it awaits; False if neither can be done.

        A `def` function that has begun cannot be stopped.
        """
        with self._lock:
            if self._state is _RUNNING:
                stop = self._stop
            elif self._state is _PENDING:
                self._state, stop = _CANCELLED, None
            else:
                return False
        if self._state is _CANCELLED:
            self._call_back()
            return True
        if stop is None:
            return False
        stop()
        return True

    def result(self, timeout: float | None = None) -> Any:
        """Wait for its end in this thread, and return what it returned.

        Args:
            timeout: How long to wait, in seconds.

        Raises:
            BaseException: What it raised.
            TaskCancelled: It was cancelled.
            TimeoutError: It has not ended within `timeout`.
            RuntimeError: It has not ended, and an event loop runs in this thread, which must not wait.
        """
        error = self.exception(timeout)
        if error is not None:
            try:
                raise error
            finally:
                del error  # a frame that holds its own traceback is a cycle
        return self._outcome.value  # type: ignore[union-attr]

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for its end in this thread, and return what it raised, or None; raises as `result` does otherwise."""
        if not self.done():
            if loop_is_running():
                raise RuntimeError(
                    f"{self!r} has not ended, and an event loop runs in this thread, which must not wait for it; write "
                    "'await task' instead of task.result()"
                )
            if not self.wait(timeout):
                raise TimeoutError(f"{self!r} has not ended within {timeout} s")
        return self._error()

    def _error(self) -> BaseException | None:
        self.is_known = True
        if self._state is _CANCELLED:
            raise TaskCancelled(f"{self!r} was cancelled")
        return self._outcome.error  # type: ignore[union-attr]

    def add_done_callback(self, callback: Callable[[BackgroundTask], Any]) -> None:
        """Have a function called with this task at its end, in whatever thread that is; at once if it has ended."""
        with self._lock:
            if not self.done():
                self._callbacks.append(callback)
                return
        callback(self)

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self.done():
            notify, wait = Home().waiter()
            self.add_done_callback(lambda _: notify())
            yield from wait()
        error = self._error()
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self._outcome.value  # type: ignore[union-attr]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} ({self._state})>"

    def __del__(self) -> None:
        outcome = self._outcome
        if outcome is not None and outcome.error is not None and not self.is_known:
            self._logger.error("%r failed, and nobody has asked for its result", self, exc_info=outcome.error)

    # -- running

    def start(
        self, traveller: Traveller, coroutine: Work, workers: Workers, home: Home | None, *, on_loop: bool
    ) -> None:
        """Have the coroutine run beside the caller.

        Args:
            traveller: Whose coroutine it is; its `context` is a Context that nobody else enters.
            coroutine: The steps.
            workers: The pool of its thread legs.
            home: The loop that it belongs to; None for the portal.
            on_loop: The side on which it starts.
        """
        context = traveller.context
        if home is not None:
            context.run(home_of_context.set, home)
        if context.get(occupies_thread):
            context.run(occupies_thread.set, False)
        if on_loop:
            self._spawn(traveller, coroutine, workers, home)
            return
        work = functools.partial(self._in_thread, traveller, coroutine, workers, home)
        try:
            workers.submit(_Job(work, _nothing))
        except RuntimeError as exc:  # no thread can be started
            coroutine.close()
            self._settle(Leg(error=exc))

    def _in_thread(self, traveller: Traveller, coroutine: Work, workers: Workers, home: Home | None) -> None:
        if not self._begin(None):
            coroutine.close()
            return
        leg = run_leg(traveller, coroutine, coroutine.send, None)
        if leg.wanted is None:
            self._settle(leg)
            del self, leg  # this frame is behind those of the error that the task holds: a cycle
        else:
            self._spawn(traveller, coroutine, workers, home)

    def _spawn(self, traveller: Traveller, coroutine: Work, workers: Workers, home: Home | None) -> None:
        """Drive the coroutine, from here on, in a task of its loop."""
        loop: Any = portal() if home is None else home
        driving = self._on_loop(traveller, coroutine, workers)
        if not loop.post(loop.spawn, driving, copy_context()):
            driving.close()
            coroutine.close()
            self._settle(Leg(error=RuntimeError(f"{self!r} cannot run: its event loop has ended")))

    async def _on_loop(self, traveller: Traveller, coroutine: Work, workers: Workers) -> None:
        home = Home()
        with anyio.CancelScope() as scope:
            if not self._begin(lambda: home.post(scope.cancel)):
                coroutine.close()
                return
            try:
                leg = Leg(value=await drive(traveller, coroutine, workers.leg))
            except BaseException as exc:
                assert exc.__traceback__ is not None  # it has just been raised
                exc.__traceback__ = exc.__traceback__.tb_next  # without this frame, which holds the task: a cycle
                leg = Leg(error=exc)
            self._settle(leg)
            del leg

    def _begin(self, stop: Callable[[], Any] | None) -> bool:
        """Note that it runs now, and how it can be stopped; False if it has been withdrawn."""
        with self._lock:
            if self._state is _CANCELLED:
                return False
            self._state, self._stop = _RUNNING, stop
        return True

    def _settle(self, outcome: Leg) -> None:
        """Note how it ended."""
        error = outcome.error
        with self._lock:
            if self.done():
                return
            stopped = error is not None and not isinstance(error, Exception) and _is_cancellation(error)
            self._outcome, self._stop = outcome, None
            self._state = _CANCELLED if stopped else _DONE
            if stopped:
                self._outcome = Leg()
        self._call_back()

    def _call_back(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback(self)
            except Exception:  # it must end neither a worker thread nor a loop
                self._logger.exception("a callback of %r failed", self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end in this thread; False if that takes longer than so many seconds."""
        signal = new_signal()
        self.add_done_callback(lambda _: signal.set())
        try:
            if timeout is None or timeout == float("inf"):
                signal.wait()
                return True
            return signal.wait_for(timeout) or self.done()
        finally:
            signal.close()


def _is_cancellation(error: BaseException) -> bool:
    """Whether this is asyncio's or trio's cancellation."""
    return type(error).__name__ in ("CancelledError", "Cancelled")


def _nothing() -> None:
    pass
