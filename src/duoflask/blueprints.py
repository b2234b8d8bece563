"""Blueprints: what is registered now and takes effect when an app registers the blueprint, as often as it does.

Owns the names, prefixes and subdomains that nested blueprints add up to, and how a blueprint's registries get into an
app's. Knows the app only as what it is registered on, and no request.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import update_wrapper
from typing import Any, Final, TypeVar

from .app_recorders import AppRecorders
from .scaffold import _endpoint_from_view_func, _require_blueprint, _require_callable, setupmethod
from .typing import App

__all__ = ["Blueprint", "BlueprintSetupState"]

_T = TypeVar("_T")
# No cli_group was given: the commands stand in a group of the blueprint's name. None puts them beside the app's own.
_OWN_GROUP: Any = object()

# Registries that a blueprint has under None and an app under the blueprint's name.
_HOOKS: Final = (
    "before_request_funcs",
    "after_request_funcs",
    "after_response_funcs",
    "teardown_request_funcs",
    "before_websocket_funcs",
    "after_websocket_funcs",
    "teardown_websocket_funcs",
    "url_value_preprocessors",
    "url_default_functions",
    "template_context_processors",
)


class BlueprintSetupState:
    """One registration of a blueprint, as the functions that `record` was given see it.

    Args:
        blueprint: The blueprint.
        app: The application.
        options: What `register_blueprint` was called with.
        first_registration: Whether the app did not have this blueprint yet, under any name.
    """

    def __init__(self, blueprint: Blueprint, app: App, options: dict[str, Any], first_registration: bool) -> None:
        self.app = app
        self.blueprint = blueprint
        self.options = options
        self.first_registration = first_registration
        subdomain, prefix = options.get("subdomain"), options.get("url_prefix")
        self.subdomain: str | None = blueprint.subdomain if subdomain is None else subdomain
        self.url_prefix: str | None = blueprint.url_prefix if prefix is None else prefix
        self.name: str = options.get("name", blueprint.name)
        self.name_prefix: str = options.get("name_prefix", "")
        self.url_defaults: dict[str, Any] = {**blueprint.url_values_defaults, **dict(options.get("url_defaults") or ())}

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        **options: Any,
    ) -> None:
        """Add a rule to the app: below the prefix, with the subdomain and the defaults, its endpoint below the name."""
        if self.url_prefix is not None:
            rule = f"{self.url_prefix.rstrip('/')}/{rule.lstrip('/')}" if rule else self.url_prefix
        options.setdefault("subdomain", self.subdomain)
        options.setdefault("timeout", self.blueprint.timeout)
        if endpoint is None:
            endpoint = _endpoint_from_view_func(view_func)  # type: ignore[arg-type]
        defaults = self.url_defaults
        if "defaults" in options:
            defaults = {**defaults, **(options.pop("defaults") or {})}
        full = f"{self.name_prefix}.{self.name}.{endpoint}".lstrip(".")
        self.app.add_url_rule(rule, full, view_func, defaults=defaults, **options)


class Blueprint(AppRecorders):
    """Routes, hooks, templates and files that belong together, to be registered on an app or another blueprint.

    Args:
        name: Its name, without a dot; the prefix of its endpoints' names.
        import_name: The name of the module that it is made in, usually `__name__`.
        static_folder: The folder of its static files, below `root_path`.
        static_url_path: Where they are served, below `url_prefix`; by default the folder's name.
        template_folder: The folder of its templates, below `root_path`; an app's own come first.
        url_prefix: What its rules start with.
        subdomain: That of its rules.
        url_defaults: Values of its rules' variables.
        root_path: Its folder; by default that of its module.
        cli_group: The group of its commands; by default one of its name, None puts them beside the app's.
        handles_unmatched: Its error handlers also answer requests below `url_prefix` that no rule matches (404, 405).
            Of several such blueprints the one with the longest prefix answers.
        timeout: The time-out of its rules that have none of their own, in seconds; None for no limit; by default the
            app's, REQUEST_TIMEOUT.

    Raises:
        ValueError: The name is empty or has a dot.
    """

    _got_registered_once = False

    def __init__(
        self,
        name: str,
        import_name: str,
        static_folder: str | os.PathLike[str] | None = None,
        static_url_path: str | None = None,
        template_folder: str | os.PathLike[str] | None = None,
        url_prefix: str | None = None,
        subdomain: str | None = None,
        url_defaults: dict[str, Any] | None = None,
        root_path: str | None = None,
        cli_group: str | None = _OWN_GROUP,
        *,
        handles_unmatched: bool = False,
        timeout: float | str | None = "default",
    ) -> None:
        if not name:
            raise ValueError("invalid name of a blueprint; expected a word; got ''")
        _require_no_dot("name of a blueprint", name)
        self.name = name
        super().__init__(import_name, static_folder, static_url_path, template_folder, root_path)
        self.url_prefix = url_prefix
        self.subdomain = subdomain
        self.deferred_functions: list[Callable[[BlueprintSetupState], Any]] = []
        self.url_values_defaults: dict[str, Any] = {} if url_defaults is None else url_defaults
        self.cli_group = cli_group
        self.handles_unmatched = handles_unmatched
        self.timeout = timeout
        self._blueprints: list[tuple[Blueprint, dict[str, Any]]] = []

    def _check_setup_finished(self, name: str) -> None:
        if self._got_registered_once:
            raise AssertionError(
                f"the setup method {name!r} was called on the blueprint {self.name!r} after it had been registered, so "
                "that the app would not see it. Do all imports, decorators and set-up calls before "
                "register_blueprint(), as in the module that makes the blueprint."
            )

    # -- what happens at a registration

    @setupmethod
    def record(self, func: Callable[[BlueprintSetupState], Any]) -> None:
        """Have a function called with the state of each registration."""
        _require_callable("function to record", func)
        self.deferred_functions.append(func)

    @setupmethod
    def record_once(self, func: Callable[[BlueprintSetupState], Any]) -> None:
        """Have a function called at the first registration on an app only."""

        def once(state: BlueprintSetupState) -> None:
            if state.first_registration:
                func(state)

        self.record(update_wrapper(once, func))

    def make_setup_state(
        self, app: App, options: dict[str, Any], first_registration: bool = False
    ) -> BlueprintSetupState:
        """Make the state of a registration; a subclass may return one of another class."""
        return BlueprintSetupState(self, app, options, first_registration)

    @setupmethod
    def register_blueprint(self, blueprint: Blueprint, **options: Any) -> None:
        """Nest another blueprint in this one: names, prefixes and subdomains add up.

        Args:
            blueprint: The other one.
            options: As for `app.register_blueprint`.

        Raises:
            ValueError: It is this one.
            TypeError: It is no blueprint, such as the module that makes one.
        """
        _require_blueprint(blueprint)
        if blueprint is self:
            raise ValueError(f"the blueprint {self.name!r} cannot be registered on itself; make a second one")
        self._blueprints.append((blueprint, options))

    def register(self, app: App, options: dict[str, Any]) -> None:
        """Register everything on an app: called by `app.register_blueprint`.

        Args:
            app: The application.
            options: What `register_blueprint` was called with; a nested blueprint also gets its `name_prefix`.

        Raises:
            ValueError: The app has a blueprint of this name.
        """
        name = f"{options.get('name_prefix', '')}.{options.get('name', self.name)}".lstrip(".")
        _require_free_name(app, self, name)
        first = all(known is not self for known in app.blueprints.values())
        app.blueprints[name] = self
        self._got_registered_once = True
        state = self.make_setup_state(app, options, first)
        if self.has_static_folder:
            state.add_url_rule(
                f"{self.static_url_path}/<path:filename>", view_func=self.send_static_file, endpoint="static"
            )
        if self.handles_unmatched:
            app._unmatched_prefixes.append((name, state.url_prefix or "", state.subdomain))
        self._merge_blueprint_funcs(app, name)
        for deferred in self.deferred_functions:
            deferred(state)
        self._register_commands(app, name, options.get("cli_group", self.cli_group))
        for blueprint, own in self._blueprints:
            blueprint.register(app, _nested_options(state, name, blueprint, own))

    def _merge_blueprint_funcs(self, app: App, name: str) -> None:
        """Add what is registered here to an app's registries, under the blueprint's name."""
        app._inline.update(self._inline)
        for registry in _HOOKS:
            own, apps = getattr(self, registry), getattr(app, registry)
            for key, functions in own.items():
                if functions:
                    apps[_below(name, key)].extend(functions)
        for key, handlers in self.error_handler_spec.items():
            for code, by_class in handlers.items():
                app.error_handler_spec[_below(name, key)][code].update(by_class)
        if self.view_functions:
            app.view_functions.update(self.view_functions)

    def _register_commands(self, app: App, name: str, group: Any) -> None:
        own = self.__dict__.get("_cli")
        if own is None or not own.commands:  # nobody has looked at `cli`: click is not imported for it
            return
        if group is None:
            app.cli.commands.update(own.commands)
            return
        own.name = name if group is _OWN_GROUP else group
        app.cli.add_command(own)

    # -- routes

    @setupmethod
    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Register a URL rule below the blueprint's prefix; see `route`.

        Raises:
            ValueError: The endpoint, or the name of the view function, has a dot.
            TypeError: The view function cannot be called.
        """
        if endpoint:
            _require_no_dot("endpoint", endpoint)
        if view_func is not None:
            _require_callable("view function", view_func)
        if view_func is not None and hasattr(view_func, "__name__"):
            _require_no_dot("name of a view function", view_func.__name__)
        self.record(
            lambda state: state.add_url_rule(
                rule, endpoint, view_func, provide_automatic_options=provide_automatic_options, **options
            )
        )


def _require_no_dot(what: str, name: str) -> None:
    if "." in name:
        raise ValueError(
            f"invalid {what}; expected a word without a dot, which separates the names of nested blueprints; "
            f"got {name!r}"
        )


def _require_free_name(app: App, blueprint: Blueprint, name: str) -> None:
    known = app.blueprints.get(name)
    if known is None:
        return
    other = "this blueprint itself" if known is blueprint else f"another one, of {known.import_name!r}"
    raise ValueError(
        f"the name {name!r} is registered for {other}; names of blueprints must differ, because url_for() finds "
        f"endpoints by them. Write register_blueprint(..., name='...') for a second registration."
    )


def _below(name: str, key: str | None) -> str:
    return name if key is None else f"{name}.{key}"


def _nested_options(
    state: BlueprintSetupState, name: str, blueprint: Blueprint, options: dict[str, Any]
) -> dict[str, Any]:
    """What a nested blueprint is registered with: its own options below those of its parent."""
    options = dict(options)
    subdomain, prefix = options.get("subdomain"), options.get("url_prefix")
    parts = (blueprint.subdomain if subdomain is None else subdomain, state.subdomain)
    if any(part is not None for part in parts):
        options["subdomain"] = ".".join(_given(parts))
    inner = blueprint.url_prefix if prefix is None else prefix
    if state.url_prefix is not None and inner is not None:
        options["url_prefix"] = f"{state.url_prefix.rstrip('/')}/{inner.lstrip('/')}"
    elif state.url_prefix is not None:
        options["url_prefix"] = state.url_prefix
    elif inner is not None:
        options["url_prefix"] = inner
    options["name_prefix"] = name
    return options


def _given(parts: Iterable[_T | None]) -> list[_T]:
    return [part for part in parts if part is not None]
