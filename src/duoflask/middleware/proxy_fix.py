"""`ProxyFix`: take the client's address, scheme, host and prefix from what a trusted proxy has written."""

from __future__ import annotations

from typing import Any

from ..http.forwarded import ORIGINAL, Forwarded, fix_scope, read_forwarded, split_port
from .around import Middleware, headers_of, is_scope

__all__ = ["ProxyFix"]


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
        fixed = read_forwarded(
            headers_of(source).get,
            x_for=self.x_for,
            x_proto=self.x_proto,
            x_host=self.x_host,
            x_port=self.x_port,
            x_prefix=self.x_prefix,
        )
        if not is_scope(source):
            _fix_environ(source, fixed)
            return self.app, source, None
        return self.app, fix_scope(source, fixed), None


def _fix_environ(environ: dict[str, Any], fixed: Forwarded) -> None:
    names = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME")
    environ[ORIGINAL] = {name: environ.get(name) for name in names}
    if fixed.address is not None:
        environ["REMOTE_ADDR"] = fixed.address
    if fixed.scheme is not None:
        environ["wsgi.url_scheme"] = fixed.scheme
    if fixed.host is not None:
        environ["HTTP_HOST"] = fixed.host
        environ["SERVER_NAME"], port = split_port(fixed.host)
        if port is not None:
            environ["SERVER_PORT"] = port
    if fixed.port is not None:
        host = environ.get("HTTP_HOST")
        if host:
            environ["HTTP_HOST"] = f"{split_port(host)[0]}:{fixed.port}"
        environ["SERVER_PORT"] = fixed.port
    if fixed.prefix is not None:
        environ["SCRIPT_NAME"] = fixed.prefix
