"""Run an ASGI app for one WebSocket as a server does, and check what it sends against the specification.

Knows no client: whoever runs these coroutines decides on which loop and in which task.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import anyio
import anyio.lowlevel

from ..typing import ASGIApplication, Message, Scope
from .answer import ProtocolError

__all__ = ["WebsocketExchange", "checked_fields", "websocket_scope"]

_BEFORE_ACCEPT = ("websocket.accept", "websocket.close", "websocket.http.response.start")


def websocket_scope(scope: Scope, subprotocols: list[str]) -> Scope:
    """Turn the scope of an http request into a WebSocket's (ASGI, HTTP & WebSocket specification 2.4)."""
    scope = {**scope, "type": "websocket", "subprotocols": subprotocols}
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["extensions"] = {**scope["extensions"], "websocket.http.response": {}}
    del scope["method"]
    return scope


def checked_fields(message: Message) -> list[tuple[str, str]]:
    """The header fields of a message.

    Raises:
        ProtocolError: A field is invalid.
    """
    fields = []
    for name, value in message.get("headers", ()):
        if not isinstance(name, bytes) or not isinstance(value, bytes):
            raise ProtocolError(f"invalid header field; expected two byte strings; got {name!r}: {value!r}")
        if any(char in name + value for char in b"\r\n\0"):
            raise ProtocolError(f"invalid header field; expected one line; got {name!r}: {value!r}")
        fields.append((name.decode("latin-1").title(), value.decode("latin-1")))
    return fields


class WebsocketExchange:
    """One WebSocket connection.

    Args:
        app: The app.
        scope: The connection.
    """

    def __init__(self, app: ASGIApplication, scope: Scope) -> None:
        self._app = app
        self._scope = scope
        self._incoming: deque[Message] = deque([{"type": "websocket.connect"}])
        self._outgoing: deque[Message] = deque()
        self._state = "connecting"  # then "open" or "denying", then "closed"
        self._gone = False
        self._news = anyio.Event()
        self.returned = False
        self.error: BaseException | None = None

    async def run(self) -> None:
        """Call the app and wait until it returns; what it raises is kept in `error`."""
        try:
            await self._app(self._scope, self._receive, self._send)
            if not self._gone and self._state != "closed":
                self.error = ProtocolError(
                    "the app returned without accepting or closing the WebSocket"
                    if self._state == "connecting"
                    else "the app returned without closing the WebSocket"
                )
        except anyio.get_cancelled_exc_class() as exc:
            self.error = exc
            raise
        except BaseException as exc:
            self.error = exc
        finally:
            self.returned = True
            self._tell()

    async def _receive(self) -> Message:
        while not self._incoming:
            await self._news.wait()
        message = self._incoming.popleft()
        if message["type"] == "websocket.disconnect":
            self._incoming.append(message)  # whoever asks again is told again
        return message

    async def _send(self, message: Message) -> None:
        if self._gone:
            raise ConnectionResetError("the client has gone away")
        self._check(message)
        self._outgoing.append(message)
        self._tell()
        await anyio.lowlevel.checkpoint()

    def _check(self, message: Message) -> None:
        kind = message["type"]
        if self._state == "closed":
            raise ProtocolError(f"{kind} was sent after the end of the connection")
        if self._state == "connecting":
            if kind not in _BEFORE_ACCEPT:
                raise ProtocolError(f"invalid message; expected one of {', '.join(_BEFORE_ACCEPT)}; got {kind!r}")
            if kind == "websocket.accept":
                self._check_accept(message)
            elif kind == "websocket.http.response.start":
                self._state = "denying"
                checked_fields(message)
            else:
                self._close(1006, "")
        elif self._state == "denying":
            if kind != "websocket.http.response.body":
                raise ProtocolError(f"invalid message; expected websocket.http.response.body; got {kind!r}")
            if not message.get("more_body", False):
                self._close(1006, "")
        elif kind == "websocket.send":
            self._check_data(message)
        elif kind == "websocket.close":
            self._close(message.get("code", 1000), message.get("reason") or "")
        else:
            raise ProtocolError(f"invalid message; expected websocket.send or .close; got {kind!r}")

    def _check_accept(self, message: Message) -> None:
        subprotocol = message.get("subprotocol")
        if subprotocol is not None and subprotocol not in self._scope["subprotocols"]:
            raise ProtocolError(
                f"invalid subprotocol; expected None or one of {self._scope['subprotocols']}; got {subprotocol!r}"
            )
        if any(name == "Sec-Websocket-Protocol" for name, _ in checked_fields(message)):
            raise ProtocolError("invalid header field sec-websocket-protocol; set the message's subprotocol instead")
        self._state = "open"

    def _check_data(self, message: Message) -> None:
        data, text = message.get("bytes"), message.get("text")
        if (data is None) == (text is None):
            raise ProtocolError("invalid websocket.send; expected exactly one of 'bytes' and 'text' that is not None")
        if not isinstance(data, bytes | None) or not isinstance(text, str | None):
            raise ProtocolError(f"invalid websocket.send; got {type(text if data is None else data).__name__}")

    def _close(self, code: int, reason: str) -> None:
        self._state = "closed"
        self._incoming.clear()
        self._incoming.append({"type": "websocket.disconnect", "code": code, "reason": reason})

    async def put(self, message: Message) -> None:
        """Send the app a message; one that comes after the connection's end is lost."""
        if self._state != "closed" and not self._gone:
            self._incoming.append(message)
            self._gone = message["type"] == "websocket.disconnect"
            self._tell()

    async def next(self, timeout: float | None = None) -> Message | None:  # noqa: ASYNC109
        """Take the app's next message; None when it has returned.

        Raises:
            TimeoutError: None came in that many seconds.
        """
        with anyio.fail_after(timeout):
            while not self._outgoing and not self.returned:
                await self._news.wait()
        return self._outgoing.popleft() if self._outgoing else None

    async def wait_returned(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109
        """Wait until the app has returned, at most so many seconds; return whether it has."""
        with anyio.move_on_after(timeout):
            while not self.returned:
                await self._news.wait()
        return self.returned

    def take_error(self) -> Any:
        """What the app raised, once; a client that left is no error."""
        error, self.error = self.error, None
        return None if self._gone and isinstance(error, ConnectionResetError) else error

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()
