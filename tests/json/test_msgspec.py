from __future__ import annotations

import dataclasses
import json
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st
from markupsafe import Markup

import duoflask
from duoflask import jsonify, request
from duoflask.json.msgspec import MsgspecProvider

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def make_app() -> duoflask.Flask:
    app = duoflask.Flask("app")
    app.json = MsgspecProvider(app)
    return app


@given(VALUES)
def test_what_is_written_the_standard_library_reads_and_the_reverse(value: Any) -> None:
    provider = make_app().json
    assert json.loads(provider.dumps(value)) == value
    assert provider.loads(json.dumps(value)) == provider.loads(json.dumps(value).encode()) == value


@dataclasses.dataclass
class Point:
    x: int
    y: int


def test_richer_values_are_written() -> None:
    dumps = make_app().json.dumps
    assert (
        dumps([datetime(2026, 11, 21, 17, tzinfo=UTC), date(2026, 11, 21)]) == '["2026-11-21T17:00:00Z","2026-11-21"]'
    )
    assert dumps(Decimal("1.10")) == '"1.10"'
    assert dumps(uuid.UUID(int=1)) == '"00000000-0000-0000-0000-000000000001"'
    assert dumps(Point(1, 2)) == '{"x":1,"y":2}'
    assert dumps(Markup("<b>")) == '"<b>"'
    with pytest.raises(TypeError, match="object is not JSON serializable"):
        dumps(object())


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_answers_and_bodies(client: Any, colour: str) -> None:
    app = make_app()

    def echo() -> Any:
        return {"got": request.get_json(), "ä": 1}

    async def echo_async() -> Any:
        return echo()

    app.add_url_rule("/", "echo", echo if colour == "def" else echo_async, methods=["POST"])
    app.add_url_rule("/made", "made", lambda: jsonify(b=1, a=2))
    response = client(app).post("/", json=[1, {"x": None}])
    assert response.data == '{"got":[1,{"x":null}],"ä":1}\n'.encode()
    assert response.content_type == "application/json"
    assert client(app).get("/made").data == b'{"b":1,"a":2}\n'
    app.json.sort_keys = True  # type: ignore[attr-defined]
    assert client(app).get("/made").data == b'{"a":2,"b":1}\n'
    assert client(app).post("/", data=b"[" * 100_000, content_type="application/json").status_code == 400
    assert client(app).post("/", data=b"{", content_type="application/json").status_code == 400


def test_debug_mode_indents() -> None:
    app = make_app()
    app.debug = True
    app.add_url_rule("/", "view", lambda: {"at": Decimal("1.5")})
    assert app.test_client().get("/").text == '{\n  "at": "1.5"\n}\n'


def test_settings_count_in_debug_mode_and_with_arguments() -> None:
    app = make_app()
    app.debug = True
    provider = app.json
    provider.sort_keys = True  # type: ignore[attr-defined]
    value = {"b": Markup("ä"), "a": 1}
    assert provider.body(value).decode() == '{\n  "a": 1,\n  "b": "ä"\n}\n'  # type: ignore[attr-defined]
    assert provider.dumps(value, indent=None) == '{"a": 1, "b": "ä"}'
    assert provider.dumps(value) == '{"a":1,"b":"ä"}'
    provider.default = lambda obj: "other"  # type: ignore[attr-defined]
    assert provider.dumps(value) == '{"a":1,"b":"other"}'


def test_arguments_go_to_the_standard_library() -> None:
    assert make_app().json.dumps({"b": 1, "a": [Point(1, 2)]}, indent=None, sort_keys=True) == (
        '{"a": [{"x": 1, "y": 2}], "b": 1}'
    )
