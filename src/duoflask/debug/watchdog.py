"""A word about functions that block the server's loop: which one, for how long, once each.

Owns the look at the loop in debug mode. Knows an application only by where its code is.

Theory of operation. A thread asks the loop to answer. When the answer is late, the thread reads what the loop's own
thread is doing, and names the innermost function of the application there; when the loop answers, it knows how long
that took. A `def` view marked `inline=True` and an `async def` view that calls something blocking look alike from here,
and hold up every other request alike.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

from ..bridge import Home
from .frames import is_app_file, one_path

__all__ = ["LoopWatchdog"]

LATE_SECONDS: Final = 0.1  # 50 ms are what the framework itself may delay; a page is felt to be slow from 100 on
PAUSE_SECONDS: Final = 0.05  # between two questions

_logger = logging.getLogger("duoflask.server")


class LoopWatchdog:
    """Watches the loop that it is started on.

    Args:
        describe: Says what a function is to the application: "the view 'index'"; None if it is nothing special.
        late: After how many seconds without an answer a function is named.
    """

    def __init__(self, describe: Callable[[CodeType], str | None], late: float = LATE_SECONDS) -> None:
        self._describe = describe
        self._late = late
        self._named: set[CodeType] = set()
        self._stop = threading.Event()
        self._answered = threading.Event()
        self._watched = 0
        self._home: Any = None

    def start(self) -> None:
        """Watch the running loop, from its own thread; only the first call counts."""
        if self._home is not None:
            return
        self._home = Home()
        self._watched = threading.get_ident()
        threading.Thread(target=self._watch, name="duoflask-watchdog", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            self._answered.clear()
            asked = time.perf_counter()
            if not self._home.post(self._answered.set):
                return  # the loop has ended
            if self._answered.wait(self._late):
                continue
            frame = self._blocking_frame()
            while not self._answered.wait(0.5):
                if self._stop.is_set():
                    return
                frame = frame or self._blocking_frame()
            if frame is not None:
                self._name(frame, time.perf_counter() - asked)

    def _blocking_frame(self) -> tuple[CodeType, int] | None:
        """The innermost frame of the application's code on the loop's thread, and its line."""
        frame: FrameType | None = sys._current_frames().get(self._watched)
        while frame is not None:
            code = frame.f_code
            if is_app_file(code.co_filename) and code.co_name != "<module>":
                return code, frame.f_lineno
            frame = frame.f_back
        return None

    def _name(self, found: tuple[CodeType, int], seconds: float) -> None:
        code, line = found
        if code in self._named:
            return
        self._named.add(code)
        what = self._describe(code) or f"the function {code.co_qualname!r}"
        _logger.warning(
            "%s has blocked the server's loop for %.2f s (%s, line %d): every other request has waited. Write it as "
            "plain 'def' without inline=True, so that it runs in a worker thread, or await what it waits for.",
            what,
            seconds,
            one_path(code.co_filename),
            line,
        )
