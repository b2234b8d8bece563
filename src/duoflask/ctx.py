"""The context of a request, or of an app outside one: what `current_app`, `g`, `request` and `session` stand for.

Owns the one ContextVar, the context object, the linked list of contexts that are active, and the functions that ask
about it. Knows the app only as something that makes requests, sessions and url adapters and that runs teardown
functions.

Theory of operation
-------------------
One ContextVar holds the innermost context; each context keeps its predecessor, and that linked list is the context
stack. Pushing sets the variable; popping sets the predecessor again, without a token, so that it works in another
Context than the push. A request that a gateway serves lives in a Context of its own (`copy_context()`), which every
leg of it enters: there the dispatcher sets the variable once and never needs to set it back.

Everything else is lazy: the request, `g`, the session and the url adapter are made when somebody looks.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .bridge import current_home, home_of_context, starts_on_loop
from .exchange import Exchange
from .http.errors import HTTPException
from .request import Request
from .streamed import StreamedBody

if TYPE_CHECKING:
    from .app import DuoFlask
    from .routing import MapAdapter, Rule
    from .sessions import SessionMixin

__all__ = [
    "AppContext",
    "RequestContext",
    "after_this_request",
    "copy_current_request_context",
    "has_app_context",
    "has_request_context",
]

_F = TypeVar("_F", bound=Callable[..., Any])
_MISSING: Any = object()

_cv_app: ContextVar[AppContext] = ContextVar("duoflask.context")


class AppContext(Exchange):
    """The state of one request, or of an app while no request is served.

    Args:
        app: The application.
        request: The request that it is the context of, if there is one.
        session: The session to use instead of the one that the request's cookie names.
    """

    __slots__ = ("_after", "_g", "_request", "_session", "routing_exception", "view_args")
    app: DuoFlask
    rule: Rule | None
    view_args: dict[str, Any] | None
    routing_exception: HTTPException | None
    _g: Any
    _request: Request | None
    _session: SessionMixin | None
    _after: list[Callable[[Any], Any]] | None

    previous: AppContext | None = None  # the context that was active when this one was pushed
    _url_adapter: Any = _MISSING
    _flashes: list[tuple[str, str]] | None = None
    _loaded_session: SessionMixin | None = None  # opened before the first function, and not looked at so far
    _pushes: int = 0
    _again: tuple[AppContext | None, ...] = ()
    _torn_down: bool = False

    def __init__(
        self,
        app: DuoFlask,
        source: dict[str, Any] | None = None,
        gateway: Any = None,
        method: str = "GET",
        *,
        request: Request | None = None,
        session: SessionMixin | None = None,
    ) -> None:
        self.app = app
        self.source = source
        self.gateway = gateway
        self.method = method
        self.on_loop = self.has_body = False
        self.plan = self.rule = self.view_args = self.routing_exception = self.body = None
        self._g = self._after = None
        self._request, self._session = request, session
        if request is not None:
            self.source = request.scope if request.scope is not None else request.environ

    @classmethod
    def from_environ(cls, app: DuoFlask, environ: dict[str, Any]) -> AppContext:
        """Make the context of a request.

        Args:
            app: The application.
            environ: A WSGI environ or an ASGI http scope.
        """
        return cls(app, environ)

    @property
    def has_request(self) -> bool:
        """Whether this is the context of a request."""
        return self.source is not None

    @property
    def g(self) -> Any:
        """The namespace behind `g`."""
        g = self._g
        if g is None:
            g = self._g = self.app.app_ctx_globals_class()
        return g

    @g.setter
    def g(self, value: Any) -> None:
        self._g = value

    @property
    def request(self) -> Request:
        """The request.

        Raises:
            RuntimeError: This is the context of an app outside a request.
        """
        request = self._request
        if request is None:
            source = self.source
            if source is None:
                raise RuntimeError(f"there is no request in this context of {self.app.name!r}")
            self._request = request = self.app.request_class(source)
            self.inform(request)
        return request

    def inform(self, request: Request) -> None:
        """Tell a request what has become known of it: its app, rule and body."""
        request._app = self.app
        request.url_rule = self.rule
        request.view_args = self.view_args
        if self.routing_exception is not None:
            request.routing_exception = self.routing_exception
        if self.body is not None:
            request._body = self.body
        elif not self.has_body and self.rule is not None and self.rule.stream_body:
            request._body = StreamedBody.empty()
        if self.limits is not None:
            request._limits = self.limits
        length = self.declared_length
        if length is not None and self.gateway is not None and self.length_error is None and not self.transfer_coded:
            request._announced = length

    @property
    def session(self) -> SessionMixin:
        """The session, opened at the first look.

        Raises:
            RuntimeError: This is the context of an app outside a request.
        """
        session = self._session
        if session is None:
            session = self._session = self.app._open_session(self)
        return session

    @session.setter
    def session(self, value: SessionMixin) -> None:
        self._session = value

    @property
    def flashes(self) -> list[tuple[str, str]] | None:
        """The flashed messages that were taken out of the session in this request."""
        return self._flashes

    @flashes.setter
    def flashes(self, value: list[tuple[str, str]] | None) -> None:
        self._flashes = value

    @property
    def url_adapter(self) -> MapAdapter | None:
        """What matches and builds URLs for this request, or for the configured server outside one.

        None without either.
        """
        if self._url_adapter is _MISSING:
            self._url_adapter = None
            try:
                self._url_adapter = self.app.create_url_adapter(self.request if self.has_request else None)
            except HTTPException as exc:  # an untrusted or impossible Host
                self.routing_exception = exc
        return cast("MapAdapter | None", self._url_adapter)

    @url_adapter.setter
    def url_adapter(self, value: MapAdapter | None) -> None:
        self._url_adapter = value

    def match_request(self) -> None:
        """Find the URL rule for the request; a failure is kept as its `routing_exception`."""
        self.app._match(self)

    def copy(self) -> AppContext:
        """Make a context with the same request, session and g, for a thread or task of one's own.

        Teardown functions run for the original only.
        """
        twin = type(self)(
            self.app,
            self.source,
            None,
            self.method,
            request=self.request if self.has_request else None,
            session=self._session,
        )
        twin._g = self.g  # shared by reference: it must exist before both can mean the same one
        twin.plan, twin.rule, twin.view_args = self.plan, self.rule, self.view_args
        twin.routing_exception, twin.body = self.routing_exception, self.body
        twin._url_adapter = self._url_adapter
        twin._flashes, twin._loaded_session = self._flashes, self._loaded_session
        twin._torn_down = True
        return twin

    def push(self) -> None:
        """Make this the innermost context."""
        if self._pushes:
            self._again = (*self._again, _cv_app.get(None))
        else:
            self.previous = _cv_app.get(None)
        self._pushes += 1
        _cv_app.set(self)
        self.app._context_pushed(self)

    def pop(self, exc: BaseException | None = _MISSING) -> None:
        """Leave this context and, with the last pop, run the teardown functions.

        Works in another Context than the push, and out of order: the contexts that are still active stay linked.

        Args:
            exc: The exception that ended the block; by default the one that is being handled.

        Raises:
            RuntimeError: It is not active.
        """
        self._require_pushed()
        try:
            if self._pushes == 1 and not self._torn_down:
                self._torn_down = True
                self.app._teardown_now(self, sys.exc_info()[1] if exc is _MISSING else exc)
        finally:
            self._unlink()

    def _require_pushed(self) -> None:
        if not self._pushes:
            raise RuntimeError(
                f"cannot pop {self!r}: it is not active. Each pop() belongs to one push(); a 'with' block does both."
            )

    def _unlink(self) -> None:
        """Take this context out of the linked list, wherever in it it stands."""
        self._pushes -= 1
        if self._again:
            previous, self._again = self._again[-1], self._again[:-1]
        else:
            previous = self.previous
        current = _cv_app.get(None)
        if current is self or current is None:
            _cv_app.set(previous)  # type: ignore[arg-type]
            return
        while current.previous is not None and current.previous is not self:
            current = current.previous
        if current.previous is self:
            current.previous = previous

    def __enter__(self) -> AppContext:
        self.push()
        return self

    def __exit__(self, exc_type: Any, exc: BaseException | None, tb: Any) -> None:
        self.pop(exc)

    async def __aenter__(self) -> AppContext:
        self.push()
        await self.app._load_session(self)
        return self

    async def __aexit__(self, exc_type: Any, exc: BaseException | None, tb: Any) -> None:
        self._require_pushed()
        try:
            if self._pushes == 1 and not self._torn_down:
                self._torn_down = True
                await self.app._teardown_async(self, exc)
        finally:
            self._unlink()

    def __repr__(self) -> str:
        if self.source is None:
            return f"<{type(self).__name__} of {self.app.name}>"
        request = self.request
        return f"<{type(self).__name__} {id(self):#x} of {self.app.name}: {request.method} {request.path!r}>"


_new = object.__new__


def serving(app: DuoFlask, source: dict[str, Any], gateway: Any, method: str) -> AppContext:
    """Make the context of a request that a gateway serves.

    PERF: 130 ns, where the class's own `__init__` takes 225, because CPython before 3.13 calls it through C.
    """
    ctx = _new(AppContext)
    ctx.app = app
    ctx.source = source
    ctx.gateway = gateway
    ctx.method = method
    ctx.on_loop = ctx.has_body = False
    ctx.plan = ctx.rule = ctx.view_args = ctx.routing_exception = ctx.body = None
    ctx._g = ctx._after = ctx._request = ctx._session = None
    return ctx


Request._active_context = staticmethod(lambda: _cv_app.get(None))

# Flask 3.2 has one context; the old name of the other half stays.
RequestContext = AppContext


def _request_context(what: str) -> AppContext:
    context = _cv_app.get(None)
    if context is None or not context.has_request:
        raise RuntimeError(
            f"{what} was called while no request is active; expected a view, a hook or something that they call. "
            "In a test or script write 'with app.test_request_context():' around it."
        )
    return context


def after_this_request(f: _F) -> _F:
    """Register a function that is called with the response of this request only, and returns it.

    Raises:
        RuntimeError: No request is active.
    """
    context = _request_context("after_this_request")
    if context._after is None:
        context._after = []
    context._after.append(f)
    return f


def copy_current_request_context(f: _F) -> _F:
    """Wrap a function, `def` or `async def`, so that it has this request's context wherever it runs.

    The thread or task that runs it shares `g`, the request and the session with the request; teardown functions run for
    the request itself only.

    Raises:
        RuntimeError: No request is active.
    """
    original = _request_context("copy_current_request_context").copy()

    if starts_on_loop(f):

        @functools.wraps(f)
        async def in_task(*args: Any, **kwargs: Any) -> Any:
            async with original.copy():
                return await f(*args, **kwargs)

        return cast(_F, in_task)

    home = current_home()  # the loop of the request, for what the thread runs through ensure_sync or async_to_sync

    @functools.wraps(f)
    def in_thread(*args: Any, **kwargs: Any) -> Any:
        token = home_of_context.set(home)
        try:
            with original.copy():
                return f(*args, **kwargs)
        finally:
            home_of_context.reset(token)

    return cast(_F, in_thread)


def has_request_context() -> bool:
    """Whether a request is active: whether `request` and `session` may be used."""
    context = _cv_app.get(None)
    return context is not None and context.source is not None


def has_app_context() -> bool:
    """Whether an app is active: whether `current_app` and `g` may be used."""
    return _cv_app.get(None) is not None
