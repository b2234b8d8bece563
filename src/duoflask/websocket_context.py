"""The context of a WebSocket: what `websocket` stands for, beside all that the context of a request has.

Owns the functions that ask about it. Knows the app only as what makes the object that `websocket` is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .ctx import AppContext, _cv_app, copy_current_request_context

if TYPE_CHECKING:
    from .websocket_object import Websocket

__all__ = [
    "WebsocketContext",
    "after_this_websocket",
    "copy_current_websocket_context",
    "has_websocket_context",
]

_F = TypeVar("_F", bound=Callable[..., Any])


class WebsocketContext(AppContext):
    """The state of one WebSocket; its handshake is the request."""

    # PERF: slots, because a thousand connections share the processor's cache (load, tests/e2e).
    __slots__ = ("_after_websocket", "_session_sent", "_websocket", "link", "thread_link")
    link: Any  # what its messages go through on the loop, and in a thread; None where there is no connection
    thread_link: Any
    _websocket: Websocket | None
    _after_websocket: list[Callable[[Any], Any]] | None
    _session_sent: bool  # with the handshake's answer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.link = self.thread_link = self._websocket = self._after_websocket = None
        self._session_sent = False

    def suspended(self) -> bool:
        """Told by the driver when the connection waits on a loop, until it answers True; for each message."""
        link = self.link
        return link is None or (not link.receiving and link.suspended())

    @property
    def websocket(self) -> Websocket:
        """The WebSocket."""
        websocket = self._websocket
        if websocket is None:
            self._websocket = websocket = self.app.websocket_class(self.source)
            self.inform_websocket()
        return websocket

    def inform_websocket(self) -> None:
        """Tell the WebSocket what has become known of it: its app, rule and connection."""
        websocket = self._websocket
        if websocket is None:
            return
        websocket._app = self.app
        websocket._link, websocket._in_thread = self.link, self.thread_link
        websocket.url_rule = self.rule
        websocket.view_args = self.view_args
        websocket.routing_exception = self.routing_exception

    def session_sent(self) -> None:
        """Told when the session has gone with the handshake's answer: only a later change is still to be saved."""
        self._session_sent = True
        try:
            self._session.modified = False  # type: ignore[union-attr]
        except AttributeError:  # a foreign class may have it as a constant
            pass

    def match_request(self) -> None:
        """Find the URL rule of the WebSocket; a failure is kept as its `routing_exception`."""
        self.app._match(self)

    def copy(self) -> WebsocketContext:
        """Make a context with the same WebSocket, session and g, for a thread or task of one's own."""
        twin = super().copy()
        assert isinstance(twin, WebsocketContext)  # made by its own class
        twin.link, twin.thread_link, twin._websocket = self.link, self.thread_link, self.websocket
        return twin


def _websocket_context(what: str) -> WebsocketContext:
    context = _cv_app.get(None)
    if not isinstance(context, WebsocketContext):
        raise RuntimeError(
            f"{what} was called while no WebSocket is active; expected the view of one (@app.websocket), its hooks or "
            "something that they call. In a test write 'with app.test_websocket_context(\"/path\"):' around it."
        )
    return context


def after_this_websocket(f: _F) -> _F:
    """Register a function that is called behind the view of this WebSocket only; see `after_websocket`.

    Raises:
        RuntimeError: No WebSocket is active.
    """
    context = _websocket_context("after_this_websocket")
    if context._after_websocket is None:
        context._after_websocket = []
    context._after_websocket.append(f)
    return f


def copy_current_websocket_context(f: _F) -> _F:
    """Wrap a function, `def` or `async def`, so that it has this WebSocket's context wherever it runs.

    Raises:
        RuntimeError: No WebSocket is active.
    """
    _websocket_context("copy_current_websocket_context")
    return copy_current_request_context(f)


def has_websocket_context() -> bool:
    """Whether a WebSocket is active: whether `websocket` may be used."""
    return isinstance(_cv_app.get(None), WebsocketContext)
