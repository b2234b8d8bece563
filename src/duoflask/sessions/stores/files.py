"""Sessions in files: for machines without anything else, and for folders that several machines do not share.

Owns the folder. A file is read and written as a whole: writers take turns by a lock of the system's, and replace the
file in one step, so that a reader never sees half of one. A file's modification time is the end of its session.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import randrange
from time import time
from typing import Final

from ..store import Change, Record, Store

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["FileStore"]

# Locks of writers: one for each of so many parts of all keys.
_PARTS: Final = 64

# How often, in seconds, a write also deletes what has ended, in one of the 256 folders.
SWEEP_SECONDS: Final = 10.0


class FileStore(Store):
    """Keeps each session in a file of its own.

    Args:
        folder: The folder; made if it is missing, for its owner only. It must be on a disk of this machine.
        timeout: Accepted for the other stores' sake: a writer waits for another one, who has to write one file.
    """

    def __init__(self, folder: str | os.PathLike[str], timeout: float = 2.0) -> None:
        self.folder = Path(folder).absolute()
        self.name = f"files {self.folder}"
        self._swept = time()
        self._guard = threading.Lock()
        self._counter = 0

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key[2:]}.json"

    # -- files

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        """Raise what the disk says as StoreUnavailable."""
        try:
            yield
        except OSError as exc:
            raise self._unavailable(exc) from exc

    @contextmanager
    def _alone(self, *keys: str) -> Iterator[None]:
        """Wait until nobody else writes any of these keys."""
        opened: list[int] = []
        try:
            for part in sorted({int(key[:8], 16) % _PARTS for key in keys}):
                path = self.folder / f"writers-{part}.lock"
                try:
                    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
                except FileNotFoundError:
                    self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
                opened.append(file)
                _lock_file(file)
            yield
        finally:
            for file in reversed(opened):
                os.close(file)  # which unlocks it

    @staticmethod
    def _read(path: Path) -> Record | None:
        try:
            with open(path, encoding="utf-8") as file:
                content = json.load(file)
                expires = os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return None
        except ValueError:  # somebody else's file, or a disk that lost its end
            return None
        if expires <= time() or not isinstance(content, dict):
            return None
        return Record(content, expires)

    def _put(self, path: Path, record: Record) -> None:
        """Write a file under another name, and give it its own in one step."""
        with self._guard:
            self._counter += 1
            number = self._counter
        path.parent.mkdir(exist_ok=True, mode=0o700)
        new = path.with_name(f"{path.stem}.{os.getpid()}-{number}.new")
        file = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        try:
            with open(file, "w", encoding="utf-8") as stream:
                json.dump(record.values, stream)
            os.utime(new, (record.expires, record.expires))
            os.replace(new, path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise

    # -- the store's interface

    def load(self, key: str) -> Record | None:
        with self._trouble():
            return self._read(self._path(key))

    def write(self, change: Change) -> bool:
        old = change.moved_from or change.key
        with self._trouble():
            with self._alone(old, change.key):
                before = self._read(self._path(old))
                values = change.apply(None if before is None else before.values)
                path = self._path(change.key)
                if values is None:
                    path.unlink(missing_ok=True)
                elif before is not None and old == change.key and not (change.values or change.removed):
                    os.utime(path, (change.expires, change.expires))
                else:
                    self._put(path, Record(values, change.expires))
                if old != change.key:
                    self._path(old).unlink(missing_ok=True)
            if time() - self._swept > SWEEP_SECONDS:
                self._swept = time()
                self._sweep(self.folder / f"{randrange(256):02x}")
        return values is not None

    def lock(self, key: str, token: str, seconds: float) -> bool:
        path = self._path(key).with_suffix(".lock")
        with self._trouble(), self._alone(key):
            try:
                holder = path.read_text()
                held = path.stat().st_mtime > time() and holder != token
            except FileNotFoundError:
                held = False
            if not held:
                path.parent.mkdir(exist_ok=True, mode=0o700)
                path.write_text(token)
                until = time() + seconds
                os.utime(path, (until, until))
            return not held

    def unlock(self, key: str, token: str) -> None:
        path = self._path(key).with_suffix(".lock")
        with self._trouble(), self._alone(key):
            try:
                if path.read_text() == token:
                    path.unlink()
            except FileNotFoundError:
                pass

    def delete(self, key: str) -> bool:
        with self._trouble(), self._alone(key):
            try:
                self._path(key).unlink()
            except FileNotFoundError:
                return False
            return True

    def _folders(self) -> Iterator[Path]:
        for number in range(256):
            yield self.folder / f"{number:02x}"

    def records(self) -> Iterator[tuple[str, float]]:
        with self._trouble():
            for folder in self._folders():
                for entry in _entries(folder):
                    if entry.name.endswith(".json") and (expires := entry.stat().st_mtime) > time():
                        yield folder.name + entry.name.removesuffix(".json"), expires

    def sweep(self) -> int:
        with self._trouble():
            return sum(self._sweep(folder) for folder in self._folders())

    def _sweep(self, folder: Path) -> int:
        count = 0
        for entry in _entries(folder):
            stem, _, suffix = entry.name.partition(".")
            limit = time()
            if suffix.endswith("new"):
                limit -= 3600  # left by a process that was killed while it wrote
            try:
                if entry.stat().st_mtime <= limit:
                    with self._alone(folder.name + stem):
                        path = Path(entry.path)
                        if path.stat().st_mtime <= limit:  # it may have been prolonged meanwhile
                            path.unlink()
                            count += suffix == "json"
            except FileNotFoundError:
                pass
        return count


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _lock_file(file: int) -> None:
    """Wait for the one lock of a file; it ends when the file is closed, also by the end of its process."""
    if sys.platform == "win32":
        msvcrt.locking(file, msvcrt.LK_LOCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX)
