"""Connections without a network: a socket pair under asyncio's own stream, memory streams under trio."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import h11
import pytest
from anyio.abc import ByteStream, UNIXSocketStream

from duoflask.server.config import ServerConfig
from duoflask.server.connection import Connection, Shared, expire_connections
from duoflask.server.streams import AnyioStream, AsyncioStream


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class MemoryStream(ByteStream):
    """One end of a pair of byte streams in memory."""

    def __init__(self, incoming: Any, outgoing: Any) -> None:
        self._incoming = incoming
        self._outgoing = outgoing

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._incoming.receive()

    async def send(self, item: bytes) -> None:
        await self._outgoing.send(item)

    async def send_eof(self) -> None:
        self._outgoing.close()

    async def aclose(self) -> None:
        self._incoming.close()
        self._outgoing.close()


async def make_pair(backend: str, size: float) -> tuple[Any, ByteStream]:
    if backend == "trio":
        send_up, receive_up = anyio.create_memory_object_stream[bytes](math.inf)
        send_down, receive_down = anyio.create_memory_object_stream[bytes](size)
        return AnyioStream(MemoryStream(receive_up, send_down)), MemoryStream(receive_down, send_up)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    connected: list[AsyncioStream] = []
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: AsyncioStream(connected.append), ours)
    return connected[0], await UNIXSocketStream.from_socket(theirs)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Client:
    """The peer: sends raw bytes, reads raw bytes or, with h11 as the judge, responses."""

    stream: ByteStream
    shared: Shared
    connection: Connection
    done: anyio.Event
    buffer: bytes = b""
    calls: list[Any] = field(default_factory=list)

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            await self.stream.send(piece)
            await anyio.lowlevel.checkpoint()

    async def send_bytewise(self, data: bytes) -> None:
        """Send byte by byte until the server no longer listens."""
        try:
            for position in range(len(data)):
                await self.stream.send(data[position : position + 1])
                await anyio.lowlevel.checkpoint()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass

    async def read_all(self) -> bytes:
        data, self.buffer = self.buffer, b""
        with anyio.fail_after(20):
            try:
                while True:
                    data += await self.stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return data

    async def read_until(self, marker: bytes) -> bytes:
        data = self.buffer
        with anyio.fail_after(20):
            while marker not in data:
                data += await self.stream.receive()
        head, _, self.buffer = data.partition(marker)
        return head + marker

    async def answer(self, method: str = "GET") -> Answer:
        """Read one response."""
        judge = h11.Connection(h11.CLIENT)
        judge.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        if self.buffer:
            judge.receive_data(self.buffer)
        status, headers, body = 0, {}, b""
        with anyio.fail_after(20):
            while True:
                event = judge.next_event()
                if event is h11.NEED_DATA:
                    try:
                        judge.receive_data(await self.stream.receive())
                    except anyio.EndOfStream:
                        judge.receive_data(b"")
                elif isinstance(event, h11.Response):
                    status = event.status_code
                    headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    self.buffer = judge.trailing_data[0]
                    return Answer(status, headers, body)


Connect = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def connect(anyio_backend: str) -> Connect:
    @asynccontextmanager
    async def connected(app: Any, *, size: float = math.inf, **settings: Any) -> AsyncIterator[Client]:
        shared = Shared(app, ServerConfig(**settings), now=anyio.current_time())
        ours, theirs = await make_pair(anyio_backend, size)
        connection = Connection(shared, ours)
        client = Client(theirs, shared, connection, anyio.Event())

        async def run() -> None:
            await connection.run()
            client.done.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expire_connections, shared)
            tasks.start_soon(run)
            yield client
            await theirs.aclose()
            with anyio.move_on_after(1):
                await client.done.wait()
            tasks.cancel_scope.cancel()

    return connected


@pytest.fixture
def echo() -> Any:
    """Answers with what it got; `echo.scopes` are the requests that reached it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        app.scopes.append(scope)
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                app.disconnects += 1
                return
            body += message["body"]
            if not message["more_body"]:
                break
        app.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": scope["method"].encode() + b" " + body})

    app.scopes = []
    app.bodies = []
    app.disconnects = 0
    return app
