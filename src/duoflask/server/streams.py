"""Byte streams under a connection: asyncio's transports, and anyio's streams for everything else.

Owns the seam between a connection and its socket. Knows no HTTP. A peer that is gone shows as `PeerGone`,
an end as b"".

PERF: on asyncio the stream is the transport's own protocol, because anyio's socket stream waits for a turn
of the loop in each `send` and switches the selector twice in each `receive`, about 45 us a request. `write`
says whether there is anything to wait for, so a small response costs no suspension at all.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from anyio import BrokenResourceError, ClosedResourceError, EndOfStream, Lock, move_on_after
from anyio.abc import ByteStream, SocketAttribute

__all__ = ["Address", "AnyioStream", "AsyncioStream", "PeerGone", "Stream"]

Address: TypeAlias = tuple[str, int | None]

HIGH_WATER = 65_536  # bytes received ahead of the reader before reading pauses
SLICE = 65_536  # bytes that anyio is given at a time: it does not tell how far it has come
FOREVER = float("inf")
_writev = getattr(os, "writev", None)  # Windows has none
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


class PeerGone(ConnectionResetError):
    """The client went away."""

    def __init__(self) -> None:
        super().__init__("the client closed the connection")


class Stream(Protocol):
    """What a connection needs of a transport."""

    client: Address | None
    server: Address | None

    async def receive(self) -> bytes:
        """Return some bytes, or b"" after the peer's last."""
        ...

    def write(self, data: bytes) -> bool:
        """Take bytes to send; False if `drain` must be awaited before the next write."""
        ...

    def writelines(self, pieces: Sequence[bytes]) -> bool:
        """Take pieces that are too large to be joined, as `write` does."""
        ...

    async def drain(self, patience: float = FOREVER) -> None:
        """Wait until the peer has taken enough, however slowly it does.

        Raises:
            PeerGone: It is gone, or has taken nothing for `patience` seconds.
        """
        ...

    async def send_eof(self) -> None: ...

    async def aclose(self, patience: float = FOREVER) -> None:
        """Send the rest, as `drain` does, and close."""
        ...

    def reset(self) -> None:
        """Make the end of the connection an error to the peer, where the transport can say that."""
        ...


class AsyncioStream(asyncio.Protocol):
    """A stream that is the protocol of its own transport."""

    __slots__ = (
        "_buffer",
        "_eof",
        "_full",
        "_loop",
        "_lost",
        "_on_connect",
        "_paused",
        "_reader",
        "_size",
        "_transport",
        "_writers",
        "_written",
        "client",
        "server",
    )

    def __init__(self, on_connect: Callable[[AsyncioStream], None]) -> None:
        self._on_connect = on_connect
        self._loop = asyncio.get_running_loop()
        self._buffer: list[bytes] = []
        self._size = 0
        self._written = 0
        self._eof = self._lost = self._paused = self._full = False
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []
        self._transport: Any = None
        self.client: Address | None = None
        self.server: Address | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.client = _address(transport.get_extra_info("peername"), peer=True)
        self.server = _address(transport.get_extra_info("sockname"), peer=False)
        self._on_connect(self)

    def data_received(self, data: bytes) -> None:
        self._buffer.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        self._eof = True
        self._wake_reader()
        return True  # the client may still be answered

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._wake_reader()
        self.resume_writing()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        for writer in self._writers:
            _wake(writer)

    def _wake_reader(self) -> None:
        if self._reader is not None:
            _wake(self._reader)

    async def receive(self) -> bytes:
        buffer = self._buffer
        if not buffer and not self._lost and not self._eof:
            self._reader = self._loop.create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        if not buffer:
            if self._lost:
                raise PeerGone
            return b""
        data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        buffer.clear()
        self._size = 0
        if self._paused:
            self._paused = False
            if not self._lost:
                self._transport.resume_reading()
        return data

    def write(self, data: bytes) -> bool:
        if self._lost:
            raise PeerGone
        self._written += len(data)
        # PERF: of a view, asyncio before 3.12 copies the rest once instead of twice (1 MiB: a sixth of the CPU time).
        self._transport.write(data if len(data) < SLICE else memoryview(data))
        return not self._full

    def writelines(self, pieces: Sequence[bytes]) -> bool:
        if self._lost:
            raise PeerGone
        self._written += sum(map(len, pieces))
        sent = self._send_at_once(pieces)
        for piece in pieces:
            if sent < len(piece):
                self._transport.write(memoryview(piece)[sent:])
            sent = max(0, sent - len(piece))
        return not self._full

    def _send_at_once(self, pieces: Sequence[bytes]) -> int:
        """Send what the socket takes right now, and answer how much that was; nothing if something is to go before it.

        PERF: one system call for a head and its body, or for the three parts of a chunk, without a copy; asyncio sends
        one by one, and its `writelines` joins before 3.12. A client that is woken for a head alone reads twice. 1 MiB
        costs 1/6 less CPU time so, of both ends, and 16 chunks of 64 KiB a third.
        """
        transport = self._transport
        if _writev is None or transport.get_write_buffer_size() or transport.is_closing():
            return 0
        try:
            return int(_writev(transport.get_extra_info("socket").fileno(), pieces))
        except OSError:  # it takes nothing, or is broken: the transport finds out
            return 0

    async def drain(self, patience: float = FOREVER) -> None:
        # PERF: a timer and a future; anyio's scope around `asyncio.shield` costs 14 us instead of 6.
        while self._full and not self._lost:
            taken = self._taken()
            writer = self._loop.create_future()
            self._writers.append(writer)
            timer = self._loop.call_later(patience, _wake, writer) if patience < FOREVER else None
            try:
                await writer
            finally:
                self._writers.remove(writer)
                if timer is not None:
                    timer.cancel()
            if self._full and self._taken() == taken:
                self.reset()
                self._transport.abort()
                raise PeerGone
        if self._lost:
            raise PeerGone

    def _taken(self) -> int:
        return self._written - int(self._transport.get_write_buffer_size())

    async def send_eof(self) -> None:
        if not self._lost and self._transport.can_write_eof():
            try:
                self._transport.write_eof()
            except OSError:  # the peer has reset the connection, and the loop has not seen it yet
                raise PeerGone from None

    async def aclose(self, patience: float = FOREVER) -> None:
        transport = self._transport
        if self._lost:
            return
        try:
            if transport.get_write_buffer_size():
                transport.set_write_buffer_limits(0)
                self.pause_writing()
                await self.drain(patience)
        except PeerGone:
            pass
        except BaseException:
            transport.abort()
            raise
        finally:
            transport.close()

    def reset(self) -> None:
        if not self._lost:
            _reset_at_close(self._transport.get_extra_info("socket"))


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class AnyioStream:
    """A stream over any of anyio's byte streams: trio's sockets, memory."""

    __slots__ = ("_pending", "_sending", "_stream", "_torn", "client", "server")

    def __init__(self, stream: ByteStream) -> None:
        self._stream: ByteStream = stream
        self._pending: list[bytes] = []
        self._sending = Lock(fast_acquire=True)
        self._torn = False  # a sender was cancelled, and nobody knows how far it had come
        self.client = _address(stream.extra(SocketAttribute.remote_address, None), peer=True)
        self.server = _address(stream.extra(SocketAttribute.local_address, None), peer=False)

    async def receive(self) -> bytes:
        try:
            return await self._stream.receive()
        except EndOfStream:
            return b""
        except (BrokenResourceError, ClosedResourceError):
            raise PeerGone from None

    def write(self, data: bytes) -> bool:
        self._pending.append(data)
        return False

    def writelines(self, pieces: Sequence[bytes]) -> bool:
        self._pending.extend(pieces)
        return False

    async def drain(self, patience: float = FOREVER) -> None:
        try:
            async with self._sending:  # a WebSocket's two tasks both send
                if self._torn:
                    raise PeerGone
                pending, self._pending = self._pending, []
                self._torn = True
                for data in pending:
                    for start in range(0, len(data), SLICE):
                        await self._send(data[start : start + SLICE], patience)
                self._torn = False
        except (BrokenResourceError, ClosedResourceError):
            raise PeerGone from None

    async def _send(self, data: bytes, patience: float) -> None:
        with move_on_after(patience):
            await self._stream.send(data)
            return
        self.reset()
        raise PeerGone

    async def send_eof(self) -> None:
        try:
            await self._stream.send_eof()
        except (BrokenResourceError, ClosedResourceError, OSError, NotImplementedError):
            pass

    async def aclose(self, patience: float = FOREVER) -> None:
        await self._stream.aclose()

    def reset(self) -> None:
        _reset_at_close(self._stream.extra(SocketAttribute.raw_socket, None))


def _reset_at_close(sock: Any) -> None:
    if sock is None or sock.family == getattr(socket, "AF_UNIX", None):
        return
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    except OSError:  # it is closed already
        pass


def _address(name: Any, *, peer: bool) -> Address | None:
    """Turn a socket's name into ASGI's pair: (host, port), or (path, None) for a unix socket's own name."""
    if isinstance(name, tuple) and len(name) >= 2:
        return name[0], name[1]
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    return (name, None) if name and isinstance(name, str) and not peer else None
