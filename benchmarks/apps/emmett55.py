"""Emmett55 under ASGI; hooks are pipes, sessions its signed and encrypted cookies, templates its own Renoir."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emmett55 import App, Pipe, current, request, response, session
from emmett55.sessions import SessionManager
from emmett55.tools import service

from benchmarks.apps.page_raw import template
from benchmarks.apps.raw import lifespan
from benchmarks.workloads import AFTER_HEADERS, FILE_PATH, GREETING, PAYLOAD, ROWS, TARGET_INDEX, rule_paths

__all__ = ["build_asgi"]


def build_asgi(workload: str) -> Any:
    app = App(__name__, root_path=str(Path(__file__).parent))
    if workload in ("params", "missing"):
        for index, rule in enumerate(rule_paths("/{section}/<int:id>/posts/<str:slug>")):
            target = index == TARGET_INDEX
            view = _post if target else _about if rule.endswith("about") else _other
            app.route(rule, name=f"view{index}", output="str")(_named(view, index))
        return _spoken_to(app)
    view = _VIEWS.get(workload)
    if view is None:
        return None
    if workload == "hooks":
        app.pipeline = [_One(), _Two(), _Three()]
    elif workload == "session":
        app.pipeline = [SessionManager.cookies("a secret of the benchmark")]
    elif workload == "template":
        app.ext_render = template().render
    options: dict[str, Any] = {} if workload in ("json", "file") else {"output": "str"}
    expose = app.route(f"/{workload}", methods=["get", "post"], **options)
    if workload == "template":
        view = view(app)
    expose(service.json(view) if workload == "json" else view)
    return _spoken_to(app)


def _spoken_to(app: Any) -> Any:
    """Add the lifespan, which it does not speak."""

    async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
        else:
            await app(scope, receive, send)

    return with_lifespan


def _named(view: Any, index: int) -> Any:
    async def other(id: int, slug: str) -> str:
        answer: str = await view(id, slug)
        return answer

    async def about() -> str:
        return "other"

    chosen: Any = about if view is _about else other
    chosen.__name__ = f"view{index}"
    return chosen


async def _plaintext() -> str:
    response.content_type = "text/plain"
    return GREETING


async def _json() -> Any:
    return PAYLOAD


async def _about() -> str:
    return "other"


async def _other(id: int, slug: str) -> str:
    return "other"


async def _post(id: int, slug: str) -> str:
    response.content_type = "text/plain"
    return f"{id + 1} {slug}"


async def _hooked() -> str:
    greeting: str = current.greeting
    return greeting


async def _fields() -> str:
    request_id = request.headers["x-request-id"]
    args = request.query_params
    response.headers["X-Request-Id"] = request_id
    response.cookies["seen"] = "1"
    response.cookies["seen"]["path"] = "/"
    return f"{args.name} {int(args.page)} {request_id} {request.cookies['theme'].value}"


async def _form() -> str:
    form = await request.body_params
    return f"{len(form)} {form.field9}"


async def _body() -> str:
    items = (await request.body_params)["items"]
    return f"{len(items)} {items[-1]['name']}"


async def _upload() -> str:
    form = await request.body_params
    files = await request.files
    size = 0
    for chunk in files.file:
        size += len(chunk)
    return f"{size} {form.title}"


async def _file() -> Any:
    return response.wrap_file(str(FILE_PATH))


async def _session() -> str:
    session.count = count = (session.count or 0) + 1
    return str(count)


def _page(app: Any) -> Any:
    render = app.ext_render

    async def page() -> str:
        response.content_type = "text/html"
        return str(render(title="Rows", rows=ROWS))

    return page


class _Hook(Pipe):
    name = ""
    value: Any = None
    header = ("", "")

    async def open(self) -> None:
        setattr(current, self.name, self.value)

    async def close(self) -> None:
        response.headers[self.header[0]] = self.header[1]


class _One(_Hook):
    name, value, header = "one", 1, AFTER_HEADERS[0]


class _Two(_Hook):
    name, value, header = "two", 2, AFTER_HEADERS[1]


class _Three(_Hook):
    name, value, header = "greeting", GREETING, AFTER_HEADERS[2]


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
