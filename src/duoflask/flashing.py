"""Flashed messages: said in one request, shown in the next one.

Owns what of the session they are: a list of (category, message) under `_flashes`. Knows the session only as a mapping.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from .globals import current_app, request_ctx, session
from .signals import message_flashed

__all__ = ["flash", "get_flashed_messages"]


def flash(message: Any, category: str = "message") -> None:
    """Keep a message for the next request that shows messages.

    Args:
        message: Whatever a session can hold; usually text, or `Markup`.
        category: Such as `message`, `error`, `info` or `warning`.
    """
    flashes = _flashes_of(session.get("_flashes"))
    flashes.append((category, message))
    session["_flashes"] = flashes  # a change inside a list would go unnoticed
    if message_flashed.receivers:
        app = current_app._get_current_object()
        message_flashed.send(app, _async_wrapper=app.ensure_sync, message=message, category=category)


def get_flashed_messages(with_categories: bool = False, category_filter: Container[str] = ()) -> list[Any]:
    """Take the flashed messages out of the session; further calls in the same request return the same ones.

    Args:
        with_categories: Return (category, message) pairs.
        category_filter: Only messages of these categories.
    """
    flashes = request_ctx.flashes
    if flashes is None:
        flashes = _flashes_of(session.pop("_flashes", None)) if "_flashes" in session else []
        request_ctx.flashes = flashes
    if category_filter:
        flashes = [item for item in flashes if item[0] in category_filter]
    return flashes if with_categories else [message for _, message in flashes]


def _flashes_of(kept: Any) -> list[tuple[str, Any]]:
    """What a session keeps as messages; whatever is not one is left out."""
    if not isinstance(kept, (list, tuple)):
        return []
    return [(item[0], item[1]) for item in kept if isinstance(item, (list, tuple)) and len(item) == 2]
