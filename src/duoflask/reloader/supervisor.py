"""The parent of a reloader: starts the child, watches its files, ends it, and starts the next one.

Owns the listening sockets for as long as the reloader runs, and the signals of this process.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any, Final

from .child import INTERRUPT_SECONDS, INTERRUPTED, MARK, SETTINGS, STOP
from .processes import descendants, end_all
from .watched import Sources
from .watcher import Watcher

__all__ = ["RELOADER_TYPES", "supervise"]

RELOADER_TYPES: Final = ("auto", "stat", "watchfiles", "watchdog")
# For requests in flight (2 s), functions in threads (1 s) and the shutdown functions; then the child is killed.
STOP_SECONDS: Final = 5.0
TURN_SECONDS: Final = 0.2  # between two looks at whether the child runs
USAGE: Final = 2  # click's exit code for a wrong command line

_RESCUE: Final = "from duoflask.debug.rescue import main; main()"
_logger = logging.getLogger("duoflask.server")


def supervise(
    sockets: Sequence[socket.socket] = (),
    *,
    extra_files: Iterable[str] | None = None,
    exclude_patterns: Iterable[str] | None = None,
    interval: float = 1,
    reloader_type: str = "auto",
    cert: tuple[str, str] | None = None,
) -> int:
    """Run this process's own command line as a child, again after each change, until a signal or until it ends.

    Args:
        sockets: Listening sockets that each child inherits.
        extra_files: Files, and folders with all in them, that are watched besides the code.
        exclude_patterns: Patterns of `fnmatch`, of whole paths, whose files are not watched.
        interval: Seconds between two looks, without watchfiles.
        reloader_type: "stat" (looks at times), "watchfiles", or "auto": watchfiles where it is installed. Werkzeug's
            "watchdog" is taken for "auto".
        cert: The files of a certificate and its key, which every child is told of.

    Returns:
        The exit code for this process.

    Raises:
        ValueError: An unknown type.
        RuntimeError: watchfiles is asked for and is not installed.
    """
    if reloader_type not in RELOADER_TYPES:
        raise ValueError(f"invalid reloader_type; expected 'auto', 'stat' or 'watchfiles'; got {reloader_type!r}")
    sources = Sources(files={os.path.abspath(name) for name in extra_files or ()}, exclude=list(exclude_patterns or ()))
    sources.folders.add(os.getcwd())
    use_watchfiles = {"stat": False, "watchfiles": True}.get(reloader_type)
    watcher = Watcher(sources, float(interval), use_watchfiles)
    supervisor = _Supervisor(sockets, watcher, cert)
    try:
        return supervisor.run()
    finally:
        watcher.close()


class _Supervisor:
    def __init__(self, sockets: Sequence[socket.socket], watcher: Watcher, cert: tuple[str, str] | None) -> None:
        self._sockets = sockets
        self._cert = cert
        self._watcher = watcher
        self._number = 0
        self._signal: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._pending = b""
        self._serving = False
        self._ever_served = False

    def run(self) -> int:
        restore = self._catch_signals()
        _logger.info("duoflask: restarts on changes (%s)", self._watcher.name)
        try:
            while True:
                code = self._run_one()
                if code is not None:
                    return code
        finally:
            self._end_child()
            restore()

    def _run_one(self) -> int | None:
        """Run a child until a change; the exit code if it is the last."""
        self._watcher.start_over()
        self._start(rescued=False)
        rescued = False
        while self._signal is None:
            process = self._process
            code = None if process is None else process.poll()
            if process is not None and code is not None:
                self._read_control()
                self._end_child()
                if code == 0 or self._serving or (code == USAGE and not self._ever_served):
                    return code
                if not rescued:
                    rescued = True
                    self._start(rescued=True)
                else:
                    _logger.error("duoflask: the program ended with %d; waiting for a change", code)
            if self._wait():
                changed = self._watcher.changes()
                if changed:
                    _forget_compiled(changed)
                    names = ", ".join(os.path.relpath(name) for name in changed[:3])
                    _logger.info("duoflask: %s changed, restarting", names + (" ..." if len(changed) > 3 else ""))
                    self._end_child()
                    return None
        code = self._await_interrupted() if self._signal == signal.SIGINT else None
        self._end_child()
        return code if code in (128 + signal.SIGINT, 128 + signal.SIGTERM) else 0

    def _await_interrupted(self) -> int | None:
        """Wait for a child that Ctrl+C has reached, or that sees to it itself; its exit code if it has ended."""
        process = self._process
        if process is None:
            return None
        started = descendants(process.pid)
        self._tell(INTERRUPTED)
        self._read_control()  # whether it serves
        try:
            code = process.wait(INTERRUPT_SECONDS + STOP_SECONDS if self._serving else INTERRUPT_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        end_all(started)
        return code

    def _start(self, *, rescued: bool) -> None:
        self._serving = False
        self._pending = b""
        own, other = socket.socketpair()
        own.setblocking(False)
        descriptors = [sock.fileno() for sock in self._sockets]
        settings: dict[str, Any] = {"sockets": descriptors, "control": other.fileno(), "number": self._number}
        settings["cert"] = self._cert
        environment = {**os.environ, MARK: "true", SETTINGS: json.dumps(settings)}
        self._number += 1
        command = [sys.executable, *sys.orig_argv[1:]]
        if rescued:
            flags, program = _split_command(sys.orig_argv[1:])
            command = [sys.executable, *flags, "-c", _RESCUE, *program]
        if sys.platform == "win32":
            del environment[SETTINGS]
            self._process = subprocess.Popen(command, env=environment)
        else:
            self._process = subprocess.Popen(command, env=environment, pass_fds=(*descriptors, other.fileno()))
        other.close()
        self._control = own

    def _wait(self) -> bool:
        """Wait a while; whether it is time to look at the files."""
        deadline = time.monotonic() + self._watcher.timeout
        while self._signal is None:
            readers = [self._watcher.woken, *([] if self._control is None else [self._control])]
            left = deadline - time.monotonic()
            ready = select.select(readers, [], [], max(0.0, min(left, TURN_SECONDS)))[0]
            if self._control in ready:
                self._read_control()
            if self._watcher.woken in ready or left <= 0:
                return True
            if self._process is not None and self._process.poll() is not None:
                return False
        return False

    def _read_control(self) -> None:
        """Take in what the child tells."""
        told = False
        while self._control is not None:
            try:
                data = self._control.recv(65_536)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if not data:
                self._control.close()
                self._control = None
                break
            self._pending += data
        *lines, self._pending = self._pending.split(b"\n")
        for line in lines:
            report: dict[str, Any] = json.loads(line)
            if report.get("serving"):
                self._serving = self._ever_served = True
            self._watcher.sources.merge(report)
            told = True
        if told:
            self._watcher.take_in()

    def _tell(self, line: bytes) -> None:
        if self._control is not None:
            try:
                self._control.send(line)
            except OSError:
                pass

    def _end_child(self) -> None:
        """End the child and everything that it has started."""
        process, self._process = self._process, None
        if process is not None:
            started = descendants(process.pid) if process.poll() is None else {}
            self._tell(STOP)
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            end_all(started)
        if self._control is not None:
            self._control.close()
            self._control = None

    def _catch_signals(self) -> Any:
        """Note SIGINT and SIGTERM from here on; returns what gives them back."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None

        def note(number: int, _frame: FrameType | None) -> None:
            self._signal = number

        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return restore


def _forget_compiled(names: list[str]) -> None:
    """Remove what Python has kept of changed modules: it compares seconds, and one may save twice in a second."""
    for name in names:
        if name.endswith(".py"):
            try:
                os.unlink(importlib.util.cache_from_source(name))
            except (OSError, NotImplementedError):
                pass


def _split_command(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The interpreter's own options, and the program with its arguments."""
    for number, argument in enumerate(arguments):
        if number and arguments[number - 1] in ("-W", "-X", "--check-hash-based-pycs"):
            continue
        if argument.startswith("-") and not argument.startswith("--") and argument[-1] in "mc":
            flags = [*arguments[:number], *([argument[:-1]] if len(argument) > 2 else [])]
            return flags, ["-" + argument[-1], *arguments[number + 1 :]]
        if not argument.startswith("-"):
            return arguments[:number], arguments[number:]
    return arguments, []
