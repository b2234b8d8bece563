"""How a WebSocket is served: in an ASGI server's task, or in the thread of a WSGI server.

Owns the driving of the order (`websocket_dispatch`) on asyncio, on trio and in threads, and ASGI's channel. Knows no
wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextvars import copy_context
from sys import modules
from typing import TYPE_CHECKING, Any, Final

from .bridge import Home, WSGIDriver, async_to_sync, drive
from .bridge.asking import Asker
from .ctx import AppContext
from .lazy import LazyModule
from .response import Response
from .typing import App, Message, Receive, Scope, Send, WSGIEnvironment
from .websocket_channel import Channel
from .websocket_context import WebsocketContext
from .websocket_dispatch import dispatch_websocket
from .websocket_link import Link
from .websocket_threads import ThreadLink

if TYPE_CHECKING:
    import anyio
else:
    anyio = LazyModule("anyio")

__all__ = ["ASGIChannel", "Channel", "serve_websocket", "serve_websocket_now"]


class _Gateway:
    """What the life cycle asks of the protocol that a WebSocket came by."""

    __slots__ = ("serves_on_loop",)

    def __init__(self, serves_on_loop: bool) -> None:
        self.serves_on_loop = serves_on_loop

    async def read_body(self, ctx: AppContext) -> None:
        """A handshake has no body."""

    def collect_body(self, ctx: AppContext) -> None:
        """A handshake has no body."""

    async def stream(self, ctx: AppContext, response: Response) -> None:
        """Nothing is streamed: a handshake is refused with a complete response."""

    def suspended(self, ctx: AppContext) -> bool:
        """The link is told in this place."""
        return True

    def client_has_left(self, ctx: AppContext) -> bool:
        """Whether the client has left."""
        return isinstance(ctx, WebsocketContext) and ctx.websocket.disconnected

    def home_key(self) -> Any:
        """What stands for the server's loop; None for the portal."""
        return Home().key if self.serves_on_loop else None


_ON_LOOP: Final = _Gateway(True)
_IN_THREAD: Final = _Gateway(False)


class ASGIChannel:
    """An ASGI server's `receive` and `send` as a channel."""

    __slots__ = ("asker", "denies", "link", "receive", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.denies = "websocket.http.response" in (scope.get("extensions") or ())
        self.receive: Any = receive
        self.send: Any = send
        self.asker: Asker | None = None
        self.link: Link | None = None

    def receive_now(self) -> Message:
        """Have the server's task wait for the next message."""
        assert self.asker is not None  # threads come into play while it is served
        assert self.link is not None
        return self.asker(self.link.receive)

    def send_now(self, message: Message) -> None:
        """Have the server's task send a message."""
        assert self.asker is not None
        self.asker(self.send, message)


def _prepared(app: App, source: dict[str, Any], channel: Channel, gateway: _Gateway, group: Any = None) -> Any:
    ctx = WebsocketContext(app, source, gateway)
    ctx.link = Link(ctx, channel, group)
    ctx.context = copy_context()
    return ctx


async def serve_websocket(app: App, scope: Scope, channel: ASGIChannel, path: str | None) -> None:
    """Serve one WebSocket in the calling task, on asyncio or trio.

    Args:
        app: The application.
        scope: Its scope.
        channel: The connection.
        path: The path below the application; None if its bytes are no UTF-8.
    """
    if "trio" not in modules or asyncio._get_running_loop() is not None:
        ctx = _prepared(app, scope, channel, _ON_LOOP)  # type: ignore[arg-type]
        try:
            await _drive(ctx, channel, path)
        except asyncio.CancelledError:
            if not ctx.link.forgive():
                raise
        finally:
            _release(ctx)
        return
    error: Exception | None = None
    async with anyio.create_task_group() as group:  # trio cancels scopes only, and those in the order of their nesting
        ctx = _prepared(app, scope, channel, _ON_LOOP, group)  # type: ignore[arg-type]
        try:
            await _drive(ctx, channel, path)
        except Exception as exc:
            error = exc
        finally:
            _release(ctx)
        group.cancel_scope.cancel()
    if error is not None:
        raise error


def _drive(ctx: WebsocketContext, channel: ASGIChannel, path: str | None) -> Awaitable[None]:
    channel.asker = asker = Asker(ctx.app._workers)
    ctx.thread_link = ThreadLink(ctx.link, asker)
    channel.link = ctx.link
    ctx.link.arrive()
    ctx.on_loop = True
    return drive(ctx, dispatch_websocket(ctx, path), asker.leg)


def _release(ctx: WebsocketContext) -> None:
    """Break the cycles of a connection that has ended."""
    ctx.link.stop()
    if isinstance(ctx.link.channel, ASGIChannel):
        ctx.link.channel.link = None
    del ctx.context


def serve_websocket_now(app: App, environ: WSGIEnvironment, channel: Channel, path: str | None) -> None:
    """Serve one WebSocket in the calling thread of a WSGI server; return when all is over.

    Args:
        app: The application.
        environ: The handshake's environ.
        channel: The connection.
        path: The path below the application; None if its bytes are no UTF-8.
    """
    scheme = environ.get("wsgi.url_scheme", "http")
    environ = {**environ, "wsgi.url_scheme": {"http": "ws", "https": "wss"}.get(scheme, scheme)}
    ctx = _prepared(app, environ, channel, _IN_THREAD)
    ctx.thread_link = ThreadLink(ctx.link, _on_portal)
    driver = WSGIDriver(ctx, dispatch_websocket(ctx, path))
    try:
        driver.resume()
    except asyncio.CancelledError:
        if not ctx.link.forgive():
            raise
    finally:
        _release(ctx)


def _on_portal(function: Any, *args: Any) -> Any:
    return async_to_sync(function)(*args)
