"""Functions that are written as text: what lanes and recipes share.

Owns how a text becomes a function. Must not know what it says.

Theory of operation. A text names no object: whatever the function needs is a constant, passed as the default of an
argument `k0`, `k1`, ... So no rule's text can become code, texts of one shape share one code object, and a default is
read as fast as a local variable.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, Final

__all__ = ["FunctionText"]

_GLOBALS: Final[dict[str, Any]] = {"__builtins__": {"int": int, "len": len, "str": str, "type": type}}


class FunctionText:
    """The text of a function, while it is written.

    Args:
        head: its arguments.
    """

    def __init__(self, head: str) -> None:
        self.head = head
        self.lines: list[str] = []
        self.constants: list[Any] = []
        self._names: dict[int, str] = {}

    def line(self, indent: int, text: str) -> None:
        """Write a line."""
        self.lines.append(" " * indent + text)

    def constant(self, value: Any) -> str:
        """Return the name of an object."""
        name = self._names.get(id(value))  # it is among the constants: nothing else gets its id
        if name is None:
            name = self._names[id(value)] = f"k{len(self.constants)}"
            self.constants.append(value)
        return name

    @property
    def source(self) -> str:
        """The finished text."""
        names = "".join([f", k{number}" for number in range(len(self.constants))])
        return "\n".join([f"def generated({self.head}{names}):", *self.lines, " return None"])

    def function(self) -> Callable[..., Any]:
        """Return the function."""
        return FunctionType(_compile(self.source), _GLOBALS, "generated", tuple(self.constants))


# Compiling takes 0.2 ms and more, and shapes are few.
@lru_cache(maxsize=256)
def _compile(source: str) -> CodeType:
    namespace: dict[str, Any] = {}
    exec(compile(source, "<duoflask routing>", "exec"), namespace)
    code: CodeType = namespace["generated"].__code__
    return code
