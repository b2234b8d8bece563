"""The two sides of a request, and how a coroutine changes between them.

Owns the words `THREAD`, `LOOP` and `Outside`, the decision where a function starts, one leg in a thread, and the driver
of a task on a loop. Knows no particular loop, no thread and no protocol.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Coroutine, Generator, Iterable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from ..lazy import LazyModule

if TYPE_CHECKING:
    import inspect
else:
    inspect = LazyModule("inspect")

__all__ = [
    "LOOP",
    "THREAD",
    "Advance",
    "HandOver",
    "Leg",
    "Outside",
    "Side",
    "Traveller",
    "answer_in_thread",
    "call",
    "drive",
    "hand_over",
    "nobody_waits_here",
    "outside",
    "run_leg",
    "starts_on_loop",
    "to_loop",
    "to_thread",
]


class Side:
    """One side of the crossing; the drivers compare it by identity."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


_ASYNC_FLAGS: Final = 0x80 | 0x200  # inspect.CO_COROUTINE, inspect.CO_ASYNC_GENERATOR

THREAD: Final = Side("THREAD")
LOOP: Final = Side("LOOP")


class HandOver:
    """A value that a coroutine gives to its WSGI driver while it stays suspended: a response, a chunk."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


OutsideWork: TypeAlias = Generator[Any, Any, Any]  # by `types.coroutine`; a coroutine does as well


class Outside:
    """Work that the driver awaits on the loop in the coroutine's place, outside its Context."""

    __slots__ = ("work",)

    def __init__(self, work: OutsideWork) -> None:
        self.work = work


class Traveller(Protocol):
    """What a driver moves: it keeps `on_loop` true to the side that the coroutine is on.

    `context` is the Context that every leg enters.
    """

    on_loop: bool
    context: Context

    def suspended(self) -> bool:
        """Told on the loop when the coroutine waits for something foreign, until it answers True."""

    def leaves_thread(self) -> None:
        """Told in the server's thread before the coroutine first goes to the portal."""


Work: TypeAlias = Coroutine[Any, Any, Any]
Advance: TypeAlias = Callable[[Any], Any]
ThreadLeg: TypeAlias = "Callable[[Traveller, Work], Generator[Any, Any, tuple[Leg, BaseException | None]]]"


@types.coroutine
def to_thread() -> Generator[Side, None, None]:
    """Continue in a plain thread: the server's under WSGI, a worker under ASGI."""
    yield THREAD


@types.coroutine
def to_loop() -> Generator[Side, None, None]:
    """Continue on the event loop: the portal's under WSGI, the server's under ASGI."""
    yield LOOP


@types.coroutine
def hand_over(value: Any) -> Generator[HandOver, Any, Any]:
    """Give `value` to the WSGI driver and wait, in the server's thread, until it answers."""
    return (yield HandOver(value))


def starts_on_loop(function: Callable[..., Any]) -> bool:
    """Whether a call of `function` must start on a loop, decided once, when it is registered.

    `async def` functions, partials of them and objects whose `__call__` is one do; so do async generator functions,
    whose items are made on the loop anyway. Whether the *result* is awaited is decided by the result alone (see
    `call`).
    """
    while isinstance(function, functools.partial):
        function = function.func
    return _is_async(function) or _is_async(getattr(function, "__call__", None))  # noqa: B004 - the method is wanted


def _is_async(function: Any) -> bool:
    """What `inspect.iscoroutinefunction` and `isasyncgenfunction` say, which takes 7 ms to import."""
    while isinstance(function, (types.MethodType, functools.partial)):
        function = function.__func__ if isinstance(function, types.MethodType) else function.func
    code = getattr(function, "__code__", None)  # functions, and those of Cython
    if isinstance(code, types.CodeType) and code.co_flags & _ASYNC_FLAGS:
        return True
    # Somebody who has imported `inspect` may have marked it (Python 3.12).
    return getattr(function, "_is_coroutine_mark", None) is not None and inspect.iscoroutinefunction(function)


async def call(traveller: Traveller, function: Callable[..., Any], on_loop: bool | None, *args: Any) -> Any:
    """Call one function on its side and await what it returns, if that is awaitable.

    Args:
        traveller: Whose coroutine this is part of.
        function: Any callable.
        on_loop: The side it starts on, from `starts_on_loop`; None starts it wherever the coroutine is.
        args: Its positional arguments.
    """
    if on_loop is not None and on_loop is not traveller.on_loop:
        await (to_loop() if on_loop else to_thread())
    result = function(*args)
    if hasattr(result, "__await__"):  # 14 ns where inspect.isawaitable takes 160
        if not traveller.on_loop:
            await to_loop()
        return await result
    return result


@types.coroutine
def outside(work: OutsideWork) -> Generator[Outside, Any, Any]:
    """Await a coroutine on the loop while this one is suspended, outside its Context: a thread may enter that."""
    return (yield Outside(work))


class Leg:
    """How one stretch in a thread ended: `wanted` is set while the coroutine is suspended, else `value` or `error`."""

    __slots__ = ("error", "value", "wanted")

    def __init__(self, wanted: Any = None, value: Any = None, error: BaseException | None = None) -> None:
        self.wanted = wanted
        self.value = value
        self.error = error


def run_leg(traveller: Traveller, coroutine: Work, advance: Advance, argument: Any = None) -> Leg:
    """Run a coroutine in this thread, inside its Context, until it asks for the loop, hands something over or ends.

    Raises nothing: whatever the coroutine raises is the outcome's `error`, so that it can cross threads as data.
    """
    run = traveller.context.run
    traveller.on_loop = False
    while True:
        try:
            wanted = run(advance, argument)
        except StopIteration as stop:
            return Leg(value=stop.value)
        except BaseException as exc:
            return Leg(error=exc)
        if wanted is LOOP or type(wanted) is HandOver:
            return Leg(wanted=wanted)
        advance, argument = answer_in_thread(coroutine, wanted)


def answer_in_thread(coroutine: Work, wanted: Any) -> tuple[Advance, Any]:
    """How a coroutine goes on in this thread that has asked for it, or for something only a loop can wait for."""
    if wanted is THREAD:
        return coroutine.send, None
    return coroutine.throw, nobody_waits_here(coroutine, wanted)


@types.coroutine
def drive(traveller: Traveller, coroutine: Work, thread_leg: ThreadLeg, wanted: Any = LOOP) -> Generator[Any, Any, Any]:
    """Drive a request's coroutine in a task of an event loop; whatever it suspends on passes through to that task.

    Args:
        traveller: Whose coroutine it is.
        coroutine: The dispatcher's coroutine.
        thread_leg: Has its next leg run in a thread, and answers with how that ended and the cancellation that arrived
            meanwhile. What it raises itself (withdrawn before it began) goes to the coroutine.
        wanted: What the coroutine has suspended on, if somebody has started it.
    """
    context = traveller.context
    advance: Advance = coroutine.send
    argument: Any = None
    told = False
    traveller.on_loop = True
    while True:
        if wanted is THREAD:
            try:
                leg, cancellation = yield from thread_leg(traveller, coroutine)
            except BaseException as exc:
                advance, argument = coroutine.throw, exc
            else:
                traveller.on_loop = True
                if leg.wanted is None:
                    error = cancellation if leg.error is None else leg.error  # one may be false
                    if error is not None:
                        try:
                            raise error
                        finally:
                            del leg, error, cancellation  # a frame that holds its own traceback is a cycle
                    return leg.value
                if cancellation is not None:
                    advance, argument = coroutine.throw, cancellation
        elif wanted is not LOOP:
            if not told:
                told = traveller.suspended()
            try:
                argument = (yield wanted) if type(wanted) is not Outside else (yield from wanted.work)
            except BaseException as exc:
                advance, argument = coroutine.throw, exc
        try:
            wanted = context.run(advance, argument)
        except StopIteration as stop:
            return stop.value
        finally:
            argument = None  # what was thrown in has a traceback that holds this frame: a cycle
        advance = coroutine.send


def nobody_waits_here(coroutine: Work, wanted: object) -> RuntimeError:
    """Name the code that suspended on something which only an event loop can wait for."""
    culprit = " -> ".join(_suspended_at(coroutine)) or "a coroutine"
    return RuntimeError(
        f"{culprit} waits for {wanted!r}, but runs in a thread where no event loop is running. Code that is "
        "started by a "
        "'def' function cannot be awaited there: make the function 'async def', or return the coroutine and let "
        "duoflask await it."
    )


def _suspended_at(coroutine: Any) -> Iterable[str]:
    """The chain of coroutines that a suspended one waits for, innermost last."""
    while coroutine is not None:
        code = getattr(coroutine, "cr_code", None) or getattr(coroutine, "gi_code", None)
        if code is not None:
            yield f"{code.co_qualname}()"
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
