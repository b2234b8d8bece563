from __future__ import annotations

import uuid

import pytest

from duoflask.http.errors import NotFound
from duoflask.routing import BaseConverter, Map, Rule, ValidationError, parse_converter_args


def values(pattern: str, path: str, **options: object) -> dict[str, object]:
    return Map([Rule(pattern, endpoint="x")], **options).bind("h").match(path)[1]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pattern", "path", "value"),
    [
        ("/<v>", "/a b", "a b"),
        ("/<string(length=2):v>", "/en", "en"),
        ("/<int:v>", "/042", 42),
        ("/<int(signed=True):v>", "/-3", -3),
        ("/<int(min=-5, signed=True):v>", "/-3", -3),
        ("/<int(fixed_digits=3):v>", "/007", 7),
        ("/<float:v>", "/1.5", 1.5),
        ("/<path:v>", "/a/b/c", "a/b/c"),
        ("/<path:v>/edit", "/a/b/edit", "a/b"),
        ('/<any(about, "x,y"):v>', "/x,y", "x,y"),
        ("/v<int:v>.json", "/v2.json", 2),
        (
            "/<uuid:v>",
            "/12345678-1234-5678-1234-567812345678",
            uuid.UUID("12345678-1234-5678-1234-567812345678"),
        ),
    ],
)
def test_built_in_converter_gives_its_value(pattern: str, path: str, value: object) -> None:
    assert values(pattern, path) == {"v": value}


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/<string(length=2):v>", "/eng"),
        ("/<int:v>", "/-1"),
        ("/<int:v>", "/+1"),
        ("/<int:v>", "/1_0"),
        ("/<int:v>", "/" + "9" * 5000),
        ("/<int(max=3):v>", "/4"),
        ("/<float:v>", "/1"),
        ("/<float:v>", "/nan"),
        ("/<any(a, b):v>", "/c"),
        ("/<uuid:v>", "/1234"),
        ("/<path:v>", "/"),
    ],
)
def test_built_in_converter_refuses(pattern: str, path: str) -> None:
    with pytest.raises(NotFound):
        values(pattern, path)


def test_own_converter_decides_by_regex_and_to_python() -> None:
    class Even(BaseConverter):
        regex = r"\d+"
        weight = 40

        def to_python(self, value: str) -> int:
            if int(value) % 2:
                raise ValidationError
            return int(value)

        def to_url(self, value: object) -> str:
            return f"{value}"

    url_map = Map([Rule("/<even:n>", endpoint="even")], converters={"even": Even})
    adapter = url_map.bind("h")
    assert adapter.match("/4") == ("even", {"n": 4})
    assert adapter.build("even", {"n": 4}) == "/4"
    with pytest.raises(NotFound):
        adapter.match("/5")


def test_own_converter_with_a_slash_in_its_regex_crosses_segments() -> None:
    class Pair(BaseConverter):
        regex = "[a-z]+/[a-z]+"

    assert not Pair.part_isolating
    assert values("/<pair:p>/x", "/a/b/x", converters={"pair": Pair}) == {"p": "a/b"}


def test_converter_arguments_are_parsed() -> None:
    parsed = parse_converter_args("1, 2.5, 'a, b', \"c\", word, None, x=True, y = -3")
    assert parsed == ((1, 2.5, "a, b", "c", "word", None), {"x": True, "y": -3})


def test_converter_arguments_that_are_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Cannot parse converter argument '\*'"):
        parse_converter_args("1, *")
