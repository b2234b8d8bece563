"""The Accept fields (RFC 9110 12.5): what the client would like, with a quality from 0 to 1.

`Accept` serves encodings; media types, languages and charsets are compared in ways of their own. Reading is
linear in the field's length, and so is each question.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from encodings.aliases import aliases
from operator import itemgetter
from typing import Any

from .immutable import ImmutableList
from .options import dump_options_header, parse_list_header, parse_options_header

__all__ = [
    "DEFAULT_MAX_ACCEPT_RANGES",
    "Accept",
    "CharsetAccept",
    "LanguageAccept",
    "MIMEAccept",
    "parse_accept_header",
]

# Each question asks every range. Browsers send fewer than 20; a line of 8190 bytes, what servers take, holds 4095.
DEFAULT_MAX_ACCEPT_RANGES = 1000

# RFC 9110 12.4.2 allows three digits behind the point; more do no harm.
_QUALITY_RE = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_MAX_QUALITY_LENGTH = 64

_LANGUAGE_SEPARATOR_RE = re.compile("[_-]")
_CHARSET_SEPARATOR_RE = re.compile("[^a-z0-9]+")
_CHARSETS = frozenset(aliases.values())


class Accept(ImmutableList[tuple[str, float]]):
    """A list of ranges and their quality, the most specific first, then the one with the highest quality.

    Args:
        values: Pairs, another `Accept`, or None if the field is missing.
    """

    provided: bool
    """Whether the field was there."""

    def __init__(self, values: Iterable[tuple[str, float]] | None = ()) -> None:
        if values is None:
            list.__init__(self)
            self.provided = False
        elif isinstance(values, Accept):
            list.__init__(self, values)
            self.provided = values.provided
        else:
            pairs = [(str(value), quality) for value, quality in values]
            # stable sorts: what is equal keeps the client's order
            pairs.sort(key=itemgetter(1), reverse=True)
            pairs.sort(key=lambda pair: self._specificity(pair[0]), reverse=True)
            list.__init__(self, pairs)
            self.provided = True

    def _specificity(self, item: str) -> tuple[Any, ...]:
        """Return what a range is sorted by; a wildcard is the least specific."""
        return (item != "*",)

    def _value_matches(self, value: str, item: str) -> bool:
        """Say whether `value`, which we offer, is in the range `item`."""
        return item == "*" or item.lower() == value.lower()

    def _find_match(self, value: str) -> tuple[str, float] | None:
        for pair in self:
            if self._value_matches(value, pair[0]):
                return pair
        return None

    def __getitem__(self, key: Any) -> Any:
        """Return the quality of a str, or the pair at an index."""
        return self.quality(key) if isinstance(key, str) else list.__getitem__(self, key)

    def quality(self, key: str) -> float:
        """Return the quality of a value: that of the most specific range it is in, else 0."""
        pair = self._find_match(key)
        return 0 if pair is None else pair[1]

    def __contains__(self, value: object) -> bool:
        """Say whether a value is acceptable: a quality of 0 says that it is not (RFC 9110 12.4.2)."""
        return self.quality(value) > 0 if isinstance(value, str) else list.__contains__(self, value)

    def index(self, key: Any, *args: Any) -> int:
        """Return the place of the range that a value is in, or of a pair.

        Raises:
            ValueError: There is none.
        """
        if not isinstance(key, str):
            return list.index(self, key, *args)
        for place, (item, _) in enumerate(self):
            if self._value_matches(key, item):
                return place
        raise ValueError(key)

    def find(self, key: str | tuple[str, float]) -> int:
        """Return the place of the range that a value is in, or of a pair; -1 if there is none."""
        try:
            return self.index(key)
        except ValueError:
            return -1

    def values(self) -> Iterator[str]:
        """Yield the ranges."""
        for item, _ in self:
            yield item

    @property
    def best(self) -> str | None:
        """The first range that is acceptable; None if there is none."""
        for item, quality in self:
            if quality > 0:
                return item
        return None

    def best_match(self, matches: Iterable[str], default: str | None = None) -> str | None:
        """Return the one of `matches` that the client likes best.

        Args:
            matches: What can be had, best first.
            default: Returned if nothing is acceptable.
        """
        result = default
        best: tuple[Any, ...] = (0,)
        for value in matches:
            pair = self._find_match(value)
            if pair is not None and pair[1] > 0:
                rank = (pair[1], self._specificity(pair[0]))
                if rank > best:
                    result, best = value, rank
        return result

    def to_header(self) -> str:
        """Return the header's value."""
        return ",".join([item if quality == 1 else f"{item};q={quality}" for item, quality in self])

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"


class MIMEAccept(Accept):
    """Media types: `text/*` and `*/*` are ranges, parameters must be the same.

    A value without `/` raises ValueError where it is asked for.
    """

    def _specificity(self, item: str) -> tuple[Any, ...]:
        return tuple([part.strip() != "*" for part in item.replace(";", "/").split("/")])

    def _value_matches(self, value: str, item: str) -> bool:
        if "/" not in item:
            return False  # the client's mistake
        if "/" not in value:
            raise ValueError(f"invalid media type; expected 'type/subtype'; got {value!r}")
        kind, subtype, parameters = _split_media_type(value)
        if kind == "*" and subtype != "*":
            raise ValueError(f"invalid media type; expected '*/*' or a type; got {value!r}")
        item_kind, item_subtype, item_parameters = _split_media_type(item)
        if item_kind == "*":
            return item_subtype == "*"
        if kind == "*":
            return True
        if kind != item_kind:
            return False
        return subtype == "*" or item_subtype == "*" or (subtype == item_subtype and parameters == item_parameters)

    @property
    def accept_html(self) -> bool:
        """Whether HTML is acceptable."""
        return self.quality("text/html") > 0 or self.accept_xhtml

    @property
    def accept_xhtml(self) -> bool:
        """Whether XHTML is acceptable."""
        return self.quality("application/xhtml+xml") > 0 or self.quality("application/xml") > 0

    @property
    def accept_json(self) -> bool:
        """Whether JSON is acceptable."""
        return self.quality("application/json") > 0


def _split_media_type(text: str) -> tuple[str, str, list[str]]:
    kind, subtype, *parameters = text.lower().replace("/", ";").split(";")  # of two slashes too: `*/*/x` is `*/*`
    return kind.strip(), subtype.strip(), sorted([parameter.strip() for parameter in parameters])


class LanguageAccept(Accept):
    """Languages: `en_US` is `en-us`; a value that is missing is looked for by its primary tag."""

    def _value_matches(self, value: str, item: str) -> bool:
        # neither case nor separator changes the length
        return item == "*" or (len(item) == len(value) and _split_language(item) == _split_language(value))

    def best_match(self, matches: Iterable[str], default: str | None = None) -> str | None:
        """Return the one of `matches` that the client likes best.

        Failing an exact match, `en-US` is satisfied by `en`, and `en` by `en-US` (RFC 4647 3.4).

        Args:
            matches: What can be had, best first.
            default: Returned if nothing is acceptable.
        """
        matches = list(matches)
        result = super().best_match(matches)
        if result is not None:
            return result
        shortened = Accept([(_primary_tag(item), quality) for item, quality in self])
        result = shortened.best_match(matches)
        if result is not None:
            return result
        primary = super().best_match([_primary_tag(value) for value in matches])
        if primary is None:
            return default
        return next(value for value in matches if _primary_tag(value) == primary)


def _split_language(tag: str) -> list[str]:
    return _LANGUAGE_SEPARATOR_RE.split(tag.lower())


def _primary_tag(tag: str) -> str:
    return _LANGUAGE_SEPARATOR_RE.split(tag, maxsplit=1)[0]


class CharsetAccept(Accept):
    """Charsets: names that mean the same encoding are the same."""

    def _value_matches(self, value: str, item: str) -> bool:
        return item == "*" or _normalize_charset(item) == _normalize_charset(value)


def _normalize_charset(name: str) -> str:
    # not `codecs.lookup`: it imports modules by the client's word and remembers every unknown name
    key = _CHARSET_SEPARATOR_RE.sub("_", name.lower()).strip("_")
    if key in aliases:
        return aliases[key]
    return key if key in _CHARSETS else name.lower()


def parse_accept_header(value: str | None, cls: type[Any] | None = None) -> Any:
    """Read an Accept field; ranges with an invalid quality, and those behind the first 1000, are dropped.

    Args:
        value: The field; None or an empty one accepts nothing.
        cls: The class to make, `Accept` if None.
    """
    if cls is None:
        cls = Accept
    if not value:
        return cls(None)
    result: list[tuple[str, float]] = []
    for item in parse_list_header(value)[:DEFAULT_MAX_ACCEPT_RANGES]:
        if ";" not in item:
            result.append((item.strip(), 1))
            continue
        item, options = parse_options_header(item)
        quality = options.pop("q", None)
        weight = 1 if quality is None else _parse_quality(quality)
        if weight is not None:
            result.append((dump_options_header(item, options) if options else item, weight))
    return cls(result)


def _parse_quality(text: str) -> float | None:
    text = text.strip()
    if len(text) > _MAX_QUALITY_LENGTH or _QUALITY_RE.fullmatch(text) is None:
        return None
    quality = float(text)
    return quality if 0 <= quality <= 1 else None
