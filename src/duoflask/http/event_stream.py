"""The event stream format: server-sent events as bytes, and bytes as events (WHATWG HTML, 9.2 "Server-sent events").

Owns one event, how it is written, and an incremental parser. JSON is the caller's business.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["DEFAULT_MAX_EVENT_SIZE", "EVENT_STREAM", "MAX_EVENT_ID", "Event", "EventParser", "parse_event_id"]

EVENT_STREAM: Final = "text/event-stream"

# Of what a parser keeps of one event that has not ended; a WebSocket message of ours may be as long.
DEFAULT_MAX_EVENT_SIZE: Final = 16 << 20
# Of a Last-Event-ID, in characters: ours are some tens; servers allow 8 kB for a field.
MAX_EVENT_ID: Final = 4096

# The three line ends of the format; str.splitlines() knows more.
_LINE_END_RE: Final = re.compile(r"\r\n|\n|\r")


def _one_line(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"invalid {name} of an event; expected str; got {type(value).__name__}")
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError(f"invalid {name} of an event; expected one line without NUL; got {value[:80]!r}")
    return value


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event.

    Args:
        data: The text; its lines may end in LF, CR LF or CR, and arrive with LF. None sends none: the browser then
            dispatches no event, but takes note of `id` and `retry`. `sse()` writes anything else as JSON.
        event: The event's type, for `addEventListener`; None is "message".
        id: What the browser sends as `Last-Event-ID` when it connects again.
        retry: How long it waits before it connects again, in milliseconds.
        comment: Text that the browser ignores.

    Raises:
        TypeError: A part of another type.
        ValueError: A line end or NUL in `event` or `id`, or a negative `retry`.
    """

    data: Any = None
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        if self.event is not None:
            _one_line(self.event, "type")
        if self.id is not None:
            _one_line(self.id, "id")
        if self.retry is not None and (type(self.retry) is not int or self.retry < 0):
            raise ValueError(f"invalid retry of an event; expected milliseconds of 0 or more; got {self.retry!r}")
        if self.comment is not None and not isinstance(self.comment, str):
            raise TypeError(f"invalid comment of an event; expected str; got {type(self.comment).__name__}")

    def encode(self) -> bytes:
        """The event as it is sent. Lone surrogates, which UTF-8 cannot carry, become question marks.

        Raises:
            TypeError: The data is no text.
        """
        data = self.data
        if data is not None and not isinstance(data, str):
            raise TypeError(
                f"invalid data of an event; expected str; got {type(data).__name__}. Only sse() writes JSON; "
                "elsewhere use json.dumps(...)."
            )
        lines: list[str] = []
        if self.comment is not None:
            lines += [f": {line}" for line in _LINE_END_RE.split(self.comment)]
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {self.retry}")
        if data is not None:
            # The space is needed: a browser takes one away, and it may be the data's own.
            lines += [f"data: {line}" for line in _LINE_END_RE.split(data)]
        if not lines:
            lines.append(":")
        return "\n".join([*lines, "", ""]).encode("utf-8", "replace")


def parse_event_id(value: str | None) -> str | None:
    """The text of a Last-Event-ID field, whose UTF-8 arrives decoded as latin-1.

    Returns:
        None without a field, and for an id that no event can have had: with NUL or a line end, or too long.
    """
    if value is None or len(value) > MAX_EVENT_ID:
        return None
    try:
        text = value.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:  # already decoded, as in a test
        text = value
    return None if "\0" in text or "\n" in text or "\r" in text else text


class EventParser:
    """Read an event stream as browsers do, in pieces of any size.

    Args:
        max_event_size: The most characters that an event may have.
    """

    def __init__(self, max_event_size: int = DEFAULT_MAX_EVENT_SIZE) -> None:
        self.last_event_id = ""
        """What a browser would send as `Last-Event-ID`."""
        self.retry: int | None = None
        """The last `retry`, in milliseconds."""
        self.comments = 0
        """How many comment lines there were: heartbeats among them."""
        self._max = max_event_size
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("replace").decode
        self._pieces: list[str] = []  # of a line that has not ended
        self._pieces_size = 0
        self._after_cr = False
        self._data: list[str] = []
        self._data_size = 0
        self._event = ""
        self._id = ""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and return the events that they complete.

        Raises:
            ValueError: An event is longer than `max_event_size`.
        """
        text = self._decode(data)
        if self._after_cr and text:
            self._after_cr = False
            text = text.removeprefix("\n")
        self._after_cr = self._after_cr or text.endswith("\r")
        *lines, rest = _LINE_END_RE.split(text)
        events: list[Event] = []
        for line in lines:
            if self._pieces:
                line = "".join([*self._pieces, line])
                self._pieces.clear()
                self._pieces_size = 0
            self._take(line, events)
        if rest:
            self._pieces.append(rest)
            self._pieces_size += len(rest)
        if self._pieces_size + self._data_size > self._max:
            raise ValueError(f"the event is too long; expected at most {self._max} characters")
        return events

    def _take(self, line: str, events: list[Event]) -> None:
        if not line:
            self._dispatch(events)
            return
        name, _, value = line.partition(":")
        if not name:
            self.comments += 1
            return
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._data_size += len(value) + 1
        elif name == "event":
            self._event = value
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value.isascii() and value.isdigit() and len(value) < 20:
            self.retry = int(value)

    def _dispatch(self, events: list[Event]) -> None:
        self.last_event_id = self._id
        if self._data:
            event = Event("\n".join(self._data), id=self._id or None)
            object.__setattr__(event, "event", self._event or None)  # a peer's may hold NUL
            events.append(event)
        self._data, self._event, self._data_size = [], "", 0
