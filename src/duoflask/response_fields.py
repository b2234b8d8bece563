"""The header fields of a response that have an attribute of their own.

Owns what each of them is read into and written from. Several lines of a list are read as one; of several challenges or
policies the first is the attribute, and the others stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from .http.age import dump_age, parse_age, parse_decimal, parse_delta_seconds
from .http.auth import WWWAuthenticate
from .http.cache_control import ResponseCacheControl, parse_cache_control_header
from .http.cross_origin import COEP, COOP
from .http.csp import ContentSecurityPolicy, parse_csp_header
from .http.dates import http_date, parse_date
from .http.etags import quote_etag, unquote_etag
from .http.header_property import header_property, joined_field, replace_first, set_property
from .http.ranges import ContentRange, parse_content_range_header
from .http.uri import iri_to_uri
from .response_head import ResponseHead

__all__ = ["ResponseFields"]


def _dump_uri(value: str) -> str:
    """An address as it can be sent; one of ASCII stays as it is, so that what is wrong in it is refused."""
    return value if value.isascii() else iri_to_uri(value)


def _policy_property(name: str, doc: str) -> Any:
    """An attribute for a Content-Security-Policy field."""

    def read(self: ResponseFields) -> ContentSecurityPolicy:
        headers = self.headers

        def write_back(policy: ContentSecurityPolicy) -> None:
            replace_first(headers, name, policy.to_header())

        return parse_csp_header(headers.get(name), write_back)  # type: ignore[no-any-return]

    def write(self: ResponseFields, value: ContentSecurityPolicy | str | None) -> None:
        self._set(name, str(value) if value else None)

    def remove(self: ResponseFields) -> None:
        self.headers.remove(name)

    return property(read, write, remove, doc)


class ResponseFields(ResponseHead):
    """A response's head, with an attribute for each field that has a meaning here."""

    __slots__ = ()

    location = header_property[str]("Location", None, None, _dump_uri, doc="Where to go instead (RFC 9110 10.2.2).")
    content_length = header_property[int](
        "Content-Length", None, parse_decimal, str, doc="The length of the body, in bytes (RFC 9110 8.6)."
    )
    content_encoding = header_property[str]("Content-Encoding", doc="The codings of the body (RFC 9110 8.4).")
    content_location = header_property[str](
        "Content-Location", None, None, _dump_uri, doc="The body's own address (RFC 9110 8.7)."
    )
    content_md5 = header_property[str]("Content-MD5", doc="The body's MD5 digest (RFC 1864, obsolete).")
    content_language = set_property("Content-Language", "The languages of the intended readers (RFC 9110 8.5).")
    accept_ranges = header_property[str]("Accept-Ranges", doc="`bytes` or `none` (RFC 9110 14.3).")
    age = header_property[timedelta](
        "Age", None, parse_age, dump_age, doc="The time since the response was made (RFC 9111 5.1)."
    )
    date = header_property[datetime]("Date", None, parse_date, http_date, doc="When it was made (RFC 9110 6.6.1).")
    expires = header_property[datetime](
        "Expires", None, parse_date, http_date, doc="When the response becomes stale (RFC 9111 5.3)."
    )
    last_modified = header_property[datetime](
        "Last-Modified", None, parse_date, http_date, doc="When the resource was changed (RFC 9110 8.8.2)."
    )
    vary = set_property("Vary", "The request's fields that the response depends on (RFC 9110 12.5.5).")
    allow = set_property("Allow", "The methods that the resource has (RFC 9110 10.2.1).")

    content_security_policy = _policy_property("Content-Security-Policy", "The policy that browsers enforce (CSP 3).")
    content_security_policy_report_only = _policy_property(
        "Content-Security-Policy-Report-Only", "The policy whose violations browsers report (CSP 3)."
    )

    access_control_allow_headers = set_property(
        "Access-Control-Allow-Headers", "The fields that other origins may send; None without.", optional=True
    )
    access_control_allow_methods = set_property(
        "Access-Control-Allow-Methods", "The methods that other origins may use; None without.", optional=True
    )
    access_control_expose_headers = set_property(
        "Access-Control-Expose-Headers", "The fields that other origins may read; None without.", optional=True
    )
    access_control_allow_origin = header_property[str](
        "Access-Control-Allow-Origin", doc="The origin that may read the response, or `*`."
    )
    access_control_max_age = header_property[int](
        "Access-Control-Max-Age", None, parse_decimal, str, doc="How long the answer may be kept, in seconds."
    )
    cross_origin_opener_policy = header_property[COOP](
        "Cross-Origin-Opener-Policy",
        COOP.UNSAFE_NONE,
        COOP,
        lambda value: COOP(value).value,
        doc="Which windows share the page's browsing context group.",
    )
    cross_origin_embedder_policy = header_property[COEP](
        "Cross-Origin-Embedder-Policy",
        COEP.UNSAFE_NONE,
        COEP,
        lambda value: COEP(value).value,
        doc="Which resources of other origins the page may embed.",
    )

    @property
    def access_control_allow_credentials(self) -> bool:
        """Whether other origins may send cookies and read the answer; only True sets the field."""
        return "Access-Control-Allow-Credentials" in self.headers

    @access_control_allow_credentials.setter
    def access_control_allow_credentials(self, value: bool | None) -> None:
        self._set("Access-Control-Allow-Credentials", "true" if value is True else None)

    @property
    def retry_after(self) -> datetime | None:
        """When to try again (RFC 9110 10.2.3): set it to a date, or to a number of seconds."""
        value = self.headers.get("Retry-After")
        seconds = parse_delta_seconds(value)
        return parse_date(value) if seconds is None else datetime.now(UTC) + timedelta(seconds=seconds)

    @retry_after.setter
    def retry_after(self, value: datetime | int | str | None) -> None:
        if value is not None:
            value = http_date(value) if isinstance(value, datetime) else str(value)
        self._set("Retry-After", value)

    @property
    def cache_control(self) -> ResponseCacheControl:
        """The directives of Cache-Control (RFC 9111 5.2); changes are written back."""
        headers = self.headers

        def write_back(directives: ResponseCacheControl) -> None:
            if directives:
                headers["Cache-Control"] = directives.to_header()
            else:
                headers.remove("Cache-Control")

        value = joined_field(headers, "Cache-Control")
        return parse_cache_control_header(value, write_back, ResponseCacheControl)  # type: ignore[no-any-return]

    @property
    def content_range(self) -> ContentRange:
        """The part of the data that the body is (RFC 9110 14.4); false where there is no such field."""
        headers = self.headers

        def write_back(value: ContentRange) -> None:
            if value:
                headers["Content-Range"] = value.to_header()
            else:
                headers.remove("Content-Range")

        found = parse_content_range_header(headers.get("Content-Range"), write_back)
        if found is None:
            found = ContentRange(None, None, None)
            found.on_update = write_back
        return found

    @content_range.setter
    def content_range(self, value: ContentRange | str | None) -> None:
        self._set("Content-Range", str(value) if value else None)

    @property
    def www_authenticate(self) -> WWWAuthenticate:
        """The challenge for credentials (RFC 9110 11.6.1), the first one if there are several.

        Changes of it are written back. Set it to a list to send several; `del` or None removes them all.
        """
        headers = self.headers
        found = WWWAuthenticate.from_header(headers.get("WWW-Authenticate"))
        return self._bound(WWWAuthenticate("basic") if found is None else found)

    @www_authenticate.setter
    def www_authenticate(self, value: WWWAuthenticate | Iterable[WWWAuthenticate] | None) -> None:
        challenges = [] if not value else [value] if isinstance(value, WWWAuthenticate) else list(value)
        self.headers.setlist("WWW-Authenticate", [challenge.to_header() for challenge in challenges])
        if isinstance(value, WWWAuthenticate):
            self._bound(value)

    @www_authenticate.deleter
    def www_authenticate(self) -> None:
        self.headers.remove("WWW-Authenticate")

    def _bound(self, challenge: WWWAuthenticate) -> WWWAuthenticate:
        """Have the changes of a challenge written to the first field of its kind."""
        headers = self.headers

        def write_back(changed: Any) -> None:
            replace_first(headers, "WWW-Authenticate", changed.to_header())

        challenge.on_update = write_back
        return challenge

    def set_etag(self, etag: str, weak: bool = False) -> None:
        """Set the ETag (RFC 9110 8.8.3).

        Raises:
            ValueError: It holds a quote.
        """
        self.headers["ETag"] = quote_etag(etag, weak)

    def get_etag(self) -> tuple[str, bool] | tuple[None, None]:
        """Return the ETag without quotes and whether it is weak; `(None, None)` without one."""
        return unquote_etag(self.headers.get("ETag"))
