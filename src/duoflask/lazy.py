"""Modules that are imported when something of them is first used: what most processes never need, or not at start.

Owns the one way to say so. Knows no module.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["LazyModule"]


class LazyModule:
    """Stands for a module, and imports it at the first look at one of its names.

    A look costs 300 ns more than at a module: not for what every request does.

    Write it beside an import for type checkers:

        if TYPE_CHECKING:
            from . import server
        else:
            server = LazyModule(f"{__package__}.server")

    Args:
        name: The module's full name.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self.__name__), attribute)
