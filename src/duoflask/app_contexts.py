"""An app's contexts: how they are made, pushed and torn down, and what runs inside them from outside a request.

Owns `app_context` and its kin, the crossings `ensure_sync`, `async_to_sync` and `sync_to_async`, the opening and saving
of sessions, and the test clients. Knows no registration.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast

from .bridge import async_to_sync, drive, loop_is_running, run_nested, starts_on_loop, sync_to_async
from .ctx import AppContext, _cv_app
from .dispatch import teardown
from .lazy import LazyModule
from .lifecycle import Lifecycle
from .linking import match, match_websocket
from .request import Request
from .session_steps import load_session, loads_early, open_now, save_session
from .sessions import SessionMixin
from .settings import Settings
from .signals import appcontext_pushed
from .typing import App
from .websocket_context import WebsocketContext

if TYPE_CHECKING:
    from . import testing, websocket_dispatch
else:  # a server needs none of the one, and an app without WebSockets none of the other
    testing = LazyModule(f"{__package__}.testing")
    websocket_dispatch = LazyModule(f"{__package__}.websocket_dispatch")

__all__ = ["AppContexts"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class AppContexts(Settings):
    """What an app does with contexts."""

    _lifecycle: Lifecycle

    # -- contexts

    def app_context(self) -> AppContext:
        """Make a context of the app outside a request, for `with` and `async with`."""
        return AppContext(cast("App", self))

    def request_context(self, environ: dict[str, Any]) -> AppContext:
        """Make the context of a request, for `with` and `async with`.

        Args:
            environ: A WSGI environ or an ASGI http scope.
        """
        return AppContext.from_environ(cast("App", self), environ)

    def test_request_context(self, *args: Any, **kwargs: Any) -> AppContext:
        """Make the context of a made-up request; arguments as for `EnvironBuilder`, as in `("/", method="POST")`."""
        builder = testing.EnvironBuilder(self, *args, **kwargs)
        try:
            return self.request_context(builder.get_environ())
        finally:
            builder.close()

    def websocket_context(self, source: Any) -> WebsocketContext:
        """Make the context of a WebSocket, for `with` and `async with`.

        Args:
            source: An ASGI websocket scope, a WSGI environ, or a `Websocket`.
        """
        if not isinstance(source, dict):
            source = source.environ if source.scope is None else source.scope
        return WebsocketContext(cast("App", self), source)

    def test_websocket_context(
        self, path: str = "/", *, subprotocols: Iterable[str] = (), **kwargs: Any
    ) -> WebsocketContext:
        """Make the context of a made-up WebSocket; it has no connection.

        Args:
            path: The path, with a query perhaps.
            subprotocols: What the client offers.
            kwargs: As for `EnvironBuilder`: `headers`, `query_string`, `base_url`, ...
        """
        builder = testing.EnvironBuilder(self, path, **kwargs)
        try:
            environ = builder.get_environ()
        finally:
            builder.close()
        secure = environ["wsgi.url_scheme"] in ("https", "wss")
        environ.update(HTTP_CONNECTION="Upgrade", HTTP_UPGRADE="websocket", HTTP_SEC_WEBSOCKET_VERSION="13")
        environ["wsgi.url_scheme"] = "wss" if secure else "ws"
        if subprotocols:
            environ["HTTP_SEC_WEBSOCKET_PROTOCOL"] = ", ".join(subprotocols)
        return self.websocket_context(environ)

    def _match(self, ctx: AppContext, method: str | None = None, path: str | None = None) -> None:
        """Give a request's context its rule and plan."""
        if isinstance(ctx, WebsocketContext):
            match_websocket(cast("App", self), ctx, ctx.request.path if path is None else path)
            return
        match(
            cast("App", self),
            ctx,
            ctx.request.method if method is None else method,
            path if method else ctx.request.path,
        )

    def _context_pushed(self, ctx: AppContext) -> None:
        """Told by a context that `with` or `push()` has made active."""
        if ctx.plan is None:
            if ctx.has_request:
                self._match(ctx)
            else:
                ctx.plan = self._plan(None)
        if appcontext_pushed.receivers:
            appcontext_pushed.send(self, _async_wrapper=self.ensure_sync)

    def _teardown_now(self, ctx: AppContext, error: BaseException | None) -> None:
        """Tear a context down for a `with` block or `pop()`.

        Raises:
            RuntimeError: On a running loop, where an `async def` teardown function cannot be awaited by `with`.
        """
        ctx._torn_down = False
        steps = (*ctx.plan.teardown_request, *ctx.plan.teardown_app, *getattr(ctx.plan, "teardown_websocket", ()))
        if any(on_loop for _, on_loop in steps) and loop_is_running():
            ctx._torn_down = True
            raise RuntimeError(
                "this context has 'async def' teardown functions, which 'with' cannot await on a running event loop; "
                "write 'async with' instead"
            )
        run_nested(ctx, _teardown(ctx, error), self._workers)

    async def _teardown_async(self, ctx: AppContext, error: BaseException | None) -> None:
        """Tear a context down for an `async with` block."""
        ctx._torn_down = False
        await self._drive(ctx, _teardown(ctx, error))

    def _drive(self, ctx: AppContext, coroutine: Coroutine[Any, Any, _T]) -> Awaitable[_T]:
        """Drive a coroutine of steps on the running loop."""
        if "context" not in ctx.__dict__:
            ctx.context = copy_context()
        return drive(ctx, coroutine, self._workers.leg)

    async def _prepare(self, ctx: AppContext) -> None:
        await self._lifecycle.prepare(ctx)
        if loads_early(self):
            await load_session(ctx)

    # -- the two colours

    def ensure_sync(self, func: Callable[_P, Any]) -> Callable[_P, Any]:
        """Return a function that a `def` caller can use.

        The function itself, or an `async def` one through `async_to_sync`.
        """
        return self.async_to_sync(func) if starts_on_loop(func) else func

    def async_to_sync(self, func: Callable[_P, Awaitable[_T]]) -> Callable[_P, _T]:
        """Return a `def` function that runs an `async def` one on the server's loop (ASGI) or on the portal (WSGI).

        Raises:
            RuntimeError: The returned function was called on a running event loop.
        """
        return async_to_sync(func)

    def sync_to_async(self, func: Callable[_P, _T]) -> Callable[_P, Coroutine[Any, Any, _T]]:
        """Return an `async def` function that runs a blocking `def` one in a thread, in the caller's context."""
        return sync_to_async(func, self._workers, _request_context)

    def ensure_async(self, func: Callable[_P, Any]) -> Callable[_P, Awaitable[Any]]:
        """Return a function that an `async def` caller can await.

        The function itself, or a `def` one through `sync_to_async`.
        """
        return func if starts_on_loop(func) else self.sync_to_async(func)

    # -- sessions

    def _open_session(self, ctx: AppContext) -> SessionMixin:
        """Open the session at the first look."""
        return open_now(ctx)  # type: ignore[no-any-return]

    async def _load_session(self, ctx: AppContext) -> None:
        """Open the session of a context that `async with` has made active, if it has to be waited for."""
        if ctx.has_request and loads_early(self):
            await self._drive(ctx, load_session(ctx))

    _save_session = save_session

    # -- tests

    def test_client(
        self, use_cookies: bool = True, *, protocol: Literal["wsgi", "asgi"] = "wsgi", **kwargs: Any
    ) -> testing.Client:
        """Make a client that calls the app without a server.

        Args:
            use_cookies: Keep cookies between requests.
            protocol: `"wsgi"` or `"asgi"`.
            kwargs: For the client's class.
        """
        kind = self.test_client_class or testing.Client
        if protocol != "wsgi":
            kwargs["protocol"] = protocol  # a class that was written for Flask takes none
        return kind(self, self.response_class, use_cookies=use_cookies, **kwargs)

    def async_test_client(self, use_cookies: bool = True, **kwargs: Any) -> testing.AsyncClient:
        """Make a client for `async with` that calls the app, as ASGI, on the running loop (asyncio or trio)."""
        return testing.AsyncClient(self, self.response_class, use_cookies=use_cookies, **kwargs)

    def test_cli_runner(self, **kwargs: Any) -> testing.FlaskCliRunner:
        """Make a runner that invokes the app's commands in this process.

        Args:
            kwargs: For its class, `test_cli_runner_class`.
        """
        return (self.test_cli_runner_class or testing.FlaskCliRunner)(self, **kwargs)


def _teardown(ctx: AppContext, error: BaseException | None) -> Coroutine[Any, Any, None]:
    if isinstance(ctx, WebsocketContext):
        return websocket_dispatch.teardown_websocket(ctx, error)
    return teardown(ctx, error)


def _request_context() -> Any:
    """The Context of the active request; None outside one."""
    ctx = _cv_app.get(None)
    return None if ctx is None else getattr(ctx, "context", None)


def _made_up_environ(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """The environ of a made-up request; arguments as for `PlainEnvironBuilder`."""
    builder = testing.PlainEnvironBuilder(*args, **kwargs)
    try:
        return builder.get_environ()
    finally:
        builder.close()


Request._made_up_environ = staticmethod(_made_up_environ)
