"""Modules that are imported when something of them is first used: what most processes never need, or not at start.

Owns the one way to say so. Knows no module.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["LazyModule"]


class _LoadedModule:
    """What a `LazyModule` becomes: CPython looks a name up faster where no `__getattr__` may answer."""


class LazyModule(_LoadedModule):
    """Stands for a module, and imports it at the first look at one of its names.

    From then on it has the module's own namespace: a look costs what it costs at the module itself, and what is
    replaced in the one is replaced in the other.

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
        module = importlib.import_module(self.__name__)
        self.__dict__ = module.__dict__
        if "__getattr__" not in module.__dict__:  # else the module makes names of its own at the first look
            self.__class__ = _LoadedModule  # type: ignore[assignment]
        return getattr(module, attribute)
