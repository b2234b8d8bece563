"""What every protocol and server must offer to carry a WebSocket."""

from __future__ import annotations

from typing import Protocol

from .typing import Message

__all__ = ["Channel"]


class Channel(Protocol):
    """A connection as ASGI messages, for code on a loop and for code in a thread that blocks."""

    @property
    def denies(self) -> bool:
        """Whether it takes a whole response (`websocket.http.response.*`) in the place of accept."""

    async def receive(self) -> Message:
        """Wait for the next message."""

    async def send(self, message: Message) -> None:
        """Send a message; an OSError says that the client has gone."""

    def receive_now(self) -> Message:
        """Wait for the next message, in a thread."""

    def send_now(self, message: Message) -> None:
        """Send a message, in a thread."""
