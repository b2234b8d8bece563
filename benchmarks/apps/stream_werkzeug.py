"""Werkzeug alone under WSGI: routing and response, without Flask's contexts."""

from __future__ import annotations

from typing import Any

from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Response

from benchmarks.workloads import stream

__all__ = ["build_wsgi"]


def build_wsgi(workload: str) -> Any:
    url_map = Map([Rule(f"/{workload}", endpoint=workload)])

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        url_map.bind_to_environ(environ).match()
        return Response(stream())(environ, start_response)

    return app
