"""What all middleware has in common: how it is called, and how it is installed."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any
from wsgiref.validate import validator

import anyio
import pytest

import duoflask
from duoflask.middleware import (
    CompressionMiddleware,
    CORSMiddleware,
    DispatcherMiddleware,
    Middleware,
    ProxyFix,
    SharedDataMiddleware,
)
from duoflask.middleware.filtering import ResponseFilter
from duoflask.testing import create_environ


class Stamp(ResponseFilter):
    def __init__(self, name: str) -> None:
        self._name = name

    def head(self, status: int, headers: Any) -> None:
        headers.add("X-Stamp", f"{self._name} {status}")


class Stamping(Middleware):
    def __init__(self, app: Any, name: str = "stamp") -> None:
        super().__init__(app)
        self.name = name

    def prepare(self, source: Any) -> Any:
        return self.app, source, Stamp(self.name)


def make_app() -> duoflask.Flask:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "index", lambda: "x")
    return app


def test_the_last_one_installed_is_the_outermost(client: Any) -> None:
    app = make_app()
    Stamping.install(app, "inner")
    outer = Stamping.install(app, name="outer")
    assert app.wsgi_app is app.asgi_app is outer
    response = client(app).get("/")
    assert response.headers.getlist("X-Stamp") == ["inner 200", "outer 200"]


def test_one_object_serves_both_protocols_and_asgi_2(client: Any, channel: Any, wsgi_call: Any) -> None:
    app = Stamping(make_app())
    assert wsgi_call(app).read() == "x"
    served = channel()
    anyio.run(served.serve, app)
    assert (b"x-stamp", b"stamp 200") in served.sent[0]["headers"]
    served = channel()
    anyio.run(app(served.scope), served.receive, served.send)
    assert served.text == "x"


@pytest.mark.parametrize("args", [(), (1,), ({},), (1, 2, 3, 4)])
def test_other_calls_are_a_type_error(args: Any) -> None:
    """uvicorn finds out by `app()` that this is no factory."""
    with pytest.raises(TypeError):
        Stamping(make_app())(*args)


def test_servers_take_it_for_asgi() -> None:
    call = Stamping(make_app()).__call__
    assert asyncio.iscoroutinefunction(call) or inspect.iscoroutinefunction(call)


def test_the_lifespan_goes_to_the_application() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    anyio.run(Stamping(app), {"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]


def test_exc_info_passes_through() -> None:
    error = LookupError("x")
    info = (LookupError, error, None)

    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("500 Oops", [], info)
        return []

    seen: list[Any] = []
    Stamping(app)(create_environ("/"), lambda *args: seen.append(args))
    assert seen == [("500 Oops", [("X-Stamp", "stamp 500")], info)]


@pytest.mark.parametrize(
    "wrap",
    [
        ProxyFix,
        lambda app: CORSMiddleware(app, ["https://a.example"]),
        CompressionMiddleware,
        lambda app: DispatcherMiddleware(app, {"/x": app}),
        lambda app: SharedDataMiddleware(app, {"/f": __file__}),
    ],
)
@pytest.mark.parametrize("path", ["/", "/stream", "/f", "/asgi/x", "/none"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_pep_3333_is_kept_on_both_sides(wrap: Any, path: str, method: str) -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"asgi" * 1000})

    app = make_app()
    app.add_url_rule("/stream", "stream", lambda: (iter(["a", "b"]), {"Content-Type": "text/plain"}))
    app.mount("/asgi", asgi)
    seen: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        seen.append(status)
        return lambda data: None

    headers = {"Accept-Encoding": "gzip", "Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
    environ = create_environ(path, method=method, headers=headers)
    environ = {key: value for key, value in environ.items() if key not in ("CONTENT_LENGTH", "CONTENT_TYPE") or value}
    # wsgiref's own validator takes a body behind HEAD for an error of the application, which ours never sends.
    body = validator(wrap(validator(app)))(environ, start_response)
    b"".join(body)
    body.close()
    assert len(seen) == 1
