"""`CompressionMiddleware`: responses in a coding that the client accepts (RFC 9110 8.4 and 12.5.3).

Owns which responses are worth it, and what becomes of the fields that speak of the bytes that were.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from ..http.accept import parse_accept_header
from ..http.headers import Headers
from ..http.options import parse_list_header
from .around import Middleware, headers_of, is_scope
from .filtering import ResponseFilter, add_vary

try:
    from compression import zstd as _zstd  # type: ignore[import-not-found, unused-ignore]  # Python 3.14
except ImportError:
    _zstd = None

__all__ = ["CompressionMiddleware"]

# Below this nothing is gained once the fields are counted; nginx's default is 20 bytes, Starlette's 500.
DEFAULT_MIN_BYTES: Final = 500

# What is text inside. Images, video, archives and fonts of the web are compressed already.
_COMPRESSIBLE_RE: Final = re.compile(
    r"text/[a-z0-9.+\-]+|[a-z]+/[a-z0-9.\-]+\+(?:json|xml|text)|font/(?:otf|ttf)|image/bmp|application/(?:json|xml|"
    r"javascript|ecmascript|x-javascript|x-ndjson|jsonl|wasm|graphql|sql|toml|yaml|rtf|vnd\.ms-fontobject)"
)

# Fields about the very bytes; who sends one wants those bytes to arrive.
_DIGESTS: Final = ("Content-MD5", "Digest", "Content-Digest", "Repr-Digest")


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self, mode: int, /) -> bytes: ...


class _Zstd:
    """zstd with zlib's words."""

    def __init__(self, level: int) -> None:
        self._compressor = _zstd.ZstdCompressor(level=level)

    def compress(self, data: bytes) -> bytes:
        return self._compressor.compress(data)  # type: ignore[no-any-return]

    def flush(self, mode: int) -> bytes:
        last = mode == zlib.Z_FINISH
        return self._compressor.flush(  # type: ignore[no-any-return]
            self._compressor.FLUSH_FRAME if last else self._compressor.FLUSH_BLOCK
        )


def _gzip(level: int) -> _Compressor:
    return zlib.compressobj(level, zlib.DEFLATED, zlib.MAX_WBITS | 16)


_CODINGS: Final[dict[str, Callable[[int], _Compressor]]] = {"gzip": _gzip}
if _zstd is not None:
    _CODINGS.update(zstd=_Zstd, gzip=_CODINGS.pop("gzip"))  # the better one first


class CompressionMiddleware(Middleware):
    """Compress what the application answers with gzip, or with zstd from Python 3.14 on, as the client prefers.

    Left alone are answers that are short, of a kind that does not shrink, encoded already, partial (206), bound to
    their bytes by a digest, or that say `Cache-Control: no-transform`. A body in pieces is compressed piece by piece,
    and each leaves at once. A strong ETag becomes a weak one, because the bytes are others now.

    Compression tells the length of what it hides: a page with a secret (such as a CSRF token that stays the same)
    beside text of the attacker's choice can be guessed letter by letter over TLS (BREACH). Send such pages with
    `Cache-Control: no-transform`.

    Args:
        app: The application, of either protocol or of both.
        min_bytes: The shortest complete body that is compressed.
        level: zlib's level, from 1 (quick) to 9 (small).
        mimetypes: The media types to compress instead of the usual ones.
        codings: The codings that may be used, the preferred first, out of "zstd" and "gzip".

    Raises:
        ValueError: A level or a coding that there is not.
    """

    def __init__(
        self,
        app: Any,
        *,
        min_bytes: int = DEFAULT_MIN_BYTES,
        level: int = 6,
        mimetypes: Iterable[str] | None = None,
        codings: Iterable[str] | None = None,
    ) -> None:
        super().__init__(app)
        if not 1 <= level <= 9:
            raise ValueError(f"invalid level; expected 1 to 9; got {level!r}")
        self._codings = tuple(_CODINGS if codings is None else codings)
        unknown = [coding for coding in self._codings if coding not in _CODINGS]
        if unknown:
            raise ValueError(f"unknown codings {unknown}; this Python has {list(_CODINGS)}")
        self.min_bytes = min_bytes
        self.level = level
        self.mimetypes = None if mimetypes is None else frozenset(kind.lower() for kind in mimetypes)

    def prepare(self, source: Any) -> tuple[Any, Any, ResponseFilter | None]:
        """Compress the answer if the client accepts that."""
        if is_scope(source) and source["type"] != "http":
            return self.app, source, None
        return self.app, source, _CompressionFilter(self, self._choose(headers_of(source).get("Accept-Encoding")))

    def _choose(self, accepted: str | None) -> str | None:
        """The coding for an Accept-Encoding field; None for none."""
        if not accepted:
            return None
        accept = parse_accept_header(accepted)
        coding: str | None = accept.best_match(self._codings)
        if coding is None:
            return None
        named = [item.lower() for item, _ in accept]
        if "identity" in named and accept.quality("identity") > accept.quality(coding):
            return None
        return coding

    def worth_it(self, headers: Headers, length: int | None) -> bool:
        """Whether an answer with these fields gains by compression."""
        if length is not None and length < self.min_bytes:
            return False
        kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if self.mimetypes is None:
            return len(kind) <= 100 and _COMPRESSIBLE_RE.fullmatch(kind) is not None
        return kind in self.mimetypes


class _CompressionFilter(ResponseFilter):
    """The compression of one answer.

    Args:
        settings: The middleware.
        coding: What the client accepts; None if nothing of ours.
    """

    sees_body = True
    __slots__ = ("_coding", "_compressor", "_settings")

    def __init__(self, settings: CompressionMiddleware, coding: str | None) -> None:
        self._settings = settings
        self._coding = coding
        self._compressor: _Compressor | None = None

    def whole(self, status: int, headers: Headers, body: bytes) -> bytes:
        if not self._is_wanted(status, headers, len(body)):
            return body
        data = self._start(headers)(body) + self._finish()
        headers["Content-Length"] = str(len(data))
        return data

    def begin(self, status: int, headers: Headers) -> bool:
        length = headers.get("Content-Length", "")
        if not self._is_wanted(status, headers, int(length) if length.isascii() and length.isdecimal() else None):
            return False
        self._start(headers)
        headers.remove("Content-Length")
        return True

    def piece(self, data: bytes, more: bool) -> bytes:
        assert self._compressor is not None  # `begin` has made it
        compressed = self._compressor.compress(data) if data else b""
        if not more:
            return compressed + self._finish()
        return compressed + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def _is_wanted(self, status: int, headers: Headers, length: int | None) -> bool:
        """Whether this answer is compressed; caches are told of the choice in either case."""
        if status in (206, 304):
            add_vary(headers, "Accept-Encoding")  # as the 200 that it stands for (RFC 9110 15.3.7, 15.4.5)
            return False
        if status < 200 or status in (204, 205) or "Content-Encoding" in headers or "Content-Range" in headers:
            return False
        if not self._settings.worth_it(headers, length) or any(name in headers for name in _DIGESTS):
            return False
        directives = parse_list_header(", ".join(headers.getlist("Cache-Control")).lower())
        if "no-transform" in directives:
            return False
        add_vary(headers, "Accept-Encoding")
        return self._coding is not None

    def _start(self, headers: Headers) -> Callable[[bytes], bytes]:
        assert self._coding is not None  # the callers have looked
        headers["Content-Encoding"] = self._coding
        headers.remove("Accept-Ranges")  # a part of the plain bytes is no part of these
        etag = headers.get("ETag")
        if etag and not etag.startswith("W/"):
            headers["ETag"] = f"W/{etag}"
        self._compressor = _CODINGS[self._coding](self._settings.level)
        return self._compressor.compress

    def _finish(self) -> bytes:
        compressor, self._compressor = self._compressor, None
        assert compressor is not None  # `_start` has made it
        return compressor.flush(zlib.Z_FINISH)
