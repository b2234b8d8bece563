"""The chunked transfer coding, decoded strictly (RFC 9112 section 7.1).

Owns the bytes of a chunked body. Sans-I/O; knows no connection. h11 decodes chunks too, but lets control
characters through in extensions and does not tell where in the input a message ends, and the next head must
be checked before h11 sees it.

Extensions and trailers are checked and dropped (`hardening.md`, last part).
"""

from __future__ import annotations

import re

from .config import ServerConfig
from .preflight import FIELD_RE, Refused

__all__ = ["ChunkDecoder"]

# Size lines longer than this carry nothing that anybody reads.
MAX_SIZE_LINE = 1_024
# Bytes of framing beyond what chunks of reasonable size need, over the whole body: without it a client
# sends 1 kB of extension for each byte (Go's CVE-2023-39326 has the same remedy and figure).
MAX_EXCESS = 16_384

_SIZE_RE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")


class ChunkDecoder:
    """Turn raw bytes into the body's data; `done` once the last chunk and the trailers were read."""

    __slots__ = (
        "_excess",
        "_left",
        "_max_fields",
        "_max_head",
        "_max_line",
        "_trailers",
        "_trailing",
        "done",
    )

    def __init__(self, config: ServerConfig) -> None:
        self._left = 0  # bytes of the current chunk, with its CRLF
        self._excess = 0
        self._trailing = False
        self._trailers = 0
        self._max_fields = config.max_fields
        self._max_head = config.max_head
        self._max_line = config.max_line
        self.done = False

    def decode(self, buffer: bytearray) -> bytes:
        """Take what can be decoded from the front of the buffer and return the data in it.

        Raises:
            Refused: The framing is broken or over its limits; always 400 or 431.
        """
        pieces: list[bytes] = []
        position = 0
        end = len(buffer)
        while not self.done and position < end:
            if self._left > 2:
                piece = bytes(buffer[position : min(position + self._left - 2, end)])
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
            elif self._left:
                if buffer[position] != (13 if self._left == 2 else 10):
                    raise Refused(400, "invalid chunk; expected CR LF after the data")
                position += 1
                self._left -= 1
            else:
                after = self._line(buffer, position)
                if not after:
                    break
                position = after
        del buffer[:position]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _line(self, buffer: bytearray, start: int) -> int:
        limit = self._max_line if self._trailing else MAX_SIZE_LINE
        end = buffer.find(b"\n", start, start + limit + 2)
        if end < 0:
            if len(buffer) - start > limit + 1:
                raise Refused(431 if self._trailing else 400, f"chunk line too long; expected at most {limit} bytes")
            return 0
        line = bytes(buffer[start:end])
        if line[-1:] != b"\r":
            raise Refused(400, "bare LF in a chunked body")
        if self._trailing:
            self._trailer(line[:-1])
        else:
            self._size(line[:-1])
        return end + 1

    def _size(self, line: bytes) -> None:
        match = _SIZE_RE.fullmatch(line)
        if match is None:
            raise Refused(400, "invalid chunk size")
        size = int(match[1], 16)
        self._excess = max(0, self._excess + len(line) + 4 - 16 - 2 * size)
        if self._excess > MAX_EXCESS:
            raise Refused(400, "too much chunk framing for too little data")
        if size:
            self._left = size + 2
        else:
            self._trailing = True
            self._excess = 0

    def _trailer(self, line: bytes) -> None:
        if not line:
            self.done = True
            return
        if not FIELD_RE.fullmatch(line):
            raise Refused(400, "invalid trailer field")
        self._trailers += 1
        self._excess += len(line) + 2
        if self._trailers > self._max_fields or self._excess > self._max_head:
            raise Refused(431, "too many or too large trailer fields")
