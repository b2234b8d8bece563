"""FastAPI under ASGI, with a `def` view."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from benchmarks.workloads import GREETING

__all__ = ["build_def_asgi"]


def build_def_asgi(workload: str) -> Any:
    app = FastAPI()

    @app.get("/plaintext", response_class=PlainTextResponse)
    def plaintext() -> str:
        return GREETING

    return app
