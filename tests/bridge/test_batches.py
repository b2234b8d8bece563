"""An async iterator taken in batches: order, bounds, errors, and the step that waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from duoflask.bridge import Batches
from duoflask.bridge.pumping import MAX_AHEAD_BYTES, MAX_AHEAD_PIECES


def encode(piece: Any) -> bytes:
    if isinstance(piece, str):
        return piece.encode()
    raise TypeError(f"no piece: {piece!r}")


async def taken(pieces: Any) -> list[list[bytes]]:
    batches = Batches(pieces, encode)
    got = []
    while batch := await batches.take():
        got.append(batch)
    assert await batches.take() == []
    assert not batches.waits
    return got


async def quick(count: int, size: int = 1) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


def test_the_first_piece_comes_alone_and_a_wait_ends_a_batch() -> None:
    async def pieces() -> AsyncIterator[str]:
        for piece in ("a", "b", "c", None, "d", None, None, "e", "f"):
            if piece is None:
                await asyncio.sleep(0)
            else:
                yield piece

    assert asyncio.run(taken(pieces())) == [[b"a"], [b"b", b"c"], [b"d"], [b"e", b"f"]]


@pytest.mark.parametrize("count", [0, 1, 2, MAX_AHEAD_PIECES + 1, MAX_AHEAD_PIECES + 2])
def test_every_piece_arrives(count: int) -> None:
    got = asyncio.run(taken(quick(count)))
    assert sum(map(len, got)) == count
    assert max(map(len, got), default=0) <= MAX_AHEAD_PIECES


def test_a_batch_ends_with_the_bytes_of_a_transports_buffer() -> None:
    got = asyncio.run(taken(quick(9, MAX_AHEAD_BYTES // 4)))
    assert [len(batch) for batch in got] == [1, 4, 4]


def test_an_iterator_of_its_own_kind_is_taken() -> None:
    class Countdown:
        left = 3

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> bytes:
            if not self.left:
                raise StopAsyncIteration
            self.left -= 1
            if self.left == 1:
                await asyncio.sleep(0)
            return b"%d" % self.left

    assert asyncio.run(taken(Countdown())) == [[b"2"], [b"1", b"0"]]


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("error", [LookupError("x"), TypeError("no piece: 1"), KeyboardInterrupt("k")])
def test_pieces_before_an_error_are_taken(error: BaseException, waits: bool) -> None:
    async def pieces() -> AsyncIterator[Any]:
        yield "a"
        yield "b"
        if waits:
            await asyncio.sleep(0)
        if isinstance(error, TypeError):
            yield 1
        raise error

    async def main() -> None:
        batches = Batches(pieces(), encode)
        assert [await batches.take(), await batches.take()] == [[b"a"], [b"b"]]
        with pytest.raises(type(error), match=str(error)):
            await batches.take()
        assert await batches.take() == []

    asyncio.run(main())


def test_a_cancellation_reaches_the_step_that_waits() -> None:
    seen: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async def main() -> None:
        batches = Batches(pieces(), encode)
        await batches.take()
        task = asyncio.ensure_future(_coroutine(batches))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["cancelled"]


async def _coroutine(batches: Batches) -> list[bytes]:
    return await batches.take()


@pytest.mark.parametrize("swallows", [False, True])
def test_cancel_ends_a_step_that_waits(swallows: bool) -> None:
    seen: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                seen.append("cancelled")
                if not swallows:
                    raise
            yield b"c"
        finally:
            await asyncio.sleep(0)
            seen.append("closed")

    async def main() -> None:
        made = pieces()
        batches = Batches(made, encode)
        await batches.take()
        assert await batches.take() == [b"b"]
        assert batches.waits
        await batches.cancel()
        assert not batches.waits
        await made.aclose()
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    asyncio.run(main())
    assert seen == ["cancelled", "closed"]


def test_cancel_lets_a_step_end_that_is_nearly_through() -> None:
    seen: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            yield b"b"
        finally:
            await asyncio.sleep(0.001)
            seen.append("closed")

    async def main() -> None:
        made = pieces()
        batches = Batches(made, encode)
        await batches.take()
        await batches.take()
        await batches.cancel()
        await made.aclose()

    asyncio.run(main())
    assert seen == ["closed"]


@pytest.mark.parametrize("taken", [True, False])
def test_a_time_out_of_the_step_that_comes_while_nobody_awaits_it_is_the_steps(taken: bool) -> None:
    seen: list[str] = []

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(100)
        except TimeoutError:
            seen.append("timed out")
        yield b"c"

    async def main() -> None:
        batches = Batches(pieces(), encode)
        assert [await batches.take(), await batches.take()] == [[b"a"], [b"b"]]
        assert batches.waits
        with pytest.raises(asyncio.CancelledError) as caught:  # asyncio.timeout's
            await asyncio.sleep(100)
        if taken:
            assert await batches.take(caught.value) == [b"c"]
            assert await batches.take() == []
        else:
            await batches.cancel(caught.value)
        assert asyncio.current_task().cancelling() == 0

    asyncio.run(main())
    assert seen == ["timed out"]
