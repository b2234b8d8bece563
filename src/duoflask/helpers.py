"""`make_response` and `stream_with_context`, under the module name that Flask's extensions import them from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .config import get_debug_flag, get_load_dotenv
from .ctx import has_request_context
from .exceptions import abort
from .files import send_file, send_from_directory
from .flashing import flash, get_flashed_messages
from .folders import root_path_of as get_root_path
from .globals import current_app
from .response import Response
from .urls import redirect, url_for

__all__ = [
    "abort",
    "flash",
    "get_debug_flag",
    "get_flashed_messages",
    "get_load_dotenv",
    "get_root_path",
    "make_response",
    "redirect",
    "send_file",
    "send_from_directory",
    "stream_with_context",
    "url_for",
]

_T = TypeVar("_T")


def make_response(*args: Any) -> Response:
    """Make a response of what a view could return, to change it before it is returned.

    Args:
        args: Nothing, or the answer, or its parts: body, status, headers.
    """
    if not args:
        return current_app.response_class()
    return current_app.make_response(args[0] if len(args) == 1 else args)


def stream_with_context(generator_or_function: _T) -> _T:
    """Return the iterator, or generator function, unchanged: every body runs in its request's context here.

    Raises:
        RuntimeError: No request is active (an iterator only; a function is called later).
    """
    if not isinstance(generator_or_function, Callable) and not has_request_context():  # type: ignore[arg-type]
        raise RuntimeError("'stream_with_context' can only be used when a request context is active, such as in a view")
    return generator_or_function
