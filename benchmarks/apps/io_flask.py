"""Flask under WSGI."""

from __future__ import annotations

from typing import Any

from flask import Flask, make_response, request, send_file, session

from benchmarks.workloads import FILE_PATH

__all__ = ["build_wsgi"]


def build_wsgi(workload: str) -> Any:
    app = Flask(__name__)
    app.secret_key = "a secret of the benchmark"
    app.config["MAX_FORM_MEMORY_SIZE"] = None
    app.add_url_rule(f"/{workload}", workload, _VIEWS[workload], methods=["GET", "POST"])
    return app


def _fields() -> Any:
    request_id = request.headers["X-Request-Id"]
    args = request.args
    text = f"{args['name']} {args.get('page', type=int)} {request_id} {request.cookies['theme']}"
    response = make_response(text)
    response.headers["X-Request-Id"] = request_id
    response.set_cookie("seen", "1")
    return response


def _form() -> str:
    form = request.form
    return f"{len(form)} {form['field9']}"


def _body() -> str:
    items = request.get_json()["items"]
    return f"{len(items)} {items[-1]['name']}"


def _upload() -> str:
    size = 0
    stream = request.files["file"].stream
    while chunk := stream.read(65536):
        size += len(chunk)
    return f"{size} {request.form['title']}"


def _file() -> Any:
    return send_file(FILE_PATH)


def _session() -> str:
    session["count"] = count = session.get("count", 0) + 1
    return str(count)


_VIEWS = {"fields": _fields, "form": _form, "body": _body, "upload": _upload, "file": _file, "session": _session}
