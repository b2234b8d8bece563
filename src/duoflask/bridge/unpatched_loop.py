"""The portal's event loop where gevent has patched the sockets and threads that asyncio's own loops use.

Owns what it does differently. Who makes one, and what starts its threads, stands in `threads`.
"""

from __future__ import annotations

import _socket
import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

__all__ = ["UnpatchedLoop"]


class UnpatchedLoop(asyncio.SelectorEventLoop):
    """A selector loop whose wake-up pipe and default executor do without gevent's parts.

    Args:
        selector: An unpatched selector.
        start_thread: Starts a thread of the operating system for a function, with a name.
    """

    def __init__(self, selector: Any, start_thread: Callable[[Callable[[], None], str], None]) -> None:
        self._start_thread = start_thread
        super().__init__(selector)

    def _make_self_pipe(self) -> None:
        # The plain sockets below `socket.socket`: socket.socketpair() would wrap them in the patched class.
        self._ssock, self._csock = _socket.socketpair()
        self._ssock.setblocking(False)
        self._csock.setblocking(False)
        self._internal_fds: int
        self._internal_fds += 1
        self._add_reader(self._ssock.fileno(), self._read_from_self)  # type: ignore[attr-defined]

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        if executor is not None:
            return super().run_in_executor(executor, func, *args)
        future: Future[Any] = Future()
        wrapped = asyncio.wrap_future(future, loop=self)
        self._start_thread(functools.partial(_fulfil, future, functools.partial(func, *args)), "duoflask-executor")
        return wrapped


def _fulfil(future: Future[Any], function: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as exc:
        future.set_exception(exc)
    else:
        future.set_result(result)
