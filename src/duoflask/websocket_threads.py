"""A WebSocket's connection for code in a thread that blocks: the thread's half of `websocket_link`.

Owns when a thread may read by itself. Knows no server: how it has the loop await something is given to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .bridge import run_nested
from .session_steps import write_session
from .typing import Message
from .websocket_channel import Channel
from .websocket_context import WebsocketContext
from .websocket_link import Link

if TYPE_CHECKING:
    from blinker import Signal

    from .response import Response

__all__ = ["ThreadLink"]

_T = TypeVar("_T")


class ThreadLink:
    """The same connection, for code in a thread that blocks; its coroutines never suspend.

    Args:
        link: The connection.
        on_loop: Awaits an async function on the connection's loop, while the thread waits.
    """

    __slots__ = ("_link", "_on_loop")
    is_idle = False
    is_thread = True

    def __init__(self, link: Link, on_loop: Callable[..., Any]) -> None:
        self._link = link
        self._on_loop = on_loop

    @property
    def gone(self) -> Message | None:
        """The disconnect, once it has been read."""
        return self._link.gone

    def leave(self, message: Message) -> None:
        """Take note of the disconnect."""
        self._link.leave(message)

    @property
    def channel(self) -> Channel:
        """The connection."""
        return self._link.channel

    async def receive(self) -> Message:
        """Wait for the next message."""
        link = self._link
        if link.gone is not None and not link.reads_ahead:
            return link.gone
        if link.reads_on_loop:
            return self._on_loop(link.receive)  # type: ignore[no-any-return]
        message = link.channel.receive_now()
        if message["type"] == "websocket.disconnect":
            link.leave(message)
        return message

    async def send(self, message: Message) -> None:
        """Send a message."""
        self._link.channel.send_now(message)

    def look(self) -> None:
        """Give the channel the chance to say that the client has left."""
        if self._link.loop_thread:
            self._on_loop(self._link.look)

    async def tell(self, signal: Signal, app: Any, data: str | bytes) -> None:
        """Send a signal with a message."""
        for receiver in list(signal.receivers_for(app)):
            result = receiver(app, message=data)
            if hasattr(result, "__await__"):
                self._on_loop(_awaited, result)

    async def save_session(self, ctx: WebsocketContext, response: Response) -> None:
        """Save the session into a response."""
        twin = ctx.copy()
        run_nested(twin, write_session(twin, response), ctx.app._workers)


async def _awaited(value: Awaitable[_T]) -> _T:
    return await value
