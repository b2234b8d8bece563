"""Form data: bytes of a body to fields. Knows no request; a limit is named by its configuration key."""

from __future__ import annotations

from .errors import RequestEntityTooLarge
from .uri import parse_query

__all__ = ["DEFAULT_MAX_FORM_MEMORY_SIZE", "DEFAULT_MAX_FORM_PARTS", "parse_urlencoded"]

# Werkzeug's and Flask's defaults.
DEFAULT_MAX_FORM_MEMORY_SIZE = 500_000
DEFAULT_MAX_FORM_PARTS = 1000


def parse_urlencoded(
    data: bytes,
    max_fields: int | None = DEFAULT_MAX_FORM_PARTS,
    max_memory_size: int | None = DEFAULT_MAX_FORM_MEMORY_SIZE,
) -> list[tuple[str, str]]:
    """Split the body of an `application/x-www-form-urlencoded` form into its pairs.

    Args:
        data: The body.
        max_fields: The most fields to accept; None for any number.
        max_memory_size: The most bytes to accept; None for any number.

    Raises:
        RequestEntityTooLarge: One of the two is exceeded.
    """
    if max_memory_size is not None and len(data) > max_memory_size:
        raise RequestEntityTooLarge(
            f"the form is too large; expected at most {max_memory_size} bytes (MAX_FORM_MEMORY_SIZE)"
        )
    try:
        return parse_query(data, max_fields)
    except ValueError:
        raise RequestEntityTooLarge(
            f"the form has too many fields; expected at most {max_fields} (MAX_FORM_PARTS)"
        ) from None
