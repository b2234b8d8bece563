"""The examples of docs/sse.md, run as they stand there."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from duoflask.sse import EventParser

PAGE = Path(__file__).parents[2] / "docs" / "sse.md"


def blocks() -> list[str]:
    """The indented blocks of code of the page."""
    found: list[list[str]] = [[]]
    for line in PAGE.read_text().splitlines():
        if line.startswith("    ") or (not line and found[-1]):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    texts = [textwrap.dedent("\n".join(lines)) for lines in found if lines]
    return [text for text in texts if not text.startswith("the connection to")]


def test_examples_work(client: Callable[..., Any]) -> None:
    from duoflask import websocket

    names: dict[str, Any] = {"__name__": "a", "Empty": Empty, "websocket": websocket}
    code = "\n\n".join(blocks())
    assert code.count("@app.") == 6
    exec(compile(code, str(PAGE), "exec"), names)
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
