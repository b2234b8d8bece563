"""Which header fields describe the content, and which are meant for the next hop only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "ENTITY_FIELDS",
    "is_entity_header",
    "is_hop_by_hop_header",
    "remove_entity_headers",
    "remove_hop_by_hop_headers",
]

# RFC 2616 7.1
ENTITY_FIELDS = frozenset(
    {
        "allow",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "expires",
        "last-modified",
    }
)

# RFC 2616 13.5.1; RFC 9110 7.6.1 adds what the Connection field names.
_HOP_BY_HOP_FIELDS = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def is_entity_header(header: str) -> bool:
    """Say whether a field describes the content."""
    return header.lower() in ENTITY_FIELDS


def is_hop_by_hop_header(header: str) -> bool:
    """Say whether a field is meant for the next hop only."""
    return header.lower() in _HOP_BY_HOP_FIELDS


def remove_entity_headers(headers: Any, allowed: Iterable[str] = ("expires", "content-location")) -> None:
    """Remove the fields that describe the content, as a 304 demands (RFC 9110 15.4.5).

    Args:
        headers: `Headers` or a list of pairs; changed in place.
        allowed: Names of those that stay.
    """
    kept = {name.lower() for name in allowed}
    headers[:] = [pair for pair in headers if not is_entity_header(pair[0]) or pair[0].lower() in kept]


def remove_hop_by_hop_headers(headers: Any) -> None:
    """Remove the fields that are meant for the next hop from `Headers` or a list of pairs, in place."""
    headers[:] = [pair for pair in headers if not is_hop_by_hop_header(pair[0])]
