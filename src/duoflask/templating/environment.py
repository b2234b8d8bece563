"""The Jinja environment of an app, made for rendering by the thousand.

Owns how templates are found again, what a template's context is made of, and how filters, tests and functions of both
colours are called. Knows the app only as what makes the loader.

Theory of operation
-------------------
Jinja compiles a template for one colour. The app's environment is the sync one; its `async_twin`, an overlay that
shares loader, globals, filters and tests, compiles the same templates for `render_template_async`. In the sync one an
`async def` function is waited for where it is called (`settled`): a filter or test is wrapped when it is registered,
any other call is known by its result. The twin awaits by itself and gets the functions unwrapped.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import Environment as _Environment, Template as _Template
from jinja2.runtime import Context as _Context
from jinja2.utils import LRUCache, internalcode, missing

from ..bridge import starts_on_loop
from ..template_context import ContextValue, settled
from ..typing import App

__all__ = ["Environment"]

# How many compiled strings of `render_template_string` are kept, each of at most so many characters.
_MAX_STRINGS = 64
_MAX_STRING_LENGTH = 16_384


class TemplateCache(LRUCache):
    """Jinja's cache of templates, with a dictionary of those that have been asked for since one was last loaded.

    PERF: finding a template in it takes 160 ns, in the cache, which keeps an order under a lock, 470.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.recent: dict[str, Any] = {}
        self.loader: Any = None  # whose templates `recent` holds

    def __setitem__(self, key: Any, value: Any) -> None:
        self.recent = {}
        super().__setitem__(key, value)

    def __delitem__(self, key: Any) -> None:
        self.recent = {}
        super().__delitem__(key)

    def clear(self) -> None:
        """Forget all templates."""
        self.recent = {}
        super().clear()


class Context(_Context):
    """The variables of one rendering."""

    def resolve_or_missing(self, key: str) -> Any:
        """The value of a name; a stand-in of the request's context gives way to what it stands for."""
        if key in self.vars:
            return self.vars[key]
        value = self.parent.get(key, missing)
        return value._get_current_object() if type(value) is ContextValue else value

    @internalcode
    def call(self, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call something for a template, and wait for its result if that is awaitable."""
        rv = super().call(obj, *args, **kwargs)
        if type(rv) is str or not hasattr(rv, "__await__") or self.environment.is_async:
            return rv
        return settled(rv, lambda: f"{_shown(obj)}, which {_template_of(self.name)} calls,")


class Template(_Template):
    """A compiled template."""

    def new_context(
        self,
        vars: dict[str, Any] | None = None,
        shared: bool = False,
        locals: Mapping[str, Any] | None = None,
    ) -> _Context:
        """Make the context of a rendering.

        PERF: Jinja goes through `globals`, a ChainMap, twice: 17,000 ns with the functions of an app, where merging its
        dictionaries takes 1,200. A table of 20 rows takes 65,000 in all, as much as Jinja alone without an app's
        functions.
        """
        if shared or locals:
            return super().new_context(vars, shared, locals)
        maps = getattr(self.globals, "maps", None)
        if maps is None:
            return super().new_context(vars, shared, locals)
        known: dict[str, Any] = {}
        for part in reversed(maps):
            known.update(part)
        parent = {**known, **vars} if vars else dict(known)
        environment = self.environment
        return environment.context_class(environment, parent, self.name, self.blocks, known)


class _Awaiting:
    """An `async def` filter or test, as a sync template calls it."""

    def __init__(self, function: Callable[..., Any], what: str) -> None:
        functools.update_wrapper(self, function)  # Jinja's marks (`pass_context`, ...) come along
        self.function = function
        self.what = what

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        rv = self.function(*args, **kwargs)
        return settled(rv, lambda: self.what) if hasattr(rv, "__await__") else rv


class Functions(dict[str, Callable[..., Any]]):
    """The filters or tests of the sync environment; those that are `async def` are wrapped when they come in."""

    def __init__(self, kind: str, functions: Mapping[str, Callable[..., Any]]) -> None:
        super().__init__(functions)
        self._kind = kind

    def __setitem__(self, name: str, function: Callable[..., Any]) -> None:
        if starts_on_loop(function):
            function = _Awaiting(function, f"the {self._kind} {name!r}")
        super().__setitem__(name, function)

    def setdefault(self, name: str, function: Any = None) -> Any:
        """The function of a name, which is set to the given one if there is none."""
        if name not in self:
            self[name] = function
        return self[name]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Register the functions of a mapping, or of pairs."""
        for name, function in dict(*args, **kwargs).items():
            self[name] = function

    def __ior__(self, other: Any) -> Functions:  # type: ignore[override,misc]
        self.update(other)
        return self


class _Unwrapped(Mapping[str, Callable[..., Any]]):
    """The same functions as the async environment calls them: it awaits by itself."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._functions = functions

    def __getitem__(self, name: str) -> Callable[..., Any]:
        function = self._functions[name]
        return function.function if type(function) is _Awaiting else function

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)


class Environment(_Environment):
    """A Jinja environment that finds templates through an app and its blueprints.

    Args:
        app: The application; it makes the loader unless one is given.
        options: Those of `jinja2.Environment`.
    """

    template_class = Template
    context_class = Context

    def __init__(self, app: App, **options: Any) -> None:
        if "loader" not in options:
            options["loader"] = app.create_global_jinja_loader()
        super().__init__(**options)
        self.app = app
        if not self.is_async:
            functions: Any = self
            functions.filters = Functions("filter", functions.filters)
            functions.tests = Functions("test", functions.tests)
        self._twin: Environment | None = None
        self._strings = LRUCache(_MAX_STRINGS)
        _quicken(self)

    def get_or_select_template(self, template_name_or_list: Any, parent: Any = None, globals: Any = None) -> Any:
        """The template of a name, or of the first of several names that there is."""
        cache: Any = self.cache
        quick = type(template_name_or_list) is str and parent is None and not globals and not self.auto_reload
        if not quick or type(cache) is not TemplateCache:
            return super().get_or_select_template(template_name_or_list, parent, globals)
        if cache.loader is not self.loader:
            cache.recent, cache.loader = {}, self.loader
        known = cache.recent
        template = known.get(template_name_or_list)
        if template is None:
            template = self.get_template(template_name_or_list)
            # If it was loaded, or another was meanwhile, `recent` is another dictionary: it comes in the next time.
            known[template_name_or_list] = template
        return template

    def compiled(self, source: str) -> Any:
        """The template of a string.

        It is compiled once, unless it is one of many or long, so that a view may render a string at each request.
        """
        template = self._strings.get(source)
        if template is None:
            template = self.from_string(source)
            if len(source) <= _MAX_STRING_LENGTH:
                self._strings[source] = template
        return template

    def add_extension(self, extension: Any) -> None:
        """Add a Jinja extension."""
        super().add_extension(extension)
        self._strings.clear()
        self._twin = None

    @property
    def async_twin(self) -> Environment:
        """The environment that compiles the same templates for `await`."""
        if self.is_async:
            return self
        twin = self._twin
        if twin is None:
            # A cache of bytecode does not know which of the two has compiled what it keeps.
            twin = self._twin = self.overlay(bytecode_cache=None, enable_async=True)
        twin.loader, twin.auto_reload = self.loader, self.auto_reload
        return twin

    def overlay(self, *args: Any, **kwargs: Any) -> Any:
        """Make an environment that shares what is not given."""
        made: Any = super().overlay(*args, **kwargs)
        made._twin = None
        made._strings = LRUCache(_MAX_STRINGS)
        _quicken(made)
        if kwargs.get("enable_async") and not self.is_async:
            made.is_async = True  # before 3.1.5 overlays do not apply it
            made.filters, made.tests = _Unwrapped(made.filters), _Unwrapped(made.tests)
        return made


def _quicken(environment: Any) -> None:
    """Give an environment the quick cache instead of Jinja's; one that is told to have no bounds, or none, keeps it."""
    if type(environment.cache) is LRUCache:
        environment.cache = TemplateCache(environment.cache.capacity)


def _template_of(name: str | None) -> str:
    return "the text given to render_template_string" if name is None else f"the template {name!r}"


def _shown(function: Any) -> str:
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    return f"{name}()"
