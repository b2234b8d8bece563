"""SIGINT and SIGTERM: the first stops the server, the second drops what is in flight, and then ends the process.

Owns the two signals while a server runs in the main thread, and how a process ends in which a thread does not.

Theory of operation. The handlers are Python's own, not the loop's, which come to nothing while an application keeps the
loop. A `def` function cannot be ended from outside: the second signal cancels what can be cancelled, and a thread that
belongs to nobody ends the process a little later, if the server is still there. The third signal does so at once. The
exit code is 128 and the signal's number, as in a shell, so that whoever waits for the process sees why it ended.
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

__all__ = ["DROPPED_GRACE", "TEARDOWN_GRACE", "Interrupts", "leave_process"]

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
# Seconds from the second signal for functions that are cancelled to clean up,
DROPPED_GRACE: Final = 1.0
# and from the end of the graceful time-out, but no longer than that: a teardown function has five.
TEARDOWN_GRACE: Final = 6.0


class Interrupts:
    """Take both signals for as long as a block lasts; made on the server's loop, in the main thread.

    Args:
        stop: Stops the server; called on the loop.
        drop: Ends everything that can be cancelled; called on the loop.
        describe: Says what is left, for the log; called in any thread.
        ends_process: Whether the loop ends with the block: it may have to be ended too, until `let_go` is called.

    `exit_code` is the process's: 128 and the number of the second signal, if there was one, else 0.
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
        self._let_go = self._over = False
        self.exit_code = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}

    def __exit__(self, *error: object) -> None:
        if not self._ends_process:
            self.let_go()
        self._over = True
        for number in SIGNALS:
            if signal.getsignal(number) == self._handle:  # else another server has begun since, and puts it back
                handler = self._handler_before(number)
                signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not set from Python

    def _handler_before(self, number: int) -> Any:
        """The handler that is to be put back: none of a server that has ended."""
        handler = self._before[number]
        owner = getattr(handler, "__self__", None)
        return owner._handler_before(number) if isinstance(owner, Interrupts) and owner._over else handler

    def let_go(self) -> None:
        """The server has ended in time: end the process no more, which may have more to do."""
        self._let_go = True

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if not self._steps:
            os._exit(128 + number)
        self._home.post(self._steps.pop(0))
        if not self._steps:
            self.exit_code = 128 + number
            # Not by `threading`: its locks may be held by what this handler has interrupted.
            _thread.start_new_thread(self._end_soon, (number,))

    def _end_soon(self, number: int) -> None:
        time.sleep(DROPPED_GRACE)
        if not self._let_go:
            why = f"{signal.Signals(number).name} for the second signal"
            try:
                why += self._describe()
            finally:
                leave_process(128 + number, why)


def leave_process(code: int, why: str) -> NoReturn:
    """End the process whatever its threads are doing; in any thread."""
    server_logger.error("ending the process: %s", why)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # None, closed, or a broken pipe
            pass
    os._exit(code)
