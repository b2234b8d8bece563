from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, strategies as st
from werkzeug.http import parse_options_header as oracle_options

from duoflask.http.errors import HTTPException
from duoflask.http.multipart import (
    MAX_FIELD_NAME_LENGTH,
    MAX_PART_HEAD,
    MAX_PART_LINES,
    InvalidMultipart,
    MultipartScanner,
    PartHead,
    boundary_of,
    charset_of,
)

from ..growth import require_linear, seconds_of

BOUNDARY = b"bound"


def read(pieces, boundary=BOUNDARY):
    """The parts of a body in pieces, as (name, filename, fields, content, start); or the error's status code."""
    scanner = MultipartScanner(boundary)
    parts, head, content = [], None, b""
    try:
        for piece in pieces:
            for event in scanner.feed(piece):
                if event is None:
                    parts.append((head.name, head.filename, head.fields, content, head.start))
                elif isinstance(event, PartHead):
                    head, content = event, b""
                else:
                    assert event
                    content += event
        scanner.finish()
    except InvalidMultipart as exc:
        return exc.code
    return parts


def part(content=b"text", head=b'Content-Disposition: form-data; name="a"'):
    return b"--bound\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


END = b"--bound--\r\n"
FILE = b'Content-Disposition: form-data; name="f"; filename="a.bin"\r\nContent-Type: application/octet-stream'
LOOKALIKE = b"\r\n--boun\r\n--boum\r\r\n--\n--bound\r--bound--\r\n"

GOOD = {
    "one field": part() + END,
    "no field": END,
    "no line break at the end": part() + b"--bound--",
    "empty content": part(b"") + END,
    "files": part() + part(bytes(range(256)), FILE) + part(b"x" * 300, FILE) + END,
    "line breaks in the content": part(b"\r\n\r\n\r\n") + part(b"\r\r\r\r") + part(b"\n\n") + END,
    "look-alikes": part(LOOKALIKE, FILE) + END,
    "preamble": b"preamble\r\nof two lines\r\n" + part() + END,
    "preamble with look-alikes": b"x--bound\r\n\r\n--boun\r\n--boum\r\n" + part() + END,
    "line break in front": b"\r\n" + part() + END,
    "epilogue": part() + END + b"\r\n--bound\r\nepilogue that is no part",
    "folded head": part(head=b'Content-Disposition: form-data;\r\n name="a"') + END,
    "no content at all": (part(b"") + part(b"", FILE) + END).replace(b"\r\n\r\n\r\n", b"\r\n\r\n"),
    "Content-Length is not believed": part(head=b'Content-Disposition: form-data; name="a"\r\nContent-Length: 3') + END,
    "no space behind the colon": part(head=b'content-disposition:form-data;name=a;filename="b c"') + END,
    "UTF-8 in the head": part(head='Content-Disposition: form-data; name="ä€"; filename="ü.txt"'.encode()) + END,
    "long line": part(head=b'Content-Disposition: form-data; name="a"\r\nX: ' + b"x" * (MAX_PART_HEAD - 45)) + END,
    "many lines": part(head=b'Content-Disposition: form-data; name="a"' + b"\r\nX: y" * (MAX_PART_LINES - 1)) + END,
    "long name": part(head=b'Content-Disposition: form-data; name="%s"' % (b"n" * MAX_FIELD_NAME_LENGTH)) + END,
}
BAD = {
    "nothing": b"",
    "only a preamble": b"something else",
    "no end": part(),
    "half an end": part() + b"--bound-",
    "ends in a head": b"--bound\r\nContent-Disposition: form-data",
    "ends in the content": part()[:-3],
    "other bytes behind the boundary": b"--boundary\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n" + END,
    "other bytes behind a later boundary": part() + b"--bound \r\n" + END,
    "LF only": (part() + END).replace(b"\r\n", b"\n"),
    "CR only": (part() + END).replace(b"\r\n", b"\r"),
    "LF in a head": part(head=b'Content-Disposition: form-data; name="a"\nX: y') + END,
    "CR in a head": part(head=b'Content-Disposition: form-data; name="a\rb"') + END,
    "NUL in a name": part(head=b'Content-Disposition: form-data; name="a\0b"') + END,
    "NUL in a file name": part(head=b'Content-Disposition: form-data; name="a"; filename="a\0.txt"') + END,
    "escape in a field": part(head=b'Content-Disposition: form-data; name="a"\r\nX: \x1b[2J') + END,
    "not UTF-8 in a head": part(head=b'Content-Disposition: form-data; name="\xff"') + END,
    "no head": b"--bound\r\n\r\ntext\r\n" + END,
    "no disposition": part(head=b"Content-Type: text/plain") + END,
    "two dispositions": part(head=b"\r\n".join([b"Content-Disposition: form-data; name=a"] * 2)) + END,
    "no name": part(head=b"Content-Disposition: form-data") + END,
    "not form-data": part(head=b'Content-Disposition: attachment; name="a"') + END,
    "no colon": part(head=b'Content-Disposition: form-data; name="a"\r\nwhat') + END,
    "bad field name": part(head=b'Content-Disposition: form-data; name="a"\r\nX Y: z') + END,
    "folded first line": part(head=b' x\r\nContent-Disposition: form-data; name="a"') + END,
    "space in front of the colon": part(head=b'Content-Disposition : form-data; name="a"') + END,
    "too long a line": part(head=b'Content-Disposition: form-data; name="a"\r\nX: ' + b"x" * (MAX_PART_HEAD - 44))
    + END,
    "too long a line without end": b"--bound\r\nX: " + b"x" * 10_000,
    "too many lines": part(head=b'Content-Disposition: form-data; name="a"' + b"\r\nX: y" * MAX_PART_LINES) + END,
    "too many folded lines": part(head=b"X: y" + b"\r\n z" * MAX_PART_LINES) + END,
    "too long a name": part(head=b'Content-Disposition: form-data; name="n%s"' % (b"n" * MAX_FIELD_NAME_LENGTH)) + END,
}


def splits(body):
    yield [body[index : index + 1] for index in range(len(body))]
    yield [body[index : index + 3] for index in range(0, len(body), 3)]
    step = 1 if len(body) < 1500 else 7
    for index in range(1, len(body), step):
        yield [body[:index], body[index:]]


@pytest.mark.parametrize("name", GOOD)
def test_every_split_gives_the_same_parts(name):
    body = GOOD[name]
    whole = read([body])
    assert isinstance(whole, list)
    assert len(whole) == body.partition(b"--bound--")[0].count(b"\r\n--bound\r\n") + body.startswith(b"--bound\r\n")
    for pieces in splits(body):
        assert read(pieces) == whole
    for *_, content, start in whole:
        assert body[start : start + len(content)] == content
        assert body[start + len(content) :].startswith((b"\r\n--bound", b"--bound" if not content else b"\r\n"))


@pytest.mark.parametrize("name", BAD)
def test_every_split_of_a_bad_body_is_a_400(name):
    body = BAD[name]
    assert read([body]) == 400
    for pieces in splits(body):
        assert read(pieces) == 400


@given(st.data())
def test_any_split_of_any_bytes_gives_the_same(data):
    alphabet = [b"\r", b"\n", b"\r\n", b"-", b"--", b"--bound", b"\r\n--bound", b"\r\n--bound\r\n", b"--bound--", b"x"]
    alphabet += [b"\r\n\r\n", b'Content-Disposition: form-data; name="a"', part(), part(b"y", FILE), END]
    body = b"".join(data.draw(st.lists(st.sampled_from(alphabet), max_size=12)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert read(pieces) == read([body])


@given(st.binary(max_size=60), st.integers(0, 60))
def test_any_mutation_is_parts_or_a_400(noise, place):
    body = GOOD["files"]
    mutated = body[:place] + noise + body[place + len(noise) :]
    result = read([mutated])
    assert result == 400 or isinstance(result, list)


def test_content_is_kept_byte_by_byte():
    (field,) = read([GOOD["look-alikes"]])
    assert field[:4] == ("f", "a.bin", field[2], LOOKALIKE)
    assert field[2][1] == ("Content-Type", "application/octet-stream")


def test_pieces_of_other_types_are_taken():
    body = GOOD["files"]
    assert read([bytearray(body)]) == read([memoryview(body)]) == read([body])


DISPOSITIONS = [
    'form-data; name="a"',
    'form-data; name="a"; filename="b"',
    'form-data; name="a"; filename=""',
    'form-data; name=""',
    "form-data; name=a; filename=b",
    'FORM-DATA; Name="a"; FileName="b"',
    'form-data; filename="b"; name="a"',
    'form-data; name="a;b"; filename="c;d"',
    'form-data; name="a%22b"; filename="c%22d%0D%0A"',
    r'form-data; name="a\"b"; filename="c\\d\"e"',
    r'form-data; name="a"; filename="C:\dir\file.txt"',
    'form-data; name="a"; filename="../../etc/passwd"',
    'form-data; name="a"; filename="/etc/passwd"',
    "form-data; name=\"a\"; filename*=UTF-8''%e2%82%ac.txt",
    'form-data; name="a"; filename="plain"; filename*=UTF-8\'\'%e2%82%ac.txt',
    'form-data; name="a"; filename="CON"',
    'form-data; name="a"; x="y"; filename="b"',
    'form-data; name="a"; ; filename="b"',
    'form-data; name="a" ; filename="b" ',
    'form-data; name="a"; filename="b"; filename="c"',
    'form-data; name="a"; filename="b" junk',
    'form-data; name="日本"; filename="語.txt"',
    'form-data; name="a"; filename="b',
]


@pytest.mark.parametrize("disposition", DISPOSITIONS)
def test_names_are_werkzeugs(disposition):
    body = part(head=f"Content-Disposition: {disposition}".encode()) + END
    options = oracle_options(disposition)[1]
    (found,) = read([body])
    assert found[:2] == (options["name"], options.get("filename"))


@given(
    st.lists(st.sampled_from(['"', ";", "=", "name", "filename", "\\", "%22", " ", "a", "é", "*", "form-data; name="]))
)
def test_any_disposition_is_werkzeugs(pieces):
    disposition = "form-data; " + "".join(pieces)
    body = part(head=f"Content-Disposition: {disposition}".encode()) + END
    options = oracle_options(disposition.strip(" \t"))[1]
    found = read([body])
    if "name" in options:
        assert found[0][:2] == (options["name"], options.get("filename"))
    else:
        assert found == 400


@pytest.mark.parametrize(
    "boundary", ["", "a" * 71, "a\nb", "a\r", "\x00", "é", "a ", "日"], ids=lambda boundary: repr(boundary)[:12]
)
def test_boundary_that_is_none_is_a_400(boundary):
    with pytest.raises(InvalidMultipart, match="boundary") as info:
        boundary_of({"boundary": boundary})
    assert info.value.code == 400
    with pytest.raises(InvalidMultipart):
        boundary_of({})


def test_boundary_of_any_printable_characters():
    for boundary in ("a" * 70, "a b", "'()+_,-./:=?", '"*$'):
        raw = boundary_of({"boundary": boundary})
        assert read([(part() + END).replace(b"bound", raw)], raw)[0][3] == b"text"


def test_charset_of_a_part_is_a_safe_one():
    assert charset_of(None) == charset_of("text/plain") == charset_of("text/plain; charset=zip") == "utf-8"
    assert charset_of("text/plain; charset=ISO-8859-1") == "iso-8859-1"


def test_headers_of_a_part_are_as_received():
    head = PartHead("a", None, [("Content-Disposition", 'form-data; name="€"'), ("X-Y", "z")])
    assert head.headers["content-disposition"] == 'form-data; name="€"'
    assert head.headers["x-y"] == "z"
    assert head.content_type is None


def scan(pieces):
    try:
        scanner = MultipartScanner(BOUNDARY)
        for piece in pieces:
            for _ in scanner.feed(piece):
                pass
        scanner.finish()
    except HTTPException:
        pass


HEAD = b'--bound\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n'
# (what is repeated, behind what, the size of a piece)
ADVERSARIES = {
    "CR": (b"\r", HEAD, 65536),
    "CR LF": (b"\r\n", HEAD, 65536),
    "half a boundary": (b"\r\n--boun", HEAD, 65536),
    "nearly a boundary": (b"\r\n--bounc", HEAD, 65536),
    "boundary without CR": (b"\n--bound", HEAD, 65536),
    "dashes": (b"-", HEAD, 65536),
    "preamble of CR LF": (b"\r\n", b"", 65536),
    "preamble of half boundaries": (b"\r\n--boun", b"", 65536),
    "epilogue": (b"\r\n--bound\r\n", END, 65536),
    "parts": (part(b""), b"", 65536),
    "parts of one piece": (part(b"x"), b"", 1 << 30),
    "heads": (part(head=b'Content-Disposition: form-data; name="a"' + b"\r\nX: y" * 15), b"", 65536),
    "folded heads": (part(head=b'Content-Disposition: form-data; name="a"' + b"\r\n x" * 15), b"", 65536),
    "small pieces": (b"\r\n--boun", HEAD, 100),
    "heads without end": (b"X: y\r\n", b"--bound\r\n", 65536),
    "quotes": (part(head=b'Content-Disposition: form-data; name="a"; filename="' + b'\\"' * 1000), b"", 65536),
    "parameters": (part(head=b"Content-Disposition: form-data" + b"; a=b" * 800 + b"; name=a"), b"", 65536),
}


def hostile(name, size):
    """The pieces of a body of about this size."""
    unit, front, chunk = ADVERSARIES[name]
    if unit.startswith(b"--bound"):
        body = front + unit * (size // len(unit))
        return [body[index : index + chunk] for index in range(0, len(body), chunk)]
    # one and the same piece: else the processor's cache is what is measured
    return [front, *[(unit * chunk)[:chunk]] * (size // chunk)]


@pytest.mark.measures
@pytest.mark.parametrize("name", ADVERSARIES)
def test_twice_the_bytes_take_at_most_twice_the_time(name):
    size = 200_000 if ADVERSARIES[name][0].startswith(b"--bound") else 2_500_000
    if name == "small pieces":
        size = 500_000
    require_linear(lambda size: partial(scan, hostile(name, size)), size, cheap=1e-10)
    pieces = hostile(name, 2 * size)
    assert min(seconds_of(partial(scan, pieces)) for _ in range(3)) / (2 * size) < 3e-6, "more than 3 us a byte"
