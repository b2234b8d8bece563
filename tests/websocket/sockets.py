"""A fake ASGI server's side of one WebSocket, on asyncio and trio."""

from __future__ import annotations

from collections import deque
from typing import Any

import anyio

__all__ = ["Socket"]


class Socket:
    """One connection; the server's half of it.

    Args:
        path: The path.
        denies: The server takes a whole response in the place of accept.
        deaf: After the client's leaving `send` does nothing (servers before specification 2.4), instead of raising.
        waits: `send` suspends, as one that drains.
    """

    def __init__(self, path: str = "/ws", *, denies: bool = True, deaf: bool = False, waits: bool = False) -> None:
        self.scope: dict[str, Any] = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1234),
            "server": ("localhost", 80),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}} if denies else {},
        }
        self.sent: list[dict[str, Any]] = []
        self.inbox: deque[dict[str, Any]] = deque([{"type": "websocket.connect"}])
        self.taken = 0  # messages that the app has received
        self.readers = 0  # calls of `receive` at this moment
        self.most_readers = 0
        self.left = False
        self.blocked = False  # `send` waits until this is False or the client has left
        self._deaf = deaf
        self._waits = waits
        self._news = anyio.Event()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def receive(self) -> dict[str, Any]:
        self.readers += 1
        self.most_readers = max(self.readers, self.most_readers)
        try:
            while not self.inbox and not self.left:
                await self._news.wait()
        finally:
            self.readers -= 1
        if self.inbox:
            self.taken += 1
            return self.inbox.popleft()
        return {"type": "websocket.disconnect", "code": 1001, "reason": "gone"}

    async def send(self, message: dict[str, Any]) -> None:
        if self._waits:
            await anyio.lowlevel.checkpoint()
        while self.blocked and not self.left:
            await self._news.wait()
        if self.left:
            if self._deaf:
                return
            raise ConnectionResetError("the client has gone")
        self.sent.append(message)
        self._tell()

    def put(self, *texts: str) -> None:
        """Have the client send messages."""
        self.inbox.extend({"type": "websocket.receive", "text": text} for text in texts)
        self._tell()

    def leave(self) -> None:
        """Have the client go away."""
        self.left = True
        self._tell()

    async def until_sent(self, count: int) -> None:
        """Wait until the app has sent so many messages."""
        while len(self.sent) < count:
            await self._news.wait()

    async def serve(self, app: Any) -> None:
        """Call the app, as a server does."""
        await app(self.scope, self.receive, self.send)

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]

    @property
    def kinds(self) -> list[str]:
        return [message["type"].partition(".")[2] for message in self.sent]
