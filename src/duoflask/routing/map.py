"""The map of all rules.

Owns registration, and the moment at which what is derived from the rules is made. Must not know applications.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ..http.connection import Connection
from ..http.uri import decode_percent
from ..lazy import LazyModule
from .adapter import MapAdapter
from .binding import ascii_host, request_source, subdomain_of, websocket_scheme
from .converters import DEFAULT_CONVERTERS, BaseConverter
from .finder import Finder
from .matcher import StateMachineMatcher
from .patterns import Variable
from .recipes import Recipe, recipe_of
from .rules import Rule, RuleFactory

if TYPE_CHECKING:
    import pprint
else:
    pprint = LazyModule("pprint")

__all__ = ["Map"]

_Shared = TypeVar("_Shared", bound=Hashable)
_BUILTIN_CONVERTERS = frozenset(DEFAULT_CONVERTERS.values())


class Map(Finder):
    """All rules of an application, and the settings that rules start from.

    Args:
        rules: rules and rule factories.
        default_subdomain: for rules without a subdomain.
        strict_slashes: redirect to a branch's final slash.
        merge_slashes: redirect `//` to `/`.
        redirect_defaults: redirect to the rule whose defaults the values are.
        converters: further converters, by name.
        sort_parameters: sort the query of built URLs,
        sort_key: by this key.
        host_matching: rules have a `host`, and no subdomains.
    """

    default_converters: ClassVar[Mapping[str, type[BaseConverter]]] = DEFAULT_CONVERTERS
    lock_class: ClassVar[Any] = Lock

    # Called after every change of the rules; the app drops what it has worked out from them.
    on_change: Callable[[], None] | None = None

    def __init__(
        self,
        rules: Iterable[RuleFactory] | None = None,
        default_subdomain: str = "",
        strict_slashes: bool = True,
        merge_slashes: bool = True,
        redirect_defaults: bool = True,
        converters: Mapping[str, type[BaseConverter]] | None = None,
        sort_parameters: bool = False,
        sort_key: Callable[[Any], Any] | None = None,
        host_matching: bool = False,
    ) -> None:
        self.default_subdomain = default_subdomain
        self.strict_slashes = strict_slashes
        self.redirect_defaults = redirect_defaults
        self.host_matching = host_matching
        self.converters: dict[str, type[BaseConverter]] = {**self.default_converters, **(converters or {})}
        self.sort_parameters = sort_parameters
        self.sort_key = sort_key
        self._merge_slashes = merge_slashes
        self._registered: list[Rule] = []
        self._rules_by_endpoint: dict[Any, list[Rule]] = {}
        self._made_converters: dict[tuple[Any, ...], BaseConverter] = {}
        self._variables: dict[tuple[str, int], Variable] = {}
        self._shared: dict[Hashable, Hashable] = {}
        self._remap_lock = self.lock_class()
        self.mark_changed()
        for factory in rules or ():
            self.add(factory)

    def mark_changed(self) -> None:
        """Have everything that is derived from the rules made anew at the next use."""
        with self._remap_lock:
            self._remap = True
            # `find` and `build` look here first, without asking whether the rules have changed.
            self.use_matcher(None)
            self.recipes: dict[Any, Recipe] = {}
        if self.on_change is not None:
            self.on_change()

    @property
    def merge_slashes(self) -> bool:
        """Whether `//` in a path is redirected to `/`."""
        return self._merge_slashes

    @merge_slashes.setter
    def merge_slashes(self, value: bool) -> None:
        self._merge_slashes = value
        self.mark_changed()

    @property
    def _rules(self) -> list[Rule]:
        return [rule for rules in self._rules_by_endpoint.values() for rule in rules]

    def make_converter(
        self, kind: type[BaseConverter], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> BaseConverter:
        """Return a converter for this map; rules share the built-in ones that have the same arguments."""
        if kind not in _BUILTIN_CONVERTERS:
            return kind(self, *args, **kwargs)
        key = (
            kind,
            *[(type(arg), arg) for arg in args],
            *[(name, type(arg), arg) for name, arg in kwargs.items()],
        )
        made = self._made_converters.get(key)
        if made is None:
            made = self._made_converters[key] = kind(self, *args, **kwargs)
        return made

    def make_variable(self, name: str, converter: BaseConverter) -> Variable:
        """Return the one variable of this name and converter: thousands of rules share a few."""
        key = name, id(converter)
        known = self._variables.get(key)
        if known is None:
            known = self._variables[key] = Variable(sys.intern(name), converter)
        return known

    def share(self, value: _Shared) -> _Shared:
        """Return the one object that is equal to the value: thousands of rules share a few."""
        return self._shared.setdefault(value, value)  # type: ignore[return-value]

    def is_endpoint_expecting(self, endpoint: Any, *arguments: str) -> bool:
        """Say whether a rule of the endpoint has all these arguments.

        Raises:
            KeyError: there is no such endpoint.
        """
        wanted = set(arguments)
        return any(wanted <= rule.arguments for rule in self._rules_by_endpoint[endpoint])

    def iter_rules(self, endpoint: Any | None = None) -> Iterator[Rule]:
        """Return the rules, or those of an endpoint, in the order in which they build.

        Raises:
            KeyError: there is no such endpoint.
        """
        self.update()
        return iter(self._rules if endpoint is None else self._rules_by_endpoint[endpoint])

    def add(self, rulefactory: RuleFactory) -> None:
        """Add a rule, or all rules of a factory.

        Raises:
            RuntimeError: a rule belongs to a map already.
            ValueError, LookupError, TypeError: a rule is misspelt; the message points at the place.
        """
        for rule in rulefactory.get_rules(self):
            rule.bind(self)
            self._registered.append(rule)
            self._rules_by_endpoint.setdefault(rule.endpoint, []).append(rule)
        self.mark_changed()

    def update(self) -> None:
        """Make what is derived from the rules, if they have changed; several threads may call it."""
        if self._remap:
            self.ready_matcher()

    def ready_matcher(self) -> StateMachineMatcher:
        """Return the matcher over the rules of this moment."""
        with self._remap_lock:
            if self._matcher is not None and not self._remap:
                return self._matcher
            for endpoint, rules in self._rules_by_endpoint.items():
                if len(rules) > 1:
                    # A new list, not sort(): another thread may be walking the old one.
                    rules = sorted(rules, key=lambda rule: rule.build_compare_key())
                    self._rules_by_endpoint[endpoint] = rules
                    _link_defaults(rules)
            matcher = StateMachineMatcher(
                self._merge_slashes, [rule for rule in self._registered if not rule.build_only]
            )
            self.use_matcher(matcher)
            self._remap = False
            return matcher

    def prepare_recipe(self, endpoint: Any) -> None:
        """Let `build` answer at once for an endpoint whose rules are plain."""
        recipes = self.recipes  # a change meanwhile replaces it
        recipe = recipe_of(self._rules_by_endpoint.get(endpoint, ()), self)
        if recipe is not None:
            recipes[endpoint] = recipe

    def bind(
        self,
        server_name: str,
        script_name: str | None = None,
        subdomain: str | None = None,
        url_scheme: str = "http",
        default_method: str = "GET",
        path_info: str | None = None,
        query_args: Mapping[str, Any] | str | None = None,
    ) -> MapAdapter:
        """Return the map bound to a host and, optionally, to a request.

        Args:
            server_name: host, with its port if it is not the scheme's.
            script_name: path that the application is mounted at; None is the root.
            subdomain: None is the map's default.
            url_scheme: `ws` and `wss` match WebSocket rules only.
            default_method: for `match` and `build`.
            path_info: for `match`; None is the root.
            query_args: for redirects.

        Raises:
            RuntimeError: a subdomain is given, and the map matches hosts.
            BadHost: the server name is not a valid (internationalized) host name.
        """
        if self.host_matching:
            if subdomain is not None:
                raise RuntimeError("host matching enabled and a subdomain was provided; pass the host only")
        elif subdomain is None:
            subdomain = self.default_subdomain
        return MapAdapter(
            self,
            ascii_host(server_name.lower()),
            "/" if script_name is None else script_name,
            subdomain,
            url_scheme,
            "/" if path_info is None else path_info,
            default_method,
            query_args,
        )

    def bind_to_environ(self, environ: Any, server_name: str | None = None, subdomain: str | None = None) -> MapAdapter:
        """Return the map bound to a request: a WSGI environ, an ASGI scope, or an object that has one.

        Args:
            environ: the request.
            server_name: the host whose subdomains are matched; None is the request's host.
            subdomain: None is what stands before `server_name` in the request's host. A host that does not
                end with it matches no rule, and a warning says so.

        Raises:
            SecurityError: the request's Host is malformed.
        """
        request = environ if isinstance(environ, Connection) else Connection(request_source(environ))
        host = request.host.lower()
        scheme = websocket_scheme(request)
        if server_name is None:
            server_name = host
        else:
            port = ":443" if scheme in ("https", "wss") else ":80"
            server_name = ascii_host(server_name.lower()).removesuffix(port)
        if subdomain is None and not self.host_matching:
            subdomain = subdomain_of(host, server_name)
        return Map.bind(
            self,
            server_name,
            request.root_path or None,
            subdomain,
            scheme,
            request.method,
            request.path,
            decode_percent(request.query_string),
        )

    def bind_to_scope(
        self, scope: Mapping[str, Any], server_name: str | None = None, subdomain: str | None = None
    ) -> MapAdapter:
        """Return the map bound to an ASGI scope; see `bind_to_environ`."""
        return self.bind_to_environ(scope, server_name, subdomain)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({pprint.pformat(list(self.iter_rules()))})"


def _link_defaults(rules: list[Rule]) -> None:
    """Tell each rule of an endpoint which of those before it might redirect to their defaults."""
    givers = [(place, rule) for place, rule in enumerate(rules) if rule.defaults]
    for place, rule in enumerate(rules):
        rule._defaults_rules = tuple(
            [giver for before, giver in givers if before < place and giver.provides_defaults_for(rule)]
        )
