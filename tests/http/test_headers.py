from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from werkzeug import datastructures as oracle

from duoflask.http.errors import BadRequestKeyError
from duoflask.http.header_views import EnvironHeaders, ScopeHeaders
from duoflask.http.headers import Headers

NAMES = st.sampled_from(["A", "a", "X-b", "x-B", "Content-Type"])
VALUES = st.sampled_from(["1", "2", "x y", 5])
PAIRS = st.lists(st.tuples(NAMES, VALUES), max_size=6)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["add", "set", "add_header", "setdefault", "__setitem__"]), NAMES, VALUES),
        st.tuples(st.sampled_from(["remove", "pop", "__delitem__", "get", "getlist", "get_all"]), NAMES),
        st.tuples(st.just("pop"), NAMES, st.just("default")),
        st.tuples(st.sampled_from(["setlist", "setlistdefault"]), NAMES, st.just(["p", "q"])),
        st.tuples(st.just("setlist"), NAMES, st.just([])),
        st.tuples(st.sampled_from(["extend", "update"]), st.just([("a", "u"), ("A", "v")])),
        st.tuples(st.sampled_from(["extend", "update"]), st.just({"a": ["u", "v"], "n": "w"})),
        st.tuples(st.sampled_from(["get", "getlist"]), NAMES),
        st.tuples(st.just("clear")),
    ),
    max_size=6,
)


@given(PAIRS, OPERATIONS)
def test_every_operation_does_what_werkzeugs_does(pairs, operations):
    ours, theirs = Headers(pairs), oracle.Headers(pairs)
    for name, *arguments in operations:
        results = []
        for one in (ours, theirs):
            try:
                results.append(getattr(one, name)(*arguments))
            except KeyError as exc:
                results.append(("KeyError", exc.args))
        assert results[0] == results[1]
        assert ours.to_wsgi_list() == theirs.to_wsgi_list()
    assert str(ours) == str(theirs) or not len(ours)
    assert repr(ours) == repr(theirs)
    assert len(ours) == len(theirs)
    assert list(ours.items(lower=True)) == list(theirs.items(lower=True))
    assert list(ours.keys()) == list(theirs.keys())
    assert list(ours.values()) == list(theirs.values())
    assert list(ours) == list(theirs)


def test_index_and_slice():
    headers = Headers([("A", "1"), ("B", "2"), ("C", "3")])
    assert headers[0] == ("A", "1")
    assert type(headers[1:]) is Headers
    assert list(headers[1:]) == [("B", "2"), ("C", "3")]
    headers[0] = ("D", 4)
    headers[1:] = [("E", "5")]
    assert list(headers) == [("D", "4"), ("E", "5")]
    del headers[0]
    assert headers.pop(0) == ("E", "5")
    headers.add("F", "6")
    assert headers.popitem() == ("F", "6")


def test_missing_is_a_bad_request_key_error():
    with pytest.raises(BadRequestKeyError):
        Headers()["x"]
    assert "x" not in Headers()
    assert 5 not in Headers()


def test_parameters():
    headers = Headers()
    headers.add("Content-Disposition", "attachment", filename='a"b.png', max_age=3)
    assert headers["content-disposition"] == 'attachment; filename="a\\"b.png"; max-age=3'


def test_equality_has_no_case_in_names():
    assert Headers([("A", "1")]) == Headers([("a", "1")])
    assert Headers([("A", "x")]) != Headers([("A", "X")])
    with pytest.raises(TypeError):
        hash(Headers())


def test_union_and_copy():
    one = Headers([("A", "1")])
    other = one | {"A": "2"}
    assert other["a"] == "2"
    assert one["a"] == "1"
    other |= [("B", "3")]
    assert other.copy() == other


@pytest.mark.parametrize(
    "write",
    [
        lambda h, n, v: h.add(n, v),
        lambda h, n, v: h.add_header(n, v),
        lambda h, n, v: h.set(n, v),
        lambda h, n, v: h.setlist(n, ["x", v]),
        lambda h, n, v: h.setdefault(n, v),
        lambda h, n, v: h.setlistdefault(n, [v]),
        lambda h, n, v: h.extend([(n, v)]),
        lambda h, n, v: h.extend({n: [v]}),
        lambda h, n, v: h.update({n: v}),
        lambda h, n, v: h.update([(n, v)]),
        lambda h, n, v: h.__setitem__(n, v),
        lambda h, n, v: h.__setitem__(0, (n, v)),
        lambda h, n, v: h.__setitem__(slice(0, 1), [(n, v)]),
        lambda h, n, v: h.__ior__({n: v}),
        lambda h, n, v: Headers([(n, v)]),
    ],
)
def test_every_write_is_checked(write):
    for name, value in [
        ("X", "a\r\nb"),
        ("X", "a\x00"),
        ("X", "\u20ac"),
        ("X Y", "a"),
        ("", "a"),
        ("X\n", "a"),
    ]:
        headers = Headers([("Z", "z")])
        with pytest.raises(ValueError, match="invalid header"):
            write(headers, name, value)


LINES = st.lists(
    st.tuples(
        st.sampled_from(["host", "cookie", "x-a", "x-b", "content-type", "content-length", "accept"]),
        st.sampled_from(["", "1", "a b", "\xe9"]),
    ),
    max_size=8,
)


def environ_of(lines: list[tuple[str, str]]) -> dict[str, str]:
    """Join repeated lines as a WSGI server does."""
    environ: dict[str, str] = {}
    for name, value in lines:
        key = name.upper().replace("-", "_")
        key = key if key.startswith("CONTENT_") else f"HTTP_{key}"
        if key in environ:
            value = environ[key] + ("; " if name == "cookie" else ", ") + value
        environ[key] = value
    return environ


@given(LINES)
def test_both_views_answer_alike(lines):
    environ = EnvironHeaders(environ_of(lines))
    scope = ScopeHeaders([(name.encode(), value.encode("latin-1")) for name, value in lines])
    assert list(environ) == list(scope)
    assert len(environ) == len(scope)
    for name in (
        "Host",
        "cookie",
        "X-A",
        "x_b",
        "Content-Type",
        "CONTENT-LENGTH",
        "Accept",
        "Missing",
        "\u20ac",
    ):
        assert environ.get(name) == scope.get(name)
        assert environ.get(name, 0, int) == scope.get(name, 0, int)
        assert environ.getlist(name) == scope.getlist(name)
        assert (name in environ) == (name in scope)


@given(LINES)
def test_environ_view_reads_as_werkzeugs(lines):
    environ = environ_of([(name, value or "x") for name, value in lines])
    environ |= {"HTTP_CONTENT_TYPE": "cgi", "HTTP_CONTENT_LENGTH": "7", "REQUEST_METHOD": "GET"}
    ours, theirs = EnvironHeaders(environ), oracle.EnvironHeaders(environ)
    assert list(ours) == list(theirs)
    for name in ("Host", "cookie", "X-A", "Content-Type", "content-length", "Missing"):
        assert ours.get(name) == theirs.get(name)
        assert ours.getlist(name) == theirs.getlist(name)
    assert ours == EnvironHeaders(environ)


def test_a_name_with_underscore_is_not_its_hyphenated_twin():
    headers = ScopeHeaders([(b"x_forwarded_for", b"evil"), (b"host", b"a")])
    assert headers.get("X-Forwarded-For") is None
    assert headers.get("x_forwarded_for") is None
    assert list(headers) == [("Host", "a")]


def test_empty_content_type_is_none():
    assert EnvironHeaders({"CONTENT_TYPE": ""}).get("Content-Type") is None
    assert ScopeHeaders([(b"content-type", b"")]).get("Content-Type") is None
    assert "Content-Type" not in ScopeHeaders([(b"content-type", b"")])


@pytest.mark.parametrize("headers", [EnvironHeaders({"HTTP_A": "1"}), ScopeHeaders([(b"a", b"1")])])
@pytest.mark.parametrize(
    "change",
    [
        lambda h: h.add("a", "b"),
        lambda h: h.set("a", "b"),
        lambda h: h.pop("a"),
        lambda h: h.remove("a"),
        lambda h: h.clear(),
        lambda h: h.update({}),
        lambda h: h.extend({}),
        lambda h: h.setdefault("a", "b"),
        lambda h: h.setlist("a", []),
        lambda h: h.__setitem__("a", "b"),
        lambda h: h.__delitem__("a"),
        lambda h: h.__ior__({}),
        lambda h: h.copy(),
    ],
)
def test_views_refuse_every_change(headers, change):
    with pytest.raises(TypeError):
        change(headers)
    assert headers["a"] == "1"
    assert headers[0] == ("A", "1")
    assert list(Headers(headers)) == [("A", "1")]
