"""What is known of a whole project before one file of it is changed."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .names import extension
from .source import Source

__all__ = ["PATCH", "Facts", "makes_app", "tops"]

PATCH = "duoflask.flask_patch"
_APPS = frozenset({"APIFlask", "DuoFlask", "Flask", "Quart"})
_TEMPLATE_DECORATORS = frozenset(
    {
        f"{prefix}{name}"
        for prefix in ("", "app_")
        for name in ("context_processor", "template_filter", "template_global", "template_test")
    }
)


@dataclass
class Facts:
    """What one file needs to know of the others."""

    tops: set[str] = field(default_factory=set)
    """The packages that are imported anywhere."""
    passed_on: set[str] = field(default_factory=set)
    """Names that files import from each other: they must keep their names."""
    async_templates: bool = False
    """A function for templates is `async def`."""
    extensions: dict[str, tuple[Path, int]] = field(default_factory=dict)
    """Modules that import Flask themselves, and the first place that imports each."""
    patched: bool = False
    """Some file imports duoflask.flask_patch."""
    websockets: bool = False
    """Some file uses `websocket`, imported from Quart or as a method."""

    def learn(self, source: Source, own: set[str]) -> None:
        """Take notice of one file; `own` are the top names that the project itself has."""
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module] if node.module and not node.level else []
                if node.level or tops(modules) & own:
                    self.passed_on.update(alias.name for alias in node.names)
                if node.module == "quart":
                    self.websockets |= any(alias.name == "websocket" for alias in node.names)
                if node.module == "duoflask":
                    modules += [f"duoflask.{alias.name}" for alias in node.names]
            else:
                self.websockets |= isinstance(node, ast.Attribute) and node.attr == "websocket"
                if isinstance(node, ast.AsyncFunctionDef):
                    self.async_templates |= any(map(_for_templates, node.decorator_list))
                continue
            self.tops |= tops(modules)
            self.patched |= PATCH in modules
            for module in modules:
                if extension(module) and not tops([module]) & own:
                    self.extensions.setdefault(module.split(".")[0], (source.path, node.lineno))


def tops(modules: Iterable[str]) -> set[str]:
    """Return the first parts of dotted names."""
    return {module.split(".")[0] for module in modules}


def _for_templates(decorator: ast.expr) -> bool:
    if isinstance(decorator, ast.Call):
        decorator = decorator.func
    return isinstance(decorator, ast.Attribute) and decorator.attr in _TEMPLATE_DECORATORS


def makes_app(source: Source) -> bool:
    """Say whether a file calls one of the classes of applications."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name in _APPS:
                return True
    return False
