"""HTTP dates (RFC 9110 5.6.7): `http_date` writes them, `parse_date` reads them and never raises."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from time import gmtime, mktime, struct_time, time as now
from typing import TYPE_CHECKING

from ..lazy import LazyModule

if TYPE_CHECKING:
    import calendar
    from email import utils as email_utils
else:  # 12 ms of `import duoflask`
    calendar = LazyModule("calendar")
    email_utils = LazyModule("email.utils")


__all__ = ["DEFAULT_MAX_DATE_LENGTH", "http_date", "parse_date"]

# The longest valid form ("Wednesday, 06-Nov-94 08:49:37 GMT", RFC 850) has 33 characters; comments are rare.
DEFAULT_MAX_DATE_LENGTH = 128

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name: number for number, name in enumerate(_MONTHS, 1)}

# IMF-fixdate = day-name "," SP date1 SP time-of-day SP GMT
_FIXDATE_RE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4})"
    r" ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)

_now_cache: tuple[int, str] = (-1, "")


def _format(seconds: float) -> str:
    year, month, day, hour, minute, second, weekday, _, _ = gmtime(seconds)
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"


def http_date(timestamp: datetime | date | float | struct_time | None = None) -> str:
    """Format a time as IMF-fixdate.

    Args:
        timestamp: Seconds since the epoch, a datetime (naive means UTC), a date (midnight UTC), a
            `struct_time` (local time) or None for now. The text for now is kept for a second: 130 ns instead
            of 1,400.
    """
    if timestamp is None:
        global _now_cache
        seconds = int(now())
        cached = _now_cache  # one read: another thread may replace the pair
        if cached[0] == seconds:
            return cached[1]
        text = _format(seconds)
        _now_cache = (seconds, text)
        return text
    if isinstance(timestamp, date):
        if isinstance(timestamp, datetime):
            return _format(calendar.timegm(timestamp.utctimetuple()))
        return _format(calendar.timegm(timestamp.timetuple()))
    if isinstance(timestamp, struct_time):
        return _format(mktime(timestamp))
    return _format(timestamp)


def parse_date(value: str | None) -> datetime | None:
    """Read a date of any of the three HTTP forms, or of RFC 5322; None if it is none of them.

    Returns:
        An aware datetime in UTC. Nothing a peer sends makes this raise.
    """
    if not value or len(value) > DEFAULT_MAX_DATE_LENGTH:
        return None
    try:
        match = _FIXDATE_RE.fullmatch(value)
        if match is not None:
            day, month, year, hour, minute, second = match.groups()
            return datetime(int(year), _MONTH_NUMBERS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
        result = email_utils.parsedate_to_datetime(value)
        if result.tzinfo is None:
            return result.replace(tzinfo=UTC)
        return result.astimezone(UTC)
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError):
        return None
