"""The bare callables of both protocols: the floor that no framework can be under, the harness included."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any

from benchmarks.workloads import AFTER_HEADERS, GREETING, PAYLOAD, TARGET_INDEX

__all__ = ["build_asgi", "build_async_wsgi", "build_def_asgi", "build_wsgi", "lifespan"]

_SECTION = f"section{TARGET_INDEX}"


def _plaintext(path: str, headers: list[tuple[str, str]]) -> bytes:
    return GREETING.encode()


def _json(path: str, headers: list[tuple[str, str]]) -> bytes:
    return json.dumps(PAYLOAD).encode()


def _params(path: str, headers: list[tuple[str, str]]) -> bytes:
    _, section, number, posts, slug = path.split("/")
    if section != _SECTION or posts != "posts":
        raise LookupError(path)
    return f"{int(number) + 1} {slug}".encode()


class _State:
    pass


def _before_one(state: Any) -> None:
    state.one = 1


def _before_two(state: Any) -> None:
    state.two = 2


def _before_three(state: Any) -> None:
    state.greeting = GREETING


def _after_one(headers: list[tuple[str, str]]) -> None:
    headers.append(AFTER_HEADERS[0])


def _after_two(headers: list[tuple[str, str]]) -> None:
    headers.append(AFTER_HEADERS[1])


def _after_three(headers: list[tuple[str, str]]) -> None:
    headers.append(AFTER_HEADERS[2])


def _hooks(path: str, headers: list[tuple[str, str]]) -> bytes:
    state = _State()
    _before_one(state)
    _before_two(state)
    _before_three(state)
    body: bytes = state.greeting.encode()  # type: ignore[attr-defined]
    _after_three(headers)
    _after_two(headers)
    _after_one(headers)
    return body


_VIEWS: dict[str, Callable[[str, list[tuple[str, str]]], bytes]] = {
    "plaintext": _plaintext,
    "json": _json,
    "params": _params,
    "hooks": _hooks,
}


def build_wsgi(workload: str) -> Any:
    view = _VIEWS[workload]
    media_type = "application/json" if workload == "json" else "text/plain; charset=utf-8"

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        headers = [("Content-Type", media_type)]
        body = view(environ["PATH_INFO"], headers)
        headers.append(("Content-Length", str(len(body))))
        start_response("200 OK", headers)
        return [body]

    return app


def build_asgi(workload: str) -> Any:
    view = _VIEWS[workload]
    media_type = b"application/json" if workload == "json" else b"text/plain; charset=utf-8"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        headers: list[tuple[str, str]] = []
        body = view(scope["path"], headers)
        raw_headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
        if headers:
            raw_headers.extend([(name.lower().encode(), value.encode()) for name, value in headers])
        await send({"type": "http.response.start", "status": 200, "headers": raw_headers})
        await send({"type": "http.response.body", "body": body})

    return app


def build_def_asgi(workload: str) -> Any:
    """Run the view through the loop's own executor: what a thread hop costs without a framework."""
    view = _VIEWS[workload]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        body = await asyncio.get_running_loop().run_in_executor(None, view, scope["path"], [])
        raw_headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": raw_headers})
        await send({"type": "http.response.body", "body": body})

    return app


def build_async_wsgi(workload: str) -> Any:
    """Send the view to a loop in another thread and wait: what a round trip costs without a framework."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def plaintext() -> bytes:
        await asyncio.sleep(0)
        return GREETING.encode()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        body = asyncio.run_coroutine_threadsafe(plaintext(), loop).result()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    return app


async def lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
