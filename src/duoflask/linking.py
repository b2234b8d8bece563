"""URLs of an app: which rule a request has, and the URL of an endpoint.

Owns what of the app's configuration matching and building depend on. Rules and maps stand in `routing`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from .ctx import AppContext, _cv_app
from .exceptions import BadRequest, HTTPException, NotFound
from .http.environ import asks_for_websocket
from .plans import blueprint_chain
from .routing import BuildError, MapAdapter, RedirectRequired, WebsocketMismatch
from .typing import App
from .unmatched import plan_of_unmatched
from .websocket_context import WebsocketContext

if TYPE_CHECKING:
    from .request import Request
    from .routing import Rule

__all__ = ["build_url", "inject_defaults", "is_own_websocket", "make_adapter", "match", "match_websocket"]

_ANCHOR_SAFE: Final = "%!#$&'()*+,/:;=?@"


def match(app: App, ctx: AppContext, method: str, path: str | None) -> None:
    """Give a request's context its rule, arguments and plan, or the reason why it has none.

    Args:
        app: The application.
        ctx: The request's context.
        method: The request's method.
        path: The path below the application; None if its bytes are no UTF-8.
    """
    if app._refreshed is not app._version:
        app._refresh()
    known = app._known  # a change meanwhile replaces it
    find = app._find
    try:
        if path is None:
            raise BadRequest("invalid path; expected percent-encoded UTF-8")
        if find is None:
            rule, ctx.view_args = _adapter_of(ctx).match(return_rule=True, query_args=_query(ctx))
        else:
            if path[0] != "/" or path[1:2] == "/":
                path = "/" + path.lstrip("/")
            found = find(path, method)
            if found is None:  # PERF: 400 ns less than raising it (missing, benchmarks/)
                _note_failure(app, ctx, NotFound(), path)
                return
            rule, ctx.view_args = found
            if not rule.arguments and rule.methods:
                # PERF: from now on the dispatcher finds a static path by two look-ups (60 ns), without the router and
                # the plan (280 ns). At most two paths (with and without a final slash) for each method of a static rule
                # get here; a rule for any method stays out, because its methods are the peer's words.
                known.setdefault(method, {})[path] = (rule, app._plan(rule.endpoint))
        ctx.rule = rule
        ctx.plan = app._plans.get(rule.endpoint) or app._plan(rule.endpoint)
    except HTTPException as exc:
        if isinstance(exc, WebsocketMismatch) and _is_handshake(ctx):  # its view answers it by itself
            ctx.rule, ctx.view_args = app.url_map.find(path, "GET", "", True)  # type: ignore[misc,arg-type]
            ctx.plan = app._plan(ctx.rule.endpoint)
            return
        _note_failure(app, ctx, exc, path)
        return
    except RedirectRequired as exc:
        ctx.routing_exception = _redirect(ctx, exc, method)
        ctx.plan = app._plan(None)
    except BaseException:
        ctx.plan = app._plan(None)  # a converter of the application's failed: the error handlers need to know where
        raise
    if ctx._request is not None:
        ctx.inform(ctx._request)


def _note_failure(app: App, ctx: AppContext, failure: HTTPException, path: str | None) -> None:
    ctx.routing_exception = failure
    ctx.plan = app._plan(None)
    if app._prefixes is not None and path is not None:
        ctx.plan = plan_of_unmatched(app, app._prefixes, ctx, path)
    if ctx._request is not None:
        ctx.inform(ctx._request)


def _is_handshake(ctx: AppContext) -> bool:
    """Whether a WSGI request asks for a WebSocket (RFC 6455 4.2.1)."""
    return ctx._request is None and asks_for_websocket(ctx.source or {})


def _search_websocket(ctx: AppContext, path: str | None) -> tuple[Rule, dict[str, Any]]:
    if path is None:
        raise BadRequest("invalid path; expected percent-encoded UTF-8")
    if ctx.app._find is None:
        return _adapter_of(ctx).match(return_rule=True, query_args=_query(ctx), websocket=True)
    found = ctx.app.url_map.find("/" + path.lstrip("/"), "GET", "", True)
    if found is None:
        raise NotFound()
    return found


def match_websocket(app: App, ctx: WebsocketContext, path: str | None) -> None:
    """Give a WebSocket's context its rule, arguments and plan, or the reason why it has none.

    Args:
        app: The application.
        ctx: The context.
        path: The path below the application; None if its bytes are no UTF-8.
    """
    endpoint = None
    handled_by: tuple[str, ...] = ()
    if app._refreshed is not app._version:
        app._refresh()
    try:
        ctx.rule, ctx.view_args = _search_websocket(ctx, path)
        endpoint = ctx.rule.endpoint
    except HTTPException as exc:
        ctx.routing_exception = exc
        if app._prefixes is not None and path is not None:
            handled_by = plan_of_unmatched(app, app._prefixes, ctx, path).blueprints
    except RedirectRequired as exc:
        ctx.routing_exception = _redirect(ctx, exc, "GET")
    finally:
        ctx.plan = app._websocket_plan(endpoint, handled_by)
    if ctx._request is not None:
        ctx.inform(ctx._request)
    ctx.inform_websocket()
    _ = ctx.websocket  # the proxy counts on it


def is_own_websocket(app: App, source: dict[str, Any], path: str | None) -> bool:
    """Whether a handshake is answered here, not by a view that handles the connection itself (Flask's extensions)."""
    if app._refreshed is not app._version:
        app._refresh()
    try:
        return bool(_search_websocket(WebsocketContext(app, source), path)[0].own_websocket)
    except (HTTPException, RedirectRequired):
        return True


def _adapter_of(ctx: AppContext) -> MapAdapter:
    adapter = ctx.url_adapter
    if adapter is None:  # the host is untrusted or impossible
        raise ctx.routing_exception or BadRequest()
    return adapter


def _query(ctx: AppContext) -> str:
    raw = ctx.request.query_string
    return raw.decode() if raw.isascii() else "".join([chr(byte) if byte < 128 else f"%{byte:02X}" for byte in raw])


def _redirect(ctx: AppContext, reason: RedirectRequired, method: str) -> HTTPException:
    try:
        return _adapter_of(ctx).redirect_for(reason, method, _query(ctx))
    except HTTPException as exc:
        return exc


def make_adapter(app: App, request: Request | None) -> MapAdapter | None:
    """Make what matches and builds URLs: for a request, or for SERVER_NAME outside one; None without either.

    Raises:
        SecurityError: The request's Host is not one of TRUSTED_HOSTS, or cannot be one.
    """
    config = app.config
    server_name = config["SERVER_NAME"]
    if request is not None:
        trusted = config["TRUSTED_HOSTS"]
        if trusted is not None:
            request.trusted_hosts = trusted
        _ = request.host  # raises for an untrusted one
        subdomain = None
        if app.url_map.host_matching:
            server_name = None  # the request's own host is what is matched
        elif not app.subdomain_matching:
            subdomain = app.url_map.default_subdomain or ""
        return app.url_map.bind_to_environ(request, server_name=server_name, subdomain=subdomain)
    if server_name is None:
        return None
    return app.url_map.bind(
        server_name, script_name=config["APPLICATION_ROOT"], url_scheme=config["PREFERRED_URL_SCHEME"]
    )


def _hostless_adapter(app: App, ctx: AppContext, external: bool) -> MapAdapter:
    """Make what builds URLs for a request whose Host is untrusted or impossible: a path needs none.

    Without it, a Host would be enough to make an error page with a link in it fail.

    Raises:
        SecurityError: A view asks for an absolute URL.
    """
    request = ctx.request
    if external and ctx.rule is not None and ctx.routing_exception is not None:
        raise ctx.routing_exception
    server_name = app.config["SERVER_NAME"] or (request.server or ("localhost",))[0]
    script_name = request.root_path or None
    return app.url_map.bind(server_name, script_name=script_name, url_scheme=request.scheme)


def inject_defaults(app: App, endpoint: str, values: dict[str, Any]) -> None:
    """Let the `url_defaults` functions of an endpoint's blueprints and the app add to the values of a URL."""
    registered = app.url_default_functions
    if not registered:
        return
    names: tuple[str | None, ...] = (None, *reversed(blueprint_chain(endpoint)))
    for name in names:
        for function in registered.get(name, ()):
            function(endpoint, values)


def build_url(
    app: App,
    endpoint: str,
    values: dict[str, Any],
    anchor: str | None,
    method: str | None,
    scheme: str | None,
    external: bool | None,
) -> str:
    """Build the URL of an endpoint; see `DuoFlask.url_for`."""
    ctx = _cv_app.get(None)
    if ctx is not None and ctx.source is not None and ctx.app is app:
        adapter = ctx.url_adapter
        if endpoint[:1] == ".":
            blueprint = ctx.request.blueprint
            endpoint = f"{blueprint}{endpoint}" if blueprint else endpoint[1:]
        if external is None:
            external = scheme is not None
        if adapter is None and isinstance(ctx.routing_exception, HTTPException):
            adapter = _hostless_adapter(app, ctx, external)
    else:
        adapter = ctx.url_adapter if ctx is not None and ctx.app is app else app.create_url_adapter(None)
        if external is None:
            external = True
    if adapter is None:
        raise RuntimeError(
            "cannot build a URL outside a request without a server name; set SERVER_NAME (and APPLICATION_ROOT and "
            "PREFERRED_URL_SCHEME if they differ), or write 'with app.test_request_context():' around this code"
        )
    if scheme is not None and not external:
        raise ValueError("_scheme needs an absolute URL; expected _external=True or none; got _external=False")
    app.inject_url_defaults(endpoint, values)
    try:
        url = adapter.build(endpoint, values, method=method, url_scheme=scheme, force_external=external)
    except BuildError as error:
        values.update(_anchor=anchor, _method=method, _scheme=scheme, _external=external)
        return app.handle_url_build_error(error, endpoint, values)
    if anchor is not None:
        url = f"{url}#{quote(anchor, safe=_ANCHOR_SAFE)}"
    return url
