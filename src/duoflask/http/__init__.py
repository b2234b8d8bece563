"""Bytes to values and back: the HTTP layer. Knows no app, no context and does no I/O of its own.

The package itself publishes the names of `werkzeug.http`.
"""

from __future__ import annotations

from .accept import parse_accept_header
from .age import dump_age, parse_age
from .cache_control import parse_cache_control_header
from .cookies import dump_cookie, parse_cookie
from .cross_origin import COEP, COOP
from .csp import dump_csp_header, parse_csp_header
from .dates import http_date, parse_date
from .entity_fields import (
    is_entity_header,
    is_hop_by_hop_header,
    remove_entity_headers,
    remove_hop_by_hop_headers,
)
from .etags import (
    generate_etag,
    is_resource_modified,
    parse_etags,
    parse_if_range_header,
    quote_etag,
    unquote_etag,
)
from .header_set import parse_set_header
from .options import (
    dump_header,
    dump_options_header,
    parse_dict_header,
    parse_list_header,
    parse_options_header,
    quote_header_value,
    unquote_header_value,
)
from .ranges import is_byte_range_valid, parse_content_range_header, parse_range_header
from .status import HTTP_STATUS_CODES

__all__ = [
    "COEP",
    "COOP",
    "HTTP_STATUS_CODES",
    "dump_age",
    "dump_cookie",
    "dump_csp_header",
    "dump_header",
    "dump_options_header",
    "generate_etag",
    "http_date",
    "is_byte_range_valid",
    "is_entity_header",
    "is_hop_by_hop_header",
    "is_resource_modified",
    "parse_accept_header",
    "parse_age",
    "parse_cache_control_header",
    "parse_content_range_header",
    "parse_cookie",
    "parse_csp_header",
    "parse_date",
    "parse_dict_header",
    "parse_etags",
    "parse_if_range_header",
    "parse_list_header",
    "parse_options_header",
    "parse_range_header",
    "parse_set_header",
    "quote_etag",
    "quote_header_value",
    "remove_entity_headers",
    "remove_hop_by_hop_headers",
    "unquote_etag",
    "unquote_header_value",
]
