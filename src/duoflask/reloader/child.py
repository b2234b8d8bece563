"""The serving process under a reloader: what it inherits, what it tells its parent, and how it is told to stop.

Owns the variable that marks it, and the control channel's end. Knows no HTTP.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

from .watched import code_folders

__all__ = ["INTERRUPTED", "MARK", "SETTINGS", "STOP", "Child", "current_child", "is_running_from_reloader"]

MARK: Final = "WERKZEUG_RUN_MAIN"  # the name that extensions ask for
SETTINGS: Final = "DUOFLASK_RELOADER"
# What a parent says: that a signal follows, or that none does, because a terminal's Ctrl+C reaches both by itself.
STOP: Final = b"stop\n"
INTERRUPTED: Final = b"interrupted\n"
INTERRUPT_SECONDS: Final = 1.0  # for it to arrive; a `kill -INT` of the parent does not

_child: Child | None = None


def is_running_from_reloader() -> bool:
    """Whether this process is the one that a reloader restarts."""
    return os.environ.get(MARK) == "true"


class Child:
    """The process that a reloader has started: what it has of its parent.

    Args:
        settings: What the parent has written into the environment: descriptors, and the number of this start.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.sockets: list[socket.socket] = []
        for descriptor in settings["sockets"]:
            os.set_inheritable(descriptor, False)
            sock = socket.socket(fileno=descriptor)
            sock.setblocking(False)
            self.sockets.append(sock)
        self.number: int = settings["number"]
        self.key: str = f"{settings['number']}-{os.getpid()}"
        """Differs from one start to the next."""
        self.cert: tuple[str, str] | None = None if settings.get("cert") is None else tuple(settings["cert"])
        self.stopping = threading.Event()
        self._told: dict[str, set[str]] = {"trees": set(), "static": set(), "files": set()}
        os.set_inheritable(settings["control"], False)
        self._control = socket.socket(fileno=settings["control"])
        self._started = False
        self._lent: list[socket.socket] = []

    def lend_sockets(self) -> list[socket.socket]:
        """Copies of the listening sockets, for a server that closes its own."""
        copies = [sock.dup() for sock in self.sockets]
        for sock in copies:
            sock.setblocking(False)
        self._lent = copies
        return copies

    def _accepts(self) -> bool:
        """Whether the server goes on, as far as can be told: it closes its sockets first."""
        return not self._lent or any(sock.fileno() >= 0 for sock in self._lent)

    def watch(self, *, trees: Iterable[str] = (), static: Iterable[str] = ()) -> None:
        """Have folders watched besides those of the code: of templates, and of static files.

        Args:
            trees: Every file in them counts.
            static: Style and script in them count.
        """
        self._told["trees"].update(os.path.abspath(path) for path in trees)
        self._told["static"].update(os.path.abspath(path) for path in static)

    def start(self) -> None:
        """Begin to tell the parent, which may say stop from here on.

        Raises:
            SystemExit: The parent has ended meanwhile: nobody would ever end this process.
        """
        if not self._started:
            self._started = True
            try:
                self._tell(serving=True)
            except OSError:
                sys.exit(1)
            threading.Thread(target=self._attend, name="duoflask-reloader", daemon=True).start()

    def _tell(self, **more: Any) -> None:
        folders, files = code_folders()
        self._told["files"] |= files  # by themselves too: a folder may hold more than is looked through
        report = {"folders": sorted(folders), **{name: sorted(paths) for name, paths in self._told.items()}, **more}
        self._control.sendall(json.dumps(report).encode() + b"\n")

    def _attend(self) -> None:
        """Tell of modules that are imported later, and end with the parent."""
        modules = len(sys.modules)
        self._control.settimeout(1.0)
        while True:
            try:
                said = self._control.recv(64)
                if not said:
                    break
                self.stopping.set()
                if INTERRUPTED in said:
                    time.sleep(INTERRUPT_SECONDS)
                    if self._accepts():  # else it would be the second signal, which drops what is in flight
                        os.kill(os.getpid(), signal.SIGTERM)
            except TimeoutError:
                try:
                    if len(sys.modules) != modules:
                        modules = len(sys.modules)
                        self._tell()
                except OSError:
                    break
            except OSError:
                break
        self.stopping.set()
        os.kill(os.getpid(), signal.SIGTERM)  # the parent is gone: nobody would ever end this process


def current_child() -> Child | None:
    """Return what this process has of its reloader; None if no reloader of duoflask's has started it."""
    global _child
    settings = os.environ.pop(SETTINGS, None)  # not for the processes that this one starts
    if settings is not None:
        _child = Child(json.loads(settings))
    return _child
