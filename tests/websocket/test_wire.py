"""The wire against the Autobahn suite's categories 1 to 10: each case whole, byte by byte and at random splits."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from duoflask.http.websocket_wire import Wire

from .frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    close,
    fragments,
    frame,
    opened,
    read_frames,
    received,
    splits,
)


class Case(NamedTuple):
    """What the client sends, what the application gets (an int: the code of the end), and what the client gets."""

    name: str
    sent: bytes
    messages: list[Any]
    answers: list[tuple[int, bytes]] = []


def _closed(code: int) -> tuple[int, bytes]:
    return CLOSE, code.to_bytes(2)


BYE = close(1000)
END = [1000]
GOODBYE = [_closed(1000)]


def _fails(name: str, sent: bytes, code: int, *messages: Any, answers: tuple[tuple[int, bytes], ...] = ()) -> Case:
    """A case that ends the connection; what follows is not looked at any more."""
    return Case(name, sent + frame(TEXT, "late") + frame(PING, b"late"), [*messages, code], [*answers, _closed(code)])


def _lasts(name: str, sent: bytes, *messages: Any, answers: tuple[tuple[int, bytes], ...] = ()) -> Case:
    """A case that the connection outlives."""
    return Case(name, sent + BYE, [*messages, *END], [*answers, *GOODBYE])


def _framing() -> list[Case]:
    cases = []
    for size in (0, 1, 125, 126, 127, 128, 65535, 65536):
        cases.append(_lasts(f"1.1 text of {size}", frame(TEXT, "*" * size), "*" * size))
        cases.append(_lasts(f"1.2 binary of {size}", frame(BINARY, b"\xfe" * size), b"\xfe" * size))
    cases += [
        _fails("1.3 two bytes for a short length", frame(TEXT, "a", length=2), 1002),
        _fails("1.3 eight bytes for a short length", frame(TEXT, "a" * 200, length=8), 1002),
        _fails("1.3 a length with the highest bit", b"\x82\xff" + b"\xff" * 8 + b"mask", 1002),
        _fails("1.3 no mask", frame(TEXT, "a", mask=None), 1002),
        _lasts("1.3 a mask of zeros", frame(TEXT, "a", mask=bytes(4)), "a"),
    ]
    return cases


def _pings() -> list[Case]:
    return [
        _lasts("2.1 empty", frame(PING), answers=((PONG, b""),)),
        _lasts("2.2 text", frame(PING, b"Hello, world!"), answers=((PONG, b"Hello, world!"),)),
        _lasts("2.3 bytes", frame(PING, b"\x00\xff\xfe\xfd"), answers=((PONG, b"\x00\xff\xfe\xfd"),)),
        _lasts("2.4 of 125", frame(PING, b"\xfe" * 125), answers=((PONG, b"\xfe" * 125),)),
        _fails("2.5 of 126", frame(PING, b"\xfe" * 126), 1002),
        _lasts("2.7 unsolicited pong", frame(PONG)),
        _lasts("2.8 unsolicited pong with payload", frame(PONG, b"unsolicited")),
        _lasts("2.9 pong, then ping", frame(PONG, b"a") + frame(PING, b"b"), answers=((PONG, b"b"),)),
        _lasts(
            "2.10 ten pings",
            b"".join(frame(PING, b"%d" % number) for number in range(10)),
            answers=tuple((PONG, b"%d" % number) for number in range(10)),
        ),
    ]


def _reserved_bits() -> list[Case]:
    first, pong = frame(TEXT, "first"), (PONG, b"p")
    cases = []
    for rsv in range(1, 8):
        cases += [
            _fails(f"3 text with {rsv}", first + frame(TEXT, "x", rsv=rsv), 1002, "first"),
            _fails(f"3 binary with {rsv}", frame(PING, b"p") + frame(BINARY, b"x", rsv=rsv), 1002, answers=(pong,)),
            _fails(f"3 ping with {rsv}", frame(PING, b"x", rsv=rsv), 1002),
            _fails(f"3 close with {rsv}", close(1000, rsv=rsv), 1002),
            _fails(f"3 continuation with {rsv}", frame(TEXT, "x", fin=False) + frame(CONT, "y", rsv=rsv), 1002),
        ]
    return cases


def _opcodes() -> list[Case]:
    cases = []
    for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF):
        cases += [
            _fails(f"4 opcode {opcode}", frame(opcode), 1002),
            _fails(f"4 opcode {opcode} with payload", frame(TEXT, "a") + frame(opcode, b"reserved"), 1002, "a"),
        ]
    return cases


def _fragmentation() -> list[Case]:
    one, two = frame(TEXT, "one", fin=False), frame(CONT, "two")
    ping, pong = frame(PING, b"pi"), (PONG, b"pi")
    return [
        _fails("5.1 ping in fragments", frame(PING, b"a", fin=False) + frame(CONT, b"b"), 1002),
        _fails("5.2 pong in fragments", frame(PONG, b"a", fin=False) + frame(CONT, b"b"), 1002),
        _fails("5.2 close in fragments", close(1000, fin=False), 1002),
        _lasts("5.3 two fragments", one + two, "onetwo"),
        _lasts("5.6 a ping between", one + ping + two, "onetwo", answers=(pong,)),
        _lasts("5.6 a pong between", one + frame(PONG) + two, "onetwo"),
        _fails("5.9 continuation of nothing", frame(CONT, b"x") + frame(TEXT, "y"), 1002),
        _fails("5.10 continuation of nothing, unfinished", frame(CONT, b"x", fin=False), 1002),
        _fails("5.11 empty continuation of nothing", frame(CONT), 1002),
        _fails("5.12 continuation after a whole message", frame(TEXT, "a") + frame(CONT, b"x"), 1002, "a"),
        _fails("5.15 continuation after the last", one + two + frame(CONT, b"x", fin=False), 1002, "onetwo"),
        _fails("5.18 a new text within", one + frame(TEXT, "x"), 1002),
        _fails("5.18 a new binary within", one + frame(BINARY, b"x", fin=False), 1002),
        _lasts(
            "5.19 pings between five fragments",
            one + ping + frame(CONT, "-", fin=False) + ping + frame(CONT, "-", fin=False) + ping + two,
            "one--two",
            answers=(pong,) * 3,
        ),
        _lasts("5 empty fragments", frame(TEXT, fin=False) + frame(CONT, fin=False) * 3 + frame(CONT), ""),
        _lasts("5 an empty last one", frame(BINARY, b"a", fin=False) + frame(CONT), b"a"),
        _lasts("5 binary", frame(BINARY, b"\xff", fin=False) + frame(CONT, b"\xfe"), b"\xff\xfe"),
        Case("5 close within", one + BYE, END, GOODBYE),
        _lasts("5 one after another", (one + two) * 3, "onetwo", "onetwo", "onetwo"),
    ]


VALID_UTF8 = [
    "κόσμε",
    "\x00",
    "\x7f",
    "\x80",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ue000",
    "\ufffd",
    "\ufffe",
    "\uffff",
    "\U00010000",
    "\U0003ffff",
    "\U0010fffe",
    "\U0010ffff",
    "Hello-µ@ßöäüàá-UTF-8!!",
]
# As in Markus Kuhn's stress test: lone continuation bytes, lone first bytes, sequences that are cut, 0xFE and 0xFF,
# too long forms, surrogates, what is above U+10FFFF.
INVALID_UTF8 = [
    *(b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80\xbf\x80", bytes(range(0x80, 0xC0))),
    *(b"".join(bytes([first, 0x20]) for first in range(*span)) for span in ((0xC0, 0xE0), (0xE0, 0xF0), (0xF0, 0xF8))),
    *(b"\xf8\x20", b"\xfc\x20", b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80"),
    *(b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf", b"\xfe", b"\xff"),
    *(b"\xfe\xfe\xff\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf"),
    *(b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80"),
    *(b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80"),
    *(b"\xf4\x90\x80\x80", b"\xf7\xbf\xbf\xbf", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"),
]


def _texts() -> list[Case]:
    cases = [
        _lasts("6.1 empty", frame(TEXT), ""),
        _lasts("6.2 in fragments of one byte", fragments(TEXT, "κόσμε µ€😀".encode(), 1), "κόσμε µ€😀"),
        # The rest of the frame or of the message never comes.
        _fails("6.3 at once, within a frame", frame(TEXT, "κόσμε".encode() + b"\xed\xa0\x80" + b"x" * 100)[:-50], 1007),
        _fails(
            "6.4 at once, between frames",
            frame(TEXT, "κόσμε\xf4"[:-1].encode() + b"\xf4", fin=False) + frame(CONT, b"\x90", fin=False),
            1007,
        ),
        _lasts("6 bytes need not be", frame(BINARY, b"\xff\xfe"), b"\xff\xfe"),
        _fails("6 cut at the end of the message", frame(TEXT, b"\xce", fin=False) + frame(CONT), 1007),
    ]
    cases += [_lasts(f"6.2 valid {text!a}", frame(TEXT, text), text) for text in VALID_UTF8]
    for raw in INVALID_UTF8:
        cases.append(_fails(f"6 invalid {raw[:6].hex()}", frame(TEXT, raw), 1007))
        cases.append(_fails(f"6 invalid {raw[:6].hex()} in fragments", fragments(TEXT, b"ok " + raw, 1), 1007))
    return cases


def _closes() -> list[Case]:
    cases = [
        _lasts("7.1 close after a message", frame(TEXT, "a"), "a"),
        Case("7.1 twice", BYE + BYE, END, GOODBYE),
        Case("7.1 ping after close", BYE + frame(PING, b"x"), END, GOODBYE),
        Case("7.1 text after close", BYE + frame(TEXT, "x"), END, GOODBYE),
        Case("7.3 empty", frame(CLOSE), [1005], [(CLOSE, b"")]),
        _fails("7.3 of one byte", frame(CLOSE, b"a"), 1002),
        Case("7.3 with a reason", close(1000, "Hello World!"), END, GOODBYE),
        Case("7.3 with the longest reason", close(1000, "*" * 123), END, GOODBYE),
        _fails("7.3 with a longer one", frame(CLOSE, b"\x03\xe8" + b"*" * 124), 1002),
        _fails("7.5 with an invalid reason", close(1000, b"\xce\xba\xed\xa0\x80"), 1007),
        _fails("7.5 with a reason that is cut", close(1000, b"\xce"), 1007),
    ]
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        cases.append(Case(f"7.7 code {code}", close(code), [code], [_closed(code)]))
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        cases.append(_fails(f"7.9 code {code}", close(code), 1002))
        cases.append(_fails(f"7.9 code {code} with a reason", close(code, "because"), 1002))
    return cases


def _sizes() -> list[Case]:
    text = "*" * (1 << 17)
    return [
        _lasts("9.1 long text", frame(TEXT, text), text),
        _lasts("9.2 long bytes", frame(BINARY, text.encode()), text.encode()),
        _lasts("9.3 text in fragments of 64", fragments(TEXT, text.encode(), 64), text),
        _lasts("9.4 bytes in fragments of 4096", fragments(BINARY, text.encode(), 4096), text.encode()),
        _lasts("9.7 a hundred texts", frame(TEXT, "abc") * 100, *["abc"] * 100),
        _lasts("10.1 text in fragments of 1300", fragments(TEXT, text[:65536].encode(), 1300), text[:65536]),
    ]


CASES = [
    *_framing(),
    *_pings(),
    *_reserved_bits(),
    *_opcodes(),
    *_fragmentation(),
    *_texts(),
    *_closes(),
    *_sizes(),
]


def _shortened(answers: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Leave out the reasons of close frames."""
    return [(opcode, payload[:2] if opcode == CLOSE else payload) for opcode, payload in answers]


@pytest.mark.parametrize("how", ["whole", "bytes", "random"])
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_case(case: Case, how: str) -> None:
    if how == "bytes" and len(case.sent) > 70_000:
        how = "random"
    wire = opened()
    messages, answers = received(wire, splits(case.sent, how))
    assert messages == case.messages
    assert _shortened(answers) == case.answers
    assert wire.closed
    assert wire.next_message() is None


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if len(case.sent) < 70_000])
def test_case_after_we_have_closed(case: Case) -> None:
    """Whatever still comes, nothing is answered and no message is told."""
    wire = opened()
    wire.send({"type": "websocket.close", "code": 1001})
    assert read_frames(wire.outgoing()) == [_closed(1001)]
    messages, answers = received(wire, splits(case.sent, "random"))
    assert answers == []
    assert len(messages) == 1
    assert wire.closed


def test_reason_reaches_the_application() -> None:
    wire = opened()
    wire.feed(close(3001, "Grüße"))
    assert wire.next_message() == {"type": "websocket.disconnect", "code": 3001, "reason": "Grüße"}


def test_messages_before_the_end_of_the_stream_are_told_first() -> None:
    wire = opened()
    wire.feed(frame(TEXT, "a") + frame(TEXT, "b")[:-1])
    wire.feed_eof()
    assert wire.next_message() == {"type": "websocket.receive", "text": "a"}
    assert wire.next_message() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert wire.closed
    assert wire.outgoing() == b""


def test_end_of_the_stream_while_we_close() -> None:
    wire = opened()
    wire.send({"type": "websocket.close"})
    wire.feed_eof()
    assert wire.next_message() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert wire.closed


@pytest.mark.parametrize("split", [False, True])
def test_too_big_a_message(split: bool) -> None:
    wire = opened(max_message_size=100)
    fine = fragments(BINARY, b"x" * 100, 30)
    big = fragments(BINARY, b"x" * 101, 30 if split else 200)
    messages, answers = received(wire, [fine, big])
    assert messages == [b"x" * 100, 1009]
    assert _shortened(answers) == [_closed(1009)]


def test_too_big_a_message_is_refused_at_its_head() -> None:
    wire = opened(max_message_size=100)
    messages, _ = received(wire, [frame(BINARY, b"x" * 70_000)[:14]])
    assert messages == [1009]


def test_size_counts_bytes_and_not_characters() -> None:
    assert received(opened(max_message_size=4), [frame(TEXT, "µµ")])[0] == ["µµ"]
    assert received(opened(max_message_size=3), [frame(TEXT, "µµ")])[0] == [1009]


def test_no_limit() -> None:
    wire = opened(max_message_size=None)
    data = b"x" * (17 << 20)
    assert received(wire, [frame(BINARY, data)])[0] == [data]


@pytest.mark.measures
def test_many_tiny_fragments_take_little_memory() -> None:
    """Joined as they come; a list of pieces would take twenty times as much."""
    import tracemalloc

    wire = opened()
    piece = frame(CONT, "µ", fin=False) * 1000
    wire.feed(frame(TEXT, "µ", fin=False))
    tracemalloc.start()
    for _ in range(50):
        wire.feed(piece)
        assert wire.next_message() is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 500_000


@pytest.mark.parametrize(
    ("message", "opcode", "payload"),
    [
        ({"text": "hé"}, TEXT, "hé".encode()),
        ({"bytes": b"\xff"}, BINARY, b"\xff"),
        ({"text": None, "bytes": bytearray(b"a")}, BINARY, b"a"),
        ({"text": "x" * 70_000, "bytes": None}, TEXT, b"x" * 70_000),
    ],
)
def test_send(message: dict[str, Any], opcode: int, payload: bytes) -> None:
    wire = opened()
    wire.send({"type": "websocket.send", **message})
    assert read_frames(wire.outgoing()) == [(opcode, payload)]


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        ({"type": "websocket.send"}, ValueError, "exactly one"),
        ({"type": "websocket.send", "text": "a", "bytes": b"a"}, ValueError, "exactly one"),
        ({"type": "websocket.send", "text": b"a"}, TypeError, "expected str"),
        ({"type": "websocket.send", "bytes": "a"}, TypeError, "expected bytes"),
        ({"type": "websocket.send", "text": "\ud800"}, UnicodeEncodeError, "surrogates"),
        ({"type": "websocket.close", "code": 1006}, ValueError, "expected 1000-1003"),
        ({"type": "websocket.close", "code": 1015}, ValueError, "expected 1000-1003"),
        ({"type": "websocket.close", "code": "1000"}, TypeError, "expected an int"),
        ({"type": "websocket.accept"}, RuntimeError, "while the WebSocket is open"),
        ({"type": "websocket.http.response.start", "status": 200}, RuntimeError, "while the WebSocket is open"),
        ({"type": "http.response.start"}, RuntimeError, "while the WebSocket is open"),
    ],
)
def test_wrong_message_of_the_application(message: dict[str, Any], error: type[Exception], text: str) -> None:
    wire = opened()
    with pytest.raises(error, match=text):
        wire.send(message)
    wire.send({"type": "websocket.send", "text": "goes on"})
    assert read_frames(wire.outgoing()) == [(TEXT, b"goes on")]


def test_close_without_code() -> None:
    wire = opened()
    wire.send({"type": "websocket.close", "code": 1005})
    assert read_frames(wire.outgoing()) == [(CLOSE, b"")]


def test_long_reason_is_cut_at_a_character() -> None:
    wire = opened()
    wire.send({"type": "websocket.close", "code": 3000, "reason": "é" * 100})
    assert read_frames(wire.outgoing()) == [(CLOSE, (3000).to_bytes(2) + ("é" * 61).encode())]


def test_send_after_the_end_is_a_lost_connection() -> None:
    wire = opened()
    received(wire, [close(1000)])
    with pytest.raises(ConnectionResetError, match="closed"):
        wire.send({"type": "websocket.send", "text": "a"})


def test_ping() -> None:
    wire = opened()
    wire.ping(b"?")
    assert read_frames(wire.outgoing()) == [(PING, b"?")]
    with pytest.raises(ValueError, match="control frame"):
        wire.ping(b"x" * 126)
    wire.send({"type": "websocket.close"})
    wire.outgoing()
    wire.ping()
    assert wire.outgoing() == b""


def test_nothing_is_read_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings that nobody asks about are not answered: a peer that only sends has to wait."""
    wire: Wire = opened()
    wire.feed(frame(PING, b"x") * 10)
    assert wire.outgoing() == b""
    assert wire.next_message() is None
    assert len(read_frames(wire.outgoing())) == 10
