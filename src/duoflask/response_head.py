"""The head of a response: status, header fields and cookies, and what each gateway sends of them.

Knows of the body only the length that a complete one has.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from .http.cookies import DEFAULT_MAX_COOKIE_SIZE, dump_cookie
from .http.headers import Headers
from .http.options import parse_options_header
from .http.wire import CONTENT_TYPES, LENGTHS, RAW_LENGTHS, RAW_PAIRS, content_type_of, parse_status
from .typing import WSGIEnvironment

__all__ = ["ResponseHead"]

# Status codes whose responses never have a body (RFC 9110 6.4.1).
_BODILESS: Final = frozenset({204, 304})

_new: Final = object.__new__
_raw_pair: Final = RAW_PAIRS.__getitem__


class ResponseHead:
    """What a response sends before its body; `Response` adds the body and makes the instances."""

    charset = "utf-8"
    default_mimetype: str | None = "text/html"
    autocorrect_location_header = False
    automatically_set_content_length = True
    max_cookie_size = DEFAULT_MAX_COOKIE_SIZE

    # PERF: slots, because the gateways read all of them for every response (see AppContext).
    __slots__ = ("_body", "_headers", "_status", "_status_code")
    _body: bytes | None
    """A complete body, for its length; None while the body is an iterable."""
    _headers: Headers | None
    """None until somebody looks; until then `_default_headers` and the length are what is sent."""
    _status: str
    _status_code: int

    _default_headers: tuple[tuple[str, str], tuple[bytes, bytes]]
    _has_usual_head: bool
    """Whether a complete body is sent with a type and a length; a class without one makes its `headers` at once."""
    """The Content-Type pair in both protocols' forms."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._keep_default_headers()

    @classmethod
    def _keep_default_headers(cls) -> None:
        value = "" if cls.default_mimetype is None else content_type_of(cls.default_mimetype, cls.charset)
        cls._default_headers = CONTENT_TYPES[value]
        cls._has_usual_head = bool(value) and cls.automatically_set_content_length

    # -- status

    @property
    def status_code(self) -> int:
        """The status code."""
        return self._status_code

    @status_code.setter
    def status_code(self, code: int) -> None:
        self.status = code

    @property
    def status(self) -> str:
        """The status code and reason phrase."""
        return self._status

    @status.setter
    def status(self, value: int | str | HTTPStatus) -> None:
        self._status, self._status_code = parse_status(value)

    # -- header fields

    @property
    def headers(self) -> Headers:
        """The header fields."""
        fields = self._headers
        if fields is None:
            kind, body = self._default_headers[0], self._body
            pairs = [kind] if kind[1] else []
            if body is not None and self.automatically_set_content_length:
                pairs.append(LENGTHS[len(body)])
            self._headers = fields = _new(Headers)
            fields._list = pairs  # valid by construction
        return fields

    @headers.setter
    def headers(self, value: Any) -> None:
        self._headers = value if isinstance(value, Headers) else Headers(value)

    @property
    def content_type(self) -> str | None:
        """The Content-Type field (RFC 9110 8.3)."""
        value: str | None = self.headers.get("Content-Type")
        return value

    @content_type.setter
    def content_type(self, value: str | None) -> None:
        self._set("Content-Type", value)

    @property
    def mimetype(self) -> str | None:
        """The media type, without parameters, in lower case."""
        value = self.content_type
        return value.partition(";")[0].strip().lower() if value else None

    @mimetype.setter
    def mimetype(self, value: str) -> None:
        self.headers["Content-Type"] = content_type_of(value, self.charset)

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the media type."""
        return parse_options_header(self.headers.get("Content-Type", ""))[1]

    @property
    def content_length(self) -> int | None:
        """The Content-Length field, in bytes (RFC 9110 8.6)."""
        value = self.headers.get("Content-Length")
        return int(value) if value is not None and value.isascii() and value.isdecimal() else None

    @content_length.setter
    def content_length(self, value: int | None) -> None:
        self._set("Content-Length", None if value is None else str(value))

    @property
    def location(self) -> str | None:
        """The Location field (RFC 9110 10.2.2)."""
        value: str | None = self.headers.get("Location")
        return value

    @location.setter
    def location(self, value: str | None) -> None:
        self._set("Location", value)

    def _set(self, name: str, value: str | None) -> None:
        if value is None:
            self.headers.remove(name)
        else:
            self.headers[name] = value

    def set_cookie(
        self,
        key: str,
        value: str = "",
        max_age: timedelta | int | None = None,
        expires: str | datetime | int | float | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Add a Set-Cookie field (RFC 6265bis); arguments as in Werkzeug.

        Raises:
            ValueError: A name, path or domain that would end the cookie or start another attribute.
        """
        cookie = dump_cookie(
            key,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=secure,
            httponly=httponly,
            samesite=samesite,
            partitioned=partitioned,
            max_size=self.max_cookie_size,
        )
        self.headers.add("Set-Cookie", cookie)

    def delete_cookie(
        self,
        key: str,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = None,
        partitioned: bool = False,
    ) -> None:
        """Have the client drop a cookie; path, domain and flags must be those that it was set with."""
        self.set_cookie(key, "", 0, 0, path, domain, secure, httponly, samesite, partitioned)

    # -- what the gateways send

    def has_body(self, method: str) -> bool:
        """Whether a body follows the header: not after HEAD, 1xx, 204 and 304 (RFC 9110 6.4.1)."""
        code = self._status_code
        return method != "HEAD" and code >= 200 and code not in _BODILESS

    def _pairs(self) -> list[tuple[str, str]]:
        """The header fields as they are sent."""
        code = self._status_code
        fields = self._headers
        if fields is None:
            fields = self.headers
        pairs: list[tuple[str, str]] = fields._list
        if code < 200 or code in _BODILESS:
            return [pair for pair in pairs if pair[0].lower() not in ("content-length", "content-type")]
        if len(pairs) > 1 and pairs[1][0] == "Content-Length":
            return pairs  # PERF: where `headers` put it; looking for it costs 270 ns
        if self._body is not None and self.automatically_set_content_length and "Content-Length" not in fields:
            return [*pairs, LENGTHS[len(self._body)]]
        return pairs

    def wsgi_headers(self) -> list[tuple[str, str]]:
        """The header fields as PEP 3333 wants them: in a list of the server's own."""
        body = self._body
        if self._headers is None and body is not None and self._status_code == 200:
            return [self._default_headers[0], LENGTHS[len(body)]]
        return self._pairs()[:]

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The header fields as ASGI wants them."""
        body = self._body
        if self._headers is None and body is not None and self._status_code == 200:
            return [self._default_headers[1], RAW_LENGTHS[len(body)]]
        return list(map(_raw_pair, self._pairs()))

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """The header fields as they are sent."""
        return Headers(self._pairs())
