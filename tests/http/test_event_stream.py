"""Server-sent events as bytes and back (WHATWG HTML 9.2)."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, strategies as st

from duoflask.http.event_stream import MAX_EVENT_ID, Event, EventParser, parse_event_id

from ..growth import require_linear


def read(data: bytes, size: int = 0) -> tuple[list[Event], EventParser]:
    """Parse bytes whole, or in pieces of a size."""
    parser = EventParser()
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    return [event for piece in pieces for event in parser.feed(piece)], parser


def reference(data: bytes) -> list[tuple[str | None, str, str | None]]:
    """The standard's algorithm over a whole stream, as simply as it can be written: (type, data, id)."""
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    events: list[tuple[str | None, str, str | None]] = []
    kind, lines, last_id = "", [], ""
    for line in text.split("\n")[:-1]:
        if line == "":
            if lines:
                events.append((kind or None, "\n".join(lines), last_id or None))
            kind, lines = "", []
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            value = value[1:] if value[:1] == " " else value
            if name == "data":
                lines.append(value)
            elif name == "event":
                kind = value
            elif name == "id" and "\0" not in value:
                last_id = value
    return events


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (Event("x"), b"data: x\n\n"),
        (Event(""), b"data: \n\n"),
        (Event(" x"), b"data:  x\n\n"),
        (Event("a\nb\r\nc\rd"), b"data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (Event("a\n"), b"data: a\ndata: \n\n"),
        (Event("a\u2028b\x0bc\x85d"), "data: a\u2028b\x0bc\x85d\n\n".encode()),
        (Event("\ud800"), b"data: ?\n\n"),
        (Event("x", "tick", "7", 100), b"event: tick\nid: 7\nretry: 100\ndata: x\n\n"),
        (Event(id="7"), b"id: 7\n\n"),
        (Event("x", id=""), b"id: \ndata: x\n\n"),
        (Event(retry=0), b"retry: 0\n\n"),
        (Event(comment="a\rb"), b": a\n: b\n\n"),
        (Event(), b":\n\n"),
        (Event(":x", "a: b"), b"event: a: b\ndata: :x\n\n"),
    ],
)
def test_event_is_written(event: Event, data: bytes) -> None:
    assert event.encode() == data


@pytest.mark.parametrize("name", ["event", "id"])
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "\r\n", "a\0b"])
def test_line_end_or_nul_in_type_or_id_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="expected one line without NUL"):
        Event("x", **{name: value})


@pytest.mark.parametrize("retry", [-1, 1.5, "100", True])
def test_retry_that_is_no_number_of_milliseconds_is_refused(retry: Any) -> None:
    with pytest.raises(ValueError, match="invalid retry of an event; expected milliseconds"):
        Event("x", retry=retry)


@pytest.mark.parametrize("parts", [{"event": 1}, {"id": 1}, {"comment": b"x"}])
def test_part_of_another_type_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="expected str; got"):
        Event("x", **parts)


def test_data_that_is_no_text_names_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"write|use json\.dumps"):
        Event({"x": 1}).encode()


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7])
@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [Event("a"), Event("b")]),
        (b"data:a\r\rdata:b\r\r", [Event("a"), Event("b")]),
        (b"data:a\r\n\r\ndata:b\r\n\r\n", [Event("a"), Event("b")]),
        (b"data: a\r\ndata: b\n\r\n", [Event("a\nb")]),
        (b"data\n\n", [Event("")]),
        (b"data: x", []),
        (b"data: x\n", []),
        (b"\xef\xbb\xbfdata: x\n\n", [Event("x")]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n", []),
        (b"id: 1\ndata: x\n\ndata: y\n\n", [Event("x", id="1"), Event("y", id="1")]),
        (b"id: 1\0\ndata: x\n\n", [Event("x")]),
        (b"id\ndata: x\n\n", [Event("x")]),
        (b"event: e\n\ndata: x\n\n", [Event("x")]),
        (b"event: e\ndata: x\n\n", [Event("x", "e")]),
        (b":\n\n: c\ndata: x\n\n", [Event("x")]),
        (b"data: \xff\n\n", [Event("\ufffd")]),
        (b"Data: x\nunknown: y\n\n", []),
        (b"data: \xc3\xbc\n\n", [Event("\xfc")]),
    ],
)
def test_stream_is_read_whatever_its_pieces(data: bytes, events: list[Event], size: int) -> None:
    assert read(data, size)[0] == events


def test_parser_keeps_what_a_browser_keeps() -> None:
    _, parser = read(b": hi\nretry: 250\nretry: x\nretry: \xd9\xa1\nid: 7\n\n")
    assert (parser.last_event_id, parser.retry, parser.comments) == ("7", 250, 1)


def test_type_with_nul_is_no_error() -> None:
    assert [event.event for event in read(b"event: a\0\ndata: x\n\n")[0]] == ["a\0"]


def test_event_that_is_too_long_is_refused() -> None:
    for data in (b"data: " + b"x" * 200, b"data: xxxxxxxxxx\n" * 20):
        parser = EventParser(max_event_size=100)
        with pytest.raises(ValueError, match="expected at most 100 characters"):
            for at in range(0, len(data), 10):
                parser.feed(data[at : at + 10])


@pytest.mark.measures
def test_parser_is_linear() -> None:
    require_linear(lambda size: partial(read, b"data: x" + b"y" * size + b"\n" + b"data\n" * size, 64), 20_000)


@given(
    st.lists(
        st.sampled_from(
            [
                b"data",
                b"id",
                b"event",
                b"retry",
                b":",
                b" ",
                b"\r",
                b"\n",
                b"\r\n",
                b"\0",
                b"x",
                b"\xef\xbb\xbf",
                b"\xc3",
            ]
        )
    ),
    st.integers(0, 5),
)
def test_parser_agrees_with_the_standard(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    if data.endswith(b"\r"):
        data += b"\n"
    assert [(event.event, event.data, event.id) for event in read(data, size)[0]] == reference(data)


_LINE = st.text().map(
    lambda text: "".join(char for char in text if char not in "\r\n\0" and not "\ud800" <= char <= "\udfff")
)


@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), _LINE, _LINE)), st.integers(0, 9))
def test_what_is_written_is_read_again(events: list[tuple[str, str, str]], size: int) -> None:
    data = b":\n\n" + b"".join(Event(text, kind, word).encode() for text, kind, word in events)
    expected = [
        (text.replace("\r\n", "\n").replace("\r", "\n"), kind or None, word or None) for text, kind, word in events
    ]
    assert [(event.data, event.event, event.id) for event in read(data, size)[0]] == expected


@pytest.mark.parametrize(
    ("field", "found"),
    [
        (None, None),
        ("", ""),
        ("7", "7"),
        ("\xc3\xbc", "\xfc"),
        ("\xff", "\ufffd"),
        ("\u20ac", "\u20ac"),
        ("a\0", None),
        ("a\nb", None),
        ("a\rb", None),
        ("x" * MAX_EVENT_ID, "x" * MAX_EVENT_ID),
        ("x" * (MAX_EVENT_ID + 1), None),
    ],
)
def test_last_event_id_is_read(field: str | None, found: str | None) -> None:
    assert parse_event_id(field) == found
