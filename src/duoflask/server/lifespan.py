"""The lifespan of an application: its start-up and shutdown (ASGI lifespan 2.0).

Owns that protocol. Knows no socket. Both run in one task, so that the application may keep a cancel scope
open in between.
"""

from __future__ import annotations

from typing import Any

from anyio import Event, get_cancelled_exc_class, move_on_after, sleep_forever

from ..typing import ASGIApplication, Message
from .config import ServerConfig
from .logs import server_logger

__all__ = ["Lifespan", "LifespanError"]


class LifespanError(RuntimeError):
    """The application's start-up failed, or its shutdown did; the server does not go on."""


class Lifespan:
    """Run an application's lifespan; `error` is set once something failed."""

    def __init__(self, app: ASGIApplication, config: ServerConfig) -> None:
        self._app = app
        self._config = config
        self.state: dict[str, Any] = {}
        self.error: LifespanError | None = None
        self._started = Event()
        self._stopped = Event()
        self._finished = Event()
        self._supported = False
        self._stopping = Event()
        self._told = 0  # messages the application was given

    async def run(self) -> None:
        """Run the application's side; the other methods tell it what to do."""
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except get_cancelled_exc_class():
            raise
        except Exception as exc:
            self._fail(exc)
        finally:
            self._started.set()
            self._stopped.set()
            self._finished.set()

    def _fail(self, exc: Exception) -> None:
        if self._started.is_set() and self._supported:
            if self.error is None:
                server_logger.error("error in the application's lifespan", exc_info=exc)
        elif self._config.lifespan == "on":
            self._set_error(f"the application does not start: {exc!r}", exc)
        else:
            server_logger.debug("the application does not speak lifespan: %r", exc)

    def _set_error(self, text: str, cause: Exception | None = None) -> None:
        if self.error is None:
            self.error = LifespanError(text)
            self.error.__cause__ = cause

    async def _receive(self) -> Message:
        self._told += 1
        if self._told == 1:
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        if self._told > 2:
            await sleep_forever()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._supported = True
            self._started.set()
        elif kind == "lifespan.startup.failed":
            self._set_error(f"the application's start-up failed: {message.get('message', '')}")
            self._started.set()
        elif kind == "lifespan.shutdown.complete":
            self._stopped.set()
        elif kind == "lifespan.shutdown.failed":
            self._set_error(f"the application's shutdown failed: {message.get('message', '')}")
            self._stopped.set()
        else:
            raise ValueError(f"unknown message; expected 'lifespan.startup.complete' or the like; got {kind!r}")

    async def startup(self) -> None:
        """Wait until the application has started, has failed to, or turns out not to speak lifespan."""
        await self._started.wait()

    async def shutdown(self) -> None:
        """Have the application shut down, for at most `lifespan_timeout` seconds."""
        if not self._supported or self._finished.is_set():
            return
        self._stopping.set()
        with move_on_after(self._config.lifespan_timeout):
            await self._stopped.wait()
            await self._finished.wait()
            return
        server_logger.error("the application's shutdown took more than %s s", self._config.lifespan_timeout)
