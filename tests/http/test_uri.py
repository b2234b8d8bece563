from __future__ import annotations

import re
from urllib.parse import parse_qsl

import pytest
import werkzeug.urls  # registers the error handler that the oracle below uses
from hypothesis import assume, given, strategies as st
from werkzeug.sansio import utils as oracle

from duoflask.http.errors import RequestEntityTooLarge, SecurityError
from duoflask.http.forms import parse_urlencoded
from duoflask.http.uri import (
    get_current_url,
    get_host,
    host_is_trusted,
    iri_to_uri,
    parse_query,
    split_root_path,
    uri_to_iri,
)

QUERIES = st.lists(
    st.sampled_from(["a", "b", "=", "&", ";", "+", "%20", "%C3%A9", "%ff", "%zz", "%", "é", "%2", "%26", "", "\u20ac"]),
    max_size=12,
).map("".join)


@given(QUERIES | st.text(max_size=20))
def test_query_parses_as_in_werkzeug(text):
    raw = text.encode("utf-8", "replace")
    expected = parse_qsl(raw.decode(), keep_blank_values=True, errors="werkzeug.url_quote")
    assert parse_query(raw) == expected
    assert parse_urlencoded(raw) == expected


@given(st.binary(max_size=30))
def test_any_bytes_are_a_query(raw):
    pairs = parse_query(raw)
    assert pairs == parse_urlencoded(raw)
    assert len(pairs) <= raw.count(b"&") + 1
    assert all(type(key) is type(value) is str for key, value in pairs)


def test_raw_bytes_that_are_not_utf8_become_escapes():
    assert parse_query(b"a=\xff&b=%ff") == [("a", "%FF"), ("b", "%FF")]
    assert parse_query(b"a=\xff") == [("a", "%FF")]


def test_form_limits_name_their_key():
    parse_urlencoded(b"a&b&c", max_fields=3)
    with pytest.raises(RequestEntityTooLarge, match="MAX_FORM_PARTS"):
        parse_urlencoded(b"a&b&c&d", max_fields=3)
    parse_urlencoded(b"a=bc", max_memory_size=4)
    with pytest.raises(RequestEntityTooLarge, match="MAX_FORM_MEMORY_SIZE"):
        parse_urlencoded(b"a=bcd", max_memory_size=4)
    assert len(parse_urlencoded(b"a&" * 5000, None, None)) == 5000


HOSTS = st.from_regex(r"(\[?[a-zA-Z0-9.:_-]{0,12}\]?)(:[0-9]{0,6})?", fullmatch=True) | st.text(max_size=8)


@given(
    st.sampled_from(["http", "https", "ws", "wss"]),
    st.none() | HOSTS,
    st.sampled_from([None, ("localhost", 80), ("::1", 5000), ("/run/x.sock", None)]),
    st.sampled_from([None, ["example.com"], [".a.b", "localhost"]]),
)
def test_valid_host_is_werkzeugs_and_any_other_a_security_error(scheme, host, server, trusted):
    try:
        ours = get_host(scheme, host, server, trusted)
    except SecurityError:
        ours = None
    try:
        theirs = oracle.get_host(scheme, host, server, trusted)
    except Exception:
        theirs = None
    if ours is None:
        # Werkzeug answers "" for what is malformed, and lets through what is no IPv6 address
        assert not theirs or theirs.startswith("[")
    elif "_" in ours:
        assert not theirs
    elif ours != theirs:
        assert trusted, "case in trusted hosts"
        assert theirs is None


@pytest.mark.parametrize(
    "host",
    [
        "[:e:1]:80",
        "a b",
        "a/b",
        "a@b",
        "a:0",
        "a:65536",
        "a:99999",
        "a:",
        "a, b",
        "[",
        "[::1",
        "é",
        "a\x00",
        "a:1:2",
        "[::1%25eth0]",
        "a?b",
        "a#b",
        "a\\b",
        "http://a",
        "[1.2.3.4]",
        ":80",
    ],
)
def test_malformed_host_is_a_security_error(host):
    with pytest.raises(SecurityError):
        get_host("https", host)


def test_good_hosts():
    assert get_host("http", "Example.com:80") == "Example.com"
    assert get_host("https", "[::1]:443") == "[::1]"
    assert get_host("http", "my_service:8000") == "my_service:8000"
    assert get_host("http", None) == ""
    assert get_host("http", "") == ""


def test_trusted_hosts_have_no_case():
    assert host_is_trusted("EXAMPLE.com:8000", ["example.COM"])
    assert host_is_trusted("a.Example.com", [".example.com"])
    assert host_is_trusted("example.com", [".example.com"])
    assert not host_is_trusted("evilexample.com", [".example.com"])
    assert host_is_trusted("xn--bcher-kva.de", ["bücher.de"])
    assert host_is_trusted("[::1]:80", ["[::1]"])
    assert not host_is_trusted("", ["a"])
    assert host_is_trusted("a", "a")
    with pytest.raises(SecurityError, match="not trusted"):
        get_host("http", "b", None, ["a"])
    with pytest.raises(SecurityError):
        get_host("http", "", None, ["a"])


PATH_TEXT = st.lists(
    st.sampled_from(["a", "/", "%20", "%2F", "é", " ", "?", "#", "%", "%ff", ":", "@", "\u20ac", "\n"])
).map("".join)


@given(
    st.sampled_from(["a.b", "a.b:80", "[::1]:5", "xn--bcher-kva.de", ""]),
    st.none() | PATH_TEXT.map(lambda text: text and "/" + text),
    st.none() | PATH_TEXT,
    st.none() | PATH_TEXT.map(str.encode),
)
def test_current_url_is_werkzeugs(host, root, path, query):
    assert get_current_url("http", host, root, path, query) == oracle.get_current_url("http", host, root, path, query)


@given(
    st.tuples(
        st.sampled_from(["http://", "https://", "//", "", "mailto:", "/"]),
        st.sampled_from(["", "a.b", "u:p@a.b:80", "bücher.de", "xn--bcher-kva.de", "[::1]", "ü@a"]),
        PATH_TEXT.map(lambda text: "/" + text),
    ).map("".join)
)
def test_conversions_are_werkzeugs(text):
    try:
        expected = werkzeug.urls.iri_to_uri(text), werkzeug.urls.uri_to_iri(text)
    except ValueError:
        assume(False)
    # Werkzeug leaves a host as it is; here what no host may hold is percent-encoded
    assume(re.fullmatch(r"[^ %?#\n]*", text.partition("//")[2].partition("/")[0]) is not None)
    assert (iri_to_uri(text), uri_to_iri(text)) == expected


@given(
    st.text(max_size=30)
    | st.sampled_from(["http://[", "http://a:b", "http://" + "ü" * 70 + ".de", "http://ü..de", "//[x]"])
)
def test_conversion_to_uri_never_raises_and_is_ascii(text):
    result = iri_to_uri(text.encode("utf-8", "replace").decode())
    assert result.isascii()
    assert not any(char in result for char in "\r\n\x00 ")


def test_root_path_never_becomes_part_of_the_host():
    assert get_current_url("http", "a", "evil", "/x") == "http://a/evil/x"


def test_root_path_is_taken_off_either_form_of_path():
    assert split_root_path("/api/x", "/api") == "/x"
    assert split_root_path("/api", "/api") == ""
    assert split_root_path("/x", "/api") == "/x"
    assert split_root_path("/apix", "/api") == "/apix"
    assert split_root_path("/x", "") == "/x"


@pytest.mark.parametrize(
    "uri", ["itms-services://?action=download&url=x", "a://", "a:?b", "http://h?x", "file:///p", "//?a", "a:///?b"]
)
def test_an_empty_authority_stays(uri: str) -> None:
    assert iri_to_uri(uri) == werkzeug.urls.iri_to_uri(uri)
