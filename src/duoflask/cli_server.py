"""Options of the command `run` that concern the server alone.

Knows click and the settings' names and defaults; each option is the field of `ServerConfig` of the same name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .server.config import ServerConfig
from .server.listen import parse_bind
from .server.proxies import ProxyTrust

__all__ = ["server_options"]

_F = TypeVar("_F", bound=Callable[..., Any])

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(ServerConfig)}


def _checked(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Have the settings themselves refuse a value, so that it is an error of the command line's."""
    if isinstance(value, str) and param.name != "root_path":
        value = [item.strip() for item in value.split(",") if item.strip()]
    try:
        if param.name == "binds":
            for text in value:
                parse_bind(text, 0)
        elif value is not None:
            ServerConfig(**{str(param.name): value})
            if param.name == "trusted_proxies":
                ProxyTrust(value, ())
    except ValueError as exc:
        raise click.BadParameter(str(exc), ctx, param) from exc
    return value


def _number(name: str, kind: Any, text: str, minimum: float = 0, metavar: str | None = None) -> Any:
    """An option for a number; without it the setting's own default holds, which the help page tells."""
    default = _DEFAULTS[name]
    unit = metavar or ("SECONDS" if kind is float else "NUMBER")
    told = "no limit" if default is None else str(default).removesuffix(".0")
    kind = click.FloatRange(min=minimum) if kind is float else click.IntRange(min=int(minimum))
    return click.option(f"--{name.replace('_', '-')}", name, type=kind, metavar=unit, help=f"{text} [default: {told}]")


_OPTIONS = (
    click.option(
        "--bind",
        "binds",
        multiple=True,
        callback=_checked,
        metavar="ADDRESS",
        help="Listen here instead: host:port, [::1]:port, unix:/path or fd:3. May be repeated.",
    ),
    click.option("--fd", type=click.IntRange(min=0), help="Listen on this inherited socket instead."),
    click.option(
        "--trusted-proxies",
        callback=_checked,
        metavar="LIST",
        help="Believe X-Forwarded-* fields of these: addresses, networks, 'unix', '*'; separated by commas.",
    ),
    click.option(
        "--forwarded-fields",
        callback=_checked,
        metavar="LIST",
        help="Which of them the proxies set: for, proto, host, port, prefix. [default: for,proto]",
    ),
    click.option(
        "--root-path", callback=_checked, metavar="PATH", help="Where a proxy in front has mounted the application."
    ),
    _number("threads", int, "Worker threads of --interface wsgi.", 1),
    _number("max_connections", int, "Open connections; further ones are told 503.", 1),
    _number("max_in_flight", int, "Requests at a time; further ones are told 503.", 1),
    _number("head_timeout", float, "For a request's head, and for the TLS handshake."),
    _number("keep_alive_timeout", float, "For the next request on a connection."),
    _number("body_timeout", float, "For the next bytes of a request's body."),
    _number("write_timeout", float, "For a client that takes nothing of a response."),
    _number("graceful_timeout", float, "For requests in flight when the server stops."),
    _number("websocket_max_size", int, "Of one WebSocket message.", 1, "BYTES"),
    _number("websocket_ping_interval", float, "Of silence until a WebSocket is pinged.", 0.01),
    _number("websocket_ping_timeout", float, "For the answer to that."),
    click.option("--access-log/--no-access-log", default=None, help="Write a line for each request. [default: on]"),
    click.option("--server-header", metavar="TEXT", help="Value of the Server field; '' for none. [default: duoflask]"),
)


def server_options(command: _F) -> _F:
    """Add the options to a command; those that are not given are None, or an empty tuple."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
