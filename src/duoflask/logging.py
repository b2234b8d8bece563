"""The app's logger, and what may stand in a log line.

Owns the default handler and the stream that it writes to. What is logged when is the app's business.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any, Final, TextIO, cast

from .globals import request
from .local import LocalProxy

__all__ = ["create_logger", "default_handler", "escape_for_log", "has_level_handler", "wsgi_errors_stream"]

# C0, DEL and C1 controls (line ends and terminal escapes), Unicode's line ends, its marks that change the
# direction of what follows, and surrogates, which no log file can be written with.
_UNSAFE_RE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def _current_stream() -> TextIO:
    if request and getattr(request, "scope", None) is None:  # an ASGI server has no such stream
        return cast("TextIO", request.environ.get("wsgi.errors") or sys.stderr)
    return sys.stderr


wsgi_errors_stream: Any = LocalProxy(_current_stream)
"""The stream for error messages: the WSGI server's while it serves a request, otherwise `sys.stderr`."""

default_handler: Final = logging.StreamHandler(wsgi_errors_stream)
"""Writes to `wsgi_errors_stream`; `create_logger` adds it where nobody else has configured logging."""
default_handler.setFormatter(logging.Formatter("[%(asctime)s] %(levelname)s in %(module)s: %(message)s"))


def has_level_handler(logger: logging.Logger) -> bool:
    """Return whether a handler of this logger, or of a parent, takes the logger's effective level."""
    level = logger.getEffectiveLevel()
    current: logging.Logger | None = logger
    while current is not None:
        if any(handler.level <= level for handler in current.handlers):
            return True
        current = current.parent if current.propagate else None
    return False


def create_logger(app: Any) -> logging.Logger:
    """Return the logger named as the app, configured as far as nobody else has done it.

    In debug mode a level that is not set becomes `DEBUG`. `default_handler` is added where no handler takes
    the level.
    """
    logger = logging.getLogger(app.name)
    if app.debug and not logger.level:
        logger.setLevel(logging.DEBUG)
    if not has_level_handler(logger):
        logger.addHandler(default_handler)
    return logger


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def escape_for_log(text: str) -> str:
    """Return `text` with everything visible that could end a log line or steer a terminal.

    What a peer chose (path, method, field values) goes through this before it is logged.
    """
    if text.isprintable():  # 20 ns, nearly always
        return text
    return _UNSAFE_RE.sub(_escape, text)
