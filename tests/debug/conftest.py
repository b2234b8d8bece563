"""An error page around an app, asked under both protocols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from duoflask import Flask
from duoflask.http.headers import Headers
from duoflask.testing import create_environ

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


class Answer:
    """One response."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.text = body.decode()


def ask_wsgi(app: Any, path: str, headers: dict[str, str], method: str, body: bytes) -> Answer:
    environ = create_environ(path, headers=headers, method=method, data=body or None)
    environ.pop("HTTP_HOST")
    environ["HTTP_HOST"] = headers.get("Host", "localhost")
    seen: list[Any] = []

    def start_response(status: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Any:
        seen[:] = [int(status[:3]), Headers(fields)]
        return lambda data: None

    result = app(environ, start_response)
    try:
        data = b"".join(result)
    finally:
        getattr(result, "close", lambda: None)()
    return Answer(seen[0], seen[1], data)


def ask_asgi(app: Any, path: str, headers: dict[str, str], method: str, body: bytes) -> Answer:
    path, _, query = path.partition("?")
    fields = {"Host": "localhost", **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    if body:
        scope["headers"].append((b"content-length", str(len(body)).encode()))
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop()
        await anyio.sleep_forever()

    async def send(message: Any) -> None:
        sent.append(message)

    async def serve() -> None:
        await app(scope, receive, send)

    anyio.run(serve)
    pairs = [(name.decode(), value.decode("latin-1")) for name, value in sent[0]["headers"]]
    return Answer(sent[0]["status"], Headers(pairs), b"".join(item.get("body", b"") for item in sent[1:]))


@pytest.fixture(params=["wsgi", "asgi"])
def ask(request: pytest.FixtureRequest) -> Callable[..., Answer]:
    """Send one request to an application under one of the protocols."""
    way = ask_wsgi if request.param == "wsgi" else ask_asgi

    def send(
        app: Any, path: str = "/", headers: dict[str, str] | None = None, method: str = "GET", body: bytes = b""
    ) -> Answer:
        return way(app, path, headers or {}, method, body)

    return send


@pytest.fixture
def app() -> Flask:
    """An app in debug mode."""
    made = Flask("shop")
    made.debug = True
    made.secret_key = "a secret of the shop"
    return made
