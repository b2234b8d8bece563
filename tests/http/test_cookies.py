from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given, strategies as st
from werkzeug import http as oracle

from duoflask.http.cookies import dump_cookie, parse_cookie, parse_cookie_pairs
from duoflask.http.multidict import ImmutableMultiDict

from ..growth import require_linear

COOKIE_TEXT = st.text(alphabet="ab=;; \t\\\"01\x7f{}:,'é", max_size=40)


def reference(header: str) -> list[tuple[str, str]]:
    return list(oracle.parse_cookie(header).items(multi=True))


@given(COOKIE_TEXT.filter(lambda text: '"' not in text))
def test_cookies_without_quotes_parse_as_in_werkzeug(text):
    header = text.encode().decode("latin-1")
    assert sorted(parse_cookie_pairs(header)) == sorted(reference(header))


@given(COOKIE_TEXT)
def test_cookies_werkzeug_reads_are_read_alike(text):
    header = text.encode().decode("latin-1")
    ours = list(parse_cookie_pairs(header))
    for pair in reference(header):
        assert pair in ours


@given(st.lists(st.tuples(st.from_regex(r"[a-z]{1,4}", fullmatch=True), st.text(max_size=12)), max_size=4))
def test_dumped_cookies_read_back_here_and_in_werkzeug(pairs):
    pairs = [(k, v.encode("utf-8", "replace").decode()) for k, v in pairs]
    header = "; ".join(dump_cookie(k, v, path=None) for k, v in pairs)
    assert parse_cookie_pairs(header) == pairs
    if not any(0x1A <= ord(char) <= 0x1F for _, value in pairs for char in value):
        assert sorted(reference(header)) == sorted(pairs)


@given(
    value=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters=[*map(chr, range(0x1A, 0x20))])),
    max_age=st.none() | st.integers(0, 10**6),
    expires=st.none() | st.integers(0, 2**31) | st.just("Thu, 01 Jan 1970 00:00:00 GMT"),
    path=st.none() | st.sampled_from(["/", "/a b", "/ä;x", "/%20"]),
    domain=st.none() | st.sampled_from(["example.com", ".example.com", "localhost:5000", "bücher.de"]),
    secure=st.booleans(),
    httponly=st.booleans(),
    samesite=st.none() | st.sampled_from(["lax", "Strict", "NONE"]),
    partitioned=st.booleans(),
)
def test_set_cookie_is_written_as_in_werkzeug(**options):
    assert dump_cookie("name", max_size=0, sync_expires=False, **options) == oracle.dump_cookie(
        "name", max_size=0, sync_expires=False, **options
    )


def test_max_age_sets_expires():
    expires = dump_cookie("a", max_age=timedelta(hours=1)).split("; ")[1]
    parsed = oracle.parse_date(expires.removeprefix("Expires="))
    assert abs(parsed - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=5)


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "ä", "a\r\nSet-Cookie: x", "\x00", '"', "a,b"])
def test_cookie_name_that_would_be_read_otherwise_is_refused(name):
    with pytest.raises(ValueError, match="invalid cookie name"):
        dump_cookie(name, "x")


@pytest.mark.parametrize("name", ["user[theme]", "cart:1", "a/b", "a@b", "a{b}", "a(b)", "a<b>", "a?b", "a\\b"])
def test_cookie_name_that_is_no_token_is_written_as_in_werkzeug(name):
    assert dump_cookie(name, "x") == oracle.dump_cookie(name, "x")
    assert parse_cookie_pairs(f"{name}=x") == [(name, "x")]


@pytest.mark.parametrize("domain", ["a\r\nb", "a;b", "a b", "a..b", "[::1]", "x" * 64, ".", "a\x00"])
def test_cookie_domain_that_is_no_host_is_refused(domain):
    with pytest.raises(ValueError):
        dump_cookie("a", "x", domain=domain)


@pytest.mark.parametrize("path", ["/\r\nX: y", "/\x00", "/\x7f"])
def test_cookie_path_with_control_character_is_refused(path):
    with pytest.raises(ValueError, match="invalid cookie path"):
        dump_cookie("a", "x", path=path)


@pytest.mark.parametrize("expires", ["now; Secure", "a\r\nb", "ä"])
def test_cookie_expires_that_would_inject_is_refused(expires):
    with pytest.raises(ValueError, match="invalid cookie expires"):
        dump_cookie("a", "x", expires=expires)


def test_unknown_samesite_is_refused():
    with pytest.raises(ValueError, match="invalid samesite"):
        dump_cookie("a", "x", samesite="Lax; Domain=evil")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("__Secure-a", {}),
        ("__Host-a", {}),
        ("__HOST-a", {}),
        ("__Host-a", {"secure": True, "path": "/x"}),
        ("__Host-a", {"secure": True, "path": None}),
        ("__Host-a", {"secure": True, "domain": "example.com"}),
    ],
)
def test_prefix_rule_that_is_not_kept_is_refused(name, options):
    with pytest.raises(ValueError, match="must"):
        dump_cookie(name, "x", **options)


def test_prefix_rule_that_is_kept_passes():
    assert dump_cookie("__Host-a", "x", secure=True) == "__Host-a=x; Secure; Path=/"
    assert dump_cookie("__Secure-a", "x", partitioned=True, path="/a").startswith("__Secure-a=x; Secure")


def test_cookie_over_the_limit_warns():
    with pytest.warns(UserWarning, match="too large: 4108 bytes"):
        dump_cookie("a", "x" * 4098)


def test_nameless_cookie_is_dropped():
    assert parse_cookie_pairs("=__Host-x=bad; a=b; ; =") == [("a", "b")]


def test_json_value_stays_readable():
    assert parse_cookie('a=1; j={"a":1}; b="x;y"')["j"] == '{"a":1}'


def test_all_control_characters_are_escaped():
    assert dump_cookie("a", "\x1a\x1f", path=None) == 'a="\\032\\037"'


def test_cookie_that_is_not_utf8_is_replaced():
    assert parse_cookie("a=\xff")["a"] == "\ufffd"


@pytest.mark.parametrize("header", ["a=b; c=d", "", None])
def test_environ_is_read_as_in_werkzeug(header):
    environ = {} if header is None else {"HTTP_COOKIE": header}
    assert list(parse_cookie(environ).lists()) == list(oracle.parse_cookie(environ).lists())


def test_parse_into_a_given_class():
    assert parse_cookie("a=b", ImmutableMultiDict) == ImmutableMultiDict([("a", "b")])
    assert parse_cookie(None) == {}


@pytest.mark.measures
@pytest.mark.parametrize(
    "unit",
    ['a="', '="', 'a="\\";', "a=" + " " * 5, '\\"', ";", 'a =\t"', 'a="\\=";'],
)
def test_parsing_is_linear(unit):
    require_linear(lambda size: partial(parse_cookie_pairs, "a=" + unit * (size // len(unit)) + '"x'), 40_000)
