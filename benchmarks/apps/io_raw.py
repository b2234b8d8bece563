"""The bare callables, with the library that each job has anyway: urllib, json, multipart, itsdangerous."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

from itsdangerous import URLSafeTimedSerializer
from multipart import MultipartSegment, PushMultipartParser

from benchmarks.apps.raw import lifespan
from benchmarks.workloads import BOUNDARY, FILE_PATH

__all__ = ["build_asgi", "build_wsgi"]

_SERIALIZER = URLSafeTimedSerializer("a secret of the benchmark")

# A view takes the query, two header fields and the chunks of the body; it gives header fields and a body.
_Fields = list[tuple[str, str]]
_View = Callable[[str, str, str, Iterable[bytes], _Fields], bytes]


def _cookies(field: str) -> dict[str, str]:
    return dict(pair.strip().partition("=")[::2] for pair in field.split(";"))


def _fields(query: str, request_id: str, cookie: str, body: Iterable[bytes], fields: _Fields) -> bytes:
    args = dict(parse_qsl(query))
    fields += [("X-Request-Id", request_id), ("Set-Cookie", "seen=1; Path=/")]
    return f"{args['name']} {int(args['page'])} {request_id} {_cookies(cookie)['theme']}".encode()


def _form(query: str, request_id: str, cookie: str, body: Iterable[bytes], fields: _Fields) -> bytes:
    form = dict(parse_qsl(b"".join(body).decode()))
    return f"{len(form)} {form['field9']}".encode()


def _body(query: str, request_id: str, cookie: str, body: Iterable[bytes], fields: _Fields) -> bytes:
    items = json.loads(b"".join(body))["items"]
    return f"{len(items)} {items[-1]['name']}".encode()


def _upload(query: str, request_id: str, cookie: str, body: Iterable[bytes], fields: _Fields) -> bytes:
    title, size, name = b"", 0, ""
    with PushMultipartParser(BOUNDARY) as parser:
        for chunk in body:
            for event in parser.parse(chunk):
                if isinstance(event, MultipartSegment):
                    name = event.name
                elif event and name == "title":
                    title += event
                elif event:
                    size += len(event)
    return b"%d %s" % (size, title)


def _file(query: str, request_id: str, cookie: str, body: Iterable[bytes], fields: _Fields) -> bytes:
    with open(FILE_PATH, "rb") as file:
        return file.read()


def _session(query: str, request_id: str, cookie: str, body: Iterable[bytes], fields: _Fields) -> bytes:
    data = _SERIALIZER.loads(_cookies(cookie)["session"], max_age=1000) if cookie else {"count": 0}
    data["count"] += 1
    fields.append(("Set-Cookie", f"session={_SERIALIZER.dumps(data)}; Path=/"))
    return str(data["count"]).encode()


_VIEWS: dict[str, _View] = {
    "fields": _fields,
    "form": _form,
    "body": _body,
    "upload": _upload,
    "file": _file,
    "session": _session,
}


def _media_type(workload: str) -> str:
    return "application/octet-stream" if workload == "file" else "text/plain; charset=utf-8"


def build_wsgi(workload: str) -> Any:
    view, media_type = _VIEWS[workload], _media_type(workload)

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        fields: _Fields = []
        left = int(environ.get("CONTENT_LENGTH") or 0)
        chunks = iter(lambda: environ["wsgi.input"].read(65536), b"") if left else ()
        cookie = environ.get("HTTP_COOKIE", "")
        body = view(environ["QUERY_STRING"], environ.get("HTTP_X_REQUEST_ID", ""), cookie, chunks, fields)
        start_response("200 OK", [("Content-Type", media_type), ("Content-Length", str(len(body))), *fields])
        return [body]

    return app


def build_asgi(workload: str) -> Any:
    view, media_type = _VIEWS[workload], _media_type(workload).encode()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        chunks = []
        more = scope["method"] == "POST"
        while more:
            message = await receive()
            chunks.append(message["body"])
            more = message["more_body"]
        headers = dict(scope["headers"])
        fields: _Fields = []
        request_id, cookie = headers.get(b"x-request-id", b"").decode(), headers.get(b"cookie", b"").decode()
        body = view(scope["query_string"].decode(), request_id, cookie, chunks, fields)
        raw = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
        raw += [(name.lower().encode(), value.encode()) for name, value in fields]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    return app
