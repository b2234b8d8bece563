"""What stands between a WebSocket object and its channel: who reads, on which side, and what a client's leaving does.

Owns the reading ahead, the cancellation of a view whose client has left, and the way from a thread to the loop. Knows
no wire and no server; the state of the connection is `websocket_object`'s.

Theory of operation
-------------------
As long as the view waits in `receive` and `send`, its calls go straight to the channel: an echo pays for no task. The
first time it waits for something else (a query, a timer, a child task), nobody would see that the client leaves. From
then on one task reads ahead into a bounded buffer, and `receive` takes from that. When it reads the disconnect while
the view waits for something else, it cancels the view. A view that goes back to receiving only, `STRAIGHT_RECEIVES`
messages in a row, is rid of the reader. A task other than the request's own always receives through the reader.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from .bridge import current_portal, to_loop
from .lazy import LazyModule
from .session_steps import write_session
from .typing import Message
from .websocket_channel import Channel
from .websocket_context import WebsocketContext

if TYPE_CHECKING:
    import anyio
    import trio
    from blinker import Signal

    from .response import Response
else:
    anyio = LazyModule("anyio")
    trio = LazyModule("trio")

__all__ = ["SENDS_A_TURN", "Link"]

# What is read ahead of a view that does not receive: then the server's own flow control holds the client back. That of
# uvicorn and of websockets is 16 to 32 messages.
MAX_AHEAD: Final = 32
MAX_AHEAD_BYTES: Final = 1 << 20
# So many messages in a row that the view waited for in `receive`, and it reads by itself again.
STRAIGHT_RECEIVES: Final = 16
# A view that only sends gives others a turn this often (messages), and is then seen not to receive.
SENDS_A_TURN: Final = 32
# A child task that has been told of the disconnect, or a send, may end the view by itself, this long (seconds).
GRACE: Final = 0.01
GRACE_TURNS: Final = 10  # and so many of the loop, on a machine that is busy
# How often a view that is in a thread is looked at, which cannot be cancelled there (seconds).
THREAD_POLL: Final = 0.05


class _Bell:
    """Wakes the tasks of one loop that wait for it."""

    __slots__ = ("_loop", "_sleepers")

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._sleepers: list[Callable[[], None]] = []

    async def wait(self) -> None:
        if self._loop is None:
            event = anyio.Event()
            self._sleepers.append(event.set)
            await event.wait()
        else:  # PERF: a future costs 1 us less than an event of anyio's
            future = self._loop.create_future()
            self._sleepers.append(partial(_resolve, future))
            await future

    def ring(self) -> None:
        sleepers, self._sleepers = self._sleepers, []
        for wake in sleepers:
            wake()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Link:
    """A WebSocket's connection, for code on the loop.

    Args:
        ctx: The WebSocket's context.
        channel: The connection.
        group: Where its tasks run on trio: an anyio task group around the request; None on asyncio.
    """

    __slots__ = (
        "_arrived",
        "_buffer",
        "_bytes",
        "_ctx",
        "_fired",
        "_group",
        "_reader",
        "_room",
        "_settled",
        "_straight",
        "_takers",
        "_taking",
        "_task_now",
        "channel",
        "free",
        "get",
        "gone",
        "is_idle",
        "is_thread",
        "loop",
        "loop_thread",
        "main",
        "put",
        "reading",
        "receiving",
        "sending",
        "sends",
        "unwatched",
    )

    def __init__(self, ctx: WebsocketContext, channel: Channel, group: Any = None) -> None:
        self.channel = channel
        self.get, self.put = channel.receive, channel.send  # PERF: one object less to fetch for each message
        self.is_thread = False  # PERF: an attribute of the class costs 40 ns more to fetch, for each message
        self.gone: Message | None = None  # the disconnect, once it has been read
        self.loop_thread = 0  # what get_ident() is on the loop
        self._ctx: WebsocketContext | None = ctx
        self._group = group
        self.loop: asyncio.AbstractEventLoop | None = None
        self._task_now: Callable[[], Any] = lambda: None
        self.main: Any = None  # the request's own task
        self.receiving = False  # it waits for the channel,
        self._taking = False  # or for the reader
        self.is_idle = False  # asyncio's request task may go straight to the channel
        self._takers = 0  # tasks that wait for the reader
        self.sending = 0
        self.unwatched = False  # it waits for something else while somebody sends
        self.sends = 0  # since it last received
        self.reading = False
        self._reader: Any = None
        self._straight = 0
        self._buffer: Any = ()  # PERF: a deque takes 740 bytes, a thirtieth of a connection; the reader brings it
        self._bytes = 0
        self._settled = False  # the view has returned: nothing is cancelled any more
        self._fired = False

    def arrive(self) -> None:
        """Take note of the loop, in the request's own task."""
        try:
            self.loop = loop = asyncio.get_running_loop()
        except RuntimeError:
            self._task_now = trio.lowlevel.current_task
        else:
            self._task_now = partial(asyncio.current_task, loop)
        self.main = self._task_now()
        self._arrived, self._room, self.free = _Bell(self.loop), _Bell(self.loop), _Bell(self.loop)
        self.loop_thread = get_ident()
        self.is_idle = self.loop is not None and self.gone is None

    @property
    def reads_ahead(self) -> bool:
        """Whether messages are taken from the reader."""
        return self.reading or bool(self._buffer)

    @property
    def reads_on_loop(self) -> bool:
        """Whether a thread must leave the reading to the loop, where somebody reads or may begin to at any time."""
        return self.reads_ahead or (self._ctx is not None and self._ctx.on_loop)

    def is_home(self) -> bool:
        """Whether the loop that runs in this thread is the connection's; the first to come under WSGI is the portal."""
        if self.loop_thread:
            return self.loop_thread == get_ident()
        portal = current_portal()
        if portal is None or portal.loop is not asyncio._get_running_loop():
            return False
        self.arrive()
        return True

    # receiving

    async def receive(self) -> Message:
        """Wait for the next message; the disconnect again and again once it has come."""
        if self.gone is not None and not self._buffer:
            return self.gone
        if not self.reading and not self._buffer:
            # The other reader, if there is one: a task that was started eagerly (Python 3.12), before this one waited.
            if self._task_now() is self.main and not self.receiving:
                self.receiving = True
                try:
                    message = await self.channel.receive()
                finally:
                    self.receiving = False
                    if self.reading:  # another task has come for messages meanwhile
                        self.free.ring()
                self.sends = 0
                if message["type"] == "websocket.disconnect":
                    self.leave(message)
                return message
            self._read_ahead()
        return await self._take()

    def leave(self, message: Message) -> None:
        """Take note of the disconnect."""
        self.gone, self.is_idle = message, False

    async def _take(self) -> Message:
        is_main = self._task_now() is self.main
        self.sends = 0
        while not self._buffer:
            if self.gone is not None:
                return self.gone
            self._takers += 1
            self._taking = self._taking or is_main
            try:
                await self._arrived.wait()
            finally:
                self._takers -= 1
                if is_main:
                    self._taking = False
        message: Message = self._buffer.popleft()
        self._bytes -= _size(message)
        self._room.ring()
        self.is_idle = not self.reads_ahead and self.gone is None and self.loop is not None
        return message

    def _read_ahead(self) -> None:
        self.reading, self.is_idle = True, False
        self._straight = 0
        self._buffer = self._buffer or deque()
        if self._group is not None:
            self._group.start_soon(self._read)
        else:
            assert self.loop is not None  # some task of it has come here
            self._reader = self.loop.create_task(self._read())

    async def _read(self) -> None:
        if self.receiving:
            await self.free.wait()
        while self.gone is None:
            try:
                message = await self.channel.receive()
            except Exception:  # a server that does not tell it in another way
                message = {"type": "websocket.disconnect", "code": 1006}
            if message["type"] == "websocket.disconnect":
                self.leave(message)
                break
            self._buffer.append(message)
            self._bytes += _size(message)
            self._straight = self._straight + 1 if self._taking else 0
            self._arrived.ring()
            if self._straight >= STRAIGHT_RECEIVES and self._takers == 1:
                self.reading, self._reader = False, None
                return
            while len(self._buffer) >= MAX_AHEAD or self._bytes >= MAX_AHEAD_BYTES:
                await self._room.wait()
        told = self._takers - self._taking
        self._arrived.ring()
        await self._cancel_view(bool(told))

    # sending

    async def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            OSError: The client has gone.
        """
        self.sending += 1
        try:
            await self.channel.send(message)
        finally:
            self.sending -= 1
            if self.unwatched:
                self.watch_after_all()
        self.sends += 1
        if self.sends >= SENDS_A_TURN:
            await self.give_a_turn()

    async def give_a_turn(self) -> None:
        """Let others run, and be seen not to receive."""
        self.sends = 0
        await anyio.lowlevel.checkpoint()

    def watch_after_all(self) -> None:
        """Told at the end of a send while which the request's own task began to wait for something else."""
        self.unwatched = False
        if self._task_now() is not self.main and not self.receiving and not self._taking:
            self._watch()

    # the client's leaving

    def suspended(self) -> bool:
        """Told by the driver when the request's own task waits; it answers False, to be told again."""
        if self.receiving or self._taking:
            return False
        ctx = self._ctx
        if ctx is None or self._settled:
            return True
        if ctx.plan is None:  # nothing has matched yet
            return False
        if not ctx.plan.cancels:
            return True
        if not self.loop_thread:
            self.arrive()
        if self.sending:
            self.unwatched = True
        else:
            self._watch()
        return False

    def _watch(self) -> None:
        self._straight = 0
        if not self.reading and self.gone is None and self._ctx is not None and not self._ctx.starting:
            self._read_ahead()

    async def look(self) -> None:
        """Give the channel the chance to say that the client has left."""
        if self.gone is None and not self.reading and not self.receiving:
            self._read_ahead()
            for _ in range(3):
                await anyio.lowlevel.checkpoint()

    async def _cancel_view(self, told: bool) -> None:
        """Cancel what the view waits for, now that its client has left; `told`: a child task of it knows."""
        ctx = self._ctx
        if ctx is None or ctx.plan is None or not ctx.plan.cancels or self._taking:
            return
        if told or self.sending:
            await anyio.sleep(GRACE)
            for _ in range(GRACE_TURNS):
                await anyio.lowlevel.checkpoint()
        while not ctx.on_loop and not self._settled:
            await anyio.sleep(THREAD_POLL)
        if self._settled or self._taking:
            return
        self._fired = True
        if self._group is not None:
            self._group.cancel_scope.cancel()
        else:
            self.main.cancel()

    def settle(self) -> None:
        """Cancel nothing from now on: the view has returned."""
        self._settled = True

    def forgive(self) -> bool:
        """Whether nobody but this link has cancelled the request's task; takes its own cancellation back."""
        fired, self._fired = self._fired, False
        return fired and (self._group is not None or self.main.uncancel() == 0)

    def stop(self) -> None:
        """Let go of the task and the context: the request has ended."""
        self._settled = True
        self.leave(self.gone or {"type": "websocket.disconnect", "code": 1006})
        if self._fired and self._group is None:  # the view has swallowed the cancellation
            self.main.uncancel()
        self._fired = False
        reader, self._reader = self._reader, None
        if reader is not None:
            home = reader.get_loop()
            if self.loop_thread == get_ident():
                reader.cancel()
            else:
                home.call_soon_threadsafe(reader.cancel)
        self._ctx = self.main = None

    # what a WebSocket does beside its messages

    async def tell(self, signal: Signal, app: Any, data: str | bytes) -> None:
        """Send a signal with a message; `def` receivers are called right here and must not block."""
        for receiver in list(signal.receivers_for(app)):
            result = receiver(app, message=data)
            if hasattr(result, "__await__"):
                await result

    async def save_session(self, ctx: WebsocketContext, response: Response) -> None:
        """Save the session into a response, in whichever task."""
        if ctx is self._ctx and self._task_now() is self.main:
            try:
                await write_session(ctx, response)
            finally:
                if not ctx.on_loop:
                    await to_loop()
            return
        twin = ctx.copy()
        await ctx.app._drive(twin, write_session(twin, response))


def _size(message: Message) -> int:
    return len(message.get("text") or message.get("bytes") or b"")
