"""What is known of a request before its body: one class over a WSGI environ or an ASGI scope.

Every attribute is worked out when it is looked at and then kept. Nothing a peer sends makes one raise
anything but an HTTPException. What single header fields say is `request_fields`' business. Knows no body, no
route, no app; requests and WebSockets stand on it.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from .cookies import parse_cookie_as
from .descriptors import cached_property
from .environ import wsgi_decoded
from .errors import HTTPException
from .header_views import EnvironHeaders, ScopeHeaders, find_raw
from .immutable import ImmutableList
from .multidict import ImmutableMultiDict
from .options import parse_list_header
from .request_fields import RequestFields
from .uri import decode_percent, get_current_url, get_host, parse_query_as, split_root_path

__all__ = ["Connection", "environ_from_scope"]


class Connection(RequestFields):
    """Method, addresses and header fields, read from a source.

    Args:
        source: A WSGI environ, or an ASGI scope of type `http` or `websocket`.
    """

    parameter_storage_class: type[Any] = ImmutableMultiDict
    dict_storage_class: type[Any] = ImmutableMultiDict
    list_storage_class: type[Any] = ImmutableList
    trusted_hosts: Collection[str] | None = None

    scope: Any = None

    def __init__(self, source: Any) -> None:
        if "type" in source:  # every ASGI scope has it, no environ does
            self.scope = source
        else:
            self.environ = source

    def __repr__(self) -> str:
        try:
            url = repr(self.url)
        except HTTPException as exc:
            url = f"(invalid URL: {exc.description})"
        return f"<{type(self).__name__} {url} [{self.method}]>"

    @cached_property
    def environ(self) -> dict[str, Any]:
        """The WSGI environ; under ASGI one made from the scope (PEP 3333)."""
        return environ_from_scope(self.scope)

    # the request line

    @cached_property
    def method(self) -> str:
        """The method, in upper case."""
        if self.scope is None:
            return str(self.environ.get("REQUEST_METHOD", "GET")).upper()
        return str(self.scope.get("method", "GET")).upper()

    @cached_property
    def scheme(self) -> str:
        """`http`, `https`, `ws` or `wss`."""
        if self.scope is None:
            return str(self.environ.get("wsgi.url_scheme", "http"))
        return str(self.scope.get("scheme", "http"))

    @cached_property
    def server(self) -> tuple[str, int | None] | None:
        """The address of the server: host and port, path and None for a unix socket, None if unknown."""
        if self.scope is not None:
            address = self.scope.get("server")
            return None if address is None else (address[0], address[1])
        name = self.environ.get("SERVER_NAME")
        if name is None:
            return None
        try:
            return name, int(self.environ.get("SERVER_PORT"))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return name, None

    @cached_property
    def root_path(self) -> str:
        """Where the application is mounted, without a slash at its end."""
        if self.scope is None:
            return wsgi_decoded(self.environ.get("SCRIPT_NAME")).rstrip("/")
        return str(self.scope.get("root_path") or "").rstrip("/")

    @cached_property
    def path(self) -> str:
        """The path below `root_path`, decoded; bytes that are not UTF-8 are replaced."""
        if self.scope is None:
            path = wsgi_decoded(self.environ.get("PATH_INFO"))
        else:
            path = split_root_path(self.scope.get("path") or "", self.root_path)
        return "/" + path.lstrip("/")

    @cached_property
    def query_string(self) -> bytes:
        """What stands behind the `?`, as it was sent."""
        if self.scope is None:
            return str(self.environ.get("QUERY_STRING") or "").encode("latin-1", "replace")
        return bytes(self.scope.get("query_string") or b"")

    @cached_property
    def remote_addr(self) -> str | None:
        """The address of the client; None if unknown."""
        if self.scope is None:
            return self.environ.get("REMOTE_ADDR")
        client = self.scope.get("client")
        return None if client is None else client[0]

    @property
    def remote_user(self) -> str | None:
        """Whom a WSGI server has authenticated; ASGI has no such thing."""
        return None if self.scope is not None else self.environ.get("REMOTE_USER")

    @property
    def is_secure(self) -> bool:
        """Whether the scheme is `https` or `wss`."""
        return self.scheme in ("https", "wss")

    @property
    def is_multithread(self) -> bool:
        """Whether other threads of this process may serve requests."""
        return self.scope is not None or bool(self.environ.get("wsgi.multithread"))

    @property
    def is_multiprocess(self) -> bool:
        """Whether other processes may serve requests."""
        return self.scope is not None or bool(self.environ.get("wsgi.multiprocess"))

    @property
    def is_run_once(self) -> bool:
        """Whether the process ends after this request, as CGI does."""
        return self.scope is None and bool(self.environ.get("wsgi.run_once"))

    # addresses

    @cached_property
    def host(self) -> str:
        """The Host, with its port unless that is the scheme's own.

        Raises:
            SecurityError: It is malformed, or not one of `trusted_hosts`.
        """
        return get_host(self.scheme, self.headers.get("Host"), self.server, self.trusted_hosts)

    @cached_property
    def url(self) -> str:
        """The whole address."""
        return get_current_url(self.scheme, self.host, self.root_path, self.path, self.query_string)

    @cached_property
    def base_url(self) -> str:
        """The address without the query."""
        return get_current_url(self.scheme, self.host, self.root_path, self.path)

    @cached_property
    def root_url(self) -> str:
        """The address where the application is mounted."""
        return get_current_url(self.scheme, self.host, self.root_path)

    @cached_property
    def url_root(self) -> str:
        """Another name of `root_url`."""
        return self.root_url

    @cached_property
    def host_url(self) -> str:
        """Scheme and host."""
        return get_current_url(self.scheme, self.host)

    @property
    def script_root(self) -> str:
        """Another name of `root_path`."""
        return self.root_path

    @cached_property
    def full_path(self) -> str:
        """`path` and the query; the `?` is there even without one."""
        return f"{self.path}?{decode_percent(self.query_string)}"

    @cached_property
    def access_route(self) -> Any:
        """The addresses in X-Forwarded-For, from the client to the last proxy, else `remote_addr`.

        Anybody can send the header: trust it only behind a proxy that sets it.
        """
        forwarded = self.headers.get("X-Forwarded-For")
        if forwarded is not None:
            return self.list_storage_class(parse_list_header(forwarded))
        return self.list_storage_class([] if self.remote_addr is None else [self.remote_addr])

    # the query and the header fields

    @property
    def content_type(self) -> str | None:
        """The type of the body (RFC 9110 8.3)."""
        if self.scope is None:  # PERF: 500 ns less than through `headers` (form, benchmarks/)
            return self.environ.get("CONTENT_TYPE") or None
        return self._raw_field(b"content-type")

    @cached_property
    def args(self) -> Any:
        """The fields of the query."""
        return parse_query_as(self.parameter_storage_class, self.query_string)

    @cached_property
    def headers(self) -> Any:
        """The header fields, a read-only view."""
        if self.scope is None:
            return EnvironHeaders(self.environ)
        return ScopeHeaders(self.scope.get("headers") or ())

    @cached_property
    def cookies(self) -> Any:
        """The cookies."""
        # PERF: 200 ns less than through `headers` (fields, benchmarks/)
        header = self.environ.get("HTTP_COOKIE") if self.scope is None else self._raw_field(b"cookie")
        return parse_cookie_as(self.dict_storage_class, header)

    def _raw_field(self, name: bytes) -> str | None:
        """What `headers` says of a field of an ASGI scope; PERF: no view is made of the usual list of them."""
        if "headers" not in self.__dict__ and type(self).headers is _headers:
            raw = self.scope.get("headers")
            if type(raw) is list:
                return find_raw(raw, name)
        return self.headers.get(name.decode())  # type: ignore[no-any-return]


_headers = Connection.headers


def environ_from_scope(scope: Any) -> dict[str, Any]:
    """Return a WSGI environ (PEP 3333) made of an ASGI `http` scope; `wsgi.input` is empty."""
    root: str = scope.get("root_path") or ""
    server = scope.get("server") or ("localhost", 80)
    query: bytes = scope.get("query_string") or b""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.get("method", "GET"),  # a WebSocket's scope has none
        "SCRIPT_NAME": root.rstrip("/").encode("utf-8", "replace").decode("latin-1"),
        "PATH_INFO": _path_bytes(scope, root).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        "SERVER_NAME": "localhost" if server[1] is None else server[0],
        "SERVER_PORT": "0" if server[1] is None else str(server[1]),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": BytesIO(),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "asgi.scope": scope,
    }
    client = scope.get("client")
    if client is not None:
        environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
    raw_path: bytes | None = scope.get("raw_path")
    if raw_path:
        environ["REQUEST_URI"] = environ["RAW_URI"] = (raw_path + (b"?" + query if query else b"")).decode("latin-1")
    for name, value in ScopeHeaders(scope.get("headers") or ()):
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ


def _path_bytes(scope: Any, root: str) -> bytes:
    """The bytes of the path below `root`; servers put U+FFFD for what is no UTF-8."""
    path: str = scope.get("path") or ""
    if "\ufffd" in path and scope.get("raw_path"):
        raw = unquote_to_bytes(scope["raw_path"].partition(b"?")[0])
        prefix = root.rstrip("/").encode()
        if not prefix or not raw.startswith(prefix) or raw[len(prefix) : len(prefix) + 1] not in (b"", b"/"):
            return raw
        return raw[len(prefix) :]
    return split_root_path(path, root.rstrip("/")).encode("utf-8", "replace")
