"""The async test client, over ASGI, on asyncio and trio.

Owns the sending. What is sent, cookies and redirects are `core`'s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from ..session_steps import write_session
from ..sessions import SessionMixin
from .answer import SERVER_ERROR, Answer
from .asgi_run import Exchange, Lifespan
from .beside import TaskBeside
from .core import ClientCore, Sent
from .response import TestResponse
from .scope import make_scope, read_body
from .websocket import AsyncTestWebsocket
from .websocket_run import WebsocketExchange, websocket_scope

__all__ = ["AsyncClient"]


class AsyncClient(ClientCore[Coroutine[Any, Any, TestResponse]]):
    """Send requests to an app on the test's own loop.

    `async with AsyncClient(app) as client:` runs the app's start-up and shutdown functions around the
    block. A request runs in the task that awaits it, and the whole body is read first. Without the block
    requests work, and the app is never started up. Arguments as for `Client`, without those that choose a
    protocol.
    """

    _lifespan: Lifespan | None = None
    _beside: TaskBeside

    async def open(
        self, *args: Any, buffered: bool = True, follow_redirects: bool = False, **kwargs: Any
    ) -> TestResponse:
        """Send a request and return its response; arguments as in Flask.

        Args:
            *args: As for `EnvironBuilder` without its app; or one builder, environ or request.
            buffered: Accepted for the sync client's sake; the body is always read first.
            follow_redirects: Follow redirects; `history` of the response holds them.
            **kwargs: As for `EnvironBuilder`.

        Raises:
            ProtocolError: The app breaks ASGI's rules.
            ClientRedirectError: Redirects lead in a circle.
            RuntimeError: A redirect leads to another site.
        """
        conversation = self._converse(args, kwargs, buffered, follow_redirects)
        try:
            sent = next(conversation)
            while True:
                answer = await self._send(sent)
                try:
                    sent = conversation.send(answer)
                except StopIteration as stop:
                    response: TestResponse = stop.value
                    return response
        finally:
            conversation.close()

    async def _send(self, sent: Sent) -> Answer:
        scope = make_scope(sent.environ, sent.fields)
        scope["state"] = {} if self._lifespan is None else self._lifespan.state.copy()
        body, truncated = read_body(sent.environ)
        exchange = Exchange(self.application, scope, body, truncated=truncated)
        try:
            await exchange.run()
        except Exception:
            if self.raise_server_exceptions:
                raise
            return SERVER_ERROR
        return exchange.answer(list(exchange.chunks))

    @asynccontextmanager
    async def session_transaction(self, *args: Any, **kwargs: Any) -> AsyncIterator[SessionMixin]:
        """Open the session that the next request will see, to look at it and to change it.

        It is saved at the end of the block, unless the block raises. Arguments as for `app.test_request_context`.

        Raises:
            TypeError: The client keeps no cookies.
            RuntimeError: The app opens no session.
            StoreUnavailable: The session's store does not answer.
        """
        app, ctx = self.application, self._transaction(args, kwargs)
        async with ctx:
            session = self._opened_session(ctx)
        yield session
        response = app.response_class()
        async with ctx:
            await app._drive(ctx, write_session(ctx, response))
        self._take_session_cookie(ctx, response)

    async def __aenter__(self) -> Self:
        if self._lifespan is not None:
            raise RuntimeError("'async with client:' cannot be nested; leave the outer block first")
        self._lifespan = lifespan = Lifespan(self.application)
        self._beside = TaskBeside()
        await self._beside.start(lifespan.run)
        try:
            await lifespan.wait_ready()
        except BaseException:
            self._lifespan = None
            await self._beside.cancel()
            raise
        self._watch_contexts()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._unwatch_contexts()
        lifespan, self._lifespan = self._lifespan, None
        assert lifespan is not None
        await self._beside.end(lifespan.stop)

    def websocket(
        self, path: str = "/", *args: Any, subprotocols: Sequence[str] = (), **kwargs: Any
    ) -> AsyncTestWebsocket:
        """Return a WebSocket to the app, which `async with` opens.

        Args:
            path: The path, or a whole URL.
            *args: As for `EnvironBuilder`.
            subprotocols: What the client offers.
            **kwargs: As for `EnvironBuilder`: `headers`, `query_string`, `base_url`, ...
        """
        handshake = self._handshake((path, *args), kwargs, subprotocols)
        scope = websocket_scope(make_scope(handshake.environ, handshake.fields), list(subprotocols))
        scope["state"] = {} if self._lifespan is None else self._lifespan.state.copy()
        exchange = WebsocketExchange(self.application, scope)
        return AsyncTestWebsocket(exchange, TaskBeside(), *self._websocket_options(handshake))
