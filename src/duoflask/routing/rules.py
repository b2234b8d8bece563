"""Rules: one URL pattern each, as the user writes it, and factories that make several.

Owns the rule language (reading it, and the errors that point at a misspelt place) and what a rule says about
itself. Must not know the tree that rules are matched with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..lazy import LazyModule
from .converters import BaseConverter, ValidationError
from .errors import point_at
from .patterns import PatternReader, Variable
from .quoting import query_maker, quote_path

if TYPE_CHECKING:
    import string as strings
else:  # for RuleTemplate only
    strings = LazyModule("string")

__all__ = [
    "EndpointPrefix",
    "Rule",
    "RuleFactory",
    "RuleTemplate",
    "RuleTemplateFactory",
    "Subdomain",
    "Submount",
]

_SLASHES_RE = re.compile("/{2,}")
# In `redirect_to`.
PLACEHOLDER_RE = re.compile(r"<([^>]+)>")
_NO_ARGUMENTS: frozenset[str] = frozenset()


class RuleFactory:
    """Base of everything that `Map` and `Map.add` take."""

    def get_rules(self, map: Any) -> Iterable[Rule]:
        """Return the rules; a subclass must say which."""
        raise NotImplementedError()


class Rule(RuleFactory):
    """One URL pattern and the endpoint it leads to.

    Args:
        string: the pattern, `/users/<int:id>`; it starts with a slash. One that also ends with a slash is a
            branch.
        defaults: values for arguments that the pattern lacks, or that have it only in another rule of the
            endpoint.
        subdomain: a pattern for the subdomain; None is the map's default.
        methods: HTTP methods; None is all of them. HEAD comes with GET.
        build_only: never match, only build.
        endpoint: any object, usually the name of a view.
        strict_slashes: redirect to a branch's final slash (and refuse one after a leaf); None is the map's
            setting.
        merge_slashes: redirect `//` to `/`; None is the map's setting.
        redirect_to: a pattern, or a function of the adapter and the values, that says where to redirect.
        alias: redirect to the endpoint's other rule.
        host: a pattern for the whole host, used by a map with `host_matching`.
        websocket: match WebSocket connections instead of HTTP requests.

    Raises:
        ValueError: the pattern has no leading slash, or a WebSocket rule has other methods than GET, HEAD and
            OPTIONS.
        TypeError: `methods` is a string.
    """

    provide_automatic_options: bool | None = None
    # The application's too: how the request's body is read.
    stream_body: bool = False
    max_content_length: int | None = None
    # And whether a session that has to be waited for is opened before its functions.
    session: bool = True
    # And whether its view is given the connection of a WebSocket, instead of a handshake to answer by itself.
    own_websocket: bool = False
    # And how many seconds it may take: "default" for the application's own limit, None for no limit.
    timeout: float | str | None = "default"
    # The endpoint's rules whose defaults might be this rule's values: `Map.update` sets it.
    _defaults_rules: tuple[Rule, ...] = ()

    def __init__(
        self,
        string: str,
        defaults: Mapping[str, Any] | None = None,
        subdomain: str | None = None,
        methods: Iterable[str] | None = None,
        build_only: bool = False,
        endpoint: Any | None = None,
        strict_slashes: bool | None = None,
        merge_slashes: bool | None = None,
        redirect_to: str | Callable[..., str] | None = None,
        alias: bool = False,
        host: str | None = None,
        websocket: bool = False,
    ) -> None:
        if not string.startswith("/"):
            problem = f"URL rule {string!r} must start with a slash."
            raise ValueError(point_at(problem, string, 0, 1, f"Write {'/' + string!r} instead."))
        self.rule = string
        self.is_branch = string.endswith("/")
        self.is_leaf = not self.is_branch
        self.map: Any = None
        self.strict_slashes = strict_slashes
        self.merge_slashes = merge_slashes
        self.subdomain = subdomain
        self.host = host
        self.defaults = defaults
        self.build_only = build_only
        self.alias = alias
        self.websocket = websocket
        self.methods = None if methods is None else _normal_methods(methods, websocket)
        self.endpoint = endpoint
        self.redirect_to = redirect_to
        # CPython keeps attributes that a class learns of late in a dictionary for each instance: 280 bytes a rule.
        kind = type(self)
        self.provide_automatic_options = kind.provide_automatic_options
        self.stream_body, self.session = kind.stream_body, kind.session
        self.own_websocket = kind.own_websocket
        self.max_content_length, self.timeout = kind.max_content_length, kind.timeout
        self._defaults_rules = ()
        # Frozen, so that thousands of rules share a few.
        self.arguments = _names(defaults)
        self._domain_tokens: tuple[str | Variable, ...] = ()
        self._path_tokens: tuple[str | Variable, ...] = ()

    def empty(self) -> Rule:
        """Return an unbound copy, for use in another map."""
        return type(self)(self.rule, **self.get_empty_kwargs())

    def get_empty_kwargs(self) -> Mapping[str, Any]:
        """Return the keyword arguments of an unbound copy; a subclass with own arguments adds them here."""
        return {
            "defaults": dict(self.defaults) if self.defaults else None,
            "subdomain": self.subdomain,
            "methods": self.methods,
            "build_only": self.build_only,
            "endpoint": self.endpoint,
            "strict_slashes": self.strict_slashes,
            "merge_slashes": self.merge_slashes,
            "redirect_to": self.redirect_to,
            "alias": self.alias,
            "host": self.host,
            "websocket": self.websocket,
        }

    def get_rules(self, map: Any) -> Iterator[Rule]:
        """Return this rule alone."""
        yield self

    def refresh(self) -> None:
        """Read the rule again after its attributes were changed."""
        self.bind(self.map, rebind=True)
        self.map.mark_changed()

    def bind(self, map: Any, rebind: bool = False) -> None:
        """Read the rule with the converters and the defaults of a map.

        Raises:
            RuntimeError: the rule belongs to a map already.
            ValueError, LookupError, TypeError: the rule is misspelt; the message points at the place.
        """
        if self.map is not None and not rebind:
            raise RuntimeError(
                f"url rule {self!r} already bound to map {self.map!r}; add a copy, rule.empty(), instead"
            )
        self.map = map
        if self.strict_slashes is None:
            self.strict_slashes = map.strict_slashes
        if self.merge_slashes is None:
            self.merge_slashes = map.merge_slashes
        if self.subdomain is None:
            self.subdomain = map.default_subdomain
        self.compile()

    def compile(self) -> None:
        """Read the rule's text."""
        domain = (self.host if self.map.host_matching else self.subdomain) or ""
        path = _SLASHES_RE.sub("/", self.rule) if self.merge_slashes else self.rule
        self.arguments = _names(self.defaults)  # without what the rule named before a `refresh`
        if "<" in domain or ">" in domain or "<" in path or ">" in path:
            reader = PatternReader(self.get_converter, self.map.make_variable, self.map.converters)
            self._domain_tokens = tuple(reader.read(domain))
            self._path_tokens = tuple(reader.read(path))
            self.arguments = self.map.share(self.arguments | reader.names)
            for name in reader.names.intersection(self.defaults or ()):
                # A default that its converter refuses is an error now, not at the first URL.
                self._converters[name].to_url((self.defaults or {})[name])
        else:
            self._domain_tokens, self._path_tokens = (domain,) if domain else (), (path,)
        if isinstance(self.redirect_to, str):
            self._check_redirect(self.redirect_to)

    def _check_redirect(self, target: str) -> None:
        for match in PLACEHOLDER_RE.finditer(target):
            if match[1] not in self._converters:
                problem = f"redirect_to names {match[1]!r}, which url rule {self.rule!r} has not"
                known = " or ".join([f"<{name}>" for name in self._converters]) or "no placeholder"
                raise ValueError(point_at(problem, target, *match.span(), f"Write {known} instead."))

    def get_converter(
        self, variable_name: str, converter_name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> BaseConverter:
        """Return the converter for a placeholder.

        Raises:
            LookupError: the map has no converter of this name.
        """
        converters: Mapping[str, type[BaseConverter]] = self.map.converters
        if converter_name not in converters:
            raise LookupError(f"the converter {converter_name!r} does not exist")
        made: BaseConverter = self.map.make_converter(converters[converter_name], args, kwargs)
        return made

    @property
    def _converters(self) -> dict[str, BaseConverter]:
        tokens = self._domain_tokens + self._path_tokens
        return {token.name: token.converter for token in tokens if not isinstance(token, str)}

    @property
    def _trace(self) -> list[tuple[bool, str]]:
        if self.map is None:
            return []
        trace = [_trace_token(token) for token in self._domain_tokens]
        trace.append((False, "|"))
        trace.extend(_trace_token(token) for token in self._path_tokens)
        return trace

    def build(self, values: Mapping[str, Any], append_unknown: bool = True) -> tuple[str, str] | None:
        """Return domain part and path (with query) for these values, or None if a converter refuses one."""
        values_here = {**values, **(self.defaults or {})}
        try:
            domain, path = _join(self._domain_tokens, values_here), _join(self._path_tokens, values_here)
        except ValidationError:
            return None
        return domain, path + query_maker(self.map, self.arguments)(values) if append_unknown else path

    def provides_defaults_for(self, rule: Rule) -> bool:
        """Say whether this rule is the same endpoint with some of the other rule's arguments as defaults."""
        return bool(
            self.defaults
            and not self.build_only
            and self.endpoint == rule.endpoint
            and self.arguments == rule.arguments
            and self != rule
        )

    def suitable_for(self, values: Mapping[str, Any], method: str | None = None) -> bool:
        """Say whether the rule takes the method, and the values suffice and agree with its defaults."""
        if method is not None and self.methods is not None and method not in self.methods:
            return False
        defaults = self.defaults or {}
        for name in self.arguments:
            if name not in values and name not in defaults:
                return False
        return all(name not in values or values[name] == default for name, default in defaults.items())

    def build_compare_key(self) -> tuple[int, int, int]:
        """Return the place among the endpoint's rules: no alias first, then most arguments, most defaults."""
        return int(self.alias), -len(self.arguments), -len(self.defaults or ())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._trace == other._trace

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self.rule

    def __repr__(self) -> str:
        kind = type(self).__name__
        if self.map is None:
            return f"<{kind} (unbound)>"
        text = "".join(f"<{data}>" if dynamic else data for dynamic, data in self._trace).lstrip("|")
        methods = "" if self.methods is None else f" ({', '.join(sorted(self.methods))})"
        return f"<{kind} {text!r}{methods} -> {self.endpoint}>"


def _names(defaults: Mapping[str, Any] | None) -> frozenset[str]:
    return frozenset(map(str, defaults)) if defaults else _NO_ARGUMENTS


_METHOD_SETS: dict[frozenset[str], frozenset[str]] = {}


def _normal_methods(methods: Iterable[str], websocket: bool) -> frozenset[str]:
    if isinstance(methods, str):
        raise TypeError(f"'methods' should be a list of strings; write methods=[{methods!r}]")
    names = {method.upper() for method in methods}
    if "GET" in names:
        names.add("HEAD")
    if websocket and names - {"GET", "HEAD", "OPTIONS"}:
        raise ValueError("WebSocket rules can only use 'GET', 'HEAD', and 'OPTIONS' methods.")
    found = frozenset(names)
    return _METHOD_SETS.setdefault(found, found)


def _join(tokens: tuple[str | Variable, ...], values: Mapping[str, Any]) -> str:
    return "".join(
        [
            quote_path(token) if isinstance(token, str) else token.converter.to_url(values[token.name])
            for token in tokens
        ]
    )


def _trace_token(token: str | Variable) -> tuple[bool, str]:
    return (False, token) if isinstance(token, str) else (True, token.name)


class Subdomain(RuleFactory):
    """The given rules on a subdomain: `Subdomain("<lang>", [Rule("/", endpoint="index")])`."""

    def __init__(self, subdomain: str, rules: Iterable[RuleFactory]) -> None:
        self.subdomain = subdomain
        self.rules = rules

    def get_rules(self, map: Any) -> Iterator[Rule]:
        """Return copies with the subdomain set."""
        for rule in _copies(self.rules, map):
            rule.subdomain = self.subdomain
            yield rule


class Submount(RuleFactory):
    """The given rules under a path: `Submount("/blog", [Rule("/<slug>", endpoint="show")])`."""

    def __init__(self, path: str, rules: Iterable[RuleFactory]) -> None:
        self.path = path.rstrip("/")
        self.rules = rules

    def get_rules(self, map: Any) -> Iterator[Rule]:
        """Return copies with the path in front."""
        for rule in _copies(self.rules, map):
            rule.rule = self.path + rule.rule
            yield rule


class EndpointPrefix(RuleFactory):
    """The given rules with a prefix before their endpoints, which must be strings."""

    def __init__(self, prefix: str, rules: Iterable[RuleFactory]) -> None:
        self.prefix = prefix
        self.rules = rules

    def get_rules(self, map: Any) -> Iterator[Rule]:
        """Return copies with the prefix in front."""
        for rule in _copies(self.rules, map):
            rule.endpoint = self.prefix + str(rule.endpoint)
            yield rule


class RuleTemplate:
    """Rules with `$name` in them; a call, `resource(name="user")`, returns a factory of filled-in rules."""

    def __init__(self, rules: Iterable[RuleFactory]) -> None:
        self.rules = list(rules)

    def __call__(self, *args: Any, **kwargs: Any) -> RuleTemplateFactory:
        return RuleTemplateFactory(self.rules, dict(*args, **kwargs))


class RuleTemplateFactory(RuleFactory):
    """The rules of a template, filled in from `context`."""

    def __init__(self, rules: Iterable[RuleFactory], context: Mapping[str, Any]) -> None:
        self.rules = rules
        self.context = context

    def get_rules(self, map: Any) -> Iterator[Rule]:
        """Return copies with rule, defaults, subdomain, host and endpoint filled in."""
        for rule in _copies(self.rules, map):
            rule.rule = self._fill(rule.rule)
            rule.subdomain, rule.host = self._fill(rule.subdomain), self._fill(rule.host)
            rule.endpoint = self._fill(rule.endpoint)
            if rule.defaults:
                rule.defaults = {name: self._fill(value) for name, value in rule.defaults.items()}
            yield rule

    def _fill(self, value: Any) -> Any:
        return strings.Template(value).substitute(self.context) if isinstance(value, str) else value


def _copies(rules: Iterable[RuleFactory], map: Any) -> Iterator[Rule]:
    for factory in rules:
        for rule in factory.get_rules(map):
            yield rule.empty()
