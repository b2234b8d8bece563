"""What is wrong with an application, before its users find out: `duoflask doctor`, and a short form at start-up."""

from __future__ import annotations

from .checks import Case, examine
from .command import doctor_command
from .findings import Finding

__all__ = ["Case", "Finding", "doctor_command", "examine"]
