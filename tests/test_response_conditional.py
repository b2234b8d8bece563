from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import flask
import pytest
from hypothesis import given, strategies as st
from werkzeug import exceptions as oracle
from werkzeug.http import http_date
from werkzeug.test import create_environ as oracle_environ, run_wsgi_app

import duoflask
from duoflask.exceptions import RequestedRangeNotSatisfiable
from duoflask.response_conditional import apply_conditions

ours, theirs = duoflask.Response, flask.Response
DATA = bytes(range(48, 148))  # 100 bytes
DATES = [http_date(1704164645 + offset) for offset in (0, 1, 2)]

ETAG = st.none() | st.sampled_from(['"a"', '"b"', 'W/"a"'])
MATCH = st.none() | st.sampled_from(["*", '"a"', '"b"', 'W/"a"', '"x", "a"', ""])
DATE = st.none() | st.sampled_from([*DATES, "nonsense"])
SPEC = st.tuples(st.integers(0, 120), st.integers(0, 120)).map(lambda pair: f"{pair[0]}-{pair[1]}")
SPEC = SPEC | st.integers(0, 120).map("{}-".format) | st.integers(0, 120).map("-{}".format)
RANGE = st.none() | SPEC.map("bytes={}".format) | st.sampled_from(["bytes=a", "bytes=", "Bytes = 0-4", "bytes=--1"])
BODIES = st.sampled_from(["bytes", "iterator", "file", "list"])


def body_of(kind: str, data: bytes = DATA) -> Any:
    if kind == "bytes":
        return data
    pieces = [data[at : at + 7] for at in range(0, len(data), 7)]
    if kind == "list":
        return pieces
    return iter(pieces) if kind == "iterator" else BytesIO(data)


def respond(
    kind: Any, body: str, environ: dict[str, Any], etag: str | None, modified: str | None, ranges: Any, length: Any
) -> Any:
    """Status, fields but Date, and body of a conditional response; an exception is its class and fields."""
    response = kind(
        body_of(body), headers={"Content-Type": "text/x", "Allow": "GET"}, direct_passthrough=body == "file"
    )
    if etag:
        response.headers["ETag"] = etag
    if modified:
        response.headers["Last-Modified"] = modified
    try:
        response = response.make_conditional(environ, ranges, length)
    except Exception as exc:
        return type(exc).__name__, exc.get_headers()
    chunks, status, headers = run_wsgi_app(response, environ, buffered=True)
    fields = sorted((name.lower(), value) for name, value in headers if name.lower() != "date")
    assert ("Date" in headers) is (environ["REQUEST_METHOD"] != "POST")
    return status, fields, b"".join(chunks)


def without_length(answer: Any) -> Any:
    """An answer as it is compared: Werkzeug reads an iterator to its end to tell its length."""
    return (
        answer
        if len(answer) == 2
        else (answer[0], [pair for pair in answer[1] if pair[0] != "content-length"], answer[2])
    )


@given(
    body=BODIES, etag=ETAG, modified=st.none() | st.sampled_from(DATES), since=DATE, if_match=MATCH,
    if_none_match=MATCH,
    if_range=st.none() | st.sampled_from(['"a"', '"b"', 'W/"a"', *DATES, ""]), wanted=RANGE,
    method=st.sampled_from(["GET", "GET", "HEAD", "POST"]), ranges=st.sampled_from([True, "bytes", False]),
    length=st.sampled_from([100, 100, 100, None]),
)  # fmt: skip
def test_response_is_werkzeugs_where_it_follows_the_rfc(
    body: str, etag: Any, modified: Any, if_match: Any, if_none_match: Any, since: Any, if_range: Any, wanted: Any,
    method: str, ranges: Any, length: Any,
) -> None:  # fmt: skip
    fields = {
        "HTTP_IF_MATCH": if_match, "HTTP_IF_NONE_MATCH": if_none_match, "HTTP_IF_MODIFIED_SINCE": since,
        "HTTP_IF_RANGE": if_range, "HTTP_RANGE": wanted,
    }  # fmt: skip
    environ = oracle_environ("/", method=method)
    environ.update({name: value for name, value in fields.items() if value is not None})
    mine = respond(ours, body, environ, etag, modified, ranges, length)
    if method != "POST":
        if if_match and (if_match == "*" or etag is None or etag.startswith("W/") or if_none_match or since):
            return  # see tests/http/test_etags.py
        if if_none_match and etag is None:
            return  # 13.1.3: If-Modified-Since is ignored; "*" matches
        if wanted is not None and ranges:
            if method == "HEAD":
                return  # RFC 9110 14.2: a Range counts for GET only
            if if_match or if_none_match or since:
                return  # 13.2.2: preconditions come first
            if if_range is not None and (etag is None or "W/" in etag + if_range or if_range in DATES or not if_range):
                return  # 13.1.5: the strong comparison, and the very date
            if wanted.startswith("bytes=-") and wanted[7:].isdecimal() and int(wanted[7:]) > 100:
                return  # 14.1.2: a long suffix is all of it
    flasks = respond(theirs, body, environ, etag, modified, ranges, length)
    if body == "bytes":
        assert mine == flasks
    else:
        assert without_length(mine) == without_length(flasks)


# -- an app, both protocols, both colours


def app_with(make: Any, **conditions: Any) -> duoflask.DuoFlask:
    """An app that sends what `make` returns: at `/def` from a `def` view, at `/async` from an `async def` view."""
    app = duoflask.DuoFlask("app")
    app.testing = False

    def response() -> Any:
        answer = duoflask.Response(make(), content_type="text/x")
        answer.headers["Last-Modified"] = DATES[1]
        answer.set_etag("a")
        return answer.make_conditional(duoflask.request, **conditions)

    @app.get("/def")
    def view() -> Any:
        return response()

    @app.get("/async")
    async def async_view() -> Any:
        return response()

    return app


def async_body() -> Any:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, 100, 7):
            yield DATA[at : at + 7]

    return pieces()


MAKERS = {
    "bytes": lambda: DATA,
    "iterator": lambda: body_of("iterator"),
    "file": lambda: BytesIO(DATA),
    "async": async_body,
}


@pytest.mark.parametrize("path", ["/def", "/async"])
@pytest.mark.parametrize("body", MAKERS)
@pytest.mark.parametrize(
    ("headers", "status", "start", "stop"),
    [
        ({}, 200, 0, 100),
        ({"Range": "bytes=0-4"}, 206, 0, 5),
        ({"Range": "bytes=10-20"}, 206, 10, 21),
        ({"Range": "bytes=90-500"}, 206, 90, 100),
        ({"Range": "bytes=99-"}, 206, 99, 100),
        ({"Range": "bytes=-5"}, 206, 95, 100),
        ({"Range": "bytes=-500"}, 206, 0, 100),
        ({"Range": "bytes=0-9,5-20"}, 206, 0, 21),
        ({"Range": "bytes=50-60,0-49"}, 206, 0, 61),
        ({"Range": "bytes=0-4,200-"}, 206, 0, 5),
        ({"Range": "items=0-4"}, 200, 0, 100),
        ({"Range": "nonsense"}, 200, 0, 100),
        ({"Range": "bytes=0-4", "If-Range": '"a"'}, 206, 0, 5),
        ({"Range": "bytes=0-4", "If-Range": 'W/"a"'}, 200, 0, 100),
        ({"Range": "bytes=0-4", "If-Range": '"b"'}, 200, 0, 100),
        ({"Range": "bytes=0-4", "If-Range": DATES[1]}, 206, 0, 5),
        ({"Range": "bytes=0-4", "If-Range": DATES[2]}, 200, 0, 100),
        ({"If-Range": '"a"'}, 200, 0, 100),
        ({"Range": "bytes=0-4", "If-Match": '"a"'}, 206, 0, 5),
        ({"Range": "bytes=0-4", "If-Match": '"b"'}, 412, 0, 100),
        ({"Range": "bytes=0-4", "If-None-Match": '"a"'}, 304, 0, 0),
        ({"Range": "bytes=0-4", "If-Unmodified-Since": DATES[0]}, 412, 0, 100),
        ({"If-None-Match": '"a"'}, 304, 0, 0),
        ({"If-Modified-Since": DATES[1]}, 304, 0, 0),
        ({"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"}, 200, 0, 100),
    ],
)
def test_conditions_are_answered(
    client: Any, path: str, body: str, headers: dict[str, str], status: int, start: int, stop: int
) -> None:
    response = client(app_with(MAKERS[body], accept_ranges=True, complete_length=100)).get(path, headers=headers)
    assert (response.status_code, response.data) == (status, DATA[start:stop])
    assert response.headers["ETag"] == '"a"'
    if status == 206:
        assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/100"
        assert response.headers["Content-Length"] == str(stop - start)
    else:
        assert "Content-Range" not in response.headers
    if status == 304:
        assert "Content-Length" not in response.headers
        assert "Content-Type" not in response.headers
        assert "Last-Modified" not in response.headers
    else:
        assert response.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("body", MAKERS)
@pytest.mark.parametrize(
    "value",
    ["bytes=100-", "bytes=500-600", "bytes=5-3", "bytes=a", "bytes=", "bytes=-0", "bytes=+1-2", "bytes=1_0-",
     "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 500, 2)), "bytes=" + "0-," * 10_000, "bytes=" + "9" * 6000 + "-"],
)  # fmt: skip
def test_range_that_cannot_be_sent_is_a_416(client: Any, body: str, value: str) -> None:
    response = client(app_with(MAKERS[body], accept_ranges=True, complete_length=100)).get(
        "/def", headers={"Range": value}
    )
    assert response.status_code == 416
    assert response.headers["Content-Range"] == "bytes */100"


def parts_of(response: Any) -> list[tuple[bytes, bytes]]:
    kind = response.headers["Content-Type"]
    assert kind.startswith("multipart/byteranges; boundary=")
    boundary = kind.partition("=")[2].encode()
    before, *parts, after = response.data.split(b"\r\n--" + boundary)
    assert (before, after) == (b"", b"--\r\n")
    return [tuple(part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1)) for part in parts]  # type: ignore[misc]


@pytest.mark.parametrize("body", MAKERS)
@pytest.mark.parametrize("path", ["/def", "/async"])
def test_several_ranges_are_several_parts(client: Any, body: str, path: str) -> None:
    app = app_with(MAKERS[body], accept_ranges=True, complete_length=100)
    response = client(app).get(path, headers={"Range": "bytes=-1,0-9, 20-30 ,5-12,99-200,300-"})
    assert response.status_code == 206
    assert response.content_length == len(response.data)
    assert "Content-Range" not in response.headers
    assert parts_of(response) == [
        (b"Content-Type: text/x\r\nContent-Range: bytes 0-12/100", DATA[:13]),
        (b"Content-Type: text/x\r\nContent-Range: bytes 20-30/100", DATA[20:31]),
        (b"Content-Type: text/x\r\nContent-Range: bytes 99-99/100", DATA[99:]),
    ]


@given(st.lists(SPEC, min_size=1, max_size=9), st.sampled_from(["bytes", "iterator", "file"]), st.integers(1, 130))
def test_every_wanted_byte_is_sent_once(specs: list[str], body: str, size: int) -> None:
    data = (DATA * 2)[:size]
    response = ours(body_of(body, data), content_type="text/x")
    wanted = set()
    for spec in specs:
        first, _, last = spec.partition("-")
        if not first:
            wanted |= set(range(max(size - int(last), 0), size)) if int(last) else {-1}
        elif last and int(last) < int(first):
            wanted.add(-1)
        else:
            wanted |= set(range(int(first), min(int(last) + 1 if last else size, size)))
    environ = oracle_environ("/", headers={"Range": "bytes=" + ",".join(specs)})
    try:
        response.make_conditional(environ, True, size)
    except RequestedRangeNotSatisfiable as exc:
        assert -1 in wanted or not wanted
        assert ("Content-Range", f"bytes */{size}") in exc.get_headers()
        return
    assert -1 not in wanted
    length = response.content_length
    sent = response.get_data()
    assert length == len(sent)
    if "multipart" not in response.content_type:
        assert sent == bytes(data[n] for n in sorted(wanted))
        return
    found = b"".join(content for _, content in parts_of(response))
    assert found == bytes(data[n] for n in sorted(wanted))


def test_bomb_of_ranges_sends_no_more_than_the_data() -> None:
    response = ours(DATA)
    specs = ",".join("0-99" for _ in range(60))
    response.make_conditional(oracle_environ("/", headers={"Range": f"bytes={specs}"}), True, 100)
    assert (response.status_code, response.get_data()) == (206, DATA)


# -- where the RFC and Werkzeug part


@pytest.mark.parametrize(
    ("headers", "status", "werkzeugs"),
    [
        ({"If-Match": "*"}, 200, 412),
        ({"If-Match": '"a"', "If-None-Match": '"a"'}, 304, 200),
        ({"If-Match": '"b"', "Range": "bytes=0-4"}, 412, 206),
        ({"If-None-Match": '"a"', "Range": "bytes=0-4"}, 304, 206),
        ({"If-Unmodified-Since": DATES[0]}, 412, 200),
        ({"If-Range": 'W/"a"', "Range": "bytes=0-4"}, 200, 206),
        ({"If-Range": DATES[2], "Range": "bytes=0-4"}, 200, 206),
        ({"Range": "items=0-4"}, 200, 416),
        ({"Range": "bytes=-500"}, 206, 416),
        ({"Range": "bytes=0-4,20-24"}, 206, 416),
        ({"Range": "bytes=20-24,0-4"}, 206, 416),
    ],
)
def test_difference_from_werkzeug(headers: dict[str, str], status: int, werkzeugs: int) -> None:
    def answer(kind: Any) -> int:
        response = kind(DATA, headers={"ETag": '"a"', "Last-Modified": DATES[1]})
        try:
            response.make_conditional(oracle_environ("/", headers=headers), True, 100)
        except (RequestedRangeNotSatisfiable, oracle.RequestedRangeNotSatisfiable):
            return 416
        return response.status_code  # type: ignore[no-any-return]

    assert (answer(ours), answer(theirs)) == (status, werkzeugs)


def test_range_of_a_head_request_is_ignored(client: Any) -> None:
    app = app_with(lambda: DATA, accept_ranges=True, complete_length=100)
    response = client(app).head("/def", headers={"Range": "bytes=0-4"})
    assert (response.status_code, response.content_length, response.data) == (200, 100, b"")
    assert client(app).head("/def", headers={"If-None-Match": '"a"'}).status_code == 304


def test_conditions_of_an_error_page_are_ignored() -> None:
    response = ours(DATA, 404, headers={"ETag": '"a"'})
    response.make_conditional(oracle_environ("/", headers={"If-None-Match": '"a"', "Range": "bytes=0-4"}), True, 100)
    assert (response.status_code, response.get_data()) == (404, DATA)
    assert response.headers["Accept-Ranges"] == "bytes"


def test_other_methods_are_left_alone() -> None:
    response = ours(DATA, headers={"ETag": '"a"'})
    environ = oracle_environ("/", method="POST", headers={"If-None-Match": '"a"', "Range": "bytes=0-4"})
    before = list(response.headers)
    assert response.make_conditional(environ, True, 100) is response
    assert (response.status_code, list(response.headers)) == (200, before)


def test_date_is_left_to_asgi_servers(client: Any, protocol: str) -> None:
    headers = client(app_with(lambda: DATA)).get("/def").headers
    assert headers.getlist("Date") == ([] if protocol == "asgi" else [headers.get("Date")])


def test_own_date_stays() -> None:
    response = ours(DATA, headers={"Date": DATES[0]})
    assert response.make_conditional(oracle_environ("/")).headers["Date"] == DATES[0]


@pytest.mark.parametrize("accept", [False, "none", ""])
def test_ranges_are_sent_only_where_they_are_accepted(accept: Any) -> None:
    response = ours(DATA).make_conditional(oracle_environ("/", headers={"Range": "bytes=0-4"}), accept, 100)
    assert response.status_code == 200
    assert response.headers.get("Accept-Ranges") == (accept or None)


@pytest.mark.parametrize("body", [b"", None])
def test_empty_body_has_no_ranges(body: Any) -> None:
    response = ours(body).make_conditional(oracle_environ("/", headers={"Range": "bytes=0-4"}), True, 0)
    assert response.status_code == 200


@pytest.mark.parametrize("body", ["bytes", "iterator"])
def test_body_without_a_length_has_no_ranges(body: str) -> None:
    response = ours(body_of(body)).make_conditional(oracle_environ("/", headers={"Range": "bytes=0-4"}), True)
    assert (response.status_code, response.get_data()) == (200, DATA)


def test_request_scope_and_environ_are_alike() -> None:
    scope = {"type": "http", "method": "GET", "headers": [(b"range", b"bytes=0-4")]}
    environ = oracle_environ("/", headers={"Range": "bytes=0-4"})
    for source in (scope, environ, duoflask.Request(environ), duoflask.Request(scope)):
        assert ours(DATA).make_conditional(source, True, 100).get_data() == DATA[:5]
    # asked for by whoever sends a file
    assert apply_conditions(ours(b""), environ, True, 100) == ([(b"", 0, 5)], b"")
    assert apply_conditions(ours(b""), {**environ, "HTTP_RANGE": "x=1"}, True, 100) is None


def test_length_is_told() -> None:
    response = ours(iter([DATA]))
    assert "Content-Length" not in response.make_conditional(oracle_environ("/")).headers
    own = ours(DATA)
    del own.headers["Content-Length"]
    assert own.make_conditional(oracle_environ("/")).content_length == 100


# -- a body that is not what was announced


@pytest.mark.parametrize("wanted", ["bytes=50-", "bytes=0-4,80-89"])
@pytest.mark.parametrize("body", ["iterator", "file", "async"])
def test_body_that_ends_early_is_an_error(client: Any, body: str, wanted: str) -> None:
    app = app_with(MAKERS[body], accept_ranges=True, complete_length=120)
    app.logger.disabled = True
    with pytest.raises(RuntimeError, match="ended early"):
        client(app).get("/async", headers={"Range": wanted if body != "x" else ""}).get_data()
        client(app).get("/async", headers={"Range": "bytes=110-119"}).get_data()


@pytest.mark.parametrize("wanted", ["bytes=0-4", "bytes=0-4,50-60", ""])
def test_body_is_closed_once(client: Any, wanted: str) -> None:
    closed: list[str] = []

    class File:  # not an io class: those call close() once more when they are forgotten
        def __init__(self, data: bytes) -> None:
            self.read = BytesIO(data).read

        def __iter__(self) -> Any:
            return iter(self.read, b"")

        def close(self) -> None:
            closed.append("file")

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield DATA
            yield b""
        finally:
            closed.append("async")

    for name, make in (("file", lambda: File(DATA)), ("async", pieces)):
        app = app_with(make, accept_ranges=True, complete_length=100)
        client(app).get("/def", headers={"Range": wanted} if wanted else {}, buffered=True).close()
        assert closed == [name]
        closed.clear()


def test_file_is_read_where_the_ranges_are() -> None:
    read: list[int] = []

    class File(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            read.append(len(data))
            return data

    file = File(b"x" * 1_000_000)
    response = ours(file)
    response.make_conditional(oracle_environ("/", headers={"Range": "bytes=0-9,900000-900009"}), True, 1_000_000)
    assert len(parts_of(response)) == 2
    assert sum(read) <= 2 * 65536


def test_text_file_and_text_pieces_are_encoded() -> None:
    from io import StringIO

    for body in (StringIO("a" * 100), iter(["a" * 30, "a" * 70])):
        response = ours(body)
        response.make_conditional(oracle_environ("/", headers={"Range": "bytes=10-19"}), True, 100)
        assert response.get_data() == b"a" * 10
