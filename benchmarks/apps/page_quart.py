"""Quart under ASGI: a 404 among 300 rules, and a template."""

from __future__ import annotations

from typing import Any

import jinja2
from quart import Quart, render_template

from benchmarks.workloads import ROWS, TEMPLATE, rule_paths

__all__ = ["build_asgi"]


def build_asgi(workload: str) -> Any:
    async def other(**params: Any) -> str:
        return "other"

    async def page() -> str:
        return await render_template("page.html", title="Rows", rows=ROWS)

    return _app(workload, other, page)


def _app(workload: str, other: Any, page: Any) -> Any:
    app = Quart(__name__)
    if workload == "missing":
        for index, rule in enumerate(rule_paths("/{section}/<int:id>/posts/<slug>")):
            app.add_url_rule(rule, f"view{index}", other)
        return app
    app.jinja_loader = jinja2.DictLoader({"page.html": TEMPLATE})
    app.add_url_rule("/template", view_func=page)
    return app
