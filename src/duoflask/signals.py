"""The signals that extensions and applications subscribe to.

Owns the namespace and the signal objects. Who sends them when is the dispatcher's and the contexts' business.

Theory of operation: they are signals of `blinker`, which takes a tenth of the time of `import duoflask` (with
`inspect`), and most processes have no receiver. So each begins as a stand-in that knows that it has no receivers, and
becomes the signal when anything else is wanted of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from .bridge import new_lock
from .lazy import LazyModule

if TYPE_CHECKING:
    import blinker
    from blinker import NamedSignal, Namespace

    signals: Namespace
else:
    blinker = LazyModule("blinker")

__all__ = [
    "Namespace",
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "got_background_exception",
    "got_request_exception",
    "got_serving_exception",
    "got_websocket_exception",
    "message_flashed",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "signals",
    "template_rendered",
    "websocket_finished",
    "websocket_received",
    "websocket_sent",
    "websocket_started",
    "websocket_tearing_down",
]

_making: Final = new_lock()
_by_name: Final[dict[str, NamedSignal]] = {}


class _Signal:
    """Becomes a `blinker.NamedSignal` at the first look at anything but its name and its receivers.

    PERF: a `__getattr__` would do without a list of names, and make each look at `receivers` 35 ns slower.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.receivers: dict[Any, Any] = {}

    def _itself(self) -> NamedSignal:
        with _making:
            if type(self) is _Signal:
                made = blinker.NamedSignal(self.name)
                receivers = self.receivers  # whose emptiness others look at
                self.__dict__.update(made.__dict__)
                self.receivers = receivers
                _CLASS.__set__(self, blinker.NamedSignal)
        return cast("NamedSignal", self)

    def __repr__(self) -> str:
        return repr(self._itself())

    @property  # type: ignore[misc]
    def __class__(self) -> type[NamedSignal]:  # type: ignore[override]
        return blinker.NamedSignal  # whoever asks has imported blinker


_CLASS: Final[Any] = object.__dict__["__class__"]


def _attribute(name: str) -> Any:
    """An attribute of `blinker.NamedSignal`; to look at it, or to assign it, is what makes the signal."""

    def get(signal: _Signal) -> Any:
        return getattr(signal._itself(), name)

    def put(signal: _Signal, value: Any) -> None:
        setattr(signal._itself(), name, value)

    return property(get, put)


for _name in (
    *("ANY", "connect", "connect_via", "connected_to", "disconnect", "has_receivers_for", "is_muted", "muted"),
    *("receiver_connected", "receiver_disconnected", "receivers_for", "send", "send_async", "set_class"),
    *("temporarily_connected_to", "_clear_state"),
):
    setattr(_Signal, _name, _attribute(_name))


def _signal(name: str) -> NamedSignal:
    signal = _by_name[name] = cast("NamedSignal", _Signal(name))
    return signal


# Sent with the app as sender and the keyword arguments that the comments name, as Flask does.
template_rendered: Final[NamedSignal] = _signal("template-rendered")  # template, context
before_render_template: Final[NamedSignal] = _signal("before-render-template")  # template, context
request_started: Final[NamedSignal] = _signal("request-started")
request_finished: Final[NamedSignal] = _signal("request-finished")  # response
request_tearing_down: Final[NamedSignal] = _signal("request-tearing-down")  # exc
got_request_exception: Final[NamedSignal] = _signal("got-request-exception")  # exception
got_background_exception: Final[NamedSignal] = _signal("got-background-exception")  # exception
got_serving_exception: Final[NamedSignal] = _signal("got-serving-exception")  # exception
appcontext_tearing_down: Final[NamedSignal] = _signal("appcontext-tearing-down")  # exc
appcontext_pushed: Final[NamedSignal] = _signal("appcontext-pushed")
appcontext_popped: Final[NamedSignal] = _signal("appcontext-popped")
message_flashed: Final[NamedSignal] = _signal("message-flashed")  # message, category
websocket_started: Final[NamedSignal] = _signal("websocket-started")
websocket_received: Final[NamedSignal] = _signal("websocket-received")  # message
websocket_sent: Final[NamedSignal] = _signal("websocket-sent")  # message
websocket_finished: Final[NamedSignal] = _signal("websocket-finished")  # response, or None
websocket_tearing_down: Final[NamedSignal] = _signal("websocket-tearing-down")  # exc
got_websocket_exception: Final[NamedSignal] = _signal("got-websocket-exception")  # exception


def __getattr__(name: str) -> Any:
    if name == "Namespace":
        return blinker.Namespace
    if name != "signals":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _making:
        if name not in globals():
            namespace = globals()[name] = blinker.Namespace()
            namespace.update(_by_name)
    return globals()[name]
