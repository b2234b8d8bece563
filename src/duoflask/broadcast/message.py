"""A message of a channel: its place in the channel, its data, and the ids by which a subscriber resumes.

Owns the numbering's vocabulary and how data travels as bytes. Knows no back end and no subscriber.

A channel's messages are numbered from 1 without gaps. Where the one who numbers forgets (a restart), another *epoch*
begins, a random word: numbers of two epochs say nothing about each other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

from ..http.event_stream import Event
from ..json import dumps, loads

__all__ = [
    "MAX_CHANNEL_LENGTH",
    "UNKNOWN",
    "Message",
    "Position",
    "Record",
    "check_channel",
    "dump_payload",
    "dump_positions",
    "lost_before",
    "new_epoch",
    "parse_positions",
]

# A room's name may come from a URL; Redis keeps keys of three times the size for each channel.
MAX_CHANNEL_LENGTH: Final = 500

_POSITION_RE: Final = re.compile(r"([0-9]{1,15})-([0-9a-f]{0,16})")


class Position(NamedTuple):
    """A place in a channel: behind the message of this number."""

    number: int
    epoch: str

    def __str__(self) -> str:
        return f"{self.number}-{self.epoch}"


UNKNOWN: Final = Position(0, "")


def new_epoch() -> str:
    """A word that no other epoch has."""
    return os.urandom(4).hex()


def lost_before(number: int, position: Position) -> int:
    """How many messages are missing between a position and the next message that there is; as far as is known."""
    return max(0, number - position.number - 1)


class Record:
    """A message as all subscribers of a process share it."""

    __slots__ = ("_data", "_event", "channel", "payload", "position")

    def __init__(self, channel: str, position: Position, payload: bytes) -> None:
        self.channel = channel
        self.position = position
        self.payload = payload

    @property
    def data(self) -> Any:
        """What was published, read once."""
        try:
            return self._data
        except AttributeError:
            self._data: Any = _parse_payload(self.payload)
            return self._data

    @property
    def event(self) -> bytes:
        """The server-sent event of a subscriber of this channel alone, made once."""
        try:
            return self._event
        except AttributeError:
            self._event: bytes = _event(self.data, str(self.position), 0)
            return self._event


class Message:
    """What a subscriber gets.

    Do not change `data`: all subscribers of a process share it.
    """

    __slots__ = ("_record", "id", "missed")

    def __init__(self, record: Record, id: str, missed: int) -> None:
        self._record = record
        self.id = id
        """What `subscribe(after=...)` takes to go on behind this message: the id of its server-sent event."""
        self.missed = missed
        """How many messages this subscriber has lost directly before: it was slow, or Redis was away."""

    @property
    def channel(self) -> str:
        """Its channel."""
        return self._record.channel

    @property
    def data(self) -> Any:
        """What was published: text, bytes, or what JSON has made of it."""
        return self._record.data

    @property
    def number(self) -> int:
        """Its number in the channel."""
        return self._record.position.number

    def encode_event(self) -> bytes:
        """The message as a server-sent event, for `sse()`; what was missed is a comment."""
        if not self.missed and self.id == str(self._record.position):
            return self._record.event
        return _event(self.data, self.id, self.missed)

    def __repr__(self) -> str:
        return f"<Message {self.number} of {self.channel!r}: {self.data!r:.60}>"


def _event(data: Any, id: str, missed: int) -> bytes:
    if isinstance(data, bytes):
        raise TypeError(
            "a message of bytes cannot be sent as a server-sent event; publish text or what can be JSON, or iterate "
            "the subscription and yield what is to be sent."
        )
    comment = f"missed {missed}" if missed else None
    return Event(data if isinstance(data, str) else dumps(data), id=id, comment=comment).encode()


def check_channel(name: Any) -> str:
    """Return a channel's name.

    Raises:
        TypeError: It is no text.
        ValueError: It is empty, longer than 500 characters, or no UTF-8.
    """
    if not isinstance(name, str):
        raise TypeError(f"invalid channel; expected str; got {type(name).__name__}")
    if not 0 < len(name) <= MAX_CHANNEL_LENGTH:
        raise ValueError(f"invalid channel; expected 1 to {MAX_CHANNEL_LENGTH} characters; got {len(name)}")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"invalid channel; expected text that UTF-8 can carry; got {name[:80]!r}") from None
    return name


def dump_payload(data: Any) -> bytes:
    """What is published as bytes, of which the first names the kind.

    Raises:
        TypeError: Neither text nor bytes, and the app's JSON cannot write it.
    """
    if isinstance(data, str):
        return b"t" + data.encode("utf-8", "surrogatepass")
    if isinstance(data, (bytes, bytearray, memoryview)):
        return b"b" + bytes(data)
    return b"j" + dumps(data).encode("utf-8", "surrogatepass")


def _parse_payload(payload: bytes) -> Any:
    kind, rest = payload[:1], payload[1:]
    if kind == b"b":
        return rest
    text = rest.decode("utf-8", "surrogatepass")
    return loads(text) if kind == b"j" else text


def dump_positions(positions: Mapping[str, Position]) -> str:
    """A subscriber's places in all its channels as one line."""
    if len(positions) == 1:
        return str(*positions.values())
    return "&".join([f"{quote(name, safe='')}={position}" for name, position in positions.items()])


def parse_positions(text: str | None, channels: Iterable[str]) -> dict[str, Position]:
    """The places that an id names, of these channels; a peer sends it, and what is malformed is left out."""
    names = list(channels)
    if not text:
        return {}
    pairs = [(quote(names[0], safe=""), text)] if len(names) == 1 and "=" not in text else []
    for part in [] if pairs else text.split("&"):
        name, _, value = part.partition("=")
        pairs.append((name, value))
    wanted, found = set(names), {}
    for quoted, value in pairs:
        name = unquote(quoted)
        match = _POSITION_RE.fullmatch(value)
        if match is not None and name in wanted:
            found[name] = Position(int(match[1]), match[2])
    return found
