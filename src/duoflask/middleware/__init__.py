"""Middleware for both protocols: each class wraps a WSGI application, an ASGI application, or one that is both.

Owns nothing of an app's: what stands here would wrap any application.
"""

from __future__ import annotations

from .around import Middleware
from .compression import CompressionMiddleware
from .cors import CORSMiddleware
from .dispatcher import DispatcherMiddleware
from .http_proxy import ProxyMiddleware
from .lint import LintMiddleware
from .profiler import ProfilerMiddleware
from .proxy_fix import ProxyFix
from .shared_data import SharedDataMiddleware

__all__ = [
    "CORSMiddleware",
    "CompressionMiddleware",
    "DispatcherMiddleware",
    "LintMiddleware",
    "Middleware",
    "ProfilerMiddleware",
    "ProxyFix",
    "ProxyMiddleware",
    "SharedDataMiddleware",
]
