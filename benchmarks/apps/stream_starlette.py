"""Starlette under ASGI."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from benchmarks.workloads import async_stream

__all__ = ["build_asgi"]


def build_asgi(workload: str) -> Any:
    return Starlette(routes=[Route(f"/{workload}", _stream)])


async def _stream(request: Request) -> Response:
    return StreamingResponse(async_stream(), media_type="text/plain")
