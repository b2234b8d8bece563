"""What every template sees besides its own variables, and how sync rendering takes what only a loop can wait for.

Owns the stand-ins for `g`, `request` and `session` in a template's context, and the crossing of awaitables that a sync
template meets. Knows no template engine: an app fills a context without importing one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from .bridge import async_to_sync, loop_is_running
from .ctx import _cv_app
from .local import LocalProxy

__all__ = ["OUTSIDE_REQUEST", "WITHIN_REQUEST", "ContextValue", "default_processor", "settled"]


class ContextValue(LocalProxy[Any]):
    """One of the active context's objects in a template's context, made when somebody looks.

    A template that mentions the name gets the object itself, so that `{{ session|tojson }}` works; one that does not
    opens no session.
    """

    __slots__ = ()


def _value(name: str) -> ContextValue:
    def current() -> Any:
        ctx = _cv_app.get(None)
        if ctx is None:
            raise RuntimeError(f"a template looked at {name!r} after its context had ended; no context is active")
        return getattr(ctx, name)

    return ContextValue(current)


OUTSIDE_REQUEST: Final[dict[str, Any]] = {"g": _value("g")}
WITHIN_REQUEST: Final[dict[str, Any]] = {
    **OUTSIDE_REQUEST,
    "request": _value("request"),
    "session": _value("session"),
}


def default_processor() -> dict[str, Any]:
    """The context processor of every app: `g`, and within a request `request` and `session`."""
    ctx = _cv_app.get(None)
    if ctx is None:
        return {}
    return dict(WITHIN_REQUEST if ctx.source is not None else OUTSIDE_REQUEST)


_AWAIT_IT: Final = (
    "a template that is rendered by a sync function on a running event loop cannot await it; write 'await "
    "render_template_async(...)' (or its kin) instead of 'render_template(...)' in an 'async def' function"
)


def settled(awaitable: Awaitable[Any], what: Callable[[], str], advice: str = _AWAIT_IT) -> Any:
    """Wait, in a `def` function, for what an `async def` function will answer.

    Args:
        awaitable: What it returned.
        what: Names it in the error.
        advice: Ends the error: why it cannot be waited for, and what to write instead.

    Raises:
        RuntimeError: On a running event loop, as in an `async def` view, where waiting would block the loop.
    """
    if loop_is_running():
        close = getattr(awaitable, "close", None)
        if close is not None:
            close()  # or it would warn that nobody has awaited it
        raise RuntimeError(f"{what()} is asynchronous, and {advice}")

    async def wait() -> Any:
        return await awaitable

    return async_to_sync(wait)()
