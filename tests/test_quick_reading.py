"""What is read in a quick way gives what the general way gives."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from duoflask.http.cookies import parse_cookie_as, parse_cookie_pairs
from duoflask.http.errors import HTTPException
from duoflask.http.headers import Headers
from duoflask.http.multidict import ImmutableMultiDict
from duoflask.http.uri import parse_query, parse_query_as
from duoflask.json.provider import DefaultJSONProvider
from duoflask.limits import Limits
from duoflask.request import Request

URLENCODED = "application/x-www-form-urlencoded"
QUERIES = st.lists(
    st.sampled_from([b"a", b"b", b"=", b"&", b"+", b"%41", b"%", b"%ff", b"\xc3\xa9", b"\xff", b" ", b"\0"]),
    max_size=14,
).map(b"".join)


class General(Request):
    """Nothing of this class may be taken for the stock one."""

    class parameter_storage_class(ImmutableMultiDict[str, str]):  # noqa: N801 - the attribute's name
        pass

    dict_storage_class = parameter_storage_class

    @property
    def content_type(self) -> str | None:  # type: ignore[override]
        return self.headers.get("Content-Type")

    def make_form_data_parser(self) -> Any:
        return super().make_form_data_parser()


def environ_of(body: bytes, **fields: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": URLENCODED,
        "wsgi.input": BytesIO(body),
        **fields,
    }


def scope_of(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "headers": list(headers)}


def outcome(read: Callable[[], Any]) -> Any:
    """What is read, each key with all its values and in order; or the error and the limit that it names."""
    try:
        return list(read().lists())
    except HTTPException as exc:
        return type(exc), re.findall(r"MAX_\w+", exc.description or "")


@given(QUERIES)
def test_a_query_is_the_dictionary_of_its_pairs(raw: bytes) -> None:
    quick = parse_query_as(ImmutableMultiDict, raw)
    assert type(quick) is ImmutableMultiDict
    assert list(quick.lists()) == list(ImmutableMultiDict(parse_query(raw)).lists())


@given(
    st.lists(st.sampled_from(["a", "b", "=", ";", "; ", " ", "\t", '"', "\\", "é", "c=d"]), max_size=14).map("".join)
)
def test_cookies_are_the_dictionary_of_their_pairs(header: str) -> None:
    quick = parse_cookie_as(ImmutableMultiDict, header)
    assert type(quick) is ImmutableMultiDict
    assert list(quick.lists()) == list(ImmutableMultiDict(parse_cookie_pairs(header)).lists())


@pytest.mark.parametrize("header", [None, ""])
def test_no_cookies_are_an_empty_dictionary(header: str | None) -> None:
    assert parse_cookie_as(ImmutableMultiDict, header) == ImmutableMultiDict()


def test_what_is_made_quickly_cannot_be_changed() -> None:
    for quick in (parse_query_as(ImmutableMultiDict, b"a=1"), parse_cookie_as(ImmutableMultiDict, "a=1")):
        with pytest.raises(TypeError, match="immutable"):
            quick["a"] = "2"
        assert quick.copy().getlist("a") == ["1"]


@given(QUERIES, st.sampled_from([None, 0, 3, 500]), st.sampled_from([None, 1, 2, 1000]))
def test_a_form_is_what_the_form_parser_makes_of_it(body: bytes, size: int | None, fields: int | None) -> None:
    found = []
    for kind in (Request, General):
        for known in (False, True):
            for on_loop in (False, True):
                request = kind(scope_of((b"content-type", URLENCODED.encode())) if on_loop else environ_of(body))
                request._limits = Limits(None, size, fields)
                if on_loop:
                    request._body, request._announced = BytesIO(body), len(body)
                if known:
                    request.get_data()
                for _ in range(2):
                    found.append(outcome(lambda: request.form))  # noqa: B023 - called at once
                if isinstance(found[-1], list):
                    assert list(request.files) == [] and request.stream.read() == b""
    assert all(each == found[0] for each in found)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"content-type", b"cookie", b"x-a"]), st.sampled_from([b"", b"a=1", b"b=2; c=3", b"\xff"])
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_fields_of_a_scope_are_found_without_the_view(headers: list[tuple[bytes, bytes]], looked_at: bool) -> None:
    quick, general = Request(scope_of(*headers)), General(scope_of(*headers))
    if looked_at:
        assert list(quick.headers) == list(general.headers)
    assert quick.content_type == general.content_type == general.headers.get("Content-Type")
    assert quick.mimetype == general.mimetype and quick.is_json == general.is_json
    assert list(quick.cookies.lists()) == list(general.cookies.lists())


def test_headers_that_were_put_in_place_of_the_scopes_are_looked_at() -> None:
    request = Request(scope_of((b"content-type", b"text/plain"), (b"cookie", b"a=1")))
    request.headers = Headers({"Content-Type": "application/json", "Cookie": "a=2"})
    assert request.content_type == "application/json" and request.is_json and request.cookies["a"] == "2"


def test_headers_that_can_be_read_once_are_kept() -> None:
    scope = {**scope_of(), "headers": iter([(b"content-type", b"text/plain"), (b"cookie", b"a=1")])}
    request = Request(scope)
    assert request.content_type == "text/plain" and request.cookies["a"] == "1" and request.content_type == "text/plain"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
).map(json.dumps)
BLANKS = st.text(" \t\n\r", max_size=4)
TAILS = st.sampled_from(["", "", "\v", "\f", "\xa0", "\u2003", "\0", ",", "]", "1"])


@given(BLANKS, JSON, BLANKS, TAILS, BLANKS, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"]))
@example("", "{}", " " * 400, "", "", "utf-8")
@example("", "1", "", "", "", "utf-16-le")
@example("", '"\ud800"', "", "", "", "utf-8")
def test_json_is_read_as_the_standard_library_reads_it(
    before: str, text: str, after: str, tail: str, end: str, encoding: str
) -> None:
    raw = (before + text + after + tail + end).encode(encoding, "surrogatepass")
    same_as_json(raw)


@given(st.binary(max_size=12) | st.text('{}[]",:1 \n\\ue', max_size=12).map(str.encode))
def test_any_bytes_are_read_as_the_standard_library_reads_them(raw: bytes) -> None:
    same_as_json(raw)


def same_as_json(raw: bytes) -> None:
    class App:
        debug = False

    provider = DefaultJSONProvider(App())
    try:
        expected = json.loads(raw)
    except ValueError as exc:
        with pytest.raises(type(exc)) as raised:
            provider.loads(raw)
        assert str(raised.value) == str(exc)
    else:
        assert repr(provider.loads(raw)) == repr(expected)  # NaN is not equal to itself
