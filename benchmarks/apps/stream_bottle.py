"""Bottle under WSGI."""

from __future__ import annotations

from typing import Any

from bottle import Bottle

from benchmarks.workloads import stream

__all__ = ["build_wsgi"]


def build_wsgi(workload: str) -> Any:
    app = Bottle()
    app.route(f"/{workload}", "GET", stream)
    return app
