"""The sync test client, over WSGI or ASGI.

Owns the sending. What is sent, cookies and redirects are `core`'s.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ..bridge import run_nested
from ..lazy import LazyModule
from ..session_steps import write_session
from ..sessions import SessionMixin
from .answer import SERVER_ERROR, Answer
from .core import ClientCore, Sent
from .loop_thread import ASGIRunner
from .response import TestResponse
from .scope import make_scope, read_body
from .websocket import Link, TestWebsocket
from .websocket_run import websocket_scope
from .wsgi_run import run_wsgi

if TYPE_CHECKING:
    from . import wsgi_websocket_run
else:  # it needs wsproto
    wsgi_websocket_run = LazyModule(f"{__package__}.wsgi_websocket_run")

__all__ = ["Client"]


class Client(ClientCore[TestResponse]):
    """Send requests to an app without a server.

    Under ASGI the app runs on a loop of the client's own, in a thread: start-up functions run before the
    first request, shutdown functions at `close()`, at the end of a `with` block, or when the client is
    forgotten. Afterwards the client can be used again and starts the app anew.

    Args:
        application: The app: a WSGI callable, or an ASGI callable for `protocol="asgi"`.
        response_wrapper: The class of responses; a subclass of it and of `TestResponse` is made.
        use_cookies: Whether cookies are kept between requests.
        allow_subdomain_redirects: Whether redirects are followed to subdomains.
        protocol: `wsgi` or `asgi`.
        backend: The event loop for ASGI: `asyncio` or `trio`.
        raise_server_exceptions: Whether an exception that leaves the app leaves the client; else it is a 500.

    Raises:
        ValueError: Another protocol.
    """

    def __init__(
        self,
        application: Any,
        response_wrapper: type | None = None,
        use_cookies: bool = True,
        allow_subdomain_redirects: bool = False,
        *,
        protocol: Literal["wsgi", "asgi"] = "wsgi",
        backend: str = "asyncio",
        raise_server_exceptions: bool = True,
    ) -> None:
        super().__init__(
            application,
            response_wrapper,
            use_cookies,
            allow_subdomain_redirects,
            raise_server_exceptions=raise_server_exceptions,
        )
        if protocol not in ("wsgi", "asgi"):
            raise ValueError(f"invalid protocol; expected 'wsgi' or 'asgi'; got {protocol!r}")
        self.protocol = protocol
        self.backend = backend
        self._runner: ASGIRunner | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None

    def open(self, *args: Any, buffered: bool = False, follow_redirects: bool = False, **kwargs: Any) -> TestResponse:
        """Send a request and return its response; arguments as in Flask.

        Args:
            *args: As for `EnvironBuilder` without its app; or one builder, environ or request.
            buffered: Read the whole body first, and close it.
            follow_redirects: Follow redirects; `history` of the response holds them.
            **kwargs: As for `EnvironBuilder`.

        Raises:
            ProtocolError: The app breaks WSGI's or ASGI's rules.
            ClientRedirectError: Redirects lead in a circle.
            RuntimeError: A redirect leads to another site.
        """
        conversation = self._converse(args, kwargs, buffered, follow_redirects)
        try:
            sent = next(conversation)
            while True:
                answer = self._send(sent)
                try:
                    sent = conversation.send(answer)
                except StopIteration as stop:
                    response: TestResponse = stop.value
                    return response
        finally:
            conversation.close()

    def _send(self, sent: Sent) -> Answer:
        try:
            if self.protocol == "wsgi":
                return run_wsgi(self.application, sent.environ, sent.buffered)
            scope = make_scope(sent.environ, sent.fields)
            body, truncated = read_body(sent.environ)
            return self._started().send(scope, body, truncated, sent.buffered)
        except Exception:
            if self.raise_server_exceptions:
                raise
            return SERVER_ERROR

    def _started(self) -> ASGIRunner:
        runner = self._runner
        if runner is None:
            self._runner = runner = ASGIRunner(self.application, self.backend)
            self._finalizer = weakref.finalize(self, runner.close)
        return runner

    def websocket(self, path: str = "/", *args: Any, subprotocols: Sequence[str] = (), **kwargs: Any) -> TestWebsocket:
        """Return a WebSocket to the app, which `with` opens.

        Args:
            path: The path, or a whole URL.
            *args: As for `EnvironBuilder`.
            subprotocols: What the client offers.
            **kwargs: As for `EnvironBuilder`: `headers`, `query_string`, `base_url`, ...
        """
        handshake = self._handshake((path, *args), kwargs, subprotocols)

        def connect() -> Link:
            if self.protocol == "wsgi":
                return wsgi_websocket_run.SocketLink(self.application, handshake.environ)
            scope = websocket_scope(make_scope(handshake.environ, handshake.fields), list(subprotocols))
            return self._started().connect(scope)

        return TestWebsocket(connect, *self._websocket_options(handshake))

    @contextmanager
    def session_transaction(self, *args: Any, **kwargs: Any) -> Iterator[SessionMixin]:
        """Open the session that the next request will see, to look at it and to change it.

        It is saved at the end of the block, unless the block raises. Arguments as for `app.test_request_context`.

        Raises:
            TypeError: The client keeps no cookies.
            RuntimeError: The app opens no session.
            StoreUnavailable: The session's store does not answer.
        """
        app, ctx = self.application, self._transaction(args, kwargs)
        with ctx:
            session = self._opened_session(ctx)
        yield session
        response = app.response_class()
        with ctx:
            run_nested(ctx, write_session(ctx, response), app._workers)
        self._take_session_cookie(ctx, response)

    def close(self) -> None:
        """Run the app's shutdown functions and stop what was started for it."""
        self._release_context()
        if self.protocol == "wsgi":
            _shut_down(self.application)
        elif self._runner is not None:
            assert self._finalizer is not None
            self._runner = None
            self._finalizer()

    def __enter__(self) -> Self:
        if self.preserve_context:
            raise RuntimeError("'with client:' cannot be nested; leave the outer block first")
        self._watch_contexts()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._unwatch_contexts()
        self.close()


def _shut_down(app: Any) -> None:
    """Run the shutdown functions of an app of ours that was started up for WSGI."""
    lifecycle = getattr(app, "_lifecycle", None)
    if lifecycle is not None:
        lifecycle.stop_portal()
