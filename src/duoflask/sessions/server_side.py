"""Sessions whose content stays on the server: the cookie carries a random id.

Owns the session, which knows what of it has been changed, the interface, and ids. Where the content is kept are the
stores; a store sees the hash of an id, so that nobody who reads it can take a session over.

Theory of operation: each name of a session is kept by itself, as a text of tagged JSON. A request writes the names
whose text differs from the one it has read, or that it has set or deleted itself, and no others: two requests that
change different names at the same time both keep their change. A record is made by the first write of a session that
has none, and by nothing else: a request whose record was deleted meanwhile (its user logged out) writes nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from time import time
from typing import Any, ClassVar, Final

from ..bridge import asyncio_is_running
from ..request import Request
from ..response import Response
from ..typing import App
from .cookie import session_json_serializer
from .interface import SessionInterface, vary_on_cookie
from .lock import SessionLock
from .session import SessionMixin, note_unwritable
from .store import Change, Record, Store

__all__ = ["ServerSideSession", "ServerSideSessionInterface", "store_key"]

_logger = logging.getLogger("duoflask.sessions")

_MISSING: Any = object()

# 32 random bytes. What has not this form is no id of ours, and never reaches a store.
_ID_BYTES: Final = 32
_ID_RE: Final = re.compile(r"[A-Za-z0-9_-]{43}")

# The end of a session that is prolonged by each request is written at most so often, in seconds.
REFRESH_SECONDS: Final = 60.0

# Values of these types cannot have changed inside.
_IMMUTABLE: Final = frozenset({str, int, float, bool, bytes, type(None)})


def new_id() -> str:
    """Make a session id of 256 random bits."""
    return urlsafe_b64encode(os.urandom(_ID_BYTES)).rstrip(b"=").decode()


def store_key(session_id: str) -> str:
    """The key under which a store keeps the session of an id."""
    return hashlib.sha256(session_id.encode()).hexdigest()


class ServerSideSession(dict[str, Any], SessionMixin):
    """A session that a store keeps. Made by its interface.

    Args:
        initial: Its content.
    """

    _store: Store
    _awaits_store = False  # whether an asyncio loop is the server's, and the store can be awaited there
    _in_thread: Callable[[Callable[..., Any]], Callable[..., Awaitable[Any]]]
    _lifetime: Callable[[], float]
    _serializer: Any = session_json_serializer

    modified = False

    def __init__(self, initial: Any = None) -> None:
        super().__init__(() if initial is None else initial)
        self.new = True
        self._id: str | None = None
        self._stored_key: str | None = None  # where the store has it
        self._texts: dict[str, str] = {}  # what the store has, as far as this request knows
        self._expires = 0.0
        self._touched: set[Any] = set()  # names that were set or deleted
        self._cleared = False
        self._renewed = False  # the browser does not know the id yet
        self._gone = False  # somebody else deleted it during this request
        self._locked_by: Any = None
        self._before_lock: tuple[dict[Any, str], set[Any], bool] = ({}, set(), False)

    @property
    def sid(self) -> str:
        """The id that the cookie carries. It is as good as a password: do not log it."""
        if self._id is None:
            self._id = new_id()
            self._renewed = True
        return self._id

    def regenerate(self) -> None:
        """Give the session a new id; the old one is worth nothing from the end of this request on.

        Call it where somebody logs in, or gets other rights: whoever had planted or seen the old id stays outside.
        """
        self._id = None
        self.modified = True

    def lock(self, timeout: float = 10.0) -> SessionLock:
        """Keep other requests that lock this session out, while a `with` or `async with` block runs.

        The session is read again when the block begins, and written when it ends; an exception takes back what the
        block has changed. A lock ends after 30 seconds at the latest.

        Args:
            timeout: How long to wait, in seconds.

        Raises:
            StoreUnavailable: The session stayed locked, or the store does not answer (503).
            RuntimeError: The block is entered inside itself, or by `with` on a running event loop.
        """
        return SessionLock(self, timeout)

    # -- changes

    def _touch(self, *names: Any) -> None:
        self._touched.update(names)
        self.modified = True

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self._touch(key)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._touch(key)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, which is set to the default if it is missing."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: str, default: Any = _MISSING) -> Any:
        """Remove a key and return its value, or the default."""
        if key in self:
            self._touch(key)
            return super().pop(key)
        if default is _MISSING:
            raise KeyError(key)
        return default

    def popitem(self) -> tuple[str, Any]:
        """Remove the newest key and return it with its value."""
        key, value = super().popitem()
        self._touch(key)
        return key, value

    def clear(self) -> None:
        """Remove everything, also what another request writes at this moment.

        What is set afterwards is a session with another id, as after `regenerate`: views that log somebody in often
        begin so.
        """
        super().clear()
        self._cleared = True
        self._touched.clear()
        self.regenerate()

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Set many keys."""
        items = dict(*args, **kwargs)
        super().update(items)
        self._touch(*items)

    def __ior__(self, other: Any) -> ServerSideSession:  # type: ignore[override,misc]
        self.update(other)
        return self

    # -- what the interface and the lock ask

    def _opened(self, session_id: str, key: str, record: Record) -> None:
        """Become what a store has kept."""
        self._id, self._stored_key, self.new = session_id, key, False
        self._take(record)

    def _take(self, record: Record) -> None:
        texts = record.values
        values = self._serializer.loads(f"[{','.join(texts.values())}]")
        dict.clear(self)
        dict.update(self, zip(texts, values, strict=True))
        self._texts, self._expires = texts, record.expires

    def _text(self, name: Any) -> str:
        try:
            return self._serializer.dumps(self[name])  # type: ignore[no-any-return]
        except Exception as exc:
            note_unwritable(exc, self._serializer, {name: self[name]})
            raise

    def _look_inside(self) -> None:
        """Note the names whose values were changed inside, as if they had been set."""
        known = self._texts
        for name, value in self.items():
            if name not in self._touched and type(value) not in _IMMUTABLE and self._text(name) != known.get(name):
                self._touch(name)

    def _read_again(self, record: Record | None) -> None:
        if self.modified:
            self._look_inside()
        own = {key: self._text(key) for key in self._touched if key in self}
        self._before_lock = own, self._touched - own.keys(), self._cleared
        if record is None:
            self._gone = True
            record = Record({}, 0.0)
        self._texts, self._expires = record.values, record.expires
        self._take_back()

    def _take_back(self) -> None:
        own, deleted, self._cleared = self._before_lock
        self._touched = own.keys() | deleted
        self._take(Record({} if self._cleared else self._texts, self._expires))
        dict.update(self, {key: self._serializer.loads(text) for key, text in own.items()})
        for key in deleted:
            dict.pop(self, key, None)

    def _next_change(self) -> Change | None:
        old = self._stored_key
        if self._gone or not self.modified or (old is None and not self):
            return None
        key = store_key(self.sid)
        known = {} if self._cleared else self._texts
        values, names = {}, set()
        for name, value in self.items():
            text_name = name if type(name) is str else _json_name(name)
            names.add(text_name)
            touched = name in self._touched
            if touched or type(value) not in _IMMUTABLE or text_name not in known:
                text = self._text(name)
                if touched or text != known.get(text_name):
                    values[text_name] = text
        removed = [name for name in known if name not in names]
        removed += [name for name in self._touched if name not in self and name not in known]
        moved_from = None if old == key else old
        if not (values or removed or self._cleared or moved_from or old is None or self._ends_early()):
            return None
        return Change(
            key,
            time() + self._lifetime(),
            values,
            tuple(map(_json_name, removed)),
            create=old is None or self._cleared,
            replace=self._cleared,
            moved_from=moved_from,
        )

    def _ends_early(self) -> bool:
        """Whether its end has to be put off, as each request does that writes it."""
        lifetime = self._lifetime()
        return self._expires - time() < lifetime - min(REFRESH_SECONDS, lifetime / 10)

    def _written(self, change: Change, exists: bool) -> None:
        if not exists and self:
            self._gone = True
        self._stored_key = change.key if exists else None
        if change.replace:
            self._texts = {}
        self._texts.update(change.values)
        for name in change.removed:
            self._texts.pop(name, None)
        self._expires = change.expires
        self._touched.clear()
        self._cleared = False


def _json_name(name: Any) -> str:
    """A key as JSON writes it, so that it reads back as from a signed cookie."""
    return name if type(name) is str else next(iter(json.loads(json.dumps({name: 0}))))


class ServerSideSessionInterface(SessionInterface):
    """Sessions in a store, with a random id in the cookie. No secret key is needed.

    Args:
        store: The store.
    """

    session_class: ClassVar[type[ServerSideSession]] = ServerSideSession

    serializer: Any = session_json_serializer
    """What writes and reads the values."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.does_io = store.does_io
        self.has_async = store.is_async

    def open_session(self, app: App, request: Request) -> Any:
        """Open the session whose id the request's cookie carries; an unknown, ended or malformed one gives a new one.

        Returns:
            The session; something to await where the store answers on the running loop.
        """
        value = request.cookies.get(self.get_cookie_name(app))
        session = self._make(app, request)
        if not value or _ID_RE.fullmatch(value) is None:
            return session
        key = store_key(value)
        if session._awaits_store and asyncio_is_running():
            return self._open_async(app, request, session, value, key)
        return self._filled(app, request, session, value, key, self.store.load(key))

    async def _open_async(
        self, app: App, request: Request, session: ServerSideSession, value: str, key: str
    ) -> ServerSideSession:
        self._close_with(app)
        store: Any = self.store
        return self._filled(app, request, session, value, key, await store.load_async(key))

    def _make(self, app: App, request: Request) -> ServerSideSession:
        session = self.session_class()
        session._store = self.store
        # Under WSGI a loop is the portal's, and the server's own thread, which waits, has the blocking client.
        session._awaits_store = self.has_async and request.scope is not None
        session._serializer = self.serializer
        session._in_thread = app.sync_to_async
        session._lifetime = lambda: app.permanent_session_lifetime.total_seconds()
        return session

    def _filled(
        self, app: App, request: Request, session: ServerSideSession, value: str, key: str, record: Record | None
    ) -> ServerSideSession:
        if record is not None:
            try:
                session._opened(value, key, record)
            except Exception:  # of an older version of the app, say; it must not be an error at each request
                _logger.warning("a session in the store %s cannot be read (%.12s...)", self.store.name, key)
                return self._make(app, request)
        return session

    def _close_with(self, app: App) -> None:
        """Have the running loop's connections closed when the server stops."""
        store: Any = self.store
        if store.close_async not in app.after_serving_funcs:
            app.after_serving_funcs.append(store.close_async)

    def save_session(self, app: App, session: ServerSideSession, response: Response) -> Any:
        """Write what has changed, set or delete the cookie.

        Returns:
            None; something to await where the store answers on the running loop.
        """
        change = session._next_change()
        if change is None and session and self._is_due(app, session):
            change = Change(store_key(session.sid), time() + session._lifetime())
        if change is None:
            self._answer(app, session, response)
        elif session._awaits_store and asyncio_is_running():
            return self._write_async(app, session, response, change)
        else:
            session._written(change, self.store.write(change))
            self._answer(app, session, response)
        return None

    async def _write_async(self, app: App, session: ServerSideSession, response: Response, change: Change) -> None:
        self._close_with(app)
        store: Any = self.store
        session._written(change, await store.write_async(change))
        self._answer(app, session, response)

    def _is_due(self, app: App, session: ServerSideSession) -> bool:
        """Whether the end of a session that was only read is to be put off."""
        return session._stored_key is not None and self.should_set_cookie(app, session) and session._ends_early()

    def _answer(self, app: App, session: ServerSideSession, response: Response) -> None:
        """Have the response set or delete the cookie."""
        if session._gone:  # the browser may have another session by now
            changed = False
        elif session:
            changed = session._renewed or self.should_set_cookie(app, session)
        else:
            changed = session.modified and session._stored_key is None
        if changed or session.accessed:
            vary_on_cookie(response)
        if not changed:
            return
        if session:
            self._set_cookie(app, session, response, session.sid)
            session._renewed = False
        else:
            self._delete_cookie(app, response)
