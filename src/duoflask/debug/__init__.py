"""Debug mode's error page, the pages that reload by themselves, and Werkzeug's names for a debugger.

`ErrorPages` and `LiveReload` go around an application of either protocol; the built-in server puts them there in debug
mode. Under another server they are the developer's to install, and never to be reached from outside.
"""

from __future__ import annotations

from .broken import BrokenApp
from .live import LiveReload
from .pages import ErrorPages
from .tracebacks import DebuggedApplication, DebugTraceback

__all__ = ["BrokenApp", "DebugTraceback", "DebuggedApplication", "ErrorPages", "LiveReload"]
