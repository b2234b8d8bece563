"""A project: its files, what is known of them together, and what becomes of each.

Reads, and changes nothing on disk. Nothing of the project is imported or run.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .awaits import Awaits
from .facts import PATCH, Facts, makes_app
from .imports import Imports
from .middleware import look_at_middleware
from .names import ADAPTERS, advice
from .quart_apps import look_at_quart
from .scopes import Scopes
from .source import Finding, Source, Unreadable

__all__ = ["Result", "Scan", "scan"]

_SKIPPED: Final = frozenset({"__pycache__", "node_modules", "site-packages", "venv", "env", "build", "dist"})
_PATCH_LINE: Final = f"import {PATCH}  # noqa: F401  # isort: skip"


@dataclass
class Result:
    """What becomes of one file."""

    path: Path
    source: Source | None = None
    new: str = ""
    findings: list[Finding] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether the file gets another text."""
        return self.source is not None and self.new != self.source.text


@dataclass
class Scan:
    """What becomes of a project; `skipped` are folders that were not looked into."""

    results: list[Result]
    skipped: list[Path]


def scan(path: Path) -> Scan:
    """Read a file, or all files of a folder, and work out what they become.

    Folders of virtual environments, of installed packages and those whose name begins with a dot are skipped; links are
    not followed.
    """
    skipped: list[Path] = []
    files = [path] if path.is_file() else sorted(_files(path, skipped))
    own = {part for file in files for part in (file.stem, file.parent.name)}
    own -= {"flask", "werkzeug", "quart", "duoflask"}
    facts, results = Facts(), []
    for file in files:
        try:
            source = Source(file)
        except Unreadable as exc:
            results.append(Result(file, findings=[Finding(1, f"not read: {exc}")]))
            continue
        facts.learn(source, own)
        results.append(Result(file, source))
    patched = False
    for result in results:
        if result.source is not None:
            patched |= _migrate(result, result.source, facts)
    _report_extensions(results, facts, patched)
    return Scan(results, skipped)


def _files(folder: Path, skipped: list[Path]) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        here = Path(place)
        for name in sorted(folders):
            if name in _SKIPPED or name.startswith(".") or (here / name / "pyvenv.cfg").exists():
                folders.remove(name)
                if name != "__pycache__":
                    skipped.append(here / name)
        yield from (here / name for name in names if name.endswith(".py") and not (here / name).is_symlink())


def _migrate(result: Result, source: Source, facts: Facts) -> bool:
    """Work out one file's new text; say whether it has the patch put in."""
    scopes = Scopes(source.tree)
    imports = Imports(source, scopes, facts)
    imports.rewrite()
    Awaits(source, scopes, imports, facts).rewrite()
    look_at_quart(source, scopes, imports, facts)
    _look_at_others(source, scopes)
    look_at_middleware(source, scopes, imports)
    patch = bool(facts.extensions) and not facts.patched and makes_app(source)
    if patch:
        _put_patch(source)
    try:
        result.new = source.changed()
    except Unreadable as exc:
        result.new = source.text
        source.findings.append(Finding(1, f"left as it is: its changed text would not parse ({exc})"))
    result.findings = sorted(set(source.findings))
    return patch


def _look_at_others(source: Source, scopes: Scopes) -> None:
    for node in scopes.nodes:
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules = [node.module]
        else:
            continue
        for module in modules:
            if module in ADAPTERS:
                source.say(node, f"{module}: {ADAPTERS[module]}", person=False)
            elif module.startswith("quart_"):
                source.say(node, advice(module))


def _put_patch(source: Source) -> None:
    """Import the patch before all else, but after the docstring and what comes from `__future__`."""
    for number, node in enumerate(source.tree.body):
        is_docstring = number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if is_docstring or is_future:
            continue
        decorators = getattr(node, "decorator_list", [])
        start = source.span(node)[0]
        if decorators:
            start = source.text.rfind("@", 0, source.span(decorators[0])[0])
        before = source.line_start(start)
        source.change(start, start, f"{_PATCH_LINE}{source.newline}" if not before.strip() else f"import {PATCH}; ")
        return


def _report_extensions(results: list[Result], facts: Facts, patched: bool) -> None:
    """Say at the first import of each extension what it needs."""
    by_path = {result.path: result for result in results}
    for name, (path, line) in sorted(facts.extensions.items()):
        if facts.patched:
            continue
        text = f"{name} imports Flask: 'import {PATCH}' must be the first import of the program"
        if patched:
            text += ", and is put into the modules that make the application"
        else:
            text += "; no module here makes an application, so put it into the one that does"
        by_path[path].findings.append(Finding(line, text, person=not patched))
        by_path[path].findings.sort()
