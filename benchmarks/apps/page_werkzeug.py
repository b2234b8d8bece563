"""Werkzeug alone under WSGI: a 404 among 300 rules. It has no templates."""

from __future__ import annotations

from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Response

from benchmarks.workloads import rule_paths

__all__ = ["build_wsgi"]


def build_wsgi(workload: str) -> Any:
    if workload == "template":
        return None
    rules = rule_paths("/{section}/<int:id>/posts/<slug>")
    url_map = Map([Rule(rule, endpoint=index) for index, rule in enumerate(rules)])

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        try:
            url_map.bind_to_environ(environ).match()
            answer: Any = Response("other")
        except HTTPException as exc:
            answer = exc
        return answer(environ, start_response)

    return app
