"""The comments within a `from` import, which stay with their names where it becomes several."""

from __future__ import annotations

import ast
import tokenize
from typing import Final

from .source import Source

__all__ = ["Comments"]

_MAX_LINE: Final = 88


class Comments:
    """Which comment belongs to which name: the one behind it, and those in the lines above it."""

    def __init__(self, source: Source, node: ast.ImportFrom) -> None:
        start, end = source.span(node)
        self._head = ""
        self._above: dict[ast.alias, list[str]] = {}
        self._behind: dict[ast.alias, str] = {}
        spans = [(source.span(alias), alias) for alias in node.names]
        for token in source.tokens[source.first_token(start) : source.first_token(end)]:
            if token.type != tokenize.COMMENT:
                continue
            place = source.offset(*token.start)
            before = [alias for (_, stop), alias in spans if stop <= place]
            after = [alias for (first, _), alias in spans if first > place]
            if before and (before[-1].end_lineno == token.start[0] or not after):
                known = self._behind.get(before[-1])
                self._behind[before[-1]] = f"{known}  {token.string}" if known else token.string
            elif token.start[0] == node.lineno:
                self._head = token.string  # behind the parenthesis: of the whole statement
            else:
                self._above.setdefault(after[0], []).append(token.string)

    def statement(self, home: str, names: list[tuple[ast.alias, str]]) -> str:
        """Return the import of some of the names, with their comments."""
        line = f"from {home} import {', '.join(text for _, text in names)}"
        commented = any(alias in self._above or alias in self._behind for alias, _ in names)
        if len(line) <= _MAX_LINE and not commented:
            return f"{line}  {self._head}" if self._head else line
        lines = [f"from {home} import (" + (f"  {self._head}" if self._head else "")]
        for alias, text in names:
            lines += [f"    {comment}" for comment in self._above.get(alias, ())]
            comment = self._behind.get(alias)
            lines.append(f"    {text}," + (f"  {comment}" if comment else ""))
        return "\n".join([*lines, ")"])
