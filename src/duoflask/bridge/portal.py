"""The portal: one asyncio loop in one daemon thread per process, and the WSGI driver.

Owns the portal's life, the task that carries one request's async steps, and how the server's thread waits for it. Knows
no environ and no response. The portal starts with the first async function; a forked child forgets its parent's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any, cast

from ..lazy import LazyModule
from .crossing import LOOP, HandOver, Leg, Traveller, Work, answer_in_thread, drive, run_leg
from .threads import Signal, new_lock, new_loop, new_signal, start_thread

if TYPE_CHECKING:
    import asyncio
    import logging

    import anyio
else:  # an app that is all `def` under WSGI needs none
    anyio = LazyModule("anyio")
    asyncio = LazyModule("asyncio")
    logging = LazyModule("logging")

__all__ = ["Portal", "WSGIDriver", "current_portal", "portal"]


class Portal:
    """A running loop in a thread of its own."""

    __slots__ = ("_tasks", "loop")

    def __init__(self) -> None:
        self.loop = new_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        ready = new_lock()
        ready.acquire()

        def run() -> None:
            asyncio.set_event_loop(self.loop)
            self.loop.call_soon(ready.release)
            while True:
                try:
                    self.loop.run_forever()
                    return
                except BaseException:
                    # asyncio raises a task's SystemExit or KeyboardInterrupt out of the loop, too. It is kept on the
                    # task; the portal is every request's, and what was about to run is still queued.
                    logging.getLogger("duoflask.portal").exception(
                        "a task on the portal loop ended with an exception that stops a loop; it goes on"
                    )

        try:
            start_thread(run, "duoflask-portal")
        except RuntimeError:
            self.loop.close()
            raise
        with ready:
            pass

    def post(self, function: Callable[..., Any], *args: Any) -> bool:
        """Have the loop call a function soon."""
        self.loop.call_soon_threadsafe(function, *args)
        return True

    def spawn(self, coroutine: Coroutine[Any, Any, None], context: Context | None = None) -> asyncio.Task[None]:
        """Start a task for a coroutine that never raises; to be called on the loop, through `post`."""
        task = self.loop.create_task(coroutine, context=context)
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)
        return task


_portal: Portal | None = None
_starting = new_lock()


def portal() -> Portal:
    """The process's portal, started if need be.

    Raises:
        RuntimeError: No thread can be started for it, for instance while the interpreter shuts down.
    """
    global _portal
    if _portal is None:
        with _starting:
            if _portal is None:
                _portal = Portal()
    return _portal


def current_portal() -> Portal | None:
    """The process's portal, if it has been started."""
    return _portal


def _forget_portal() -> None:
    """In a forked child: the parent's thread does not exist here, and its loop's pipe is shared with it."""
    global _portal, _starting
    _portal = None
    _starting = new_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_portal)


class _Trip:
    """One request's task on the portal: it drives the coroutine, and has its thread legs run by the server's thread."""

    __slots__ = (
        "_delivered",
        "_home",
        "_leg",
        "_returned",
        "signal",
        "_task",
        "coroutine",
        "ended",
        "interruption",
        "traveller",
    )

    def __init__(self, traveller: Traveller, coroutine: Work) -> None:
        self.traveller = traveller
        self.coroutine = coroutine
        self.ended: Leg | None = None
        self.interruption: BaseException | None = None
        self._home = portal()
        self.signal: Signal = new_signal()
        self._task: asyncio.Task[None] | None = None
        self._leg: Leg | None = None
        self._delivered: Leg | None = None
        self._returned: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Continue the coroutine on the portal; returns when it wants the server's thread or has ended."""
        self._send(self._spawn)

    def hand_back(self, leg: Leg) -> None:
        """Tell the task how its thread leg went; returns when it wants the next one or has ended."""
        if leg.wanted is LOOP:
            self._send(self._deliver, leg)
        else:
            self._home.post(self._deliver, leg)

    def _send(self, function: Callable[..., None], *args: Any) -> None:
        """Have the portal call a function, and wait for its answer.

        What a signal handler raises here (a worker's time-out, Ctrl-C) cancels the task first. It may come while the
        function is posted, which is then posted again, or already while the task is being cancelled: nothing is posted
        in the handler.
        """
        posts: list[tuple[Any, ...]] = [(function, *args)]
        while True:
            try:
                while posts:
                    self._home.post(*posts[0])
                    del posts[0]
                self.signal.wait()
                return
            except BaseException as exc:
                self.interruption = self.interruption or exc
                posts.append((self._cancel,))

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _spawn(self) -> None:
        if self._task is None:
            self._task = self._home.spawn(self._run())

    async def _run(self) -> None:
        try:
            self.ended = Leg(value=await drive(self.traveller, self.coroutine, self._server_thread))
        except BaseException as exc:
            self.ended = Leg(error=exc)
        self.signal.set()

    def _deliver(self, leg: Leg) -> None:
        if leg is self._delivered:
            return
        self._leg = self._delivered = leg
        if self._returned is not None and not self._returned.done():
            self._returned.set_result(None)

    def _server_thread(
        self, _traveller: Traveller, _coroutine: Work
    ) -> Generator[Any, Any, tuple[Leg, BaseException | None]]:
        """Let the server's thread run a leg; a cancellation waits until it is back."""
        self._leg = None
        self._returned = self._home.loop.create_future()
        self.signal.set()
        try:
            yield from self._returned
        except asyncio.CancelledError as exc:
            cancellation = exc
        else:
            assert self._leg is not None  # `_deliver` has set it
            return self._leg, None
        with anyio.CancelScope(shield=True):  # as in Workers.wait_for: a scope would retry at every turn of the loop
            while self._leg is None:
                self._returned = self._home.loop.create_future()
                try:
                    yield from self._returned
                except asyncio.CancelledError:
                    continue
        return cast("Leg", self._leg), cancellation


def _result(leg: Leg) -> Any:
    error, leg.error = leg.error, None  # a frame, or what it holds, that holds its own traceback is a cycle
    if error is not None:
        try:
            raise error
        finally:
            del error
    return leg.value


class WSGIDriver:
    """Drives a request's coroutine for a server's thread (or greenlet).

    Args:
        traveller: Whose coroutine it is.
        coroutine: The dispatcher's coroutine.
    """

    __slots__ = ("_coroutine", "_traveller", "_trip", "finished")

    def __init__(self, traveller: Traveller, coroutine: Work) -> None:
        self._traveller = traveller
        self._coroutine = coroutine
        self._trip: _Trip | None = None
        self.finished = False

    def go_on(self, wanted: Any) -> Any:
        """Continue a coroutine whose first leg, in this thread, stopped at `wanted`; answers as `resume` does."""
        if wanted is LOOP or type(wanted) is HandOver:
            return self._follow(Leg(wanted=wanted))
        return self._follow(run_leg(self._traveller, self._coroutine, *answer_in_thread(self._coroutine, wanted)))

    def resume(self, answer: Any = None) -> Any:
        """Resume a coroutine that handed something over, in the server's thread.

        Args:
            answer: What its `hand_over` returns.

        Returns:
            What it hands over next, or, with `finished` set, what it returned.
        """
        return self._follow(run_leg(self._traveller, self._coroutine, self._coroutine.send, answer))

    def move_here(self) -> None:
        """Have the calling thread (or greenlet) be the one that waits for the portal from now on."""
        if self._trip is not None:
            self._trip.signal = new_signal()

    def _follow(self, leg: Leg) -> Any:
        """Follow the coroutine across the sides until it hands something over or ends."""
        while True:
            wanted = leg.wanted
            if type(wanted) is HandOver:
                return wanted.value
            trip = self._trip
            if wanted is None:
                self.finished = True
                if trip is not None:
                    trip.hand_back(Leg())  # that it is over, not how: an error is raised in one thread
                return _result(leg)
            if trip is None:
                self._traveller.leaves_thread()
                trip = self._trip = _Trip(self._traveller, self._coroutine)
                trip.begin()
            else:
                trip.hand_back(leg)
            if trip.ended is not None:
                self.finished = True
                trip.signal.close()
                if trip.interruption is not None:
                    raise trip.interruption
                return _result(trip.ended)
            leg = run_leg(self._traveller, self._coroutine, self._coroutine.send, None)
