"""What holds for every back end: order, both colours, resuming, slow subscribers, the end."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import pytest

from duoflask import DuoFlask
from duoflask.broadcast import Backend, Broadcast, Message, SubscriptionEnded
from duoflask.broadcast.message import Position, dump_positions, parse_positions

from ..growth import require_linear

SECONDS = 30.0
BACKENDS = ("asyncio", "trio")


def texts(messages: Any, number: int) -> list[Any]:
    return [messages.receive(timeout=SECONDS).data for _ in range(number)]


@pytest.mark.parametrize("data", ["text\n\xfc\ud800", "", b"\x00\xff", b"", {"a": [1, None]}, [1], 7, None, True])
def test_data_arrives_as_it_was_published(broadcast: Broadcast, data: Any) -> None:
    with broadcast.subscribe("news") as messages:
        broadcast.publish("news", data)
        message = messages.receive(timeout=SECONDS)
    assert message.data == data
    assert type(message.data) is type(data)
    assert (message.channel, message.number, message.missed) == ("news", 1, 0)


def test_order_is_kept_and_channels_are_apart(broadcast: Broadcast) -> None:
    with broadcast.subscribe("a") as first, broadcast.subscribe("a", "b", "a") as both:
        for number in range(50):
            assert broadcast.publish("a", number) == number + 1
            assert broadcast.publish("b", -number) == number + 1
        broadcast.publish("c", "nobody")
        assert texts(first, 50) == list(range(50))
        found = [both.receive(timeout=SECONDS) for _ in range(100)]
    assert [message.data for message in found if message.channel == "a"] == list(range(50))
    assert [message.data for message in found if message.channel == "b"] == [-number for number in range(50)]


def test_all_subscribers_see_one_order_of_many_publishers(broadcast: Broadcast) -> None:
    def publish(name: str) -> None:
        for number in range(50):
            broadcast.publish("news", [name, number])

    with broadcast.subscribe("news") as one, broadcast.subscribe("news") as two:
        threads = [threading.Thread(target=publish, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        found = [one.receive(timeout=SECONDS) for _ in range(200)]
        assert texts(two, 200) == [message.data for message in found]
        for thread in threads:
            thread.join()
    assert [message.number for message in found] == list(range(1, 201))
    for name in "abcd":
        assert [data[1] for data in (message.data for message in found) if data[0] == name] == list(range(50))


def test_only_what_is_published_meanwhile_arrives(broadcast: Broadcast) -> None:
    broadcast.publish("news", "before")
    with broadcast.subscribe("news") as messages:
        broadcast.publish("news", "meanwhile")
        assert texts(messages, 1) == ["meanwhile"]
        with pytest.raises(TimeoutError, match=r"no message within 0\.01 s"):
            messages.receive(timeout=0.01)
    broadcast.publish("news", "after")
    with broadcast.subscribe("news") as messages:
        broadcast.publish("news", "again")
        assert texts(messages, 1) == ["again"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_tasks_await_what_threads_wait_for(broadcast: Broadcast, backend: str) -> None:
    async def main() -> list[Any]:
        found: list[Any] = []
        async with broadcast.subscribe("news") as messages:
            for number in range(3):
                assert await broadcast.publish("news", number) == number + 1
            found.append((await messages.receive(timeout=SECONDS)).data)
            async for message in messages:
                found.append(message.data)
                if len(found) == 3:
                    break
            with pytest.raises(TimeoutError):
                await messages.receive(timeout=0.01)
            async with anyio.create_task_group() as group:  # it waits, and another task wakes it
                group.start_soon(broadcast.publish, "news", "late")
                found.append((await messages.receive(timeout=SECONDS)).data)
        return found

    assert anyio.run(main, backend=backend) == [0, 1, 2, "late"]


def test_threads_iterate_until_the_end(broadcast: Broadcast) -> None:
    found: list[Any] = []
    begun = threading.Event()

    def listen() -> None:
        with broadcast.subscribe("news") as messages:
            begun.set()
            for message in messages:
                found.append(message.data)

    thread = threading.Thread(target=listen)
    thread.start()
    assert begun.wait(SECONDS)
    broadcast.publish("news", "a")
    broadcast.publish("news", "b")
    broadcast.close()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert found in (["a", "b"], ["a"], [])  # what was under way when it was closed may be lost


def test_closed_broadcast_can_be_used_again(broadcast: Broadcast) -> None:
    with broadcast.subscribe("news") as messages:
        broadcast.close()
        assert list(messages) == []
        with pytest.raises(SubscriptionEnded, match="the subscription of news has ended"):
            messages.receive()
    with broadcast.subscribe("news") as messages:
        broadcast.publish("news", "again")
        assert texts(messages, 1) == ["again"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_and_loops_hear_each_other(broadcast: Broadcast, backend: str) -> None:
    async def main() -> Any:
        async with broadcast.subscribe("news") as messages:
            await anyio.to_thread.run_sync(broadcast.publish, "news", "from a thread")
            return (await messages.receive(timeout=SECONDS)).data

    with broadcast.subscribe("news") as messages:
        assert anyio.run(main, backend=backend) == "from a thread"
        assert texts(messages, 1) == ["from a thread"]


def test_subscriber_resumes_behind_an_id(broadcast: Broadcast) -> None:
    with broadcast.subscribe("news") as messages:
        for number in range(5):
            broadcast.publish("news", number)
        found = [messages.receive(timeout=SECONDS) for _ in range(5)]
    for number, message in enumerate(found):
        with broadcast.subscribe("news", after=message.id) as messages:
            broadcast.publish("other", "x")
            rest = [messages.receive(timeout=SECONDS) for _ in range(4 - number)]
            assert [one.data for one in rest] == list(range(number + 1, 5))
            assert [one.missed for one in rest] == [0] * len(rest)
            with pytest.raises(TimeoutError):
                messages.receive(timeout=0.01)


def test_subscriber_of_several_channels_resumes_in_each(broadcast: Broadcast) -> None:
    with broadcast.subscribe("a", "b&c=d") as messages:
        place = messages.position
        broadcast.publish("a", 1)
        first = messages.receive(timeout=SECONDS)
    broadcast.publish("a", 2)
    broadcast.publish("b&c=d", 3)
    with broadcast.subscribe("b&c=d", "a", after=first.id) as messages:
        assert sorted(texts(messages, 2)) == [2, 3]
        last = messages.position
    with broadcast.subscribe("a", "b&c=d", after=place) as messages:
        assert sorted(texts(messages, 3)) == [1, 2, 3]
        assert parse_positions(messages.position, ("a", "b&c=d")) == parse_positions(last, ("a", "b&c=d"))


def test_history_that_is_too_short_is_told(make: Callable[..., Broadcast]) -> None:
    """Redis keeps some more than it is told to; the count is right all the same."""
    for kind in ("memory", "redis"):
        broadcast = make(kind, history=3)
        with broadcast.subscribe("news") as messages:
            place = messages.position
        for number in range(1, 501):
            broadcast.publish("news", number)
        with broadcast.subscribe("news", after=place) as messages:
            first = messages.receive(timeout=SECONDS)
        assert first.data == first.number == first.missed + 1
        assert 300 < first.number <= 498
        broadcast = make(kind, history=0, prefix="none:")
        broadcast.publish("news", 1)
        with broadcast.subscribe("news") as messages:
            place = messages.position
        broadcast.publish("news", 2)
        broadcast.publish("news", 3)
        with broadcast.subscribe("news", after=place) as messages:
            broadcast.publish("news", 4)
            message = messages.receive(timeout=SECONDS)
        assert (message.data, message.missed) == (4, 2)


@pytest.mark.parametrize(
    "after",
    [
        "",
        "x",
        "1",
        "-",
        "1-",
        "1-zz",
        "news=",
        "=&=",
        "other=1-0",
        "%ff=1-0",
        "9" * 5000,
        "news=1-0&news=2-0",
        "1-0" * 9,
    ],
)
def test_place_that_a_peer_makes_up_is_no_error(broadcast: Broadcast, after: str) -> None:
    broadcast.publish("news", "old")
    with broadcast.subscribe("news", after=after) as messages:
        broadcast.publish("news", "new")
        assert texts(messages, 1)[0] in ("old", "new")
    with broadcast.subscribe("news", "other", after=after) as messages:
        broadcast.publish("news", "new")
        assert texts(messages, 1)[0] in ("old", "new")


@pytest.mark.measures
@pytest.mark.parametrize("unit", ["&", "a=1-0&", "%", "9", "%41="])
def test_reading_a_place_is_linear(unit: str) -> None:
    require_linear(lambda size: partial(parse_positions, unit * (size // len(unit)), ("a", "b")), 100_000)


def test_place_ahead_of_the_channel_is_no_error(broadcast: Broadcast) -> None:
    broadcast.publish("news", "old")
    with broadcast.subscribe("news") as messages:
        epoch = messages.position.partition("-")[2]
    with broadcast.subscribe("news", after=f"999999999999999-{epoch}") as messages:
        broadcast.publish("news", "new")
        assert texts(messages, 1) == ["new"]


def test_slow_subscriber_loses_the_oldest_and_is_told(broadcast: Broadcast, caplog: pytest.LogCaptureFixture) -> None:
    with broadcast.subscribe("news", max_queue=3) as slow, broadcast.subscribe("news") as quick:
        for number in range(10):
            broadcast.publish("news", number)
        assert texts(quick, 10) == list(range(10))
        found = [slow.receive(timeout=SECONDS) for _ in range(3)]
        assert [(one.data, one.missed) for one in found] == [(7, 7), (8, 0), (9, 0)]
        broadcast.publish("news", 10)
        assert slow.receive(timeout=SECONDS).missed == 0
    assert caplog.text.count("a subscriber of news is slow: 3 messages wait, the oldest are dropped") == 1


def test_replayed_messages_fill_the_queue_no_further(broadcast: Broadcast) -> None:
    with broadcast.subscribe("news") as messages:
        place = messages.position
    for number in range(10):
        broadcast.publish("news", number)
    with broadcast.subscribe("news", after=place, max_queue=4) as messages:
        first = messages.receive(timeout=SECONDS)
        assert (first.data, first.missed) == (6, 6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_cancelled_subscriber_leaves_nothing_behind(broadcast: Broadcast, backend: str) -> None:
    async def main() -> None:
        with anyio.move_on_after(0.01):
            async with broadcast.subscribe("news") as messages:
                await messages.receive()
        with anyio.CancelScope() as scope:
            scope.cancel()
            async with broadcast.subscribe("news"):
                raise AssertionError("it was entered")

    with suppress(AssertionError):
        anyio.run(main, backend=backend)
    until = time.monotonic() + SECONDS
    backend_: Any = broadcast.backend
    while any(channel.subscribers for channel in list(backend_._channels.values())):
        assert time.monotonic() < until  # what was under way ends
        time.sleep(0.005)


def test_close_ends_a_subscription_that_is_about_to_begin(
    make: Callable[..., Broadcast], monkeypatch: pytest.MonkeyPatch
) -> None:
    broadcast = make("redis")
    backend: Any = broadcast.backend
    monkeypatch.setattr(type(backend), "_read", _never_connects)
    ended: list[Any] = []

    def listen() -> None:
        with broadcast.subscribe("news") as messages:
            ended.extend(messages)
        ended.append("end")

    thread = threading.Thread(target=listen)
    thread.start()
    until = time.monotonic() + SECONDS
    while not backend._channels:
        assert time.monotonic() < until
        time.sleep(0.005)
    broadcast.close()
    thread.join(SECONDS)
    assert ended == ["end"]


async def _never_connects(self: Any) -> None:
    await asyncio.sleep(3600)


def test_blocking_call_on_a_running_loop_says_what_to_write(make: Callable[..., Broadcast]) -> None:
    broadcast = make("redis")

    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"write 'await broadcast\.publish"):
            broadcast.publish_now("news", "x")
        with pytest.raises(RuntimeError, match="'async with' and 'async for'"), broadcast.subscribe("news"):
            pass
        async with broadcast.subscribe("news") as messages:
            with pytest.raises(RuntimeError, match="'async for message in messages'"):
                next(messages)

    asyncio.run(main())


def test_publish_now_blocks_in_a_thread_and_in_memory_anywhere(broadcast: Broadcast) -> None:
    assert broadcast.publish_now("news", "x") == 1

    async def main() -> int:
        return Broadcast().publish_now("news", "x")

    assert asyncio.run(main()) == 1


def test_subscription_that_has_not_begun_says_what_to_write(broadcast: Broadcast) -> None:
    with pytest.raises(RuntimeError, match=r"with broadcast\.subscribe\(\.\.\.\) as messages"):
        next(iter(broadcast.subscribe("news")))


def test_two_who_wait_for_one_subscription_are_told() -> None:
    async def main() -> None:
        async with Broadcast().subscribe("news") as messages, anyio.create_task_group() as group:
            group.start_soon(messages.receive)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match="Give each its own"):
                await messages.receive()
            group.cancel_scope.cancel()

    anyio.run(main)


@pytest.mark.parametrize("channel", ["", "x" * 501, "\ud800"])
def test_invalid_channel_is_refused(channel: str) -> None:
    for call in (lambda: Broadcast().publish(channel, "x"), lambda: Broadcast().subscribe(channel)):
        with pytest.raises(ValueError, match="invalid channel; expected"):
            call()


def test_wrong_arguments_are_refused() -> None:
    broadcast = Broadcast()
    for call in (lambda: broadcast.publish(b"news", "x"), lambda: broadcast.subscribe(7)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="invalid channel; expected str"):
            call()
    with pytest.raises(TypeError, match="needs the name of a channel"):
        broadcast.subscribe()
    with pytest.raises(TypeError, match="not JSON serializable"):
        broadcast.publish("news", object())
    for options in ({"max_queue": 0}, {"history": -1}, {"max_queue": True}):
        with pytest.raises(ValueError, match="expected an int of"):
            Broadcast(**options)  # type: ignore[arg-type]
    for options in ({"timeout": 0}, {"history_seconds": -1}):
        with pytest.raises(ValueError, match="expected seconds above 0"):
            Broadcast(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["", "kafka://host", "Redis", "http://user:secret@host", 7])
def test_unknown_back_end_is_refused_and_no_secret_shown(backend: Any) -> None:
    with pytest.raises(ValueError, match="expected 'memory', 'redis://") as caught:
        Broadcast(backend)
    assert "secret" not in str(caught.value)


def test_own_back_end_is_used() -> None:
    class Own(Backend):
        does_io = False

        async def publish(self, channel: str, payload: bytes) -> int:
            seen.append((channel, payload))
            return 7

    class Suspends(Backend):
        does_io = False

        async def publish(self, channel: str, payload: bytes) -> int:
            await asyncio.sleep(0)
            return 7

    seen: list[Any] = []
    assert Broadcast(Own()).publish("news", "x") == 7
    assert seen == [("news", b"tx")]
    with pytest.raises(RuntimeError, match="set does_io = True there"):
        Broadcast(Suspends()).publish("news", "x")
    with pytest.raises(NotImplementedError, match=r"Own has no attach\(\)"):
        Broadcast(Own()).subscribe("news").open_now()


def test_shutdown_of_the_app_closes_the_broadcast(client: Any, make: Callable[..., Broadcast]) -> None:
    for kind in ("memory", "redis"):
        app = DuoFlask(__name__)
        broadcast = make(kind)
        broadcast.init_app(app)
        app.add_url_rule("/", "index", lambda broadcast=broadcast: str(broadcast.publish("news", "x")))

        @app.route("/async")
        async def view(broadcast: Broadcast = broadcast) -> str:
            return str(await broadcast.publish("news", "x"))

        assert app.extensions["broadcast"] is broadcast
        subscription = broadcast.subscribe("news")
        made = client(app)
        assert made.get("/").text == "1"
        subscription.open_now()
        assert made.get("/async").text == "2"
        assert subscription.receive(timeout=SECONDS).data == "x"
        made.close()
        assert list(subscription) == []
        subscription.close_now()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # pytest's plugins have threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_begins_anew(broadcast: Broadcast) -> None:
    with broadcast.subscribe("news") as messages:
        broadcast.publish("news", "a")
        assert texts(messages, 1) == ["a"]
        child = os.fork()
        if child == 0:
            code = 1
            try:
                with broadcast.subscribe("own") as own:
                    broadcast.publish("own", "in the child")
                    code = 0 if texts(own, 1) == ["in the child"] else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        broadcast.publish("news", "b")
        assert texts(messages, 1) == ["b"]


def test_channels_in_memory_are_forgotten_after_their_time() -> None:
    broadcast = Broadcast(history_seconds=1e-9)
    with broadcast.subscribe("kept"):
        for number in range(100):
            broadcast.publish(f"room {number}", "x")
        assert set(broadcast.backend._channels) == {"kept", "room 99"}  # type: ignore[attr-defined]


def test_messages_and_broadcasts_tell_who_they_are(broadcast: Broadcast) -> None:
    with broadcast.subscribe("news") as messages:
        broadcast.publish("news", "x" * 100)
        message = messages.receive(timeout=SECONDS)
        assert isinstance(message, Message)
        assert repr(message).startswith("<Message 1 of 'news': 'xxx")
        assert repr(messages) == "<Subscription of news>"
    assert repr(broadcast).startswith(("<Broadcast memory", "<Broadcast redis"))


def test_positions_are_written_and_read() -> None:
    one, two = Position(7, "ab"), Position(0, "")
    assert dump_positions({"a": one}) == "7-ab"
    assert parse_positions("7-ab", ["a"]) == {"a": one}
    assert parse_positions("a=7-ab", ["a"]) == {"a": one}
    line = dump_positions({"a": one, "b\n=&": two})
    assert line == "a=7-ab&b%0A%3D%26=0-"
    assert parse_positions(line, ["b\n=&", "a", "c"]) == {"a": one, "b\n=&": two}


def test_channels_that_nobody_has_published_to_are_forgotten(make: Callable[..., Broadcast]) -> None:
    """Their names may come from a URL."""
    broadcast = make("memory")
    for number in range(100):
        with broadcast.subscribe(f"room {number}", f"other {number}"):
            pass
    with broadcast.subscribe("used") as messages:
        place = messages.position
    with broadcast.subscribe("used", after=place) as messages:
        broadcast.publish("used", "a")
        assert [message.data for message in [messages.receive(5)]] == ["a"]
    backend: Any = broadcast.backend
    assert list(backend._channels) == ["used"]
    with broadcast.subscribe("used", after=place) as messages:
        assert messages.receive(5).data == "a"
