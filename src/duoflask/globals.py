"""The names that stand for the active context's objects: `current_app`, `g`, `request`, `session`, `websocket`.

Owns the proxies and the faces of the context stack that older extensions know. Knows the context only through `ctx`.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from .ctx import AppContext, _cv_app
from .local import LocalProxy
from .websocket_context import WebsocketContext

if TYPE_CHECKING:
    from .app import DuoFlask
    from .app_globals import _AppCtxGlobals
    from .request import Request
    from .sessions import SessionMixin
    from .websocket_object import Websocket

    class _ProxyMixin:
        def _get_current_object(self) -> Any: ...

    # What a type checker sees: the object itself, plus the one method that proxies have on top.
    class DuoFlaskProxy(_ProxyMixin, DuoFlask): ...

    class RequestProxy(_ProxyMixin, Request): ...

    class SessionProxy(_ProxyMixin, SessionMixin): ...

    class WebsocketProxy(_ProxyMixin, Websocket): ...

    class GlobalsProxy(_ProxyMixin, _AppCtxGlobals): ...


__all__ = ["app_ctx", "current_app", "g", "request", "request_ctx", "session", "websocket", "websocket_ctx"]

_NO_APP: Final = (
    "Working outside of application context: '{name}' was used while no app is active. It is bound while a request is "
    "served and in CLI commands; in a script, a test or a thread of your own write 'with app.app_context():' around "
    "this code."
)
_NO_REQUEST: Final = (
    "Working outside of request context: '{name}' was used while no request is being served. It is bound in views, "
    "hooks and what they call; in a test write 'with app.test_request_context():' around this code, and give a thread "
    "of your own a function wrapped by copy_current_request_context."
)
_NO_WEBSOCKET: Final = (
    "Working outside of websocket context: '{name}' was used while no WebSocket is being served. It is bound in views "
    "registered by '@app.websocket(...)', their hooks and what they call; in the view of a plain request use "
    "'request'. In a test write 'async with app.test_websocket_context(...):' around this code, and give a thread "
    "of your own a function wrapped by copy_current_websocket_context."
)

_OWN: Final = frozenset({"_get_current_object", "__wrapped__", "_LocalProxy__get", "_LocalProxy__wrapped"})


def _proxy(
    name: str, attribute: str, message: str, *, needs_request: bool = False, kind: type[AppContext] = AppContext
) -> Any:
    """Make a proxy for an attribute of the active context, or with "" for the context itself."""
    text = message.format(name=name)

    def current() -> Any:
        if not _is_bound(needs_request, kind):
            raise RuntimeError(text)
        context = _cv_app.get()
        return getattr(context, attribute) if attribute else context

    def slow(self: Any, key: str) -> Any:
        """Look up what the object lacks, or what is asked while there is no object.

        Called where an error is handled.
        """
        if key in _OWN or not _is_bound(needs_request, kind):
            return LocalProxy.__getattribute__(self, key)
        raise

    # PERF: going straight to the context costs 85 ns an attribute, LocalProxy's own way 600, a shared function with a
    # getter 45 more; every `request.args` of every view pays it.
    def of_g(self: Any, key: str, _context: Callable[[], AppContext] = _cv_app.get) -> Any:
        try:
            context = _context()
            return getattr(context._g or context.g, key)
        except (AttributeError, LookupError, RuntimeError):
            return slow(self, key)

    def of_request(self: Any, key: str, _context: Callable[[], AppContext] = _cv_app.get) -> Any:
        try:
            context = _context()
            request = context._request
            return getattr(context.request if request is None else request, key)
        except (AttributeError, LookupError, RuntimeError):
            return slow(self, key)

    def of_app(self: Any, key: str, _context: Callable[[], AppContext] = _cv_app.get) -> Any:
        try:
            return getattr(_context().app, key)
        except (AttributeError, LookupError, RuntimeError):
            return slow(self, key)

    def of_session(self: Any, key: str, _context: Callable[[], AppContext] = _cv_app.get) -> Any:
        try:
            context = _context()
            session = context._session
            return getattr(context.session if session is None else session, key)
        except (AttributeError, LookupError, RuntimeError):
            return slow(self, key)

    def of_websocket(self: Any, key: str, _context: Callable[[], Any] = _cv_app.get) -> Any:
        try:
            return getattr(_context()._websocket, key)  # None at the first look: the slow way makes it
        except (AttributeError, LookupError, RuntimeError):
            return slow(self, key)

    def of_any(self: Any, key: str) -> Any:
        try:
            return getattr(current(), key)
        except (AttributeError, LookupError, RuntimeError):
            return slow(self, key)

    def set_g(self: Any, key: str, value: Any, _context: Callable[..., Any] = _cv_app.get) -> None:
        try:
            context = _context()
            setattr(context._g or context.g, key, value)
        except (AttributeError, LookupError):
            setattr(current(), key, value)

    def repr_of_g(self: Any) -> str:
        context = _cv_app.get(None)
        return "<LocalProxy unbound>" if context is None else f"<flask.g of {context.app.name!r}>"

    body: dict[str, Any] = {"__slots__": ()}
    quick = {"app": of_app, "g": of_g, "request": of_request, "session": of_session, "websocket": of_websocket}
    body["__getattribute__"] = quick.get(attribute, of_any)
    if attribute == "g":
        body["__setattr__"] = set_g
        body["__repr__"] = repr_of_g
    return type(name.title().replace("_", "") + "Proxy", (LocalProxy,), body)(current)


def _is_bound(needs_request: bool, kind: type[AppContext]) -> bool:
    context = _cv_app.get(None)
    return isinstance(context, kind) and not (needs_request and context.source is None)


app_ctx: AppContext = _proxy("app_ctx", "", _NO_APP)
request_ctx: AppContext = _proxy("request_ctx", "", _NO_REQUEST, needs_request=True)
current_app: DuoFlaskProxy = _proxy("current_app", "app", _NO_APP)
g: GlobalsProxy = _proxy("g", "g", _NO_APP)
request: RequestProxy = _proxy("request", "request", _NO_REQUEST, needs_request=True)
session: SessionProxy = _proxy("session", "session", _NO_REQUEST, needs_request=True)
websocket_ctx: WebsocketContext = _proxy("websocket_ctx", "", _NO_WEBSOCKET, kind=WebsocketContext)
websocket: WebsocketProxy = _proxy("websocket", "websocket", _NO_WEBSOCKET, kind=WebsocketContext)
MutableMapping.register(type(session))  # 'match session: case {...}' asks the type

_cv_request = _cv_app


class _ContextStack:
    """The face of the linked list of contexts that extensions written before Flask 2.2 know."""

    __slots__ = ("_needs_request",)

    def __init__(self, needs_request: bool) -> None:
        self._needs_request = needs_request

    @property
    def top(self) -> AppContext | None:
        """The innermost context, or None."""
        context = _cv_app.get(None)
        while context is not None and self._needs_request and not context.has_request:
            context = context.previous
        return context

    def push(self, context: AppContext) -> None:
        """Push a context."""
        context.push()

    def pop(self) -> AppContext | None:
        """Pop the innermost context and return it; None if there is none."""
        context = self.top
        if context is not None:
            context.pop()
        return context


_request_ctx_stack = _ContextStack(needs_request=True)
_app_ctx_stack = _ContextStack(needs_request=False)
