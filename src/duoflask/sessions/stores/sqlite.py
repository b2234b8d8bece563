"""Sessions in an SQLite file: the store for one machine, shared by all its processes.

Owns the file, its tables and its connections. A session's names are rows of their own, so that two requests that write
different names do not meet; every change is one transaction.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import time
from typing import Final

from ..store import Change, Record, Store

__all__ = ["SQLiteStore"]

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS session (key TEXT PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS session_expires ON session (expires)",
    "CREATE TABLE IF NOT EXISTS item (key TEXT, name TEXT, value TEXT NOT NULL, PRIMARY KEY (key, name)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS lock (key TEXT PRIMARY KEY, token TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID",
)

# How often, in seconds, a write also deletes some of what has ended, and how many sessions at most.
SWEEP_SECONDS: Final = 60.0
SWEEP_BATCH: Final = 500


class SQLiteStore(Store):
    """Keeps sessions in an SQLite file with a write-ahead log.

    A commit survives the end of the process at any moment; after a power cut the last ones may be missing, and the file
    is intact.

    Args:
        path: The file; its folder is made if it is missing. Both are for their owner only.
        timeout: How long to wait for another process's transaction, in seconds.
    """

    def __init__(self, path: str | os.PathLike[str], timeout: float = 2.0) -> None:
        self.path = Path(path).absolute()
        self.timeout = timeout
        self.name = f"sqlite {self.path}"
        self._free: list[sqlite3.Connection] = []
        self._swept = time()
        _stores.add(self)

    # -- connections

    def _connect(self) -> sqlite3.Connection:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(
            self.path, timeout=self.timeout, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            for table in _TABLES:
                connection.execute(table)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that nobody else uses meanwhile.

        Raises:
            StoreUnavailable: The file cannot be opened, read or written, or stayed locked.
        """
        connection = None
        try:
            try:
                connection = self._free.pop()
            except IndexError:
                connection = self._connect()
            yield connection
        except (sqlite3.Error, OSError) as exc:
            if connection is not None:
                connection.close()
            raise self._unavailable(exc) from exc
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        self._free.append(connection)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")  # a reader that turns writer could not wait for another writer
            yield connection
            connection.execute("COMMIT")

    # -- the store's interface

    def load(self, key: str) -> Record | None:
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT name, value, expires FROM item JOIN session USING (key) WHERE key = ? AND expires > ?",
                (key, time()),
            ).fetchall()
        if not rows:
            return None
        return Record({_read(name): _read(value) for name, value, _ in rows}, rows[0][2])

    def write(self, change: Change) -> bool:
        with self._transaction() as connection:
            exists = self._write(connection, change)
            if time() - self._swept > SWEEP_SECONDS:
                self._swept = time()
                self._sweep(connection, SWEEP_BATCH)
        return exists

    def _write(self, connection: sqlite3.Connection, change: Change) -> bool:
        execute, key, old = connection.execute, change.key, change.moved_from or change.key
        exists = execute("SELECT 1 FROM session WHERE key = ? AND expires > ?", (old, time())).fetchone() is not None
        if change.replace or not exists:
            self._delete(connection, old)
        elif old != key:
            execute("UPDATE session SET key = ? WHERE key = ?", (key, old))
            execute("UPDATE item SET key = ? WHERE key = ?", (key, old))
        if not exists and not change.create:
            return False
        removed = [(key, _bound(name)) for name in change.removed]
        connection.executemany("DELETE FROM item WHERE key = ? AND name = ?", removed)
        connection.executemany(
            "INSERT INTO item VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            [(key, _bound(name), _bound(value)) for name, value in change.values.items()],
        )
        if not change.values and execute("SELECT 1 FROM item WHERE key = ? LIMIT 1", (key,)).fetchone() is None:
            self._delete(connection, key)
            return False
        execute(
            "INSERT INTO session VALUES (?, ?) ON CONFLICT DO UPDATE SET expires = excluded.expires",
            (key, change.expires),
        )
        return True

    @staticmethod
    def _delete(connection: sqlite3.Connection, key: str) -> bool:
        connection.execute("DELETE FROM item WHERE key = ?", (key,))
        return connection.execute("DELETE FROM session WHERE key = ?", (key,)).rowcount > 0

    def lock(self, key: str, token: str, seconds: float) -> bool:
        now = time()
        with self._connection() as connection:
            cursor = connection.execute(
                "INSERT INTO lock VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET token = excluded.token, "
                "until = excluded.until WHERE until <= ? OR token = excluded.token",
                (key, token, now + seconds, now),
            )
            return cursor.rowcount > 0

    def unlock(self, key: str, token: str) -> None:
        with self._connection() as connection:
            connection.execute("DELETE FROM lock WHERE key = ? AND token = ?", (key, token))

    def delete(self, key: str) -> bool:
        with self._transaction() as connection:
            return self._delete(connection, key)

    def records(self) -> Iterator[tuple[str, float]]:
        with self._connection() as connection:
            rows = connection.execute("SELECT key, expires FROM session WHERE expires > ?", (time(),)).fetchall()
        return iter(rows)

    def sweep(self) -> int:
        total = 0
        while True:
            with self._transaction() as connection:
                count = self._sweep(connection, SWEEP_BATCH)
            total += count
            if count < SWEEP_BATCH:
                return total

    @staticmethod
    def _sweep(connection: sqlite3.Connection, most: int) -> int:
        now = time()
        ended = connection.execute("SELECT key FROM session WHERE expires <= ? LIMIT ?", (now, most)).fetchall()
        connection.executemany("DELETE FROM item WHERE key = ?", ended)
        connection.executemany("DELETE FROM session WHERE key = ?", ended)
        connection.execute("DELETE FROM lock WHERE until <= ?", (now,))
        return len(ended)

    def close(self) -> None:
        while True:
            try:
                self._free.pop().close()
            except IndexError:
                return

    def __del__(self) -> None:
        self.close()


def _bound(text: str) -> str | bytes:
    """A text as SQLite takes it: one with a lone surrogate, as a client's JSON may hold, as bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _read(value: str | bytes) -> str:
    return value if type(value) is str else value.decode("utf-8", "surrogatepass")  # type: ignore[union-attr]


_stores: weakref.WeakSet[SQLiteStore] = weakref.WeakSet()


def _close_idle() -> None:
    """Before a fork: SQLite forbids a child to use or to close its parent's connections (howtocorrupt.html, 2.6)."""
    for store in list(_stores):
        store.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_close_idle)
