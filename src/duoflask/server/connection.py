"""One connection: requests in order, their time-outs, and the way it ends.

Owns the loop over requests and the shared state of connections. Knows ASGI only through `RequestCycle`.

Theory of operation. `run` is the connection's task. Time-outs of heads and of idle connections cost a
request nothing: `deadline` is a plain number that the server's ticker compares with its clock a few times a
second, and `expire` cancels the scope around the loop. While an application runs the deadline is infinite;
bodies and writes that really wait have scopes of their own. Every way out goes through `_close`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from anyio import (
    CancelScope,
    Event,
    current_effective_deadline,
    current_time,
    get_cancelled_exc_class,
    move_on_after,
    sleep,
)
from anyio.lowlevel import checkpoint

from ..http.errors import HTTPException
from ..typing import ASGIApplication
from .asgi import RequestCycle
from .config import ServerConfig
from .logs import access_logger, escape_log, server_logger
from .preflight import Refused
from .proxies import ProxyTrust
from .requests import RequestHead, RequestReader
from .responses import dump_refusal
from .streams import Address, PeerGone, Stream
from .websocket import WebSocketCycle, refuse_handshake

__all__ = ["Connection", "Shared", "expire_connections", "turn_away"]

_NEVER = float("inf")
MAX_TURNED_AWAY = 100
MAX_TICK = 1.0  # seconds between two looks at the deadlines of all connections


@dataclass(slots=True)
class Shared:
    """What the connections of one server have in common."""

    app: ASGIApplication
    config: ServerConfig
    state: dict[str, Any] = field(default_factory=dict)
    now: float = 0.0  # the ticker's clock
    stopping: bool = False
    trust: ProxyTrust | None = None
    in_flight: int = 0  # requests that the application works at
    arriving: int = 0  # connections before their task has begun or their TLS handshake ended
    turned_away: int = 0  # connections beyond the limit that are being told so
    connections: set[Connection] = field(default_factory=set)
    drained: Event | None = None  # set when the last connection has ended, once the server stops

    def describe_requests(self) -> str:
        """Name what the application is at work at; in any thread."""
        heads = [connection.serving for connection in list(self.connections)]  # each may end at any time
        return ", ".join(" ".join(_request_line(head)) for head in heads if head is not None)

    def note_end(self) -> None:
        if self.drained is not None and not self.connections and not self.arriving:
            self.drained.set()


async def expire_connections(shared: Shared) -> None:
    """Move the clock on and end overdue waits, for ever."""
    config = shared.config
    shortest = min(config.head_timeout, config.keep_alive_timeout, config.websocket_ping_timeout)
    if config.websocket_ping_interval is not None:
        shortest = min(shortest, config.websocket_ping_interval)
    interval = max(0.01, min(MAX_TICK, shortest / 4))
    while True:
        shared.now = now = current_time()
        for connection in list(shared.connections):
            if connection.deadline <= now:
                connection.expire()
        await sleep(interval)


async def turn_away(shared: Shared, stream: Stream) -> None:
    """Tell a connection beyond the limit so, or, when many are being told, only close it."""
    try:
        if shared.config.ssl is None and shared.turned_away < MAX_TURNED_AWAY:
            shared.turned_away += 1
            try:
                with move_on_after(shared.config.linger_timeout):
                    reason = "too many connections; try again later"
                    if not stream.write(dump_refusal(503, reason, shared.config)):
                        await stream.drain()
                    await stream.send_eof()
                    while await stream.receive():  # closing with unread bytes would reset the connection
                        pass
            finally:
                shared.turned_away -= 1
    except PeerGone:
        pass
    finally:
        with move_on_after(shared.config.linger_timeout, shield=True):
            await stream.aclose()


class Connection:
    """Serve one stream until either side is done with it."""

    __slots__ = (
        "_expired",
        "_scope",
        "config",
        "deadline",
        "eof",
        "reader",
        "serving",
        "shared",
        "state",
        "stream",
        "trust",
        "websocket",
    )

    def __init__(self, shared: Shared, stream: Stream) -> None:
        self.shared = shared
        shared.connections.add(self)
        self.config = shared.config
        self.state = shared.state
        self.trust = shared.trust
        self.websocket: WebSocketCycle | None = None
        self.stream = stream
        self.reader = RequestReader(shared.config)
        self.eof = False
        self.serving: RequestHead | None = None  # what an application is at work at
        self.deadline = shared.now + shared.config.head_timeout
        self._expired = False
        self._scope = CancelScope()

    @property
    def stopping(self) -> bool:
        return self.shared.stopping

    @property
    def now(self) -> float:
        """The time by the server's ticker."""
        return self.shared.now

    @property
    def idle(self) -> bool:
        return self.serving is None and not self.reader.buffer

    def expire(self) -> None:
        """End the wait for a head; of a WebSocket, look after a peer that is silent."""
        self.deadline = _NEVER
        if self.websocket is not None:
            self.websocket.expire()
            return
        self._expired = True
        self._scope.cancel()

    async def run(self) -> None:
        """Serve the stream; never raises but when it is cancelled from outside."""
        linger = cancelled = False
        try:
            with self._scope:
                linger = await self._serve()
            if self._expired and self.serving is None and self.reader.buffer:
                linger = True
                await self._refuse(Refused(408, "the request head did not arrive in time"))
        except PeerGone:
            pass
        except get_cancelled_exc_class():
            if current_effective_deadline() == -_NEVER:
                cancelled = True
                raise
            # An application that cancels its own task must not stop the server (asyncio only).
            server_logger.error("the application cancelled the connection's task")
        except Exception:
            server_logger.exception("internal error of the server")
        finally:
            self.deadline = _NEVER
            try:
                await self._close(linger, cancelled)
            finally:
                self._leave()

    def _leave(self) -> None:
        self.shared.connections.discard(self)
        self.shared.note_end()

    async def _serve(self) -> bool:
        """Serve requests until the last; answer whether bytes of the client may still be on their way."""
        shared = self.shared
        while True:
            try:
                head = await self._next_head()
            except Refused as exc:
                await self._refuse(exc)
                return True
            if head is None:
                return False
            self.deadline = _NEVER
            self.serving = head
            if head.websocket:
                return await self._serve_websocket(head)
            limit = self.config.max_in_flight
            if limit is not None and shared.in_flight >= limit:
                await self._refuse(Refused(503, "too many requests at a time; try again later"))
                return True
            shared.in_flight += 1
            try:
                cycle = RequestCycle(self, head)
                kept = await self._answer(cycle)
            finally:
                shared.in_flight -= 1
            if not kept or not await self._skip_rest():
                return not self.reader.body_done or bool(self.reader.buffer)
            self.serving = None
            if shared.stopping or self.eof and not self.reader.buffer:
                return False
            self.deadline = shared.now + self.config.keep_alive_timeout

    async def _serve_websocket(self, head: RequestHead) -> bool:
        try:
            cycle = WebSocketCycle(self, head)
        except HTTPException as exc:
            await self._refuse(refuse_handshake(exc))
            return True
        self.websocket = cycle
        denied = await cycle.run(self.shared.app)
        self.websocket = None
        if self.config.access_log and access_logger.isEnabledFor(logging.INFO):
            self._log_access(head, cycle.client, cycle.status, cycle.length)
        return denied

    async def _next_head(self) -> RequestHead | None:
        reader = self.reader
        if reader.buffer:
            await checkpoint()  # a client that pipelines must not keep the loop to itself
            self.deadline = self.shared.now + self.config.head_timeout
        while True:
            head = reader.next_head()
            if head is not None:
                return head
            begun = bool(reader.buffer)
            data = await self.read()
            if self._expired:
                return None
            if not data:
                if begun:
                    raise Refused(400, "the request head ended early")
                return None
            if not begun:
                self.deadline = self.shared.now + self.config.head_timeout
            reader.buffer += data

    async def _answer(self, cycle: RequestCycle) -> bool:
        """Run the application and finish its response; answer whether the connection may be kept."""
        try:
            await cycle.run(self.shared.app)
        except (get_cancelled_exc_class(), KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as exc:
            if not (cycle.gone and isinstance(exc, PeerGone)):
                server_logger.exception("error in the application: %s %s", *_request_line(cycle.head))
        else:
            if not cycle.complete and not cycle.gone:
                server_logger.error("the application left its response unfinished: %s %s", *_request_line(cycle.head))
        writer = cycle.writer
        if not writer.begun and not cycle.gone:
            writer.status = 500
            bodyless = cycle.head.method == "HEAD"
            await self.write(dump_refusal(500, "the application failed", self.config, bodyless=bodyless))
        elif not cycle.complete and not cycle.refused and not writer.framed:
            self.stream.reset()
        if self.config.access_log and access_logger.isEnabledFor(logging.INFO):
            self._log_access(cycle.head, cycle.client, writer.status, writer.length)
        return cycle.complete and writer.keep_alive and not cycle.gone

    async def _skip_rest(self) -> bool:
        """Read what the application has left of the body; answer whether it ended."""
        reader = self.reader
        if reader.body_done:
            return True
        with move_on_after(self.config.linger_timeout):
            left = self.config.linger_bytes
            while left > 0:
                try:
                    left -= len(reader.next_body())
                except Refused:
                    return False
                if reader.body_done:
                    return True
                data = await self.read()
                if not data:
                    return False
                reader.buffer += data
        return False

    async def read(self) -> bytes:
        data = await self.stream.receive()
        if not data:
            self.eof = True
        return data

    async def write(self, data: bytes) -> None:
        if not self.stream.write(data):
            await self.drain()

    async def drain(self) -> None:
        """Wait until the client has taken enough.

        Raises:
            PeerGone: It is gone, or has taken nothing for `write_timeout`.
        """
        await self.stream.drain(self.config.write_timeout)

    async def _refuse(self, refusal: Refused) -> None:
        self.log_refusal(refusal)
        await self.write(dump_refusal(refusal.status, refusal.reason, self.config))

    def log_refusal(self, refusal: Refused) -> None:
        if self.config.access_log:
            access_logger.info(
                "%s - refused: %d %s", _name(self.stream.client), refusal.status, escape_log(refusal.reason)
            )

    def _log_access(self, head: RequestHead, client: Address | None, status: int, length: int) -> None:
        method, target = _request_line(head)
        access_logger.info(
            '%s - "%s %s HTTP/%s" %s %d', _name(client), method, target, head.http_version, status or "-", length
        )

    async def _close(self, linger: bool, cancelled: bool) -> None:
        """Close; if asked, first end our side and read on a little, or the client may lose the answer."""
        config = self.config
        try:
            if linger and not self.eof:
                await self._linger()
        except PeerGone:
            pass
        finally:
            if cancelled:
                with move_on_after(config.linger_timeout, shield=True):
                    await self.stream.aclose()
            else:
                await self.stream.aclose(config.write_timeout)

    async def _linger(self) -> None:
        with move_on_after(self.config.linger_timeout):
            await self.stream.send_eof()
            left = self.config.linger_bytes
            while left > 0:
                data = await self.read()
                if not data:
                    break
                left -= len(data)


def _request_line(head: RequestHead) -> tuple[str, str]:
    return head.method, escape_log(head.raw_target.decode("ascii"))


def _name(client: Address | None) -> str:
    return f"{client[0]}:{client[1]}" if client else "-"
