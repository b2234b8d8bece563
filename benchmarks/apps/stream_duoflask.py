"""duoflask: the view is the generator function, of each protocol's colour."""

from __future__ import annotations

from typing import Any

from benchmarks.workloads import async_stream, stream
from duoflask import DuoFlask

__all__ = ["build_asgi", "build_wsgi"]


def build_wsgi(workload: str) -> Any:
    app = DuoFlask(__name__)
    app.add_url_rule(f"/{workload}", workload, stream)
    return app


def build_asgi(workload: str) -> Any:
    app = DuoFlask(__name__)

    @app.get(f"/{workload}")
    async def view() -> Any:
        return async_stream()

    return app
