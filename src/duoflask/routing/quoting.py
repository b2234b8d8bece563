"""Percent-encoding of what stands in a built URL: a path's texts and a query.

Owns which characters are left readable, and the encoding of mappings as a query. Must not know rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any
from urllib.parse import quote_plus

__all__ = ["CHARACTERS_IN_PATH", "encode_query", "find_unsafe_in_path", "query_maker", "quote_path", "quote_query"]

# https://url.spec.whatwg.org/#url-path-segment-string, and the slash
SAFE_IN_PATH = "!$&'()*+,/:;=@"
# https://url.spec.whatwg.org/#application-x-www-form-urlencoded-percent-encode-set, with what is harmless left readable
SAFE_IN_QUERY = "!$'()*,/:;?@"
_ALWAYS_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~"
# From here on it is faster not to look at each character.
_LONG = 24
_MAX_KNOWN = 4096


class _Characters(dict[int, str]):
    """What stands for each character; those that have come by are kept, up to a number."""

    def __missing__(self, code: int) -> str:
        text = "".join([f"%{byte:02X}" for byte in chr(code).encode()])
        if len(self) < _MAX_KNOWN:
            self[code] = text
        return text


def _characters(safe: str, space: str) -> dict[int, str]:
    """Return what stands for each ASCII character."""
    kept = _ALWAYS_SAFE + safe
    return {code: chr(code) if chr(code) in kept else f"%{code:02X}" for code in range(128)} | {ord(" "): space}


def _quoter(safe: str, ascii_characters: dict[int, str], characters: dict[int, str]) -> Callable[[Any], str]:
    """Return a function that percent-encodes a value's text as UTF-8.

    PERF: 0.1 us for a text that needs nothing, 0.2 for a short one that does, where urllib takes 0.8 and 2
    (benchmarks/routing.py: text to be quoted, path, query to be quoted).
    """
    kept_bytes = (_ALWAYS_SAFE + safe).encode()

    def order(byte: int) -> int:
        return {ord("%"): 0, ord(" "): 2}.get(byte, 1)

    def quoted(value: Any) -> str:
        text: str = value if type(value) is str else str(value)
        if text.isascii():
            if text.isalnum():
                return text
            if len(text) < _LONG:
                return text.translate(ascii_characters)  # a plain dictionary is asked 90 ns faster
            unsafe = text.encode().translate(None, kept_bytes)
            # The percent sign first, the blank last: what they become must not be encoded again.
            for byte in sorted(set(unsafe), key=order):
                text = text.replace(chr(byte), ascii_characters[byte])
            return text
        return text.translate(characters)

    return quoted


# Finds what must be encoded in a path.
find_unsafe_in_path = re.compile(f"[^{re.escape(_ALWAYS_SAFE + SAFE_IN_PATH)}]").search
_ASCII_IN_PATH = _characters(SAFE_IN_PATH, "%20")
_ASCII_IN_QUERY = _characters(SAFE_IN_QUERY, "+")
#: What `str.translate` needs to percent-encode text for a path.
CHARACTERS_IN_PATH = _Characters(_ASCII_IN_PATH)
#: Percent-encode text for the path of a URL; slashes stay.
quote_path = _quoter(SAFE_IN_PATH, _ASCII_IN_PATH, CHARACTERS_IN_PATH)
_quote_query = _quoter(SAFE_IN_QUERY, _ASCII_IN_QUERY, _Characters(_ASCII_IN_QUERY))


def quote_query(value: Any) -> str:
    """Percent-encode a name or a value for the query of a URL."""
    return quote_plus(value, safe=SAFE_IN_QUERY) if isinstance(value, bytes) else _quote_query(value)


def _pairs(query: Any) -> Iterator[tuple[Any, Any]]:
    if hasattr(query, "lists"):  # a MultiDict, ours or another library's
        for name, values in query.lists():
            for value in values:
                yield name, value
    elif isinstance(query, Mapping):
        for name, value in query.items():
            if isinstance(value, list | tuple | set):
                for item in value:
                    yield name, item
            else:
                yield name, value
    else:
        yield from query


def encode_query(
    query: Mapping[Any, Any] | Iterable[tuple[Any, Any]],
    sort: bool = False,
    sort_key: Callable[[Any], Any] | None = None,
) -> str:
    """Return a mapping or pairs as a query string.

    Lists and MultiDicts give several pairs, None gives none.
    """
    pairs: Iterable[tuple[Any, Any]] = _pairs(query)
    if sort:
        pairs = sorted(pairs, key=sort_key)
    return "&".join([f"{quote_query(name)}={quote_query(value)}" for name, value in pairs if value is not None])


def query_maker(settings: Any, known: Set[str]) -> Callable[[Mapping[str, Any]], str]:
    """Return a function that makes a query, with its `?`, of the values whose names are not known; None is no value.

    Args:
        settings: the map, whose `sort_parameters` and `sort_key` are obeyed.
        known: the names.
    """
    # PERF: names are few, and 16 of them are kept with their "=" (50 ns); None for those that are known.
    encoded: dict[Any, str | None] = dict.fromkeys(known)
    most = len(encoded) + 16

    def query(values: Mapping[str, Any]) -> str:
        if settings.sort_parameters:
            unknown = {name: value for name, value in values.items() if name not in known}
            text = encode_query(unknown, True, settings.sort_key)
            return f"?{text}" if text else ""
        text, mark = "", "?"
        for key, value in values.items():
            if key in encoded:
                name = encoded[key]
                if name is None:
                    continue
            else:
                name = f"{quote_query(key)}="
                if len(encoded) < most:
                    encoded[key] = name
            kind = type(value)
            if kind is int:
                text += f"{mark}{name}{value}"
            elif kind is str:
                if not value.isascii():
                    value = _quote_query(value)
                elif not value.isalnum():  # PERF: a short one without a call of our own, 80 ns less
                    value = value.translate(_ASCII_IN_QUERY) if len(value) < _LONG else _quote_query(value)
                text += f"{mark}{name}{value}"
            elif value is None:
                continue
            elif isinstance(value, list | tuple | set):
                for item in value:
                    if item is not None:
                        plain = type(item) is str and item.isascii() and item.isalnum()
                        text += f"{mark}{name}{item if plain else quote_query(item)}"
                        mark = "&"
                continue
            else:
                text += f"{mark}{name}{quote_query(value)}"
            mark = "&"
        return text

    return query
