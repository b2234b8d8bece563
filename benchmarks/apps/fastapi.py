"""FastAPI under ASGI; hooks are the pure ASGI middlewares of Starlette's module."""

from __future__ import annotations

from typing import Any

import jinja2
from fastapi import Body, FastAPI, File, Form, Request, UploadFile
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from fastapi.templating import Jinja2Templates
from starlette.middleware.sessions import SessionMiddleware

from benchmarks.apps.starlette import _Hook
from benchmarks.workloads import AFTER_HEADERS, FILE_PATH, GREETING, PAYLOAD, ROWS, TARGET_INDEX, TEMPLATE, rule_paths

__all__ = ["build_asgi", "build_def_asgi"]


def build_def_asgi(workload: str) -> Any:
    app = FastAPI()

    @app.get("/plaintext", response_class=PlainTextResponse)
    def plaintext() -> str:
        return GREETING

    return app


def build_asgi(workload: str) -> Any:
    app = FastAPI(openapi_url=None)
    if workload in ("params", "missing"):
        for index, rule in enumerate(rule_paths("/{section}/{id:int}/posts/{slug}")):
            app.get(rule, response_class=PlainTextResponse)(_post if index == TARGET_INDEX else _other)
        return app
    if workload == "hooks":
        app.add_middleware(_Hook, name="one", value=1, header=AFTER_HEADERS[0])
        app.add_middleware(_Hook, name="two", value=2, header=AFTER_HEADERS[1])
        app.add_middleware(_Hook, name="greeting", value=GREETING, header=AFTER_HEADERS[2])
    if workload == "session":
        app.add_middleware(SessionMiddleware, secret_key="a secret of the benchmark")
    if workload == "template":
        loader = jinja2.DictLoader({"page.html": TEMPLATE})
        app.state.templates = Jinja2Templates(env=jinja2.Environment(loader=loader, autoescape=True))
    view = _VIEWS.get(workload)
    if view is None:
        return None
    app.api_route(f"/{workload}", methods=["GET", "POST"], response_class=PlainTextResponse)(view)
    return app


async def _plaintext() -> str:
    return GREETING


async def _json() -> Response:
    return JSONResponse(PAYLOAD)


async def _other() -> str:
    return "other"


async def _post(id: int, slug: str) -> str:
    return f"{id + 1} {slug}"


async def _hooked(request: Request) -> str:
    greeting: str = request.state.greeting
    return greeting


async def _fields(request: Request, name: str, page: int) -> Response:
    request_id = request.headers["x-request-id"]
    text = f"{name} {page} {request_id} {request.cookies['theme']}"
    response = PlainTextResponse(text, headers={"X-Request-Id": request_id})
    response.set_cookie("seen", "1")
    return response


async def _form(request: Request) -> str:
    form = await request.form()
    return f"{len(form)} {form['field9']}"


async def _body(items: list[dict[str, Any]] = Body(embed=True)) -> str:  # noqa: B008 - FastAPI's way
    return f"{len(items)} {items[-1]['name']}"


async def _upload(file: UploadFile = File(), title: str = Form()) -> str:  # noqa: B008
    size = 0
    while chunk := await file.read(65536):
        size += len(chunk)
    return f"{size} {title}"


async def _file() -> Response:
    return FileResponse(FILE_PATH)


async def _session(request: Request) -> str:
    request.session["count"] = count = request.session.get("count", 0) + 1
    return str(count)


async def _page(request: Request) -> Response:
    templates: Any = request.app.state.templates
    answer: Response = templates.TemplateResponse(request, "page.html", {"title": "Rows", "rows": ROWS})
    return answer


_VIEWS: dict[str, Any] = {
    "plaintext": _plaintext,
    "json": _json,
    "hooks": _hooked,
    "fields": _fields,
    "form": _form,
    "body": _body,
    "upload": _upload,
    "file": _file,
    "session": _session,
    "template": _page,
}
