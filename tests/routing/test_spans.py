"""Spans cut a text as its regular expression does, in linear time."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from duoflask.http.errors import HTTPException
from duoflask.routing import AnyConverter, BaseConverter, Map, Rule, patterns
from duoflask.routing.spans import Spans

from ..growth import require_linear, seconds_of

UUID = "12345678-1234-5678-1234-567812345678"
UUID_REGEX = r"[A-Fa-f0-9]{8}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{4}-[A-Fa-f0-9]{12}"
REGEXES = [
    "[^/]+",
    "[^/]{1,}",
    "[^/]{2}",
    "[^/]{2,3}",
    "[^/]{0,2}",
    r"\d+",
    r"-?\d+",
    r"\d+\.\d+",
    r"-?\d+\.\d+",
    "[^/].*?",
    UUID_REGEX,
]
LITERALS = ["a", "b", "-", "/", "1", ".", "a-", "/a", "--"]
TEXTS = ["a", "ab", "1", "-1", "1.1", "b-", "a/b", "\n", "٣", "", UUID]
Element = str | tuple[str, list[str] | None]
elements = st.lists(
    st.one_of(
        st.sampled_from(LITERALS),
        st.sampled_from(REGEXES).map(lambda regex: (regex, None)),
        st.just(("", ["ab", "a", "", "b"])),
    ),
    min_size=1,
    max_size=6,
)


def regex_of(drawn: list[Element]) -> re.Pattern[str]:
    text = ""
    for element in drawn:
        if isinstance(element, str):
            text += re.escape(element)
        else:
            regex, words = element
            text += f"((?:{'|'.join(words)}))" if words else f"({regex})"
    return re.compile(text + r"\Z")


@given(st.data())
def test_texts_are_cut_as_by_the_regular_expression(data: st.DataObject) -> None:
    drawn = data.draw(elements)
    if data.draw(st.booleans()):
        text = "".join(item if isinstance(item, str) else data.draw(st.sampled_from(TEXTS)) for item in drawn)
    else:
        text = "".join(data.draw(st.lists(st.sampled_from([*LITERALS, *TEXTS]), max_size=8)))
    match = regex_of(drawn).match(text)
    spans = Spans.of(drawn)
    assert spans is not None
    assert spans.cut(text) == (None if match is None else list(match.groups()))


def test_own_regular_expression_has_no_spans() -> None:
    assert Spans.of(["a", ("[a-z]+", None)]) is None


@pytest.mark.parametrize("limit", [0, patterns.MAX_STEPS, 10**9])
@pytest.mark.parametrize(
    ("rule", "path", "values"),
    [
        ("/<a>-<b>", "/x-y-z", {"a": "x-y", "b": "z"}),
        ("/<int:y>-<int:m>.<ext>", "/2024-12.tar.gz", {"y": 2024, "m": 12, "ext": "tar.gz"}),
        ("/<path:a>/<b>/<path:c>", "/1/2/3/4", {"a": "1", "b": "2", "c": "3/4"}),
        ("/<path:a>/x/<path:b>/", "/1/x/2/", {"a": "1", "b": "2"}),
        ("/<any(b, ab, a):x><y>", "/abc", {"x": "ab", "y": "c"}),
        ("/<path:a>/<b>/<path:c>/end", "/a/b\n/c/end", {"a": "a", "b": "b\n", "c": "c"}),
    ],
)
def test_short_and_long_texts_have_the_same_values(
    monkeypatch: pytest.MonkeyPatch, limit: int, rule: str, path: str, values: dict[str, object]
) -> None:
    monkeypatch.setattr(patterns, "MAX_STEPS", limit)
    assert Map([Rule(rule, endpoint="x")]).bind("h").match(path) == ("x", values)


HARD = [
    ("/<a>-<b>-<c>-<d>x", "a-"),
    ("/<a>-<b>-<c>-<d>x", "-"),
    ("/<a>:<b>-<c>", ":"),
    ("/<a><b><c><d>x", "a"),
    ("/<int:a><int:b><int:c>x", "1"),
    ("/<float:a><float:b>-<float:c>", "1.1"),
    ("/<int(signed=True):a><b>.<c>", "-1"),
    ("/<string(minlength=2):a>-<string(maxlength=9):b>-<string(length=3):c>", "aa-"),
    ("/<any(a, aa, aaa):x><any(a, aa):y><z>-", "a"),
    ("/<uuid:a><b><uuid:c>", UUID),
    ("/<path:a>/<path:b>/<path:c>/end", "/a"),
    ("/<path:a>/<path:b>/<path:c>/end", "/.."),
    ("/<path:a>/<b>/<path:c>/<d>/<path:e>/end", "/a"),
    ("/<path:a>-<path:b>-<path:c>x", "a-"),
    ("/<path:a>/<b>-<c>-<d>", "/a-a"),
    ("/<path:a><b>-<path:c>/", "-/"),
    ("/<path:a>/<path:b>/", "a/"),
    ("/<path:a>/x", "/x"),
    ("/<a>.<b>", "\n"),
]


@pytest.mark.measures
@pytest.mark.parametrize(("rule", "unit"), HARD)
def test_no_path_is_slow(rule: str, unit: str) -> None:
    bound = Map([Rule(rule, endpoint="x"), Rule("/<path:p>/other", endpoint="y")]).bind("h")

    def make(length: int) -> Callable[[], None]:
        path = "/" + unit * (length // len(unit)) + "!"

        def match() -> None:
            try:
                bound.match(path)
            except HTTPException:
                pass

        return match

    make(64)()
    require_linear(make, 2**14)
    assert min(seconds_of(make(2**16)) for _ in range(5)) < 0.1


def test_own_converter_in_one_segment_with_others_matches() -> None:
    class Word(BaseConverter):
        regex = "[a-z]+"

    bound = Map([Rule("/<word:a>-<word:b>", endpoint="x")], converters={"word": Word}).bind("h")
    assert bound.match("/a-b") == ("x", {"a": "a", "b": "b"})


def test_subclass_of_any_with_its_own_regex_is_matched_by_it_in_a_long_text() -> None:
    class AnyCase(AnyConverter):
        def __init__(self, map: object, *items: str) -> None:
            super().__init__(map, *items)
            self.regex = f"(?i:{self.regex})"

    bound = Map([Rule("/<case(ab, cd):a>-<b>", endpoint="x")], converters={"case": AnyCase}).bind("h")
    for length in (9, 9_000):
        assert bound.match("/AB-" + "x" * length) == ("x", {"a": "AB", "b": "x" * length})
