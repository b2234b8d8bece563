"""Work that many ask for and that is done once, whichever side of the crossing those who wait for it are on.

Owns that. Knows no app.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .bridge import Home, Waiting, new_lock, new_signal

__all__ = ["HasFailed", "Once"]


class HasFailed(Exception):
    """Work that is done once has failed before."""


class Once:
    """Work that is done once, while whoever else asks for it waits, on whichever side of the crossing."""

    __slots__ = ("_lock", "_running", "_waiters", "done", "failed")

    def __init__(self) -> None:
        self._lock = new_lock()
        self._running = False
        self._waiters: list[Callable[[], None]] = []
        self.done = False
        self.failed = False  # not the exception: raised for each request, it would collect all their tracebacks

    async def run(self, ctx: Any, work: Callable[[], Awaitable[None]], *, again: bool) -> None:
        """Do the work unless it is done; after a failure, do it again or fail again.

        Args:
            ctx: Whose coroutine this is part of; it tells the side.
            work: Called to do it.
            again: Whether work that has failed is tried again.

        Raises:
            Exception: What the work raised, for the one who did it.
            HasFailed: It failed before, and is not done again.
        """
        while not self.done:
            if self.failed and not again:
                raise HasFailed
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

    def _wait(self, ctx: Any) -> Awaitable[None]:
        if ctx.on_loop:
            notify, wait = Home().waiter()
            self._waiters.append(notify)
            return Waiting(wait)
        signal = new_signal()
        self._waiters.append(signal.set)
        return _in_thread(signal.wait)


async def _in_thread(wait: Callable[[], Any]) -> None:
    wait()
