"""The WebSocket that a view handles: the fields of its handshake, and its messages.

Owns the state of the connection and what may be done in which. One name serves both colours: on the connection's loop a
method returns something to await, in a thread (a `def` view) it waits itself and returns the value. Knows no server and
no wire, and who reads when is `websocket_link`'s business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from threading import get_ident
from typing import Any, Final, NoReturn

from .bridge import loop_is_running
from .ctx import _cv_app
from .exceptions import BadRequest
from .http.connection import Connection
from .http.descriptors import cached_property
from .http.headers import Headers
from .http.options import parse_list_header
from .http.websocket_close import MAX_REASON_BYTES, WebsocketDisconnect, is_sendable
from .routed import Routed
from .signals import websocket_received, websocket_sent
from .typing import Message
from .websocket_context import WebsocketContext
from .websocket_link import SENDS_A_TURN, Link
from .websocket_threads import ThreadLink

__all__ = ["BadMessage", "Websocket", "WebsocketDisconnect"]

_NEW: Final = "new"  # not accepted
_OPEN: Final = "open"
_REFUSED: Final = "refused"  # instead of being accepted
_CLOSED: Final = "closed"  # by this side

# What the handshake itself says (RFC 6455 4.2.2).
_HANDSHAKE: Final = frozenset(
    {"connection", "sec-websocket-accept", "sec-websocket-extensions", "sec-websocket-protocol", "upgrade"}
)

# PERF: the signals' own dictionaries of receivers, see dispatch.
_RECEIVED: Final = websocket_received.receivers
_SENT: Final = websocket_sent.receivers


class BadMessage(BadRequest, ValueError):
    """A message of the peer's is not what it should be, such as JSON; the connection is closed with 1008."""


class Websocket(Routed, Connection):
    """A WebSocket, as its view sees it.

    Args:
        source: A WSGI environ, or the scope of an ASGI connection.
    """

    _app: Any = None
    _link: Link | None = None
    _in_thread: ThreadLink | None = None
    _state: str = _NEW
    _accepted: bool = False
    _closed_with: tuple[int, str] = (1006, "")

    # -- the handshake

    @cached_property
    def scheme(self) -> str:
        """`ws` or `wss`."""
        scheme = super().scheme
        return {"http": "ws", "https": "wss"}.get(scheme, scheme)

    @cached_property
    def requested_subprotocols(self) -> list[str]:
        """The subprotocols that the client offers, the one that it likes most first."""
        if self.scope is not None:
            return list(self.scope.get("subprotocols") or ())
        return parse_list_header(self.headers.get("Sec-WebSocket-Protocol"))

    @property
    def json_module(self) -> Any:
        """What `receive_json` and `send_json` use: the app's JSON provider."""
        return self._app.json

    @property
    def disconnected(self) -> bool:
        """Whether the connection has ended, whoever ended it, as far as it is known.

        In a `def` view under ASGI it has a look. Under WSGI a thread learns of the client's leaving by `receive` and
        `send` only.
        """
        link = self._link
        if link is None or self._state in (_CLOSED, _REFUSED):
            return True
        if link.gone is None and self._in_thread is not None and link.loop_thread != get_ident():
            self._in_thread.look()
        return link.gone is not None

    def accept(self, headers: Any = None, subprotocol: str | None = None) -> Any:
        """Accept the handshake; once, later calls do nothing. `receive` and `send` do it by themselves.

        The session, if it was looked at and changed, goes with it: after this a session cookie cannot be changed.

        Args:
            headers: More fields of the answer, as a dict or pairs.
            subprotocol: One of `requested_subprotocols`.

        Raises:
            BadRequest: The client does not offer this subprotocol; the handshake is refused with 400.
            ValueError: A field that the handshake sets itself, or that cannot stand in a header.
            WebsocketDisconnect: The client has left.
        """
        fields = Headers(headers)
        for name in fields.keys():  # noqa: SIM118 - iterating gives the pairs
            if name.lower() in _HANDSHAKE:
                hint = "pass subprotocol='...'" if name.lower() == "sec-websocket-protocol" else "leave it out"
                raise ValueError(f"accept() cannot set the field {name!r}, which belongs to the handshake; {hint}")
        return self._run(self._accept, fields, subprotocol)

    async def _accept(self, link: Link | ThreadLink, fields: Headers, subprotocol: str | None = None) -> None:
        if self._state is not _NEW:
            if self._state is not _OPEN:
                self._refuse("accept()", link)
            return
        if subprotocol is not None and subprotocol not in self.requested_subprotocols:
            raise BadRequest(f"this WebSocket speaks the subprotocol {subprotocol!r}, which the client does not offer")
        ctx = _cv_app.get(None)
        if isinstance(ctx, WebsocketContext) and ctx._session is not None:
            response = self._app.response_class()
            await link.save_session(ctx, response)
            if self._state is not _NEW:  # another task was quicker
                return
            ctx.session_sent()
            for name in ("Set-Cookie", "Vary"):
                for value in response.headers.getlist(name):
                    fields.add(name, value)
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fields]
        self._state = _OPEN
        try:
            await link.send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": raw})
        except OSError as exc:
            raise self._left(link) from exc
        except BaseException:
            self._state = _NEW
            raise
        self._accepted = True

    # -- messages

    def receive(self) -> Any:
        """Wait for the next message and return it, a str or bytes.

        Raises:
            WebsocketDisconnect: The connection has ended; never logged.
        """
        link = self._link
        if link is not None and link.loop_thread == get_ident():  # PERF: 150 ns less than asking asyncio
            return self._receive(link)
        return self._run(self._receive)

    async def _receive(self, link: Link | ThreadLink) -> str | bytes:
        if self._state is not _OPEN:
            await self._open(link)
        try:
            # PERF: what `link.receive` does, in the usual case: 200 ns less than awaiting it (echo, benchmarks/). No
            # other task comes here: it runs while the request's own one waits here, in a send, or for something else.
            if link.is_idle and not link.receiving and not link.sending:  # type: ignore[union-attr]
                link.receiving = True  # type: ignore[union-attr]
                try:
                    get = link.get  # type: ignore[union-attr]
                    message = await get()
                finally:
                    link.receiving = False  # type: ignore[union-attr]
                    if link.reading:  # type: ignore[union-attr]
                        link.free.ring()  # type: ignore[union-attr]
                link.sends = 0  # type: ignore[union-attr]
            else:
                message = await link.receive()
        except OSError as exc:
            raise self._left(link) from exc
        data: str | bytes | None = message.get("text")
        if data is None:
            if message["type"] == "websocket.disconnect":
                link.leave(message)
                raise self._disconnect(link)
            data = message.get("bytes") or b""
        if _RECEIVED:
            await link.tell(websocket_received, self._app, data)
        return data

    def receive_json(self) -> Any:
        """Wait for the next message and return what it is as JSON.

        Raises:
            BadMessage: It is no JSON: a ValueError, and a BadRequest that closes the connection with 1008.
            WebsocketDisconnect: The connection has ended.
        """
        return self._run(self._receive_json)

    async def _receive_json(self, link: Link | ThreadLink) -> Any:
        data = await self._receive(link)
        try:
            return self.json_module.loads(data)
        except (ValueError, RecursionError) as exc:
            raise BadMessage("the message is no JSON") from exc

    def send(self, data: str | bytes) -> Any:
        """Send a message: a str as text, bytes as binary.

        Raises:
            TypeError: Something else.
            RuntimeError: The connection has been closed by this side.
            WebsocketDisconnect: The client has left.
        """
        message: Message = {"type": "websocket.send", "text": data} if type(data) is str else _message(data)
        link = self._link
        if link is not None and link.loop_thread == get_ident():
            return self._send(link, message)
        return self._run(self._send, message)

    async def _send(self, link: Link | ThreadLink, message: Message) -> None:
        if self._state is not _OPEN:
            await self._open(link, "send()")
        if link.gone is not None:
            raise self._disconnect(link)
        try:
            if link.is_thread:
                await link.send(message)
            else:  # PERF: what it does, 80 ns less than awaiting it
                link.sending += 1  # type: ignore[union-attr]
                try:
                    put = link.put  # type: ignore[union-attr]
                    await put(message)
                finally:
                    link.sending -= 1  # type: ignore[union-attr]
                    if link.unwatched:  # type: ignore[union-attr]
                        link.watch_after_all()  # type: ignore[union-attr]
                link.sends += 1  # type: ignore[union-attr]
                if link.sends >= SENDS_A_TURN:  # type: ignore[union-attr]
                    await link.give_a_turn()  # type: ignore[union-attr]
        except OSError as exc:
            raise self._left(link) from exc
        if _SENT:
            await link.tell(websocket_sent, self._app, message["text"] if "text" in message else message["bytes"])

    def send_json(self, *args: Any, **kwargs: Any) -> Any:
        """Send a value as JSON text; several make a list, keyword arguments a dict.

        Raises:
            TypeError: Both kinds of arguments, or a value that JSON has not.
        """
        if args and kwargs:
            raise TypeError("send_json() takes values or keyword arguments, not both; write send_json({...})")
        value = args[0] if len(args) == 1 else args or kwargs
        return self.send(self.json_module.dumps(value))

    def close(self, code: int = 1000, reason: str = "") -> Any:
        """Close the connection; before `accept` that refuses it (403). Once: later calls do nothing.

        Args:
            code: 1000, another of the registered ones, or 3000 to 4999.
            reason: A text of up to 123 bytes.

        Raises:
            ValueError: A code that may not be sent, or a longer reason.
        """
        if not isinstance(code, int) or not is_sendable(code):
            raise ValueError(
                f"invalid close code; expected 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455 7.4); got {code!r}"
            )
        if len(reason.encode()) > MAX_REASON_BYTES:
            raise ValueError(
                f"invalid reason; expected up to {MAX_REASON_BYTES} bytes, which a close frame holds; got "
                f"{len(reason.encode())}. Send the rest as a message before."
            )
        return self._run(self._close, code, reason)

    async def _close(self, link: Link | ThreadLink, code: int, reason: str) -> None:
        if self._state in (_CLOSED, _REFUSED) or link.gone is not None:
            return
        self._state, self._closed_with = _CLOSED if self._state is _OPEN else _REFUSED, (code, reason)
        try:
            await link.send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            pass  # the client was quicker

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.receive()  # type: ignore[no-any-return]
        except WebsocketDisconnect:
            raise StopAsyncIteration from None

    def __iter__(self) -> Iterator[str | bytes]:
        if loop_is_running():
            raise TypeError("'for message in websocket' waits in a 'def' view; here write 'async for'")
        return self._messages()

    def _messages(self) -> Iterator[str | bytes]:
        while True:
            try:
                message = self.receive()
            except WebsocketDisconnect:
                return
            yield message

    # -- what the methods share

    def _run(self, method: Callable[..., Coroutine[Any, Any, Any]], *args: Any) -> Any:
        """What a method returns on the loop, and does in a thread."""
        link = self._link
        if link is None:
            raise RuntimeError(
                "this WebSocket has no connection: it was made by websocket_context() or test_websocket_context(). To "
                "exchange messages in a test write 'with client.websocket(path) as ws:'"
            )
        if link.loop_thread == get_ident():
            return method(link, *args)
        if loop_is_running():
            if link.is_home():
                return method(link, *args)
            raise RuntimeError(
                "this WebSocket belongs to another event loop, that of its server. Use it in the view's own tasks, or "
                "from a thread without a loop."
            )
        assert self._in_thread is not None  # comes with the link
        return _result(method(self._in_thread, *args))

    async def _open(self, link: Link | ThreadLink, what: str = "receive()") -> None:
        """Accept, for a method that needs an open connection."""
        if self._state is _NEW:
            await self._accept(link, Headers())
        else:
            self._refuse(what, link)

    def _refuse(self, what: str, link: Link | ThreadLink) -> NoReturn:
        """Raise why something cannot be done any more."""
        if link.gone is not None:
            raise self._disconnect(link)
        if what == "receive()":
            raise WebsocketDisconnect(*self._closed_with)
        code = self._closed_with[0]
        reason = f"close() was called with the code {code}" if self._state is _CLOSED else "its handshake was refused"
        raise RuntimeError(
            f"{what} was called on a WebSocket that is not open any more: {reason}. Send everything before close(), "
            "and return from the view behind it."
        )

    def _left(self, link: Link | ThreadLink) -> WebsocketDisconnect:
        if link.gone is None:
            link.leave({"type": "websocket.disconnect", "code": 1006})
        return self._disconnect(link)

    def _disconnect(self, link: Link | ThreadLink) -> WebsocketDisconnect:
        gone = link.gone or {}
        if self._state is _CLOSED:
            return WebsocketDisconnect(*self._closed_with)
        return WebsocketDisconnect(gone.get("code") or 1005, gone.get("reason") or "")


def _message(data: Any) -> Message:
    if isinstance(data, str):
        return {"type": "websocket.send", "text": str(data)}
    if isinstance(data, (bytes, bytearray, memoryview)):
        return {"type": "websocket.send", "bytes": bytes(data)}
    got = type(data).__name__
    if isinstance(data, Mapping | list | tuple | int | float) or data is None:
        hint = "write send_json(...) for what JSON has"
    elif isinstance(data, Coroutine):
        hint = "it has to be awaited first: 'await websocket.receive()'"
        data.close()
    else:
        hint = "make a str or bytes of it"
    raise TypeError(f"a WebSocket message is str or bytes; got {got}; {hint}")


def _result(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that never suspends returns."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise RuntimeError("a method of a WebSocket suspended in a thread; expected it to wait")
