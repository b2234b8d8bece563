from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from time import localtime

import pytest
from hypothesis import given, strategies as st
from werkzeug import http as oracle

from duoflask.http.dates import http_date, parse_date

MOMENTS = st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9998, 12, 31))


@given(MOMENTS)
def test_datetime_is_written_as_in_werkzeug(moment):
    assert http_date(moment) == oracle.http_date(moment)


@given(MOMENTS, st.integers(-14, 14))
def test_aware_datetime_is_written_in_utc(moment, hours):
    aware = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert http_date(aware) == oracle.http_date(aware)


@given(st.integers(0, 2**35) | st.floats(0, 2**35))
def test_timestamp_is_written_as_in_werkzeug(timestamp):
    # Werkzeug rounds to microseconds first, so the last half microsecond of a second is another matter
    if timestamp % 1 < 0.999999:
        assert http_date(timestamp) == oracle.http_date(timestamp)


def test_date_and_struct_time():
    assert http_date(date(2024, 2, 29)) == "Thu, 29 Feb 2024 00:00:00 GMT"
    moment = localtime(1_700_000_000)
    assert http_date(moment) == oracle.http_date(moment)


def test_now_is_now():
    assert abs(parse_date(http_date()) - datetime.now(UTC)) < timedelta(seconds=2)


@given(MOMENTS)
def test_written_date_reads_back(moment):
    assert parse_date(http_date(moment)) == moment.replace(microsecond=0, tzinfo=UTC)


@given(
    st.text(max_size=40)
    | st.from_regex(
        r"(Sun|Foo), [0-9]{1,2}[ -](Nov|Xyz)[ -][0-9]{2,4} "
        r"[0-9]{2}:[0-9]{2}(:[0-9]{2})? (GMT|[+-][0-9]{1,25}|EST)?",
        fullmatch=True,
    )
)
def test_any_text_is_a_date_as_in_werkzeug_and_never_raises(text):
    ours = parse_date(text)
    try:
        theirs = oracle.parse_date(text)
        if theirs is not None:
            theirs = theirs.astimezone(UTC)
    except Exception:
        theirs = None
    assert ours == theirs


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 +99999999999999999999",
        "Sun, 06 Nov 1994 08:49:37 " + "9" * 90,
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Sun, 99 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "1" * 5000,
        "",
        None,
    ],
)
def test_what_is_no_date_is_none(text):
    assert parse_date(text) is None


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_all_three_http_forms_are_read(text):
    assert parse_date(text) == datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
