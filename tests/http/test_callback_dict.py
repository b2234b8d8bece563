from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from werkzeug import datastructures as oracle

from duoflask.http.callback_dict import CallbackDict, UpdateDictMixin

KEYS = st.sampled_from("abc")
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["__setitem__", "setdefault"]), KEYS, st.integers(0, 3)),
        st.tuples(st.sampled_from(["__delitem__", "pop", "setdefault"]), KEYS),
        st.tuples(st.just("pop"), KEYS, st.none()),
        st.tuples(st.sampled_from(["popitem", "clear"])),
        st.tuples(st.sampled_from(["update", "__ior__"]), st.sampled_from([{"a": 7}, [("b", 8)]])),
    ),
    max_size=8,
)


@given(st.dictionaries(KEYS, st.integers(0, 3)), OPERATIONS)
def test_every_change_is_told_as_in_werkzeug(initial, operations):
    seen: list[list[dict[str, int]]] = [[], []]
    ours = CallbackDict(initial, lambda it: seen[0].append(dict(it)))
    theirs = oracle.CallbackDict(initial, lambda it: seen[1].append(dict(it)))
    for name, *arguments in operations:
        results = []
        for one in (ours, theirs):
            try:
                results.append(getattr(one, name)(*arguments))
            except KeyError:
                results.append("KeyError")
        assert results[0] == results[1]
    assert seen[0] == seen[1]
    assert repr(ours) == repr(theirs)


def test_update_with_keywords_is_one_change():
    seen = []
    one = CallbackDict(on_update=seen.append)
    one.update({"a": 1}, b=2)
    one.update(c=3)
    assert len(seen) == 2
    assert one == {"a": 1, "b": 2, "c": 3}


def test_missing_key_names_itself():
    with pytest.raises(KeyError, match="x"):
        CallbackDict().pop("x")


def test_subclass_may_set_on_update_later():
    class Session(UpdateDictMixin):
        modified = False

    session = Session(a=1)
    session["b"] = 2
    session.on_update = lambda it: setattr(it, "modified", True)
    assert not session.modified
    session["a"] = 2
    assert session.modified
