from __future__ import annotations

import io

import pytest
from hypothesis import given, strategies as st

from duoflask.http.body import (
    MAX_DRAINED_BODY,
    LimitedStream,
    drain,
    drain_input,
    parse_content_length,
    read_limited,
    read_now,
)
from duoflask.http.errors import BadRequest, ClientDisconnected, RequestEntityTooLarge


class Dribble(io.BytesIO):
    """A stream that gives at most three bytes a read and remembers what was taken."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0
        return super().read(min(size, 3))

    def readline(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0
        return super().readline(min(size, 3))


BODY = b"first line\nsecond\n\nlast"


@pytest.mark.parametrize("stream", [io.BytesIO, Dribble])
@pytest.mark.parametrize("read", ["read", "readline", "iterate", "readinto", "small"])
def test_exact_length_is_read_and_not_a_byte_more(stream, read):
    source = stream(BODY + b"NEXT REQUEST")
    body = LimitedStream(source, len(BODY))
    assert exhaust(body, read) == BODY
    assert body.read() == body.read(5) == body.readline() == b""
    assert source.tell() == len(BODY)
    assert body.tell() == len(BODY)
    assert body.is_exhausted


def exhaust(body, how):
    if how == "read":
        return body.read()
    if how == "iterate":
        return b"".join(body)
    out = b""
    while True:
        if how == "readline":
            piece = body.readline()
        elif how == "small":
            piece = body.read(2)
        else:
            buffer = bytearray(4)
            piece = bytes(buffer[: body.readinto(buffer)])
            piece = bytes(buffer[: len(piece)])
        if not piece:
            return out
        out += piece


@pytest.mark.parametrize("stream", [io.BytesIO, Dribble])
def test_lines_are_whole(stream):
    assert list(LimitedStream(stream(BODY), len(BODY))) == BODY.splitlines(keepends=True)
    assert LimitedStream(stream(BODY), len(BODY)).readline(4) == b"firs"


@pytest.mark.parametrize("stream", [io.BytesIO, Dribble])
@pytest.mark.parametrize("read", ["read", "readline", "iterate", "readinto", "small"])
def test_early_end_is_a_400_each_time(stream, read):
    body = LimitedStream(stream(b"abc"), 10)
    for _ in range(2):
        with pytest.raises(ClientDisconnected, match="expected 10 bytes; got 3") as info:
            exhaust(body, read)
    assert info.value.code == 400


@pytest.mark.parametrize("stream", [io.BytesIO, Dribble])
def test_short_body_is_read_at_once_and_not_beyond_its_end(stream):
    source = stream(BODY + b"next request")
    body = read_now(source, len(BODY))
    assert source.tell() == len(BODY)
    assert body.read() == BODY
    assert body.read() == b""


@pytest.mark.parametrize("stream", [io.BytesIO, Dribble])
def test_short_body_that_ends_early_is_a_400_each_time(stream):
    body = read_now(stream(b"abc"), 10)
    for _ in range(2):
        with pytest.raises(ClientDisconnected, match="expected 10 bytes; got 3"):
            body.read()


@pytest.mark.parametrize("stream", [io.BytesIO, Dribble])
@pytest.mark.parametrize("read", ["read", "readline", "iterate", "readinto", "small"])
def test_exactly_the_maximum_is_fine_and_one_more_a_413(stream, read):
    assert exhaust(LimitedStream(stream(BODY), len(BODY), is_max=True), read) == BODY
    assert exhaust(LimitedStream(stream(BODY), None, is_max=True), read) == BODY
    body = LimitedStream(stream(BODY + b"!"), len(BODY), is_max=True)
    for _ in range(2):
        with pytest.raises(RequestEntityTooLarge, match="MAX_CONTENT_LENGTH"):
            exhaust(body, read)


def test_failing_stream_is_a_disconnect():
    class Broken:
        def read(self, size):
            raise OSError("reset")

    with pytest.raises(ClientDisconnected) as info:
        LimitedStream(Broken(), 5).read()
    assert isinstance(info.value.__cause__, OSError)
    with pytest.raises(ClientDisconnected):
        read_now(Broken(), 5).read()


def test_a_stream_without_end_needs_a_limit():
    with pytest.raises(TypeError):
        LimitedStream(io.BytesIO(), None)


def test_wraps_as_text():
    assert io.TextIOWrapper(io.BufferedReader(LimitedStream(io.BytesIO(b"a\nb"), 3))).readlines() == [
        "a\n",
        "b",
    ]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-1",
        "+1",
        "1_0",
        "1.0",
        "1, 1",
        "1,1",
        "0x1",
        "\u0661",
        "\xb2",
        "1 0",
        "9" * 20,
        "9" * 5000,
        "a",
        "\x0c1",
        b"\xb2",
        b"-1",
    ],
)
def test_content_length_is_digits_only(value):
    with pytest.raises(BadRequest, match="invalid Content-Length"):
        parse_content_length(value)


@given(st.integers(0, 10**18 - 1))
def test_content_length_is_read(number):
    assert parse_content_length(str(number)) == parse_content_length(f" 0{number}\t".encode()) == number
    assert parse_content_length(None) is None


def test_read_limited():
    assert read_limited(Dribble(b"12345"), 5, "KEY") == b"12345"
    assert read_limited(io.BytesIO(b"12345"), None, "KEY") == b"12345"
    with pytest.raises(RequestEntityTooLarge, match="KEY"):
        read_limited(Dribble(b"123456"), 5, "KEY")


def test_refused_body_is_drained_only_a_little():
    source = io.BytesIO(b"x" * (MAX_DRAINED_BODY + 10))
    drain(source)
    assert source.tell() == MAX_DRAINED_BODY
    source.seek(0)
    drain(source, 5)
    assert source.tell() == 5


def test_oversized_body_is_drained_once():
    source = io.BytesIO(b"x" * 100_000)
    body = LimitedStream(source, 10, is_max=True)
    for _ in range(2):
        with pytest.raises(RequestEntityTooLarge):
            body.read()
    assert source.tell() == 100_000


def test_failing_stream_is_not_drained_for_ever():
    reads = []

    class Broken:
        def read(self, size):
            reads.append(size)
            raise OSError("reset")

    drain(Broken())
    assert len(reads) == 1


def test_body_that_waits_to_be_asked_for_is_not_drained():
    source = io.BytesIO(b"x" * 100)
    drain_input({"wsgi.input": source, "HTTP_EXPECT": "100-continue"}, 100)
    drain_input({"wsgi.input": source}, None)
    assert source.tell() == 0
    drain_input({"wsgi.input": source}, 60)
    assert source.tell() == 60
    drain_input({"wsgi.input": source, "HTTP_EXPECT": "100-continue", "SERVER_SOFTWARE": "gunicorn/25.0"}, 40)
    assert source.tell() == 100
