"""The application: configuration, registration, contexts, and what a server calls.

What a request goes through stands in `dispatch`, which rule it has in `linking`, Flask's override points in
`overrides`.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from typing import Any, Literal, ParamSpec, TypeVar, cast

from .asgi import serve_asgi
from .bridge import (
    Workers,
    async_to_sync,
    call,
    drive,
    loop_is_running,
    run_nested,
    starts_on_loop,
    sync_to_async,
)
from .ctx import AppContext, _cv_app
from .dispatch import teardown
from .json.provider import JSONProvider
from .lifecycle import Lifecycle
from .linking import build_url, match
from .plans import find_error_handler
from .response import Response
from .scaffold import Scaffold, WatchedList, _endpoint_from_view_func, setupmethod
from .server import run as run_server
from .sessions import SessionMixin
from .settings import Settings, root_path_of
from .signals import appcontext_pushed
from .testing import AsyncClient, Client, EnvironBuilder
from .typing import Receive, Send
from .wsgi import serve_wsgi

__all__ = ["DuoFlask", "Flask"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_UNSET: Any = object()


class DuoFlask(Settings):
    """A web application, served as WSGI and as ASGI.

    Args:
        import_name: The name of the module that the app is made in, usually `__name__`.
        static_url_path: Where the static files are served; by default the static folder's name.
        static_folder: The folder of the static files.
        static_host: Their host, with host matching.
        host_matching: Match whole hosts.
        subdomain_matching: Match subdomains of SERVER_NAME.
        template_folder: The folder of the templates.
        instance_path: The folder of the instance's own files.
        instance_relative_config: Read relative configuration files from there.
        root_path: The folder of the app; by default that of its module.
    """

    def __init__(
        self,
        import_name: str,
        static_url_path: str | None = None,
        static_folder: str | os.PathLike[str] | None = "static",
        static_host: str | None = None,
        host_matching: bool = False,
        subdomain_matching: bool = False,
        template_folder: str | os.PathLike[str] | None = "templates",
        instance_path: str | None = None,
        instance_relative_config: bool = False,
        root_path: str | None = None,
    ) -> None:
        self._keep_nothing()
        self._got_first_request = False
        Scaffold.__init__(self, import_name)
        self.root_path = root_path_of(import_name) if root_path is None else root_path
        self.static_url_path = static_url_path
        self.static_folder = None if static_folder is None else os.fspath(static_folder)
        self.template_folder = template_folder
        self.instance_path = instance_path
        self.config = self.make_config(instance_relative_config)
        self.aborter = self.make_aborter()
        self.json: JSONProvider = self.json_provider_class(self)
        changed = self._registry_changed
        self.before_first_request_funcs: list[Any] = WatchedList(self._first_request_changed)
        self.before_serving_funcs: list[Any] = WatchedList(self._first_request_changed)
        self.after_serving_funcs: list[Any] = []
        self.teardown_appcontext_funcs: list[Any] = WatchedList(changed)
        self.url_build_error_handlers: list[Callable[[Exception, str, dict[str, Any]], str]] = []
        self.extensions: dict[str, Any] = {}
        self.blueprints: dict[str, Any] = {}
        self.url_map = self.url_map_class(host_matching=host_matching)
        self.subdomain_matching = subdomain_matching
        self._workers = Workers(self.config["WORKER_THREADS"])
        self.config._on_change = self._config_changed
        self._lifecycle = Lifecycle(self)

    # -- what a server calls

    def __call__(self, source: Any, second: Any = _UNSET, third: Any = _UNSET, /) -> Any:
        """Answer a server: `(environ, start_response)`, awaited `(scope, receive, send)`, or ASGI 2's `(scope)`."""
        if third is not _UNSET:
            return self.asgi_app(source, second, third)
        if second is not _UNSET:
            return self.wsgi_app(source, second)
        if not isinstance(source, dict) or "type" not in source:
            raise TypeError("app() takes (environ, start_response), (scope, receive, send) or (scope)")

        def asgi2_instance(receive: Receive, send: Send) -> Awaitable[None]:
            return self.asgi_app(source, receive, send)

        return asgi2_instance

    # PERF: the gateways themselves are the methods, which saves each request a call.
    wsgi_app = serve_wsgi
    asgi_app = serve_asgi

    def run(
        self,
        host: str | None = None,
        port: int | None = None,
        debug: bool | None = None,
        load_dotenv: bool = True,
        **options: Any,
    ) -> None:
        """Serve the app with the built-in server until it is told to stop (SIGINT, SIGTERM).

        Args:
            host: The address to listen on; by default that of SERVER_NAME, else 127.0.0.1.
            port: By default that of SERVER_NAME, else 5000.
            debug: Sets `app.debug` first.
            load_dotenv: Accepted for Flask's sake; `duoflask run` reads `.env` files.
            options: Those of `duoflask.server.run`.
        """
        if os.environ.get("DUOFLASK_RUN_FROM_CLI") == "true":
            return  # the command line imported the module to serve the app itself
        if debug is not None:
            self.debug = bool(debug)
        name, _, number = (self.config["SERVER_NAME"] or "").partition(":")
        for flask_only in ("threaded", "processes", "use_reloader", "use_debugger", "use_evalex", "passthrough_errors"):
            options.pop(flask_only, None)
        try:
            run_server(self, host or name or "127.0.0.1", int(number or 5000) if port is None else port, **options)
        finally:
            self._got_first_request = False

    # -- registration

    def _check_setup_finished(self, name: str) -> None:
        if self._got_first_request:
            raise AssertionError(
                f"the setup method {name!r} was called on {self.name!r} after its first request, so that it would "
                "apply to later "
                "requests only. Do all imports, decorators and set-up calls before the app is served, in the module "
                "or in the "
                "factory that makes it."
            )

    @setupmethod
    def add_url_rule(
        self,
        rule: str,
        endpoint: str | None = None,
        view_func: Callable[..., Any] | None = None,
        provide_automatic_options: bool | None = None,
        **options: Any,
    ) -> None:
        """Register a URL rule; see `route`.

        Raises:
            AssertionError: Another function is registered for this endpoint.
            TypeError: `methods` is a str.
            ValueError, LookupError: A misspelt rule.
        """
        if endpoint is None:
            endpoint = _endpoint_from_view_func(cast("Callable[..., Any]", view_func))
        own = {name: options.pop(name) for name in tuple(options) if name in self._ROUTE_OPTIONS}
        methods = options.pop("methods", None)
        if methods is None:
            methods = getattr(view_func, "methods", None) or ("GET",)
        if isinstance(methods, str):
            raise TypeError(f"invalid methods; expected a list of str; got {methods!r}. Write methods=[{methods!r}].")
        names = {method.upper() for method in methods}
        names.update(getattr(view_func, "required_methods", ()))
        if provide_automatic_options is None:
            provide_automatic_options = getattr(view_func, "provide_automatic_options", None)
        if provide_automatic_options is None:
            provide_automatic_options = "OPTIONS" not in names and self.config["PROVIDE_AUTOMATIC_OPTIONS"]
            if provide_automatic_options:
                names.add("OPTIONS")
        known = self.view_functions.get(endpoint)
        if view_func is not None and known is not None and known != view_func:
            raise AssertionError(
                f"View function mapping is overwriting an existing endpoint function: {endpoint} ({known!r} is "
                "registered, "
                f"{view_func!r} would replace it). Give one of them another name, or pass endpoint='...'."
            )
        url_rule = self.url_rule_class(rule, methods=names, endpoint=endpoint, **options)
        url_rule.provide_automatic_options = provide_automatic_options
        url_rule.stream_body = bool(own.get("stream_body", False))
        url_rule.max_content_length = own.get("max_content_length")
        self.url_map.add(url_rule)
        if view_func is not None:
            if own.get("inline"):
                self._inline.add(view_func)
            self.view_functions[endpoint] = view_func

    @setupmethod
    def before_first_request(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that runs once, before the first request of the process."""
        return self._register(self.before_first_request_funcs, f, inline)

    @setupmethod
    def before_serving(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a start-up function: it runs once for each loop that serves, before its first request."""
        return self._register(self.before_serving_funcs, f, inline)

    @setupmethod
    def after_serving(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a shutdown function: it runs once for each loop that served."""
        self._lifecycle.stop_on_sigterm()
        return self._register(self.after_serving_funcs, f, inline)

    @setupmethod
    def teardown_appcontext(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that runs once at the end of each context, with the exception or None."""
        return self._register(self.teardown_appcontext_funcs, f, inline)

    # -- contexts

    def app_context(self) -> AppContext:
        """Make a context of the app outside a request, for `with` and `async with`."""
        return AppContext(self)

    def request_context(self, environ: dict[str, Any]) -> AppContext:
        """Make the context of a request, for `with` and `async with`.

        Args:
            environ: A WSGI environ or an ASGI http scope.
        """
        return AppContext.from_environ(self, environ)

    def test_request_context(self, *args: Any, **kwargs: Any) -> AppContext:
        """Make the context of a made-up request; arguments as for `EnvironBuilder`, as in `("/", method="POST")`."""
        builder = EnvironBuilder(self, *args, **kwargs)
        try:
            return self.request_context(builder.get_environ())
        finally:
            builder.close()

    def _match(self, ctx: AppContext, method: str | None = None, path: str | None = None) -> None:
        """Give a request's context its rule and plan."""
        match(self, ctx, ctx.request.method if method is None else method, path if method else ctx.request.path)

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
        if any(on_loop for _, on_loop in (*ctx.plan.teardown_request, *ctx.plan.teardown_app)) and loop_is_running():
            ctx._torn_down = True
            raise RuntimeError(
                "this context has 'async def' teardown functions, which 'with' cannot await on a running event loop; "
                "write 'async with' instead"
            )
        run_nested(ctx, teardown(ctx, error), self._workers)

    async def _teardown_async(self, ctx: AppContext, error: BaseException | None) -> None:
        """Tear a context down for an `async with` block."""
        ctx._torn_down = False
        await self._drive(ctx, teardown(ctx, error))

    def _drive(self, ctx: AppContext, coroutine: Coroutine[Any, Any, _T]) -> Awaitable[_T]:
        """Drive a coroutine of steps on the running loop."""
        if "context" not in ctx.__dict__:
            ctx.context = copy_context()
        return drive(ctx, coroutine, self._workers.leg)

    async def _prepare(self, ctx: AppContext) -> None:
        await self._lifecycle.prepare(ctx)

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

    def _find_error_handler(self, e: Exception, blueprints: list[str]) -> Callable[[Any], Any] | None:
        return find_error_handler(self, e, blueprints)

    # -- sessions

    def _open_session(self, ctx: AppContext) -> SessionMixin:
        """Open the session at the first look, by a `def` or `async def` interface."""
        opened: Any = self.ensure_sync(self.session_interface.open_session)(self, ctx.request)
        return self.session_interface.make_null_session(self) if opened is None else opened  # type: ignore[no-any-return]

    async def _save_session(self, ctx: AppContext, response: Response) -> None:
        interface, session = self.session_interface, ctx._session
        if session is not None and not interface.is_null_session(session):
            save = interface.save_session
            await call(ctx, save, starts_on_loop(save), self, session, response)

    def url_for(
        self,
        /,
        endpoint: str,
        *,
        _anchor: str | None = None,
        _method: str | None = None,
        _scheme: str | None = None,
        _external: bool | None = None,
        **values: Any,
    ) -> str:
        """Build the URL of an endpoint.

        Args:
            endpoint: Its name; a leading dot stands for the current blueprint.
            _anchor: Added as `#anchor`.
            _method: The rule that has this method.
            _scheme: Instead of the request's; the URL is absolute then.
            _external: Whether the URL is absolute; by default only outside a request.
            values: The values of the rule's variables; others become the query.

        Raises:
            BuildError: No rule of the endpoint takes these values.
            RuntimeError: Outside a request without SERVER_NAME.
        """
        return build_url(self, endpoint, values, _anchor, _method, _scheme, _external)

    # -- tests

    def test_client(
        self, use_cookies: bool = True, *, protocol: Literal["wsgi", "asgi"] = "wsgi", **kwargs: Any
    ) -> Client:
        """Make a client that calls the app without a server.

        Args:
            use_cookies: Keep cookies between requests.
            protocol: `"wsgi"` or `"asgi"`.
            kwargs: For the client's class.
        """
        kind = self.test_client_class or Client
        return kind(self, use_cookies=use_cookies, protocol=protocol, **kwargs)

    def async_test_client(self, use_cookies: bool = True, **kwargs: Any) -> AsyncClient:
        """Make a client for `async with` that calls the app, as ASGI, on the running loop (asyncio or trio)."""
        return AsyncClient(self, use_cookies=use_cookies, **kwargs)


def _request_context() -> Any:
    """The Context of the active request; None outside one."""
    ctx = _cv_app.get(None)
    return None if ctx is None else getattr(ctx, "context", None)


# Servers ask whether calling the app makes a coroutine. `__call__` itself is none: it answers WSGI too.
if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(DuoFlask.__call__)
else:
    DuoFlask.__call__._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]

Flask = DuoFlask
