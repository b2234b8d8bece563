"""How much of a request's body is read: the limits that requests share.

Knows no request.
"""

from __future__ import annotations

from .http.body import DEFAULT_MAX_BODY_MEMORY, DEFAULT_MAX_SPOOLED_BODY
from .http.buffered import BufferedBody
from .http.forms import DEFAULT_MAX_FORM_MEMORY_SIZE, DEFAULT_MAX_FORM_PARTS

__all__ = ["Limits"]


class Limits:
    """How much of a body is read; None for no limit. Requests share it: nobody changes one."""

    __slots__ = ("max_content_length", "max_form_memory_size", "max_form_parts", "max_in_memory", "max_spooled_body")

    def __init__(
        self,
        max_content_length: int | None = None,
        max_form_memory_size: int | None = DEFAULT_MAX_FORM_MEMORY_SIZE,
        max_form_parts: int | None = DEFAULT_MAX_FORM_PARTS,
        max_spooled_body: int | None = DEFAULT_MAX_SPOOLED_BODY,
    ) -> None:
        self.max_content_length = max_content_length
        self.max_form_memory_size = max_form_memory_size
        self.max_form_parts = max_form_parts
        self.max_spooled_body = max_spooled_body
        total = max_spooled_body if max_content_length is None else max_content_length
        self.max_in_memory: int = DEFAULT_MAX_BODY_MEMORY if total is None else min(total, DEFAULT_MAX_BODY_MEMORY)
        """The most bytes of a body that may stay in memory as it is."""

    def new_body(self) -> BufferedBody:
        """Return an empty body that ends at the limit."""
        limit = self.max_content_length
        if limit is None:
            return BufferedBody(max_total=self.max_spooled_body, limit_name="MAX_SPOOLED_BODY")
        return BufferedBody(max_total=limit)
