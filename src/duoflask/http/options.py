"""Values with parameters, `text/html; charset=utf-8` (RFC 9110 5.6.6, RFC 2231), and quoted lists.

Every function is linear in its input and never raises for what a peer sends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

from .grammar import TOKEN_RE

__all__ = [
    "dump_header",
    "dump_options_header",
    "parse_dict_header",
    "parse_list_header",
    "parse_options_header",
    "quote_header_value",
    "unquote_header_value",
]

# parameter = parameter-name "=" parameter-value; quoted-pair is looked at later
_NAME_RE = re.compile(TOKEN_RE.pattern + "+=")
# quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE
# Possessive: there is nothing to go back to, and what could be is kept for each repetition.
_QUOTED_RE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NEXT_RE = re.compile(r";[ \t]*")
_PAIR_RE = re.compile(r"\\(.)")
# Commas outside of quoted strings separate; an unclosed string spoils the whole value.
_LIST_PIECE_RE = re.compile(r'(?:[^",]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+', re.DOTALL)

# RFC 2231 lets the sender name any encoding. Only these are decoded: Python knows some that are not text.
_CHARSETS = frozenset({"ascii", "us-ascii", "utf-8", "iso-8859-1"})


def quote_header_value(value: object, allow_token: bool = True) -> str:
    """Return `value` as a token if it is one, else as a quoted string (RFC 9110 5.6.4)."""
    text = str(value)
    if allow_token and TOKEN_RE.fullmatch(text) is not None:
        return text
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def unquote_header_value(value: str) -> str:
    """Return the text of a quoted string; anything else comes back unchanged."""
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    value = value[1:-1]
    return _PAIR_RE.sub(r"\1", value) if "\\" in value else value


def dump_options_header(header: str | None, options: Mapping[str, Any]) -> str:
    """Return `header` with `options` as parameters.

    Args:
        header: The value before the parameters, or None for parameters only.
        options: A None value leaves its parameter out; the value of a key that ends in `*` is not quoted.
    """
    parts = [] if header is None else [header]
    for key, value in options.items():
        if value is not None:
            parts.append(f"{key}={value if key.endswith('*') else quote_header_value(value)}")
    return "; ".join(parts)


def dump_header(iterable: Mapping[str, Any] | Iterable[Any]) -> str:
    """Return a comma-separated list of items, or of `key=value` for a mapping.

    Args:
        iterable: Items, each quoted where it must be. In a mapping, a None value leaves the key alone; the value
            of a key that ends in `*` is not quoted.
    """
    if not isinstance(iterable, Mapping):
        return ", ".join(map(quote_header_value, iterable))
    parts = []
    for key, value in iterable.items():
        if value is None:
            parts.append(key)
        else:
            parts.append(f"{key}={value if key.endswith('*') else quote_header_value(value)}")
    return ", ".join(parts)


def parse_options_header(value: str | None) -> tuple[str, dict[str, str]]:
    """Split a value from its parameters.

    Invalid parameters are skipped, names are lower-cased, RFC 2231 charsets and continuations are resolved.

    Returns:
        The value and a dict of the parameters; `("", {})` for None.
    """
    if not value:
        return "", {}
    value, _, rest = value.partition(";")
    value = value.strip(" \t")
    rest = rest.strip(" \t")
    if not value or not rest:
        return value, {}

    options: dict[str, str] = {}
    continued: dict[str, list[str]] = {}
    encodings: dict[str, str] = {}
    for name, text in _raw_parameters(rest):
        charset_marked = name.endswith("*")
        if charset_marked:
            name = name[:-1]
        base, star, number = name.rpartition("*")
        part_of_many = bool(star) and number.isdigit()
        if part_of_many:
            name = base

        if charset_marked:
            text, encoding = _decode_extended(text, encodings.get(name) if part_of_many else None)
        else:
            # browsers write a quote in a multipart name as %22 (HTML Standard, multipart/form-data)
            text, encoding = unquote_header_value(text).replace("%22", '"'), None

        if part_of_many:
            options.pop(name, None)
            continued.setdefault(name, []).append(text)
            if encoding:
                encodings[name] = encoding
        else:
            if continued.pop(name, None) is not None:
                encodings.pop(name, None)
            options[name] = text
    options.update((name, "".join(texts)) for name, texts in continued.items())
    return value, options


def _raw_parameters(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    position = 0
    while True:
        name = _NAME_RE.match(text, position)
        if name is not None:
            position = name.end()
            if text.startswith('"', position):
                content = _QUOTED_RE.match(text, position)
                if content is None:
                    return found  # an unclosed string hides everything behind it
            else:
                content = TOKEN_RE.match(text, position)
            if content is not None:
                found.append((name.group()[:-1].lower(), content.group()))
                position = content.end()
        following = _NEXT_RE.search(text, position)
        if following is None or following.end() >= len(text):
            return found
        position = following.end()


def _decode_extended(text: str, inherited: str | None) -> tuple[str, str | None]:
    """Decode `charset'language'percent-encoded` (RFC 2231 4); return the text and the charset to inherit."""
    encoding: str | None = None
    parts = text.split("'", 2)
    if len(parts) == 3 and all(not part or TOKEN_RE.fullmatch(part) for part in parts) and parts[2]:
        encoding, text = parts[0].lower(), parts[2]
    encoding = encoding or inherited
    if encoding in _CHARSETS:
        text = unquote(text, encoding)
    return text, encoding


def parse_list_header(value: str | None) -> list[str]:
    """Split a comma-separated list (RFC 9110 5.6.1).

    Quotes around a whole item are removed, empty items dropped.

    Returns:
        The items; an empty list when a quoted string is not closed.
    """
    if not value:
        return []
    if '"' not in value:
        return [item for piece in value.split(",") if (item := piece.strip(" \t"))]
    items: list[str] = []
    position = 0
    while True:
        match = _LIST_PIECE_RE.match(value, position)
        assert match is not None  # the pattern matches the empty string
        item = match.group().strip(" \t")
        if item:
            items.append(unquote_header_value(item))
        position = match.end()
        if position == len(value):
            return items
        if value[position] != ",":
            return []
        position += 1


def parse_dict_header(value: str) -> dict[str, str | None]:
    """Read a comma-separated list of `key=value`.

    Returns:
        A dict; the value of an item without `=` is None. Of a repeated key the last counts; items without a key
        are dropped, RFC 2231 charsets of a key that ends in `*` resolved.
    """
    result: dict[str, str | None] = {}
    for item in parse_list_header(value):
        key, equals, text = item.partition("=")
        key = key.strip(" \t")
        if not key:
            continue
        if not equals:
            result[key] = None
            continue
        text = text.strip(" \t")
        if key.endswith("*"):
            key = key[:-1]
            text, _ = _decode_extended(text, None)
        result[key] = unquote_header_value(text)
    return result
