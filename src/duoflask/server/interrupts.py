"""SIGINT and SIGTERM: the first stops the server, the second drops what is in flight, and then ends the process.

Owns the two signals while a server runs in the main thread, and how a process ends in which a thread does not.

Theory of operation. The handlers are Python's own, not the loop's, which come to nothing while an application keeps the
loop. A `def` function cannot be ended from outside: the second signal cancels what can be cancelled, and a thread that
belongs to nobody ends the process a little later, by the signal's default action, so that whoever waits for the process
sees why it ended. The third signal does so at once.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, NoReturn

from ..bridge import Home
from .logs import server_logger

__all__ = ["DROPPED_GRACE", "Interrupts", "leave_process"]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# Seconds from the second signal, or the end of the graceful time-out, for functions that are cancelled to clean up.
DROPPED_GRACE: Final = 1.0


class Interrupts:
    """Take both signals for as long as a block lasts; made on the server's loop, in the main thread.

    Args:
        stop: Stops the server; called on the loop.
        drop: Ends everything that can be cancelled; called on the loop.
        describe: Says what is left, for the log; called in any thread.
        ends_process: Whether the process has nothing to do but to serve. If not, it goes on after the second signal
            where the block ends in time.
    """

    def __init__(
        self,
        stop: Callable[[], object],
        drop: Callable[[], object],
        describe: Callable[[], str],
        *,
        ends_process: bool,
    ) -> None:
        self._home = Home()
        self._steps = [stop, drop]
        self._describe = describe
        self._ends_process = ends_process
        self._left = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}

    def __exit__(self, *error: object) -> None:
        self._left = True
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not set from Python

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if not self._steps:
            os._exit(128 + number)
        self._home.post(self._steps.pop(0))
        if not self._steps:
            # Not by `threading`: its locks may be held by what this handler has interrupted.
            _thread.start_new_thread(self._end_soon, (number,))

    def _end_soon(self, number: int) -> None:
        time.sleep(DROPPED_GRACE)
        if self._left and not self._ends_process:
            return
        leave_process(128 + number, f"{signal.Signals(number).name} for the second signal{self._describe()}")


def leave_process(code: int, why: str) -> NoReturn:
    """End the process whatever its threads are doing; in any thread."""
    server_logger.error("ending the process: %s", why)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # None, closed, or a broken pipe
            pass
    os._exit(code)
