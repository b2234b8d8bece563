"""An app with WebSockets of both colours, for test_websocket_wsgi.py."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from typing import Any

from duoflask import DuoFlask, abort, g, request, session
from duoflask.globals import websocket

app = DuoFlask(__name__)
app.secret_key = "for tests"
app.config["WEBSOCKET_MAX_MESSAGE_SIZE"] = 4 << 20
if "PING" in os.environ:
    app.config["WEBSOCKET_PING_INTERVAL"] = float(os.environ["PING"])
counts = {"met": 0, "open": 0, "torn down": 0, "left": 0}
lock = threading.Lock()


def count(name: str) -> None:
    with lock:
        counts[name] += 1


@app.before_websocket
def met() -> None:
    count("met")


@app.teardown_websocket
def torn_down(error: BaseException | None) -> None:
    count("torn down")


@app.websocket("/async/echo")
async def echo() -> None:
    count("open")
    async for data in websocket:
        await websocket.send(data)


@app.websocket("/def/echo")
def echo_def() -> None:
    count("open")
    for data in websocket:
        websocket.send(data)


@app.websocket("/async/own/<int:number>")
async def own(number: int) -> None:
    g.number = number
    async for data in websocket:
        await asyncio.sleep(0)
        await websocket.send(f"{g.number} {request.args['x']} {data}")


@app.websocket("/def/own/<int:number>")
def own_def(number: int) -> None:
    g.number = number
    for data in websocket:
        websocket.send(f"{g.number} {request.args['x']} {data}")


@app.websocket("/async/close/<int:code>")
async def close(code: int) -> None:
    await websocket.accept(subprotocol="chat" if websocket.requested_subprotocols else None, headers={"X-Code": code})
    await websocket.send("bye")
    await websocket.close(code, "reason")


@app.websocket("/def/close/<int:code>")
def close_def(code: int) -> None:
    websocket.accept(subprotocol="chat" if websocket.requested_subprotocols else None, headers={"X-Code": code})
    websocket.send("bye")
    websocket.close(code, "reason")


@app.websocket("/async/fail")
async def fail() -> None:
    await websocket.receive()
    raise RuntimeError("as planned")


@app.websocket("/def/fail")
def fail_def() -> None:
    websocket.receive()
    raise RuntimeError("as planned")


@app.websocket("/async/wait")
async def wait() -> None:
    await websocket.accept()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        count("left")
        raise


@app.websocket("/def/wait")
def wait_def() -> None:
    websocket.accept()
    try:
        websocket.receive()
    except Exception:
        count("left")
        raise


@app.websocket("/async/flood")
async def flood() -> None:
    while True:
        await websocket.send(b"x" * 65536)


@app.websocket("/def/flood")
def flood_def() -> None:
    while True:
        websocket.send(b"x" * 65536)


@app.websocket("/async/denied")
async def denied() -> Any:
    abort(401)


@app.websocket("/def/denied")
def denied_def() -> Any:
    session["denied"] = True
    return "no", 401, {"X-Why": "because"}


@app.route("/counts")
def show() -> Any:
    return {**counts, "descriptors": len(os.listdir("/proc/self/fd"))}


if __name__ == "__main__":
    port = int(sys.argv[2])
    if sys.argv[1] == "werkzeug":
        from werkzeug.serving import run_simple

        context: Any = "adhoc" if len(sys.argv) > 3 else None
        run_simple("127.0.0.1", port, app.wsgi_app, threaded=True, ssl_context=context)
    elif sys.argv[1] == "pywsgi":
        from gevent import pywsgi

        pywsgi.WSGIServer(("127.0.0.1", port), app.wsgi_app).serve_forever()
    else:
        from wsgiref.simple_server import make_server

        make_server("127.0.0.1", port, app.wsgi_app).serve_forever()
