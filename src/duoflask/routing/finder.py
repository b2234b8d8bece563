"""The hot path of matching: the rule for a request, by the fastest of three ways (`matcher.py`).

Owns what a request costs, and what a match means in HTTP (404, 405, 400). Must not know hosts, nor how rules
are registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..http.errors import MethodNotAllowed
from .errors import DefaultsRedirect, NoMatch, RuleRedirect, WebsocketMismatch
from .lanes import Found
from .matcher import NO_STATIC, Start, StateMachineMatcher, Static
from .rules import Rule

__all__ = ["Finder"]


class Finder:
    """The matching half of `Map`."""

    redirect_defaults: bool

    def use_matcher(self, matcher: StateMachineMatcher | None) -> None:
        """Match with this tree from now on; None has it asked for (`ready_matcher`) at the next match."""
        static = {} if matcher is None else matcher.static
        self._matcher = matcher
        self._static_by_domain: dict[str, Static] = static
        self._static: Static = static.get("", NO_STATIC)
        self._longest_static = 0 if matcher is None else matcher.longest_static
        self._starts: dict[str, Start] = {} if matcher is None else matcher.starts
        # None: every path is searched for
        self._start: Start | None = self._starts.get("")

    def ready_matcher(self) -> StateMachineMatcher:
        """Return the tree over the rules of this moment."""
        raise NotImplementedError()

    def find(self, path: str, method: str, domain: str = "", websocket: bool = False) -> Found | None:
        """Return the rule for a request and a new dictionary of its arguments; None: no rule has this path.

        Args:
            path: decoded text that starts with a slash.
            method: in capitals.
            domain: the subdomain, or the host with host matching.
            websocket: the request is a WebSocket's.

        Raises:
            MethodNotAllowed: no rule with this path has this method.
            WebsocketMismatch: the rule is for the other kind of connection.
            RedirectRequired: `MapAdapter.redirect_for` makes a `RequestRedirect` of it.
        """
        # PERF: a miss is no exception: 1.2 -> 0.3 us (benchmarks/routing.py).
        if websocket:
            return self._search(path, method, domain, websocket)
        if domain:
            static, start = self._static_by_domain.get(domain, NO_STATIC), self._starts.get(domain)
        else:
            static, start = self._static, self._start
        # PERF: a longer path is not hashed, and does not wait for the table's memory: two converters take 50 ns less
        # among 10 rules, 100 less among 10,000.
        if len(path) <= self._longest_static:
            try:
                if path in (rules := static[method]):
                    return rules[path], {}
            except KeyError:  # a rare method
                pass
        if start is not None:
            segments = path.split("/")
            try:
                ways, rest = start
                stop = ways[segments[1]] if segments[1] in ways else rest.get("")
                found = None if stop is None else stop[0](segments, len(segments), method, stop)
            except (ValueError, IndexError):  # a converter refuses the text, or fails: `_search` knows which
                found = False
            if found or (found is None and "//" not in path):
                return found
        return self._search(path, method, domain, websocket)

    def _search(self, path: str, method: str, domain: str, websocket: bool) -> Found | None:
        try:
            rule, arguments = (self._matcher or self.ready_matcher()).match(domain, path, method, websocket)
        except NoMatch as exc:
            if exc.have_match_for:
                raise MethodNotAllowed(valid_methods=sorted(exc.have_match_for)) from None
            if exc.websocket_mismatch:
                raise WebsocketMismatch() from None
            return None
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
