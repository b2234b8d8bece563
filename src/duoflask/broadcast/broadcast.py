"""`Broadcast`: publish to channels, subscribe to channels, in `def` and `async def` functions alike.

Owns what users call. How messages travel is the back end's; how a subscriber waits, the subscription's.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from ..bridge import loop_is_running
from ..typing import App
from .backend import Backend
from .errands import run_in_place, run_later, run_now
from .memory import MemoryBackend
from .message import check_channel, dump_payload, parse_positions
from .redis import RedisBackend
from .subscription import Subscription

__all__ = ["DEFAULT_MAX_QUEUE", "Broadcast"]

_T = TypeVar("_T")

# Messages that may wait for a subscriber; they are shared, so that only their number counts.
DEFAULT_MAX_QUEUE: Final = 1000

_REDIS: Final = frozenset({"redis", "rediss", "valkey", "valkeys", "unix"})


class Broadcast:
    """Sends messages to all who have subscribed to a channel, in this process or, through Redis, in all.

    Messages of a channel arrive in one order everywhere. Those who are not subscribed miss them, unless they resume
    (`subscribe(after=...)`).

    Args:
        backend: `"memory"` for this process alone; `"redis"` (on localhost), `"redis://host:6379/0"`,
            `"rediss://..."`, `"valkey://..."` or `"unix:///path"` for all processes; or a `Backend`.
        app: The application whose shutdown closes this; or call `init_app` later.
        max_queue: How many messages may wait for a subscriber.
        history: How many messages of each channel are kept for those who resume; 0 for none.
        history_seconds: For how long, after the last one.
        prefix: What keys and channels in Redis start with.
        timeout: How long to wait for Redis, in seconds.

    Raises:
        ValueError: An unknown back end, or a number below its least.
        RuntimeError: Redis is wanted, and redis-py is not installed.
    """

    def __init__(
        self,
        backend: str | Backend = "memory",
        app: App | None = None,
        *,
        max_queue: int = DEFAULT_MAX_QUEUE,
        history: int = 1000,
        history_seconds: float = 3600.0,
        prefix: str = "broadcast:",
        timeout: float = 2.0,
    ) -> None:
        self._max_queue = _checked(max_queue, 1, "max_queue")
        _checked(history, 0, "history")
        for name, seconds in (("history_seconds", history_seconds), ("timeout", timeout)):
            if not seconds > 0:
                raise ValueError(f"invalid {name} of a Broadcast; expected seconds above 0; got {seconds!r}")
        if isinstance(backend, Backend):
            self.backend = backend
        elif isinstance(backend, str) and backend.removesuffix("://") == "memory":
            self.backend = MemoryBackend(history, history_seconds)
        elif isinstance(backend, str) and backend.partition("://")[0] in _REDIS:
            url = backend if "://" in backend else "redis://localhost:6379/0"
            self.backend = RedisBackend(url, history, history_seconds, prefix, timeout)
        else:
            shown = backend.rpartition("@")[2] if isinstance(backend, str) else type(backend).__name__
            raise ValueError(
                "invalid back end of a Broadcast; expected 'memory', 'redis://host:6379/0', 'unix:///path/to/socket' "
                f"or a Backend; got {shown!r}"
            )
        _broadcasts.add(self)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: App) -> None:
        """Have this closed when the application's server stops."""
        app.extensions["broadcast"] = self
        app.after_serving(self.close)

    def publish(self, channel: str, message: Any) -> Any:
        """Send a message to all subscribers of a channel; on a running loop this is to be awaited.

        Args:
            channel: 1 to 500 characters.
            message: Text, bytes, or what JSON can write.

        Returns:
            Its number in the channel.

        Raises:
            BroadcastUnavailable: Redis does not answer (503); nobody knows whether the message was sent.
            TypeError, ValueError: An invalid channel, or a message that JSON cannot write.
        """
        publish = self._publish(channel, message)
        return self._later(publish) if loop_is_running() else self._now(publish)

    def publish_now(self, channel: str, message: Any) -> int:
        """Send a message and wait until that is done, as `publish` does in a `def` function.

        Raises:
            RuntimeError: The back end does I/O, and a loop is running in this thread, which would stand still.
        """
        number: int = self._now(self._publish(channel, message))
        return number

    def _publish(self, channel: str, message: Any) -> Callable[[], Any]:
        name, payload = check_channel(channel), dump_payload(message)
        return lambda: self.backend.publish(name, payload)

    def subscribe(self, *channels: str, after: str | None = None, max_queue: int | None = None) -> Subscription:
        """Subscribe to channels: with `with` or `async with`, or by `sse(broadcast.subscribe(...))`.

        Args:
            *channels: Their names.
            after: The `id` of a message, or a client's `last_event_id()`: what is kept behind it comes first. Anything
                else is ignored.
            max_queue: How many messages may wait, instead of this object's `max_queue`.

        Raises:
            TypeError, ValueError: No channel, an invalid one, or an invalid `max_queue`.
        """
        if not channels:
            raise TypeError("subscribe() needs the name of a channel: broadcast.subscribe('news')")
        names = tuple(dict.fromkeys(map(check_channel, channels)))
        most = self._max_queue if max_queue is None else _checked(max_queue, 1, "max_queue")
        return Subscription(self.backend, names, parse_positions(after, names), most)

    def close(self) -> Any:
        """End all subscriptions of this process and close the connections; on a running loop this is to be awaited.

        It can be used again.
        """
        return self._later(self.backend.close) if loop_is_running() else self._now(self.backend.close)

    def _now(self, function: Callable[[], Any]) -> Any:
        return run_now(function) if self.backend.does_io else run_in_place(function())

    async def _later(self, function: Callable[[], Awaitable[_T]]) -> _T:
        if self.backend.does_io:
            return await run_later(function)
        return await function()

    def __repr__(self) -> str:
        return f"<Broadcast {self.backend.name}>"


def _checked(value: Any, least: int, name: str) -> int:
    if type(value) is not int or value < least:
        raise ValueError(f"invalid {name} of a Broadcast; expected an int of {least} or more; got {value!r}")
    return value


_broadcasts: weakref.WeakSet[Broadcast] = weakref.WeakSet()


def _forget_all() -> None:
    for broadcast in list(_broadcasts):
        broadcast.backend.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
