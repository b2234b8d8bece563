"""Servers see that calling the app makes a coroutine, in whichever order things are imported."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

import duoflask
from duoflask.bridge import coroutine_mark
from duoflask.bridge.coroutine_mark import mark_as_coroutine_function
from duoflask.middleware import ProxyFix


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="inspect's mark does without asyncio")
def test_mark_of_python_3_11_imports_nothing() -> None:
    code = """
import sys, duoflask
app = duoflask.Flask("app")
assert not hasattr(app.__call__, "_is_coroutine") and "asyncio" not in sys.modules
import asyncio
duoflask.Flask("another")
print(asyncio.iscoroutinefunction(app.__call__))
"""
    assert run(code) == "True\n"


def test_app_that_is_made_before_asyncio_is_imported_answers_as_asgi_2_and_is_marked_then() -> None:
    code = """
import duoflask
app = duoflask.Flask("app")
app.get("/")(lambda: "x")
import asyncio
async def call():
    sent = []
    async def send(message): sent.append(message)
    async def receive(): return {"type": "http.request"}
    await app({"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""})(receive, send)
    return sent[1]["body"]
print(asyncio.run(call()), asyncio.iscoroutinefunction(app.__call__))
"""
    assert run(code) == "b'x' True\n"


def test_mark_of_later_versions_is_inspects(monkeypatch: pytest.MonkeyPatch) -> None:
    marked: list[Any] = []
    monkeypatch.setattr(coroutine_mark, "inspect", SimpleNamespace(markcoroutinefunction=marked.append))
    monkeypatch.setattr(coroutine_mark, "sys", SimpleNamespace(version_info=(3, 14), modules={}))
    mark_as_coroutine_function(len)
    assert marked == [len]


@pytest.mark.parametrize("made", [lambda: duoflask.Flask("app"), lambda: ProxyFix(duoflask.Flask("app"))])
def test_asyncio_takes_the_app_for_a_coroutine_function(made: Any) -> None:
    call = made().__call__
    assert asyncio.iscoroutinefunction(call) or inspect.iscoroutinefunction(call)
