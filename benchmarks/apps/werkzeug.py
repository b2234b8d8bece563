"""Werkzeug alone under WSGI: its map, request and response, without Flask's contexts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from benchmarks.workloads import AFTER_HEADERS, GREETING, PAYLOAD, TARGET_INDEX, rule_paths

__all__ = ["build_wsgi"]


def build_wsgi(workload: str) -> Any:
    if workload == "params":
        rules = rule_paths("/{section}/<int:id>/posts/<slug>")
        url_map = Map([Rule(rule, endpoint=index) for index, rule in enumerate(rules)])
        views: dict[Any, Callable[..., Response]] = {TARGET_INDEX: _post}
    else:
        url_map = Map([Rule(f"/{workload}", endpoint=workload)])
        views = {"plaintext": _plaintext, "json": _json, "hooks": _hooked}

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        endpoint, values = url_map.bind_to_environ(environ).match()
        return views[endpoint](request, **values)(environ, start_response)

    return app


def _plaintext(request: Request) -> Response:
    return Response(GREETING)


def _json(request: Request) -> Response:
    return Response(json.dumps(PAYLOAD), mimetype="application/json")


def _post(request: Request, id: int, slug: str) -> Response:
    return Response(f"{id + 1} {slug}")


def _hooked(request: Any) -> Response:
    request.one = 1
    request.two = 2
    request.greeting = GREETING
    response = Response(request.greeting)
    for name, value in AFTER_HEADERS:
        response.headers[name] = value
    return response
