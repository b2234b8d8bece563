"""One WebSocket as ASGI (HTTP & WebSocket specification 2.4): its scope, `receive`, `send`, pings, and its end.

Owns the rules towards the application and when the peer is read. Bytes are `http.websocket_wire`'s business.

Theory of operation. The application runs in the connection's own task, in a copy of its Context. A second task, the
pump, reads what the peer sends, so that pings are answered and a departure is seen whatever the application does; it
stops reading while `MAX_QUEUED` messages or `MAX_QUEUED_BYTES` wait for the application. A silent peer costs no timer:
`connection.deadline` is compared with the server's clock by its ticker, and `expire` sends a ping or, if the last one
was not answered by anything, gives the peer up.
"""

from __future__ import annotations

from collections import deque
from contextvars import copy_context

from anyio import CancelScope, Event, create_task_group, get_cancelled_exc_class, move_on_after
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from ..http.errors import HTTPException
from ..http.websocket_close import CloseCode
from ..http.websocket_wire import Wire, WireState
from ..typing import ASGIApplication, Message
from .asgi import Channel, Isolated, build_scope
from .logs import escape_log, server_logger
from .preflight import Refused
from .requests import RequestHead
from .responses import server_fields
from .streams import Address, PeerGone

__all__ = ["WebSocketCycle", "refuse_handshake"]

MAX_QUEUED = 32
MAX_QUEUED_BYTES = 65_536
MAX_UNYIELDED = 16

_NEVER = float("inf")


def refuse_handshake(error: HTTPException) -> Refused:
    """Return the server's own answer to a handshake that the wire does not take."""
    return Refused(error.code or 400, error.description or "invalid WebSocket handshake")


class WebSocketCycle:
    """One WebSocket, from its handshake to its end.

    Raises:
        HTTPException: The handshake is malformed, or of another version.
    """

    def __init__(self, connection: Channel, head: RequestHead) -> None:
        config = connection.config
        self._connection = connection
        self._head = head
        self._wire = Wire.from_headers(
            head.headers,
            max_message_size=config.websocket_max_size,
            compression=config.websocket_compression,
            fields=server_fields(config),
        )
        self.client: Address | None = connection.stream.client
        self.status = 0  # of the answer to the handshake
        self.length = 0  # bytes that were sent
        self._denied = False
        self._messages: deque[Message] = deque()
        self._queued = 0  # bytes in them
        self._arrived: Event | None = None
        self._room: Event | None = None
        self._disconnect: Message | None = None  # once it is in the queue
        self._over = False  # the application has returned
        self._gone = False  # nothing can be sent any more
        self._pinged = False
        self._silent = False
        self._unyielded = 0  # messages since the application's task has last waited
        self._reading = CancelScope()
        self._pumped = Event()
        self._tasks: TaskGroup

    async def run(self, app: ASGIApplication) -> bool:
        """Run the application and end the connection; answer whether the handshake was denied."""
        scope = build_scope(self._head, self._connection)
        scope["subprotocols"] = self._wire.scope_subprotocols
        self.client = scope["client"]
        error: BaseException | None = None

        async def call() -> None:
            await app(scope, self.receive, self.send)

        async with create_task_group() as self._tasks:
            self._tasks.start_soon(self._pump)
            try:
                await Isolated(copy_context(), call())
            except (get_cancelled_exc_class(), KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as exc:
                error = exc
                if not (self._is_lost() and isinstance(exc, ConnectionResetError)):
                    target = escape_log(self._head.raw_target.decode("ascii"))
                    server_logger.error("error in the application: WebSocket %s", target, exc_info=exc)
            finally:
                self._end()
            try:
                await self._finish(failed=error is not None)
            except PeerGone:
                pass
            self._tasks.cancel_scope.cancel()
        return self._denied

    def _end(self) -> None:
        """Let nobody wait any more: neither the pump for room nor a task that the application has left in `receive`."""
        self._over = True
        for event in (self._room, self._arrived):
            if event is not None:
                event.set()

    def _is_lost(self) -> bool:
        return self._gone or self._wire.state in (WireState.CLOSED, WireState.CLOSING)

    async def _finish(self, failed: bool) -> None:
        wire = self._wire
        if self._gone:
            return
        if wire.state is WireState.CONNECTING:
            if not failed:
                server_logger.error("the application returned without an answer to a WebSocket's handshake")
            self._denied = True
            self.status = 500
            fields = [(b"content-type", b"text/plain; charset=utf-8")]
            wire.send({"type": "websocket.http.response.start", "status": 500, "headers": fields})
            body = b"500 Internal Server Error: the application failed\n"
            wire.send({"type": "websocket.http.response.body", "body": body})
        elif wire.state is WireState.DENYING:
            self._connection.stream.reset()  # a part of an answer must not look whole
        elif wire.state is WireState.OPEN:
            code = CloseCode.INTERNAL_ERROR if failed else CloseCode.NORMAL
            wire.send({"type": "websocket.close", "code": int(code)})
        await self._flush()
        if wire.state is WireState.CLOSING:
            config = self._connection.config
            patience = config.websocket_close_timeout
            if self._connection.stopping:  # a peer that is gone must not cost the whole graceful time-out
                patience = min(patience, config.linger_timeout)
            with move_on_after(patience):
                await self._pumped.wait()

    # -- the peer

    async def _pump(self) -> None:
        """Read until the end, and put what was read into the queue."""
        connection = self._connection
        try:
            with self._reading:
                await self._read_messages()
        except PeerGone:
            self._gone = True
        connection.deadline = _NEVER
        if self._silent:
            self._gone = True
            connection.stream.reset()
        if self._disconnect is None:
            reason = "no answer to a ping" if self._silent else ""
            self._append({"type": "websocket.disconnect", "code": int(CloseCode.ABNORMAL), "reason": reason})
        self._pumped.set()
        if not self._denied:
            await connection.stream.aclose()  # the server's end closes first (RFC 6455 section 7.1.1)

    async def _read_messages(self) -> None:
        connection, wire = self._connection, self._wire
        early = connection.reader.buffer
        wire.feed(bytes(early))
        early.clear()
        while True:
            while (message := wire.next_message()) is not None:
                await self._flush()
                self._append(message)
                if message["type"] == "websocket.disconnect":
                    return
                await self._wait_for_room()
            await self._flush()
            if wire.closed:  # what was sent before the handshake's answer ended it: `_note_answer` has told
                return
            self._expect()
            raw = await connection.read()
            connection.deadline = _NEVER
            self._pinged = False
            if raw:
                wire.feed(raw)
            else:
                wire.feed_eof()

    def _expect(self) -> None:
        """Set when a silent peer is pinged."""
        interval = self._connection.config.websocket_ping_interval
        if self._wire.state is WireState.OPEN and interval is not None:
            self._connection.deadline = self._connection.now + interval

    def _append(self, message: Message) -> None:
        if self._disconnect is not None:
            return
        if message["type"] == "websocket.disconnect":
            self._disconnect = message
        self._messages.append(message)
        self._queued += _size(message)
        if self._arrived is not None:
            self._arrived.set()

    async def _wait_for_room(self) -> None:
        while (len(self._messages) >= MAX_QUEUED or self._queued >= MAX_QUEUED_BYTES) and not self._over:
            self._room = Event()
            await self._room.wait()
        if self._over:
            self._messages.clear()
            self._queued = 0

    def expire(self) -> None:
        """Ping a peer that is silent; give up one that was pinged."""
        if self._pinged:
            self._silent = True
            self._reading.cancel()
            return
        self._pinged = True
        self._wire.ping()
        self._connection.deadline = self._connection.now + self._connection.config.websocket_ping_timeout
        self._tasks.start_soon(self._flush_quietly)

    def restart(self) -> None:
        """Close with 1012, since the server stops, and tell the application."""
        if self._wire.state is WireState.OPEN:
            code = int(CloseCode.SERVICE_RESTART)
            self._wire.send({"type": "websocket.close", "code": code})
            self._append({"type": "websocket.disconnect", "code": code, "reason": "the server stops"})
            self._tasks.start_soon(self._flush_quietly)

    async def _flush(self) -> None:
        data = self._wire.outgoing()
        if data:
            self.length += len(data)
            await self._connection.write(data)

    async def _flush_quietly(self) -> None:
        try:
            await self._flush()
        except PeerGone:
            pass

    # -- the application

    async def receive(self) -> Message:
        messages = self._messages
        if messages:
            await self._yield_at_times()
        while not messages:
            if self._disconnect is not None or self._over:
                return self._disconnect or {"type": "websocket.disconnect", "code": 1006, "reason": ""}
            if self._arrived is None:
                self._arrived = Event()
            self._unyielded = 0
            await self._arrived.wait()
            self._arrived = None
        message = messages.popleft()
        self._queued -= _size(message)
        if self._room is not None:
            self._room.set()
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        wire = self._wire
        before = wire.state
        if self._over or self._gone or (self._disconnect is not None and before is not WireState.DENYING):
            raise PeerGone
        wire.send(message)
        if before is WireState.CONNECTING:
            self._note_answer(kind, message)
        try:
            await self._flush()
        except PeerGone:
            self._gone = True
            raise
        await self._yield_at_times()

    def _note_answer(self, kind: str, message: Message) -> None:
        if kind == "websocket.accept":
            self.status = 101
            while (early := self._wire.next_message()) is not None:  # what was sent before the handshake's answer
                self._append(early)
            self._expect()  # the pump reads already
            if self._connection.stopping:
                self.restart()
        else:
            self._denied = True
            self.status = message.get("status", 403)

    async def _yield_at_times(self) -> None:
        """Let others run after some messages: neither a fast peer nor a fast application may keep the loop."""
        self._unyielded += 1
        if self._unyielded >= MAX_UNYIELDED:
            self._unyielded = 0
            await checkpoint()


def _size(message: Message) -> int:
    return len(message.get("text") or message.get("bytes") or b"")
