"""What an application's functions use, read from their code without running it.

Owns that reading: names, and calls as they are written, so that it errs on the side of saying nothing. Knows no
setting.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
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
_DEFINITIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)


def unwrapped(function: Any) -> FunctionType | None:
    """The function under its decorators, where they say what they wrap."""
    try:
        found = inspect.unwrap(getattr(function, "__func__", function))
    except ValueError:  # it wraps itself
        return None
    view_class = getattr(found, "view_class", None)
    if isinstance(view_class, type):
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
        for one in [bare, *(_members(view_class) if isinstance(view_class, type) else ())]:
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


def _body(function: FunctionType) -> list[ast.AST]:
    """The statements of a function, as far as its source is there; its decorators are others' calls."""
    try:
        (found,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, ValueError, SyntaxError):  # a lambda in the middle of a statement, a notebook
        return []
    return list(found.body) if isinstance(found, _DEFINITIONS) else []


def _walked(nodes: list[ast.AST], *, nested: bool) -> Iterator[ast.AST]:
    """Yield the nodes of statements, those of functions that are defined there only if `nested`."""
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if nested or not isinstance(node, (*_DEFINITIONS, ast.Lambda)):
            yield node
            pending += ast.iter_child_nodes(node)


def _value_of(node: ast.AST, names: dict[str, Any]) -> Any:
    """What a name, or a path through modules such as `urllib.request`, stands for; None for anything else."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        place = _value_of(node.value, names)
        return vars(place).get(node.attr) if _is_module(place) else None
    return None


def _uses(function: FunctionType, name: str, proxy: Any) -> bool:
    if name not in set(_names(function.__code__)):
        return False
    names, body = function.__globals__, _body(function)

    def is_it(node: ast.AST) -> bool:
        if isinstance(node, ast.Name):
            return node.id == name and names.get(name) is proxy
        if not isinstance(node, ast.Attribute) or node.attr != name:
            return False
        place = _value_of(node.value, names)  # flask.session, which `db.session` is not
        return _is_module(place) and getattr(place, name, None) is proxy

    return any(map(is_it, _walked(body, nested=True))) if body else names.get(name) is proxy


def _is_module(value: Any) -> bool:
    return issubclass(type(value), ModuleType)


def uses_session(function: FunctionType) -> bool:
    """Whether a function names the session, or flashes a message, which goes into it."""
    flash = function.__globals__.get("flash")
    flashes = "flash" in set(_names(function.__code__)) and str(getattr(flash, "__module__", "")).startswith("duoflask")
    return flashes or _uses(function, "session", session)


def reads_bodies(function: FunctionType) -> bool:
    """Whether a function takes the body of a request."""
    if _BODIES.isdisjoint(_names(function.__code__)) or not _uses(function, "request", request):
        return False
    body = _body(function)
    places = [
        node.value for node in _walked(body, nested=True) if isinstance(node, ast.Attribute) and node.attr in _BODIES
    ]
    return not body or any(getattr(place, "id", getattr(place, "attr", None)) == "request" for place in places)


def blocking_call(function: FunctionType) -> str | None:
    """The name of a call in a function that keeps its thread waiting; None if no known one is there.

    What only names such a function (`await asyncio.to_thread(time.sleep, 1)`), or calls it in a function of its own, is
    none.
    """
    for node in _walked(_body(function), nested=False):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        place: Any = _value_of(called.value, function.__globals__) if isinstance(called, ast.Attribute) else None
        if isinstance(called, ast.Attribute) and _is_module(place):
            module, name = place.__name__, called.attr
        else:
            value = _value_of(called, function.__globals__)
            if not issubclass(type(value), (FunctionType, BuiltinFunctionType, type)):
                continue
            module, name = str(getattr(value, "__module__", "")), str(getattr(value, "__name__", ""))
        if name in _BLOCKING.get(module, ()):
            return f"{module}.{name}"
    return None
