"""Frames written and read by hand, so that the wire is not tested with itself (RFC 6455 5.2)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

from duoflask.http.websocket_wire import Wire

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
HEADERS = [
    (b"host", b"localhost"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", KEY),
]
DEFLATE = (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits")


def frame(
    opcode: int,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = b"\x12\x34\x56\x78",
    length: int | None = None,
) -> bytes:
    """Write a frame; `length` says how many bytes the length takes, instead of as few as possible."""
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload)
    if length is None:
        length = 1 if size < 126 else 2 if size < 65536 else 8
    bit = 0x80 if mask is not None else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    head += bytes([bit | size]) if length == 1 else bytes([bit | (126 if length == 2 else 127)]) + size.to_bytes(length)
    if mask is None:
        return head + payload
    stretched = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(payload) ^ int.from_bytes(stretched)).to_bytes(size)
    return head + mask + masked


def close(code: int, reason: bytes | str = b"", **options: Any) -> bytes:
    """Write a close frame."""
    if isinstance(reason, str):
        reason = reason.encode()
    return frame(CLOSE, code.to_bytes(2) + reason, **options)


def fragments(opcode: int, payload: bytes, size: int) -> bytes:
    """Write a message in frames of `size` bytes."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    last = len(pieces) - 1
    return b"".join(frame(opcode if not at else CONT, piece, fin=at == last) for at, piece in enumerate(pieces))


def read_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Read a server's frames: the opcode, with RSV1 as 0x40, and the payload of each."""
    found = []
    while data:
        first, size = data[0], data[1]
        assert first & 0x80, "a server of ours sends no fragments"
        assert not size & 0x80, "a server does not mask"
        at = 2
        if size == 126:
            size, at = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10]), 10
        assert len(data) >= at + size, "half a frame"
        found.append((first & 0x4F, data[at : at + size]))
        data = data[at + size :]
    return found


def splits(data: bytes, how: str) -> Iterator[bytes]:
    """Cut bytes: `whole`, `bytes`, `random`."""
    if how == "whole":
        yield data
    elif how == "bytes":
        for at in range(len(data)):
            yield data[at : at + 1]
    else:
        draw = random.Random(len(data))
        at = 0
        while at < len(data):
            step = draw.choice((1, 2, 3, 7, 20, 130, 1000, 5000))
            yield data[at : at + step]
            at += step


def opened(*more: tuple[bytes, bytes], **options: Any) -> Wire:
    """Make a wire whose handshake is done."""
    wire = Wire.from_headers([*HEADERS, *more], **options)
    assert wire.next_message() == {"type": "websocket.connect"}
    wire.send({"type": "websocket.accept"})
    assert wire.outgoing().startswith(b"HTTP/1.1 101 ")
    return wire


def received(wire: Wire, pieces: Iterable[bytes]) -> tuple[list[Any], list[tuple[int, bytes]]]:
    """Feed a wire and take all that it has: the messages (text, bytes, or the code of the end) and its own frames."""
    messages: list[Any] = []
    answers = b""
    for piece in pieces:
        wire.feed(piece)
        while (message := wire.next_message()) is not None:
            if message["type"] == "websocket.disconnect":
                messages.append(message["code"])
            else:
                messages.append(message.get("text", message.get("bytes")))
            answers += wire.outgoing()
        answers += wire.outgoing()
    return messages, read_frames(answers)
