"""Whatever rules and paths are drawn, matching and building answer as Werkzeug's do.

`DUOFLASK_FUZZ=100000` draws that many paths and as many builds; the default is 2,400.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import pytest
import werkzeug.datastructures as wzd
import werkzeug.exceptions as wz_errors
import werkzeug.routing as wz
from hypothesis import HealthCheck, given, reject, settings, strategies as st

import duoflask.http.errors as errors
import duoflask.http.multidict as multidict
import duoflask.routing as ours

CASES = int(os.environ.get("DUOFLASK_FUZZ", "2400"))
PER_EXAMPLE = 16
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
    "<wide:{}>",
    "<times(3):{}>",
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
METHODS = [None, None, ["GET"], ["POST"], ["GET", "POST"], ["PUT", "OPTIONS"], ["BREW"]]


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

    class Wide(module.BaseConverter):  # what `path` is, by another name and before it
        regex = "[^/].*?"
        weight = 150
        part_isolating = False

    class Times(module.IntegerConverter):
        def __init__(self, map: Any, factor: int, **kwargs: Any) -> None:
            super().__init__(map, **kwargs)
            self.factor = factor

        def to_python(self, value: str) -> Any:
            return super().to_python(value) * self.factor

        def to_url(self, value: Any) -> str:
            return super().to_url(int(value) // self.factor)

    return {"two": Two, "low": Low, "wide": Wide, "times": Times}


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


SUBDOMAINS = ["api", "<s>", "<string(length=2):s>", "", "<int:s>.x"]
HOSTS = [None, "example.com", "<s>.example.com", "<string(length=2):s>.example.com", "b.org", "<path:s>"]
REDIRECTS = [
    "new/<{}>",
    "/x/<{}>?q=1",
    "<{}>",
    "../<{}>/./a",
    "http://other.example/<{}>",
    "//other.example/<{}>",
    "plain",
    "callable",
]


def redirect_of(drawn: str) -> Any:
    if drawn != "callable":
        return drawn
    return lambda adapter, **values: f"to/{adapter.default_method}/{len(values)}"


@st.composite
def rule_arguments(draw: st.DrawFn, kept: bool = False) -> dict[str, Any]:
    """What a rule is made of; if kept, only what Werkzeug's factories keep of it."""
    options: dict[str, Any] = {"string": draw(patterns()), "endpoint": draw(st.sampled_from("efgh"))}
    options["methods"] = draw(st.sampled_from(METHODS))
    for name in ("strict_slashes",) if kept else ("strict_slashes", "merge_slashes"):
        value = draw(st.sampled_from([None, None, True, False]))
        if value is not None:
            options[name] = value
    rare = draw(st.integers(0, 14))
    if rare <= 1:
        options["defaults"] = draw(
            st.dictionaries(st.sampled_from("abz"), st.sampled_from([1, 7, "a", "ab"]), min_size=1, max_size=2)
        )
    elif rare == 2:
        options["alias"] = True
    elif rare == 3 and not kept and (options["methods"] is None or options["methods"] == ["GET"]):
        options["websocket"] = True
    elif rare == 4:
        options["build_only"] = True
    elif rare == 5:
        options["subdomain"] = draw(st.sampled_from(SUBDOMAINS))
    elif rare == 6:
        options["host"] = draw(st.sampled_from(HOSTS))
    elif rare == 7:
        target = draw(st.sampled_from(REDIRECTS))
        if "{}" not in target or "a>" in options["string"]:
            options["redirect_to"] = target.format("a")
    return options


@st.composite
def factories(draw: st.DrawFn) -> tuple[str, Any, list[Any]]:
    """A factory by its name, its argument and its rules, which may be factories."""
    kind = draw(st.sampled_from(["Submount", "Subdomain", "EndpointPrefix", "RuleTemplate"]))
    if kind == "RuleTemplate":
        rules = draw(st.lists(rule_arguments(kept=True), min_size=1, max_size=3))
        for rule in rules:
            for unkept in ("redirect_to", "alias", "host"):
                rule.pop(unkept, None)
            rule["string"] = "/$part" + rule["string"]
        return kind, {"part": draw(st.sampled_from(["a", "ab", "<int:n>"]))}, rules
    argument = {
        "Submount": st.sampled_from(["/a", "/ab/", "/<int:m>", "/é", ""]),
        "Subdomain": st.sampled_from(["api", "<u>"]),
        "EndpointPrefix": st.sampled_from(["", "p."]),
    }[kind]
    inner = st.lists(st.one_of(rule_arguments(kept=True), rule_arguments(kept=True), factories()), max_size=3)
    return kind, draw(argument), draw(inner)


RULES = st.lists(st.one_of(*[rule_arguments()] * 7, factories()), max_size=30)
MAPS = st.fixed_dictionaries(
    {
        "rules": RULES,
        "strict_slashes": st.sampled_from([True, True, False]),
        "merge_slashes": st.sampled_from([True, True, False]),
        "redirect_defaults": st.sampled_from([True, True, False]),
        "host_matching": st.sampled_from([False, False, False, True]),
        "default_subdomain": st.sampled_from(["", "", "", "api"]),
        "sort_parameters": st.sampled_from([False, False, True]),
        "sort_key": st.sampled_from([None, lambda pair: (str(pair[1]), pair[0])]),
    }
)
BINDS = st.fixed_dictionaries(
    {
        "server_name": st.sampled_from(
            ["example.com", "example.com", "example.com:8080", "xy.example.com", "B.org", "bücher.example"]
        ),
        "script_name": st.sampled_from(["/", "/app", "/app/"]),
        "subdomain": st.sampled_from([None, None, None, "api", "xy", "zzz"]),
        "url_scheme": st.sampled_from(["http", "http", "https", "ws", "wss", ""]),
        "default_method": st.sampled_from(["GET", "GET", "POST"]),
    }
)
ANY_VALUES = st.dictionaries(
    st.sampled_from("abcdsqzmnu"),
    st.one_of(
        st.sampled_from([1, 7, 1.5, -3, "a", "ab", "b", "no", "x y", "é/&=", None, True, UUID]),
        st.lists(st.sampled_from([1, "a b"]), max_size=3),
    ),
)


@st.composite
def paths(draw: st.DrawFn, rules: list[str]) -> str:
    if rules and draw(st.integers(0, 4)):
        text = draw(st.sampled_from(rules))
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


def make_rule(module: Any, drawn: Any) -> Any:
    if isinstance(drawn, dict):
        options = dict(drawn)
        if "redirect_to" in options:
            options["redirect_to"] = redirect_of(options["redirect_to"])
        return module.Rule(**options)
    kind, argument, rules = drawn
    inner = [make_rule(module, rule) for rule in rules]
    if kind == "RuleTemplate":
        return module.RuleTemplate(inner)(**argument)
    return getattr(module, kind)(argument, inner)


def build_map(module: Any, drawn: dict[str, Any]) -> Any:
    return module.Map(
        [make_rule(module, rule) for rule in drawn["rules"]],
        converters=own_converters(module),
        **{name: value for name, value in drawn.items() if name != "rules"},
    )


def both(drawn: dict[str, Any], bind: dict[str, Any]) -> tuple[Any, Any]:
    if drawn["host_matching"]:
        bind = {**bind, "subdomain": None}
    try:
        theirs = build_map(wz, drawn).bind(**bind)
    except (ValueError, TypeError, SyntaxError):  # a variable twice, a default that its converter refuses
        with pytest.raises((ValueError, TypeError)):
            build_map(ours, drawn)
        reject()
    try:
        return build_map(ours, drawn).bind(**bind), theirs
    except ValueError as exc:
        assert "used twice" in str(exc)  # Werkzeug sees it only if its own name for it is used
        reject()


def strings(bound: Any) -> list[str]:
    return [rule.rule for rule in bound.map.iter_rules()]


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
    except (ValueError, TypeError, KeyError):  # which of several comes first is not compared
        return ("value",)


def assert_same_outcome(mine: Any, theirs: Any) -> None:
    if mine != theirs and theirs[0] == mine[0] == "redirect":
        # Werkzeug lets a value choose the host; ours stays on its own.
        assert urlsplit(theirs[2]).netloc != urlsplit(mine[2]).netloc
        assert "example" in urlsplit(mine[2]).netloc or "b.org" in urlsplit(mine[2]).netloc
        return
    assert mine == theirs


def matched(bound: Any) -> Any:
    """A match of the rule itself, seen as what is the same in both libraries."""

    def match(*args: Any, **kwargs: Any) -> Any:
        rule, arguments = bound.match(*args, return_rule=True, **kwargs)
        return rule.rule, rule.endpoint, rule.methods, arguments

    return match


@FUZZ
@given(data=st.data())
def test_match_answers_as_werkzeug(data: st.DataObject) -> None:
    drawn = data.draw(MAPS)
    bind = data.draw(BINDS)
    mine, theirs = both(drawn, bind)
    assert strings(mine) == strings(theirs)
    for _ in range(PER_EXAMPLE):
        path = data.draw(paths(strings(mine)))
        method = data.draw(st.sampled_from(["GET", "GET", "POST", "HEAD", "PUT", "BREW", "get", None]))
        options = {
            "query_args": data.draw(st.sampled_from([None, None, "a=1&b=%20", {"x": "y z", "l": ["1", "é"]}])),
            "websocket": data.draw(st.sampled_from([None, None, None, True, False])),
        }
        wanted = outcome(wz, matched(theirs), path, method, **options)
        assert_same_outcome(outcome(ours, matched(mine), path, method, **options), wanted)
        for name in ("allowed_methods", "test"):
            assert outcome(ours, getattr(mine, name), path) == outcome(wz, getattr(theirs, name), path)


@FUZZ
@given(data=st.data())
def test_build_answers_as_werkzeug(data: st.DataObject) -> None:
    drawn = data.draw(MAPS)
    bind = data.draw(BINDS)
    mine, theirs = both(drawn, bind)
    for _ in range(PER_EXAMPLE):
        endpoint = data.draw(st.sampled_from(["e", "f", "g", "h", "i", "p.e"]))
        options = {
            "values": data.draw(ANY_VALUES),
            "method": data.draw(st.sampled_from([None, None, "GET", "POST"])),
            "force_external": data.draw(st.booleans()),
            "append_unknown": data.draw(st.sampled_from([True, True, False])),
            "url_scheme": data.draw(st.sampled_from([None, None, "https", "", "ftp"])),
        }
        if data.draw(st.integers(0, 5)) == 0:
            values = options["values"]
            options["values"] = wzd.MultiDict(values)
            wanted = outcome(wz, theirs.build, endpoint, **options)
            options["values"] = multidict.MultiDict(values)
            assert outcome(ours, mine.build, endpoint, **options) == wanted
            continue
        wanted = outcome(wz, theirs.build, endpoint, **options)
        for _ in range(2):  # the second answer may come from the recipe
            assert outcome(ours, mine.build, endpoint, **options) == wanted
