from __future__ import annotations

import dataclasses
import decimal
import gc
import io
import json
import threading
import uuid
import weakref
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import flask
import pytest
from flask.json.provider import DefaultJSONProvider as FlaskProvider
from hypothesis import given, strategies as st
from markupsafe import Markup

import duoflask.json
from duoflask.json.provider import DefaultJSONProvider, JSONProvider


@dataclasses.dataclass
class Point:
    x: int
    when: date


class FakeApp:
    debug = False

    def response_class(self, text: str, mimetype: str) -> tuple[str, str]:
        return text, mimetype


APP = FakeApp()
FLASK = flask.Flask("app")
EXTRA = st.one_of(
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(timezone(timedelta(hours=5, minutes=30)))),
    st.decimals(),
    st.uuids(),
    st.builds(Point, st.integers(), st.dates()),
    st.text(max_size=4).map(Markup),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), EXTRA),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def flask_text(*args: Any, **kwargs: Any) -> str:
    text = FLASK.json.response(*args, **kwargs).get_data(as_text=True)
    assert isinstance(text, str)
    return text


@given(VALUES)
def test_dumps_is_flasks(value: Any) -> None:
    assert DefaultJSONProvider(APP).dumps(value) == FLASK.json.dumps(value)


@given(VALUES, st.booleans())
def test_response_is_flasks(value: Any, debug: bool) -> None:
    provider = DefaultJSONProvider(app := FakeApp())
    app.debug = FLASK.debug = debug
    try:
        assert provider.response(value) == (flask_text(value), "application/json")
    finally:
        FLASK.debug = False


@pytest.mark.parametrize("args", [(), (1,), (1, 2), (None,), ([],), ({},)])
def test_response_prepares_arguments_as_flask(args: tuple[Any, ...]) -> None:
    assert DefaultJSONProvider(APP).response(*args)[0] == flask_text(*args)


def test_response_takes_keywords_or_positions_and_not_both() -> None:
    provider = DefaultJSONProvider(APP)
    assert provider.response(b=1, a=2)[0] == flask_text(b=1, a=2)
    with pytest.raises(TypeError, match="got both"):
        provider.response(1, a=2)


@pytest.mark.parametrize("compact", [True, False, None])
@pytest.mark.parametrize("debug", [True, False])
def test_compact_decides_over_debug(compact: bool | None, debug: bool) -> None:
    app, theirs = FakeApp(), flask.Flask("app")
    app.debug = theirs.debug = debug
    provider, other = DefaultJSONProvider(app), FlaskProvider(theirs)
    provider.compact = other.compact = compact
    assert provider.response({"b": [1], "a": 2})[0] == other.response({"b": [1], "a": 2}).get_data(as_text=True)


def test_settings_changed_later_are_noticed() -> None:
    class Mine(DefaultJSONProvider):
        pass

    provider = Mine(APP)
    value = {"b": "ä", "a": 1}
    assert provider.dumps(value) == '{"a": 1, "b": "\\u00e4"}'
    assert provider.response(value)[0] == '{"a":1,"b":"\\u00e4"}\n'
    provider.sort_keys = False
    assert provider.dumps(value) == '{"b": "\\u00e4", "a": 1}'
    Mine.ensure_ascii = False
    assert provider.dumps(value) == '{"b": "ä", "a": 1}'
    assert provider.response(value)[0] == '{"b":"ä","a":1}\n'
    provider.mimetype = "application/vnd.x+json"
    assert provider.response(1)[1] == "application/vnd.x+json"


def test_default_may_be_replaced_on_class_and_instance_and_be_a_method() -> None:
    class Mine(DefaultJSONProvider):
        word = "m"

        def default(self, obj: Any) -> Any:  # type: ignore[override]
            return self.word

    provider = Mine(APP)
    assert provider.dumps(object()) == '"m"'
    provider.word = "n"
    assert provider.dumps([object()]) == '["n"]'
    provider.default = lambda obj: "i"  # type: ignore[method-assign]
    assert provider.response(object())[0] == '"i"\n'


def test_an_overridden_dumps_is_used_by_response() -> None:
    class Mine(DefaultJSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return f"mine {sorted(kwargs)}"

    assert Mine(APP).response(1)[0] == "mine ['separators']\n"


def test_dumps_takes_json_dumps_arguments() -> None:
    value = {"b": Point(1, date(2020, 1, 2)), "a": 1}
    for kwargs in ({"indent": 1}, {"sort_keys": False}, {"separators": ("|", "-")}, {"default": lambda o: 1}):
        assert DefaultJSONProvider(APP).dumps(value, **kwargs) == FLASK.json.dumps(value, **kwargs)


def test_what_cannot_be_written_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="Object of type complex is not JSON serializable"):
        DefaultJSONProvider(APP).dumps([1j])


def test_a_circle_is_a_value_error_and_leaves_no_trace() -> None:
    provider = DefaultJSONProvider(APP)
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="Circular"):
        provider.dumps(value)
    value[:] = [1]
    assert provider.dumps(value) == "[1]"


def test_threads_may_write_one_object_at_once() -> None:
    provider = DefaultJSONProvider(APP)
    value = {"a": [{"b": list(range(50))}]}
    expected, wrong = provider.dumps(value), []

    def work() -> None:
        for _ in range(300):
            if provider.dumps(value) != expected:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_loads_reads_text_and_bytes() -> None:
    provider = DefaultJSONProvider(APP)
    assert provider.loads('{"a": 1}') == provider.loads(b'{"a": 1}') == {"a": 1}
    assert provider.loads("1.5", parse_float=str) == "1.5"
    assert provider.load(io.BytesIO(b"[1]")) == provider.load(io.StringIO("[1]")) == [1]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000, "{", ""])
def test_a_peers_nonsense_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        DefaultJSONProvider(APP).loads(text)


def test_dump_writes_to_a_file() -> None:
    file = io.StringIO()
    DefaultJSONProvider(APP).dump({"a": 1}, file)
    assert file.getvalue() == '{"a": 1}'


def test_a_bare_provider_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="JSONProvider has no dumps"):
        JSONProvider(APP).dumps(1)
    with pytest.raises(NotImplementedError, match="JSONProvider has no loads"):
        JSONProvider(APP).loads("1")


def test_a_minimal_provider_gets_the_rest() -> None:
    class Mine(JSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return repr(obj)

        def loads(self, s: str | bytes, **kwargs: Any) -> Any:
            return s

    provider = Mine(APP)
    assert provider.response(1, 2) == ("(1, 2)", "application/json")
    assert provider.load(io.StringIO("x")) == "x"


def test_provider_keeps_no_app_alive() -> None:
    class App(FakeApp):
        pass

    app = App()
    app.json = DefaultJSONProvider(app)  # type: ignore[attr-defined]
    app.json.dumps(Point(1, date.today()))  # type: ignore[attr-defined]
    gone: list[int] = []
    weakref.finalize(app, gone.append, 1)
    gc.disable()
    try:
        del app
        assert gone
    finally:
        gc.enable()


def test_functions_work_without_an_app() -> None:
    value = {"b": datetime(2020, 1, 2, tzinfo=UTC), "a": [decimal.Decimal("1.0"), uuid.UUID(int=1)]}
    text = duoflask.json.dumps(value)
    assert text == flask.json.dumps(value)
    assert duoflask.json.loads(text) == json.loads(text)
    file = io.StringIO()
    duoflask.json.dump(value, file)
    file.seek(0)
    assert duoflask.json.load(file) == json.loads(text)


def test_jsonify_without_an_app_says_so() -> None:
    with pytest.raises(RuntimeError, match="application context"):
        duoflask.json.jsonify(1)
