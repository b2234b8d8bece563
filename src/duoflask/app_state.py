"""`app.state`: what start-up functions leave for requests, a namespace for each loop that serves.

Owns the look of it. Which dictionaries are behind it is the life cycle's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

__all__ = ["State"]


class State(MutableMapping[str, Any]):
    """A namespace by attribute and by item.

    Args:
        layers: Answers with the dictionaries to look into, here and now; the first one is written.
    """

    __slots__ = ("_layers",)
    _layers: Callable[[], Sequence[MutableMapping[str, Any]]]

    def __init__(self, layers: Callable[[], Sequence[MutableMapping[str, Any]]]) -> None:
        object.__setattr__(self, "_layers", layers)

    def __getitem__(self, key: str) -> Any:
        for layer in self._layers():
            if key in layer:
                return layer[key]
        raise KeyError(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self._layers()[0][key] = value

    def __delitem__(self, key: str) -> None:
        for layer in self._layers():
            if key in layer:
                del layer[key]
                return
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter({key: None for layer in reversed(self._layers()) for key in layer})

    def __len__(self) -> int:
        return len(set().union(*self._layers()))

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"app.state has no {name!r}; it holds what a start-up function (before_serving, while_serving) has "
                "set on the loop that serves here, or the server's lifespan state"
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(State, name):
            raise AttributeError(
                f"app.state has a method {name!r}; write app.state[{name!r}] = ... or take another name"
            )
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f"app.state has no {name!r}") from None

    def __repr__(self) -> str:
        return f"<State {dict(self)!r}>"
