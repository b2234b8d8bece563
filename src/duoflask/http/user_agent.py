"""The User-Agent header as an object, so that a subclass may parse it."""

from __future__ import annotations

__all__ = ["UserAgent"]


class UserAgent:
    """What the client says about itself; only `string` is filled in."""

    platform: str | None = None
    browser: str | None = None
    version: str | None = None
    language: str | None = None

    def __init__(self, string: str) -> None:
        self.string = string

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.browser}/{self.version}>"

    def __str__(self) -> str:
        return self.string

    def __bool__(self) -> bool:
        return bool(self.browser)

    def to_header(self) -> str:
        """Return the header's value."""
        return self.string
