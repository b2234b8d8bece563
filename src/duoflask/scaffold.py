"""What an app and a blueprint both register: routes, hooks, error handlers.

Owns the registries and the decorators. The registries are Flask's dictionaries and lists, public and changeable at any
time; a change drops the plans that were made of them. Knows no request.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, TypeVar, cast

from .exceptions import HTTPException, default_exceptions
from .typing import RouteCallable

__all__ = ["Scaffold", "WatchedDict", "WatchedList", "setupmethod"]

_F = TypeVar("_F", bound=Callable[..., Any])
_K = TypeVar("_K")
_V = TypeVar("_V")


def _watch(kind: type, names: Iterable[str]) -> None:
    """Have each mutating method of a dict or list subclass report the change after it."""
    for name in names:
        method = getattr(kind, name)

        def changing(self: Any, *args: Any, _method: Callable[..., Any] = method, **kwargs: Any) -> Any:
            try:
                return _method(self, *args, **kwargs)
            finally:
                self._changed()

        setattr(kind, name, functools.wraps(method)(changing))


class WatchedList(list[_V]):
    """A list that reports each of its changes."""

    __slots__ = ("_changed",)

    def __init__(self, changed: Callable[[], None], items: Iterable[_V] = ()) -> None:
        list.__init__(self, items)
        self._changed = changed

    def like(self, items: Iterable[_V]) -> WatchedList[_V]:
        """Make a list of other items that reports its changes as this one does."""
        return WatchedList(self._changed, items)


class WatchedDict(dict[_K, _V], Generic[_K, _V]):
    """A dict that reports each of its changes, and makes missing values like a `defaultdict`.

    Args:
        changed: Called after every change.
        factory: Makes the value of a missing key from `changed`. A plain list or dict that is stored instead is
            copied into such a value, so that its later changes are reported, too.
    """

    __slots__ = ("_changed", "_factory")

    def __init__(self, changed: Callable[[], None], factory: Callable[[Callable[[], None]], _V] | None = None) -> None:
        dict.__init__(self)
        self._changed = changed
        self._factory = factory

    def __missing__(self, key: _K) -> _V:
        if self._factory is None:
            raise KeyError(key)
        value = self._factory(self._changed)
        dict.__setitem__(self, key, value)  # an empty value changes no plan
        return value

    def like(self, items: Any) -> WatchedDict[_K, _V]:
        """Make a dict of other items that reports its changes as this one does."""
        made: WatchedDict[_K, _V] = WatchedDict(self._changed, self._factory)
        made.update(items)
        return made

    def __setitem__(self, key: _K, value: Any) -> None:
        if self._factory is not None and type(value) in (list, dict):
            plain, value = value, self._factory(self._changed)
            (value.extend if isinstance(value, list) else value.update)(plain)
        dict.__setitem__(self, key, value)

    def setdefault(self, key: _K, default: Any = None) -> _V:
        """The value of a key, which is set to the default if it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set the keys and values of a mapping, or of pairs."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __ior__(self, other: Any) -> WatchedDict[_K, _V]:  # type: ignore[override,misc]
        self.update(other)
        return self


_watch(
    WatchedList,
    ["append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"]
    + ["__setitem__", "__delitem__", "__iadd__", "__imul__"],
)
_watch(
    WatchedDict,
    ["clear", "pop", "popitem", "__setitem__", "__delitem__"],
)


def setupmethod(method: _F) -> _F:
    """Have a setup method refuse to work once requests are served (Flask's rule.

    It would apply to some requests only).
    """

    @functools.wraps(method)
    def checked(self: Scaffold, *args: Any, **kwargs: Any) -> Any:
        self._check_setup_finished(method.__name__)
        return method(self, *args, **kwargs)

    return cast(_F, checked)


def _endpoint_from_view_func(view_func: RouteCallable) -> str:
    """The default endpoint of a view function: its name."""
    name = getattr(view_func, "__name__", None)
    if name is None:
        raise AssertionError(
            f"expected a view function with a name when no endpoint is given; got {view_func!r}. "
            "Write endpoint='...' beside it."
        )
    return str(name)


class Scaffold:
    """Routes, hooks and error handlers, as an app and a blueprint register them.

    Args:
        import_name: The name of the module that the object belongs to, usually `__name__`.
    """

    name: str
    # Hooks and views that may run on the event loop although they are `def`: their author promises that they do not
    # block.
    _ROUTE_OPTIONS: ClassVar[frozenset[str]] = frozenset({"stream_body", "max_content_length", "inline"})

    def __init__(self, import_name: str) -> None:
        self.import_name = import_name
        changed = self._registry_changed
        hooks: Callable[[Callable[[], None]], list[Any]] = WatchedList
        self.view_functions: dict[str, RouteCallable] = WatchedDict(changed)
        self.error_handler_spec: dict[str | None, dict[int | None, dict[type[Exception], Any]]] = WatchedDict(
            changed, lambda told: WatchedDict(told, WatchedDict)
        )
        self.before_request_funcs: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.after_request_funcs: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.teardown_request_funcs: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.url_value_preprocessors: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
        self.url_default_functions: dict[str | None, list[Any]] = WatchedDict(changed, hooks)
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

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    # -- routes

    def _method_route(self, method: str, rule: str, options: dict[str, Any]) -> Callable[[_F], _F]:
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
                `max_content_length` (bytes; instead of the app's for this rule) and
                `inline=True` (a `def` view runs on the event loop under ASGI: it must not block).
        """

        def decorator(f: _F) -> _F:
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

        def decorator(f: _F) -> _F:
            self.view_functions[endpoint] = f
            return f

        return decorator

    # -- hooks

    def _register(self, functions: list[Any], f: _F | None, inline: bool) -> Any:
        """Add a hook; without one, return the decorator that does."""
        if f is None:
            return functools.partial(self._register, functions, inline=inline)
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
        self.url_default_functions[None].append(f)
        return f

    # -- errors

    @setupmethod
    def errorhandler(self, code_or_exception: type[Exception] | int) -> Callable[[_F], _F]:
        """Register the decorated function as the handler of a status code or an exception class."""

        def decorator(f: _F) -> _F:
            self.register_error_handler(code_or_exception, f)
            return f

        return decorator

    @setupmethod
    def register_error_handler(self, code_or_exception: type[Exception] | int, f: Callable[..., Any]) -> None:
        """Register a handler for a status code or an exception class.

        Raises:
            ValueError: A code that no HTTP exception has, or a class that is no exception.
            TypeError: Neither a code nor a class.
        """
        exception, code = self._get_exc_class_and_code(code_or_exception)
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
                    f"{which!r} is not a recognized HTTP error code; use a subclass of HTTPException with it instead"
                ) from None
        if not isinstance(kind, type):
            raise TypeError(f"{kind!r} is not a class; handlers are registered for exception classes or status codes")
        if not issubclass(kind, Exception):
            raise ValueError(f"{kind.__name__!r} is not a subclass of Exception; expected an exception class or a code")
        return kind, kind.code if issubclass(kind, HTTPException) else None
