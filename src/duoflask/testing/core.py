"""What the sync and the async test client have in common: everything but the sending.

Owns the requests' defaults, cookies and redirects. A whole conversation (a request and the redirects that
follow from it) is one generator: it yields what is to be sent and is sent the answer, so that each client
only does the I/O.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Generator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

from ..ctx import _cv_app
from ..request import Request
from ..signals import appcontext_pushed
from ..typing import WSGIEnvironment
from ..versions import WERKZEUG_VERSION
from .answer import Answer
from .cookie_jar import Cookie, CookieJar
from .environ import EnvironBuilder, PlainEnvironBuilder
from .response import TestResponse, wrapper_for
from .targets import http_url, position, redirected, url_of

__all__ = ["ClientCore", "ClientRedirectError", "Sent"]

_R = TypeVar("_R")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WEBSOCKET_KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3


class ClientRedirectError(Exception):
    """Redirects lead back to where they have been."""


class Sent(NamedTuple):
    """A request that is to be sent."""

    environ: WSGIEnvironment
    fields: list[tuple[str, str]]
    """The header fields before the environ joined repeated ones."""
    buffered: bool
    """Whether the whole body is wanted before the answer."""


class ClientCore(Generic[_R]):
    """A client without I/O; `_R` is what a request gives: a response, or something to await.

    Args:
        application: The app.
        response_wrapper: The class of responses; a subclass of it and of `TestResponse` is made.
        use_cookies: Whether cookies are kept between requests.
        allow_subdomain_redirects: Whether redirects are followed to subdomains of where they come from.
        raise_server_exceptions: Whether an exception that leaves the app leaves the client; else it is a 500.
    """

    def __init__(
        self,
        application: Any,
        response_wrapper: type | None = None,
        use_cookies: bool = True,
        allow_subdomain_redirects: bool = False,
        *,
        raise_server_exceptions: bool = True,
    ) -> None:
        self.application = application
        self.response_wrapper = wrapper_for(response_wrapper)
        self.allow_subdomain_redirects = allow_subdomain_redirects
        self.raise_server_exceptions = raise_server_exceptions
        self.environ_base: dict[str, Any] = {
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_USER_AGENT": f"Werkzeug/{WERKZEUG_VERSION}",
        }
        self.preserve_context = False
        self._served: list[Any] = []  # the contexts of the requests since the last answer
        self._kept: Any = None
        self._jar = CookieJar() if use_cookies else None

    # -- requests

    def open(self, *args: Any, buffered: bool = False, follow_redirects: bool = False, **kwargs: Any) -> _R:
        """Send a request.

        Args:
            *args: As for `EnvironBuilder` without its app; or one builder, environ or request.
            buffered: Read the whole body first, and close it.
            follow_redirects: Follow redirects; `history` of the response holds them.
            **kwargs: As for `EnvironBuilder`.
        """
        raise NotImplementedError

    def get(self, *args: Any, **kwargs: Any) -> _R:
        """Send a GET request; arguments as for `open`."""
        return self.open(*args, **{**kwargs, "method": "GET"})

    def post(self, *args: Any, **kwargs: Any) -> _R:
        """Send a POST request; arguments as for `open`."""
        return self.open(*args, **{**kwargs, "method": "POST"})

    def put(self, *args: Any, **kwargs: Any) -> _R:
        """Send a PUT request; arguments as for `open`."""
        return self.open(*args, **{**kwargs, "method": "PUT"})

    def delete(self, *args: Any, **kwargs: Any) -> _R:
        """Send a DELETE request; arguments as for `open`."""
        return self.open(*args, **{**kwargs, "method": "DELETE"})

    def patch(self, *args: Any, **kwargs: Any) -> _R:
        """Send a PATCH request; arguments as for `open`."""
        return self.open(*args, **{**kwargs, "method": "PATCH"})

    def options(self, *args: Any, **kwargs: Any) -> _R:
        """Send an OPTIONS request; arguments as for `open`."""
        return self.open(*args, **{**kwargs, "method": "OPTIONS"})

    def head(self, *args: Any, **kwargs: Any) -> _R:
        """Send a HEAD request; arguments as for `open`."""
        return self.open(*args, **{**kwargs, "method": "HEAD"})

    def trace(self, *args: Any, **kwargs: Any) -> _R:
        """Send a TRACE request; arguments as for `open`."""
        return self.open(*args, **{**kwargs, "method": "TRACE"})

    # -- cookies

    @property
    def _cookies(self) -> CookieJar:
        if self._jar is None:
            raise TypeError("Cookies are disabled. Make the client with use_cookies=True.")
        return self._jar

    def get_cookie(self, key: str, domain: str = "localhost", path: str = "/") -> Cookie | None:
        """Return a stored cookie."""
        return self._cookies.get(key, domain, path)

    def set_cookie(
        self,
        key: str,
        value: str = "",
        *,
        domain: str = "localhost",
        origin_only: bool = True,
        path: str = "/",
        **kwargs: Any,
    ) -> None:
        """Store a cookie as if the app had set it.

        Args:
            key: The name.
            value: The value as the app is to see it.
            domain: Where it applies.
            origin_only: Whether subdomains are left out.
            path: Where it applies.
            **kwargs: As for `dump_cookie`.
        """
        self._cookies.set(key, value, domain=domain, origin_only=origin_only, path=path, **kwargs)

    def delete_cookie(self, key: str, *, domain: str = "localhost", path: str = "/") -> None:
        """Forget a cookie."""
        self._cookies.delete(key, domain, path)

    # -- the session

    def _transaction(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the context of a request that carries the client's cookies."""
        jar = self._cookies
        ctx = self.application.test_request_context(*args, **kwargs)
        environ = ctx.source
        url = url_of(environ)
        cookies = jar.header(url.hostname or "localhost", url.path, environ.get("HTTP_COOKIE"))
        if cookies:
            environ["HTTP_COOKIE"] = cookies
        return ctx

    def _opened_session(self, ctx: Any) -> Any:
        """Return the session of such a context.

        Raises:
            RuntimeError: Nothing can keep it, for want of a secret key.
        """
        session = ctx.session
        if ctx.app.session_interface.is_null_session(session):
            raise RuntimeError("Session backend did not open a session. Set app.secret_key, or app.session_interface.")
        return session

    def _take_session_cookie(self, ctx: Any, response: Any) -> None:
        """Keep the cookie that saving the session has set."""
        url = url_of(ctx.source)
        self._cookies.update(response.headers.getlist("Set-Cookie"), url.hostname or "localhost", url.path)

    # -- a conversation

    def _converse(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], buffered: bool, follow_redirects: bool
    ) -> Generator[Sent, Answer, TestResponse]:
        """Yield requests, take answers, return the last response."""
        environ, fields, explicit_cookie = self._request_of(args, kwargs)
        self._release_context()
        body_start = position(environ)
        history: list[TestResponse] = []
        seen: set[tuple[str, int]] = set()
        while True:
            url = url_of(environ)
            self._add_cookies(environ, url, explicit_cookie)
            # A copy: what middleware changes must not reach the next request.
            answer = yield Sent(environ.copy(), fields, buffered)
            self._take_cookies(answer, url)
            if not buffered and isinstance(answer.body, list):
                # A client cannot see whether more follows: is_streamed is true until somebody reads the body.
                answer = answer._replace(body=iter(answer.body))
            response = self._response_of(answer, environ, tuple(history))
            location = response.location
            if not (follow_redirects and response.status_code in _REDIRECTS and location):
                self._keep_context()
                return response
            response.make_sequence()
            response.close()
            if (location, response.status_code) in seen:
                raise ClientRedirectError(
                    f"redirects in a circle: a {response.status_code} to {location!r} was followed before"
                )
            seen.add((location, response.status_code))
            history.append(response)
            target = urlsplit(urljoin(url.geturl(), location))
            self._check_redirect(url, target)
            environ = redirected(environ, target, response.status_code, body_start)

    def _request_of(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[WSGIEnvironment, list[tuple[str, str]], str | None]:
        """The environ for the arguments of `open`, the header fields, and a Cookie field among them."""
        first = args[0] if args else None
        if isinstance(first, dict) or hasattr(first, "environ"):
            environ = first if isinstance(first, dict) else first.environ  # type: ignore[union-attr]
            return self._with_base(environ), [], None
        if isinstance(first, PlainEnvironBuilder):
            builder = copy.copy(first)
            builder.environ_base = self._with_base(builder.environ_base)
            return builder.get_environ(), builder.headers.to_wsgi_list(), None
        kwargs = {**kwargs, "environ_base": self._with_base(kwargs.get("environ_base"))}
        if hasattr(self.application, "config"):
            builder = EnvironBuilder(self.application, *args, **kwargs)
        else:
            builder = PlainEnvironBuilder(*args, **kwargs)
        try:
            return builder.get_environ(), builder.headers.to_wsgi_list(), builder.headers.get("Cookie")
        finally:
            builder.close()

    def _request_from_builder_args(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The request for the arguments of `open`; extensions' own clients ask for it by this name."""
        return self._request_for(self._request_of(args, kwargs)[0])

    def _add_cookies_to_wsgi(self, environ: WSGIEnvironment) -> None:
        """Set the Cookie field of an environ; see `_request_from_builder_args`."""
        self._add_cookies(environ, url_of(environ), environ.get("HTTP_COOKIE"))

    def _with_base(self, other: Any) -> WSGIEnvironment:
        return {**self.environ_base, **(other or {})}

    def _add_cookies(self, environ: WSGIEnvironment, url: SplitResult, explicit: str | None) -> None:
        if self._jar is None:
            return
        value = self._jar.header(url.hostname or "localhost", url.path, explicit)
        if value:
            environ["HTTP_COOKIE"] = value
        else:
            environ.pop("HTTP_COOKIE", None)

    def _take_cookies(self, answer: Answer, url: SplitResult) -> None:
        if self._jar is not None:
            cookies = [value for name, value in answer.fields if name.lower() == "set-cookie"]
            self._jar.update(cookies, url.hostname or "localhost", url.path)

    def _response_of(self, answer: Answer, environ: WSGIEnvironment, history: tuple[TestResponse, ...]) -> TestResponse:
        request = self._request_for(environ)
        response = self.response_wrapper(answer.body, answer.status, answer.fields, request, history)
        provider = getattr(self.application, "json", None)
        if provider is not None:
            response.json_module = provider
        return response

    def _request_for(self, environ: WSGIEnvironment) -> Any:
        return getattr(self.application, "request_class", Request)(environ, populate_request=False)

    def _check_redirect(self, source: SplitResult, target: SplitResult) -> None:
        """Refuse what no app behind this client can answer."""
        if target.scheme not in ("http", "https"):
            raise RuntimeError(f"cannot follow a redirect to {target.geturl()!r}; expected http or https")
        here, there = source.hostname or "", target.hostname or ""
        if here == there:
            return
        if not there.endswith("." + here):
            raise RuntimeError(
                f"cannot follow a redirect from {here!r} to {there!r}: it leads to another site; "
                f"check response.location instead"
            )
        if not self.allow_subdomain_redirects:
            raise RuntimeError(
                f"cannot follow a redirect from {here!r} to {there!r}; make the client with "
                f"allow_subdomain_redirects=True"
            )

    # -- WebSockets

    def _handshake(self, args: tuple[Any, ...], kwargs: dict[str, Any], subprotocols: Sequence[str]) -> Sent:
        """The request that opens a WebSocket (RFC 6455 4.1)."""
        environ, fields, explicit_cookie = self._request_of((http_url(args[0]), *args[1:]), {**kwargs, "method": "GET"})
        self._release_context()
        environ = environ.copy()
        self._add_cookies(environ, url_of(environ), explicit_cookie)
        own = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": _WEBSOCKET_KEY,
        }
        if subprotocols:
            own["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
        for name, value in own.items():
            environ.setdefault("HTTP_" + name.upper().replace("-", "_"), value)
        return Sent(environ, fields, True)

    def _websocket_options(self, handshake: Sent) -> tuple[Callable[[Answer], Any], bool, Any]:
        """The arguments of a `WebsocketCore`."""
        environ = handshake.environ

        def response_of(answer: Answer) -> Any:
            self._take_cookies(answer, url_of(environ))
            return self._response_of(answer, environ, ())

        return response_of, self.raise_server_exceptions, getattr(self.application, "json", json)

    # -- contexts that outlive a request inside `with client:`

    def _watch_contexts(self) -> None:
        """From now on keep the context of each last request, so that `request` and `g` can be looked at after it."""
        self.preserve_context = True
        appcontext_pushed.connect(self._note_context, sender=self.application)

    def _unwatch_contexts(self) -> None:
        self.preserve_context = False
        appcontext_pushed.disconnect(self._note_context, sender=self.application)
        self._release_context()

    def _note_context(self, _sender: Any) -> None:
        context = _cv_app.get()
        if context.has_request and context is not self._kept:
            self._served.append(context)

    def _keep_context(self) -> None:
        """Make a copy of the last request's context the active one; its teardown functions have run already."""
        if self._served:
            self._kept = self._served[-1].copy()
            self._kept.push()
            self._served.clear()

    def _release_context(self) -> None:
        """Leave the context that is kept, before the next request or at the end of the block."""
        kept, self._kept = self._kept, None
        self._served.clear()
        if kept is not None:
            kept.pop()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.application!r}>"
