"""The command `run`: its options, and what they mean for the built-in server.

Knows the application as what a `ScriptInfo` loads.
"""

from __future__ import annotations

import importlib.util
import os
import ssl
from typing import Any

import click

from .app_loading import ScriptInfo
from .banner import show_server_banner
from .cli_server import server_options
from .cli_types import CertParamType, SeparatedPathType
from .config import get_debug_flag
from .development import run_development
from .server import LifespanError

__all__ = ["run_command", "set_debug"]

_FILE = click.Path(exists=True, dir_okay=False, resolve_path=True)


def set_debug(ctx: click.Context, param: click.Parameter, value: bool | None) -> bool | None:
    """Set debug mode in the environment, where the application reads it while it is imported; both names agree."""
    if value is not None:
        os.environ["DUOFLASK_DEBUG"] = os.environ["FLASK_DEBUG"] = "1" if value else "0"
    return value


def _variables(name: str) -> list[str]:
    return [f"DUOFLASK_RUN_{name}", f"FLASK_RUN_{name}"]


def _pair_key(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Check that a key comes with a certificate file, and make a pair of the two."""
    cert = ctx.params.get("cert")
    needs_key = cert is not None and cert != "adhoc" and not isinstance(cert, ssl.SSLContext)
    if value is None:
        if needs_key:
            raise click.BadParameter("a certificate file needs its key: add --key PATH", ctx, param)
        return None
    if cert is None:
        raise click.BadParameter("a key needs its certificate: add --cert PATH", ctx, param)
    if not needs_key:
        raise click.BadParameter("--cert 'adhoc' or an SSLContext has its key with it: leave --key out", ctx, param)
    ctx.params["cert"] = cert, value
    return value


def _installed_loop(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Check that the loop's package is there."""
    if value != "asyncio" and importlib.util.find_spec(value) is None:
        raise click.BadParameter(f"the package {value} is not installed: pip install {value}", ctx, param)
    return value


@click.command("run", short_help="Serve the application.", context_settings={"allow_extra_args": True})
@click.option("-h", "--host", default="127.0.0.1", envvar=_variables("HOST"), show_default=True)
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=5000, envvar=_variables("PORT"), show_default=True)
@click.option("--uds", metavar="PATH", help="Listen on a unix socket instead.")
@click.option("--interface", type=click.Choice(["asgi", "wsgi"]), default="asgi", show_default=True)
@click.option(
    "--loop",
    type=click.Choice(["asyncio", "trio", "uvloop"]),
    default="asyncio",
    show_default=True,
    callback=_installed_loop,
)
@click.option("--debug/--no-debug", default=None, expose_value=False, callback=set_debug, help="Set debug mode.")
@click.option(
    "--cert",
    type=CertParamType(),
    is_eager=True,
    envvar=_variables("CERT"),
    help="Serve HTTPS with this certificate: a file, 'adhoc', or the name of an SSLContext.",
)
@click.option(
    "--key", type=_FILE, callback=_pair_key, expose_value=False, envvar=_variables("KEY"), help="The certificate's key."
)
@click.option("--reload/--no-reload", default=None, envvar=_variables("RELOAD"), help="By default in debug mode.")
@click.option(
    "--debugger/--no-debugger",
    default=None,
    envvar=_variables("DEBUGGER"),
    help="Show a page that explains an error; by default in debug mode.",
)
@click.option(
    "--live-reload/--no-live-reload",
    default=None,
    help="Have open pages reload after a change; by default in debug mode.",
)
@click.option("--with-threads/--without-threads", default=True, help="Taken for Flask's sake; it always has threads.")
@click.option(
    "--extra-files",
    type=SeparatedPathType(),
    envvar=_variables("EXTRA_FILES"),
    help=f"Files whose change restarts the server too, separated by {os.pathsep!r}.",
)
@click.option(
    "--exclude-patterns",
    type=SeparatedPathType(),
    envvar=_variables("EXCLUDE_PATTERNS"),
    help=f"Patterns (fnmatch) of files whose change restarts nothing, separated by {os.pathsep!r}.",
)
@server_options
@click.pass_context
def run_command(
    ctx: click.Context, /, *, host: str, port: int, reload: bool | None, debugger: bool | None, **options: Any
) -> None:
    """Serve the application with the built-in server until Ctrl+C or SIGTERM.

    In debug mode it restarts on changes, open pages reload by themselves, and a page explains what was raised.
    """
    if ctx.args:  # click would not say where the name of an application goes
        raise click.UsageError(
            f"Got unexpected extra argument{'s' * (len(ctx.args) > 1)} ({' '.join(ctx.args)}). "
            f"If it names the application, write 'duoflask --app {ctx.args[0]} run'.",
            ctx,
        )
    info = ctx.ensure_object(ScriptInfo)
    debug = get_debug_flag()
    del options["with_threads"]
    options = {name: value for name, value in options.items() if value not in (None, ())}
    cert = options.pop("cert", None)
    if cert is not None:
        options["ssl_context"] = cert
    show_server_banner(debug, info.app_import_path)
    try:
        run_development(
            info.load_app,
            host,
            port,
            use_reloader=debug if reload is None else reload,
            use_debugger=debug if debugger is None else debugger,
            import_path=info.app_import_path,
            **options,
        )
    except (LifespanError, OSError) as exc:
        raise click.ClickException(str(exc.strerror or exc) if isinstance(exc, OSError) else str(exc)) from exc
