"""Flask under WSGI."""

from __future__ import annotations

from typing import Any

from flask import Flask

from benchmarks.workloads import stream

__all__ = ["build_wsgi"]


def build_wsgi(workload: str) -> Any:
    app = Flask(__name__)
    app.add_url_rule(f"/{workload}", workload, stream)
    return app
