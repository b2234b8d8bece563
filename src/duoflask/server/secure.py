"""TLS over a stream, the same under every loop.

Owns the records between a connection and its stream. Knows no HTTP, and of certificates only the context.

Not asyncio's own TLS transport: that one counts what it has encrypted as sent, so that nobody waits for a slow client,
and what such a client has not taken a second after the close is lost. Nor anyio's, which closes without a close_notify,
so that a client cannot tell a whole body that ends with the connection from a part of it.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from .streams import FOREVER, Address, PeerGone, Stream

__all__ = ["SecureStream"]

READ_SIZE = 65_536


class SecureStream:
    """A stream of what stands in the records of another stream; `shake_hands` comes first."""

    __slots__ = ("_established", "_incoming", "_inner", "_outgoing", "_tls", "client", "server")

    def __init__(self, inner: Stream, context: ssl.SSLContext) -> None:
        self._inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._established = False  # and not ended by us
        self.client: Address | None = inner.client
        self.server: Address | None = inner.server

    async def shake_hands(self) -> None:
        """Do the handshake of a server.

        Raises:
            OSError: It failed; `ssl.SSLError`, which is one, says why.
        """
        while not self._established:
            try:
                self._tls.do_handshake()
                self._established = True
            except ssl.SSLWantReadError:
                await self._flush()
                if not await self._fill():
                    raise PeerGone from None
            except ssl.SSLError:
                await self._flush()  # the alert that tells the peer
                raise
        await self._flush()

    async def _fill(self) -> bool:
        raw = await self._inner.receive()
        self._incoming.write(raw)
        return bool(raw)

    async def _flush(self) -> None:
        if self._outgoing.pending and not self._inner.write(self._outgoing.read()):
            await self._inner.drain()

    async def receive(self) -> bytes:
        while True:
            try:
                return self._tls.read(READ_SIZE)
            except ssl.SSLWantReadError:
                await self._flush()  # the answer to a key update
                if not await self._fill():
                    return b""
            except ssl.SSLZeroReturnError:  # close_notify, after ours
                return b""
            except ssl.SSLError:
                raise PeerGone from None

    def write(self, data: bytes) -> bool:
        return self.writelines((data,))

    def writelines(self, pieces: Sequence[bytes]) -> bool:
        try:
            for data in pieces:
                if data:
                    self._tls.write(data)
        except ssl.SSLError:
            raise PeerGone from None
        return self._inner.write(self._outgoing.read())

    async def drain(self, patience: float = FOREVER) -> None:
        await self._inner.drain(patience)

    async def send_eof(self) -> None:
        if self._end():
            await self._flush()
            await self._inner.send_eof()

    def _end(self) -> bool:
        """Say close_notify; answer whether there is anything to be said."""
        established, self._established = self._established, False
        if established:
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # the peer has not said it yet
                pass
        return established

    async def aclose(self, patience: float = FOREVER) -> None:
        try:
            if self._end() and not self._inner.write(self._outgoing.read()):
                await self._inner.drain(patience)
        except PeerGone:
            pass
        finally:
            await self._inner.aclose(patience)

    def reset(self) -> None:
        self._established = False  # no close_notify: what was sent is not whole
        self._inner.reset()
