"""BlackSheep under ASGI; hooks are middlewares, and a view that takes the request skips its binders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from blacksheep import Application, Request, Response, Router, json, text

from benchmarks.workloads import AFTER_HEADERS, GREETING, PAYLOAD, TARGET_INDEX, rule_paths

__all__ = ["build_asgi"]

_RAW_AFTER_HEADERS = [(name.encode(), value.encode()) for name, value in AFTER_HEADERS]


def build_asgi(workload: str) -> Any:
    app = Application(router=Router())
    if workload == "params":
        for index, rule in enumerate(rule_paths("/{section}/{int:id}/posts/{str:slug}")):
            app.router.add_get(rule, _post if index == TARGET_INDEX else _other)
        return app
    if workload == "hooks":
        app.middlewares.extend([_one, _two, _three])
    views = {"plaintext": _plaintext, "json": _json, "hooks": _hooked}
    app.router.add_get(f"/{workload}", views[workload])
    return app


async def _plaintext(request: Request) -> Response:
    return text(GREETING)


async def _json(request: Request) -> Response:
    return json(PAYLOAD)


async def _other(request: Request) -> Response:
    return text("other")


async def _post(request: Request) -> Response:
    values: Any = request.route_values
    return text(f"{int(values['id']) + 1} {values['slug']}")


async def _hooked(request: Any) -> Response:
    return text(request.greeting)


async def _one(request: Any, handler: Callable[[Any], Awaitable[Response]]) -> Response:
    request.one = 1
    response = await handler(request)
    response.add_header(*_RAW_AFTER_HEADERS[0])
    return response


async def _two(request: Any, handler: Callable[[Any], Awaitable[Response]]) -> Response:
    request.two = 2
    response = await handler(request)
    response.add_header(*_RAW_AFTER_HEADERS[1])
    return response


async def _three(request: Any, handler: Callable[[Any], Awaitable[Response]]) -> Response:
    request.greeting = GREETING
    response = await handler(request)
    response.add_header(*_RAW_AFTER_HEADERS[2])
    return response
