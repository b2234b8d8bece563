"""Writing to asyncio's transport, with and without `os.writev`."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from duoflask.server import streams
from duoflask.server.streams import AsyncioStream, PeerGone

_sizes = st.one_of(st.integers(0, 100), st.integers(0, 300_000))
_steps = st.lists(st.one_of(_sizes, st.tuples(_sizes, _sizes, _sizes)), max_size=6)


def _content(size: int, seed: int) -> bytes:
    return bytes((seed + step) % 251 for step in range(251)) * (size // 251 + 1)


async def _stream() -> tuple[AsyncioStream, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192)
    ours.setblocking(False)
    theirs.setblocking(False)
    connected: list[AsyncioStream] = []
    await asyncio.get_running_loop().connect_accepted_socket(lambda: AsyncioStream(connected.append), ours)
    return connected[0], theirs


async def _sent(steps: list[Any]) -> tuple[bytes, list[int]]:
    """What the peer gets, and how much the stream says was taken at the end of each step."""
    stream, theirs = await _stream()
    loop = asyncio.get_running_loop()
    taken: list[int] = []

    async def write() -> None:
        for seed, step in enumerate(steps):
            if isinstance(step, int):
                ready = stream.write(_content(step, seed)[:step])
            else:
                ready = stream.writelines([_content(size, seed + place)[:size] for place, size in enumerate(step)])
            if not ready:
                await stream.drain()
            taken.append(stream._written)
        await stream.aclose()

    with theirs:
        writer = asyncio.create_task(write())
        data = b""
        while piece := await loop.sock_recv(theirs, 5_000):
            data += piece
        await writer
    return data, taken


@settings(max_examples=30, deadline=None)
@given(_steps)
def test_pieces_that_are_sent_at_once_arrive_as_those_that_the_transport_sends(steps: list[Any]) -> None:
    at_once = asyncio.run(_sent(steps))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "_writev", None)  # as on Windows
        assert asyncio.run(_sent(steps)) == at_once
    sizes = [(step,) if isinstance(step, int) else step for step in steps]
    assert len(at_once[0]) == sum(map(sum, sizes))


def test_nothing_is_written_at_once_after_the_close_whoever_has_the_descriptor_now() -> None:
    async def main() -> None:
        stream, theirs = await _stream()
        with theirs:
            await stream.aclose()
            stream.writelines([b"late", b"r"])
            await asyncio.sleep(0.01)
            with pytest.raises(PeerGone):
                stream.writelines([b"late", b"r"])
            assert theirs.recv(100) == b""

    asyncio.run(main())
