"""One thing that is wrong, or soon will be, with what to write instead."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

__all__ = ["SEVERITIES", "Finding"]

SEVERITIES: Final = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """What `duoflask doctor` says.

    Args:
        severity: "error", "warning" or "note".
        code: A short name that stays the same, for a list of exceptions.
        message: What is wrong, and what that does.
        advice: What to write.
        where: A function or a file.
    """

    severity: str
    code: str
    message: str
    advice: str
    where: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        where = f" [{self.where}]" if self.where else ""
        return f"{self.severity}: {self.message}{where}\n    {self.advice} ({self.code})"
