"""duoflask: Flask's API, one application object served as WSGI and as ASGI.

Re-exports what users import, nothing else. What is heavy and not needed to serve a request resolves at first use.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from . import json
from .app import DuoFlask, Flask
from .blueprints import Blueprint
from .config import Config
from .ctx import after_this_request, copy_current_request_context, has_app_context, has_request_context
from .exceptions import Aborter, HTTPException, abort
from .files import send_file, send_from_directory
from .flashing import flash, get_flashed_messages
from .globals import (
    _app_ctx_stack as _app_ctx_stack,
    _request_ctx_stack as _request_ctx_stack,
    current_app,
    g,
    request,
    session,
    websocket,
)
from .helpers import make_response, stream_with_context
from .json import jsonify
from .request import Request
from .response import Response
from .signals import (
    appcontext_popped,
    appcontext_pushed,
    appcontext_tearing_down,
    before_render_template,
    got_background_exception,
    got_request_exception,
    got_serving_exception,
    got_websocket_exception,
    message_flashed,
    request_finished,
    request_started,
    request_tearing_down,
    template_rendered,
    websocket_finished,
    websocket_received,
    websocket_sent,
    websocket_started,
    websocket_tearing_down,
)
from .urls import redirect, url_for
from .websocket_context import after_this_websocket, copy_current_websocket_context, has_websocket_context

if TYPE_CHECKING:
    from .background import after_response
    from .hints import early_hints
    from .http.link import Link
    from .http.websocket_close import CloseCode
    from .http.websocket_handshake import UpgradeRequired
    from .templating import (
        get_template_attribute,
        render_template,
        render_template_async,
        render_template_string,
        render_template_string_async,
        stream_template,
        stream_template_async,
        stream_template_string,
        stream_template_string_async,
    )
    from .websocket_object import BadMessage, Websocket, WebsocketDisconnect

__all__ = [
    "Aborter",
    "BadMessage",
    "Blueprint",
    "CloseCode",
    "Config",
    "DuoFlask",
    "Flask",
    "HTTPException",
    "Link",
    "Request",
    "Response",
    "UpgradeRequired",
    "Websocket",
    "WebsocketDisconnect",
    "abort",
    "after_response",
    "after_this_request",
    "after_this_websocket",
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "copy_current_request_context",
    "copy_current_websocket_context",
    "current_app",
    "early_hints",
    "flash",
    "g",
    "get_flashed_messages",
    "get_template_attribute",
    "got_background_exception",
    "got_request_exception",
    "got_serving_exception",
    "got_websocket_exception",
    "has_app_context",
    "has_request_context",
    "has_websocket_context",
    "json",
    "jsonify",
    "make_response",
    "message_flashed",
    "redirect",
    "render_template",
    "render_template_async",
    "render_template_string",
    "render_template_string_async",
    "request",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "send_file",
    "send_from_directory",
    "session",
    "stream_template",
    "stream_template_async",
    "stream_template_string",
    "stream_template_string_async",
    "stream_with_context",
    "template_rendered",
    "url_for",
    "websocket",
    "websocket_finished",
    "websocket_received",
    "websocket_sent",
    "websocket_started",
    "websocket_tearing_down",
]

# Where the names stand that pull in what many applications do without, and submodules that are looked at as attributes.
_LAZY = {
    "BadMessage": "websocket_object",
    "CloseCode": "http.websocket_close",
    "Link": "http.link",
    "UpgradeRequired": "http.websocket_handshake",
    "Websocket": "websocket_object",
    "WebsocketDisconnect": "websocket_object",
    "after_response": "background",
    "early_hints": "hints",
    "get_template_attribute": "templating",
    "render_template": "templating",
    "render_template_async": "templating",
    "render_template_string": "templating",
    "render_template_string_async": "templating",
    "stream_template": "templating",
    "stream_template_async": "templating",
    "stream_template_string": "templating",
    "stream_template_string_async": "templating",
}
_MODULES = frozenset(
    {"broadcast", "cli", "csrf", "datastructures", "debug", "logging", "middleware", "security", "server", "serving"}
    | {"development", "doctor", "reloader", "sse", "templating", "testing", "views"}
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    setattr(sys.modules[__name__], name, value)  # not globals(): a submodule has that name
    return value
