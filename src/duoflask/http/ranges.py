"""Byte ranges (RFC 9110 14): `Range`, `Content-Range`, and the layout of a multipart/byteranges body.

Owns what a range means for a given length, and the bounds that keep a hundred ranges from being a hundred copies.
Reads no file: who sends one asks for the plan of its pieces. Linear in what a peer sends, and never raises for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from .age import parse_decimal
from .etags import IfRange, parse_if_range_header
from .grammar import check_field_value

__all__ = [
    "DEFAULT_MAX_RANGES",
    "ByteRanges",
    "ContentRange",
    "IfRange",
    "Piece",
    "Range",
    "is_byte_range_valid",
    "parse_content_range_header",
    "parse_if_range_header",
    "parse_range_header",
    "plan_byteranges",
]

# RFC 9110 14.2 lets a server reject "a set of many small ranges". Apache's MaxRanges is 200; clients that load a PDF
# page by page ask for a dozen.
DEFAULT_MAX_RANGES: Final = 64


def _number(text: str) -> int | None:
    """Read plain digits; None for anything else, such as `+1`, `1_0` and other scripts' digits."""
    return parse_decimal(text.strip(" \t"))


def is_byte_range_valid(start: int | None, stop: int | None, length: int | None) -> bool:
    """Whether `start` to `stop` (not inclusive) is a range of `length` bytes; all may be unknown."""
    if start is None or stop is None:
        return start is stop and (length is None or length >= 0)
    if start >= stop:
        return False
    return start >= 0 if length is None else 0 <= start < length


class Range:
    """The value of a `Range`.

    Args:
        units: Such as `bytes`.
        ranges: Pairs of begin and end. The end is not inclusive; None means the end of the data, and a negative begin
            then counts from there.

    Raises:
        ValueError: A pair that is no range.
    """

    def __init__(self, units: str, ranges: Sequence[tuple[int, int | None]]) -> None:
        self.units = units
        self.ranges = ranges
        for begin, end in ranges:
            if begin is None or (end is not None and not 0 <= begin < end):
                raise ValueError(f"invalid range; expected (begin, end) with 0 <= begin < end; got {(begin, end)}")

    def range_for_length(self, length: int | None) -> tuple[int, int] | None:
        """Return begin and end of the one range in `length` bytes; None if it is not one, or not satisfiable."""
        if self.units != "bytes" or length is None or len(self.ranges) != 1:
            return None
        return _resolve(*self.ranges[0], length)

    def ranges_for_length(self, length: int) -> list[tuple[int, int]]:
        """Return the ranges that `length` bytes satisfy, in order, those that overlap or touch as one.

        However many there are, they are not more than the data itself. An empty list means 416.
        """
        if self.units != "bytes":
            return []
        found = sorted(pair for item in self.ranges if (pair := _resolve(*item, length)) is not None)
        merged: list[tuple[int, int]] = []
        for begin, end in found:
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        return merged

    def make_content_range(self, length: int | None) -> ContentRange | None:
        """Return the `ContentRange` of the one range in `length` bytes; None as in `range_for_length`."""
        pair = self.range_for_length(length)
        return None if pair is None else ContentRange(self.units, pair[0], pair[1], length)

    def to_header(self) -> str:
        """Return the field's value."""
        items = []
        for begin, end in self.ranges:
            if end is not None:
                items.append(f"{begin}-{end - 1}")
            else:
                items.append(f"{begin}-" if begin >= 0 else str(begin))
        return f"{self.units}={','.join(items)}"

    def to_content_range_header(self, length: int | None) -> str | None:
        """Return the value of the `Content-Range` for the one range; None as in `range_for_length`."""
        pair = self.range_for_length(length)
        return None if pair is None else f"{self.units} {pair[0]}-{pair[1] - 1}/{length}"

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self)!r}>"


def _resolve(begin: int, end: int | None, length: int) -> tuple[int, int] | None:
    """A range's begin and end in `length` bytes; None if it lies outside (RFC 9110 14.1.2)."""
    if begin < 0:
        begin = max(begin + length, 0)  # a suffix that is longer than the data means all of it
    end = length if end is None else min(end, length)
    return (begin, end) if begin < end else None


def parse_range_header(
    value: str | None, make_inclusive: bool = True, max_ranges: int | None = DEFAULT_MAX_RANGES
) -> Range | None:
    """Read the value of a `Range` (RFC 9110 14.1.1).

    Args:
        value: The value.
        make_inclusive: Without meaning, as in Werkzeug.
        max_ranges: The most ranges to accept; None for any number.

    Returns:
        The ranges, in the order of the field; None if it is malformed or has too many of them.
    """
    if not value or "=" not in value:
        return None
    units, _, rest = value.partition("=")
    if max_ranges is not None and rest.count(",") >= max_ranges:
        return None
    ranges: list[tuple[int, int | None]] = []
    for item in rest.split(","):
        item = item.strip(" \t")
        if not item:
            continue  # RFC 9110 5.6.1.2
        first, dash, last = item.partition("-")
        if not dash:
            return None
        if not first:
            suffix = _number(last) if last[:1].isdigit() else None
            if not suffix:
                return None
            ranges.append((-suffix, None))
            continue
        begin = _number(first)
        end = _number(last) if last else None
        if begin is None or (last.strip(" \t") and (end is None or end < begin)):
            return None
        ranges.append((begin, None if end is None else end + 1))
    return Range(units.strip(" \t").lower(), ranges) if ranges else None


class ContentRange:
    """The value of a `Content-Range` (RFC 9110 14.4). Assigning an attribute calls `on_update`.

    Args:
        units: Such as `bytes`; None for a field that is not there.
        start: The first byte; None for `*`.
        stop: The end, not inclusive; None for `*`.
        length: The whole length; None if it is unknown.
        on_update: Called with this object after each change.

    Raises:
        ValueError: A range that `length` cannot have.
    """

    def __init__(
        self,
        units: str | None,
        start: int | None,
        stop: int | None,
        length: int | None = None,
        on_update: Callable[[ContentRange], Any] | None = None,
    ) -> None:
        self.on_update = on_update
        self.set(start, stop, length, units)

    units: str | None
    start: int | None
    stop: int | None
    length: int | None

    def set(self, start: int | None, stop: int | None, length: int | None = None, units: str | None = "bytes") -> None:
        """Set all four at once.

        Raises:
            ValueError: A range that `length` cannot have.
        """
        if not is_byte_range_valid(start, stop, length):
            raise ValueError(
                f"invalid range; expected 0 <= start < stop, start < length; got {start!r} to {stop!r} of {length!r}"
            )
        self.__dict__.update(units=units, start=start, stop=stop, length=length)
        self._updated()

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value
        if name in ("units", "start", "stop", "length"):
            self._updated()

    def _updated(self) -> None:
        if self.on_update is not None:
            self.on_update(self)

    def unset(self) -> None:
        """Remove the field."""
        self.set(None, None, units=None)

    def to_header(self) -> str:
        """Return the field's value; empty if there is none."""
        if self.units is None:
            return ""
        length = "*" if self.length is None else self.length
        if self.start is None or self.stop is None:
            return f"{self.units} */{length}"
        return f"{self.units} {self.start}-{self.stop - 1}/{length}"

    def __bool__(self) -> bool:
        return self.units is not None

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self)!r}>"


def parse_content_range_header(
    value: str | None, on_update: Callable[[ContentRange], Any] | None = None
) -> ContentRange | None:
    """Read the value of a `Content-Range`; None if it is malformed.

    Args:
        value: The value.
        on_update: Called with the result after each change of it.
    """
    if not value:
        return None
    units, _, rest = value.strip(" \t").partition(" ")
    place, slash, whole = rest.partition("/")
    if not slash:
        return None
    length = None if whole == "*" else _number(whole)
    if length is None and whole != "*":
        return None
    if place == "*":
        return ContentRange(units, None, None, length, on_update)
    first, dash, last = place.partition("-")
    start, end = _number(first), _number(last)
    if not dash or start is None or end is None or not is_byte_range_valid(start, end + 1, length):
        return None
    return ContentRange(units, start, end + 1, length, on_update)


class Piece(NamedTuple):
    """One part of a multipart/byteranges body: what stands before it, and where it is in the data."""

    head: bytes
    start: int
    stop: int


class ByteRanges(NamedTuple):
    """How a multipart/byteranges body is put together (RFC 9110 14.6)."""

    content_type: str
    pieces: list[Piece]
    tail: bytes
    content_length: int


def plan_byteranges(
    ranges: Sequence[tuple[int, int]], length: int, content_type: str | None, boundary: str
) -> ByteRanges:
    """Plan the body that carries several ranges; each piece is its `head`, then the data from start to stop.

    Args:
        ranges: Begin and end of each, as `Range.ranges_for_length` gives them.
        length: The length of the data.
        content_type: The Content-Type of the data; None if it has none.
        boundary: What separates the parts; random, so that it is not in the data.

    Raises:
        ValueError: A content type that is no field value.
    """
    kind = "" if content_type is None else f"Content-Type: {check_field_value(content_type)}\r\n"
    pieces = []
    total = 0
    for start, stop in ranges:
        lines = f"\r\n--{boundary}\r\n{kind}Content-Range: bytes {start}-{stop - 1}/{length}\r\n\r\n"
        pieces.append(Piece(lines.encode("latin-1"), start, stop))
        total += len(pieces[-1].head) + stop - start
    tail = f"\r\n--{boundary}--\r\n".encode("latin-1")
    return ByteRanges(f"multipart/byteranges; boundary={boundary}", pieces, tail, total + len(tail))
