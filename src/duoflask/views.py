"""Views as classes: one object a request, and methods named as those of HTTP.

Owns how such a class becomes a view function. Knows the request's method and nothing else of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any, ClassVar, Final

from .globals import request
from .template_context import settled
from .typing import ResponseReturnValue, RouteCallable

__all__ = ["MethodView", "View", "http_method_funcs"]

http_method_funcs: Final = frozenset({"get", "post", "head", "options", "delete", "put", "trace", "patch"})


_NO_INLINE: Final = (
    "its decorators, which count on an answer, cannot wait for it on a running event loop; "
    "take inline=True off the rule"
)


class View:
    """A view as a class: a subclass writes `dispatch_request`, `def` or `async def`."""

    methods: ClassVar[Collection[str] | None] = None
    """The methods of its rules, unless `add_url_rule` is given others; None is GET."""

    provide_automatic_options: ClassVar[bool | None] = None
    """Whether OPTIONS is answered; None leaves it to the app."""

    decorators: ClassVar[list[Callable[..., Any]]] = []
    """Applied to the view function, the first one first: the last is the outermost."""

    init_every_request: ClassVar[bool] = True
    """Whether each request gets an object of its own; one for all is a little faster and must keep nothing."""

    def dispatch_request(self) -> ResponseReturnValue:
        """Answer a request; it gets the variables of the URL as keyword arguments."""
        raise NotImplementedError(f"{type(self).__qualname__} has no dispatch_request(); write one")

    @classmethod
    def as_view(cls, name: str, *class_args: Any, **class_kwargs: Any) -> RouteCallable:
        """Make the view function, to be passed to `add_url_rule`.

        Where all that it may call is `async def`, it is `async def`, too; else it is `def`, and what it returns is
        awaited if need be.

        Args:
            name: Its name, and so the endpoint's.
            class_args: For the class, at each request or once (`init_every_request`).
            class_kwargs: Likewise.
        """
        final: list[Any] = []
        view: Any = _make_view(cls, final, class_args, class_kwargs)
        view.__name__ = name
        view.__module__ = cls.__module__
        for decorator in cls.decorators:
            view = decorator(view)
        final.append(view)
        view.view_class = cls
        view.__name__ = name
        view.__doc__ = cls.__doc__
        view.__module__ = cls.__module__
        view.methods = cls.methods
        view.provide_automatic_options = cls.provide_automatic_options
        return view  # type: ignore[no-any-return]

    @classmethod
    def _is_async(cls) -> bool:
        """Whether whatever a request calls is `async def`."""
        return inspect.iscoroutinefunction(cls.dispatch_request)


def _make_view(cls: type[View], final: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> RouteCallable:
    """The view function of a class, before its decorators.

    Args:
        cls: The class.
        final: Will hold the view function that is returned to the user, whose `view_class` may be replaced.
        args: For the class.
        kwargs: For the class.
    """
    if cls.init_every_request:

        def dispatch(values: dict[str, Any]) -> Any:
            return final[0].view_class(*args, **kwargs).dispatch_request(**values)

    else:
        only = cls(*args, **kwargs)

        def dispatch(values: dict[str, Any]) -> Any:
            return only.dispatch_request(**values)

    if cls._is_async():

        async def async_view(**values: Any) -> Any:
            rv = dispatch(values)
            return await rv if hasattr(rv, "__await__") else rv

        return async_view
    if cls.decorators:
        # They may count on it that a `def` function returns an answer, not something to be awaited.
        def settling_view(**values: Any) -> Any:
            rv = dispatch(values)
            if not hasattr(rv, "__await__"):
                return rv
            return settled(rv, lambda: f"a method of the view {cls.__qualname__!r}", _NO_INLINE)

        return settling_view

    def view(**values: Any) -> Any:
        return dispatch(values)

    return view


class MethodView(View):
    """A view with a method for each HTTP method that it answers: `get`, `post`, ...; HEAD falls back to `get`.

    Each of them may be `def` or `async def`.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "methods" in cls.__dict__:
            return
        methods = {method.upper() for method in http_method_funcs if hasattr(cls, method)}
        for base in cls.__bases__:
            methods.update(getattr(base, "methods", None) or ())
        if methods:
            cls.methods = methods

    @classmethod
    def _is_async(cls) -> bool:
        if cls.dispatch_request is not MethodView.dispatch_request:
            return super()._is_async()
        names = http_method_funcs | {method.lower() for method in cls.methods or ()}
        functions = [getattr(cls, name) for name in names if hasattr(cls, name)]
        return bool(functions) and all(map(inspect.iscoroutinefunction, functions))

    def dispatch_request(self, **values: Any) -> ResponseReturnValue:
        """Call the method that is named as the request's.

        Raises:
            AssertionError: There is none; the rule should not have this method.
        """
        method = request.method
        name = method.lower()
        # a peer's own word does not reach other attributes
        known = name in http_method_funcs or method in (self.methods or ())
        function = getattr(self, name, None) if known else None
        if function is None and method == "HEAD":
            function = getattr(self, "get", None)
        if function is None:
            raise AssertionError(
                f"{type(self).__qualname__} answers no {method!r} request; expected a method {name!r}. Write one, or "
                "leave the HTTP method out of 'methods'."
            )
        return function(**values)
