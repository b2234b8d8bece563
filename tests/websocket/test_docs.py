"""The examples of docs/websockets.md, run as they stand there."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

import duoflask
from duoflask import globals as proxies
from duoflask.testing.websocket_core import WebsocketResponseError

PAGE = Path(__file__).parents[2] / "docs" / "websockets.md"


def _blocks() -> list[str]:
    """The indented blocks of the page."""
    found: list[list[str]] = [[]]
    for line in PAGE.read_text().splitlines():
        if line.startswith("    ") or (not line and found[-1]):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    blocks = [textwrap.dedent("\n".join(lines)) for lines in found if lines]
    return [block for block in blocks if "proxy_" not in block]  # those for a proxy are not Python


def test_examples_work(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duoflask, "websocket", proxies.websocket, raising=False)
    code = "\n\n".join(_blocks())
    assert code.count("@app.") == 5
    names: dict[str, Any] = {"__name__": "a"}
    exec(compile(code, str(PAGE), "exec"), names)
    app = names["app"]
    browser = client(app)
    for kind in ("echo", "blocking"):
        with browser.websocket(f"/{kind}/a") as ws:
            ws.send("x")
            assert ws.receive() == "a: x"
    with pytest.raises(WebsocketResponseError) as caught, browser.websocket("/echo/a?refuse"):
        pass
    assert caught.value.response.get_json() == {"error": "members only"}
    for visits in (1, 2):
        with browser.websocket("/visit") as ws:
            assert ws.receive_json() == {"visits": visits}
    with browser.websocket("/chat") as one, browser.websocket("/chat") as two:
        one.send("hello")
        assert (one.receive(), two.receive()) == ("hello", "hello")
    names["test_echo"]()
