"""The application: what a server calls, and what users register.

Its configuration stands in `settings`, its contexts in `app_contexts`, what a request goes through in `dispatch`, which
rule it has in `linking`, Flask's override points in `overrides`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast

from .app_tasks import AppTasks
from .asgi import serve_asgi
from .bridge import Workers, mark_as_coroutine_function
from .json.provider import JSONProvider
from .lazy import LazyModule
from .linking import build_url
from .plans import find_error_handler
from .registries import WatchedList, told_while_alive
from .scaffold import Scaffold, _endpoint_from_view_func, setupmethod
from .timeouts import check_timeout
from .typing import Receive, Send
from .wsgi import serve_wsgi

if TYPE_CHECKING:
    from . import banner, mounting, serving
else:  # most apps mount nothing; whoever serves the app with another server does not need this one
    banner = LazyModule(f"{__package__}.banner")
    mounting = LazyModule(f"{__package__}.mounting")
    serving = LazyModule(f"{__package__}.serving")

__all__ = ["DuoFlask", "Flask"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_UNSET: Any = object()


class DuoFlask(AppTasks):
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
        Scaffold.__init__(self, import_name, static_folder, static_url_path, template_folder, root_path)
        self.instance_path = self._checked_instance_path(instance_path)
        self.config = self.make_config(instance_relative_config)
        self.aborter = self.make_aborter()
        self.json: JSONProvider = self.json_provider_class(self)
        self._start_nothing()
        self.teardown_appcontext_funcs: list[Any] = WatchedList(told_while_alive(self._registry_changed))
        self.url_build_error_handlers: list[Callable[[Exception, str, dict[str, Any]], str]] = []
        self.extensions: dict[str, Any] = {}
        self._register_nothing()
        self.url_map = self.url_map_class(host_matching=host_matching)
        self.subdomain_matching = subdomain_matching
        self._workers = Workers(self.config["WORKER_THREADS"])
        self.config._on_change = told_while_alive(self._config_changed)
        self._add_static_route(static_host)
        # Servers ask whether calling the app makes a coroutine. `__call__` itself is none: it answers WSGI too.
        mark_as_coroutine_function(DuoFlask.__call__)

    # -- what a server calls

    def __call__(self, source: Any, second: Any = _UNSET, third: Any = _UNSET, /) -> Any:
        """Answer a server: `(environ, start_response)`, awaited `(scope, receive, send)`, or ASGI 2's `(scope)`."""
        if third is not _UNSET:
            return self.asgi_app(source, second, third)
        if second is not _UNSET:
            return self.wsgi_app(source, second)
        if not isinstance(source, dict) or "type" not in source:
            raise TypeError("app() takes (environ, start_response), (scope, receive, send) or (scope)")
        mark_as_coroutine_function(DuoFlask.__call__)  # this server has not seen it; the next one shall

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
            options: Those of `duoflask.serving.run_simple`; in debug mode the reloader and the error page are on.
        """
        if os.environ.get("FLASK_RUN_FROM_CLI") == "true":
            return  # the command line imported the module to serve the app itself
        if debug is not None:
            self.debug = bool(debug)
        options.setdefault("use_reloader", self.debug)
        options.setdefault("use_debugger", self.debug)
        banner.show_server_banner(self.debug, self.name)
        name, _, number = (self.config["SERVER_NAME"] or "").partition(":")
        try:
            serving.run_simple(
                host or name or "127.0.0.1", int(number or 5000) if port is None else port, self, **options
            )
        finally:
            self._got_first_request = False

    def run_task(
        self,
        host: str = "127.0.0.1",
        port: int = 5000,
        debug: bool | None = None,
        ca_certs: str | None = None,
        certfile: str | None = None,
        keyfile: str | None = None,
        shutdown_trigger: Callable[[], Awaitable[object]] | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Serve the app with the built-in server on the running loop; Quart's name for `duoflask.server.serve`.

        Args:
            host: The address to listen on.
            port: 0 takes a free port.
            debug: Sets `app.debug` first; there is no reloader.
            ca_certs: A file of certificates; each client must show one that they have signed.
            certfile: For HTTPS: the file of the certificate.
            keyfile: The file of its key.
            shutdown_trigger: The server stops when this returns; without it, on SIGINT and SIGTERM.

        Raises:
            OSError: A file that cannot be read; when awaited, an address that cannot be had.
            TypeError: `keyfile` or `ca_certs` without `certfile`.
        """
        if debug is not None:
            self.debug = bool(debug)
        return serving.serve_task(self, host, port, ca_certs, certfile, keyfile, shutdown_trigger)

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
        url_rule.session = bool(own.get("session", True))
        url_rule.timeout = check_timeout(own.get("timeout", url_rule.timeout))
        url_rule.own_websocket = bool(own.get("own_websocket"))
        self.url_map.add(url_rule)
        if view_func is not None:
            if own.get("inline"):
                self._inline.add(view_func)
            self.view_functions[endpoint] = view_func

    @setupmethod
    def mount(self, prefix: str, app: Any, *, protocol: Literal["wsgi", "asgi", "both"] | None = None) -> None:
        """Hand all requests below a prefix to another application, of any framework and of either protocol.

        It sees the prefix as SCRIPT_NAME or `root_path`. None of this app's hooks runs for it; the lifespan of an ASGI
        application runs with this app's start-up and shutdown functions. Of several prefixes the longest one wins.

        Args:
            prefix: Such as `/legacy`.
            app: A WSGI or ASGI application, or another duoflask app.
            protocol: `"wsgi"` or `"asgi"` where it cannot be told from the application; `"both"` for a callable that
                answers both protocols.

        Raises:
            TypeError: The application's protocol cannot be told.
            ValueError: A prefix that is no path, is the root or is taken.
        """
        if self._mounts is None:
            self._mounts = mounting.Mounts(self)
        self._mounts.add(prefix, app, protocol)

    @setupmethod
    def teardown_appcontext(self, f: Any = None, *, inline: bool = False) -> Any:
        """Register a function that runs once at the end of each context, with the exception or None."""
        return self._register(self.teardown_appcontext_funcs, f, inline)

    def _find_error_handler(self, e: Exception, blueprints: list[str]) -> Callable[[Any], Any] | None:
        return find_error_handler(self, e, blueprints)

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


Flask = DuoFlask
