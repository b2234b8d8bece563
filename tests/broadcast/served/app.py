"""What the tests of real servers serve: the events of a channel, and a way to publish."""

from __future__ import annotations

import os
from typing import Any

from duoflask import DuoFlask, request
from duoflask.broadcast import Broadcast
from duoflask.sse import last_event_id, sse

app = DuoFlask(__name__)
broadcast = Broadcast(os.environ["BROADCAST_URL"], app, timeout=20)
HEARTBEAT = float(os.environ.get("HEARTBEAT", "15"))
closed = [0]


def events(channel: str) -> Any:
    source = broadcast.subscribe(channel, after=last_event_id())
    return sse(source, heartbeat=HEARTBEAT, headers={"X-Pid": str(os.getpid())})


@app.teardown_request
def teardown(error: BaseException | None) -> None:
    if request.endpoint in ("events_def", "events_async"):
        closed[0] += 1


@app.route("/events/<channel>")
async def events_async(channel: str) -> Any:
    return events(channel)


@app.route("/events/def/<channel>")
def events_def(channel: str) -> Any:
    return events(channel)


@app.post("/publish/<channel>")
def publish(channel: str) -> str:
    return str(broadcast.publish(channel, request.get_data(as_text=True)))


@app.post("/publish/async/<channel>")
async def publish_async(channel: str) -> str:
    return str(await broadcast.publish(channel, request.get_data(as_text=True)))


@app.route("/state")
def state() -> Any:
    backend: Any = broadcast.backend
    subscribers = sum(len(channel.subscribers) for channel in backend._channels.values())
    return {"pid": os.getpid(), "closed": closed[0], "subscribers": subscribers}
