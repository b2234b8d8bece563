from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given, strategies as st
from werkzeug import datastructures as oracle, http as oracle_http

from duoflask.http import accept
from duoflask.http.accept import Accept, CharsetAccept, LanguageAccept, MIMEAccept, parse_accept_header

QUALITIES = st.sampled_from([0, 0.1, 0.5, 1, 1.0])
RANGES = {
    "Accept": ["a", "b", "A", "*", "gzip", "br"],
    "MIMEAccept": [
        *("a/b", "a/*", "*/*", "A/B", "a/b;x=1", "a/b; x=1; y=2", "a/b;y=2;x=1", "a/c", "*/b", "nope", "*"),
        *("a/*;x=1", "", "a/b/c", "a/c+json", 'a/b; x="q/r"', "text/html", "application/xml", "application/json"),
    ],
    "LanguageAccept": [
        *("en", "en-US", "en_us", "EN", "en-GB", "de", "de-DE", "*", "zh-Hant-TW", "zh_Hant", "zh", "i-klingon", "i"),
    ],
    "CharsetAccept": [
        *("utf-8", "UTF8", "utf_8", "latin1", "latin-1", "iso-8859-1", "ISO_8859-1", "*", "x-foo", "X_FOO", "ascii"),
        *("us-ascii", "cp1252", "windows-1252", "koi8-r", "8859", "gbk", "936", "big5", "shift_jis", "sjis"),
    ],
}


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except ValueError:
        return "ValueError"


@pytest.mark.parametrize("name", RANGES)
@given(st.data())
def test_every_question_is_answered_as_in_werkzeug(name, data):
    values = st.sampled_from(RANGES[name])
    items = data.draw(st.lists(st.tuples(values, QUALITIES), max_size=5))
    offers = data.draw(st.lists(values, max_size=4))
    ours, theirs = getattr(accept, name)(items), getattr(oracle, name)(items)
    assert list(ours) == list(theirs)
    assert repr(ours) == repr(theirs)
    assert str(ours) == str(theirs)
    assert list(ours.values()) == list(theirs.values())
    for method in ("quality", "__getitem__", "find", "index"):
        for offer in offers:
            assert outcome(getattr(ours, method), offer) == outcome(getattr(theirs, method), offer)
    assert outcome(ours.best_match, offers, "other") == outcome(theirs.best_match, offers, "other")
    for question in ("accept_html", "accept_xhtml", "accept_json"):
        if name == "MIMEAccept" and all(quality for _, quality in items):
            assert getattr(ours, question) == getattr(theirs, question)


PIECES = st.lists(
    st.sampled_from(
        ["text/html", "a", "*", "*/*", ";", "; ", ";q=", "; Q=", "q", "=", "0.5", "1", "0", "0.", "2", "-1", "1.0"]
        + ["level", "nan", "1e-1", "+0.5", "\u0660", ",", ", ", '"', "\\", " ", "\t", "\xe9", "x"]
    ),
    max_size=12,
).map("".join)


@given(PIECES, st.sampled_from(["Accept", "MIMEAccept", "LanguageAccept", "CharsetAccept"]))
def test_field_is_read_as_in_werkzeug(text, name):
    ours = parse_accept_header(text, getattr(accept, name))
    theirs = oracle_http.parse_accept_header(text, getattr(oracle, name))
    assert list(ours) == list(theirs)
    assert ours.to_header() == theirs.to_header()
    assert ours.provided == theirs.provided


def test_media_range_with_a_slash_too_many_is_as_wide_as_werkzeug_takes_it():
    for accepts in (
        parse_accept_header("*/*/x", MIMEAccept),
        oracle_http.parse_accept_header("*/*/x", oracle.MIMEAccept),
    ):
        assert accepts.best_match(["a/b"]) == "a/b"


def test_missing_field_accepts_nothing():
    for value in (None, ""):
        assert list(parse_accept_header(value)) == []
        assert not parse_accept_header(value).provided
    assert parse_accept_header("gzip").provided
    assert parse_accept_header(None).best is None


def test_what_has_quality_0_is_not_acceptable():
    encodings = parse_accept_header("br;q=0, gzip")
    assert "br" not in encodings
    assert "gzip" in encodings
    assert encodings.best == "gzip"
    assert parse_accept_header("br;q=0").best is None
    assert not parse_accept_header("text/html;q=0, text/*", MIMEAccept).accept_html


def test_most_specific_range_decides():
    types = parse_accept_header("text/*;q=0.9, text/html;q=0.1, */*;q=0.5", MIMEAccept)
    assert types["text/html"] == 0.1
    assert types["text/plain"] == 0.9
    assert types["image/png"] == 0.5
    assert types.best_match(["text/html", "image/png", "text/plain"]) == "text/plain"


def test_first_offer_wins_among_equals():
    assert Accept([("a", 1), ("b", 1)]).best_match(["b", "a"]) == "b"


@pytest.mark.parametrize("offer", ["text", "", "*", "*/html"])
def test_offer_that_is_no_media_type_is_an_error(offer):
    with pytest.raises(ValueError, match="invalid media type"):
        MIMEAccept([("text/html", 1)]).best_match([offer])


def test_language_falls_back_to_the_primary_tag():
    assert LanguageAccept([("en-US", 1)]).best_match(["de", "en"]) == "en"
    assert LanguageAccept([("en", 1)]).best_match(["de", "en_US"]) == "en_US"
    assert LanguageAccept([("en-US", 1)]).best_match(["en-GB"], "none") == "none"


def test_charset_of_the_client_is_not_looked_up_among_pythons_modules(monkeypatch):
    def refuse(name):
        raise AssertionError(name)

    monkeypatch.setattr("codecs.lookup", refuse)
    assert CharsetAccept([("no.such.module", 1), ("\x00", 1)]).quality("utf-8") == 0


def test_it_is_a_read_only_list():
    types = MIMEAccept([("text/html", 1), ("a/b", 0.5)])
    for change in (lambda: types.append(("x", 1)), lambda: types.sort(), lambda: types.__setitem__(0, ("x", 1))):
        with pytest.raises(TypeError, match="immutable"):
            change()
    assert types[0] == ("text/html", 1)
    assert types[:1] == [("text/html", 1)]
    assert ("text/html", 1) in types
    assert types.find(("a/b", 0.5)) == 1
    assert types.find(("a/b", 1)) == -1
    for other in (MIMEAccept(types), copy.copy(types), copy.deepcopy(types), pickle.loads(pickle.dumps(types))):
        assert other == types
        assert type(other) is MIMEAccept
        assert hash(other) == hash(types)


def test_ranges_behind_the_first_1000_are_dropped():
    assert len(parse_accept_header("a," * 5000)) == 1000


def test_long_quality_is_dropped():
    assert list(parse_accept_header(f"a;q=0.{'1' * 1000}, b")) == [("b", 1)]
