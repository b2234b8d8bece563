"""Redis goes and comes back: what arrives, what is missed, what the log says."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from duoflask.broadcast import Broadcast, BroadcastUnavailable, redis as back_end

SECONDS = 30.0


class Gate:
    """Keeps the connection that listens of one broadcast away while it is closed."""

    def __init__(self, broadcast: Broadcast, client: Any) -> None:
        self._client = client
        self._open = True
        backend: Any = broadcast.backend
        make = backend._make_client

        def make_client(**options: Any) -> Any:
            if not self._open and options["socket_timeout"] is None:
                raise ConnectionError("the gate is closed")
            return make(**options)

        backend._make_client = make_client

    def close(self) -> None:
        self._open = False
        self._client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")

    def open(self) -> None:
        self._open = True


@pytest.fixture
def client(own_redis: Any) -> Iterator[Any]:
    """A client of the test's own Redis."""
    made = redis.Redis.from_url(own_redis.url)
    yield made
    made.close()


@pytest.fixture
def pair(own_redis: Any) -> Iterator[tuple[Broadcast, Broadcast]]:
    """Two processes, as it were: one publishes, one listens."""
    both = Broadcast(own_redis.url, timeout=20), Broadcast(own_redis.url, timeout=20)
    yield both
    for broadcast in both:
        broadcast.close()


def take(messages: Any, number: int) -> list[tuple[Any, int, int]]:
    found = [messages.receive(timeout=SECONDS) for _ in range(number)]
    return [(message.data, message.number, message.missed) for message in found]


def wait_for(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def restart(own_redis: Any) -> None:
    """Redis comes back without its data."""
    own_redis.stop()
    own_redis.start()


def test_lost_connection_costs_no_message(pair: Any, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    publisher, listener = pair
    gate = Gate(listener, client)
    with listener.subscribe("news") as messages:
        publisher.publish("news", "a")
        assert take(messages, 1) == [("a", 1, 0)]
        gate.close()
        for data in "bcd":
            publisher.publish("news", data)
        gate.open()
        assert take(messages, 3) == [("b", 2, 0), ("c", 3, 0), ("d", 4, 0)]
        publisher.publish("news", "e")
        assert take(messages, 1) == [("e", 5, 0)]
    assert "is lost (" in caplog.text
    assert "is back after" in caplog.text
    assert "3 messages of channel 'news' were fetched that had come meanwhile" in caplog.text
    assert "missed" not in caplog.text


def test_restarted_redis_goes_on_counting(pair: Any, own_redis: Any, caplog: pytest.LogCaptureFixture) -> None:
    publisher, listener = pair
    with listener.subscribe("news", "quiet") as messages:
        publisher.publish("news", "a")
        publisher.publish("news", "b")
        assert take(messages, 2) == [("a", 1, 0), ("b", 2, 0)]
        restart(own_redis)
        publisher.publish("news", "c")
        publisher.publish("quiet", "d")
        assert sorted(take(messages, 2)) == [("c", 3, 0), ("d", 1, 0)]
    assert "missed" not in caplog.text
    assert "Traceback" not in caplog.text


def test_what_redis_has_forgotten_is_counted(
    pair: Any, own_redis: Any, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    publisher, listener = pair
    gate = Gate(listener, client)
    with listener.subscribe("news") as messages, listener.subscribe("news") as others:
        publisher.publish("news", "a")
        assert take(messages, 1) == take(others, 1) == [("a", 1, 0)]
        gate.close()
        for _ in range(5):
            publisher.publish("news", "nobody hears it")
        restart(own_redis)
        publisher.publish("news", "b")  # it knows that there were six
        gate.open()
        assert take(messages, 1) == take(others, 1) == [("b", 7, 5)]
    assert caplog.text.count("missed 5 messages of channel 'news': 2 to 6") == 1


def test_listener_that_knows_more_than_redis_tells_it(
    pair: Any, own_redis: Any, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The one who comes back first names a lower number than another process knows."""
    publisher, listener = pair
    gate = Gate(listener, client)
    with listener.subscribe("news") as messages, publisher.subscribe("news") as own:
        publisher.publish("news", "a")
        assert take(messages, 1) == take(own, 1) == [("a", 1, 0)]
        gate.close()
        publisher.publish("news", "b")
        publisher.publish("news", "c")
        assert take(own, 2) == [("b", 2, 0), ("c", 3, 0)]
        restart(own_redis)
        key = "broadcast:{news}:at"
        wait_for(lambda: client.hget(key, "n") == b"3")  # the publisher's own reader has come back
        gate.open()
        wait_for(lambda: "missed 2 messages of channel 'news': 2 to 3" in caplog.text)
        publisher.publish("news", "d")
        assert take(messages, 1) == [("d", 4, 2)]
        assert take(own, 1) == [("d", 4, 0)]


def test_numbers_that_nobody_knows_any_more_are_told(
    pair: Any, own_redis: Any, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    publisher, listener = pair
    gate = Gate(listener, client)
    with listener.subscribe("news") as messages:
        for data in "abc":
            publisher.publish("news", data)
        assert len(take(messages, 3)) == 3
        gate.close()
        restart(own_redis)
        stranger = Broadcast(own_redis.url)
        stranger.publish("news", "d")
        stranger.close()
        gate.open()
        assert take(messages, 1) == [("d", 1, 0)]
    assert "has lost the numbers of channel 'news'; how many messages were missed behind 3 is not known" in caplog.text


def test_client_with_an_id_of_before_the_restart_gets_what_there_is(pair: Any, own_redis: Any) -> None:
    publisher, listener = pair
    with listener.subscribe("news") as messages:
        publisher.publish("news", "a")
        place = messages.receive(timeout=SECONDS).id
    restart(own_redis)
    publisher.publish("news", "b")
    with listener.subscribe("news", after=place) as messages:
        publisher.publish("news", "c")
        assert take(messages, 2) == [("b", 2, 0), ("c", 3, 0)]


def test_redis_that_is_away_is_a_503(own_redis: Any, caplog: pytest.LogCaptureFixture) -> None:
    broadcast = Broadcast(own_redis.url, timeout=0.3)
    own_redis.stop()
    with pytest.raises(BroadcastUnavailable) as caught:
        broadcast.publish("news", "x")
    assert caught.value.code == 503
    subscription = broadcast.subscribe("news")
    with pytest.raises(BroadcastUnavailable):
        subscription.open_now()
    backend: Any = broadcast.backend
    assert backend._channels == {}
    assert backend._reader is None
    assert list(subscription) == []
    own_redis.start()
    with broadcast.subscribe("news") as messages:
        broadcast.publish("news", "x")
        assert take(messages, 1) == [("x", 1, 0)]
    broadcast.close()
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(lines) == 2
    assert all(f"redis {own_redis.socket} is unavailable: " in line for line in lines)


@pytest.mark.e2e
def test_redis_that_stands_still_is_noticed(
    own_redis: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(back_end, "_PING_SECONDS", 0.05)
    monkeypatch.setattr(back_end, "_SILENCE_SECONDS", 2.0)
    broadcast = Broadcast(own_redis.url, timeout=2.0)
    with broadcast.subscribe("news") as messages:
        with pytest.raises(TimeoutError):
            messages.receive(timeout=2.5)  # pings are answered: it is not silent
        assert caplog.text == ""
        own_redis.freeze()
        with pytest.raises(BroadcastUnavailable):
            broadcast.publish("news", "x")
        wait_for(lambda: "is lost (TimeoutError" in caplog.text)
        own_redis.thaw()
        wait_for(lambda: "is back after" in caplog.text)
        number = broadcast.publish("news", "y")
        while take(messages, 1) != [("y", number, 0)]:  # what was not answered may have been carried out
            pass
    broadcast.close()


def test_process_has_one_connection_that_listens(own_redis: Any, client: Any) -> None:
    broadcast = Broadcast(own_redis.url, timeout=20)
    own = client.client_id()
    subscriptions = [broadcast.subscribe("a", f"b{number % 5}") for number in range(50)]
    for subscription in subscriptions:
        subscription.open_now()
    broadcast.publish("a", "x")
    others = [one for one in client.client_list() if int(one["id"]) != own]
    assert sorted(int(one["sub"]) for one in others) == [0, 6]
    for subscription in subscriptions:
        assert subscription.receive(timeout=SECONDS).data == "x"
        subscription.close_now()
    wait_for(lambda: len(client.client_list()) == 2)  # the connection for commands is kept
    broadcast.close()
    wait_for(lambda: len(client.client_list()) == 1)


def test_channel_is_left_with_its_last_subscriber(own_redis: Any, client: Any) -> None:
    broadcast = Broadcast(own_redis.url, timeout=20)
    with broadcast.subscribe("stays"):
        with broadcast.subscribe("news"), broadcast.subscribe("news"):
            assert client.pubsub_numsub("broadcast:news") == [(b"broadcast:news", 1)]
        wait_for(lambda: client.pubsub_numsub("broadcast:news") == [(b"broadcast:news", 0)])
        for _ in range(20):  # leaving and coming again do not overtake each other
            with broadcast.subscribe("news") as messages:
                number = broadcast.publish("news", "x")
                assert take(messages, 1) == [("x", number, 0)]
    broadcast.close()


def test_what_others_publish_there_is_ignored(own_redis: Any, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    broadcast = Broadcast(own_redis.url, timeout=20)
    with broadcast.subscribe("news") as messages:
        for body in (b"", b"x", b"7", b"7- x", b"x-ab x", b"\xff\xfe 1"):
            client.publish("broadcast:news", body)
        broadcast.publish("news", "a")
        assert take(messages, 1) == [("a", 1, 0)]
    broadcast.close()
    assert caplog.text.count("carried something that no Broadcast has sent; ignored") == 6


def test_keys_that_redis_has_evicted_stop_nobody(own_redis: Any, client: Any) -> None:
    broadcast = Broadcast(own_redis.url, timeout=20)
    with broadcast.subscribe("news") as messages:
        for data in "abc":
            broadcast.publish("news", data)
        client.delete("broadcast:{news}:at")
        broadcast.publish("news", "d")
        client.delete("broadcast:{news}:log")
        broadcast.publish("news", "e")
        assert [found[:2] for found in take(messages, 5)] == [("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)]
    broadcast.close()


def test_keys_end_by_themselves(own_redis: Any, client: Any) -> None:
    broadcast = Broadcast(own_redis.url, history_seconds=60, prefix="own:", timeout=20)
    broadcast.publish("news", "a")
    assert sorted(client.keys()) == [b"own:{news}:at", b"own:{news}:log"]
    assert 0 < client.pttl("own:{news}:log") <= 60_000
    assert 86_400_000 < client.pttl("own:{news}:at") <= 86_460_000
    broadcast.close()


def test_missing_redis_py_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(RuntimeError, match=r"pip install duoflask\[redis\]"):
        Broadcast("redis://localhost")


def test_old_names_of_valkey_are_understood() -> None:
    backend: Any = Broadcast("valkeys://user:secret@host:1/2").backend
    assert backend.url == "rediss://user:secret@host:1/2"
    assert backend.name == "redis host:1/2"


def _go_back(client: Any, copy: dict[str, bytes]) -> None:
    """Redis has lost its last writes, as after a restart from a snapshot or a failover."""
    for key, value in copy.items():
        client.restore(key, 0, value, replace=True)
    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


@pytest.mark.parametrize("first", ["publish", "subscribe"])
def test_redis_that_comes_back_with_older_data_gives_no_number_twice(pair: Any, client: Any, first: str) -> None:
    """A client that has seen message 6 would take another 6 for it."""
    publisher, listener = pair
    with listener.subscribe("news") as messages:
        for data in "abc":
            publisher.publish("news", data)
        copy = {key: client.dump(key) for key in ("broadcast:{news}:at", "broadcast:{news}:log")}
        for data in "def":
            publisher.publish("news", data)
        take(messages, 5)
        place = (last := messages.receive(timeout=SECONDS)).id
        assert last.data == "f"
        connections = {one["id"] for one in client.client_list(_type="pubsub")}
        _go_back(client, copy)
        if first == "subscribe":  # the reader is the first to notice
            wait_for(lambda: {one["id"] for one in client.client_list(_type="pubsub")} - connections)
            wait_for(lambda: client.hget("broadcast:{news}:at", "n") == b"6")
        publisher.publish("news", "g")
        publisher.publish("news", "h")
        assert take(messages, 2) == [("g", 7, 0), ("h", 8, 0)]
        with publisher.subscribe("news", after=place) as resumed:
            assert take(resumed, 2) == [("g", 7, 0), ("h", 8, 0)]
