"""Bottle under WSGI. It has no sessions."""

from __future__ import annotations

from typing import Any

from bottle import BaseRequest, Bottle, request, response, static_file

from benchmarks.workloads import FILE_PATH

__all__ = ["build_wsgi"]

BaseRequest.MEMFILE_MAX = 2 << 20


def build_wsgi(workload: str) -> Any:
    if workload == "session":
        return None
    app = Bottle()
    app.route(f"/{workload}", ["GET", "POST"], _VIEWS[workload])
    return app


def _fields() -> str:
    request_id = request.headers["X-Request-Id"]
    response.set_header("X-Request-Id", request_id)
    response.set_cookie("seen", "1", path="/")
    query = request.query
    return f"{query['name']} {int(query['page'])} {request_id} {request.get_cookie('theme')}"


def _form() -> str:
    form = request.forms
    return f"{len(form)} {form['field9']}"


def _body() -> str:
    items = request.json["items"]
    return f"{len(items)} {items[-1]['name']}"


def _upload() -> str:
    size = 0
    upload = request.files["file"].file
    while chunk := upload.read(65536):
        size += len(chunk)
    return f"{size} {request.forms['title']}"


def _file() -> Any:
    return static_file(FILE_PATH.name, str(FILE_PATH.parent))


_VIEWS = {"fields": _fields, "form": _form, "body": _body, "upload": _upload, "file": _file}
