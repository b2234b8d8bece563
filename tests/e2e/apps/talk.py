"""An app with WebSockets that run on asyncio and trio, for test_websockets.py."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any

import anyio

from duoflask import DuoFlask, abort, g, request, session
from duoflask.globals import websocket

app = DuoFlask(__name__)
app.secret_key = "for tests"
own: ContextVar[str] = ContextVar("own")
counts = {"met": 0, "stopped": 0, "torn down": 0}


@app.before_websocket(inline=True)
def met() -> None:
    counts["met"] += 1
    if "name" in request.args:
        g.name = session["name"] = request.args["name"]
        g.count = 0
        own.set(g.name)


@app.teardown_websocket(inline=True)
def torn_down(error: BaseException | None) -> None:
    counts["torn down"] += 1


def answer(message: Any) -> str:
    g.count += 1
    return f"{g.name} {session['name']} {own.get()} {g.count} {message}"


@app.websocket("/own")
async def own_view() -> None:
    async for message in websocket:
        await websocket.send(answer(message))


@app.websocket("/own/waiting")
async def own_waiting() -> None:
    async for message in websocket:
        await anyio.sleep(0)
        await websocket.send(answer(message))


@app.websocket("/own/def")
def own_def() -> None:
    for message in websocket:
        websocket.send(answer(message))


@app.websocket("/echo")
async def echo() -> None:
    await websocket.accept()
    while True:
        await websocket.send(await websocket.receive())


@app.websocket("/denied")
async def denied() -> Any:
    return {"why": "full"}, 503, {"X-Why": "full"}


@app.websocket("/aborted")
def aborted() -> None:
    abort(401)


@app.websocket("/close/<int:code>")
async def close(code: int) -> None:
    await websocket.accept(subprotocol="chat", headers={"X-One": "1"})
    await websocket.close(code, "the reason")


@app.websocket("/fail")
async def fail() -> None:
    await websocket.receive()
    raise ZeroDivisionError("as planned")


@app.websocket("/stay")
async def stay() -> None:
    await websocket.send("here")
    try:
        await anyio.sleep_forever()
    finally:
        counts["stopped"] += 1


@app.websocket("/push")
async def push() -> None:
    try:
        while True:
            await websocket.send("x" * 1000)
            await anyio.sleep(0.001)
    finally:
        counts["stopped"] += 1


@app.websocket("/wait/def")
def wait_def() -> None:
    websocket.send("here")
    try:
        websocket.receive()
    finally:
        counts["stopped"] += 1


@app.get("/counts")
def show() -> Any:
    return {**counts, "threads": len([t for t in threading.enumerate() if "worker" not in t.name])}
