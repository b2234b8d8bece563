"""The examples of docs/sse.md, run as they stand there."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, Queue
from typing import Any

from duoflask import websocket
from duoflask.sse import EventParser

from ..pages import Page


def test_examples_work(client: Callable[..., Any]) -> None:
    page = Page("sse")
    code = "\n\n".join(block for block in page.indented if not block.startswith("the connection to"))  # that is a log
    assert code.count("@app.") == 6
    names = page.run(code, Empty=Empty, websocket=websocket)
    made = client(names["app"])

    parser = EventParser()
    response = made.get("/clock")
    events: list[Any] = []
    for chunk in response.iter_encoded():
        events += parser.feed(chunk)
        if events:
            break
    response.close()
    assert events[0].event == "tick"
    assert events[0].data.startswith('{"now": ')

    parser = EventParser()
    assert [event.id for event in parser.feed(made.get("/count").data)] == ["1", "2", "3"]
    assert parser.retry == 3000
    found = EventParser().feed(made.get("/count", headers={"Last-Event-ID": "2"}).data)
    assert [event.data for event in found] == ["3"]
    assert made.get("/count", headers={"Last-Event-ID": "x"}).data == made.get("/count").data

    parser = EventParser()
    response = made.get("/news")
    chunks = response.iter_encoded()
    parser.feed(next(chunks))
    assert made.post("/news", data={"text": "a"}).json == {"number": 1}
    assert made.post("/async/news", data={"text": "b"}).json == {"number": 2}
    events = []
    while len(events) < 2:
        events += parser.feed(next(chunks))
    response.close()
    assert [event.data for event in events] == ['{"text": "a"}', '{"text": "b"}']

    with made.websocket("/chat") as one, made.websocket("/chat") as two:
        one.send("hello")
        assert one.receive() == two.receive() == "hello"

    queue: Queue[str] = Queue()
    queue.put("job")
    assert next(names["jobs"](queue)) == "job"
