"""The map bound to a host: matching a path, redirecting, building a URL.

Owns what a match means in HTTP (404, 405, 308). Must not know applications or request objects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, overload

from ..http.errors import HTTPException, MethodNotAllowed, NotFound
from .binding import INVALID_SUBDOMAIN, UNMATCHED_DOMAIN
from .builder import URLBuilder
from .errors import RedirectRequired, RequestRedirect
from .rules import Rule

__all__ = ["MapAdapter"]


class MapAdapter(URLBuilder):
    """A `Map` bound to a host and a request's path, method and query (`Map.bind`)."""

    def __init__(
        self,
        map: Any,
        server_name: str,
        script_name: str,
        subdomain: str | None,
        url_scheme: str,
        path_info: str,
        default_method: str,
        query_args: Mapping[str, Any] | str | None = None,
    ) -> None:
        super().__init__(map, server_name, script_name, subdomain, url_scheme, default_method, query_args)
        self.path_info = path_info
        self.websocket = url_scheme in ("ws", "wss")

    def dispatch(
        self,
        view_func: Callable[[Any, Mapping[str, Any]], Any],
        path_info: str | None = None,
        method: str | None = None,
        catch_http_exceptions: bool = False,
    ) -> Any:
        """Return what `view_func(endpoint, arguments)` does, or the redirect.

        With `catch_http_exceptions`, an HTTP error is returned as well, not raised.
        """
        try:
            try:
                endpoint, arguments = self.match(path_info, method)
            except RequestRedirect as exc:
                return exc
            return view_func(endpoint, arguments)
        except HTTPException as exc:
            if catch_http_exceptions:
                return exc
            raise

    @overload
    def match(
        self,
        path_info: str | None = None,
        method: str | None = None,
        return_rule: Literal[False] = False,
        query_args: Mapping[str, Any] | str | None = None,
        websocket: bool | None = None,
    ) -> tuple[Any, dict[str, Any]]: ...

    @overload
    def match(
        self,
        path_info: str | None = None,
        method: str | None = None,
        return_rule: Literal[True] = True,
        query_args: Mapping[str, Any] | str | None = None,
        websocket: bool | None = None,
    ) -> tuple[Rule, dict[str, Any]]: ...

    def match(
        self,
        path_info: str | None = None,
        method: str | None = None,
        return_rule: bool = False,
        query_args: Mapping[str, Any] | str | None = None,
        websocket: bool | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Return the endpoint, or the rule, and the arguments for a path; what is not given is as bound.

        Raises:
            NotFound, MethodNotAllowed, WebsocketMismatch: as `Map.find`.
            RequestRedirect: the request should go to `new_url`.
        """
        path = self.path_info if path_info is None else path_info
        if path and (path[0] != "/" or path[1:2] == "/"):
            path = "/" + path.lstrip("/")
        if not method:
            method = self.default_method
        if not method.isupper():
            method = method.upper()
        map_, domain = self.map, self.subdomain
        if domain is None or map_.host_matching:
            domain = self.server_name
        elif domain is INVALID_SUBDOMAIN:
            domain = UNMATCHED_DOMAIN
        try:
            found = map_.find(path, method, domain, self.websocket if websocket is None else websocket)
        except RedirectRequired as exc:
            raise self.redirect_for(exc, method, query_args) from None
        if found is None:
            raise NotFound()
        return found if return_rule else (found[0].endpoint, found[1])

    def test(self, path_info: str | None = None, method: str | None = None) -> bool:
        """Say whether a rule matches, redirects included."""
        try:
            self.match(path_info, method)
        except RequestRedirect:
            return True
        except HTTPException:
            return False
        return True

    def allowed_methods(self, path_info: str | None = None) -> Iterable[str]:
        """Return the methods of the rules for a path; nothing if they take all, or there is no rule."""
        try:
            self.match(path_info, method="--")
        except MethodNotAllowed as exc:
            return exc.valid_methods or []
        except HTTPException:
            pass
        return []
