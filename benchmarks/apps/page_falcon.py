"""Falcon under WSGI and ASGI: a 404 among 300 rules, and jinja2, as it has no templates of its own."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.asgi

from benchmarks.apps.page_raw import template
from benchmarks.workloads import ROWS, rule_paths

__all__ = ["build_asgi", "build_wsgi"]

_RULE = "/{section}/{id:int}/posts/{slug}"


def build_wsgi(workload: str) -> Any:
    return _routed(falcon.App(media_type=falcon.MEDIA_HTML), workload, _Other(), _Page)


def build_asgi(workload: str) -> Any:
    return _routed(falcon.asgi.App(media_type=falcon.MEDIA_HTML), workload, _AsyncOther(), _AsyncPage)


def _routed(app: Any, workload: str, other: Any, page: Any) -> Any:
    if workload == "missing":
        for rule in rule_paths(_RULE):
            app.add_route(rule, other)
    else:
        app.add_route("/template", page())
    return app


class _Other:
    def on_get(self, req: Any, resp: Any, **params: Any) -> None:
        resp.text = "other"


class _Page:
    def __init__(self) -> None:
        self.render = template().render

    def on_get(self, req: Any, resp: Any) -> None:
        resp.text = self.render(title="Rows", rows=ROWS)


class _AsyncOther:
    async def on_get(self, req: Any, resp: Any, **params: Any) -> None:
        resp.text = "other"


class _AsyncPage(_Page):
    async def on_get(self, req: Any, resp: Any) -> None:  # type: ignore[override]
        resp.text = self.render(title="Rows", rows=ROWS)
