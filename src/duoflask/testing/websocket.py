"""The test clients' WebSockets: one that blocks and one that is awaited.

Owns the I/O. What messages mean is `websocket_core`'s; what carries them to the app is a link: under ASGI a
`WebsocketExchange`, under WSGI a socket (`wsgi_websocket_run`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from ..http.websocket_close import WebsocketDisconnect
from ..typing import Message
from .beside import TaskBeside
from .websocket_core import DEFAULT_MAX_WAIT_SECONDS, WebsocketCore
from .websocket_run import WebsocketExchange

__all__ = ["AsyncTestWebsocket", "Link", "TestWebsocket"]


class Link(Protocol):
    """What carries messages between a client that blocks and the app."""

    def put(self, message: Message) -> None:
        """Send the app a message."""

    def next(self, timeout: float | None) -> Message | None:
        """Take the app's next message; None when there will be none.

        Raises:
            TimeoutError: None came in that many seconds.
        """

    def end(self) -> BaseException | None:
        """Wait until the app has returned, and have it return if need be; what it raised, once."""


class TestWebsocket(WebsocketCore):
    """A WebSocket to the app: `with client.websocket("/ws") as ws:`.

    At the end of the block it is closed with the code 1000, and what the app raised is raised.
    """

    __test__ = False  # for pytest: the name looks like a test

    def __init__(self, connect: Callable[[], Link], *args: Any) -> None:
        super().__init__(*args)
        self._connect = connect
        self._link: Link

    def __enter__(self) -> Self:
        self._enter()
        self._link = self._connect()
        try:
            while not self._opens(self._next(DEFAULT_MAX_WAIT_SECONDS)):
                pass
        except BaseException as exc:
            self._end(exc)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.close()
        finally:
            self._end(error)

    def _end(self, raised: BaseException | None) -> None:
        error = self._link.end()
        # What goes through the block already is usually what the app's error led to: it says more.
        if error is not None and error is not raised and self._raise_server_exceptions:
            raise error

    def _next(self, timeout: float | None) -> Message | None:
        message = self._link.next(timeout)
        if message is None and self._raise_server_exceptions:
            error = self._link.end()
            if error is not None:
                self._note_close(1006)
                raise error
        return message

    def send(self, data: str | bytes) -> None:
        """Send a text or binary message.

        Raises:
            WebsocketDisconnect: The connection is known to be closed.
        """
        message = self._message(data)  # it says whether there is a link yet
        self._link.put(message)

    def send_json(self, value: Any) -> None:
        """Send a value as JSON text."""
        self.send(self._json.dumps(value))

    def receive(self, timeout: float | None = DEFAULT_MAX_WAIT_SECONDS) -> str | bytes:
        """Return the app's next message.

        Args:
            timeout: How many seconds to wait; None waits without end.

        Raises:
            WebsocketDisconnect: The app has closed the connection.
            TimeoutError: Nothing came.
        """
        self._require_open()
        return self._data_of(self._next(timeout))

    def receive_json(self, timeout: float | None = DEFAULT_MAX_WAIT_SECONDS) -> Any:
        """Return the value of the app's next message, which is JSON; as `receive`."""
        return self._json.loads(self.receive(timeout))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; again, it does nothing. Messages that were not read are lost."""
        self._require_entered()
        if self.close_code is None:
            self._note_close(code, reason)
            self._link.put({"type": "websocket.disconnect", "code": code, "reason": reason})

    def abort(self) -> None:
        """Vanish without a close frame, as a client whose network has failed."""
        self.close(1006)

    def wait_closed(self, timeout: float | None = DEFAULT_MAX_WAIT_SECONDS) -> int:
        """Skip messages until the app closes the connection, and return the code."""
        self._require_entered()
        try:
            while True:
                self.receive(timeout)
        except WebsocketDisconnect as exc:
            return exc.code

    def __iter__(self) -> Iterator[str | bytes]:
        """Iterate over the app's messages until it closes the connection."""
        try:
            while True:
                yield self.receive()
        except WebsocketDisconnect:
            return


class AsyncTestWebsocket(WebsocketCore):
    """A WebSocket to the app: `async with client.websocket("/ws") as ws:`; as `TestWebsocket`, awaited."""

    def __init__(self, exchange: WebsocketExchange, beside: TaskBeside, *args: Any) -> None:
        super().__init__(*args)
        self._exchange = exchange
        self._beside = beside

    async def __aenter__(self) -> Self:
        self._enter()
        await self._beside.start(self._exchange.run)
        try:
            while not self._opens(await self._next(DEFAULT_MAX_WAIT_SECONDS)):
                pass
        except BaseException as exc:
            await self._end(exc)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.close()
        finally:
            await self._end(error)

    async def _end(self, raised: BaseException | None) -> None:
        await self._beside.end(self._exchange.wait_returned)
        error = self._exchange.take_error()
        if error is not None and error is not raised and self._raise_server_exceptions:
            raise error

    async def _next(self, timeout: float | None) -> Message | None:  # noqa: ASYNC109
        message = await self._exchange.next(timeout)
        if message is None and self._raise_server_exceptions:
            error = self._exchange.take_error()
            if error is not None:
                self._note_close(1006)
                raise error
        return message

    async def send(self, data: str | bytes) -> None:
        """Send a text or binary message.

        Raises:
            WebsocketDisconnect: The connection is known to be closed.
        """
        await self._exchange.put(self._message(data))

    async def send_json(self, value: Any) -> None:
        """Send a value as JSON text."""
        await self.send(self._json.dumps(value))

    async def receive(self, timeout: float | None = DEFAULT_MAX_WAIT_SECONDS) -> str | bytes:  # noqa: ASYNC109
        """Return the app's next message.

        Args:
            timeout: How many seconds to wait; None waits without end.

        Raises:
            WebsocketDisconnect: The app has closed the connection.
            TimeoutError: Nothing came.
        """
        self._require_open()
        return self._data_of(await self._next(timeout))

    async def receive_json(self, timeout: float | None = DEFAULT_MAX_WAIT_SECONDS) -> Any:  # noqa: ASYNC109
        """Return the value of the app's next message, which is JSON; as `receive`."""
        return self._json.loads(await self.receive(timeout))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; again, it does nothing. Messages that were not read are lost."""
        self._require_entered()
        if self.close_code is None:
            self._note_close(code, reason)
            await self._exchange.put({"type": "websocket.disconnect", "code": code, "reason": reason})

    async def abort(self) -> None:
        """Vanish without a close frame, as a client whose network has failed."""
        await self.close(1006)

    async def wait_closed(self, timeout: float | None = DEFAULT_MAX_WAIT_SECONDS) -> int:  # noqa: ASYNC109
        """Skip messages until the app closes the connection, and return the code."""
        self._require_entered()
        try:
            while True:
                await self.receive(timeout)
        except WebsocketDisconnect as exc:
            return exc.code

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Iterate over the app's messages until it closes the connection."""
        try:
            while True:
                yield await self.receive()
        except WebsocketDisconnect:
            return
