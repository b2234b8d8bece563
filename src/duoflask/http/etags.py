"""Validators (RFC 9110 8.8) and the preconditions that a request makes of them (RFC 9110 13).

Owns entity-tags, `If-Range`, and what a precondition is evaluated to. Knows no response: who asks has the ETag and
the date. Everything is linear in what a peer sends and never raises for it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..lazy import LazyModule
from .dates import http_date, parse_date
from .header_views import EnvironHeaders, ScopeHeaders

if TYPE_CHECKING:
    import hashlib
else:
    hashlib = LazyModule("hashlib")

__all__ = [
    "ETags",
    "IfRange",
    "evaluate_preconditions",
    "fields_of",
    "generate_etag",
    "is_resource_modified",
    "parse_etags",
    "parse_if_range_header",
    "quote_etag",
    "range_still_applies",
    "unquote_etag",
]

# entity-tag = [ weak ] opaque-tag; weak = %s"W/"; opaque-tag = DQUOTE *etagc DQUOTE (RFC 9110 8.8.3)
# As in Werkzeug "w/" is read, and a value without quotes, which some clients send.
_ETAG_RE = re.compile(r'[ \t]*+([Ww]/)?(?:"([^"]*+)"|([^" \t,]++))[ \t]*+(?:,|\Z)')


class ETags(Collection[str]):
    """The entity-tags of an `If-Match` or `If-None-Match`; as a collection, the strong ones.

    Args:
        strong_etags: Tags without quotes; left out if `star_tag`.
        weak_etags: Tags without quotes and `W/`.
        star_tag: The field is `*`, which stands for every tag.
    """

    def __init__(
        self,
        strong_etags: Iterable[str] | None = None,
        weak_etags: Iterable[str] | None = None,
        star_tag: bool = False,
    ) -> None:
        self._strong = frozenset(() if star_tag or not strong_etags else strong_etags)
        self._weak = frozenset(weak_etags or ())
        self.star_tag = star_tag

    def as_set(self, include_weak: bool = False) -> set[str]:
        """Return the strong tags, and the weak ones if `include_weak`, as a set."""
        return set(self._strong | self._weak) if include_weak else set(self._strong)

    def is_weak(self, etag: str) -> bool:
        """Whether the tag is among the weak ones."""
        return etag in self._weak

    def is_strong(self, etag: str) -> bool:
        """Whether the tag is among the strong ones."""
        return etag in self._strong

    def contains(self, etag: str) -> bool:
        """Whether the tag is among the strong ones, or the field is `*`."""
        return self.star_tag or etag in self._strong

    def contains_weak(self, etag: str) -> bool:
        """Whether the tag is among the weak or strong ones (weak comparison), or the field is `*`."""
        return etag in self._weak or self.contains(etag)

    def contains_raw(self, etag: str) -> bool:
        """Compare a tag in its quotes: a weak one (`W/"x"`) with all of them, another with the strong ones."""
        tag, weak = unquote_etag(etag)
        if tag is None:
            return self.star_tag
        return self.contains_weak(tag) if weak else self.contains(tag)

    def to_header(self) -> str:
        """Return the field's value."""
        if self.star_tag:
            return "*"
        return ", ".join([f'"{tag}"' for tag in self._strong] + [f'W/"{tag}"' for tag in self._weak])

    def __call__(self, etag: str | None = None, data: bytes | None = None, include_weak: bool = False) -> bool:
        if etag is None:
            if data is None:
                raise TypeError("nothing to compare; write etags(etag) or etags(data=data)")
            etag = generate_etag(data)
        return etag in self._strong or (include_weak and etag in self._weak)

    def __bool__(self) -> bool:
        return bool(self.star_tag or self._strong or self._weak)

    def __str__(self) -> str:
        return self.to_header()

    def __len__(self) -> int:
        return len(self._strong)

    def __iter__(self) -> Iterator[str]:
        return iter(self._strong)

    def __contains__(self, etag: object) -> bool:
        return self.star_tag or etag in self._strong

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self)!r}>"


def parse_etags(value: str | None) -> ETags:
    """Read the value of an `If-Match` or `If-None-Match`; what is no tag is left out."""
    if not value:
        return ETags()
    if value.strip(" \t") == "*":
        return ETags(star_tag=True)
    strong: list[str] = []
    weak: list[str] = []
    position = 0
    while True:
        match = _ETAG_RE.match(value, position)
        if match is not None:
            mark, quoted, bare = match.groups()
            (weak if mark else strong).append(bare if quoted is None else quoted)
            position = match.end()
        else:
            position = value.find(",", position) + 1
            if position == 0:
                return ETags(strong, weak)


def quote_etag(etag: str, weak: bool = False) -> str:
    """Return a tag in quotes, marked `W/` if it is weak.

    Raises:
        ValueError: It holds a quote (RFC 9110 8.8.3).
    """
    if '"' in etag:
        raise ValueError(f"invalid etag; expected text without quotes; got {etag[:100]!r}")
    return f'W/"{etag}"' if weak else f'"{etag}"'


def unquote_etag(etag: str | None) -> tuple[str, bool] | tuple[None, None]:
    """Return a tag without its quotes and whether it is weak; `(None, None)` for nothing."""
    if not etag:
        return None, None
    weak = etag.startswith(("W/", "w/"))
    if weak:
        etag = etag[2:]
    if etag[:1] == etag[-1:] == '"':
        etag = etag[1:-1]
    return etag, weak


def generate_etag(data: bytes) -> str:
    """Return the tag that a body gets: its SHA-1, as in Flask 3.1, so that clients' caches stay valid."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


class IfRange:
    """The value of an `If-Range`: a tag, a date, or neither (RFC 9110 13.1.5).

    Args:
        etag: The tag without its quotes.
        date: The date, instead of a tag.
        weak: The tag was weak: such a one matches nothing. `to_header` does not tell it, as in Werkzeug.
    """

    def __init__(self, etag: str | None = None, date: datetime | None = None, weak: bool = False) -> None:
        self.etag = etag
        self.date = date
        self.weak = weak

    def to_header(self) -> str:
        """Return the field's value."""
        if self.date is not None:
            return http_date(self.date)
        return "" if self.etag is None else quote_etag(self.etag)

    def __str__(self) -> str:
        return self.to_header()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self)!r}>"


def parse_if_range_header(value: str | None) -> IfRange:
    """Read the value of an `If-Range`."""
    if not value:
        return IfRange()
    # RFC 9110 13.1.5: a quote among the first three characters tells a tag from a date.
    if '"' not in value[:3]:
        date = parse_date(value)
        if date is not None:
            return IfRange(date=date)
    etag, weak = unquote_etag(value)
    if etag is not None and '"' in etag:
        return IfRange()  # no tag: it matches nothing, and could not be written
    return IfRange(etag, weak=bool(weak))


def fields_of(source: Any) -> Any:
    """Return the header fields of a request, a WSGI environ or an ASGI scope."""
    headers = getattr(source, "headers", None)
    if headers is not None:
        return headers
    return ScopeHeaders(source["headers"]) if "type" in source else EnvironHeaders(source)


def _to_second(moment: datetime | str | None) -> datetime | None:
    """A date as HTTP carries it: without microseconds; a naive one means UTC."""
    if isinstance(moment, str):
        moment = parse_date(moment)
    if moment is None:
        return None
    moment = moment.replace(microsecond=0)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def evaluate_preconditions(
    fields: Any, etag: str | None, last_modified: datetime | str | None, known: bool = True
) -> int:
    """Evaluate the preconditions of a GET or HEAD, in the order of RFC 9110 13.2.2.

    Args:
        fields: The request's header fields.
        etag: The ETag of what would be sent, in its quotes; None if it has none.
        last_modified: Its Last-Modified; None if it has none.
        known: These are all the validators that there are. Else (`is_resource_modified`) without a tag the
            `If-None-Match` decides nothing, and `If-Unmodified-Since` is not looked at.

    Returns:
        200 to go on, 304 (Not Modified) or 412 (Precondition Failed).
    """
    # PERF: most requests have none of these fields: 1.2 us instead of 5 (10 KiB file, benchmarks/)
    find = fields.get
    value = find("If-Match")
    if value and (if_match := parse_etags(value)):
        tag, weak = unquote_etag(etag)
        # the strong comparison: a weak tag of our own equals nothing (RFC 9110 13.1.1)
        if not (if_match.star_tag or (tag is not None and not weak and if_match.is_strong(tag))):
            return 412
    elif known and last_modified is not None:
        limit = parse_date(find("If-Unmodified-Since"))
        if limit is not None and (modified := _to_second(last_modified)) is not None and modified > limit:
            return 412
    value = find("If-None-Match")
    if value and (if_none_match := parse_etags(value)):
        tag, _ = unquote_etag(etag)
        if if_none_match.star_tag or (tag is not None and if_none_match.contains_weak(tag)):
            return 304
        if known or tag is not None:
            return 200  # If-Modified-Since counts no more (RFC 9110 13.1.3)
    if last_modified is not None:
        since = parse_date(find("If-Modified-Since"))
        if since is not None and (modified := _to_second(last_modified)) is not None and modified <= since:
            return 304
    return 200


def range_still_applies(fields: Any, etag: str | None, last_modified: datetime | str | None) -> bool:
    """Whether the `If-Range` of a request, if it has one, allows its `Range` (RFC 9110 13.1.5).

    A tag must be strong and equal, a date the very one that was sent: what is not exactly what the client has
    begun to load must not be continued.
    """
    value = fields.get("If-Range")
    if value is None:
        return True
    if_range = parse_if_range_header(value)
    if if_range.date is not None:
        return if_range.date == _to_second(last_modified)
    tag, weak = unquote_etag(etag)
    return if_range.etag is not None and not if_range.weak and not weak and if_range.etag == tag


def is_resource_modified(
    environ: Any,
    etag: str | None = None,
    data: bytes | None = None,
    last_modified: datetime | str | None = None,
    ignore_if_range: bool = True,
) -> bool:
    """Say whether a resource is to be sent, for all that the request's validators tell.

    Args:
        environ: A WSGI environ, an ASGI scope or a request.
        etag: The resource's ETag, in its quotes.
        data: The resource itself, to make the ETag of.
        last_modified: Its date of modification.
        ignore_if_range: Do not look at `If-Range`; else it decides alone where the request has it and a `Range`.

    Raises:
        TypeError: Both `etag` and `data` are given.
    """
    if data is not None:
        if etag is not None:
            raise TypeError("both 'etag' and 'data' are given; pass one of them")
        etag = quote_etag(generate_etag(data))
    fields = fields_of(environ)
    if not ignore_if_range and "Range" in fields and "If-Range" in fields:
        return not range_still_applies(fields, etag, last_modified)
    return evaluate_preconditions(fields, etag, last_modified, known=False) == 200
