"""Falcon under WSGI and ASGI. It has no sessions."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.asgi

from benchmarks.workloads import FILE_PATH

__all__ = ["build_asgi", "build_wsgi"]


def build_wsgi(workload: str) -> Any:
    if workload == "session":
        return None
    app = falcon.App(media_type=falcon.MEDIA_TEXT)
    if workload == "file":
        app.add_static_route("/", FILE_PATH.parent)
        return _Renamed(app)
    app.add_route(f"/{workload}", {"fields": _Fields, "form": _Form, "body": _Body, "upload": _Upload}[workload]())
    return app


def build_asgi(workload: str) -> Any:
    if workload == "session":
        return None
    app = falcon.asgi.App(media_type=falcon.MEDIA_TEXT)
    if workload == "file":
        app.add_static_route("/", FILE_PATH.parent)
        return _AsyncRenamed(app)
    views = {"fields": _AsyncFields, "form": _AsyncForm, "body": _AsyncBody, "upload": _AsyncUpload}
    app.add_route(f"/{workload}", views[workload]())
    return app


class _Renamed:
    """The workload's path as the file's name."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        environ["PATH_INFO"] = "/photo.bin"
        return self.app(environ, start_response)


class _AsyncRenamed:
    """The workload's path as the file's name."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        scope["path"] = "/photo.bin"
        await self.app(scope, receive, send)


def _answer(req: Any, resp: Any) -> None:
    request_id = req.get_header("X-Request-Id")
    resp.text = f"{req.get_param('name')} {req.get_param_as_int('page')} {request_id} {req.cookies['theme']}"
    resp.set_header("X-Request-Id", request_id)
    resp.set_cookie("seen", "1", secure=False, http_only=False, path="/")


class _Fields:
    def on_get(self, req: Any, resp: Any) -> None:
        _answer(req, resp)


class _Form:
    def on_post(self, req: Any, resp: Any) -> None:
        form = req.get_media()
        resp.text = f"{len(form)} {form['field9']}"


class _Body:
    def on_post(self, req: Any, resp: Any) -> None:
        items = req.get_media()["items"]
        resp.text = f"{len(items)} {items[-1]['name']}"


class _Upload:
    def on_post(self, req: Any, resp: Any) -> None:
        size, title = 0, ""
        for part in req.get_media():
            if part.name == "title":
                title = part.text
            else:
                while chunk := part.stream.read(65536):
                    size += len(chunk)
        resp.text = f"{size} {title}"


class _AsyncFields:
    async def on_get(self, req: Any, resp: Any) -> None:
        _answer(req, resp)


class _AsyncForm:
    async def on_post(self, req: Any, resp: Any) -> None:
        form = await req.get_media()
        resp.text = f"{len(form)} {form['field9']}"


class _AsyncBody:
    async def on_post(self, req: Any, resp: Any) -> None:
        items = (await req.get_media())["items"]
        resp.text = f"{len(items)} {items[-1]['name']}"


class _AsyncUpload:
    async def on_post(self, req: Any, resp: Any) -> None:
        size, title = 0, ""
        async for part in await req.get_media():
            if part.name == "title":
                title = await part.text
            else:
                while chunk := await part.stream.read(65536):
                    size += len(chunk)
        resp.text = f"{size} {title}"
