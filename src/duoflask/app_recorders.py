"""The decorators by which a blueprint registers for the whole app, not for its own endpoints only.

Owns the names that begin with `app_` and their kin. When they take effect is the blueprint's business.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from .scaffold import _adding_decorator, _require_argument, _require_callable, setupmethod
from .websocket_routes import WebsocketRoutes

__all__ = ["AppRecorders"]

_F = TypeVar("_F", bound=Callable[..., Any])


class AppRecorders(WebsocketRoutes):
    """What a blueprint registers for the app, at its first registration."""

    def record_once(self, func: Callable[[Any], Any]) -> None:
        """Have a function called at the first registration on an app only."""
        raise NotImplementedError

    def _for_app(self, registry: str, f: Any, inline: bool = False) -> Any:
        """Add a function to a registry of the app; without one, return the decorator that does."""
        if f is None:
            return functools.partial(self._for_app, registry, inline=inline)
        _require_callable("hook", f)

        def register(state: Any) -> None:
            if inline:
                state.app._inline.add(f)
            functions = getattr(state.app, registry)
            (functions if isinstance(functions, list) else functions[None]).append(f)

        self.record_once(register)
        return f

    # -- hooks

    @setupmethod
    def before_app_request(self, f: Any = None, *, inline: bool = False) -> Any:
        """Like `before_request`, for every request of the app."""
        return self._for_app("before_request_funcs", f, inline)

    @setupmethod
    def after_app_request(self, f: Any = None, *, inline: bool = False) -> Any:
        """Like `after_request`, for every request of the app."""
        return self._for_app("after_request_funcs", f, inline)

    @setupmethod
    def after_app_response(self, f: Any = None) -> Any:
        """Like `after_response`, for every request of the app."""
        return self._for_app("after_response_funcs", f)

    @setupmethod
    def teardown_app_request(self, f: Any = None, *, inline: bool = False) -> Any:
        """Like `teardown_request`, for every request of the app."""
        return self._for_app("teardown_request_funcs", f, inline)

    @setupmethod
    def before_app_websocket(self, f: Any = None, *, inline: bool = False) -> Any:
        """Like `before_websocket`, for every WebSocket of the app."""
        return self._for_app("before_websocket_funcs", f, inline)

    @setupmethod
    def after_app_websocket(self, f: Any = None, *, inline: bool = False) -> Any:
        """Like `after_websocket`, for every WebSocket of the app."""
        return self._for_app("after_websocket_funcs", f, inline)

    @setupmethod
    def teardown_app_websocket(self, f: Any = None, *, inline: bool = False) -> Any:
        """Like `teardown_websocket`, for every WebSocket of the app."""
        return self._for_app("teardown_websocket_funcs", f, inline)

    @setupmethod
    def before_app_first_request(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that runs once, before the app's first request."""
        return self._for_app("before_first_request_funcs", f, inline)

    @setupmethod
    def before_app_serving(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a start-up function of the app; see `app.before_serving`."""
        return self._for_app("before_serving_funcs", f, inline)

    @setupmethod
    def while_app_serving(self, f: _F) -> _F:
        """Register a generator function of the app; see `app.while_serving`."""
        self.record_once(lambda state: state.app.while_serving(f))
        return f

    @setupmethod
    def after_app_serving(self, f: _F) -> _F:
        """Register a shutdown function of the app; see `app.after_serving`."""
        self.record_once(lambda state: state.app.after_serving(f))
        return f

    @setupmethod
    def app_url_value_preprocessor(self, f: Any = None, *, inline: bool = False) -> Any:
        """Like `url_value_preprocessor`, for every request of the app."""
        return self._for_app("url_value_preprocessors", f, inline)

    @setupmethod
    def app_url_defaults(self, f: _F) -> _F:
        """Like `url_defaults`, for every URL of the app."""
        return self._for_app("url_default_functions", f)  # type: ignore[no-any-return]

    @setupmethod
    def app_context_processor(self, f: Any = None, *, inline: bool = False) -> Any:
        """Like `context_processor`, for every template of the app."""
        return self._for_app("template_context_processors", f, inline)

    @setupmethod
    def app_errorhandler(self, code: type[Exception] | int) -> Callable[[_F], _F]:
        """Like `errorhandler`, for every request of the app."""
        _require_argument("blueprint.app_errorhandler", code, "404", type)

        def decorator(f: _F) -> _F:
            _require_callable("error handler", f)
            self.record_once(lambda state: state.app.register_error_handler(code, f))
            return f

        return decorator

    # -- templates

    @setupmethod
    def app_template_filter(self, name: Any = None) -> Any:
        """Register the decorated function as a filter of all templates; see `app.template_filter`."""
        return _adding_decorator(self.add_app_template_filter, name)

    @setupmethod
    def add_app_template_filter(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Register a filter of all templates."""
        _require_callable("template filter", f)
        self.record_once(lambda state: state.app.add_template_filter(f, name))

    @setupmethod
    def app_template_test(self, name: Any = None) -> Any:
        """Register the decorated function as a test of all templates; see `app.template_test`."""
        return _adding_decorator(self.add_app_template_test, name)

    @setupmethod
    def add_app_template_test(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Register a test of all templates."""
        _require_callable("template test", f)
        self.record_once(lambda state: state.app.add_template_test(f, name))

    @setupmethod
    def app_template_global(self, name: Any = None) -> Any:
        """Register the decorated function as a function of all templates; see `app.template_global`."""
        return _adding_decorator(self.add_app_template_global, name)

    @setupmethod
    def add_app_template_global(self, f: Callable[..., Any], name: str | None = None) -> None:
        """Register a function of all templates."""
        self.record_once(lambda state: state.app.add_template_global(f, name))
