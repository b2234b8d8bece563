"""The time that a header field takes grows with its length only, whatever is in it; `make fuzz` goes up to 10 MB."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from duoflask.http.accept import Accept, CharsetAccept, LanguageAccept, MIMEAccept, parse_accept_header
from duoflask.http.age import parse_age, parse_decimal
from duoflask.http.auth import Authorization, WWWAuthenticate
from duoflask.http.cache_control import parse_cache_control_header
from duoflask.http.cookies import parse_cookie
from duoflask.http.csp import parse_csp_header
from duoflask.http.dates import parse_date
from duoflask.http.header_set import parse_set_header
from duoflask.http.header_views import ScopeHeaders
from duoflask.http.headers import Headers
from duoflask.http.options import (
    parse_dict_header,
    parse_list_header,
    parse_options_header,
    quote_header_value,
    unquote_header_value,
)

from ..growth import MAX_RATIO, growth, seconds_of

SMALL, LARGE = 2**13, 2**18
ENOUGH_SECONDS = 0.003
CHEAP = 30e-9  # seconds a character
HUGE = 10_000_000 if "DUOFLASK_FUZZ" in os.environ else 0


def ask(cls: type[Accept], *offers: str) -> Callable[[str], Any]:
    """Read an Accept field and look for what it wants least."""
    return lambda text: parse_accept_header(text, cls).best_match(offers)


def write_back(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: parse(text).to_header()


def lines(text: str) -> Any:
    """Look at a field that was sent as many lines."""
    headers = ScopeHeaders([(b"cookie", piece.encode("latin-1")) for piece in text.split(";")])
    return headers["cookie"], list(headers), len(Headers(headers))


PARSERS: dict[str, Callable[[str], Any]] = {
    "accept": ask(Accept, "x", "y"),
    "accept media types": ask(MIMEAccept, "text/html", "x/y"),
    "accept languages": ask(LanguageAccept, "en-GB", "x"),
    "accept charsets": ask(CharsetAccept, "utf-8"),
    "authorization": Authorization.from_header,
    "challenge": write_back(WWWAuthenticate.from_header),
    "cookies": parse_cookie,
    "options": parse_options_header,
    "list": parse_list_header,
    "dict": parse_dict_header,
    "set": write_back(parse_set_header),
    "cache control": write_back(parse_cache_control_header),
    "policy": parse_csp_header,
    "date": parse_date,
    "age": parse_age,
    "number": parse_decimal,
    "quote": quote_header_value,
    "unquote": unquote_header_value,
    "lines": lines,
}

# (before, repeated, behind)
FIELDS = [
    ("a", " ", "b"),
    ("a;", " ", "b"),
    ("", "a", "="),
    ("", "a,", ""),
    ("", "a/b;q=0.5,", ""),
    ("", "en-US;q=0.1,", ""),
    ("a", "-a", ""),
    ("", ",", ""),
    ("x", ";", ""),
    ("x", ";a", ""),
    ("x", ";a=b", ""),
    ("x", ";a*0=b", ""),
    ("x", ";a*=utf-8''%41", ""),
    ("x;a=", '"', ""),
    ('x;a="', '\\"', ""),
    ("", 'a="', ""),
    ("", 'a="\\"";', ""),
    ("", 'a="\\"",', "x"),
    ("", "a=1; ", ""),
    ('a="', "\\", "x"),
    ("a=", "=", ""),
    ("Basic ", "QUJD", ""),
    ("Basic ", "=", "A"),
    ("Digest ", 'a="b",', ""),
    ("", "9", ""),
    ("", "\xe9", ""),
    ('"', '\\"', '"'),
    ("", "%22", '"'),
]


def on(field: tuple[str, str, str], parse: Callable[[str], Any]) -> Callable[[int], Callable[[], Any]]:
    before, unit, behind = field
    return lambda size: partial(parse, before + unit * (size // len(unit)) + behind)


@pytest.mark.measures
@pytest.mark.parametrize("name", PARSERS)
def test_time_grows_with_the_length_only(name: str) -> None:
    for field in FIELDS:
        make = on(field, PARSERS[name])
        size = SMALL
        while size < LARGE and seconds_of(make(size)) < ENOUGH_SECONDS:
            size *= 4
        if size < LARGE:
            assert growth(make, size, cheap=CHEAP) <= MAX_RATIO, (field, size)


@pytest.mark.skipif(not HUGE, reason="10 MB are for `make fuzz`")
@pytest.mark.measures
@pytest.mark.parametrize("name", PARSERS)
def test_time_grows_with_the_length_only_up_to_10_mb(name: str) -> None:
    for field in FIELDS:
        ratio = growth(on(field, PARSERS[name]), HUGE // 16, doublings=4, cheap=CHEAP)
        assert ratio <= MAX_RATIO, field


@pytest.mark.measures
@pytest.mark.parametrize("name", PARSERS)
def test_64_kb_of_blanks_are_nothing(name: str) -> None:
    assert seconds_of(partial(PARSERS[name], "a" + " " * 65_536 + "b")) < 0.25
