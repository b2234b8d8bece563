"""Serving as the whole business of a process: `run`.

Owns the choice of the loop, the log's set-up and the line that says where the server listens.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Sequence
from typing import Any

import anyio
from anyio import create_task_group

from ..typing import ASGIApplication, WSGIApplication
from .config import ServerConfig
from .logs import configure_logging, server_logger
from .run import Server

__all__ = ["run"]


def run(
    app: ASGIApplication | WSGIApplication,
    host: str = "127.0.0.1",
    port: int = 5000,
    *,
    uds: str | None = None,
    loop: str = "asyncio",
    sockets: Sequence[socket.socket] | None = None,
    **settings: Any,
) -> None:
    """Serve an application, blocking, until SIGINT or SIGTERM.

    Args:
        app: An ASGI callable, or a WSGI one with `interface="wsgi"`.
        host: See `ServerConfig`, as for port and uds.
        port: 0 takes a free port.
        uds: Path of a unix socket.
        loop: "asyncio", "trio" or "uvloop".
        sockets: Bound, listening sockets to use instead of the address; they are closed at the end.
        settings: Further fields of `ServerConfig`.

    Raises:
        LifespanError: The application's start-up or shutdown failed.
        OSError: The address cannot be had.
        SystemExit: A second signal has dropped what was in flight; the code is 128 and its number.
    """
    if loop not in ("asyncio", "trio", "uvloop"):
        raise ValueError(f"invalid loop; expected 'asyncio', 'trio' or 'uvloop'; got {loop!r}")
    config = ServerConfig(host=host, port=port, uds=uds, **settings)
    configure_logging()
    backend = "trio" if loop == "trio" else "asyncio"
    made: list[Server] = []
    try:
        anyio.run(
            _run_announced,
            app,
            config,
            sockets,
            made,
            backend=backend,
            backend_options={"use_uvloop": True} if loop == "uvloop" else None,
        )
    finally:
        # Only here: the end of asyncio's loop waits for the threads of its executor.
        interrupts = made[0].interrupts if made else None
        if interrupts is not None:
            interrupts.let_go()
    if interrupts is not None and interrupts.exit_code:
        sys.exit(interrupts.exit_code)


async def _run_announced(
    app: ASGIApplication | WSGIApplication,
    config: ServerConfig,
    sockets: Sequence[socket.socket] | None,
    made: list[Server],
) -> None:
    server = Server(app, config, sockets=sockets, ends_process=True)
    made.append(server)

    async def announce() -> None:
        await server.started.wait()
        for address in server.addresses:
            server_logger.info("duoflask: serving on %s (Press CTRL+C to stop)", address)

    failure: Exception | None = None
    async with create_task_group() as tasks:
        tasks.start_soon(announce)
        try:
            await server.serve()
        except Exception as exc:
            failure = exc  # past the group, which would wrap it
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
