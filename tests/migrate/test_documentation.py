"""The examples of docs/from-flask.md and docs/from-quart.md, under both protocols; the rows of their tables."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {name: (DOCS / f"from-{name}.md").read_text() for name in ("flask", "quart")}
BLOCKS = {name: re.findall(r"```python\n(.*?)```", page, re.DOTALL) for name, page in PAGES.items()}
ROWS = re.findall(r"^\| `(.*import.*)`(?: \(.*\))? \| `(.*)` \|$", PAGES["flask"], re.MULTILINE)


def example(page: str, number: int) -> Any:
    names: dict[str, Any] = {"__name__": "example"}
    exec(BLOCKS[page][number], names)
    return names["app"]


def test_flask_app(client: Any) -> None:
    tester = client(example("flask", 0))
    assert tester.post("/login", data={"user": "Ada"}).text == "Hello, Ada"
    assert tester.get("/none").json == {"error": "Not Found"}


def test_patch() -> None:
    # In a process of its own: flask is imported in this one.
    subprocess.run([sys.executable, "-c", BLOCKS["flask"][1]], check=True)


def test_async_view(client: Any) -> None:
    assert client(example("flask", 2)).post("/slow", data={"name": "Ada"}).json == {"seen": True, "name": "Ada"}


def test_quart_app(client: Any) -> None:
    response = client(example("quart", 0)).post("/", data={"name": "Ada"})
    assert (response.text, response.headers["X-Length"]) == ("Hello, Ada", "10")


def test_no_example_is_left_out() -> None:
    assert {name: len(blocks) for name, blocks in BLOCKS.items()} == {"flask": 3, "quart": 1}
    assert len(ROWS) == 7


@pytest.mark.parametrize("row", ROWS)
def test_row_is_what_migrate_does(migrate: Any, row: tuple[str, str]) -> None:
    old, new = (side.replace("`, `", "\n") for side in row)
    assert migrate(old) == (new, [])


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\]\(([\w.-]+\.md)\)", "".join(PAGES.values())))))
def test_link_leads_somewhere(name: str) -> None:
    assert (DOCS / name).is_file()
