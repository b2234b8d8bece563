"""Falcon under WSGI and ASGI; under WSGI it hands the generator itself to the server."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.asgi

from benchmarks.workloads import async_stream, stream

__all__ = ["build_asgi", "build_wsgi"]


def build_wsgi(workload: str) -> Any:
    app = falcon.App(media_type=falcon.MEDIA_TEXT)
    app.add_route(f"/{workload}", _Stream())
    return app


def build_asgi(workload: str) -> Any:
    app = falcon.asgi.App(media_type=falcon.MEDIA_TEXT)
    app.add_route(f"/{workload}", _AsyncStream())
    return app


class _Stream:
    def on_get(self, req: Any, resp: Any) -> None:
        resp.stream = stream()


class _AsyncStream:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.stream = async_stream()
