"""Real threads, locks and event loops, also where gevent has replaced the standard library's.

Owns what must stay a thread of the operating system although `gevent.monkey` has patched `threading`, `queue`, `select`
and `socket`: the portal's and the workers' threads, their queue, the portal loop's selector and sockets; and the one
primitive by which a server's thread or greenlet waits for the portal without blocking its hub. Measured: with patched
parts, one `to_thread` on the portal loop stops it for good.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..lazy import LazyModule

if TYPE_CHECKING:
    import asyncio

    from . import unpatched_loop
else:
    asyncio = LazyModule("asyncio")  # a third of what `import duoflask` would cost
    unpatched_loop = LazyModule(f"{__package__}.unpatched_loop")

__all__ = ["Signal", "new_lock", "new_loop", "new_queue", "new_signal", "original", "start_thread"]


def _gevent_monkey() -> Any:
    """Gevent's `monkey` module if it has patched `threading`, else None."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey if monkey is not None and monkey.is_module_patched("threading") else None


def original(module: str, name: str) -> Any:
    """The standard library's own object, as it was before any monkey-patching."""
    monkey = _gevent_monkey()
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(importlib.import_module(module), name)


def start_thread(target: Callable[[], None], name: str) -> None:
    """Start a daemon thread of the operating system.

    Raises:
        RuntimeError: No thread can be started: the limit is reached or the interpreter is shutting down.
    """
    if _gevent_monkey() is None:
        threading.Thread(target=target, name=name, daemon=True).start()
    else:
        original("_thread", "start_new_thread")(target, ())


def new_lock() -> Any:
    """An unpatched lock."""
    return original("_thread", "allocate_lock")()


def new_queue() -> Any:
    """An unpatched `queue.SimpleQueue`."""
    return original("queue", "SimpleQueue")()


class Signal(Protocol):
    """What one thread or greenlet waits for, and another thread sets, any number of times in turn."""

    def set(self) -> None:
        """Wake the waiter, or let its next wait return at once."""

    def wait(self) -> None:
        """Wait for `set`. What a signal handler raises in this thread comes out of it."""

    def wait_for(self, seconds: float) -> bool:
        """Wait for `set` for at most so many seconds, and answer whether it came."""

    def close(self) -> None:
        """Give up what the system keeps for it; `set` does nothing from now on."""


class _ThreadSignal:
    __slots__ = ("_acquire", "set", "wait")

    def __init__(self) -> None:
        lock = new_lock()
        lock.acquire()
        self.set = lock.release
        self.wait: Callable[[], Any] = lock.acquire
        self._acquire = lock.acquire

    def wait_for(self, seconds: float) -> bool:
        return bool(self._acquire(timeout=max(seconds, 0)))

    def close(self) -> None:
        pass


class _GreenletSignal:
    """Waits in the greenlet's hub: other greenlets of the thread go on meanwhile."""

    __slots__ = ("_hub", "_ready", "_watcher")

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._ready = False
        self._watcher = hub.loop.async_()  # the one kind of watcher that other threads may send to

    def set(self) -> None:
        self._ready = True
        watcher = self._watcher
        if watcher is not None:
            watcher.send_ignoring_arg(None)

    def close(self) -> None:
        watcher, self._watcher = self._watcher, None
        watcher.close()

    def wait(self) -> None:
        greenlet = sys.modules["gevent"].getcurrent()
        self._watcher.start(greenlet.switch)
        try:
            while not self._ready:  # `set` may have come before `start`, which forgets it
                self._hub.switch()
        finally:
            self._watcher.stop()
        self._ready = False

    def wait_for(self, seconds: float) -> bool:
        timeout = sys.modules["gevent"].Timeout.start_new(max(seconds, 0))
        try:
            self.wait()
        except BaseException as exc:
            if exc is not timeout:
                raise
            return False
        finally:
            timeout.close()
        return True


def new_signal() -> Signal:
    """A signal for the calling thread or greenlet to wait on."""
    if _gevent_monkey() is not None:
        return _GreenletSignal(sys.modules["gevent"].get_hub())
    return _ThreadSignal()


def new_loop() -> asyncio.AbstractEventLoop:
    """A new asyncio loop for the portal, made of unpatched parts."""
    if _gevent_monkey() is None:
        return asyncio.new_event_loop()
    return unpatched_loop.UnpatchedLoop(original("selectors", "DefaultSelector")(), start_thread)
