"""Compression of WebSocket messages, permessage-deflate (RFC 7692): what is agreed on, and the inflating and deflating.

wsproto's own extension is not used. It inflates without a bound, forgets in the middle of a fragmented message that it
is compressed when a ping comes between, fails on parameters that are no numbers, takes offers that it must decline, and
inflates nothing more after a block with BFINAL.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from .grammar import TOKEN_RE
from .options import unquote_header_value

__all__ = ["DeflateOptions", "Deflater", "InflateError", "Inflater", "MessageTooBig", "deflate_options"]

NAME: Final = "permessage-deflate"

# As `websockets` does it: a window of 4 KiB instead of 32 takes 64 KiB a connection instead of 316 (its documentation,
# "Memory usage"), and messages are seldom longer.
WINDOW_BITS: Final = 12
MEMORY_LEVEL: Final = 5
# zlib cannot make a raw stream with a window of 256 bytes.
MIN_WINDOW_BITS: Final = 9
MAX_WINDOW_BITS: Final = 15
# A shorter message hardly shrinks, and takes 10 us.
MIN_DEFLATED_BYTES: Final = 128

# RFC 7692 7.2.1: what ends every message and is not sent.
_TAIL: Final = b"\x00\x00\xff\xff"
# Streams that end (BFINAL) within one message. Encoders that cannot flush otherwise end one a message (RFC 7692
# 7.2.3.4); thousands of empty ones would keep us busy.
_MAX_STREAMS: Final = 16
_BITS_RE: Final = re.compile("[89]|1[0-5]")
_MARK_RE: Final = re.compile(r'\\.|[",]')


class MessageTooBig(Exception):
    """A message is longer than the limit."""


class InflateError(Exception):
    """A compressed message is no DEFLATE stream."""


class DeflateOptions(NamedTuple):
    """The parameters that both ends have agreed on."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = WINDOW_BITS
    client_max_window_bits: int | None = None
    """None if the client did not say that it can limit its window."""

    def dump(self) -> str:
        """The element of the server's Sec-WebSocket-Extensions field."""
        parts = [NAME]
        if self.server_no_context_takeover:
            parts.append("server_no_context_takeover")
        if self.client_no_context_takeover:
            parts.append("client_no_context_takeover")
        parts.append(f"server_max_window_bits={self.server_max_window_bits}")
        if self.client_max_window_bits is not None:
            parts.append(f"client_max_window_bits={self.client_max_window_bits}")
        return "; ".join(parts)


def deflate_options(value: str) -> DeflateOptions | None:
    """Choose the first acceptable offer of permessage-deflate in a client's Sec-WebSocket-Extensions field.

    Raises:
        ValueError: The field is malformed (RFC 6455 9.1: the handshake fails).
    """
    chosen = None
    for offer in _elements(value):
        name, parameters = _parsed(offer)
        if name == NAME and chosen is None:
            chosen = _accepted(parameters)
    return chosen


def _elements(value: str) -> Iterable[str]:
    """The elements of a comma-separated list as they stand."""
    pieces: list[str] = []
    quoted = False
    start = 0
    for match in _MARK_RE.finditer(value):
        mark = match.group()
        if mark == '"':
            quoted = not quoted
        elif mark == "," and not quoted:
            pieces.append(value[start : match.start()])
            start = match.end()
    pieces.append(value[start:])
    return [piece.strip(" \t") for piece in pieces if piece.strip(" \t")]


def _parsed(offer: str) -> tuple[str, list[tuple[str, str | None]]]:
    """An offer's name and parameters.

    Raises:
        ValueError: It is malformed.
    """
    # Values are tokens even where they are quoted (RFC 6455 9.1), so none holds a semicolon.
    name, *rest = (piece.strip(" \t") for piece in offer.split(";"))
    parameters: list[tuple[str, str | None]] = []
    for piece in rest:
        key, equals, text = (part.strip(" \t") for part in piece.partition("="))
        text = unquote_header_value(text)
        if TOKEN_RE.fullmatch(key) is None or (equals and TOKEN_RE.fullmatch(text) is None):
            raise ValueError(f"invalid parameter of a WebSocket extension; expected name[=token]; got {piece!r}")
        parameters.append((key, text if equals else None))
    if TOKEN_RE.fullmatch(name) is None:
        raise ValueError(f"invalid name of a WebSocket extension; expected a token; got {name!r}")
    return name, parameters


def _accepted(parameters: list[tuple[str, str | None]]) -> DeflateOptions | None:
    """Answer one offer; None declines it (RFC 7692 7.1: unknown, repeated and invalid parameters)."""
    given = dict(parameters)
    if len(given) < len(parameters):
        return None
    server_takeover = given.pop("server_no_context_takeover", "")
    client_takeover = given.pop("client_no_context_takeover", "")
    server_bits = given.pop("server_max_window_bits", "15")
    client_offers = "client_max_window_bits" in given
    client_bits = given.pop("client_max_window_bits", None) or "15"
    if given or server_takeover or client_takeover or server_bits is None:
        return None
    if _BITS_RE.fullmatch(server_bits) is None or _BITS_RE.fullmatch(client_bits) is None:
        return None
    if int(server_bits) < MIN_WINDOW_BITS:
        return None
    return DeflateOptions(
        server_takeover is None,
        client_takeover is None,
        min(int(server_bits), WINDOW_BITS),
        min(int(client_bits), WINDOW_BITS) if client_offers else None,
    )


class Deflater:
    """Compresses messages.

    Args:
        window_bits: The base-two logarithm of the window that the peer keeps.
        takes_over: Whether a message may refer to the ones before.
    """

    def __init__(self, window_bits: int, takes_over: bool) -> None:
        self._window_bits = window_bits
        self._takes_over = takes_over
        self._compressor: zlib._Compress | None = None

    def deflate(self, data: bytes) -> bytes:
        """Compress one whole message."""
        compressor = self._compressor
        if compressor is None:
            compressor = zlib.compressobj(wbits=-self._window_bits, memLevel=MEMORY_LEVEL)
        self._compressor = compressor if self._takes_over else None
        return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(_TAIL)]


class Inflater:
    """Decompresses messages.

    Args:
        takes_over: Whether a message may refer to the ones before.
    """

    def __init__(self, takes_over: bool) -> None:
        self._takes_over = takes_over
        self._decompressor: zlib._Decompress | None = None
        self._ended = 0

    def inflate(self, data: bytes, room: int | None) -> bytes:
        """Decompress a piece of a message.

        Args:
            data: The piece.
            room: How many bytes the result may have.

        Raises:
            MessageTooBig: It has more.
            InflateError: The piece is invalid.
        """
        pieces: list[bytes] = []
        while data:
            if self._decompressor is None:
                self._decompressor = zlib.decompressobj(-MAX_WINDOW_BITS)
            try:
                # One byte more than there is room for: what zlib holds back is not told by `unconsumed_tail` alone.
                piece = self._decompressor.decompress(data, 0 if room is None else room + 1)
            except zlib.error:
                raise InflateError("the compressed message is invalid") from None
            pieces.append(piece)
            if room is not None:
                room -= len(piece)
                if room < 0:
                    raise MessageTooBig
            if not self._decompressor.eof:
                break
            data = self._decompressor.unused_data
            self._decompressor = None
            self._ended += 1
            if self._ended > _MAX_STREAMS:
                raise InflateError("the compressed message ends too often")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self, room: int | None) -> bytes:
        """Decompress what is left at the end of a message; as `inflate`."""
        data = self.inflate(_TAIL, room)
        self._ended = 0
        if not self._takes_over:
            self._decompressor = None
        return data
