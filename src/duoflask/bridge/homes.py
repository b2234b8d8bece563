"""Which loop the calling code belongs to, as a key: what is kept once for each loop is found by it."""

from __future__ import annotations

from typing import Any, Final

from .portal import current_portal
from .workers import current_home

__all__ = ["PORTAL", "key_here"]

PORTAL: Final = "portal"  # stands for the process's portal, which need not run for `def` functions


def key_here() -> Any:
    """The loop (asyncio) or token (trio) that the calling code runs on, or for; `PORTAL` for the portal."""
    home = current_home()
    if home is None:
        return PORTAL
    portal = current_portal()
    return PORTAL if portal is not None and portal.loop is home.key else home.key
