"""Waiting until a socket can be read or written: in a thread, in a greenlet of gevent's, in a task on asyncio's loop.

Knows a socket's descriptor, and nothing of what is read or written.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from .bridge import new_signal
from .bridge.threads import original

__all__ = ["READ", "WRITE", "SocketWaiting"]

READ: Final = 1
WRITE: Final = 2


class SocketWaiting:
    """The three ways to wait until a socket can be read or written.

    Args:
        sock: The socket.
    """

    def __init__(self, sock: Any) -> None:
        self._descriptor: int = sock.fileno()
        gevent_socket = sys.modules.get("gevent.socket")
        is_green = any(kind.__module__.startswith("gevent.") for kind in type(sock).__mro__)
        self._gevent: Any = gevent_socket if is_green else None
        self._sleep: Any = sys.modules["gevent"].sleep if is_green else time.sleep
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sleepers: list[tuple[asyncio.Future[bool], int]] = []
        self._watched = 0
        self._closed = False

    def here(self, events: int, timeout: float | None) -> bool:
        """Wait in this thread or greenlet; False if it took too long. For no events others have their turn."""
        if not events:
            self._sleep(0)
            return True
        if self._gevent is not None:
            return self._in_hub(events, timeout)
        poll = original("select", "poll")()
        poll.register(self._descriptor, (1 if events & READ else 0) | (4 if events & WRITE else 0))  # POLLIN, POLLOUT
        return bool(poll.poll(None if timeout is None else max(timeout, 0) * 1000))

    def _in_hub(self, events: int, timeout: float | None) -> bool:
        wait = {READ: "wait_read", WRITE: "wait_write", READ | WRITE: "wait_readwrite"}[events]
        try:
            getattr(self._gevent, wait)(self._descriptor, timeout)
        except TimeoutError:
            return False
        return True

    async def on_loop(self, events: int, timeout: float | None) -> bool:  # noqa: ASYNC109 - as `here`
        """Wait in a task; False if it took too long. For no events others have their turn.

        Raises:
            ConnectionResetError: The connection has been given back to the server.
        """
        if self._closed:
            raise ConnectionResetError("the connection has ended")
        if not events:
            await asyncio.sleep(0)
            return True
        self._loop = loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        sleeper = future, events
        self._sleepers.append(sleeper)
        alarm = None if timeout is None else loop.call_later(timeout, _resolve, future, False)
        try:
            self._watch()
            return await future
        finally:
            if alarm is not None:
                alarm.cancel()
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
                self._watch()

    def _watch(self) -> None:
        """Have the loop watch for what somebody waits for, and for nothing else."""
        assert self._loop is not None
        wanted = 0
        for _, events in self._sleepers:
            wanted |= events
        loop, descriptor = self._loop, self._descriptor
        for event, add, remove in (
            (READ, loop.add_reader, loop.remove_reader),
            (WRITE, loop.add_writer, loop.remove_writer),
        ):
            if wanted & event and not self._watched & event:
                add(descriptor, self._wake, event)
            elif self._watched & event and not wanted & event:
                remove(descriptor)
        self._watched = wanted

    def _wake(self, event: int) -> None:
        for future, events in self._sleepers:
            if events & event:
                _resolve(future, True)

    def close(self) -> None:
        """Have the loop forget the descriptor, which the system gives to another connection soon; not on the loop."""
        if self._loop is None:
            return
        done = new_signal()
        try:
            self._loop.call_soon_threadsafe(self._forget, done.set)
        except RuntimeError:  # the loop has ended
            return
        done.wait()
        done.close()

    def _forget(self, tell: Callable[[], None]) -> None:
        self._closed = True
        sleepers, self._sleepers = self._sleepers, []
        try:
            self._watch()
        finally:
            for future, _ in sleepers:
                _resolve(future, True)
            tell()


def _resolve(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
