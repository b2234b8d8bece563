"""What a name means at a place of a file: which statements bind it there.

Knows Python's rules of names, nothing of Flask. A name in a comprehension counts as its function's.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

__all__ = ["Scope", "Scopes"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Scope:
    """The names of a module, class or function, and by what each is bound.

    What binds is an `ast.alias` of an import, the value of a plain assignment, or None for all else.
    """

    def __init__(self, parent: Scope | None = None, *, is_class: bool = False) -> None:
        self.parent = parent
        self.is_class = is_class
        self.names: dict[str, list[ast.AST | None]] = {}
        self.globals: set[str] = set()

    def bind(self, name: str, by: ast.AST | None) -> None:
        scope = self
        if name in self.globals:
            while scope.parent is not None:
                scope = scope.parent
        scope.names.setdefault(name, []).append(by)

    def owner(self, name: str) -> Scope | None:
        """Return the scope whose name a use in this one means; None for a builtin."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and (scope is self or not scope.is_class):
                return scope
            scope = scope.parent
        return None


class Scopes:
    """The scopes of a tree, and of each node its scope and its parent."""

    def __init__(self, tree: ast.Module) -> None:
        self.scope: dict[ast.AST, Scope] = {}
        self.parent: dict[ast.AST, ast.AST] = {}
        self.nodes: list[ast.AST] = []
        self._assigned: dict[ast.AST, ast.AST] = {}
        # With a stack of its own: a long sum is nested deeper than Python recurses.
        stack: list[tuple[ast.AST, Scope]] = [(tree, Scope())]
        while stack:
            node, scope = stack.pop()
            self.nodes.append(node)
            self.scope[node] = scope
            self._bind(node, scope)
            children = list(self._children(node, scope))
            for child, _ in children:
                self.parent[child] = node
            stack += reversed(children)

    def bindings(self, node: ast.Name) -> tuple[Scope | None, list[ast.AST | None]]:
        """Return the scope whose name is used, and all that binds it there."""
        owner = self.scope[node].owner(node.id)
        return owner, owner.names[node.id] if owner is not None else []

    def _bind(self, node: ast.AST, scope: Scope) -> None:
        bound: Any = None
        if isinstance(node, ast.Global):
            scope.globals.update(node.names)
        elif isinstance(node, ast.Nonlocal):
            for name in node.names:
                scope.names.setdefault(name, [None])
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                local = alias.asname or (alias.name.split(".")[0] if isinstance(node, ast.Import) else alias.name)
                scope.bind(local, alias)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            self._assigned[node.targets[0]] = node.value
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            scope.bind(node.id, self._assigned.get(node))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound = node.name
        elif isinstance(node, ast.arg):
            bound = node.arg
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar):
            bound = node.name
        elif isinstance(node, ast.MatchMapping):
            bound = node.rest
        if bound is not None:
            scope.bind(bound, None)

    def _children(self, node: ast.AST, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
        inner = scope
        inside: list[ast.AST] = []
        if isinstance(node, _Function):
            inner = Scope(scope)
            body = node.body if isinstance(node.body, list) else [node.body]
            arguments = node.args
            own = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            inside = [*body, *own, *filter(None, [arguments.vararg, arguments.kwarg])]
            for name in own:
                if name.annotation is not None:
                    yield name.annotation, scope
            yield from ((default, scope) for default in [*arguments.defaults, *arguments.kw_defaults] if default)
        elif isinstance(node, ast.ClassDef):
            inner = Scope(scope, is_class=True)
            inside = list(node.body)
        elif isinstance(node, ast.arg):
            return  # its annotation was its function's
        chosen = set(inside)
        for child in ast.iter_child_nodes(node):
            if child not in chosen and not isinstance(child, ast.arguments):
                yield child, scope
        for child in inside:
            yield child, inner
