"""The lock of a server-side session, for `with` and `async with`: what it reads and writes and when it waits.

Owns the order (lock, read again, run the block, write, unlock) and how to wait. Where the lock is kept is the store's
affair; a store answers at once whether it could be had, so that nobody who waits occupies what the holder needs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import uniform
from threading import get_ident
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Final, Protocol

import anyio

from ..bridge import asyncio_is_running, loop_is_running
from ..bridge.workers import occupies_thread
from .store import Change, Record, Store, StoreUnavailable

__all__ = ["Lockable", "SessionLock"]

# How long a lock lasts that nobody gives back, because its process was killed, in seconds.
LOCK_SECONDS: Final = 30.0

# How long to pause between two attempts, in seconds: from the first figure to the second.
PAUSES: Final = (0.001, 0.02)

_logger = logging.getLogger("duoflask.sessions")


class Lockable(Protocol):
    """What a lock needs of its session."""

    _store: Store
    _stored_key: str | None
    _awaits_store: bool
    _locked_by: Any  # the thread or task inside the lock's block; None if nobody is
    _in_thread: Callable[[Callable[..., Any]], Callable[..., Awaitable[Any]]]

    def _read_again(self, record: Record | None) -> None:
        """Take what other requests have written since, under the changes that this one has not written yet."""

    def _look_inside(self) -> None:
        """Find values that were changed inside."""

    def _next_change(self) -> Change | None:
        """What is to be written now."""

    def _written(self, change: Change, exists: bool) -> None:
        """Told that a change has been written."""

    def _take_back(self) -> None:
        """Forget what has been changed since `_read_again`."""


class SessionLock:
    """The context manager that `session.lock()` returns.

    Args:
        session: The session.
        timeout: How long to wait for the lock, in seconds.
    """

    def __init__(self, session: Lockable, timeout: float) -> None:
        self._session = session
        self._timeout = timeout
        self._key: str | None = None
        self._token = os.urandom(12).hex()

    def _refuse_inside(self, who: Any) -> None:
        if self._session._locked_by == who:
            raise RuntimeError(
                "session.lock() was entered inside its own block, where it would wait for itself; enter it once, "
                "around all that belongs together"
            )

    # -- with

    def __enter__(self) -> Any:
        if loop_is_running():
            raise RuntimeError(
                "session.lock() was entered by 'with' on a running event loop, which would stand still while it waits; "
                "write 'async with session.lock():'"
            )
        self._refuse_inside(get_ident())
        self._key = key = self._session._stored_key
        if key is None:  # nobody else can know a session that is not kept yet
            self._session._locked_by = get_ident()
            return self._session
        store = self._session._store
        pauses = _Pauses(self._timeout)
        while not store.lock(key, self._token, LOCK_SECONDS):
            sleep(pauses.next(store, key))
        try:
            self._session._read_again(store.load(key))
        except BaseException:
            self._unlock_now(key)
            raise
        self._session._locked_by = get_ident()
        return self._session

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        key, session = self._key, self._session
        if key is None:
            session._locked_by = None
            return
        try:
            change = self._end(exc)
            if change is not None:
                session._written(change, session._store.write(change))
        finally:
            session._locked_by = None
            self._unlock_now(key)

    def _unlock_now(self, key: str) -> None:
        with suppress(StoreUnavailable):
            self._session._store.unlock(key, self._token)

    def _end(self, exc: BaseException | None) -> Change | None:
        if exc is None:
            self._session._look_inside()
            return self._session._next_change()
        self._session._take_back()
        return None

    # -- async with

    async def __aenter__(self) -> Any:
        task = anyio.get_current_task()
        self._refuse_inside(task)
        self._key = key = self._session._stored_key
        if key is None:
            self._session._locked_by = task
            return self._session
        store = self._session._store
        pauses = _Pauses(self._timeout)
        try:
            while not await self._do("lock", key, self._token, LOCK_SECONDS):  # noqa: ASYNC110 - the store calls nobody back
                await anyio.sleep(pauses.next(store, key))
        except anyio.get_cancelled_exc_class():  # it may have got the lock without being told
            await self._unlock(key)
            raise
        try:
            self._session._read_again(await self._do("load", key))
        except BaseException:
            await self._unlock(key)
            raise
        self._session._locked_by = task
        return self._session

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        key, session = self._key, self._session
        if key is None:
            session._locked_by = None
            return
        try:
            change = self._end(exc)
            if change is not None:
                session._written(change, await self._do("write", change))
        finally:
            session._locked_by = None
            await self._unlock(key)

    async def _unlock(self, key: str) -> None:
        # Others wait for it, for up to LOCK_SECONDS. A store that fails only now has said so in the log; what was
        # written is written.
        with anyio.CancelScope(shield=True), suppress(StoreUnavailable):
            await self._do("unlock", key, self._token)

    async def _do(self, name: str, *args: Any) -> Any:
        """Call a method of the store without holding the loop up."""
        store = self._session._store
        if self._session._awaits_store and asyncio_is_running():
            return await getattr(store, f"{name}_async")(*args)
        function = getattr(store, name)
        if not store.does_io:
            return function(*args)
        # All worker threads may wait in 'with session.lock()' for what is done here: it may have one more.
        token = occupies_thread.set(True)
        try:
            return await self._session._in_thread(function)(*args)
        finally:
            occupies_thread.reset(token)


class _Pauses:
    """How long to pause between attempts: longer each time, and not in step with others."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._until = monotonic() + timeout
        self._pause = PAUSES[0]

    def next(self, store: Store, key: str) -> float:
        if monotonic() > self._until:
            _logger.error("a session in the store %s stayed locked for %s s (%.12s...)", store.name, self._timeout, key)
            raise StoreUnavailable()
        self._pause = min(self._pause * 1.5, PAUSES[1])
        return uniform(PAUSES[0], self._pause)
