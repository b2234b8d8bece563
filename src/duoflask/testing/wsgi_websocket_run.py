"""Run a WSGI app for one WebSocket as a server does that hands its socket out, and be the client at the other end."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from typing import Any

from ..http.status import HTTP_STATUS_CODES
from ..http.websocket_close import CloseCode
from ..http.websocket_deflate import deflate_options
from ..http.websocket_frames import FrameError, Frames
from ..http.websocket_handshake import accept_token
from ..socket_waiting import READ, WRITE, SocketWaiting
from ..typing import Message, WSGIApplication, WSGIEnvironment
from .answer import Answer, ProtocolError
from .loop_thread import DEFAULT_MAX_CLOSE_SECONDS
from .websocket_core import DEFAULT_MAX_WAIT_SECONDS
from .wsgi_run import run_wsgi

__all__ = ["SocketLink"]

_CHUNK = 65536


class SocketLink:
    """The app in a thread of its own, and the client's end of its socket.

    Args:
        app: The app.
        environ: The handshake.
    """

    def __init__(self, app: WSGIApplication, environ: WSGIEnvironment) -> None:
        self._app = app
        self._key: str = environ["HTTP_SEC_WEBSOCKET_KEY"]
        self._socket, self._servers = socket.socketpair()
        self._socket.setblocking(False)
        self._waiting = SocketWaiting(self._socket)
        self._environ = {**environ, "duoflask.socket": self._servers}
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        self._head = b""
        self._frames: Frames | None = None
        self._unsent = bytearray()
        self._incoming: deque[Message] = deque()
        self._closing = False
        self._eof = False
        self._thread = threading.Thread(target=self._run, name="duoflask-test-websocket", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answer = run_wsgi(self._app, self._environ, buffered=True)
        except BaseException as exc:
            self._error = exc
        finally:
            self._servers.close()

    # -- what the client does

    def put(self, message: Message) -> None:
        """Send the app a message; what it sends meanwhile is kept.

        Raises:
            TimeoutError: The app, which does not receive, has taken no byte for `DEFAULT_MAX_WAIT_SECONDS`.
        """
        assert self._frames is not None  # the handshake is done
        if message["type"] == "websocket.disconnect":
            self._disconnect(message["code"], message["reason"])
            return
        text: str | None = message["text"]
        self._unsent += self._frames.message(message["bytes"] if text is None else text)
        while self._unsent and not self._eof:
            before = len(self._unsent)
            deadline = time.monotonic() + DEFAULT_MAX_WAIT_SECONDS
            while len(self._unsent) == before and not self._eof:
                self._step(deadline)

    def _disconnect(self, code: int, reason: str) -> None:
        if code == CloseCode.ABNORMAL:
            self._eof = True
            self._socket.close()
        elif not self._closing:
            assert self._frames is not None
            self._closing = True
            self._unsent += self._frames.close(code, reason)

    def next(self, timeout: float | None) -> Message | None:
        """Take the app's next message; None when there will be none.

        Raises:
            TimeoutError: None came in that many seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._incoming and not self._eof:
            self._step(deadline)
        if not self._incoming and self._frames is None:
            self._take_denial()
        return self._incoming.popleft() if self._incoming else None

    def _take_denial(self) -> None:
        """The app has let the server answer."""
        self._thread.join()
        answer, self._answer = self._answer, None
        if answer is not None:
            fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.fields]
            status = int(answer.status[:3])
            self._incoming.append({"type": "websocket.http.response.start", "status": status, "headers": fields})
            self._incoming.append({"type": "websocket.http.response.body", "body": b"".join(answer.body)})

    def end(self) -> BaseException | None:
        """Wait until the app has returned, for a limited time; what it raised, once."""
        deadline = time.monotonic() + DEFAULT_MAX_CLOSE_SECONDS
        try:
            while not self._eof:
                self._step(deadline)
        except TimeoutError:
            pass
        self._socket.close()
        self._eof = True
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            return TimeoutError(
                f"the app still runs {DEFAULT_MAX_CLOSE_SECONDS} s after its client has gone; a 'def' view cannot be "
                "cancelled and has to end by itself"
            )
        error, self._error = self._error, None
        # What tells the server that the connection was used up.
        return None if isinstance(error, ConnectionResetError) and self._head else error

    # -- the socket

    def _step(self, deadline: float | None) -> None:
        """Write and read what can be, and wait if that is nothing."""
        left = None if deadline is None else deadline - time.monotonic()
        if not self._waiting.here(READ | (WRITE if self._unsent else 0), left):
            what = "received what was sent" if self._unsent else "sent anything"
            raise TimeoutError(f"the app has not {what} in time")
        try:
            if self._unsent:
                del self._unsent[: self._socket.send(self._unsent[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._feed(data)
        else:
            self._eof = True

    def _feed(self, data: bytes) -> None:
        if self._frames is None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._incoming.append(self._accepted(head.decode("latin-1").split("\r\n")))
        assert self._frames is not None
        self._frames.feed(data)
        try:
            while (event := self._frames.next_event()) is not None:
                self._heard(event)
        except FrameError as exc:
            raise ProtocolError(f"the app has broken the rules of WebSocket ({exc.code}): {exc.reason}") from None

    def _accepted(self, lines: list[str]) -> Message:
        """Read the answer to the handshake (RFC 6455 4.1)."""
        status, *rest = lines
        fields = [(name, value) for name, _, value in (line.partition(": ") for line in rest)]
        lower = {name.lower(): value for name, value in fields}
        expected = accept_token(self._key)
        if status != f"HTTP/1.1 101 {HTTP_STATUS_CODES[101]}" or lower.get("sec-websocket-accept") != expected:
            raise ProtocolError(f"invalid answer to the handshake; got {lines!r}")
        self._frames = Frames(
            client=True, max_message_size=None, deflate=deflate_options(lower.get("sec-websocket-extensions", ""))
        )
        own = ("upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions")
        headers = [(name.encode(), value.encode("latin-1")) for name, value in fields if name.lower() not in own]
        return {
            "type": "websocket.accept",
            "subprotocol": lower.get("sec-websocket-protocol"),
            "headers": headers,
        }

    def _heard(self, event: Any) -> None:
        assert self._frames is not None
        if event[0] == "message":
            data: str | bytes = event[1]
            self._incoming.append({"type": "websocket.send", "text" if isinstance(data, str) else "bytes": data})
        elif event[0] == "ping":
            self._unsent += self._frames.pong(event[1])
        elif event[0] == "close":
            self._incoming.append({"type": "websocket.close", "code": event[1], "reason": event[2]})
            if not self._closing:
                self._closing = True
                self._unsent += self._frames.close(event[1])
