"""The structures of headers, forms and files, under the names that `werkzeug.datastructures` has.

Owns nothing: each class lives in `http`, beside the functions that read and write it.
"""

from __future__ import annotations

from .http.accept import Accept, CharsetAccept, LanguageAccept, MIMEAccept
from .http.auth import Authorization, WWWAuthenticate
from .http.cache_control import RequestCacheControl, ResponseCacheControl
from .http.callback_dict import CallbackDict, UpdateDictMixin
from .http.csp import ContentSecurityPolicy
from .http.etags import ETags, IfRange
from .http.file_storage import FileMultiDict, FileStorage
from .http.header_set import HeaderSet
from .http.header_views import EnvironHeaders
from .http.headers import Headers
from .http.immutable import (
    ImmutableDict,
    ImmutableDictMixin,
    ImmutableHeadersMixin,
    ImmutableList,
    ImmutableListMixin,
)
from .http.multidict import (
    CombinedMultiDict,
    ImmutableMultiDict,
    ImmutableMultiDictMixin,
    MultiDict,
    iter_multi_items,
)
from .http.ordered_multidict import ImmutableOrderedMultiDict, OrderedMultiDict
from .http.ranges import ContentRange, Range
from .http.type_conversion import ImmutableTypeConversionDict, TypeConversionDict

__all__ = [
    "Accept",
    "Authorization",
    "CallbackDict",
    "CharsetAccept",
    "CombinedMultiDict",
    "ContentRange",
    "ContentSecurityPolicy",
    "ETags",
    "EnvironHeaders",
    "FileMultiDict",
    "FileStorage",
    "HeaderSet",
    "Headers",
    "IfRange",
    "ImmutableDict",
    "ImmutableDictMixin",
    "ImmutableHeadersMixin",
    "ImmutableList",
    "ImmutableListMixin",
    "ImmutableMultiDict",
    "ImmutableMultiDictMixin",
    "ImmutableOrderedMultiDict",
    "ImmutableTypeConversionDict",
    "LanguageAccept",
    "MIMEAccept",
    "MultiDict",
    "OrderedMultiDict",
    "Range",
    "RequestCacheControl",
    "ResponseCacheControl",
    "TypeConversionDict",
    "UpdateDictMixin",
    "WWWAuthenticate",
    "iter_multi_items",
]
