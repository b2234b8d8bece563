"""A WebSocket over a socket as both colours use it: in parts, at once, cancelled, silent, and at its end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from duoflask.bridge import portal
from duoflask.http.websocket_wire import Wire
from duoflask.wsgi_socket import SocketChannel, _leave_all

from .frames import CLOSE, HEADERS, PING, PONG, TEXT, close, frame, read_frames

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """The server's and the client's end of a connection."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture(autouse=True)
def _short_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most peers here do not answer a close frame."""
    monkeypatch.setattr("duoflask.wsgi_socket.MAX_CLOSE_SECONDS", 0.05)


def _channel(pair: Pair, **options: Any) -> SocketChannel:
    """A channel whose handshake is done."""
    channel = SocketChannel(pair[0], Wire.from_headers(HEADERS), **options)
    assert channel.receive_now() == {"type": "websocket.connect"}
    channel.send_now({"type": "websocket.accept"})
    assert pair[1].recv(1000).startswith(b"HTTP/1.1 101 ")
    return channel


def _on_portal(function: Any, *args: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(function(*args), portal().loop).result(30)


def _text(number: int) -> dict[str, Any]:
    return {"type": "websocket.send", "text": f"message {number}"}


@pytest.mark.parametrize("colour", ["thread", "portal"])
def test_a_message_in_tiny_pieces(pair: Pair, colour: str) -> None:
    channel = _channel(pair)
    data = frame(TEXT, "hello", fin=True)

    def trickle() -> None:
        for at in range(len(data)):
            pair[1].sendall(data[at : at + 1])

    thread = threading.Thread(target=trickle)
    thread.start()
    message = channel.receive_now() if colour == "thread" else _on_portal(channel.receive)
    thread.join()
    assert message == {"type": "websocket.receive", "text": "hello"}
    channel.finish()


@pytest.mark.parametrize("colour", ["thread", "portal"])
def test_a_big_message_to_a_slow_reader(pair: Pair, colour: str) -> None:
    channel = _channel(pair)
    got = bytearray()

    def read() -> None:
        while len(got) < (4 << 20) + 10:
            got.extend(pair[1].recv(3000))

    thread = threading.Thread(target=read)
    thread.start()
    message = {"type": "websocket.send", "bytes": b"x" * (4 << 20)}
    channel.send_now(message) if colour == "thread" else _on_portal(channel.send, message)
    thread.join()
    assert got[10:] == b"x" * (4 << 20)
    channel.finish()


def test_threads_and_tasks_send_at_once(pair: Pair) -> None:
    """Frames stay whole, each sender's in its order, while another receives and answers pings."""
    channel = _channel(pair)
    senders, count = 4, 200
    received: list[Any] = []

    def thread_sends(sender: int) -> None:
        for turn in range(count):
            channel.send_now({"type": "websocket.send", "text": f"{sender} {turn} " + "x" * 3000})

    async def task_sends(sender: int) -> None:
        for turn in range(count):
            await channel.send({"type": "websocket.send", "text": f"{sender} {turn} " + "x" * 3000})

    async def tasks_send() -> None:
        await asyncio.gather(*(task_sends(sender) for sender in range(senders, 2 * senders)))

    def receives() -> None:
        while (message := channel.receive_now())["type"] == "websocket.receive":
            received.append(message["text"])

    threads = [threading.Thread(target=thread_sends, args=(sender,)) for sender in range(senders)]
    threads += [threading.Thread(target=_on_portal, args=(tasks_send,)), threading.Thread(target=receives)]
    for thread in threads:
        thread.start()
    data, wanted = bytearray(), 2 * senders * count
    for number in range(50):
        pair[1].sendall(frame(TEXT, f"in {number}") + frame(PING, b"?"))
    total = sum(2 + 2 + len(f"{sender} {turn} ") + 3000 for sender in range(2 * senders) for turn in range(count))
    while len(data) < total + 50 * 3:
        data += pair[1].recv(65536)
    pair[1].sendall(close(1000))
    for thread in threads:
        thread.join()
    frames = _split(bytes(data))
    assert [payload for opcode, payload in frames if opcode == PONG] == [b"?"] * 50
    texts = [payload.decode().split()[:2] for opcode, payload in frames if opcode == TEXT]
    assert len(texts) == wanted
    for sender in range(2 * senders):
        assert [int(turn) for name, turn in texts if name == str(sender)] == list(range(count))
    assert received == [f"in {number}" for number in range(50)]
    channel.finish()


def _split(data: bytes) -> list[tuple[int, bytes]]:
    """As `read_frames`, without copying the rest for each frame."""
    found, at = [], 0
    while at < len(data):
        size, start = data[at + 1], at + 2
        if size == 126:
            size, start = int.from_bytes(data[at + 2 : at + 4]), at + 4
        found.append((data[at] & 0xF, data[start : start + size]))
        at = start + size
    return found


def test_a_cancelled_receive_loses_nothing(pair: Pair) -> None:
    channel = _channel(pair)

    async def main() -> list[str]:
        got = []
        writer = asyncio.get_running_loop().run_in_executor(None, trickle)
        while len(got) < 200:
            task = asyncio.create_task(channel.receive())
            for _ in range(3):
                await asyncio.sleep(0)
            if not task.done():
                task.cancel()
            try:
                got.append((await task)["text"])
            except asyncio.CancelledError:
                await asyncio.sleep(0.0005)
        await writer
        return got

    def trickle() -> None:
        data = b"".join(frame(TEXT, f"{number}") for number in range(200))
        for at in range(0, len(data), 5):
            pair[1].sendall(data[at : at + 5])

    assert _on_portal(main) == [str(number) for number in range(200)]
    channel.finish()


def test_the_portal_forgets_the_descriptor_at_the_end(pair: Pair) -> None:
    """A task that still waits is woken, and touches the descriptor no more: it is another connection's by then."""
    channel = _channel(pair)
    loop = portal().loop
    waiting = asyncio.run_coroutine_threadsafe(channel.receive(), loop)
    descriptor = pair[0].fileno()

    async def is_watched() -> bool:
        return descriptor in asyncio.get_running_loop()._selector.get_map()  # type: ignore[attr-defined]

    while not _on_portal(is_watched):
        time.sleep(0.001)
    channel.finish()
    assert not _on_portal(is_watched)
    assert waiting.result(20) == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert not _on_portal(is_watched)


@pytest.mark.parametrize("colour", ["thread", "portal"])
def test_silence_is_answered_with_a_ping_and_then_the_end(pair: Pair, colour: str) -> None:
    channel = _channel(pair, ping_interval=0.05)
    message = channel.receive_now() if colour == "thread" else _on_portal(channel.receive)
    assert message == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    channel.finish()
    pair[0].close()
    frames = read_frames(_all(pair[1]))
    assert [(opcode, payload[:2]) for opcode, payload in frames] == [(PING, b""), (CLOSE, (1011).to_bytes(2))]


def test_a_pong_keeps_the_connection(pair: Pair) -> None:
    channel = _channel(pair, ping_interval=0.6)
    answered = []

    def answers() -> None:
        for _ in range(3):
            data = pair[1].recv(2)
            answered.append(data)
            pair[1].sendall(frame(PONG, b""))
        pair[1].sendall(frame(TEXT, "alive"))

    thread = threading.Thread(target=answers)
    thread.start()
    assert channel.receive_now() == {"type": "websocket.receive", "text": "alive"}
    thread.join()
    assert answered == [b"\x89\x00"] * 3
    channel.finish()


def test_a_peer_that_takes_nothing_is_given_up(pair: Pair) -> None:
    channel = _channel(pair, ping_interval=0.05)
    with pytest.raises(ConnectionResetError):
        channel.send_now({"type": "websocket.send", "bytes": b"x" * (8 << 20)})
    with pytest.raises(ConnectionResetError):
        _on_portal(channel.send, _text(1))
    channel.finish()


def test_a_peer_that_sends_pings_and_reads_nothing_is_not_read_on(pair: Pair) -> None:
    """Its pongs would otherwise fill the memory."""
    channel = _channel(pair)
    pings = frame(PING, b"x" * 125) * 1000
    pair[1].setblocking(False)
    thread = threading.Thread(target=channel.receive_now)
    thread.start()
    sent, patience = 0, 0
    while patience < 200:
        try:
            sent += pair[1].send(pings)
            patience = 0
        except BlockingIOError:
            patience += 1
            time.sleep(0.001)
    assert len(channel._unsent) < 1 << 19
    pair[1].close()
    thread.join(20)
    assert not thread.is_alive()
    assert sent < 8 << 20
    channel.finish()


@pytest.mark.parametrize("colour", ["thread", "portal"])
def test_a_peer_that_vanishes(pair: Pair, colour: str) -> None:
    channel = _channel(pair)
    pair[1].close()
    receive = channel.receive_now if colour == "thread" else lambda: _on_portal(channel.receive)
    assert receive() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    assert receive()["type"] == "websocket.disconnect"
    with pytest.raises(ConnectionResetError):
        channel.send_now(_text(1))
    with pytest.raises(ConnectionResetError):
        _on_portal(channel.send, _text(1))
    channel.finish()


def test_send_to_a_peer_that_vanished_unseen(pair: Pair) -> None:
    channel = _channel(pair)
    pair[1].close()
    with pytest.raises(ConnectionResetError):
        for number in range(100):
            channel.send_now(_text(number))
    channel.finish()


# -- the end


def _all(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def test_the_close_frame_of_the_peer_is_waited_for(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duoflask.wsgi_socket.MAX_CLOSE_SECONDS", 20)
    pair[0].settimeout(7)
    channel = _channel(pair)
    channel.send_now({"type": "websocket.close", "code": 1000})
    finishing = threading.Thread(target=channel.finish)
    finishing.start()
    assert pair[1].recv(4) == b"\x88\x02\x03\xe8"
    pair[1].sendall(frame(TEXT, "on its way") + close(1000))
    assert _all(pair[1]) == b""
    finishing.join()
    assert pair[0].gettimeout() == 7


def test_a_peer_that_does_not_answer_the_close_frame(pair: Pair) -> None:
    channel = _channel(pair)
    channel.send_now({"type": "websocket.close", "code": 1000})
    channel.finish()
    assert read_frames(_all(pair[1])) == [(CLOSE, (1000).to_bytes(2))]


def test_an_application_that_was_torn_out_closes_with_1001(pair: Pair) -> None:
    channel = _channel(pair)
    pair[1].sendall(close(1001))
    channel.finish()
    assert read_frames(_all(pair[1]))[0] == (CLOSE, (1001).to_bytes(2))


def test_what_a_peer_still_sends_after_breaking_a_rule_is_read_away() -> None:
    """Over TCP: closing with unread bytes would have the system take the close frame back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours = listener.accept()[0]
    theirs.settimeout(20)
    with ours, theirs:
        channel = _channel((ours, theirs))
        theirs.sendall(frame(0x3, b"no such opcode") + b"x" * 300_000)
        assert channel.receive_now()["code"] == 1002
        channel.finish()
        ours.close()
        data = _all(theirs)
    assert [(opcode, payload[:2]) for opcode, payload in read_frames(data)] == [(CLOSE, (1002).to_bytes(2))]


def test_a_denied_handshake_leaves_the_socket_alone(pair: Pair) -> None:
    pair[0].settimeout(9)
    channel = SocketChannel(pair[0], Wire.from_headers(HEADERS))
    channel.receive_now()
    channel.send_now({"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]})
    channel.send_now({"type": "websocket.http.response.body", "body": b"no"})
    channel.finish()
    assert channel.denial == (401, [(b"a", b"b")], [b"no"])
    assert pair[0].gettimeout() == 9
    pair[0].sendall(b"the server's own")
    assert pair[1].recv(100) == b"the server's own"


def test_close_before_accept_is_a_403(pair: Pair) -> None:
    channel = SocketChannel(pair[0], Wire.from_headers(HEADERS))
    channel.send_now({"type": "websocket.close"})
    assert channel.denial == (403, [], [])


def test_a_client_that_leaves_before_the_answer(pair: Pair) -> None:
    channel = SocketChannel(pair[0], Wire.from_headers(HEADERS))
    channel.receive_now()
    pair[1].close()
    assert channel.receive_now() == {"type": "websocket.disconnect", "code": 1006, "reason": ""}
    with pytest.raises(ConnectionResetError):
        channel.send_now({"type": "websocket.accept"})
    channel.finish()


def test_at_the_end_of_the_process_open_connections_are_closed(pair: Pair) -> None:
    channel = _channel(pair)
    waiting = threading.Thread(target=channel.receive_now)
    waiting.start()
    _leave_all()
    assert pair[1].recv(100) == b"\x88\x02" + (1001).to_bytes(2)
    _leave_all()
    pair[1].sendall(close(1001))
    waiting.join()
    channel.finish()
    _leave_all()
    assert _all(pair[1]) == b""


class _Flood:
    """A peer that sends the same again and again, as fast as it can."""

    def __init__(self, sock: socket.socket, data: bytes) -> None:
        self._socket, self._data, self._stopped = sock, data, False
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            while not self._stopped:
                self._socket.sendall(self._data)
        except OSError:
            pass

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._stopped = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()


FLOODS = {"pongs": frame(PONG) * 5000, "messages": frame(TEXT, "hello") * 5000}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_peer_that_never_pauses_leaves_the_loop_to_others(pair: Pair, kind: str) -> None:
    channel = _channel(pair)

    async def receives() -> None:
        while (await channel.receive())["type"] == "websocket.receive":
            pass

    async def others() -> None:
        task = asyncio.create_task(receives())
        for _ in range(20):
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.wait([task])

    with _Flood(pair[1], FLOODS[kind]):
        _on_portal(others)
    channel.finish()


def test_a_peer_that_never_pauses_leaves_the_lock_to_those_who_send(pair: Pair) -> None:
    channel = _channel(pair)
    thread = threading.Thread(target=channel.receive_now)
    with _Flood(pair[1], FLOODS["pongs"]):
        thread.start()
        for number in range(5):
            channel.send_now(_text(number))
    thread.join()
    channel.finish()


@pytest.mark.parametrize("kind", FLOODS)
def test_a_peer_that_never_pauses_does_not_keep_the_thread_behind_the_close(pair: Pair, kind: str) -> None:
    channel = _channel(pair)
    channel.send_now({"type": "websocket.close"})
    thread = threading.Thread(target=channel.finish)
    with _Flood(pair[1], FLOODS[kind]):
        thread.start()
        thread.join(20)
        assert not thread.is_alive()


def test_a_task_that_is_cancelled_at_its_turn_loses_no_message(pair: Pair) -> None:
    channel = _channel(pair)
    pair[1].sendall(b"".join(frame(TEXT, str(number)) for number in range(100)))
    got: list[str] = []

    async def receives() -> None:
        while True:
            got.append((await channel.receive())["text"])

    async def cancels() -> None:
        while len(got) < 100:
            task = asyncio.create_task(receives())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

    _on_portal(cancels)
    assert got == [str(number) for number in range(100)]
    channel.finish()
