"""What is printed when the built-in server starts: the application, debug mode, and how to serve it in production.

Owns those lines. The server itself says at which address it listens. Knows an application as what a module holds.
"""

from __future__ import annotations

import os
import shlex
import sys
from types import ModuleType
from typing import Any, Final

import click

from .reloader import is_running_from_reloader

__all__ = ["found_path", "production_commands", "show_server_banner", "show_start"]

_NAMES: Final = ("app", "application")
_FACTORIES: Final = ("create_app", "make_app")


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


def found_path(application: Any, import_path: str | None) -> str | None:
    """Where an application is found by other servers, as `module:name` or `module:factory()`; None if that is unknown.

    Args:
        application: The application, after its module was imported.
        import_path: What was given for it; None for what lies in wsgi.py, in app.py, or in the program itself.
    """
    if import_path is not None and ":" in import_path:
        return import_path
    names = (
        [import_path] if import_path is not None else ["__main__", "wsgi", "app"]
    )  # the program that was started first
    modules = [module for name in names if (module := _module_of(name)) is not None]
    for module in modules:
        values = vars(module)
        for name in (*_NAMES, *values):
            if values.get(name) is application:
                return f"{_name_of(module)}:{name}"
    for module in modules:
        for name in _FACTORIES:
            if callable(vars(module).get(name)):
                return f"{_name_of(module)}:{name}()"
    return import_path


def _module_of(name: str) -> ModuleType | None:
    if not name.endswith(".py"):
        module = sys.modules.get(name)
        return module if name != "__main__" or getattr(module, "__file__", None) else None  # `python -c` has no file
    path = os.path.realpath(name)
    files = ((module, getattr(module, "__file__", None)) for module in list(sys.modules.values()))
    return next((module for module, file in files if isinstance(file, str) and os.path.realpath(file) == path), None)


def _name_of(module: ModuleType) -> str:
    if module.__name__ != "__main__":
        return module.__name__
    spec = getattr(module, "__spec__", None)
    return spec.name if spec is not None else os.path.splitext(os.path.basename(module.__file__ or "app"))[0]


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
