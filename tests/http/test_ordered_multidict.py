from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from werkzeug.datastructures.structures import (
        _ImmutableOrderedMultiDict as ImmutableOracle,
        _OrderedMultiDict as Oracle,
    )

from duoflask.http.errors import BadRequestKeyError
from duoflask.http.multidict import MultiDict
from duoflask.http.ordered_multidict import ImmutableOrderedMultiDict, OrderedMultiDict

from ..growth import require_linear

KEYS = st.sampled_from("abcd")
PAIRS = st.lists(st.tuples(KEYS, st.integers(0, 3)), max_size=8)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), KEYS, st.integers(0, 3)),
        st.tuples(st.just("__setitem__"), KEYS, st.integers(0, 3)),
        st.tuples(st.just("__delitem__"), KEYS),
        st.tuples(st.just("setlist"), KEYS, st.lists(st.integers(0, 3), min_size=1, max_size=3)),
        st.tuples(st.just("setdefault"), KEYS, st.integers(0, 3)),
        st.tuples(st.just("pop"), KEYS),
        st.tuples(st.just("pop"), KEYS, st.just(None)),
        st.tuples(st.just("poplist"), KEYS),
        st.tuples(st.just("update"), PAIRS),
        st.tuples(st.just("getlist"), KEYS),
        st.tuples(st.just("get"), KEYS),
    ),
    max_size=8,
)


def facts(one: Any) -> Any:
    return (
        list(one.items(multi=True)),
        list(one.items()),
        sorted(one),
        sorted(one.lists()),
        sorted(map(tuple, one.listvalues())),
        one.to_dict(flat=False),
        len(one),
        repr(list(one.items(multi=True))),
    )


@pytest.mark.filterwarnings("ignore:'OrderedMultiDict'")
@given(PAIRS, OPERATIONS)
def test_every_operation_does_what_werkzeugs_does(pairs: Any, operations: Any) -> None:
    ours, theirs = OrderedMultiDict[str, int](pairs), Oracle(pairs)
    for name, *arguments in operations:
        results = []
        for one in (ours, theirs):
            try:
                results.append(getattr(one, name)(*arguments))
            except KeyError as exc:
                results.append(("KeyError", exc.args))
        assert results[0] == results[1]
        assert facts(ours) == facts(theirs)


@pytest.mark.filterwarnings("ignore:'OrderedMultiDict'")
@given(PAIRS, PAIRS)
def test_equality_and_hash_know_the_order(first: Any, second: Any) -> None:
    assert (OrderedMultiDict(first) == OrderedMultiDict(second)) == (Oracle(first) == Oracle(second))
    assert (OrderedMultiDict(first) != OrderedMultiDict(second)) != (
        OrderedMultiDict(first) == OrderedMultiDict(second)
    )
    assert (OrderedMultiDict(first) == MultiDict(first)) is True
    same = hash(ImmutableOrderedMultiDict(first)) == hash(ImmutableOrderedMultiDict(second))
    assert same == (hash(ImmutableOracle(first)) == hash(ImmutableOracle(second)))


def test_every_copy_has_the_order() -> None:
    pairs = [("a", [1]), ("b", [2]), ("a", [3])]
    for kind in (OrderedMultiDict, ImmutableOrderedMultiDict):
        one = kind(pairs)
        for twin in (one.copy(), copy.copy(one), one.deepcopy(), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
            assert list(twin.items(multi=True)) == pairs
        assert type(one.copy()) is OrderedMultiDict
        assert copy.deepcopy(one)["a"] is not one["a"]


def test_popitem_takes_the_last_key_and_all_its_values() -> None:
    one = OrderedMultiDict([("a", 1), ("b", 2), ("a", 3)])
    assert one.popitemlist() == ("b", [2])
    assert one.popitem() == ("a", 1)
    assert not list(one.items(multi=True))
    with pytest.raises(BadRequestKeyError):
        one.popitem()


def test_clear_forgets_the_order() -> None:
    one = OrderedMultiDict([("a", 1)])
    one.clear()
    one.add("b", 2)
    assert list(one.items(multi=True)) == [("b", 2)]


def test_a_list_that_could_be_changed_unseen_is_not_given_away() -> None:
    with pytest.raises(TypeError, match="write add"):
        OrderedMultiDict().setlistdefault("a")


def test_an_immutable_one_refuses_changes() -> None:
    one = ImmutableOrderedMultiDict([("a", 1)])
    for change in (
        lambda: one.add("a", 2),
        lambda: one.clear(),
        lambda: one.poplist("a"),
        lambda: one.update({"a": 1}),
    ):
        with pytest.raises(TypeError, match="immutable"):
            change()


@pytest.mark.measures
def test_many_pairs_take_linear_time() -> None:
    def make(count: int) -> Callable[[], object]:
        pairs = [(f"k{number % 1000}", number) for number in range(count)]
        return lambda: list(ImmutableOrderedMultiDict(pairs).items(multi=True))

    require_linear(make, 20_000)
