"""The built-in server's settings: every limit, with the reason for its default.

Owns `ServerConfig` and the `DEFAULT_*` constants. Knows no socket and no application.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Literal

__all__ = [
    "DEFAULT_BODY_TIMEOUT",
    "DEFAULT_GRACEFUL_TIMEOUT",
    "DEFAULT_HALF_CLOSED_TIMEOUT",
    "DEFAULT_HEAD_TIMEOUT",
    "DEFAULT_KEEP_ALIVE_TIMEOUT",
    "DEFAULT_LIFESPAN_TIMEOUT",
    "DEFAULT_LINGER_BYTES",
    "DEFAULT_LINGER_TIMEOUT",
    "DEFAULT_MAX_CONNECTIONS",
    "DEFAULT_MAX_FIELDS",
    "DEFAULT_MAX_HEAD",
    "DEFAULT_MAX_LINE",
    "DEFAULT_THREADS",
    "DEFAULT_WEBSOCKET_CLOSE_TIMEOUT",
    "DEFAULT_WEBSOCKET_MAX_SIZE",
    "DEFAULT_WEBSOCKET_PING_INTERVAL",
    "DEFAULT_WEBSOCKET_PING_TIMEOUT",
    "DEFAULT_WRITE_TIMEOUT",
    "FORWARDED_FIELDS",
    "ServerConfig",
]

# A whole request head, in bytes, counted over all reads. Node allows 16 kB, gunicorn about 800 kB, h11 16 kB.
DEFAULT_MAX_HEAD = 65_536
# Header fields in a head, and in trailers. gunicorn and Apache allow 100.
DEFAULT_MAX_FIELDS = 100
# One line of a head, without CR LF. gunicorn 8,190 a field, Apache 8,190, nginx 8 kB.
DEFAULT_MAX_LINE = 8_192
# Seconds from the first byte of a head (or from the connection) to its last. hypercorn gives 5, nginx 60.
DEFAULT_HEAD_TIMEOUT = 10.0
# Seconds that an idle connection is kept. uvicorn and hypercorn 5, gunicorn 2, Node 5.
DEFAULT_KEEP_ALIVE_TIMEOUT = 5.0
# Seconds without one byte of a request body that somebody waits for. Quart 60, nginx 60.
DEFAULT_BODY_TIMEOUT = 60.0
# Seconds in which a client takes nothing of a response, or under trio less than 64 KiB of it. nginx 60.
DEFAULT_WRITE_TIMEOUT = 60.0
# What is read and thrown away after an early answer: closing with unread bytes resets the connection (RFC
# 9112 section 9.6), and the client may lose the answer.
DEFAULT_LINGER_BYTES = 65_536
DEFAULT_LINGER_TIMEOUT = 1.0
# A FIN means "I have sent all" or "I am gone", and TCP does not say which. One that comes with the request
# is taken for the first, and the answer is given so many seconds to begin.
DEFAULT_HALF_CLOSED_TIMEOUT = 10.0
# Seconds for requests in flight after SIGTERM. gunicorn 30.
DEFAULT_GRACEFUL_TIMEOUT = 30.0
# Seconds for the application's shutdown functions.
DEFAULT_LIFESPAN_TIMEOUT = 30.0
# Open connections, TLS handshakes included; further ones are told 503 and closed. Below the usual hard limit for
# descriptors in a container.
DEFAULT_MAX_CONNECTIONS = 10_000
# Worker threads of `interface="wsgi"`; as anyio's default limiter.
DEFAULT_THREADS = 40
# A whole WebSocket message, inflated. uvicorn allows 16 MiB, the `websockets` package 1 MiB.
DEFAULT_WEBSOCKET_MAX_SIZE = 16 * 1024 * 1024
# Seconds without a byte from a WebSocket's peer until it is pinged, and then until it is given up. As uvicorn.
DEFAULT_WEBSOCKET_PING_INTERVAL = 20.0
DEFAULT_WEBSOCKET_PING_TIMEOUT = 20.0
# Seconds for the peer's answer to a close frame. `websockets` 10.
DEFAULT_WEBSOCKET_CLOSE_TIMEOUT = 10.0

# What a trusted proxy may say, in X-Forwarded-For and so on.
FORWARDED_FIELDS = frozenset({"for", "proto", "host", "port", "prefix"})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Settings of one server. Times are seconds, sizes are bytes.

    Args:
        host: Name or address to listen on; "" is every interface of both families.
        port: 0 takes a free port.
        uds: Path of a unix socket; takes the place of host and port.
        fd: Descriptor of a listening socket that this process has inherited; takes their place too.
        binds: Several of these: "host:port", "[::1]:port", ":port", "unix:/path", "fd:3"; take the place of all others.
        ssl: A server's context, for TLS on all listeners.
        trusted_proxies: Addresses and networks ("10.0.0.0/8") whose X-Forwarded-* fields are believed, "unix" for those
            that come over a unix socket, "*" for everybody. Other clients' fields of these names are removed then.
            Without any, nothing is read and nothing removed.
        forwarded_fields: Which of the fields the proxies set: "for", "proto", "host", "port", "prefix". A proxy that
            does not set a field hands on what a client has sent in it.
        max_connections: Open connections; one more is told 503 and closed.
        max_in_flight: Requests that an application works at; one more is told 503. None: no limit.
        interface: "wsgi" runs a WSGI callable in worker threads.
        lifespan: "auto" goes on without when the application does not speak it.
        root_path: Where a proxy in front has mounted the application, without a final slash.
        server_header: Value of `Server`; None sends none.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    uds: str | None = None
    fd: int | None = None
    binds: Sequence[str] = ()
    ssl: ssl.SSLContext | None = None
    trusted_proxies: Collection[str] = ()
    forwarded_fields: Collection[str] = ("for", "proto")
    backlog: int = 2048
    interface: Literal["asgi", "wsgi"] = "asgi"
    threads: int = DEFAULT_THREADS
    lifespan: Literal["auto", "on", "off"] = "auto"
    root_path: str = ""
    scheme: str = ""
    access_log: bool = True
    server_header: str | None = "duoflask"
    date_header: bool = True
    max_head: int = DEFAULT_MAX_HEAD
    max_fields: int = DEFAULT_MAX_FIELDS
    max_line: int = DEFAULT_MAX_LINE
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    max_in_flight: int | None = None
    head_timeout: float = DEFAULT_HEAD_TIMEOUT
    keep_alive_timeout: float = DEFAULT_KEEP_ALIVE_TIMEOUT
    body_timeout: float = DEFAULT_BODY_TIMEOUT
    write_timeout: float = DEFAULT_WRITE_TIMEOUT
    half_closed_timeout: float = DEFAULT_HALF_CLOSED_TIMEOUT
    linger_timeout: float = DEFAULT_LINGER_TIMEOUT
    linger_bytes: int = DEFAULT_LINGER_BYTES
    graceful_timeout: float = DEFAULT_GRACEFUL_TIMEOUT
    lifespan_timeout: float = DEFAULT_LIFESPAN_TIMEOUT
    websocket_max_size: int | None = DEFAULT_WEBSOCKET_MAX_SIZE
    websocket_compression: bool = True
    websocket_ping_interval: float | None = DEFAULT_WEBSOCKET_PING_INTERVAL
    websocket_ping_timeout: float = DEFAULT_WEBSOCKET_PING_TIMEOUT
    websocket_close_timeout: float = DEFAULT_WEBSOCKET_CLOSE_TIMEOUT

    def __post_init__(self) -> None:
        if self.interface not in ("asgi", "wsgi"):
            raise ValueError(f"invalid interface; expected 'asgi' or 'wsgi'; got {self.interface!r}")
        if self.lifespan not in ("auto", "on", "off"):
            raise ValueError(f"invalid lifespan; expected 'auto', 'on' or 'off'; got {self.lifespan!r}")
        if self.root_path and (not self.root_path.startswith("/") or self.root_path.endswith("/")):
            raise ValueError(f"invalid root_path; expected '/prefix' without a final slash; got {self.root_path!r}")
        for name in ("binds", "trusted_proxies", "forwarded_fields"):
            if isinstance(value := getattr(self, name), str):
                raise TypeError(f"invalid {name}; expected a list of str; got {value!r}. Write {name}=[{value!r}].")
        if unknown := set(self.forwarded_fields) - FORWARDED_FIELDS:
            raise ValueError(
                f"invalid forwarded_fields; expected some of {sorted(FORWARDED_FIELDS)}; got {sorted(unknown)}"
            )
        if self.server_header is not None and not re.fullmatch(r"[\t\x20-\x7e\x80-\xff]*", self.server_header):
            raise ValueError(f"invalid server_header; expected latin-1 without controls; got {self.server_header!r}")
        self._check_numbers()
        if not self.scheme:
            object.__setattr__(self, "scheme", "http" if self.ssl is None else "https")

    def _check_numbers(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is None and item.name in ("max_in_flight", "websocket_ping_interval"):
                continue
            if item.name.startswith(("max_", "threads", "backlog")) or item.name.endswith("_interval"):
                if not isinstance(value, (int, float)) or value <= 0:
                    raise ValueError(f"invalid {item.name}; expected a number above 0; got {value!r}")
            elif item.name.endswith("_timeout") and (not isinstance(value, (int, float)) or value < 0):
                raise ValueError(f"invalid {item.name}; expected seconds; got {value!r}")
