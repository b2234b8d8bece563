"""A WSGI application as an ASGI one: what `--interface wsgi` serves (PEP 3333).

Owns how many threads it gets. The translation is `foreign`'s, and for WebSockets `threaded`'s.
"""

from __future__ import annotations

from ..bridge import Workers
from ..foreign import serve_wsgi_on_loop
from ..typing import Receive, Scope, Send, WSGIApplication
from .threaded import serve_websocket_in_thread

__all__ = ["WSGIAdapter"]

# A WebSocket occupies its thread for as long as it is open; requests keep theirs.
MAX_WEBSOCKET_THREADS = 1_000


class WSGIAdapter:
    """Serve a WSGI application as an ASGI one, in at most `threads` worker threads of its own."""

    def __init__(self, app: WSGIApplication, threads: int) -> None:
        self._app = app
        self._workers = Workers(threads)
        self._websocket_workers = Workers(MAX_WEBSOCKET_THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await serve_websocket_in_thread(self._app, scope, receive, send, self._websocket_workers)
        else:
            await serve_wsgi_on_loop(self._app, scope, receive, send, self._workers)
