"""A request that came by neither gateway: its parts are given one by one, and it has no body. And its host alone."""

from __future__ import annotations

from collections.abc import Collection

from .connection import Connection
from .errors import SecurityError
from .headers import Headers
from .uri import get_host

__all__ = ["StandaloneRequest", "host_or_nothing"]


class StandaloneRequest(Connection):
    """What is known of a request before its body; the arguments are those of `werkzeug.sansio.request.Request`.

    Args:
        method: The request method.
        scheme: `http`, `https`, `ws` or `wss`.
        server: The address of the server; host and port, or path and None.
        root_path: Where the application is mounted.
        path: The path below it, decoded.
        query_string: What stands behind the `?`.
        headers: The header fields.
        remote_addr: The address of the client.
    """

    def __init__(
        self,
        method: str,
        scheme: str,
        server: tuple[str, int | None] | None,
        root_path: str,
        path: str,
        query_string: bytes,
        headers: Headers,
        remote_addr: str | None,
    ) -> None:
        super().__init__(
            {
                "type": "http",
                "method": method,
                "scheme": scheme,
                "server": server,
                "root_path": root_path,
                "path": root_path.rstrip("/") + "/" + path.lstrip("/"),
                "query_string": query_string,
                "headers": [],
                "client": None if remote_addr is None else (remote_addr, 0),
            }
        )
        self.__dict__["headers"] = headers  # as they are: no bytes can hold every text that may be in them


def host_or_nothing(
    scheme: str,
    host_header: str | None,
    server: tuple[str, int | None] | None = None,
    trusted_hosts: Collection[str] | None = None,
) -> str:
    """Return the host of a request as `get_host` does, but the empty string for one that is malformed.

    Raises:
        SecurityError: The host is not one of `trusted_hosts`.
    """
    try:
        return get_host(scheme, host_header, server, trusted_hosts)
    except SecurityError:
        if trusted_hosts:
            raise
        return ""
