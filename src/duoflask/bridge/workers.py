"""Worker threads for `def` functions under ASGI.

Owns the thread pool, how a task waits for one of its threads on asyncio and trio, and what a cancellation may do
meanwhile. Knows no scope and no message.
"""

from __future__ import annotations

import functools
import os
import sys
import weakref
from collections.abc import Callable, Generator
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..lazy import LazyModule
from .crossing import Leg, Traveller, Work, run_leg
from .threads import new_lock, new_queue, start_thread

if TYPE_CHECKING:
    import asyncio
    import queue as queues

    import anyio
else:  # an app that is all `def` under WSGI needs none
    asyncio = LazyModule("asyncio")
    queues = LazyModule("queue")
    anyio = LazyModule("anyio")

__all__ = ["DEFAULT_WORKER_THREADS", "Home", "Waiting", "Workers", "current_home", "home_of_context", "occupies_thread"]

# anyio's and Starlette's default number of threads; Flask's users size theirs with the server (gunicorn --threads).
DEFAULT_WORKER_THREADS: Final = 40

# A worker that nobody needed for this long ends (seconds); anyio's worker threads live for 10.
IDLE_SECONDS: Final = 10.0

Wait: TypeAlias = Generator[Any, Any, None]


class Home:
    """The event loop that a request belongs to, as other threads reach it: asyncio's or trio's."""

    __slots__ = ("_loop", "_token")

    def __init__(self) -> None:
        self._token: Any = None
        self._loop: Any = None
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            # Nothing but trio runs here then; naming it makes a missing loop an error of trio's that says so.
            self._token = sys.modules["trio"].lowlevel.current_trio_token() if "trio" in sys.modules else None
            if self._token is None:
                raise RuntimeError("no event loop is running in this thread; expected asyncio's or trio's") from None

    @property
    def key(self) -> Any:
        """What stands for the loop: asyncio's itself, or trio's token."""
        return self._token if self._loop is None else self._loop

    def post(self, function: Callable[..., Any], *args: Any) -> bool:
        """Have the loop call a function soon; False when the loop has already ended."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function, *args)
            else:
                self._token.run_sync_soon(lambda: function(*args))
        except RuntimeError:  # "Event loop is closed", trio.RunFinishedError
            return False
        return True

    def spawn(self, coroutine: Any, context: Context) -> None:
        """Start a task inside `context` for a coroutine that never raises; to be called on the loop, through `post`."""
        if self._loop is not None:
            task = self._loop.create_task(coroutine, context=context)
            _running.add(task)
            task.add_done_callback(_running.discard, context=context)  # not a copy of the caller's
        else:
            sys.modules["trio"].lowlevel.spawn_system_task(_awaited, coroutine, context=context)

    def waiter(self) -> tuple[Callable[[], Any], Callable[[], Wait]]:
        """A pair: what another thread calls once, and what the task on the loop waits for."""
        if self._loop is not None:
            future = self._loop.create_future()
            return (lambda: self.post(_resolve, future)), lambda: iter(future)
        event = anyio.Event()
        return (lambda: self.post(event.set)), lambda: event.wait().__await__()


class Waiting:
    """What a `Home.waiter` waits with, as something to await."""

    __slots__ = ("_wait",)

    def __init__(self, wait: Callable[[], Wait]) -> None:
        self._wait = wait

    def __await__(self) -> Wait:
        return self._wait()


_running: set[Any] = set()  # asyncio keeps only weak references to its tasks


async def _awaited(coroutine: Any) -> None:
    await coroutine


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


# The loop that code of this request (or of a task or thread with a copy of its Context) belongs to; unset means the
# portal's.
home_of_context: ContextVar[Home | None] = ContextVar("duoflask.home", default=None)

# Set while a function that occupies a thread waits for the coroutine in whose Context this is read.
occupies_thread: ContextVar[bool] = ContextVar("duoflask.occupies_thread", default=False)


def current_home() -> Home | None:
    """The loop that the calling code belongs to, if it runs on one or for one; None means the portal's."""
    home = home_of_context.get()
    if home is None:
        try:
            home = Home()
        except RuntimeError:
            return None
    return home


class _Job:
    """One call for a worker thread.

    `claimed` is set by whoever comes first: the worker, or the one who withdraws it.
    """

    __slots__ = ("claimed", "done", "function", "notify", "result")

    def __init__(self, function: Callable[[], Any], notify: Callable[[], Any]) -> None:
        self.function = function
        self.notify = notify
        self.claimed: list[None] = [None]
        self.done = False
        self.result: Any = None

    def claim(self) -> bool:
        try:
            self.claimed.pop()  # atomic: exactly one caller finds the item
        except IndexError:
            return False
        return True


class Workers:
    """A pool of at most `limit` threads that is fed by one plain queue.

    PERF: a hop through the queue costs 21 us, through an executor 28, through anyio.to_thread 40; sixteen at a time it
    is 1.9 against 33 (benchmarks/, "def under ASGI"). The number of threads is the limiter, so nothing else is taken or
    given back. Work that was called, through a loop, by a function that itself occupies one of the threads may exceed
    the limit: it would otherwise wait for a thread that waits for it.
    """

    def __init__(self, limit: int = DEFAULT_WORKER_THREADS) -> None:
        self.limit = limit
        self._reset()
        _pools.add(self)

    @property
    def limit(self) -> int:
        """How many threads there may be."""
        return self._limit

    @limit.setter
    def limit(self, value: int) -> None:
        if type(value) is not int or value < 1:
            raise ValueError(
                f"invalid number of worker threads (WORKER_THREADS); expected an int of 1 or more; got {value!r}"
            )
        self._limit = value

    def _reset(self) -> None:
        self._queue = new_queue()
        self._lock = new_lock()  # guards the two numbers
        self._spare = 0  # threads that wait for work, less the jobs that wait for a thread
        self.threads = 0

    @property
    def waiting(self) -> int:
        """How many calls wait for a free thread."""
        return int(self._queue.qsize())

    def submit(self, job: _Job, *, nested: bool = False) -> None:
        """Queue a job for the threads there are, or start one for it if none is spare and the limit allows one more.

        Raises:
            RuntimeError: No thread can be started, and there is none.
        """
        with self._lock:
            start = self._spare < 1 and (nested or self.threads < self.limit)
            if start:
                self.threads += 1
            else:
                self._spare -= 1
        if not start:
            self._queue.put(job)
            return
        try:
            # It begins with this very job: from the queue it would take the oldest, which may wait for this one.
            start_thread(functools.partial(self._work, [job]), "duoflask-worker")
        except RuntimeError:
            with self._lock:
                self.threads -= 1
                if not self.threads:  # nobody would ever take the job
                    raise
                self._spare -= 1
            self._queue.put(job)

    def dismiss(self) -> None:
        """Have the threads that wait for work end now, not after `IDLE_SECONDS`; new work starts new ones."""
        with self._lock:
            idle = max(self._spare, 0)
            self._spare -= idle
        for _ in range(idle):
            self._queue.put(None)

    def _work(self, first: list[_Job]) -> None:
        queue, job = self._queue, first.pop()  # out of the list, which lives as long as the thread
        while True:
            claimed = job.claim()
            if claimed:
                job.result = job.function()
                job.done = True
            with self._lock:
                leaves = self.threads > self.limit
                if leaves:
                    self.threads -= 1
                else:
                    self._spare += 1  # before anybody learns of the result, and asks for the next
            if claimed:
                job.notify()
            if leaves:
                return
            del job  # what it holds must not live until the next one comes
            while True:
                try:
                    job = queue.get(timeout=IDLE_SECONDS)
                    if job is None:  # dismissed
                        with self._lock:
                            self.threads -= 1
                        return
                    break
                except queues.Empty:
                    with self._lock:
                        if self._spare > 0:  # else a job was queued for this thread just now
                            self._spare -= 1
                            self.threads -= 1
                            return

    def wait_for(self, function: Callable[[], Any], home: Home, *, nested: bool = False) -> Generator[Any, Any, Any]:
        """Run a function that never raises in a worker thread, and wait for it on the loop.

        A cancellation withdraws it while it is still queued. Once it runs, it is waited for in a shielded scope,
        because its thread is inside the request's Context: anyio's scope would otherwise retry at every turn of the
        loop, which costs a full core, and the cancellation is raised afterwards.

        Returns:
            The function's result and the cancellation that arrived meanwhile, or None.
        """
        notify, wait = home.waiter()
        job = _Job(function, notify)
        self.submit(job, nested=nested)
        try:
            yield from wait()
        except BaseException as exc:
            if job.claim():
                raise
            cancellation = exc
        else:
            return job.result, None
        with anyio.CancelScope(shield=True):
            while not job.done:
                notify, wait = home.waiter()
                job.notify = notify
                if job.done:  # it ended before it could see the new waiter
                    break
                try:
                    yield from wait()
                except BaseException:
                    continue
        return job.result, cancellation

    def leg(self, traveller: Traveller, coroutine: Work) -> Generator[Any, Any, tuple[Leg, BaseException | None]]:
        """Run a coroutine's next leg in a worker thread: the `thread_leg` of the ASGI driver."""
        context = traveller.context
        home = context.get(home_of_context)
        if home is None:
            home = Home()
            context.run(home_of_context.set, home)
        function = functools.partial(run_leg, traveller, coroutine, coroutine.send, None)
        return self.wait_for(function, home, nested=context.get(occupies_thread, False))


_pools: weakref.WeakSet[Workers] = weakref.WeakSet()


def _forget_threads() -> None:
    for pool in _pools:
        pool._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
