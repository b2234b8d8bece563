"""WebSocket frames of either end, over wsproto: whole messages and control frames in, bytes out (RFC 6455, RFC 7692).

Knows no handshake, no ASGI and no socket, and answers nothing by itself.

wsproto reads and writes the frames. What it leaves open, or does wrong, is done by the extension that stands in it
(`_Guard`), which sees each frame's head before its payload is awaited: limits, compression, close codes (1014 is
registered since and refused by wsproto; a bad one is told as the code that its frame had). wsproto's `Connection` is
not used: it does not say whether the peer has closed or has broken the rules.
"""

from __future__ import annotations

from io import StringIO
from typing import Any, Final, Literal, TypeAlias

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, ParseFailed, RsvBits

from .websocket_close import CloseCode, is_sendable, shortened_reason
from .websocket_deflate import MIN_DEFLATED_BYTES, DeflateOptions, Deflater, InflateError, Inflater, MessageTooBig

__all__ = ["DEFAULT_MAX_MESSAGE_SIZE", "FrameError", "FrameEvent", "Frames"]

# As Quart's and uvicorn's.
DEFAULT_MAX_MESSAGE_SIZE: Final = 16 << 20

FrameEvent: TypeAlias = (
    tuple[Literal["message"], str | bytes] | tuple[Literal["ping", "pong"], bytes] | tuple[Literal["close"], int, str]
)

# A longer message is unmasked faster by wsproto.
MAX_PLAIN_BYTES: Final = 4096

_NONE = RsvBits(False, False, False)
_COMPRESSED = RsvBits(True, False, False)


class FrameError(Exception):
    """The peer has broken the rules: the connection is to be closed with this code.

    Args:
        code: The close code.
        reason: What was wrong.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class _Guard(Extension):
    """Checks heads, counts, inflates and deflates payloads, and keeps those of close frames.

    wsproto may ask for a head several times until all its bytes are there, so that asking changes nothing that counts.
    """

    name = "permessage-deflate"

    def __init__(self, client: bool, max_message_size: int | None, options: DeflateOptions | None) -> None:
        self._inflater: Inflater | None = None
        self._deflater: Deflater | None = None
        if options is not None:
            server_takes_over = not options.server_no_context_takeover
            client_takes_over = not options.client_no_context_takeover
            client_bits = max(options.client_max_window_bits or 15, 9)
            self._inflater = Inflater(server_takes_over if client else client_takes_over)
            self._deflater = (
                Deflater(client_bits, client_takes_over)
                if client
                else Deflater(options.server_max_window_bits, server_takes_over)
            )
        self._opcode = Opcode.CONTINUATION
        self.limit = max_message_size
        self.within = False
        """Whether a message has begun and not ended."""
        self._compressed = False
        self._size = 0
        self.close_payload = b""
        self.consumed = 0
        """How many bytes the frames had that have been read to their end."""
        self.frame_end: int | None = None
        """The same with the frame whose head has been read, but not all of it."""

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool:
        return False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        self._opcode = opcode
        extended = 0 if payload_length < 126 else 2 if payload_length < 65536 else 8
        self.frame_end = self.consumed + 2 + extended + (0 if proto.client else 4) + payload_length
        if opcode.iscontrol():
            return _NONE
        if (opcode is Opcode.CONTINUATION) is not self.within:
            return CloseReason.PROTOCOL_ERROR
        if not self.within:
            self._compressed = rsv.rsv1
            self._size = 0
        if self.limit is not None and not self._compressed and self._size + payload_length > self.limit:
            return CloseReason.MESSAGE_TOO_BIG
        return _NONE if self.within or self._inflater is None else _COMPRESSED

    def frame_inbound_payload_data(self, proto: FrameDecoder | FrameProtocol, data: bytes) -> bytes | CloseReason:
        if self._opcode.iscontrol():
            if self._opcode is Opcode.CLOSE:
                self.close_payload += data
                return b""
            return data
        if self._compressed:
            assert self._inflater is not None
            return self._inflated(self._inflater.inflate, data)
        self._size += len(data)
        return data

    def frame_inbound_complete(self, proto: FrameDecoder | FrameProtocol, fin: bool) -> bytes | CloseReason | None:
        assert self.frame_end is not None
        self.consumed, self.frame_end = self.frame_end, None
        if self._opcode.iscontrol():
            return None
        self.within = not fin
        if not fin or not self._compressed:
            return None
        assert self._inflater is not None
        return self._inflated(self._inflater.finish)

    def _inflated(self, step: Any, *args: bytes) -> bytes | CloseReason:
        room = None if self.limit is None else self.limit - self._size
        try:
            data: bytes = step(*args, room)
        except MessageTooBig:
            return CloseReason.MESSAGE_TOO_BIG
        except InflateError:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._size += len(data)
        return data

    def frame_outbound(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, data: bytes, fin: bool
    ) -> tuple[RsvBits, bytes]:
        if self._deflater is None or opcode.iscontrol() or len(data) < MIN_DEFLATED_BYTES:
            return rsv, data
        return _COMPRESSED, self._deflater.deflate(data)


class Frames:
    """The frames of one connection after its handshake.

    Args:
        client: Whether this is the client's end, which masks.
        max_message_size: How many bytes a message may have, once inflated; None: no limit.
        deflate: The compression that was agreed on.
    """

    def __init__(
        self,
        *,
        client: bool = False,
        max_message_size: int | None = DEFAULT_MAX_MESSAGE_SIZE,
        deflate: DeflateOptions | None = None,
    ) -> None:
        self._guard = _Guard(client, max_message_size, deflate)
        self._protocol = FrameProtocol(client, [self._guard])
        self._client = client
        self._handed = 0  # bytes that wsproto has got
        self._pending = bytearray()  # and those that it has not, from here on
        self._at = 0
        self._ended = False
        self._text: StringIO | None = None
        self._binary: bytearray | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes that the peer has sent."""
        if self._at:
            del self._pending[: self._at]
            self._at = 0
        self._pending += data

    def next_event(self) -> FrameEvent | None:
        """Take the next whole message or control frame; None: more bytes are needed.

        After a close frame and after an error nothing more comes.

        Raises:
            FrameError: The peer has broken the rules.
        """
        guard = self._guard
        while not self._ended:
            if guard.consumed == self._handed:  # wsproto has nothing to read
                if not self._pending:
                    break
                if not guard.within and not self._client:
                    message = self._plain_message()
                    if message is not None:
                        return "message", message
                    if self._is_cut_head():
                        break
            self._hand_over()
            try:
                event = self._next_of_wsproto()
            except ParseFailed as exc:
                self._ended = True
                raise FrameError(int(exc.code), _reason(exc)) from None
            if event is not None or not self._pending:
                return event
        return None

    def _hand_over(self) -> None:
        """Let wsproto have what has arrived; of a frame that it is reading already, no more than the rest of it."""
        guard, start = self._guard, self._at
        end = len(self._pending) if guard.frame_end is None else start + guard.frame_end - self._handed
        data = self._pending[start:end]
        self._take(start + len(data))
        self._handed += len(data)
        self._protocol.receive_bytes(bytes(data))

    def _take(self, end: int) -> None:
        if end == len(self._pending):
            self._pending.clear()
            self._at = 0
        else:
            self._at = end

    def _is_cut_head(self) -> bool:
        """Whether a masked message's head has not arrived whole: it is not told before."""
        rest = len(self._pending) - self._at
        return rest < 6 and self._pending[self._at] in (0x81, 0x82) and (rest == 1 or self._pending[self._at + 1] > 127)

    def _plain_message(self) -> str | bytes | None:
        """Read a short message in one masked frame that has arrived whole; None: let wsproto see what it is.

        PERF: 1.2 us where wsproto takes 20 (a text of 100 bytes), and most messages are such.
        """
        data, at = self._pending, self._at
        first, rest = data[at], len(data) - at
        if (first != 0x81 and first != 0x82) or rest < 6:
            return None
        size, start = data[at + 1] - 0x80, at + 2
        if size == 126:
            size, start = data[start] << 8 | data[start + 1], at + 4
            if not 126 <= size <= MAX_PLAIN_BYTES:
                return None
        elif not 0 <= size < 126:  # not masked, or longer
            return None
        end = start + 4 + size
        if end > len(data) or (self._guard.limit is not None and size > self._guard.limit):
            return None
        mask = (data[start : start + 4] * (size // 4 + 1))[:size]
        number = int.from_bytes(data[start + 4 : end], "little") ^ int.from_bytes(mask, "little")
        payload = number.to_bytes(size, "little")
        message: str | bytes = payload
        if first == 0x81:
            try:
                message = payload.decode()
            except UnicodeDecodeError:
                return None
        self._take(end)
        return message

    def _next_of_wsproto(self) -> FrameEvent | None:
        for frame in self._protocol.received_frames():
            opcode = frame.opcode
            payload: Any = frame.payload
            if opcode is Opcode.TEXT or opcode is Opcode.BINARY:
                message = self._collected(payload, frame.message_finished)
                if message is not None:
                    return "message", message
            elif opcode is Opcode.CLOSE:
                self._ended = True
                return self._closed(self._guard.close_payload)
            else:
                return "ping" if opcode is Opcode.PING else "pong", bytes(payload)
        return None

    def _collected(self, payload: str | bytes, finished: bool) -> str | bytes | None:
        """Add a piece to the message; the message, if it was the last one.

        Pieces are joined as they come: a list of a million tiny ones would take many times the size limit.
        """
        if isinstance(payload, str):
            if finished and self._text is None:
                return payload
            if self._text is None:
                self._text = StringIO(newline="")
            self._text.write(payload)
            if not finished:
                return None
            text, self._text = self._text.getvalue(), None
            return text
        if finished and self._binary is None:
            return bytes(payload)
        if self._binary is None:
            self._binary = bytearray()
        self._binary += payload
        if not finished:
            return None
        data, self._binary = bytes(self._binary), None
        return data

    def _closed(self, payload: bytes) -> FrameEvent:
        """Read a close frame (RFC 6455 5.5.1, 7.4)."""
        if not payload:
            return "close", CloseCode.NO_STATUS.value, ""
        code = int.from_bytes(payload[:2], "big")
        if len(payload) == 1 or not is_sendable(code):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "invalid close code")
        try:
            return "close", code, payload[2:].decode()
        except UnicodeDecodeError:
            raise FrameError(CloseCode.INVALID_DATA, "the reason is not UTF-8") from None

    def message(self, data: str | bytes) -> bytes:
        """Write a whole message as one frame.

        Raises:
            UnicodeEncodeError: The text holds a surrogate.
        """
        return bytes(self._protocol.send_data(data))

    def ping(self, payload: bytes = b"") -> bytes:
        """Write a ping.

        Raises:
            ValueError: The payload has more than 125 bytes.
        """
        return bytes(self._protocol.ping(payload))

    def pong(self, payload: bytes) -> bytes:
        """Write the answer to a ping."""
        return bytes(self._protocol.pong(payload))

    def close(self, code: int, reason: str = "") -> bytes:
        """Write a close frame; 1005 writes an empty one. A long reason is cut.

        Raises:
            ValueError: The code must not be sent.
        """
        if code == CloseCode.NO_STATUS:
            return bytes(self._protocol.close())
        if not is_sendable(code):
            raise ValueError(f"invalid WebSocket close code; expected 1000-1003, 1007-1014 or 3000-4999; got {code!r}")
        return bytes(self._protocol.close(code, shortened_reason(reason).decode()))


def _reason(exc: ParseFailed) -> str:
    """What went wrong, in words of ours where wsproto quotes the peer's bytes or says nothing."""
    if exc.code == CloseReason.MESSAGE_TOO_BIG:
        return "message too big"
    if exc.code == CloseReason.INVALID_FRAME_PAYLOAD_DATA:
        return "invalid data"
    text = str(exc)
    return "protocol error" if text == "error in extension" else text
