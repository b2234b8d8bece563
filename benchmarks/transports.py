"""Fake transports: drive a WSGI or an ASGI application in process, with little work of their own.

A driver times a number of requests in one loop and returns the seconds that they took. What the loop itself
costs (a copy of the environ or scope, the call, the iteration) is the same for every contestant and is part
of the raw callable's figure. The next measurement goes on with the path after the last one's, so that a short
one still visits all paths in the end.
"""

from __future__ import annotations

import asyncio
import io
import sys
from itertools import cycle, islice
from time import perf_counter
from typing import Any

from benchmarks.workloads import Answer, Workload

__all__ = ["AsgiDriver", "Lifespan", "WsgiDriver"]

REQUEST_HEADERS = (
    ("host", "127.0.0.1:5000"),
    ("user-agent", "benchmark/1.0"),
    ("accept", "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("connection", "keep-alive"),
)

# What a server reads from a socket at a time.
_CHUNK = 65536


def _messages(body: bytes) -> tuple[dict[str, Any], ...]:
    chunks = [body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK)] or [b""]
    return tuple(
        {"type": "http.request", "body": chunk, "more_body": index < len(chunks)}
        for index, chunk in enumerate(chunks, 1)
    )


class WsgiDriver:
    """Call a WSGI application once a request, iterate over what it returns and close it."""

    def __init__(self, app: Any, workload: Workload) -> None:
        self.app = app
        self.body = workload.request_body
        self.environs = [_environ(path, workload) for path in workload.paths]
        self.feed = cycle(self.environs)

    def send_cookie(self, value: str) -> None:
        """Send this cookie with every request from now on."""
        for environ in self.environs:
            environ["HTTP_COOKIE"] = value

    def answer(self, index: int) -> Answer:
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started.append((status, list(headers)))
            return lambda data: None

        environ = self.environs[index].copy()
        environ["wsgi.input"] = io.BytesIO(self.body)
        iterable = self.app(environ, start_response)
        try:
            body = b"".join(iterable)
        finally:
            if hasattr(iterable, "close"):
                iterable.close()
        status, headers = started[-1]
        return Answer(int(status[:3]), tuple((name.lower(), value) for name, value in headers), body)

    def time(self, count: int) -> float:
        app, body = self.app, self.body
        environs = list(islice(self.feed, count))
        started = perf_counter()
        for environ in environs:
            environ = environ.copy()
            if body:
                environ["wsgi.input"] = io.BytesIO(body)
            iterable = app(environ, _start_response)
            for _ in iterable:
                pass
            close = getattr(iterable, "close", None)
            if close is not None:
                close()
        return perf_counter() - started


class AsgiDriver:
    """Await an ASGI application once a request on a running loop, by `concurrency` tasks at a time."""

    def __init__(self, app: Any, workload: Workload, loop: asyncio.AbstractEventLoop, concurrency: int = 1) -> None:
        self.app = app
        self.loop = loop
        self.concurrency = concurrency
        self.messages = _messages(workload.request_body)
        self.scopes = [_scope(path, workload) for path in workload.paths]
        self.feed = cycle(self.scopes)

    def send_cookie(self, value: str) -> None:
        """Send this cookie with every request from now on."""
        for scope in self.scopes:
            scope["headers"] = [*scope["headers"], (b"cookie", value.encode())]

    def answer(self, index: int) -> Answer:
        return self.loop.run_until_complete(self._answer(index))

    async def _answer(self, index: int) -> Answer:
        channel = _RecordingChannel(self.messages)
        await self.app(self.scopes[index].copy(), channel.receive, channel.send)
        start = channel.sent[0]
        headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in start["headers"])
        body = b"".join(message.get("body", b"") for message in channel.sent[1:])
        return Answer(start["status"], headers, body)

    def time(self, count: int) -> float:
        return self.loop.run_until_complete(self._time(count))

    async def _time(self, count: int) -> float:
        if self.concurrency == 1:
            scopes = list(islice(self.feed, count))
            started = perf_counter()
            await self._drive(scopes)
            return perf_counter() - started
        size = max(1, count // self.concurrency)
        shares = [list(islice(self.feed, size)) for _ in range(self.concurrency)]
        started = perf_counter()
        await asyncio.gather(*[self._drive(share) for share in shares])
        # The caller divides by count, and the tasks may have done a few requests less.
        return (perf_counter() - started) * count / (size * self.concurrency)

    async def _drive(self, scopes: list[dict[str, Any]]) -> None:
        app, messages = self.app, self.messages
        for scope in scopes:
            channel = _Channel(messages)
            await app(scope.copy(), channel.receive, channel.send)


class Lifespan:
    """Run an application's lifespan task around its requests, as a server does."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.app = app
        self.loop = loop
        self.to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        self.task = self.loop.create_task(self.app(scope, self.to_app.get, self.from_app.put))
        self._exchange("lifespan.startup")

    def stop(self) -> None:
        self._exchange("lifespan.shutdown")
        if self.task is not None:
            self.loop.run_until_complete(self.task)

    def _exchange(self, kind: str) -> None:
        self.to_app.put_nowait({"type": kind})
        message = self.loop.run_until_complete(asyncio.wait_for(self.from_app.get(), 10))
        if message["type"] != f"{kind}.complete":
            raise RuntimeError(f"{kind}; expected {kind}.complete; got {message!r}")


class _Channel:
    __slots__ = ("messages", "next")

    def __init__(self, messages: tuple[dict[str, Any], ...]) -> None:
        self.messages = messages
        self.next = 0

    async def receive(self) -> dict[str, Any]:
        index = self.next
        if index == len(self.messages):
            # A client that stays connected sends nothing more.
            await asyncio.get_running_loop().create_future()
        self.next = index + 1
        return self.messages[index]

    async def send(self, message: Any) -> None:
        pass


class _RecordingChannel(_Channel):
    __slots__ = ("sent",)

    def __init__(self, messages: tuple[dict[str, Any], ...]) -> None:
        super().__init__(messages)
        self.sent: list[dict[str, Any]] = []

    async def send(self, message: Any) -> None:
        self.sent.append(message)


def _write(data: bytes) -> None:
    pass


def _start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
    return _write


def _environ(path: str, workload: Workload) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": workload.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": workload.query,
        "RAW_URI": path,
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "40000",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "5000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "benchmark",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    for name, value in (*REQUEST_HEADERS, *workload.request_headers):
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else "HTTP_" + key] = value
    if workload.request_body:
        environ["CONTENT_LENGTH"] = str(len(workload.request_body))
    return environ


def _scope(path: str, workload: Workload) -> dict[str, Any]:
    fields = [*REQUEST_HEADERS, *workload.request_headers]
    if workload.request_body:
        fields.append(("content-length", str(len(workload.request_body))))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 5000),
        "client": ("127.0.0.1", 40000),
        "scheme": "http",
        "method": workload.method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode("ascii"),
        "query_string": workload.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in fields],
    }
