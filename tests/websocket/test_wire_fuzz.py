"""Whatever bytes come, the wire raises nothing, and tells and answers the same however they are cut."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st

from duoflask.http.websocket_wire import Wire

from ..growth import require_linear
from .frames import DEFLATE, close, frame, opened, read_frames

_payloads = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=10).map(str.encode),
    st.sampled_from([b"x" * 126, "é".encode() * 70, b"\xe2\x82"]),
    st.binary(max_size=300).map(lambda data: zlib.compress(data, wbits=-12)),
)
_frames = st.builds(
    frame,
    st.one_of(st.sampled_from([0, 1, 2, 8, 9, 10]), st.integers(0, 15)),
    _payloads,
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 4, 2]),
    mask=st.sampled_from([b"\x12\x34\x56\x78", bytes(4), b"\xff\0\xff\0", None]),
)
_bytes = st.one_of(
    st.lists(st.one_of(_frames, st.just(close(1000))), max_size=6).map(b"".join),
    st.binary(max_size=60),
)


def _run(wire: Wire, pieces: list[bytes]) -> tuple[list[dict[str, object]], list[tuple[int, bytes]]]:
    messages, answers = [], b""
    for piece in pieces:
        wire.feed(piece)
        while (message := wire.next_message()) is not None:
            messages.append(dict(message))
        answers += wire.outgoing()
    wire.feed_eof()
    while (message := wire.next_message()) is not None:
        messages.append(dict(message))
    return messages, read_frames(answers + wire.outgoing())


@settings(deadline=None)
@given(_bytes, st.lists(st.integers(1, 40), max_size=10), st.booleans())
def test_any_bytes_cut_anyhow(data: bytes, cuts: list[int], compressed: bool) -> None:
    offers = [DEFLATE] if compressed else []
    pieces, at = [], 0
    for size in cuts:
        pieces.append(data[at : at + size])
        at += size
    pieces.append(data[at:])
    whole = _run(opened(*offers, max_message_size=200), [data])
    assert _run(opened(*offers, max_message_size=200), pieces) == whole
    assert _run(opened(*offers, max_message_size=200), [data[at : at + 1] for at in range(len(data))]) == whole
    messages, answers = whole
    assert [message["type"] for message in messages].count("websocket.disconnect") == 1
    assert messages[-1]["type"] == "websocket.disconnect"
    assert [opcode for opcode, _ in answers].count(8) <= 1
    assert all(len(message.get("bytes", message.get("text", ""))) <= 200 for message in messages)  # type: ignore[arg-type]


@settings(deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=12)), max_size=6))
def test_any_header_fields(fields: list[tuple[bytes, bytes]]) -> None:
    names = [b"upgrade", b"connection", b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions"]
    for name in names:
        try:
            opened(*fields, (name, b"".join(value for _, value in fields)))
        except Exception as exc:
            assert getattr(exc, "code", None) in (400, 426), exc


@pytest.mark.measures
@pytest.mark.parametrize(
    "piece",
    [frame(9, b"x"), frame(0, b"", fin=False), frame(0, b"x", fin=False), frame(1, "a"), frame(10)],
    ids=["pings", "empty fragments", "tiny fragments", "messages", "pongs"],
)
def test_many_small_frames_take_linear_time(piece: bytes) -> None:
    def make(count: int) -> Callable[[], None]:
        wire = opened(max_message_size=None)
        data = (frame(1, "a", fin=False) if piece[0] & 0xF in (0, 9, 10) else b"") + piece * count

        def read() -> None:
            for at in range(0, len(data), 65536):
                wire.feed(data[at : at + 65536])
                while wire.next_message() is not None:
                    pass
                wire.outgoing()
            assert not wire.closed

        return read

    require_linear(make, 4_000)
