r"""What must be checked on raw bytes before h11 sees a request head.

Owns the framing of a head (where it ends, how large it may be) and the refusals that h11 leaves to its
user. Sans-I/O; knows no connection and no application. A refusal is a `Refused`, which carries its status
code.

Theory of operation. `HeadScanner.find_end` is asked after each read. It looks at new bytes only, so a head
that comes byte by byte costs linear time, and it refuses as soon as a limit or a bare CR or LF shows.
`check_head` then holds the whole head against one pattern (RFC 9112 sections 2.2, 3 and 5; HTAB and
obs-text are allowed in values, no other control character):

    head  = method SP target SP "HTTP/" DIGIT "." DIGIT CRLF *( field CRLF ) CRLF
    field = token ":" *( HTAB / %x20-7E / %x80-FF )

Only if that fails is the head taken apart again to say why. The framing fields are checked on the raw bytes
because h11 merges equal Content-Length values before it shows them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address

from .config import ServerConfig

__all__ = ["FIELD_RE", "HeadScanner", "Refused", "check_head", "check_host", "split_target"]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_HEAD_RE = re.compile(
    rb"(" + _TOKEN + rb"++) ([\x21-\x7e]++) HTTP/([0-9])\.([0-9])\r\n"
    rb"(?:" + _TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+\r\n)*+\r\n"
)
FIELD_RE = re.compile(_TOKEN + rb"++:[\t\x20-\x7e\x80-\xff]*+")
_BARE_RE = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
_FIRST_RE = re.compile(_TOKEN)
_CONTENT_LENGTH_RE = re.compile(rb"(?<=\n)content-length:[ \t]*+([^\r]*)")
_TRANSFER_ENCODING_RE = re.compile(rb"(?<=\n)transfer-encoding:[ \t]*+([^\r]*)")
_LENGTH_RE = re.compile(rb"[0-9]{1,18}")  # under 2**63: a longer one cannot be meant
_HOST_RE = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|[A-Za-z0-9._\-]+)(?::([0-9]{1,5}))?")
_ABSOLUTE_RE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?#]*)([/?].*)?", re.DOTALL)
_BAD_ESCAPE_RE = re.compile(rb"%(?![0-9A-Fa-f]{2})")

MAX_METHOD = 32  # the longest registered method, UPDATEREDIRECTREF, has 17 (IANA)


class Refused(Exception):
    """A request that is answered by the server itself, after which the connection is closed."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


class HeadScanner:
    """Find the end of a head in a growing buffer."""

    __slots__ = ("_line", "_lines", "_max_head", "_max_line", "_max_lines", "_scanned", "_skipped", "_small")

    def __init__(self, config: ServerConfig) -> None:
        self._max_head = config.max_head
        self._max_lines = config.max_fields + 1
        self._max_line = config.max_line
        self._small = min(config.max_line, config.max_head)  # within both limits, whatever its lines
        self._reset()

    def _reset(self) -> None:
        self._scanned = 0  # bytes before it have been checked
        self._line = 0  # where the unfinished line starts
        self._lines = 0  # finished lines
        self._skipped = False  # one empty line before the request line

    def find_end(self, buffer: bytearray) -> int:
        """Return the length of the head at the start of the buffer, or 0 if it has not ended yet.

        Raises:
            Refused: A bare CR or LF, or a head, line or number of fields over its limit.
        """
        if not self._scanned and not self._check_first(buffer):
            return 0
        scanned = self._scanned
        end = buffer.find(b"\r\n\r\n", max(scanned - 3, 0))
        stop = len(buffer) if end < 0 else end + 4
        if _BARE_RE.search(buffer, max(scanned - 1, 0), stop):
            raise Refused(400, "bare CR or LF in the request head")
        if scanned or end < 0 or stop > self._small or buffer.count(b"\r\n", 0, stop) > self._max_lines:
            self._check_lines(buffer, stop)
        if end >= 0:
            self._reset()
            return stop
        self._scanned = stop
        return 0

    def _check_first(self, buffer: bytearray) -> bool:
        """Drop one CRLF before the request line (RFC 9112 section 2.2); answer whether there is more."""
        if buffer[:1] == b"\r":
            if self._skipped:
                raise Refused(400, "empty request line")
            if buffer[1:2] not in b"\n":
                raise Refused(400, "bare CR or LF in the request head")
            if len(buffer) < 2:
                return False
            del buffer[:2]
            self._skipped = True
            return self._check_first(buffer)
        if not buffer:
            return False
        if not _FIRST_RE.match(buffer):  # also what a TLS client says to a plain port
            raise Refused(400, "invalid request line")
        return True

    def _check_lines(self, buffer: bytearray, stop: int) -> None:
        start = self._line
        while True:
            end = buffer.find(b"\r\n", max(start, self._scanned - 1), stop)
            # The last byte of an unfinished line may be the CR of its end.
            length = (stop - (buffer[stop - 1] == 13) if end < 0 else end) - start
            if length > self._max_line:
                raise Refused(431 if self._lines else 414, f"line too long; expected at most {self._max_line} bytes")
            if end < 0:
                break
            self._lines += length > 0
            start = end + 2
        if self._lines > self._max_lines:
            raise Refused(431, f"too many fields; expected at most {self._max_lines - 1}")
        if stop > self._max_head:
            raise Refused(431, f"head too large; expected at most {self._max_head} bytes")
        self._line = start


def check_head(head: bytes) -> tuple[bytes, int]:
    """Hold a whole head against the grammar; return the target and the body's length.

    Returns:
        The raw target and the Content-Length; -1 for a chunked body.

    Raises:
        Refused: Why the head is not acceptable.
    """
    match = _HEAD_RE.fullmatch(head)
    if match is None:
        raise _diagnose(head)
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in b"01":
        raise Refused(505, "unsupported version; expected HTTP/1.0 or HTTP/1.1")
    if len(method) > MAX_METHOD:
        raise Refused(501, f"method too long; expected at most {MAX_METHOD} characters")
    lowered = head.lower()
    if b"\ncontent-length:" in lowered or b"\ntransfer-encoding:" in lowered:
        return target, _body_length(lowered, minor)
    return target, 0


def _body_length(lowered: bytes, minor: bytes) -> int:
    lengths = _CONTENT_LENGTH_RE.findall(lowered)
    codings = _TRANSFER_ENCODING_RE.findall(lowered)
    if codings:
        if minor == b"0":
            raise Refused(400, "Transfer-Encoding in HTTP/1.0")
        if lengths:
            raise Refused(400, "Content-Length together with Transfer-Encoding")
        if len(codings) > 1 or codings[0].rstrip(b" \t") != b"chunked":
            raise Refused(501, "unsupported Transfer-Encoding; expected chunked")
        return -1
    length = lengths[0].rstrip(b" \t")
    if len(lengths) > 1 or not _LENGTH_RE.fullmatch(length):
        raise Refused(400, "invalid Content-Length; expected one number")
    return int(length)


def _diagnose(head: bytes) -> Refused:
    lines = head[:-4].split(b"\r\n")
    parts = lines[0].split(b" ")
    if len(parts) != 3 or not re.fullmatch(_TOKEN + rb"+", parts[0]) or not parts[1]:
        return Refused(400, "invalid request line")
    if re.search(rb"[^\x21-\x7e]", parts[1]):
        return Refused(400, "invalid character in the request target")
    if not re.fullmatch(rb"HTTP/[0-9]\.[0-9]", parts[2]):
        return Refused(400, "invalid HTTP version")
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t"):
            return Refused(400, "folded header field")
        if not FIELD_RE.fullmatch(line):
            return Refused(400, "invalid header field")
    return Refused(400, "invalid request head")


@lru_cache(maxsize=64)
def check_host(host: bytes) -> None:
    """Refuse a Host that is not `name[:port]` or `[IPv6][:port]` (RFC 9110 section 7.2).

    Raises:
        Refused: 400.
    """
    match = _HOST_RE.fullmatch(host)
    if match and (match[2] is None or int(match[2]) < 65_536):
        if match[1] is None:
            return
        try:
            IPv6Address(match[1].decode("ascii"))
            return
        except ValueError:
            pass
    raise Refused(400, "invalid Host")


def split_target(method: bytes, target: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Split a target into path, query and the authority of an absolute-form (RFC 9112 section 3.2).

    Raises:
        Refused: The form does not fit the method, or a percent escape in the path is broken.
    """
    authority = None
    if method == b"CONNECT":
        raise Refused(501, "CONNECT is not supported")
    if target[0] != 47:  # "/"
        if target == b"*":
            if method != b"OPTIONS":
                raise Refused(400, "invalid request target; '*' is for OPTIONS")
            return target, b"", None
        match = _ABSOLUTE_RE.fullmatch(target)
        if match is None:
            raise Refused(400, "invalid request target; expected a path that starts with a slash")
        authority = match[1]
        check_host(authority)
        target = match[2] or (b"*" if method == b"OPTIONS" else b"/")
        if target[0] == 63:  # "?"
            target = b"/" + target
    if b"#" in target:
        raise Refused(400, "invalid request target; a fragment is not sent")
    path, _, query = target.partition(b"?")
    if b"%" in path and _BAD_ESCAPE_RE.search(path):
        raise Refused(400, "invalid percent escape in the path")
    return path, query, authority
