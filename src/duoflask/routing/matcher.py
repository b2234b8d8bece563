"""The segment tree: finds the rule for a path.

Owns the order in which rules are tried, backtracking, and the patterns for placeholders. Must not know URLs,
hosts or HTTP requests.

Theory of operation. A rule is cut at its slashes into parts: plain text, or a `Placeholder`. The tree has a
node per part; a path's segments lead from node to node. At each node literal text is tried first, then the
placeholders by weight, in Werkzeug's order. A part with a converter that takes slashes runs to the end of the
path. Each node is reached by one way only, so that a search visits no node twice: its cost is bounded by the
tree, never by the path, and the patterns that cross slashes are written so that they do not backtrack.

Three speeds, the first two of them in `finder.py`: `static` answers a rule without placeholders by its whole
path; `find` walks straight down and gives up at the first obstacle; `Search` does the whole of the language
(backtracking, 405, slash redirects) and explains failures. Only rules without redirects of their own are in
the first two.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .converters import (
    BaseConverter,
    FloatConverter,
    IntegerConverter,
    NumberConverter,
    ValidationError,
)
from .errors import (
    NoMatch,
    RequestAliasRedirect,
    RequestPath,
)
from .patterns import Element, Placeholder, Variable, cut
from .rules import Rule

__all__ = ["Ending", "Matcher", "Node", "Plan"]

_SLASHES_RE = re.compile("/{2,}")
# A rule without methods answers to all; these are the ones that its node answers at full speed.
_COMMON_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

# The name of each argument, and the function that makes its value; None leaves the text.
Plan = tuple[tuple[str, Callable[[str], Any] | None], ...]
# What a match at full speed needs: the rule, its plan, its defaults.
Ending = tuple[Rule, Plan, Mapping[str, Any] | None]

# Shared by the nodes that have none: half a kilobyte a rule.
_NO_NODES: dict[str, Node] = {}
_NO_ENDINGS: dict[str, Ending | None] = {}


class Node:
    """A place in the tree: the ways on, and the rules that end here.

    Attributes:
        static: where literal segments lead.
        edges: where placeholders lead, in the order in which they are tried.
        rules: what ends here, in the order of registration.
        depth: number of segments before it.
        endings: for `find`, by method; None is a rule that `find` must not answer.
        test, after, tests: for `find`, the first placeholder's test and where it leads; the others'.
        rest: for `find`, where one trailing `path` variable leads.
        sure: no other way through the tree may match a path that leads here, so that a dead end is a miss.
    """

    __slots__ = ("after", "depth", "edges", "endings", "rest", "rules", "static", "sure", "test", "tests")

    def __init__(self, depth: int) -> None:
        self.static: dict[str, Node] = _NO_NODES
        self.edges: Sequence[tuple[Placeholder, Node]] = ()
        self.rules: tuple[Rule, ...] = ()
        self.depth = depth
        self.endings: dict[str, Ending | None] = _NO_ENDINGS
        self.test: Callable[[str], Any] | None = None
        self.after: Node = self  # read only if there is a test
        self.tests: tuple[tuple[Callable[[str], Any], Node], ...] = ()
        self.rest: Node | None = None
        self.sure = True

    def freeze(self) -> None:
        """Sort and prepare for matching; parents first."""
        if not self.sure:
            for node in self.static.values():
                node.sure = False
        if self.edges:
            self._freeze_edges()
        if self.rules:
            endings: dict[str, Ending | None] = {}
            for rule in self.rules:
                if not rule.websocket:
                    plain = not (rule.alias or rule._defaults_rules or rule.redirect_to is not None)
                    ending = (rule, _plan(rule), rule.defaults or None) if plain else None
                    for method in _COMMON_METHODS if rule.methods is None else rule.methods:
                        endings.setdefault(method, ending)
            self.endings = endings

    def _freeze_edges(self) -> None:
        edges = self.edges = tuple(sorted(self.edges, key=lambda edge: edge[0].weight))
        tests = []
        for placeholder, node in edges:
            test = placeholder.test()
            if test is None:
                self.rest = node if placeholder.is_rest else None
                break
            tests.append((test, node))
        if tests:
            (self.test, self.after), *others = tests
            self.tests = tuple(others)
        for node in self.static.values():
            node.sure = False
        for _, node in edges[:-1]:
            node.sure = False
        if not self.sure:
            edges[-1][1].sure = False
        if len(edges) > len(tests):
            self.sure = False


class Search:
    """One search through the tree for one request, with all of the language."""

    __slots__ = ("allowed", "method", "mismatch", "segments", "values", "websocket")

    def __init__(self, method: str, websocket: bool) -> None:
        self.method = method
        self.websocket = websocket
        self.segments: list[str] = []
        self.values: list[str] = []
        self.allowed: set[str] = set()
        self.mismatch = False

    def run(self, root: Node, segments: list[str]) -> Rule | None:
        """Return the rule for the segments, and leave the variables' texts in `values`."""
        self.segments = segments
        self.values = []
        return self._visit(root, 0)

    def _visit(self, node: Node, depth: int) -> Rule | None:
        segments = self.segments
        if depth == len(segments):
            return self._arrive(node)
        segment = segments[depth]
        child = node.static.get(segment)
        if child is not None:
            rule = self._visit(child, depth + 1)
            if rule is not None:
                return rule
        if node.edges:
            rule = self._try_placeholders(node, depth)
            if rule is not None:
                return rule
        if not segment and depth == len(segments) - 1:
            return self._choose([rule for rule in node.rules if not rule.strict_slashes])
        return None

    def _try_placeholders(self, node: Node, depth: int) -> Rule | None:
        segments, values = self.segments, self.values
        mark = len(values)
        for placeholder, child in node.edges:
            final = placeholder.final
            match = placeholder.match("/".join(segments[depth:]) if final else segments[depth])
            if match is None:
                continue
            after = depth + 1
            if final:
                # The slash that a suffixed pattern found is the path's empty last segment.
                slash = placeholder.suffixed and match[placeholder.pattern.groups]
                after = len(segments) - 1 if slash else len(segments)
            values.extend([match[name] for name in placeholder.groups])
            rule = self._visit(child, after)
            if rule is not None:
                return rule
            del values[mark:]
        return None

    def _arrive(self, node: Node) -> Rule | None:
        """Return the rule that ends here, or the non-strict one that ends with a slash more.

        Raises:
            SlashRequired: a strict rule ends with a slash more.
        """
        rule = self._choose(node.rules)
        branch = node.static.get("")
        if rule is not None or branch is None:
            return rule
        for rule in branch.rules:
            if rule.websocket == self.websocket and (rule.methods is None or self.method in rule.methods):
                if rule.strict_slashes:
                    raise SlashRequired
                return rule
        return None

    def _choose(self, rules: Iterable[Rule]) -> Rule | None:
        for rule in rules:
            if rule.methods is not None and self.method not in rule.methods:
                self.allowed |= rule.methods
            elif rule.websocket != self.websocket:
                self.mismatch = True
            else:
                return rule
        return None


class _Tree:
    """A tree while it grows."""

    def __init__(self) -> None:
        self.root = Node(0)
        self.nodes = [self.root]
        self.behind: dict[tuple[int, tuple[Any, ...]], Node] = {}
        self.placeholders: dict[tuple[Any, ...], Placeholder] = {}

    def grow(self, rules: Iterable[Rule]) -> Node:
        """Return the root of the finished tree."""
        for rule in rules:
            node = self.root
            for pattern in (rule._domain_tokens, rule._path_tokens):
                for part in cut(pattern, self._placeholder):
                    node = self._child(node, part)
            node.rules += (rule,)
        for node in self.nodes:
            node.freeze()
        return self.root

    def _placeholder(self, elements: list[Element], final: bool, last: bool) -> Placeholder:
        """Return the one placeholder of this kind: thousands of rules share a few."""
        kind = (final, last, *[item if isinstance(item, str) else id(item.converter) for item in elements])
        known = self.placeholders.get(kind)
        if known is None:
            known = self.placeholders[kind] = Placeholder(elements, final, last)
        return known

    def _child(self, node: Node, part: str | Placeholder) -> Node:
        child = node.static.get(part) if isinstance(part, str) else self.behind.get((id(node), part.key))
        if child is None:
            child = Node(node.depth + 1)
            self.nodes.append(child)
            if not isinstance(part, str):
                if isinstance(node.edges, list):
                    node.edges.append((part, child))
                else:
                    node.edges = [(part, child)]
                self.behind[id(node), part.key] = child
            elif node.static:
                node.static[part] = child
            else:
                node.static = {part: child}
        return child


class SlashRequired(Exception):
    """The path lacks its final slash."""


class Matcher:
    """The tree over the rules of a map at one moment; it never changes once made."""

    def __init__(self, rules: Iterable[Rule], merge_slashes: bool) -> None:
        self.merge_slashes = merge_slashes
        rules = list(rules)
        self.root = _Tree().grow(rules)
        self.static: dict[str, dict[str, dict[str, Ending | None]]] = {}
        for rule in rules:
            if not any(isinstance(token, Variable) for token in rule._domain_tokens + rule._path_tokens):
                domain = str(rule._domain_tokens[0]) if rule._domain_tokens else ""
                path = str(rule._path_tokens[0])
                self.static.setdefault(domain, {})[path] = self._end(domain, path).endings
        # Where `find` starts, by domain; nowhere if a placeholder in some domain might answer as well.
        self.starts: dict[str, Node] = {}
        if not self.root.edges:
            self.starts = {domain: node.static[""] for domain, node in self.root.static.items()}

    def _end(self, domain: str, path: str) -> Node:
        node = self.root.static[domain]
        for segment in path.split("/"):
            node = node.static[segment]
        return node

    def search(self, path: str, method: str, domain: str, websocket: bool) -> tuple[Rule, dict[str, Any]]:
        """Return the rule and its arguments.

        Raises:
            NoMatch: there is none.
            RedirectRequired: there is one at another path.
        """
        search = Search(method, websocket)
        try:
            rule = search.run(self.root, [domain, *path.split("/")])
            if rule is not None:
                return rule, _arguments(rule, search)
            if self.merge_slashes and "//" in path:
                path = _SLASHES_RE.sub("/", path)
                rule = search.run(self.root, [domain, *path.split("/")])
                if rule is not None and rule.merge_slashes:
                    raise RequestPath(path)
        except SlashRequired:
            raise RequestPath(path + "/") from None
        raise NoMatch(search.allowed, search.mismatch)


def _arguments(rule: Rule, search: Search) -> dict[str, Any]:
    arguments = {}
    for (name, converter), value in zip(rule._converters.items(), search.values):
        try:
            arguments[name] = converter.to_python(value)
        except ValidationError as exc:
            raise NoMatch(search.allowed, search.mismatch) from exc
    if rule.defaults:
        arguments.update(rule.defaults)
    if rule.alias and rule.map.redirect_defaults:
        raise RequestAliasRedirect(arguments, rule.endpoint)
    return arguments


def _plan(rule: Rule) -> Plan:
    tokens = rule._domain_tokens + rule._path_tokens
    return tuple([(item.name, _to_python(item.converter)) for item in tokens if isinstance(item, Variable)])


def _to_python(converter: BaseConverter) -> Callable[[str], Any] | None:
    """Return the cheapest function that does what `to_python` does with a text that matched."""
    kind = type(converter)
    if isinstance(converter, NumberConverter) and kind in (IntegerConverter, FloatConverter):
        plain = not converter.fixed_digits and converter.min is None and converter.max is None
        return converter.to_python if not plain else int if kind is IntegerConverter else float
    if kind.to_python is BaseConverter.to_python:
        return None
    return converter.to_python
