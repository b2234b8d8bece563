"""A WSGI application as an ASGI one: what `--interface wsgi` serves (PEP 3333).

Owns how many threads it gets. The translation is `foreign`'s.
"""

from __future__ import annotations

from ..bridge import Workers
from ..foreign import serve_wsgi_on_loop
from ..typing import Receive, Scope, Send, WSGIApplication

__all__ = ["WSGIAdapter"]


class WSGIAdapter:
    """Serve a WSGI application as an ASGI one, in at most `threads` worker threads of its own."""

    def __init__(self, app: WSGIApplication, threads: int) -> None:
        self._app = app
        self._workers = Workers(threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await serve_wsgi_on_loop(self._app, scope, receive, send, self._workers)
