"""What is printed when the built-in server starts: the application, debug mode, and how to serve it in production.

Owns those lines. The server itself says at which address it listens. Knows no application.
"""

from __future__ import annotations

import os
import shlex
import sys

import click

from .reloader import is_running_from_reloader

__all__ = ["production_commands", "show_server_banner", "show_start"]


def show_server_banner(debug: bool, app_import_path: str | None) -> None:
    """Print which application is served, and whether in debug mode; nothing in a process that was restarted."""
    if is_running_from_reloader():
        return
    if app_import_path is not None:
        click.echo(f" * Serving the app {app_import_path!r}")
    if debug is not None:
        click.echo(f" * Debug mode: {'on' if debug else 'off'}")


def show_start(import_path: str | None, *, is_development: bool) -> None:
    """Print the commands of servers for production, for an application that these can import."""
    if import_path is None:
        return
    lines = ["In production take a server of either protocol:" if is_development else "Other servers:"]
    lines += [f"     {command}" for command in production_commands(import_path)]
    click.echo(f" * {lines[0]}\n" + "\n".join(lines[1:]))


def production_commands(import_path: str) -> list[str]:
    """Command lines that serve an application.

    Args:
        import_path: As `--app` takes it: `module`, `module:name`, `module:factory(...)`, or a path.
    """
    module, _, name = import_path.partition(":")
    if module.endswith(".py"):
        module = os.path.splitext(os.path.basename(module))[0]
    target = f"{module}:{name or 'app'}"
    is_factory = name.endswith(")")
    quoted = shlex.quote(target) if sys.platform != "win32" else target
    commands = [f"gunicorn {quoted}"]
    if not is_factory:
        commands += [f"uvicorn {quoted}", f"granian --interface asgi {quoted}"]
    elif name.endswith("()"):
        plain = target.removesuffix("()")
        commands += [f"uvicorn --factory {plain}", f"granian --interface asgi --factory {plain}"]
    return commands
