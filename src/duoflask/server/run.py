"""A server's life: lifespan, listening, the clock of time-outs, the graceful stop.

Owns `Server` and its two short forms, `serve` (awaitable, to embed) and `run` (blocking).
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

import anyio
from anyio import (
    CancelScope,
    Event,
    create_task_group,
    current_time,
    move_on_after,
    open_signal_receiver,
)
from anyio.abc import TaskGroup

from ..typing import ASGIApplication, WSGIApplication
from .config import ServerConfig
from .connection import Connection, Shared, expire_connections
from .lifespan import Lifespan
from .listen import Listener, bind, describe
from .logs import configure_logging, server_logger
from .streams import Stream
from .wsgi import WSGIAdapter

__all__ = ["Server", "run", "serve"]

# How long an idle connection may still bring the request that its client has sent already when the server
# stops.
STOP_GRACE = 0.1


class Server:
    """Serve one application until told to stop.

    Args:
        app: An ASGI callable, or a WSGI one if `config.interface` says so. sockets: Bound, listening
        sockets to use instead of `config`'s address; the server closes them. shutdown_trigger: The server
        stops when this returns. Without one it stops on SIGINT and SIGTERM, if it runs in the main
            thread.

    `started` is set once connections are accepted; `addresses` then says where.
    """

    def __init__(
        self,
        app: ASGIApplication | WSGIApplication,
        config: ServerConfig | None = None,
        *,
        sockets: Sequence[socket.socket] | None = None,
        shutdown_trigger: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.config = config = config or ServerConfig()
        if config.interface == "wsgi":
            app = WSGIAdapter(cast("WSGIApplication", app), config.threads)
        self._app = cast("ASGIApplication", app)
        self._sockets = sockets
        self._trigger = shutdown_trigger
        self._stopped = Event()
        self._scope = CancelScope()
        self.started = Event()
        self.addresses: list[str] = []

    def stop(self) -> None:
        """Stop gracefully: accept nothing more, finish what is in flight, within `graceful_timeout`."""
        self._stopped.set()

    async def serve(self) -> None:
        """Serve until stopped.

        Raises:
            LifespanError: The application's start-up or shutdown failed.
            OSError: The address cannot be had.
        """
        config = self.config
        lifespan = Lifespan(self._app, config)
        failure: Exception | None = None
        with self._scope:
            async with create_task_group() as tasks:
                if self._trigger is not None:
                    tasks.start_soon(self._wait_for_trigger, self._trigger)
                elif threading.current_thread() is threading.main_thread():
                    tasks.start_soon(self._wait_for_signals)
                try:
                    if config.lifespan != "off":
                        tasks.start_soon(lifespan.run)
                        await lifespan.startup()
                    if lifespan.error is None:
                        try:
                            await self._serve_connections(tasks, lifespan.state)
                        finally:
                            with CancelScope(shield=True):
                                await lifespan.shutdown()
                except Exception as exc:
                    failure = exc  # past the group, which would wrap it
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        if lifespan.error is not None:
            raise lifespan.error

    async def _wait_for_trigger(self, trigger: Callable[[], Awaitable[object]]) -> None:
        await trigger()
        self.stop()

    async def _wait_for_signals(self) -> None:
        """Stop at the first signal, drop everything at the second."""
        try:
            with open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    if self._stopped.is_set():
                        self._scope.cancel()
                    self.stop()
        except NotImplementedError:
            pass  # asyncio on Windows: Ctrl+C raises KeyboardInterrupt

    async def _serve_connections(self, tasks: TaskGroup, state: dict[str, Any]) -> None:
        config = self.config
        shared = Shared(self._app, config, state, current_time())
        sockets = bind(config) if self._sockets is None else self._sockets
        async with create_task_group() as handlers:
            listener = Listener(sockets, tasks, partial(self._connect, shared, handlers))
            try:
                await listener.start(config.backlog)
                tasks.start_soon(expire_connections, shared)
                self.addresses = [describe(sock, config.scheme) for sock in sockets]
                self.started.set()
                await self._stopped.wait()
            finally:
                listener.close()
            await self._stop_connections(shared, handlers)

    def _connect(self, shared: Shared, handlers: TaskGroup, stream: Stream) -> None:
        connection = Connection(shared, stream)
        if shared.stopping or len(shared.connections) >= self.config.max_connections:
            handlers.start_soon(stream.aclose)
        else:
            handlers.start_soon(connection.run)

    async def _stop_connections(self, shared: Shared, handlers: TaskGroup) -> None:
        shared.stopping = True
        if not shared.connections:
            return
        shared.drained = Event()
        with move_on_after(STOP_GRACE):
            await shared.drained.wait()
        for connection in list(shared.connections):
            if connection.idle:
                connection.expire()
        with move_on_after(self.config.graceful_timeout):
            await shared.drained.wait()
        if shared.connections:
            server_logger.error(
                "%d requests were not finished %s s after the stop",
                len(shared.connections),
                self.config.graceful_timeout,
            )
            handlers.cancel_scope.cancel()


async def serve(
    app: ASGIApplication | WSGIApplication,
    config: ServerConfig | None = None,
    *,
    sockets: Sequence[socket.socket] | None = None,
    started: Event | None = None,
    shutdown_trigger: Callable[[], Awaitable[object]] | None = None,
) -> None:
    """Serve an application until a signal comes or the trigger returns; see `Server`."""
    server = Server(app, config, sockets=sockets, shutdown_trigger=shutdown_trigger)
    if started is not None:
        server.started = started
    await server.serve()


def run(
    app: ASGIApplication | WSGIApplication,
    host: str = "127.0.0.1",
    port: int = 5000,
    *,
    uds: str | None = None,
    loop: str = "asyncio",
    **settings: Any,
) -> None:
    """Serve an application, blocking, until SIGINT or SIGTERM.

    Args:
        app: An ASGI callable, or a WSGI one with `interface="wsgi"`.
        host: See `ServerConfig`, as for port and uds.
        port: 0 takes a free port.
        uds: Path of a unix socket.
        loop: "asyncio", "trio" or "uvloop".
        settings: Further fields of `ServerConfig`.

    Raises:
        LifespanError: The application's start-up or shutdown failed.
        OSError: The address cannot be had.
    """
    if loop not in ("asyncio", "trio", "uvloop"):
        raise ValueError(f"invalid loop; expected 'asyncio', 'trio' or 'uvloop'; got {loop!r}")
    config = ServerConfig(host=host, port=port, uds=uds, **settings)
    configure_logging()
    backend = "trio" if loop == "trio" else "asyncio"
    anyio.run(
        _run_announced,
        app,
        config,
        backend=backend,
        backend_options={"use_uvloop": True} if loop == "uvloop" else None,
    )


async def _run_announced(app: ASGIApplication | WSGIApplication, config: ServerConfig) -> None:
    server = Server(app, config)

    async def announce() -> None:
        await server.started.wait()
        for address in server.addresses:
            server_logger.info("duoflask: serving on %s (Press CTRL+C to stop)", address)

    failure: Exception | None = None
    async with create_task_group() as tasks:
        tasks.start_soon(announce)
        try:
            await server.serve()
        except Exception as exc:
            failure = exc  # past the group, which would wrap it
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
