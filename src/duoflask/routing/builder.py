"""URL building: a rule compiled for building, and the half of `MapAdapter` that makes URLs.

Owns what stands in a built URL and how it is encoded. Must not know how paths are matched, nor HTTP requests.

Theory of operation: a rule becomes a constant head and a tuple of steps (argument, converter's function,
constant tail). An endpoint with one plain rule (`RuleBuilder.plain`), which is nearly every endpoint, is
answered from `Map.builders` without looking for a suitable rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus, urljoin, urlsplit

from .converters import SAFE_IN_PATH, BaseConverter, IntegerConverter
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

__all__ = ["RuleBuilder", "URLBuilder", "encode_query"]

# https://url.spec.whatwg.org/#application-x-www-form-urlencoded-percent-encode-set, with what is harmless
# left readable
SAFE_IN_QUERY = "!$'()*,/:;?@"

_QUERY_TABLE = {number: quote_plus(chr(number), safe=SAFE_IN_QUERY) for number in range(128)}

_PLACEHOLDER_RE = re.compile(r"<([^>]+)>")
# What a Location field may not hold raw: blanks, control characters, anything beyond ASCII.
_UNSAFE_IN_QUERY_RE = re.compile(r"[^!-~]+")

# argument, type whose text needs no converter, converter's function, constant text that follows
Step = tuple[str, type | None, Callable[[Any], str], str]


def _pairs(query: Any) -> Iterator[tuple[Any, Any]]:
    if hasattr(query, "lists"):  # a MultiDict, ours or another library's
        for name, values in query.lists():
            for value in values:
                yield name, value
    elif isinstance(query, Mapping):
        for name, value in query.items():
            if isinstance(value, list | tuple | set):
                for item in value:
                    yield name, item
            else:
                yield name, value
    else:
        yield from query


def _encode_query_text(value: Any) -> str:
    if isinstance(value, bytes):
        return quote_plus(value, safe=SAFE_IN_QUERY)
    text = str(value)
    if text.isascii():
        # PERF: a table instead of 1,500 ns in urllib (benchmarks: build with a query).
        return text if text.isalnum() else text.translate(_QUERY_TABLE)
    return quote_plus(text, safe=SAFE_IN_QUERY)


def encode_query(
    query: Mapping[Any, Any] | Iterable[tuple[Any, Any]],
    sort: bool = False,
    sort_key: Callable[[Any], Any] | None = None,
) -> str:
    """Return a mapping or pairs as a query string.

    Lists and MultiDicts give several pairs, None gives none.
    """
    pairs: Iterable[tuple[Any, Any]] = _pairs(query)
    if sort:
        pairs = sorted(pairs, key=sort_key)
    return "&".join(
        [f"{_encode_query_text(name)}={_encode_query_text(value)}" for name, value in pairs if value is not None]
    )


def _fast_type(converter: BaseConverter) -> type | None:
    """Return the type of values whose text is what `to_url` gives; of str, if ASCII and alphanumeric."""
    if type(converter) is IntegerConverter and not converter.fixed_digits:
        return int
    return str if type(converter).to_url is BaseConverter.to_url else None


def _compile(tokens: Sequence[str | Variable], defaults: Mapping[str, Any]) -> tuple[str, tuple[Step, ...]]:
    """Return the constant head and the steps; an argument with a default is a constant."""
    head = ""
    steps: list[Step] = []
    for token in tokens:
        if isinstance(token, Variable) and token.name not in defaults:
            steps.append((token.name, _fast_type(token.converter), token.converter.to_url, ""))
            continue
        if isinstance(token, Variable):
            text = token.converter.to_url(defaults[token.name])
        else:
            text = quote(token, safe=SAFE_IN_PATH)
        if steps:
            steps[-1] = (*steps[-1][:3], steps[-1][3] + text)
        else:
            head += text
    return head, tuple(steps)


def _join(head: str, steps: tuple[Step, ...], values: Mapping[str, Any]) -> str:
    for name, _, to_url, tail in steps:
        head += to_url(values[name]) + tail
    return head


class RuleBuilder:
    """A rule compiled for building."""

    __slots__ = ("domain", "domain_steps", "head", "methods", "names", "path", "plain", "settings", "steps")

    def __init__(self, rule: Any, domain: Sequence[str | Variable], path: Sequence[str | Variable]) -> None:
        defaults = rule.defaults or {}
        self.settings = rule.map
        self.methods: set[str] | None = rule.methods
        self.domain, self.domain_steps = _compile(domain, defaults)
        self.head, self.steps = _compile(path, defaults)
        self.names = {step[0] for step in self.domain_steps + self.steps} | set(defaults)
        self.plain = not (defaults or self.domain_steps or rule.websocket)
        # The slash that the script name ends with is the one that the path starts with.
        self.path = "/" + self.head.lstrip("/")

    def build(self, values: Mapping[str, Any], append_unknown: bool) -> tuple[str, str]:
        """Return the domain part, and the path with what the rule does not name as its query."""
        path = _join(self.head, self.steps, values)
        if append_unknown:
            path += self.query(values)
        return _join(self.domain, self.domain_steps, values), path

    def query(self, values: Mapping[str, Any]) -> str:
        """Return `?` and the values that the rule does not name, or an empty string."""
        names, settings = self.names, self.settings
        if settings.sort_parameters:
            unknown = {name: value for name, value in values.items() if name not in names}
            text = encode_query(unknown, True, settings.sort_key)
            return f"?{text}" if text else ""
        query = ""
        for name, value in values.items():
            if name not in names:
                kind = type(value)
                if kind is str or kind is int:
                    query += f"&{_encode_query_text(name)}={_encode_query_text(value)}"
                else:
                    text = encode_query({name: value})
                    query += f"&{text}" if text else ""
        return "?" + query[1:] if query else ""


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
            ValueError: a converter refuses a value.
        """
        # PERF: the answer for an endpoint with one plain rule, in one function (benchmarks: build, a fifth of
        # Werkzeug's time).
        plan: RuleBuilder | None = self.map.builders.get(endpoint)
        if plan is None or not (method is None or plan.methods is None or method in plan.methods):
            return self._build(endpoint, values, method, force_external, append_unknown, url_scheme)
        path = plan.path
        if values:
            if type(values) is not dict:
                return self._build(endpoint, values, method, force_external, append_unknown, url_scheme)
            try:
                for name, fast, to_url, tail in plan.steps:
                    value = values[name]
                    if type(value) is fast and (
                        fast is int or (value.isalnum() and value.isascii())  # type: ignore[attr-defined]
                    ):
                        path += f"{value}{tail}"
                    elif value is None:
                        return self._build(endpoint, values, method, force_external, append_unknown, url_scheme)
                    else:
                        path += to_url(value) + tail
                        if path.startswith("//"):  # a value with a leading slash must not become a host
                            path = "/" + path.lstrip("/")
            except (KeyError, TypeError, ValueError):  # `_build` says what is wrong
                return self._build(endpoint, values, method, force_external, append_unknown, url_scheme)
            if append_unknown and len(values) != len(plan.steps):
                path += plan.query(values)
        elif plan.steps:
            return self._build(endpoint, values, method, force_external, append_unknown, url_scheme)
        if force_external or plan.domain != self.subdomain:
            return self._absolute(plan.domain, path, False, url_scheme)
        return path if self.script_name == "/" else self.script_name.rstrip("/") + path

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
        self.map.prepare_builder(endpoint)
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
        return self._absolute(domain_part, path, websocket, url_scheme)

    def _absolute(self, domain_part: str, path: str, websocket: bool, url_scheme: str | None) -> str:
        scheme = self.url_scheme if url_scheme is None else url_scheme
        secure = scheme == "https" or scheme == "wss"
        if websocket:  # browsers take a WebSocket's URL with its scheme only
            prefix = "wss:" if secure else "ws:"
        elif scheme:
            prefix = "https:" if secure else "http:"
        else:
            prefix = ""
        return f"{prefix}//{self.get_host(domain_part)}{self.script_name[:-1]}/{path.lstrip('/')}"

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
            built = rule.build(values, append_unknown)
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
            url = self.make_redirect_url(quote(reason.path_info, safe=SAFE_IN_PATH), query_args)
        elif isinstance(reason, RequestAliasRedirect):
            url = self.make_alias_redirect_url(reason.endpoint, reason.matched_values, method, query_args)
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
        endpoint: Any,
        values: Mapping[str, Any],
        method: str,
        query_args: Mapping[str, Any] | str | None,
    ) -> str:
        """Return the canonical URL of an alias."""
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
        filled = _PLACEHOLDER_RE.sub(lambda match: converters[match[1]].to_url(values[match[1]]), target)
        url = urljoin(base, filled)
        # The rule's author chooses the host, not whoever chose the values: "<path:target>" must not become
        # "//evil.example".
        if urlsplit(url)[:2] != urlsplit(urljoin(base, _PLACEHOLDER_RE.sub("x", target)))[:2]:
            return urljoin(base, "./" + filled.lstrip("/"))
        return url


def _without_none(values: Mapping[str, Any] | None) -> dict[str, Any]:
    if not values:
        return {}
    if hasattr(values, "lists"):
        return {name: items[0] if len(items) == 1 else items for name, items in values.lists() if items}
    return {name: value for name, value in values.items() if value is not None}
