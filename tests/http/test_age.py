from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st
from werkzeug import http as oracle

from duoflask.http.age import dump_age, parse_age, parse_decimal, parse_delta_seconds


@given(st.integers(0, 2**31).map(str) | st.sampled_from(["", " 5", "5 ", "x", "-1", "5.0", "1 0"]))
def test_age_is_read_as_in_werkzeug(text):
    assert parse_age(text) == oracle.parse_age(text)


@given(st.integers(0, 10**9) | st.timedeltas(timedelta(0)) | st.none() | st.floats(0, 1e6))
def test_age_is_written_as_in_werkzeug(age):
    assert dump_age(age) == oracle.dump_age(age)


@pytest.mark.parametrize("text", ["+5", "1_0", "\u0663", "\xb2", "0x5", "-0"])
def test_what_int_takes_for_a_number_is_none(text):
    assert parse_age(text) is parse_decimal(text) is parse_delta_seconds(text) is None


def test_missing_age_is_none():
    assert parse_age() is parse_age(None) is dump_age() is None
    assert parse_decimal(None) is parse_delta_seconds(None) is None


def test_too_many_seconds_are_2_to_the_31st():
    assert parse_age("9" * 5000) == timedelta(seconds=2**31)
    assert parse_decimal("9" * 5000) is None
    assert parse_decimal("012") == 12


@pytest.mark.parametrize("age", [-1, timedelta(-1), "x"])
def test_negative_age_is_refused(age):
    with pytest.raises(ValueError):
        dump_age(age)
