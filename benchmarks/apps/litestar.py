"""Litestar under ASGI; hooks are pure ASGI middlewares, sessions its client-side (encrypted) ones."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, MediaType, Request, Response, route
from litestar.contrib.jinja import JinjaTemplateEngine
from litestar.datastructures import MutableScopeHeaders
from litestar.middleware import DefineMiddleware
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.response import File, Template
from litestar.template.config import TemplateConfig

from benchmarks.workloads import AFTER_HEADERS, FILE_PATH, GREETING, PAYLOAD, ROWS, TARGET_INDEX, TEMPLATE, rule_paths

__all__ = ["build_asgi"]


def build_asgi(workload: str) -> Any:
    if workload in ("params", "missing"):
        handlers = [
            _handler(rule, _post if index == TARGET_INDEX else _parameterless if rule.endswith("about") else _other)
            for index, rule in enumerate(rule_paths("/{section}/{id:int}/posts/{slug:str}"))
        ]
        return Litestar(route_handlers=handlers, openapi_config=None)
    view = _VIEWS.get(workload)
    if view is None:
        return None
    options: dict[str, Any] = {}
    if workload == "hooks":
        values = (("one", 1), ("two", 2), ("greeting", GREETING))
        options["middleware"] = [
            DefineMiddleware(_Hook, name=name, value=value, header=header)
            for (name, value), header in zip(values, AFTER_HEADERS)
        ]
    elif workload == "session":
        options["middleware"] = [CookieBackendConfig(secret=b"a secret of sixteen bytes"[:16]).middleware]
    elif workload == "template":
        import jinja2

        environment = jinja2.Environment(loader=jinja2.DictLoader({"page.html": TEMPLATE}), autoescape=True)
        engine = JinjaTemplateEngine(engine_instance=environment)
        options["template_config"] = TemplateConfig(instance=engine)
    return Litestar(route_handlers=[_handler(f"/{workload}", view)], openapi_config=None, **options)


def _handler(rule: str, view: Any) -> Any:
    media_type = MediaType.JSON if view is _json else MediaType.TEXT
    return route(rule, http_method=["GET", "POST"], media_type=media_type, status_code=200)(view)


async def _plaintext() -> str:
    return GREETING


async def _json() -> dict[str, str]:
    return PAYLOAD


async def _parameterless() -> str:
    return "other"


async def _other(id: int, slug: str) -> str:
    return "other"


async def _post(id: int, slug: str) -> str:
    return f"{id + 1} {slug}"


async def _hooked(request: Request) -> str:  # type: ignore[type-arg]
    greeting: str = request.scope["state"]["greeting"]
    return greeting


async def _fields(request: Request, name: str, page: int) -> Response[str]:  # type: ignore[type-arg]
    request_id = request.headers["x-request-id"]
    response = Response(
        f"{name} {page} {request_id} {request.cookies['theme']}",
        headers={"X-Request-Id": request_id},
        media_type=MediaType.TEXT,
    )
    response.set_cookie("seen", "1")
    return response


async def _form(request: Request) -> str:  # type: ignore[type-arg]
    form = await request.form()
    return f"{len(form)} {form['field9']}"


async def _body(request: Request) -> str:  # type: ignore[type-arg]
    items = (await request.json())["items"]
    return f"{len(items)} {items[-1]['name']}"


async def _upload(request: Request) -> str:  # type: ignore[type-arg]
    form = await request.form()
    size = 0
    while chunk := await form["file"].read(65536):
        size += len(chunk)
    return f"{size} {form['title']}"


async def _file() -> File:
    return File(FILE_PATH, filename="photo.bin", media_type="application/octet-stream")


async def _session(request: Request) -> str:  # type: ignore[type-arg]
    count = request.session.get("count", 0) + 1
    request.session["count"] = count
    return str(count)


async def _page() -> Template:
    return Template("page.html", context={"title": "Rows", "rows": ROWS}, media_type=MediaType.HTML)


class _Hook:
    def __init__(self, app: Any, name: str, value: Any, header: tuple[str, str]) -> None:
        self.app = app
        self.name = name
        self.value = value
        self.header = header

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"][self.name] = self.value

        async def send_with_header(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableScopeHeaders(message)[self.header[0]] = self.header[1]
            await send(message)

        await self.app(scope, receive, send_with_header)


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
