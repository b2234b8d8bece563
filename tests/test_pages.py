"""The pages themselves: links lead somewhere, README's example runs; and those pages that no other test runs."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from duoflask import DuoFlask, copy_current_request_context, request, websocket
from duoflask.bridge import loop_is_running
from duoflask.sse import EventParser

from .pages import ROOT, Page

PAGES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("name", ["README", *PAGES])
def test_links_lead_somewhere(name: str) -> None:
    page = Page(name)
    for link in re.findall(r"\]\(([^)#\s]+)", page.text):
        if "://" not in link:
            assert (page.path.parent / link).exists(), link
    for link in re.findall(r"`([\w-]+\.md)`", page.text):
        assert Path(link).stem in (*PAGES, "README"), link


def test_readme_links_every_page() -> None:
    linked = set(re.findall(r"\]\(docs/([\w-]+)\.md\)", Page("README").text))
    assert linked == set(PAGES)


def test_readme_begins_with_views_of_both_colours(client: Any) -> None:
    served = client(Page("README").example('@app.route("/slow")')["app"])
    assert served.get("/?name=Ada").text == "Hello, Ada!"
    assert served.get("/slow").text == "Hello, but later!"


def test_readme_shows_websocket_events_and_background_task(client: Any) -> None:
    names = Page("README").example("@app.websocket")
    served = client(names["app"])
    with served.websocket("/shout") as ws:
        ws.send("hello")
        assert ws.receive() == "HELLO"
    events = EventParser().feed(served.get("/clock").data)
    assert [event.data for event in events] == ['{"tick": 0}', '{"tick": 1}', '{"tick": 2}']
    assert served.post("/order", data={"to": "ada"}).text == "thank you"
    served.close()
    assert names["sent"] == ["ada"]


def test_readme_has_a_line_for_each_dependency() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needs = [
        *project["dependencies"],
        *(need for name in extras for need in extras[name] if name not in ("bench", "dev")),
    ]
    text = Page("README").text
    table = text[text.index("## Dependencies") : text.index("## Flask's extensions")]
    for need in needs[: len(project["dependencies"])]:
        assert re.match(r"[\w-]+", need)[0] in table, need  # type: ignore[index]
    for name in ("dotenv", "redis", "reload", "msgspec", "tls"):
        assert f"`{name}`" in table and extras[name][0].partition(">")[0] in table


def test_start_up_of_the_async_page(client: Any) -> None:
    page = Page("async")
    closed: list[bool] = []

    class Pool:
        async def close(self) -> None:
            closed.append(True)

    async def make_pool() -> Pool:
        return Pool()

    names = page.run("\n\n".join(page.indented), app=DuoFlask("a"), make_pool=make_pool)
    assert client(names["app"]).get("/ping").text == "pong"


def test_table_of_the_async_page(client: Any, protocol: str) -> None:
    app = DuoFlask("a")
    on_loop: dict[str, bool] = {}

    def look(what: str) -> None:
        on_loop[what] = loop_is_running()

    async def look_async(what: str) -> None:
        look(what)

    @app.get("/")
    def view() -> str:
        look("def")
        app.add_background_task(look, "task def")
        return ""

    @app.get("/async")
    async def async_view() -> str:
        look("async def")
        app.add_background_task(look_async, "task async def")
        return ""

    @app.get("/inline", inline=True)
    def inline() -> str:
        look("inline")
        return ""

    @app.websocket("/ws")
    def socket() -> None:
        websocket.accept()
        look("websocket def")

    @app.websocket("/ws/async")
    async def async_socket() -> None:
        await websocket.accept()
        look("websocket async def")

    served = client(app)
    for path in ("/", "/async", "/inline"):
        served.get(path)
    for path in ("/ws", "/ws/async"):
        with served.websocket(path) as ws:
            ws.wait_closed()
    served.close()
    assert on_loop.pop("inline") is (protocol == "asgi")
    assert len(on_loop) == 6
    assert {what: "async" in what for what in on_loop} == on_loop


def test_examples_of_the_contexts_page(client: Any) -> None:
    page = Page("contexts")
    done: list[str] = []

    class Database:
        async def rows(self, table: str) -> AsyncIterator[str]:
            yield f"row of {table}"

    rows, thread = page.indented
    app = DuoFlask("a")
    names = page.run(rows, app=app, database=Database(), request=request)

    @app.get("/thread")
    def start() -> str:
        made = page.run(
            thread.replace("threading.Thread", "worker = threading.Thread").replace(".start()", "; worker.start()"),
            threading=threading,
            copy_current_request_context=copy_current_request_context,
            work=lambda: done.append(request.path),
        )
        made["worker"].join()
        return ""

    served = client(names["app"])
    assert served.get("/rows?table=a").text == "row of a\n"
    served.get("/thread")
    assert done == ["/thread"]
