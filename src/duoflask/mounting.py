"""`app.mount`: applications of either protocol below a prefix of the app's own URLs.

Owns which application a path belongs to, how the path is split between the two, and the lifespans of mounted
applications. Translating protocols is `foreign`'s business. A request below a prefix never reaches the app's router:
none of its hooks runs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextvars import copy_context
from typing import Any, Final

from .asgi import home_key
from .bridge import Workers, WSGIDriver, current_home, current_portal
from .ctx import AppContext
from .exceptions import HTTPException
from .foreign import Foreign, Lifespan, Protocols
from .http.environ import wsgi_encoded
from .http.uri import split_root_path
from .typing import App, Receive, Scope, Send, StartResponse, WSGIEnvironment

__all__ = ["Mounts", "PrefixTable", "check_prefix"]


def check_prefix(prefix: str) -> str:
    """Return a mount's prefix without a slash at its end.

    Raises:
        ValueError: It does not begin with a slash, holds an empty segment, or is the root.
    """
    if not isinstance(prefix, str) or prefix[:1] != "/" or "//" in prefix or prefix == "/":
        raise ValueError(
            f"invalid prefix; expected a path such as '/legacy', below which the application is mounted; got {prefix!r}"
        )
    return prefix.rstrip("/")


class PrefixTable:
    """Applications by prefix; the longest that a path begins with, segment by segment, wins.

    Args:
        apps: Pairs of prefix and application; "" stands for every path.
    """

    __slots__ = ("_apps", "_depth", "_raw_apps")

    def __init__(self, apps: Iterable[tuple[str, Any]] = ()) -> None:
        self._apps: dict[str, Any] = {}
        self._raw_apps: dict[str, Any] = {}  # as WSGI writes them: their bytes as latin-1
        self._depth = 0
        for prefix, app in apps:
            self.add(prefix, app)

    def add(self, prefix: str, app: Any) -> None:
        """Add or replace an application."""
        self._apps[prefix] = app
        self._raw_apps[wsgi_encoded(prefix)] = app
        self._depth = max(self._depth, prefix.count("/"))

    def __contains__(self, prefix: str) -> bool:
        return prefix in self._apps

    def _find(self, apps: dict[str, Any], path: str) -> tuple[str, Any] | None:
        found = ("", apps[""]) if "" in apps else None
        end = 0
        for _ in range(self._depth):  # no deeper than a prefix reaches, whatever the path is
            end = path.find("/", end + 1)
            prefix = path if end < 0 else path[:end]
            app = apps.get(prefix)
            if app is not None:
                found = prefix, app
            if end < 0:
                break
        return found

    def for_environ(self, environ: WSGIEnvironment) -> tuple[Any, WSGIEnvironment] | None:
        """The application of a WSGI request, and the environ as that application sees it."""
        path: str = environ.get("PATH_INFO") or ""
        found = self._find(self._raw_apps, path)
        if found is None:
            return None
        prefix, app = found
        shifted = dict(environ)
        shifted["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
        shifted["PATH_INFO"] = path[len(prefix) :]
        return app, shifted

    def for_scope(self, scope: Scope) -> tuple[Any, Scope] | None:
        """The application of an ASGI connection, and the scope as that application sees it.

        `path` goes on to hold the whole path, `root_path` included (specification 2.4).
        """
        root: str = (scope.get("root_path") or "").rstrip("/")
        path = split_root_path(scope["path"], root)
        found = self._find(self._apps, path)
        if found is None:
            return None
        prefix, app = found
        return app, {**scope, "root_path": root + prefix, "path": root + path}


class Mounts:
    """What is mounted in one app, and how a request gets there.

    Args:
        app: The app that the others are mounted in.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._table = PrefixTable()
        # A pool of their own: slow clients of a WSGI application must not hold up the app's own functions.
        self.workers = Workers(app.config["WORKER_THREADS"])

    def add(self, prefix: str, app: Any, protocol: Protocols | None) -> None:
        """Mount an application; arguments as for `DuoFlask.mount`.

        Raises:
            TypeError: The application's protocol cannot be told.
            ValueError: A prefix that is no path or is taken, an unknown protocol, or the app itself.
        """
        prefix = check_prefix(prefix)
        if prefix in self._table:
            raise ValueError(f"another application is mounted at {prefix!r} already; give one of them another prefix")
        if app is self._app:
            raise ValueError(f"{app!r} cannot be mounted in itself; mount another application")
        mounted = _Mounted(self._app, app, protocol, self.workers)
        self._table.add(prefix, mounted)
        if mounted.protocol != "wsgi":
            self._app.before_serving(mounted.start)
            self._app.after_serving(mounted.stop)

    def serve_wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes] | None:
        """Answer a WSGI request with a mounted application; None if it is the app's own."""
        found = self._table.for_environ(environ)
        if found is None:
            return None
        mounted, shifted = found
        lifecycle = self._app._lifecycle
        try:
            if not lifecycle.has_started(_IN_THREAD):
                ctx = self._starting(_IN_THREAD)
                WSGIDriver(ctx, lifecycle.start_for(ctx)).resume()
        except HTTPException as exc:  # the start-up failed
            return exc(environ, start_response)  # type: ignore[no-any-return]
        return mounted(shifted, start_response)  # type: ignore[no-any-return]

    def serve_asgi(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None] | None:
        """Answer an ASGI connection with a mounted application; None if it is the app's own."""
        found = None if scope["type"] == "lifespan" else self._table.for_scope(scope)
        if found is None:
            return None
        return self._serve_asgi(*found, receive, send)

    async def _serve_asgi(self, mounted: _Mounted, scope: Scope, receive: Receive, send: Send) -> None:
        lifecycle = self._app._lifecycle
        if not lifecycle.has_started(_ON_LOOP):
            ctx = self._starting(_ON_LOOP)
            try:
                await self._app._drive(ctx, lifecycle.start_for(ctx))
            except HTTPException as exc:
                if scope["type"] == "http":
                    return await exc(scope, receive, send)  # type: ignore[no-any-return]
                return await send({"type": "websocket.close", "code": 1013})  # RFC 6455: try again later
        state = mounted.state()
        if state is not None:
            scope["state"] = state.copy()
        await mounted(scope, receive, send)

    def _starting(self, gateway: Any) -> AppContext:
        ctx = AppContext(self._app)
        ctx.context = copy_context()
        ctx.gateway = gateway
        return ctx


class _Gateway:
    """What the life cycle asks of a protocol, for a start-up that no request of the app's own has caused."""

    __slots__ = ("home_key", "serves_on_loop")

    def __init__(self, serves_on_loop: bool, key: Callable[[], Any]) -> None:
        self.serves_on_loop = serves_on_loop
        self.home_key = key

    def suspended(self, ctx: AppContext) -> bool:
        return True


_IN_THREAD: Final = _Gateway(False, lambda: None)
_ON_LOOP: Final = _Gateway(True, home_key)


class _Mounted(Foreign):
    """A mounted application, with its lifespan: once for each loop that serves it."""

    def __init__(self, owner: App, app: Any, protocol: Protocols | None, workers: Workers) -> None:
        super().__init__(app, protocol, workers)
        self._owner = owner
        self._lifespans: dict[Any, Lifespan] = {}

    def start(self) -> Any:
        """Run the application's start-up; one of the start-up functions of the app that it is mounted in.

        A duoflask app under WSGI starts at its own first request. It needs no loop for that; hence no `async def`.
        """
        return None if self.protocol == "both" and current_home() is None else self._start()

    async def _start(self) -> None:
        lifespan = Lifespan(self.app)
        await lifespan.start()
        self._log_raised(lifespan, "%r raised in its lifespan and is served without one")
        key = home_key()
        self._lifespans[key] = lifespan
        portal = current_portal()
        if portal is not None and portal.loop is key:
            self.portal_state = lifespan.state

    def stop(self) -> Any:
        """Run the application's shutdown; one of the shutdown functions."""
        return self._stop() if self._lifespans else None

    async def _stop(self) -> None:
        lifespan = self._lifespans.pop(home_key(), None)
        if lifespan is not None:
            await lifespan.stop()
            self._log_raised(lifespan, "%r raised in its lifespan after it had started")

    def _log_raised(self, lifespan: Lifespan, message: str) -> None:
        raised, lifespan.raised = lifespan.raised, None
        if raised is not None:
            self._owner.logger.warning(message, self.app, exc_info=raised)

    def state(self) -> dict[str, Any] | None:
        """What the start-up on the running loop has left for the requests there."""
        lifespan = self._lifespans.get(home_key()) if self._lifespans else None
        return None if lifespan is None else lifespan.state
