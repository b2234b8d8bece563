"""An app with a mounted application of each protocol, for test_mounts.py."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
from starlette.responses import StreamingResponse

import duoflask

CHUNK = b"x" * 65_536
closed = {"wsgi": 0, "asgi": 0}


class Stream:
    def __init__(self, count: int) -> None:
        self._count = count

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self._count):
            yield CHUNK

    def close(self) -> None:
        closed["wsgi"] += 1


def wsgi(environ: Any, start_response: Any) -> Any:
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Stream(int(environ["QUERY_STRING"]))
    stream, size = environ["wsgi.input"], 0
    left = int(environ["CONTENT_LENGTH"])
    while left and (piece := stream.read(min(left, 65_536))):
        size += len(piece)
        left -= len(piece)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(size).encode()]


async def stream(count: int) -> AsyncIterator[bytes]:
    try:
        for _ in range(count):
            yield CHUNK
            await anyio.sleep(0)  # Starlette's watch for the disconnect gets its turn
    finally:
        closed["asgi"] += 1


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
    if scope["path"].endswith("/stream"):
        await StreamingResponse(stream(int(scope["query_string"])))(scope, receive, send)
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message["body"])
        more = message["more_body"]
    await send(start)
    await send({"type": "http.response.body", "body": str(size).encode()})


app = duoflask.Flask(__name__)
app.mount("/wsgi", wsgi)
app.mount("/asgi", asgi)


@app.get("/state")
def state() -> Any:
    return {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, **closed}
