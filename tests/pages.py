"""The examples of README.md and of the pages in docs/, to be run by the tests."""

from __future__ import annotations

import itertools
import re
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

_numbers = itertools.count()


class Page:
    """A page: `Page("streaming")` is docs/streaming.md, `Page("README")` the one at the top."""

    def __init__(self, name: str) -> None:
        self.path = ROOT / "README.md" if name == "README" else ROOT / "docs" / f"{name}.md"
        self.text = self.path.read_text()

    @property
    def fenced(self) -> list[str]:
        """The blocks of Python between fences."""
        return re.findall(r"```python\n(.*?)```", self.text, re.DOTALL)

    @property
    def indented(self) -> list[str]:
        """The indented blocks, of whatever language."""
        found: list[list[str]] = [[]]
        for line in self.text.splitlines():
            if line.startswith("    ") or (not line and found[-1]):
                found[-1].append(line)
            elif found[-1]:
                found.append([])
        return [textwrap.dedent("\n".join(lines)) for lines in found if lines]

    def run(self, code: str, **names: Any) -> dict[str, Any]:
        """Run code of the page, in a module of its own; return its names.

        Args:
            code: The code.
            names: What it takes for granted.
        """
        module: dict[str, Any] = {"__name__": f"page{next(_numbers)}", **names}  # task queues know functions by it
        exec(compile(code, str(self.path), "exec"), module)
        return module

    def example(self, word: str, /, **names: Any) -> dict[str, Any]:
        """Run the one block between fences that holds a word; return its names."""
        (block,) = [block for block in self.fenced if word in block]
        return self.run(block, **names)
