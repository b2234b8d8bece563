"""An async iterator that a WSGI server's thread pulls: what it gives without waiting crosses in one batch.

Owns the step of the iterator that waits while a batch is on its way. Knows no protocol and no response.
"""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Callable, Generator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ..lazy import LazyModule
from .pumping import MAX_AHEAD_BYTES, MAX_AHEAD_PIECES

if TYPE_CHECKING:
    import asyncio
else:
    asyncio = LazyModule("asyncio")

__all__ = ["Batches"]

# An iterator that never waits lets others have the portal after this long. PERF: the clock is looked at with every
# eighth piece.
BATCH_SECONDS: Final = 0.005
# A step that waits when the server gives the body up may be the iterator's own end, begun ahead of time: it is
# cancelled if it has not come to its end after this long.
CANCEL_SECONDS: Final = 0.05


class Batches:
    """Takes an async iterator's pieces in batches, on an asyncio loop. No piece waits for one that is not there yet.

    Args:
        pieces: The iterator.
        encode: Makes bytes of a piece that is something else.
    """

    __slots__ = ("_encode", "_end", "_limit", "_pieces", "_step", "_wanted")

    def __init__(self, pieces: AsyncIterator[Any], encode: Callable[[Any], bytes]) -> None:
        self._pieces = pieces
        self._encode = encode
        self._limit = 1  # the first piece leaves at once
        self._end: BaseException | None = None
        # The step that waits, and for what.
        self._step: Any = None
        self._wanted: Any = None

    @types.coroutine
    def take(self, thrown: BaseException | None = None) -> Generator[Any, Any, list[bytes]]:
        """Wait for the next piece; return it and what comes behind it without waiting. Empty at the end.

        Args:
            thrown: A cancellation that came while a step waited, and was not awaited: it is the step's.

        Raises:
            BaseException: What the iterator raised, once the pieces before it have been taken.
        """
        taken: list[bytes] = []
        size, until = 0, perf_counter() + BATCH_SECONDS
        limit, self._limit = self._limit, MAX_AHEAD_PIECES
        while self._end is None:
            try:
                if self._step is not None:
                    piece = yield from self._waiting(thrown)
                else:
                    self._step = step = _one(self._pieces)
                    try:
                        self._wanted = step.send(None)
                    except StopIteration as stop:
                        piece = stop.value
                    else:  # it waits
                        if taken:
                            return taken
                        continue
                self._step = None
                taken.append(piece if type(piece) is bytes else self._encode(piece))
            except BaseException as exc:
                self._step = None
                self._end = exc
                break
            size += len(taken[-1])
            count = len(taken)
            if count >= limit or size >= MAX_AHEAD_BYTES or (not count & 7 and perf_counter() >= until):
                break
        if not taken:
            end, self._end = self._end, StopAsyncIteration()
            if not isinstance(end, StopAsyncIteration):
                try:
                    raise end  # type: ignore[misc]
                finally:
                    del end  # a frame that holds its own traceback is a cycle
        return taken

    def _waiting(self, thrown: BaseException | None = None) -> Generator[Any, Any, Any]:
        """Wait on in the step, for what it returns."""
        step, wanted = self._step, self._wanted
        try:
            while True:
                try:
                    answer = (yield wanted) if thrown is None else None
                except BaseException as exc:
                    thrown = exc
                try:
                    wanted = step.send(answer) if thrown is None else step.throw(thrown)
                except StopIteration as stop:
                    return stop.value
                thrown = None
        finally:
            thrown = None  # a frame that holds its own traceback is a cycle

    @property
    def waits(self) -> bool:
        """Whether a step of the iterator waits for something."""
        return self._step is not None

    @types.coroutine
    def cancel(self, thrown: BaseException | None = None) -> Generator[Any, Any, None]:
        """Let the step that waits end, soon or cancelled: the iterator can be closed then.

        Args:
            thrown: As for `take`.
        """
        task, fired = asyncio.current_task(), []

        def give_up() -> None:
            fired.append(task.cancel())  # type: ignore[union-attr]  # this is a task's

        timer = asyncio.get_running_loop().call_later(CANCEL_SECONDS, give_up)
        try:
            yield from self._waiting(thrown)
        except (StopAsyncIteration, asyncio.CancelledError):
            if not fired and task.cancelling():  # type: ignore[union-attr]
                raise
        finally:
            self._step = None
            timer.cancel()
            if fired:
                task.uncancel()  # type: ignore[union-attr]


async def _one(pieces: AsyncIterator[Any]) -> Any:
    return await pieces.__anext__()
