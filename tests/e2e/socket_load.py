"""Many WebSockets at once, in a process of their own: `socket_load.py KIND PORT PATH SOCKETS MESSAGES`.

`own` talks through the `websockets` package and checks each answer of talk.py; `echo` speaks frames itself, which costs
a tenth, and is for measuring. Prints the seconds that the messages took.
"""

from __future__ import annotations

import asyncio
import sys
import time

from websockets.asyncio.client import connect

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
# A text frame of twelve bytes; a mask of zeros leaves it as it is.
TEXT = b"hello, world"
SENT = b"\x81" + bytes([0x80 | len(TEXT)]) + b"\0\0\0\0" + TEXT
WANTED = b"\x81" + bytes([len(TEXT)]) + TEXT
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"


class Echo(asyncio.Protocol):
    """One connection that sends the next message when the last one has come back."""

    def __init__(self, path: str, messages: int) -> None:
        self.path = path
        self.left = messages
        self.open = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(HANDSHAKE.format(path=self.path).encode())

    def data_received(self, data: bytes) -> None:
        self.data += data
        if not self.open.done():
            head, end, self.data = self.data.partition(b"\r\n\r\n")
            if not end:
                self.data = head
                return
            assert head.startswith(b"HTTP/1.1 101 "), head
            self.open.set_result(None)
            return
        while len(self.data) >= 2 and len(self.data) >= (size := 2 + self.data[1]):
            frame, self.data = self.data[:size], self.data[size:]
            if frame[0] == 0x89:  # the server pings after a while
                self.transport.write(bytes([0x8A, 0x80 | len(frame) - 2]) + b"\0\0\0\0" + frame[2:])
                continue
            assert frame == WANTED, frame
            self.next()

    def next(self) -> None:
        if not self.left:
            self.done.set_result(None)
            return
        self.left -= 1
        self.transport.write(SENT)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or EOFError("the server has closed the connection"))


async def echo(port: int, path: str, sockets: int, messages: int) -> float:
    loop = asyncio.get_running_loop()
    all_of_them = []
    for _ in range(sockets):
        _, protocol = await loop.create_connection(lambda: Echo(path, messages), "127.0.0.1", port)
        await protocol.open
        all_of_them.append(protocol)
    began = time.perf_counter()
    for protocol in all_of_them:
        protocol.next()
    await asyncio.gather(*(protocol.done for protocol in all_of_them))
    seconds = time.perf_counter() - began
    for protocol in all_of_them:
        protocol.transport.write(CLOSE)
    await asyncio.sleep(0.05)
    for protocol in all_of_them:
        protocol.transport.close()
    return seconds


async def own(port: int, path: str, sockets: int, messages: int) -> float:
    gate = asyncio.Semaphore(50)  # a listening socket's backlog is finite
    ready = asyncio.Barrier(sockets)

    async def talk(name: int) -> float:
        async with gate:
            socket = await connect(f"ws://127.0.0.1:{port}{path}?name={name}", open_timeout=60, compression=None)
        async with socket:
            await ready.wait()
            began = time.perf_counter()
            window = 8  # several on their way at once: their order is to be kept
            for number in range(messages + window):
                if number < messages:
                    await socket.send(str(number))
                if number >= window:
                    got = await socket.recv()
                    wanted = f"{name} {name} {name} {number - window + 1} {number - window}"
                    assert got == wanted, (got, wanted)
            return time.perf_counter() - began

    return max(await asyncio.gather(*map(talk, range(sockets))))


if __name__ == "__main__":
    kind, port, path, sockets, messages = sys.argv[1:]
    work = {"own": own, "echo": echo}[kind]
    print(asyncio.run(work(int(port), path, int(sockets), int(messages))))  # noqa: T201
