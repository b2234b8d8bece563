"""103 Early Hints (RFC 8297): links that a browser may fetch while the response is still being made.

Owns how each kind of server is told: `wsgi.early_hints` in the environ (gunicorn, our own server), ASGI's extension
`http.response.early_hint` (hypercorn, our own), and the informational message of gunicorn's ASGI worker.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .bridge import async_to_sync, loop_is_running
from .ctx import AppContext, _request_context
from .http.link import Link, link_value

__all__ = ["early_hints"]

# It takes the message without an entry in the scope's extensions (gunicorn 25 to 27).
_GUNICORN = "gunicorn.asgi.protocol"


def early_hints(links: Iterable[str | Link]) -> Any:
    """Send a 103 with links before the response, as often as you like; a browser fetches them meanwhile.

    In a `def` function it sends at once; in an `async def` function write `await early_hints(...)`.

    Args:
        links: URLs, such as those of `url_for("static", ...)`, `Link` objects, or whole values
            (`"</a.css>; rel=preload; as=style"`).

    Returns:
        Whether the server has taken them; False where it cannot send any, and once the response has been started.
        On a running loop, something to await that says so.

    Raises:
        RuntimeError: No request is active.
        TypeError: No iterable of links.
        ValueError: A link with a control character.
    """
    ctx = _request_context("early_hints")
    if isinstance(links, (str, Link)):
        raise TypeError(f"invalid links; expected a list; got {links!r}. Write early_hints([{links!r}]).")
    values = [link_value(link) for link in links]
    if loop_is_running():
        return _send_on_loop(ctx, values)
    return _send_in_thread(ctx, values)


async def _send_on_loop(ctx: AppContext, values: list[str]) -> bool:
    call = _of_environ(ctx, values)
    if call is not None:
        await ctx.app.sync_to_async(call)([("Link", value) for value in values])
        return True
    message = _message(ctx, values)
    if message is None:
        return False
    await ctx.send(message)
    return True


def _send_in_thread(ctx: AppContext, values: list[str]) -> bool:
    call = _of_environ(ctx, values)
    if call is not None:
        call([("Link", value) for value in values])
        return True
    message = _message(ctx, values)
    if message is None:
        return False
    async_to_sync(ctx.send)(message)
    return True


def _may_send(ctx: AppContext, values: list[str]) -> bool:
    """Whether there is something to send, and a request that has no response yet."""
    return bool(values) and ctx.gateway is not None and not ctx.sent


def _of_environ(ctx: AppContext, values: list[str]) -> Any:
    """What a WSGI server that sends them wants called."""
    source: Any = ctx.source
    if "headers" in source or source.get("SERVER_PROTOCOL") == "HTTP/1.0" or not _may_send(ctx, values):
        return None
    return source.get("wsgi.early_hints")


def _message(ctx: AppContext, values: list[str]) -> dict[str, Any] | None:
    """The message for an ASGI server that knows one."""
    source: Any = ctx.source
    if "headers" not in source or not _may_send(ctx, values):
        return None
    raw = [value.encode("latin-1") for value in values]
    if "http.response.early_hint" in (source.get("extensions") or ()):
        return {"type": "http.response.early_hint", "links": raw}
    if getattr(ctx.send, "__module__", "") == _GUNICORN and source.get("http_version") != "1.0":
        return {"type": "http.response.informational", "status": 103, "headers": [(b"link", value) for value in raw]}
    return None
