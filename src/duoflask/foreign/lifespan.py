"""The start-up and shutdown of an ASGI application (lifespan 2.0), by whoever stands between it and the server.

Owns that protocol. Both run in one task, so that the application may keep a cancel scope open in between.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import Any

import anyio

from ..bridge import Home
from ..typing import ASGIApplication, Message

__all__ = ["Lifespan", "LifespanError"]


class LifespanError(RuntimeError):
    """An application has said that its start-up or shutdown failed."""


class Lifespan:
    """One application's lifespan on the running loop.

    As the specification wants it, an application that raises instead of answering is one that does not speak this
    protocol, and is served all the same.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApplication) -> None:
        self._app = app
        self._answered = anyio.Event()
        self._stopping = anyio.Event()
        self._ended = anyio.Event()
        self._failure: str | None = None
        self._told = 0
        self.state: dict[str, Any] = {}
        """What the start-up has left for the requests."""
        self.raised: Exception | None = None
        """What the application raised instead of answering."""

    async def start(self) -> None:
        """Start the application up, and wait until it has.

        Raises:
            LifespanError: It says that it failed.
        """
        Home().spawn(self._run(), copy_context())
        await self._answered.wait()
        self._raise_failure()

    async def stop(self) -> None:
        """Shut the application down, and wait until it has ended.

        Raises:
            LifespanError: It says that it failed.
        """
        self._stopping.set()
        await self._ended.wait()
        self._raise_failure()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise LifespanError(f"{self._app!r}: {failure}")

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as exc:
            if self._told:
                self.raised = exc
        except BaseException as exc:  # the loop ends, or it is told to: outcomes are data here
            self._failure = f"{type(exc).__name__}: {exc}"
        finally:
            self._answered.set()
            self._ended.set()

    async def _receive(self) -> Message:
        self._told += 1
        if self._told == 1:
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        if self._told > 2:
            await anyio.sleep_forever()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("lifespan.startup.failed", "lifespan.shutdown.failed"):
            event = kind.split(".")[1]
            self._failure = f"the {event} failed: {message.get('message') or 'without a reason'}"
        elif kind not in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
            raise ValueError(f"invalid message; expected lifespan.startup.complete or the like; got {kind!r}")
        self._answered.set()
