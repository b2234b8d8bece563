"""What a type checker sees of an app and its decorators: functions keep their types. Run by mypy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import assert_type

from duoflask import DuoFlask, Flask, Response, abort, make_response, redirect, url_for
from duoflask.config import Config
from duoflask.ctx import AppContext
from duoflask.testing import AsyncClient, Client

app = Flask("app")
assert_type(app, DuoFlask)
assert_type(app.config, Config)
assert_type(app.secret_key, str | bytes | None)


@app.route("/<int:number>", methods=["GET", "POST"], stream_body=True, max_content_length=5)
def view(number: int) -> str:
    return str(number)


@app.get("/async")
async def async_view() -> AsyncIterator[bytes]:
    yield b""


@app.errorhandler(404)
async def handler(error: Exception) -> tuple[str, int]:
    return "", 404


@app.endpoint("later")
def later() -> dict[str, int]:
    return {}


def check_decorated_functions_keep_their_types() -> None:
    assert_type(view(number=1), str)
    assert_type(async_view(), AsyncIterator[bytes])
    assert_type(later(), dict[str, int])


async def check_handler() -> None:
    assert_type(await handler(ValueError()), tuple[str, int])


def check_answers() -> None:
    assert_type(make_response("x", 201), Response)
    assert_type(redirect("/"), Response)
    assert_type(url_for("view", number=1), str)
    assert_type(app.app_context(), AppContext)
    assert_type(app.test_client(), Client)
    assert_type(app.async_test_client(), AsyncClient)


def check_abort_never_returns(flag: bool) -> str:
    if flag:
        return "x"
    abort(404)


async def fetch(number: int) -> str:
    return str(number)


def slow(number: int) -> str:
    return str(number)


def check_colours() -> None:
    assert_type(app.async_to_sync(fetch)(1), str)
    called: Callable[[int], Awaitable[str]] = app.sync_to_async(slow)
    assert callable(called)


async def check_sync_to_async() -> None:
    assert_type(await app.sync_to_async(slow)(1), str)


def test_functions_are_registered() -> None:
    assert set(app.view_functions) == {"view", "async_view", "later", "static"}
