"""Starlette under ASGI: a 404 among 300 rules, and its jinja2 templates."""

from __future__ import annotations

from typing import Any

import jinja2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.templating import Jinja2Templates

from benchmarks.workloads import ROWS, TEMPLATE, rule_paths

__all__ = ["build_asgi"]


def build_asgi(workload: str) -> Any:
    if workload == "missing":
        return Starlette(routes=[Route(rule, _other) for rule in rule_paths("/{section}/{id:int}/posts/{slug:str}")])
    loader = jinja2.DictLoader({"page.html": TEMPLATE})
    templates = Jinja2Templates(env=jinja2.Environment(loader=loader, autoescape=True))

    async def page(request: Request) -> Response:
        return templates.TemplateResponse(request, "page.html", {"title": "Rows", "rows": ROWS})

    return Starlette(routes=[Route("/template", page)])


async def _other(request: Request) -> Response:
    return PlainTextResponse("other")
