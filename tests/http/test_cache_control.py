from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from werkzeug import datastructures as oracle, http as oracle_http

from duoflask.http.cache_control import RequestCacheControl, ResponseCacheControl, parse_cache_control_header

REQUEST = ["max_age", "max_stale", "min_fresh", "no_cache", "no_store", "no_transform", "only_if_cached"]
REQUEST += ["stale_if_error"]
RESPONSE = ["immutable", "max_age", "must_revalidate", "must_understand", "no_cache", "no_store", "no_transform"]
RESPONSE += ["private", "proxy_revalidate", "public", "s_maxage", "stale_if_error", "stale_while_revalidate"]
DIRECTIVES = sorted({name.replace("_", "-") for name in REQUEST + RESPONSE} | {"x-own"})
PIECES = st.lists(
    st.sampled_from([*DIRECTIVES, "=", "=5", '="a, b"', ",", ", ", '"', "x", "0", "60", "=x", " ", "\t", "\\"]),
    max_size=10,
).map("".join)
KINDS = [(RequestCacheControl, oracle.RequestCacheControl, REQUEST)]
KINDS += [(ResponseCacheControl, oracle.ResponseCacheControl, RESPONSE)]


@given(PIECES, st.sampled_from(KINDS))
def test_field_is_read_as_in_werkzeug(text, kind):
    cls, oracle_cls, names = kind
    ours = parse_cache_control_header(text, cls=cls)
    theirs = oracle_http.parse_cache_control_header(text, cls=oracle_cls)
    assert dict(ours) == dict(theirs)
    assert repr(ours) == repr(theirs)
    assert ours.to_header() == str(ours) == theirs.to_header()
    for name in names:
        assert getattr(ours, name) == getattr(theirs, name)


ASSIGNMENTS = st.lists(
    st.tuples(st.sampled_from(RESPONSE), st.sampled_from([True, False, None, 0, 5, 60, "x", "a, b", 2.7])), max_size=5
)


@given(ASSIGNMENTS)
def test_directives_are_written_as_in_werkzeug(assignments):
    ours, theirs = ResponseCacheControl(), oracle.ResponseCacheControl()
    for name, value in assignments:
        results = []
        for one in (ours, theirs):
            try:
                setattr(one, name, value)
                results.append(getattr(one, name))
            except ValueError:
                results.append("ValueError")
        assert results[0] == results[1]
    assert ours.to_header() == theirs.to_header()
    for name, _ in assignments:
        delattr(ours, name)
    assert ours == {}


def test_names_have_no_case():
    control = parse_cache_control_header("NO-STORE, Max-Age=5")
    assert control.no_store
    assert control.max_age == 5


@pytest.mark.parametrize("text", ["+1", "-1", "1_0", "\u0663", "\xb2", "1.0", "", " ", "x", "0x1"])
def test_what_is_no_number_of_seconds_is_none(text):
    assert RequestCacheControl({"max-age": text}).max_age is None


@pytest.mark.parametrize("text", ["2147483649", "9" * 20, "9" * 5000])
def test_too_many_seconds_are_2_to_the_31st(text):
    assert RequestCacheControl({"max-age": text}).max_age == 2**31


def test_negative_seconds_are_refused():
    with pytest.raises(ValueError, match="not negative"):
        ResponseCacheControl().max_age = -1


def test_request_is_read_only():
    control = parse_cache_control_header("max-age=5")
    for change in (lambda: setattr(control, "max_age", 1), lambda: control.update(a="b"), lambda: control.clear()):
        with pytest.raises(TypeError, match="immutable"):
            change()
    assert hash(control) == hash(parse_cache_control_header("max-age=5"))
    assert control.copy() == {"max-age": "5"}


def test_response_tells_of_every_change():
    seen = []
    control = parse_cache_control_header("public", lambda it: seen.append(it.to_header()), ResponseCacheControl)
    control.max_age = 5
    control.public = False
    del control.max_age
    control.must_understand = False
    assert seen == ["public, max-age=5", "max-age=5", ""]
