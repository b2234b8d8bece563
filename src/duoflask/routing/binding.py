"""What a request says about where a map is bound: its host, subdomain and scheme.

Owns the reading of these. Must not know rules.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final

from ..http.connection import Connection
from ..http.errors import BadHost

__all__ = [
    "INVALID_SUBDOMAIN",
    "UNMATCHED_DOMAIN",
    "ascii_host",
    "request_source",
    "subdomain_of",
    "websocket_scheme",
]


class _NoSubdomain(str):
    """What an adapter has for a subdomain where the host is none of the server's names."""

    __slots__ = ()


INVALID_SUBDOMAIN: Final = _NoSubdomain("<invalid>")

# What is matched in its place: no host name has a slash, and no placeholder's text starts with one.
UNMATCHED_DOMAIN: Final = "/<invalid>"

_shown: Final[dict[Any, Any]] = {}  # what `warnings` remembers


def request_source(environ: Any) -> Any:
    """Return the WSGI environ or the ASGI scope of what may be an object that has one."""
    if isinstance(environ, Mapping):
        return environ
    scope = getattr(environ, "scope", None)
    return environ.environ if scope is None else scope


def websocket_scheme(request: Connection) -> str:
    """Return the scheme, that of WebSockets for a handshake (RFC 6455 section 4.2.1)."""
    scheme = request.scheme
    options = request.headers.get("Connection", "").lower().split(",")
    upgrade = any(option.strip(" \t") == "upgrade" for option in options)
    if request.scope is None and upgrade and request.headers.get("Upgrade", "").lower() == "websocket":
        return "wss" if scheme == "https" else "ws"
    return scheme


def subdomain_of(host: str, server_name: str) -> str:
    """Return what stands before the server's name in the host; if the host is another, what no rule matches."""
    if host == server_name:
        return ""
    if host.endswith("." + server_name):
        return host[: -len(server_name)].strip(".")
    # Of a fixed text, so that it is shown once: the peer chooses the host. Projects that expect the warning silence it
    # by the module that it comes from with Flask.
    warnings.warn_explicit(
        "Current server name (the Host of a request) is neither SERVER_NAME nor a subdomain of it: no rule matches. "
        "Correct SERVER_NAME, or the host that a proxy passes on.",
        UserWarning,
        __file__,
        1,
        module="flask.app",
        registry=_shown,
    )
    return INVALID_SUBDOMAIN


def ascii_host(server_name: str) -> str:
    """Return the host name as IDNA, and its port, which is no part of it."""
    name, colon, port = server_name.partition(":")
    if not name.isascii() or len(name) > 63 or ".." in name or name.startswith("."):
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError as exc:
            raise BadHost() from exc
    return f"{name}{colon}{port}"
