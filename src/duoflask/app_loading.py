"""Finding the application that a command is about: `--app`, `DUOFLASK_APP`, `FLASK_APP`, wsgi.py, app.py.

Owns how a name becomes an application, as Flask's command line does it. Knows the application by its shape
only: an object with `wsgi_app` and `asgi_app`. Knows no command.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from .config import get_debug_flag, get_load_dotenv
from .local import LocalProxy

__all__ = [
    "NoAppException",
    "ScriptInfo",
    "find_app_by_string",
    "find_best_app",
    "locate_app",
    "prepare_import",
]

_NAMES = ("app", "application")
_FACTORIES = ("create_app", "make_app")
_FILES = ("wsgi.py", "app.py")
_FOREIGN = frozenset({"flask.app.Flask", "quart.app.Quart"})


class NoAppException(click.UsageError):
    """No application was found, or the one that was named cannot be loaded."""

    ends_reloader = True
    """Whether it is the command line that is wrong, and no change of the code that a reloader waits for helps."""

    names_nothing = False
    """Whether no application was named, and the folder has none under a usual name."""


def _is_app(value: object) -> bool:
    # By its type: a module holds `request` and other proxies as well, which raise whatever they are asked for.
    if issubclass(type(value), (type, LocalProxy)):
        return False
    try:
        return hasattr(value, "wsgi_app") and hasattr(value, "asgi_app")
    except Exception:  # anybody's object
        return False


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
    _refuse_foreign(where, vars(module).items())
    if found:
        raise NoAppException(
            f"Found {len(found)} applications in module '{where}'. Say which: '--app {where}:name' with its name there."
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
        _refuse_foreign(where, [(f"{name}()", app)])
    raise NoAppException(
        f"No application in module '{where}': looked for {_quoted(_NAMES)}, one instance under any name, "
        f"and the factories {_quoted(_FACTORIES)}. "
        f"Say where it is: '--app {where}:name', or '--app \"{where}:factory(...)\"'."
    )


def _refuse_foreign(where: str, values: Iterable[tuple[str, Any]]) -> None:
    """Say what to do about an application of Flask's or of Quart's."""
    for name, value in values:
        found = _FOREIGN & {f"{cls.__module__}.{cls.__qualname__}" for cls in type(value).__mro__}
        if found:
            kind = "flask.Flask" if "flask.app.Flask" in found else "quart.Quart"
            patch = ", or put 'import duoflask.flask_patch' before its imports" if kind == "flask.Flask" else ""
            raise NoAppException(
                f"'{where}:{name}' is no application of duoflask's: it is a {kind}. "
                f"Run 'duoflask migrate .', which shows what to change{patch}."
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
    _refuse_foreign(where, [(app_name, app)])
    raise NoAppException(
        f"'{where}:{app_name}' is no application; expected an instance of DuoFlask; got {type(app).__name__}."
    )


def _parse_reference(text: str) -> tuple[str, list[Any] | None, dict[str, Any]]:
    """Return name, positional and keyword arguments; None instead of arguments if it is not a call."""
    try:
        expression = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise NoAppException(f"Cannot read '{text}'; expected a name, or a call of a function by its name.") from None
    if isinstance(expression, ast.Name):
        return expression.id, None, {}
    if not isinstance(expression, ast.Call) or not isinstance(expression.func, ast.Name):
        raise NoAppException(f"Cannot read '{text}'; expected a name, or a call of a function by its name.")
    try:
        args = [ast.literal_eval(arg) for arg in expression.args]
        kwargs = {_keyword(item): ast.literal_eval(item.value) for item in expression.keywords}
    except (TypeError, ValueError):
        raise NoAppException(f"Cannot read the arguments in '{text}'; expected literals such as 'dev' or 1.") from None
    return expression.func.id, args, kwargs


def _keyword(item: ast.keyword) -> str:
    if item.arg is None:
        raise ValueError("**")
    return item.arg


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
            error = NoAppException(
                f"While importing '{module_name}', an ImportError was raised:\n\n{traceback.format_exc()}"
            )
            error.ends_reloader = False
            raise error from exc
        if raise_if_not_found:
            raise NoAppException(
                f"Could not import '{module_name}': no such module in {os.getcwd()} or on sys.path. "
                "Write '--app module', '--app module:name', '--app package.module' or '--app path/file.py'."
            ) from exc
        return None
    return find_best_app(module) if app_name is None else find_app_by_string(module, app_name)


class ScriptInfo:
    """What a command knows of its application before it is loaded; the `obj` of every click context.

    Args:
        app_import_path: As `--app` takes it: `module`, `module:name`, `module:factory("x")`, or a path.
        create_app: Returns the application instead.
        set_debug_flag: Set `app.debug` as `--debug` or the environment says.
        load_dotenv_defaults: Read .env and .flaskenv, unless DUOFLASK_SKIP_DOTENV or FLASK_SKIP_DOTENV says otherwise.
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
        self.load_dotenv_defaults = get_load_dotenv(load_dotenv_defaults)
        self.data: dict[Any, Any] = {}
        self._loaded_app: Any = None

    def load_app(self) -> Any:
        """Load the application, once.

        Raises:
            NoAppException: There is none; the message says what was looked for and what to write.
        """
        if self._loaded_app is None:
            app = self._find()
            if self.set_debug_flag:
                app.debug = get_debug_flag()
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
        error = NoAppException(
            "Could not find an application: neither '--app' nor DUOFLASK_APP or FLASK_APP is set, "
            f"and {os.getcwd()} has neither {' nor '.join(_FILES)}. "
            "Write 'duoflask --app module run', for example '--app hello' for hello.py."
        )
        error.names_nothing = True
        raise error


def _split_import_path(text: str) -> tuple[str, str | None]:
    r"""Split at the first colon that is not a drive's (`C:\app.py:app`)."""
    start = 2 if text[1:2] == ":" and text[2:3] in ("\\", "/") else 0
    module, _, name = text[start:].partition(":")
    return text[:start] + module, name or None
