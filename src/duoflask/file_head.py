"""The header fields that tell of a file: its type and name, how old it is, how long it may be kept.

Owns what is kept of the files that were sent last. Knows no request, and opens nothing.
"""

from __future__ import annotations

import os
from datetime import date, datetime
from time import time
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

from .http.dates import http_date
from .http.etags import quote_etag
from .http.grammar import check_field_value
from .http.mimes import guess_type
from .http.options import dump_options_header
from .http.paths import ascii_of
from .http.wire import CONTENT_TYPES, content_type_of
from .lazy import LazyModule

if TYPE_CHECKING:
    import zlib
else:
    zlib = LazyModule("zlib")

__all__ = ["Pair", "caching", "described", "validators"]

Pair: TypeAlias = tuple[str, str]

# PERF: header pairs of the files that were sent last; making them takes 12 us (10 KiB file). They start anew when full.
_MAX_KEPT: Final = 1024
_kept_descriptions: dict[tuple[str, str, str | None, bool], tuple[Pair, ...]] = {}
_kept_validators: dict[str, tuple[float | None, int | None, tuple[Pair, ...]]] = {}
_kept_ages: dict[int, tuple[int, tuple[Pair, ...]]] = {}

_NO_CACHE: Final = (("Cache-Control", "no-cache"),)

# The years that a date has four digits for.
_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799


def described(path: str | None, mimetype: str | None, as_attachment: bool, name: str | None) -> tuple[Pair, ...]:
    """Content-Type, Content-Disposition and Content-Encoding, the type first.

    Raises:
        TypeError: A name is missing.
    """
    if name is None and path is not None:
        name = path[path.rfind("/") + 1 :] if os.sep == "/" else os.path.basename(path)
    coding = None
    if mimetype is None:
        if name is None:
            raise TypeError(
                "cannot detect the MIME type, because the file has no name; pass download_name='...' or mimetype='...'"
            )
        mimetype, coding = guess_type(name)
        mimetype = mimetype or "application/octet-stream"
    if name is None:
        if as_attachment:
            raise TypeError("an attachment needs a name to save it as; pass download_name='...'")
        return (CONTENT_TYPES[content_type_of(mimetype, "utf-8")][0],)
    key = (name, mimetype, coding, as_attachment)
    pairs = _kept_descriptions.get(key)
    if pairs is None:
        if len(_kept_descriptions) >= _MAX_KEPT:
            _kept_descriptions.clear()
        pairs = (
            CONTENT_TYPES[content_type_of(mimetype, "utf-8")][0],
            ("Content-Disposition", _disposition(name, as_attachment)),
        )
        if coding is not None and not as_attachment:  # a browser would unpack what it saves
            pairs = (*pairs, ("Content-Encoding", coding))
        _kept_descriptions[key] = pairs
    return pairs


def _disposition(name: str, as_attachment: bool) -> str:
    """The value of a Content-Disposition (RFC 6266); a name that is not plain ASCII is there twice (RFC 8187)."""
    plain = "".join(filter(str.isprintable, ascii_of(name)))
    names = {"filename": plain}
    if plain != name:
        names["filename*"] = "UTF-8''" + quote(name, safe="!#$&+-.^_`|~", errors="replace")
    return dump_options_header("attachment" if as_attachment else "inline", names)


def validators(
    path: str | None,
    size: int | None,
    mtime: float | None,
    etag: bool | str,
    last_modified: datetime | int | float | None,
) -> tuple[Pair, ...]:
    """Last-Modified and ETag; Flask's tag, so that what caches hold stays valid."""
    is_usual = path is not None and etag is True and last_modified is None
    if is_usual:
        kept = _kept_validators.get(path)  # type: ignore[arg-type]
        if kept is not None and kept[0] == mtime and kept[1] == size:
            return kept[2]
    pairs: list[Pair] = []
    moment = mtime if last_modified is None else last_modified
    if moment is not None and (isinstance(moment, date) or _FIRST_SECOND <= moment <= _LAST_SECOND):
        pairs.append(("Last-Modified", http_date(moment)))
    if isinstance(etag, str):
        pairs.append(("ETag", check_field_value(quote_etag(etag))))
    elif etag and path is not None:
        pairs.append(("ETag", f'"{mtime}-{size}-{zlib.adler32(os.fsencode(path))}"'))
        if is_usual:
            if len(_kept_validators) >= _MAX_KEPT:
                _kept_validators.clear()
            _kept_validators[path] = (mtime, size, tuple(pairs))
    return tuple(pairs)


def caching(max_age: int | None) -> tuple[Pair, ...]:
    """Cache-Control, and with a maximal age Expires."""
    if max_age is None:
        return _NO_CACHE
    seconds = int(time()) + max_age
    kept = _kept_ages.get(max_age)
    if kept is None or kept[0] != seconds:
        if len(_kept_ages) >= _MAX_KEPT:
            _kept_ages.clear()
        rule = "public" if max_age > 0 else "no-cache"
        pairs = (("Cache-Control", f"{rule}, max-age={max_age}"), ("Expires", http_date(seconds)))
        _kept_ages[max_age] = kept = (seconds, pairs)
    return kept[1]
