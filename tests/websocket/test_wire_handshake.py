"""The opening handshake: what is accepted, refused, and answered (RFC 6455 4.2, RFC 7692 7.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request
from websockets.uri import parse_uri

from duoflask.http.errors import BadRequest
from duoflask.http.websocket_handshake import UpgradeRequired
from duoflask.http.websocket_wire import Wire

from ..growth import require_linear
from .frames import ACCEPT, HEADERS, KEY, TEXT, frame, opened

Fields = list[tuple[bytes, bytes]]


def _with(name: bytes, *values: bytes) -> Fields:
    """The usual fields with one of them replaced."""
    return [pair for pair in HEADERS if pair[0] != name] + [(name, value) for value in values]


@pytest.mark.parametrize(
    "headers",
    [
        HEADERS,
        [(name.title(), value) for name, value in HEADERS],
        _with(b"upgrade", b"WebSocket"),
        _with(b"upgrade", b"h2c, websocket"),
        _with(b"connection", b"keep-alive, Upgrade"),
        _with(b"connection", b"keep-alive", b"\tupgrade "),
        _with(b"sec-websocket-key", b" " + KEY + b" "),
        [*HEADERS, (b"sec-websocket-extensions", b"")],
        [*HEADERS, (b"sec-websocket-extensions", b'x-other; a="b"; c, , x-more')],
        [*HEADERS, (b"x-binary", b"\xff")],
    ],
)
def test_accepted(headers: Fields) -> None:
    wire = Wire.from_headers(headers)
    assert wire.next_message() == {"type": "websocket.connect"}
    assert wire.next_message() is None
    assert wire.scope_subprotocols == []
    wire.send({"type": "websocket.accept"})
    assert wire.outgoing() == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([], UpgradeRequired),
        (_with(b"upgrade"), UpgradeRequired),
        (_with(b"upgrade", b"websockets"), UpgradeRequired),
        (_with(b"upgrade", b"h2c"), UpgradeRequired),
        (_with(b"connection"), UpgradeRequired),
        (_with(b"connection", b"keep-alive"), UpgradeRequired),
        (_with(b"connection", b"upgraded"), UpgradeRequired),
        (_with(b"sec-websocket-version"), BadRequest),
        (_with(b"sec-websocket-version", b"8"), UpgradeRequired),
        (_with(b"sec-websocket-version", b"13, 8"), UpgradeRequired),
        (_with(b"sec-websocket-version", b"13", b"13"), UpgradeRequired),
        (_with(b"sec-websocket-version", b"\xb21"), UpgradeRequired),
        (_with(b"sec-websocket-key"), BadRequest),
        (_with(b"sec-websocket-key", b""), BadRequest),
        (_with(b"sec-websocket-key", b"c2hvcnQ="), BadRequest),
        (_with(b"sec-websocket-key", KEY, KEY), BadRequest),
        (_with(b"sec-websocket-key", b"!" * 22 + b"=="), BadRequest),
        (_with(b"sec-websocket-key", b"\xe9" * 24), BadRequest),
        (_with(b"sec-websocket-key", b"A" * 24), BadRequest),
        ([*HEADERS, (b"sec-websocket-protocol", b"a b")], BadRequest),
        ([*HEADERS, (b"sec-websocket-protocol", b"chat, \xff")], BadRequest),
        ([*HEADERS, (b"sec-websocket-protocol", b'"chat"')], BadRequest),
        ([*HEADERS, (b"sec-websocket-extensions", b"a b")], BadRequest),
        ([*HEADERS, (b"sec-websocket-extensions", b"; a")], BadRequest),
        ([*HEADERS, (b"sec-websocket-extensions", b"a; =b")], BadRequest),
        ([*HEADERS, (b"sec-websocket-extensions", b"a; b=")], BadRequest),
        ([*HEADERS, (b"sec-websocket-extensions", b'a; b="c')], BadRequest),
        ([*HEADERS, (b"sec-websocket-extensions", b"a; b=\xff")], BadRequest),
    ],
)
def test_refused(headers: Fields, error: type[Exception]) -> None:
    with pytest.raises(error):
        Wire.from_headers(headers)


def test_other_version_is_told_ours() -> None:
    assert ("Sec-WebSocket-Version", "13") in UpgradeRequired().get_headers()
    assert UpgradeRequired.code == 426


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (None, None),
        ("permessage-deflate", "server_max_window_bits=12"),
        ("permessage-deflate; client_max_window_bits", "server_max_window_bits=12; client_max_window_bits=12"),
        ("permessage-deflate; client_max_window_bits=10", "server_max_window_bits=12; client_max_window_bits=10"),
        ("permessage-deflate; client_max_window_bits=8", "server_max_window_bits=12; client_max_window_bits=8"),
        ('permessage-deflate; client_max_window_bits="15"', "server_max_window_bits=12; client_max_window_bits=12"),
        ("permessage-deflate;server_max_window_bits=9", "server_max_window_bits=9"),
        ("permessage-deflate ; server_max_window_bits=15", "server_max_window_bits=12"),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        ),
        ("x, permessage-deflate", "server_max_window_bits=12"),
        # declined: the next offer, if there is one
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=010", None),
        ("permessage-deflate; client_max_window_bits=abc", None),
        ("permessage-deflate; client_max_window_bits=99999999999999999999", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; client_no_context_takeover=true", None),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
        ("Permessage-Deflate", None),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", "server_max_window_bits=12"),
        (
            "permessage-deflate; server_no_context_takeover; unknown, permessage-deflate; server_max_window_bits=10",
            "server_max_window_bits=10",
        ),
        ("permessage-deflate; server_max_window_bits=11, permessage-deflate", "server_max_window_bits=11"),
    ],
)
def test_compression_offers(offered: str | None, expected: str | None) -> None:
    headers = HEADERS if offered is None else [*HEADERS, (b"sec-websocket-extensions", offered.encode())]
    for wanted in (True, False):
        wire = Wire.from_headers(headers, compression=wanted)
        wire.send({"type": "websocket.accept"})
        answer = wire.outgoing().decode()
        if expected is None or not wanted:
            assert "Extensions" not in answer
        else:
            assert f"\r\nSec-WebSocket-Extensions: permessage-deflate; {expected}\r\n" in answer


def test_subprotocol() -> None:
    headers = [*HEADERS, (b"sec-websocket-protocol", b"chat, superchat"), (b"sec-websocket-protocol", b"chat,x")]
    wire = Wire.from_headers(headers)
    assert wire.scope_subprotocols == ["chat", "superchat", "x"]
    with pytest.raises(ValueError, match="one that the client offers"):
        wire.send({"type": "websocket.accept", "subprotocol": "y"})
    wire.send({"type": "websocket.accept", "subprotocol": "superchat"})
    assert b"\r\nSec-WebSocket-Protocol: superchat\r\n" in wire.outgoing()


def test_header_fields_of_the_answer() -> None:
    wire = Wire.from_headers(HEADERS, fields=[(b"server", b"us"), (b"date", b"now")])
    headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"Server", b"app")]
    wire.send({"type": "websocket.accept", "headers": headers})
    lines = wire.outgoing().decode().split("\r\n")
    assert lines[4:] == ["date: now", "set-cookie: a=1", "set-cookie: b=2", "Server: app", "", ""]


@pytest.mark.parametrize(
    "field",
    [
        (b"a", b"b\r\nc: d"),
        (b"a", b"b\0"),
        (b"a b", b"c"),
        (b"", b"c"),
        (b"\xff", b"c"),
        (b"connection", b"close"),
        (b"Upgrade", b"h2c"),
        (b"content-length", b"0"),
        (b"transfer-encoding", b"chunked"),
        (b"sec-websocket-protocol", b"chat"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
        (b"Sec-WebSocket-Accept", b"x"),
    ],
)
def test_header_field_that_cannot_be_sent(field: tuple[bytes, bytes]) -> None:
    wire = Wire.from_headers(HEADERS)
    with pytest.raises(ValueError, match="header field|field name|field value|name|value"):
        wire.send({"type": "websocket.accept", "headers": [field]})
    assert wire.outgoing() == b""
    wire.send({"type": "websocket.close"})  # it can still be denied
    assert wire.outgoing().startswith(b"HTTP/1.1 403 ")


def test_close_before_accept_is_a_403() -> None:
    wire = Wire.from_headers(HEADERS)
    wire.send({"type": "websocket.close", "code": 1000})
    assert wire.outgoing() == b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    assert wire.closed
    with pytest.raises(ConnectionResetError):
        wire.send({"type": "websocket.accept"})


def test_denial_response() -> None:
    wire = Wire.from_headers(HEADERS, fields=[(b"date", b"now")])
    headers = [(b"content-type", b"text/plain"), (b"connection", b"keep-alive"), (b"transfer-encoding", b"chunked")]
    wire.send({"type": "websocket.http.response.start", "status": 401, "headers": headers})
    assert wire.outgoing() == b""
    with pytest.raises(RuntimeError, match="denying"):
        wire.send({"type": "websocket.accept"})
    wire.send({"type": "websocket.http.response.body", "body": b"no", "more_body": True})
    assert wire.outgoing() == (
        b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\ndate: now\r\ncontent-type: text/plain\r\n\r\nno"
    )
    wire.send({"type": "websocket.http.response.body", "body": b"!"})
    assert wire.outgoing() == b"!"
    assert wire.closed
    assert wire.next_message() == {"type": "websocket.connect"}


def test_denial_response_in_one_piece_has_a_length() -> None:
    wire = Wire.from_headers(HEADERS)
    wire.send({"type": "websocket.http.response.start", "status": 404})
    wire.send({"type": "websocket.http.response.body", "body": b"none"})
    assert wire.outgoing().endswith(b"\r\nContent-Length: 4\r\n\r\nnone")


@pytest.mark.parametrize("status", [101, 1000, "200", None, True])
def test_denial_with_an_invalid_status(status: Any) -> None:
    with pytest.raises(ValueError, match="invalid status"):
        Wire.from_headers(HEADERS).send({"type": "websocket.http.response.start", "status": status})


def test_data_before_the_answer_waits_for_it() -> None:
    wire = Wire.from_headers(HEADERS)
    wire.feed(frame(TEXT, "early"))
    assert wire.next_message() == {"type": "websocket.connect"}
    assert wire.next_message() is None
    wire.send({"type": "websocket.accept"})
    assert wire.next_message() == {"type": "websocket.receive", "text": "early"}


def test_too_much_data_before_the_answer() -> None:
    wire = Wire.from_headers(HEADERS)
    wire.feed(b"x" * 65536)
    assert not wire.closed
    wire.feed(b"x")
    assert wire.closed


def test_client_that_leaves_before_the_answer() -> None:
    wire = Wire.from_headers(HEADERS)
    wire.feed_eof()
    assert wire.next_message() == {"type": "websocket.connect"}
    assert wire.next_message() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    with pytest.raises(ConnectionResetError):
        wire.send({"type": "websocket.accept"})


def test_send_before_accept() -> None:
    with pytest.raises(RuntimeError, match="connecting"):
        Wire.from_headers(HEADERS).send({"type": "websocket.send", "text": "a"})


@pytest.mark.measures
@pytest.mark.parametrize(
    "value",
    [
        lambda size: b"," * size,
        lambda size: b"a" + b" " * size + b"a",
        lambda size: b'"' * size,
        lambda size: b'a; b="' + b"\\" * size,
        lambda size: b"a;" * size,
        lambda size: b"permessage-deflate; client_max_window_bits," * (size // 40),
    ],
)
@pytest.mark.parametrize("name", [b"sec-websocket-extensions", b"sec-websocket-protocol", b"connection"])
def test_handshake_takes_linear_time(name: bytes, value: Any) -> None:
    def make(size: int) -> Callable[[], None]:
        headers = [*HEADERS, (name, value(size))]

        def shake_hands() -> None:
            try:
                Wire.from_headers(headers)
            except BadRequest:
                pass

        return shake_hands

    require_linear(make, 40_000)


def test_client_of_websockets_understands_the_answers() -> None:
    client = ClientProtocol(parse_uri("ws://localhost/"), subprotocols=["a", "b"])  # type: ignore[list-item]
    request = client.connect()
    wire = _wire_for(request)
    wire.send({"type": "websocket.accept", "subprotocol": "b"})
    client.send_request(request)
    client.receive_data(wire.outgoing())
    assert client.handshake_exc is None
    assert client.subprotocol == "b"


def test_client_of_websockets_understands_a_denial() -> None:
    client = ClientProtocol(parse_uri("ws://localhost/"))
    request = client.connect()
    wire = _wire_for(request)
    client.send_request(request)
    wire.send({"type": "websocket.http.response.start", "status": 401})
    wire.send({"type": "websocket.http.response.body", "body": b"who?"})
    client.receive_data(wire.outgoing())
    assert isinstance(client.handshake_exc, InvalidStatus)
    assert client.handshake_exc.response.status_code == 401
    assert client.handshake_exc.response.body == b"who?"


def _wire_for(request: Request) -> Wire:
    return Wire.from_headers([(name.encode(), value.encode()) for name, value in request.headers.raw_items()])


def test_options_are_the_wires() -> None:
    assert opened(max_message_size=5).state.value == "open"
