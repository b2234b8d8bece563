from __future__ import annotations

import io
import os
import tempfile

import pytest
from hypothesis import given, strategies as st
from werkzeug import formparser as oracle
from werkzeug.datastructures import (
    FileStorage as OracleFile,
    ImmutableMultiDict as OracleDict,
    MultiDict as OracleMulti,
)
from werkzeug.test import stream_encode_multipart

from duoflask.http import forms
from duoflask.http.buffered import BufferedBody, collect
from duoflask.http.errors import BadRequest, ClientDisconnected, RequestEntityTooLarge
from duoflask.http.forms import (
    FormDataParser,
    FormScan,
    MultiPartParser,
    default_stream_factory,
    parse_form_data,
    parse_urlencoded,
)
from duoflask.http.multidict import ImmutableMultiDict, MultiDict
from duoflask.http.multipart import InvalidMultipart

BOUNDARY = "boundary"
RAW_BOUNDARY = BOUNDARY.encode()


def encoded(fields):
    return stream_encode_multipart(OracleMulti(fields), boundary=BOUNDARY)[0].read()


def part(content=b"text", head=b'Content-Disposition: form-data; name="a"'):
    return b"--boundary\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


END = b"--boundary--\r\n"


def shown(form, files):
    """Fields and files as plain values."""
    found = []
    for name, file in files.items(multi=True):
        found.append((name, file.name, file.filename, file.content_type, file.read()))
        file.close()
    return list(form.items(multi=True)), found


def spilled(body):
    return collect(io.BytesIO(body), BufferedBody(0))


def watched(body):
    collected = BufferedBody(0)
    collected.watch = FormScan(RAW_BOUNDARY, None, None).feed
    return collect(io.BytesIO(body), collected)


class Dribble(io.BytesIO):
    """A stream that gives a few bytes a read."""

    def read(self, size=-1):
        return super().read(min(size, 7) if size >= 0 else -1)


STREAMS = {
    "BytesIO": io.BytesIO,
    "stream": lambda body: io.BufferedReader(io.BytesIO(body)),
    "dribble": lambda body: io.BufferedReader(Dribble(body)),
    "in memory": lambda body: BufferedBody.of([body[:9], body[9:]]),
    "on disk": spilled,
    "parsed while it arrived": watched,
}

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\\x7f'), max_size=8)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
LINES = st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--boundar", b"x"])).map(b"".join)
CONTENT = st.one_of(st.binary(max_size=80), LINES)
FIELDS = st.lists(st.tuples(NAMES, st.one_of(TEXT, st.tuples(CONTENT, NAMES))), max_size=5)
PIECES = [b"a", b"=", b"&", b"+", b"%", b"%20", b"%e2%82%ac", b"\xe2\x82\xac", b"%ff", b";", b"b=1"]


def materialised(fields):
    return [
        (name, value if isinstance(value, str) else OracleFile(io.BytesIO(value[0]), value[1], name, "text/x; a=b"))
        for name, value in fields
    ]


@pytest.mark.parametrize("kind", STREAMS)
@given(FIELDS)
def test_multipart_is_werkzeugs(kind, fields):
    body = encoded(materialised(fields))
    theirs = shown(*oracle.MultiPartParser().parse(io.BytesIO(body), RAW_BOUNDARY, len(body)))
    stream = STREAMS[kind](body)
    assert shown(*MultiPartParser().parse(stream, RAW_BOUNDARY, len(body))) == theirs
    assert stream.read() == b""
    stream.close()


@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_urlencoded_is_werkzeugs(body):
    results = []
    for parser in (FormDataParser(), oracle.FormDataParser()):
        parsed = parser.parse(io.BytesIO(body), "application/x-www-form-urlencoded", len(body))
        results.append(shown(*parsed[1:]))
    assert results[0] == results[1]


HEADS = [
    b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=iso-8859-1',
    b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=ASCII',
    b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset="utf-8"',
    b'Content-Disposition: form-data; name="a"\r\nContent-Type: text/plain; charset=utf-7',
    b'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: base64',
    b'Content-Disposition: form-data; name="a"; filename="b"\r\nContent-Transfer-Encoding: base64',
    b'Content-Transfer-Encoding: quoted-printable\r\nContent-Disposition: form-data; name="a"',
    b'Content-Disposition: form-data; name="a"; filename=""\r\nContent-Type: application/octet-stream',
    b'Content-Disposition: form-data; name="a"; filename="x"',
    b'Content-Disposition: form-data;\r\n\tname="a"; filename="x"\r\nContent-Type:  text/x ',
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("content", [b"YWJj", b"\xe9\xff", b"a=3D", "é".encode(), b"+AGE-"])
def test_content_and_charset_are_werkzeugs(head, content):
    body = part(content, head) + END
    theirs = shown(*oracle.MultiPartParser().parse(io.BytesIO(body), RAW_BOUNDARY, len(body)))
    assert shown(*MultiPartParser().parse(io.BytesIO(body), RAW_BOUNDARY, len(body))) == theirs


def test_headers_of_a_file():
    head = 'Content-Disposition: form-data; name="f"; filename="ü"\r\nX-Own: y\r\nContent-Length: 3'.encode()
    _, files = MultiPartParser().parse(io.BytesIO(part(b"abc", head) + END), RAW_BOUNDARY, None)
    headers = files["f"].headers
    assert headers["x-own"] == "y"
    assert files["f"].content_length == 3
    assert headers["Content-Disposition"].endswith('filename="ü"')
    with pytest.raises(ValueError, match="Ü|ü|latin|value"):
        headers.add("X", "\u20ac")


# limits

FILE = b'Content-Disposition: form-data; name="f"; filename="a"'


@pytest.mark.parametrize("kind", STREAMS)
def test_texts_are_limited_in_sum_and_files_are_not(kind):
    body = part(b"12345") + part(b"x" * 1000, FILE) + part(b"67890") + END
    for limit in (None, 10):
        stream = STREAMS[kind](body)
        form, files = MultiPartParser(max_form_memory_size=limit).parse(stream, RAW_BOUNDARY, None)
        assert form.getlist("a") == ["12345", "67890"]
        assert files["f"].read() == b"x" * 1000
        stream.close()
    for _ in range(2):
        stream = STREAMS[kind](body)
        with pytest.raises(RequestEntityTooLarge, match="at most 9 bytes in sum .MAX_FORM_MEMORY_SIZE"):
            MultiPartParser(max_form_memory_size=9).parse(stream, RAW_BOUNDARY, None)
        stream.close()


@pytest.mark.parametrize("kind", STREAMS)
def test_parts_are_limited_files_included(kind):
    body = part() + part(b"", FILE) + part(b"", FILE) + END
    for limit in (None, 3):
        assert len(MultiPartParser(max_form_parts=limit).parse(STREAMS[kind](body), RAW_BOUNDARY, None)[0]) == 1
    for limit in (0, 2):
        with pytest.raises(RequestEntityTooLarge, match=f"at most {limit} .MAX_FORM_PARTS"):
            MultiPartParser(max_form_parts=limit).parse(STREAMS[kind](body), RAW_BOUNDARY, None)


def test_limits_of_urlencoded_forms():
    assert parse_urlencoded(b"a=1&b=2", 2, 7) == [("a", "1"), ("b", "2")]
    with pytest.raises(RequestEntityTooLarge, match="MAX_FORM_PARTS"):
        parse_urlencoded(b"a=1&b=2", 1, 7)
    with pytest.raises(RequestEntityTooLarge, match="MAX_FORM_MEMORY_SIZE"):
        parse_urlencoded(b"a=1&b=2", 2, 6)
    parser = FormDataParser(max_form_memory_size=3)
    with pytest.raises(RequestEntityTooLarge, match="MAX_FORM_MEMORY_SIZE"):
        parser.parse(io.BytesIO(b"a=12"), "application/x-www-form-urlencoded", 4)


def test_a_thousand_files_need_one_descriptor():
    size = forms.BufferedBody().max_memory // 900
    body = part(b"x" * size, FILE) * 1000 + END
    before = len(os.listdir("/proc/self/fd"))
    stream = io.BufferedReader(io.BytesIO(body))
    _, files = MultiPartParser().parse(stream, RAW_BOUNDARY, len(body))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert [len(file.read()) for file in files.getlist("f")] == [size] * 1000
    for file in files.getlist("f"):
        file.close()
    del files, file
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("tail", [b"", b"--boundary", part(head=b"junk"), part() * 1001 + END])
def test_bad_upload_leaves_no_descriptor(tail):
    before = len(os.listdir("/proc/self/fd"))
    body = part(b"x" * 3_000_000, FILE) + tail
    with pytest.raises((InvalidMultipart, RequestEntityTooLarge)):
        MultiPartParser(max_form_parts=1000).parse(io.BufferedReader(io.BytesIO(body)), RAW_BOUNDARY, None)
    assert len(os.listdir("/proc/self/fd")) == before


# hooks


def test_files_go_where_the_factory_says():
    made = []

    def factory(total_content_length, content_type, filename, content_length=None):
        made.append((total_content_length, content_type, filename, content_length))
        return tempfile.TemporaryFile()

    head = FILE + b"\r\nContent-Type: a/b\r\nContent-Length: 5"
    body = part(b"12345", head) + part(b"", FILE + b"\r\nContent-Length: abc") + part() + END
    for kind in STREAMS:
        made.clear()
        form, files = MultiPartParser(factory).parse(STREAMS[kind](body), RAW_BOUNDARY, 99)
        assert made == [(99, "a/b", "a", 5), (99, None, "a", 0)]
        first, second = files.getlist("f")
        assert (first.read(), second.read(), form["a"]) == (b"12345", b"", "text")
        first.stream.fileno()
        first.close()
        second.close()


def test_default_factory_makes_a_file():
    with default_stream_factory(None, None, None) as file:
        file.write(b"abc")
        file.seek(0)
        assert file.read() == b"abc"


@pytest.mark.parametrize("cls", [MultiDict, ImmutableMultiDict, dict])
def test_results_are_of_the_class_that_is_asked_for(cls):
    form, files = MultiPartParser(cls=cls).parse(io.BytesIO(part() + END), RAW_BOUNDARY, None)
    assert type(form) is type(files) is cls
    assert OracleDict([("a", "text")]).to_dict() == dict(form)


def test_other_media_types_are_left_alone():
    stream = io.BytesIO(b"a=b")
    assert FormDataParser().parse(stream, "text/plain", 3) == (stream, MultiDict(), MultiDict())
    assert stream.read() == b"a=b"


BAD = [b"", b"junk", part(), part(head=b"junk") + END]


@pytest.mark.parametrize("body", BAD)
def test_malformed_body_is_an_error_unless_the_parser_is_silent(body):
    arguments = (io.BytesIO(body), "multipart/form-data", len(body), {"boundary": BOUNDARY})
    assert FormDataParser().parse(*arguments)[1:] == (MultiDict(), MultiDict())
    arguments[0].seek(0)
    with pytest.raises(InvalidMultipart) as info:
        FormDataParser(silent=False).parse(*arguments)
    assert isinstance(info.value, ValueError)
    assert isinstance(info.value, BadRequest)
    with pytest.raises(InvalidMultipart, match="boundary"):
        FormDataParser(silent=False).parse(io.BytesIO(), "multipart/form-data", 0)
    with pytest.raises(InvalidMultipart, match="own words"):
        MultiPartParser().fail("own words")


def test_body_that_ends_early_is_never_silent():
    environ = {"wsgi.input": io.BytesIO(part()), "CONTENT_TYPE": f"multipart/form-data; boundary={BOUNDARY}"}
    environ["CONTENT_LENGTH"] = "1000"
    with pytest.raises(ClientDisconnected):
        parse_form_data(environ)


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=boundary", "application/x-www-form-urlencoded", "a/b", ""]
)
def test_parse_form_data_is_werkzeugs(kind, length):
    body = encoded([("a", "1"), ("f", OracleFile(io.BytesIO(b"x"), "n"))]) if "boundary" in kind else b"a=1&b=2"
    results = []
    for parse in (parse_form_data, oracle.parse_form_data):
        environ = {"wsgi.input": io.BytesIO(body), "CONTENT_TYPE": kind, "wsgi.input_terminated": True}
        if length:
            environ["CONTENT_LENGTH"] = str(len(body))
        stream, form, files = parse(environ)
        results.append((stream.read(), *shown(form, files)))
    assert results[0] == results[1]
    environ = {"wsgi.input": io.BytesIO(body), "CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body))}
    with pytest.raises(RequestEntityTooLarge):
        parse_form_data(environ, max_content_length=3)
    assert parse_form_data({"wsgi.input": io.BytesIO(body), "CONTENT_TYPE": kind})[0].read() == b""


def test_what_was_read_before_is_not_part_of_the_form():
    for kind in ("in memory", "on disk", "parsed while it arrived"):
        stream = STREAMS[kind](b"front" + part(b"x" * 50, FILE) + END)
        assert stream.read(5) == b"front"
        _, files = MultiPartParser().parse(stream, RAW_BOUNDARY, None)
        assert files["f"].read() == b"x" * 50
        stream.close()


def test_scan_of_a_body_that_arrives():
    assert FormScan.of("text/plain", {"boundary": "b"}, None, None) is None
    assert FormScan.of("multipart/form-data", {}, None, None) is None
    assert FormScan.of("multipart/form-data", {"boundary": "b"}, 1, 2).settings == (b"b", 1, 2)


def test_scan_with_other_limits_is_done_again():
    body = part() * 3 + END
    stream = BufferedBody(0)
    stream.watch = FormScan(RAW_BOUNDARY, 5, 1).feed
    form, _ = MultiPartParser(max_form_parts=3).parse(collect(io.BytesIO(body), stream), RAW_BOUNDARY, None)
    assert form.getlist("a") == ["text"] * 3
    stream.close()
