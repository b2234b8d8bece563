"""Sanic under ASGI. It has no sessions; its templates are an extension, so jinja2 by itself."""

from __future__ import annotations

from itertools import count
from typing import Any

from sanic import Request, Sanic, file, html, json, text

from benchmarks.apps.page_raw import template
from benchmarks.workloads import AFTER_HEADERS, FILE_PATH, GREETING, PAYLOAD, ROWS, TARGET_INDEX, rule_paths

__all__ = ["build_asgi"]

_numbers = count()


def build_asgi(workload: str) -> Any:
    view = _VIEWS.get(workload)
    if view is None:
        return None
    number = next(_numbers)
    app = Sanic(f"benchmark{number}", configure_logging=False)
    app.config.TOUCHUP = number == 0  # it takes what is not needed out of the class, once a process
    if workload in ("params", "missing"):
        for index, rule in enumerate(rule_paths("/{section}/<id:int>/posts/<slug:str>")):
            app.add_route(_post if index == TARGET_INDEX else _other, rule, name=f"view{index}")
        return app
    if workload == "hooks":
        for middleware in (_before_one, _before_two, _before_three):
            app.register_middleware(middleware, "request")
        for middleware in (_after_one, _after_two, _after_three):
            app.register_middleware(middleware, "response")
    if workload == "template":
        app.ctx.render = template().render
    app.add_route(view, f"/{workload}", methods=["GET", "POST"])
    return app


async def _plaintext(request: Request) -> Any:
    return text(GREETING)


async def _json(request: Request) -> Any:
    return json(PAYLOAD)


async def _other(request: Request, **params: Any) -> Any:
    return text("other")


async def _post(request: Request, id: int, slug: str) -> Any:
    return text(f"{id + 1} {slug}")


async def _hooked(request: Request) -> Any:
    return text(request.ctx.greeting)


async def _before_one(request: Request) -> None:
    request.ctx.one = 1


async def _before_two(request: Request) -> None:
    request.ctx.two = 2


async def _before_three(request: Request) -> None:
    request.ctx.greeting = GREETING


async def _after_one(request: Request, response: Any) -> None:
    response.headers[AFTER_HEADERS[0][0]] = AFTER_HEADERS[0][1]


async def _after_two(request: Request, response: Any) -> None:
    response.headers[AFTER_HEADERS[1][0]] = AFTER_HEADERS[1][1]


async def _after_three(request: Request, response: Any) -> None:
    response.headers[AFTER_HEADERS[2][0]] = AFTER_HEADERS[2][1]


async def _fields(request: Request) -> Any:
    request_id = request.headers["x-request-id"]
    args = request.args
    answer = text(f"{args['name'][0]} {int(args['page'][0])} {request_id} {request.cookies.get('theme')}")
    answer.headers["X-Request-Id"] = request_id
    answer.add_cookie("seen", "1", secure=False, samesite=None)
    return answer


async def _form(request: Request) -> Any:
    form: Any = request.form
    return text(f"{len(form)} {form['field9'][0]}")


async def _body(request: Request) -> Any:
    items = request.json["items"]
    return text(f"{len(items)} {items[-1]['name']}")


async def _upload(request: Request) -> Any:
    files: Any = request.files
    form: Any = request.form
    return text(f"{len(files['file'][0].body)} {form['title'][0]}")


async def _file(request: Request) -> Any:
    return await file(FILE_PATH, mime_type="application/octet-stream")


async def _page(request: Request) -> Any:
    return html(request.app.ctx.render(title="Rows", rows=ROWS))


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
    "template": _page,
}
