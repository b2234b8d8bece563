"""A WebSocket over a WSGI server's own socket, for code that blocks and for code on the portal.

Owns the socket's bytes from the handshake's answer to the end, and the waiting for them. What they mean is the wire's;
which socket it is, and what the server does afterwards, is `wsgi_websocket`'s.

Theory of operation
-------------------
The socket does not block. Every look at it and at the wire is one short step under a lock, and gives either a result or
what to wait for: that the socket can be read, or written. Only the waiting has colours. A thread polls, a greenlet of
gevent's waits in its hub, a task on the portal's loop has that loop watch the descriptor. So both colours may use one
connection, in turn or at once (one receives, others send), and nothing is lost when a task is cancelled: it can only be
cancelled between two steps.
"""

from __future__ import annotations

import atexit
import os
import socket
import ssl
import time
from typing import Any, Final
from weakref import WeakSet

from .bridge import new_lock
from .http.errors import HTTPException
from .http.websocket_wire import Wire, WireState
from .socket_waiting import READ, WRITE, SocketWaiting
from .typing import Message

__all__ = ["SocketChannel"]

# How long the peer may take for its close frame, and afterwards for what it was sending already. `websockets` waits for
# ten; here a thread of the server's waits.
MAX_CLOSE_SECONDS: Final = 5.0
MAX_LINGER_SECONDS: Final = 1.0
# At the process's end, for another thread's step.
MAX_LEAVE_SECONDS: Final = 0.1
# Answers to pings that the peer does not take: then nothing more is read from it.
MAX_UNSENT_BYTES: Final = 1 << 16
# What is read in one step. As tiny frames that are no messages these are 2,700, which take 20 ms.
CHUNK_BYTES: Final = 1 << 14
MAX_WRITTEN_BYTES: Final = 1 << 18
# A peer that sends faster than it is read would never be waited for: after so many messages others have their turn.
RECEIVES_A_TURN: Final = 32


class SocketChannel:
    """A connection as ASGI messages.

    A denial is kept in `denial`, for the server to send as it sends other responses.

    Args:
        sock: A connected stream socket: plain, TLS, or gevent's. What has been read of it is the handshake's request.
        wire: What speaks on it.
        ping_interval: How many seconds of silence are answered with a ping; as many more without an answer end the
            connection. None: no pings.
    """

    denies: Final = True
    refusal: HTTPException | None = None

    def __init__(self, sock: Any, wire: Wire, *, ping_interval: float | None = None) -> None:
        self._socket = sock
        self._wire = wire
        self._interval = ping_interval
        self._lock = new_lock()
        self._waiting = SocketWaiting(sock)
        self._timeout: float | None = None
        self._taken_over = False
        self._unsent = bytearray()
        self._queued = self._written = 0  # bytes, since the beginning
        self._lost = False  # the peer takes nothing more
        self._pinged = False  # and nothing was heard since
        self._unwaited = 0  # messages that were taken since somebody waited
        self._end: Message | None = None
        self.denial: tuple[int, list[tuple[bytes, bytes]], list[bytes]] | None = None
        """The response that the application gave instead of accepting: status, header fields, body."""

    # -- in a thread

    def receive_now(self) -> Message:
        """Wait for the next message."""
        if self._unwaited >= RECEIVES_A_TURN:
            self._unwaited = 0
            self._waiting.here(0, None)
        while True:
            message, events = self._receive()
            if message is not None:
                return message
            if not self._waiting.here(events, self._patience()):
                self._silence()

    def send_now(self, message: Message) -> None:
        """Send a message, and wait until the system has taken it.

        Raises:
            ConnectionResetError: The peer has gone.
        """
        goal = self._send(message)
        while (events := self._flushed(goal)) is not None:
            if not self._waiting.here(events, self._patience(2)):
                self._give_up()

    # -- on the portal

    async def receive(self) -> Message:
        """Wait for the next message."""
        try:
            if self._unwaited >= RECEIVES_A_TURN:  # before there is a message, which a cancellation would lose
                self._unwaited = 0
                await self._waiting.on_loop(0, None)
            while True:
                message, events = self._receive()
                if message is not None:
                    return message
                if not await self._waiting.on_loop(events, self._patience()):
                    self._silence()
        except ConnectionResetError:  # the request has ended, and this task has outlived it
            return {"type": "websocket.disconnect", "code": 1006, "reason": ""}

    async def send(self, message: Message) -> None:
        """Send a message, and wait until the system has taken it.

        Raises:
            ConnectionResetError: The peer has gone.
        """
        goal = self._send(message)
        while (events := self._flushed(goal)) is not None:
            if not await self._waiting.on_loop(events, self._patience(2)):
                self._give_up()

    # -- the steps

    def _take_over(self) -> None:
        if not self._taken_over:
            self._taken_over = True
            _taken_over.add(self)
            self._timeout = self._socket.gettimeout()
            self._socket.settimeout(0)

    def _receive(self) -> tuple[Message | None, int]:
        """The next message, or what to wait for; 0 for nothing but the others' turn."""
        with self._lock:
            for has_read in (False, True):
                message = self._wire.next_message()
                self._queue()
                self._flush()
                if message is not None:
                    if message["type"] == "websocket.disconnect":
                        self._end = message
                    self._unwaited += 1
                    return message, 0
                if self._wire.closed:
                    return self._end or {"type": "websocket.disconnect", "code": 1006, "reason": ""}, 0
                if len(self._unsent) > MAX_UNSENT_BYTES:
                    return None, WRITE
                if has_read:
                    break
                self._take_over()
                events = self._read()
                if events:
                    self._unwaited = 0
                    return None, events | (WRITE if self._unsent else 0)
            return None, 0

    def _read(self) -> int:
        """Feed the wire with what has arrived; what to wait for if nothing has."""
        try:
            data = self._socket.recv(CHUNK_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return READ
        except ssl.SSLWantWriteError:
            return WRITE
        except OSError:
            data = b""
            self._lost = True
        self._pinged = False
        if data:
            self._wire.feed(data)
        else:
            self._wire.feed_eof()
        return 0

    def _send(self, message: Message) -> int:
        """Take a message; how much has to be written until it is sent."""
        with self._lock:
            kind = message["type"]
            if self._wire.state is WireState.CONNECTING and self._denied(kind, message):
                return 0
            if self._lost:
                raise ConnectionResetError("the peer of the WebSocket has gone")
            self._wire.send(message)
            self._take_over()
            self._queue()
            return self._queued

    def _denied(self, kind: str, message: Message) -> bool:
        """Keep what is the server's to send."""
        if kind == "websocket.close":
            self.denial = 403, [], []
        elif kind == "websocket.http.response.start":
            self.denial = message["status"], list(message.get("headers", ())), []
        elif kind == "websocket.http.response.body" and self.denial is not None:
            self.denial[2].append(message.get("body", b""))
        else:
            return False
        return True

    def _queue(self) -> None:
        data = self._wire.outgoing()
        if data and not self._lost:
            self._unsent += data
            self._queued += len(data)

    def _flushed(self, goal: int) -> int | None:
        """Write what can be written; None if that was enough, else what to wait for.

        Raises:
            ConnectionResetError: The peer has gone.
        """
        with self._lock:
            events = self._flush() if self._written < goal else 0
            if self._lost:
                raise ConnectionResetError("the peer of the WebSocket has gone")
            return None if self._written >= goal else events

    def _flush(self) -> int:
        while self._unsent:
            try:
                with memoryview(self._unsent) as view, view[:MAX_WRITTEN_BYTES] as piece:
                    size = self._socket.send(piece)
            except (BlockingIOError, ssl.SSLWantWriteError):
                return WRITE
            except ssl.SSLWantReadError:
                return READ
            except OSError:
                self._lose()
                return 0
            del self._unsent[:size]
            self._written += size
        return 0

    def _lose(self) -> None:
        """Nothing more can be sent."""
        self._lost = True
        self._unsent.clear()

    # -- a peer that is silent

    def _patience(self, intervals: int = 1) -> float | None:
        """How long to wait, in seconds."""
        if self._interval is None or self._wire.state is WireState.CONNECTING:
            return None
        return self._interval * intervals

    def _silence(self) -> None:
        """Nothing was heard for the whole interval."""
        with self._lock:
            if self._pinged:
                if self._wire.state is WireState.OPEN:
                    self._wire.send({"type": "websocket.close", "code": 1011, "reason": "keepalive ping timeout"})
                self._wire.feed_eof()
            else:
                self._pinged = True
                self._wire.ping()

    def _give_up(self) -> None:
        """Nothing could be written for two intervals."""
        with self._lock:
            self._lose()

    # -- the end

    def finish(self) -> None:
        """Close the connection, in the server's thread: afterwards the socket is nobody's but the server's.

        The peer's close frame is waited for. After a broken rule the socket is read away for a moment: bytes that
        nobody has read when it is closed would have the system take the close frame back.
        """
        self._waiting.close()
        if not self._taken_over:
            return
        _taken_over.discard(self)
        try:
            if self._wire.state is not WireState.CONNECTING:
                self._end_handshake()
                if self._wire.failed and not self._lost:
                    self._linger()
                self._shut_down()
        finally:
            try:
                self._socket.settimeout(self._timeout)
            except OSError:
                pass

    def _end_handshake(self) -> None:
        if self._wire.state is WireState.OPEN:  # the application was torn out of its work
            self._wire.send({"type": "websocket.close", "code": 1001})
        deadline = time.monotonic() + MAX_CLOSE_SECONDS
        while not self._wire.closed and not self._lost:
            message, events = self._receive()
            if message is None and not self._waits_until(deadline, events):
                return
        while not self._lost:
            with self._lock:
                self._queue()
                events = self._flush()
            if not events or not self._waits_until(deadline, events):
                return

    def _waits_until(self, deadline: float, events: int) -> bool:
        left = deadline - time.monotonic()
        return left > 0 and self._waiting.here(events, left)

    def _linger(self) -> None:
        if not hasattr(self._socket, "unwrap"):  # TLS cannot be ended on one side only
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                return
        deadline = time.monotonic() + MAX_LINGER_SECONDS
        while time.monotonic() < deadline:
            try:
                if not self._socket.recv(CHUNK_BYTES):
                    return
            except (BlockingIOError, ssl.SSLWantReadError):
                if not self._waits_until(deadline, READ):
                    return
            except OSError:
                return

    def _shut_down(self) -> None:
        """Have the server find the end of the connection where it looks for another request."""
        try:
            if hasattr(self._socket, "unwrap"):
                self._socket.unwrap()  # says goodbye in TLS; the peer's answer is not waited for
        except (OSError, ValueError):
            pass
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def leave(self) -> None:
        """Say goodbye at the end of the process, without waiting for the peer."""
        if self._lock.acquire(timeout=MAX_LEAVE_SECONDS):
            try:
                if self._wire.state is WireState.OPEN and not self._lost:
                    self._wire.send({"type": "websocket.close", "code": 1001})
                    self._queue()
                    self._flush()
            finally:
                self._lock.release()


_taken_over: Final[WeakSet[SocketChannel]] = WeakSet()


def _leave_all() -> None:
    """A server that does not wait longer (gunicorn --graceful-timeout) ends its threads where they are."""
    for channel in list(_taken_over):
        channel.leave()


atexit.register(_leave_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_taken_over.clear)  # they are the parent's
