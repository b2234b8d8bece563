"""The request's signals, sent to receivers of both colours."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from .bridge import call, starts_on_loop
from .ctx import AppContext

if TYPE_CHECKING:
    from blinker import Signal

__all__ = ["emit"]


async def emit(ctx: AppContext, signal: Signal, **arguments: Any) -> None:
    """Send one of the request's signals to its receivers, `def` and `async def`."""
    if signal.is_muted:
        return
    app = ctx.app
    for receiver in list(signal.receivers_for(app)):
        await call(ctx, functools.partial(receiver, app, **arguments), starts_on_loop(receiver))
