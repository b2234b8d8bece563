from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from werkzeug.sansio import multipart as oracle

from duoflask.http import multipart_events as events
from duoflask.http.errors import RequestEntityTooLarge
from duoflask.http.headers import Headers
from duoflask.http.multipart import InvalidMultipart
from duoflask.http.multipart_events import (
    Data,
    Epilogue,
    Field,
    File,
    MultipartDecoder,
    MultipartEncoder,
    NeedData,
    Preamble,
)

BODY = (
    b'before\r\n--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n2\r\n'
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="x.txt"\r\nContent-Type: text/plain\r\n\r\nbytes\r\n'
    b'--b\r\nContent-Disposition: form-data; name="e"\r\n\r\n--b--\r\nbehind'
)


def decoded(decoder: Any, chunks: Any, need_data: type) -> list[Any]:
    found: list[Any] = []
    for chunk in (*chunks, None):
        decoder.receive_data(chunk)
        while found[-1:] == [] or type(found[-1]).__name__ != "Epilogue":
            event = decoder.next_event()
            if isinstance(event, need_data):
                break
            found.append(event)
    return found


def told(found: list[Any]) -> list[Any]:
    """The events, with the pieces of each part joined and what both libraries call them."""
    result: list[Any] = []
    for event in found:
        kind = type(event).__name__
        if kind == "Data" and result[-1][0] == "Data" and result[-1][2]:
            result[-1] = ("Data", result[-1][1] + event.data, event.more_data)
        elif kind == "Data":
            result.append(("Data", event.data, event.more_data))
        elif kind in ("Field", "File"):
            result.append((kind, event.name, getattr(event, "filename", None), list(event.headers)))
        else:
            result.append((kind, event.data))
    return result


def test_whole_body() -> None:
    assert decoded(MultipartDecoder(b"b"), [BODY], NeedData) == [
        Preamble(b"before"),
        Field("a", Headers([("Content-Disposition", 'form-data; name="a"')])),
        Data(b"1\r\n2", False),
        File(
            "f",
            "x.txt",
            Headers([("Content-Disposition", 'form-data; name="f"; filename="x.txt"'), ("Content-Type", "text/plain")]),
        ),
        Data(b"bytes", False),
        Field("e", Headers([("Content-Disposition", 'form-data; name="e"')])),
        Data(b"", False),
        Epilogue(b"behind"),
    ]


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
def test_cuts_do_not_matter_and_werkzeug_says_the_same(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(BODY)]
    chunks = [BODY[first:last] for first, last in zip(places, places[1:])]
    ours = told(decoded(MultipartDecoder(b"b"), chunks, NeedData))
    theirs = told(decoded(oracle.MultipartDecoder(b"b"), [BODY], oracle.NeedData))
    assert ours == theirs


def test_byte_by_byte() -> None:
    chunks = [BODY[place : place + 1] for place in range(len(BODY))]
    assert told(decoded(MultipartDecoder(b"b"), chunks, NeedData)) == told(
        decoded(MultipartDecoder(b"b"), [BODY], NeedData)
    )


def test_encoder_writes_what_the_decoder_has_read() -> None:
    encoder, theirs = MultipartEncoder(b"b"), oracle.MultipartEncoder(b"b")
    found = decoded(MultipartDecoder(b"b"), [BODY], NeedData)
    assert b"".join(map(encoder.send_event, found)) == BODY
    their_events = decoded(oracle.MultipartDecoder(b"b"), [BODY], oracle.NeedData)
    assert b"".join(map(theirs.send_event, their_events)) == BODY


def test_encoder_lets_no_name_out_of_its_quotes() -> None:
    written = MultipartEncoder(b"b").send_event(File('a"\r\nX: y', '"', Headers()))
    assert written.count(b"\r\n") == 3
    assert b'name="a%22%0D%0AX: y"; filename="%22"' in written


@pytest.mark.parametrize("event", [Data(b"x", True), events.NeedData()])
def test_encoder_refuses_what_is_not_its_turn(event: Any) -> None:
    with pytest.raises(ValueError, match="cannot come here"):
        MultipartEncoder(b"b").send_event(event)


def test_body_without_end_is_an_error() -> None:
    decoder = MultipartDecoder(b"b")
    decoder.receive_data(BODY[:-20])
    with pytest.raises(InvalidMultipart):
        decoder.receive_data(None)


def test_limits() -> None:
    with pytest.raises(RequestEntityTooLarge):
        MultipartDecoder(b"b", max_parts=2).receive_data(BODY)
    with pytest.raises(RequestEntityTooLarge):
        MultipartDecoder(b"b", 3).receive_data(BODY)
    MultipartDecoder(b"b", 4, max_parts=3).receive_data(BODY)  # files do not count


def test_nothing_after_the_end() -> None:
    decoder = MultipartDecoder(b"b")
    assert decoded(decoder, [BODY], NeedData)[-1] == Epilogue(b"behind")
    assert decoder.complete
    assert isinstance(decoder.next_event(), NeedData)
