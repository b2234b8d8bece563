"""URL building: the half of `MapAdapter` that makes URLs, and the URLs of redirects.

Owns the choice among an endpoint's rules, and what stands before the path. Must not know how paths are matched, nor
HTTP requests.

Theory of operation: nearly every endpoint has a recipe (`recipes.py`, kept in `Map.recipes`), which answers at once.
What it does not answer is built rule by rule, by Werkzeug's order; so is every error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

from .errors import (
    BuildError,
    DefaultsRedirect,
    RedirectRequired,
    RequestAliasRedirect,
    RequestPath,
    RequestRedirect,
    RuleRedirect,
)
from .patterns import Variable
from .quoting import encode_query, quote_path
from .recipes import RecipeFunction
from .rules import PLACEHOLDER_RE

__all__ = ["URLBuilder"]

# What a Location field may not hold raw: blanks, control characters, anything beyond ASCII.
_UNSAFE_IN_QUERY_RE = re.compile(r"[^!-~]+")
# What stands before the two slashes; any other scheme is "http:".
_PREFIXES: Final = {None: "", "": "", "http": "http:", "https": "https:", "wss": "https:"}
_Base = tuple[str, str | None, str | None, str, str]
_NO_BASE: Final[_Base] = ("", None, None, "", "")
_NO_VALUES: Final[dict[str, Any]] = {}
# Of a value in an error, in characters.
_MAX_SHOWN: Final = 80


class URLBuilder:
    """The building half of `MapAdapter`."""

    def __init__(
        self,
        map: Any,
        server_name: str,
        script_name: str,
        subdomain: str | None,
        url_scheme: str,
        default_method: str,
        query_args: Mapping[str, Any] | str | None = None,
    ) -> None:
        self.map = map
        self.server_name = server_name
        self.script_name = script_name if script_name.endswith("/") else script_name + "/"
        self.subdomain = subdomain
        self.url_scheme = url_scheme
        self.default_method = default_method
        self.query_args = query_args
        # What stood before the last external path, and what it was made of.
        self._base = _NO_BASE

    def get_host(self, domain_part: str | None) -> str:
        """Return the host for a domain part: a host with host matching, else a subdomain; None: as bound."""
        if self.map.host_matching:
            return self.server_name if domain_part is None else domain_part
        subdomain = self.subdomain if domain_part is None else domain_part
        return f"{subdomain}.{self.server_name}" if subdomain else self.server_name

    def build(
        self,
        endpoint: Any,
        values: Mapping[str, Any] | None = None,
        method: str | None = None,
        force_external: bool = False,
        append_unknown: bool = True,
        url_scheme: str | None = None,
    ) -> str:
        """Return the URL of an endpoint.

        It is a path, unless the endpoint is on another host or is a WebSocket, or the caller wants more.

        Args:
            endpoint: as in the rule.
            values: arguments of the rule; the others become the query, lists and MultiDicts as several pairs.
                None is no value.
            method: choose among the endpoint's rules those with this method.
            force_external: return an absolute URL; without any scheme it starts with `//`.
            append_unknown: False leaves out the values that the rule does not name.
            url_scheme: instead of the bound scheme.

        Raises:
            BuildError: no rule of the endpoint takes these values.
            ValueError, TypeError: a converter refuses a value; a note names it.
        """
        # PERF: a recipe in one function, 0.11 to 0.20 of Werkzeug's time (benchmarks/routing.py).
        try:
            domain, path, make = self.map.recipes[endpoint]
            if domain is None:
                return self._build_elsewhere(make, values, method, force_external, append_unknown, url_scheme)
            if force_external or domain != self.subdomain:
                prefix, known, scheme, server_name, script_name = self._base
                if not (
                    known == domain
                    and scheme == (self.url_scheme if url_scheme is None else url_scheme)
                    and server_name is self.server_name
                    and script_name is self.script_name
                ):
                    prefix = self._prefix(domain, force_external, url_scheme)
            else:
                prefix = "" if self.script_name == "/" else self.script_name.rstrip("/")
            if not values:
                if path is not None and method is None:
                    return prefix + path  # type: ignore[no-any-return]
                values = _NO_VALUES
            if type(values) is dict:
                url: str | None = make(prefix, values, method, self.default_method, append_unknown)
                if url is not None:
                    return url
        except (KeyError, TypeError, ValueError):
            pass  # `_build` says what is wrong
        return self._build(endpoint, values, method, force_external, append_unknown, url_scheme)

    def _build_elsewhere(
        self,
        make: RecipeFunction,
        values: Mapping[str, Any] | None,
        method: str | None,
        force_external: bool,
        append_unknown: bool,
        url_scheme: str | None,
    ) -> str:
        """Build by a recipe that tells where the URL leads: a WebSocket's, or one with values in its domain.

        Raises:
            KeyError, TypeError, ValueError: it cannot.
        """
        values = values or _NO_VALUES
        made = make("", values, method, self.default_method, append_unknown) if type(values) is dict else None
        if made is None:
            raise ValueError
        domain, path, websocket = made
        if websocket:
            return self._absolute(domain, path, websocket, url_scheme)
        relative = not force_external and domain == self.subdomain
        prefix = self.script_name.rstrip("/") if relative else self._prefix(domain, force_external, url_scheme)
        return prefix + path  # type: ignore[no-any-return]

    def _build(
        self,
        endpoint: Any,
        values: Mapping[str, Any] | None,
        method: str | None,
        force_external: bool,
        append_unknown: bool,
        url_scheme: str | None,
    ) -> str:
        """Build by Werkzeug's full rules of choice."""
        self.map.update()
        self.map.prepare_recipe(endpoint)
        given = _without_none(values)
        found = self._partial_build(endpoint, given, method, append_unknown)
        if found is None:
            raise BuildError(endpoint, given, method, self)
        domain_part, path, websocket = found
        if not force_external and not websocket:
            if self.map.host_matching:
                same_host = self.get_host(domain_part) == self.server_name
            else:
                same_host = domain_part == self.subdomain
            if same_host:
                return f"{self.script_name.rstrip('/')}/{path.lstrip('/')}"
        return self._absolute(domain_part, "/" + path.lstrip("/"), websocket, url_scheme)

    def _absolute(self, domain_part: str, path: str, websocket: bool, url_scheme: str | None) -> str:
        scheme = self.url_scheme if url_scheme is None else url_scheme
        prefix = _PREFIXES.get(scheme, "http:")
        if websocket:  # browsers take a WebSocket's URL with its scheme only
            prefix = "wss:" if prefix == "https:" else "ws:"
        return f"{prefix}//{self.get_host(domain_part)}{self.script_name.rstrip('/')}{path}"

    def _prefix(self, domain: str, force_external: bool, url_scheme: str | None) -> str:
        """Return what stands before a path that leads elsewhere, or might."""
        if self.map.host_matching:
            if domain == self.server_name and not force_external:
                return self.script_name.rstrip("/")
            return self._absolute(domain, "", False, url_scheme)
        # PERF: the next external URL takes 0.3 us less (benchmarks/routing.py: external).
        prefix = self._absolute(domain, "", False, url_scheme)
        scheme = self.url_scheme if url_scheme is None else url_scheme
        self._base = prefix, domain, scheme, self.server_name, self.script_name
        return prefix

    def _partial_build(
        self, endpoint: Any, values: Mapping[str, Any], method: str | None, append_unknown: bool
    ) -> tuple[str, str, bool] | None:
        """Return domain part, path and whether it is a WebSocket, by the first suitable rule.

        Without a method, a rule with the default method is preferred; with host matching, one on the bound
        host.
        """
        if method is None:
            found = self._partial_build(endpoint, values, self.default_method, append_unknown)
            if found is not None:
                return found
        first = None
        for rule in self.map._rules_by_endpoint.get(endpoint, ()):
            if not rule.suitable_for(values, method):
                continue
            try:
                built = rule.build(values, append_unknown)
            except (TypeError, ValueError) as exc:  # as Werkzeug raises them, with a note
                _note_value(exc, rule, values)
                raise
            if built is None:
                continue
            if not self.map.host_matching or built[0] == self.server_name:
                return built[0], built[1], rule.websocket
            if first is None:
                first = (built[0], built[1], rule.websocket)
        return first

    def redirect_for(
        self, reason: RedirectRequired, method: str, query_args: Mapping[str, Any] | str | None = None
    ) -> RequestRedirect:
        """Return the redirect, with an absolute URL, for what `Map.find` raised.

        It never leads to another host, unless the rule's author says so.
        """
        if query_args is None:
            query_args = self.query_args
        if isinstance(reason, RequestPath):
            url = self.make_redirect_url(quote_path(reason.path_info), query_args)
        elif isinstance(reason, RequestAliasRedirect):
            url = self.make_alias_redirect_url("", reason.endpoint, reason.matched_values, method, query_args)
        elif isinstance(reason, DefaultsRedirect):
            domain, path = reason.rule.build(reason.values)
            url = self.make_redirect_url(path, query_args, domain_part=domain)
        elif isinstance(reason, RuleRedirect):
            url = self._redirect_to(reason.rule, reason.values)
        else:
            raise TypeError(f"no redirect for {reason!r}")
        return RequestRedirect(url)

    def encode_query_args(self, query_args: Mapping[str, Any] | str) -> str:
        """Return the query of a redirect."""
        if isinstance(query_args, str):
            return _UNSAFE_IN_QUERY_RE.sub(lambda match: quote(match[0]), query_args)
        return encode_query(query_args)

    def make_redirect_url(
        self,
        path_info: str,
        query_args: Mapping[str, Any] | str | None = None,
        domain_part: str | None = None,
    ) -> str:
        """Return the absolute URL of an encoded path on the bound host."""
        if query_args is None:
            query_args = self.query_args
        script = self.script_name.strip("/")
        path = f"/{script}/{path_info.lstrip('/')}" if script else f"/{path_info.lstrip('/')}"
        query = self.encode_query_args(query_args) if query_args else ""
        url = f"{self.url_scheme or 'http'}://{self.get_host(domain_part)}{path}"
        return f"{url}?{query}" if query else url

    def make_alias_redirect_url(
        self,
        path: str,
        endpoint: Any,
        values: Mapping[str, Any],
        method: str,
        query_args: Mapping[str, Any] | str | None,
    ) -> str:
        """Return the canonical URL of an alias; `path`, which Werkzeug asks for, is not needed."""
        url = self.build(endpoint, values, method, append_unknown=False, force_external=True)
        query = self.encode_query_args(query_args) if query_args else ""
        return f"{url}?{query}" if query else url

    def get_default_redirect(
        self, rule: Any, method: str, values: Mapping[str, Any], query_args: Mapping[str, Any] | str
    ) -> str | None:
        """Return the URL of the rule whose defaults these values are, or None."""
        reason = self.map.defaults_redirect(rule, values, method)
        return None if reason is None else self.redirect_for(reason, method, query_args).new_url

    def _redirect_to(self, rule: Any, values: Mapping[str, Any]) -> str:
        host = f"{self.subdomain}.{self.server_name}" if self.subdomain else self.server_name
        base = f"{self.url_scheme or 'http'}://{host}{self.script_name}"
        target = rule.redirect_to
        if not isinstance(target, str):
            return urljoin(base, str(target(self, **values)))
        converters = rule._converters
        filled = PLACEHOLDER_RE.sub(lambda match: converters[match[1]].to_url(values[match[1]]), target)
        url = urljoin(base, filled)
        # The rule's author chooses the host, not whoever chose the values: "<path:target>" must not become
        # "//evil.example".
        if urlsplit(url)[:2] != urlsplit(urljoin(base, PLACEHOLDER_RE.sub("x", target)))[:2]:
            return urljoin(base, "./" + filled.lstrip("/"))
        return url


def _note_value(error: Exception, rule: Any, values: Mapping[str, Any]) -> None:
    """Add to a converter's error which placeholder of which rule it is about."""
    for token in (*rule._domain_tokens, *rule._path_tokens):
        if not isinstance(token, Variable) or token.name not in values or token.name in (rule.defaults or ()):
            continue
        try:
            token.converter.to_url(values[token.name])
        except Exception:
            shown = repr(values[token.name])
            shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."
            error.add_note(
                f"url_for: the placeholder {token.name!r} of the rule {str(rule)!r} (endpoint {rule.endpoint!r}) does "
                f"not take the value {shown}; pass one that its converter takes."
            )
            return


def _without_none(values: Mapping[str, Any] | None) -> dict[str, Any]:
    if not values:
        return {}
    if hasattr(values, "lists"):
        return {name: items[0] if len(items) == 1 else items for name, items in values.lists() if items}
    return {name: value for name, value in values.items() if value is not None}
