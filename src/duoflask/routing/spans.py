"""Texts of several variables, cut without backtracking.

Owns where each variable of a part ends, for the built-in converters. Must not know rules or the tree.

Theory of operation. A regular expression for `<a>-<b>-<c>` tries, in the worst case, every combination of places:
the third power of the text's length. Here the text is read twice instead. Backwards, each element turns the set of
positions after it into the set of positions before it; a set is an integer whose bit p stands for position p, so that
one shift moves all of them. Forwards, each variable ends at the position of its set that its regular expression would
have preferred: the farthest one, for `path` the nearest. A class of characters repeated any number of times takes as
many shifts as its length has binary digits. All of it is linear in the text (and in the number of elements), but slower
than a regular expression on short ones: `Placeholder.values` chooses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from .converters import UUIDConverter

__all__ = ["Spans"]

_DIGITS_RE = re.compile(r"\d+")
_BOUNDS_RE = re.compile(r"\[\^/\]\{(\d+)(?:(,)(\d*))?\}")
_ANY_CHARACTER = "[^/]"
_DIGIT = r"\d"


class _Text:
    """A text, and the sets of positions at which something stands."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.length = len(text)
        self._known: dict[str, int] = {}

    def _set(self, runs: Iterable[tuple[int, int]]) -> int:
        flags = bytearray(b"0") * (self.length + 1)
        for start, end in runs:
            flags[self.length - end + 1 : self.length - start + 1] = b"1" * (end - start)
        return int(bytes(flags), 2)

    def places(self, literal: str) -> int:
        """Return where a literal text begins."""
        found = self._known.get(literal)
        if found is None:
            found = self._known[literal] = self._set((place, place + 1) for place in self._find(literal))
        return found

    def _find(self, literal: str) -> Iterator[int]:
        place = self.text.find(literal)
        while place >= 0:
            yield place
            place = self.text.find(literal, place + 1)

    def members(self, kind: str) -> int:
        """Return where a character of a class stands: any but a slash, or a digit."""
        if kind == _ANY_CHARACTER:
            return ((1 << self.length) - 1) & ~self.places("/")
        found = self._known.get(kind)
        if found is None:
            found = self._known[kind] = self._set(match.span() for match in _DIGITS_RE.finditer(self.text))
        return found

    def matches(self, pattern: re.Pattern[str]) -> int:
        """Return where a pattern of fixed length matches."""
        starts = [match.start() for match in re.compile(f"(?={pattern.pattern})").finditer(self.text)]
        return self._set((start, start + 1) for start in starts)


def _runs(members: int, length: int) -> int:
    """Return where at least `length` members follow each other."""
    have = 1
    while have < length:
        step = min(have, length - have)
        members &= members >> step
        have += step
    return members


def _repeated(members: int, after: int, least: int, most: int) -> int:
    """Return from where `least` to `most` members lead to a position of `after`."""
    have = 0
    while have < most - least:
        step = min(have + 1, most - least - have)
        after |= _runs(members, step) & (after >> step)
        have += step
    return after if not least else _runs(members, least) & (after >> least)


def _run_length(members: int, start: int) -> int:
    """Return how many members follow each other from `start`."""
    others = ~(members >> start)
    return (others & -others).bit_length() - 1


def _last(positions: int, low: int, high: int) -> int:
    """Return the last of the positions from `low` to `high`; one of them is there."""
    return ((positions >> low) & ((1 << (high - low + 1)) - 1)).bit_length() - 1 + low


class _Repeat:
    """`[^/]{least,most}`; most is None without a limit."""

    def __init__(self, least: int, most: int | None) -> None:
        self.least = least
        self.most = most

    def before(self, text: _Text, after: int) -> int:
        most = text.length if self.most is None else min(self.most, text.length)
        return _repeated(text.members(_ANY_CHARACTER), after, self.least, most) if most >= self.least else 0

    def end(self, text: _Text, start: int, after: int) -> int:
        length = _run_length(text.members(_ANY_CHARACTER), start)
        return _last(after, start + self.least, start + (length if self.most is None else min(self.most, length)))


class _Number:
    r"""`-?\d+` or `-?\d+\.\d+`, with or without the sign."""

    def __init__(self, signed: bool, point: bool) -> None:
        self.signed = signed
        self.point = point

    def before(self, text: _Text, after: int) -> int:
        digits = text.members(_DIGIT)
        after = _repeated(digits, after, 1, text.length)
        if self.point:
            after = _repeated(digits, text.places(".") & (after >> 1), 1, text.length)
        return after | (text.places("-") & (after >> 1)) if self.signed else after

    def end(self, text: _Text, start: int, after: int) -> int:
        digits = text.members(_DIGIT)
        if self.signed and text.text[start] == "-":
            start += 1
        if self.point:
            start += _run_length(digits, start) + 1
        return _last(after, start + 1, start + _run_length(digits, start))


class _Words:
    """One of some words; the first that fits."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words

    def before(self, text: _Text, after: int) -> int:
        found = 0
        for word in self.words:
            found |= text.places(word) & (after >> len(word))
        return found

    def end(self, text: _Text, start: int, after: int) -> int:
        ends = [start + len(word) for word in self.words if text.text.startswith(word, start)]
        return next(end for end in ends if after >> end & 1)


class _Fixed:
    """A pattern of fixed length."""

    def __init__(self, regex: str, length: int) -> None:
        self.pattern = re.compile(regex)
        self.length = length

    def before(self, text: _Text, after: int) -> int:
        return text.matches(self.pattern) & (after >> self.length)

    def end(self, text: _Text, start: int, after: int) -> int:
        return start + self.length


class _Path:
    """`[^/].*?`: the nearest end; only the first character may be a line feed."""

    def before(self, text: _Text, after: int) -> int:
        inside = ((1 << text.length) - 1) & ~text.places("\n")
        return text.members(_ANY_CHARACTER) & (_repeated(inside, after, 0, text.length) >> 1)

    def end(self, text: _Text, start: int, after: int) -> int:
        rest = after >> (start + 1)
        return start + (rest & -rest).bit_length()


_Kind = _Repeat | _Number | _Words | _Fixed | _Path
_KINDS: dict[str, _Kind] = {
    "[^/]+": _Repeat(1, None),
    "[^/].*?": _Path(),
    UUIDConverter.regex: _Fixed(UUIDConverter.regex, 36),
    **{
        ("-?" if signed else "") + (r"\d+\.\d+" if point else r"\d+"): _Number(signed, point)
        for signed in (False, True)
        for point in (False, True)
    },
}


def _kind_of(regex: str, words: Sequence[str] | None) -> _Kind | None:
    if words is not None:
        return _Words(words)
    bounds = _BOUNDS_RE.fullmatch(regex)
    if bounds is not None:
        least, comma, most = bounds.groups()
        return _Repeat(int(least), None if comma and not most else int(most or least))
    return _KINDS.get(regex)


class Spans:
    """A part's elements, in order: literal texts and kinds of variables."""

    def __init__(self, elements: Sequence[str | _Kind]) -> None:
        self.elements = elements

    @classmethod
    def of(cls, elements: Iterable[str | tuple[str, Sequence[str] | None]]) -> Spans | None:
        """Return the spans of a part, or None if one of its variables is not known here.

        Args:
            elements: a literal text, or a variable's regular expression and, for one of some words, the words.
        """
        known: list[str | _Kind] = []
        for element in elements:
            kind = element if isinstance(element, str) else _kind_of(*element)
            if kind is None:
                return None
            known.append(kind)
        return cls(known)

    def cut(self, whole: str) -> list[str] | None:
        """Return the variables' texts, or None if the text does not match as a whole."""
        text = _Text(whole)
        sets = [1 << text.length]
        for element in reversed(self.elements):
            after = sets[-1]
            if isinstance(element, str):
                sets.append(text.places(element) & (after >> len(element)))
            else:
                sets.append(element.before(text, after))
            if not sets[-1]:
                return None
        if not sets.pop() & 1:
            return None
        values = []
        start = 0
        for element in self.elements:
            after = sets.pop()
            if isinstance(element, str):
                start += len(element)
            else:
                end = element.end(text, start, after)
                values.append(whole[start:end])
                start = end
        return values
