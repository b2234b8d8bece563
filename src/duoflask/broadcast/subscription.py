"""One subscriber: its bounded queue, and how a thread, a greenlet or a task of any loop waits for it.

Owns what a slow subscriber loses and how it learns of that. Knows its back end only as something to attach to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import anyio

from ..bridge import Home, Waiting, loop_is_running, new_lock, new_signal
from .backend import Backend, logger
from .errands import begin, run_in_place, run_later, run_now
from .message import Message, Position, Record, dump_positions

__all__ = ["Subscription", "SubscriptionEnded"]

# How many messages are taken out of the queue at once.
_BATCH: Final = 100


class SubscriptionEnded(Exception):
    """`receive` was called on a subscription that has ended: it was closed, or the server stops."""


class Subscription:
    """Messages of one or more channels, in each channel's order.

    It begins with `with` or `async with`, and ends with it. Messages that are published meanwhile wait in a queue; once
    it is full, the oldest are dropped, and the next one says how many (`Message.missed`). One thread or task at a time
    may wait for a message.
    """

    def __init__(
        self, backend: Backend, channels: tuple[str, ...], after: Mapping[str, Position], max_queue: int
    ) -> None:
        self.channels = channels
        self._backend = backend
        self._after = after
        self._max = max_queue
        self._lock = new_lock()
        self._queue: deque[tuple[Record, int]] = deque()
        self._positions: dict[str, Position] = {}
        self._missed_first = 0  # before the first in the queue
        self._missed_next = 0  # before the next that will come
        self._dropped = 0
        self._notify: Callable[[], Any] | None = None
        self._begun = self._ended = False

    # -- for the back end, in any thread

    @property
    def ended(self) -> bool:
        """Whether there will be no more messages than those that wait."""
        return self._ended

    def begin(self, channel: str, position: Position) -> None:
        """Take note of where a channel stands."""
        self._positions[channel] = self._after.get(channel, position)

    def deliver(self, record: Record, missed: int = 0) -> None:
        """Queue a message."""
        with self._lock:
            if self._ended:
                return
            if self._missed_next:
                missed += self._missed_next
                self._missed_next = 0
            self._queue.append((record, missed))
            if len(self._queue) > self._max:
                self._drop()
            notify = self._notify
            if notify is not None:
                self._notify = None
                notify()

    def replay(self, records: Sequence[Record], missed: int) -> None:
        """Queue older messages before what waits."""
        with self._lock:
            if not records:
                self._missed_first += missed
                return
            self._queue.extendleft((record, 0) for record in reversed(records))
            self._missed_first += missed
            while len(self._queue) > self._max:
                self._drop()

    def miss(self, number: int) -> None:
        """Take note of messages that are lost."""
        self._missed_next += number

    def end(self) -> None:
        """Have the iteration end behind what waits."""
        with self._lock:
            self._ended = True
            notify, self._notify = self._notify, None
            if notify is not None:
                notify()

    def _drop(self) -> None:
        _, missed = self._queue.popleft()
        self._missed_first += missed + 1
        self._dropped += 1
        if self._dropped == 1:
            logger.warning(
                "a subscriber of %s is slow: %d messages wait, the oldest are dropped",
                ", ".join(self.channels),
                self._max,
            )

    # -- to take

    def _take(self, number: int) -> list[Message]:
        taken: list[Message] = []
        with self._lock:
            queue = self._queue
            while queue and len(taken) < number:
                record, missed = queue.popleft()
                if self._missed_first:
                    missed += self._missed_first
                    self._missed_first = 0
                self._positions[record.channel] = record.position
                taken.append(Message(record, self.position, missed))
        return taken

    @property
    def position(self) -> str:
        """What `subscribe(after=...)` takes to go on behind the last message that was taken."""
        return dump_positions(self._positions)

    def _arm(self, notify: Callable[[], Any]) -> bool:
        """Have a function called once when there is something; False if there is already."""
        with self._lock:
            if self._queue or self._ended:
                return False
            if self._notify is not None:
                raise RuntimeError(
                    "two threads or tasks wait for the same subscription; expected one. Give each its own: "
                    "broadcast.subscribe(...)."
                )
            self._notify = notify
            return True

    def _disarm(self, notify: Callable[[], Any]) -> None:
        with self._lock:
            if self._notify is notify:
                self._notify = None

    def _require_begun(self) -> None:
        if not self._begun:
            raise RuntimeError(
                "this subscription has not begun; write 'with broadcast.subscribe(...) as messages:' "
                "(in an 'async def' function 'async with'), or give it to sse()."
            )

    # -- in a thread

    def open_now(self) -> None:
        """Begin; what is published from now on arrives.

        Raises:
            BroadcastUnavailable: The back end does not answer (503).
        """
        if self._begun:
            return
        self._begun = True
        try:
            if self._backend.does_io:
                run_now(self._attach)
            else:
                run_in_place(self._attach())
        except BaseException:
            self._abandon()
            raise

    def pull_now(self, seconds: float | None) -> Sequence[Message] | None:
        """What there is, or has come within so many seconds; empty if nothing has, None at the end."""
        return self._pull_now(seconds, _BATCH)

    def _pull_now(self, seconds: float | None, number: int) -> Sequence[Message] | None:
        self._require_begun()
        messages = self._take(number)
        if not messages and not self._ended:
            if loop_is_running():
                raise RuntimeError(
                    "a subscription was waited for in a thread whose event loop is running, which would stand still. "
                    "In an 'async def' function write 'async for message in messages'."
                )
            signal = new_signal()
            notify = signal.set
            try:
                if self._arm(notify):
                    if seconds is None:
                        signal.wait()
                    else:
                        signal.wait_for(seconds)
            finally:
                self._disarm(notify)
                signal.close()
            messages = self._take(number)
        return messages or (None if self._ended else messages)

    def close_now(self) -> None:
        """End: nothing arrives any more, and an iteration ends."""
        if not self._leave():
            return
        if self._backend.does_io:
            run_now(self._detach)
        else:
            run_in_place(self._detach())

    # -- on a loop

    async def open(self) -> None:
        """Begin, on a loop.

        Raises:
            BroadcastUnavailable: The back end does not answer (503).
        """
        if self._begun:
            return
        self._begun = True
        try:
            if self._backend.does_io:
                await run_later(self._attach)
            else:
                run_in_place(self._attach())
        except BaseException:
            self._abandon()
            raise

    async def pull(self, seconds: float | None) -> Sequence[Message] | None:
        """What there is, or has come within so many seconds; empty if nothing has, None at the end."""
        return await self._pull(seconds, _BATCH)

    async def _pull(self, seconds: float | None, number: int) -> Sequence[Message] | None:
        self._require_begun()
        messages = self._take(number)
        if not messages and not self._ended:
            notify, wait = Home().waiter()
            try:
                if self._arm(notify):
                    with anyio.move_on_after(seconds):
                        await Waiting(wait)
            finally:
                self._disarm(notify)
            messages = self._take(number)
        return messages or (None if self._ended else messages)

    async def aclose(self) -> None:
        """End, on a loop."""
        if not self._leave():
            return
        if self._backend.does_io:
            await run_later(self._detach)
        else:
            run_in_place(self._detach())

    # -- both

    def _leave(self) -> bool:
        was_begun, self._begun = self._begun, True
        self.end()
        with self._lock:
            self._queue.clear()
        return was_begun

    async def _attach(self) -> None:
        await self._backend.attach(self, self._after)
        if self._ended:  # see `_abandon`
            await self._backend.detach(self)

    def _abandon(self) -> None:
        """Whoever began this will not close it: he has been cancelled, it may be while it is being attached."""
        self.end()
        if self._backend.does_io:
            begin(self._detach)

    async def _detach(self) -> None:
        await self._backend.detach(self)

    def receive(self, timeout: float | None = None) -> Any:
        """Wait for the next message; on a running loop this is to be awaited.

        Args:
            timeout: For how many seconds.

        Raises:
            TimeoutError: None came within that time.
            SubscriptionEnded: None will come any more.
        """
        return self._receive(timeout) if loop_is_running() else self._one(self._pull_now(timeout, 1), timeout)

    async def _receive(self, seconds: float | None) -> Message:
        return self._one(await self._pull(seconds, 1), seconds)

    def _one(self, messages: Sequence[Message] | None, seconds: float | None) -> Message:
        if messages is None:
            raise SubscriptionEnded(f"the subscription of {', '.join(self.channels)} has ended")
        if not messages:
            raise TimeoutError(f"no message within {seconds} s")
        return messages[0]

    def __enter__(self) -> Self:
        self.open_now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close_now()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        messages = self._pull_now(None, 1)
        if messages is None:
            raise StopIteration
        return messages[0]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        messages = await self._pull(None, 1)
        if messages is None:
            raise StopAsyncIteration
        return messages[0]

    def __repr__(self) -> str:
        return f"<Subscription of {', '.join(self.channels)}>"
