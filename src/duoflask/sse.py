"""Server-sent events: a response that sends events while they come, and says now and then that it is alive.

Owns the response and what its items become. The format is `http.event_stream`'s, where the items come from
`event_sources`'; closing the body when the client leaves, and the teardown, are the dispatcher's.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Self

from .bridge import Workers
from .ctx import _cv_app
from .event_sources import Direct, Inline, Paced, Threaded
from .exceptions import ServiceUnavailable
from .globals import request
from .http.event_stream import EVENT_STREAM, Event, EventParser, parse_event_id
from .json import dumps
from .response import Response

__all__ = ["DEFAULT_HEARTBEAT", "Event", "EventParser", "last_event_id", "sse"]

# Seconds. Proxies give up silent connections after 60 (nginx, AWS), some after 30; WHATWG HTML 9.2.7 advises 15.
DEFAULT_HEARTBEAT: Final = 15.0

_HEARTBEAT: Final = b":\n\n"


def sse(
    source: Iterable[Any] | AsyncIterable[Any],
    *,
    heartbeat: float | None = DEFAULT_HEARTBEAT,
    retry: int | None = None,
    headers: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
) -> Response:
    """Make a response of server-sent events (WHATWG HTML 9.2).

    Args:
        source: An iterable or async iterable of `Event`, text, None (a heartbeat) or anything else, which is sent as
            JSON; or a subscription of a `Broadcast`. It is closed when the client leaves.
        heartbeat: After how many seconds of silence a comment is sent; None for never. A silent sync iterable under
            WSGI cannot be interrupted: let it yield None by itself.
        retry: How long a browser waits before it connects again, in milliseconds.
        headers: More header fields; they replace Cache-Control: no-store and X-Accel-Buffering: no.

    Returns:
        A streamed response of the app's class, with the media type text/event-stream.

    Raises:
        TypeError: The source is no iterable, or is text.
        ValueError: A heartbeat or retry that is no such number.
    """
    if heartbeat is not None and not (isinstance(heartbeat, (int, float)) and 0 < heartbeat < math.inf):
        raise ValueError(f"invalid heartbeat; expected seconds above 0, or None; got {heartbeat!r}")
    opening = _HEARTBEAT if retry is None else Event(retry=retry).encode()
    ctx = _cv_app.get(None)
    on_loop = ctx is not None and getattr(ctx.gateway, "serves_on_loop", False)
    body: Any = _body_of(source, on_loop, heartbeat, opening, None if ctx is None else ctx.app._workers)
    kind = Response if ctx is None else ctx.app.response_class
    response: Response = kind(body, content_type=EVENT_STREAM)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    if headers is not None:
        response.headers.update(headers)
    return response


def last_event_id() -> str | None:
    """The id of the last event that this client has seen, as it says (`Last-Event-ID`).

    Returns:
        None where it says nothing, or what no event's id can be. It may be anything else: look it up, never trust it.
    """
    return parse_event_id(request.headers.get("Last-Event-ID"))


def _body_of(source: Any, on_loop: bool, heartbeat: float | None, opening: bytes, workers: Workers | None) -> Any:
    if isinstance(source, (str, bytes, bytearray, Mapping)):
        raise TypeError(f"invalid source of events; expected an iterable of them; got {type(source).__name__}")
    if hasattr(source, "pull_now"):
        return (_AsyncBody if on_loop else _SyncBody)(source, heartbeat, opening)
    if hasattr(source, "__aiter__"):
        direct = Direct(source)
        return _AsyncBody(direct if heartbeat is None else Paced(direct), heartbeat, opening)
    if not hasattr(source, "__iter__"):
        raise TypeError(
            f"invalid source of events; expected an iterable or an async iterable; got {type(source).__name__}. "
            "A generator function has to be called: sse(events())."
        )
    if on_loop and heartbeat is not None and workers is not None:
        return _AsyncBody(Paced(Threaded(source, workers)), heartbeat, opening)
    return _SyncBody(Inline(source), heartbeat, opening)


def _encoded(items: Sequence[Any]) -> bytes:
    return b"".join([_encode(item) for item in items]) if items else _HEARTBEAT


def _encode(item: Any) -> bytes:
    if type(item) is str:
        return Event(item).encode()
    if item is None:
        return _HEARTBEAT
    if isinstance(item, Event):
        data = item.data
        if data is None or type(data) is str:
            return item.encode()
        return replace(item, data=_text(data)).encode()
    encode: Callable[[], bytes] | None = getattr(item, "encode_event", None)
    return Event(_text(item)).encode() if encode is None else encode()


def _text(data: Any) -> str:
    if isinstance(data, str):
        return data
    if isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(
            "invalid data of an event; expected text or what can be JSON; got bytes, which an event stream cannot "
            "carry. Decode them, or send base64."
        )
    return dumps(data)


class _SyncBody:
    """The response's body where a thread pulls it."""

    def __init__(self, source: Any, heartbeat: float | None, opening: bytes) -> None:
        self._source = source
        self._heartbeat = heartbeat
        self._opening: bytes | None = opening

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if self._opening is not None:
            opening, self._opening = self._opening, None
            try:
                self._source.open_now()
            except ServiceUnavailable:  # logged; the browser comes again
                raise StopIteration from None
            return opening + _place(self._source)
        items = self._source.pull_now(self._heartbeat)
        if items is None:
            raise StopIteration
        return _encoded(items)

    def close(self) -> None:
        """Close the source."""
        self._source.close_now()


class _AsyncBody:
    """The response's body where a loop pulls it."""

    def __init__(self, source: Any, heartbeat: float | None, opening: bytes) -> None:
        self._source = source
        self._heartbeat = heartbeat
        self._opening: bytes | None = opening

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._opening is not None:
            opening, self._opening = self._opening, None
            try:
                await self._source.open()
            except ServiceUnavailable:  # logged; the browser comes again
                raise StopAsyncIteration from None
            return opening + _place(self._source)
        items = await self._source.pull(self._heartbeat)
        if items is None:
            raise StopAsyncIteration
        return _encoded(items)

    async def aclose(self) -> None:
        """Close the source."""
        await self._source.aclose()


def _place(source: Any) -> bytes:
    """An id alone: browsers keep it, and dispatch no event."""
    position: str = getattr(source, "position", "")
    return Event(id=position).encode() if position else b""
