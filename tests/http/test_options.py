from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from werkzeug import http as oracle

from duoflask.http.options import (
    dump_header,
    dump_options_header,
    parse_dict_header,
    parse_list_header,
    parse_options_header,
    quote_header_value,
    unquote_header_value,
)

from ..growth import require_linear

PIECES = st.lists(
    st.sampled_from(
        [
            "text/html",
            ";",
            "; ",
            "charset",
            "=",
            "utf-8",
            '"',
            "\\",
            "a",
            "b c",
            "*",
            "*0",
            "*1",
            "'",
            "%22",
            "%C3%A9",
            "UTF-8''",
            "iso-8859-1'en'",
            "bad''",
            ",",
            " ",
            "\t",
            "é",
            '\\"',
            "\\\\",
            "A",
        ]
    ),
    max_size=14,
).map("".join)


@given(PIECES)
def test_parameters_parse_as_in_werkzeug(text):
    assert parse_options_header(text) == oracle.parse_options_header(text)
    assert parse_options_header("x; " + text) == oracle.parse_options_header("x; " + text)


@given(PIECES)
def test_lists_parse_as_in_werkzeug(text):
    assert parse_list_header(text) == oracle.parse_list_header(text)


@given(st.text(max_size=12))
def test_quoting_as_in_werkzeug(text):
    assert quote_header_value(text) == oracle.quote_header_value(text)
    assert quote_header_value(text, allow_token=False) == oracle.quote_header_value(text, allow_token=False)
    assert unquote_header_value(text) == oracle.unquote_header_value(text)
    if "\n" not in text:
        assert unquote_header_value(quote_header_value(text)) == text


@given(PIECES)
def test_dicts_parse_as_in_werkzeug(text):
    assert parse_dict_header(text) == oracle.parse_dict_header(text)


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c*"]), st.none() | st.integers() | st.text(max_size=9))
    | st.lists(st.integers() | st.text(max_size=9))
)
def test_dicts_and_lists_are_dumped_as_in_werkzeug(items):
    assert dump_header(items) == oracle.dump_header(items)


def test_quoted_value_of_an_extended_key_is_unquoted():
    assert parse_dict_header("a*=\"b, c\", d*=UTF-8''%22e%22") == {"a": "b, c", "d": "e"}
    assert parse_dict_header('a*="b"') == oracle.parse_dict_header('a*="b"')


def test_none_is_empty():
    assert parse_options_header(None) == ("", {})
    assert parse_list_header(None) == []


def test_options_are_dumped():
    options = {"filename": 'a"b', "size": 3, "gone": None, "name*": "UTF-8''%C3%A9"}
    assert dump_options_header("attachment", options) == oracle.dump_options_header("attachment", options)


@pytest.mark.measures
@pytest.mark.parametrize(
    ("before", "unit", "behind"),
    [("a", " ", "b"), ("", '"', ""), ("x;", 'a="', ""), ("x;", "a*1", "=x"), ("", ",", "")],
)
def test_long_hostile_values_are_linear(before, unit, behind):
    def make(size):
        text = before + unit * (size // len(unit)) + behind
        return lambda: (parse_options_header(text), parse_list_header(text))

    require_linear(make, 65_000)
