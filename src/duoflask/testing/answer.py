"""What an app answered in either protocol, and the error for an app that breaks the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Answer", "ProtocolError"]


class ProtocolError(RuntimeError):
    """The app broke WSGI's or ASGI's rules; under a server it would fail or be answered with a 500."""


class Answer(NamedTuple):
    """A status line, header fields, and a body that is complete (a list) or still being made."""

    status: str
    fields: list[tuple[str, str]]
    body: Iterable[bytes]


SERVER_ERROR = Answer(
    "500 Internal Server Error",
    [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "21")],
    [b"Internal Server Error"],
)
"""What a server answers when the app raised before it answered."""
