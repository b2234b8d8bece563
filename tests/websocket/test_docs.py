"""The examples of docs/websockets.md, run as they stand there."""

from __future__ import annotations

from typing import Any

import pytest

from duoflask.testing.websocket_core import WebsocketResponseError

from ..pages import Page


def test_examples_work(client: Any) -> None:
    page = Page("websockets")
    code = "\n\n".join(block for block in page.indented if "proxy_" not in block)  # that one is for nginx
    assert code.count("@app.") == 5
    names = page.run(code)
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
