"""What an app and a blueprint both register: routes, hooks, error handlers, folders.

Owns the registries and the decorators. The registries are Flask's dictionaries and lists, public and changeable at any
time; a change drops the plans that were made of them. Knows no request.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from .exceptions import HTTPException, default_exceptions
from .folders import Folders, root_path_of
from .lazy import LazyModule
from .registries import WatchedDict, WatchedList, told_while_alive
from .typing import RouteCallable

if TYPE_CHECKING:
    import jinja2

    from . import command_groups
else:
    jinja2 = LazyModule("jinja2")  # an API needs none
    command_groups = LazyModule(f"{__package__}.command_groups")  # with click: a server needs neither

__all__ = ["Scaffold", "WatchedDict", "WatchedList", "setupmethod"]

_F = TypeVar("_F", bound=Callable[..., Any])


def setupmethod(method: _F) -> _F:
    """Have a setup method refuse to work once requests are served: it would apply to some of them only."""

    @functools.wraps(method)
    def checked(self: Scaffold, *args: Any, **kwargs: Any) -> Any:
        self._check_setup_finished(method.__name__)
        return method(self, *args, **kwargs)

    return cast(_F, checked)


def _require_callable(what: str, f: Any) -> None:
    """Refuse what cannot be called, where it is registered, not at the first request.

    Raises:
        TypeError: It is no function, nor anything else that can be called.
    """
    if not callable(f):
        raise TypeError(
            f"invalid {what}; expected a function or another callable; got {f!r}, which could never be called. Pass "
            "the function itself, not what it returns; a decorator between has to return the function that it makes."
        )


def _require_argument(decorator: str, argument: Any, example: str, usual: type = str) -> None:
    """Refuse a function in the place of a decorator's argument: its parentheses were forgotten.

    Raises:
        TypeError: It is a function.
    """
    if callable(argument) and not isinstance(argument, usual):
        raise TypeError(
            f"'{decorator}' got the function {getattr(argument, '__qualname__', argument)!r} instead of its argument, "
            f"so nothing would be registered. Write @{decorator}({example}) above the function."
        )


def _require_blueprint(blueprint: Any) -> None:
    """Refuse what has nothing to register.

    Raises:
        TypeError: It is no blueprint, such as the module that makes one.
    """
    if hasattr(blueprint, "register"):
        return
    advice = "a Blueprint(name, __name__)"
    if isinstance(blueprint, ModuleType):
        names = [name for name, value in vars(blueprint).items() if hasattr(value, "deferred_functions")]
        advice = f"{blueprint.__name__.rpartition('.')[2]}.{names[0] if names else 'bp'}"
    raise TypeError(f"invalid blueprint; expected a Blueprint; got {blueprint!r}. Write register_blueprint({advice}).")


def _endpoint_from_view_func(view_func: RouteCallable) -> str:
    """The default endpoint of a view function: its name."""
    name = getattr(view_func, "__name__", None)
    if view_func is None:
        raise AssertionError(
            "expected a view function when no endpoint is given; got None. Pass view_func or endpoint; a decorator "
            "below '@app.route' has to return the function that it makes."
        )
    if name is None:
        raise AssertionError(
            f"expected a view function with a name when no endpoint is given; got {view_func!r}. "
            "Write endpoint='...' beside it."
        )
    return str(name)


def _adding_decorator(add: Callable[..., None], name: Any) -> Any:
    """The decorator that adds a function under a name; or, used without parentheses, the function itself."""
    if callable(name):
        add(name)
        return name

    def decorator(f: _F) -> _F:
        add(f, name)
        return f

    return decorator


class Scaffold(Folders):
    """Routes, hooks and error handlers, as an app and a blueprint register them.

    Args:
        import_name: The name of the module that the object belongs to, usually `__name__`.
        static_folder: The folder of its static files, below `root_path`.
        static_url_path: Where they are served.
        template_folder: The folder of its templates, below `root_path`.
        root_path: Its folder; by default that of its module.
    """

    name: str
    # Options of `route` that are no `Rule`'s.
    _ROUTE_OPTIONS: ClassVar[frozenset[str]] = frozenset(
        {"stream_body", "max_content_length", "inline", "session", "timeout", "own_websocket"}
    )

    def __init__(
        self,
        import_name: str,
        static_folder: str | os.PathLike[str] | None = None,
        static_url_path: str | None = None,
        template_folder: str | os.PathLike[str] | None = None,
        root_path: str | None = None,
    ) -> None:
        self.import_name = import_name
        self.root_path = root_path_of(import_name) if root_path is None else root_path
        self.static_url_path = static_url_path
        self.static_folder = static_folder
        self.template_folder = template_folder
        changed = told_while_alive(self._registry_changed)
        hooks: Callable[[Callable[[], None]], list[Any]] = WatchedList
        self.view_functions: dict[str, RouteCallable] = WatchedDict(changed)
        self.error_handler_spec: dict[str | None, dict[int | None, dict[type[Exception], Any]]] = WatchedDict(
            changed, lambda told: WatchedDict(told, WatchedDict)
        )
        self.before_request_funcs: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.after_request_funcs: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.after_response_funcs: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.teardown_request_funcs: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.before_websocket_funcs: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.after_websocket_funcs: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.teardown_websocket_funcs: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.url_value_preprocessors: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.url_default_functions: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.template_context_processors: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        # Hooks and views that may run on the event loop although they are `def`: their author promises that they do
        # not block.
        self._inline: set[Any] = set()

    def __setattr__(self, name: str, value: Any) -> None:
        known = self.__dict__.get(name)
        if isinstance(known, (WatchedDict, WatchedList)) and type(value) in (list, dict):
            value = known.like(value)  # a registry that is replaced as a whole
            self._registry_changed()
        object.__setattr__(self, name, value)

    def _registry_changed(self) -> None:
        """Told by the registries at each change."""

    def _check_setup_finished(self, name: str) -> None:
        raise NotImplementedError

    @property
    def cli(self) -> command_groups.AppGroup:
        """The group of the object's own commands, which `duoflask` offers beside its own."""
        group = self.__dict__.get("_cli")
        if group is None:
            group = self.__dict__["_cli"] = command_groups.AppGroup(self.name)
        return cast("command_groups.AppGroup", group)

    @cli.setter
    def cli(self, value: command_groups.AppGroup) -> None:
        self.__dict__["_cli"] = value

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    # -- routes

    def _method_route(self, method: str, rule: str, options: dict[str, Any]) -> Callable[[_F], _F]:
        _require_argument(f"app.{method.lower()}", rule, "'/path'")
        if "methods" in options:
            raise TypeError(f"use the 'route' decorator to name methods; '{method.lower()}' stands for one")
        return self.route(rule, methods=[method], **options)

    @setupmethod
    def get(self, rule: str, **options: Any) -> Callable[[_F], _F]:
        """Short for `route(rule, methods=["GET"])`."""
        return self._method_route("GET", rule, options)

    @setupmethod
    def post(self, rule: str, **options: Any) -> Callable[[_F], _F]:
        """Short for `route(rule, methods=["POST"])`."""
        return self._method_route("POST", rule, options)

    @setupmethod
    def put(self, rule: str, **options: Any) -> Callable[[_F], _F]:
        """Short for `route(rule, methods=["PUT"])`."""
        return self._method_route("PUT", rule, options)

    @setupmethod
    def delete(self, rule: str, **options: Any) -> Callable[[_F], _F]:
        """Short for `route(rule, methods=["DELETE"])`."""
        return self._method_route("DELETE", rule, options)

    @setupmethod
    def patch(self, rule: str, **options: Any) -> Callable[[_F], _F]:
        """Short for `route(rule, methods=["PATCH"])`."""
        return self._method_route("PATCH", rule, options)

    @setupmethod
    def route(self, rule: str, **options: Any) -> Callable[[_F], _F]:
        """Register the decorated function as the view for a URL rule.

        Args:
            rule: The URL rule, as in `"/users/<int:id>"`.
            options: `endpoint`, `methods`, `provide_automatic_options`, those of `Rule`, and
                `stream_body=True` (the body is not read before the view; it iterates `request.stream`),
                `max_content_length` (bytes; instead of the app's for this rule),
                `session=False` (a session kept elsewhere is not read before the view),
                `timeout` (seconds for hooks and view; instead of REQUEST_TIMEOUT; None for no limit) and
                `inline=True` (a `def` view runs on the event loop under ASGI: it must not block).

        Raises:
            TypeError: The rule is a function, because the parentheses were forgotten; or the view is none.
        """
        _require_argument("app.route", rule, "'/path'")

        def decorator(f: _F) -> _F:
            if f is not None:
                _require_callable("view function", f)
            endpoint = options.pop("endpoint", None)
            self.add_url_rule(rule, endpoint, f, **options)
            return f

        return decorator

    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: RouteCallable | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Register a URL rule; see `route`."""
        raise NotImplementedError

    @setupmethod
    def endpoint(self, endpoint: str) -> Callable[[_F], _F]:
        """Register the decorated function as the view for an endpoint."""
        _require_argument("app.endpoint", endpoint, "'name'")

        def decorator(f: _F) -> _F:
            _require_callable("view function", f)
            self.view_functions[endpoint] = f
            return f

        return decorator

    # -- hooks

    def _register(self, functions: list[Any], f: _F | None, inline: bool) -> Any:
        """Add a hook; without one, return the decorator that does."""
        if f is None:
            return functools.partial(self._register, functions, inline=inline)
        _require_callable("hook", f)
        if inline:
            self._inline.add(f)
        functions.append(f)
        return f

    @setupmethod
    def before_request(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that runs before each request.

        What it returns, unless None, is the response: later ones and the view are not called.

        Args:
            f: The function, `def` or `async def`.
            inline: It may run on the event loop although it is `def`: it does not block.
        """
        return self._register(self.before_request_funcs[None], f, inline)

    @setupmethod
    def after_request(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that gets the response of each request and returns it or another.

        The last one runs first.
        """
        return self._register(self.after_request_funcs[None], f, inline)

    @setupmethod
    def after_response(self, f: Any) -> Any:
        """Register a function that runs after each response has been sent, beside the next requests.

        Args:
            f: The function, `def` or `async def`; called with the response if it takes an argument.
        """
        return self._register(self.after_response_funcs[None], f, inline=False)

    @setupmethod
    def teardown_request(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that runs once at each request's end, whatever happened, with the exception or None."""
        return self._register(self.teardown_request_funcs[None], f, inline)

    @setupmethod
    def url_value_preprocessor(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that gets the endpoint and the values of the URL before the request's other hooks."""
        return self._register(self.url_value_preprocessors[None], f, inline)

    @setupmethod
    def url_defaults(self, f: _F) -> _F:
        """Register a function that may add values to every URL that is built, in place."""
        _require_callable("hook", f)
        self.url_default_functions[None].append(f)
        return f

    # -- templates

    @functools.cached_property
    def jinja_loader(self) -> jinja2.BaseLoader | None:
        """The loader of the object's own templates; None without a template folder."""
        if self.template_folder is None:
            return None
        return jinja2.FileSystemLoader(os.path.join(self.root_path, self.template_folder))

    @setupmethod
    def context_processor(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function whose dict is added to the variables of each template.

        What the template is rendered with comes first. A blueprint's functions run for its own endpoints.

        Args:
            f: The function, `def` or `async def` (then for `render_template_async`, or in a `def` view).
            inline: `render_template_async` may run it on the event loop although it is `def`: it does not block.
        """
        return self._register(self.template_context_processors[None], f, inline)

    # -- errors

    @setupmethod
    def errorhandler(self, code_or_exception: type[Exception] | int) -> Callable[[_F], _F]:
        """Register the decorated function as the handler of a status code or an exception class."""
        _require_argument("app.errorhandler", code_or_exception, "404", type)

        def decorator(f: _F) -> _F:
            self.register_error_handler(code_or_exception, f)
            return f

        return decorator

    @setupmethod
    def register_error_handler(self, code_or_exception: type[Exception] | int, f: Callable[..., Any]) -> None:
        """Register a handler for a status code or an exception class.

        Raises:
            ValueError: A code that no HTTP exception has, or a class that is no exception.
            TypeError: Neither a code nor a class; or a handler that cannot be called.
        """
        exception, code = self._get_exc_class_and_code(code_or_exception)
        _require_callable("error handler", f)
        self.error_handler_spec[None][code][exception] = f

    @staticmethod
    def _get_exc_class_and_code(which: type[Exception] | int) -> tuple[type[Exception], int | None]:
        """The exception class that a handler is for, and its code if it is an HTTP exception."""
        kind: Any = which
        if isinstance(which, int):
            try:
                kind = default_exceptions[which]
            except KeyError:
                raise ValueError(
                    f"{which!r} is not a recognized HTTP error code. Use a subclass of HTTPException with it instead."
                ) from None
        if not isinstance(kind, type):
            raise TypeError(f"{kind!r} is an instance, not a class. Handlers are registered for classes or codes.")
        if not issubclass(kind, Exception):
            raise ValueError(
                f"{kind.__name__!r} is not a subclass of Exception. Register an exception class or a code."
            )
        return kind, kind.code if issubclass(kind, HTTPException) else None
