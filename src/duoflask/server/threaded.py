"""A WebSocket of the server's for an application in a worker thread, and for what that runs on the portal.

Owns the way from other threads and loops to the server's loop. Knows no wire.

Theory of operation. Whatever is asked for runs as a task on the server's loop; who asked waits in its own way: a thread
for a signal, a task on another loop for a future of that loop. At most one task receives. What it brings goes to a
queue that all who receive take from, so that a message is not lost when the one who asked for it was cancelled.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from io import BytesIO
from typing import Any, Final

from ..bridge import Home, Workers, home_of_context, new_lock, new_signal
from ..bridge.asking import run_asking
from ..foreign import build_environ
from ..http.grammar import check_field_name, check_field_value
from ..http.wire import parse_status
from ..typing import Message, Receive, Scope, Send, WSGIApplication

__all__ = ["READY_CHANNEL", "ThreadedChannel", "serve_websocket_in_thread"]

# Where the application finds its channel in the environ.
READY_CHANNEL: Final = "duoflask.websocket"


class ThreadedChannel:
    """One connection as ASGI messages, for threads (`receive_now`, `send_now`) and for other loops.

    Made on the server's loop.
    """

    denies: Final = True

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._home = Home()
        self._lock = new_lock()
        self._arrived: deque[Message] = deque()
        self._waiters: list[Callable[[], Any]] = []
        self._receiving = False
        self.used = False

    def _take(self, wake: Callable[[], Any] | None) -> Message | None:
        """Take a message, or have `wake` called when there is one."""
        self.used = True
        with self._lock:
            if self._arrived:
                return self._arrived.popleft()
            if wake is not None:
                self._waiters.append(wake)
            start, self._receiving = not self._receiving, True
        if start:
            self._post(self._bring())
        return None

    async def _bring(self) -> None:
        try:
            message = await self._receive()
        except BaseException:
            message = {"type": "websocket.disconnect", "code": 1006, "reason": ""}
        with self._lock:
            self._arrived.append(message)
            self._receiving = False
            waiters, self._waiters = self._waiters, []
        for wake in waiters:
            wake()

    async def _deliver(self, message: Message, outcome: list[BaseException | None], wake: Callable[[], Any]) -> None:
        try:
            await self._send(message)
            outcome.append(None)
        except BaseException as exc:
            outcome.append(exc if isinstance(exc, Exception) else ConnectionResetError("the server has stopped"))
        wake()

    def _post(self, coroutine: Any) -> None:
        if not self._home.post(self._home.spawn, coroutine, copy_context()):
            coroutine.close()
            raise ConnectionResetError("the server has stopped")

    def receive_now(self) -> Message:
        """Wait for the next message, in a thread."""
        while True:
            signal = new_signal()
            try:
                message = self._take(signal.set)
                if message is not None:
                    return message
                signal.wait()
            finally:
                signal.close()

    def send_now(self, message: Message) -> None:
        """Send a message, in a thread.

        Raises:
            ConnectionResetError: The client has gone.
        """
        self.used = True
        signal = new_signal()
        outcome: list[BaseException | None] = []
        try:
            self._post(self._deliver(message, outcome, signal.set))
            signal.wait()
        finally:
            signal.close()
        _raise(outcome)

    async def receive(self) -> Message:
        """Wait for the next message, on any loop."""
        while True:
            wake, wait = Home().waiter()
            message = self._take(wake)
            if message is not None:
                return message
            await _Wait(wait)

    async def send(self, message: Message) -> None:
        """Send a message, on any loop.

        Raises:
            ConnectionResetError: The client has gone.
        """
        self.used = True
        wake, wait = Home().waiter()
        outcome: list[BaseException | None] = []
        self._post(self._deliver(message, outcome, wake))
        await _Wait(wait)
        _raise(outcome)


class _Wait:
    __slots__ = ("_wait",)

    def __init__(self, wait: Callable[[], Any]) -> None:
        self._wait = wait

    def __await__(self) -> Any:
        return self._wait()


def _raise(outcome: list[BaseException | None]) -> None:
    error = outcome.pop()
    if error is not None:
        try:
            raise error
        finally:
            del error  # a frame that holds its own traceback is a cycle


async def serve_websocket_in_thread(
    app: WSGIApplication, scope: Scope, receive: Receive, send: Send, workers: Workers
) -> None:
    """Call a WSGI application with the environ of a handshake; `environ["duoflask.websocket"]` is the connection.

    An application that does not take it answers as to any request, which denies the WebSocket.
    """
    channel = ThreadedChannel(receive, send)
    environ = build_environ({**scope, "type": "http", "method": "GET", "scheme": _HTTP_SCHEMES[scope["scheme"]]})
    environ["wsgi.input"] = BytesIO()
    environ[READY_CHANNEL] = channel
    context = copy_context()
    context.run(home_of_context.set, None)  # to a WSGI application the loop is somebody else's
    await run_asking(workers, lambda ask: _call(app, environ, channel), context)


_HTTP_SCHEMES: Final = {"ws": "http", "wss": "https"}


def _call(app: WSGIApplication, environ: Any, channel: ThreadedChannel) -> None:
    start: Message | None = None

    def start_response(status: str, headers: Any, exc_info: Any = None, /) -> Callable[[bytes], object]:
        nonlocal start
        fields = [
            (check_field_name(name).lower().encode("latin-1"), check_field_value(value).encode("latin-1"))
            for name, value in headers
        ]
        start = {"type": "websocket.http.response.start", "status": parse_status(status)[1], "headers": fields}
        return pieces.append

    pieces: list[bytes] = []
    body = app(environ, start_response)
    try:
        if channel.used and start is None:
            return
        pieces.extend(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    if start is None:
        raise RuntimeError(f"{app!r} gave a body without calling start_response (PEP 3333)")
    channel.send_now(start)
    channel.send_now({"type": "websocket.http.response.body", "body": b"".join(pieces)})
