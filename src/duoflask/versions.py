"""The versions whose interface this is."""

from __future__ import annotations

from typing import Final

__all__ = ["FLASK_VERSION", "WERKZEUG_VERSION"]

FLASK_VERSION: Final = "3.1.3"
WERKZEUG_VERSION: Final = "3.1.9"
