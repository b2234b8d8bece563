"""Byte streams under a connection: asyncio's transports, and anyio's streams for everything else.

Owns the seam between a connection and its socket. Knows no HTTP. A peer that is gone shows as `PeerGone`,
an end as b"".

PERF: on asyncio the stream is the transport's own protocol, because anyio's socket stream waits for a turn
of the loop in each `send` and switches the selector twice in each `receive`, about 45 us a request. `write`
says whether there is anything to wait for, so a small response costs no suspension at all.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from anyio import BrokenResourceError, ClosedResourceError, EndOfStream, Lock, move_on_after
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

__all__ = ["Address", "AnyioStream", "AsyncioStream", "PeerGone", "Stream"]

Address: TypeAlias = tuple[str, int | None]

HIGH_WATER = 65_536  # bytes received ahead of the reader before reading pauses
SHUTDOWN_TIMEOUT = 1.0  # seconds for the peer's answer to TLS's close_notify
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

    async def drain(self) -> None: ...

    async def send_eof(self) -> None: ...

    async def aclose(self) -> None: ...

    def reset(self) -> None:
        """Make the end of the connection an error to the peer, where the transport can say that."""
        ...

    def pause(self) -> None:
        """Read nothing until `start_tls`."""
        ...

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Do the handshake of a TLS server, in place.

        Raises:
            OSError: It failed; `ssl.SSLError`, which is one, says why.
        """
        ...


class AsyncioStream(asyncio.Protocol):
    """A stream that is the protocol of its own transport."""

    __slots__ = (
        "_buffer",
        "_eof",
        "_loop",
        "_lost",
        "_on_connect",
        "_paused",
        "_reader",
        "_size",
        "_tls",
        "_transport",
        "_writer",
        "client",
        "server",
    )

    def __init__(self, on_connect: Callable[[AsyncioStream], None]) -> None:
        self._on_connect = on_connect
        self._loop = asyncio.get_running_loop()
        self._buffer: list[bytes] = []
        self._size = 0
        self._eof = self._lost = self._paused = self._tls = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
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
        return not self._tls  # TLS has no half-closed connections: asyncio ends them

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._wake_reader()
        self.resume_writing()

    def pause_writing(self) -> None:
        if self._writer is None:
            self._writer = self._loop.create_future()

    def resume_writing(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None and not writer.done():
            writer.set_result(None)

    def _wake_reader(self) -> None:
        reader = self._reader
        if reader is not None and not reader.done():
            reader.set_result(None)

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
        self._transport.write(data)
        return self._writer is None

    async def drain(self) -> None:
        while (writer := self._writer) is not None:
            # Shielded, since a cancelled wait must not cancel the future that another writer waits for too.
            await asyncio.shield(writer)
        if self._lost:
            raise PeerGone

    def pause(self) -> None:
        self._transport.pause_reading()

    async def start_tls(self, context: ssl.SSLContext) -> None:
        self._tls = True
        self._transport = await self._loop.start_tls(
            self._transport, self, context, server_side=True, ssl_shutdown_timeout=SHUTDOWN_TIMEOUT
        )
        if self._transport is None:  # it was closed meanwhile
            self._lost = True
            raise PeerGone

    async def send_eof(self) -> None:
        if not self._lost and self._transport.can_write_eof():
            try:
                self._transport.write_eof()
            except OSError:  # the peer has reset the connection, and the loop has not seen it yet
                raise PeerGone from None

    async def aclose(self) -> None:
        transport = self._transport
        if self._lost:
            return
        try:
            if transport.get_write_buffer_size():
                transport.set_write_buffer_limits(0)
                self.pause_writing()
                await self.drain()
        except PeerGone:
            pass
        except BaseException:
            transport.abort()
            raise
        finally:
            transport.close()
        if self._tls:
            await self._end_tls()

    async def _end_tls(self) -> None:
        """Wait for the peer's close_notify: a transport that outlives its task would outlive the server."""
        with move_on_after(SHUTDOWN_TIMEOUT):
            while not self._lost:
                self._reader = self._loop.create_future()
                try:
                    await self._reader
                finally:
                    self._reader = None
        if not self._lost:
            self._transport.abort()

    def reset(self) -> None:
        sock = self._transport.get_extra_info("socket")
        if sock is not None and sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


class AnyioStream:
    """A stream over any of anyio's byte streams: trio's sockets, TLS, memory."""

    __slots__ = ("_pending", "_sending", "_stream", "client", "server")

    def __init__(self, stream: ByteStream) -> None:
        self._stream: ByteStream = stream
        self._pending: list[bytes] = []
        self._sending = Lock(fast_acquire=True)
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

    async def drain(self) -> None:
        try:
            async with self._sending:  # a WebSocket's two tasks both send
                pending, self._pending = self._pending, []
                for data in pending:
                    await self._stream.send(data)
        except (BrokenResourceError, ClosedResourceError):
            raise PeerGone from None

    async def send_eof(self) -> None:
        try:
            await self._stream.send_eof()
        except (BrokenResourceError, ClosedResourceError, OSError, NotImplementedError):
            pass

    def pause(self) -> None:
        pass  # nothing is read but by `receive`

    async def start_tls(self, context: ssl.SSLContext) -> None:
        try:
            self._stream = await TLSStream.wrap(
                self._stream, server_side=True, ssl_context=context, standard_compatible=False
            )
        except (BrokenResourceError, ClosedResourceError, EndOfStream):
            raise PeerGone from None

    async def aclose(self) -> None:
        await self._stream.aclose()

    def reset(self) -> None:
        sock = self._stream.extra(SocketAttribute.raw_socket, None)
        if sock is not None and sock.family != getattr(socket, "AF_UNIX", None):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _address(name: Any, *, peer: bool) -> Address | None:
    """Turn a socket's name into ASGI's pair: (host, port), or (path, None) for a unix socket's own name."""
    if isinstance(name, tuple) and len(name) >= 2:
        return name[0], name[1]
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    return (name, None) if name and isinstance(name, str) and not peer else None
