"""The bare callables hand their generators to the server, or send each piece."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.apps.raw import lifespan
from benchmarks.workloads import async_stream, stream

__all__ = ["build_asgi", "build_wsgi"]


def build_wsgi(workload: str) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        return stream()

    return app


def build_asgi(workload: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        raw = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        async for chunk in async_stream():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app
