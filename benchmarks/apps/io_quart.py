"""Quart under ASGI, `async def` throughout."""

from __future__ import annotations

from typing import Any

from quart import Quart, make_response, request, send_file, session

from benchmarks.workloads import FILE_PATH

__all__ = ["build_asgi"]


def build_asgi(workload: str) -> Any:
    app = Quart(__name__)
    app.secret_key = "a secret of the benchmark"
    app.add_url_rule(f"/{workload}", workload, _VIEWS[workload], methods=["GET", "POST"])
    return app


async def _fields() -> Any:
    request_id = request.headers["X-Request-Id"]
    args = request.args
    text = f"{args['name']} {args.get('page', type=int)} {request_id} {request.cookies['theme']}"
    response = await make_response(text)
    response.headers["X-Request-Id"] = request_id
    response.set_cookie("seen", "1")
    return response


async def _form() -> str:
    form = await request.form
    return f"{len(form)} {form['field9']}"


async def _body() -> str:
    items = (await request.get_json())["items"]
    return f"{len(items)} {items[-1]['name']}"


async def _upload() -> str:
    size = 0
    stream = (await request.files)["file"].stream
    while chunk := stream.read(65536):
        size += len(chunk)
    return f"{size} {(await request.form)['title']}"


async def _file() -> Any:
    return await send_file(FILE_PATH)


async def _session() -> str:
    session["count"] = count = session.get("count", 0) + 1
    return str(count)


_VIEWS = {"fields": _fields, "form": _form, "body": _body, "upload": _upload, "file": _file, "session": _session}
