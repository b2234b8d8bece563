"""The order of a request: the only copy of it.

Owns what happens between the moment a gateway has a context and the moment its response has been sent. Knows no
protocol: where a body is read from and a response sent to, it calls the gateway that the context came with.

Each step of Flask's that can be overridden is a coroutine of the same name here. Where an app replaces one
(`Plan.custom`), `_step` calls the app's method instead; the methods of the app's base class run these coroutines, so
that `super()` does the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Protocol

from .bridge import call, starts_on_loop, to_loop, to_thread
from .closing import do_teardown_appcontext, do_teardown_request, release, stream, teardown
from .ctx import AppContext, _cv_app
from .events import emit
from .exceptions import BadRequestKeyError, HTTPException, InternalServerError, NotFound
from .http.wire import CONTENT_TYPES
from .linking import match
from .plans import find_error_handler, side_of
from .response import Response
from .routing import RoutingException
from .signals import (
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    got_request_exception,
    request_finished,
    request_started,
    request_tearing_down,
)

__all__ = ["Gateway", "Steps", "blocks", "dispatch", "teardown"]

# PERF: the signals' own dictionaries of receivers; looking into each costs 5 ns, through the signal 17.
_PUSHED: Final = appcontext_pushed.receivers
_STARTED: Final = request_started.receivers
_FINISHED: Final = request_finished.receivers
_ENDING: Final = request_tearing_down.receivers
_ENDED: Final = appcontext_tearing_down.receivers
_POPPED: Final = appcontext_popped.receivers

_OWN_ANSWERS: Final = (Response, HTTPException)


class Gateway(Protocol):
    """What the dispatcher and the life cycle need of a protocol."""

    serves_on_loop: bool

    def read_body(self, ctx: AppContext) -> Awaitable[None] | None:
        """Have the request's body ready for code of both colours, or refuse it; once awaited, if it has to be."""

    async def stream(self, ctx: AppContext, response: Response) -> None:
        """Send a response whose body is an iterable, or that has something to close; return when that is done."""

    def suspended(self, ctx: AppContext) -> bool:
        """Told when the request first waits for something on a loop, until it answers True."""

    def home_key(self) -> Any:
        """What stands for the server's loop; None for the portal."""


async def dispatch(ctx: AppContext, method: str, path: str | None, *, step: bool = False) -> Any:
    """Serve one request: match, hooks, view, error handlers, response, session, after hooks, body, teardown.

    PERF: the outer life of a request and its step `full_dispatch_request` are one coroutine, because awaiting a second
    one costs 110 ns of 2,500 (plain text, benchmarks/); an app that overrides the step has it called in its place.

    Args:
        ctx: The request's context; this coroutine runs inside its `context`.
        method: The request's method.
        path: The path below the application, decoded; None if its bytes are no UTF-8.
        step: Run the step alone, for an override's `super()`: from the first hook to the finished response.

    Returns:
        The response; or, where nobody is to see one, the body and the Content-Type pairs of a view's text or JSON. A
        complete body is left to the caller to send; an iterable one has been sent.
    """
    error: BaseException | None = None
    app = ctx.app
    try:
        try:
            if not step:
                _cv_app.set(ctx)
                known = app._known.get(method)
                found = None if known is None else known.get(path)  # type: ignore[arg-type]  # PERF: see linking.match
                if found is not None:
                    ctx.rule, ctx.plan = found
                    ctx.view_args = {}
                else:
                    match(app, ctx, method, path)
                if _PUSHED:
                    began_on_loop = ctx.on_loop
                    await emit(ctx, appcontext_pushed)
                    if ctx.on_loop is not began_on_loop:  # what comes first belongs to the server's side
                        await (to_loop() if began_on_loop else to_thread())
            plan = ctx.plan
            if plan.full_dispatch_request is not None and not step:
                response = await plan.full_dispatch_request(ctx)
            else:
                rv: Any = None
                refused = False
                try:
                    if app._unprepared:
                        await app._prepare(ctx)
                    if ctx.has_body and ctx.rule is not None:
                        refused = True
                        reading = ctx.gateway.read_body(ctx)
                        if reading is not None:  # PERF: no coroutine under WSGI: 130 ns (form, body; benchmarks/)
                            await reading
                        refused = False
                    if _STARTED:
                        await emit(ctx, request_started)
                    if plan.has_before:
                        rv = await plan.steps.preprocess_request(ctx)
                    if rv is None:
                        on_loop = plan.view_on_loop
                        if on_loop is not ctx.on_loop and on_loop is not None:
                            await (to_loop() if on_loop else to_thread())
                        view = plan.direct_view  # PERF: 70 ns less than the step, where it has nothing to ask
                        if view is None or method == "OPTIONS" or ctx._request is not None or ctx.routing_exception:
                            rv = plan.dispatch_request(ctx)
                        else:
                            rv = view(**ctx.view_args) if ctx.view_args else view()
                        kind = type(rv)
                        if kind is CoroutineType or (kind not in plan.plain_types and hasattr(rv, "__await__")):
                            if not ctx.on_loop:
                                await to_loop()
                            rv = await rv
                except Exception as exc:
                    rv = await plan.steps.handle_user_exception(ctx, exc)
                if refused or plan.finalize_request is not None or _FINISHED:
                    # After hooks may count on before hooks, which have not run for a refused body: they do not spoil
                    # its 4xx.
                    response = await plan.steps.finalize_request(ctx, rv, refused)
                else:
                    untouched = not plan.after and ctx._after is None and ctx._session is None
                    if type(rv) is str and plan.quick_response is not None:
                        if untouched and not step:
                            return rv.encode(), app._text_type
                        response = plan.quick_response(rv.encode())
                    elif untouched and not step and type(rv) in plan.json_types:
                        provider: Any = app.json
                        return provider.body(rv), CONTENT_TYPES[provider.mimetype]
                    elif type(rv) is plan.response_class:
                        response = rv
                    else:
                        if ctx.on_loop and blocks(rv):
                            await to_thread()
                        response = app.make_response(rv)
                    if not untouched:
                        response = await plan.steps.process_response(ctx, response)
        except Exception as exc:
            if step or ctx.plan is None:
                raise
            error = exc
            response = await ctx.plan.steps.handle_exception(ctx, exc)
        if not step and (response._iterable is not None or response._on_close):
            await stream(ctx, response)
        return response
    except BaseException as exc:
        error = exc
        raise
    finally:
        plan = ctx.plan
        if plan is not None and not step:
            if plan.has_teardown or _ENDING or _ENDED or _POPPED:
                await teardown(ctx, error)
            elif ctx._request is not None or ctx.body is not None:
                release(ctx)
        if ctx.routing_exception is not None:
            ctx.routing_exception.__traceback__ = None  # its frames hold the context: a cycle
        rv = error = None


async def full_dispatch_request(ctx: AppContext) -> Response:
    """From the first hook to the finished response; what hooks and view raise goes to their error handlers."""
    return await dispatch(ctx, ctx.method, None, step=True)  # type: ignore[no-any-return]


async def preprocess_request(ctx: AppContext) -> Any:
    """Run the url value preprocessors and the before hooks; the first answer of a hook, or None."""
    plan = ctx.plan
    for function, on_loop in plan.preprocessors:
        await call(ctx, function, on_loop, plan.endpoint, ctx.request.view_args)
    for function, on_loop in plan.before:
        if on_loop is not ctx.on_loop and on_loop is not None:
            await (to_loop() if on_loop else to_thread())
        rv = function()
        if rv is not None:
            if type(rv) is CoroutineType or hasattr(rv, "__await__"):
                if not ctx.on_loop:
                    await to_loop()
                rv = await rv
                if rv is None:
                    continue
            return rv
    return None


def dispatch_request(ctx: AppContext) -> Any:
    """Call the view that the URL rule leads to, on the side where it starts, or raise why there is none."""
    request = ctx._request
    failure = ctx.routing_exception if request is None else request.routing_exception
    if failure is not None:
        if type(failure) is NotFound and not ctx.plan.handles_missing:
            return failure  # PERF: what comes of raising it, in 2 us less (missing, benchmarks/)
        ctx.app.raise_routing_exception(ctx.request)
    rule = ctx.rule
    if ctx.method == "OPTIONS" and rule.provide_automatic_options:  # type: ignore[union-attr]
        return ctx.app.make_default_options_response()
    plan = ctx.plan
    view = plan.view
    if view is None:
        raise plan.missing_view(rule)
    args = ctx.view_args if request is None else request.view_args
    return view(**args) if args else view()


async def handle_user_exception(ctx: AppContext, error: Exception) -> Any:
    """Find the handler of an exception that a hook or the view raised, and return what it answers.

    Else raise it again.
    """
    app = ctx.app
    if isinstance(error, BadRequestKeyError) and (app.debug or app.config["TRAP_BAD_REQUEST_ERRORS"]):
        error.show_exception = True
    if isinstance(error, HTTPException) and not app.trap_http_exception(error):
        return await ctx.plan.steps.handle_http_exception(ctx, error)
    handler = _handler(ctx, error)
    if handler is None:
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: a cycle
    return await call(ctx, handler, side_of(handler, app._inline), error)


async def handle_http_exception(ctx: AppContext, error: HTTPException) -> Any:
    """What the handler of an HTTP exception answers; without one, the exception is the answer itself."""
    # A routing exception (a redirect) has no error page, and one without a code carries its whole response.
    if error.code is None or isinstance(error, RoutingException):
        return error
    handler = _handler(ctx, error)
    if handler is None:
        return error
    return await call(ctx, handler, side_of(handler, ctx.app._inline), error)


async def handle_exception(ctx: AppContext, error: Exception) -> Response:
    """Answer an unhandled exception with a 500, once logged and signalled; or raise it, in debug mode and tests.

    Raises:
        Exception: The error itself, where `PROPAGATE_EXCEPTIONS` (by default `TESTING` or `DEBUG`) says so.
    """
    app = ctx.app
    if got_request_exception.receivers:
        await emit(ctx, got_request_exception, exception=error)
    propagate = app.config["PROPAGATE_EXCEPTIONS"]
    if app.testing or app.debug if propagate is None else propagate:
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: a cycle
    app.log_exception((type(error), error, error.__traceback__))
    answer: Any = InternalServerError(original_exception=error)
    handler = _handler(ctx, answer)
    if handler is not None:
        answer = await call(ctx, handler, side_of(handler, app._inline), answer)
    return await ctx.plan.steps.finalize_request(ctx, answer, True)  # type: ignore[no-any-return]


def _handler(ctx: AppContext, error: Exception) -> Callable[[Any], Any] | None:
    return find_error_handler(ctx.app, error, ctx.plan.blueprints)


async def finalize_request(ctx: AppContext, rv: Any, from_error_handler: bool = False) -> Response:
    """Make the response of an answer and run the after hooks over it.

    Args:
        ctx: The request's context.
        rv: What a view, a hook or an error handler answered.
        from_error_handler: The answer is already that of an error: a failing after hook is logged, not raised.
    """
    plan = ctx.plan
    if type(rv) is not str and ctx.on_loop and blocks(rv):
        await to_thread()
    response = ctx.app.make_response(rv)
    try:
        if plan.after or ctx._after is not None or ctx._session is not None or plan.finalize_request is not None:
            response = await plan.steps.process_response(ctx, response)
        if request_finished.receivers:
            await emit(ctx, request_finished, response=response)
    except Exception:
        if not from_error_handler:
            raise
        ctx.app.logger.exception("Request finalizing failed with an error while handling an error")
    return response


def blocks(rv: Any) -> bool:
    """Whether an answer is a WSGI application, which blocks while it answers."""
    if type(rv) is tuple and rv:
        rv = rv[0]
    return callable(rv) and not isinstance(rv, _OWN_ANSWERS)


async def process_response(ctx: AppContext, response: Response) -> Response:
    """Run `after_this_request` and the after hooks, then save the session."""
    for function in ctx._after or ():
        response = _checked(await call(ctx, function, side_of(function, ctx.app._inline), response), function)
    for function, on_loop in ctx.plan.after:
        if on_loop is not ctx.on_loop and on_loop is not None:
            await (to_loop() if on_loop else to_thread())
        answer: Any = function(response)
        if answer is not response:
            if type(answer) is CoroutineType or hasattr(answer, "__await__"):
                if not ctx.on_loop:
                    await to_loop()
                answer = await answer
            response = _checked(answer, function)
    if ctx._session is not None:
        response = await ctx.app._save_session(ctx, response)
    if ctx.after_response or ctx.plan.after_response:
        ctx.app._background.attach(ctx, response)
    return response


def _checked(response: Any, function: Callable[..., Any]) -> Response:
    if response is None:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"the after_request function {name!r} returned None; expected the response that it was given, or another. "
            "Write 'return response' at its end."
        )
    return response  # type: ignore[no-any-return]


def _call_of(name: str) -> Callable[..., Any]:
    """A step that calls the app's own method and awaits what it returns, if that is awaitable."""

    async def step(ctx: AppContext, *args: Any) -> Any:
        method = getattr(ctx.app, name)
        return await call(ctx, method, starts_on_loop(method), *args)

    def view_step(ctx: AppContext) -> Any:  # the caller has changed sides, and awaits
        return ctx.app.dispatch_request()

    return view_step if name == "dispatch_request" else step


_STEPS: Final[dict[str, Callable[..., Any]]] = {
    step.__name__: step
    for step in (
        full_dispatch_request,
        preprocess_request,
        dispatch_request,
        handle_user_exception,
        handle_http_exception,
        handle_exception,
        finalize_request,
        process_response,
        do_teardown_request,
        do_teardown_appcontext,
    )
}


class Steps:
    """The steps of one app: the coroutines above, or calls of the methods by which it replaces them.

    Args:
        replaced: The names of the override points that the app replaces.
    """

    __slots__ = tuple(_STEPS)

    if TYPE_CHECKING:  # PERF: a class that has it at run time is read without CPython's caches, 60 ns a step slower

        def __getattr__(self, name: str) -> Callable[..., Any]: ...

    def __init__(self, replaced: frozenset[str]) -> None:
        for name, step in _STEPS.items():
            setattr(self, name, _call_of(name) if name in replaced else step)
