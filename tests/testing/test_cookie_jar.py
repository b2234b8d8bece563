from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import werkzeug.test
from hypothesis import given, strategies as st

from duoflask.testing.cookie_jar import Cookie, CookieJar

HEADERS = [
    "a=b",
    "a=b; Path=/x",
    "a=b; Domain=example.com; Path=/",
    "a=b; Max-Age=0",
    "a=b; Max-Age=60; Secure; HttpOnly; SameSite=Lax",
    "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/",
    "a=b; expires=Wed, 21 Oct 2065 07:28:00 GMT",
    'a="b\\054c"',
    "a=b=c",
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("path", ["/", "/x/y", "/x/"])
def test_cookie_is_read_as_werkzeug_reads_it(header: str, path: str) -> None:
    ours = Cookie.parse(header, "example.com", path)
    theirs = werkzeug.test.Cookie._from_response_header("example.com", path, header)
    assert ours is not None
    names = [field.name for field in dataclasses.fields(theirs)]
    assert {name: getattr(ours, name) for name in names} == {name: getattr(theirs, name) for name in names}
    assert ours.is_expired == theirs._should_delete
    assert ours.storage_key == theirs._storage_key


DOMAINS = st.sampled_from(["example.com", "sub.example.com", "badexample.com", "localhost", "com"])
PATHS = st.sampled_from(["/", "/x", "/x/", "/x/y", "/xy", "/x/y/z"])


@given(DOMAINS, PATHS, DOMAINS, PATHS, st.booleans())
def test_cookie_is_sent_where_werkzeug_sends_it(domain: str, path: str, host: str, target: str, origin: bool) -> None:
    header = f"a=b; Path={path}" + ("" if origin else f"; Domain={domain}")
    ours = Cookie.parse(header, domain, "/")
    assert ours is not None
    theirs = werkzeug.test.Cookie._from_response_header(domain, "/", header)
    assert ours.matches(host, target) == theirs._matches_request(host, target)


@given(st.text(max_size=30), st.text(max_size=10))
def test_no_set_cookie_field_breaks_the_jar(header: str, path: str) -> None:
    jar = CookieJar()
    jar.update([header], "localhost", "/" + path)
    jar.header("localhost", "/" + path)


def jar_with(**cookies: str) -> CookieJar:
    jar = CookieJar()
    for key, value in cookies.items():
        jar.set(key, value, domain="localhost", origin_only=True, path="/")
    return jar


def test_an_explicit_cookie_wins_over_a_stored_one() -> None:
    assert jar_with(a="1", b="2").header("localhost", "/", "a=9") == "a=9; b=2"


def test_an_expired_cookie_is_forgotten() -> None:
    jar = jar_with(a="1")
    jar.update(["a=; Max-Age=-1; Path=/"], "localhost", "/")
    assert jar.get("a", "localhost", "/") is None


def test_value_is_kept_decoded_and_as_sent() -> None:
    cookie: Any = jar_with(a="x;y").get("a", "localhost", "/")
    assert (cookie.decoded_value, cookie.value) == ("x;y", '"x\\073y"')
