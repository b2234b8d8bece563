"""The client's end of a WebSocket without its I/O: what its messages mean.

Owns what the sync and the async end have in common. Both speak ASGI messages with the app, whatever carries them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..http.headers import Headers
from ..http.websocket_close import WebsocketDisconnect
from ..typing import Message
from .answer import SERVER_ERROR, Answer
from .websocket_run import checked_fields

__all__ = ["DEFAULT_MAX_WAIT_SECONDS", "WebsocketCore", "WebsocketResponseError"]

# How long `receive` waits before it says that nothing comes: more than any test needs, less than pytest's time-out.
DEFAULT_MAX_WAIT_SECONDS: Final = 10.0


class WebsocketResponseError(Exception):
    """The app answered the handshake with a response instead of accepting it.

    Args:
        response: The response, a `TestResponse`.
    """

    def __init__(self, response: Any) -> None:
        super().__init__(f"the WebSocket was refused: {response.status}")
        self.response = response


class WebsocketCore:
    """A WebSocket as its client sees it.

    Args:
        response_of: Makes a response of an answer; it also keeps the cookies.
        raise_server_exceptions: Whether an exception that leaves the app leaves this object.
        json: Has `dumps` and `loads`.
    """

    def __init__(
        self,
        response_of: Callable[[Answer], Any],
        raise_server_exceptions: bool,
        json: Any,
    ) -> None:
        self._response_of = response_of
        self._raise_server_exceptions = raise_server_exceptions
        self._json = json
        self._entered = False
        self._answer: Answer | None = None
        self._pieces: list[bytes] = []
        self.response: Any = None
        """The answer to the handshake: a `TestResponse` with the status 101, or the one that refused it."""
        self.subprotocol: str | None = None
        """What the app chose of the offered subprotocols."""
        self.close_code: int | None = None
        """How the connection was closed, whoever did it; None while it is open."""
        self.close_reason = ""

    @property
    def headers(self) -> Headers:
        """The header fields of the answer to the handshake."""
        headers: Headers = self.response.headers
        return headers

    @property
    def closed(self) -> bool:
        """Whether the connection has been closed, as far as the client has read."""
        return self.close_code is not None

    def _opens(self, message: Message | None) -> bool:
        """Take a message of the handshake; return whether it is complete.

        Raises:
            WebsocketResponseError: The app refused it.
        """
        kind = "" if message is None else message["type"]
        if kind == "websocket.accept":
            assert message is not None
            self.subprotocol = message.get("subprotocol")
            fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), *checked_fields(message)]
            if self.subprotocol is not None:
                fields.append(("Sec-WebSocket-Protocol", self.subprotocol))
            self.response = self._response_of(Answer("101 SWITCHING PROTOCOLS", fields, []))
            return True
        if kind == "websocket.http.response.start":
            assert message is not None
            self._answer = Answer(str(message["status"]), checked_fields(message), self._pieces)
            return False
        if kind == "websocket.http.response.body":
            assert message is not None
            self._pieces.append(message.get("body", b""))
            if message.get("more_body", False):
                return False
        elif kind == "websocket.close":
            self._answer = Answer("403 FORBIDDEN", [], [])  # what servers make of it
        else:
            self._answer = SERVER_ERROR
        self.close_code = 1006
        assert self._answer is not None
        self.response = self._response_of(self._answer)
        raise WebsocketResponseError(self.response)

    def _data_of(self, message: Message | None) -> str | bytes:
        """The data of a message from the app.

        Raises:
            WebsocketDisconnect: The connection is closed.
        """
        if message is not None and message["type"] == "websocket.send":
            text: str | None = message.get("text")
            data: str | bytes = message["bytes"] if text is None else text
            return data
        if message is None:
            self._note_close(1006)  # the app has ended without a word
        else:
            self._note_close(message.get("code", 1000), message.get("reason") or "")
        raise self._disconnect()

    def _note_close(self, code: int, reason: str = "") -> None:
        if self.close_code is None:
            self.close_code, self.close_reason = code, reason

    def _disconnect(self) -> WebsocketDisconnect:
        assert self.close_code is not None
        return WebsocketDisconnect(self.close_code, self.close_reason)

    def _message(self, data: str | bytes) -> Message:
        """Wrap data as a message to the app.

        Raises:
            RuntimeError: The connection has not been opened.
            WebsocketDisconnect: It is closed.
            TypeError: The data is neither text nor bytes.
        """
        self._require_open()
        if isinstance(data, str):
            return {"type": "websocket.receive", "text": data, "bytes": None}
        if isinstance(data, bytes | bytearray | memoryview):
            return {"type": "websocket.receive", "bytes": bytes(data), "text": None}
        raise TypeError(
            f"a WebSocket message is str or bytes; got {type(data).__name__}; use send_json for what JSON can hold"
        )

    def _require_open(self) -> None:
        self._require_entered()
        if self.close_code is not None:
            raise self._disconnect()

    def _require_entered(self) -> None:
        if self.response is None:
            raise RuntimeError("the WebSocket is not open yet; write 'with client.websocket(path) as ws:'")

    def _enter(self) -> None:
        if self._entered:
            raise RuntimeError("a test WebSocket can be opened once; call client.websocket(path) again")
        self._entered = True

    def __repr__(self) -> str:
        state = "new" if self.response is None else "open" if self.close_code is None else f"closed {self.close_code}"
        return f"<{type(self).__name__} {state}>"
