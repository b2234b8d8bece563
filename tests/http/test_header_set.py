from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from werkzeug import datastructures as oracle, http as oracle_http

from duoflask.http.header_set import HeaderSet, parse_set_header

# in lower case and once: Werkzeug does not remove `A`, and keeps `a, a` in part
ITEMS = st.sampled_from(["a", "b", "c d", "e"])
LISTS = st.lists(ITEMS, max_size=5, unique=True)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["add", "remove", "discard", "find", "index", "__contains__"]), ITEMS),
        st.tuples(st.just("update"), LISTS),
        st.tuples(st.sampled_from(["clear", "as_set", "to_header", "__len__", "__str__", "__repr__"])),
        st.tuples(st.just("as_set"), st.booleans()),
        st.tuples(st.sampled_from(["__getitem__", "__delitem__"]), st.integers(-2, 4)),
        st.tuples(st.sampled_from(["__and__", "__sub__", "__ior__", "__eq__"]), st.sets(ITEMS)),
    ),
    max_size=6,
)


@given(LISTS, OPERATIONS)
def test_every_operation_does_what_werkzeugs_does(items, operations):
    seen: list[list[str]] = [[], []]
    ours = HeaderSet(items, lambda it: seen[0].append(it.to_header()))
    theirs = oracle.HeaderSet(items, lambda it: seen[1].append(it.to_header()))
    for name, *arguments in operations:
        results = []
        for one in (ours, theirs):
            try:
                result = getattr(one, name)(*arguments)
                results.append(list(result) if isinstance(result, (HeaderSet, oracle.HeaderSet)) else result)
            except (KeyError, IndexError) as exc:
                results.append(type(exc))
        assert results[0] == results[1]
        assert list(ours) == list(theirs)
        assert bool(ours) == bool(theirs)
    assert seen[0][-1:] == seen[1][-1:]


@given(st.lists(st.sampled_from(["a", "B", '"c d"', ",", ", ", '"', ";q=1", " ", "\t", "\\"]), max_size=9).map("".join))
def test_field_is_read_as_in_werkzeug(text):
    ours, theirs = parse_set_header(text), oracle_http.parse_set_header(text)
    assert ours.as_set() == theirs.as_set()
    assert len(ours) == len(theirs)
    if len(theirs) == len(list(theirs)):
        assert list(ours) == list(theirs)
        assert ours.to_header() == theirs.to_header()


def test_repeated_item_is_kept_once():
    items = parse_set_header("Cookie, Accept, cookie")
    assert list(items) == ["Cookie", "Accept"]
    assert items.to_header() == "Cookie, Accept"


def test_items_have_no_case():
    items = HeaderSet(["Accept", "Cookie"])
    assert "COOKIE" in items
    assert list(items | {"cookie", "Host"}) == ["Accept", "Cookie", "Host"]
    items.remove("ACCEPT")
    assert list(items) == ["Cookie"]


def test_change_by_index():
    seen = []
    items = HeaderSet(["a", "b"], lambda it: seen.append(str(it)))
    items[0] = "c"
    del items[1]
    assert seen == ["c, b", "c"]
    assert items[0:1] == ["c"]


def test_no_change_tells_nobody():
    items = HeaderSet(["a"], lambda it: pytest.fail("nothing has changed"))
    items.add("A")
    items.update(["a"])
    items.discard("x")
    with pytest.raises(KeyError):
        items.remove("x")


def test_none_is_empty_and_other_types_are_not_in_it():
    assert list(parse_set_header(None)) == list(HeaderSet()) == []
    assert not HeaderSet()
    assert 5 not in HeaderSet(["5"])
    with pytest.raises(TypeError):
        hash(HeaderSet())
