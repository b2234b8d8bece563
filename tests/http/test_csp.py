from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from werkzeug import datastructures as oracle, http as oracle_http

from duoflask.http.csp import ContentSecurityPolicy, dump_csp_header, parse_csp_header

NAMES = [name for name, value in vars(oracle.ContentSecurityPolicy).items() if isinstance(value, property)]
# each name once: of a repeated directive, Werkzeug takes the last
FIELDS = st.lists(
    st.tuples(
        st.sampled_from([name.replace("_", "-") for name in NAMES]),
        st.sampled_from(["'self'", "*", "'self' data:", "https://a.example, b"]),
        st.sampled_from(["; ", ";", " ; ", ";;"]),
    ),
    unique_by=lambda piece: piece[0],
    max_size=6,
).map(lambda pieces: "".join([f"{name} {value}{end}" for name, value, end in pieces]))


@given(FIELDS)
def test_field_is_read_and_written_as_in_werkzeug(text):
    ours, theirs = parse_csp_header(text), oracle_http.parse_csp_header(text)
    assert dict(ours) == dict(theirs)
    assert repr(ours) == repr(theirs)
    assert dump_csp_header(ours) == str(ours) == theirs.to_header()
    for name in NAMES:
        assert getattr(ours, name) == getattr(theirs, name)


@given(st.text(alphabet="aB-; \t,'\x00\xe9", max_size=20))
def test_anything_is_read(text):
    policy = parse_csp_header(text)
    assert all(name and name == name.lower() and ";" not in name + value for name, value in policy.items())


def test_directive_without_a_value_is_kept():
    policy = parse_csp_header("upgrade-insecure-requests; sandbox; img-src *")
    assert policy.sandbox == ""
    assert policy.to_header() == "upgrade-insecure-requests; sandbox; img-src *"


def test_first_of_a_repeated_directive_counts_and_names_have_no_case():
    assert parse_csp_header("IMG-SRC a; img-src b") == {"img-src": "a"}


def test_attributes_tell_of_every_change():
    seen = []
    policy = ContentSecurityPolicy({"img-src": "*"}, lambda it: seen.append(it.to_header()))
    policy.default_src = "'self'"
    policy.img_src = None
    del policy.default_src
    assert seen == ["img-src *; default-src 'self'", "default-src 'self'", ""]
    assert policy.font_src is None


@pytest.mark.parametrize("value", ["a; script-src *", "a\r\nb", "a\x00", "\xe9", 5])
def test_value_that_would_start_another_directive_is_refused(value):
    with pytest.raises(ValueError, match="invalid value of the directive"):
        ContentSecurityPolicy({"img-src": value}).to_header()


@pytest.mark.parametrize("name", ["img src", "a;b", "", "a\n"])
def test_invalid_name_is_refused(name):
    with pytest.raises(ValueError, match="invalid directive"):
        ContentSecurityPolicy({name: "x"}).to_header()
