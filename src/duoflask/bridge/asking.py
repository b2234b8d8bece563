"""A blocking function in a worker thread that can have the task which waits for it await things in its place.

Owns that conversation: one question at a time, the answer or the exception, and what a cancellation of the task means
for the function. `async_to_sync` starts a task of its own for each call; here all of them happen in the one task that a
server called, where its `receive` and `send` belong.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from ..lazy import LazyModule
from .adapt import async_to_sync
from .crossing import Leg, Traveller, Work, run_leg
from .threads import Signal, new_signal
from .workers import Home, Workers, _Job, home_of_context, occupies_thread

if TYPE_CHECKING:
    import anyio
else:
    anyio = LazyModule("anyio")

__all__ = ["Ask", "Asker", "run_asking"]

_T = TypeVar("_T")


class Ask(Protocol):
    """What the function in the thread is given: awaits an async function in the waiting task.

    Raises:
        ConnectionAbortedError: The task has been cancelled; the function should come to its end.
    """

    def __call__(self, function: Callable[..., Awaitable[_T]], /, *args: Any) -> _T: ...


class _Conversation:
    """Between one worker thread and the task that waits for it."""

    __slots__ = ("_answer", "_over", "_question", "_signal", "_thread", "notify")

    notify: Callable[[], Any]

    def __init__(self) -> None:
        self._thread = 0
        self._question: tuple[Callable[..., Awaitable[Any]], tuple[Any, ...]] | None = None
        self._answer: Leg | None = None
        self._over = False
        self._signal: Signal | None = None

    # in the thread

    def work(self, function: Callable[[Ask], Any]) -> Leg:
        self._signal = new_signal()  # belongs to the thread that waits on it
        self._thread = get_ident()
        try:
            return Leg(value=function(cast("Ask", self.ask)))
        except BaseException as exc:
            return Leg(error=exc)
        finally:
            self._over = True
            self._thread = 0
            self._signal.close()

    def ask(self, function: Callable[..., Awaitable[Any]], /, *args: Any) -> Any:
        if self._over:
            raise _abandoned()
        assert self._signal is not None  # `work` has made it
        self._question = (function, args)
        self.notify()
        self._signal.wait()
        answer, self._answer = self._answer, None
        assert answer is not None  # it is there before the signal
        if answer.error is not None:
            try:
                raise answer.error
            finally:
                del answer  # a frame that holds its own traceback is a cycle
        return answer.value

    def is_here(self) -> bool:
        """Whether the calling thread is the one that works."""
        return self._thread == get_ident()

    def woken(self) -> None:
        """Wake the task, by what it waits for now."""
        self.notify()

    # on the loop

    def take(self) -> tuple[Callable[..., Awaitable[Any]], tuple[Any, ...]] | None:
        question, self._question = self._question, None
        return question

    def answer(self, leg: Leg) -> None:
        self._answer = leg
        assert self._signal is not None  # the thread has asked
        self._signal.set()

    def end(self) -> None:
        """Refuse the question that waits, and all later ones."""
        self._over = True
        if self.take() is not None:
            self.answer(Leg(error=_abandoned()))


class _Abandoned(ConnectionAbortedError):
    """What every question is answered with after a cancellation."""


def _abandoned() -> _Abandoned:
    return _Abandoned("the task that this thread works for has been cancelled")


def _comes_of_cancellation(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, _Abandoned):
        error = error.__cause__ or error.__context__
    return error is not None


@types.coroutine
def run_asking(workers: Workers, function: Callable[[Ask], _T], context: Context) -> Generator[Any, Any, _T]:
    """Run a blocking function in a worker thread and await, in this task, what it asks for.

    A cancellation withdraws a function that has not begun. One that has is refused whatever it asks for from then on
    (`ConnectionAbortedError`), waited for, and then the cancellation is raised.

    Args:
        workers: The pool whose thread runs it.
        function: Called with one argument, `ask`.
        context: The Context that it runs in.
    """
    conversation = _Conversation()
    work = partial(context.run, conversation.work, function)
    leg, cancellation = yield from _converse(workers, Home(), conversation, work, occupies_thread.get())
    error = leg.error
    if cancellation is not None and (error is None or _comes_of_cancellation(error)):
        raise cancellation
    if error is not None:
        raise error
    return leg.value  # type: ignore[no-any-return]


def _converse(
    workers: Workers, home: Home, conversation: _Conversation, work: Callable[[], Leg], nested: bool
) -> Generator[Any, Any, tuple[Leg, BaseException | None]]:
    """Have a thread do the work and await what it asks for; what it came to, and a cancellation that arrived meanwhile.

    Raises:
        BaseException: A cancellation that withdrew the work before it began.
    """
    notify, wait = home.waiter()
    conversation.notify = notify
    job = _Job(work, conversation.woken)
    workers.submit(job, nested=nested)
    cancellation: BaseException | None = None
    while True:
        try:
            yield from wait()
        except BaseException as exc:
            if job.claim():
                raise
            cancellation = exc
            break
        if job.done:
            break
        question = conversation.take()
        notify, wait = home.waiter()
        conversation.notify = notify  # before the answer: the thread may be done, or ask again, at once
        if question is None:
            continue
        asked, args = question
        try:
            value = yield from asked(*args).__await__()
        except Exception as exc:
            conversation.answer(Leg(error=exc))
        except BaseException as exc:
            conversation.answer(Leg(error=_abandoned()))
            cancellation = exc
            break
        else:
            conversation.answer(Leg(value=value))
    if cancellation is not None:
        yield from _wait_for_end(home, conversation, job)
    return job.result, cancellation


class Asker:
    """The thread legs of one traveller whose functions may have its own task await things, outside its Context.

    Made in that task. Called in the thread of such a leg it asks the task; in any other thread it starts a task of its
    own on the same loop.

    Args:
        workers: The pool whose threads run the legs.
    """

    __slots__ = ("_conversation", "_home", "_workers")

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._home = Home()
        self._conversation: _Conversation | None = None

    def leg(self, traveller: Traveller, coroutine: Work) -> Generator[Any, Any, tuple[Leg, BaseException | None]]:
        """Run a coroutine's next leg in a worker thread: the `thread_leg` of `drive`."""
        context = traveller.context
        if context.get(home_of_context) is None:
            context.run(home_of_context.set, self._home)
        self._conversation = conversation = _Conversation()
        run = partial(run_leg, traveller, coroutine, coroutine.send, None)
        work = partial(conversation.work, lambda _ask: run())
        nested = context.get(occupies_thread, False)
        leg, cancellation = yield from _converse(self._workers, self._home, conversation, work, nested)
        return leg.value, cancellation

    def __call__(self, function: Callable[..., Awaitable[_T]], /, *args: Any) -> _T:
        """Await an async function on the traveller's loop and return its result.

        Raises:
            ConnectionAbortedError: The traveller's task has been cancelled.
            RuntimeError: It is called on the loop itself, or the loop has ended.
        """
        conversation = self._conversation
        if conversation is not None and conversation.is_here():
            return conversation.ask(function, *args)  # type: ignore[no-any-return]
        token = home_of_context.set(self._home)
        try:
            return async_to_sync(function)(*args)
        finally:
            home_of_context.reset(token)


def _wait_for_end(home: Home, conversation: _Conversation, job: _Job) -> Generator[Any, Any, None]:
    with anyio.CancelScope(shield=True):
        while True:
            notify, wait = home.waiter()
            conversation.notify = notify
            conversation.end()
            if job.done:  # it may have ended before it could see the new waiter
                return
            try:
                yield from wait()
            except BaseException:
                continue
