from __future__ import annotations

from datetime import timedelta
from typing import Any

import flask
import pytest
from hypothesis import given, strategies as st
from werkzeug import wrappers as oracle

from duoflask.http.connection import Connection
from duoflask.request import Request

# attribute -> (field, how two values are compared)
FIELDS: dict[str, tuple[str, Any]] = {
    "accept_mimetypes": ("Accept", list),
    "accept_charsets": ("Accept-Charset", list),
    "accept_encodings": ("Accept-Encoding", list),
    "accept_languages": ("Accept-Language", list),
    "pragma": ("Pragma", lambda value: value.as_set()),
    "if_match": ("If-Match", lambda value: (value.as_set(True), value.star_tag)),
    "if_none_match": ("If-None-Match", lambda value: (value.as_set(True), value.star_tag)),
    "if_modified_since": ("If-Modified-Since", lambda value: value and value.astimezone(None)),
    "if_unmodified_since": ("If-Unmodified-Since", lambda value: value and value.astimezone(None)),
    "date": ("Date", lambda value: value and value.astimezone(None)),
    "range": ("Range", str),
    "max_forwards": ("Max-Forwards", lambda value: value),
    "access_control_request_headers": ("Access-Control-Request-Headers", lambda value: value and value.as_set()),
    "access_control_request_method": ("Access-Control-Request-Method", lambda value: value),
    "content_encoding": ("Content-Encoding", lambda value: value),
    "content_md5": ("Content-MD5", lambda value: value),
    "content_type": ("Content-Type", lambda value: value or None),  # an empty one is none
    "mimetype": ("Content-Type", lambda value: value),
    "mimetype_params": ("Content-Type", dict),
    "is_json": ("Content-Type", lambda value: value),
    "origin": ("Origin", lambda value: value),
    "referrer": ("Referer", lambda value: value),
    "user_agent": ("User-Agent", str),
    "authorization": (
        "Authorization",
        lambda value: value and (value.type, value.token, {k.lower(): v for k, v in value.parameters.items()}),
    ),
    "cache_control": ("Cache-Control", lambda value: {name.lower(): text for name, text in value.items()}),
}
VALUES = [
    *("", "*", "text/html;q=0.5, */*;q=0.1", "gzip, br;q=0", "en-US, de;q=0.3", "utf-8", "a, b, A", "no-cache"),
    *('"a", W/"b"', 'W/"a"', "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "bytes=0-1,5-"),
    *("bytes=-5", "10", "Basic dTpw", 'Digest username="x", nc=1', "Bearer abc", "max-age=5, no-store", "\xe9"),
    *("application/json", "application/x+json; charset=UTF-8", "text/plain; a=b", "curl/8", "http://example.com"),
]


def environ_of(field: str, value: str) -> dict[str, str]:
    key = field.upper().replace("-", "_")
    return {key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}": value, "REQUEST_METHOD": "GET"}


def scope_of(field: str, value: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "headers": [(field.lower().encode(), value.encode("latin-1"))]}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("make", [environ_of, scope_of], ids=["wsgi", "asgi"])
def test_attribute_is_werkzeugs(make, name):
    field, plain = FIELDS[name]
    for value in VALUES:
        ours = getattr(Connection(make(field, value)), name)
        theirs = getattr(oracle.Request(environ_of(field, value)), name)  # type: ignore[arg-type]
        assert plain(ours) == plain(theirs), (name, value)


@pytest.mark.parametrize("name", FIELDS)
def test_attribute_without_its_field_is_werkzeugs(name):
    _, plain = FIELDS[name]
    theirs = getattr(oracle.Request({"REQUEST_METHOD": "GET"}), name)
    for source in ({"REQUEST_METHOD": "GET"}, {"type": "http", "headers": []}):
        assert plain(getattr(Connection(source), name)) == plain(theirs)


ODD = st.text(alphabet=st.characters(max_codepoint=255), max_size=30) | st.lists(
    st.sampled_from([*VALUES, ",", ";", "=", '"', "\\", " ", "\t", "q=", "9" * 30, "\x00", "\n"]), max_size=6
).map("".join)
NAMES = [*FIELDS, "if_range", "content_length", "access_route", "cookies", "is_secure", "host", "url"]
NAMES += ["sec_fetch_site", "sec_fetch_mode", "sec_fetch_dest", "sec_fetch_user"]


@given(st.sampled_from(NAMES), ODD)
def test_any_value_is_read_alike_under_both_protocols_and_raises_no_server_error(name, value):
    field = FIELDS.get(name, (name.replace("_", "-").title().replace("Cookies", "Cookie"),))[0]
    results = []
    for make in (environ_of, scope_of):
        try:
            results.append(repr(getattr(Connection(make(field, value)), name)))
        except Exception as exc:
            assert getattr(exc, "code", None) == 400
            results.append(repr(exc))
    assert results[0] == results[1]


@pytest.mark.parametrize("value", ["+1", "1_0", "-1", "\xb2", "1.0", "", "9" * 5000])
def test_max_forwards_is_a_number_or_none(value):
    assert Connection(scope_of("Max-Forwards", value)).max_forwards is None


def test_fetch_metadata():
    raw = [(b"sec-fetch-site", b"same-origin"), (b"sec-fetch-mode", b"navigate"), (b"sec-fetch-user", b"?1")]
    request = Connection({"type": "http", "headers": [*raw, (b"sec-fetch-dest", b"document")]})
    assert request.sec_fetch_site == "same-origin"
    assert request.sec_fetch_mode == "navigate"
    assert request.sec_fetch_dest == "document"
    assert request.sec_fetch_user is True
    assert Connection({"type": "http", "headers": []}).sec_fetch_user is False


def test_lines_of_one_field_are_read_as_one():
    request = Connection({"type": "http", "headers": [(b"accept", b"a/b;q=0.5"), (b"accept", b"c/d")]})
    assert list(request.accept_mimetypes) == [("c/d", 1), ("a/b", 0.5)]


@pytest.mark.parametrize("name", ["date", "max_forwards", "referrer", "origin", "content_type", "mimetype", "is_json"])
def test_attribute_cannot_be_assigned(name):
    with pytest.raises(AttributeError):
        setattr(Connection({}), name, "x")


def test_what_is_parsed_is_kept():
    request = Connection(scope_of("Accept", "text/html"))
    for name in ("accept_mimetypes", "cache_control", "if_match", "range", "authorization", "user_agent", "pragma"):
        assert getattr(request, name) is getattr(request, name)
    assert request.if_range.date is None
    assert Connection(
        scope_of("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 +0200")
    ).if_modified_since.utcoffset() == (timedelta(0))


def test_user_agent_class_can_be_replaced():
    class Agent(Connection.user_agent_class):
        browser = "own"

    class Own(Connection):
        user_agent_class = Agent

    agent = Own(scope_of("User-Agent", "x/1")).user_agent
    assert bool(agent)
    assert repr(agent) == "<Agent own/None>"


def test_request_has_every_public_attribute_of_flasks():
    assert {name for name in dir(flask.Request) if not name.startswith("_")} <= set(dir(Request))
