"""Pyramid under WSGI; hooks are tweens, templates jinja2 by itself (its own engines are packages beside it)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.response import FileResponse, Response
from pyramid.session import SignedCookieSessionFactory

from benchmarks.apps.page_raw import template
from benchmarks.workloads import AFTER_HEADERS, FILE_PATH, GREETING, PAYLOAD, ROWS, TARGET_INDEX, rule_paths

__all__ = ["build_wsgi"]


def build_wsgi(workload: str) -> Any:
    view = _VIEWS.get(workload)
    if view is None:
        return None
    with Configurator() as config:
        if workload in ("params", "missing"):
            for index, rule in enumerate(rule_paths(r"/{section}/{id:\d+}/posts/{slug}")):
                config.add_route(f"view{index}", rule)
                config.add_view(_post if index == TARGET_INDEX else _other, route_name=f"view{index}")
            return config.make_wsgi_app()
        if workload == "hooks":
            for name in ("one_tween", "two_tween", "three_tween"):
                config.add_tween(f"benchmarks.apps.pyramid.{name}")
        if workload == "session":
            config.set_session_factory(SignedCookieSessionFactory("a secret of the benchmark"))
        if workload == "template":
            config.registry.settings["render"] = template().render
        config.add_route(workload, f"/{workload}")
        config.add_view(view, route_name=workload, renderer="json" if workload == "json" else None)
        return config.make_wsgi_app()


def _text(body: str) -> Response:
    return Response(body, content_type="text/plain", charset="utf-8")


def _plaintext(request: Any) -> Response:
    return _text(GREETING)


def _json(request: Any) -> Any:
    return PAYLOAD


def _other(request: Any) -> Response:
    return _text("other")


def _post(request: Any) -> Response:
    values = request.matchdict
    return _text(f"{int(values['id']) + 1} {values['slug']}")


def _hooked(request: Any) -> Response:
    return _text(request.greeting)


def _tween(handler: Callable[[Any], Response], name: str, value: Any, header: tuple[str, str]) -> Any:
    def tween(request: Any) -> Response:
        setattr(request, name, value)
        response = handler(request)
        response.headers[header[0]] = header[1]
        return response

    return tween


def one_tween(handler: Any, registry: Any) -> Any:
    return _tween(handler, "one", 1, AFTER_HEADERS[0])


def two_tween(handler: Any, registry: Any) -> Any:
    return _tween(handler, "two", 2, AFTER_HEADERS[1])


def three_tween(handler: Any, registry: Any) -> Any:
    return _tween(handler, "greeting", GREETING, AFTER_HEADERS[2])


def _fields(request: Any) -> Response:
    request_id = request.headers["X-Request-Id"]
    args = request.GET
    response = _text(f"{args['name']} {int(args['page'])} {request_id} {request.cookies['theme']}")
    response.headers["X-Request-Id"] = request_id
    response.set_cookie("seen", "1")
    return response


def _form(request: Any) -> Response:
    form = request.POST
    return _text(f"{len(form)} {form['field9']}")


def _body(request: Any) -> Response:
    items = request.json_body["items"]
    return _text(f"{len(items)} {items[-1]['name']}")


def _upload(request: Any) -> Response:
    size = 0
    file = request.POST["file"].file
    while chunk := file.read(65536):
        size += len(chunk)
    return _text(f"{size} {request.POST['title']}")


def _file(request: Any) -> Response:
    return FileResponse(str(FILE_PATH), request, content_type="application/octet-stream")


def _session(request: Any) -> Response:
    request.session["count"] = count = request.session.get("count", 0) + 1
    return _text(str(count))


def _page(request: Any) -> Response:
    return Response(request.registry.settings["render"](title="Rows", rows=ROWS))


_VIEWS: dict[str, Any] = {
    "plaintext": _plaintext,
    "json": _json,
    "params": _post,
    "missing": _other,
    "hooks": _hooked,
    "fields": _fields,
    "form": _form,
    "body": _body,
    "upload": _upload,
    "file": _file,
    "session": _session,
    "template": _page,
}
