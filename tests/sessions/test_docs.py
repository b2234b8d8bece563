"""The examples of docs/sessions.md, run as they stand there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..pages import Page


def test_examples_work(client: Callable[..., Any], tmp_path: Path) -> None:
    page = Page("sessions")
    code = "\n\n".join(page.indented)
    assert code.count("@app.") == 5
    names = page.run(code.replace('"sqlite"', f'"sqlite:{tmp_path / "s.db"}"'))
    browser = client(names["app"])
    own = {"Sec-Fetch-Site": "same-origin"}
    assert browser.post("/login", data={"user": "ada"}, headers=own).text == "welcome"
    assert browser.get("/me").text == "ada"
    assert browser.post("/login", headers={"Origin": "https://evil.example"}).status_code == 403
    browser.post("/save", headers=own)
    assert browser.get("/messages").json == [["info", "Saved."]]
    names["test_cart"](browser)
    names["app"].session_interface.store.close()
