"""`CORSMiddleware`: which other sites' pages may read the answers.

The protocol is that of the Fetch standard, https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from ..http.grammar import is_token
from ..http.headers import Headers
from ..response import Response
from .around import Middleware, headers_of, is_scope
from .filtering import ResponseFilter, add_vary

__all__ = ["CORSMiddleware"]

# RFC 6454 6.1: scheme "://" host [ ":" port ], without a path.
_ORIGIN_RE: Final = re.compile(r"[a-z][a-z0-9+.\-]*://[^/\s,*@]+", re.IGNORECASE)

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class CORSMiddleware(Middleware):
    """Allow pages of other origins to read what the application answers.

    A preflight request is answered here; the application does not see it. Where the allowed origins are a list, every
    answer says `Vary: Origin`. An application that sets `Access-Control-Allow-Origin` itself is left alone.

    Args:
        app: The application, of either protocol or of both.
        origins: `"*"` for every origin; or an origin such as `"https://example.com"`, a compiled pattern that has to
            match a whole origin, or several of these.
        methods: The methods that pages may use.
        headers: The header fields that pages may send beside the harmless ones, such as `["Authorization"]`; `"*"` for
            all but Authorization.
        expose: The header fields of the answers that pages may read beside the harmless ones.
        credentials: Whether pages may send cookies and read what comes back. Only for origins that are named.
        max_age: How long a browser may keep the answer to a preflight request, in seconds; None leaves it to the
            browser.

    Raises:
        ValueError: Something that is no origin, method or field name; or `credentials` for every origin.
    """

    def __init__(
        self,
        app: Any,
        origins: str | re.Pattern[str] | Iterable[str | re.Pattern[str]],
        *,
        methods: Iterable[str] = _METHODS,
        headers: str | Iterable[str] = ("Content-Type",),
        expose: Iterable[str] = (),
        credentials: bool = False,
        max_age: int | None = 600,
    ) -> None:
        super().__init__(app)
        given = [origins] if isinstance(origins, (str, re.Pattern)) else list(origins)
        self._any = "*" in given
        self._origins = frozenset(_origin(item) for item in given if isinstance(item, str) and item != "*")
        self._patterns = [item for item in given if isinstance(item, re.Pattern)]
        allowed_headers = [headers] if isinstance(headers, str) else list(headers)
        if credentials and (self._any or "*" in allowed_headers or "null" in self._origins):
            raise ValueError(
                "credentials=True with a wildcard (or with the origin 'null', which every sandboxed page has) would "
                "let any site act in the name of your users; write the origins and the headers out, such as "
                "origins=['https://example.com'], headers=['Authorization']"
            )
        common = {"Access-Control-Allow-Credentials": "true"} if credentials else {}
        self._answer = dict(common)
        if exposed := _tokens(expose):
            self._answer["Access-Control-Expose-Headers"] = exposed
        self._preflight = {**common, "Access-Control-Allow-Methods": _tokens(method.upper() for method in methods)}
        if names := _tokens(allowed_headers):
            self._preflight["Access-Control-Allow-Headers"] = names
        if max_age is not None:
            self._preflight["Access-Control-Max-Age"] = str(int(max_age))

    def prepare(self, source: Any) -> tuple[Any, Any, ResponseFilter | None]:
        """Answer a preflight request, or have the answer name the origin."""
        if is_scope(source) and source["type"] != "http":
            return self.app, source, None  # a WebSocket's Origin is for the application to check
        fields = headers_of(source)
        origin = fields.get("Origin")
        allowed = self._allow(origin)
        method = source["method"] if is_scope(source) else source["REQUEST_METHOD"]
        if method == "OPTIONS" and origin is not None and "Access-Control-Request-Method" in fields:
            return self._answer_preflight(allowed), source, None
        return self.app, source, _CORSFilter(allowed, not self._any, self._answer)

    def _allow(self, origin: str | None) -> str | None:
        """What Access-Control-Allow-Origin says to an origin; None for nothing."""
        if self._any:
            return "*"
        if origin is None or not (origin.isascii() and origin.isprintable()):
            return None  # RFC 6454 7.1; what a pattern lets through is sent back
        if origin.lower() in self._origins or any(pattern.fullmatch(origin) for pattern in self._patterns):
            return origin
        return None

    def _answer_preflight(self, allowed: str | None) -> Response:
        response = Response(status=204)
        if allowed is not None:
            response.headers["Access-Control-Allow-Origin"] = allowed
            response.headers.update(self._preflight)
        if not self._any:
            response.headers["Vary"] = "Origin"
        return response


class _CORSFilter(ResponseFilter):
    __slots__ = ("_allowed", "_fields", "_varies")

    def __init__(self, allowed: str | None, varies: bool, fields: dict[str, str]) -> None:
        self._allowed = allowed
        self._varies = varies
        self._fields = fields

    def head(self, status: int, headers: Headers) -> None:
        if self._varies:
            add_vary(headers, "Origin")
        if self._allowed is not None and "Access-Control-Allow-Origin" not in headers:
            headers["Access-Control-Allow-Origin"] = self._allowed
            headers.update(self._fields)


def _origin(text: str) -> str:
    origin = text.rstrip("/").lower()
    if origin != "null" and _ORIGIN_RE.fullmatch(origin) is None:
        raise ValueError(
            f"invalid origin; expected scheme and host, such as 'https://example.com', without a path or wildcard; got "
            f"{text!r}. For several hosts write a pattern: re.compile(r'https://[a-z]+\\.example\\.com')."
        )
    return origin


def _tokens(names: Iterable[str]) -> str:
    names = list(names)
    for name in names:
        if not is_token(name):
            raise ValueError(f"invalid method or header name; expected a token (RFC 9110 5.6.2); got {name!r}")
    return ", ".join(names)
