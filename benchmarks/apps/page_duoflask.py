"""duoflask: a 404 among 300 rules, and a template."""

from __future__ import annotations

from typing import Any

import jinja2

from benchmarks.workloads import ROWS, TEMPLATE, rule_paths
from duoflask import DuoFlask, render_template

__all__ = ["build_asgi", "build_wsgi"]


def build_wsgi(workload: str) -> Any:
    def other(**params: Any) -> str:
        return "other"

    def page() -> str:
        return render_template("page.html", title="Rows", rows=ROWS)

    return _app(workload, other, page)


def build_asgi(workload: str) -> Any:
    async def other(**params: Any) -> str:
        return "other"

    async def page() -> str:
        return render_template("page.html", title="Rows", rows=ROWS)

    return _app(workload, other, page)


def _app(workload: str, other: Any, page: Any) -> Any:
    app = DuoFlask(__name__)
    if workload == "missing":
        for index, rule in enumerate(rule_paths("/{section}/<int:id>/posts/<slug>")):
            app.add_url_rule(rule, f"view{index}", other)
        return app
    app.jinja_loader = jinja2.DictLoader({"page.html": TEMPLATE})
    app.add_url_rule("/template", view_func=page)
    return app
