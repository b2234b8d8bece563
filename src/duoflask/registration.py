"""What only an app registers: blueprints, functions for templates, names for its shell; and its template environment.

Owns how a template's context is filled. Knows no request beyond the context that is active, and imports the template
engine at the first template.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, ValuesView
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast

from .bridge import starts_on_loop
from .ctx import _cv_app
from .flashing import get_flashed_messages
from .globals import g, request, session
from .lazy import LazyModule
from .plans import Step, context_processors
from .scaffold import _adding_decorator, _require_blueprint, _require_callable, setupmethod
from .template_context import OUTSIDE_REQUEST, WITHIN_REQUEST, default_processor, settled
from .typing import App
from .unmatched import prefix_map
from .websocket_routes import WebsocketRoutes

if TYPE_CHECKING:
    import jinja2

    from . import templating
    from .blueprints import Blueprint
    from .config import Config
    from .json.provider import JSONProvider
else:
    templating = LazyModule(f"{__package__}.templating")

__all__ = ["Registration"]

_F = TypeVar("_F", bound=Callable[..., Any])

# What is HTML or XML by its name, whatever the case, and also as the source of a template (`page.html.j2`).
_ESCAPED: Final = (".html", ".htm", ".xml", ".xhtml", ".svg")
_SOURCES: Final = (".j2", ".jinja", ".jinja2")


class _StockEnvironment:
    """The class of template environments, imported at the first look; a subclass or an app may set another."""

    def __get__(self, instance: Any, owner: type) -> Any:
        return templating.Environment


class Registration(WebsocketRoutes):
    """Registries and settings of an app that a blueprint does not have."""

    config: Config
    debug: Any
    json: JSONProvider
    ensure_sync: Any
    sync_to_async: Any
    url_for: Any

    jinja_environment: type[jinja2.Environment] = cast("type[jinja2.Environment]", _StockEnvironment())
    jinja_options: ClassVar[dict[str, Any]] = {}

    def _register_nothing(self) -> None:
        """Start with empty registries."""
        self.blueprints: dict[str, Blueprint] = {}
        self.shell_context_processors: list[Callable[[], dict[str, Any]]] = []
        self._unmatched_prefixes: list[tuple[str, str, str | None]] = []
        self._inline.add(default_processor)
        self.template_context_processors[None].append(default_processor)

    # -- blueprints

    @setupmethod
    def register_blueprint(self, blueprint: Blueprint, **options: Any) -> None:
        """Register a blueprint.

        Args:
            blueprint: The blueprint. The same one may be registered several times, each time under another `name`.
            options: `name`, `url_prefix`, `subdomain` and `cli_group` replace those of the blueprint; `url_defaults`
                are added to its own.

        Raises:
            ValueError: There is a blueprint of this name.
            ValueError, LookupError: A misspelt rule or prefix.
            TypeError: It is no blueprint, such as the module that makes one.
        """
        _require_blueprint(blueprint)
        blueprint.register(cast("App", self), options)
        prefix_map(cast("App", self))  # a prefix that cannot be matched is an error here, not at the first request

    def iter_blueprints(self) -> ValuesView[Blueprint]:
        """The blueprints, in the order of their registration."""
        return self.blueprints.values()

    # -- the shell

    @setupmethod
    def shell_context_processor(self, f: _F) -> _F:
        """Register a function whose dict is added to the names that `duoflask shell` knows."""
        _require_callable("shell context processor", f)
        self.shell_context_processors.append(f)
        return f

    def make_shell_context(self) -> dict[str, Any]:
        """The names that `duoflask shell` knows."""
        names: dict[str, Any] = {"app": self, "g": g}
        for processor in self.shell_context_processors:
            names.update(self.ensure_sync(processor)())
        return names

    # -- functions for templates

    @setupmethod
    def template_filter(self, name: Any = None) -> Any:
        """Register the decorated function as a filter, `{{ value|name }}`.

        Args:
            name: The filter's name; by default the function's.
        """
        return _adding_decorator(self.add_template_filter, name)

    @setupmethod
    def add_template_filter(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Register a filter; one that is `def` and blocks also blocks `render_template_async`."""
        _require_callable("template filter", f)
        self.jinja_env.filters[name or f.__name__] = f

    @setupmethod
    def template_test(self, name: Any = None) -> Any:
        """Register the decorated function as a test, `{% if value is name %}`.

        Args:
            name: The test's name; by default the function's.
        """
        return _adding_decorator(self.add_template_test, name)

    @setupmethod
    def add_template_test(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Register a test."""
        _require_callable("template test", f)
        self.jinja_env.tests[name or f.__name__] = f

    @setupmethod
    def template_global(self, name: Any = None) -> Any:
        """Register the decorated function as one that templates may call, `{{ name() }}`.

        Args:
            name: The name in templates; by default the function's.
        """
        return _adding_decorator(self.add_template_global, name)

    @setupmethod
    def add_template_global(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Register a function that templates may call."""
        self.jinja_env.globals[name or f.__name__] = f

    # -- the environment

    @functools.cached_property
    def jinja_env(self) -> templating.Environment:
        """The environment that compiles the app's templates, made at the first look by `create_jinja_environment`."""
        return self.create_jinja_environment()

    def create_jinja_environment(self) -> templating.Environment:
        """Make the template environment of `jinja_options` and TEMPLATES_AUTO_RELOAD (by default `debug`)."""
        options = dict(self.jinja_options)
        options.setdefault("autoescape", self.select_jinja_autoescape)
        if "auto_reload" not in options:
            reload = self.config["TEMPLATES_AUTO_RELOAD"]
            options["auto_reload"] = bool(self.debug if reload is None else reload)
        environment: Any = self.jinja_environment(self, **options)  # type: ignore[arg-type]
        environment.globals.update(
            url_for=self.url_for,
            get_flashed_messages=get_flashed_messages,
            config=self.config,
            request=request,
            session=session,
            g=g,
        )
        environment.policies["json.dumps_function"] = self.json.dumps
        return cast("templating.Environment", environment)

    def create_global_jinja_loader(self) -> jinja2.BaseLoader:
        """Make the loader that asks those of the app and its blueprints."""
        return templating.DispatchingJinjaLoader(cast("App", self))

    def select_jinja_autoescape(self, filename: str | None) -> bool:
        """Whether variables are escaped in a template: if it is a string, or HTML, XML or SVG by its name."""
        if filename is None or filename.endswith(_ESCAPED):
            return True
        name = filename.lower()
        for ending in _SOURCES:
            name = name.removesuffix(ending)
        return name.endswith(_ESCAPED)

    # -- the variables of a template

    def update_template_context(self, context: dict[str, Any]) -> None:
        """Add what the context processors say to a template's variables, in place; what is there stays.

        Raises:
            RuntimeError: An `async def` processor is needed while an event loop runs in this thread.
        """
        processors = self._context_processors()
        if len(processors) == 1 and processors[0][0] is default_processor:  # PERF: 200 ns instead of 700
            ctx = _cv_app.get(None)
            if ctx is not None:
                for name, value in (OUTSIDE_REQUEST if ctx.source is None else WITHIN_REQUEST).items():
                    if name not in context:
                        context[name] = value
            return
        own = context.copy()
        for function, _ in processors:
            values = function()
            if hasattr(values, "__await__"):
                values = settled(values, functools.partial(_shown, function))
            _add(context, function, values)
        context.update(own)

    async def _update_template_context_async(self, context: dict[str, Any]) -> None:
        """Do the same, awaiting `async def` processors; `def` ones run in a thread, neighbours together."""
        override = getattr(self, "update_template_context")  # noqa: B009 - may be one of the instance
        if getattr(override, "__func__", None) is not Registration.update_template_context:
            if not starts_on_loop(override):
                override = self.sync_to_async(override)
            await override(context)
            return
        processors = self._context_processors()
        if all(function is default_processor for function, _ in processors):
            self.update_template_context(context)
            return
        own = context.copy()
        for on_loop, steps in groupby(processors, key=lambda step: step[1]):
            functions = [function for function, _ in steps]
            run: Any = functools.partial(_call_all, functions)
            answers = await self.sync_to_async(run)() if on_loop is False else run()
            for function, values in zip(functions, answers):
                _add(context, function, await values if hasattr(values, "__await__") else values)
        context.update(own)

    def _context_processors(self) -> tuple[Step, ...]:
        """The context processors of the active request's blueprints and the app, the app's first."""
        ctx = _cv_app.get(None)
        plan = None if ctx is None else ctx.plan
        if plan is None:
            return context_processors(cast("App", self), ())
        app: Any = self
        if app._plans.get(plan.endpoint) is plan:
            return plan.processors  # type: ignore[no-any-return]
        # The context is older than a registration, or of another app.
        return context_processors(app, plan.blueprints)


def _call_all(functions: Iterable[Callable[[], Any]]) -> list[Any]:
    return [function() for function in functions]


def _shown(function: Callable[..., Any]) -> str:
    return f"the context processor {getattr(function, '__qualname__', repr(function))!r}"


def _add(context: dict[str, Any], function: Callable[..., Any], values: Any) -> None:
    if values is None:
        raise TypeError(f"{_shown(function)} returned None; expected a dict. Write 'return {{...}}' at its end.")
    context.update(values)
