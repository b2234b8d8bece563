"""A request's session: when it is opened and saved, and on which side of the crossing.

Owns what lies between a context and its app's session interface. Knows no cookie and no store.

Theory of operation: a session is opened when somebody looks at it, wherever that is; for a signed cookie nothing more
is needed. One whose interface may have to wait (it does I/O, or is `async def`) is opened before the first function of
the request, if the request carries the session cookie, and put aside until somebody looks. Nobody's look means no
session: nothing is saved, and the response does not vary. A store that fails is a 503, at either end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .bridge import asyncio_is_running, call, loop_is_running, starts_on_loop, to_loop
from .closing import close_response
from .ctx import AppContext
from .http.cookies import parse_cookie_pairs
from .lazy import LazyModule
from .request import Request
from .response import Response
from .sessions import NullSession, SecureCookieSessionInterface

if TYPE_CHECKING:
    from .sessions import store as stores
else:  # most apps keep their sessions in the cookie
    stores = LazyModule(f"{__package__}.sessions.store")

__all__ = ["load_session", "loads_early", "open_now", "save_session", "write_session"]


class _UnavailableSession(NullSession):
    """What stands for a session whose store failed, while the 503 is made."""

    reason = "its store did not answer, and the request is answered with a 503."


def loads_early(app: Any) -> bool:
    """Whether an app's sessions are opened before the first function of a request."""
    interface = app.session_interface
    return bool(getattr(interface, "does_io", True)) or _colours(app, interface)[0]


def _colours(app: Any, interface: Any) -> tuple[bool, bool]:
    """Whether an interface's `open_session` and `save_session` start on a loop; worked out once."""
    kept = app._session_colours
    if kept is None or kept[0] is not interface:
        colours = starts_on_loop(interface.open_session), starts_on_loop(interface.save_session)
        kept = app._session_colours = (interface, colours)
    return kept[1]  # type: ignore[no-any-return]


def _side(ctx: AppContext, interface: Any, on_loop: bool) -> bool | None:
    """The side on which a method of an interface starts: True for the loop, False for a thread, None for either."""
    if on_loop:
        return True
    if not getattr(interface, "does_io", True):
        return None
    if getattr(interface, "has_async", False) and ctx.gateway is not None and ctx.gateway.serves_on_loop:
        # It answers with something to await where an asyncio loop runs; trio's loop is not for its client.
        return None if not ctx.on_loop or asyncio_is_running() else False
    return False


def _carries_cookie(ctx: AppContext, interface: Any) -> bool:
    """Whether a request may have a session: the name of its cookie occurs among the cookies."""
    get_name = getattr(interface, "get_cookie_name", None)
    if get_name is None:
        return True
    name: str = get_name(ctx.app)
    source: Any = ctx.source
    if "headers" not in source:
        return name in source.get("HTTP_COOKIE", "")
    raw = name.encode("latin-1", "replace")
    return any(field == b"cookie" and raw in value for field, value in source["headers"])


async def load_session(ctx: AppContext) -> None:
    """Open the session of a request that carries the cookie, before its first function.

    Raises:
        StoreUnavailable: The store does not answer (503).
    """
    if ctx._session is not None or ctx._loaded_session is not None or not ctx.has_request:
        return
    app = ctx.app
    interface: Any = app.session_interface
    if (ctx.rule is not None and not ctx.rule.session) or not _carries_cookie(ctx, interface):
        return
    side = _side(ctx, interface, _colours(app, interface)[0])
    try:
        ctx._loaded_session = _or_null(app, interface, await call(ctx, interface.open_session, side, app, ctx.request))
    except stores.StoreUnavailable:
        ctx._loaded_session = _UnavailableSession()
        raise


def _or_null(app: Any, interface: Any, opened: Any) -> Any:
    return interface.make_null_session(app) if opened is None else opened


def open_now(ctx: AppContext) -> Any:
    """Open the session at the first look.

    Raises:
        RuntimeError: Code on an event loop looks at a session that was not opened before it and has to be waited for.
        StoreUnavailable: The store does not answer (503).
    """
    session: Any = ctx._loaded_session
    app = ctx.app
    interface: Any = app.session_interface
    if (
        type(interface) is SecureCookieSessionInterface
        and ctx._request is None
        and ctx.source is not None
        and app.request_class.cookies is Request.cookies
    ):
        # PERF: 6 us of 26 less than with a request object, which nobody else may want.
        session = _or_null(app, interface, interface.open_value(app, _cookie_of(ctx.source, app)))
    elif session is None:
        request = ctx.request  # raises outside a request
        if loads_early(app) and loop_is_running() and _carries_cookie(ctx, interface):
            raise RuntimeError(_TOO_LATE)
        session = interface.open_session(app, request)
        if hasattr(session, "__await__"):
            session = _at_once(interface, session) if loop_is_running() else app.async_to_sync(_awaited)(session)
        session = _or_null(app, interface, session)
    try:
        session.accessed = True
    except AttributeError:  # a foreign class may have it as a constant
        pass
    return session


def _cookie_of(source: dict[str, Any], app: Any) -> str | None:
    """The value of the session cookie in an environ or a scope, as `request.cookies` has it."""
    if "headers" in source:
        header = b"; ".join([value for field, value in source["headers"] if field == b"cookie"]).decode("latin-1")
    else:
        header = source.get("HTTP_COOKIE", "")
    wanted = app.config["SESSION_COOKIE_NAME"]
    for name, value in parse_cookie_pairs(header):
        if name == wanted:
            return value
    return None


async def _awaited(value: Any) -> Any:
    return await value


def _at_once(interface: Any, opened: Any) -> Any:
    """What an awaitable session is, on a running loop, where nothing can be waited for."""
    steps = opened.__await__()
    try:
        next(steps)
    except StopIteration as stop:
        return stop.value
    close = getattr(steps, "close", None)
    if close is not None:
        close()
    raise RuntimeError(
        f"{type(interface).__name__}.open_session() waits for something although the request has no session cookie, "
        "and an async function looks at the session just now. Without the cookie, return a new session at once."
    )


_TOO_LATE: Final = (
    "the session has to be read from where it is kept, and an async function cannot wait for that by looking at it. It "
    "is read before the first function of a request: take session=False off this URL rule, or in a test write 'async "
    "with app.test_request_context(...):'."
)


async def save_session(_app: Any, ctx: AppContext, response: Response) -> Response:
    """Save a session that was looked at, after the after hooks; a method of the app.

    Returns:
        The response; that of a 503 if the store does not answer.
    """
    interface: Any = ctx.app.session_interface
    if type(interface) is SecureCookieSessionInterface:  # PERF: 600 ns less, for most apps that have sessions
        if not interface.is_null_session(ctx._session):
            interface.save_session(ctx.app, ctx._session, response)  # type: ignore[arg-type]
        return response
    try:
        await write_session(ctx, response)
        return response
    except stores.StoreUnavailable as error:
        ctx._session = _UnavailableSession()
        await close_response(ctx, response, None)
        return ctx.app.make_response(await ctx.plan.steps.handle_http_exception(ctx, error))


async def write_session(ctx: AppContext, response: Response) -> None:
    """Save a session that was looked at.

    Raises:
        StoreUnavailable: The store does not answer.
    """
    app, session = ctx.app, ctx._session
    interface: Any = app.session_interface
    if session is None or interface.is_null_session(session) or type(session) is _UnavailableSession:
        return
    side = _side(ctx, interface, _colours(app, interface)[1])
    if side is not None:
        await call(ctx, interface.save_session, side, app, session, response)
        return
    waits = interface.save_session(app, session, response)
    if waits is not None:
        if not ctx.on_loop:
            await to_loop()
        await waits
