"""The end of a request: closing its response, and the teardown functions, each once, whatever happens.

Owns what must not be lost to an exception or a cancellation. Knows no protocol.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, Final

from .bridge import call, starts_on_loop, to_loop, to_thread
from .ctx import AppContext
from .events import emit
from .http.errors import ClientDisconnected
from .lazy import LazyModule
from .plans import Step
from .response import Response
from .signals import appcontext_popped, appcontext_tearing_down, request_tearing_down

if TYPE_CHECKING:
    import anyio
    from blinker import Signal
else:
    anyio = LazyModule("anyio")

__all__ = ["close_response", "do_teardown_appcontext", "do_teardown_request", "release", "stream", "teardown"]

# How long each teardown function and close callback may take after a cancellation, in seconds.
TEARDOWN_TIMEOUT: Final = 5.0


async def stream(ctx: AppContext, response: Response) -> None:
    """Send a body that is not complete, then close it.

    An exception in it has no page any more: it is logged and raised, so that the server breaks the connection off. That
    the client has left is nothing to log.
    """
    error: BaseException | None = None
    try:
        await ctx.gateway.stream(ctx, response)
    except BaseException as exc:
        error = exc
        if isinstance(exc, ClientDisconnected):
            if not ctx.disconnected:
                raise
        else:
            if isinstance(exc, Exception) and exc is not ctx.send_error:
                ctx.app.log_exception((type(exc), exc, exc.__traceback__))
            raise
    finally:
        ctx.complete = True  # a client that leaves from here on cancels nothing: what closes would not come to its end
        if ctx.disconnected:
            ctx.interrupted = True  # the watch has seen it, too: its cancellation may be on its way
        try:
            await close_response(ctx, response, error)
        finally:
            error = ctx.send_error = ctx.stream_error = (
                None  # their tracebacks hold this frame, and the context: a cycle
            )


async def close_response(ctx: AppContext, response: Response, error: BaseException | None) -> None:
    """Close a body of either colour and call what `call_on_close` registered, each once, whatever they raise."""
    _note_interruption(ctx, error)
    errors: list[BaseException] = []
    body, callbacks = response._iterable, response._on_close
    response._on_close = ()
    pieces, ctx.pieces = ctx.pieces, None
    if pieces is not None and pieces is not body:  # an `__iter__` or `__aiter__` that is a generator function
        await _close(ctx, errors, pieces)
    await _close(ctx, errors, body)
    for callback in callbacks:
        await _surely(ctx, errors, callback, starts_on_loop(callback))
    _raise_all(errors)


async def _close(ctx: AppContext, errors: list[BaseException], body: Any) -> None:
    if type(body) is GeneratorType:
        if not body.gi_suspended:
            return  # PERF: it has ended, or never begun: closing does nothing, and may take a hop to a thread (20 us)
    elif type(body) is AsyncGeneratorType and body.ag_frame is None:
        return
    for name, on_loop in (("aclose", True), ("close", False)):
        close = getattr(body, name, None)
        if close is not None:
            await _surely(ctx, errors, close, on_loop)
            return


async def _surely(
    ctx: AppContext, errors: list[BaseException], function: Callable[..., Any], on_loop: bool | None, *args: Any
) -> None:
    """Call a function that a request's end must not lose, and keep what it raises.

    Once the request, or what runs at its end, has been cancelled, it runs in a shielded scope of `TEARDOWN_TIMEOUT`
    seconds.
    """
    try:
        if on_loop is not None and on_loop is not ctx.on_loop and not (ctx.on_loop and ctx.interrupted):
            try:
                await (to_loop() if on_loop else to_thread())
            except BaseException as exc:  # a cancellation instead of the crossing: the coroutine is on the loop
                _note_interruption(ctx, exc)
                errors.append(exc)
        if ctx.on_loop and ctx.interrupted:
            with anyio.move_on_after(TEARDOWN_TIMEOUT, shield=True):
                try:
                    await call(ctx, function, on_loop, *args)
                finally:
                    if not ctx.on_loop:  # the scope belongs to the loop's task
                        await to_loop()
        else:
            await call(ctx, function, on_loop, *args)
    except BaseException as exc:
        _note_interruption(ctx, exc)
        errors.append(exc)


def _note_interruption(ctx: AppContext, error: BaseException | None) -> None:
    """Remember on the context that something other than an error ended its work: what follows has to be shielded."""
    if error is not None and not isinstance(error, (Exception, GeneratorExit)):
        ctx.interrupted = True


async def teardown(ctx: AppContext, error: BaseException | None) -> None:
    """Run the teardown functions of a context, all of them and each once, whatever they raise.

    After a cancellation each runs in a shielded scope of `TEARDOWN_TIMEOUT` seconds.

    Raises:
        BaseException: What one of them raised, when all have run; an ExceptionGroup if there were several.
    """
    if ctx._torn_down:
        return
    ctx._torn_down = ctx.complete = True  # a client that leaves from here on cancels nothing
    _note_interruption(ctx, error)
    if error is not None and ctx.app.should_ignore_error(error):
        error = None
    errors: list[BaseException] = []
    steps = ctx.plan.steps
    if ctx.has_request:
        await _collect(errors, steps.do_teardown_request(ctx, error))
        try:
            release(ctx)
        except Exception as exc:  # an own request class has its own `close`
            errors.append(exc)
    await _collect(errors, steps.do_teardown_appcontext(ctx, error))
    if appcontext_popped.receivers:
        await _collect(errors, emit(ctx, appcontext_popped))
    _raise_all(errors)


def release(ctx: AppContext) -> None:
    """Close what a request holds: its files and its body.

    PERF: where there is no teardown function, this is all there is to tear down: 2 us less than `teardown`.
    """
    try:
        if ctx._request is not None:
            if "werkzeug.request" in ctx.source:  # type: ignore[operator]
                ctx.source["werkzeug.request"] = None  # type: ignore[index]  # the request holds the environ: a cycle
            ctx._request.close()
    finally:
        if ctx.body is not None:
            ctx.body.close()


async def _collect(errors: list[BaseException], step: Awaitable[Any]) -> None:
    """Await a step and keep what it raises: the following ones run all the same."""
    try:
        await step
    except BaseException as exc:
        errors.append(exc)


def _raise_all(errors: list[BaseException]) -> None:
    if not errors:
        return
    error = errors[0]
    if len(errors) > 1:
        error = BaseExceptionGroup("several functions failed at the end of a request", errors)
    errors.clear()  # a frame, or a list of it, that holds its own traceback is a cycle
    try:
        raise error
    finally:
        del error


async def do_teardown_request(ctx: AppContext, error: BaseException | None) -> None:
    """Run the functions of `teardown_request`, the last registered first, then signal it."""
    await _teardown_steps(ctx, error, ctx.plan.teardown_request, request_tearing_down)


async def do_teardown_appcontext(ctx: AppContext, error: BaseException | None) -> None:
    """Run the functions of `teardown_appcontext`, the last registered first, then signal it."""
    await _teardown_steps(ctx, error, ctx.plan.teardown_app, appcontext_tearing_down)


async def _teardown_steps(
    ctx: AppContext, error: BaseException | None, functions: tuple[Step, ...], signal: Signal
) -> None:
    errors: list[BaseException] = []
    for function, on_loop in functions:
        await _surely(ctx, errors, function, on_loop, error)
    if signal.receivers and not signal.is_muted:
        for receiver in list(signal.receivers_for(ctx.app)):
            tell = functools.partial(receiver, ctx.app, exc=error)
            await _surely(ctx, errors, tell, starts_on_loop(receiver))
    _raise_all(errors)
