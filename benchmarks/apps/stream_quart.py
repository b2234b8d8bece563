"""Quart under ASGI."""

from __future__ import annotations

from typing import Any

from quart import Quart

from benchmarks.workloads import async_stream

__all__ = ["build_asgi"]


def build_asgi(workload: str) -> Any:
    app = Quart(__name__)
    app.add_url_rule(f"/{workload}", workload, _stream)
    return app


async def _stream() -> Any:
    return async_stream()
