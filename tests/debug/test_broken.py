"""What stands in for an application that cannot be loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from duoflask.debug import BrokenApp

from .conftest import BROWSER, Answer

Ask = Callable[..., Answer]


def syntax_error() -> SyntaxError:
    try:
        compile("x = 1\ndef (:\n", "shop.py", "exec")
    except SyntaxError as exc:
        return exc
    raise AssertionError


def test_every_request_is_told_why(ask: Ask) -> None:
    broken = BrokenApp(syntax_error(), "The application cannot be loaded")
    for path, method in (("/", "GET"), ("/any", "POST")):
        answer = ask(broken, path, method=method)
        assert answer.status == 500
        assert answer.text.startswith("The application cannot be loaded\n")
        assert 'File "shop.py", line 2' in answer.text and "    def (:" in answer.text
        assert "SyntaxError: invalid syntax" in answer.text
    page = ask(broken, headers={"Accept": BROWSER}).text
    assert "The application cannot be loaded" in page and "def " in page
    assert ask(broken, method="HEAD").body == b""


def test_other_hosts_are_told_nothing(ask: Ask) -> None:
    answer = ask(BrokenApp(syntax_error(), "x"), headers={"Host": "example.org"})
    assert (answer.status, answer.text) == (500, "The application cannot be started; its log says why.\n")
    assert "shop.py" in ask(BrokenApp(syntax_error(), "x", ["example.org"]), headers={"Host": "example.org"}).text


def test_websocket_is_closed() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [(b"host", b"localhost")]}
    coroutine = BrokenApp(syntax_error(), "x")(scope, None, send)
    try:
        coroutine.send(None)
    except StopIteration:
        pass
    assert sent == [{"type": "websocket.close", "code": 1011}]
