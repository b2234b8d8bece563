"""Recipes: the URLs of an endpoint as one Python function, written at the first URL.

Owns the text of these functions. Must not know hosts, requests, or how paths are matched.

Theory of operation. A recipe takes what stands before the path, the values, the method that is asked for (or None),
the one that is preferred then, and whether unknown values become the query. It returns the URL by the first rule that
is suitable, or None. For `/item/<int:id>` and `/item/<int:id>/<name>` it is

    def generated(p, v, method, default_method, unknown, k0=[<to_url>, ...], k1="id", k2="name", k3="/item/", k4="/"):
        a0 = v.get(k1)
        a1 = v.get(k2)
        if a0 is not None and a1 is not None:
            t = f"{p}{k3}{a0 if type(a0) is int else k0[0](a0)}{k4}{a1 if type(a1) is str and ... else ...}"
            if len(v) != 2 and unknown:
                t += k0[1](v)
            return t
        if a0 is not None:
            ...
        return None

What it cannot do raises KeyError, ValueError or TypeError; `URLBuilder` then builds rule by rule, and says what is
wrong. Nothing of a rule's text stands in the source (`generated.py`). Written and compiled in 0.3 ms (a known shape:
0.1), once for each endpoint whose URL is built; without recipes, two ints cost 0.30 of Werkzeug's time, one of three
rules 1.3.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from .converters import BaseConverter, NumberConverter
from .generated import FunctionText
from .patterns import Variable
from .quoting import CHARACTERS_IN_PATH, find_unsafe_in_path, query_maker, quote_path
from .rules import Rule

__all__ = ["Recipe", "recipe_of"]

# An endpoint with more rules, or rules with more variables, is built rule by rule: a function's text stays bounded.
MAX_RULES: Final = 32
MAX_VARIABLES: Final = 64
_SLASH: Final = "/"


RecipeFunction = Callable[[str, Mapping[str, Any], str | None, str, bool], Any]
# How an endpoint's URLs are built:
# - the domain part of all of them; None if the function returns domain part, path, and whether it is a WebSocket;
# - the path without values; None if it takes some;
# - the function.
# PERF: a plain tuple; one with named fields is unpacked 60 ns slower.
Recipe = tuple[str | None, str | None, RecipeFunction]


def recipe_of(rules: Sequence[Any], settings: Any) -> Recipe | None:
    """Return the recipe of an endpoint's rules, in the order in which they are tried, or None if it must do without."""
    for rule in rules:
        kind = type(rule)
        if kind.build is not Rule.build or kind.suitable_for is not Rule.suitable_for:
            return None
        if len(rule.arguments) > MAX_VARIABLES:
            return None
    if not 1 <= len(rules) <= (1 if settings.host_matching else MAX_RULES):
        return None  # with host matching, a rule on the bound host comes before the others
    websocket = rules[0].websocket
    if any(rule.websocket is not websocket for rule in rules):
        return None
    tokens = rules[0]._domain_tokens
    constant = not any(isinstance(token, Variable) for token in tokens)
    constant = constant and not websocket and all(rule._domain_tokens == tokens for rule in rules)
    return _Writer(rules, settings).write("".join(map(quote_path, tokens)) if constant else None)


class _Writer(FunctionText):
    """Writes one recipe."""

    def __init__(self, rules: Sequence[Any], settings: Any) -> None:
        super().__init__("p, v, method, default_method, unknown")
        self.rules = rules
        self.settings = settings
        self.arguments: dict[str, str] = {}
        # PERF: what is seldom needed is one constant: each costs a call 2 ns.
        self.seldom: list[Any] = []
        self.constant(self.seldom)

    def rare(self, value: Any) -> str:
        """Return the expression for an object that most calls do not need."""
        if not any(value is known for known in self.seldom):
            self.seldom.append(value)
        number = next(number for number, known in enumerate(self.seldom) if known is value)
        return f"{self.constant(self.seldom)}[{number}]"

    def write(self, domain: str | None) -> Recipe:
        """Return the finished recipe."""
        alone = len(self.rules) == 1
        for rule in self.rules:
            for name in sorted(rule.arguments):
                if name not in self.arguments:
                    self.arguments[name] = f"a{len(self.arguments)}"
                    key = self.constant(name)
                    required = alone and name not in (rule.defaults or ())  # its KeyError is the BuildError's reason
                    self.line(1, f"{self.arguments[name]} = {f'v[{key}]' if required else f'v.get({key})'}")
        if any(rule.methods != self.rules[0].methods for rule in self.rules):
            self.line(1, "m = default_method if method is None else method")
            for rule in self.rules:
                self._rule(rule, domain is None, "m in {}")
            self.line(1, "if method is not None:")
            self.line(2, "return None")
        for rule in self.rules:
            self._rule(rule, domain is None, "method is None or method in {}")
        build = self.function()
        constant = None
        if alone and domain is not None and self.rules[0].arguments <= set(self.rules[0].defaults or ()):
            constant = build("", {}, None, "", False)
        return domain, constant, build

    def _rule(self, rule: Any, with_domain: bool, by_method: str) -> None:
        defaults = rule.defaults or {}
        required = [self.arguments[name] for name in sorted(rule.arguments) if name not in defaults]
        conditions = [f"{argument} is not None" for argument in required]
        for name, default in defaults.items():
            argument = self.arguments[name]
            conditions.append(f"({argument} is None or {argument} == {self.constant(default)})")
        if rule.methods is not None:
            conditions.append(f"({by_method.format(self.rare(rule.methods))})")
        indent = 1
        if conditions:
            self.line(1, f"if {' and '.join(conditions)}:")
            indent = 2
        path = list(rule._path_tokens)
        pieces = self._pieces(path, defaults, is_path=True)
        if self._may_start_with_slashes(path, defaults):
            # A value with a leading slash must not become a host.
            slash = self.constant(_SLASH)
            self.line(indent, f"t = {_joined(pieces)}")
            self.line(indent, f"if t[1:2] == {slash}:")
            self.line(indent + 1, f"t = {slash} + t.lstrip({slash})")
            self.line(indent, "t = p + t")
        else:
            self.line(indent, f"t = {_joined(['p', *pieces])}")
        known = " + ".join([str(len(required)), *[f"({self.arguments[name]} is not None)" for name in defaults]])
        query = self.rare(query_maker(self.settings, rule.arguments))
        self.line(indent, f"if len(v) != {known} and unknown:")
        self.line(indent + 1, f"t += {query}(v)")
        if with_domain:
            domain = _joined(self._pieces(rule._domain_tokens, defaults, is_path=False))
            self.line(indent, f"return {domain}, t, {bool(rule.websocket)}")
        else:
            self.line(indent, "return t")

    def _pieces(self, tokens: Iterable[str | Variable], defaults: Mapping[str, Any], is_path: bool) -> list[str]:
        """Return the expressions for the pieces of a path or a domain."""
        pieces: list[str] = []
        text = ""
        for token in tokens:
            if isinstance(token, Variable) and token.name not in defaults:
                if text:
                    pieces.append(self.constant(sys.intern(text)))
                    text = ""
                pieces.append(self._value(self.arguments[token.name], token.converter))
            elif isinstance(token, Variable):
                text += token.converter.to_url(defaults[token.name])
            else:
                text += quote_path(token)
            if is_path and not pieces:
                text = "/" + text.lstrip("/")
        if text or not pieces:
            pieces.append(self.constant(sys.intern(text)))
        return pieces

    def _value(self, argument: str, converter: Any) -> str:
        """Return the expression for a variable's text."""
        kind = type(converter)
        if kind.to_url is BaseConverter.to_url:
            plain = f"{self.constant(find_unsafe_in_path)}({argument}) is None"
            if converter.part_isolating:  # often a single word
                plain = f"{argument}.isalnum() or {plain}"
            quoted = f"{self.rare(quote_path)}({argument})"
            text = (
                f"({argument} if {plain} else {quoted}) if {argument}.isascii() "
                f"else {argument}.translate({self.constant(CHARACTERS_IN_PATH)})"
            )
            return f"({text}) if type({argument}) is str else {quoted}"
        to_url = self.rare(converter.to_url)
        if kind.to_url is NumberConverter.to_url and kind.num_convert is int and not converter.fixed_digits:
            return f"{argument} if type({argument}) is int else {to_url}({argument})"
        return f"{to_url}({argument})"

    @staticmethod
    def _may_start_with_slashes(tokens: Sequence[str | Variable], defaults: Mapping[str, Any]) -> bool:
        """Whether nothing but slashes stands before the first variable."""
        for token in tokens:
            if isinstance(token, Variable):
                kind = type(token.converter)
                if token.name not in defaults:
                    return not (
                        issubclass(kind, NumberConverter)
                        and kind.to_url is NumberConverter.to_url
                        and kind.num_convert is int
                    )
                token = token.converter.to_url(defaults[token.name])
            if token.strip("/"):
                return False
        return False


def _joined(pieces: Sequence[str]) -> str:
    """Return the expression for the text of some pieces."""
    return pieces[0] if len(pieces) == 1 else 'f"' + "".join([f"{{{piece}}}" for piece in pieces]) + '"'
