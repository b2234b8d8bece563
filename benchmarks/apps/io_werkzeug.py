"""Werkzeug alone under WSGI: request and response, without Flask's contexts. It has no sessions."""

from __future__ import annotations

from typing import Any

from werkzeug.routing import Map, Rule
from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response

from benchmarks.workloads import FILE_PATH

__all__ = ["build_wsgi"]


def build_wsgi(workload: str) -> Any:
    if workload == "session":
        return None
    url_map = Map([Rule(f"/{workload}", endpoint=workload)])
    view = _VIEWS[workload]

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        url_map.bind_to_environ(environ).match()
        return view(request)(environ, start_response)

    return app


def _fields(request: Request) -> Response:
    request_id = request.headers["X-Request-Id"]
    args = request.args
    response = Response(f"{args['name']} {args.get('page', type=int)} {request_id} {request.cookies['theme']}")
    response.headers["X-Request-Id"] = request_id
    response.set_cookie("seen", "1")
    return response


def _form(request: Request) -> Response:
    form = request.form
    return Response(f"{len(form)} {form['field9']}")


def _body(request: Request) -> Response:
    items = request.get_json()["items"]
    return Response(f"{len(items)} {items[-1]['name']}")


def _upload(request: Request) -> Response:
    size = 0
    stream = request.files["file"].stream
    while chunk := stream.read(65536):
        size += len(chunk)
    return Response(f"{size} {request.form['title']}")


def _file(request: Request) -> Response:
    return send_file(FILE_PATH, request.environ)


_VIEWS = {"fields": _fields, "form": _form, "body": _body, "upload": _upload, "file": _file}
