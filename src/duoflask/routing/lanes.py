"""Lanes: a subtree of the segment tree as one Python function, written and compiled at its first visit.

Owns the text of these functions. Must not know HTTP, hosts, or how the tree is made.

Theory of operation. A lane takes the path's segments, their number and the method, and returns

- the rule and a dictionary of its arguments: a hit;
- None: no rule of the subtree has this path;
- False: anything else (the wrong method, a slash too few or too many, a rule with a redirect of its own): `Search`
  walks the tree and knows what that means.

For `/users/<int:id>/posts/<slug>` it is

    def generated(s, n, method, own, k0="users", k1="posts", k2={"GET", "HEAD"}, k3="id", k4=int, k5="slug"):
        if n == 5 and s[1] == k0:
            if s[2].isdecimal():
                if s[3] == k1:
                    if s[4]:
                        if method in k2:
                            return own[1], {k3: k4(s[2]), k5: s[4]}
                        return False
        return None

A converter that refuses a text raises ValueError, which the caller takes as False. The order is that of `Search`:
literal text, then placeholders; what does not return falls through to the next way. Nothing of a rule's text stands
in the source (`generated.py`), and subtrees of one shape share one function. What differs among them, the rules,
stands in a `Stop`: the function and what is its own.

A map is not one function. A node with more than `MAX_CHAIN` literal ways, or with a subtree of more than `MAX_NODES`,
looks its ways up in a dictionary of stops, whose functions are written when the first request comes by: 0.3 ms for a
new shape, 0.1 for a known one. A node with more than `MAX_EDGES` placeholders is left to `Search`. So a lane's text
is bounded whatever the size of the map, and what nobody visits costs an entry in a dictionary. A request among 10,000
rules waits for memory more than for instructions: it touches the dictionary, the stop and the rule, nothing else that
is not touched by every request.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from .generated import FunctionText
from .nodes import Node
from .patterns import Placeholder, Variable
from .rules import Rule

__all__ = ["MAX_CHAIN", "Found", "Lanes", "Stop"]

Found = tuple[Rule, dict[str, Any]]
# A function of segments, their number, method and this tuple; then what is its own.
Stop = tuple[Any, ...]
# Where a variable's text is: the number of its segment and, in a segment of several, its number there.
Source = tuple[int, Placeholder | None, int]

MAX_CHAIN: Final = 3
MAX_NODES: Final = 24
MAX_EDGES: Final = 8
_JOIN: Final = "/".join
_LINE_FEED: Final = "\n"


class Lanes:
    """The lanes of one tree."""

    def __init__(self) -> None:
        self._functions: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self._methods: dict[frozenset[str], frozenset[str]] = {}
        self._opener = self._open  # one bound method for all stops

    def stop(self, ways: dict[Any, Stop], key: Any, node: Node, sources: tuple[Source, ...] = ()) -> Stop:
        """Return what stands at `ways[key]` until the first visit, which puts the node's lane there.

        Args:
            ways: the dictionary.
            key: the key.
            node: where the subtree begins.
            sources: of the variables on the way to it.
        """
        return self._opener, ways, key, node, sources

    def _open(self, segments: list[str], count: int, method: str, own: Stop) -> Any:
        _, ways, key, node, sources = own
        stop = ways[key] = _Writer(self).write(node, sources)
        return stop[0](segments, count, method, stop)

    def function(self, text: FunctionText) -> Callable[..., Any]:
        """Return the function of a lane's text; one for all lanes with this text and these constants."""
        key = (text.source, *map(id, text.constants))  # they stay alive as the function's defaults
        known = self._functions.get(key)
        if known is None:
            known = self._functions[key] = text.function()
        return known

    def methods(self, names: Mapping[str, Any]) -> frozenset[str]:
        """Return the one set of these methods."""
        found = frozenset(names)
        return self._methods.setdefault(found, found)


def _nodes(node: Node, limit: int) -> int:
    """Return the number of nodes of a subtree, or something above the limit."""
    number = 1
    for child in [*node.static.values(), *[child for _, child in node.edges]]:
        if number > limit:
            break
        number += _nodes(child, limit - number)
    return number


def _arrives(node: Node) -> bool:
    branch = node.static.get("")
    return bool(node.rules or (branch is not None and branch.rules))


def _is_lenient(node: Node) -> bool:
    return any(not rule.strict_slashes for rule in node.rules)


def _lengths(node: Node, index: int) -> tuple[int, float]:
    """Return the least and the greatest number of segments for which a subtree has an answer."""
    lengths: list[tuple[int, float]] = []
    if _arrives(node):
        lengths.append((index, index))
    if _is_lenient(node):
        lengths.append((index + 1, index + 1))
    lengths += [_lengths(child, index + 1) for child in node.static.values()]
    for placeholder, child in node.edges:
        lengths.append((index + 1, float("inf")) if placeholder.final else _lengths(child, index + 1))
    return min(low for low, _ in lengths), max(high for _, high in lengths)


class _Writer(FunctionText):
    """Writes one lane."""

    def __init__(self, lanes: Lanes) -> None:
        super().__init__("s, n, method, own")
        self.lanes = lanes
        self.own: list[Any] = [None]
        self.opened: set[int] = set()  # segments of several variables whose texts this lane has as m2, m3, ...

    def write(self, node: Node, sources: tuple[Source, ...]) -> Stop:
        """Return the stop of a node."""
        index = node.depth - 1
        low, high = _lengths(node, index) if _nodes(node, MAX_NODES) <= MAX_NODES else (index, float("inf"))
        if low == high:
            self.line(1, f"if n == {low}:")
            self._body(node, 2, sources, low, high, True)
        else:
            self._body(node, 1, sources, index, float("inf"), True)
        return self.lanes.function(self), *self.own[1:]

    def _own(self, value: Any) -> str:
        """Return the expression for something that only this subtree has."""
        self.own.append(value)
        return f"own[{len(self.own) - 1}]"

    def _body(self, node: Node, indent: int, sources: tuple[Source, ...], low: int, high: float, is_last: bool) -> None:
        before = len(self.lines)
        self._node(node, indent, sources, low, high, is_last)
        if len(self.lines) == before:
            self.line(indent, "pass")

    def _node(self, node: Node, indent: int, sources: tuple[Source, ...], low: int, high: float, is_last: bool) -> None:
        """Write what a node answers.

        Args:
            node: the node.
            indent: of its lines.
            sources: of the variables before it.
            low: least number of segments that the path can have here,
            high: and the greatest.
            is_last: whether what falls through leaves the lane.
        """
        index = node.depth - 1
        if low == index:
            if _arrives(node):
                if high == index:
                    self._arrive(node, indent, sources)
                    return
                self.line(indent, f"if n == {index}:")
                self._arrive(node, indent + 1, sources)
            elif node.static or node.edges:
                self.line(indent, f"if n > {index}:")
                indent += 1
            low = index + 1
        lenient = _is_lenient(node) and low <= index + 1 <= high
        if node.static:
            self._literals(node, indent, sources, low, high, is_last and not node.edges and not lenient)
        if len(node.edges) > MAX_EDGES:
            self.line(indent, "return False")
            return
        for placeholder, child in node.edges:
            self._placeholder(placeholder, child, indent, sources, low, high)
        if lenient:
            self.line(indent, f"if n == {index + 1} and not s[{index}]:")
            self.line(indent + 1, "return False")

    def _literals(
        self, node: Node, indent: int, sources: tuple[Source, ...], low: int, high: float, is_last: bool
    ) -> None:
        index = node.depth - 1
        ways = node.static
        if len(ways) <= MAX_CHAIN and all(_nodes(child, MAX_NODES) <= MAX_NODES for child in ways.values()):
            word = "if"
            for literal, child in ways.items():
                bounds = self._bounds(child, low, high)
                if bounds is not None:
                    test = f"s[{index}] == {self.constant(sys.intern(literal))}" if literal else f"not s[{index}]"
                    self.line(indent, f"{word} {bounds[2]}{test}:")
                    self._body(child, indent + 1, sources, bounds[0], bounds[1], is_last)
                    word = "elif"
            return
        stops: dict[str, Stop] = {}
        for literal, child in ways.items():
            stops[literal] = self.lanes.stop(stops, literal, child, sources)
        self.line(indent, f"x = {self._own(stops)}.get(s[{index}])")
        self.line(indent, "if x is not None:")
        self._call(indent + 1, is_last)

    def _call(self, indent: int, is_last: bool) -> None:
        if is_last:
            self.line(indent, "return x[0](s, n, method, x)")
            return
        self.line(indent, "r = x[0](s, n, method, x)")
        self.line(indent, "if r is not None:")
        self.line(indent + 1, "return r")

    def _bounds(self, child: Node, low: int, high: float) -> tuple[int, float, str] | None:
        """Return the bounds for a child and the test that makes them true, or None if it cannot answer."""
        least, greatest = _lengths(child, child.depth - 1)
        if least > high or greatest < low:
            return None
        if least == greatest:
            return least, least, "" if low == high else f"n == {least} and "
        return max(low, child.depth - 1), high, ""

    def _placeholder(
        self, part: Placeholder, child: Node, indent: int, sources: tuple[Source, ...], low: int, high: float
    ) -> None:
        index = child.depth - 2
        if part.final:
            self._rest(part, child, indent, sources, index)
            return
        large = _nodes(child, MAX_NODES) > MAX_NODES
        bounds = (low, high, "") if large else self._bounds(child, low, high)
        if bounds is None:
            return
        if part.is_variable:
            test = part.quick_test
            if test is bool:
                condition = f"s[{index}]"
            elif test is str.isdecimal:
                condition = f"s[{index}].isdecimal()"
            else:
                condition = f"{self.constant(test)}(s[{index}])"
            sources = (*sources, (index, None, 0))
        else:
            condition = f"(m{index} := {self.constant(part.values)}(s[{index}]))"
            sources = (*sources, *[(index, part, number) for number in range(len(part.variables))])
        self.line(indent, f"if {bounds[2]}{condition}:")
        if large:
            stops: dict[int, Stop] = {}
            stops[0] = self.lanes.stop(stops, 0, child, sources)
            self.line(indent + 1, f"x = {self._own(stops)}[0]")
            self._call(indent + 1, False)
            return
        if not part.is_variable:
            self.opened.add(index)
        self._body(child, indent + 1, sources, bounds[0], bounds[1], False)
        self.opened.discard(index)

    def _rest(self, part: Placeholder, child: Node, indent: int, sources: tuple[Source, ...], index: int) -> None:
        """Write what a placeholder answers that runs to the end of the path."""
        if part.suffixed:
            self.line(indent, "return False")
            return
        join = self.constant(_JOIN)
        if part.is_rest:
            self.line(indent, f"if s[{index}]:")
            self.line(indent + 1, f"t = {join}(s[{index}:])")
            self.line(indent + 1, f"if {self.constant(_LINE_FEED)} in t:")
            self.line(indent + 2, "return False")
            self._arrive(child, indent + 1, (*sources, (-1, None, 0)))
            return
        self.line(indent, f"if (m{index} := {self.constant(part.values)}({join}(s[{index}:]))):")
        self.opened.add(index)
        self._arrive(child, indent + 1, (*sources, *[(index, part, number) for number in range(len(part.variables))]))
        self.opened.discard(index)

    def _text(self, source: Source) -> str:
        index, part, number = source
        if part is None:
            return "t" if index < 0 else f"s[{index}]"
        if index in self.opened:
            return f"m{index}[{number}]"
        return f"{self.constant(part.values)}(s[{index}])[{number}]"

    def _arrive(self, node: Node, indent: int, sources: tuple[Source, ...]) -> None:
        """Write the answer for a path that ends at a node."""
        by_method = node.endings()
        rules = [rule for rule in by_method.values() if rule is not None]
        if not rules or not (sources or any(rule.defaults for rule in rules)):
            # Without variables: it has been found by its path, or has another method.
            self.line(indent, "return False")
            return
        if len(rules) == len(by_method) and all(rule is rules[0] for rule in rules):
            self.line(indent, f"if method in {self.constant(self.lanes.methods(by_method))}:")
            arguments = self._arguments(_plan(rules[0]), sources)
            if rules[0].defaults:
                self.line(indent + 1, f"r = {self._own(rules[0])}")
                self.line(indent + 1, f"a = {arguments}")
                self.line(indent + 1, "a.update(r.defaults)")
                self.line(indent + 1, "return r, a")
            else:
                self.line(indent + 1, f"return {self._own(rules[0])}, {arguments}")
            self.line(indent, "return False")
            return
        self._choose(by_method, indent, sources)

    def _choose(self, by_method: dict[str, Rule | None], indent: int, sources: tuple[Source, ...]) -> None:
        """Write the answer for a path at whose end several rules are."""
        plans = {method: _plan(rule) for method, rule in by_method.items() if rule is not None}
        kinds = list({_identity(plan): plan for plan in plans.values()}.values())
        self.line(indent, f"r = {self._own(by_method)}.get(method)")
        self.line(indent, "if r is None:")
        self.line(indent + 1, "return False")
        if len(kinds) > 1:
            numbers = [_identity(plan) for plan in kinds]
            which = {method: numbers.index(_identity(plan)) for method, plan in plans.items()}
            self.line(indent, f"v = {self._own(which)}[method]")
        for number, plan in enumerate(kinds):
            if number < len(kinds) - 1:
                self.line(indent, f"{'el' if number else ''}if v == {number}:")
            elif number:
                self.line(indent, "else:")
            self.line(indent + (len(kinds) > 1), f"a = {self._arguments(plan, sources)}")
        self.line(indent, "if r.defaults:")
        self.line(indent + 1, "a.update(r.defaults)")
        self.line(indent, "return r, a")

    def _arguments(self, plan: list[tuple[str, Any]], sources: tuple[Source, ...]) -> str:
        items = []
        for (name, convert), source in zip(plan, sources):
            text = self._text(source)
            items.append(
                f"{self.constant(sys.intern(name))}: {text if convert is None else f'{self.constant(convert)}({text})'}"
            )
        return "{" + ", ".join(items) + "}"


def _plan(rule: Rule) -> list[tuple[str, Any]]:
    """Return the name of each argument and the function that makes its value; None leaves the text."""
    return [(item.name, item.converter.quick_to_python()) for item in rule._path_tokens if isinstance(item, Variable)]


def _identity(plan: list[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    # A bound method is a new object each time; it stands for its converter.
    return tuple([(name, id(getattr(convert, "__self__", convert))) for name, convert in plan])
