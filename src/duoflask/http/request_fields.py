"""What the header fields of a request say, each as an attribute.

Owns which field an attribute reads, and as what. Knows only that its owner has `headers`; nothing a peer sends
makes an attribute raise.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .accept import Accept, CharsetAccept, LanguageAccept, MIMEAccept, parse_accept_header
from .age import parse_decimal
from .auth import Authorization
from .body import parse_content_length
from .cache_control import RequestCacheControl, parse_cache_control_header
from .dates import parse_date
from .descriptors import cached_property
from .errors import BadRequest
from .etags import ETags, IfRange, parse_etags, parse_if_range_header
from .header_property import header_property
from .header_set import HeaderSet, parse_set_header
from .options import parse_list_header, parse_options_header
from .ranges import Range, parse_range_header
from .user_agent import UserAgent

__all__ = ["RequestFields"]


# As clients mostly write them.
_PLAIN_TYPES = frozenset({"application/json", "application/x-www-form-urlencoded"})


class RequestFields:
    """The header fields of a request, read-only; each is None, or empty, where the field is missing."""

    headers: Any
    user_agent_class: type[UserAgent] = UserAgent

    # the body

    @property
    def content_type(self) -> str | None:
        """The type of the body (RFC 9110 8.3)."""
        return self.headers.get("Content-Type")  # type: ignore[no-any-return]

    content_encoding = header_property[str](
        "Content-Encoding", read_only=True, doc="The codings of the body (RFC 9110 8.4)."
    )
    content_md5 = header_property[str]("Content-MD5", read_only=True, doc="The body's MD5 digest (RFC 1864, obsolete).")

    @cached_property
    def content_length(self) -> int | None:
        """The announced length of the body; None if there is none, 0 if it is invalid.

        To read a body with an invalid length is an error (400).
        """
        if self._is_chunked:
            return None
        try:
            return parse_content_length(self.headers.get("Content-Length"))
        except BadRequest:
            return 0

    @property
    def _is_chunked(self) -> bool:
        coding = self.headers.get("Transfer-Encoding")
        return coding is not None and "chunked" in [item.lower() for item in parse_list_header(coding)]

    @cached_property
    def _content_type_parts(self) -> tuple[str, dict[str, str]]:
        content_type = self.content_type
        if content_type in _PLAIN_TYPES:  # PERF: 1 us less than the parser (form, benchmarks/)
            return content_type, {}
        value, options = parse_options_header(content_type)
        return value.lower(), options

    @property
    def mimetype(self) -> str:
        """The media type without parameters, in lower case."""
        return self._content_type_parts[0]

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the media type."""
        return self._content_type_parts[1]

    @property
    def is_json(self) -> bool:
        """Whether the media type is `application/json` or `application/*+json`."""
        if self._has_mimetype("application/json"):
            return True
        mimetype = self.mimetype
        return mimetype.startswith("application/") and mimetype.endswith("+json")

    def _has_mimetype(self, mimetype: str) -> bool:
        # PERF: as most clients write it, 250 ns less (body, benchmarks/)
        if self.content_type == mimetype and type(self).mimetype is RequestFields.mimetype:
            return True
        return self.mimetype == mimetype

    # what the client would like (RFC 9110 12.5)

    @cached_property
    def accept_mimetypes(self) -> MIMEAccept:
        """The media types of the Accept field."""
        return parse_accept_header(self.headers.get("Accept"), MIMEAccept)  # type: ignore[no-any-return]

    @cached_property
    def accept_charsets(self) -> CharsetAccept:
        """The charsets of the Accept-Charset field."""
        return parse_accept_header(self.headers.get("Accept-Charset"), CharsetAccept)  # type: ignore[no-any-return]

    @cached_property
    def accept_encodings(self) -> Accept:
        """The content codings of the Accept-Encoding field."""
        return parse_accept_header(self.headers.get("Accept-Encoding"))  # type: ignore[no-any-return]

    @cached_property
    def accept_languages(self) -> LanguageAccept:
        """The languages of the Accept-Language field."""
        return parse_accept_header(self.headers.get("Accept-Language"), LanguageAccept)  # type: ignore[no-any-return]

    @cached_property
    def cache_control(self) -> RequestCacheControl:
        """The directives of the Cache-Control field (RFC 9111 5.2.1)."""
        return parse_cache_control_header(self.headers.get("Cache-Control"))  # type: ignore[no-any-return]

    @cached_property
    def pragma(self) -> HeaderSet:
        """The directives of the Pragma field (RFC 9111 5.4)."""
        return parse_set_header(self.headers.get("Pragma"))

    # conditions (RFC 9110 13.1) and ranges (RFC 9110 14.2)

    @cached_property
    def if_match(self) -> ETags:
        """The tags of the If-Match field."""
        return parse_etags(self.headers.get("If-Match"))

    @cached_property
    def if_none_match(self) -> ETags:
        """The tags of the If-None-Match field."""
        return parse_etags(self.headers.get("If-None-Match"))

    @cached_property
    def if_modified_since(self) -> datetime | None:
        """The date of the If-Modified-Since field, in UTC; None if it is invalid."""
        return parse_date(self.headers.get("If-Modified-Since"))

    @cached_property
    def if_unmodified_since(self) -> datetime | None:
        """The date of the If-Unmodified-Since field, in UTC; None if it is invalid."""
        return parse_date(self.headers.get("If-Unmodified-Since"))

    @cached_property
    def if_range(self) -> IfRange:
        """The tag or the date of the If-Range field."""
        return parse_if_range_header(self.headers.get("If-Range"))

    @cached_property
    def range(self) -> Range | None:
        """The Range field; None if it is invalid."""
        return parse_range_header(self.headers.get("Range"))

    # who asks

    @cached_property
    def authorization(self) -> Authorization | None:
        """The credentials of the Authorization field; None if they cannot be read."""
        return Authorization.from_header(self.headers.get("Authorization"))

    @cached_property
    def user_agent(self) -> UserAgent:
        """The User-Agent field, as `user_agent_class`."""
        return self.user_agent_class(self.headers.get("User-Agent", ""))

    referrer = header_property[str](
        "Referer", read_only=True, doc="The address that the request comes from (RFC 9110 10.1.3)."
    )
    origin = header_property[str]("Origin", read_only=True, doc="The origin that the request comes from (RFC 6454).")
    access_control_request_headers = header_property[HeaderSet](
        "Access-Control-Request-Headers",
        None,
        parse_set_header,
        read_only=True,
        doc="The fields that the announced request of another origin will have (Fetch Standard).",
    )
    access_control_request_method = header_property[str](
        "Access-Control-Request-Method",
        read_only=True,
        doc="The method that the announced request of another origin will have (Fetch Standard).",
    )
    sec_fetch_site = header_property[str](
        "Sec-Fetch-Site",
        read_only=True,
        doc="`same-origin`, `same-site`, `cross-site` or `none`: where the request comes from (Fetch Metadata).",
    )
    sec_fetch_mode = header_property[str](
        "Sec-Fetch-Mode", read_only=True, doc="The request's mode, such as `navigate` or `cors` (Fetch Metadata)."
    )
    sec_fetch_dest = header_property[str](
        "Sec-Fetch-Dest", read_only=True, doc="What the answer is for, such as `document` (Fetch Metadata)."
    )

    @property
    def sec_fetch_user(self) -> bool:
        """Whether a user's action has started the navigation (Fetch Metadata)."""
        return self.headers.get("Sec-Fetch-User") == "?1"  # type: ignore[no-any-return]

    @property
    def date(self) -> datetime | None:
        """When it was sent, in UTC (RFC 9110 6.6.1); None if the date is invalid."""
        return parse_date(self.headers.get("Date"))

    @property
    def max_forwards(self) -> int | None:
        """How many more proxies may forward it (RFC 9110 7.6.2); None if it is no number."""
        return parse_decimal(self.headers.get("Max-Forwards"))
