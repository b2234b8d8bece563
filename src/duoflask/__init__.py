"""duoflask: Flask's API, one application object served as WSGI and as ASGI.

Re-exports what users import, nothing else. What is heavy and not needed to serve a request resolves at first use.
"""

from __future__ import annotations

from . import json
from .app import DuoFlask, Flask
from .config import Config
from .ctx import after_this_request, copy_current_request_context, has_app_context, has_request_context
from .exceptions import Aborter, HTTPException, abort
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

__all__ = [
    "Aborter",
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
    "g",
    "got_request_exception",
    "has_app_context",
    "has_request_context",
    "json",
    "jsonify",
    "make_response",
    "message_flashed",
    "redirect",
    "request",
    "request_finished",
    "request_started",
    "request_tearing_down",
    "session",
    "stream_with_context",
    "template_rendered",
    "url_for",
]
