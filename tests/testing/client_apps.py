"""One small app, written once for each protocol: the client tests ask both for the same things."""

from __future__ import annotations

import contextvars
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from duoflask.typing import Receive, Scope, Send

MARK: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="unset")


class Reply(NamedTuple):
    status: str
    fields: list[tuple[str, str]]
    body: bytes


class Boom(Exception):
    pass


def reply_to(method: str, root: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Reply:
    """Answer a request; the protocol does not matter."""
    arguments = {key: values[-1] for key, values in parse_qs(query).items()}
    fields = [("Content-Type", "application/json")]
    if path == "/boom":
        raise Boom("in the app")
    if path == "/set":
        fields += [("Set-Cookie", value) for value in parse_qs(query)["c"]]
    if path == "/circle":
        return Reply("302 Found", [("Location", "/circle")], b"")
    if path.startswith("/redirect"):
        status = {"301": "301 Moved", "302": "302 Found", "303": "303 See Other"}.get(arguments["code"])
        fields.append(("Location", arguments["to"]))
        return Reply(status or f"{arguments['code']} Redirect", fields, b"moved")
    told = {
        "method": method,
        "root": root,
        "path": path,
        "query": query,
        "cookie": headers.get("cookie"),
        "type": headers.get("content-type"),
        "length": headers.get("content-length"),
        "host": headers.get("host"),
        "x": headers.get("x-a"),
        "body": body.decode("latin-1"),
        "mark": MARK.get(),
    }
    return Reply("200 OK", fields, b"" if method == "HEAD" else json.dumps(told).encode())


def wsgi_app(environ: Any, start_response: Any) -> Iterable[bytes]:
    headers = {key[5:].lower().replace("_", "-"): value for key, value in environ.items() if key[:5] == "HTTP_"}
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if key in environ:
            headers[key.lower().replace("_", "-")] = environ[key]
    status, fields, body = reply_to(
        environ["REQUEST_METHOD"],
        environ["SCRIPT_NAME"],
        environ["PATH_INFO"].encode("latin-1").decode(),
        environ["QUERY_STRING"],
        headers,
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)),
    )
    start_response(status, fields)
    return [body]


async def read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        more = message["more_body"]
    return body


async def asgi_app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise RuntimeError("http only")
    status, fields, body = reply_to(
        scope["method"],
        scope["root_path"],
        scope["path"].removeprefix(scope["root_path"]),
        unquote(scope["query_string"].decode())
        if b"%" not in scope["query_string"]
        else scope["query_string"].decode(),
        {name.decode(): value.decode() for name, value in scope["headers"]},
        await read(receive),
    )
    raw = [(name.lower().encode(), value.encode()) for name, value in fields]
    await send({"type": "http.response.start", "status": int(status[:3]), "headers": raw})
    await send({"type": "http.response.body", "body": body})


class LivingApp:
    """An ASGI app with a life: what it makes at start-up must be usable in requests."""

    def __init__(self, fail: str = "") -> None:
        self.log: list[str] = []
        self.fail = fail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(scope, receive, send)
            return
        if scope["path"] == "/stream":
            await self.stream(send)
            return
        answer = scope["state"].get("name", "none")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer.encode()})
        self.log.append("request")

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        self.log.append("startup")
        if self.fail == "startup":
            await send({"type": "lifespan.startup.failed", "message": "no database"})
            return
        if self.fail == "raise":
            raise Boom("while starting")
        scope["state"]["name"] = "started"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        self.log.append("shutdown")
        if self.fail == "shutdown":
            await send({"type": "lifespan.shutdown.failed", "message": "stuck"})
            return
        await send({"type": "lifespan.shutdown.complete"})

    async def stream(self, send: Send) -> None:
        async def numbers() -> AsyncIterator[bytes]:
            number = 0
            while True:
                yield b"%d," % number
                number += 1

        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            async for piece in numbers():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            self.log.append("left")
