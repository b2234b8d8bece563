from __future__ import annotations

import pytest
from werkzeug import datastructures as oracle

from duoflask.http.header_views import EnvironHeaders, ScopeHeaders
from duoflask.http.headers import Headers
from duoflask.http.immutable import (
    ImmutableDict,
    ImmutableDictMixin,
    ImmutableHeadersMixin,
    ImmutableList,
    ImmutableListMixin,
)
from duoflask.http.multidict import CombinedMultiDict, ImmutableMultiDict, ImmutableMultiDictMixin, MultiDict
from duoflask.http.type_conversion import ImmutableTypeConversionDict, TypeConversionDict

CHANGES = {
    list: [
        *("append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear"),
        *("__setitem__", "__delitem__", "__iadd__", "__imul__"),
    ],
    dict: ["__setitem__", "__delitem__", "__ior__", "clear", "pop", "popitem", "setdefault", "update"],
    MultiDict: ["add", "setlist", "setlistdefault", "poplist", "popitemlist"],
    Headers: [
        *("add", "add_header", "set", "setlist", "setdefault", "setlistdefault", "extend", "update", "remove"),
        *("pop", "popitem", "clear", "__setitem__", "__delitem__", "__ior__"),
    ],
}


class Own(ImmutableHeadersMixin, Headers):
    pass


READ_ONLY = [
    *[(made, list) for made in (ImmutableList([1]),)],
    *[(made, dict) for made in (ImmutableDict(a=1), ImmutableTypeConversionDict(a=1))],
    *[(made, dict) for made in (ImmutableMultiDict({"a": 1}), CombinedMultiDict([MultiDict({"a": 1})]))],
    *[(made, MultiDict) for made in (ImmutableMultiDict({"a": 1}), CombinedMultiDict([MultiDict({"a": 1})]))],
    *[(made, Headers) for made in (EnvironHeaders({"HTTP_A": "1"}), ScopeHeaders([(b"a", b"1")]), Own())],
]


@pytest.mark.parametrize(
    ("made", "name"),
    [(made, name) for made, kind in READ_ONLY for name in CHANGES[kind]],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_every_change_is_refused(made, name):
    with pytest.raises(TypeError, match=f"'{type(made).__name__}' objects are immutable; change a copy"):
        getattr(made, name)()


@pytest.mark.parametrize(
    "name",
    ["ImmutableDictMixin", "ImmutableHeadersMixin", "ImmutableListMixin", "ImmutableMultiDictMixin"],
)
def test_mixins_refuse_what_werkzeugs_refuse(name):
    ours = {
        "ImmutableDictMixin": ImmutableDictMixin,
        "ImmutableHeadersMixin": ImmutableHeadersMixin,
        "ImmutableListMixin": ImmutableListMixin,
        "ImmutableMultiDictMixin": ImmutableMultiDictMixin,
    }[name]
    theirs = {key for key in vars(getattr(oracle, name)) if not key.startswith("_") or key.endswith("item__")}
    assert theirs <= set(dir(ours))


def test_keys_alone_make_a_dict():
    assert ImmutableDict.fromkeys("ab", 1) == {"a": 1, "b": 1}
    assert ImmutableMultiDict.fromkeys("ab", 1).getlist("a") == [1]
    assert type(ImmutableDict.fromkeys("a")) is ImmutableDict
    with pytest.raises(TypeError, match="fromkeys"):
        CombinedMultiDict.fromkeys("ab")


def test_union_gives_what_may_be_changed():
    assert type(ImmutableDict(a=1) | {"b": 2}) is dict
    assert type(ImmutableList([1]) + [2]) is list


def test_conversion_dict():
    one = ImmutableTypeConversionDict({"a": "1", "b": "x"})
    assert one.get("a", type=int) == 1
    assert one.get("b", 7, int) == one.get("c", 7, int) == 7
    assert one.get("b") == "x"
    assert hash(one) == hash(ImmutableTypeConversionDict(one))
    assert type(one.copy()) is TypeConversionDict
    assert one.__copy__() is one
