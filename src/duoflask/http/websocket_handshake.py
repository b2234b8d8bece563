"""The opening handshake of WebSocket, the server's end (RFC 6455 4.2)."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from .errors import BadRequest, HTTPException
from .grammar import TOKEN_RE
from .websocket_deflate import DeflateOptions, deflate_options

__all__ = ["Handshake", "UpgradeRequired", "accept_token", "parse_handshake"]

VERSION: Final = "13"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class UpgradeRequired(HTTPException):
    """426: this can be had over WebSocket only, of the one version there is (RFC 9110 15.5.22, RFC 6455 4.4)."""

    code = 426
    description = "This address speaks WebSocket, version 13."

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Return the header pairs of the default page, with the version.

        Without Upgrade and Connection, which an application must not set (PEP 3333).
        """
        return [*super().get_headers(environ, scope), ("Sec-WebSocket-Version", VERSION)]


class Handshake(NamedTuple):
    """What a client asks for."""

    key: str
    subprotocols: list[str]
    deflate: DeflateOptions | None
    """The compression that the answer agrees to."""


def accept_token(key: str) -> str:
    """The value of Sec-WebSocket-Accept for a key."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def parse_handshake(headers: Iterable[tuple[bytes, bytes]]) -> Handshake:
    """Read a client's handshake.

    Args:
        headers: The fields of its GET request.

    Raises:
        UpgradeRequired: It asks for no WebSocket, or another version.
        BadRequest: It is malformed.
    """
    fields: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip(" \t")
        if name in ("upgrade", "connection") or name.startswith("sec-websocket-"):
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    if "websocket" not in _tokens(fields, "upgrade") or "upgrade" not in _tokens(fields, "connection"):
        raise UpgradeRequired
    version = fields.get("sec-websocket-version")
    if version is None:
        raise BadRequest("The WebSocket handshake lacks Sec-WebSocket-Version.")
    if version != VERSION:
        raise UpgradeRequired
    key = fields.get("sec-websocket-key", "")
    if not _is_key(key):
        raise BadRequest("The WebSocket handshake has no valid Sec-WebSocket-Key.")
    subprotocols = [
        piece for item in fields.get("sec-websocket-protocol", "").split(",") if (piece := item.strip(" \t"))
    ]
    if not all(map(TOKEN_RE.fullmatch, subprotocols)):
        raise BadRequest("The WebSocket handshake has an invalid Sec-WebSocket-Protocol.")
    try:
        deflate = deflate_options(fields.get("sec-websocket-extensions", ""))
    except ValueError:
        raise BadRequest("The WebSocket handshake has an invalid Sec-WebSocket-Extensions.") from None
    return Handshake(key, list(dict.fromkeys(subprotocols)), deflate)


def _tokens(fields: dict[str, str], name: str) -> list[str]:
    return [item.strip(" \t").lower() for item in fields.get(name, "").split(",")]


def _is_key(key: str) -> bool:
    """Whether it is 16 bytes in base64."""
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
