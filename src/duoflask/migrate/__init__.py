"""Turning projects of Flask's and Quart's into projects of duoflask's: `duoflask migrate`.

Owns reading and changing of source files. Imports nothing of what it reads, and nothing of `flask_patch`.
"""

from __future__ import annotations

from .command import migrate_command
from .project import Scan, scan

__all__ = ["Scan", "migrate_command", "scan"]
