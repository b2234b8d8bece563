from __future__ import annotations

import sys

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
