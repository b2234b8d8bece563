"""What an app and a blueprint both register for WebSockets: routes and hooks.

Owns the decorators and what they refuse; the registries stand with Flask's, in `scaffold`. Knows no connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from .scaffold import Scaffold, setupmethod
from .typing import RouteCallable

__all__ = ["WebsocketRoutes"]

_F = TypeVar("_F", bound=Callable[..., Any])

# What says nothing about a WebSocket, and what to write instead.
_REFUSED: Final = {
    "methods": "the handshake is always a GET; leave it out, and register a view for other methods by 'route'",
    "provide_automatic_options": "only plain requests are answered to OPTIONS; leave it out",
    "stream_body": "a handshake has no body; leave it out, and take messages by 'websocket.receive()'",
    "max_content_length": "a handshake has no body; leave it out",
    "timeout": "it lasts as long as both sides want; put 'async with asyncio.timeout(...)' around a part of the view",
    "inline": "a 'def' view waits in receive() and send() and would stop the event loop; write it as 'async def'",
}


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    for name in options:
        if name in _REFUSED:
            raise TypeError(f"a WebSocket's route takes no {name!r}: {_REFUSED[name]}")
    return options


class WebsocketRoutes(Scaffold):
    """Views of WebSockets and the hooks around them."""

    @setupmethod
    def websocket(self, rule: str, **options: Any) -> Callable[[_F], _F]:
        """Register the decorated function, `async def` or `def`, as the view of a WebSocket.

        Args:
            rule: The URL rule, as in `"/ws/<room>"`.
            options: `endpoint`, `session=False` (a session kept elsewhere is not read before the view),
                and those of `Rule`.

        Raises:
            TypeError: An option that a WebSocket cannot have, such as `methods`.
        """
        _checked(options)

        def decorator(f: _F) -> _F:
            endpoint = options.pop("endpoint", None)
            self.add_websocket(rule, endpoint, f, **options)
            return f

        return decorator

    @setupmethod
    def add_websocket(
        self, rule: str, endpoint: str | None = None, view_func: RouteCallable | None = None, **options: Any
    ) -> None:
        """Register a URL rule for WebSockets; see `websocket`."""
        _checked(options)
        self.add_url_rule(
            rule, endpoint, view_func, provide_automatic_options=False, websocket=True, own_websocket=True, **options
        )

    # -- hooks

    @setupmethod
    def before_websocket(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that runs before each WebSocket's view, behind those of `before_request`.

        What it returns, unless None, is the response that refuses the handshake.

        Args:
            f: The function, `def` or `async def`.
            inline: It may run on the event loop although it is `def`: it does not block.
        """
        return self._register(self.before_websocket_funcs[None], f, inline)

    @setupmethod
    def after_websocket(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that runs behind each WebSocket's view.

        It gets the response that refuses the handshake, and may return another; None if it was accepted. The last one
        runs first.
        """
        return self._register(self.after_websocket_funcs[None], f, inline)

    @setupmethod
    def teardown_websocket(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that runs once at each WebSocket's end, whatever happened, with the exception or None.

        Those of `teardown_request` run after it.
        """
        return self._register(self.teardown_websocket_funcs[None], f, inline)
