"""multipart bodies as events: for programs that read, or write, one piece by piece without a form around it.

Owns the events, under the names that `werkzeug.sansio.multipart` has. What the bytes mean is `multipart`'s business.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .errors import RequestEntityTooLarge
from .headers import Headers
from .multipart import MultipartScanner, PartHead

__all__ = [
    "Data",
    "Epilogue",
    "Event",
    "Field",
    "File",
    "MultipartDecoder",
    "MultipartEncoder",
    "NeedData",
    "Preamble",
]

# What may follow the final delimiter in its line (RFC 2046 5.1.1).
_LINE_END_RE = re.compile(rb"[ \t]*(?:\r\n)?")


class Event:
    """A part of a body."""


@dataclass(frozen=True)
class Preamble(Event):
    """What stands before the first delimiter."""

    data: bytes


@dataclass(frozen=True)
class Field(Event):
    """The head of a part that is text."""

    name: str
    headers: Headers


@dataclass(frozen=True)
class File(Event):
    """The head of a part that is a file."""

    name: str
    filename: str
    headers: Headers


@dataclass(frozen=True)
class Data(Event):
    """A piece of a part, and whether more of it follows."""

    data: bytes
    more_data: bool


@dataclass(frozen=True)
class Epilogue(Event):
    """What stands behind the last delimiter; the end."""

    data: bytes


class NeedData(Event):
    """Nothing can be said before more bytes have come."""


_NEED_DATA: Final = NeedData()


class MultipartDecoder:
    """Turn bytes into events: a `Preamble`, for each part a head and its `Data`, an `Epilogue`.

    Args:
        boundary: Of the Content-Type.
        max_form_memory_size: The most bytes of text, all fields together; None for any number.
        max_parts: The most parts; None for any number.
    """

    def __init__(
        self, boundary: bytes, max_form_memory_size: int | None = None, *, max_parts: int | None = None
    ) -> None:
        self.boundary = boundary
        self.max_form_memory_size = max_form_memory_size
        self.max_parts = max_parts
        self.complete = False
        self._scanner = MultipartScanner(boundary)
        self._events: deque[Event] = deque()
        self._begin: list[bytes] | None = []  # what has come, until the first delimiter has
        self._end: list[bytes] = []
        self._received = 0
        self._parts = 0
        self._in_text = False
        self._texts = 0  # bytes of it
        self._kept = b""

    def receive_data(self, data: bytes | None) -> None:
        """Take the next bytes, or None at the end.

        Raises:
            InvalidMultipart: They are not what a boundary promises, or the final delimiter is missing. Also a
                ValueError.
            RequestEntityTooLarge: A limit is exceeded.
        """
        if data is None:
            self._scanner.finish()
            self.complete = True
            rest = b"".join(self._end)
            line_end = _LINE_END_RE.match(rest)
            self._events.append(Epilogue(rest[line_end.end() if line_end else 0 :]))
            return
        was_ended, start = self._scanner.ended, self._received
        self._received += len(data)
        found = list(self._scanner.feed(data))
        if self._begin is not None:
            self._begin.append(data)
            if self._scanner.begun:
                self._events.append(Preamble(self._preamble(b"".join(self._begin))))
                self._begin = None
        for place, item in enumerate(found):
            if isinstance(item, PartHead):
                self._events.append(self._head(item))
            elif isinstance(item, bytes):
                self._count(item)
                self._tell(item, ends=place + 1 < len(found) and found[place + 1] is None)
            elif not (place and isinstance(found[place - 1], bytes)):
                self._tell(b"", ends=True)
        if self._scanner.ended:
            self._end.append(data if was_ended else data[self._scanner.position - start :])

    def _tell(self, piece: bytes, *, ends: bool) -> None:
        """Make an event of a piece, but for a last line shorter than a delimiter: Werkzeug's decoder keeps it, too."""
        piece, self._kept = self._kept + piece, b""
        waits = ends or self._scanner.position < self._received  # for the rest of what may be a delimiter
        start = -1 if waits else max(piece.rfind(b"\n"), piece.rfind(b"\r"))
        if start >= 0:
            if piece[start - 1 : start + 1] == b"\r\n":
                start -= 1
            if len(piece) - start < len(self.boundary) + 4:
                piece, self._kept = piece[:start], piece[start:]
        if piece or ends:
            self._events.append(Data(piece, not ends))

    def _preamble(self, begin: bytes) -> bytes:
        delimiter = b"\r\n--" + self.boundary
        return begin[: max(0, (b"\r\n" + begin).find(delimiter) - 2)]

    def _head(self, part: PartHead) -> Event:
        self._parts += 1
        if self.max_parts is not None and self._parts > self.max_parts:
            raise RequestEntityTooLarge(f"the form has too many parts; expected at most {self.max_parts}")
        self._in_text = part.filename is None
        if part.filename is None:
            return Field(part.name, part.headers)
        return File(part.name, part.filename, part.headers)

    def _count(self, piece: bytes) -> None:
        if self._in_text and self.max_form_memory_size is not None:
            self._texts += len(piece)
            if self._texts > self.max_form_memory_size:
                raise RequestEntityTooLarge(
                    f"the form's texts are too large; expected at most {self.max_form_memory_size} bytes in sum"
                )

    def next_event(self) -> Event:
        """Return the next event; `NeedData` where there is none yet, and after the `Epilogue`."""
        return self._events.popleft() if self._events else _NEED_DATA


class MultipartEncoder:
    """Turn the same events into bytes.

    Args:
        boundary: It must not occur in the data.
    """

    def __init__(self, boundary: bytes) -> None:
        self.boundary = boundary
        self._in_part = False
        self._has_data = False

    def send_event(self, event: Event) -> bytes:
        """Return the bytes of an event.

        Raises:
            ValueError: It is not its turn.
        """
        if isinstance(event, (Field, File)):
            self._in_part, self._has_data = True, False
            return self._head(event)
        if isinstance(event, Data) and self._in_part:
            began, self._has_data = self._has_data, self._has_data or bool(event.data)
            return event.data if began or not event.data else b"\r\n" + event.data
        if isinstance(event, Preamble) and not self._in_part:
            return event.data
        if isinstance(event, Epilogue):
            return b"\r\n--" + self.boundary + b"--\r\n" + event.data
        raise ValueError(f"{event!r} cannot come here; expected a head, then its data")

    def _head(self, event: Field | File) -> bytes:
        names: Mapping[str, str] = {"name": event.name}
        if isinstance(event, File):
            names = {**names, "filename": event.filename}
        disposition = "".join(f'; {key}="{_quoted(text)}"' for key, text in names.items())
        lines = [f"--{self.boundary.decode('latin-1')}", f"Content-Disposition: form-data{disposition}"]
        lines += [f"{name}: {value}" for name, value in event.headers if name.lower() != "content-disposition"]
        return ("\r\n" + "\r\n".join(lines) + "\r\n").encode()


def _quoted(text: str) -> str:
    # HTML Standard, "multipart/form-data encoding algorithm": these three and nothing else.
    return text.replace("\n", "%0A").replace("\r", "%0D").replace('"', "%22")
