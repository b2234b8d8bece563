"""The command line: its commands, and the group that plug-ins extend.

Plug-ins come from the entry point groups `duoflask.commands` and `flask.commands`, and from the application's
own `cli` group. How an application is named and found stands in `app_loading`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .app_loading import (
    NoAppException,
    ScriptInfo,
    find_app_by_string,
    find_best_app,
    locate_app,
    prepare_import,
)
from .banner import show_server_banner
from .cli_run import run_command, set_debug
from .cli_types import CertParamType, SeparatedPathType
from .command_groups import AppGroup, with_appcontext
from .doctor import doctor_command
from .globals import current_app
from .migrate import migrate_command
from .new import new_command
from .route_table import SORT_KEYS, route_table
from .sessions_cli import sessions_group
from .shell import shell_command
from .versions import FLASK_VERSION, WERKZEUG_VERSION

__all__ = [
    "AppGroup",
    "CertParamType",
    "FlaskGroup",
    "NoAppException",
    "ScriptInfo",
    "SeparatedPathType",
    "cli",
    "find_app_by_string",
    "find_best_app",
    "get_version",
    "load_dotenv",
    "locate_app",
    "main",
    "pass_script_info",
    "prepare_import",
    "routes_command",
    "run_command",
    "shell_command",
    "show_server_banner",
    "version_option",
    "with_appcontext",
]

# Said on the help page, which needs no application.
_NO_APP_YET = (
    " * Tip: no application is named here (--app, DUOFLASK_APP, FLASK_APP), so its own commands are not listed.\n"
)
_DOTENV_FILES = (".env", ".flaskenv")
# The plug-ins of Flask's are loaded for an application that stands in for Flask only: they import flask themselves.
OWN_PLUGINS, FLASK_PLUGINS, FLASK_PATCH = "duoflask.commands", "flask.commands", "duoflask.flask_patch"

pass_script_info = click.make_pass_decorator(ScriptInfo, ensure=True)


def get_version(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Print the versions and exit; the callback of `--version`."""
    if not value or ctx.resilient_parsing:
        return
    try:
        version = importlib.metadata.version("duoflask")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed)"
    interface = f"interface: Flask {FLASK_VERSION}, Werkzeug {WERKZEUG_VERSION}"
    click.echo(f"Python {platform.python_version()}\nduoflask {version} ({interface})", color=ctx.color)
    ctx.exit()


version_option = click.Option(
    ["--version"],
    help="Show the versions of Python and duoflask.",
    expose_value=False,
    callback=get_version,
    is_flag=True,
    is_eager=True,
)


def _set_app(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None:
        ctx.ensure_object(ScriptInfo).app_import_path = value
    return value


def _set_env_file(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    load_defaults = ctx.ensure_object(ScriptInfo).load_dotenv_defaults
    if value is not None or load_defaults:
        load_dotenv(value, load_defaults)
    return value


_env_file_option = click.Option(
    ["-e", "--env-file"],
    type=click.Path(exists=True, dir_okay=False),
    help="Load environment variables from this file, over .env and .flaskenv. Needs python-dotenv.",
    is_eager=True,
    expose_value=False,
    callback=_set_env_file,
)
_app_option = click.Option(
    ["-A", "--app"],
    metavar="IMPORT",
    help="The application: 'module', 'module:name', 'module:factory(...)' or a path; else wsgi.py or app.py.",
    envvar=["DUOFLASK_APP", "FLASK_APP"],
    is_eager=True,
    expose_value=False,
    callback=_set_app,
)
_debug_option = click.Option(
    ["--debug/--no-debug"],
    default=None,
    help="Set debug mode.",
    envvar=["DUOFLASK_DEBUG", "FLASK_DEBUG"],
    expose_value=False,
    callback=set_debug,
)


def load_dotenv(path: str | os.PathLike[str] | None = None, load_defaults: bool = True) -> bool:
    """Load environment variables from `path`, .env and .flaskenv; what is set stays, earlier files win.

    Raises:
        click.BadParameter: A path was given and python-dotenv is not installed.
    """
    files = [Path(path)] if path is not None else []
    if load_defaults:
        places = [Path.cwd(), *Path.cwd().parents]
        for name in _DOTENV_FILES:
            files += [place / name for place in places if (place / name).is_file()][:1]
    if not files:
        return False
    try:
        dotenv = importlib.import_module("dotenv")
    except ImportError:
        if path is not None:
            raise click.BadParameter("python-dotenv must be installed to load an env file.") from None
        tip = f" * Tip: {files[0]} is there. Do 'pip install python-dotenv' to use it."
        click.secho(tip, fg="yellow", err=True)
        return False
    values: dict[str, str | None] = {}
    for file in files:
        values = {**dotenv.dotenv_values(file), **values}
    for name, value in values.items():
        if value is not None:
            os.environ.setdefault(name, value)
    return bool(values)


class FlaskGroup(AppGroup):
    """The group of `duoflask`: own commands, those of plug-ins, and those of the application's `cli` group.

    Args:
        add_default_commands: Add `run`, `shell` and `routes`.
        create_app: Returns the application; `--app` is then not offered.
        add_version_option: Add `--version`.
    """

    def __init__(
        self,
        add_default_commands: bool = True,
        create_app: Callable[..., Any] | None = None,
        add_version_option: bool = True,
        load_dotenv: bool = True,
        set_debug_flag: bool = True,
        **extra: Any,
    ) -> None:
        params: list[click.Parameter] = list(extra.pop("params", None) or ())
        params += [_env_file_option, *([] if create_app else [_app_option]), _debug_option]
        if add_version_option:
            params.append(version_option)
        extra.setdefault("context_settings", {}).setdefault("auto_envvar_prefix", "DUOFLASK")
        super().__init__(params=params, **extra)
        self._info_args = (None, create_app, set_debug_flag, load_dotenv)
        self._loaded_plugins: set[str] = set()
        if add_default_commands:
            for command in (run_command, shell_command, routes_command, sessions_group, migrate_command):
                self.add_command(command)
            for command in (new_command, doctor_command):
                self.add_command(command)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        # The application's own app.run() must do nothing while its module is imported by a command.
        os.environ["FLASK_RUN_FROM_CLI"] = "true"  # the name that extensions ask for
        if "obj" not in extra and "obj" not in self.context_settings:
            extra["obj"] = ScriptInfo(*self._info_args)
        return super().make_context(info_name, args, parent=parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (len(args) == 1 and args[0] in self.get_help_option_names(ctx)):
            # --help lists the application's commands, so what names the application is read before it.
            for param in self.params:
                if param in (_env_file_option, _app_option):
                    param.handle_parse_result(ctx, {}, [])
        return super().parse_args(ctx, args)

    def _load_plugins(self, group: str) -> None:
        """Add the commands of an entry point group, once; one that cannot be loaded is named and left out."""
        if group in self._loaded_plugins:
            return
        self._loaded_plugins.add(group)
        for entry in importlib.metadata.entry_points(group=group):
            if entry.name in self.commands:
                continue
            try:
                self.add_command(entry.load(), entry.name)
            except Exception as exc:
                click.secho(f"Error: the plug-in {entry.value!r} ({group}) is left out: {exc}\n", err=True, fg="red")

    def _app_commands(self, ctx: click.Context, is_needed: bool = True) -> click.Group | None:
        """Return the application's group; None, and a word on stderr, without an application."""
        try:
            app = ctx.ensure_object(ScriptInfo).load_app()
        except click.UsageError as exc:
            if not is_needed and getattr(exc, "names_nothing", False):
                click.echo(_NO_APP_YET, err=True)
            else:
                click.secho(f"Error: {exc.format_message()}\n", err=True, fg="red")
            return None
        group = getattr(app, "cli", None)
        return group if isinstance(group, click.Group) else None

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        self._load_plugins(OWN_PLUGINS)
        command = super().get_command(ctx, name)
        if command is not None:
            return command
        group = self._app_commands(ctx)
        if group is None:
            return None
        command = group.get_command(ctx, name)
        if command is None and FLASK_PATCH in sys.modules:
            self._load_plugins(FLASK_PLUGINS)
            command = super().get_command(ctx, name)
        if command is not None and not current_app:
            ctx.with_resource(ctx.ensure_object(ScriptInfo).load_app().app_context())
        return command

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._load_plugins(OWN_PLUGINS)
        names: set[str] = set()
        try:
            group = self._app_commands(ctx, is_needed=False)
            names.update(group.list_commands(ctx) if group is not None else ())
        except Exception:
            # The help page must come even if the application cannot be imported.
            click.secho(f"{traceback.format_exc()}\n", err=True, fg="red")
        if FLASK_PATCH in sys.modules:
            self._load_plugins(FLASK_PLUGINS)
        names.update(super().list_commands(ctx))
        return sorted(names)


@click.command("routes", short_help="Show the URL rules and where their functions run.")
@click.option("-s", "--sort", type=click.Choice(SORT_KEYS), default="endpoint", help="'match': the order of matching.")
@click.option("--all-methods", is_flag=True, help="Show HEAD and OPTIONS as well.")
@with_appcontext
def routes_command(sort: str, all_methods: bool) -> None:
    """Show every URL rule with its endpoint and methods, and where the functions of its requests run.

    The last column names, under WSGI and under ASGI: inline (in the server's thread, or on its loop), worker
    (a worker thread), portal (the process's loop for async functions), loop (the server's).
    """
    for line in route_table(current_app._get_current_object(), sort, all_methods):
        click.echo(line)


cli = FlaskGroup(
    name="duoflask",
    help="Serve and manage an application. Name it with --app, or in the variable DUOFLASK_APP or FLASK_APP.",
)


def main() -> None:
    """Run the command line; the entry point `duoflask`."""
    cli.main()


if __name__ == "__main__":
    main()
