"""`cached_property`, with and without a `__dict__`."""

from __future__ import annotations

import gc
import inspect
import weakref
from typing import Any

import pytest
import werkzeug.utils

from duoflask.http.descriptors import cached_property


def owner(decorator: Any, slots: bool) -> Any:
    computed = []

    def value(self: Any) -> object:
        """Compute it."""
        computed.append(self)
        return object()

    names: dict[str, Any] = {"value": decorator(value)}
    if slots:
        names["__slots__"] = ("_cache_value",)
    return type("Owner", (), names), computed


@pytest.mark.parametrize("slots", [False, True])
@pytest.mark.parametrize("decorator", [cached_property, werkzeug.utils.cached_property])
def test_it_is_computed_once_assigned_and_deleted_as_werkzeugs(decorator: Any, slots: bool) -> None:
    kind, computed = owner(decorator, slots)
    one, other = kind(), kind()
    first = one.value
    assert one.value is first
    assert other.value is not first
    assert len(computed) == 2
    one.value = "assigned"
    assert one.value == "assigned"
    del one.value
    assert one.value not in (first, "assigned")
    assert len(computed) == 3
    assert kind.value.__doc__ == "Compute it."
    if not slots:
        assert one.__dict__ == {"value": one.value}


def test_a_class_without_a_place_for_the_value_is_an_error() -> None:
    with pytest.raises((TypeError, RuntimeError)) as caught:
        type("Owner", (), {"__slots__": (), "value": cached_property(lambda self: 1, "value")})
    error = caught.value.__cause__ or caught.value  # Python 3.11 wraps what __set_name__ raises
    assert "add '_cache_value' (or '__dict__') to its __slots__" in str(error)


def test_subclasses_override_it() -> None:
    class Base:
        @cached_property
        def value(self) -> int:
            return 1

    class Derived(Base):
        @cached_property
        def value(self) -> int:
            return super().value + 1

    assert Derived().value == 2


def test_it_keeps_nothing_alive() -> None:
    kind, computed = owner(cached_property, False)
    one = kind()
    assert one.value is not None
    computed.clear()
    reference = weakref.ref(one)
    del one
    gc.collect()
    assert reference() is None


def test_documentation_takes_it_for_a_property() -> None:
    class Owner:
        @cached_property
        def value(self) -> int:
            """Compute it."""
            return 1

    kinds = {attribute.name: attribute.kind for attribute in inspect.classify_class_attrs(Owner)}
    assert kinds["value"] == "property"
    described = vars(Owner)["value"]
    assert isinstance(described, property)
    assert described.fget(Owner()) == 1
    assert described.fset is None and described.fdel is None
    assert "Compute it." in inspect.getdoc(described)  # type: ignore[operator]
