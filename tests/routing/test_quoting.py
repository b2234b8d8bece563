"""Texts are percent-encoded as urllib does it."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, strategies as st

from duoflask.http.multidict import MultiDict
from duoflask.routing.quoting import SAFE_IN_PATH, SAFE_IN_QUERY, encode_query, query_maker, quote_path, quote_query

from ..growth import require_linear

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.text(st.sampled_from("ab1-_.~ %+&=?#/é\n\x00日\\"), max_size=80),
)


@given(texts)
def test_quoting_is_that_of_urllib(text: str) -> None:
    assert quote_path(text) == quote(text, safe=SAFE_IN_PATH)
    assert quote_query(text) == quote_plus(text, safe=SAFE_IN_QUERY)


def test_other_values_are_quoted_as_text_and_bytes_as_they_are() -> None:
    assert quote_path(1.5) == "1.5"
    assert quote_path(None) == "None"
    assert quote_query(True) == "True"
    assert quote_query(b"\xff a") == "%FF+a"


@pytest.mark.parametrize("text", ["\ud800", "\ud800" * 40, "a" * 40 + "\udfff"])
def test_lone_surrogate_is_an_error(text: str) -> None:
    for function in (quote_path, quote_query):
        with pytest.raises(UnicodeEncodeError):
            function(text)


@pytest.mark.measures
@pytest.mark.parametrize("unit", ["a", " ", "%", "é", "a b", "a é", "\\"])
def test_quoting_is_linear(unit: str) -> None:
    require_linear(lambda length: partial(quote_path, unit * (length // len(unit))), 2**16)


def test_query_of_mappings_and_pairs() -> None:
    assert encode_query({"a": [1, None, "x y"], "b": None, "c d": b"\xff"}) == "a=1&a=x+y&c+d=%FF"
    assert encode_query(MultiDict([("b", "1"), ("a", "2"), ("b", "3")])) == "b=1&b=3&a=2"
    assert encode_query([("b", 1), ("a", 2)], sort=True) == "a=2&b=1"
    assert encode_query([("b", 1), ("a", 2)], sort=True, sort_key=lambda pair: pair[1]) == "b=1&a=2"


def test_query_maker_obeys_the_map_as_it_is_then() -> None:
    settings = SimpleNamespace(sort_parameters=False, sort_key=None)
    query = query_maker(settings, {"known"})
    values = {"known": 0, "b": 1, "a": ["x", None, "y"], "n": None, "e": [], "t": True}
    assert query(values) == "?b=1&a=x&a=y&t=True"
    settings.sort_parameters = True
    assert query({"b": "1", "a": "2"}) == "?a=2&b=1"
    assert query({"known": 0}) == query({"n": None}) == ""


def test_query_maker_keeps_few_names() -> None:
    query = query_maker(SimpleNamespace(sort_parameters=False), frozenset())
    assert all(query({f"n {number}": 1}) == f"?n+{number}=1" for number in range(100))
