"""The names of `werkzeug.http` and `werkzeug.datastructures`."""

from __future__ import annotations

import inspect

import pytest
from werkzeug import datastructures as oracle_structures, http as oracle

from duoflask import datastructures, http

# may take more
MORE = {"parse_range_header"}
# makes attributes for one's own directives, from an argument that names no type
LEFT_OUT = {"cache_property"}


@pytest.mark.parametrize("name", http.__all__)
def test_function_takes_what_werkzeugs_takes(name):
    theirs, ours = getattr(oracle, name), getattr(http, name)
    if not inspect.isfunction(theirs):
        return
    wanted = [(item.name, item.default) for item in inspect.signature(theirs).parameters.values()]
    taken = [(item.name, item.default) for item in inspect.signature(ours).parameters.values()]
    assert taken[: len(wanted)] == wanted
    assert name in MORE or len(taken) == len(wanted)


@pytest.mark.parametrize("name", [name for name in datastructures.__all__ if "Ordered" not in name])
def test_structure_has_every_public_member(name):
    theirs, ours = getattr(oracle_structures, name), getattr(datastructures, name)
    if inspect.isfunction(theirs):
        return
    made = {"ContentRange": ("bytes", 0, 1), "WWWAuthenticate": ("basic",)}.get(name)
    target = ours if made is None else ours(*made)
    wanted = {key for key in dir(theirs) if not key.startswith("_")} - LEFT_OUT
    assert [key for key in sorted(wanted) if not hasattr(target, key)] == []


def test_values_of_enumerations():
    for name in ("COEP", "COOP"):
        assert {item.name: item.value for item in getattr(http, name)} == {
            item.name: item.value for item in getattr(oracle, name)
        }
    assert http.HTTP_STATUS_CODES == oracle.HTTP_STATUS_CODES
