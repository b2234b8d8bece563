"""One Python file: its text, tree and tokens, and the changes to it, each an exact range of characters.

Knows nothing of Flask. Nothing is imported or run.
"""

from __future__ import annotations

import ast
import io
import os
import stat
import tempfile
import tokenize
import warnings
from bisect import bisect_left
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["MAX_FILE_SIZE", "Edit", "Finding", "Source", "Unreadable", "write"]

# Bytes. Longer files are generated ones; the longest module of CPython's library has 0.6 MB.
MAX_FILE_SIZE: Final = 4 * 1024 * 1024


class Edit(NamedTuple):
    """The characters from `start` to `end` become `text`."""

    start: int
    end: int
    text: str


class Finding(NamedTuple):
    """What is said of a line; `person`: somebody must do something about it."""

    line: int
    text: str
    person: bool = True


class Unreadable(Exception):
    """A file that is left alone; the message says why."""


class Source:
    """A file that parses.

    Raises:
        Unreadable: It does not, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            if path.stat().st_size > MAX_FILE_SIZE:
                raise Unreadable(f"longer than {MAX_FILE_SIZE} bytes")
            self.raw = path.read_bytes()
            self.encoding = tokenize.detect_encoding(io.BytesIO(self.raw).readline)[0]
            self.text = self.raw.decode(self.encoding)
        except (OSError, SyntaxError, UnicodeDecodeError) as exc:
            raise Unreadable(str(getattr(exc, "strerror", None) or exc)) from exc
        self.newline = "\r\n" if "\r\n" in self.text else "\n"
        if "\r" in self.text.replace("\r\n", ""):
            raise Unreadable("its lines end in CR alone")
        self._lines = self.text.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
        self.tree = parse(self.text)
        try:
            tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
            # Not those that have no text: a DEDENT stands where the statement behind it begins.
            self.tokens = [token for token in tokens if token.type not in (tokenize.INDENT, tokenize.DEDENT)]
        except (tokenize.TokenError, SyntaxError) as exc:
            raise Unreadable(str(exc)) from exc
        self._places = [token.start for token in self.tokens]
        self.edits: list[Edit] = []
        self.findings: list[Finding] = []

    def offset(self, line: int, column: int) -> int:
        """Return the place of a token's position: a column counts characters."""
        return self._starts[line - 1] + column

    def _byte_offset(self, line: int, column: int) -> int:
        """Return the place of a node's position: a column counts UTF-8 bytes."""
        text = self._lines[line - 1]
        if not text.isascii():
            column = len(text.encode()[:column].decode())
        return self._starts[line - 1] + column

    def span(self, node: ast.expr | ast.stmt | ast.alias) -> tuple[int, int]:
        """Return where a node starts and ends."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        end = self._byte_offset(node.end_lineno, node.end_col_offset)
        return self._byte_offset(node.lineno, node.col_offset), end

    def first_token(self, offset: int) -> int:
        """Return the number of the first token at or after a place."""
        line = bisect_left(self._starts, offset + 1)
        return bisect_left(self._places, (line, offset - self._starts[line - 1]))

    def line_start(self, offset: int) -> str:
        """Return what stands before a place in its line."""
        return self.text[self.text.rfind("\n", 0, offset) + 1 : offset]

    def change(self, start: int, end: int, text: str) -> None:
        """Replace a range, unless it has that text already."""
        if self.text[start:end] != text:
            self.edits.append(Edit(start, end, text))

    def say(self, node: ast.expr | ast.stmt | ast.alias, text: str, *, person: bool = True) -> None:
        """Report something at a node's line."""
        self.findings.append(Finding(node.lineno, text, person))

    def changed(self) -> str:
        """Return the text with all edits.

        Raises:
            Unreadable: It would not parse.
        """
        pieces, done = [], 0
        for start, end, text in sorted(set(self.edits)):
            if start < done:
                raise Unreadable("its changes overlap; this is a bug of duoflask migrate")
            pieces += [self.text[done:start], text]
            done = end
        new = "".join([*pieces, self.text[done:]])
        parse(new)
        return new


def parse(text: str) -> ast.Module:
    """Return the tree of a module's text.

    Raises:
        Unreadable: It is no Python that this interpreter reads.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its string escapes: not our business
            return ast.parse(text)
    except SyntaxError as exc:
        raise Unreadable(f"line {exc.lineno}: {exc.msg}") from exc
    except (ValueError, RecursionError, MemoryError) as exc:
        raise Unreadable(str(exc) or type(exc).__name__) from exc


def write(source: Source, text: str) -> None:
    """Replace a file in one step; its mode stays.

    Raises:
        Unreadable: It cannot be written, or has been changed since it was read.
    """
    try:
        if source.path.read_bytes() != source.raw:
            raise Unreadable("it has been changed in the meantime")
        handle, name = tempfile.mkstemp(dir=source.path.parent, prefix=f".{source.path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode(source.encoding))
            os.chmod(name, stat.S_IMODE(source.path.stat().st_mode))
            os.replace(name, source.path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as exc:
        raise Unreadable(exc.strerror or str(exc)) from exc
