from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given, strategies as st
from werkzeug import datastructures as oracle

from duoflask.http.errors import BadRequest, BadRequestKeyError
from duoflask.http.immutable import ImmutableDict, ImmutableList
from duoflask.http.multidict import CombinedMultiDict, ImmutableMultiDict, MultiDict, iter_multi_items

PAIRS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["1", "2", "x"])), max_size=8)
KEYS = st.sampled_from("abcd")


def same(ours: MultiDict, theirs: oracle.MultiDict) -> None:
    assert list(ours.lists()) == list(theirs.lists())
    assert list(ours.items()) == list(theirs.items())
    assert list(ours.items(multi=True)) == list(theirs.items(multi=True))
    assert list(ours.values()) == list(theirs.values())
    assert list(map(list, ours.listvalues())) == list(map(list, theirs.listvalues()))
    assert list(ours.keys()) == list(theirs.keys()) == list(ours)
    assert ours.to_dict() == theirs.to_dict() == dict(ours)
    assert ours.to_dict(flat=False) == theirs.to_dict(flat=False)
    assert repr(ours) == repr(theirs)
    assert len(ours) == len(theirs)


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), KEYS, st.just("n")),
        st.tuples(st.just("__setitem__"), KEYS, st.just("n")),
        st.tuples(st.just("setdefault"), KEYS, st.just("n")),
        st.tuples(st.just("setlist"), KEYS, st.just(["p", "q"])),
        st.tuples(st.just("setlistdefault"), KEYS, st.just(["p"])),
        st.tuples(st.just("pop"), KEYS),
        st.tuples(st.just("pop"), KEYS, st.just("default")),
        st.tuples(st.just("poplist"), KEYS),
        st.tuples(st.just("popitem")),
        st.tuples(st.just("popitemlist")),
        st.tuples(st.just("update"), st.just([("a", "u"), ("z", "u")])),
        st.tuples(st.just("update"), st.just({"a": ["u", "v"], "y": "w", "e": []})),
        st.tuples(st.just("__delitem__"), KEYS),
        st.tuples(st.just("get"), KEYS, st.just(0), st.just(int)),
        st.tuples(st.just("getlist"), KEYS, st.just(int)),
        st.tuples(st.just("__getitem__"), KEYS),
        st.tuples(st.just("clear")),
    ),
    max_size=6,
)


@given(PAIRS, OPERATIONS)
def test_every_operation_does_what_werkzeugs_does(pairs, operations):
    ours, theirs = MultiDict(pairs), oracle.MultiDict(pairs)
    for name, *arguments in operations:
        results = []
        for one in (ours, theirs):
            try:
                results.append(getattr(one, name)(*arguments))
            except KeyError as exc:
                results.append(("KeyError", exc.args))
        assert results[0] == results[1]
        same(ours, theirs)


@given(PAIRS, PAIRS)
def test_combined_reads_as_werkzeugs_does(first, second):
    ours = CombinedMultiDict([MultiDict(first), MultiDict(second)])
    theirs = oracle.CombinedMultiDict([oracle.MultiDict(first), oracle.MultiDict(second)])
    for key in "abcd":
        assert ours.get(key) == theirs.get(key)
        assert ours.get(key, 0, int) == theirs.get(key, 0, int)
        assert ours.getlist(key) == theirs.getlist(key)
        assert (key in ours) == (key in theirs)
    assert set(ours) == set(theirs)
    assert list(ours.items()) == list(theirs.items())
    assert list(ours.items(multi=True)) == list(theirs.items(multi=True))
    assert dict(ours.lists()) == dict(theirs.lists())
    assert list(ours.values()) == list(theirs.values())
    assert len(ours) == len(theirs)
    assert bool(ours) == bool(len(theirs))
    assert repr(ours.copy()) == repr(theirs.copy())


@pytest.mark.parametrize("source", [{"a": [1, 2], "b": 3, "c": [], "d": (4,)}, [("a", 1), ("a", 2)], None])
def test_made_from_anything(source):
    same(MultiDict(source), oracle.MultiDict(source))
    same(MultiDict(MultiDict(source)), oracle.MultiDict(source))
    assert list(iter_multi_items(MultiDict(source))) == list(MultiDict(source).items(multi=True))


def test_it_is_a_dict():
    assert isinstance(MultiDict(), dict)
    assert isinstance(ImmutableMultiDict(), MultiDict)


def test_missing_key_is_a_bad_request_and_a_key_error():
    with pytest.raises(BadRequestKeyError) as info:
        MultiDict()["missing"]
    assert isinstance(info.value, KeyError)
    assert isinstance(info.value, BadRequest)
    assert info.value.args == ("missing",)


def test_a_copy_shares_no_list():
    one = MultiDict([("a", "1")])
    for other in (
        one.copy(),
        copy.copy(one),
        copy.deepcopy(one),
        MultiDict(one),
        pickle.loads(pickle.dumps(one)),
    ):
        other.add("a", "2")
    assert one.getlist("a") == ["1"]


def test_union():
    assert (MultiDict([("a", 1)]) | {"a": 2}).getlist("a") == [1, 2]
    one = MultiDict()
    one |= [("a", 1)]
    assert one["a"] == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.add("a", 1),
        lambda d: d.clear(),
        lambda d: d.pop("a"),
        lambda d: d.popitem(),
        lambda d: d.poplist("a"),
        lambda d: d.popitemlist(),
        lambda d: d.setdefault("a", 1),
        lambda d: d.setlist("a", []),
        lambda d: d.setlistdefault("a"),
        lambda d: d.update({}),
        lambda d: d.__setitem__("a", 1),
        lambda d: d.__delitem__("a"),
        lambda d: d.__ior__({}),
    ],
)
@pytest.mark.parametrize("make", [ImmutableMultiDict, lambda pairs: CombinedMultiDict([MultiDict(pairs)])])
def test_immutable_refuses_every_change(make, change):
    one = make([("a", "1")])
    with pytest.raises(TypeError, match="immutable"):
        change(one)
    assert one.getlist("a") == ["1"]


def test_immutable_is_hashable_and_pickles():
    one = ImmutableMultiDict([("a", "1"), ("a", "2")])
    assert hash(one) == hash(ImmutableMultiDict([("a", "1"), ("a", "2")]))
    assert pickle.loads(pickle.dumps(one)) == one
    assert copy.copy(one) is one
    assert type(one.copy()) is MultiDict


def test_immutable_list_and_dict():
    items, mapping = ImmutableList([1, 2]), ImmutableDict(a=1)
    for change in (lambda: items.append(3), lambda: items.__setitem__(0, 1), lambda: mapping.update(b=2)):
        with pytest.raises(TypeError):
            change()
    assert hash(items) == hash(ImmutableList([1, 2]))
    assert hash(mapping) == hash(ImmutableDict(a=1))
    assert repr(items) == "ImmutableList([1, 2])"
    assert repr(mapping) == "ImmutableDict({'a': 1})"
    assert pickle.loads(pickle.dumps(items)) == items
    assert pickle.loads(pickle.dumps(mapping)) == mapping
    assert type(mapping.copy()) is dict
