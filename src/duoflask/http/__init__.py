"""Bytes to values and back: the HTTP layer. Knows no app, no context and does no I/O of its own."""

from __future__ import annotations

__all__: list[str] = []
