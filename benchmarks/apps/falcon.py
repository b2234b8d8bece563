"""Falcon under WSGI and ASGI; hooks are middleware components."""

from __future__ import annotations

from typing import Any

import falcon
import falcon.asgi

from benchmarks.workloads import AFTER_HEADERS, GREETING, PAYLOAD, TARGET_INDEX, rule_paths

__all__ = ["build_asgi", "build_wsgi"]

_RULE = "/{section}/{id:int}/posts/{slug}"


def build_wsgi(workload: str) -> Any:
    if workload == "json":
        app = falcon.App()
        app.add_route("/json", _Json())
        return app
    # The application's default media type spares every view from setting one.
    if workload == "hooks":
        app = falcon.App(media_type=falcon.MEDIA_TEXT, middleware=[_One(), _Two(), _Three()])
    else:
        app = falcon.App(media_type=falcon.MEDIA_TEXT)
    if workload == "params":
        for index, rule in enumerate(rule_paths(_RULE)):
            app.add_route(rule, _Post() if index == TARGET_INDEX else _Other())
    else:
        app.add_route(f"/{workload}", _Plaintext() if workload == "plaintext" else _Hooked())
    return app


def build_asgi(workload: str) -> Any:
    if workload == "json":
        app = falcon.asgi.App()
        app.add_route("/json", _AsyncJson())
        return app
    if workload == "hooks":
        app = falcon.asgi.App(media_type=falcon.MEDIA_TEXT, middleware=[_AsyncOne(), _AsyncTwo(), _AsyncThree()])
    else:
        app = falcon.asgi.App(media_type=falcon.MEDIA_TEXT)
    if workload == "params":
        for index, rule in enumerate(rule_paths(_RULE)):
            app.add_route(rule, _AsyncPost() if index == TARGET_INDEX else _AsyncOther())
    else:
        app.add_route(f"/{workload}", _AsyncPlaintext() if workload == "plaintext" else _AsyncHooked())
    return app


class _Plaintext:
    def on_get(self, req: Any, resp: Any) -> None:
        resp.text = GREETING


class _Json:
    def on_get(self, req: Any, resp: Any) -> None:
        resp.media = PAYLOAD


class _Other:
    def on_get(self, req: Any, resp: Any, **params: Any) -> None:
        resp.text = "other"


class _Post:
    def on_get(self, req: Any, resp: Any, id: int, slug: str) -> None:
        resp.text = f"{id + 1} {slug}"


class _Hooked:
    def on_get(self, req: Any, resp: Any) -> None:
        resp.text = req.context.greeting


class _One:
    def process_request(self, req: Any, resp: Any) -> None:
        req.context.one = 1

    def process_response(self, req: Any, resp: Any, resource: Any, req_succeeded: bool) -> None:
        resp.set_header(*AFTER_HEADERS[0])


class _Two:
    def process_request(self, req: Any, resp: Any) -> None:
        req.context.two = 2

    def process_response(self, req: Any, resp: Any, resource: Any, req_succeeded: bool) -> None:
        resp.set_header(*AFTER_HEADERS[1])


class _Three:
    def process_request(self, req: Any, resp: Any) -> None:
        req.context.greeting = GREETING

    def process_response(self, req: Any, resp: Any, resource: Any, req_succeeded: bool) -> None:
        resp.set_header(*AFTER_HEADERS[2])


class _AsyncPlaintext:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.text = GREETING


class _AsyncJson:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.media = PAYLOAD


class _AsyncOther:
    async def on_get(self, req: Any, resp: Any, **params: Any) -> None:
        resp.text = "other"


class _AsyncPost:
    async def on_get(self, req: Any, resp: Any, id: int, slug: str) -> None:
        resp.text = f"{id + 1} {slug}"


class _AsyncHooked:
    async def on_get(self, req: Any, resp: Any) -> None:
        resp.text = req.context.greeting


class _AsyncOne:
    async def process_request(self, req: Any, resp: Any) -> None:
        req.context.one = 1

    async def process_response(self, req: Any, resp: Any, resource: Any, req_succeeded: bool) -> None:
        resp.set_header(*AFTER_HEADERS[0])


class _AsyncTwo:
    async def process_request(self, req: Any, resp: Any) -> None:
        req.context.two = 2

    async def process_response(self, req: Any, resp: Any, resource: Any, req_succeeded: bool) -> None:
        resp.set_header(*AFTER_HEADERS[1])


class _AsyncThree:
    async def process_request(self, req: Any, resp: Any) -> None:
        req.context.greeting = GREETING

    async def process_response(self, req: Any, resp: Any, resource: Any, req_succeeded: bool) -> None:
        resp.set_header(*AFTER_HEADERS[2])
