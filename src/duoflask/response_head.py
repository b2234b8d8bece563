"""The head of a response: status, header fields and cookies, and what each gateway sends of them.

Knows of the body only the length that a complete one has.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urljoin

from .http.callback_dict import CallbackDict
from .http.connection import Connection
from .http.cookies import DEFAULT_MAX_COOKIE_SIZE, dump_cookie
from .http.entity_fields import ENTITY_FIELDS
from .http.header_property import media_parameters
from .http.headers import Headers
from .http.uri import iri_to_uri
from .http.wire import CONTENT_TYPES, LENGTHS, RAW_LENGTHS, RAW_PAIRS, content_type_of, parse_status
from .typing import WSGIEnvironment

if TYPE_CHECKING:
    from http import HTTPStatus

__all__ = ["ResponseHead"]

# Status codes whose responses never have a body (RFC 9110 6.4.1).
_BODILESS: Final = frozenset({204, 304})
_OF_BODY: Final = frozenset({"content-length", "content-type"})
# A 304 leaves out what describes the representation, because the client has it, but for these (RFC 9110 15.4.5).
_OF_REPRESENTATION: Final = ENTITY_FIELDS - {"content-location", "expires"}

_new: Final = object.__new__
_raw_pair: Final = RAW_PAIRS.__getitem__


class ResponseHead:
    """What a response sends before its body; `Response` adds the body and makes the instances."""

    charset = "utf-8"
    default_mimetype: str | None = "text/plain"
    autocorrect_location_header = False
    automatically_set_content_length = True

    # PERF: slots, because the gateways read all of them for every response (see AppContext).
    __slots__ = ("_body", "_headers", "_status", "_status_code")
    _body: bytes | None
    """A complete body, for its length; None while the body is an iterable."""
    _headers: Headers | None
    """None until somebody looks; until then `_default_headers` and the length are what is sent."""
    _status: str
    _status_code: int
    _max_cookie_size: int | None = None

    # The context of the app, if one is active; set from above.
    _context: ClassVar[Any] = type(None)

    _default_headers: tuple[tuple[str, str], tuple[bytes, bytes]]
    """The Content-Type pair in both protocols' forms."""
    _has_usual_head: bool
    """Whether a complete body is sent with a type and a length; a class without one makes its `headers` at once."""
    _asks_environ: bool
    """Whether what is sent is what the class's own `get_wsgi_headers` says."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._keep_default_headers()

    @classmethod
    def _keep_default_headers(cls) -> None:
        value = "" if cls.default_mimetype is None else content_type_of(cls.default_mimetype, cls.charset)
        cls._default_headers = CONTENT_TYPES[value]
        custom = cls.get_wsgi_headers is not ResponseHead.get_wsgi_headers or cls.autocorrect_location_header
        cls._has_usual_head = bool(value) and cls.automatically_set_content_length and not custom
        cls._asks_environ = custom
        if custom:
            for name, own in (("wsgi_headers", _custom_wsgi_headers), ("raw_headers", _custom_raw_headers)):
                if name not in cls.__dict__:
                    setattr(cls, name, own)

    def _note_head(self) -> None:
        """Have a head that is not the usual one ready: the fields, and the environ that its class may ask for."""
        self._headers = self.headers
        ctx = self._context() if self._asks_environ else None
        if ctx is not None and ctx.has_request:
            self.__dict__["_environ"] = ctx.request.environ

    @property
    def max_cookie_size(self) -> int:
        """The size from which on `set_cookie` warns, in bytes: MAX_COOKIE_SIZE, unless set here; 0 for never."""
        own = self._max_cookie_size
        if own is None:
            ctx = self._context()
            return DEFAULT_MAX_COOKIE_SIZE if ctx is None else ctx.app.config["MAX_COOKIE_SIZE"]
        return own

    @max_cookie_size.setter
    def max_cookie_size(self, value: int) -> None:
        self.__dict__["_max_cookie_size"] = value

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
        # what a request has is a Headers too, but without a list
        self._headers = value if isinstance(value, Headers) and hasattr(value, "_list") else Headers(value)

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
    def mimetype_params(self) -> CallbackDict[str, str]:
        """The parameters of the media type; changes are written back."""
        return media_parameters(self.headers)

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
        # PERF: names for twelve arguments cost 100 ns (fields, benchmarks/).
        size = self.max_cookie_size
        cookie = dump_cookie(
            key, value, max_age, expires, path, domain, secure, httponly, True, size, samesite, partitioned
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
        fields = self._headers
        if fields is None:
            fields = self.headers
        pairs: list[tuple[str, str]] = fields._list
        code = self._status_code
        if code != 200:
            if code < 200 or code in _BODILESS:
                dropped = _OF_REPRESENTATION if code == 304 else _OF_BODY
                return [pair for pair in pairs if pair[0].lower() not in dropped]
            if code == 201 or 300 <= code < 400:
                pairs = _with_sendable_location(pairs)
        if len(pairs) > 1 and pairs[1][0] == "Content-Length":
            return pairs  # PERF: where `headers` put it; looking for it costs 270 ns
        if self._body is not None and self.automatically_set_content_length and "Content-Length" not in fields:
            return [*pairs, LENGTHS[len(self._body)]]
        return pairs

    def wsgi_headers(self) -> list[tuple[str, str]]:
        """The header fields as PEP 3333 wants them: in a list of the server's own."""
        body, code = self._body, self._status_code
        if self._headers is None and (code == 200 or code >= 400):
            kind = self._default_headers[0]
            return [kind] if body is None else [kind, LENGTHS[len(body)]]
        return self._pairs()[:]

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The header fields as ASGI wants them."""
        body, code = self._body, self._status_code
        if self._headers is None and (code == 200 or code >= 400):
            kind = self._default_headers[1]
            return [kind] if body is None else [kind, RAW_LENGTHS[len(body)]]
        return list(map(_raw_pair, self._pairs()))

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """The header fields as they are sent; a class may replace it, and both protocols call it then.

        Args:
            environ: The request's environ; `autocorrect_location_header` needs it.
        """
        fields = _new(Headers)
        fields._list = self._pairs()[:]
        location = fields.get("Location")
        if location is not None:
            location = iri_to_uri(location)
            if self.autocorrect_location_header and environ:
                location = urljoin(iri_to_uri(Connection(environ).base_url), location)
            fields["Location"] = location
        return fields


def _with_sendable_location(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The fields with a Location of ASCII: what is beyond it is percent-encoded, the host in Punycode."""
    for index, (name, value) in enumerate(pairs):
        if not value.isascii() and name.lower() == "location":
            pairs = [*pairs]
            pairs[index] = (name, iri_to_uri(value))
    return pairs


def _custom_wsgi_headers(self: ResponseHead) -> list[tuple[str, str]]:
    """`wsgi_headers` of a class with a `get_wsgi_headers` of its own."""
    fields: Headers = self.get_wsgi_headers(self.__dict__.get("_environ", {}))
    return fields.to_wsgi_list()


def _custom_raw_headers(self: ResponseHead) -> list[tuple[bytes, bytes]]:
    """`raw_headers` of such a class."""
    return [RAW_PAIRS[pair] for pair in _custom_wsgi_headers(self)]
