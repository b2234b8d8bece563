"""A task of the async test client's own, which lasts from one of its methods to another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from .loop_thread import DEFAULT_MAX_CLOSE_SECONDS

__all__ = ["TaskBeside"]


class TaskBeside:
    """Runs a coroutine function beside the test, on asyncio or trio."""

    _task: asyncio.Task[None] | None = None
    _group: TaskGroup | None = None
    _shield: anyio.CancelScope

    async def start(self, function: Callable[[], Awaitable[Any]]) -> None:
        """Start the function; its exceptions are its own affair."""
        if _is_asyncio():
            # Not a task group: pytest-asyncio enters and leaves a fixture in two tasks, which a cancel
            # scope refuses.
            self._task = asyncio.get_running_loop().create_task(_awaited(function))
        else:
            self._group = anyio.create_task_group()
            await self._group.__aenter__()
            self._shield = anyio.CancelScope(shield=True)
            self._group.start_soon(_run_shielded, function, self._shield)

    async def end(self, wait: Callable[[], Awaitable[Any]]) -> None:
        """Wait for the function's end, which is awaited with `wait`, for a limited time, and then cancel it."""
        try:
            with anyio.move_on_after(DEFAULT_MAX_CLOSE_SECONDS, shield=True):
                await wait()
        finally:
            await self.cancel()

    async def cancel(self) -> None:
        """Cancel the function, whatever it does."""
        task, self._task = self._task, None
        group, self._group = self._group, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if group is not None:
            self._shield.cancel()
            # Without the exception: it goes on by itself, and is not wrapped in a group this way.
            await group.__aexit__(None, None, None)


async def _awaited(function: Callable[[], Awaitable[Any]]) -> None:
    await function()


async def _run_shielded(function: Callable[[], Awaitable[Any]], scope: anyio.CancelScope) -> None:
    # A block that is cancelled still ends the app's work: its time is limited where the block ends.
    with scope:
        await function()


def _is_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
