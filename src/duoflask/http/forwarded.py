"""`X-Forwarded-*`: what proxies say of a request, read from their fields and written into a scope.

Owns what a proxy can have written and what cannot be meant. Whether a proxy is to be believed is its callers' business:
`ProxyFix` counts proxies, the built-in server knows their addresses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .environ import wsgi_decoded
from .options import parse_list_header
from .uri import split_root_path

__all__ = ["ORIGINAL", "SCHEMES", "Forwarded", "fix_scope", "nth_from_last", "read_forwarded", "split_port"]

SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}

ORIGINAL = "werkzeug.proxy_fix.orig"


class Forwarded(NamedTuple):
    """What the proxies say; None where nothing is trusted."""

    address: str | None = None
    scheme: str | None = None
    host: str | None = None
    port: str | None = None
    prefix: str | None = None


def read_forwarded(
    get: Callable[[str], str | None],
    *,
    x_for: int = 0,
    x_proto: int = 0,
    x_host: int = 0,
    x_port: int = 0,
    x_prefix: int = 0,
) -> Forwarded:
    """Read the fields of as many proxies as are trusted; a scheme or port that cannot be meant is None.

    Args:
        get: Gives a field's value, of all its lines.
        x_for: How many values of X-Forwarded-For to trust.
        x_proto: How many of X-Forwarded-Proto.
        x_host: How many of X-Forwarded-Host.
        x_port: How many of X-Forwarded-Port.
        x_prefix: How many of X-Forwarded-Prefix.
    """
    scheme = nth_from_last(x_proto, get("X-Forwarded-Proto"))
    scheme = None if scheme is None else scheme.lower()
    port = nth_from_last(x_port, get("X-Forwarded-Port"))
    if port is not None and not (_is_number(port) and 0 < int(port) < 65536):
        port = None
    prefix = nth_from_last(x_prefix, get("X-Forwarded-Prefix"))
    if prefix is not None:
        prefix = prefix.strip("/")
        prefix = f"/{prefix}" if prefix else ""  # never `//host`, which a URL made of it would lead to
    return Forwarded(
        nth_from_last(x_for, get("X-Forwarded-For")),
        scheme if scheme in SCHEMES else None,
        nth_from_last(x_host, get("X-Forwarded-Host")),
        port,
        prefix,
    )


def nth_from_last(count: int, value: str | None) -> str | None:
    """The value that the outermost trusted proxy has written; None if there are fewer values than proxies."""
    if not count or not value:
        return None
    values = parse_list_header(value)
    return values[-count] or None if len(values) >= count else None


def _is_number(port: str) -> bool:
    return port.isascii() and port.isdecimal() and len(port) <= 5


def split_port(host: str) -> tuple[str, str | None]:
    """A host's name, and its port if that is a number."""
    if ":" in host and not host.endswith("]"):  # an IPv6 address without a port ends in a bracket
        name, _, port = host.rpartition(":")
        return name, port if _is_number(port) else None
    return host, None


def fix_scope(scope: Any, fixed: Forwarded) -> dict[str, Any]:
    """Return a scope that says what the proxies say, and under `ORIGINAL` what there was before."""
    names = ("client", "scheme", "server", "root_path")
    old_host = next((value for name, value in scope["headers"] if name == b"host"), None)
    new = {**scope, ORIGINAL: {**{name: scope.get(name) for name in names}, "host": old_host}}
    host = None if old_host is None else old_host.decode("latin-1")
    server = scope.get("server")
    if fixed.address is not None:
        new["client"] = (fixed.address, 0)
    if fixed.scheme is not None:
        new["scheme"] = SCHEMES[fixed.scheme] if scope["type"] == "websocket" else fixed.scheme
    if fixed.host is not None:
        host = fixed.host
        name, port = split_port(host)
        server = (name, int(port) if port is not None else server[1] if server else None)
    if fixed.port is not None:
        host = f"{split_port(host)[0]}:{fixed.port}" if host else host
        server = (server[0] if server else "localhost", int(fixed.port))
    if fixed.host is not None or fixed.port is not None:
        new["server"] = server
        if host is not None:
            fields = [(name, value) for name, value in scope["headers"] if name != b"host"]
            new["headers"] = [(b"host", host.encode("latin-1")), *fields]
    if fixed.prefix is not None:
        prefix = wsgi_decoded(fixed.prefix)
        new["root_path"], new["path"] = (
            prefix,
            prefix + split_root_path(scope["path"], (scope.get("root_path") or "").rstrip("/")),
        )  # `path` holds `root_path` (2.4)
    return new
