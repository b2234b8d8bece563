"""The floors of the house, held against the code: design.md, "The house"."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import duoflask

ROOT = Path(duoflask.__file__).parent

# A module imports lower floors, or its own floor's earlier entries. A package is one entry.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("typing", "lazy", "versions", "names_of_flask", "imports"),
    ("http",),
    (
        "bridge",
        "foreign",
        "debughelpers",
        "limits",
        "request_body",
        "routed",
        "request",
        "streamed",
        "file_body",
        "file_head",
        "response_head",
        "response_fields",
        "response_body",
        "response_content",
        "response_conditional",
        "response_application",
        "response",
        "exceptions",
        "routing",
    ),
    ("local", "app_globals", "app_state", "exchange", "ctx", "websocket_context", "globals"),
    (
        "config",
        "signals",
        "json",
        "logging",
        "sessions",
        "flashing",
        "urls",
        "security",
        "files",
        "file_for_environ",
        "folders",
        "helpers",
        "command_groups",
        "app_loading",
        "datastructures",
        "template_context",
        "templating",
        "views",
    ),
    ("registries", "scaffold", "websocket_routes", "app_recorders", "blueprints"),
    (
        "timeouts",
        "plans",
        "unmatched",
        "linking",
        "answers",
        "events",
        "closing",
        "session_steps",
        "dispatch",
        "once",
        "request_hold",
        "background",
        "loop_life",
        "hints",
        "lifecycle",
        "overrides",
        "websocket_channel",
        "websocket_link",
        "websocket_threads",
        "websocket_object",
        "websocket_dispatch",
        "websocket_serving",
        "socket_waiting",
        "wsgi_socket",
        "wsgi_websocket",
        "wsgi",
        "sending",
        "asgi",
        "server",
        "reloader",
        "banner",
        "development",
        "serving",
        "testing",
        "mounting",
    ),
    ("registration", "settings", "app_contexts", "app_tasks", "app"),
    (
        "cli_types",
        "cli_server",
        "middleware",
        "debug",
        "route_table",
        "shell",
        "sessions_cli",
        "migrate",
        "csrf",
        "event_sources",
        "sse",
        "broadcast",
        "doctor",
        "new",
        "cli_run",
        "cli",
        "__main__",
        "pytest_plugin",
        "flask_patch",
    ),
)
PLACE = {name: (floor, place) for floor, names in enumerate(FLOORS) for place, name in enumerate(names)}

# May name the types of upper floors.
NAMES_UPPER_TYPES = {"typing", "ctx", "websocket_context", "globals"}

# Reaches up, at its first use only: `run_simple(static_files=...)` wraps the application as Werkzeug's does, and
# `app.run` goes through `run_simple`, so that neither can stand elsewhere.
# So does what they have in debug mode only.
REACHES_UP = {("serving", "middleware"), ("development", "debug"), ("development", "doctor")}

MAX_MODULE = 400
MAX_FUNCTION = 50
# Longer than they should be, with how long they may be.
LONG_MODULES: dict[str, int] = {}
LONG_FUNCTIONS = {"http.cookies.dump_cookie": 70}


class Import(NamedTuple):
    line: int
    module: str
    """Dotted, without the package's name: `http.headers`."""
    for_types: bool
    in_function: bool


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


MODULES = _modules()


def _tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text())


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _lazy_target(call: ast.Call) -> str | None:
    """The module below the own package that `LazyModule(f"{__package__}.x")` stands for."""
    is_lazy = isinstance(call.func, ast.Name) and call.func.id == "LazyModule"
    if not is_lazy or not isinstance(call.args[0], ast.JoinedStr):
        return None
    text = call.args[0].values[-1]
    assert isinstance(text, ast.Constant)
    return str(text.value).removeprefix(".")


def _own_imports(name: str) -> list[Import]:
    """What a module imports of its own package."""
    package = name.split(".") if MODULES[name].name == "__init__.py" else name.split(".")[:-1]
    found = []

    def visit(node: ast.AST, for_types: bool, in_function: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                targets = [item.name for item in child.names if item.name.split(".")[0] == "duoflask"]
                assert not targets, f"{name}:{child.lineno} imports {targets} absolutely"
            elif isinstance(child, ast.ImportFrom):
                assert child.level or (child.module or "").split(".")[0] != "duoflask", f"{name}:{child.lineno}"
                if child.level:
                    stem = [*package[: len(package) - child.level + 1], *filter(None, [child.module])]
                    for item in child.names:
                        full = ".".join([*stem, item.name])
                        target = full if full in MODULES else ".".join(stem)
                        found.append(Import(child.lineno, target, for_types, in_function))
            elif isinstance(child, ast.Call) and (lazy := _lazy_target(child)) is not None:
                # imported at its first use, which is an import all the same
                found.append(Import(child.lineno, ".".join([*package, lazy]), False, in_function))
            inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            visit(child, for_types or _is_type_checking(child), in_function or inside)

    visit(_tree(name), False, False)
    return found


def _entry(name: str) -> str:
    return name.split(".")[0]


def test_every_module_has_its_place() -> None:
    assert {_entry(name) for name in MODULES} == set(PLACE)


@pytest.mark.parametrize("name", MODULES)
def test_module_imports_lower_floors_only(name: str) -> None:
    entry = _entry(name)
    for imported in _own_imports(name):
        target = _entry(imported.module)
        if target == entry or PLACE[target] < PLACE[entry] or (entry, target) in REACHES_UP:
            continue
        assert imported.for_types, f"{name}:{imported.line} imports {imported.module}, which stands above it"
        assert entry in NAMES_UPPER_TYPES, (
            f"{name}:{imported.line} names types of {imported.module}, which stands above it"
        )


@pytest.mark.parametrize("package", sorted({_entry(name) for name in MODULES if "." in name}))
def test_package_has_no_cycle(package: str) -> None:
    graph: dict[str, set[str]] = {}
    for name in MODULES:
        if _entry(name) == package:
            own = (item for item in _own_imports(name) if _entry(item.module) == package)
            graph[name] = {item.module for item in own if not item.for_types}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as exc:
        pytest.fail(" -> ".join(exc.args[1]))


@pytest.mark.parametrize("name", MODULES)
def test_no_import_of_the_package_stands_in_a_function(name: str) -> None:
    assert [item for item in _own_imports(name) if item.in_function] == []


@pytest.mark.parametrize("name", MODULES)
def test_imports_stand_before_the_code(name: str) -> None:
    seen_code = False
    for node in _tree(name).body[1:]:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            assert not seen_code, f"{name}:{node.lineno} imports behind code"
        else:
            seen_code = seen_code or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


@pytest.mark.parametrize("name", MODULES)
def test_module_says_what_it_owns_and_what_it_exports(name: str) -> None:
    tree = _tree(name)
    assert ast.get_docstring(tree)
    targets: list[ast.expr] = []
    for node in tree.body:
        targets += getattr(node, "targets", [getattr(node, "target", None)])
    assigned = {target.id for target in targets if isinstance(target, ast.Name)}
    assert "__all__" in assigned


@pytest.mark.parametrize("name", MODULES)
def test_module_is_short_enough_to_read_once(name: str) -> None:
    lines = MODULES[name].read_text().count("\n")
    assert lines <= LONG_MODULES.get(name, MAX_MODULE)
    if name in LONG_MODULES:
        assert lines > MAX_MODULE, f"{name} needs no exception any more"


def _functions(name: str) -> Iterator[tuple[str, int]]:
    """Each function's name and its lines without docstring; one with a `PERF:` comment is left out."""
    text = MODULES[name].read_text().splitlines()
    for node in ast.walk(_tree(name)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        end = node.end_lineno or node.lineno
        lines = end - node.lineno + 1
        first = node.body[0]
        if ast.get_docstring(node) is not None:
            lines -= (first.end_lineno or first.lineno) - first.lineno + 1
        if not any("PERF:" in line for line in text[node.lineno - 1 : end]):
            yield f"{name}.{node.name}", lines


@pytest.mark.parametrize("name", MODULES)
def test_functions_are_short(name: str) -> None:
    assert [
        (function, lines) for function, lines in _functions(name) if lines > LONG_FUNCTIONS.get(function, MAX_FUNCTION)
    ] == []
