"""The examples of docs/sessions.md, run as they stand there."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "sessions.md"


def blocks() -> list[str]:
    """The indented blocks of the page."""
    found: list[list[str]] = [[]]
    for line in PAGE.read_text().splitlines():
        if line.startswith("    ") or (not line and found[-1]):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [textwrap.dedent("\n".join(lines)) for lines in found if lines]


def test_examples_work(client: Callable[..., Any], tmp_path: Path) -> None:
    names: dict[str, Any] = {"__name__": "a"}
    code = "\n\n".join(blocks())
    assert code.count("@app.") == 5
    exec(compile(code.replace('"sqlite"', f'"sqlite:{tmp_path / "s.db"}"'), str(PAGE), "exec"), names)
    browser = client(names["app"])
    own = {"Sec-Fetch-Site": "same-origin"}
    assert browser.post("/login", data={"user": "ada"}, headers=own).text == "welcome"
    assert browser.get("/me").text == "ada"
    assert browser.post("/login", headers={"Origin": "https://evil.example"}).status_code == 403
    browser.post("/save", headers=own)
    assert browser.get("/messages").json == [["info", "Saved."]]
    names["test_cart"](browser)
    names["app"].session_interface.store.close()
