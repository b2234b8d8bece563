"""What an application's functions use, read from their code without running it.

Owns that reading: names only, so that it errs on the side of saying nothing. Knows no setting.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, Final

from ..debug.frames import is_app_file, one_path
from ..globals import request, session

__all__ = ["app_functions", "blocking_call", "described", "reads_bodies", "uses_session", "view_code"]

_FUNCTIONS: Final = (FunctionType, classmethod, staticmethod)
_BODIES: Final = frozenset({"files", "form", "values", "data", "json", "get_json", "get_data", "stream"})
# Functions that keep their thread waiting, by the module that they come from.
_BLOCKING: Final = {
    "time": frozenset({"sleep"}),
    "subprocess": frozenset({"run", "call", "check_call", "check_output"}),
    "requests": frozenset({"get", "post", "put", "patch", "delete", "head", "request", "Session"}),
    "urllib.request": frozenset({"urlopen", "urlretrieve"}),
    "httpx": frozenset({"get", "post", "put", "patch", "delete", "head", "request", "Client"}),
    "smtplib": frozenset({"SMTP", "SMTP_SSL"}),
    "sqlite3": frozenset({"connect"}),
    "psycopg2": frozenset({"connect"}),
    "os": frozenset({"system"}),
}


def unwrapped(function: Any) -> FunctionType | None:
    """The function under its decorators, where they say what they wrap."""
    found = inspect.unwrap(getattr(function, "__func__", function))
    view_class = getattr(found, "view_class", None)
    if view_class is not None:
        found = getattr(view_class, "dispatch_request", found)
    return found if isinstance(found, FunctionType) else None


def view_code(function: Any) -> CodeType | None:
    """The code of a function under its decorators."""
    found = unwrapped(function)
    return None if found is None else found.__code__


def described(function: FunctionType) -> str:
    """Where a function stands: `app.py:12 (index)`."""
    code = function.__code__
    return f"{one_path(code.co_filename)}:{code.co_firstlineno} ({function.__qualname__})"


def app_functions(app: Any) -> list[FunctionType]:
    """The application's functions: its views and hooks, and what else stands in their modules."""
    found: dict[CodeType, FunctionType] = {}
    modules = {sys.modules.get(app.import_name)}
    for function in app.view_functions.values():
        view_class = getattr(function, "view_class", None)
        bare = unwrapped(function)
        for one in [bare, *(_members(view_class) if view_class is not None else ())]:
            if one is not None and is_app_file(one.__code__.co_filename):
                found[one.__code__] = one
                modules.add(sys.modules.get(one.__module__))
    for module in modules:
        if isinstance(module, ModuleType) and is_app_file(getattr(module, "__file__", None) or "<none>"):
            for one in _members(module):
                found[one.__code__] = one
    return sorted(found.values(), key=lambda one: (one.__code__.co_filename, one.__code__.co_firstlineno))


def _members(place: Any) -> Iterator[FunctionType]:
    name = place.__name__
    for value in list(vars(place).values()):
        # By their types: a proxy such as `request` answers for its class what it stands for, or raises.
        if issubclass(type(value), type) and value.__module__ == name and isinstance(place, ModuleType):
            yield from _members(value)
        function = unwrapped(value) if type(value) in _FUNCTIONS else None
        if function is None or not is_app_file(function.__code__.co_filename):
            continue
        if not isinstance(place, ModuleType) or function.__module__ == name:
            yield function


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _uses(function: FunctionType, name: str, proxy: Any) -> bool:
    names = set(_names(function.__code__))
    if name not in names:
        return False
    if function.__globals__.get(name) is proxy:
        return True
    # flask.session
    return any(
        _is_module(module := function.__globals__.get(other)) and getattr(module, name, None) is proxy
        for other in names
    )


def _is_module(value: Any) -> bool:
    return issubclass(type(value), ModuleType)


def uses_session(function: FunctionType) -> bool:
    """Whether a function names the session, or flashes a message, which goes into it."""
    flash = function.__globals__.get("flash")
    flashes = "flash" in set(_names(function.__code__)) and str(getattr(flash, "__module__", "")).startswith("duoflask")
    return flashes or _uses(function, "session", session)


def reads_bodies(function: FunctionType) -> bool:
    """Whether a function takes the body of a request."""
    return _uses(function, "request", request) and not _BODIES.isdisjoint(_names(function.__code__))


def blocking_call(function: FunctionType) -> str | None:
    """The name of a call in a function that keeps its thread waiting; None if no known one is there."""
    names = list(_names(function.__code__))
    for name in names:
        value: Any = function.__globals__.get(name)
        if _is_module(value):
            known = next((own for own in _BLOCKING.get(value.__name__, ()) if own in names), None)
            if known is not None:
                return f"{value.__name__}.{known}"
        elif issubclass(type(value), (FunctionType, BuiltinFunctionType, type)):
            module = str(getattr(value, "__module__", ""))
            if getattr(value, "__name__", None) in _BLOCKING.get(module, ()):
                return f"{module}.{value.__name__}"
    return None
