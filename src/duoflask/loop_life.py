"""The start-up and shutdown functions of an app on one loop: their order, and what stays open between them.

Owns how they are called and what a failure of one means for the others. Knows not which loop it is.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Final

from .bridge import WSGIDriver, call, hand_over, to_loop, to_thread
from .ctx import AppContext, _cv_app
from .events import emit
from .once import Once
from .plans import side_of
from .signals import got_serving_exception

if TYPE_CHECKING:
    import anyio

__all__ = ["LoopLife"]

_END: Final = object()


class LoopLife:
    """One loop that serves an app.

    Args:
        ctx: The context of the app that its start-up and shutdown functions run in.
    """

    __slots__ = ("begun", "ctx", "driver", "failure", "once", "opened", "state")

    def __init__(self, ctx: AppContext) -> None:
        self.ctx = ctx
        self.once = Once()
        self.state: MutableMapping[str, Any] = {}
        self.opened: list[Any] = []  # what while_serving functions made, up to their `yield`
        self.driver: WSGIDriver | None = None  # under WSGI, of the coroutine that waits for the end
        self.begun: anyio.Event | None = None
        self.failure: Exception | None = None

    async def start(self) -> None:
        """Run the start-up functions; if one fails, close what the earlier ones have opened."""
        ctx = self.ctx
        _cv_app.set(ctx)
        try:
            for function in list(ctx.app.before_serving_funcs):
                await call(ctx, function, side_of(function, ctx.app._inline))
            for function in list(ctx.app.while_serving_gens):
                await self._open(function)
        except BaseException as exc:
            for error in await self._close():
                ctx.app.logger.error("a while_serving function failed at its end", exc_info=error)
            if isinstance(exc, Exception):
                await emit(ctx, got_serving_exception, exception=exc)
            raise

    async def finish(self) -> None:
        """Close what is open, the last opened first, then run the shutdown functions; all of them, whatever they raise.

        Raises:
            Exception: What one of them raised; an ExceptionGroup if there were several.
        """
        ctx = self.ctx
        _cv_app.set(ctx)
        errors = await self._close()
        for function in list(ctx.app.after_serving_funcs):
            try:
                await call(ctx, function, side_of(function, ctx.app._inline))
            except Exception as exc:
                errors.append(exc)
        for error in errors:
            await emit(ctx, got_serving_exception, exception=error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("several shutdown functions failed", errors)

    async def start_and_finish(self) -> None:
        """Do both, with a stop between them in the server's thread, if something has to stay open."""
        await self.start()
        if self.opened:
            if self.ctx.on_loop:
                await to_thread()
            await hand_over(None)
            await self.finish()

    async def _open(self, function: Any) -> None:
        ctx = self.ctx
        made = await call(ctx, function, side_of(function, ctx.app._inline))
        if hasattr(made, "__anext__") or hasattr(made, "__aenter__"):
            if not ctx.on_loop:
                await to_loop()
            if hasattr(made, "__aenter__"):
                await made.__aenter__()
            elif await anext(made, _END) is _END:
                raise _no_yield(function)
        elif hasattr(made, "__next__") or hasattr(made, "__enter__"):
            if ctx.on_loop and side_of(function, ctx.app._inline) is not None:
                await to_thread()
            if hasattr(made, "__enter__"):
                made.__enter__()
            elif next(made, _END) is _END:
                raise _no_yield(function)
        else:
            raise _no_yield(function, made)
        self.opened.append(made)

    async def _close(self) -> list[Exception]:
        errors: list[Exception] = []
        while self.opened:
            try:
                await self._close_one(self.opened.pop())
            except Exception as exc:
                errors.append(exc)
        return errors

    async def _close_one(self, made: Any) -> None:
        more: Any = _END
        if hasattr(made, "__anext__") or hasattr(made, "__aexit__"):
            if not self.ctx.on_loop:
                await to_loop()
            if hasattr(made, "__aexit__"):
                await made.__aexit__(None, None, None)
            else:
                more = await anext(made, _END)
        else:
            if self.ctx.on_loop:
                await to_thread()
            if hasattr(made, "__exit__"):
                made.__exit__(None, None, None)
            else:
                more = next(made, _END)
        if more is not _END:
            for name, on_loop in (("aclose", True), ("close", False)):
                if hasattr(made, name):
                    await call(self.ctx, getattr(made, name), on_loop)
                    break
            raise RuntimeError(
                f"{made!r} of while_serving has yielded twice; expected one yield, between start and end"
            )


def _no_yield(function: Any, made: Any = _END) -> Exception:
    name = getattr(function, "__qualname__", repr(function))
    if made is _END:
        return RuntimeError(f"the while_serving function {name!r} ended without a yield; expected one")
    return TypeError(
        f"the while_serving function {name!r} returned {made!r}; expected a generator: write 'yield' between what runs "
        "at the start and what runs at the end, or register it with before_serving"
    )
