"""A WebSocket leaves no reference cycle: its memory is free when it has ended."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from duoflask import DuoFlask, g, request, session
from duoflask.globals import websocket

from .sockets import Socket

PATHS = ["/echo", "/def", "/refused", "/nothing", "/stay", "/fail"]


@pytest.fixture
def app() -> DuoFlask:
    app = DuoFlask(__name__)
    app.secret_key = "k"
    app.logger.disabled = True

    @app.websocket("/echo")
    async def echo() -> None:
        g.seen = request.path
        session["seen"] = 1
        async for message in websocket:
            await asyncio.sleep(0)
            await websocket.send(message)

    @app.websocket("/def")
    def blocking() -> None:
        g.seen = request.path
        for message in websocket:
            websocket.send(message)

    @app.websocket("/refused")
    async def refused() -> Any:
        return "no", 403

    @app.websocket("/stay")
    async def stay() -> None:
        await websocket.accept()
        await asyncio.sleep(60)

    @app.websocket("/fail")
    async def fail() -> None:
        await websocket.accept()
        raise ValueError

    return app


async def _connect(app: DuoFlask, path: str) -> None:
    socket = Socket(path)
    socket.put("a")
    served = asyncio.create_task(socket.serve(app))
    await socket.until_sent({"/echo": 2, "/def": 2, "/nothing": 2, "/refused": 2}.get(path, 1))
    for _ in range(5):
        await asyncio.sleep(0)
    socket.leave()
    await served


@pytest.mark.parametrize("path", PATHS)
def test_websocket_leaves_no_cycle(app: DuoFlask, path: str) -> None:
    async def main() -> int:
        await _connect(app, path)
        await asyncio.sleep(0)
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                await _connect(app, path)
            await asyncio.sleep(0)
            return gc.collect()
        finally:
            gc.enable()

    assert asyncio.run(main()) == 0
