"""The server's end of one WebSocket as bytes on one side and ASGI messages on the other. Knows no socket and no loop.

Theory of operation
-------------------
`feed` takes what the peer has sent; nothing is read of it before somebody asks with `next_message`, which gives
`websocket.connect` first, whole messages after the application has accepted, and one `websocket.disconnect`. Pings are
answered, close frames echoed and errors told to the peer on the way; those bytes, and what `send` makes of the
application's messages, wait in `outgoing`. Whoever owns the socket writes them before it reads on, so that a peer that
sends but does not read has to wait.

A wire goes through these states:

    CONNECTING -> OPEN -> CLOSING (our close frame was sent first) -> CLOSED
               -> DENYING -> CLOSED

In CLOSED there is nothing more to read: the socket is to be closed when `outgoing` has been written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any, Final, Self

from ..typing import Message
from .grammar import check_field_name, check_field_value
from .status import HTTP_STATUS_CODES
from .websocket_close import CloseCode
from .websocket_frames import DEFAULT_MAX_MESSAGE_SIZE, FrameError, FrameEvent, Frames
from .websocket_handshake import Handshake, accept_token, parse_handshake

__all__ = ["DEFAULT_MAX_EARLY_BYTES", "Wire", "WireState", "check_close"]

# What a client may send before its handshake is answered, which it has no reason to (RFC 6455 4.1).
DEFAULT_MAX_EARLY_BYTES: Final = 65536

# The handshake's own, and what would frame a body.
_OWN_FIELDS: Final = frozenset(
    {
        "connection",
        "content-length",
        "sec-websocket-accept",
        "sec-websocket-extensions",
        "sec-websocket-protocol",
        "transfer-encoding",
        "upgrade",
    }
)

# What says how the denial's own connection goes on, which is ended with it.
_CONNECTION_FIELDS: Final = frozenset({"connection", "transfer-encoding", "keep-alive", "upgrade"})


class WireState(Enum):
    """Where a connection stands."""

    CONNECTING = "connecting"
    DENYING = "denying"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Wire:
    """One connection.

    Args:
        handshake: What the client asks for.
        max_message_size: How many bytes a message may have, once inflated; None: no limit.
        compression: Whether permessage-deflate is used if the client offers it.
        fields: Header fields of every answer to the handshake, such as Date and Server.
    """

    def __init__(
        self,
        handshake: Handshake,
        *,
        max_message_size: int | None = DEFAULT_MAX_MESSAGE_SIZE,
        compression: bool = True,
        fields: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._key = handshake.key
        self.scope_subprotocols = handshake.subprotocols
        """What the client offers, for the scope."""
        self._deflate = handshake.deflate if compression else None
        self._frames = Frames(max_message_size=max_message_size, deflate=self._deflate)
        self._fields = fields
        self._outgoing = bytearray()
        self._early = 0
        self._connect_told = False
        self._disconnect: Message | None = None
        self._denial_head: tuple[list[str], list[tuple[str, str]]] | None = None
        self._at_eof = False
        self.state = WireState.CONNECTING
        self.failed = False
        """Whether the peer has broken the rules: it may still be sending when the socket is closed."""

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[bytes, bytes]], **options: Any) -> Self:
        """Make a wire for a GET request with these fields; options as for the class.

        Raises:
            UpgradeRequired: It asks for no WebSocket, or another version.
            BadRequest: It is malformed.
        """
        return cls(parse_handshake(headers), **options)

    @property
    def closed(self) -> bool:
        """Whether nothing more is to be read."""
        return self.state is WireState.CLOSED

    def feed(self, data: bytes) -> None:
        """Take bytes that the peer has sent."""
        if self.closed or not data:
            return
        if self.state is WireState.CONNECTING:
            self._early += len(data)
            if self._early > DEFAULT_MAX_EARLY_BYTES:
                self._end(CloseCode.ABNORMAL, "data before the handshake was answered")
                return
        self._frames.feed(data)

    def feed_eof(self) -> None:
        """The peer sends no more: without a close frame its connection is lost (RFC 6455 7.1.5, 1006)."""
        if not self.closed:
            if self.state in (WireState.OPEN, WireState.CLOSING):
                # What has arrived whole before the end is still to be had.
                self._at_eof = True
            else:
                self._end(CloseCode.ABNORMAL)

    def next_message(self) -> Message | None:
        """Take the next message for the application; None: more bytes are needed, or it has got all.

        Write `outgoing` after each call.
        """
        if not self._connect_told:
            self._connect_told = True
            return {"type": "websocket.connect"}
        while self.state in (WireState.OPEN, WireState.CLOSING):
            try:
                event = self._frames.next_event()
            except FrameError as exc:
                self._fail(exc)
                break
            if event is None:
                if self._at_eof:
                    self._end(CloseCode.ABNORMAL)
                break
            message = self._heard(event)
            if message is not None:
                return message
        message, self._disconnect = self._disconnect, None
        return message

    def _heard(self, event: FrameEvent) -> Message | None:
        """Answer one event; the application's message, if it is one."""
        if event[0] == "close":
            if self.state is WireState.OPEN:
                self._outgoing += self._frames.close(event[1])
            self._end(event[1], event[2])
        elif self.state is WireState.CLOSING:
            return None  # nobody reads on
        elif event[0] == "ping":
            self._outgoing += self._frames.pong(event[1])
        elif event[0] == "message":
            data = event[1]
            return {"type": "websocket.receive", "text" if isinstance(data, str) else "bytes": data}
        return None

    def _fail(self, error: FrameError) -> None:
        """Fail the connection (RFC 6455 7.1.7)."""
        if self.state is WireState.OPEN:
            self._outgoing += self._frames.close(error.code, error.reason)
        self.failed = True
        self._end(error.code, error.reason)

    def _end(self, code: int, reason: str = "") -> None:
        self.state = WireState.CLOSED
        self._disconnect = {"type": "websocket.disconnect", "code": int(code), "reason": reason}

    def send(self, message: Message) -> None:
        """Take a message from the application: `websocket.accept`, `.send`, `.close`, `.http.response.start`, `.body`.

        `websocket.close` before `websocket.accept` is a 403.

        Raises:
            ConnectionResetError: The connection is closed.
            RuntimeError: The message is not in its place.
            ValueError: Something in it cannot be sent.
            TypeError: Something in it is of the wrong type.
        """
        kind: str = message["type"]
        if self.closed:
            raise ConnectionResetError(f"cannot send {kind}: the WebSocket is closed")
        if self.state is WireState.OPEN and kind == "websocket.send":
            self._outgoing += self._frames.message(_data_of(message))
        elif self.state is WireState.OPEN and kind == "websocket.close":
            self._outgoing += self._frames.close(*check_close(message))
            self.state = WireState.CLOSING
        elif self.state is WireState.CONNECTING and kind == "websocket.accept":
            self._accept(message)
        elif self.state is WireState.CONNECTING and kind == "websocket.close":
            self._deny({"status": 403})
            self._deny_body({})
        elif self.state is WireState.CONNECTING and kind == "websocket.http.response.start":
            self._deny(message)
        elif self.state is WireState.DENYING and kind == "websocket.http.response.body":
            self._deny_body(message)
        else:
            raise RuntimeError(f"cannot send {kind} while the WebSocket is {self.state.value}")

    def _accept(self, message: Message) -> None:
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines.append(f"Sec-WebSocket-Accept: {accept_token(self._key)}")
        subprotocol: str | None = message.get("subprotocol")
        if subprotocol is not None:
            if subprotocol not in self.scope_subprotocols:
                raise ValueError(
                    f"invalid subprotocol; expected None or one that the client offers, {self.scope_subprotocols}; "
                    f"got {subprotocol!r}"
                )
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        if self._deflate is not None:
            lines.append(f"Sec-WebSocket-Extensions: {self._deflate.dump()}")
        fields = _checked(message.get("headers", ()))
        for name, _ in fields:
            if name.lower() in _OWN_FIELDS:
                raise ValueError(f"the header field {name!r} of a WebSocket's handshake cannot be set")
        self._write_head(lines, fields)
        self.state = WireState.OPEN

    def _deny(self, message: Message) -> None:
        status: Any = message["status"]
        if type(status) is not int or not 200 <= status <= 999:
            raise ValueError(f"invalid status of a denial; expected 200-999; got {status!r}")
        phrase = HTTP_STATUS_CODES.get(status, "Unknown")
        lines = [f"HTTP/1.1 {status} {phrase}", "Connection: close"]
        fields = [pair for pair in _checked(message.get("headers", ())) if pair[0].lower() not in _CONNECTION_FIELDS]
        self._denial_head = lines, fields
        self.state = WireState.DENYING

    def _deny_body(self, message: Message) -> None:
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        if self._denial_head is not None:
            lines, fields = self._denial_head
            self._denial_head = None
            if not more and not any(name.lower() == "content-length" for name, _ in fields):
                fields.append(("Content-Length", str(len(body))))
            self._write_head(lines, fields)
        self._outgoing += body
        if not more:
            self._end(CloseCode.ABNORMAL)

    def _write_head(self, lines: list[str], fields: list[tuple[str, str]]) -> None:
        given = {name.lower() for name, _ in fields}
        own = [pair for pair in _checked(self._fields) if pair[0].lower() not in given]
        lines = [*lines, *(f"{name}: {value}" for name, value in (*own, *fields)), "", ""]
        self._outgoing += "\r\n".join(lines).encode("latin-1")

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping, if the connection is open.

        Raises:
            ValueError: The payload has more than 125 bytes.
        """
        if self.state is WireState.OPEN:
            self._outgoing += self._frames.ping(payload)

    def outgoing(self) -> bytes:
        """Take the bytes that are to be written."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data


def _checked(fields: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Header fields that may be written.

    Raises:
        ValueError: A name or a value is invalid.
    """
    checked = []
    for raw_name, raw_value in fields:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        checked.append((check_field_name(name), check_field_value(value)))
    return checked


def check_close(message: Message) -> tuple[int, str]:
    """The code and reason of a `websocket.close`.

    Raises:
        TypeError: One of them is of the wrong type.
    """
    code, reason = message.get("code", 1000), message.get("reason") or ""
    if not isinstance(code, int) or not isinstance(reason, str):
        raise TypeError(f"invalid close; expected an int and a str; got {code!r} and {type(reason).__name__}")
    return code, reason


def _data_of(message: Message) -> str | bytes:
    text, data = message.get("text"), message.get("bytes")
    if (text is None) is (data is None):
        raise ValueError("invalid websocket.send; expected exactly one of 'text' and 'bytes' that is not None")
    if text is not None:
        if not isinstance(text, str):
            raise TypeError(f"invalid text of websocket.send; expected str; got {type(text).__name__}")
        return text
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"invalid bytes of websocket.send; expected bytes; got {type(data).__name__}")
    return bytes(data)
