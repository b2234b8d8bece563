"""The back end for one process: messages go from thread to thread, and nowhere else.

Owns the channels' numbers, subscribers and what is kept of them for those who resume.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import ClassVar

from ..bridge import new_lock
from .backend import Backend, Subscriber
from .message import Position, Record, lost_before, new_epoch

__all__ = ["MemoryBackend"]


class _Channel:
    __slots__ = ("position", "records", "subscribers", "used")

    def __init__(self, history: int) -> None:
        self.position = Position(0, new_epoch())
        self.records: deque[Record] = deque(maxlen=history)
        self.subscribers: tuple[Subscriber, ...] = ()
        self.used = time.monotonic()


class MemoryBackend(Backend):
    """Carries messages within a process.

    Args:
        history: How many messages of each channel are kept for subscribers that resume.
        history_seconds: For how long a channel that nobody uses is kept.
    """

    name = "memory"
    does_io: ClassVar[bool] = False

    def __init__(self, history: int = 1000, history_seconds: float = 3600.0) -> None:
        self._history = history
        self._seconds = history_seconds
        self.forget()

    def forget(self) -> None:
        self._lock = new_lock()
        self._channels: OrderedDict[str, _Channel] = OrderedDict()  # the one used last at the end

    def _use(self, name: str) -> _Channel:
        channel = self._channels.get(name)
        if channel is None:
            self._channels[name] = channel = _Channel(self._history)
        self._channels.move_to_end(name)
        channel.used = now = time.monotonic()
        while True:  # ends at this very channel
            oldest = next(iter(self._channels))
            old = self._channels[oldest]
            if now - old.used < self._seconds:
                return channel
            if old.subscribers:
                old.used = now
                self._channels.move_to_end(oldest)
            else:
                del self._channels[oldest]

    async def publish(self, channel: str, payload: bytes) -> int:
        with self._lock:
            here = self._use(channel)
            number = here.position.number + 1
            here.position = Position(number, here.position.epoch)
            record = Record(channel, here.position, payload)
            here.records.append(record)
            for subscriber in here.subscribers:
                subscriber.deliver(record)
        return number

    async def attach(self, subscriber: Subscriber, after: Mapping[str, Position]) -> None:
        with self._lock:
            for name in subscriber.channels:
                channel = self._use(name)
                channel.subscribers += (subscriber,)
                subscriber.begin(name, channel.position)
                since = after.get(name)
                if since is None:
                    continue
                same = since.epoch == channel.position.epoch
                records = [record for record in channel.records if not same or record.position.number > since.number]
                first = records[0].position.number if records else channel.position.number + 1
                subscriber.replay(records, lost_before(first, since))

    async def detach(self, subscriber: Subscriber) -> None:
        with self._lock:
            for name in subscriber.channels:
                channel = self._channels.get(name)
                if channel is not None:
                    channel.subscribers = tuple(one for one in channel.subscribers if one is not subscriber)
                    if not channel.subscribers and not channel.position.number:  # its name may be anybody's invention
                        del self._channels[name]

    async def close(self) -> None:
        with self._lock:
            for channel in self._channels.values():
                for subscriber in channel.subscribers:
                    subscriber.end()
                channel.subscribers = ()
