"""Bottle under WSGI: a 404 among 300 rules, and a jinja2 template."""

from __future__ import annotations

from typing import Any

from bottle import Bottle, Jinja2Template

from benchmarks.workloads import ROWS, TEMPLATE, rule_paths

__all__ = ["build_wsgi"]


def build_wsgi(workload: str) -> Any:
    app = Bottle()
    if workload == "missing":
        for rule in rule_paths("/{section}/<id:int>/posts/<slug>"):
            app.route(rule, callback=lambda **params: "other")
        return app
    template = Jinja2Template(TEMPLATE, autoescape=True)

    @app.route("/template")
    def page() -> Any:
        return template.render(title="Rows", rows=ROWS)

    return app
