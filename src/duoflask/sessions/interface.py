"""The interface between a request and where its session is kept.

Owns the hook points, how the session cookie's attributes follow from the configuration, and the `Vary` field. What a
session is kept in are other modules of this package; when it is opened and saved is `session_steps`'.
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

from ..request import Request
from ..response import Response
from ..typing import App
from .session import NullSession, SessionMixin

__all__ = ["SessionInterface", "vary_on_cookie"]


class SessionInterface:
    """How an app opens and saves sessions; replaceable as `app.session_interface`.

    `open_session` and `save_session` may be `def` or `async def`, under both protocols. A session is opened when
    somebody first looks at it. Where that may take time (`does_io`, or an `async def open_session`) it is opened before
    the first function of the request instead, provided that the request carries the session cookie.
    """

    null_session_class: type[Any] = NullSession
    """What `make_null_session` makes and `is_null_session` looks for."""

    pickle_based = False
    """Whether sessions are pickled."""

    does_io: bool = True
    """Whether the methods may wait for a disk or a network: `def` ones then run in a thread under ASGI."""

    def make_null_session(self, app: App) -> Any:
        """Make what stands for a session that could not be opened."""
        return self.null_session_class()

    def is_null_session(self, obj: object) -> bool:
        """Whether an object is what `make_null_session` made."""
        return isinstance(obj, self.null_session_class)

    def get_cookie_name(self, app: App) -> str:
        """The name of the session cookie: SESSION_COOKIE_NAME."""
        return app.config["SESSION_COOKIE_NAME"]  # type: ignore[no-any-return]

    def get_cookie_domain(self, app: App) -> str | None:
        """The domain of the session cookie: SESSION_COOKIE_DOMAIN; None means the very host that set it."""
        return app.config["SESSION_COOKIE_DOMAIN"]  # type: ignore[no-any-return]

    def get_cookie_path(self, app: App) -> str:
        """The path of the session cookie: SESSION_COOKIE_PATH, else APPLICATION_ROOT."""
        return app.config["SESSION_COOKIE_PATH"] or app.config["APPLICATION_ROOT"]  # type: ignore[no-any-return]

    def get_cookie_httponly(self, app: App) -> bool:
        """Whether scripts cannot read the session cookie: SESSION_COOKIE_HTTPONLY."""
        return app.config["SESSION_COOKIE_HTTPONLY"]  # type: ignore[no-any-return]

    def get_cookie_secure(self, app: App) -> bool:
        """Whether the session cookie is sent over HTTPS only: SESSION_COOKIE_SECURE."""
        return app.config["SESSION_COOKIE_SECURE"]  # type: ignore[no-any-return]

    def get_cookie_samesite(self, app: App) -> str | None:
        """Whether other sites' requests carry the session cookie: SESSION_COOKIE_SAMESITE."""
        return app.config["SESSION_COOKIE_SAMESITE"]  # type: ignore[no-any-return]

    def get_cookie_partitioned(self, app: App) -> bool:
        """Whether there is one session cookie for each top-level site: SESSION_COOKIE_PARTITIONED."""
        return app.config["SESSION_COOKIE_PARTITIONED"]  # type: ignore[no-any-return]

    def get_expiration_time(self, app: App, session: SessionMixin) -> datetime | None:
        """When a permanent session's cookie ends; None for one that ends with the browser's session."""
        if session.permanent:
            return datetime.now(UTC) + app.permanent_session_lifetime
        return None

    def should_set_cookie(self, app: App, session: SessionMixin) -> bool:
        """Whether the response is to carry the cookie of a session that is not empty.

        If it was modified, or is permanent with SESSION_REFRESH_EACH_REQUEST.
        """
        return session.modified or (session.permanent and app.config["SESSION_REFRESH_EACH_REQUEST"])

    def open_session(self, app: App, request: Request) -> SessionMixin | None | Awaitable[SessionMixin | None]:
        """Open the session of a request; None if there can be none, for want of a secret key."""
        raise NotImplementedError(f"{type(self).__name__} has no open_session(); write one")

    def save_session(self, app: App, session: Any, response: Response) -> None | Awaitable[None]:
        """Save a session that was looked at, at the end of a request, after the after hooks.

        Not called for a null session.
        """
        raise NotImplementedError(f"{type(self).__name__} has no save_session(); write one")

    def _set_cookie(self, app: App, session: SessionMixin, response: Response, value: str) -> None:
        """Have a response set the session cookie."""
        _warn_from(app, response)
        response.set_cookie(
            self.get_cookie_name(app),
            value,
            expires=self.get_expiration_time(app, session),
            path=self.get_cookie_path(app),
            domain=self.get_cookie_domain(app),
            secure=self.get_cookie_secure(app),
            httponly=self.get_cookie_httponly(app),
            samesite=self.get_cookie_samesite(app),
            partitioned=self.get_cookie_partitioned(app),
        )

    def _delete_cookie(self, app: App, response: Response) -> None:
        """Have a response delete the session cookie."""
        response.delete_cookie(
            self.get_cookie_name(app),
            path=self.get_cookie_path(app),
            domain=self.get_cookie_domain(app),
            secure=self.get_cookie_secure(app),
            httponly=self.get_cookie_httponly(app),
            samesite=self.get_cookie_samesite(app),
            partitioned=self.get_cookie_partitioned(app),
        )


def _warn_from(app: App, response: Response) -> None:
    """Have a response warn of cookies over MAX_COOKIE_SIZE."""
    limit = app.config["MAX_COOKIE_SIZE"]
    if limit != response.max_cookie_size:
        response.max_cookie_size = limit


def vary_on_cookie(response: Response) -> None:
    """Say that a response depends on the request's cookies, in one Vary field (RFC 9110 12.5.5).

    Without it a cache may give one user's page to another.
    """
    headers = response.headers
    pairs = headers._list
    lines = [value for name, value in pairs if name == "Vary" or name.lower() == "vary"]
    if not lines:
        pairs.append(("Vary", "Cookie"))  # PERF: 1.2 us less than through getlist() and add(); nothing to check in it
        return
    names: dict[str, str] = {}
    for line in lines:
        for item in line.split(","):
            name = item.strip()
            if name:
                names.setdefault(name.lower(), name)
    if "*" not in names:
        names.setdefault("cookie", "Cookie")
    headers["Vary"] = ", ".join(names.values())
