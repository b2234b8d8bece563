"""A request that background tasks still look at when it has ended: its body and files are closed by the last of them.

Owns the count. Without a hold the end of the request closes them, and a task would read an empty body.
"""

from __future__ import annotations

from typing import Any

from .bridge import new_lock
from .ctx import AppContext

__all__ = ["RequestHold", "hold"]


class RequestHold:
    """How many look at a request: itself until its end, and each task until the task's.

    Args:
        ctx: The request's context, which leaves the closing to this object.
    """

    __slots__ = ("_body", "_count", "_ended", "_lock", "_request")

    def __init__(self, ctx: AppContext) -> None:
        self._request = ctx.request
        self._body, ctx.body = ctx.body, None
        self._count = 1
        self._ended = False
        self._lock = new_lock()
        self._request.__dict__["close"] = self.end  # what the end of the request calls

    def take(self) -> None:
        """Count one more."""
        with self._lock:
            self._count += 1

    def end(self) -> None:
        """Count the request itself no more, once: a view may close it as well."""
        with self._lock:
            ended, self._ended = self._ended, True
        if not ended:
            self.release()

    def release(self, _task: Any = None) -> None:
        """Count one less, and close what the request holds with the last."""
        with self._lock:
            self._count -= 1
            if self._count:
                return
        request = self._request
        del request.__dict__["close"]
        try:
            request.close()
        finally:
            if self._body is not None:
                self._body.close()


def hold(ctx: AppContext) -> RequestHold | None:
    """Keep a request's body and files for one more who looks at them; None for a body that is a stream."""
    known = getattr(ctx.request.__dict__.get("close"), "__self__", None)
    if not isinstance(known, RequestHold):
        if ctx._torn_down or (ctx.rule is not None and ctx.rule.stream_body):
            return None
        ctx.leaves_thread()  # a body that waits in a WSGI server's stream is collected, as for an async function
        known = RequestHold(ctx)
    known.take()
    return known
