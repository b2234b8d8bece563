"""The plain HTML page of an HTTP error, and its response.

Owns no response class: `_make_response` and `_send_page` are set one floor up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from ..lazy import LazyModule
from .status import HTTP_STATUS_CODES

if TYPE_CHECKING:
    import markupsafe
else:
    markupsafe = LazyModule("markupsafe")

__all__ = ["_ErrorPage"]

# What an exception may hold without its page being another; and what makes the page.
_OF_NO_PAGE = frozenset({"response"})
_MAKE_PAGE = ("get_body", "get_description", "get_headers", "name")


class _ErrorPage:
    """What an error answers with, unless it was given a response."""

    response: Any
    code: int | None = None
    description: str | None = None
    # (body, code, headers) -> Response, and (a page in HTML, code) -> Response; exceptions.py sets them
    _make_response: ClassVar[Callable[[str, int | None, list[tuple[str, str]]], Any] | None] = None
    _send_page: ClassVar[Callable[[bytes, int], Any]]
    # the page of a class whose description says nothing of the request, with what it was made of
    _page: ClassVar[tuple[int | None, str | None, bytes]]

    @property
    def name(self) -> str:
        """The status phrase, such as `Not Found`."""
        return HTTP_STATUS_CODES.get(self.code, "Unknown Error")  # type: ignore[arg-type]

    def get_description(self, environ: Any = None, scope: Any = None) -> str:
        """Return the description as an escaped HTML paragraph."""
        text = str(markupsafe.escape(self.description or "")).replace("\n", "<br>")
        return f"<p>{text}</p>"

    def get_body(self, environ: Any = None, scope: Any = None) -> str:
        """Return the HTML page."""
        name = markupsafe.escape(self.name)
        return (
            f"<!doctype html>\n<html lang=en>\n<title>{self.code} {name}</title>\n"
            f"<h1>{name}</h1>\n{self.get_description(environ, scope)}\n"
        )

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        """Return the header pairs of the default page."""
        return [("Content-Type", "text/html; charset=utf-8")]

    def get_response(self, environ: Any = None, scope: Any = None) -> Any:
        """Return `response` if one was given, else a new response with the default page."""
        if self.response is not None:
            return self.response
        make = type(self)._make_response
        if make is None:
            raise RuntimeError("there is no response class yet; import duoflask.response first")
        page = self._usual_page()
        if page is not None:
            return type(self)._send_page(page, self.code)  # type: ignore[arg-type]
        return make(self.get_body(environ, scope), self.code, self.get_headers(environ, scope))

    def _usual_page(self) -> bytes | None:
        """The page that all exceptions of this class have, as far as nothing of it is their own.

        PERF: a 404 in 60% of the time (missing, benchmarks/).
        """
        kind = type(self)
        own = self.__dict__
        # PERF: 250 ns less than the difference of two sets alone (missing)
        if self.code is None or (own.keys() - _OF_NO_PAGE if len(own) != 1 or "response" not in own else False):
            return None
        page = kind.__dict__.get("_page")
        if page is None or page[0] is not kind.code or page[1] is not kind.description:
            if any(getattr(kind, name) is not getattr(_ErrorPage, name) for name in _MAKE_PAGE):
                return None
            if not isinstance(kind.description, str):
                return None
            page = kind._page = kind.code, kind.description, self.get_body().encode()
        return page[2]
