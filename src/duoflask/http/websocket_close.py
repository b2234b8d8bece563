"""Close codes of WebSocket (RFC 6455 7.4) and the exception that says that a connection has ended."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = ["MAX_REASON_BYTES", "CloseCode", "WebsocketDisconnect", "is_sendable", "shortened_reason"]

# A control frame holds 125 bytes, two of which are the code (RFC 6455 5.5).
MAX_REASON_BYTES: Final = 123


class CloseCode(IntEnum):
    """The registered close codes (RFC 6455 7.4.1 and IANA's registry)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    """Never sent: the peer's close frame was empty."""
    ABNORMAL = 1006
    """Never sent: the connection ended without a close frame."""
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


_SENDABLE: Final = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015)))


def is_sendable(code: int) -> bool:
    """Whether a close frame may carry a code: a registered one, or a library's or an application's (RFC 6455 7.4)."""
    return code in _SENDABLE or 3000 <= code <= 4999


def shortened_reason(reason: str) -> bytes:
    """Encode the reason of a close frame, cut at a character's end to what a frame can hold."""
    raw = reason.encode(errors="replace")
    return raw if len(raw) <= MAX_REASON_BYTES else raw[:MAX_REASON_BYTES].decode(errors="ignore").encode()


class WebsocketDisconnect(Exception):
    """The WebSocket connection has ended: nothing can be received from it or sent to it any more.

    Args:
        code: The peer's close code; 1005 if its close frame was empty, 1006 if there was none.
        reason: The peer's text.
    """

    def __init__(self, code: int = 1005, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"the WebSocket is closed: {self.code}" + (f" {self.reason!r}" if self.reason else "")
