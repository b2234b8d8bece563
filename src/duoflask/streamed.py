"""A request body that is read while the view runs (`stream_body=True`), by `for` or `async for`, under both protocols.

Owns the crossing of one chunk at a time. Where the chunks come from is the gateways' business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Self

from .bridge import async_to_sync
from .http.body import DRAIN_SECONDS, MAX_DRAINED_BODY, too_large
from .http.errors import ClientDisconnected
from .lazy import LazyModule

if TYPE_CHECKING:
    import anyio
else:
    anyio = LazyModule("anyio")

__all__ = ["StreamedBody", "chunks_of_channel", "drain_channel"]


class StreamedBody:
    """A body as chunks: `for chunk in request.stream` in a `def` view, `async for` in an `async def` view.

    Args:
        pull: Gives the next chunk to a `def` caller, b"" at the end.
        pull_async: The same, to be awaited.
    """

    __slots__ = ("_pull", "_pull_async", "_rest")

    def __init__(self, pull: Callable[[], bytes], pull_async: Callable[[], Awaitable[bytes]]) -> None:
        self._pull = pull
        self._pull_async = pull_async
        self._rest = b""

    @classmethod
    def empty(cls) -> StreamedBody:
        """The body of a request that has none."""

        async def nothing() -> bytes:
            return b""

        return cls(bytes, nothing)

    # Iterators, not generators: trio wants an async generator that is left to be closed.

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        chunk = self._take() or self._pull()
        if not chunk:
            raise StopIteration
        return chunk

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = self._take() or await self._pull_async()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def _take(self) -> bytes:
        rest, self._rest = self._rest, b""
        return rest

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes, or all that is left, in a `def` function."""
        if size is None or size < 0:
            return b"".join(self)
        pieces, missing = [], size
        while missing and (chunk := self._take() or self._pull()):
            pieces.append(chunk[:missing])
            self._rest = chunk[missing:]
            missing -= len(pieces[-1])
        return b"".join(pieces)

    def close(self) -> None:
        """Give up what was pulled and not read."""
        self._rest = b""


def chunks_of_channel(ctx: Any) -> StreamedBody:
    """The body that an ASGI channel delivers.

    Args:
        ctx: The request's context: its `receive`, its declared length and its limit.
    """
    limit, declared = ctx.app._limits_of(ctx.rule).max_content_length, ctx.declared_length
    size, more = 0, True

    async def pull() -> bytes:
        nonlocal size, more
        while more:
            message = await ctx.receive()
            if message["type"] == "http.disconnect":
                ctx.disconnected = True
                raise ClientDisconnected("the client left before it had sent the whole body")
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if limit is not None and size > limit:
                await drain_channel(ctx, message)
                raise too_large(limit, "MAX_CONTENT_LENGTH")
            more = message.get("more_body", False)
            if not more:
                ctx.has_body = False  # from now on the channel tells only when the client leaves
                if declared is not None and size < declared and not ctx.transfer_coded:
                    raise ClientDisconnected(f"the body ended early; expected {declared} bytes; got {size}")
            if chunk:
                return chunk
        return b""

    return StreamedBody(async_to_sync(pull), pull)


async def drain_channel(ctx: Any, message: Any = None) -> None:
    """Read on from a refused body, only a little, so that the client sees the answer (`http.body.drain`).

    Args:
        ctx: The request's context.
        message: The last one that was received, if any was.
    """
    if message is None and any(name == b"expect" for name, _ in ctx.source["headers"]):
        return  # the client waits to be told to send (RFC 9110 10.1.1)
    left = MAX_DRAINED_BODY
    with anyio.move_on_after(DRAIN_SECONDS):
        while left > 0:
            if message is not None and not message.get("more_body", False):
                ctx.has_body = False  # from now on the channel tells only when the client leaves
                return
            message = await ctx.receive()
            if message["type"] == "http.disconnect":
                ctx.disconnected = True
                return
            left -= len(message.get("body", b""))
