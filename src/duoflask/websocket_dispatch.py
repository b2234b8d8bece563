"""The order of a WebSocket: the only copy of it.

Owns what happens from the handshake to the close frame: match, hooks, view, error handlers, the answer to a handshake
that is refused, session, teardown. Knows no wire: messages go through the channel that a gateway brings. The steps that
a handshake has in common with any request are `dispatch`'s.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from inspect import isasyncgen, isgenerator
from typing import Any, Final

from .bridge import call, to_loop, to_thread
from .closing import _collect, _raise_all, _surely, _teardown_steps, close_response, teardown
from .ctx import _cv_app
from .dispatch import blocks
from .events import emit
from .exceptions import Forbidden, HTTPException, InternalServerError
from .http.websocket_close import MAX_REASON_BYTES, WebsocketDisconnect
from .linking import match_websocket
from .plans import find_error_handler, side_of
from .response import Response, encoded
from .session_steps import _carries_cookie, write_session
from .signals import (
    appcontext_pushed,
    got_websocket_exception,
    websocket_finished,
    websocket_started,
    websocket_tearing_down,
)
from .websocket_context import WebsocketContext
from .websocket_object import _CLOSED, _NEW, _OPEN

__all__ = ["dispatch_websocket", "is_disconnect", "teardown_websocket"]

_POLICY: Final = 1008  # what an HTTP 4xx is after the handshake
_FAILURE: Final = 1011


async def dispatch_websocket(ctx: WebsocketContext, path: str | None) -> None:
    """Serve one WebSocket: from the first hook to the close frame, or the answer that refuses the handshake.

    PERF: all in one coroutine, which awaits what the view returned by itself. Each message goes down and up the chain
    of those that wait for it, and a thousand connections do not fit into the processor's cache (tests/e2e).

    Args:
        ctx: Its context; this coroutine runs inside its `context`.
        path: The path below the application, decoded; None if its bytes are no UTF-8.
    """
    error: BaseException | None = None
    app, rv = ctx.app, None
    try:
        _cv_app.set(ctx)
        if (await _link(ctx).receive())["type"] != "websocket.connect":
            return  # the client has left already
        match_websocket(app, ctx, path)
        if appcontext_pushed.receivers:
            await emit(ctx, appcontext_pushed)
        try:
            try:
                rv = await _preprocess(ctx)
                if rv is None:
                    on_loop = ctx.plan.view_on_loop
                    if on_loop is not ctx.on_loop:
                        await (to_loop() if on_loop else to_thread())
                    rv = _call_view(ctx)
                    if hasattr(rv, "__await__"):
                        if not ctx.on_loop:
                            await to_loop()
                        rv = await rv
                    _check(ctx, rv)
            except Exception as exc:
                rv = None if is_disconnect(exc) else await _handle(ctx, exc)
            ctx.link.settle()
            await _finalize(ctx, rv)
            if ctx.websocket._state is _OPEN:
                await _close(ctx, 1000)
        except Exception as exc:
            error = exc
            await _fail(ctx, exc)
    except BaseException as exc:
        error = exc
        raise
    finally:
        ctx.link.settle()
        if ctx.plan is not None:
            await teardown_websocket(ctx, error)
        if ctx.routing_exception is not None:
            ctx.routing_exception.__traceback__ = None  # its frames hold the context: a cycle
        rv = error = None


def _link(ctx: WebsocketContext) -> Any:
    """The connection for the side that the coroutine is on."""
    return ctx.link if ctx.on_loop else ctx.thread_link


async def _preprocess(ctx: WebsocketContext) -> Any:
    """Run the hooks of a request, then those of a WebSocket; the first answer of one, or None."""
    app, plan = ctx.app, ctx.plan
    if app._unprepared:
        await app._prepare(ctx)
    if websocket_started.receivers:
        await emit(ctx, websocket_started)
    rv = await plan.steps.preprocess_request(ctx) if plan.has_before else None
    if rv is None:
        for function, on_loop in plan.before_websocket:
            rv = await call(ctx, function, on_loop)
            if rv is not None:
                break
    return rv


def _call_view(ctx: WebsocketContext) -> Any:
    """Call the view, or raise why there is none."""
    request, plan = ctx._request, ctx.plan
    if (ctx.routing_exception if request is None else request.routing_exception) is not None:
        ctx.app.raise_routing_exception(ctx.request)
    refusal = getattr(ctx.link.channel, "refusal", None)
    if refusal is not None:  # a malformed handshake, or a WSGI server that keeps its socket
        raise refusal
    if plan.view is None:
        raise plan.missing_view(ctx.rule)
    args = (ctx.view_args if request is None else request.view_args) or {}
    return plan.view(**args)


def _check(ctx: WebsocketContext, rv: Any) -> None:
    """Refuse what a view cannot have meant.

    Raises:
        TypeError: What it returned can be neither awaited nor answered.
    """
    if rv is None:
        return
    name = getattr(ctx.plan.view, "__qualname__", repr(ctx.plan.view))
    if hasattr(rv, "__await__"):
        if isinstance(rv, Coroutine):
            rv.close()
        raise TypeError(
            f"the WebSocket view {name!r} returned something that still has to be awaited; write 'await' before what "
            "it returns, as in 'await websocket.send(...)'"
        )
    if isgenerator(rv) or isasyncgen(rv):
        raise TypeError(
            f"the WebSocket view {name!r} is a generator: its 'yield' sends nothing. Write 'await websocket.send(...)' "
            "in its place ('websocket.send(...)' in a 'def' view)."
        )


def is_disconnect(error: BaseException) -> bool:
    """Whether an exception says that the client has left: a `WebsocketDisconnect`, or a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_disconnect(inner) for inner in error.exceptions)
    return isinstance(error, WebsocketDisconnect)


# -- the end of a conversation


async def _finalize(ctx: WebsocketContext, rv: Any, from_error_handler: bool = False) -> None:
    """Run the after hooks and, where the handshake was not accepted, answer it."""
    app, websocket = ctx.app, ctx.websocket
    response: Response | None = None
    if websocket._state is _NEW and ctx.link.gone is None:
        if rv is None:
            rv = Forbidden("The WebSocket was not accepted.")
        if ctx.on_loop and blocks(rv):
            await to_thread()
        response = app.make_response(rv)
    elif rv is not None and websocket._state is not _NEW and not from_error_handler:
        app.logger.warning(
            "the view of %s returned %s after accept(), and nobody gets it; use websocket.send(), or return it before "
            "accept() to refuse the handshake",
            ctx.plan.endpoint,
            type(rv).__name__,
        )
    for function, on_loop in [(f, side_of(f, app._inline)) for f in ctx._after_websocket or ()] + [
        *ctx.plan.after_websocket
    ]:
        answer = await call(ctx, function, on_loop, response)
        if response is not None and answer is not None:
            response = app.make_response(answer)
    if response is not None:
        response = await ctx.plan.steps.process_response(ctx, response)
    if websocket_finished.receivers:
        await emit(ctx, websocket_finished, response=response)
    if response is not None:
        await _deny(ctx, response)


async def _deny(ctx: WebsocketContext, response: Response) -> None:
    """Refuse the handshake with a response; with a bare 403 where the server takes no response."""
    error: BaseException | None = None
    try:
        if not ctx.link.channel.denies:
            await ctx.websocket._close(_link(ctx), 1000, "")
            return
        body = await _whole(ctx, response)
        ctx.websocket._state = _CLOSED
        link = _link(ctx)
        start = {"type": "websocket.http.response.start", "status": response._status_code}
        await link.send({**start, "headers": response.raw_headers()})
        await link.send({"type": "websocket.http.response.body", "body": body})
    except OSError:
        pass  # the client was quicker
    except BaseException as exc:
        error = exc
        raise
    finally:
        await close_response(ctx, response, error)


async def _whole(ctx: WebsocketContext, response: Response) -> bytes:
    """The body of a response, read to its end on its side."""
    if not response.has_body("GET"):
        return b""
    if response._iterable is not None:
        if response.is_async:
            if not ctx.on_loop:
                await to_loop()
            response.set_data(b"".join([encoded(item) async for item in response._iterable]))
        else:
            if ctx.on_loop:
                await to_thread()
            response.set_data(b"".join(response.iter_encoded()))
    return response._body or b""


async def _close(ctx: WebsocketContext, code: int, reason: str = "") -> None:
    if ctx.link.gone is None:
        await ctx.websocket._close(_link(ctx), code, reason)


# -- errors


async def _handle(ctx: WebsocketContext, error: Exception) -> Any:
    """Have an error handler answer what a hook or the view raised; after the handshake it may only close.

    Raises:
        Exception: The error itself, if nobody handles it.
    """
    try:
        rv = await ctx.plan.steps.handle_user_exception(ctx, error)
        if ctx.websocket._state is not _OPEN:
            return rv
        if isinstance(error, HTTPException) and (error.code or 0) < 500:
            await _close(ctx, _POLICY, _reason(error))
        else:
            await _close(ctx, _FAILURE)
        return None
    finally:
        del error  # its traceback holds this frame: a cycle


def _reason(error: HTTPException) -> str:
    return f"{error.code} {error.name}".encode()[:MAX_REASON_BYTES].decode(errors="ignore")


async def _fail(ctx: WebsocketContext, error: Exception) -> None:
    """End a connection whose exception nobody handled: log it and close with 1011, or answer with a 500.

    Raises:
        Exception: The error itself, where PROPAGATE_EXCEPTIONS (by default TESTING or DEBUG) says so.
    """
    app = ctx.app
    ctx.link.settle()
    if got_websocket_exception.receivers:
        await emit(ctx, got_websocket_exception, exception=error)
    propagate = app.config["PROPAGATE_EXCEPTIONS"]
    raises = app.testing or app.debug if propagate is None else propagate
    if not raises:
        app.log_exception((type(error), error, error.__traceback__))
    if ctx.websocket._state is _OPEN:
        await _close(ctx, _FAILURE)
    elif not raises and ctx.websocket._state is _NEW:
        answer: Any = InternalServerError(original_exception=error)
        handler = find_error_handler(app, answer, ctx.plan.blueprints)
        if handler is not None:
            answer = await call(ctx, handler, side_of(handler, app._inline), answer)
        await _finalize(ctx, answer, True)
    if raises:
        try:
            raise error
        finally:
            del error  # its traceback holds this frame: a cycle


# -- teardown


async def teardown_websocket(ctx: WebsocketContext, error: BaseException | None) -> None:
    """Save what of the session is still to be saved, and run the teardown functions, each once, whatever they raise."""
    if ctx._torn_down:
        return
    ctx.complete = True
    if error is not None and not isinstance(error, (Exception, GeneratorExit)):
        ctx.interrupted = True
    errors: list[BaseException] = []
    if ctx._session is not None and ctx.link is not None:
        await _surely(ctx, errors, partial(_save_late, ctx), None)
    told = None if error is not None and ctx.app.should_ignore_error(error) else error
    await _collect(errors, _teardown_steps(ctx, told, ctx.plan.teardown_websocket, websocket_tearing_down))
    await _collect(errors, teardown(ctx, error))
    _raise_all(errors)


async def _save_late(ctx: WebsocketContext) -> None:
    """Save a session that was changed after the handshake, if it is kept elsewhere than in a cookie."""
    app, session = ctx.app, ctx._session
    websocket = ctx._websocket
    if websocket is None or websocket._state is _NEW or not getattr(session, "modified", False):
        return
    interface: Any = app.session_interface
    if interface.is_null_session(session):
        return
    known = ctx._session_sent or _carries_cookie(ctx, interface)
    if not getattr(interface, "does_io", True) or not known:
        if websocket._accepted:
            app.logger.warning(
                "the session was changed after accept() on %s, and the change is lost: its cookie goes with the answer "
                "to the handshake. Change it before accept(), or keep sessions on the server (SESSION_STORE).",
                ctx.plan.endpoint,
            )
        return
    await write_session(ctx, app.response_class())
