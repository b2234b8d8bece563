from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st
from werkzeug import http as oracle
from werkzeug.datastructures import ContentRange as OracleContentRange, Range as OracleRange

from duoflask.http.ranges import (
    DEFAULT_MAX_RANGES,
    ContentRange,
    Range,
    is_byte_range_valid,
    parse_content_range_header,
    parse_range_header,
    plan_byteranges,
)

from ..growth import require_linear

NUMBER = st.integers(0, 20).map(str) | st.sampled_from(["", "*", "+1", "1_0", "\u0661", "00", "9" * 30, "-1", " 3 "])
ITEM = st.builds("{}-{}".format, NUMBER, NUMBER) | st.text(alphabet="0123456789-+_,= \t", max_size=8)
RANGES = st.builds(
    "{}{}{}".format,
    st.sampled_from(["bytes", "Bytes", "items", " bytes ", ""]),
    st.sampled_from(["=", "=", "=", "", " "]),
    st.lists(ITEM, max_size=4).map(",".join),
)
MAYBE = st.none() | st.integers(-3, 25)


def pairs(value: Any) -> Any:
    return None if value is None else (value.units, list(value.ranges))


def in_order(ranges: Any) -> bool:
    """Whether Werkzeug would take these: ascending, apart, nothing behind an open end."""
    last = 0
    for begin, end in ranges:
        if last < 0 or (begin >= 0 and begin < last):
            return False
        last = -1 if end is None else end
    return True


@given(st.none() | RANGES)
def test_range_is_parsed_as_in_werkzeug(value: str | None) -> None:
    ours, theirs = parse_range_header(value), oracle.parse_range_header(value)
    if theirs is not None:
        assert pairs(ours) == pairs(theirs)
        assert str(ours) == str(theirs)
        assert pairs(parse_range_header(str(ours))) == pairs(ours)
    elif ours is not None:  # any order, and empty items of the list
        items = [item.strip(" \t") for item in value.partition("=")[2].split(",")]
        assert "" in items or not in_order(ours.ranges)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=5-9,0-3", [(5, 10), (0, 4)]),
        ("bytes=500-700,601-999", [(500, 701), (601, 1000)]),  # RFC 9110 14.1.2
        ("bytes=-5,0-3", [(-5, None), (0, 4)]),
        ("bytes=0-3,,5-", [(0, 4), (5, None)]),
        ("bytes=0-3, ", [(0, 4)]),
    ],
)
def test_any_order_and_empty_items_are_valid(value: str, expected: Any) -> None:
    assert oracle.parse_range_header(value) is None
    assert pairs(parse_range_header(value)) == ("bytes", expected)


@pytest.mark.parametrize(
    "value",
    ["bytes", "bytes=", "bytes=,", "bytes=-0", "bytes=a-b", "bytes=3-1", "bytes=--1", "bytes=1", "bytes=\u0661-",
     "bytes=+1-2", "bytes=1_0-", "bytes=0x1-", "bytes=1.0-2", "bytes=" + "9" * 5000 + "-", "bytes=-" + "9" * 5000],
)  # fmt: skip
def test_malformed_range_is_none(value: str) -> None:
    assert parse_range_header(value) is None


def test_number_of_ranges_is_bounded() -> None:
    def value(count: int) -> str:
        return "bytes=" + ",".join(f"{n * 9}-{n * 9 + 1}" for n in range(count))

    kept = parse_range_header(value(DEFAULT_MAX_RANGES))
    assert kept is not None
    assert len(kept.ranges) == DEFAULT_MAX_RANGES
    assert parse_range_header(value(DEFAULT_MAX_RANGES + 1)) is None
    assert parse_range_header("bytes=" + "0-," * 100_000) is None
    many = parse_range_header(value(1000), max_ranges=None)
    assert many is not None
    assert len(many.ranges) == 1000


@given(RANGES, st.none() | st.integers(0, 30))
def test_one_range_of_a_length_is_werkzeugs(value: str, length: int | None) -> None:
    ours, theirs = parse_range_header(value), oracle.parse_range_header(value)
    if ours is None or theirs is None:
        return
    begin, _ = ours.ranges[0]
    if length is not None and begin < -length:  # a suffix longer than the data: Werkzeug refuses it
        return
    assert ours.range_for_length(length) == theirs.range_for_length(length)
    assert ours.to_content_range_header(length) == theirs.to_content_range_header(length)
    mine, flasks = ours.make_content_range(length), theirs.make_content_range(length)
    assert (mine and str(mine)) == (flasks and str(flasks))


def test_suffix_longer_than_the_data_means_all_of_it() -> None:
    assert Range("bytes", [(-10, None)]).range_for_length(5) == (0, 5)
    assert Range("bytes", [(-10, None)]).range_for_length(0) is None
    assert OracleRange("bytes", [(-10, None)]).range_for_length(5) is None


@given(st.lists(st.tuples(st.integers(-9, 30), st.none() | st.integers(0, 40)), max_size=8), st.integers(0, 30))
def test_ranges_are_sorted_apart_and_cover_the_same_bytes(items: Any, length: int) -> None:
    valid = [(b, e) for b, e in items if e is None or 0 <= b < e]
    found = Range("bytes", valid).ranges_for_length(length)
    wanted = set()
    for begin, end in valid:
        one = Range("bytes", [(begin, end)]).range_for_length(length)
        wanted |= set(range(*one)) if one else set()
    assert {n for begin, end in found for n in range(begin, end)} == wanted
    assert all(0 <= begin < end <= length for begin, end in found)
    assert all(first[1] < second[0] for first, second in zip(found, found[1:], strict=False))
    assert sum(end - begin for begin, end in found) <= length


def test_other_units_have_no_bytes() -> None:
    assert Range("items", [(0, 1)]).ranges_for_length(5) == []
    assert Range("items", [(0, 1)]).range_for_length(5) is None


@pytest.mark.parametrize("pair", [(3, 3), (4, 1), (-1, 5), (None, 5)])
def test_range_that_is_none_is_refused(pair: Any) -> None:
    with pytest.raises(ValueError, match="invalid range"):
        Range("bytes", [pair])
    with pytest.raises(ValueError):
        OracleRange("bytes", [pair])


@given(MAYBE, MAYBE, MAYBE)
def test_validity_is_werkzeugs(start: int | None, stop: int | None, length: int | None) -> None:
    assert is_byte_range_valid(start, stop, length) == oracle.is_byte_range_valid(start, stop, length)


# -- Content-Range

CONTENT_RANGES = st.builds(
    "{} {}-{}/{}".format, st.sampled_from(["bytes", "items", " bytes"]), NUMBER, NUMBER, NUMBER
) | st.builds("{}{}/{}".format, st.sampled_from(["bytes ", "bytes", " "]), st.sampled_from(["*", "1-2", " *"]), NUMBER)


@given(st.none() | CONTENT_RANGES | st.text(alphabet="bytes 0123*-/", max_size=14))
def test_content_range_is_parsed_as_in_werkzeug(value: str | None) -> None:
    ours, theirs = parse_content_range_header(value), oracle.parse_content_range_header(value)
    assert (ours is None) == (theirs is None)
    if ours is not None:
        assert (ours.units, ours.start, ours.stop, ours.length) == (
            theirs.units,
            theirs.start,
            theirs.stop,
            theirs.length,
        )
        assert (str(ours), bool(ours)) == (str(theirs), bool(theirs))


def test_content_range_tells_of_each_change() -> None:
    def walk(kind: Any) -> list[str]:
        seen: list[str] = []
        value = kind("bytes", 0, 5, 10, on_update=lambda changed: seen.append(str(changed)))
        value.start = 1
        value.stop = 6
        value.length = None
        value.units = "items"
        value.set(2, 3, 4)
        value.set(None, None, 9)
        value.unset()
        return [*seen, repr(value), str(bool(value))]

    assert walk(ContentRange) == walk(OracleContentRange)


def test_content_range_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 0 <= start < stop"):
        ContentRange("bytes", 5, 3, 10)
    value = ContentRange("bytes", 0, 1)
    with pytest.raises(ValueError):
        value.set(9, 10, 5)
    assert str(value) == "bytes 0-0/*"


# -- multipart/byteranges


def test_planned_body_has_the_length_that_it_tells() -> None:
    data = bytes(range(256))
    plan = plan_byteranges([(0, 5), (100, 103), (255, 256)], len(data), "text/plain; charset=utf-8", "xyz")
    body = b"".join(piece.head + data[piece.start : piece.stop] for piece in plan.pieces) + plan.tail
    assert len(body) == plan.content_length
    assert plan.content_type == "multipart/byteranges; boundary=xyz"
    first, second, third = body.split(b"\r\n--xyz")[1:4]
    assert first == b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-4/256\r\n\r\n" + data[:5]
    assert second.endswith(b"Content-Range: bytes 100-102/256\r\n\r\ndef")
    assert third.endswith(b"Content-Range: bytes 255-255/256\r\n\r\n\xff")
    assert body.endswith(b"\r\n--xyz--\r\n")
    assert b"Content-Type" not in plan_byteranges([(0, 1)], 2, None, "x").pieces[0].head
    with pytest.raises(ValueError, match="invalid header value"):
        plan_byteranges([(0, 1)], 2, "a\r\nb", "x")


@pytest.mark.measures
@pytest.mark.parametrize("piece", ["0-,", "1", "-", " ", ",", "-1", "0-9,", "\t", "=", "1-1, ", "/", "*/"])
def test_parsing_is_linear(piece: str) -> None:
    def make(size: int) -> Callable[[], None]:
        value = piece * (size // len(piece))

        def parse() -> None:
            parse_range_header("bytes=" + value, max_ranges=None)
            parse_range_header("bytes=" + value)
            parse_content_range_header("bytes " + value + "/5")

        return parse

    require_linear(make, 100_000)
