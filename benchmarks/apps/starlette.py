"""Starlette under ASGI; hooks are pure ASGI middlewares, the fast way of the two that it documents."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from benchmarks.workloads import AFTER_HEADERS, GREETING, PAYLOAD, TARGET_INDEX, rule_paths

__all__ = ["build_asgi", "build_def_asgi"]


def build_asgi(workload: str) -> Any:
    if workload == "params":
        rules = rule_paths("/{section}/{id:int}/posts/{slug:str}")
        return Starlette(
            routes=[Route(rule, _post if index == TARGET_INDEX else _other) for index, rule in enumerate(rules)]
        )
    if workload == "hooks":
        middleware = [
            Middleware(_Hook, name="one", value=1, header=AFTER_HEADERS[0]),
            Middleware(_Hook, name="two", value=2, header=AFTER_HEADERS[1]),
            Middleware(_Hook, name="greeting", value=GREETING, header=AFTER_HEADERS[2]),
        ]
        return Starlette(routes=[Route("/hooks", _hooked)], middleware=middleware)
    view = _plaintext if workload == "plaintext" else _json
    return Starlette(routes=[Route(f"/{workload}", view)])


def build_def_asgi(workload: str) -> Any:
    return Starlette(routes=[Route("/plaintext", _def_plaintext)])


async def _plaintext(request: Request) -> Response:
    return PlainTextResponse(GREETING)


def _def_plaintext(request: Request) -> Response:
    return PlainTextResponse(GREETING)


async def _json(request: Request) -> Response:
    return JSONResponse(PAYLOAD)


async def _other(request: Request) -> Response:
    return PlainTextResponse("other")


async def _post(request: Request) -> Response:
    params = request.path_params
    return PlainTextResponse(f"{params['id'] + 1} {params['slug']}")


async def _hooked(request: Request) -> Response:
    return PlainTextResponse(request.state.greeting)


class _Hook:
    def __init__(self, app: Any, name: str, value: Any, header: tuple[str, str]) -> None:
        self.app = app
        self.name = name
        self.value = value
        self.header = header

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})[self.name] = self.value

        async def send_with_header(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[self.header[0]] = self.header[1]
            await send(message)

        await self.app(scope, receive, send_with_header)
