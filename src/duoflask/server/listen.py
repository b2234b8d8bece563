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
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from anyio import ClosedResourceError, notify_closing, sleep, wait_readable
from anyio.abc import SocketStream, TaskGroup, UNIXSocketStream
from anyio.lowlevel import checkpoint

from .config import ServerConfig
from .logs import server_logger
from .streams import AnyioStream, AsyncioStream, Stream

__all__ = ["Listener", "bind", "describe", "parse_bind", "unix_paths", "unlink"]

# Turns of asyncio's loop from the call of `accept` to the connection's own task: four, and some to spare.
ARRIVAL_TURNS = 8

# Out of descriptors or memory: waiting helps, failing does not.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_UNIX: int | None = getattr(socket, "AF_UNIX", None)


def bind(config: ServerConfig) -> list[socket.socket]:
    """Return bound and listening sockets: one for each address of each host, unix socket or descriptor.

    Raises:
        OSError: One of them cannot be had.
        ValueError: A `binds` that cannot be understood.
    """
    if not config.binds:
        if config.fd is not None:
            return [_inherit(config.fd, config.backlog)]
        if config.uds is not None:
            return [_bind_unix(config.uds, config.backlog)]
        return _bind_host(config.host, config.port, config.backlog)
    sockets: list[socket.socket] = []
    try:
        for text in config.binds:
            sockets += _bind_text(text, config)
    except BaseException:
        paths = _names(sockets).intersection(unix_paths(config))
        for sock in sockets:
            sock.close()
        unlink(paths)
        raise
    return sockets


def unix_paths(config: ServerConfig) -> list[str]:
    """The unix sockets that `bind` makes, and somebody has to remove; inherited ones are not."""
    if config.binds:
        return [str(parse_bind(text, 0)[1]) for text in config.binds if text.startswith("unix:")]
    return [config.uds] if config.uds is not None and config.fd is None else []


def unlink(paths: Iterable[str]) -> None:
    """Remove unix sockets, as far as they are there."""
    for path in paths:
        try:
            os.unlink(path)
        except OSError:
            pass


def _names(sockets: Sequence[socket.socket]) -> set[str]:
    return {str(sock.getsockname()) for sock in sockets if sock.family == _UNIX}


def parse_bind(text: str, port: int) -> tuple[str, str | int]:
    """Take an address apart that is to be bound.

    Args:
        text: `host:port`, `[::1]:port`, a host alone, `unix:/path` or `fd:3`.
        port: For a host alone.

    Returns:
        "unix" and the path, "fd" and the number, or the host and the port.

    Raises:
        ValueError: It is none of these.
    """
    if text.startswith("unix:") and len(text) > 5:
        return "unix", text.removeprefix("unix:").removeprefix("//")
    if text.startswith("fd:"):
        number = text.removeprefix("fd:").removeprefix("//")
        if number.isascii() and number.isdecimal():
            return "fd", int(number)
    else:
        host, colon, number = text.rpartition(":")
        if not colon or text.endswith("]"):
            host, number = text, str(port)
        if number.isascii() and number.isdecimal() and len(number) <= 5 and int(number) < 65536:
            return host.removeprefix("[").removesuffix("]"), int(number)
    raise ValueError(
        f"invalid address to bind; expected 'host:port', '[::1]:port', 'unix:/path' or 'fd:3'; got {text!r}"
    )


def _bind_text(text: str, config: ServerConfig) -> list[socket.socket]:
    kind, value = parse_bind(text, config.port)
    if isinstance(value, str):
        return [_bind_unix(value, config.backlog)]
    return [_inherit(value, config.backlog)] if kind == "fd" else _bind_host(kind, value, config.backlog)


def _inherit(fd: int, backlog: int) -> socket.socket:
    try:
        sock = socket.socket(fileno=fd)
    except OSError as exc:
        raise OSError(exc.errno, f"cannot listen on the descriptor {fd}: {exc.strerror}") from exc
    if sock.type != socket.SOCK_STREAM or sock.family not in (socket.AF_INET, socket.AF_INET6, _UNIX):
        sock.detach()
        raise OSError(errno.ENOTSOCK, f"cannot listen on the descriptor {fd}: it is no stream socket")
    sock.setblocking(False)
    try:
        sock.listen(backlog)
    except OSError as exc:  # a connection, say
        sock.detach()
        raise OSError(exc.errno, f"cannot listen on the descriptor {fd}: {exc.strerror}") from exc
    return sock


def _bind_host(name: str, port: int, backlog: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    failure: OSError | None = None
    wanted = port
    try:
        found = socket.getaddrinfo(
            name or None,
            port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
            proto=socket.IPPROTO_TCP,
        )
    except OSError as exc:
        raise OSError(exc.errno, f"cannot listen on {name!r}: {exc.strerror}") from exc
    for family, address in dict.fromkeys((item[0], item[4]) for item in found):
        try:
            sock = _bind_tcp(family, (address[0], port, *address[2:]), backlog)
        except OSError as exc:
            failure = exc
            continue
        sockets.append(sock)
        port = sock.getsockname()[1]  # port 0: the same free one for the other families
    if not sockets or (failure is not None and failure.errno == errno.EADDRINUSE):
        for sock in sockets:
            sock.close()
        assert failure is not None
        raise OSError(failure.errno, f"cannot listen on {name or '*'}:{wanted}: {failure.strerror}") from failure
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
        probe.setblocking(False)  # a listener whose backlog is full would be waited for
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            pass


def describe(sock: socket.socket, scheme: str) -> str:
    """Return the address as a user would type it: a URL, or `unix:path`."""
    name = sock.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{scheme}://{host}:{name[1]}"


class Listener:
    """Accept connections; what arrives before `start` waits in the kernel."""

    def __init__(self, sockets: Sequence[socket.socket], paths: Sequence[str] = ()) -> None:
        self._sockets = sockets
        self._paths = _names(sockets).intersection(paths)  # asyncio closes the sockets before we do
        self._servers: list[asyncio.Server] = []

    def describe(self, scheme: str) -> list[str]:
        return [describe(sock, scheme) for sock in self._sockets]

    async def start(self, tasks: TaskGroup, handler: Callable[[Stream], None], backlog: int) -> None:
        """Begin to accept: through asyncio's own servers under asyncio, through anyio elsewhere."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            for sock in self._sockets:
                tasks.start_soon(self._accept, sock, handler)
            return
        # The loop calls protocols outside of any task, where anyio does not know which loop runs.
        accepted: asyncio.Queue[Stream] = asyncio.Queue()
        tasks.start_soon(self._hand_over, accepted, handler)
        factory = partial(AsyncioStream, accepted.put_nowait)
        for sock in self._sockets:
            create = loop.create_unix_server if sock.family == _UNIX else loop.create_server
            self._servers.append(await create(factory, sock=sock, backlog=backlog))

    async def settle(self) -> None:
        """Accept nothing more, and let arrive what was accepted: asyncio drops that with its server (gh-109564)."""
        if not self._servers:
            return
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            try:
                loop.remove_reader(sock)
            except (NotImplementedError, ValueError):  # Windows' loop; a socket that is closed already
                pass
        for _ in range(ARRIVAL_TURNS):
            await checkpoint()

    def close(self) -> None:
        """Accept nothing more; may be called again."""
        for server in self._servers:
            server.close()
        for sock in self._sockets:
            if not self._servers and sock.fileno() >= 0:
                notify_closing(sock)
            sock.close()
        unlink(self._paths)
        self._paths = set()  # whoever binds them next has them to itself

    async def _hand_over(self, accepted: asyncio.Queue[Stream], handler: Callable[[Stream], None]) -> None:
        while True:
            handler(await accepted.get())

    async def _accept(self, listener: socket.socket, handler: Callable[[Stream], None]) -> None:
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
            stream: SocketStream | UNIXSocketStream | None = None
            try:
                sock.setblocking(False)
                stream = await (UNIXSocketStream if sock.family == _UNIX else SocketStream).from_socket(sock)
                wrapped = AnyioStream(stream)
            except (OSError, ValueError):  # the peer is gone already; anyio makes a ValueError of that
                sock.close()
                if stream is not None:
                    await stream.aclose()  # which may own the descriptor
                continue
            handler(wrapped)
