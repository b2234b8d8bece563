"""A server's life: lifespan, listening, the clock of time-outs, the graceful stop.

Owns `Server` and its short form to embed, `serve`; the blocking one is `blocking.run`.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any, cast

import anyio
from anyio import CancelScope, Event, create_task_group, current_time, move_on_after, sleep
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from ..typing import ASGIApplication, WSGIApplication
from .config import ServerConfig
from .connection import Connection, Shared, expire_connections, turn_away
from .interrupts import DROPPED_GRACE, TEARDOWN_GRACE, Interrupts, leave_process
from .lifespan import Lifespan
from .listen import Listener, bind, unix_paths
from .logs import server_logger
from .proxies import ProxyTrust
from .secure import SecureStream
from .streams import PeerGone, Stream
from .tls import explain_failure
from .wsgi import WSGIAdapter

__all__ = ["Server", "serve"]

# How long an idle connection may still bring the request that its client has sent already when the server
# stops.
STOP_GRACE = 0.1


class Server:
    """Serve one application until told to stop.

    Args:
        app: An ASGI callable, or a WSGI one if `config.interface` says so.
        config: Its settings.
        sockets: Bound, listening sockets to use instead of `config`'s address; the server closes them, and leaves the
            path of a unix socket to whoever has made it.
        shutdown_trigger: The server stops when this returns. Without one it stops on SIGINT and SIGTERM, if it runs in
            the main thread.
        ends_process: The process has nothing to do but to serve: a `def` function that does not end when the server has
            to is left alone by ending the process.

    `started` is set once connections are accepted; `addresses` then says where. `interrupts` is what takes signals
    while it serves; with `ends_process`, whoever has ended the loop calls its `let_go`.
    """

    def __init__(
        self,
        app: ASGIApplication | WSGIApplication,
        config: ServerConfig | None = None,
        *,
        sockets: Sequence[socket.socket] | None = None,
        shutdown_trigger: Callable[[], Awaitable[object]] | None = None,
        ends_process: bool = False,
    ) -> None:
        self.config = config = config or ServerConfig()
        if config.interface == "wsgi":
            app = WSGIAdapter(cast("WSGIApplication", app), config.threads)
        self._app = cast("ASGIApplication", app)
        self._sockets = sockets
        self._trigger = shutdown_trigger
        self._stopped = Event()
        self._handshakes: set[CancelScope] = set()
        self._scope = CancelScope()
        self._shared: Shared | None = None
        self._ends_process = ends_process
        self.interrupts: Interrupts | None = None
        self.started = Event()
        self.addresses: list[str] = []

    def stop(self) -> None:
        """Stop gracefully: accept nothing more, finish what is in flight, within `graceful_timeout`."""
        self._stopped.set()

    async def serve(self) -> None:
        """Serve until stopped.

        Raises:
            LifespanError: The application's start-up or shutdown failed.
            OSError: The address cannot be had; the application has not been started then.
        """
        config = self.config
        sockets, paths = (bind(config), unix_paths(config)) if self._sockets is None else (self._sockets, [])
        listener = Listener(sockets, paths)
        try:
            await self._serve_application(listener)
        finally:
            listener.close()

    async def _serve_application(self, listener: Listener) -> None:
        config = self.config
        lifespan = Lifespan(self._app, config)
        failure: Exception | None = None
        with self._interrupts(), self._scope:
            async with create_task_group() as tasks:
                if self._trigger is not None:
                    tasks.start_soon(self._wait_for_trigger, self._trigger)
                try:
                    if config.lifespan != "off":
                        tasks.start_soon(lifespan.run)
                        await lifespan.startup()
                    if lifespan.error is None:
                        try:
                            await self._serve_connections(tasks, listener, lifespan)
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

    def _interrupts(self) -> AbstractContextManager[None]:
        """What takes signals, if this server is to."""
        if self._trigger is not None or threading.current_thread() is not threading.main_thread():
            return nullcontext()
        self.interrupts = Interrupts(
            self.stop, self._scope.cancel, self._describe_rest, ends_process=self._ends_process
        )
        return self.interrupts

    def _describe_rest(self) -> str:
        requests = self._shared.describe_requests() if self._shared is not None else ""
        return f", and these have not ended: {requests}" if requests else ""

    async def _serve_connections(self, tasks: TaskGroup, listener: Listener, lifespan: Lifespan) -> None:
        config = self.config
        trust = ProxyTrust(config.trusted_proxies, config.forwarded_fields) if config.trusted_proxies else None
        self._shared = shared = Shared(self._app, config, lifespan.state, current_time(), trust=trust)
        async with create_task_group() as handlers:
            try:
                await listener.start(tasks, partial(self._connect, shared, tasks, handlers), config.backlog)
                tasks.start_soon(expire_connections, shared)
                self.addresses = listener.describe(config.scheme)
                self.started.set()
                await self._stopped.wait()
                await listener.settle()
            finally:
                listener.close()
            if not await self._stop_connections(shared):
                handlers.cancel_scope.cancel()
                if self._ends_process:
                    tasks.start_soon(self._leave_threads, shared, lifespan)

    def _connect(self, shared: Shared, tasks: TaskGroup, handlers: TaskGroup, stream: Stream) -> None:
        # One that was accepted just before the stop is served like any other: its request may be there already.
        if len(shared.connections) + shared.arriving >= self.config.max_connections:
            tasks.start_soon(turn_away, shared, stream)
        else:
            shared.arriving += 1
            handlers.start_soon(self._welcome, shared, stream)

    async def _welcome(self, shared: Shared, stream: Stream) -> None:
        """Serve a connection; no failure of one ends the server."""
        try:
            await self._serve_connection(shared, stream)
        except Exception:
            server_logger.exception("internal error of the server")

    async def _serve_connection(self, shared: Shared, stream: Stream) -> None:
        try:
            if self.config.ssl is not None:
                stream = secure = SecureStream(stream, self.config.ssl)
                if not await self._shake_hands(secure):
                    return
            connection = Connection(shared, stream)
        finally:
            shared.arriving -= 1
            shared.note_end()
        await connection.run()

    async def _shake_hands(self, stream: SecureStream) -> bool:
        """Do the handshake of TLS; one that fails is a line in the log."""
        failure = "it did not end in time"
        with move_on_after(self.config.head_timeout) as scope:
            self._handshakes.add(scope)
            try:
                await stream.shake_hands()
                return True
            except PeerGone:
                failure = "the client left"
            except OSError as exc:
                failure = explain_failure(exc)
            finally:
                self._handshakes.discard(scope)
        server_logger.info("%s - TLS handshake failed: %s", stream.client[0] if stream.client else "-", failure)
        with move_on_after(self.config.linger_timeout, shield=True):
            await stream.aclose()
        return False

    async def _leave_threads(self, shared: Shared, lifespan: Lifespan) -> None:
        """End the process when functions in threads still have not ended."""
        await sleep(min(TEARDOWN_GRACE, max(DROPPED_GRACE, self.config.graceful_timeout)))
        if shared.connections:
            with CancelScope(shield=True):
                await lifespan.shutdown()
        if shared.connections:
            code = 0 if self.interrupts is None else self.interrupts.exit_code
            if lifespan.error is not None:
                server_logger.error("%s", lifespan.error)
                code = code or 1
            leave_process(code, f"the graceful timeout has passed{self._describe_rest()}")

    async def _stop_connections(self, shared: Shared) -> bool:
        """Let requests finish; answer whether they did."""
        await checkpoint()  # for connections that were accepted already
        shared.stopping = True
        for scope in list(self._handshakes):
            scope.cancel()
        if not shared.connections and not shared.arriving:
            return True
        shared.drained = Event()
        for connection in list(shared.connections):
            if connection.websocket is not None:
                connection.websocket.restart()
        with move_on_after(STOP_GRACE):
            await shared.drained.wait()
        for connection in list(shared.connections):
            if connection.idle:
                connection.expire()
        patience = self.config.graceful_timeout
        if shared.connections:
            one = len(shared.connections) == 1
            server_logger.info(
                "waiting up to %s s for %s; stop again to drop %s",
                patience,
                _count_requests(shared),
                "it" if one else "them",
            )
        with move_on_after(patience):
            await shared.drained.wait()
        if shared.connections:
            verb = "was" if len(shared.connections) == 1 else "were"
            server_logger.error("%s %s not finished %s s after the stop", _count_requests(shared), verb, patience)
        return not shared.connections


def _count_requests(shared: Shared) -> str:
    count = len(shared.connections)
    return f"{count} request{'' if count == 1 else 's'}"


class serve(Coroutine[Any, Any, None]):  # noqa: N801 - it is called and awaited like a function
    """Serve an application in the running loop: until it is told to stop, or as long as a block lasts.

        await serve(app, port=8000)

        async with serve(app, port=0) as server:
            print(server.addresses)

    Awaited, it ends with a signal or when the trigger returns. As a block it takes no signals: connections are accepted
    when the block is entered, and its end stops the server gracefully.

    Args:
        app: See `Server`, as for all that follow but two.
        config: By default one of `settings`.
        sockets: Bound, listening sockets to use instead of the configuration's address.
        started: Is set once connections are accepted.
        shutdown_trigger: The server stops when this returns.
        settings: Fields of `ServerConfig`.

    Raises:
        LifespanError: The application's start-up or shutdown failed.
        OSError: The address cannot be had.
        TypeError: Both `config` and settings.
    """

    def __init__(
        self,
        app: ASGIApplication | WSGIApplication,
        config: ServerConfig | None = None,
        *,
        sockets: Sequence[socket.socket] | None = None,
        started: Event | None = None,
        shutdown_trigger: Callable[[], Awaitable[object]] | None = None,
        **settings: Any,
    ) -> None:
        if config is not None and settings:
            raise TypeError(f"serve() takes a config or settings, not both; got config and {sorted(settings)}")
        self._make = partial(Server, app, config or ServerConfig(**settings), sockets=sockets)
        self._trigger = shutdown_trigger
        self._started = started
        self._coroutine: Coroutine[Any, Any, None] | None = None

    def _server(self, trigger: Callable[[], Awaitable[object]] | None) -> Server:
        server = self._make(shutdown_trigger=trigger)
        if self._started is not None:
            server.started = self._started
        return server

    def __await__(self) -> Generator[Any, Any, None]:
        return self._server(self._trigger).serve().__await__()

    # A task group or `create_task` takes nothing that is not a coroutine.

    def send(self, value: Any) -> Any:
        """Go on; for event loops."""
        if self._coroutine is None:
            self._coroutine = self._server(self._trigger).serve()
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise inside; for event loops."""
        if self._coroutine is None:
            self._coroutine = self._server(self._trigger).serve()
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """Give up; for event loops."""
        if self._coroutine is not None:
            self._coroutine.close()

    async def __aenter__(self) -> Server:
        self._running = _serve_in_background(self._server(self._trigger or anyio.sleep_forever))
        return await self._running.__aenter__()

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._running.__aexit__(*error)


@asynccontextmanager
async def _serve_in_background(server: Server) -> AsyncGenerator[Server]:
    failure: Exception | None = None
    ended = Event()

    async def run() -> None:
        nonlocal failure
        try:
            await server.serve()
        except Exception as exc:
            failure = exc
        finally:
            ended.set()
            server.started.set()  # nobody is to wait for it for ever

    async with create_task_group() as tasks:
        tasks.start_soon(run)
        try:
            await server.started.wait()
            if not ended.is_set():
                yield server
        except Exception as exc:
            failure = failure or exc  # past the group, which would wrap it
        finally:
            server.stop()
            with CancelScope(shield=True):
                await ended.wait()
    if failure is not None:
        raise failure
