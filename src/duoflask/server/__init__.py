"""The built-in server: h11 and anyio, ASGI towards the application, asyncio or trio underneath.

Takes any ASGI or WSGI callable and knows nothing of duoflask's own application.
"""

from __future__ import annotations

from .blocking import run
from .config import ServerConfig
from .lifespan import LifespanError
from .listen import bind
from .run import Server, serve

__all__ = ["LifespanError", "Server", "ServerConfig", "bind", "run", "serve"]
