"""The hot path of matching: the rule for a request, at full speed where the tree is straight.

Owns what a request costs, and what a match means in HTTP (404, 405, 400). Must not know hosts, nor how rules
are registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..http.errors import MethodNotAllowed, NotFound
from .errors import DefaultsRedirect, NoMatch, RuleRedirect, WebsocketMismatch
from .matcher import Ending, Matcher, Node
from .rules import Rule

__all__ = ["Finder"]


class Finder:
    """The matching half of `Map`."""

    redirect_defaults: bool

    def use_matcher(self, matcher: Matcher | None) -> None:
        """Match with this tree from now on; None has it asked for (`ready_matcher`) at the next match."""
        static = {} if matcher is None else matcher.static
        self._matcher = matcher
        self._static_by_domain = static
        self._static: dict[str, dict[str, Ending | None]] = static.get("", {})
        self._starts: dict[str, Node] = {} if matcher is None else matcher.starts

    def ready_matcher(self) -> Matcher:
        """Return the tree over the rules of this moment."""
        raise NotImplementedError()

    def find(self, path: str, method: str, domain: str = "", websocket: bool = False) -> tuple[Rule, dict[str, Any]]:
        """Return the rule for a request and a new dictionary of its arguments.

        Args:
            path: decoded text that starts with a slash.
            method: in capitals.
            domain: the subdomain, or the host with host matching.
            websocket: the request is a WebSocket's.

        Raises:
            NotFound: no rule has this path.
            MethodNotAllowed: no rule with this path has this method.
            WebsocketMismatch: the rule is for the other kind of connection.
            RedirectRequired: `MapAdapter.redirect_for` makes a `RequestRedirect` of it.
        """
        # PERF: one function, `in` and a subscript instead of get(), the first test and up to two arguments
        # without a loop: 1,300 -> 1,000 ns (benchmarks: two converters among 300 rules; a static hit 190).
        if websocket:
            return self._search(path, method, domain, websocket)
        endings = self._static.get(path) if not domain else self._static_by_domain.get(domain, {}).get(path)
        if endings is not None:
            ending = endings.get(method)
            if ending is not None:
                defaults = ending[2]
                return ending[0], {} if defaults is None else dict(defaults)
            return self._search(path, method, domain, websocket)
        starts = self._starts
        if domain not in starts:
            return self._search(path, method, domain, websocket)
        node = starts[domain]
        values = []
        segments = path.split("/")
        del segments[0]
        for segment in segments:
            ways = node.static
            if segment in ways:
                node = ways[segment]
                continue
            test = node.test
            if test is not None and test(segment):
                node = node.after
            else:
                for test, child in node.tests:
                    if test(segment):
                        node = child
                        break
                else:
                    if not segment or "//" in path:
                        return self._search(path, method, domain, websocket)
                    if node.rest is None or "\n" in path:
                        if node.sure:
                            raise NotFound()
                        return self._search(path, method, domain, websocket)
                    values.append(path.split("/", node.depth - 1)[-1])
                    node = node.rest
                    break
            values.append(segment)
        endings = node.endings
        if method in endings and (ending := endings[method]) is not None:
            rule, plan, defaults = ending
            try:
                if len(plan) == 2:
                    (name, convert), (name2, convert2) = plan
                    first, second = values
                    arguments = {
                        name: first if convert is None else convert(first),
                        name2: second if convert2 is None else convert2(second),
                    }
                else:
                    arguments = {}
                    for (name, convert), first in zip(plan, values):
                        arguments[name] = first if convert is None else convert(first)
                if defaults is not None:
                    arguments.update(defaults)
                return rule, arguments
            except ValueError:  # a converter refuses the text, or fails: `search` knows which
                pass
        return self._search(path, method, domain, websocket)

    def _search(self, path: str, method: str, domain: str, websocket: bool) -> tuple[Rule, dict[str, Any]]:
        try:
            rule, arguments = (self._matcher or self.ready_matcher()).search(path, method, domain, websocket)
        except NoMatch as exc:
            if exc.have_match_for:
                raise MethodNotAllowed(valid_methods=sorted(exc.have_match_for)) from None
            if exc.websocket_mismatch:
                raise WebsocketMismatch() from None
            raise NotFound() from None
        if rule._defaults_rules:
            reason = self.defaults_redirect(rule, arguments, method)
            if reason is not None:
                raise reason
        if rule.redirect_to is not None:
            raise RuleRedirect(rule, arguments)
        return rule, arguments

    def defaults_redirect(self, rule: Rule, values: Mapping[str, Any], method: str) -> DefaultsRedirect | None:
        """Return the redirect to the rule of the same endpoint whose defaults these values are, or None."""
        if self.redirect_defaults:
            for other in rule._defaults_rules:
                if other.suitable_for(values, method):
                    return DefaultsRedirect(other, {**values, **(other.defaults or {})})
        return None
