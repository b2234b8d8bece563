"""Whatever is drawn for a parser of the HTTP layer, its value is Werkzeug's, but for the differences named here.

`DUOFLASK_FUZZ=100000` (`make fuzz`) draws that many cases for each parser; the default is 400. Hypothesis draws the
seeds, and each seed many cases, for a draw of its own costs fifty times what a parser does.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable, Sequence
from datetime import UTC
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from werkzeug import datastructures as wz, formparser as wz_forms, http as oracle
from werkzeug.test import stream_encode_multipart

from duoflask.http import accept, cache_control, cookies, dates, etags, options, ranges
from duoflask.http.errors import HTTPException
from duoflask.http.forms import FormDataParser, MultiPartParser

CASES = int(os.environ.get("DUOFLASK_FUZZ", "400"))
PER_EXAMPLE = 100
FUZZ = settings(
    max_examples=max(1, CASES // PER_EXAMPLE),
    deadline=None,
    derandomize=CASES == 400,
    suppress_health_check=list(HealthCheck),
    database=None,
)
pytestmark = pytest.mark.timeout(0 if CASES > 400 else 60)

Draw = random.Random
CHECKS: dict[str, Callable[[Draw], None]] = {}
NOISE = [" ", "\t", '"', "\\", ",", ";", "=", "*", "é", "%22", "a", "B", "0", "\x7f", "'", "/", ", ", "; "]


def check(function: Callable[[Draw], None]) -> Callable[[Draw], None]:
    CHECKS[function.__name__] = function
    return function


def text_of(draw: Draw, pieces: Sequence[str], most: int = 14) -> str:
    """Return some pieces, one of ten of them noise."""
    return "".join([draw.choice(pieces if draw.random() < 0.9 else NOISE) for _ in range(draw.randint(0, most))])


def same(text: Any, ours: Any, theirs: Any) -> None:
    assert ours == theirs, f"{text!r}: expected {theirs!r}; got {ours!r}"


COOKIE = [
    "a",
    "b",
    "=",
    "=",
    ";",
    "; ",
    "a=1",
    "b=x; ",
    '"',
    "\\054",
    "\\\\",
    '\\"',
    "\\303\\251",
    "{",
    "}",
    ":",
    ",",
    "ü",
]


@check
def cookie(draw: Draw) -> None:
    text = text_of(draw, COOKIE, 20).encode().decode("latin-1")
    ours = cookies.parse_cookie_pairs(text)
    theirs = list(oracle.parse_cookie(text).items(multi=True))
    if '"' in text:  # a value with a quote inside is kept
        missing = [pair for pair in theirs if pair not in ours]
        same(text, missing, [])
    else:
        same(text, sorted(ours), sorted(theirs))


VALUES = ["a", "Z9", " ", '"', ";", ",", "\\", "é", "\u20ac", "=", "\x7f", "\t", "\n", "{}", "😀"]


@check
def set_cookie(draw: Draw) -> None:
    value = text_of(draw, VALUES, 8)
    told = {
        "value": value,
        "max_age": draw.choice([None, 0, 5, 10**9]),
        "expires": draw.choice([None, 0, 10**9, "Thu, 01 Jan 1970 00:00:00 GMT"]),
        "path": draw.choice([None, "/", "/a b", "/ä", "/%20"]),
        "domain": draw.choice([None, "example.com", ".example.com", "bücher.de"]),
        "secure": draw.random() < 0.5,
        "httponly": draw.random() < 0.5,
        "samesite": draw.choice([None, "lax", "Strict", "NONE"]),
        "partitioned": draw.random() < 0.5,
    }
    ours = cookies.dump_cookie("name", max_size=0, sync_expires=False, **told)
    same(told, ours, oracle.dump_cookie("name", max_size=0, sync_expires=False, **told))
    same(told, cookies.parse_cookie_pairs(ours)[0], ("name", value))


ACCEPT = ["text/html", "a/b", "*/*", "a", "*", "en-GB", "utf-8", ";q=", "; q=", ";level=1", ";", "=", "0.5", "1", "0"]
ACCEPT += ["2", "-1", "nan", "0.1234", ", ", ",", ", ", ",", "gzip", "en"]
OFFERS = ["text/html", "a/b", "a/c", "en-GB", "en", "en_us", "utf-8", "gzip", "*", "de"]
KINDS = ["Accept", "MIMEAccept", "LanguageAccept", "CharsetAccept"]


def outcome(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except ValueError:
        return "ValueError"


@check
def accepted(draw: Draw) -> None:
    text, kind, offer = text_of(draw, ACCEPT), draw.choice(KINDS), draw.choice(OFFERS)
    ours = accept.parse_accept_header(text, getattr(accept, kind))
    theirs = oracle.parse_accept_header(text, getattr(wz, kind))
    same(text, list(ours), list(theirs))
    same(text, (ours.to_header(), ours.provided), (theirs.to_header(), theirs.provided))
    same((text, kind, offer), outcome(ours.quality, offer), outcome(theirs.quality, offer))
    if kind != "CharsetAccept":  # names of charsets are compared by a fixed table
        same((text, kind), outcome(ours.best_match, OFFERS), outcome(theirs.best_match, OFFERS))


RANGE = ["0-1", "5-", "-7", "2-3", "10-20", ",", ",", ", ", "-", "0", "1", "9", "+1", "1_0", "\u0661", "*"]


def shown_range(found: Any) -> Any:
    return found and (found.units, list(found.ranges), found.to_header())


def in_order(pairs: Any) -> bool:
    """Whether these are ascending, apart, and nothing is behind an open end: what Werkzeug takes."""
    last = 0
    for begin, end in pairs:
        if last < 0 or 0 <= begin < last:
            return False
        last = -1 if end is None else end
    return True


@check
def byte_ranges(draw: Draw) -> None:
    specs = text_of(draw, RANGE, 6)
    text = draw.choice(["bytes=", "bytes=", "bytes=", "Bytes = ", "items=", "bytes", ""]) + specs
    ours, theirs = ranges.parse_range_header(text), oracle.parse_range_header(text)
    if theirs is not None or ours is None:
        same(text, shown_range(ours), shown_range(theirs))
    else:  # any order, and empty items of the list
        assert not in_order(ours.ranges) or "" in [item.strip(" \t") for item in text.partition("=")[2].split(",")], (
            text
        )
    if ours and theirs:
        length = draw.choice([None, 0, 1, 8, 30])
        if length is None or ours.ranges[0][0] >= -length:  # a suffix longer than the data means all of it
            same((text, length), ours.range_for_length(length), theirs.range_for_length(length))
            same((text, length), ours.to_content_range_header(length), theirs.to_content_range_header(length))
    text = draw.choice(["bytes ", "bytes ", "items ", "bytes"]) + text_of(draw, RANGE, 2) + draw.choice(["/", "/", ""])
    text += draw.choice(["*", "10", "30", "0", "-1", "x", ""])
    mine, flasks = ranges.parse_content_range_header(text), oracle.parse_content_range_header(text)
    same(text, mine and str(mine), flasks and str(flasks))


TAGS = ['"a"', 'W/"a"', 'w/"b"', '"b"', "a", "W/b", "*", '""', 'W/""', ",", ", ", ",", ", ", "/", "W/", '"a b"']
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@check
def tags(draw: Draw) -> None:
    text = text_of(draw, TAGS)
    ours, theirs = etags.parse_etags(text), oracle.parse_etags(text)
    if text.strip(" \t") != "*":  # Werkzeug knows "*" only without blanks, and makes None of an empty tag
        for mine, flasks in ((ours._strong, theirs._strong), (ours._weak, theirs._weak)):
            same(text, set(mine) - {None, ""}, set(flasks) - {None, ""})
        same(text, ours.star_tag, theirs.star_tag)
        for tag in ("a", "b", "a b"):
            same(text, (ours.contains(tag), ours.contains_weak(tag)), (theirs.contains(tag), theirs.contains_weak(tag)))
    same(text, etags.unquote_etag(text), oracle.unquote_etag(text))
    text = draw.choice([text, text, DATE])
    mine, flasks = etags.parse_if_range_header(text), oracle.parse_if_range_header(text)
    if flasks.etag and '"' in flasks.etag:  # with a quote inside it is no tag
        assert mine.etag is mine.date is None, text
    else:
        same(text, (mine.date, mine.etag or None), (flasks.date, flasks.etag or None))


NAMES = [
    "max-age",
    "max-stale",
    "min-fresh",
    "no-cache",
    "no-store",
    "no-transform",
    "only-if-cached",
    "stale-if-error",
]
NAMES += [
    "immutable",
    "must-revalidate",
    "must-understand",
    "private",
    "proxy-revalidate",
    "public",
    "s-maxage",
    "x-own",
]
CONTROL = [*NAMES, *["=", "=5", '="a, b"', ",", ", ", ",", ", ", '"', "x", "60", "=x", "=-1"] * 2]


@check
def directives(draw: Draw) -> None:
    text = text_of(draw, CONTROL).lower()  # names have no case
    for name in ("RequestCacheControl", "ResponseCacheControl"):
        ours = cache_control.parse_cache_control_header(text, cls=getattr(cache_control, name))
        theirs = oracle.parse_cache_control_header(text, cls=getattr(wz, name))
        same(text, dict(ours), dict(theirs))
        same(text, ours.to_header(), theirs.to_header())
        for directive in NAMES:
            attribute = directive.replace("-", "_")
            if hasattr(theirs, attribute):
                value = getattr(theirs, attribute)
                negative = isinstance(value, int) and value < 0  # seconds are plain digits
                same((text, attribute), getattr(ours, attribute), None if negative else value)


OPTIONS = ["text/html", "; ", ";", "charset=", "a=", "b", '="', '"', "\\", "a*=", "a*0=", "a*1=", "a*1*=", "UTF-8''"]
OPTIONS += ["%C3%A9", "iso-8859-1'en'", "bad''", "%22", "c d", ",", ", ", "=", "\\\\", '\\"', "é", "x"]


@check
def parameters(draw: Draw) -> None:
    text = text_of(draw, OPTIONS)
    same(text, options.parse_options_header(text), oracle.parse_options_header(text))
    same(text, options.parse_options_header("x; " + text), oracle.parse_options_header("x; " + text))
    same(text, options.parse_list_header(text), oracle.parse_list_header(text))
    same(text, options.parse_dict_header(text), oracle.parse_dict_header(text))
    same(text, options.quote_header_value(text), oracle.quote_header_value(text))


MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Xyz", "nov"]
DATES = [
    "Sun",
    "Mon",
    ",",
    " ",
    "06",
    "Nov",
    "1994",
    "94",
    "08:49:37",
    "08:49",
    "GMT",
    "-",
    "+0100",
    "EST",
    "Z",
    "-0000",
]


@check
def moment(draw: Draw) -> None:
    kind = draw.randint(0, 3)
    if kind == 0:
        text = text_of(draw, DATES, 9)
    else:
        year = draw.choice([draw.randint(100, 9999), draw.randint(1900, 2100)])  # Werkzeug takes 0029 for 2029
        day, time = f"{draw.randint(0, 32):02}", f"{draw.randint(0, 25):02}:{draw.randint(0, 61):02}"
        time += draw.choice([f":{draw.randint(0, 61):02}"] * 4 + [""])
        zone = draw.choice(["GMT", "GMT", "UTC", "-0000", "+0100", "-2359", "EST", "", "+9999", "Z"])
        month, week = draw.choice(MONTHS), draw.choice(["Sun", "Sunday", "Mon", "x"])
        text = {
            1: f"{week}, {day} {month} {year:04} {time} {zone}",
            2: f"{week}, {day}-{month}-{year % 100:02} {time} {zone}",
            3: f"{week} {month} {day} {time} {year}",
        }[kind]
    try:
        theirs = oracle.parse_date(text)
        theirs = theirs and theirs.astimezone(UTC)
    except Exception:  # whatever Werkzeug lets through is no date
        theirs = None
    ours = dates.parse_date(text)
    same(text, ours, theirs)
    if ours is not None:
        same(text, dates.http_date(ours), oracle.http_date(ours))
        same(text, dates.http_date(ours), format_datetime(ours, usegmt=True))


def shown_body(form: Any, files: Any) -> Any:
    found = [(name, file.filename, file.content_type, file.read()) for name, file in files.items(multi=True)]
    for _, file in list(files.items(multi=True)):
        file.close()
    return list(form.items(multi=True)), found


FORM = ["a", "b=1", "=", "&", "&", "+", "%", "%20", "%e2%82%ac", "\u20ac", "%ff", ";", "%26", "%3D", "%C3", "b[]=2"]


@check
def urlencoded(draw: Draw) -> None:
    body = text_of(draw, FORM, 20).encode()
    results = [
        shown_body(*parser.parse(io.BytesIO(body), "application/x-www-form-urlencoded", len(body))[1:])
        for parser in (FormDataParser(), wz_forms.FormDataParser())
    ]
    same(body, *results)


CONTENT = [
    b"\r",
    b"\n",
    b"\r\n",
    b"-",
    b"--",
    b"--bound",
    b"\r\n--boun",
    b"x",
    b"\x00\xff",
    b"\xc3\xa9",
    b"bound--",
    b"y" * 70,
]
FIELDS = ["a", "b", "é", " ", "[]", "x.txt", "%22", "\u20ac", "'", "=", ","]


@check
def multipart(draw: Draw) -> None:
    fields: list[Any] = []
    for _ in range(draw.randint(0, 4)):
        name = "".join(draw.choices(FIELDS, k=draw.randint(0, 3)))
        content = b"".join(draw.choices(CONTENT, k=draw.randint(0, 6)))
        if b"\n--bound" in b"\n" + content or b"\r--bound" in content:  # Werkzeug takes any end of a line for CR LF
            continue
        if draw.random() < 0.5:
            fields.append((name, content.decode("utf-8", "replace")))
        else:
            filename = "".join(draw.choices(FIELDS, k=draw.randint(1, 3)))
            fields.append(
                (name, wz.FileStorage(io.BytesIO(content), filename, name, draw.choice(["text/x; a=b", "a/b"])))
            )
    body = stream_encode_multipart(wz.MultiDict(fields), boundary="bound")[0].read()
    if draw.random() < 0.3:
        body = (
            draw.choice([b"\r\n", b"preamble\r\n", b""]) + body.rstrip() + draw.choice([b"", b"\r\n", b"\r\nepilogue"])
        )
    if draw.random() < 0.3:
        body = body.replace(b"\r\n\r\n", b"\r\nX-Own: 1\r\n\r\n", 1)
    cut = draw.random() < 0.1
    if cut:
        body = body[: draw.randint(0, len(body))]
    theirs = outcome_of_body(wz_forms.MultiPartParser(stream_factory=in_memory), body)
    ours = outcome_of_body(MultiPartParser(), body)
    if ours == "error" and cut:  # a malformed body is a 400, whatever Werkzeug makes of it
        return
    same(body, ours, theirs)


def in_memory(*_: Any, **__: Any) -> io.BytesIO:
    """Werkzeug leaves the files of a malformed body open."""
    return io.BytesIO()


def outcome_of_body(parser: Any, body: bytes) -> Any:
    try:
        return shown_body(*parser.parse(io.BytesIO(body), b"bound", len(body)))
    except (ValueError, HTTPException):
        return "error"


@pytest.mark.parametrize("name", CHECKS)
@FUZZ
@given(st.integers(0, 2**64))
def test_value_is_werkzeugs(name: str, seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(PER_EXAMPLE):
        CHECKS[name](draw)
