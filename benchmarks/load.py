"""A load generator for one server on this machine: keep-alive or one connection a request, every answer checked.

Knows no framework and no server. It runs on the loop that calls it; one core of it outruns a worker of any server here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from time import perf_counter

from benchmarks.workloads import Answer, Workload

__all__ = ["Load", "Outcome", "fetch"]

_LAST_CHUNK = b"0\r\n\r\n"
REQUEST_HEADERS = (("Host", "127.0.0.1"), ("Accept", "*/*"), ("User-Agent", "benchmark"))


@dataclass(slots=True)
class Outcome:
    """What one burst of requests came to: how many were answered, in how long, and how long each took (seconds)."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return len(self.latencies)

    def quantile(self, share: float) -> float:
        """Return the latency that this share of the requests did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def joined(body: bytes) -> bytes:
    """Return a body that came in chunks (RFC 9112 7.1)."""
    pieces = []
    while body != _LAST_CHUNK:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        pieces.append(rest[:length])
        body = rest[length + 2 :]
    return b"".join(pieces)


class WrongAnswer(Exception):
    """A server answered something else than its workload asks for."""


def raw_request(workload: Workload, path: str, keep_alive: bool) -> bytes:
    """Return the bytes of a request."""
    target = path + (f"?{workload.query}" if workload.query else "")
    fields = [*REQUEST_HEADERS, *workload.request_headers]
    if workload.request_body:
        fields.append(("Content-Length", str(len(workload.request_body))))
    if not keep_alive:
        fields.append(("Connection", "close"))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{workload.method} {target} HTTP/1.1\r\n{head}\r\n".encode() + workload.request_body


class _Client(asyncio.Protocol):
    """One connection: sends the next request as soon as the answer to the last one is whole."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._wanted: bytes | None = b""
        self._began = 0.0
        self._whole = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def _send(self) -> None:
        if perf_counter() >= self._load.until:
            self._transport.close()
            return
        request, self._wanted = next(self._load.requests)
        self._whole = False
        if self._load.keep_alive or not self._began:
            self._began = perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        at = head.lower().find(b"content-length:")
        if at < 0:
            if not body.endswith(_LAST_CHUNK):
                return
            body = joined(body)
        elif len(body) < int(head[at + 15 :].split(b"\r\n", 1)[0]):
            return
        self._load.outcome.latencies.append(perf_counter() - self._began)
        if head[9:12] != b"200" or body != self._wanted:
            self._fail(f"{head[:15]!r} {body[:100]!r}; expected {self._wanted!r}")
            return
        self._buffer, self._whole = b"", True
        if self._load.keep_alive:
            self._send()
        else:
            self._transport.close()

    def _fail(self, reason: str) -> None:
        if not self.done.done():
            self.done.set_exception(WrongAnswer(reason))
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.done.done():
            return
        if self._whole or not self._wanted:
            self.done.set_result(None)
        else:
            self.done.set_exception(WrongAnswer(f"the connection ended early: {exc!r}"))


class Load:
    """Requests of one workload, by some connections at a time.

    Args:
        port: Of the server, on 127.0.0.1.
        workload: Its paths are taken in turn.
        connections: How many at a time.
        keep_alive: Send one request after the other over each, or open a new one for each.
    """

    def __init__(self, port: int, workload: Workload, connections: int, keep_alive: bool) -> None:
        self.port = port
        self.connections = connections
        self.keep_alive = keep_alive
        self._sent = [raw_request(workload, path, keep_alive) for path in workload.paths]
        self.expect(workload.bodies)
        self.until = 0.0
        self.outcome = Outcome()

    def expect(self, bodies: Iterable[bytes | None]) -> None:
        """Take these, in the order of the paths, for the right answers: JSON is spelt in more than one way."""
        self.requests: Iterator[tuple[bytes, bytes | None]] = cycle(zip(self._sent, bodies))

    async def run(self, seconds: float) -> Outcome:
        """Send requests for so long.

        Raises:
            WrongAnswer: One was not answered as it should.
        """
        self.outcome = outcome = Outcome()
        began = perf_counter()
        self.until = began + seconds
        await asyncio.gather(*[self._connect() for _ in range(self.connections)])
        outcome.seconds = perf_counter() - began
        return outcome

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            transport, client = await loop.create_connection(lambda: _Client(self), "127.0.0.1", self.port)
            try:
                await client.done
            finally:
                transport.abort()
            if self.keep_alive or perf_counter() >= self.until:
                return


async def fetch(port: int, workload: Workload, index: int) -> Answer:
    """Return the whole answer to one request, to check it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw_request(workload, workload.paths[index], keep_alive=False))
    data = await reader.read()
    writer.close()
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = [line.partition(":")[::2] for line in lines[1:]]
    if any(name.lower() == "transfer-encoding" for name, _ in fields):
        body = joined(body)
    return Answer(int(lines[0].split()[1]), tuple((name.lower(), value.strip()) for name, value in fields), body)
