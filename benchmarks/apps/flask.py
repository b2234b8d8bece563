"""Flask under WSGI, and `flask[async]` for an `async def` view."""

from __future__ import annotations

import asyncio
from typing import Any

from flask import Flask, Response, g

from benchmarks.workloads import AFTER_HEADERS, GREETING, PAYLOAD, TARGET_INDEX, rule_paths

__all__ = ["build_async_wsgi", "build_wsgi"]


def build_wsgi(workload: str) -> Any:
    app = Flask(__name__)

    if workload == "plaintext":

        @app.route("/plaintext")
        def plaintext() -> str:
            return GREETING

    elif workload == "json":

        @app.route("/json")
        def json_view() -> dict[str, str]:
            return PAYLOAD

    elif workload == "params":

        def other() -> str:
            return "other"

        def post(id: int, slug: str) -> str:
            return f"{id + 1} {slug}"

        _add_rules(app, other, post)

    else:
        _add_hooks(app)

        @app.route("/hooks")
        def hooked() -> str:
            greeting: str = g.greeting
            return greeting

    return app


def build_async_wsgi(workload: str) -> Any:
    app = Flask(__name__)

    @app.route("/plaintext")
    async def plaintext() -> str:
        await asyncio.sleep(0)
        return GREETING

    return app


def _add_rules(app: Any, other: Any, post: Any) -> None:
    for index, rule in enumerate(rule_paths("/{section}/<int:id>/posts/<slug>")):
        app.add_url_rule(rule, f"view{index}", post if index == TARGET_INDEX else other)


def _add_hooks(app: Any) -> None:
    @app.before_request
    def before_one() -> None:
        g.one = 1

    @app.before_request
    def before_two() -> None:
        g.two = 2

    @app.before_request
    def before_three() -> None:
        g.greeting = GREETING

    @app.after_request
    def after_one(response: Response) -> Response:
        response.headers[AFTER_HEADERS[0][0]] = AFTER_HEADERS[0][1]
        return response

    @app.after_request
    def after_two(response: Response) -> Response:
        response.headers[AFTER_HEADERS[1][0]] = AFTER_HEADERS[1][1]
        return response

    @app.after_request
    def after_three(response: Response) -> Response:
        response.headers[AFTER_HEADERS[2][0]] = AFTER_HEADERS[2][1]
        return response
