"""What a server-side session needs of where it is kept: the interface of all stores.

Owns the interface, what a record and a change of it are, and how a store that cannot be reached is reported. Knows no
session, no request and no app: a store sees keys, and texts under names.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from ..exceptions import ServiceUnavailable

__all__ = ["Change", "Record", "Store", "StoreUnavailable"]

_logger = logging.getLogger("duoflask.sessions")


class StoreUnavailable(ServiceUnavailable):
    """503: the session store does not answer, or a session stayed locked for too long."""

    description = "The server cannot reach what it needs for this request. Try again in a moment."


@dataclass(slots=True)
class Record:
    """What a store keeps of a session."""

    values: dict[str, str]
    """The texts by their names."""
    expires: float
    """When it ends, in seconds since the epoch."""


@dataclass(slots=True)
class Change:
    """What one request changes of a record; a store makes all of it at once or nothing.

    Names that it does not mention keep what another request may just have written to them.
    """

    key: str
    """The record."""
    expires: float
    """When it ends from now on."""
    values: dict[str, str] = field(default_factory=dict)
    """The texts that are set. Names and texts are any `str`, lone surrogates included."""
    removed: tuple[str, ...] = ()
    """The names that are removed."""
    create: bool = False
    """Whether the record may be missing. Otherwise a missing one stays so: it was deleted, and its user logged out."""
    replace: bool = False
    """Whether everything else is removed."""
    moved_from: str | None = None
    """The key that the record has had so far."""

    def apply(self, values: dict[str, str] | None) -> dict[str, str] | None:
        """What a record holds after this change; None if there is none then.

        Args:
            values: What it holds before; None if there is no record.
        """
        if values is None and not self.create:
            return None
        after = {} if values is None or self.replace else {**values}
        for name in self.removed:
            after.pop(name, None)
        after.update(self.values)
        return after or None


class Store:
    """Where sessions are kept.

    The methods block; a store that has `is_async` set offers `load_async`, `write_async`, `lock_async` and
    `unlock_async` on asyncio, too. Whatever keeps a store from answering is raised as `StoreUnavailable`.
    """

    name: str = "store"
    """What the log calls it; without secrets."""

    does_io: ClassVar[bool] = True
    is_async: ClassVar[bool] = False

    def load(self, key: str) -> Record | None:
        """Read a record; None if there is none, or if it has ended."""
        raise NotImplementedError(f"{type(self).__name__} has no load(); write one")

    def write(self, change: Change) -> bool:
        """Make a change; return whether there is a record afterwards. One without texts is removed."""
        raise NotImplementedError(f"{type(self).__name__} has no write(); write one")

    def lock(self, key: str, token: str, seconds: float) -> bool:
        """Try to lock a record for its holder, who names himself by a token; return at once whether that succeeded.

        A lock that nobody gives back ends after `seconds`. There need not be a record.
        """
        raise NotImplementedError(f"{type(self).__name__} has no lock(); write one")

    def unlock(self, key: str, token: str) -> None:
        """Give a lock back, unless it is another holder's by now."""
        raise NotImplementedError(f"{type(self).__name__} has no unlock(); write one")

    def delete(self, key: str) -> bool:
        """Delete a record; return whether there was one."""
        raise NotImplementedError(f"{type(self).__name__} has no delete(); write one")

    def records(self) -> Iterator[tuple[str, float]]:
        """The key and the end of each record that has not ended."""
        raise NotImplementedError(f"{type(self).__name__} cannot list its sessions")

    def sweep(self) -> int:
        """Delete what has ended; return how many records those were. A store that does so itself answers 0."""
        return 0

    def close(self) -> None:
        """Give up connections; the store can be used again."""

    def _unavailable(self, error: BaseException) -> StoreUnavailable:
        """Log that the store cannot be used, and return the exception to raise from `error`."""
        _logger.error("the session store %s is unavailable: %s: %s", self.name, type(error).__name__, error)
        return StoreUnavailable()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
