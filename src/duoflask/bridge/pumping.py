"""A sync iterator that a task pulls through worker threads: what quick ones give travels many pieces a hop.

Owns the talk between the thread that pulls and the task that delivers. Knows no protocol and no message.

Theory of operation: the thread goes on pulling while the task delivers what is there, so that no piece ever waits for
the next one to be made. It stops as soon as `MAX_AHEAD_BYTES` or `MAX_AHEAD_PIECES` wait to be delivered, and gives its
place in the pool back: an iterator whose reader is slow occupies no thread. The next stretch begins when all has been
delivered, in whichever thread is free.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..lazy import LazyModule
from .crossing import Leg
from .workers import Home, Workers, _Job, home_of_context, occupies_thread

if TYPE_CHECKING:
    import anyio
else:
    anyio = LazyModule("anyio")

__all__ = ["MAX_AHEAD_BYTES", "MAX_AHEAD_PIECES", "pump"]

# What may be made and not yet delivered: a transport's buffer (asyncio's high-water mark is 64 KiB), and a number, for
# pieces that are tiny. PERF: a hop of 20 us for 64 KiB, or for 1,000 pieces (stream, benchmarks/).
MAX_AHEAD_BYTES: Final = 65_536
MAX_AHEAD_PIECES: Final = 1_000


class _Pump:
    """One iterator; `pieces` goes from the thread to the task."""

    __slots__ = ("_chunks", "_encode", "_wakers", "given_up", "pieces")

    def __init__(self, chunks: Iterator[Any], encode: Callable[[Any], bytes]) -> None:
        self._chunks = chunks
        self._encode = encode
        self._wakers: deque[Callable[[], Any]] = deque()
        self.pieces: deque[bytes] = deque()
        self.given_up = False

    # in the thread

    def fill(self) -> Leg:
        """Pull until enough is ahead; the value says whether there is more."""
        pieces, wakers, encode = self.pieces, self._wakers, self._encode
        ahead = 0
        try:
            for chunk in self._chunks:
                piece = chunk if type(chunk) is bytes else encode(chunk)
                if not pieces:
                    ahead = 0
                ahead += len(piece)
                pieces.append(piece)
                if wakers:
                    self.wake()
                if ahead >= MAX_AHEAD_BYTES or len(pieces) >= MAX_AHEAD_PIECES or self.given_up:
                    return Leg(value=True)
        except BaseException as exc:
            return Leg(error=exc)
        return Leg(value=False)

    def wake(self) -> None:
        """Wake the task, if it waits."""
        try:
            while True:
                self._wakers.popleft()()
        except IndexError:  # a thread that has ended, and the next one, may both be here
            pass

    # on the loop

    def stretch(
        self, home: Home, job: _Job, deliver: Callable[[deque[bytes]], Awaitable[None]]
    ) -> Generator[Any, Any, Leg]:
        """Deliver while the job runs, and what is left behind it."""
        pieces, wakers = self.pieces, self._wakers
        wait: Callable[[], Generator[Any, Any, None]] | None = None
        while True:
            if pieces:
                yield from deliver(pieces).__await__()
            elif job.done:
                if not pieces:  # none came between the two looks
                    return job.result  # type: ignore[no-any-return]
            elif wait is None:
                notify, wait = home.waiter()
                wakers.append(notify)  # before the next look at what is there
            else:
                yield from wait()
                wait = None


@types.coroutine
def pump(
    workers: Workers,
    context: Context,
    chunks: Iterator[Any],
    encode: Callable[[Any], bytes],
    deliver: Callable[[deque[bytes]], Awaitable[None]],
) -> Generator[Any, Any, None]:
    """Pull an iterator to its end in worker threads, inside `context`, and deliver the pieces in this task.

    This task must be outside `context`. A cancellation, or an error of `deliver`, stops the iterator at its next piece;
    it is waited for, because its thread is inside the Context. Pieces made before an error are delivered.

    Args:
        workers: The pool whose threads pull.
        context: The Context that the iterator runs in.
        chunks: The iterator.
        encode: Makes bytes of a piece that is something else.
        deliver: Empties the deque that it is given, from the left.
    """
    home = context.get(home_of_context)
    if home is None:
        home = Home()
        context.run(home_of_context.set, home)
    nested = context.get(occupies_thread, False)
    state = _Pump(chunks, encode)
    more = True
    while more:
        job = _Job(partial(context.run, state.fill), state.wake)
        workers.submit(job, nested=nested)
        try:
            leg = yield from state.stretch(home, job, deliver)
        except BaseException:
            state.given_up = True
            if not job.claim():
                yield from _wait_for_end(home, job)
            raise
        if leg.error is not None:
            try:
                raise leg.error
            finally:
                del leg, job  # a frame that holds its own traceback is a cycle
        more = leg.value


def _wait_for_end(home: Home, job: _Job) -> Generator[Any, Any, None]:
    """Wait until the thread has left the Context, whatever else may be raised meanwhile."""
    with anyio.CancelScope(shield=True):
        while not job.done:
            notify, wait = home.waiter()
            job.notify = notify
            if job.done:  # it ended before it could see the new waiter
                return
            try:
                yield from wait()
            except BaseException:
                continue
