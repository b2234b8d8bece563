"""The values of Cross-Origin-Embedder-Policy and Cross-Origin-Opener-Policy (HTML Standard)."""

from __future__ import annotations

from enum import Enum

__all__ = ["COEP", "COOP"]


class COEP(Enum):
    """Which resources of other origins a page may embed."""

    UNSAFE_NONE = "unsafe-none"
    REQUIRE_CORP = "require-corp"


class COOP(Enum):
    """Which windows of other origins a page shares its browsing context group with."""

    UNSAFE_NONE = "unsafe-none"
    SAME_ORIGIN_ALLOW_POPUPS = "same-origin-allow-popups"
    SAME_ORIGIN = "same-origin"
