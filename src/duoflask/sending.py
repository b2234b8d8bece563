"""A response whose body is made piece by piece, over ASGI: a server that takes no more makes its iterator wait.

Owns the order of the messages, and what a client that has left means to them. Knows no app but for its threads.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Final

from .bridge import outside, pump
from .ctx import AppContext
from .file_body import FileBody
from .http.errors import ClientDisconnected
from .lazy import LazyModule
from .response import Response, encoded
from .typing import Message

if TYPE_CHECKING:
    import anyio
else:  # an app under WSGI needs none
    anyio = LazyModule("anyio")

__all__ = ["send_response"]

# An async iterator that never waits, before a server that takes all it gives, lets others have their turn after this
# long, or after four large pieces: else nobody would learn that the client has left.
# PERF: asked with every fourth piece, and the clock, while it was in time, with every sixteenth: 35 ns a piece, not 100
# (stream, benchmarks/).
TURN_SECONDS: Final = 0.005
LARGE: Final = 16_384
PIECES_A_LOOK: Final = 4
LOOKS_A_TURN: Final = 4


async def send_response(ctx: AppContext, response: Response) -> None:
    """Send a whole response; to be awaited on the loop.

    It returns without having sent the end if the client has left and nothing was cancelled.

    Raises:
        OSError: What the server's `send` raised: the client has left.
        BaseException: What the body raised.
    """
    ctx.sent = True
    await _send(
        ctx, {"type": "http.response.start", "status": response._status_code, "headers": response.raw_headers()}
    )
    if response.has_body(ctx.method):
        body = response._iterable
        if response.is_async:
            await _send_each(ctx, response)
        elif type(body) is FileBody and _sends_paths(ctx) and body.path is not None:
            ctx.complete = True
            await _send(ctx, {"type": "http.response.pathsend", "path": body.path})
            return
        elif response._body is not None:
            await _send(ctx, {"type": "http.response.body", "body": response._body, "more_body": True})
        else:
            await _send_pumped(ctx, response)
        if ctx.disconnected:
            return
    ctx.complete = True  # a client that leaves from here on has got all: nothing is cancelled
    await _send(ctx, {"type": "http.response.body", "body": b""})


async def _send(ctx: AppContext, message: Message) -> None:
    try:
        await ctx.send(message)
    except OSError as exc:  # the client has left (HTTP & WebSocket specification 2.4)
        ctx.send_error = exc
        raise


def _sends_paths(ctx: AppContext) -> bool:
    """Whether the server sends a file by itself (ASGI, "Path Send")."""
    return "http.response.pathsend" in (ctx.source.get("extensions") or ())  # type: ignore[union-attr]


async def _send_each(ctx: AppContext, response: Response) -> None:
    """Send what an async iterator gives, each piece at once."""
    send = ctx.send
    ctx.pieces = pieces = aiter(response._iterable)
    # Where a departure cancels, only a body that swallows it gets as far as the look at `disconnected`.
    every = PIECES_A_LOOK if ctx.app.config["CANCEL_ON_DISCONNECT"] else 1
    left, looks, until = every, 1, perf_counter() + TURN_SECONDS
    async for piece in pieces:
        if type(piece) is not bytes:
            piece = encoded(piece)
        left -= 1
        if not left:
            left = every
            if ctx.disconnected:
                return
            looks -= 1
            if not looks or len(piece) >= LARGE:
                looks = LOOKS_A_TURN
                if len(piece) >= LARGE or perf_counter() >= until:
                    await anyio.lowlevel.checkpoint()
                    looks, until = 1, perf_counter() + TURN_SECONDS
        try:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        except OSError as exc:
            ctx.send_error = exc
            raise


async def _send_pumped(ctx: AppContext, response: Response) -> None:
    """Send what a sync iterator gives, while worker threads pull it."""
    send = ctx.send

    async def deliver(pieces: deque[bytes]) -> None:
        try:
            while pieces and not ctx.disconnected:
                await send({"type": "http.response.body", "body": pieces.popleft(), "more_body": True})
        except OSError as exc:
            ctx.send_error = exc
            raise
        if ctx.disconnected:  # and nothing was cancelled
            raise ClientDisconnected("the client left before it had the whole answer")

    ctx.pieces = response._pieces()
    ctx.on_loop = False  # as for every leg in a thread
    try:
        await outside(pump(ctx.app._workers, ctx.context, ctx.pieces, encoded, deliver))
    except ClientDisconnected:
        if not ctx.disconnected:
            raise
    finally:
        ctx.on_loop = True
