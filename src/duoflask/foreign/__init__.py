"""Applications of other frameworks, called under the protocol they do not speak.

Owns the two translations and the judgement which one an application needs. Knows no app of ours, no request and no
response. Bodies stream in both directions, bounded; a client that leaves is passed on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..bridge import Workers
from .asgi_under_wsgi import scope_from_environ, serve_asgi_in_thread
from .guest import CLOSE_TIMEOUT, Guest
from .leaving import serve_asgi_quietly
from .lifespan import Lifespan, LifespanError
from .shape import Protocols, protocol_of
from .wsgi_under_asgi import build_environ, serve_wsgi_on_loop

__all__ = [
    "CLOSE_TIMEOUT",
    "Foreign",
    "Guest",
    "Lifespan",
    "LifespanError",
    "Protocols",
    "build_environ",
    "protocol_of",
    "scope_from_environ",
    "serve_asgi_in_thread",
    "serve_wsgi_on_loop",
]

_UNSET: Any = object()


class Foreign:
    """An application of any protocol, callable under both.

    Args:
        app: A WSGI or ASGI application, or one that is both.
        protocol: Which one it is; by default what `protocol_of` says.
        workers: The threads for a WSGI application under ASGI; a pool of its own if there is none.

    Raises:
        TypeError: Its protocol cannot be told.
        ValueError: Another protocol.
    """

    protocols = "both"

    def __init__(self, app: Any, protocol: Protocols | None = None, workers: Workers | None = None) -> None:
        if protocol not in (None, "wsgi", "asgi", "both"):
            raise ValueError(f"invalid protocol; expected 'wsgi', 'asgi' or 'both'; got {protocol!r}")
        self.app = app
        self.protocol: Protocols = protocol_of(app) if protocol is None else protocol
        self._workers = workers
        # What its lifespan left for its requests under WSGI; set by whoever runs that.
        self.portal_state: dict[str, Any] | None = None

    def __call__(self, source: Any, second: Any = _UNSET, third: Any = _UNSET, /) -> Any:
        """Answer a server of either protocol."""
        if third is not _UNSET:
            if self.protocol == "wsgi":
                if self._workers is None:
                    self._workers = Workers()
                return serve_wsgi_on_loop(self.app, source, second, third, self._workers)
            if self.protocol == "asgi" and source["type"] == "http":
                return serve_asgi_quietly(self.app, source, second, third)
            return self.app(source, second, third)
        if second is _UNSET:
            return _asgi2(self, source)
        if self.protocol == "asgi":
            return serve_asgi_in_thread(self.app, source, second, self.portal_state)
        return self.app(source, second)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.app!r} ({self.protocol})>"


def _asgi2(app: Foreign, scope: Any) -> Callable[[Any, Any], Any]:
    return lambda receive, send: app(scope, receive, send)
