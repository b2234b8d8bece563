"""BlackSheep under ASGI: a 404 among 300 rules, and jinja2."""

from __future__ import annotations

from typing import Any

from blacksheep import Application, Request, Response, Router, html, text

from benchmarks.apps.page_raw import template
from benchmarks.workloads import ROWS, rule_paths

__all__ = ["build_asgi"]


def build_asgi(workload: str) -> Any:
    app = Application(router=Router())
    if workload == "missing":
        for rule in rule_paths("/{section}/{int:id}/posts/{str:slug}"):
            app.router.add_get(rule, _other)
        return app
    render = template().render

    async def page(request: Request) -> Response:
        return html(render(title="Rows", rows=ROWS))

    app.router.add_get("/template", page)
    return app


async def _other(request: Request) -> Response:
    return text("other")
