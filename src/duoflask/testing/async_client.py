"""The async test client, over ASGI, on asyncio and trio.

Owns the sending. What is sent, cookies and redirects are `core`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup

from ..session_steps import write_session
from ..sessions import SessionMixin
from .answer import SERVER_ERROR, Answer
from .asgi_run import Exchange, Lifespan
from .core import ClientCore, Sent
from .loop_thread import DEFAULT_MAX_CLOSE_SECONDS
from .response import TestResponse
from .scope import make_scope, read_body

__all__ = ["AsyncClient"]


class AsyncClient(ClientCore[Coroutine[Any, Any, TestResponse]]):
    """Send requests to an app on the test's own loop.

    `async with AsyncClient(app) as client:` runs the app's start-up and shutdown functions around the
    block. A request runs in the task that awaits it, and the whole body is read first. Without the block
    requests work, and the app is never started up. Arguments as for `Client`, without those that choose a
    protocol.
    """

    _lifespan: Lifespan | None = None
    _task: asyncio.Task[None] | None = None
    _group: TaskGroup | None = None
    _shield: anyio.CancelScope

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
        if _is_asyncio():
            # Not a task group: pytest-asyncio enters and leaves a fixture in two tasks, which a cancel
            # scope refuses.
            self._task = asyncio.get_running_loop().create_task(lifespan.run())
        else:
            self._group = anyio.create_task_group()
            await self._group.__aenter__()
            self._shield = anyio.CancelScope(shield=True)
            self._group.start_soon(_run_shielded, lifespan, self._shield)
        try:
            await lifespan.wait_ready()
        except BaseException:
            await self._end()
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
        assert self._lifespan is not None
        try:
            with anyio.move_on_after(DEFAULT_MAX_CLOSE_SECONDS, shield=True):
                await self._lifespan.stop()
        finally:
            await self._end()

    async def _end(self) -> None:
        """End the app's own task, whatever it does."""
        self._lifespan = None
        task, self._task = self._task, None
        group, self._group = self._group, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if group is not None:
            self._shield.cancel()
            # Without the exception: it goes on by itself, and is not wrapped in a group this way.
            await group.__aexit__(None, None, None)


async def _run_shielded(lifespan: Lifespan, scope: anyio.CancelScope) -> None:
    # A block that is cancelled still shuts the app down: its time is limited where the block ends.
    with scope:
        await lifespan.run()


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
