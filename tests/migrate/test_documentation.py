"""The examples of docs/from-flask.md and docs/from-quart.md, under both protocols; the rows of their tables."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import Any

import pytest
import quart

from duoflask import DuoFlask, has_websocket_context, websocket
from duoflask.testing import WebsocketResponseError

from ..pages import Page

PAGES = {name: Page(f"from-{name}") for name in ("flask", "quart")}
ROWS = re.findall(r"^\| `(.*import.*)`(?: \(.*\))? \| `(.*)` \|$", PAGES["flask"].text, re.MULTILINE)


def example(page: str, word: str) -> Any:
    return PAGES[page].example(word)["app"]


def test_flask_app(client: Any) -> None:
    tester = client(example("flask", "def login"))
    assert tester.post("/login", data={"user": "Ada"}).text == "Hello, Ada"
    assert tester.get("/none").json == {"error": "Not Found"}


def test_patch() -> None:
    # In a process of its own: flask is imported in this one.
    (block,) = [block for block in PAGES["flask"].fenced if "flask_patch" in block]
    subprocess.run([sys.executable, "-c", block], check=True)


def test_async_view(client: Any) -> None:
    assert client(example("flask", "async def slow")).post("/slow", data={"name": "Ada"}).json == {
        "seen": True,
        "name": "Ada",
    }


def test_quart_app(client: Any) -> None:
    response = client(example("quart", "before_serving")).post("/", data={"name": "Ada"})
    assert (response.text, response.headers["X-Length"]) == ("Hello, Ada", "10")


def test_flask_sock(client: Any) -> None:
    with client(example("flask", "def echo")).websocket("/echo") as ws:
        ws.send("hello")
        assert ws.receive() == "hello"


def test_time_out_of_a_receive(client: Any) -> None:
    app = DuoFlask("a")

    @app.websocket("/")
    async def view() -> None:
        await websocket.accept()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await websocket.receive()
        await websocket.send("late")
        await websocket.send(await websocket.receive())

    with client(app).websocket("/") as ws:
        assert ws.receive() == "late"
        ws.send("hello")
        assert ws.receive() == "hello"


def test_quart_websocket(client: Any) -> None:
    tester = client(example("quart", "members_only"))
    with pytest.raises(WebsocketResponseError) as refused, tester.websocket("/ws"):
        pass
    assert refused.value.response.status_code == 401
    with tester.websocket("/ws?key=secret") as ws:
        ws.send_json([1])
        assert ws.receive_json() == [1]
        ws.send("{")
        assert ws.wait_closed() == 1008
    with tester.session_transaction() as session:
        assert session["rooms"] == 1


def test_what_is_said_of_quarts_configuration() -> None:
    theirs, ours = quart.Quart("a").config, DuoFlask("a").config
    assert (theirs["MAX_CONTENT_LENGTH"], ours["MAX_CONTENT_LENGTH"]) == (16 * 2**20, None)
    assert theirs["SEND_FILE_MAX_AGE_DEFAULT"].total_seconds() == 12 * 3600
    assert ours["SEND_FILE_MAX_AGE_DEFAULT"] is None


def test_request_hooks_run_for_handshakes(client: Any) -> None:
    app, seen = DuoFlask("a"), []

    @app.before_request
    async def before() -> None:
        seen.append(has_websocket_context())

    @app.before_websocket
    async def before_websocket() -> None:
        seen.append("websocket")

    @app.websocket("/")
    async def view() -> None:
        await websocket.accept()

    with client(app).websocket("/") as ws:
        ws.wait_closed()
    assert seen == [True, "websocket"]


def test_no_example_is_left_out() -> None:
    assert {name: len(page.fenced) for name, page in PAGES.items()} == {"flask": 4, "quart": 2}
    assert len(ROWS) == 7


@pytest.mark.parametrize("row", ROWS)
def test_row_is_what_migrate_does(migrate: Any, row: tuple[str, str]) -> None:
    old, new = (side.replace("`, `", "\n") for side in row)
    assert migrate(old) == (new, [])
