"""Imports of Flask, Werkzeug and Quart in one file, and the uses of the modules that they bind: what they become.

Theory of operation. `from M import a, b` keeps its names, so only the statement changes; where the names stand in
several modules here, it becomes several. A statement that binds a module (`import flask`, `from werkzeug import
exceptions`) is changed together with each use of that module's name, after asking `scopes` which statement the name is
of. A name that has no place stays imported from where it was, and is reported.
"""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from typing import Final, NamedTuple

from .comments import Comments
from .facts import Facts
from .names import AWAITED_CALLS, Place, advice, homes, is_module, place_of
from .scopes import Scope, Scopes
from .source import Source

__all__ = ["Imports"]

_TOPS: Final = frozenset({"flask", "werkzeug", "quart"})
_DOTTED_RE: Final = re.compile(r"(?:flask|werkzeug|quart)(?:\.[A-Za-z_][A-Za-z0-9_]*)+")
_AMBIGUOUS: Final = "{!r} is bound by something else as well; write the import of duoflask by hand"


class _Use(NamedTuple):
    """A chain such as `flask.views.View`: the nodes from the module's name to its name, and what it means."""

    root: ast.Name
    last: ast.expr
    full: str
    place: Place | None
    """None: a module as a whole, or a name that has no place."""
    whole: bool


def _chain(scopes: Scopes, root: ast.Name, module: str) -> _Use:
    """Follow the attributes of a module's name as far as they name modules, and one name in the last of them."""
    node: ast.expr = root
    while True:
        parent = scopes.parent.get(node)
        if not isinstance(parent, ast.Attribute):
            return _Use(root, node, module, None, True)
        inner = f"{module}.{parent.attr}"
        further = isinstance(scopes.parent.get(parent), ast.Attribute)
        place = place_of(module, parent.attr)
        node = parent
        if is_module(inner) and (place is None or further):
            module = inner
            continue
        return _Use(root, node, inner, place, False)


def _missing(use: _Use) -> str:
    if not use.whole:
        return advice(use.full)
    found = homes(use.full)
    return f"{use.full} as a whole: write {found[0] if len(found) == 1 else 'what is needed of it'}"


class Imports:
    """Changes what a file imports; `origin` then says of a name's use what it stands for."""

    def __init__(self, source: Source, scopes: Scopes, facts: Facts) -> None:
        self._source = source
        self._scopes = scopes
        self._facts = facts
        self._origins: dict[ast.AST, tuple[str, str]] = {}
        """Of an alias: the module, and its name there ('' for the module itself)."""
        self._uses: dict[tuple[Scope, str], list[ast.Name]] = defaultdict(list)
        for node in scopes.nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._learn(node)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                owner = scopes.scope[node].owner(node.id)
                if owner is not None:
                    self._uses[owner, node.id].append(node)

    def _learn(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                full = alias.name if alias.asname else alias.name.split(".")[0]
                self._origins[alias] = (full, "")
            elif not node.level and node.module:
                full = f"{node.module}.{alias.name}"
                as_module = is_module(full) and place_of(node.module, alias.name) is None
                self._origins[alias] = (full, "") if as_module else (node.module, alias.name)

    def origin(self, node: ast.expr) -> str:
        """Return the dotted name that a name or a chain of attributes stands for; "" if it is not an import's."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        bound = self._scopes.bindings(node)[1]
        found = {self._origins.get(by) if by is not None else None for by in bound}
        first = found.pop() if len(found) == 1 else None
        if first is None:
            return ""
        return ".".join([*filter(None, first), *parts])

    def has(self, top: str) -> bool:
        """Say whether the file imports anything of a package."""
        return any(module.split(".")[0] == top for module, _ in self._origins.values())

    def rewrite(self) -> None:
        """Change every import of a file, and what is used of the modules it binds."""
        for node in self._scopes.nodes:
            if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] in _TOPS:
                self._rewrite_from(node)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.split(".")[0] in _TOPS:
                        self._rewrite_module(node, alias)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED_RE.fullmatch(node.value):
                self._look_at_text(node, node.value)

    def _place(self, module: str, name: str) -> Place | None:
        place = place_of(module, name)
        is_awaited = name in AWAITED_CALLS and module.split(".")[0] == "quart"
        if place is not None and is_awaited and "template" in name and self._facts.async_templates:
            return Place(place.module, f"{place.name}_async")
        return place

    # from M import names

    def _rewrite_from(self, node: ast.ImportFrom) -> None:
        assert node.module is not None
        kept: list[ast.alias] = []
        moved: dict[str, list[tuple[ast.alias, str]]] = {}
        for alias in node.names:
            target = self._target(node, node.module, alias)
            if target is None:
                kept.append(alias)
            else:
                moved.setdefault(target.module, []).append((alias, target.name))
        source = self._source
        start, end = source.span(node)
        if not moved:
            return
        if len(moved) == 1 and not kept:
            ((home, names),) = moved.items()
            source.change(*self._module_range(start), home)
            for alias, text in names:
                source.change(*source.span(alias), text)
            return
        if kept:
            moved[node.module] = [
                (alias, alias.name + (f" as {alias.asname}" if alias.asname else "")) for alias in kept
            ]
        comments = Comments(source, node)
        statements = [comments.statement(home, names) for home, names in moved.items()]
        source.change(start, end, self._joined(start, end, statements))

    def _target(self, node: ast.ImportFrom, module: str, alias: ast.alias) -> Place | None:
        """Return where a name is to be imported from, and the text of its alias; None if it stays where it is."""
        full = f"{module}.{alias.name}"
        local = alias.asname or alias.name
        if alias.name == "*":
            self._source.say(node, f"'from {module} import *': name what is needed")
            return None
        if self._origins[alias] == (full, ""):
            home = self._module_home(alias, full)
            if home is None:
                return None
            parent, _, last = home.rpartition(".")
            return Place(parent, last if last == local else f"{last} as {local}")
        place = self._place(module, alias.name)
        if place is None:
            self._source.say(alias, advice(full))
            return None
        if place.name == "DuoFlask" and alias.asname is None and self._rename(alias, local, place.name):
            return place
        return Place(place.module, place.name if place.name == local else f"{place.name} as {local}")

    def _rename(self, alias: ast.alias, local: str, new: str) -> bool:
        """Give every use of an imported name its new name, if nobody else can miss the old one."""
        scope = self._scopes.scope[alias]
        owner = scope.owner(local)
        if owner is None or owner.names[local] != [alias] or local in self._facts.passed_on or new in owner.names:
            return False
        uses = self._uses[owner, local]
        texts = (node.value for node in self._scopes.nodes if isinstance(node, ast.Constant))
        if not uses or any(isinstance(text, str) and re.search(rf"\b{local}\b", text) for text in texts):
            return False
        for use in uses:
            self._source.change(*self._source.span(use), new)
        return True

    def _module_range(self, start: int) -> tuple[int, int]:
        """Return where the module's name stands in the `from` statement that begins here."""
        source = self._source
        number = source.first_token(start) + 1
        first = last = source.tokens[number]
        while source.tokens[number].string != "import":
            last = source.tokens[number]
            number += 1
        return source.offset(*first.start), source.offset(*last.end)

    def _joined(self, start: int, end: int, statements: list[str]) -> str:
        """Return several statements in the place of one."""
        source = self._source
        indent = source.line_start(start)
        if indent.strip() or source.text[end : end + 80].lstrip(" \t").startswith(";"):
            return "; ".join(statements)
        return "\n".join(statements).replace("\n", source.newline + indent)

    # modules that are bound to a name

    def _module_uses(self, alias: ast.alias, module: str, local: str) -> list[_Use] | None:
        """Return the uses of a module's name; None, and a word, if it does not always mean the module."""
        owner = self._scopes.scope[alias].owner(local)
        assert owner is not None
        bound = owner.names[local]
        if any(by is None or self._origins.get(by) != (module, "") for by in bound):
            self._source.say(alias, _AMBIGUOUS.format(local))
            return None
        uses = [_chain(self._scopes, root, module) for root in self._uses[owner, local]]
        return [use if use.place is None else use._replace(place=self._use_place(use)) for use in uses]

    def _use_place(self, use: _Use) -> Place | None:
        module, _, name = use.full.rpartition(".")
        return self._place(module, name)

    def _module_home(self, alias: ast.alias, module: str) -> str | None:
        """Change the uses of a module that is imported under a name of its own, and return what to import instead."""
        local = alias.asname or alias.name
        uses = self._module_uses(alias, module, local)
        if uses is None:
            return None
        missing = [use for use in uses if use.place is None]
        wanted = Counter(use.place.module for use in uses if use.place is not None)
        for use in missing:
            self._source.say(use.last, _missing(use))
        candidates = [home for home, _ in wanted.most_common()] or homes(module)
        if missing or len(candidates) != 1:
            if not missing:
                several = ", ".join(candidates) or "nowhere"
                self._source.say(alias, f"{module}: its names stand in {several}; import them by name")
            return None
        for use in uses:
            if use.place is not None:
                self._source.change(*self._range(use), f"{local}.{use.place.name}")
        return candidates[0]

    def _rewrite_module(self, node: ast.Import, alias: ast.alias) -> None:
        source = self._source
        if alias.asname is not None:
            home = self._module_home(alias, alias.name)
            if home is not None:
                source.change(*source.span(alias), f"{home} as {alias.asname}")
            return
        top = alias.name.split(".")[0]
        uses = self._module_uses(alias, top, top)
        if uses is None:
            return
        needed = {use.place.module for use in uses if use.place is not None}
        missing = [use for use in uses if use.place is None]
        for use in uses:
            if use.place is not None:
                source.change(*self._range(use), f"{use.place.module}.{use.place.name}")
        for use in missing:
            source.say(use.last, _missing(use))
        if not uses and not is_module(alias.name):
            source.say(alias, advice(alias.name))
            return
        modules = sorted(needed or ({"duoflask"} if not missing else set()))
        if missing:
            modules.append(alias.name)
        start, end = source.span(alias)
        if len(node.names) == 1:
            start, end = source.span(node)
            source.change(start, end, self._joined(start, end, [f"import {module}" for module in modules]))
        else:
            source.change(start, end, ", ".join(modules))

    def _range(self, use: _Use) -> tuple[int, int]:
        return self._source.span(use.root)[0], self._source.span(use.last)[1]

    def _look_at_text(self, node: ast.Constant, text: str) -> None:
        parts = text.split(".")
        for end in range(len(parts), 1, -1):
            module, name = ".".join(parts[: end - 1]), parts[end - 1]
            place = self._place(module, name)
            if place is not None:
                rest = "".join(f".{part}" for part in parts[end:])
                self._source.say(node, f"the text {text!r}: write '{place.module}.{place.name}{rest}'")
                return
            if is_module(".".join(parts[:end])):
                self._source.say(node, f"the text {text!r} names a module that is no longer used")
                return
