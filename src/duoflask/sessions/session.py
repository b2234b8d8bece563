"""What a session is to a view: a mapping that knows whether it must be saved.

Owns the mixin for sessions of any kind, the one that the signed cookie holds and the one of an app that can keep none.
Knows no app and no store.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any, NoReturn

from ..http.callback_dict import CallbackDict

__all__ = ["NullSession", "SecureCookieSession", "SessionMixin", "note_unwritable"]


class SessionMixin(MutableMapping[str, Any]):
    """A session: a mapping with what an interface must know to save it."""

    new = False
    """Whether the request came without a session that could be opened; not every interface can tell."""

    modified = True
    """Whether it is to be saved. Set it where only something inside a value has changed."""

    accessed = False
    """Whether somebody looked at it in this request, so that the response depends on the cookie."""

    @property
    def permanent(self) -> bool:
        """Whether the session outlives the browser's, for PERMANENT_SESSION_LIFETIME."""
        return bool(self.get("_permanent", False))

    @permanent.setter
    def permanent(self, value: bool) -> None:
        self["_permanent"] = bool(value)

    def regenerate(self) -> None:
        """Give the session a new id and forget the old one; call it where somebody logs in, against fixation.

        A session whose content is the cookie has no id: it is sent anew.
        """
        self.modified = True

    def lock(self, timeout: float = 10.0) -> Any:
        """Keep other requests from changing this session while a `with` or `async with` block runs.

        Args:
            timeout: How long to wait for it, in seconds.

        Raises:
            RuntimeError: Sessions of this kind cannot be locked.
        """
        raise RuntimeError(
            f"a {type(self).__name__} cannot be locked: its content is in the browser's cookie, which several requests "
            "carry at the same time. Keep sessions on the server, for example with app.config['SESSION_STORE'] = "
            "'sqlite'."
        )


def note_unwritable(error: Exception, serializer: Any, values: Mapping[Any, Any]) -> None:
    """Add to the error over values that a session cannot keep which of them it is."""
    for name, value in values.items():
        try:
            serializer.dumps(value)
        except Exception:
            error.add_note(
                f"session[{name!r}] cannot be kept. A session holds what JSON has, tuples, bytes, datetimes, UUIDs and "
                "Markup; of another object, keep what it is found by, such as its id."
            )
            return


def _mark_modified(session: Any) -> None:
    session.modified = True


class SecureCookieSession(CallbackDict[str, Any], SessionMixin):
    """A session that the signed cookie holds.

    Args:
        initial: Its content.
    """

    modified = False

    def __init__(self, initial: Any = None) -> None:
        super().__init__(initial, _mark_modified)


class NullSession(SecureCookieSession):
    """The session of an app that cannot keep one: empty to read, an error to write."""

    reason = (
        "no secret key is set, or app.session_interface opened none. "
        "Set app.secret_key to a random value of at least 16 bytes that stays the same."
    )

    def _fail(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(f"the session is unavailable, because nothing keeps it: {self.reason}")

    __setitem__ = __delitem__ = clear = pop = popitem = update = setdefault = __ior__ = _fail
    regenerate = lock = _fail
