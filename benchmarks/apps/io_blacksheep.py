"""BlackSheep under ASGI; a view that takes the request skips its binders."""

from __future__ import annotations

from typing import Any

from blacksheep import Application, Cookie, Request, Response, Router, text

from benchmarks.workloads import FILE_PATH

__all__ = ["build_asgi"]


def build_asgi(workload: str) -> Any:
    if workload == "session":
        return None
    app = Application(router=Router())
    if workload == "file":
        app.serve_files(FILE_PATH.parent, extensions={".bin"})
        return _Renamed(app)
    views = {"fields": _fields, "form": _form, "body": _body, "upload": _upload}
    (app.router.add_get if workload == "fields" else app.router.add_post)(f"/{workload}", views[workload])
    return app


class _Renamed:
    """The workload's path as the file's name."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["path"] = "/photo.bin"
            scope["raw_path"] = b"/photo.bin"
        await self.app(scope, receive, send)


async def _fields(request: Request) -> Response:
    request_id: Any = request.get_first_header(b"x-request-id")
    query = request.query
    answer = text(f"{query['name'][0]} {int(query['page'][0])} {request_id.decode()} {request.cookies['theme']}")
    answer.add_header(b"X-Request-Id", request_id)
    answer.set_cookie(Cookie("seen", "1", path="/"))
    return answer


async def _form(request: Request) -> Response:
    form: Any = await request.form()
    return text(f"{len(form)} {form['field9']}")


async def _body(request: Request) -> Response:
    items = (await request.json())["items"]
    return text(f"{len(items)} {items[-1]['name']}")


async def _upload(request: Request) -> Response:
    size, title = 0, ""
    parts: Any = await request.multipart()
    for part in parts:
        if part.name == b"title":
            title = part.data.decode()
        else:
            size = len(part.data)
    return text(f"{size} {title}")
