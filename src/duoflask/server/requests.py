"""Requests out of bytes: heads through h11, bodies by length or by chunks.

Owns the buffer of received bytes and what a request is on the wire. Sans-I/O; knows no application. At most
one request is taken apart at a time; what a client has pipelined behind it stays raw.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import h11

from .chunked import ChunkDecoder
from .config import ServerConfig
from .preflight import HeadScanner, Refused, check_head, check_host, split_target

__all__ = ["RequestHead", "RequestReader"]

_TOLD = frozenset({b"host", b"connection", b"expect", b"upgrade"})


class RequestHead:
    """One request's head. `headers` are as ASGI wants them, without fields whose names hold an underscore."""

    __slots__ = (
        "expects_continue",
        "headers",
        "http_version",
        "keep_alive",
        "length",
        "method",
        "path",
        "query",
        "raw_path",
        "raw_target",
        "websocket",
    )

    def __init__(self, raw_target: bytes, length: int, request: h11.Request) -> None:
        self.length = length
        self.raw_target = raw_target
        self.method = request.method.decode("ascii")
        self.http_version = request.http_version.decode("ascii")
        self.raw_path, self.query, authority = split_target(request.method, raw_target)
        try:
            raw_path = self.raw_path
            self.path = (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(400, "invalid UTF-8 in the path") from None
        self.headers: list[tuple[bytes, bytes]] = []
        self.keep_alive = self.http_version == "1.1"
        self.expects_continue = False
        self.websocket = False  # it is the handshake of one
        self._read_fields(request, authority)

    def _read_fields(self, request: h11.Request, authority: bytes | None) -> None:
        headers = self.headers
        hosts = 0
        connection = upgrade = b""
        for field in request.headers:
            name, value = field
            if name in _TOLD:
                if name == b"host":
                    check_host(value)
                    hosts += 1
                    if authority is not None:
                        field = (
                            name,
                            authority,
                        )  # RFC 9112 section 3.2.2: the target's authority takes its place
                elif name == b"connection":
                    connection += b"," + value.lower()
                elif name == b"upgrade":
                    upgrade += b"," + value.lower()
                elif value.lower() != b"100-continue":
                    raise Refused(417, "unsupported expectation; expected 100-continue")
                else:
                    self.expects_continue = self.keep_alive and self.length != 0
            elif b"_" in name:
                continue
            headers.append(field)
        if hosts != 1 and (hosts or self.keep_alive):
            raise Refused(400, "invalid Host; expected exactly one")
        if not hosts and authority is not None:
            headers.append((b"host", authority))
        if connection:
            options = [option.strip() for option in connection.split(b",")]
            if b"close" in options:
                self.keep_alive = False
            elif b"keep-alive" in options:
                self.keep_alive = True
            if upgrade and b"upgrade" in options and self.http_version == "1.1":
                self.websocket = self._asks_for_websocket(upgrade)

    def _asks_for_websocket(self, upgrade: bytes) -> bool:
        """Whether a handshake follows (RFC 6455 section 4.1); every other upgrade may be ignored, and is."""
        if b"websocket" not in [protocol.strip() for protocol in upgrade.split(b",")]:
            return False
        if self.method != "GET" or self.length:
            raise Refused(400, "invalid WebSocket handshake; expected a GET request without a body")
        return True


class RequestReader:
    """Bytes in; heads and pieces of bodies out."""

    __slots__ = ("_chunks", "_config", "_left", "_scanner", "body_done", "buffer")

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._scanner = HeadScanner(config)
        self._chunks: ChunkDecoder | None = None
        self._left = 0
        self.buffer = bytearray()
        self.body_done = True

    def next_head(self) -> RequestHead | None:
        """Return the next head, or None while it is incomplete.

        Raises:
            Refused: The head is not acceptable; nothing more may be read from the connection.
        """
        end = self._scanner.find_end(self.buffer)
        if not end:
            return None
        raw = bytes(self.buffer[:end])
        del self.buffer[:end]
        target, length = check_head(raw)
        # One h11 connection for one head: the body's framing and the response are not h11's here, so its
        # state machine would have nothing to go on with. Making one costs less than start_next_cycle().
        parser = h11.Connection(h11.SERVER, self._config.max_head)
        try:
            parser.receive_data(raw)
            request = parser.next_event()
        except h11.RemoteProtocolError as exc:
            raise Refused(exc.error_status_hint, "invalid request head") from exc
        if type(request) is not h11.Request:
            raise Refused(400, "invalid request head")
        head = RequestHead(target, length, request)
        self.body_done = length == 0
        self._left = length
        self._chunks = ChunkDecoder(self._config) if length < 0 else None
        return head

    @property
    def body_left(self) -> int:
        """Bytes of the body that were not read yet; -1 if nobody knows."""
        if self.body_done:
            return 0
        return self._left

    def next_body(self) -> bytes:
        """Return the body's data in the buffer; b"" while there is none. `body_done` says if that was all.

        Raises:
            Refused: The chunks are broken; nothing more may be read from the connection.
        """
        buffer = self.buffer
        if self._chunks is not None:
            data = self._chunks.decode(buffer)
            self.body_done = self._chunks.done
            return data
        data = bytes(buffer[: self._left])
        del buffer[: self._left]
        self._left -= len(data)
        self.body_done = not self._left
        return data
