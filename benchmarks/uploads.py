"""Uploads: one of 1 MiB many times, one of 1 GiB once: `python -m benchmarks.uploads [--large MiB]`.

The small one is timed in process, contestants in turns; CPU time counts, the best of the rounds. The
large one arrives in pieces of 64 KiB that are made on the way, in a process of its own for each contestant, whose
growth is the peak of its resident memory less what it had after a warm-up. Each view reads the whole file, and the
answer, its length, is checked. Starlette needs the package python-multipart, and is left out without it.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

MIB = 1 << 20
PIECE = 65_536
BOUNDARY = "bound123456789"
KIND = f"multipart/form-data; boundary={BOUNDARY}"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="a.bin"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()
BLOCK = bytes(range(256)) * (PIECE // 256)
ROUNDS = 9


def _sum(read: Callable[[int], bytes]) -> str:
    size = 0
    while chunk := read(PIECE):
        size += len(chunk)
    return str(size)


# contestants: each builds an application


def duoflask(is_async: bool = False, parts: bool = False) -> Any:
    from duoflask import DuoFlask, request

    app = DuoFlask("uploads")

    def view() -> str:
        file = request.files["f"]
        return str(len(file.read())) if request.args else _sum(file.read)

    async def async_view() -> str:
        return view()

    def parts_view() -> str:
        return str(max(sum(map(len, part)) for part in request.parts()))

    async def async_parts_view() -> str:
        size = 0
        async for part in request.parts():
            size = 0
            async for chunk in part:
                size += len(chunk)
        return str(size)

    chosen: Any = (async_parts_view if is_async else parts_view) if parts else (async_view if is_async else view)
    app.post("/", stream_body=parts, max_content_length=1 << 40)(chosen)
    return app


def flask() -> Any:
    from flask import Flask, request

    app = Flask("uploads")

    @app.post("/")
    def view() -> str:
        file = request.files["f"]
        return str(len(file.read())) if request.args else _sum(file.read)

    return app


def werkzeug() -> Any:
    from werkzeug.wrappers import Request, Response

    @Request.application
    def app(request: Request) -> Response:
        file = request.files["f"]
        return Response(str(len(file.read())) if request.args else _sum(file.read))

    return app


def falcon(is_async: bool = False) -> Any:
    import falcon as package
    import falcon.asgi

    class Resource:
        def on_post(self, req: Any, resp: Any) -> None:
            for part in req.get_media():
                resp.text = str(len(part.get_data())) if req.query_string else _sum(part.stream.read)

    class AsyncResource:
        async def on_post(self, req: Any, resp: Any) -> None:
            async for part in await req.get_media():
                size = 0
                if req.query_string:
                    size = len(await part.get_data())
                else:
                    while chunk := await part.stream.read(PIECE):
                        size += len(chunk)
                resp.text = str(size)

    app: Any = package.asgi.App() if is_async else package.App()
    handlers = app.req_options.media_handlers
    handlers["multipart/form-data"].parse_options.max_body_part_buffer_size = 4 * MIB
    app.add_route("/", AsyncResource() if is_async else Resource())
    return app


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def view(request: Request) -> PlainTextResponse:
        async with request.form() as form:
            file: Any = form["f"]
            if request.query_params:
                return PlainTextResponse(str(len(await file.read())))
            size = 0
            while chunk := await file.read(PIECE):
                size += len(chunk)
            return PlainTextResponse(str(size))

    return Starlette(routes=[Route("/", view, methods=["POST"])])


def raw_wsgi() -> Any:
    """The least that can be done: find the end of the file in the whole body, and cut it out."""

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        text = str(len(_cut(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
        return [text]

    return app


def raw_asgi() -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pieces, more = [], True
        while more:
            message = await receive()
            pieces.append(message["body"])
            more = message["more_body"]
        text = str(len(_cut(b"".join(pieces)))).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text})

    return app


def _cut(body: bytes) -> bytes:
    start = body.find(b"\r\n\r\n", body.find(b"filename")) + 4
    return body[start : body.find(f"\r\n--{BOUNDARY}".encode(), start)]


WSGI: dict[str, Callable[[], Any]] = {
    "raw": raw_wsgi,
    "duoflask def": duoflask,
    "duoflask async def": lambda: duoflask(True),
    "duoflask parts def": lambda: duoflask(False, True),
    "duoflask parts async def": lambda: duoflask(True, True),
    "falcon": falcon,
    "werkzeug": werkzeug,
    "flask": flask,
}
ASGI: dict[str, Callable[[], Any]] = {
    "raw": raw_asgi,
    "duoflask def": duoflask,
    "duoflask async def": lambda: duoflask(True),
    "duoflask parts def": lambda: duoflask(False, True),
    "duoflask parts async def": lambda: duoflask(True, True),
    "falcon": lambda: falcon(True),
    "starlette": starlette,
}
if importlib.util.find_spec("python_multipart") is None:
    del ASGI["starlette"]


class Incoming(io.RawIOBase):
    """A body that is made while it is read."""

    def __init__(self, blocks: int) -> None:
        self.pieces = _pieces(blocks)
        self.rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.rest or next(self.pieces, b"")
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        self.rest = data[size:]
        return size


def _pieces(blocks: int) -> Any:
    yield HEAD
    for _ in range(blocks):
        yield BLOCK
    yield TAIL


def _length(blocks: int) -> int:
    return len(HEAD) + blocks * len(BLOCK) + len(TAIL)


def call_wsgi(app: Any, stream: Any, length: int, query: str = "") -> bytes:
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": query,
        "CONTENT_TYPE": KIND,
        "CONTENT_LENGTH": str(length),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": stream,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    body = app(environ, lambda status, headers, exc_info=None: None)
    try:
        return b"".join(body)
    finally:
        getattr(body, "close", lambda: None)()


async def call_asgi(app: Any, pieces: Any, length: int, query: str = "") -> bytes:
    source, sent = iter(pieces), []
    following = next(source)

    async def receive() -> dict[str, Any]:
        nonlocal following
        if following is None:
            await asyncio.sleep(3600)
        piece, following = following, next(source, None)
        return {"type": "http.request", "body": piece, "more_body": following is not None}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", KIND.encode()),
            (b"content-length", str(length).encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    await app(scope, receive, send)
    return b"".join(sent)


def small() -> None:
    """Time uploads of 1 MiB: under WSGI the body is in memory, under ASGI it is one message."""
    blocks = MIB // PIECE
    body = b"".join(_pieces(blocks))
    for protocol, contestants in (("WSGI", WSGI), ("ASGI", ASGI)):
        best = dict.fromkeys(contestants, float("inf"))
        apps = {name: build() for name, build in contestants.items()}
        loop = asyncio.new_event_loop()
        for _ in range(ROUNDS):
            for name, app in apps.items():
                begun = time.process_time()
                for _ in range(20):
                    if protocol == "WSGI":
                        answer = call_wsgi(app, io.BytesIO(body), len(body), "whole=1")
                    else:
                        answer = loop.run_until_complete(call_asgi(app, [body], len(body), "whole=1"))
                    if answer != str(MIB).encode():
                        raise SystemExit(f"{name} under {protocol}: expected {MIB}; got {answer[:200]!r}")
                best[name] = min(best[name], (time.process_time() - begun) / 20)
        loop.close()
        for name, seconds in best.items():
            print(f"1 MiB  {protocol}  {name:26} {seconds * 1e6:8.0f} us   {seconds / best['raw']:6.2f} x raw")


def _status(key: str) -> int:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))


def one(protocol: str, name: str, mib: int) -> dict[str, float]:
    """Upload a file once, in this process."""
    app = (WSGI if protocol == "WSGI" else ASGI)[name]()

    def upload(size: int) -> None:
        blocks = size * MIB // PIECE
        length = _length(blocks)
        if protocol == "WSGI":
            answer = call_wsgi(app, io.BufferedReader(Incoming(blocks)), length)
        else:
            answer = asyncio.run(call_asgi(app, _pieces(blocks), length))
        if answer != str(size * MIB).encode():
            raise SystemExit(f"{name} under {protocol}: expected {size * MIB}; got {answer[:200]!r}")

    upload(8)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak starts anew
    os.sync()  # what those before have left to be written would count as this one's
    before, begun, cpu = _status("VmRSS"), time.perf_counter(), time.process_time()
    upload(mib)
    return {
        "seconds": time.perf_counter() - begun,
        "cpu": time.process_time() - cpu,
        "growth": (_status("VmHWM") - before) / MIB,
    }


def large(mib: int, rounds: int) -> None:
    """Upload a large file once in a process of its own; the best of the rounds, the worst growth."""
    for protocol, contestants in (("WSGI", WSGI), ("ASGI", ASGI)):
        found: dict[str, list[dict[str, float]]] = {name: [] for name in contestants if name != "raw"}
        for number in range(rounds):
            for name, results in list(found.items())[:: -1 if number % 2 else 1]:
                command = [sys.executable, "-m", "benchmarks.uploads", "--one", protocol, name, "--large", str(mib)]
                results.append(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))
        for name, results in found.items():
            seconds, cpu = (min(result[key] for result in results) for key in ("seconds", "cpu"))
            growth = max(result["growth"] for result in results)
            print(
                f"{mib} MiB  {protocol}  {name:26} {mib / seconds:7.0f} MiB/s   {cpu:5.2f} s of CPU   "
                f"{growth:6.1f} MiB more memory"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=1024, metavar="MiB", help="the size of the large file")
    parser.add_argument("--rounds", type=int, default=2, help="how often it is uploaded")
    parser.add_argument("--one", nargs=2, metavar=("PROTOCOL", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(*options.one, options.large)))
        return
    small()
    if options.large:
        large(options.large, options.rounds)


if __name__ == "__main__":
    main()
