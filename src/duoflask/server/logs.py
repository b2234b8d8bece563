"""The server's loggers, and what may be written into a line of theirs.

Owns the names `duoflask.server` and `duoflask.access`.
"""

from __future__ import annotations

import logging
import re
import sys

__all__ = ["access_logger", "configure_logging", "escape_log", "server_logger"]

server_logger = logging.getLogger("duoflask.server")
access_logger = logging.getLogger("duoflask.access")

# C0, DEL and C1 controls (U+0085 and the terminal's CSI among them), line and paragraph separators,
# bidirectional overrides, lone surrogates, and what would end a quoted string.
_UNSAFE_RE = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"\\\\]')


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def escape_log(text: str) -> str:
    """Return the text as one line that no terminal takes for a command."""
    return _UNSAFE_RE.sub(_escape, text)


def configure_logging() -> None:
    """Send both loggers to stderr, unless the application has configured logging."""
    for logger in (server_logger, access_logger):
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
        if not logger.hasHandlers():
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("%(message)s"))
            logger.addHandler(handler)
