from __future__ import annotations

import sys
from types import ModuleType

import pytest

from duoflask.lazy import LazyModule


def test_module_is_imported_at_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    module = LazyModule("colorsys")
    assert "colorsys" not in sys.modules
    assert module.rgb_to_hls is sys.modules["colorsys"].rgb_to_hls


def test_name_that_is_replaced_in_the_module_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    module = LazyModule("colorsys")
    _ = module.rgb_to_hls
    monkeypatch.setattr("colorsys.rgb_to_hls", "replaced")
    assert module.rgb_to_hls == "replaced"


def test_missing_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = LazyModule("colorsys").nothing


def test_looked_at_once_it_costs_what_the_module_costs() -> None:
    module = LazyModule("colorsys")
    _ = module.rgb_to_hls
    assert type(module).__getattribute__ is object.__getattribute__
    assert not hasattr(type(module), "__getattr__")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = module.nothing


def test_name_that_the_module_makes_at_the_first_look_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made = ModuleType("makes_names")
    made.__dict__.update(__getattr__=lambda name: f"made {name}", there=1)
    monkeypatch.setitem(sys.modules, "makes_names", made)
    module = LazyModule("makes_names")
    assert module.there == 1
    assert module.later == "made later"
