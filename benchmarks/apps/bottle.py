"""Bottle under WSGI."""

from __future__ import annotations

from typing import Any

from bottle import Bottle, request, response

from benchmarks.workloads import AFTER_HEADERS, GREETING, PAYLOAD, TARGET_INDEX, rule_paths

__all__ = ["build_wsgi"]


def build_wsgi(workload: str) -> Any:
    app = Bottle()

    if workload == "plaintext":

        @app.route("/plaintext")
        def plaintext() -> str:
            return GREETING

    elif workload == "json":

        @app.route("/json")
        def json_view() -> dict[str, Any]:
            return PAYLOAD

    elif workload == "params":

        def other(**params: Any) -> str:
            return "other"

        def post(id: int, slug: str) -> str:
            return f"{id + 1} {slug}"

        for index, rule in enumerate(rule_paths("/{section}/<id:int>/posts/<slug>")):
            app.route(rule, callback=post if index == TARGET_INDEX else other)

    else:
        _add_hooks(app)

        @app.route("/hooks")
        def hooked() -> str:
            greeting: str = request.greeting
            return greeting

    return app


def _add_hooks(app: Any) -> None:
    @app.hook("before_request")
    def before_one() -> None:
        request.one = 1

    @app.hook("before_request")
    def before_two() -> None:
        request.two = 2

    @app.hook("before_request")
    def before_three() -> None:
        request.greeting = GREETING

    @app.hook("after_request")
    def after_one() -> None:
        response.set_header(*AFTER_HEADERS[0])

    @app.hook("after_request")
    def after_two() -> None:
        response.set_header(*AFTER_HEADERS[1])

    @app.hook("after_request")
    def after_three() -> None:
        response.set_header(*AFTER_HEADERS[2])
