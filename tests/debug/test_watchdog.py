"""What is said of functions that block the server's loop."""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import Any

import anyio
import pytest

from duoflask.debug.watchdog import LoopWatchdog


def block(release: threading.Event) -> None:
    release.wait(20)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_blocking_function_is_named_once_with_its_time(backend: str, caplog: pytest.LogCaptureFixture) -> None:
    named = threading.Event()

    class Watchdog(LoopWatchdog):
        def _blocking_frame(self) -> Any:
            found = super()._blocking_frame()
            if found is not None:
                named.set()  # it has looked: the loop may go on
            return found

    async def main() -> None:
        watchdog = Watchdog(lambda code: "the view 'slow'" if code.co_name == "block" else None, late=0.05)
        watchdog.start()
        watchdog.start()
        for _ in range(2):
            block(named)
            with anyio.move_on_after(20):
                while not caplog.records:
                    await anyio.sleep(0.01)
        watchdog.stop()

    with caplog.at_level(logging.WARNING, "duoflask.server"):
        anyio.run(main, backend=backend)
    (record,) = caplog.records
    assert re.match(r"the view 'slow' has blocked the server's loop for \d+\.\d\d s", record.getMessage())
    assert "test_watchdog.py, line " in record.getMessage()


@pytest.mark.measures
def test_loop_that_waits_is_not_blocked(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        watchdog = LoopWatchdog(lambda code: None, late=0.5)
        watchdog.start()
        await anyio.sleep(1.5)
        watchdog.stop()

    with caplog.at_level(logging.WARNING, "duoflask.server"):
        anyio.run(main)
    assert caplog.records == []


def test_watchdog_ends_with_its_loop() -> None:
    async def main() -> None:
        LoopWatchdog(lambda code: None).start()

    before = {thread.ident for thread in threading.enumerate()}
    anyio.run(main)
    deadline = time.monotonic() + 10
    while any(t.name == "duoflask-watchdog" and t.ident not in before for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
