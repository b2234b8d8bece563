"""Tagged JSON: the same text as Flask's, and the same values back."""

from __future__ import annotations

import string
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import flask
import flask.json.tag
import pytest
from hypothesis import given, strategies as st
from markupsafe import Markup

import duoflask
from duoflask.json.tag import JSONTag, TagDict, TaggedJSONSerializer

OURS, THEIRS = TaggedJSONSerializer(), flask.json.tag.TaggedJSONSerializer()

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.uuids()
    | st.text().map(Markup)
    | st.datetimes(min_value=datetime(1900, 1, 1)).map(lambda moment: moment.replace(microsecond=0, tzinfo=UTC))
)
KEYS = st.text() | st.sampled_from([" t", " b", " m", " d", " u", " di", " di__", " t__", "_permanent"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(KEYS, inner)
        | st.dictionaries(KEYS, inner, max_size=1)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_text_is_that_of_flask_and_reads_back(value: Any) -> None:
    text = OURS.dumps(value)
    assert text == THEIRS.dumps(value)
    assert OURS.loads(text) == THEIRS.loads(text) == value


@given(VALUES)
def test_inside_an_app_the_provider_counts_as_in_flask(value: Any) -> None:
    app, other = duoflask.Flask("a"), flask.Flask("a")
    for provider in (app.json, other.json):
        provider.ensure_ascii, provider.sort_keys = False, False
    with app.app_context():
        text = OURS.dumps(value)
        assert OURS.loads(text) == value
    with other.app_context():
        assert text == THEIRS.dumps(value)


def test_a_provider_of_ones_own_writes_and_reads() -> None:
    class Reversed(duoflask.json.provider.JSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return repr(obj)[::-1]

        def loads(self, s: Any, **kwargs: Any) -> Any:
            return eval(s[::-1])

    app = duoflask.Flask("a")
    app.json = Reversed(app)
    with app.app_context():
        assert OURS.dumps({"a": (1,)}) == "}}]1[ :'t '{ :'a'{"
        assert OURS.loads("}}]1[ :'t '{ :'a'{") == {"a": (1,)}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": (1, b"x")}, '{"a":{" t":[1,{" b":"eA=="}]}}'),
        ({" t": 1}, '{" di":{" t__":1}}'),
        (Markup("<b>"), '{" m":"<b>"}'),
        (UUID(int=1), '{" u":"00000000000000000000000000000001"}'),
        (datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC), '{" d":"Sun, 06 Nov 1994 08:49:37 GMT"}'),
        ([1, {"b": 2, "a": None}], '[1,{"b":2,"a":null}]'),
    ],
)
def test_forms(value: Any, text: str) -> None:
    assert OURS.dumps(value) == text
    assert OURS.loads(text) == value


class Letter(str):
    pass


class TagLetter(JSONTag):
    key = " l"

    def check(self, value: Any) -> bool:
        return isinstance(value, Letter)

    def to_json(self, value: Any) -> Any:
        return string.ascii_letters.index(value)

    def to_python(self, value: Any) -> Any:
        return Letter(string.ascii_letters[value])


@pytest.mark.parametrize("index", [None, 0])
def test_own_tag(index: int | None) -> None:
    serializer = TaggedJSONSerializer()
    serializer.register(TagLetter, index=index)
    text = serializer.dumps({"a": 1, "b": Letter("c")})
    assert text == '{"a":1,"b":{" l":2}}'
    back = serializer.loads(text)
    assert type(back["b"]) is Letter
    assert serializer.order[-1 if index is None else 0].key == " l"


def test_tag_that_is_taken() -> None:
    serializer = TaggedJSONSerializer()
    with pytest.raises(KeyError, match="force=True"):
        serializer.register(TagDict)
    serializer.register(TagDict, force=True)


@pytest.mark.parametrize("method", ["check", "to_json", "to_python"])
def test_a_tag_without_its_methods_says_which(method: str) -> None:
    with pytest.raises(NotImplementedError, match=method):
        getattr(JSONTag(TaggedJSONSerializer()), method)(1)


def test_names_and_order_are_those_of_flask() -> None:
    import duoflask.json.tag as ours

    assert [tag.__name__ for tag in TaggedJSONSerializer.default_tags] == [tag.__name__ for tag in THEIRS.default_tags]
    assert {*ours.__all__} == {
        "JSONTag",
        "TaggedJSONSerializer",
        *(tag.__name__ for tag in TaggedJSONSerializer.default_tags),
    }
