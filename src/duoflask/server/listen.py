"""Listening sockets: made, named, accepted from, closed.

Owns sockets before a connection exists. Knows no HTTP. Sockets are made outside the loop so that a later
process can inherit them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import sys
from collections.abc import Callable, Sequence
from functools import partial

from anyio import ClosedResourceError, notify_closing, sleep, wait_readable
from anyio.abc import SocketStream, TaskGroup, UNIXSocketStream

from .config import ServerConfig
from .logs import server_logger
from .streams import AnyioStream, AsyncioStream, Stream

__all__ = ["Listener", "bind", "describe"]

# Out of descriptors or memory: waiting helps, failing does not.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_UNIX: int | None = getattr(socket, "AF_UNIX", None)


def bind(config: ServerConfig) -> list[socket.socket]:
    """Return bound and listening sockets, one for each address of the host.

    Raises:
        OSError: None of them can be had.
    """
    if config.uds is not None:
        return [_bind_unix(config.uds, config.backlog)]
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    port = config.port
    try:
        found = socket.getaddrinfo(
            config.host or None,
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
            proto=socket.IPPROTO_TCP,
        )
    except OSError as exc:
        raise OSError(exc.errno, f"cannot listen on {config.host!r}: {exc.strerror}") from exc
    for family, address in dict.fromkeys((item[0], item[4]) for item in found):
        try:
            sock = _bind_tcp(family, (address[0], port, *address[2:]), config.backlog)
        except OSError as exc:
            failure = exc
            continue
        sockets.append(sock)
        port = sock.getsockname()[1]  # port 0: the same free one for the other families
    if not sockets or (failure is not None and failure.errno == errno.EADDRINUSE):
        for sock in sockets:
            sock.close()
        assert failure is not None
        raise OSError(
            failure.errno, f"cannot listen on {config.host or '*'}:{config.port}: {failure.strerror}"
        ) from failure
    return sockets


def _bind_tcp(family: int, address: tuple[object, ...], backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(path: str, backlog: int) -> socket.socket:
    if _UNIX is None:
        raise OSError(errno.EAFNOSUPPORT, "cannot listen on a unix socket; this system has none")
    _remove_stale(path)
    sock = socket.socket(_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.bind(path)
        sock.listen(backlog)
    except OSError as exc:
        sock.close()
        raise OSError(exc.errno, f"cannot listen on unix socket {path!r}: {exc.strerror}") from exc
    return sock


def _remove_stale(path: str) -> None:
    """Unlink a socket that nobody listens on; leave everything else for `bind` to complain about."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except OSError:
        return
    assert _UNIX is not None
    with socket.socket(_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)


def describe(sock: socket.socket, scheme: str) -> str:
    """Return the address as a user would type it: a URL, or `unix:path`."""
    name = sock.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{scheme}://{host}:{name[1]}"


class Listener:
    """Accept connections and start a task for each."""

    def __init__(self, sockets: Sequence[socket.socket], tasks: TaskGroup, handler: Callable[[Stream], None]) -> None:
        self._sockets = sockets
        self._tasks = tasks
        self._handler = handler
        self._paths = [str(sock.getsockname()) for sock in sockets if sock.family == _UNIX]
        self._servers: list[asyncio.Server] = []

    async def start(self, backlog: int) -> None:
        """Begin to accept: through asyncio's own servers under asyncio, through anyio elsewhere."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            for sock in self._sockets:
                self._tasks.start_soon(self._accept, sock)
            return
        factory = partial(AsyncioStream, self._handler)
        for sock in self._sockets:
            create = loop.create_unix_server if sock.family == _UNIX else loop.create_server
            self._servers.append(await create(factory, sock=sock, backlog=backlog))

    def close(self) -> None:
        for server in self._servers:
            server.close()
        for sock in self._sockets:
            if not self._servers:
                notify_closing(sock)
            sock.close()
        for path in self._paths:
            try:
                os.unlink(path)
            except OSError:
                pass

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                await wait_readable(listener)
                sock, _ = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                continue
            except ClosedResourceError:
                return
            except OSError as exc:
                if listener.fileno() < 0:
                    return
                if exc.errno in _EXHAUSTED:
                    server_logger.error("cannot accept a connection: %s", exc.strerror)
                await sleep(0.1)
                continue
            try:
                sock.setblocking(False)
                kind = UNIXSocketStream if sock.family == _UNIX else SocketStream
                self._handler(AnyioStream(await kind.from_socket(sock)))
            except OSError:
                sock.close()  # the peer is gone already
