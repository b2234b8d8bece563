"""A chat: messages arrive by WebSocket or by POST, and leave by WebSocket and as server-sent events.

`gunicorn -k gthread --threads 100 app:app`, `uvicorn --workers 2 app:app`, or `python app.py`; `CHAT_BROADCAST` names
the Redis that several workers need.
"""

from __future__ import annotations

import os
from typing import Any

import anyio

from duoflask import DuoFlask, abort, render_template, request, websocket
from duoflask.broadcast import Broadcast, Subscription
from duoflask.sse import last_event_id, sse

MAX_TEXT = 1000
EXPECTED = f"expected a name and a text of up to {MAX_TEXT} characters"

app = DuoFlask(__name__)
broadcast = Broadcast(os.environ.get("CHAT_BROADCAST", "memory"), app)


def line(form: Any) -> dict[str, str] | None:
    """What somebody says; None if it is nothing that can be said."""
    name, text = (form.get("name"), form.get("text")) if hasattr(form, "get") else (None, None)
    if not isinstance(name, str) or not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
        return None
    return {"name": name[:50] or "somebody", "text": text}


@app.get("/")
def index() -> str:
    return render_template("room.html", room="lobby")


@app.get("/rooms/<room>")
def show(room: str) -> str:
    return render_template("room.html", room=room)


@app.post("/rooms/<room>")
def say(room: str) -> Any:
    said = line(request.form)
    if said is None:
        abort(400, EXPECTED)
    return {"number": broadcast.publish(f"room:{room}", said)}, 202


@app.get("/rooms/<room>/events")
async def events(room: str) -> Any:
    """All that is said, and after a break what was said meanwhile: a browser connects again by itself."""
    return sse(broadcast.subscribe(f"room:{room}", after=last_event_id()), retry=1000)


@app.websocket("/rooms/<room>/socket")
async def talk(room: str) -> None:
    async with broadcast.subscribe(f"room:{room}") as messages, anyio.create_task_group() as group:
        await websocket.accept()  # from here on nothing is missed
        group.start_soon(forward, messages)
        async for text in websocket:
            said = line(parsed(text))
            if said is None:
                await websocket.close(1008, EXPECTED)
                break
            await broadcast.publish(f"room:{room}", said)
        group.cancel_scope.cancel()


def parsed(text: str | bytes) -> Any:
    try:
        return app.json.loads(text)
    except ValueError:
        return None


async def forward(messages: Subscription) -> None:
    async for message in messages:
        await websocket.send_json(message.data)


if __name__ == "__main__":
    app.run()
