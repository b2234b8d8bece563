"""The bare callables: a 404 that knows 300 paths, and a jinja2 template, kept compiled."""

from __future__ import annotations

import re
from typing import Any

import jinja2

from benchmarks.apps.raw import lifespan
from benchmarks.workloads import ROWS, TEMPLATE, rule_paths

__all__ = ["build_asgi", "build_wsgi", "template"]

_POSTS_RE = re.compile(r"/section[0-9]+/[0-9]+/posts/[^/]+")


def template() -> jinja2.Template:
    """Return the compiled template."""
    return jinja2.Environment(autoescape=True).from_string(TEMPLATE)


def _view(workload: str) -> Any:
    if workload == "missing":
        known = frozenset(rule_paths("/{section}"))

        def missing(path: str) -> tuple[int, bytes]:
            return (200, b"") if path in known or _POSTS_RE.fullmatch(path) else (404, b"not found")

        return missing
    render = template().render

    def page(path: str) -> tuple[int, bytes]:
        return 200, render(title="Rows", rows=ROWS).encode()

    return page


def build_wsgi(workload: str) -> Any:
    view = _view(workload)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        status, body = view(environ["PATH_INFO"])
        start_response(
            "200 OK" if status == 200 else "404 Not Found",
            [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))],
        )
        return [body]

    return app


def build_asgi(workload: str) -> Any:
    view = _view(workload)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        status, body = view(scope["path"])
        headers = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app
