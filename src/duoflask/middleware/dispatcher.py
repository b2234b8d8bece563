"""`DispatcherMiddleware`: several applications in one, by the beginning of the path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..bridge import Workers
from ..foreign import Foreign
from ..mounting import PrefixTable
from .around import Middleware, is_scope

__all__ = ["DispatcherMiddleware"]


class DispatcherMiddleware(Middleware):
    """Choose among applications by the longest prefix of the path; each sees its prefix as where it is mounted.

    The applications may be of either protocol, under either. An ASGI server's lifespan is the main application's;
    `app.mount` runs those of mounted applications too.

    Args:
        app: The application for every other path.
        mounts: Applications by prefix, such as `{"/backend": backend}`. May be changed later.

    Raises:
        TypeError: An application's protocol cannot be told.
        ValueError: A prefix that does not begin with a slash.
    """

    protocols = "both"

    def __init__(self, app: Any, mounts: Mapping[str, Any] | None = None) -> None:
        self._workers = Workers()
        super().__init__(Foreign(app, workers=self._workers))
        self.mounts: dict[str, Any] = dict(mounts or {})
        self._known: dict[str, Any] = {}
        self._table = PrefixTable()
        self._update()

    def _update(self) -> None:
        known = dict(self.mounts)
        table = PrefixTable()
        for prefix, app in known.items():
            if prefix and prefix[:1] != "/":
                raise ValueError(f"invalid prefix; expected one that begins with '/'; got {prefix!r}")
            table.add(prefix.rstrip("/"), Foreign(app, workers=self._workers))
        self._known, self._table = known, table

    def prepare(self, source: Any) -> tuple[Any, Any, None]:
        """Choose the application."""
        if self.mounts != self._known:
            self._update()
        found = self._table.for_scope(source) if is_scope(source) else self._table.for_environ(source)
        return (self.app, source, None) if found is None else (*found, None)
