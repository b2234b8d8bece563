"""The segment tree: finds the rule for a path.

Owns the order in which rules are tried, backtracking, and the patterns for placeholders. Must not know URLs,
hosts or HTTP requests.

Theory of operation. A rule is cut at its slashes into parts: plain text, or a `Placeholder`. The tree has a
node per part; a path's segments lead from node to node. At each node literal text is tried first, then the
placeholders by weight, in Werkzeug's order. A part with a converter that takes slashes runs to the end of the
path. Each node is reached by one way only, so that a search visits no node twice: its cost is bounded by the
tree, never by the path, and the patterns that cross slashes are written so that they do not backtrack.

Three speeds: `static` answers a rule without placeholders by its whole path; `lanes.py` makes a function of a
subtree, which answers hits and misses; `Search` does the whole of the language (backtracking, 405, slash redirects) and
explains failures. Only rules without redirects of their own are in the first two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from .converters import ValidationError
from .errors import (
    NoMatch,
    RequestAliasRedirect,
    RequestPath,
)
from .lanes import MAX_CHAIN, Lanes, Stop
from .nodes import COMMON_METHODS, Node
from .patterns import Element, Placeholder, Variable, cut
from .rules import Rule

__all__ = ["NO_STATIC", "Start", "StateMachineMatcher", "Static"]

_SLASHES_RE = re.compile("/{2,}")

# A domain's rules without placeholders, by method and path.
Static = dict[str, dict[str, Rule]]
# The common methods are always there: to look there is no KeyError.
NO_STATIC: Final[Static] = dict.fromkeys(COMMON_METHODS, {})


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
            after = depth + 1
            text = segments[depth]
            if placeholder.final:
                text = "/".join(segments[depth:])
                after = len(segments)
                if placeholder.suffixed:
                    # The slash that its rule ends with is the path's empty last segment, or is missing.
                    if text.endswith("/"):
                        text = text[:-1]
                        after -= 1
                    if text.endswith("/"):
                        continue
            found = placeholder.values(text)
            if found is None:
                continue
            values.extend(found)
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
        self.texts: dict[str, str] = {}

    def grow(self, rules: Iterable[Rule]) -> Node:
        """Return the root of the finished tree."""
        for rule in rules:
            node = self.root
            for pattern in (rule._domain_tokens, rule._path_tokens):
                for part in cut(pattern, self._placeholder):
                    node = self._child(node, part)
            node.rules += (rule,)
        for node in self.nodes:
            if node.edges:
                node.edges = tuple(sorted(node.edges, key=lambda edge: edge[0].weight))
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
                node.edges += ((part, child),)
                self.behind[id(node), part.key] = child
            else:
                part = self.texts.setdefault(part, part)  # one "posts" for thousands of rules
                if node.static:
                    node.static[part] = child
                else:
                    node.static = {part: child}
        return child


# Where a domain's lanes begin: by the path's first segment; and, at "", for any other.
Start = tuple[dict[str, Stop], dict[str, Stop]]


class SlashRequired(Exception):
    """The path lacks its final slash."""


class StateMachineMatcher:
    """The tree over some rules.

    Args:
        merge_slashes: look for a path with `//` under the path with `/` as well.
        rules: the first rules.
    """

    def __init__(self, merge_slashes: bool, rules: Iterable[Rule] = ()) -> None:
        self.merge_slashes = merge_slashes
        self._rules = list(rules)
        self.update()

    def add(self, rule: Rule) -> None:
        """Add a bound rule; it is found after the next `update`."""
        self._rules.append(rule)

    def update(self) -> None:
        """Make the tree. A map makes a matcher and its tree at once, and never changes them."""
        rules = self._rules
        self.root = _Tree().grow(rules)
        # The rules without placeholders and defaults, by domain.
        self.static: dict[str, Static] = {}
        self.longest_static = 0  # characters of a path
        for rule in rules:
            if not any(isinstance(token, Variable) for token in rule._domain_tokens + rule._path_tokens):
                self._add_static(rule)
        # By domain; none if a placeholder in some domain might answer as well.
        self.starts: dict[str, Start] = {}
        if not self.root.edges:
            lanes = Lanes()
            for domain, node in self.root.static.items():
                self.starts[domain] = _start(lanes, node.static[""])

    def _add_static(self, rule: Rule) -> None:
        domain = str(rule._domain_tokens[0]) if rule._domain_tokens else ""
        path = str(rule._path_tokens[0])
        node = self.root.static[domain]
        for segment in path.split("/"):
            node = node.static[segment]
        if rule is not node.rules[0]:
            return
        self.longest_static = max(self.longest_static, len(path))
        by_method = self.static.setdefault(domain, dict(NO_STATIC))
        for method, ending in node.endings().items():
            if ending is not None and not ending.defaults:
                by_method[method] = by_method.get(method) or {}
                by_method[method][path] = ending

    def match(self, domain: str, path: str, method: str, websocket: bool) -> tuple[Rule, dict[str, Any]]:
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


def _start(lanes: Lanes, node: Node) -> Start:
    ways: dict[str, Stop] = {}
    if len(node.static) > MAX_CHAIN and not node.edges:
        # PERF: the root's own lane would only look here: 50 ns.
        for literal, child in node.static.items():
            ways[literal] = lanes.stop(ways, literal, child)
        return ways, {}
    rest: dict[str, Stop] = {}
    rest[""] = lanes.stop(rest, "", node)
    return ways, rest


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
