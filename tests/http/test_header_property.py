from __future__ import annotations

from typing import Any

import pytest
from werkzeug import utils as oracle
from werkzeug.datastructures import Headers as OracleHeaders

from duoflask.http import header_property as ours
from duoflask.http.headers import Headers


def walk(module: Any, headers: Any) -> Any:
    class Thing:
        """Has both kinds of attributes."""

        plain = module.header_property("X-Plain", doc="Plain.")
        number = module.header_property("X-Number", 5, int, str)
        fixed = module.header_property("X-Fixed", read_only=True)
        key = module.environ_property("a.key", "default")
        free = module.environ_property("a.free", None, int, str, read_only=False)

        def __init__(self) -> None:
            self.headers = headers
            self.environ: dict[str, Any] = {"a.key": "there"}

    thing = Thing()
    seen: list[Any] = [thing.plain, thing.number, thing.fixed, thing.key, thing.free]
    thing.plain, thing.number, thing.free = "x", 7, 8
    seen += [thing.plain, thing.number, thing.free, dict(thing.environ), sorted(thing.headers)]
    thing.headers["X-Number"] = "nonsense"
    seen.append(thing.number)
    del thing.plain
    del thing.plain
    del thing.free
    seen += [thing.plain, dict(thing.environ)]
    for name in ("fixed", "key"):
        for act in (lambda name=name: setattr(thing, name, "x"), lambda name=name: delattr(thing, name)):
            with pytest.raises(AttributeError):
                act()
    return [*seen, repr(Thing.plain), repr(Thing.key), Thing.plain.__doc__]


def test_attributes_are_werkzeugs() -> None:
    assert walk(ours, Headers()) == walk(oracle, OracleHeaders())


def test_none_removes_the_field() -> None:
    class Thing:
        value = ours.header_property[str]("X-A")

        def __init__(self) -> None:
            self.headers = Headers({"X-A": "1"})

    thing = Thing()
    thing.value = None
    assert "X-A" not in thing.headers


def test_first_line_alone_is_replaced() -> None:
    headers = Headers([("X-A", "1"), ("X-B", "2"), ("x-a", "3")])
    ours.replace_first(headers, "X-A", "4")
    assert list(headers) == [("X-A", "4"), ("X-B", "2"), ("x-a", "3")]
    ours.replace_first(headers, "X-A", None)
    assert list(headers) == [("X-B", "2"), ("x-a", "3")]
    ours.replace_first(headers, "X-C", "5")
    ours.replace_first(headers, "X-D", "")
    assert list(headers) == [("X-B", "2"), ("x-a", "3"), ("X-C", "5")]
    assert ours.joined_field(Headers([("A", "1"), ("a", "2")]), "A") == "1, 2"
    assert ours.joined_field(headers, "A") is None
