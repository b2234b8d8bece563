"""No header field that a client sends is an error of all the middleware, mounts and guests together."""

from __future__ import annotations

import re
from typing import Any

import anyio
import pytest

import duoflask
from duoflask.middleware import CompressionMiddleware, CORSMiddleware, DispatcherMiddleware, ProxyFix

FIELDS = [
    *("Accept-Encoding", "Access-Control-Request-Headers", "Access-Control-Request-Method", "Content-Length", "Host"),
    *("Content-Type", "If-None-Match", "If-Range", "Origin", "Range", "Transfer-Encoding", "X-Forwarded-For"),
    *("X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Proto"),
]
VALUES = [
    *("", "\xff", "a\x7fb", "\x00", "\x0b", "\x85", "1_0", "+1", "\xb2", "9" * 30, "-", "bytes=0-,-1,5-2", 'W/"', "*"),
    *("gzip;q=nan", "gzip;q=\xb2", "[::1", "[:e:1]:80", "a:99999", "//evil", "/a/../b", "%00", "chunked", "\xe2\x82"),
    *("multipart/form-data; boundary=", "bytes=" + "9" * 999 + "-", ",,,"),
]
PATHS = ["/", "/async", "/guest/wsgi", "/guest/asgi", "/wsgi", "/asgi", "/beside/wsgi", "/beside/asgi"]


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["wsgi.input"].read(10), b"x" * 1000]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"x" * 1000})


def make_app() -> DispatcherMiddleware:
    app = duoflask.DuoFlask("app")
    app.logger.disabled = True

    @app.route("/")
    def view() -> Any:
        response = duoflask.make_response(f"{duoflask.request.url} {duoflask.request.remote_addr}" + "x" * 1000)
        response.add_etag()
        return response.make_conditional(duoflask.request, True, 1000)

    app.add_url_rule("/guest/wsgi", "wsgi", lambda: wsgi)

    @app.route("/guest/asgi")
    async def guest() -> Any:
        return asgi

    @app.route("/async")
    async def async_view() -> Any:
        return view()

    app.mount("/wsgi", wsgi)
    app.mount("/asgi", asgi, protocol="asgi")
    CompressionMiddleware.install(app)
    CORSMiddleware.install(app, re.compile(".*", re.DOTALL), headers="X-A")
    ProxyFix.install(app, 1, 1, 1, 1, 1)
    return DispatcherMiddleware(app, {"/beside/wsgi": wsgi, "/beside/asgi": asgi})


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_any_field_is_answered_under_wsgi(wsgi_call: Any, path: str, method: str) -> None:
    app = make_app()
    for name in FIELDS:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        for value in VALUES:
            call = wsgi_call(app, path, method=method, environ_overrides={key: value, "HTTP_X_A": "1"})
            b"".join(call.body)
            call.close()
            assert int(call.status[:3]) < 500, (name, value)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_any_field_is_answered_under_asgi(channel: Any, path: str, method: str) -> None:
    app = make_app()

    async def main() -> None:
        for name in FIELDS:
            for value in VALUES:
                made = channel(path, method=method)
                made.scope["headers"] += [(name.lower().encode(), value.encode("latin-1"))]
                await made.serve(app)
                assert made.status < 500, (name, value)

    anyio.run(main)
