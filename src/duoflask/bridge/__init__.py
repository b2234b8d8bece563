"""The crossing between sync and async code: the only place where the two meet.

Owns the drivers, the portal loop, the worker threads, and whose `contextvars.Context` code runs in. Knows no app, no
request and no protocol.

Theory of operation
-------------------
The order of a request is one coroutine. It is always on one of two *sides*: in a plain thread (`THREAD`), where `def`
functions may run, or on an event loop (`LOOP`), where awaitables may be awaited. To change sides it suspends on that
word (`await to_thread()`, `await to_loop()`), and whoever drives it resumes it over there. Neighbours of one colour
share a crossing because nothing asks for one in between. Each stretch on one side is a *leg*:

* WSGI: the first leg runs in the server's thread. The first wish for `LOOP` makes one task on the process's portal
  loop, which drives from there on and has every further thread leg run by the waiting server's thread (`portal.py`).
* ASGI: the first leg runs in the server's task, thread legs in worker threads (`workers.py`).

Every leg enters the request's own Context and leaves it at its end, so the Context is never entered twice, a token
taken on one side can be reset on the other, and nothing stays set on a thread. Whatever else a coroutine suspends on
on a loop (futures, trio traps) passes through to the loop's own task. Outcomes cross threads as data, never as a
task's exception.
"""

from __future__ import annotations

from .adapt import async_to_sync, asyncio_is_running, loop_is_running, run_nested, sync_to_async
from .batches import Batches
from .coroutine_mark import mark_as_coroutine_function
from .crossing import HandOver, Traveller, call, drive, hand_over, outside, starts_on_loop, to_loop, to_thread
from .homes import PORTAL, key_here
from .portal import WSGIDriver, current_portal, portal
from .pumping import pump
from .task import BackgroundTask, TaskCancelled
from .threads import new_lock, new_signal
from .workers import DEFAULT_WORKER_THREADS, Home, Waiting, Workers, current_home, home_of_context

__all__ = [
    "BackgroundTask",
    "DEFAULT_WORKER_THREADS",
    "Batches",
    "PORTAL",
    "HandOver",
    "Home",
    "TaskCancelled",
    "Traveller",
    "WSGIDriver",
    "Waiting",
    "Workers",
    "async_to_sync",
    "asyncio_is_running",
    "call",
    "current_home",
    "current_portal",
    "drive",
    "hand_over",
    "home_of_context",
    "key_here",
    "loop_is_running",
    "mark_as_coroutine_function",
    "new_lock",
    "new_signal",
    "outside",
    "portal",
    "pump",
    "run_nested",
    "starts_on_loop",
    "sync_to_async",
    "to_loop",
    "to_thread",
]
