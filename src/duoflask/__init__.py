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
    got_request_exception,
    message_flashed,
    request_finished,
    request_started,
    request_tearing_down,
    template_rendered,
)
from .urls import redirect, url_for

if TYPE_CHECKING:
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

__all__ = [
    "Aborter",
    "Blueprint",
    "Config",
    "DuoFlask",
    "Flask",
    "HTTPException",
    "Request",
    "Response",
    "abort",
    "after_this_request",
    "appcontext_popped",
    "appcontext_pushed",
    "appcontext_tearing_down",
    "before_render_template",
    "copy_current_request_context",
    "current_app",
    "flash",
    "g",
    "get_flashed_messages",
    "get_template_attribute",
    "got_request_exception",
    "has_app_context",
    "has_request_context",
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
]

# What pulls in a package that many applications do without (jinja2), and submodules that are looked at as attributes.
_TEMPLATING = frozenset(
    {
        "get_template_attribute",
        "render_template",
        "render_template_async",
        "render_template_string",
        "render_template_string_async",
        "stream_template",
        "stream_template_async",
        "stream_template_string",
        "stream_template_string_async",
    }
)
_MODULES = frozenset(
    {"cli", "csrf", "datastructures", "debug", "middleware", "security", "server", "serving"}
    | {"templating", "testing", "views"}
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _TEMPLATING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.templating"), name)
    setattr(sys.modules[__name__], name, value)  # not globals(): a submodule has that name
    return value
