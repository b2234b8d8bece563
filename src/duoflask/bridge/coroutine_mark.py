"""The mark by which servers see that calling an object makes a coroutine, although its `__call__` is none.

Owns what the mark is in each version of Python. Knows nothing of what is marked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..lazy import LazyModule

if TYPE_CHECKING:
    import inspect
else:
    inspect = LazyModule("inspect")

__all__ = ["mark_as_coroutine_function"]


def mark_as_coroutine_function(function: Callable[..., Any]) -> None:
    """Have `iscoroutinefunction` take a function for a coroutine function.

    Under Python 3.11 the mark is asyncio's own: nothing happens as long as nobody has imported asyncio. So it is set
    whenever there is an occasion, and a server that has come in between gets an ASGI 2 application.
    """
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(function)
        return
    coroutines = sys.modules.get("asyncio.coroutines")
    mark = getattr(coroutines, "_is_coroutine", None)
    if mark is not None:
        function._is_coroutine = mark  # type: ignore[attr-defined]
