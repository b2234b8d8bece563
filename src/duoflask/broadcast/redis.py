"""The back end for several processes and machines: Redis or Valkey.

Owns two connections of a process (one that listens, one for commands), how they come back, and what is found out about
the time between. Everything here runs on the portal loop, one step at a time: no locks.

Theory of operation
-------------------
A script gives a message its number, keeps it in a stream of limited length, and sends it by PUBLISH: all in one step,
so that numbers, stream and arrival have one order. A process subscribes to a channel once, for all its subscribers.
Whenever Redis has confirmed a SUBSCRIBE, the reader stops reading and asks (the script `since`) what is kept behind
the last number that it has seen; what arrives meanwhile waits in the socket, and is skipped if its number is known by
then. So a connection that was lost costs no message that the stream still holds, and a gap is known to the number.

Redis may come back without its data, or with older data. Each process then tells it the highest number that it knows
of a channel, before the first message is published anew: numbers go on, in another epoch, and the jump says how many
messages are gone.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import random
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from .backend import Backend, BroadcastUnavailable, Subscriber, logger
from .message import UNKNOWN, Position, Record, lost_before, new_epoch
from .redis_scripts import PUBLISH, SINCE

__all__ = ["RedisBackend"]

# What PUBLISH carries: number, epoch, payload.
_BODY_RE: Final = re.compile(rb"([0-9]{1,15})-([0-9a-f]{1,16}) ")

# Seconds. A connection on which nothing has come for three pings is dead.
_PING_SECONDS: Final = 10.0
_SILENCE_SECONDS: Final = 30.0
# How long to wait before connecting again: doubled each time, with some chance, so that processes do not march in step.
_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 5.0
# A state outlives its stream, so that numbers go on: by a day.
_STATE_SECONDS: Final = 86_400.0
# Of how many channels a process remembers the highest number.
_KNOWN_CHANNELS: Final = 10_000


class _Channel:
    __slots__ = ("name", "position", "ready", "subscribers", "wanted")

    def __init__(self, name: str) -> None:
        self.name = name
        self.position: Position | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.subscribers: tuple[Subscriber, ...] = ()
        self.wanted = 0  # by those who are about to subscribe


class RedisBackend(Backend):
    """Carries messages between processes through Redis or Valkey, version 5 or later.

    Args:
        url: `redis://host:6379/0`, `rediss://...` (TLS) or `unix:///path/to/socket?db=0`, as redis-py reads it.
        history: How many messages of each channel are kept, at least; 0 for none.
        history_seconds: For how long, after the last one.
        prefix: What keys and channels start with.
        timeout: How long to wait for a connection, and for an answer, in seconds.

    Raises:
        RuntimeError: redis-py is not installed.
    """

    def __init__(
        self,
        url: str = "redis://localhost:6379/0",
        history: int = 1000,
        history_seconds: float = 3600.0,
        prefix: str = "broadcast:",
        timeout: float = 2.0,
    ) -> None:
        try:
            self._redis: Any = importlib.import_module("redis.asyncio")
        except ImportError:
            raise RuntimeError(
                "a Broadcast through Redis needs redis-py, which is not installed; do 'pip install duoflask[redis]'"
            ) from None
        self.url = "redis" + url.removeprefix("valkey") if url.startswith("valkey") else url
        self.prefix = prefix
        self.timeout = timeout
        parts = urlsplit(self.url)
        self.name = f"redis {parts.path if parts.scheme == 'unix' else parts.netloc.rpartition('@')[2] + parts.path}"
        self._history = history
        self._stream_ms = max(int(history_seconds * 1000), 1)
        self._state_ms = int((history_seconds + _STATE_SECONDS) * 1000)
        self._troubles = (self._redis.RedisError, OSError, TimeoutError, BroadcastUnavailable)
        self._forgotten: list[Any] = []
        self.forget()

    def forget(self) -> None:
        # kept: their end would close what the parent still uses, and warn
        self._forgotten.append(getattr(self, "__dict__", {}).copy())
        self._channels: dict[str, _Channel] = {}
        self._known: OrderedDict[str, Position] = OrderedDict()
        self._client: Any = None
        self._scripts: dict[str, Any] = {}
        self._turn = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._reader: asyncio.Task[None] | None = None
        self._connection: Any = None

    # -- commands

    def _make_client(self, **options: Any) -> Any:
        retry = importlib.import_module("redis.asyncio.retry").Retry
        backoff = importlib.import_module("redis.backoff").NoBackoff()
        # No retries: a command whose answer was lost may have been carried out.
        return self._redis.Redis.from_url(
            self.url, protocol=2, socket_connect_timeout=self.timeout, retry=retry(backoff, 0), **options
        )

    async def _call(self, name: str, channel: str, *args: Any) -> Any:
        """Run a script; the commands of a process go one after the other, in the order in which they were given."""
        async with asyncio.timeout(self.timeout), self._turn:
            if self._client is None:
                self._client = client = self._make_client(socket_timeout=self.timeout)
                scripts = (("publish", PUBLISH), ("since", SINCE))
                self._scripts = {key: client.register_script(text) for key, text in scripts}
            key = f"{self.prefix}{{{channel}}}"
            return await self._scripts[name]([f"{key}:at", f"{key}:log"], args)

    def _unavailable(self, error: BaseException) -> BroadcastUnavailable:
        logger.error("%s is unavailable: %s: %s", self.name, type(error).__name__, error)
        return BroadcastUnavailable()

    def _note(self, channel: str, position: Position) -> None:
        """Remember the highest number of a channel."""
        known = self._known
        if position.number >= known.get(channel, UNKNOWN).number:
            known[channel] = position
        known.move_to_end(channel)
        if len(known) > _KNOWN_CHANNELS:
            known.popitem(last=False)

    async def publish(self, channel: str, payload: bytes) -> int:
        known = self._known.get(channel, UNKNOWN)
        limits = (self._history, self._state_ms, self._stream_ms)
        args = (known.number, new_epoch(), payload, *limits, self.prefix + channel, known.epoch)
        try:
            number, epoch = await self._call("publish", channel, *args)
        except self._troubles as exc:
            raise self._unavailable(exc) from exc
        position = Position(int(number), epoch.decode())
        self._note(channel, position)
        return position.number

    async def _since(self, name: str, position: Position) -> tuple[Position, list[Record]]:
        """Where a channel stands, and what is kept behind a position."""
        known = self._known.get(name, UNKNOWN)
        args = (known.number, new_epoch(), self._state_ms, position.epoch, position.number, known.epoch)
        number, epoch, entries = await self._call("since", name, *args)
        word = epoch.decode()
        records = [
            Record(name, Position(int(key.partition(b"-")[0]), word), fields[1]) for key, fields in entries if fields
        ]
        return Position(int(number), word), records

    # -- subscribers

    async def attach(self, subscriber: Subscriber, after: Mapping[str, Position]) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                for name in subscriber.channels:
                    await self._attach_to(name, subscriber, after.get(name))
        except BaseException as exc:
            await self.detach(subscriber)
            if isinstance(exc, self._troubles):
                raise self._unavailable(exc) from exc
            raise

    async def _attach_to(self, name: str, subscriber: Subscriber, since: Position | None) -> None:
        channel = self._channels.get(name)
        if channel is None:
            self._channels[name] = channel = _Channel(name)
            await self._listen_to(name)
        channel.wanted += 1
        try:
            await asyncio.shield(channel.ready)
        finally:
            channel.wanted -= 1
        position = channel.position
        if position is None:  # closed meanwhile
            subscriber.end()
            return
        channel.subscribers += (subscriber,)
        subscriber.begin(name, position)
        if since is None or since == position:
            return
        _, kept = await self._since(name, since)
        # What has come since then is, or will be, delivered.
        records = [
            one for one in kept if one.position.number <= position.number and one.position.epoch == position.epoch
        ]
        first = records[0].position.number if records else position.number + 1
        subscriber.replay(records, lost_before(first, since))

    async def detach(self, subscriber: Subscriber) -> None:
        for name in subscriber.channels:
            channel = self._channels.get(name)
            if channel is None:
                continue
            channel.subscribers = tuple(one for one in channel.subscribers if one is not subscriber)
            if not channel.subscribers and not channel.wanted:
                del self._channels[name]
                await self._send("UNSUBSCRIBE", self.prefix + name)
        if not self._channels:
            await self._stop_reader()

    async def close(self) -> None:
        for channel in self._channels.values():
            for subscriber in channel.subscribers:
                subscriber.end()
            channel.position = None
            if not channel.ready.done():
                channel.ready.set_result(None)
        self._channels.clear()
        await self._stop_reader()
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    # -- the connection that listens

    async def _listen_to(self, name: str) -> None:
        if self._reader is None or self._reader.done():
            self._reader = asyncio.get_running_loop().create_task(self._read())
        else:
            await self._send("SUBSCRIBE", self.prefix + name)

    async def _send(self, *command: str) -> None:
        """Send a command on the connection that listens, if there is one; what goes wrong is the reader's to notice."""
        async with self._sending:
            connection = self._connection
            if connection is not None:
                try:
                    await connection.send_command(*command)
                except self._troubles:
                    pass

    async def _stop_reader(self) -> None:
        reader, self._reader = self._reader, None
        while reader is not None and not reader.done():
            reader.cancel()
            # more than once: redis-py uses asyncio.wait_for, which loses a cancellation before Python 3.12
            await asyncio.wait([reader], timeout=0.1)

    async def _read(self) -> None:
        """Listen as long as there are channels, and connect again and again."""
        wait, lost_at, began = _FIRST_WAIT, None, -math.inf
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        while self._reader is task:
            connection: Any = None
            try:
                connection = self._make_client(socket_timeout=None).connection_pool.make_connection()
                async with asyncio.timeout(self.timeout):
                    await connection.connect()
                if lost_at is not None:
                    logger.warning("the connection to %s is back after %.1f s", self.name, loop.time() - lost_at)
                    lost_at = None
                began = loop.time()
                await self._listen(connection)
            except Exception as exc:
                if lost_at is None:
                    lost_at = loop.time()
                    if lost_at - began > _LONGEST_WAIT:
                        wait = _FIRST_WAIT
                    logger.warning(
                        "the connection to %s is lost (%s: %s); %d channels wait for it, trying again",
                        *(self.name, type(exc).__name__, exc, len(self._channels)),
                        exc_info=not isinstance(exc, self._troubles),  # a mistake of ours must not end the reader
                    )
            finally:
                if self._connection is connection:
                    self._connection = None
                if connection is not None:
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _listen(self, connection: Any) -> None:
        names = [self.prefix + name for name in self._channels]  # a later one is sent by `_listen_to`
        self._connection = connection
        await connection.send_command("SUBSCRIBE", *names)
        loop = asyncio.get_running_loop()
        pinging = loop.create_task(self._ping())
        try:
            async with asyncio.timeout(_SILENCE_SECONDS) as silence:
                while True:
                    kind, *rest = await connection.read_response(disconnect_on_error=False)
                    if kind == b"message":
                        self._arrived(self._own_name(rest[0]), rest[1])
                    elif kind == b"subscribe":
                        await self._catch_up(self._own_name(rest[0]))
                    silence.reschedule(loop.time() + _SILENCE_SECONDS)
        finally:
            pinging.cancel()

    def _own_name(self, name: bytes) -> str:
        return name.decode()[len(self.prefix) :]

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(_PING_SECONDS)
            await self._send("PING", "")

    def _arrived(self, name: str, body: bytes) -> None:
        channel = self._channels.get(name)
        if channel is None or channel.position is None:  # unsubscribed, or not confirmed so far
            return
        match = _BODY_RE.match(body)
        if match is None:
            logger.warning("%s: channel %r carried something that no Broadcast has sent; ignored", self.name, name)
            return
        position = Position(int(match[1]), match[2].decode())
        self._advance(channel, Record(name, position, body[match.end() :]))

    def _advance(self, channel: _Channel, record: Record) -> None:
        """Deliver a message, unless it has been."""
        last, position = channel.position or UNKNOWN, record.position
        if position.epoch == last.epoch and position.number <= last.number:
            return
        missed = lost_before(position.number, last)
        if missed:
            self._log_missed(channel.name, last.number + 1, position.number - 1)
        channel.position = position
        self._note(channel.name, position)
        for subscriber in channel.subscribers:
            subscriber.deliver(record, missed)

    async def _catch_up(self, name: str) -> None:
        """After a SUBSCRIBE: deliver what has come since the last message that was seen."""
        channel = self._channels.get(name)
        if channel is None:
            return
        last = channel.position
        now, records = await self._since(name, last or UNKNOWN)
        self._note(name, now)
        if last is not None:
            for record in records:
                self._advance(channel, record)
            self._account_for(channel, last, now)
            if records:
                logger.warning("%d messages of channel %r were fetched that had come meanwhile", len(records), name)
        channel.position = now
        if not channel.ready.done():
            channel.ready.set_result(None)

    def _account_for(self, channel: _Channel, before: Position, now: Position) -> None:
        """Tell of what is lost without a later message that would show it."""
        last = channel.position or UNKNOWN
        if now.number > last.number:
            missed = now.number - last.number
            self._log_missed(channel.name, last.number + 1, now.number)
            for subscriber in channel.subscribers:
                subscriber.miss(missed)
        elif now.epoch != before.epoch and now.number < before.number:
            logger.warning(
                "%s has lost the numbers of channel %r; how many messages were missed behind %d is not known",
                *(self.name, channel.name, before.number),
            )

    def _log_missed(self, channel: str, first: int, last: int) -> None:
        logger.warning("missed %d messages of channel %r: %d to %d", last - first + 1, channel, first, last)
