"""Compressed messages: the Autobahn suite's categories 12 and 13, bombs, and what wsproto alone does wrong."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.uri import parse_uri

from duoflask.http.websocket_wire import Wire

from ..growth import require_linear
from .frames import BINARY, CLOSE, CONT, DEFLATE, PING, TEXT, close, frame, opened, read_frames, received, splits

COMPRESSED = 0x40
TAIL = b"\x00\x00\xff\xff"


def _deflated(data: bytes, compressor: Any = None) -> bytes:
    compressor = compressor or zlib.compressobj(wbits=-12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def _inflated(data: bytes, decompressor: Any = None) -> bytes:
    return (decompressor or zlib.decompressobj(-12)).decompress(data + TAIL)


TEXTS = ["", "a", "Hello, world! " * 50, "µ€😀" * 1000, "".join(map(chr, range(32, 0x800)))]


@pytest.mark.parametrize("how", ["whole", "bytes", "random"])
@pytest.mark.parametrize("text", TEXTS, ids=len)
def test_compressed_message(text: str, how: str) -> None:
    sent = frame(TEXT, _deflated(text.encode()), rsv=4) + close(1000)
    assert received(opened(DEFLATE), splits(sent, how))[0] == [text, 1000]


@pytest.mark.parametrize("how", ["whole", "bytes", "random"])
def test_messages_share_their_context(how: str) -> None:
    compressor = zlib.compressobj(wbits=-12)
    data = bytes(range(256))
    first, second = _deflated(data, compressor), _deflated(data, compressor)
    assert len(second) < 20
    sent = frame(BINARY, first, rsv=4) + frame(BINARY, b"plain between") + frame(BINARY, second, rsv=4)
    assert received(opened(DEFLATE), splits(sent, how))[0] == [data, b"plain between", data]


def test_messages_without_context() -> None:
    offer = (DEFLATE[0], b"permessage-deflate; client_no_context_takeover; server_no_context_takeover")
    wire = opened(offer)
    assert received(wire, [frame(TEXT, _deflated(b"abc" * 50), rsv=4) * 3])[0] == ["abc" * 50] * 3
    for _ in range(3):
        wire.send({"type": "websocket.send", "text": "abc" * 50})
    for opcode, payload in read_frames(wire.outgoing()):
        assert (opcode, _inflated(payload)) == (TEXT | COMPRESSED, b"abc" * 50)


@pytest.mark.parametrize("how", ["whole", "bytes", "random"])
def test_fragments_with_a_ping_between(how: str) -> None:
    """Alone, wsproto forgets at the ping that the message is compressed."""
    data = _deflated(b"Hello, world! " * 10)
    sent = (
        frame(TEXT, data[:5], rsv=4, fin=False)
        + frame(PING, b"?")
        + frame(CONT, data[5:10], fin=False)
        + frame(CONT, b"", fin=False)
        + frame(PING, b"!")
        + frame(CONT, data[10:])
        + frame(TEXT, "plain")
    )
    messages, answers = received(opened(DEFLATE), splits(sent, how))
    assert messages == ["Hello, world! " * 10, "plain"]
    assert [payload for _, payload in answers] == [b"?", b"!"]


@pytest.mark.parametrize("how", ["whole", "bytes", "random"])
def test_stream_that_ends_with_each_message(how: str) -> None:
    """RFC 7692 7.2.3.4: BFINAL, and a byte of zeros. Alone, wsproto gives nothing more after the first."""
    sent = frame(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4) * 3 + frame(TEXT, _deflated(b"more"), rsv=4)
    assert received(opened(DEFLATE), splits(sent, how))[0] == ["Hello", "Hello", "Hello", "more"]


def test_stream_that_ends_too_often() -> None:
    """Thousands of empty streams in one message are work for nothing."""
    assert received(opened(DEFLATE), [frame(TEXT, b"\x03\x00" * 5000, rsv=4)])[0] == [1007]
    many = frame(TEXT, b"\x03\x00" * 10, rsv=4, fin=False) + frame(CONT, b"\x03\x00" * 10)
    assert received(opened(DEFLATE), [many])[0] == [1007]


def test_examples_of_the_rfc() -> None:
    """RFC 7692 7.2.3.1 to 7.2.3.5."""
    hello = bytes.fromhex("f248cdc9c90700")
    sent = [
        frame(TEXT, hello, rsv=4),
        frame(TEXT, hello[:3], rsv=4, fin=False) + frame(CONT, hello[3:]),
        frame(TEXT, bytes.fromhex("f200110000"), rsv=4),
        frame(TEXT, bytes.fromhex("000500faff48656c6c6f00"), rsv=4),
        frame(TEXT, bytes.fromhex("f348cdc9c9070000"), rsv=4),
        frame(TEXT, bytes.fromhex("f24805000000ffffcac9c90700"), rsv=4),
    ]
    assert received(opened(DEFLATE), sent)[0] == ["Hello"] * 6


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xff\xff\xff", rsv=4), 1007),
        (frame(TEXT, _deflated(b"ok \xff"), rsv=4), 1007),
        (frame(TEXT, _deflated(b"\xce"), rsv=4), 1007),
        (frame(TEXT, _deflated(b"a"), rsv=2), 1002),
        (frame(TEXT, _deflated(b"a"), rsv=6), 1002),
        (frame(PING, b"a", rsv=4), 1002),
        (close(1000, rsv=4), 1002),
        (frame(TEXT, b"a", fin=False) + frame(CONT, b"b", rsv=4), 1002),
        (frame(TEXT, _deflated(b"ab")[:2], fin=False, rsv=4) + frame(CONT, _deflated(b"ab")[2:], rsv=4), 1002),
        (frame(CONT, b"b", rsv=4), 1002),
    ],
)
def test_broken_messages(sent: bytes, code: int) -> None:
    for how in ("whole", "bytes"):
        messages, answers = received(opened(DEFLATE), splits(sent, how))
        assert messages == [code]
        assert [(opcode, payload[:2]) for opcode, payload in answers] == [(CLOSE, code.to_bytes(2))]


def test_bit_without_agreement() -> None:
    assert received(opened(), [frame(TEXT, _deflated(b"a"), rsv=4)])[0] == [1002]
    assert received(opened(DEFLATE, compression=False), [frame(TEXT, _deflated(b"a"), rsv=4)])[0] == [1002]


@pytest.mark.parametrize("size", [100, 101, 102, 1000, 100_000])
def test_limit_is_of_the_inflated_size(size: int) -> None:
    """One byte more than the limit, too, which zlib holds back without a word."""
    for data in (b"\x01" * size, bytes(index * 7919 % 251 for index in range(size))):
        expected = data if size == 100 else 1009
        wire = opened(DEFLATE, max_message_size=100)
        assert received(wire, [frame(BINARY, _deflated(data), rsv=4)])[0] == [expected]


def test_limit_counts_fragments() -> None:
    wire = opened(DEFLATE, max_message_size=100)
    data = _deflated(b"\x01" * 101)
    sent = b"".join(
        frame(CONT if at else BINARY, data[at : at + 1], rsv=0 if at else 4, fin=False) for at in range(len(data))
    )
    assert received(wire, [sent, frame(CONT)])[0] == [1009]


@pytest.mark.measures
def test_bomb_is_not_inflated() -> None:
    compressor = zlib.compressobj(9, wbits=-12)
    pieces = [compressor.compress(bytes(1 << 20)) for _ in range(256)]
    bomb = frame(BINARY, b"".join(pieces) + compressor.flush(zlib.Z_SYNC_FLUSH)[:-4], rsv=4)
    wire = opened(DEFLATE, max_message_size=1 << 20)
    tracemalloc.start()
    messages, _ = received(wire, (bomb[at : at + 65536] for at in range(0, len(bomb), 65536)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert messages == [1009]
    assert peak < 8 << 20


def test_short_answers_are_not_compressed() -> None:
    wire = opened(DEFLATE)
    for size in (0, 1, 127, 128, 5000):
        wire.send({"type": "websocket.send", "text": "x" * size})
    decompressor = zlib.decompressobj(-12)
    for size, (opcode, payload) in zip((0, 1, 127, 128, 5000), read_frames(wire.outgoing()), strict=True):
        if size < 128:
            assert (opcode, payload) == (TEXT, b"x" * size)
        else:
            assert opcode == TEXT | COMPRESSED
            assert len(payload) < 50
            assert _inflated(payload, decompressor) == b"x" * size


def test_control_frames_are_not_compressed() -> None:
    wire = opened(DEFLATE)
    wire.ping(b"x" * 125)
    wire.feed(close(1000, "x" * 123))
    while wire.next_message() is not None:
        pass
    assert read_frames(wire.outgoing()) == [(PING, b"x" * 125), (CLOSE, (1000).to_bytes(2))]


@pytest.mark.measures
def test_inflating_takes_linear_time() -> None:
    message = bytes(index * 7919 % 251 for index in range(1 << 20))

    def make(size: int) -> Callable[[], None]:
        wire = opened(DEFLATE)
        pieces = list(splits(frame(BINARY, _deflated(message[:size]), rsv=4), "random"))

        def read() -> None:
            for piece in pieces:
                wire.feed(piece)
                wire.next_message()

        return read

    require_linear(make, 1 << 17, doublings=3)


OFFERS = [
    ClientPerMessageDeflateFactory(
        server_no_context_takeover=server,
        client_no_context_takeover=client,
        server_max_window_bits=server_bits,
        client_max_window_bits=client_bits,
    )
    for server in (False, True)
    for client in (False, True)
    for server_bits in (None, 9, 15)
    for client_bits in (None, True, 9, 15)
]


@settings(deadline=None)
@given(
    st.sampled_from([None, *OFFERS]),
    st.lists(st.one_of(st.text(), st.binary(), st.sampled_from(["ab" * 3000, b"\x01\x02" * 3000])), max_size=6),
    st.integers(0, 50),
)
def test_client_of_websockets_gets_an_echo(offer: Any, data: list[str | bytes], cut: int) -> None:
    client = ClientProtocol(parse_uri("ws://localhost/"), extensions=None if offer is None else [offer], max_size=None)
    request = client.connect()
    wire = Wire.from_headers([(name.encode(), value.encode()) for name, value in request.headers.raw_items()])
    client.send_request(request)
    client.data_to_send()
    wire.send({"type": "websocket.accept"})
    client.receive_data(wire.outgoing())
    client.events_received()
    assert client.handshake_exc is None
    assert len(client.extensions) == (offer is not None)
    wire.next_message()
    for item in data:
        raw = item.encode() if isinstance(item, str) else item
        if len(raw) > cut > 0:
            opening = client.send_text if isinstance(item, str) else client.send_binary
            opening(raw[:cut], fin=False)
            client.send_ping(b"?")
            client.send_continuation(raw[cut:], fin=True)
        else:
            (client.send_text if isinstance(item, str) else client.send_binary)(raw)
        for piece in client.data_to_send():
            wire.feed(piece)
            while (message := wire.next_message()) is not None:
                assert message.get("text", message.get("bytes")) == item
                wire.send({**message, "type": "websocket.send"})
            client.receive_data(wire.outgoing())
        echoed = [event for event in client.events_received() if event.opcode is not Opcode.PONG]  # type: ignore[union-attr]
        assert [event.data for event in echoed] == [raw]  # type: ignore[union-attr]
    client.send_close(1000)
    for piece in client.data_to_send():
        wire.feed(piece)
    assert wire.next_message() == {"type": "websocket.disconnect", "code": 1000, "reason": ""}
    client.receive_data(wire.outgoing())
    client.receive_eof()
    assert client.close_code == 1000
    assert client.parser_exc is None
