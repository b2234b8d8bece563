"""Numbers in header fields: `delta-seconds` (RFC 9111 1.2.2) and the Age field (RFC 9111 5.1)."""

from __future__ import annotations

from datetime import timedelta

__all__ = ["MAX_DELTA_SECONDS", "dump_age", "parse_age", "parse_decimal", "parse_delta_seconds"]

# RFC 9111 1.2.2: what is larger counts as this.
MAX_DELTA_SECONDS = 2**31

# More digits than any number in a field needs; `int` takes quadratic time and refuses 4301.
_MAX_DIGITS = 300


def parse_decimal(value: str | None) -> int | None:
    """Read 1*DIGIT; None for anything else: signs, underscores, digits beyond ASCII, more than 300 of them."""
    if value is None or len(value) > _MAX_DIGITS or not value.isascii() or not value.isdecimal():
        return None
    return int(value)


def parse_delta_seconds(value: str | None) -> int | None:
    """Read a number of seconds, which counts as 2**31 if it is larger (RFC 9111 1.2.2); None if it is none."""
    if value is None or not value.isascii() or not value.isdecimal():
        return None
    return MAX_DELTA_SECONDS if len(value) > _MAX_DIGITS else min(int(value), MAX_DELTA_SECONDS)


def parse_age(value: str | None = None) -> timedelta | None:
    """Read an Age field; None if it is not a number of seconds."""
    seconds = parse_delta_seconds(value.strip(" \t") if value else None)
    return None if seconds is None else timedelta(seconds=seconds)


def dump_age(age: timedelta | int | None = None) -> str | None:
    """Return the value of an Age field, in whole seconds; None for None.

    Raises:
        ValueError: It is negative or no number.
    """
    if age is None:
        return None
    seconds = int(age.total_seconds() if isinstance(age, timedelta) else age)
    if seconds < 0:
        raise ValueError(f"invalid age; expected no negative number; got {age!r}")
    return str(seconds)
