"""Run an ASGI app as a server does, and check what it sends against the specification.

Owns one request (`Exchange`) and the life of the app around all requests (`Lifespan`). Knows no client:
whoever runs these coroutines decides on which loop and in which task.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import anyio

from ..http.status import HTTP_STATUS_CODES
from ..typing import ASGIApplication, Message, Scope
from .answer import Answer, ProtocolError

__all__ = ["Exchange", "Lifespan", "LifespanError"]

_CHUNK = 65536


class LifespanError(RuntimeError):
    """The app reported that its start-up or shutdown failed."""


class Exchange:
    """One http request.

    Args:
        app: The app.
        scope: The connection.
        body: The request's body.
        truncated: The client goes away after the body instead of finishing it.
        hold: Let the app go on only when the piece that it sent has been taken.
    """

    def __init__(
        self, app: ASGIApplication, scope: Scope, body: bytes, *, truncated: bool = False, hold: bool = False
    ) -> None:
        self._app = app
        self._scope = scope
        self._pieces = deque(body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK) or (0,))
        self._truncated = truncated
        self._hold = hold
        self._news = anyio.Event()
        self.code: int | None = None
        self.fields: list[tuple[str, str]] = []
        self.chunks: deque[bytes] = deque()
        self.complete = False
        self.gone = False
        self.returned = False

    async def run(self) -> None:
        """Call the app and wait until it returns.

        Raises:
            ProtocolError: The app breaks the specification.
        """
        try:
            await self._app(self._scope, self.receive, self.send)
        finally:
            self.returned = True
            self._tell()
        if self.code is None:
            raise ProtocolError("the app returned without sending http.response.start")
        if not self.complete and not self.gone:
            raise ProtocolError("the app returned without finishing its body: no message with more_body=False")

    def answer(self, body: Any) -> Answer:
        """The answer, with the body that the caller makes of the pieces."""
        assert self.code is not None
        # Upper case as in `Response.status`: the same text as under WSGI, where the app itself writes it.
        phrase = HTTP_STATUS_CODES.get(self.code, "unknown").upper()
        return Answer(f"{self.code} {phrase}", self.fields, body)

    async def receive(self) -> Message:
        """Hand the app its next message."""
        if self._pieces:
            piece = self._pieces.popleft()
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces) or self._truncated}
        if not self._truncated:
            await self._until(lambda: self.complete or self.gone)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message from the app.

        Raises:
            ProtocolError: The message is invalid, or not in its place.
            OSError: The client has gone away (specification 2.4).
        """
        kind = message["type"]
        if kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.body":
            self._body(message)
        else:
            raise ProtocolError(f"invalid message; expected http.response.start or .body; got {kind!r}")
        if self.gone:
            raise ConnectionResetError("the client has gone away")
        self._tell()
        if self._hold and not self.complete:
            await self._until(lambda: not self.chunks or self.gone)

    def _start(self, message: Message) -> None:
        code = message["status"]
        if self.code is not None:
            raise ProtocolError("http.response.start was sent twice")
        if not isinstance(code, int) or not 100 <= code <= 999:
            raise ProtocolError(f"invalid status; expected an int of three digits; got {code!r}")
        for name, value in message.get("headers", ()):
            if not isinstance(name, bytes) or not isinstance(value, bytes):
                raise ProtocolError(f"invalid header field; expected two byte strings; got {name!r}: {value!r}")
            if any(char in name + value for char in b"\r\n\0"):
                raise ProtocolError(f"invalid header field; expected one line; got {name!r}: {value!r}")
            self.fields.append((name.decode("latin-1").title(), value.decode("latin-1")))
        self.code = code

    def _body(self, message: Message) -> None:
        piece = message.get("body", b"")
        if self.code is None:
            raise ProtocolError("http.response.body was sent before http.response.start")
        if self.complete:
            raise ProtocolError("http.response.body was sent after the last one (more_body was False)")
        if not isinstance(piece, bytes):
            raise ProtocolError(f"invalid piece of a body; expected bytes; got {type(piece).__name__}")
        if piece:
            self.chunks.append(piece)
        self.complete = not message.get("more_body", False)

    async def next_chunk(self) -> bytes | None:
        """Take the next piece of the answer; None when the app has returned."""
        await self._until(lambda: bool(self.chunks) or self.returned)
        if not self.chunks:
            return None
        piece = self.chunks.popleft()
        self._tell()
        return piece

    async def first_chunk(self) -> bool:
        """Wait until a piece of the answer, or the app's return, is there; return whether it has returned."""
        await self._until(lambda: bool(self.chunks) or self.complete or self.returned)
        if self.complete:
            await self._until(lambda: self.returned)
        return self.returned

    async def disconnect(self) -> None:
        """Go away, and wait until the app has noticed."""
        self.gone = True
        self._tell()
        await self._until(lambda: self.returned)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._news.wait()

    def _tell(self) -> None:
        self._news.set()
        self._news = anyio.Event()


class Lifespan:
    """The app's life around its requests (ASGI lifespan specification 2.0).

    An app that raises, or returns, before it asked for the first message does not speak this protocol; that
    is no error.

    Args:
        app: The app.
    """

    def __init__(self, app: ASGIApplication) -> None:
        self._app = app
        self._asked = False
        self._error: BaseException | None = None
        self._ready = anyio.Event()
        self._stop = anyio.Event()
        self._done = anyio.Event()
        self.state: dict[str, Any] = {}
        """What start-up left for the requests."""

    async def run(self) -> None:
        """Call the app; errors come out of `wait_ready` and `stop`."""
        scope: Scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as exc:
            if self._asked and self._error is None:
                self._error = exc
        finally:
            self._ready.set()
            self._done.set()

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "lifespan.startup"}
        await self._stop.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("lifespan.startup.failed", "lifespan.shutdown.failed"):
            word = "start up" if "startup" in kind else "shut down"
            self._error = LifespanError(f"the app failed to {word}: {message.get('message', '')}")
        elif kind not in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
            self._error = ProtocolError(f"invalid message; expected lifespan.startup.complete; got {kind!r}")
        self._ready.set()

    async def wait_ready(self) -> None:
        """Wait for the end of start-up.

        Raises:
            LifespanError: The app reported a failure.
        """
        await self._ready.wait()
        self._raise()

    async def stop(self) -> None:
        """Have the app shut down and wait for it.

        Raises:
            LifespanError: The app reported a failure.
        """
        self._stop.set()
        await self._done.wait()
        self._raise()

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
