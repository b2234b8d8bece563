"""Waiting for a change: woken by watchfiles where it is installed, else by the clock.

Owns when one looks. What is looked at stands in `watched`: a look compares times and sizes, so that whatever wakes it
may err.
"""

from __future__ import annotations

import importlib
import os
import socket
import threading
import time
from typing import Any, Final

from .watched import Snapshot, Sources, changed_names, folders_of, snapshot

__all__ = ["Watcher"]

SETTLE_SECONDS: Final = 0.05  # an editor saves in several steps, and a checkout writes many files
MAX_SETTLE: Final = 40
MAX_SHARE: Final = 0.05  # of one core, for looking at a huge tree again and again


class Watcher:
    """Looks at the sources of a program.

    Args:
        sources: What is watched; may grow.
        interval: Seconds between two looks without watchfiles.
        use_watchfiles: Be woken by it; None where it is installed.

    Raises:
        RuntimeError: watchfiles is asked for by name and is not installed.
    """

    def __init__(self, sources: Sources, interval: float, use_watchfiles: bool | None) -> None:
        self.sources = sources
        self.interval = interval
        self._watch: Any = None
        if use_watchfiles is not False:
            try:
                self._watch = importlib.import_module("watchfiles").watch
            except ImportError:
                if use_watchfiles:
                    raise RuntimeError(
                        "the reloader 'watchfiles' needs the package of this name: pip install 'duoflask[reload]', "
                        "or take the type 'stat', which looks at the files every second"
                    ) from None
        self._before: Snapshot = {}
        self._look_seconds = 0.0
        self._waking, self.woken = socket.socketpair()
        self.woken.setblocking(False)
        self._folders: set[str] = set()
        self._stop: threading.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """What the reloader's first line says."""
        return "stat" if self._watch is None else "watchfiles"

    @property
    def timeout(self) -> float:
        """After how many seconds one looks without being woken."""
        # With watchfiles too: a network drive or a container's mount tells nobody of its changes.
        wanted = self.interval if self._watch is None else max(self.interval, 2.0)
        return max(wanted, self._look_seconds / MAX_SHARE)

    def start_over(self) -> None:
        """Take the files as they are now."""
        self._before = snapshot(self.sources)
        self._listen()

    def take_in(self) -> None:
        """Take in what was added to the sources; only files that were known before can have changed."""
        after = snapshot(self.sources)
        for name, value in after.items():
            self._before.setdefault(name, value)
        self._listen()

    def changes(self) -> list[str]:
        """The names of files that have changed since `start_over`, once they change no more."""
        try:
            while self.woken.recv(4096):
                pass
        except BlockingIOError:
            pass
        begun = time.process_time()
        now = snapshot(self.sources)
        self._look_seconds = time.process_time() - begun
        found = changed_names(self._before, now)
        if not found:
            return []
        for _ in range(MAX_SETTLE):
            time.sleep(SETTLE_SECONDS)
            later = snapshot(self.sources)
            if later == now:
                break
            now = later
        return changed_names(self._before, now) or found

    def close(self) -> None:
        """Stop being woken."""
        self._quit()
        if self._thread is not None:
            self._thread.join(1)
        self._waking.close()
        self.woken.close()

    def _quit(self) -> None:
        if self._stop is not None:
            self._stop.set()  # its thread ends within half a second; nobody waits for it

    def _listen(self) -> None:
        """Have watchfiles wake this watcher for the folders of now."""
        folders = folders_of(self._before, self.sources)
        if self._watch is None or (folders == self._folders and self._thread is not None):
            return
        self._quit()
        self._folders = folders
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._wake, args=(sorted(folders), self._stop), name="duoflask-watcher", daemon=True
        )
        self._thread.start()

    def _wake(self, folders: list[str], stop: threading.Event) -> None:
        if not folders:
            return
        try:
            # Not recursive: what a folder holds is decided in `watched`, and a virtual environment costs thousands.
            for _ in self._watch(
                *folders,
                watch_filter=_is_interesting,
                recursive=False,
                stop_event=stop,
                debounce=100,
                step=20,
                rust_timeout=500,
                raise_interrupt=False,
            ):
                self._waking.send(b".")
        except (OSError, RuntimeError):  # out of watches, or a folder that has gone: the clock remains
            return


def _is_interesting(_change: Any, path: str) -> bool:
    return not path.endswith((".pyc", "~", ".swp")) and os.path.basename(path) != "__pycache__"
