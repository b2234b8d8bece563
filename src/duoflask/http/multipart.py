"""multipart/form-data as a reader sees it (RFC 7578): pushed bytes to the heads, pieces and ends of parts.

Owns the boundary, a part's head with its limits, and the place of each part in the body. Knows no stream, no file and
no limit that is configured.

Theory of operation
-------------------
The delimiter is CR LF "--" boundary; one is imagined in front of the body, so that the first is like the others. What
follows it decides: CR LF a head, "--" the end, anything else an error. A head ends with an empty line, whose CR LF may
already be that of the next delimiter (RFC 2046 5.1.1: a part without a body; Werkzeug's client writes empty fields so).
`feed` keeps back only what cannot be decided yet: less than a delimiter of a content, `MAX_PART_HEAD` of a head.

The package `multipart` 2.0 was measured and not taken: its result depends on where the first pieces are cut, and it
knows no part without a body. It needs 2.4 us a field where this needs 2.0 (1,000 fields); a file costs the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from .errors import BadRequest
from .grammar import TOKEN_RE
from .headers import Headers
from .options import parse_options_header

__all__ = [
    "MAX_BOUNDARY_LENGTH",
    "MAX_FIELD_NAME_LENGTH",
    "MAX_PART_HEAD",
    "MAX_PART_LINES",
    "InvalidMultipart",
    "MultipartScanner",
    "PartHead",
    "boundary_of",
    "charset_of",
]

# RFC 2046 5.1.1: at most 70 characters.
MAX_BOUNDARY_LENGTH: Final = 70
# Bytes in the head of a part. The package multipart takes 4 kB a line, Django 16 kB a head.
MAX_PART_HEAD: Final = 8192
# Lines in it, folded ones included; RFC 7578 4.8 knows three fields, the package multipart takes eight.
MAX_PART_LINES: Final = 16
# Characters in the name of a field. Others know no limit but that of the head.
MAX_FIELD_NAME_LENGTH: Final = 1024

# RFC 2046 5.1.1 has fewer, but clients write others; a space may not come last.
_BOUNDARY_RE = re.compile(r"[ -~]{0,69}[!-~]")
# What RFC 9110 5.5 forbids in a field's value.
_CONTROL_RE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BLANK: Final = " \t"
_KNOWN: Final = frozenset({"Content-Disposition", "Content-Type"})
_SAFE_CHARSETS: Final = frozenset({"ascii", "us-ascii", "utf-8", "iso-8859-1"})


class InvalidMultipart(BadRequest, ValueError):
    """400: the body is not the multipart/form-data that its Content-Type promises."""


def boundary_of(options: Mapping[str, str]) -> bytes:
    """Return the boundary from the parameters of a Content-Type.

    Raises:
        InvalidMultipart: There is none, or it is not 1 to 70 printable ASCII characters (RFC 2046 5.1.1).
    """
    boundary = options.get("boundary", "")
    if _BOUNDARY_RE.fullmatch(boundary) is None:
        raise InvalidMultipart(
            "invalid boundary in the Content-Type multipart/form-data; expected 1 to "
            f"{MAX_BOUNDARY_LENGTH} printable ASCII characters; got {boundary[:80]!r}"
        )
    return boundary.encode("ascii")


def charset_of(content_type: str | None) -> str:
    """Return the charset that a part's Content-Type names, if it is a safe one; UTF-8 otherwise."""
    if content_type:
        charset = parse_options_header(content_type)[1].get("charset", "").lower()
        if charset in _SAFE_CHARSETS:
            return charset
    return "utf-8"


class PartHead:
    """The name, file name and header fields of one part; `filename` is None for text.

    `start` is where its content begins in the body; a collector sets `size` and `pieces`.
    """

    __slots__ = ("fields", "filename", "name", "pieces", "size", "start")

    def __init__(self, name: str, filename: str | None, fields: list[tuple[str, str]], start: int = 0) -> None:
        self.name = name
        self.filename = filename
        self.fields = fields
        self.start = start
        self.size = 0
        self.pieces: list[bytes] | None = None

    @property
    def headers(self) -> Headers:
        """The header fields; their values may hold more than latin-1."""
        headers = Headers()
        headers._list = list(self.fields)  # as received: `add` would refuse a file name that is not latin-1
        return headers

    @property
    def content_type(self) -> str | None:
        """The Content-Type field."""
        for name, value in self.fields:
            if name.lower() == "content-type":
                return value
        return None

    @property
    def charset(self) -> str:
        """The encoding of a text."""
        return charset_of(self.content_type) if len(self.fields) > 1 else "utf-8"


def _malformed(what: str) -> InvalidMultipart:
    return InvalidMultipart(f"the form is not valid multipart/form-data: {what}")


def _parse_head(raw: bytes, start: int) -> PartHead:
    """Parse the lines between a delimiter and an empty line.

    Raises:
        InvalidMultipart: They hold control characters or no text, are too many, or do not name a field.
    """
    try:
        lines = raw.decode().split("\r\n")
    except UnicodeDecodeError:
        raise _malformed("the head of a part is not UTF-8") from None
    if len(lines) > MAX_PART_LINES:
        raise _malformed(f"the head of a part has too many lines; expected at most {MAX_PART_LINES}")
    fields: list[tuple[str, str]] = []
    disposition: str | None = None
    for line in lines:
        # PERF: isprintable() takes 50 ns, the pattern 700; it knows more of Unicode than is forbidden here.
        if not line.isprintable() and _CONTROL_RE.search(line):
            raise _malformed("a control character in the head of a part")
        name, colon, value = line.partition(":")
        if name not in _KNOWN:
            if line[:1] in (" ", "\t") and fields:  # a folded value (RFC 2822 2.2.3)
                name, folded = fields.pop()
                disposition = disposition if name.lower() != "content-disposition" else None
                value = f"{folded} {line.lstrip(_BLANK)}"
            elif not colon or TOKEN_RE.fullmatch(name) is None:
                raise _malformed("the head of a part; expected 'name: value' in each line")
        value = value.strip(_BLANK)
        fields.append((name, value))
        if name == "Content-Disposition" or (name != "Content-Type" and name.lower() == "content-disposition"):
            if disposition is not None:
                raise _malformed("a part with several Content-Disposition fields")
            disposition = value
    if disposition is None:
        raise _malformed("a part without Content-Disposition")
    return PartHead(*_names(disposition), fields, start)


def _names(disposition: str) -> tuple[str, str | None]:
    """Return the name and the file name that a Content-Disposition gives."""
    # PERF: what browsers write, in 400 ns instead of 4,000 (1,000 fields, benchmarks/uploads.py).
    split = disposition.split('"', 4)
    count = len(split)
    plain = split[0] == "form-data; name=" and not split[-1] and "\\" not in disposition and "%22" not in disposition
    if plain and count == 3:
        name: str | None = split[1]
        filename: str | None = None
    elif plain and count == 5 and split[2] == "; filename=":
        name, filename = split[1], split[3]
    else:
        kind, options = parse_options_header(disposition)
        if kind.lower() != "form-data":
            raise _malformed(f"Content-Disposition of a part; expected 'form-data'; got {kind[:50]!r}")
        name, filename = options.get("name"), options.get("filename")
    if name is None or len(name) > MAX_FIELD_NAME_LENGTH:
        raise _malformed(f"the name of a part; expected one of at most {MAX_FIELD_NAME_LENGTH} characters")
    return name, filename


_PREAMBLE: Final = 0
_HEAD: Final = 1
_START: Final = 2  # behind a head
_CONTENT: Final = 3
_EPILOGUE: Final = 4


def _behind_delimiter(follows: bytes) -> int:
    """Decide by the two bytes that follow a delimiter."""
    if follows == b"\r\n":
        return _HEAD
    if follows == b"--":
        return _EPILOGUE
    raise _malformed("the boundary is followed by other characters")


class MultipartScanner:
    """Read a body piece by piece; the result does not depend on where it was cut.

    Args:
        boundary: From `boundary_of`.

    A preamble and an epilogue are skipped. Line breaks must be CR LF. Each byte is looked at a bounded number of times.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._state = _PREAMBLE
        self._rest = b"\r\n"  # what was fed and is not decided yet
        self._base = -2  # the place of `_rest` in the body

    def feed(self, chunk: bytes) -> Iterator[PartHead | bytes | None]:
        """Yield a head, the non-empty pieces of its part, and None at the part's end, as far as the bytes go.

        Raises:
            InvalidMultipart: The bytes are not multipart/form-data, or a part's head exceeds a limit.
        """
        if type(chunk) is not bytes:
            chunk = bytes(chunk)
        delimiter = self._delimiter
        length = len(delimiter)
        buffer, position = self._joined(chunk)
        state = self._state  # PERF: in a local; it is kept when the bytes end (1,000 fields, benchmarks/uploads.py)
        while state != _EPILOGUE:
            if state == _HEAD:
                end = buffer.find(b"\r\n\r\n", position)
                if (len(buffer) - 3 if end < 0 else end) - position > MAX_PART_HEAD:
                    raise _malformed(f"the head of a part is too large; expected at most {MAX_PART_HEAD} bytes")
                if end < 0:
                    break
                yield _parse_head(buffer[position:end], self._base + end + 4)
                position = end + 2
                state = _START
            index = buffer.find(delimiter, position)
            if state == _START and index != position:
                if index < 0 and delimiter.startswith(buffer[position : position + length]):
                    break
                position += 2
                state = _CONTENT
            end = index if index >= 0 else self._undecided(buffer, position)
            if end > position and state == _CONTENT:
                # PERF: a piece that is all content is handed on without a copy.
                yield buffer if position == 0 and end == len(buffer) else buffer[position:end]
            position = end
            follows = buffer[index + length : index + length + 2]
            if index < 0 or len(follows) < 2:
                break
            if state != _PREAMBLE:
                yield None
            position = index + length + 2
            state = _behind_delimiter(follows)
        self._state = state
        self._base += position
        self._rest = buffer[position:] if state != _EPILOGUE else b""

    def _joined(self, chunk: bytes) -> tuple[bytes, int]:
        """What is to be looked at, and from where on."""
        rest, delimiter = self._rest, self._delimiter
        if self._base == -2 and rest == b"\r\n" and chunk.startswith(delimiter[2:]) and len(chunk) >= len(delimiter):
            # PERF: the usual beginning, without a copy of the whole piece.
            self._base = 0
            self._state = _behind_delimiter(chunk[len(delimiter) - 2 : len(delimiter)])
            return chunk, len(delimiter)
        return rest + chunk if rest else chunk, 0

    def _undecided(self, buffer: bytes, position: int) -> int:
        """Where, in bytes without a delimiter, the beginning of one may stand."""
        index = buffer.rfind(b"\r", max(position, len(buffer) - len(self._delimiter) + 1))
        return index if index >= 0 and self._delimiter.startswith(buffer[index:]) else len(buffer)

    @property
    def begun(self) -> bool:
        """Whether the first delimiter has come."""
        return self._state != _PREAMBLE

    @property
    def ended(self) -> bool:
        """Whether the final delimiter has come."""
        return self._state == _EPILOGUE

    @property
    def position(self) -> int:
        """The place in the body up to which everything is decided; behind the final delimiter in the end."""
        return self._base

    def finish(self) -> None:
        """Say that there are no more bytes.

        Raises:
            InvalidMultipart: The final delimiter has not come.
        """
        if self._state != _EPILOGUE:
            raise InvalidMultipart("the form ends early; expected its final boundary")
