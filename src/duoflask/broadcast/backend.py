"""What a `Broadcast` needs of what carries its messages, and what that may ask of a subscriber.

Owns the interface of back ends and the exception for one that does not answer. Knows no back end.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

from ..exceptions import ServiceUnavailable
from .message import Position, Record

__all__ = ["Backend", "BroadcastUnavailable", "Subscriber", "logger"]

logger = logging.getLogger("duoflask.broadcast")


class BroadcastUnavailable(ServiceUnavailable):
    """503: what carries the messages does not answer."""

    description = "The server cannot reach what it needs for this request. Try again in a moment."


class Subscriber(Protocol):
    """One who gets messages; its methods may be called in any thread, and return at once."""

    channels: tuple[str, ...]

    @property
    def ended(self) -> bool:
        """Whether it wants no more."""

    def begin(self, channel: str, position: Position) -> None:
        """Told where a channel stands: it gets all that comes behind."""

    def deliver(self, record: Record, missed: int = 0) -> None:
        """Given the next message, and how many of this channel are lost before it."""

    def replay(self, records: Sequence[Record], missed: int) -> None:
        """Given, before it has asked for the first, older messages than those that it has."""

    def miss(self, number: int) -> None:
        """Told that so many messages are lost before the next one."""

    def end(self) -> None:
        """Told that there will be no more."""


class Backend:
    """Carries messages from publishers to subscribers.

    The coroutines run on the process's portal loop, whoever calls; those of a back end without I/O must not suspend,
    and run where they are called, in any thread.
    """

    name: str = "backend"
    """What the log calls it; without secrets."""

    does_io: ClassVar[bool] = True

    async def publish(self, channel: str, payload: bytes) -> int:
        """Give a message its number, and deliver it to all subscribers of all processes.

        Raises:
            BroadcastUnavailable: No answer; nobody knows whether it was published.
        """
        raise NotImplementedError(f"{type(self).__name__} has no publish(); write one")

    async def attach(self, subscriber: Subscriber, after: Mapping[str, Position]) -> None:
        """Deliver to a subscriber what is published from now on, and before that what is kept behind a position.

        Raises:
            BroadcastUnavailable: No answer; it is not attached.
        """
        raise NotImplementedError(f"{type(self).__name__} has no attach(); write one")

    async def detach(self, subscriber: Subscriber) -> None:
        """Deliver no more to a subscriber, if it is attached."""
        raise NotImplementedError(f"{type(self).__name__} has no detach(); write one")

    async def close(self) -> None:
        """End all subscribers and give up connections; it can be used again."""

    def forget(self) -> None:
        """In a forked child: what there is belongs to the parent."""
