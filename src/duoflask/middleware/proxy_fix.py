"""`ProxyFix`: take the client's address, scheme, host and prefix from what a trusted proxy has written."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..http.environ import wsgi_decoded
from ..http.options import parse_list_header
from .around import Middleware, headers_of, is_scope, path_of

__all__ = ["ProxyFix"]

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}

ORIGINAL = "werkzeug.proxy_fix.orig"


class _Fixed(NamedTuple):
    """What the proxies say; None where nothing is trusted."""

    address: str | None
    scheme: str | None
    host: str | None
    port: str | None
    prefix: str | None


class ProxyFix(Middleware):
    """Trust the `X-Forwarded-*` fields of as many proxies as there are in front of the server, and of no more.

    Anybody can send these fields. The last `x_*` values are those that the own proxies have added; a number that is too
    high lets a client choose its address. What a proxy cannot have written (a scheme other than http and https, a port
    that is no number) is ignored.

    What there was before stands in the environ or scope under `werkzeug.proxy_fix.orig`.

    Args:
        app: The application, of either protocol or of both.
        x_for: How many values of X-Forwarded-For to trust.
        x_proto: How many of X-Forwarded-Proto.
        x_host: How many of X-Forwarded-Host.
        x_port: How many of X-Forwarded-Port.
        x_prefix: How many of X-Forwarded-Prefix.
    """

    def __init__(
        self, app: Any, x_for: int = 1, x_proto: int = 1, x_host: int = 0, x_port: int = 0, x_prefix: int = 0
    ) -> None:
        super().__init__(app)
        self.x_for = x_for
        self.x_proto = x_proto
        self.x_host = x_host
        self.x_port = x_port
        self.x_prefix = x_prefix

    def prepare(self, source: Any) -> tuple[Any, Any, None]:
        """Have the application see what the proxies say."""
        fixed = self._read(headers_of(source))
        if not is_scope(source):
            _fix_environ(source, fixed)
            return self.app, source, None
        return self.app, _fix_scope(source, fixed), None

    def _read(self, headers: Any) -> _Fixed:
        scheme = _trusted(self.x_proto, headers.get("X-Forwarded-Proto"))
        scheme = None if scheme is None else scheme.lower()
        port = _trusted(self.x_port, headers.get("X-Forwarded-Port"))
        if port is not None and not (_is_number(port) and 0 < int(port) < 65536):
            port = None
        prefix = _trusted(self.x_prefix, headers.get("X-Forwarded-Prefix"))
        if prefix is not None:
            prefix = prefix.strip("/")
            prefix = f"/{prefix}" if prefix else ""  # never `//host`, which a URL made of it would lead to
        return _Fixed(
            _trusted(self.x_for, headers.get("X-Forwarded-For")),
            scheme if scheme in _SCHEMES else None,
            _trusted(self.x_host, headers.get("X-Forwarded-Host")),
            port,
            prefix,
        )


def _trusted(count: int, value: str | None) -> str | None:
    """The value that the outermost trusted proxy has written; None if there are fewer values than proxies."""
    if not count or not value:
        return None
    values = parse_list_header(value)
    return values[-count] or None if len(values) >= count else None


def _is_number(port: str) -> bool:
    return port.isascii() and port.isdecimal() and len(port) <= 5


def _split_port(host: str) -> tuple[str, str | None]:
    """A host's name, and its port if that is a number."""
    if ":" in host and not host.endswith("]"):  # an IPv6 address without a port ends in a bracket
        name, _, port = host.rpartition(":")
        return name, port if _is_number(port) else None
    return host, None


def _fix_environ(environ: dict[str, Any], fixed: _Fixed) -> None:
    names = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME")
    environ[ORIGINAL] = {name: environ.get(name) for name in names}
    if fixed.address is not None:
        environ["REMOTE_ADDR"] = fixed.address
    if fixed.scheme is not None:
        environ["wsgi.url_scheme"] = fixed.scheme
    if fixed.host is not None:
        environ["HTTP_HOST"] = fixed.host
        environ["SERVER_NAME"], port = _split_port(fixed.host)
        if port is not None:
            environ["SERVER_PORT"] = port
    if fixed.port is not None:
        host = environ.get("HTTP_HOST")
        if host:
            environ["HTTP_HOST"] = f"{_split_port(host)[0]}:{fixed.port}"
        environ["SERVER_PORT"] = fixed.port
    if fixed.prefix is not None:
        environ["SCRIPT_NAME"] = fixed.prefix


def _fix_scope(scope: Any, fixed: _Fixed) -> dict[str, Any]:
    names = ("client", "scheme", "server", "root_path")
    old_host = next((value for name, value in scope["headers"] if name == b"host"), None)
    new = {**scope, ORIGINAL: {**{name: scope.get(name) for name in names}, "host": old_host}}
    host = None if old_host is None else old_host.decode("latin-1")
    server = scope.get("server")
    if fixed.address is not None:
        new["client"] = (fixed.address, 0)
    if fixed.scheme is not None:
        new["scheme"] = _SCHEMES[fixed.scheme] if scope["type"] == "websocket" else fixed.scheme
    if fixed.host is not None:
        host = fixed.host
        name, port = _split_port(host)
        server = (name, int(port) if port is not None else server[1] if server else None)
    if fixed.port is not None:
        host = f"{_split_port(host)[0]}:{fixed.port}" if host else host
        server = (server[0] if server else "localhost", int(fixed.port))
    if fixed.host is not None or fixed.port is not None:
        new["server"] = server
        if host is not None:
            fields = [(name, value) for name, value in scope["headers"] if name != b"host"]
            new["headers"] = [(b"host", host.encode("latin-1")), *fields]
    if fixed.prefix is not None:
        prefix = wsgi_decoded(fixed.prefix)
        new["root_path"], new["path"] = prefix, prefix + path_of(scope)  # `path` holds `root_path` (2.4)
    return new
