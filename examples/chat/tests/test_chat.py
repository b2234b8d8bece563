"""The chat under both protocols: what one says, all in the room hear."""

from __future__ import annotations

from typing import Any

import pytest
from app import app

from duoflask.sse import EventParser


@pytest.fixture(params=["wsgi", "asgi"])
def client(request: pytest.FixtureRequest) -> Any:
    with app.test_client(protocol=request.param) as client:
        yield client


class Listener:
    """An EventSource, more or less."""

    def __init__(self, client: Any, room: str, last_id: str = "") -> None:
        self.parser = EventParser()
        headers = {"Last-Event-ID": last_id} if last_id else {}
        self.response = client.get(f"/rooms/{room}/events", headers=headers)
        self.chunks = self.response.iter_encoded()
        self.parser.feed(next(self.chunks))

    def next(self) -> Any:
        events: list[Any] = []
        while not events:
            events = self.parser.feed(next(self.chunks))
        return app.json.loads(events[0].data)


def test_page_is_shown(client: Any) -> None:
    assert "<h1>lobby</h1>" in client.get("/").text
    assert "<h1>&lt;b&gt;</h1>" in client.get("/rooms/<b>").text


def test_what_is_posted_is_heard_in_the_room(client: Any) -> None:
    here, there = Listener(client, "here"), Listener(client, "there")
    assert client.post("/rooms/there", data={"name": "Bob", "text": "Hi"}).status_code == 202
    assert client.post("/rooms/here", data={"name": "Ada", "text": "Hello"}).status_code == 202
    assert here.next() == {"name": "Ada", "text": "Hello"}
    assert there.next() == {"name": "Bob", "text": "Hi"}
    for listener in (here, there):
        listener.response.close()


def test_who_comes_back_hears_what_was_said_meanwhile(client: Any) -> None:
    listener = Listener(client, "break")
    listener.response.close()
    client.post("/rooms/break", data={"name": "Ada", "text": "one"})
    client.post("/rooms/break", data={"name": "Ada", "text": "two"})
    listener = Listener(client, "break", listener.parser.last_event_id)
    assert listener.next()["text"] == "one"
    listener.response.close()


@pytest.mark.parametrize(
    "form", [{}, {"name": "Ada"}, {"name": "Ada", "text": ""}, {"name": "Ada", "text": "x" * 1001}]
)
def test_empty_or_long_lines_are_refused(client: Any, form: dict[str, str]) -> None:
    assert client.post("/rooms/lobby", data=form).status_code == 400


def test_sockets_and_events_hear_each_other(client: Any) -> None:
    listener = Listener(client, "both")
    with client.websocket("/rooms/both/socket") as one, client.websocket("/rooms/both/socket") as two:
        one.send_json({"name": "Ada", "text": "Hello"})
        for socket in (one, two):
            assert socket.receive_json() == {"name": "Ada", "text": "Hello"}
        assert listener.next() == {"name": "Ada", "text": "Hello"}
        client.post("/rooms/both", data={"name": "Bob", "text": "Hi"})
        for socket in (one, two):
            assert socket.receive_json() == {"name": "Bob", "text": "Hi"}
    listener.response.close()


@pytest.mark.parametrize("text", ["[", "[]", "{}", '{"name": 1, "text": 2}'])
def test_socket_that_sends_something_else_is_closed(client: Any, text: str) -> None:
    with client.websocket("/rooms/lobby/socket") as socket:
        socket.send(text)
        assert list(socket) == []
        assert socket.close_code == 1008
