"""The stores of server-side sessions, one module each; `choice` imports the one that is configured."""

from __future__ import annotations

__all__: list[str] = []
