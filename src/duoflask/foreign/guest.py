"""An ASGI application as a response that is pulled: its head, then its body chunk by chunk.

Owns the task that the application runs in and the talk between that task and whoever pulls. Knows no gateway and no
environ; where the request's body comes from is the caller's `pull`.

Theory of operation: the application may call `receive` and `send` from any task of its own, but only the coroutine that
pulls may change sides (read from a WSGI input, hand a chunk to a server's thread). So both calls put what they want
into a channel without a buffer, and wait; the puller takes it out when it comes for the next chunk. Nothing is ever
held but the one piece that is being handed over.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import copy_context
from typing import Any, Final

import anyio
import anyio.lowlevel

from ..bridge import Home
from ..typing import ASGIApplication, Message, Scope
from .leaving import comes_of

__all__ = ["CLOSE_TIMEOUT", "Guest"]

# How long an application may take to notice that its client has left before it is cancelled; as TEARDOWN_TIMEOUT.
CLOSE_TIMEOUT: Final = 5.0

_DISCONNECT: Final = "http.disconnect"


class _ClientLeft(ConnectionResetError):
    """What `send` raises from then on: an OSError, as ASGI's specification 2.4 says."""


class _Wish:
    """The application waits in `receive` for its next message."""

    __slots__ = ("granted", "message")

    def __init__(self) -> None:
        self.granted = anyio.Event()
        self.message: Message = {"type": _DISCONNECT}

    def grant(self, message: Message) -> None:
        self.message = message
        self.granted.set()


class Guest:
    """One request, answered by an ASGI application.

    Args:
        app: The application.
        scope: An `http` scope.
        pull: Gives the application's next message; awaited by whoever pulls the guest. After an `http.disconnect`, or
            the last piece of the body, it is not called again.
    """

    def __init__(self, app: ASGIApplication, scope: Scope, pull: Callable[[], Awaitable[Message]]) -> None:
        self._app = app
        self._scope = scope
        self._pull = pull
        self._running = False
        self.complete = False
        """Whether the last piece of the body has been taken."""
        self._body_over = False
        self._error: BaseException | None = None

    # -- for whoever pulls

    async def start(self) -> Message:
        """Start the application and wait for its `http.response.start`.

        Raises:
            RuntimeError: The application returned without one, or broke the protocol.
            BaseException: What the application raised.
        """
        self._gone = anyio.Event()
        self._ended = anyio.Event()
        self._task_scope = anyio.CancelScope()
        self._give, self._take = anyio.create_memory_object_stream[Any](0)
        self._running = True
        Home().spawn(self._run(), copy_context())
        while True:
            message = await self._next()
            if message is None:
                raise RuntimeError(f"{self._app!r} returned without an answer; expected an http.response.start message")
            kind = message["type"]
            if kind == "http.response.start":
                return message
            self._broken(kind, "http.response.start")

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        """The next chunk of the body.

        Raises:
            RuntimeError: The application returned before its body was complete.
            BaseException: What the application raised.
        """
        while not self.complete:
            message = await self._next()
            if message is None:
                raise RuntimeError(f"{self._app!r} returned before its body was complete (more_body was not False)")
            if message["type"] != "http.response.body":
                self._broken(message["type"], "http.response.body")
            self.complete = not message.get("more_body", False)
            chunk: bytes = message.get("body", b"")
            if chunk:
                return chunk
        raise StopAsyncIteration

    async def has_ended(self) -> bool:
        """Whether the application returns at once behind its last message, as most do."""
        for _ in range(2):
            if not self._ended.is_set():
                await anyio.lowlevel.checkpoint()
        return self._ended.is_set()

    async def aclose(self) -> None:
        """Let the application come to its end, and wait for it: once it is told that the client has left.

        An application whose body is complete may finish what it does afterwards. One that was given up has
        `CLOSE_TIMEOUT` seconds, then it is cancelled.

        Raises:
            BaseException: What the application raised, but for what came of `send` telling it that the client has left.
        """
        if not self._running:
            return
        self._running = False
        self._gone.set()
        self._take.close()
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(math.inf if self.complete else CLOSE_TIMEOUT):
                await self._ended.wait()
            if not self._ended.is_set():
                self._task_scope.cancel()
                await self._ended.wait()
        if self._error is not None and not self.complete and comes_of(self._error, _ClientLeft):
            self._error = None
        self._raise()

    async def _next(self) -> Message | None:
        """What the application sends next; None once it has returned."""
        while True:
            try:
                wanted = await self._take.receive()
            except anyio.EndOfStream:
                self._raise()
                return None
            if type(wanted) is not _Wish:
                return wanted  # type: ignore[no-any-return]
            try:
                message = await self._pull()
            except BaseException:
                wanted.grant({"type": _DISCONNECT})
                raise
            if message["type"] == _DISCONNECT or not message.get("more_body", False):
                self._body_over = True
            if message["type"] == _DISCONNECT:
                self._gone.set()
            wanted.grant(message)

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # a frame that holds its own traceback is a cycle

    def _broken(self, kind: str, expected: str) -> None:
        raise RuntimeError(f"{self._app!r} sent an unexpected message; expected {expected!r}; got {kind!r}")

    # -- for the application

    async def _run(self) -> None:
        """The application's task; it never raises."""
        with self._task_scope:
            try:
                await self._app(self._scope, self._receive, self._send)
            except anyio.get_cancelled_exc_class() as exc:
                if not self._task_scope.cancel_called:
                    self._error = exc  # it cancelled itself; nobody else is to be
                    return
                raise
            except BaseException as exc:
                self._error = exc
            finally:
                self._give.close()
                self._ended.set()

    async def _receive(self) -> Message:
        if not self._body_over and not self._gone.is_set():
            wish = _Wish()
            try:
                await self._give.send(wish)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return wish.message
            await wish.granted.wait()
            return wish.message
        await self._gone.wait()
        return {"type": _DISCONNECT}

    async def _send(self, message: Message) -> None:
        try:
            await self._give.send(message)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise _ClientLeft("the client has left") from None
