from __future__ import annotations

import gc
import io
import os
import threading

import pytest
from hypothesis import given, strategies as st

from duoflask.http import buffered
from duoflask.http.body import LimitedStream
from duoflask.http.buffered import BufferedBody, collect
from duoflask.http.errors import BadRequest, ClientDisconnected, RequestEntityTooLarge


@pytest.mark.parametrize("spill_at", [None, 0, 4, 1000])
@given(st.lists(st.binary(max_size=6)))
def test_collected_pieces_read_as_one_file(spill_at, chunks):
    body = BufferedBody(max_memory=spill_at)
    for chunk in chunks:
        assert body.add(chunk)
        if body.needs_disk:
            body.spill()
            assert not body.needs_disk
    whole = b"".join(chunks)
    assert body.size == len(whole)
    assert body.getvalue() == whole
    assert body.read(3) == whole[:3]
    assert body.getvalue() == whole
    assert body.read() == whole[3:]
    body.seek(0)
    assert list(body) == io.BytesIO(whole).readlines()
    body.seek(0)
    assert body.readline() == io.BytesIO(whole).readline()
    body.close()
    body.close()
    assert body.closed


@pytest.mark.parametrize("spill", [False, True])
def test_too_much_is_kept_and_raised_at_each_read(spill):
    body = BufferedBody(max_memory=1, max_total=4, limit_name="MAX_SPOOLED_BODY")
    assert body.add(b"1234")
    if spill:
        body.spill()
    assert not body.add(b"5")
    assert not body.add(b"6")
    for read in (body.read, body.readline, body.getvalue, body.read1, body.tell, lambda: list(body)):
        with pytest.raises(RequestEntityTooLarge, match="MAX_SPOOLED_BODY"):
            read()
    body.close()


def test_first_failure_stays():
    body = BufferedBody()
    body.fail(ClientDisconnected("gone"))
    body.fail(BadRequest("later"))
    with pytest.raises(ClientDisconnected, match="gone"):
        body.read()


def test_a_body_that_is_read_takes_no_more():
    body = BufferedBody.of([b"a"])
    body.read()
    with pytest.raises(RuntimeError):
        body.add(b"b")


def test_wraps_as_text():
    assert io.TextIOWrapper(BufferedBody.of([b"a\n", b"b"])).readlines() == ["a\n", "b"]


BODY = bytes(range(256)) * 40


def body_of(max_memory):
    body = BufferedBody(max_memory)
    for index in range(0, len(BODY), 100):
        body.add(BODY[index : index + 100])
        if body.needs_disk:
            body.spill()
    return body


@pytest.mark.parametrize("max_memory", [None, 0, 5000])
@pytest.mark.parametrize("pread", [True, False])
@given(st.integers(0, len(BODY)), st.integers(0, 300), st.integers(0, 300), st.integers(0, 50))
def test_window_is_a_file_of_its_own(max_memory, pread, start, size, offset, amount):
    with pytest.MonkeyPatch.context() as patch:
        if not pread:
            patch.delattr(os, "preadv")
        body = body_of(max_memory)
        body.read(7)
        expected = io.BytesIO(BODY[start : start + size])
        window = body.window(start, len(expected.getvalue()))
        for whence, to in ((0, offset), (1, 3), (2, 0), (0, 0)):
            assert window.seek(to, whence) == expected.seek(to, whence)
            assert (window.read(amount), window.tell()) == (expected.read(amount), expected.tell())
        assert list(window) == list(expected)
        assert window.readable()
        assert window.seekable()
        window.close()
        assert body.read(3) == BODY[7:10]
        body.close()


def test_windows_are_read_in_many_threads():
    body = body_of(0)
    read = []

    def work(start):
        window = body.window(start, 500)
        read.append((start, b"".join(iter(lambda: window.read(13), b""))))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 5000, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(read) == {start: BODY[start : start + 500] for start in range(0, 5000, 500)}
    body.close()


def test_window_ends_with_the_body():
    body = body_of(0)
    window = body.window(0, 5000)
    body.close()
    with pytest.raises(ValueError, match="request has ended"):
        window.read()
    with pytest.raises(ValueError, match="negative"):
        body_of(0).window(0, 5).seek(-1)


def test_file_is_closed_with_the_last_who_holds_it():
    body = body_of(0)
    number = body._file.fileno()
    window = body.window(0, 5)
    del body
    gc.collect()
    os.fstat(number)
    del window
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_watch_sees_every_byte_of_a_body_on_disk_once():
    seen = []
    body = BufferedBody(10)
    body.watch = seen.append
    body = collect(io.BytesIO(BODY), body)
    assert b"".join(seen) == BODY
    assert body.read() == BODY
    assert b"".join(seen) == BODY
    body.close()


@pytest.mark.parametrize("length", [None, 5, len(BODY), 10**9])
@pytest.mark.parametrize("max_memory", [None, 0, 100_000])
def test_stream_is_collected_to_its_end(length, max_memory):
    body = collect(io.BytesIO(BODY), BufferedBody(max_memory), length)
    assert body.read() == BODY
    assert body.on_disk is (max_memory == 0)
    body.close()


@pytest.mark.parametrize("max_memory", [None, 0])
def test_error_of_a_stream_is_kept(max_memory):
    body = collect(LimitedStream(io.BytesIO(BODY), len(BODY) + 1), BufferedBody(max_memory))
    assert not body.on_disk
    for _ in range(2):
        with pytest.raises(ClientDisconnected):
            body.read()
    body = collect(io.BytesIO(BODY), BufferedBody(max_memory, max_total=100))
    with pytest.raises(RequestEntityTooLarge, match="MAX_CONTENT_LENGTH"):
        body.read()


def test_a_body_in_memory_is_not_copied():
    data = b"x" * 100_000
    body = collect(io.BytesIO(data), BufferedBody(), len(data))
    assert body.read() is data
    assert buffered.DEFAULT_MAX_BODY_MEMORY >= 1 << 20


def test_tiny_pieces_take_little_more_than_their_bytes() -> None:
    body = BufferedBody(max_memory=None)
    for index in range(10_000):
        body.add(b"%d" % (index % 10))
    body.add(b"x" * 4096)
    body.add(b"end")
    assert len(body._pieces) == 3
    assert body.read() == b"0123456789" * 1000 + b"x" * 4096 + b"end"
