"""Sessions in the memory of one process: for development and tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import time
from typing import Final

from ..store import Change, Record, Store

__all__ = ["MemoryStore"]

# How often, in seconds, a write also deletes what has ended.
SWEEP_SECONDS: Final = 60.0


class MemoryStore(Store):
    """Keeps sessions in this process: others have their own, and all end with it."""

    name = "memory"
    does_io = False

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._locks: dict[str, tuple[str, float]] = {}
        self._guard = threading.Lock()
        self._swept = time()

    def load(self, key: str) -> Record | None:
        with self._guard:
            record = self._records.get(key)
            if record is None or record.expires <= time():
                return None
            return Record(dict(record.values), record.expires)

    def write(self, change: Change) -> bool:
        with self._guard:
            now = time()
            before = self._records.pop(change.moved_from or change.key, None)
            if before is not None and before.expires <= now:
                before = None
            values = change.apply(None if before is None else before.values)
            if values is None:
                self._records.pop(change.key, None)
            else:
                self._records[change.key] = Record(values, change.expires)
            if now - self._swept > SWEEP_SECONDS:
                self._sweep(now)
            return values is not None

    def lock(self, key: str, token: str, seconds: float) -> bool:
        with self._guard:
            now = time()
            holder, until = self._locks.get(key, ("", 0.0))
            if until > now and holder != token:
                return False
            self._locks[key] = (token, now + seconds)
            return True

    def unlock(self, key: str, token: str) -> None:
        with self._guard:
            if self._locks.get(key, ("", 0.0))[0] == token:
                del self._locks[key]

    def delete(self, key: str) -> bool:
        with self._guard:
            return self._records.pop(key, None) is not None

    def records(self) -> Iterator[tuple[str, float]]:
        now = time()
        with self._guard:
            found = [(key, record.expires) for key, record in self._records.items() if record.expires > now]
        return iter(found)

    def sweep(self) -> int:
        with self._guard:
            return self._sweep(time())

    def _sweep(self, now: float) -> int:
        self._swept = now
        ended = [key for key, record in self._records.items() if record.expires <= now]
        for key in ended:
            del self._records[key]
        for key in [key for key, (_, until) in self._locks.items() if until <= now]:
            del self._locks[key]
        return len(ended)
