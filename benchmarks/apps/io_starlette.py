"""Starlette under ASGI; sessions are its own middleware's."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Route

from benchmarks.workloads import FILE_PATH

__all__ = ["build_asgi"]


def build_asgi(workload: str) -> Any:
    middleware = (
        [Middleware(SessionMiddleware, secret_key="a secret of the benchmark")] if workload == "session" else []
    )
    return Starlette(routes=[Route(f"/{workload}", _VIEWS[workload], methods=["GET", "POST"])], middleware=middleware)


async def _fields(request: Request) -> Response:
    request_id = request.headers["x-request-id"]
    args = request.query_params
    text = f"{args['name']} {int(args['page'])} {request_id} {request.cookies['theme']}"
    response = PlainTextResponse(text, headers={"X-Request-Id": request_id})
    response.set_cookie("seen", "1")
    return response


async def _form(request: Request) -> Response:
    form = await request.form()
    return PlainTextResponse(f"{len(form)} {form['field9']}")


async def _body(request: Request) -> Response:
    items = (await request.json())["items"]
    return PlainTextResponse(f"{len(items)} {items[-1]['name']}")


async def _upload(request: Request) -> Response:
    size = 0
    async with request.form() as form:
        upload: Any = form["file"]
        while chunk := await upload.read(65536):
            size += len(chunk)
        return PlainTextResponse(f"{size} {form['title']}")


async def _file(request: Request) -> Response:
    return FileResponse(FILE_PATH)


async def _session(request: Request) -> Response:
    request.session["count"] = count = request.session.get("count", 0) + 1
    return PlainTextResponse(str(count))


_VIEWS = {"fields": _fields, "form": _form, "body": _body, "upload": _upload, "file": _file, "session": _session}
