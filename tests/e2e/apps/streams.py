"""Streams of both colours, alone and in mounted applications; counts of what was made and what has ended."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import starlette.applications
import starlette.responses
import starlette.routing

from duoflask import DuoFlask, Response, g, request

CHUNK = b"x" * 65_536
counts: Counter[str] = Counter()


def note(what: str) -> None:
    counts[what] += 1


def endless() -> Iterator[bytes]:
    while True:
        counts["made"] += len(CHUNK)
        yield CHUNK


def tick() -> Iterator[bytes]:
    while True:
        time.sleep(0.02)
        yield b"tick\n"


def fail() -> Iterator[bytes]:
    yield b"x" * 1000
    time.sleep(0.1)  # until the head and the first piece have left
    raise RuntimeError("the stream failed midway")


async def async_endless() -> AsyncIterator[bytes]:
    while True:
        counts["made"] += len(CHUNK)
        yield CHUNK


async def async_tick() -> AsyncIterator[bytes]:
    while True:
        await anyio.sleep(0.02)
        yield b"tick\n"


async def async_fail() -> AsyncIterator[bytes]:
    yield b"x" * 1000
    await anyio.sleep(0.1)
    raise RuntimeError("the stream failed midway")


async def async_wait() -> AsyncIterator[bytes]:
    yield b"first"
    await anyio.sleep_forever()


BODIES: dict[str, Callable[[], Any]] = {
    "endless/def": endless,
    "endless/async": async_endless,
    "tick/def": tick,
    "tick/async": async_tick,
    "fail/def": fail,
    "fail/async": async_fail,
    "wait/async": async_wait,
}


def watched(body: Any) -> Any:
    """A body that notes its end, and whether it was still in its request's Context."""
    if hasattr(body, "__aiter__"):

        async def on_loop() -> AsyncIterator[bytes]:
            try:
                async for chunk in body:
                    yield chunk
            finally:
                note("closed" if g.get("mark") == request.path else "closed elsewhere")
                with anyio.CancelScope(shield=True):
                    await body.aclose()

        return on_loop()

    def in_thread() -> Iterator[bytes]:
        try:
            yield from body
        finally:
            note("closed" if g.get("mark") == request.path else "closed elsewhere")

    return in_thread()


def streaming(name: str) -> DuoFlask:
    made = DuoFlask(name)

    @made.get("/<kind>/<colour>")
    def view(kind: str, colour: str) -> Response:
        g.mark = request.path
        response = Response(watched(BODIES[f"{kind}/{colour}"]()), mimetype="text/plain")
        response.call_on_close(lambda: note("on close"))
        note("begun")
        return response

    @made.teardown_request
    def tear_down(error: BaseException | None) -> None:
        if "mark" in g:
            note("torn down")

    return made


async def starlette_stream(request: Any) -> Any:
    async def body() -> AsyncIterator[bytes]:
        note("other begun")
        try:
            async for chunk in async_tick():
                yield chunk
        finally:
            note("other closed")

    return starlette.responses.StreamingResponse(body(), media_type="text/plain")


def plain_wsgi(environ: Any, start_response: Any) -> Any:
    def body() -> Iterator[bytes]:
        note("other begun")
        try:
            yield from tick()
        finally:
            note("other closed")

    start_response("200 OK", [("Content-Type", "text/plain")])
    return body()


app = streaming("streams")
app.mount("/duo", streaming("inner"))
app.mount(
    "/starlette",
    starlette.applications.Starlette(routes=[starlette.routing.Route("/{rest:path}", starlette_stream)]),
)
app.mount("/wsgi", plain_wsgi)


@app.get("/state")
def state() -> dict[str, Any]:
    return dict(counts)
