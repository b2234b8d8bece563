"""The command line: finding the application, the `run` command, and the group that plug-ins extend.

Owns how an application is named and found (`--app`, `DUOFLASK_APP`, `FLASK_APP`, wsgi.py, app.py), as
Flask's command line does it. Knows the application by its shape only: an object with `wsgi_app` and
`asgi_app`. Plug-ins come from the entry point groups `duoflask.commands` and `flask.commands`, and from the
application's own `cli` group.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import os
import platform
import sys
import traceback
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import click

from .globals import current_app
from .server import LifespanError, run as run_server

__all__ = [
    "AppGroup",
    "FlaskGroup",
    "NoAppException",
    "ScriptInfo",
    "cli",
    "find_app_by_string",
    "find_best_app",
    "get_version",
    "load_dotenv",
    "locate_app",
    "main",
    "pass_script_info",
    "prepare_import",
    "run_command",
    "version_option",
    "with_appcontext",
]

_F = TypeVar("_F", bound=Callable[..., Any])

_NAMES = ("app", "application")
_FACTORIES = ("create_app", "make_app")
_FILES = ("wsgi.py", "app.py")
_DOTENV_FILES = (".env", ".flaskenv")
ENTRY_POINT_GROUPS = ("duoflask.commands", "flask.commands")


class NoAppException(click.UsageError):
    """No application was found, or the one that was named cannot be loaded."""


def _is_app(value: object) -> bool:
    return not isinstance(value, type) and hasattr(value, "wsgi_app") and hasattr(value, "asgi_app")


def find_best_app(module: ModuleType) -> Any:
    """Return a module's application: `app` or `application`, the only instance, or what a factory returns.

    Raises:
        NoAppException: There is none, or several that no name tells apart.
    """
    for name in _NAMES:
        app = getattr(module, name, None)
        if _is_app(app):
            return app
    found = {id(value): value for value in vars(module).values() if _is_app(value)}
    if len(found) == 1:
        return next(iter(found.values()))
    where = module.__name__
    if found:
        raise NoAppException(
            f"Found {len(found)} applications in module '{where}'. "
            f"Say which: '--app {where}:name' with its name there."
        )
    for name in _FACTORIES:
        factory = getattr(module, name, None)
        if not inspect.isfunction(factory):
            continue
        try:
            app = factory()
        except TypeError as exc:
            if not _called_wrongly(factory, exc):
                raise
            raise NoAppException(
                f"Found the factory '{name}' in module '{where}', but it needs arguments. "
                f"Give them: '--app \"{where}:{name}(...)\"'."
            ) from exc
        if _is_app(app):
            return app
    raise NoAppException(
        f"No application in module '{where}': looked for {_quoted(_NAMES)}, one instance under any name, "
        f"and the factories {_quoted(_FACTORIES)}. "
        f"Say where it is: '--app {where}:name', or '--app \"{where}:factory(...)\"'."
    )


def _quoted(names: tuple[str, ...]) -> str:
    return " and ".join(f"'{name}'" for name in names)


def _called_wrongly(function: Callable[..., Any], exc: TypeError) -> bool:
    """Tell a call with wrong arguments from a TypeError inside the function: the latter has a frame of it."""
    trace = exc.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is getattr(function, "__code__", None):
            return False
        trace = trace.tb_next
    return True


def find_app_by_string(module: ModuleType, app_name: str) -> Any:
    """Return what a name, or a call with literal arguments such as `create_app("dev", x=1)`, stands for.

    Raises:
        NoAppException: It cannot be read, is not there, or is no application.
    """
    name, args, kwargs = _parse_reference(app_name)
    where = module.__name__
    try:
        value = getattr(module, name)
    except AttributeError:
        raise NoAppException(
            f"Module '{where}' has no attribute '{name}', which '--app {where}:{app_name}' names."
        ) from None
    if inspect.isfunction(value) or args is not None:
        try:
            app = value(*(args or ()), **kwargs)
        except TypeError as exc:
            if not _called_wrongly(value, exc):
                raise
            raise NoAppException(
                f"The factory in '{where}:{app_name}' cannot be called with these arguments: {exc}"
            ) from exc
    else:
        app = value
    if _is_app(app):
        return app
    raise NoAppException(
        f"'{where}:{app_name}' is no application; expected an instance of DuoFlask; got {type(app).__name__}."
    )


def _parse_reference(text: str) -> tuple[str, list[Any] | None, dict[str, Any]]:
    """Return name, positional and keyword arguments; None instead of arguments if it is not a call."""
    try:
        expression = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise NoAppException(
            f"Cannot read '{text}'; expected a name, or a call of a function by its name."
        ) from None
    if isinstance(expression, ast.Name):
        return expression.id, None, {}
    if not isinstance(expression, ast.Call) or not isinstance(expression.func, ast.Name):
        raise NoAppException(f"Cannot read '{text}'; expected a name, or a call of a function by its name.")
    try:
        args = [ast.literal_eval(arg) for arg in expression.args]
        kwargs = {str(item.arg): ast.literal_eval(item.value) for item in expression.keywords if item.arg}
    except ValueError:
        raise NoAppException(
            f"Cannot read the arguments in '{text}'; expected literals such as 'dev' or 1."
        ) from None
    return expression.func.id, args, kwargs


def prepare_import(path: str) -> str:
    """Put the directory of a file's outermost package first on sys.path; return the module's dotted name."""
    place = Path(path).resolve()
    if place.suffix == ".py":
        place = place.with_suffix("")
    if place.name == "__init__":
        place = place.parent
    names = [place.name]
    directory = place.parent
    while (directory / "__init__.py").exists():
        names.insert(0, directory.name)
        directory = directory.parent
    if not sys.path or sys.path[0] != str(directory):
        sys.path.insert(0, str(directory))
    return ".".join(names)


def locate_app(module_name: str, app_name: str | None, raise_if_not_found: bool = True) -> Any:
    """Import a module and return its application; None if it is not there and that may be.

    Raises:
        NoAppException: The module cannot be imported, or holds no application.
    """
    try:
        module = importlib.import_module(module_name)
    except ImportError as exc:
        if exc.name is None or not (module_name == exc.name or module_name.startswith(exc.name + ".")):
            raise NoAppException(
                f"While importing '{module_name}', an ImportError was raised:\n\n{traceback.format_exc()}"
            ) from exc
        if raise_if_not_found:
            raise NoAppException(
                f"Could not import '{module_name}': no such module in {os.getcwd()} or on sys.path. "
                "Write '--app module', '--app module:name', '--app package.module' or '--app path/file.py'."
            ) from exc
        return None
    return find_best_app(module) if app_name is None else find_app_by_string(module, app_name)


def _first_env(name: str) -> str | None:
    """Return `DUOFLASK_<name>`, else `FLASK_<name>`, if it is set and not empty."""
    return os.environ.get(f"DUOFLASK_{name}") or os.environ.get(f"FLASK_{name}")


class ScriptInfo:
    """What a command knows of its application before it is loaded; the `obj` of every click context.

    Args:
        app_import_path: As `--app` takes it: `module`, `module:name`, `module:factory("x")`, or a path for
        the module. create_app: Returns the application instead. set_debug_flag: Set `app.debug` as
        `--debug` or the environment says.
    """

    def __init__(
        self,
        app_import_path: str | None = None,
        create_app: Callable[..., Any] | None = None,
        set_debug_flag: bool = True,
        load_dotenv_defaults: bool = True,
    ) -> None:
        self.app_import_path = app_import_path
        self.create_app = create_app
        self.set_debug_flag = set_debug_flag
        self.load_dotenv_defaults = load_dotenv_defaults
        self.data: dict[Any, Any] = {}
        self._loaded_app: Any = None

    def load_app(self) -> Any:
        """Load the application, once.

        Raises:
            NoAppException: There is none; the message says what was looked for and what to write.
        """
        if self._loaded_app is None:
            app = self._find()
            debug = _first_env("DEBUG")
            if self.set_debug_flag and debug is not None:
                app.debug = debug.lower() not in ("0", "false", "no", "off")
            self._loaded_app = app
        return self._loaded_app

    def _find(self) -> Any:
        if self.create_app is not None:
            return self.create_app()
        if self.app_import_path:
            path, name = _split_import_path(self.app_import_path)
            return locate_app(prepare_import(path), name)
        for file in _FILES:
            if Path(file).exists():
                app = locate_app(prepare_import(file), None, raise_if_not_found=False)
                if app is not None:
                    return app
        raise NoAppException(
            "Could not find an application: neither '--app' nor DUOFLASK_APP or FLASK_APP is set, "
            f"and {os.getcwd()} has neither {' nor '.join(_FILES)}. "
            "Write 'duoflask --app module run', for example '--app hello' for hello.py."
        )


def _split_import_path(text: str) -> tuple[str, str | None]:
    r"""Split at the first colon that is not a drive's (`C:\app.py:app`)."""
    start = 2 if text[1:2] == ":" and text[2:3] in ("\\", "/") else 0
    module, _, name = text[start:].partition(":")
    return text[:start] + module, name or None


pass_script_info = click.make_pass_decorator(ScriptInfo, ensure=True)


def with_appcontext(f: _F) -> _F:
    """Run a command's function inside the application's context."""

    @click.pass_context
    def decorator(ctx: click.Context, /, *args: Any, **kwargs: Any) -> Any:
        if not current_app:
            ctx.with_resource(ctx.ensure_object(ScriptInfo).load_app().app_context())
        return ctx.invoke(f, *args, **kwargs)

    return cast("_F", update_wrapper(decorator, f))


class AppGroup(click.Group):
    """A group whose commands run inside the application's context, unless `with_appcontext=False`."""

    def command(self, *args: Any, **kwargs: Any) -> Any:
        wrap = kwargs.pop("with_appcontext", True)
        register = super().command

        def decorator(f: Callable[..., Any]) -> click.Command:
            made = register(*args, **kwargs)(with_appcontext(f) if wrap else f)
            return cast("click.Command", made)

        return decorator

    def group(self, *args: Any, **kwargs: Any) -> Any:
        kwargs.setdefault("cls", AppGroup)
        return super().group(*args, **kwargs)


def get_version(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Print the versions and exit; the callback of `--version`."""
    if not value or ctx.resilient_parsing:
        return
    try:
        version = importlib.metadata.version("duoflask")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed)"
    click.echo(f"Python {platform.python_version()}\nduoflask {version}", color=ctx.color)
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


def _set_debug(ctx: click.Context, param: click.Parameter, value: bool | None) -> bool | None:
    if value is not None:
        # In the environment, because the application reads it there while it is imported; both names agree.
        os.environ["DUOFLASK_DEBUG"] = os.environ["FLASK_DEBUG"] = "1" if value else "0"
    return value


def _set_env_file(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None or (
        ctx.ensure_object(ScriptInfo).load_dotenv_defaults and not _first_env("SKIP_DOTENV")
    ):
        load_dotenv(value, load_defaults=not _first_env("SKIP_DOTENV"))
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
    callback=_set_debug,
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
        add_default_commands: Add `run`.
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
        self._plugins_loaded = False
        if add_default_commands:
            self.add_command(run_command)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        # The application's own app.run() must do nothing while its module is imported by a command.
        os.environ["DUOFLASK_RUN_FROM_CLI"] = os.environ["FLASK_RUN_FROM_CLI"] = "true"
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

    def _load_plugins(self) -> None:
        if not self._plugins_loaded:
            self._plugins_loaded = True
            for group in ENTRY_POINT_GROUPS:
                for entry in importlib.metadata.entry_points(group=group):
                    if entry.name not in self.commands:
                        self.add_command(entry.load(), entry.name)

    def _app_commands(self, ctx: click.Context) -> click.Group | None:
        """Return the application's group; None, and a word on stderr, without an application."""
        try:
            app = ctx.ensure_object(ScriptInfo).load_app()
        except click.UsageError as exc:
            click.secho(f"Error: {exc.format_message()}\n", err=True, fg="red")
            return None
        group = getattr(app, "cli", None)
        return group if isinstance(group, click.Group) else None

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        self._load_plugins()
        command = super().get_command(ctx, name)
        if command is None and (group := self._app_commands(ctx)) is not None:
            command = group.get_command(ctx, name)
            if command is not None and not current_app:
                ctx.with_resource(ctx.ensure_object(ScriptInfo).load_app().app_context())
        return command

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._load_plugins()
        names = set(super().list_commands(ctx))
        try:
            group = self._app_commands(ctx)
            names.update(group.list_commands(ctx) if group is not None else ())
        except Exception:
            # The help page must come even if the application cannot be imported.
            click.secho(f"{traceback.format_exc()}\n", err=True, fg="red")
        return sorted(names)


@click.command("run", short_help="Serve the application.")
@click.option(
    "-h", "--host", default="127.0.0.1", envvar=["DUOFLASK_RUN_HOST", "FLASK_RUN_HOST"], show_default=True
)
@click.option("-p", "--port", default=5000, envvar=["DUOFLASK_RUN_PORT", "FLASK_RUN_PORT"], show_default=True)
@click.option("--uds", metavar="PATH", help="Listen on a unix socket instead.")
@click.option("--interface", type=click.Choice(["asgi", "wsgi"]), default="asgi", show_default=True)
@click.option("--loop", type=click.Choice(["asyncio", "trio"]), default="asyncio", show_default=True)
@click.option(
    "--debug/--no-debug", default=None, expose_value=False, callback=_set_debug, help="Set debug mode."
)
@pass_script_info
def run_command(info: ScriptInfo, host: str, port: int, uds: str | None, interface: str, loop: str) -> None:
    """Serve the application with the built-in server until Ctrl+C or SIGTERM."""
    app = info.load_app()
    try:
        run_server(app, host, port, uds=uds, interface=interface, loop=loop)
    except (LifespanError, OSError) as exc:
        raise click.ClickException(
            str(exc.strerror or exc) if isinstance(exc, OSError) else str(exc)
        ) from exc


cli = FlaskGroup(
    name="duoflask",
    help="Serve and manage an application. Name it with --app, or in the variable DUOFLASK_APP or FLASK_APP.",
)


def main() -> None:
    """Run the command line; the entry point `duoflask`."""
    cli.main()


if __name__ == "__main__":
    main()
