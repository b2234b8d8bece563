"""The signals that extensions and applications subscribe to.

Owns the namespace and the signal objects. Who sends them when is the dispatcher's and the contexts' business.
"""

from __future__ import annotations

from typing import Final

from blinker import NamedSignal, Namespace

__all__ = [
    "Namespace",
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "got_request_exception",
    "message_flashed",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "signals",
    "template_rendered",
]

signals: Final = Namespace()

# Sent with the app as sender and the keyword arguments that the comments name, as Flask does.
template_rendered: Final[NamedSignal] = signals.signal("template-rendered")  # template, context
before_render_template: Final[NamedSignal] = signals.signal("before-render-template")  # template, context
request_started: Final[NamedSignal] = signals.signal("request-started")
request_finished: Final[NamedSignal] = signals.signal("request-finished")  # response
request_tearing_down: Final[NamedSignal] = signals.signal("request-tearing-down")  # exc
got_request_exception: Final[NamedSignal] = signals.signal("got-request-exception")  # exception
appcontext_tearing_down: Final[NamedSignal] = signals.signal("appcontext-tearing-down")  # exc
appcontext_pushed: Final[NamedSignal] = signals.signal("appcontext-pushed")
appcontext_popped: Final[NamedSignal] = signals.signal("appcontext-popped")
message_flashed: Final[NamedSignal] = signals.signal("message-flashed")  # message, category
