"""An event loop of one's own in a thread, and an ASGI app on it: how the sync client speaks ASGI.

A thread and not `run_until_complete`: it works inside a test that itself runs on a loop, and what start-up
made (pools, tasks) lives on between requests. A daemon thread of our own and not anyio's: at the end of the
interpreter a client that nobody closed must not be waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

import anyio
from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal

from ..typing import ASGIApplication, Message, Scope
from .answer import Answer
from .asgi_run import Exchange, Lifespan
from .websocket_run import WebsocketExchange

__all__ = ["DEFAULT_MAX_CLOSE_SECONDS", "ASGIRunner", "LoopThread"]

_T = TypeVar("_T")

# How long an app may take to notice that the client has gone, or to shut down, before it is cancelled; as
# TEARDOWN_TIMEOUT.
DEFAULT_MAX_CLOSE_SECONDS: Final = 5.0


class LoopThread:
    """A thread that runs a loop until it is closed."""

    tasks: TaskGroup
    _portal: BlockingPortal

    def __init__(self, backend: str) -> None:
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(backend,), name="duoflask-test-client", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def _run(self, backend: str) -> None:
        try:
            anyio.run(self._main, backend=backend)
        except BaseException as exc:
            self._error = exc
        finally:
            self._ready.set()

    async def _main(self) -> None:
        async with BlockingPortal() as portal, anyio.create_task_group() as tasks:
            self._portal, self.tasks = portal, tasks
            self._ready.set()
            await portal.sleep_until_stopped()
            tasks.cancel_scope.cancel()

    def is_current(self) -> bool:
        """Whether the caller runs in this thread."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[..., Awaitable[_T]], *args: Any) -> _T:
        """Run a coroutine function on the loop and return its result, or raise its exception."""
        error, value = self._portal.start_task_soon(_outcome, function, args).result()
        if error is not None:
            try:
                raise error
            finally:
                del error  # a frame that holds its own traceback is a circle
        result: _T = value
        return result

    def close(self) -> None:
        """Stop the loop and wait for the thread."""
        if self._thread.is_alive():
            self._portal.start_task_soon(self._portal.stop)
            self._thread.join()


async def _outcome(function: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> tuple[BaseException | None, Any]:
    # As data: a SystemExit that leaves a portal's task kills the portal and hangs the caller (design.md).
    try:
        return None, await function(*args)
    except BaseException as exc:
        return exc, None


class _Body:
    """A body that the app makes as the test reads it."""

    def __init__(self, thread: LoopThread, exchange: Exchange, forget: Callable[[_Body], None]) -> None:
        self._thread = thread
        self._exchange = exchange
        self._forget = forget
        self._scope = anyio.CancelScope()
        self._error: BaseException | None = None

    async def run(self) -> None:
        """Run the app; its exception is kept."""
        with self._scope:
            try:
                await self._exchange.run()
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as exc:
                self._error = exc

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        piece = self._thread.call(self._exchange.next_chunk)
        if piece is not None:
            return piece
        self.finish()
        raise StopIteration

    def finish(self) -> None:
        """The app has returned."""
        self._forget(self)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Go away as a client does, and let the app notice."""
        if not self._exchange.returned:
            self._thread.call(self._disconnect)
            if isinstance(self._error, OSError):
                self._error = None  # what `send` told it
        self.finish()

    async def _disconnect(self) -> None:
        with anyio.move_on_after(DEFAULT_MAX_CLOSE_SECONDS):
            await self._exchange.disconnect()
            return
        self._scope.cancel()
        await self._exchange.disconnect()


class WebsocketLink:
    """Carries messages between a client that blocks and an app on the loop."""

    def __init__(self, thread: LoopThread, exchange: WebsocketExchange) -> None:
        self._thread = thread
        self._exchange = exchange
        self._scope: anyio.CancelScope
        thread.call(self._start)

    async def _start(self) -> None:
        self._scope = anyio.CancelScope()
        self._thread.tasks.start_soon(self._run)

    async def _run(self) -> None:
        with self._scope:
            await self._exchange.run()

    def put(self, message: Message) -> None:
        """Send the app a message."""
        self._thread.call(self._exchange.put, message)

    def next(self, timeout: float | None) -> Message | None:
        """Take the app's next message; None when it has returned.

        Raises:
            TimeoutError: None came in that many seconds.
        """
        return self._thread.call(self._exchange.next, timeout)

    def end(self) -> BaseException | None:
        """Wait for the app's return, for a limited time, then cancel it; what it raised, once."""
        self._thread.call(self._wait)
        return self._exchange.take_error()  # type: ignore[no-any-return]

    async def _wait(self) -> None:
        if not await self._exchange.wait_returned(DEFAULT_MAX_CLOSE_SECONDS):
            self._scope.cancel()
            await self._exchange.wait_returned()


class ASGIRunner:
    """An ASGI app that has been started up on a loop of its own.

    Args:
        app: The app.
        backend: `asyncio` or `trio`.
    """

    def __init__(self, app: ASGIApplication, backend: str) -> None:
        self._app = app
        self._open: set[_Body] = set()
        self._thread = LoopThread(backend)
        try:
            self._lifespan = self._thread.call(self._start)
        except BaseException:
            self._thread.close()
            raise

    async def _start(self) -> Lifespan:
        lifespan = Lifespan(self._app)
        self._thread.tasks.start_soon(lifespan.run)
        await lifespan.wait_ready()
        return lifespan

    async def _stop(self) -> None:
        with anyio.move_on_after(DEFAULT_MAX_CLOSE_SECONDS):
            await self._lifespan.stop()

    def send(self, scope: Scope, body: bytes, truncated: bool, buffered: bool) -> Answer:
        """Send a request; raise what the app raises."""
        scope["state"] = self._lifespan.state.copy()
        return self._thread.call(self._whole if buffered else self._begun, scope, body, truncated)

    async def _whole(self, scope: Scope, body: bytes, truncated: bool) -> Answer:
        exchange = Exchange(self._app, scope, body, truncated=truncated)
        await exchange.run()
        return exchange.answer(list(exchange.chunks))

    async def _begun(self, scope: Scope, body: bytes, truncated: bool) -> Answer:
        exchange = Exchange(self._app, scope, body, truncated=truncated, hold=True)
        answer = _Body(self._thread, exchange, self._open.discard)
        self._open.add(answer)
        self._thread.tasks.start_soon(answer.run)
        if await exchange.first_chunk():
            answer.finish()
            return exchange.answer(list(exchange.chunks))
        return exchange.answer(answer)

    def connect(self, scope: Scope) -> WebsocketLink:
        """Open a WebSocket."""
        scope["state"] = self._lifespan.state.copy()
        return WebsocketLink(self._thread, WebsocketExchange(self._app, scope))

    def close(self) -> None:
        """Give up bodies that are still being made, shut the app down and stop the loop."""
        if self._thread.is_current():
            # The garbage collector found the client while the loop ran, which must not wait for itself.
            threading.Thread(target=self.close, name="duoflask-test-client-close", daemon=True).start()
            return
        try:
            for body in list(self._open):
                body.close()
            self._thread.call(self._stop)
        finally:
            self._thread.close()
