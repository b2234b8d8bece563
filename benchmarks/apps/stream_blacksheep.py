"""BlackSheep under ASGI."""

from __future__ import annotations

from typing import Any

from blacksheep import Application, Request, Response, Router, StreamedContent

from benchmarks.workloads import async_stream

__all__ = ["build_asgi"]


def build_asgi(workload: str) -> Any:
    app = Application(router=Router())
    app.router.add_get(f"/{workload}", _stream)
    return app


async def _stream(request: Request) -> Response:
    return Response(200, content=StreamedContent(b"text/plain", async_stream))
