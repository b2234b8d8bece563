"""Cookies (RFC 6265): `parse_cookie` reads the Cookie header, `dump_cookie` writes a Set-Cookie value.

Reading follows Werkzeug, never raises and is linear; writing refuses what browsers refuse or what would break
out of the header.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from time import time
from typing import Any
from urllib.parse import quote

from .dates import http_date
from .multidict import ImmutableMultiDict, MultiDict, dict_of_pieces

__all__ = ["DEFAULT_MAX_COOKIE_SIZE", "dump_cookie", "parse_cookie", "parse_cookie_as", "parse_cookie_pairs"]

# Browsers drop a cookie whose name, value and attributes exceed 4096 bytes (RFC 6265 6.1); Werkzeug and Flask
# use 4093.
DEFAULT_MAX_COOKIE_SIZE = 4093

# A quoted value up to and including the semicolon behind it.
_QUOTED_RE = re.compile(r'"((?:[^"\\]|\\.)*+)"[ \t]*+(?:;|\Z)')
_BLANKS_RE = re.compile(r"[ \t]*")
_ESCAPE_RE = re.compile(rb"\\(?:([0-3][0-7][0-7])|(.))")

# No token (RFC 6265 4.1.1), but what browsers and Flask take: `user[theme]`.
_COOKIE_NAME_RE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c\x3e-\x7e]+")
# RFC 6265 4.1.1 has cookie-octet = %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E.
_COOKIE_VALUE_RE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_MUST_ESCAPE_RE = re.compile(rb'[\x00-\x1f",;\\\x7f-\xff]')
_DOMAIN_RE = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_CONTROL_RE = re.compile(r"[\x00-\x1f\x7f]")

# A path segment's characters (WHATWG URL) and "%" for what is quoted already, but no ";".
_PATH_SAFE = "%!$&'()*+,/:=@"
_SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}


def parse_cookie_as(cls: Any, header: str | None) -> Any:
    """Return `cls` made of the pairs of a Cookie header; see `parse_cookie_pairs`."""
    if cls is ImmutableMultiDict and header and header.isascii() and '"' not in header and "\t" not in header:
        pieces = header.split("; ")
        if header.count(" ") == header.count(";") == len(pieces) - 1:
            result = dict_of_pieces(pieces)
            if result is not None:
                return result
    return cls(parse_cookie_pairs(header))


def parse_cookie_pairs(header: str | None) -> list[tuple[str, str]]:
    """Return the name and value pairs of a Cookie header, in order.

    Args:
        header: The value as WSGI gives it: UTF-8 bytes decoded as latin-1, several lines joined.

    Returns:
        The pairs. Nameless cookies and pieces with a blank inside are dropped, as Werkzeug does; a JSON
        value, which it drops, is kept.
    """
    if not header:
        return []
    if not header.isascii():
        try:
            header = header.encode("latin-1").decode("utf-8", "replace")
        except UnicodeEncodeError:
            pass  # text already
    if '"' in header:
        return _parse_with_quotes(header)
    if "\t" in header:
        return [pair for piece in header.split(";") if (pair := _plain_pair(piece)) is not None]
    pairs = []
    pieces = header.split("; ")
    if header.count(" ") == header.count(";") == len(pieces) - 1:
        # PERF: as browsers send it, one blank behind each semicolon: three cookies in 430 ns instead of 800
        for piece in pieces:
            name, _, value = piece.partition("=")
            if name:
                pairs.append((name, value))
        return pairs
    for piece in header.split(";"):
        name, _, value = piece.partition("=")
        name, value = name.strip(" "), value.strip(" ")
        if name and " " not in name and " " not in value:
            pairs.append((name, value))
    return pairs


def _plain_pair(piece: str) -> tuple[str, str] | None:
    name, _, value = piece.partition("=")
    name, value = name.strip(" \t"), value.strip(" \t")
    if not name or '"' in name or value.startswith('"') or _has_blank(name) or _has_blank(value):
        return None
    return name, value


def _has_blank(text: str) -> bool:
    return " " in text or "\t" in text


def _parse_with_quotes(header: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    position, length = 0, len(header)
    while position < length:
        end = header.find(";", position)
        if end < 0:
            end = length
        equals = header.find("=", position, end)
        if equals >= 0:
            start = _BLANKS_RE.match(header, equals + 1).end()  # type: ignore[union-attr]
            match = _QUOTED_RE.match(header, start)
            if match is not None:
                name = header[position:equals].strip(" \t")
                if name and '"' not in name and not _has_blank(name):
                    pairs.append((name, _unescape(match.group(1))))
                    position = match.end()
                    continue
        # not quoted as a whole: a quote inside, as in {"a":1}, is part of the value
        pair = _plain_pair(header[position:end])
        if pair is not None:
            pairs.append(pair)
        position = end + 1
    return pairs


def _unescape(value: str) -> str:
    if "\\" not in value:
        return value
    # bytes, because one character may be several octal escapes
    return _ESCAPE_RE.sub(_unescape_one, value.encode()).decode(errors="replace")


def _unescape_one(match: re.Match[bytes]) -> bytes:
    octal, char = match.groups()
    return char if octal is None else bytes((int(octal, 8),))


def parse_cookie(header: Mapping[str, Any] | str | None, cls: Any = None) -> Any:
    """Return the cookies of a Cookie header, or of a WSGI environ, as a `MultiDict`, or as `cls` made from pairs."""
    pairs = parse_cookie_pairs(header.get("HTTP_COOKIE") if isinstance(header, Mapping) else header)
    return MultiDict(pairs) if cls is None else cls(pairs)


def dump_cookie(
    key: str,
    value: str = "",
    max_age: timedelta | int | None = None,
    expires: str | datetime | date | float | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = False,
    sync_expires: bool = True,
    max_size: int = DEFAULT_MAX_COOKIE_SIZE,
    samesite: str | None = None,
    partitioned: bool = False,
) -> str:
    r"""Return the value of a Set-Cookie header.

    Args:
        key: The name, a token.
        value: Any text; what a cookie cannot hold is written as `\ooo` in double quotes, as `http.cookies`
            does.
        max_age: Lifetime in seconds.
        expires: A date, seconds since the epoch, or ready text.
        path: Where the cookie applies.
        domain: Where the cookie applies; a port and a leading dot are dropped.
        secure: Only over HTTPS; implied by `partitioned`.
        httponly: Not for scripts.
        sync_expires: Derive `expires` from `max_age` if only that is given.
        max_size: Warn if the result is longer, in bytes; 0 never warns.
        samesite: `Strict`, `Lax` or `None`, in any case.
        partitioned: Keep one cookie for each top-level site (CHIPS).

    Raises:
        ValueError: Name, domain, path, expires or samesite is invalid, or the rule of a `__Host-` or
            `__Secure-` name is not kept (RFC 6265bis 4.1.3).
    """
    # PERF: most names are words, and short values letters and digits: 60 ns to see it, 170 for a pattern (fields).
    if not (key.isidentifier() and key.isascii()) and _COOKIE_NAME_RE.fullmatch(key) is None:
        raise ValueError(
            f"invalid cookie name; expected printable ASCII without blank, '\"', ',', ';' and '='; got {key!r}"
        )
    secure = bool(secure or partitioned)
    if key[:2] == "__":
        _check_prefix(key, path, domain, secure)
    if max_age is not None and isinstance(max_age, timedelta):
        max_age = int(max_age.total_seconds())
    if expires is not None:
        expires = _checked_date(expires) if isinstance(expires, str) else http_date(expires)
    elif max_age is not None and sync_expires:
        expires = http_date(time() + max_age)
    if not (value.isalnum() and value.isascii()) and _COOKIE_VALUE_RE.fullmatch(value) is None:
        value = _MUST_ESCAPE_RE.sub(_escape_one, value.encode()).decode("ascii")
        value = f'"{value}"'

    result = f"{key}={value}"
    if domain:
        result += f"; Domain={_checked_domain(domain)}"
    if expires is not None:
        result += f"; Expires={expires}"
    if max_age is not None:
        result += f"; Max-Age={int(max_age)}"
    if secure:
        result += "; Secure"
    if httponly:
        result += "; HttpOnly"
    if path is not None:
        result += "; Path=/" if path == "/" else f"; Path={_checked_path(path)}"
    if samesite is not None:
        result += f"; SameSite={_checked_same_site(samesite)}"
    if partitioned:
        result += "; Partitioned"
    if max_size and len(result) > max_size:
        warnings.warn(
            f"the {key!r} cookie is too large: {len(result)} bytes (its value {len(value)}), and the limit is "
            f"{max_size} bytes; browsers drop a larger one without a word, so store less in it",
            stacklevel=2,
        )
    return result


def _escape_one(match: re.Match[bytes]) -> bytes:
    char = match.group()
    return b"\\" + char if char in b'"\\' else b"\\%03o" % char[0]


def _checked_date(expires: str) -> str:
    if ";" in expires or _CONTROL_RE.search(expires) is not None or not expires.isascii():
        raise ValueError(f"invalid cookie expires; expected a date; got {expires!r}")
    return expires


def _checked_path(path: str) -> str:
    if _CONTROL_RE.search(path) is not None:
        raise ValueError(f"invalid cookie path; expected no control characters; got {path!r}")
    return quote(path, safe=_PATH_SAFE)


def _checked_same_site(value: str) -> str:
    try:
        return _SAME_SITE[value.lower()]
    except KeyError:
        raise ValueError(f"invalid samesite; expected 'Strict', 'Lax' or 'None'; got {value!r}") from None


def _checked_domain(domain: str) -> str:
    plain = domain.partition(":")[0].lstrip(".")
    if not plain.isascii():
        plain = plain.encode("idna").decode("ascii")
    if _DOMAIN_RE.fullmatch(plain) is None:
        raise ValueError(f"invalid cookie domain; expected a host name; got {domain!r}")
    return plain


def _check_prefix(key: str, path: str | None, domain: str | None, secure: bool) -> None:
    lower = key.lower()  # browsers compare without case, or `__HOST-` would slip past
    if not lower.startswith(("__host-", "__secure-")):
        return
    if not secure:
        raise ValueError(f"a cookie named {key!r} must be secure; pass secure=True or choose another name")
    if lower.startswith("__host-") and (path != "/" or domain):
        raise ValueError(
            f"a cookie named {key!r} must have path='/' and no domain; got path={path!r}, domain={domain!r}"
        )
