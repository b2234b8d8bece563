"""Errors and signals of routing.

Owns every exception that matching and building raise, apart from NotFound and MethodNotAllowed
(`http/errors.py`), and the message for a misspelt rule. Must not know how rules are stored or matched.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ..http.errors import BadRequest, HTTPException
from ..lazy import LazyModule

if TYPE_CHECKING:
    import difflib
else:
    difflib = LazyModule("difflib")

__all__ = [
    "BuildError",
    "DefaultsRedirect",
    "NoMatch",
    "RedirectRequired",
    "RequestAliasRedirect",
    "RequestPath",
    "RequestRedirect",
    "RoutingException",
    "RuleRedirect",
    "WebsocketMismatch",
    "point_at",
]


class RuleLike(Protocol):
    """What errors read of a rule."""

    endpoint: Any
    arguments: frozenset[str]
    defaults: Mapping[str, Any] | None
    methods: frozenset[str] | None


def point_at(message: str, rule: str, start: int, end: int, hint: str = "") -> str:
    """Return a message: what is wrong, the rule, a caret line under the place, what to write instead."""
    carets = " " * start + "^" * max(1, end - start)
    return f"{message}\n    {rule}\n    {carets}" + (f"\n{hint}" if hint else "")


class RoutingException(Exception):
    """Base of what routing raises that is not an error of the client."""


class RequestRedirect(HTTPException, RoutingException):
    """Ask for the same request at `new_url`, an absolute URL (308, RFC 9110 section 15.4.9)."""

    code = 308

    def __init__(self, new_url: str) -> None:
        super().__init__(new_url)
        self.new_url = new_url

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Return the headers of the redirect, Location included."""
        return [*super().get_headers(environ, scope), ("Location", self.new_url)]


class RedirectRequired(RoutingException):
    """Raised by `Map.find`: a redirect is due; `MapAdapter.redirect_for` knows the host and makes its URL."""


class RequestPath(RedirectRequired):
    """The same request is answered at another path: a missing final slash, or slashes to merge.

    `path_info` is decoded text that starts with a slash.
    """

    def __init__(self, path_info: str) -> None:
        super().__init__(path_info)
        self.path_info = path_info


class RequestAliasRedirect(RedirectRequired):
    """The rule that matched is an alias: the endpoint's canonical URL is wanted."""

    def __init__(self, matched_values: Mapping[str, Any], endpoint: Any) -> None:
        super().__init__(matched_values, endpoint)
        self.matched_values = matched_values
        self.endpoint = endpoint


class DefaultsRedirect(RedirectRequired):
    """The values that matched are another rule's defaults: that rule's shorter URL is wanted."""

    def __init__(self, rule: Any, values: Mapping[str, Any]) -> None:
        super().__init__(rule, values)
        self.rule = rule
        self.values = values


class RuleRedirect(RedirectRequired):
    """The rule that matched has `redirect_to`."""

    def __init__(self, rule: Any, values: Mapping[str, Any]) -> None:
        super().__init__(rule, values)
        self.rule = rule
        self.values = values


class NoMatch(Exception):
    """No rule answers.

    `have_match_for` are the methods that would have been answered, `websocket_mismatch` says that a rule
    for the other kind of connection would have.
    """

    def __init__(self, have_match_for: Set[str], websocket_mismatch: bool) -> None:
        super().__init__(have_match_for, websocket_mismatch)
        self.have_match_for = have_match_for
        self.websocket_mismatch = websocket_mismatch


class WebsocketMismatch(BadRequest):
    """The path matches, but its rule is for WebSocket and the request is HTTP, or the reverse."""


class BuildError(RoutingException, LookupError):
    """No rule builds a URL for this endpoint from these values.

    Its message names the closest endpoint and the values that are missing.
    """

    def __init__(self, endpoint: Any, values: Mapping[str, Any], method: str | None, adapter: Any = None) -> None:
        super().__init__(endpoint, values, method)
        self.endpoint = endpoint
        self.values = values
        self.method = method
        self.adapter = adapter

    @cached_property
    def suggested(self) -> Any:
        """The rule that was probably meant, or None if the map is empty."""
        return self.closest_rule(self.adapter)

    def closest_rule(self, adapter: Any) -> Any:
        """Return the rule with the most similar endpoint; values and method decide between equals."""
        rules: list[Any] = list(adapter.map._rules) if adapter is not None else []
        if not rules:
            return None
        return max(self._rules_with_closest_endpoint(rules), key=self._fitness)

    def _rules_with_closest_endpoint(self, rules: list[Any]) -> list[Any]:
        exact = [rule for rule in rules if rule.endpoint == self.endpoint]
        if exact:
            return exact
        by_name: dict[str, list[Any]] = {}
        for rule in rules:
            by_name.setdefault(str(rule.endpoint), []).append(rule)
        best, best_ratio = next(iter(by_name)), -1.0
        matcher: difflib.SequenceMatcher[str] = difflib.SequenceMatcher(None)
        matcher.set_seq2(str(self.endpoint))
        for name in by_name:
            matcher.set_seq1(name)
            # The two upper bounds spare the quadratic comparison for nearly every one of thousands of
            # endpoints.
            if matcher.real_quick_ratio() > best_ratio and matcher.quick_ratio() > best_ratio:
                ratio = matcher.ratio()
                if ratio > best_ratio:
                    best, best_ratio = name, ratio
        return by_name[best]

    def _fitness(self, rule: RuleLike) -> tuple[bool, bool]:
        return set(self.values or ()) <= rule.arguments, bool(rule.methods and self.method in rule.methods)

    def __str__(self) -> str:
        message = [f"Could not build url for endpoint {self.endpoint!r}"]
        if self.method:
            message.append(f" ({self.method!r})")
        if self.values:
            message.append(f" with values {sorted(self.values)!r}")
        message.append(".")
        rule = self.suggested
        if rule is None:
            message.append(" The map has no rules: add one, or check that the blueprint is registered.")
        elif rule.endpoint != self.endpoint:
            message.append(f" Did you mean {rule.endpoint!r} instead?")
        else:
            message.extend(self._explain(rule))
        return "".join(message)

    def _explain(self, rule: RuleLike) -> list[str]:
        hints = []
        if self.method and rule.methods is not None and self.method not in rule.methods:
            hints.append(f" Did you mean to use methods {sorted(rule.methods)!r}?")
        missing = rule.arguments - set(self.values) - set(rule.defaults or ())
        if missing:
            hints.append(f" Did you forget to specify values {sorted(missing)!r}? The rule is {str(rule)!r}.")
        for name, default in (rule.defaults or {}).items():
            if name in self.values and self.values[name] != default:
                hints.append(f" The rule {str(rule)!r} is only for {name}={default!r}.")
        return hints
