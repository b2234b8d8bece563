from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st
from werkzeug import http as oracle
from werkzeug.datastructures import ETags as OracleETags

from duoflask.http.etags import (
    ETags,
    IfRange,
    evaluate_preconditions,
    generate_etag,
    is_resource_modified,
    parse_etags,
    parse_if_range_header,
    quote_etag,
    range_still_applies,
    unquote_etag,
)
from duoflask.http.headers import Headers

from ..growth import require_linear

PIECES = [
    '"a"',
    'W/"a"',
    'w/"b"',
    '"b"',
    "a",
    "W/b",
    "*",
    '""',
    'W/""',
    ",",
    ", ",
    " ",
    "\t",
    '"',
    "W/",
    "/",
    "é",
    '"a b"',
]
FIELD = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(alphabet='aWw/", \t*é', max_size=20)
TAGS = st.lists(st.text(alphabet="abc W/*", max_size=3), max_size=3)


def sets(etags: Any) -> Any:
    return etags.star_tag, set(etags._strong) - {None, ""}, set(etags._weak) - {None, ""}


@given(FIELD)
def test_field_is_parsed_as_in_werkzeug(value: str) -> None:
    # Werkzeug makes None of an empty tag, and knows "*" only without blanks.
    if value.strip(" \t") != "*":
        assert sets(parse_etags(value)) == sets(oracle.parse_etags(value))


def test_star_and_empty_tag() -> None:
    assert parse_etags("*").star_tag
    assert parse_etags(" * ").star_tag
    assert parse_etags('""').as_set() == {""}
    assert parse_etags('W/""').as_set(include_weak=True) == {""}
    assert not parse_etags(None)
    assert not parse_etags("")


@given(TAGS, TAGS, st.booleans(), st.text(alphabet='abc W/*"', max_size=4))
def test_etags_answer_as_werkzeugs(strong: list[str], weak: list[str], star: bool, tag: str) -> None:
    ours, theirs = ETags(strong, weak, star), OracleETags(strong, weak, star)
    for name in ("is_weak", "is_strong", "contains", "contains_weak"):
        assert getattr(ours, name)(tag) == getattr(theirs, name)(tag)
    if tag:
        assert ours.contains_raw(tag) == theirs.contains_raw(tag)
    assert (tag in ours, len(ours), bool(ours)) == (tag in theirs, len(theirs), bool(theirs))
    assert ours(tag) == theirs(tag)
    assert ours(tag, include_weak=True) == theirs(tag, include_weak=True)
    assert ours(data=tag.encode()) == theirs(data=tag.encode())
    assert ours.as_set(True) == theirs.as_set(True)
    assert set(ours) == set(theirs)
    assert sets(parse_etags(str(ours))) == sets(parse_etags(ours.to_header()))


def test_etags_of_nothing_needs_something_to_compare() -> None:
    with pytest.raises(TypeError, match="nothing to compare"):
        ETags()()
    assert ETags(star_tag=True).contains_raw("")
    assert repr(ETags(["a"])) == "<ETags '\"a\"'>"


@given(st.text(max_size=8), st.booleans())
def test_tag_is_quoted_as_in_werkzeug(tag: str, weak: bool) -> None:
    if '"' in tag:
        with pytest.raises(ValueError, match="without quotes"):
            quote_etag(tag)
        return
    assert quote_etag(tag, weak) == oracle.quote_etag(tag, weak)
    assert unquote_etag(quote_etag(tag, weak)) == (tag, weak)


@given(st.none() | FIELD)
def test_tag_is_unquoted_as_in_werkzeug(value: str | None) -> None:
    assert unquote_etag(value) == oracle.unquote_etag(value)


@given(st.binary())
def test_generated_tag_is_werkzeugs(data: bytes) -> None:
    assert generate_etag(data) == oracle.generate_etag(data)


DATES = [datetime(2024, 1, 2, 3, 4, second, tzinfo=UTC) for second in (4, 5, 6)]
DATE_TEXTS = [oracle.http_date(date) for date in DATES]
IF_RANGES = st.sampled_from([*DATE_TEXTS, '"a"', 'W/"a"', "a", "", '"', "no date", "Tue, 02 Jan 2024"]) | FIELD


@given(st.none() | IF_RANGES)
def test_if_range_is_parsed_as_in_werkzeug(value: str | None) -> None:
    ours, theirs = parse_if_range_header(value), oracle.parse_if_range_header(value)
    assert ours.date == theirs.date
    # a quote inside is no tag: Werkzeug keeps it, and its `repr` raises
    assert ours.etag == (None if '"' in (theirs.etag or "") else theirs.etag)
    assert repr(ours)


def test_if_range_is_written() -> None:
    assert str(IfRange("a")) == '"a"'
    assert str(parse_if_range_header('W/"a"')) == str(oracle.parse_if_range_header('W/"a"')) == '"a"'
    assert IfRange(date=DATES[0]).to_header() == DATE_TEXTS[0]
    assert IfRange().to_header() == ""
    assert repr(IfRange("a")) == "<IfRange '\"a\"'>"
    assert parse_if_range_header('W/"a"').weak


# -- preconditions

TAG = st.none() | st.sampled_from(['"a"', '"b"', 'W/"a"'])
MATCH = st.none() | st.sampled_from(["*", '"a"', '"b"', 'W/"a"', '"x", "a"', 'W/"b", "c"', ""])
DATE = st.none() | st.sampled_from(DATE_TEXTS)


def request_fields(**fields: str | None) -> dict[str, str]:
    return {f"HTTP_{name.upper()}": value for name, value in fields.items() if value is not None}


@given(
    etag=TAG,
    modified=st.none() | st.sampled_from(DATES),
    if_match=MATCH,
    if_none_match=MATCH,
    since=DATE,
)
def test_preconditions_are_werkzeugs_where_it_follows_the_rfc(
    etag: str | None, modified: Any, if_match: str | None, if_none_match: str | None, since: str | None
) -> None:
    environ = request_fields(if_match=if_match, if_none_match=if_none_match, if_modified_since=since)
    ours = is_resource_modified(environ, etag, last_modified=modified)
    theirs = oracle.is_resource_modified(environ, etag, last_modified=modified)
    differs = (
        if_match == "*"  # RFC 9110 13.1.1: true for whatever exists; Werkzeug: a tag that nothing has
        or (if_match and (etag is None or etag.startswith("W/")))  # no strong tag is no match
        or (if_match and (if_none_match or since))  # 13.2.2: what follows is evaluated as well
        or (if_none_match == "*" and etag is None)  # 13.1.2: it matches whatever exists
    )
    if not differs:
        assert ours == theirs


@given(st.binary(max_size=3), st.none() | st.sampled_from(DATES), MATCH, DATE)
def test_tag_can_be_made_of_the_data(data: bytes, modified: Any, if_none_match: Any, since: Any) -> None:
    environ = request_fields(if_none_match=if_none_match, if_modified_since=since)
    assert is_resource_modified(environ, data=data, last_modified=modified) == oracle.is_resource_modified(
        environ, data=data, last_modified=modified
    )


def test_tag_and_data_exclude_each_other() -> None:
    with pytest.raises(TypeError, match="pass one"):
        is_resource_modified({}, etag='"a"', data=b"")


@pytest.mark.parametrize(
    ("fields", "etag", "expected"),
    [
        ({}, None, 200),
        ({"If-Match": "*"}, None, 200),
        ({"If-Match": '"a"'}, '"a"', 200),
        ({"If-Match": '"b"'}, '"a"', 412),
        ({"If-Match": '"a"'}, None, 412),
        ({"If-Match": '"a"'}, 'W/"a"', 412),
        ({"If-Match": 'W/"a"'}, '"a"', 412),
        ({"If-Match": '"a"', "If-Unmodified-Since": DATE_TEXTS[0]}, '"a"', 200),
        ({"If-Match": '"a"', "If-None-Match": '"a"'}, '"a"', 304),
        ({"If-None-Match": "*"}, None, 304),
        ({"If-None-Match": 'W/"a"'}, '"a"', 304),
        ({"If-None-Match": '"a"'}, 'W/"a"', 304),
        ({"If-None-Match": '"b"', "If-Modified-Since": DATE_TEXTS[2]}, '"a"', 200),
        ({"If-None-Match": '"b"', "If-Modified-Since": DATE_TEXTS[2]}, None, 200),
        ({"If-Modified-Since": DATE_TEXTS[1]}, None, 304),
        ({"If-Modified-Since": DATE_TEXTS[0]}, None, 200),
        ({"If-Modified-Since": "nonsense"}, None, 200),
        ({"If-Unmodified-Since": DATE_TEXTS[0]}, None, 412),
        ({"If-Unmodified-Since": DATE_TEXTS[1]}, None, 200),
        ({"If-Unmodified-Since": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}, None, 200),
    ],
)
def test_preconditions_follow_the_rfc(fields: dict[str, str], etag: str | None, expected: int) -> None:
    assert evaluate_preconditions(Headers(fields), etag, DATES[1]) == expected


@pytest.mark.parametrize(
    ("if_range", "etag", "applies"),
    [
        (None, None, True),
        ('"a"', '"a"', True),
        ('"b"', '"a"', False),
        ('W/"a"', '"a"', False),
        ('"a"', 'W/"a"', False),
        ('W/"a"', 'W/"a"', False),
        ('"a"', None, False),
        (DATE_TEXTS[1], None, True),
        (DATE_TEXTS[0], None, False),
        (DATE_TEXTS[2], None, False),  # an older file than the client's: Werkzeug goes on with it
        ("", '"a"', False),
        ("nonsense", '"a"', False),
    ],
)
def test_range_goes_on_only_with_the_very_same_data(if_range: str | None, etag: str | None, applies: bool) -> None:
    fields = Headers() if if_range is None else Headers({"If-Range": if_range})
    assert range_still_applies(fields, etag, DATES[1].replace(microsecond=5)) is applies
    environ = {"HTTP_RANGE": "bytes=0-1", "HTTP_IF_RANGE": if_range} if if_range is not None else {}
    if environ:
        assert is_resource_modified(environ, etag, last_modified=DATES[1], ignore_if_range=False) is not applies


def test_naive_dates_are_utc_and_texts_are_read() -> None:
    environ = {"HTTP_IF_MODIFIED_SINCE": DATE_TEXTS[1]}
    for date in (DATES[1], DATES[1].replace(tzinfo=None), DATE_TEXTS[1], DATES[1].replace(microsecond=9)):
        assert not is_resource_modified(environ, last_modified=date)
    assert is_resource_modified(environ, last_modified=None)
    assert is_resource_modified(environ, last_modified="nonsense")


def test_request_and_scope_are_as_good_as_an_environ() -> None:
    scope = {"type": "http", "headers": [(b"if-none-match", b'"a"')]}
    assert not is_resource_modified(scope, '"a"')
    request = type("Request", (), {"headers": Headers({"If-None-Match": '"a"'})})()
    assert not is_resource_modified(request, '"a"')


@pytest.mark.measures
@pytest.mark.parametrize(
    "piece", ['"', ",", " ", '",', 'W/"', "a ", '"a" ', ' "', '"a"b,', "W/,", '"a', "a", '", "', " ,", '"a",', "w/ "]
)
def test_parsing_is_linear(piece: str) -> None:
    def make(size: int) -> Callable[[], object]:
        value = piece * (size // len(piece)) + "x\x00"
        return lambda: (parse_etags(value), parse_if_range_header(value))

    require_linear(make, 100_000)
