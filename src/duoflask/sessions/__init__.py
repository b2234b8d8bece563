"""Sessions: the interface between a request and where its session is kept.

Owns the hook points and the session of an app without a secret key. Stores are other modules of this package.
"""

from __future__ import annotations

from collections.abc import Awaitable, MutableMapping
from typing import Any, NoReturn

from ..request import Request
from ..response import Response
from ..typing import App

__all__ = ["NullSession", "SessionInterface", "SessionMixin"]


class SessionMixin(MutableMapping[str, Any]):
    """A session: a mapping with what the interface must know to save it."""

    new = False
    modified = True
    accessed = True

    @property
    def permanent(self) -> bool:
        """Whether the session outlives the browser's, for PERMANENT_SESSION_LIFETIME."""
        return bool(self.get("_permanent", False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self["_permanent"] = bool(value)


class NullSession(dict[str, Any], SessionMixin):
    """The session of an app that cannot keep one: empty to read, an error to write."""

    modified = False
    accessed = False

    def _fail(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            "the session cannot be changed because nothing keeps it: no secret key is set, or "
            "app.session_interface opened none. "
            "Set app.secret_key to a random value of at least 16 bytes that stays the same."
        )

    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = __ior__ = _fail


class SessionInterface:
    """How an app opens and saves sessions; replaceable as `app.session_interface`.

    `open_session` and `save_session` may be `def` or `async def`, under both protocols.
    """

    null_session_class: type[Any] = NullSession
    pickle_based = False

    def make_null_session(self, app: App) -> Any:
        """Make what stands for a session that could not be opened."""
        return self.null_session_class()

    def is_null_session(self, obj: object) -> bool:
        """Whether an object is what `make_null_session` made."""
        return isinstance(obj, self.null_session_class)

    def open_session(self, app: App, request: Request) -> SessionMixin | None | Awaitable[SessionMixin | None]:
        """Open the session of a request; None if there can be none, for want of a secret key."""
        return None

    def save_session(self, app: App, session: SessionMixin, response: Response) -> None | Awaitable[None]:
        """Save a session at the end of a request, after the after hooks; not called for a null session."""
