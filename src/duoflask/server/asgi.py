"""One request as ASGI: the scope, `receive`, `send` (ASGI 3.0, HTTP spec version 2.4).

Owns the rules of the protocol towards the application. Bytes are `requests.py`'s and `responses.py`'s
business, the order of requests `connection.py`'s.

Theory of operation. The application runs in the connection's own task, in a copy of its Context; nothing
else reads meanwhile. Reading happens on demand, inside `receive()`: for the body, and, once that is
delivered, to see whether the client leaves. What arrives then belongs to the next request: it is kept raw,
up to `MAX_AHEAD` bytes, after which nobody reads and a departure shows only when something is written. The
last `send` ends a `receive()` that still waits.

A FIN says "I have sent all" or "I am gone". One that is there with the request is taken for the first: the
client still gets its answer, and is taken for gone after `half_closed_timeout`. One that comes while a
`receive()` has waited for it for a while is a departure.
"""

from __future__ import annotations

from collections.abc import Generator
from contextvars import Context, copy_context
from time import monotonic
from typing import Any, Protocol

from anyio import CancelScope, Lock, current_time, sleep, sleep_forever
from anyio.lowlevel import checkpoint

from ..typing import ASGIApplication, Message, Scope
from .config import ServerConfig
from .preflight import Refused
from .proxies import ProxyTrust
from .requests import RequestHead, RequestReader
from .responses import ResponseWriter, dump_informational, dump_refusal
from .streams import Address, PeerGone, Stream

__all__ = ["Channel", "Isolated", "RequestCycle", "build_scope"]

MAX_AHEAD = 65_536  # raw bytes kept of what a client has pipelined
# A rest of the body up to this is read after the answer, to keep the connection.
MAX_REST = 65_536
HALF_CLOSE_WINDOW = 0.1  # seconds between a request's end and a FIN that belongs to it
# Seconds that a stream may keep the loop to itself: about what 1 MiB in one piece takes.
# PERF: to yield after each of 16 pieces of 64 KiB cost a tenth more CPU time.
MAX_HOLD = 0.000_25

ASGI_VERSIONS = {"version": "3.0", "spec_version": "2.4"}


class Channel(Protocol):
    """What a request needs of its connection."""

    config: ServerConfig
    stream: Stream
    reader: RequestReader
    eof: bool
    deadline: float
    state: dict[str, Any]
    trust: ProxyTrust | None

    @property
    def stopping(self) -> bool: ...

    @property
    def now(self) -> float: ...

    async def read(self) -> bytes: ...

    async def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def log_refusal(self, refusal: Refused) -> None: ...


def build_scope(head: RequestHead, connection: Channel) -> Scope:
    """Return the scope, of an `http` request or a `websocket`.

    `path` holds `root_path`, whether or not the proxy in front has cut it off.
    """
    config = connection.config
    path, raw_path, root = head.path, head.raw_path, config.root_path
    if root and path != root and not path.startswith(root + "/"):
        path = root + path
        raw_path = root.encode("utf-8") + raw_path
    scope: Scope = {
        "type": "http",
        "asgi": ASGI_VERSIONS,
        "http_version": head.http_version,
        "method": head.method,
        "scheme": config.scheme,
        "path": path,
        "raw_path": raw_path,
        "query_string": head.query,
        "root_path": root,
        "headers": head.headers,
        "client": connection.stream.client,
        "server": connection.stream.server,
        "state": connection.state.copy(),
        "extensions": {},
    }
    if head.websocket:
        del scope["method"]
        scope["type"] = "websocket"
        scope["scheme"] = "wss" if config.scheme == "https" else "ws"
        scope["extensions"] = {"websocket.http.response": {}}
    elif head.http_version == "1.1":  # nobody may send an interim response to HTTP/1.0 (RFC 9110 section 15.2)
        scope["extensions"] = {"http.response.early_hint": {}, "http.response.informational": {}}
    return scope if connection.trust is None else connection.trust.apply(scope)


class Isolated:
    """Await a coroutine in its own Context without a task: what an application sets ends with the request."""

    __slots__ = ("_context", "_coroutine")

    def __init__(self, context: Context, coroutine: Any) -> None:
        self._context = context
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, None]:
        run = self._context.run
        step, value = self._coroutine.send, None
        while True:
            try:
                trap = run(step, value)
            except StopIteration:
                return
            try:
                value = yield trap
                step = self._coroutine.send
            except BaseException as exc:
                step, value = self._coroutine.throw, exc


class RequestCycle:
    """One request and its response."""

    __slots__ = (
        "_complete",
        "_connection",
        "_continue",
        "_delivered",
        "_ended",
        "_gone",
        "_gone_at",
        "_lock",
        "_reading",
        "_scope",
        "_watched_since",
        "_yielded_at",
        "client",
        "head",
        "refused",
        "writer",
    )

    def __init__(self, connection: Channel, head: RequestHead) -> None:
        self._connection = connection
        self.head = head
        self.client: Address | None = connection.stream.client
        self.writer = ResponseWriter(head, connection.config, head.keep_alive)
        self._continue = head.expects_continue
        self._scope: CancelScope | None = None
        self._delivered = False  # the last piece of the body was given to the application
        self._complete = False  # the last piece of the response was taken
        self._ended = False  # nothing more may be received: that, or the application has returned
        self._gone = False
        self._gone_at: float | None = None  # when a client that has ended its side counts as gone
        self._watched_since: float | None = None
        self._yielded_at = 0.0  # when the stream that is sent has last let others run
        self.refused = False  # the server answered by itself in the middle of the body
        self._lock: Lock | None = None
        self._reading: CancelScope | None = None

    @property
    def complete(self) -> bool:
        return self._complete

    @property
    def gone(self) -> bool:
        return self._gone

    async def run(self, app: ASGIApplication) -> None:
        """Run the application; its exceptions pass."""
        scope = build_scope(self.head, self._connection)
        self.client = scope["client"]

        async def call() -> None:
            await app(scope, self.receive, self.send)

        try:
            if not self.head.length:
                await Isolated(copy_context(), call())
            else:  # a broken body cancels the application
                with CancelScope() as self._scope:
                    await Isolated(copy_context(), call())
        finally:
            self._end()
        if self._lock is not None:
            # A task that the application has left behind may still be on its way out of receive().
            async with self._lock:
                pass

    def _end(self) -> None:
        self._ended = True
        if self._reading is not None:
            self._reading.cancel()

    async def receive(self) -> Message:
        if self._gone or self._ended:
            return {"type": "http.disconnect"}
        if not self._delivered:
            if self.head.length == 0:
                self._delivered = True
                return {"type": "http.request", "body": b"", "more_body": False}
            async with self._only_reader():
                return await self._receive_body()
        async with self._only_reader():
            return await self._wait_for_disconnect()

    def _only_reader(self) -> Lock:
        lock = self._lock
        if lock is None:
            lock = self._lock = Lock()
        return lock

    async def _receive_body(self) -> Message:
        connection = self._connection
        reader = connection.reader
        while not self._gone and not self._ended and not self._delivered:
            try:
                data = reader.next_body()
            except Refused as exc:  # malformed: what is left of the request must have no effect
                await self._refuse(exc)
                if self._scope is not None:
                    self._scope.cancel()
                    await checkpoint()
                break
            try:
                if data or reader.body_done:
                    self._delivered = reader.body_done
                    return {"type": "http.request", "body": data, "more_body": not reader.body_done}
                if self._continue and not self.writer.begun:
                    self._continue = False
                    await connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                raw = await self._read()
                if raw is None:
                    raise Refused(408, "the request body did not arrive in time")
                if not raw and not self._ended:
                    raise Refused(400, "the request body ended early")
                reader.buffer += raw
            except Refused as exc:
                await self._refuse(exc)
            except PeerGone:
                self._gone = True
        return {"type": "http.disconnect"}

    async def _read(self) -> bytes | None:
        """Return bytes, b"" at the end or when the response ended meanwhile, None when it took too long."""
        with CancelScope(deadline=current_time() + self._connection.config.body_timeout) as self._reading:
            try:
                return await self._connection.read()
            finally:
                self._reading = None
        return b"" if self._ended else None

    async def _wait_for_disconnect(self) -> Message:
        connection = self._connection
        buffer = connection.reader.buffer
        with CancelScope() as scope:
            try:
                while not self._gone and not self._ended:
                    self._reading = scope
                    if len(buffer) >= MAX_AHEAD:
                        await sleep_forever()
                    if self._watched_since is None:  # kept: an application may look in short turns
                        self._watched_since = current_time()
                    raw = await connection.read()
                    buffer += raw
                    if raw:
                        self._watched_since = None
                        continue
                    now = current_time()
                    if self._gone_at is None:
                        patient = now - self._watched_since < HALF_CLOSE_WINDOW
                        self._gone_at = now + connection.config.half_closed_timeout if patient else now
                    await sleep(max(0.0, self._gone_at - now))
                    self._gone = True
            except PeerGone:
                self._gone = True
            finally:
                self._reading = None
        return {"type": "http.disconnect"}

    async def _refuse(self, refusal: Refused) -> None:
        """Answer a broken body at once, whatever the application makes of the disconnect that it is told."""
        self._gone = True
        self.refused = True
        connection = self._connection
        if not self.writer.begun:
            self.writer.status = refusal.status
            await connection.write(dump_refusal(refusal.status, refusal.reason, connection.config))
        elif not self.writer.framed:
            connection.stream.reset()
        connection.log_refusal(refusal)

    async def send(self, message: Message) -> None:
        kind = message["type"]
        writer = self.writer
        if self.refused:
            raise PeerGone
        if kind == "http.response.start":
            if writer.status:
                raise RuntimeError("'http.response.start' was sent twice; a request has one response")
            writer.keep_alive = self._may_keep_alive()
            writer.start(message["status"], message.get("headers", ()))
        elif kind == "http.response.body":
            if not writer.status:
                raise RuntimeError("'http.response.body' was sent first; send 'http.response.start' before it")
            if self._complete:
                raise RuntimeError("'http.response.body' was sent after the last one; more_body was False")
            await self._send_body(message.get("body", b""), message.get("more_body", False))
        elif kind in ("http.response.early_hint", "http.response.informational"):
            await self._send_informational(message)
        else:
            raise ValueError(f"unknown message; expected 'http.response.start' or 'http.response.body'; got {kind!r}")

    async def _send_informational(self, message: Message) -> None:
        """Send an interim response: 103 with its links (RFC 8297), or whatever the application says."""
        if self.writer.status:
            raise RuntimeError(f"{message['type']!r} was sent after 'http.response.start'; it comes before")
        if message["type"] == "http.response.informational":
            status, fields = message["status"], message.get("headers", ())
        else:
            status, fields = 103, [(b"link", link) for link in message["links"]]
        if status == 100:
            self._continue = False
        data = dump_informational(status, fields)
        if self.head.http_version == "1.1":
            await self._connection.write(data)

    async def _send_body(self, body: bytes, more: bool) -> None:
        connection = self._connection
        pieces = self.writer.body(body if type(body) is bytes else bytes(body), more)
        stream = connection.stream
        waits = False
        try:
            if len(pieces) > 1:
                waits = not stream.writelines(pieces)
            elif pieces[0]:
                waits = not stream.write(pieces[0])
            if waits:
                await connection.drain()
        except PeerGone:
            self._gone = True
            raise
        finally:
            if not more:
                self._complete = True
                self._end()
        if more:  # an endless stream to a fast client must not keep the loop to itself
            if not waits and monotonic() - self._yielded_at > MAX_HOLD:
                waits = True
                await checkpoint()
            if waits:
                self._yielded_at = monotonic()

    def _may_keep_alive(self) -> bool:
        connection = self._connection
        if not self.head.keep_alive or connection.stopping or connection.eof:
            return False
        return not self._continue and 0 <= connection.reader.body_left <= MAX_REST
