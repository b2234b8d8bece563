"""Sessions in whatever `cachelib` offers: Memcached, DynamoDB, MongoDB, uWSGI's cache.

Owns how a change is made of a cache's few operations. A cache can only replace a value as a whole, so writers of a
session take turns: in this process by a lock, with other processes by an entry that only one of them can `add`. How
well that keeps them apart is the cache's affair: Memcached's and Redis's `add` is one step, that of `cachelib`'s files
is not.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from ..store import Change, Record, Store

__all__ = ["CacheStore"]

# How long a writer who was killed keeps others from writing, and how long they wait between two attempts, in seconds.
WRITER_SECONDS: Final = 5
PAUSE_SECONDS: Final = 0.002

_PARTS: Final = 64


class CacheStore(Store):
    """Keeps sessions in a cache, which may forget them at any time.

    What is handed to the cache is text; how it writes that down is the cache's own affair.

    Args:
        cache: An object with the methods `get`, `set`, `add` and `delete` of `cachelib.BaseCache`.
        timeout: How long to wait for another writer, in seconds.
        prefix: What the keys start with.
    """

    def __init__(self, cache: Any, timeout: float = 2.0, prefix: str = "session:") -> None:
        self.cache = cache
        self.timeout = timeout
        self.prefix = prefix
        self.name = f"cache {type(cache).__name__}"
        self._guards = [threading.Lock() for _ in range(_PARTS)]

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Raise whatever the cache raises as StoreUnavailable: each of them has exceptions of its own."""
        try:
            yield
        except Exception as exc:
            raise self._unavailable(exc) from exc

    @contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Wait until nobody else writes this key."""
        entry, token = f"{self.prefix}{key}:writer", os.urandom(9).hex()
        guard = self._guards[hash(key) % _PARTS]
        until = time.monotonic() + self.timeout
        if not guard.acquire(timeout=self.timeout):
            raise TimeoutError(f"another thread has been writing the session for {self.timeout} s")
        try:
            while not self.cache.add(entry, token, timeout=WRITER_SECONDS):
                if time.monotonic() > until:
                    raise TimeoutError(f"another process has been writing the session for {self.timeout} s")
                time.sleep(PAUSE_SECONDS)
            try:
                yield
            finally:
                if self.cache.get(entry) == token:
                    self.cache.delete(entry)
        finally:
            guard.release()

    def _read(self, key: str) -> Record | None:
        text = self.cache.get(self.prefix + key)
        try:
            expires, values = json.loads(text)
        except (TypeError, ValueError):  # nothing, or not what this store has written
            return None
        return Record(values, expires) if expires > time.time() else None

    def load(self, key: str) -> Record | None:
        with self._trouble():
            return self._read(key)

    def write(self, change: Change) -> bool:
        old = change.moved_from or change.key
        with self._trouble(), self._alone(old):
            before = self._read(old)
            values = change.apply(None if before is None else before.values)
            if values is None:
                self.cache.delete(self.prefix + change.key)
            else:
                seconds = max(int(change.expires - time.time()), 1)
                text = json.dumps([change.expires, values])
                if not self.cache.set(self.prefix + change.key, text, timeout=seconds):
                    raise OSError("the cache did not take the session")
            if old != change.key:
                self.cache.delete(self.prefix + old)
            return values is not None

    def lock(self, key: str, token: str, seconds: float) -> bool:
        entry = f"{self.prefix}{key}:lock"
        with self._trouble():
            return bool(self.cache.add(entry, token, timeout=max(int(seconds), 1)))

    def unlock(self, key: str, token: str) -> None:
        entry = f"{self.prefix}{key}:lock"
        with self._trouble():
            if self.cache.get(entry) == token:
                self.cache.delete(entry)

    def delete(self, key: str) -> bool:
        with self._trouble(), self._alone(key):
            return self.cache.get(self.prefix + key) is not None and bool(self.cache.delete(self.prefix + key))
