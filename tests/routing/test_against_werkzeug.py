"""Whatever rules and paths are drawn, matching and building answer as Werkzeug's do.

`DUOFLASK_FUZZ=100000` draws that many paths and as many builds; the default is 2,400.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import werkzeug.exceptions as wz_errors
import werkzeug.routing as wz
from hypothesis import HealthCheck, given, reject, settings, strategies as st

import duoflask.http.errors as errors
import duoflask.routing as ours

CASES = int(os.environ.get("DUOFLASK_FUZZ", "2400"))
PER_EXAMPLE = 8
FUZZ = settings(
    max_examples=max(1, CASES // PER_EXAMPLE),
    deadline=None,
    derandomize=CASES == 2400,
    suppress_health_check=list(HealthCheck),
    database=None,
)
pytestmark = pytest.mark.timeout(0 if CASES > 2400 else 120)

LITERALS = ["a", "b", "ab", "a.b", "é", "x y", "-", "12", "a%b", "edit"]
VARIABLES = [
    "<{}>",
    "<string(length=2):{}>",
    "<string(minlength=2, maxlength=3):{}>",
    "<int:{}>",
    "<int(min=2, max=50):{}>",
    "<int(fixed_digits=2):{}>",
    "<int(signed=True):{}>",
    "<float:{}>",
    "<float(min=0.5, signed=True):{}>",
    "<uuid:{}>",
    '<any(a, b, "ab", "12"):{}>',
    "<path:{}>",
    "<path:{}>",
    "<two:{}>",
    "<low:{}>",
]
UUID = "12345678-1234-5678-1234-567812345678"
SEGMENTS = [
    *LITERALS,
    "1",
    "7",
    "01",
    "100",
    "-3",
    "1.5",
    "-0.25",
    "٣",
    "\n",
    "a-b",
    "ab-12",
    "1a",
    "a/b",
    UUID,
    "",
    "",
    "..",
    "\\",
    "?#",
]
METHODS = [None, None, ["GET"], ["POST"], ["GET", "POST"], ["PUT", "OPTIONS"]]


def own_converters(module: Any) -> dict[str, Any]:
    class Two(module.BaseConverter):
        regex = r"[^/]+/[^/]+"
        weight = 120

    class Low(module.BaseConverter):
        regex = "[a-z]+"
        weight = 30

        def to_python(self, value: str) -> Any:
            if value == "b":
                raise module.ValidationError()
            return value.upper()

        def to_url(self, value: Any) -> str:
            if value == "no":
                raise module.ValidationError()
            return super().to_url(value)

    return {"two": Two, "low": Low}


@st.composite
def patterns(draw: st.DrawFn) -> str:
    text = ""
    number = 0
    for _ in range(draw(st.integers(0, 4))):
        text += draw(st.sampled_from(["/", "/", "/", "/", "//"]))
        for _ in range(draw(st.sampled_from([1, 1, 1, 1, 2, 3]))):
            if draw(st.booleans()):
                text += draw(st.sampled_from(LITERALS))
            else:
                text += draw(st.sampled_from(VARIABLES)).format("abcdefghijklmno"[number])
                number += 1
    return (text + draw(st.sampled_from(["", "", "/"]))) or "/"


@st.composite
def rule_arguments(draw: st.DrawFn) -> dict[str, Any]:
    options: dict[str, Any] = {"string": draw(patterns()), "endpoint": draw(st.sampled_from("efgh"))}
    options["methods"] = draw(st.sampled_from(METHODS))
    for name in ("strict_slashes", "merge_slashes"):
        value = draw(st.sampled_from([None, None, True, False]))
        if value is not None:
            options[name] = value
    rare = draw(st.integers(0, 9))
    if rare == 0:
        options["defaults"] = draw(
            st.dictionaries(st.sampled_from("abz"), st.sampled_from([1, 7, "a", "ab"]), min_size=1, max_size=2)
        )
    elif rare == 1:
        options["alias"] = True
    elif rare == 2 and (options["methods"] is None or options["methods"] == ["GET"]):
        options["websocket"] = True
    elif rare == 3:
        options["build_only"] = True
    elif rare == 4:
        options["subdomain"] = draw(st.sampled_from(["api", "<s>", "<string(length=2):s>"]))
    return options


MAPS = st.fixed_dictionaries(
    {
        "rules": st.lists(rule_arguments(), max_size=30),
        "strict_slashes": st.sampled_from([True, True, False]),
        "merge_slashes": st.sampled_from([True, True, False]),
        "redirect_defaults": st.sampled_from([True, True, False]),
    }
)
BINDS = st.fixed_dictionaries(
    {
        "server_name": st.just("example.com"),
        "script_name": st.sampled_from(["/", "/app", "/app/"]),
        "subdomain": st.sampled_from([None, None, None, "api", "xy", "zzz"]),
        "url_scheme": st.sampled_from(["http", "http", "https", "ws"]),
    }
)
ANY_VALUES = st.dictionaries(
    st.sampled_from("abcdsqz"),
    st.one_of(
        st.sampled_from([1, 7, 1.5, -3, "a", "ab", "b", "no", "x y", "é/&=", None, True, UUID]),
        st.lists(st.sampled_from([1, "a b"]), max_size=3),
    ),
)


@st.composite
def paths(draw: st.DrawFn, rules: list[dict[str, Any]]) -> str:
    if rules and draw(st.integers(0, 4)):
        text = draw(st.sampled_from(rules))["string"]
        while "<" in text:
            head, _, tail = text.partition("<")
            kind, _, tail = tail.partition(">")
            text = head + draw(st.sampled_from(SEGMENTS)) + tail
    else:
        text = "".join("/" + draw(st.sampled_from(SEGMENTS)) for _ in range(draw(st.integers(0, 6))))
    change = draw(st.integers(0, 9))
    if change == 0:
        text += "/"
    elif change == 1:
        text = text.rstrip("/")
    elif change == 2:
        text = text.replace("/", "//", 1)
    elif change == 3:
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(["/", "//", "\n", "a", "%"])) + text[place:]
    return text


def build_map(module: Any, drawn: dict[str, Any]) -> Any:
    return module.Map(
        [module.Rule(**{**rule}) for rule in drawn["rules"]],
        converters=own_converters(module),
        **{name: value for name, value in drawn.items() if name != "rules"},
    )


def both(drawn: dict[str, Any], bind: dict[str, Any]) -> tuple[Any, Any]:
    try:
        theirs = build_map(wz, drawn).bind(**bind)
    except ValueError:  # a default that its converter refuses
        with pytest.raises(ValueError):
            build_map(ours, drawn)
        reject()
    return build_map(ours, drawn).bind(**bind), theirs


def outcome(module: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
    errors_module = wz_errors if module is wz else errors
    try:
        result = function(*args, **kwargs)
        return "result", sorted(result) if isinstance(result, list) else result
    except module.RequestRedirect as exc:
        return "redirect", exc.code, exc.new_url
    except errors_module.MethodNotAllowed as exc:
        return "method", sorted(exc.valid_methods)
    except module.WebsocketMismatch:
        return "websocket", 400
    except errors_module.NotFound:
        return "missing", 404
    except module.BuildError as exc:
        return "unbuilt", exc.endpoint, exc.values, exc.method
    except (ValueError, TypeError) as exc:
        return "value", type(exc).__name__


@FUZZ
@given(data=st.data())
def test_match_answers_as_werkzeug(data: st.DataObject) -> None:
    drawn = data.draw(MAPS)
    bind = data.draw(BINDS)
    mine, theirs = both(drawn, bind)
    for _ in range(PER_EXAMPLE):
        path = data.draw(paths(drawn["rules"]))
        method = data.draw(st.sampled_from(["GET", "GET", "POST", "HEAD", "PUT", "BREW"]))
        query = data.draw(st.sampled_from([None, None, "a=1&b=%20", {"x": "y z", "l": ["1", "é"]}]))
        wanted = outcome(wz, theirs.match, path, method, query_args=query)
        assert outcome(ours, mine.match, path, method, query_args=query) == wanted
        allowed = outcome(wz, theirs.allowed_methods, path)
        assert outcome(ours, mine.allowed_methods, path) == allowed


@FUZZ
@given(data=st.data())
def test_build_answers_as_werkzeug(data: st.DataObject) -> None:
    drawn = data.draw(MAPS)
    bind = data.draw(BINDS)
    mine, theirs = both(drawn, bind)
    for _ in range(PER_EXAMPLE):
        endpoint = data.draw(st.sampled_from("efghi"))
        options = {
            "values": data.draw(ANY_VALUES),
            "method": data.draw(st.sampled_from([None, None, "GET", "POST"])),
            "force_external": data.draw(st.booleans()),
            "append_unknown": data.draw(st.sampled_from([True, True, False])),
            "url_scheme": data.draw(st.sampled_from([None, None, "https", ""])),
        }
        wanted = outcome(wz, theirs.build, endpoint, **options)
        for _ in range(2):  # the second answer may come from the compiled builder
            assert outcome(ours, mine.build, endpoint, **options) == wanted
