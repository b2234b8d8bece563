"""A sync iterator pulled ahead of the task that delivers: order, bounds, errors, cancellation."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from duoflask.bridge import Workers, pump
from duoflask.bridge.pumping import MAX_AHEAD_BYTES, MAX_AHEAD_PIECES

variable: ContextVar[str] = ContextVar("variable", default="unset")


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return lambda main: anyio.run(main, backend=request.param)


def encode(piece: Any) -> bytes:
    if isinstance(piece, str):
        return piece.encode()
    raise TypeError(f"no piece: {piece!r}")


async def delivered(chunks: Iterator[Any], workers: Workers | None = None) -> list[bytes]:
    got: list[bytes] = []

    async def deliver(pieces: deque[bytes]) -> None:
        while pieces:
            got.append(pieces.popleft())

    await pump(workers or Workers(), copy_context(), chunks, encode, deliver)
    return got


@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000, 1001, 2500])
def test_every_piece_arrives_once_and_in_order(run: Any, count: int) -> None:
    pieces = [str(number) for number in range(count)]
    assert run(lambda: delivered(iter(pieces))) == [piece.encode() for piece in pieces]


def test_an_iterator_of_its_own_kind_is_pulled(run: Any) -> None:
    class Countdown:
        left = 3

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            if not self.left:
                raise StopIteration
            self.left -= 1
            return b"%d" % self.left

    assert run(lambda: delivered(Countdown())) == [b"2", b"1", b"0"]


def test_stretches_share_one_context_whatever_thread_runs_them(run: Any) -> None:
    def chunks() -> Iterator[bytes]:
        token = variable.set("inside")
        for _ in range(5):
            yield variable.get().encode() * MAX_AHEAD_BYTES
        variable.reset(token)
        yield variable.get().encode()

    got = run(lambda: delivered(chunks()))
    assert [piece[:6] for piece in got] == [b"inside"] * 5 + [b"unset"]
    assert variable.get() == "unset"


@pytest.mark.parametrize(("size", "most"), [(0, MAX_AHEAD_PIECES), (1, MAX_AHEAD_PIECES), (MAX_AHEAD_BYTES // 4, 4)])
def test_a_slow_reader_stops_the_iterator_and_frees_its_thread(run: Any, size: int, most: int) -> None:
    made: list[int] = []
    workers = Workers(1)

    def chunks() -> Iterator[bytes]:
        for number in range(5 * MAX_AHEAD_PIECES):
            made.append(number)
            yield b"x" * size

    async def deliver(pieces: deque[bytes]) -> None:
        while len(made) < most and pieces:  # the thread goes on without anybody's taking a piece
            await anyio.sleep(0.001)
        while workers._spare < 1:  # and gives its place back
            await anyio.sleep(0.001)
        assert len(made) == len(pieces) == most
        raise OverflowError

    async def main() -> None:
        with anyio.fail_after(20), pytest.raises(OverflowError):
            await pump(workers, copy_context(), chunks(), encode, deliver)

    run(main)


def test_a_piece_is_delivered_while_the_next_is_made(run: Any) -> None:
    taken = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"a"
        yield b"b"
        assert taken.wait(20)
        yield b"c"

    async def main() -> None:
        got: list[bytes] = []

        async def deliver(pieces: deque[bytes]) -> None:
            while pieces:
                got.append(pieces.popleft())
            if got == [b"a", b"b"]:
                taken.set()

        await pump(Workers(), copy_context(), chunks(), encode, deliver)
        assert got == [b"a", b"b", b"c"]

    run(main)


@pytest.mark.parametrize("error", [LookupError("x"), TypeError("no piece: 1"), SystemExit(3), KeyboardInterrupt("k")])
def test_pieces_before_an_error_arrive(run: Any, error: BaseException) -> None:
    def chunks() -> Iterator[Any]:
        yield from "ab"
        if isinstance(error, TypeError):
            yield 1
        raise error

    async def main() -> list[bytes]:
        got: list[bytes] = []

        async def deliver(pieces: deque[bytes]) -> None:
            while pieces:
                got.append(pieces.popleft())

        with pytest.raises(type(error), match=str(error)):
            await pump(Workers(), copy_context(), chunks(), encode, deliver)
        return got

    assert run(main) == [b"a", b"b"]


def test_an_error_of_the_delivery_stops_the_iterator_at_its_next_piece(run: Any) -> None:
    go_on, inside = threading.Event(), threading.Event()
    made: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        for piece in (b"a", b"b", b"c"):
            made.append(piece)
            yield piece
            inside.set()
            assert go_on.wait(20)

    async def main() -> None:
        async def deliver(pieces: deque[bytes]) -> None:
            while not inside.is_set():
                await anyio.sleep(0.001)
            go_on.set()
            raise OSError("gone")

        context = copy_context()
        with pytest.raises(OSError, match="gone"):
            await pump(Workers(), context, chunks(), encode, deliver)
        context.run(int)  # nobody is inside it any more

    run(main)
    assert made in ([b"a"], [b"a", b"b"])


def test_a_cancellation_waits_for_the_thread_and_no_longer(run: Any) -> None:
    go_on, inside = threading.Event(), threading.Event()
    made: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            inside.set()
            assert go_on.wait(20)
            made.append(b"x")
            yield b"x"

    async def main() -> None:
        context = copy_context()
        async with anyio.create_task_group() as group:

            async def cancel() -> None:
                while not inside.is_set():
                    await anyio.sleep(0.001)
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    for _ in range(5):
                        await anyio.lowlevel.checkpoint()
                go_on.set()

            group.start_soon(cancel)
            await pump(Workers(), context, chunks(), encode, lambda pieces: anyio.lowlevel.checkpoint())
        context.run(int)

    run(main)
    assert made == [b"x"]


def test_a_cancellation_withdraws_what_no_thread_has_begun(run: Any) -> None:
    hold = threading.Event()
    workers = Workers(1)
    made: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        made.append(b"x")
        yield b"x"

    def holding() -> Iterator[bytes]:
        assert hold.wait(20)
        yield b"held"

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(delivered, holding(), workers)
            while not workers.threads:
                await anyio.sleep(0.001)
            with anyio.move_on_after(0.01) as scope:
                await delivered(chunks(), workers)
            assert scope.cancelled_caught
            hold.set()

    run(main)
    assert made == []


def test_readers_that_stall_occupy_no_thread(run: Any) -> None:
    workers = Workers(2)

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * MAX_AHEAD_BYTES

    async def main() -> None:
        stalled = 0

        async def stall(pieces: deque[bytes]) -> None:
            nonlocal stalled
            stalled += 1
            await anyio.sleep_forever()

        async def stalled_reader() -> None:
            await pump(workers, copy_context(), endless(), encode, stall)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for _ in range(10):
                    group.start_soon(stalled_reader)
                while stalled < 10:
                    await anyio.sleep(0.001)
                assert await delivered(iter([b"served"]), workers) == [b"served"]
                group.cancel_scope.cancel()
        assert workers.threads <= 2

    run(main)
