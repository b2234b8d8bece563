"""Time-outs of requests: `timeout=` on a route, and REQUEST_TIMEOUT.

Owns the step that a plan runs in the place of `full_dispatch_request` where there is a limit; where there is none,
nothing of this runs. The body of a response is streamed after it and takes as long as it takes.

What awaits is cancelled at the deadline and answered with 504; a request that no worker thread became free for, with
503. A `def` function that runs cannot be stopped: its answer is sent late and a warning logged. It may look at
`request.time_left`.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

from .bridge import starts_on_loop, to_loop, to_thread
from .ctx import AppContext
from .exceptions import GatewayTimeout, HTTPException, ServiceUnavailable
from .lazy import LazyModule
from .response import Response
from .typing import App

if TYPE_CHECKING:
    import inspect

    import anyio
else:  # an app without a time-out needs neither
    inspect = LazyModule("inspect")
    anyio = LazyModule("anyio")

__all__ = ["check_timeout", "dispatch_within", "is_limited"]

DEFAULT: Final = "default"  # the time-out of a rule that was given none: REQUEST_TIMEOUT


def check_timeout(value: Any) -> Any:
    """Return a time-out as a rule keeps it.

    Raises:
        TypeError: No number.
        ValueError: Not above zero.
    """
    if value is None or value == DEFAULT:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"invalid timeout; expected a number of seconds or None; got {value!r}")
    if not value > 0:
        raise ValueError(f"invalid timeout; expected more than 0 seconds; got {value!r}. Write None for no limit.")
    return value


def is_limited(app: App, endpoint: Any) -> bool:
    """Whether a request of an endpoint may have a time-out; asked once for each plan."""
    if app.config.get("REQUEST_TIMEOUT") is not None:
        return True
    rules = app.url_map._rules_by_endpoint.get(endpoint, ()) if endpoint is not None else ()
    return any(rule.timeout not in (None, DEFAULT) for rule in rules)


def _seconds(ctx: AppContext) -> float | None:
    own: Any = DEFAULT if ctx.rule is None else ctx.rule.timeout
    seconds: float | None = check_timeout(ctx.app.config["REQUEST_TIMEOUT"]) if own == DEFAULT else own
    return seconds


def _awaits(ctx: AppContext) -> bool:
    """Whether a function of the plan is `async def`, below its decorators, so that there is something to cancel."""
    plan = ctx.plan
    steps = (*plan.preprocessors, *plan.before, *plan.after, (plan.view, plan.view_on_loop))
    return any(on_loop or (one is not None and starts_on_loop(inspect.unwrap(one))) for one, on_loop in steps)


async def dispatch_within(ctx: AppContext) -> Response:
    """From the first hook to the finished response, within the time that the rule or the app allows."""
    seconds = _seconds(ctx)
    step = ctx.plan.steps.full_dispatch_request
    if seconds is None or seconds == math.inf:
        return await step(ctx)  # type: ignore[no-any-return]
    began = time.monotonic()
    ctx.deadline = began + seconds
    if not ctx.on_loop and not _awaits(ctx):
        response: Response | None = await step(ctx)
    else:
        if not ctx.on_loop:
            if ctx.has_body and ctx.rule is not None and ctx.rule.stream_body:
                try:
                    reading = ctx.gateway.read_body(ctx)  # else it would be collected for the portal
                    if reading is not None:
                        await reading
                except HTTPException as exc:
                    return await _answer(ctx, exc)
                ctx.has_body = False
            await to_loop()
        response, error = await _cancelled_late(ctx, seconds)
        if response is None:
            assert error is not None  # one of the two is there
            ctx.app.logger.warning("%s; time-out of %s s for %r", error.description, seconds, ctx.plan.endpoint)
            return await _answer(ctx, error)
    assert response is not None  # no deadline has taken it away
    duration = time.monotonic() - began
    if duration > seconds:
        ctx.app.logger.warning(
            "%r took %.3f s and has a time-out of %s s; a 'def' function cannot be stopped: have it look at "
            "request.time_left, or make it 'async def'",
            ctx.plan.endpoint,
            duration,
            seconds,
        )
    return response


async def _answer(ctx: AppContext, error: HTTPException) -> Response:
    answer = await ctx.plan.steps.handle_user_exception(ctx, error)
    return await ctx.plan.steps.finalize_request(ctx, answer, True)  # type: ignore[no-any-return]


async def _cancelled_late(ctx: AppContext, seconds: float) -> tuple[Response | None, HTTPException | None]:
    """Run the step on the loop, in a scope that is cancelled at the deadline; the response, or why there is none."""
    response: Response | None = None
    failure: BaseException | None = None
    no_thread = False
    with anyio.CancelScope(deadline=anyio.current_time() + seconds):
        try:
            response = await ctx.plan.steps.full_dispatch_request(ctx)
        except Exception as exc:
            failure = exc
        except BaseException as exc:
            if ctx.on_loop:
                no_thread = _was_withdrawn(exc)
                raise
            failure = exc  # SystemExit and the like, of a 'def' function
        if not ctx.on_loop:  # the scope belongs to the loop's task
            await to_loop()
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame: a cycle
    if response is not None:
        return response, None
    if no_thread:
        return None, ServiceUnavailable("no worker thread became free", retry_after=math.ceil(seconds))
    return None, GatewayTimeout("the view did not finish")


def _was_withdrawn(error: BaseException) -> bool:
    """Whether a cancellation came while the request waited for a worker thread to begin."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is to_thread.__code__:
            return True
        trace = trace.tb_next
    return False
