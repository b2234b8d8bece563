"""`Middleware`: an application around another, one class for both protocols.

Owns how a call is told apart, what a subclass may do to a request, and how it is installed. What is done to a response
stands in `filtering`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from ..bridge import mark_as_coroutine_function
from ..foreign import Protocols, protocol_of
from ..http.environ import get_path_info
from ..http.header_views import EnvironHeaders, ScopeHeaders
from ..http.uri import split_root_path
from .filtering import ResponseFilter, filter_asgi, filter_wsgi

__all__ = ["Middleware", "headers_of", "is_scope", "path_of"]

_UNSET: Any = object()


class Middleware:
    """An application around another one: a WSGI application, an ASGI application, or one that is both.

    A subclass replaces `prepare`, which is called with each request of either protocol and with each WebSocket.

    Args:
        app: The application.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        # Servers ask whether calling it makes a coroutine; the answer counts where it is the outermost object.
        mark_as_coroutine_function(Middleware.__call__)

    @classmethod
    def install(cls, app: Any, *args: Any, **options: Any) -> Self:
        """Put this middleware around a duoflask app, under both protocols, and return it.

        The last one installed is the outermost.

        Args:
            app: The app; its `wsgi_app` and `asgi_app` are replaced.
            args: The middleware's own arguments, without the application.
            options: The same.
        """
        made = cls(_Inner(app.wsgi_app, app.asgi_app), *args, **options)
        app.wsgi_app = app.asgi_app = made
        return made

    @property
    def protocols(self) -> Protocols:
        """What the application inside speaks: "wsgi", "asgi" or "both"."""
        return protocol_of(self.app)

    def prepare(self, source: Any) -> tuple[Any, Any, ResponseFilter | None]:
        """Decide about a request.

        Args:
            source: A WSGI environ, or an ASGI scope of type `http` or `websocket`; never changed if it is a scope.

        Returns:
            The application that answers, the environ or scope that it sees, and what is done to its response.
        """
        return self.app, source, None

    def __call__(self, source: Any, second: Any = _UNSET, third: Any = _UNSET, /) -> Any:
        """Answer a server: `(environ, start_response)`, awaited `(scope, receive, send)`, or ASGI 2's `(scope)`."""
        if second is _UNSET:
            if not isinstance(source, dict) or "type" not in source:
                raise TypeError(
                    f"{type(self).__name__} takes (environ, start_response), (scope, receive, send) or (scope)"
                )
            return lambda receive, send: self(source, receive, send)
        if third is _UNSET:
            app, source, amend = self.prepare(source)
            return app(source, second) if amend is None else filter_wsgi(app, source, second, amend)
        if source["type"] == "lifespan":
            return self.app(source, second, third)
        app, source, amend = self.prepare(source)
        return app(source, second, third) if amend is None else filter_asgi(app, source, second, third, amend)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} around {self.app!r}>"


class _Inner:
    """What an app was before middleware was installed around it."""

    __slots__ = ("asgi_app", "wsgi_app")

    def __init__(self, wsgi_app: Callable[..., Any], asgi_app: Callable[..., Any]) -> None:
        self.wsgi_app = wsgi_app
        self.asgi_app = asgi_app

    def __call__(self, source: Any, second: Any, third: Any = _UNSET, /) -> Any:
        return self.wsgi_app(source, second) if third is _UNSET else self.asgi_app(source, second, third)


def is_scope(source: Any) -> bool:
    """Whether a request came as an ASGI scope; every scope has a type, no environ does."""
    return "type" in source


def headers_of(source: Any) -> EnvironHeaders | ScopeHeaders:
    """The header fields of a request."""
    return ScopeHeaders(source["headers"]) if "type" in source else EnvironHeaders(source)


def path_of(source: Any) -> str:
    """The path below the application, decoded as far as it is UTF-8."""
    if "type" not in source:
        return get_path_info(source)
    return split_root_path(source["path"], (source.get("root_path") or "").rstrip("/"))
