from __future__ import annotations

from typing import Any

import pytest

HEAD = "import asyncio\nfrom quart import current_app as app, request, websocket\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("app.test_app()", ".test_app: write 'async with app.async_test_client"),
        ("request.body", "request.body: write request.stream"),
        ("await request.send_push_promise('/')", ".send_push_promise: browsers have dropped HTTP/2 push"),
        ("await app.handle_websocket(x)", ".handle_websocket: requests and WebSockets go through no such method"),
        ("app.asgi_http_class = x", ".asgi_http_class: there is no such class"),
        ("app.config['RESPONSE_TIMEOUT'] = 3", "RESPONSE_TIMEOUT is not read here: REQUEST_TIMEOUT"),
        ("app.config.update(BODY_TIMEOUT=3)", "BODY_TIMEOUT is not read here: the server has"),
        ("PREFER_SECURE_URLS = True", "PREFER_SECURE_URLS is not read here: write PREFERRED_URL_SCHEME"),
        ("app.run(certfile='a')", "run(certfile=...): write ssl_context=(certfile, keyfile)"),
        ("app.run(loop=x)", "run(loop=...): leave it out"),
        ("await x.post('/', form=x, files=x)", "a test client takes fields and files together: data="),
    ],
)
def test_what_is_missing_is_reported(migrate: Any, line: str, said: str) -> None:
    text, persons = migrate(f"{HEAD}async def view(x):\n    {line}\n")
    assert text == f"{HEAD}async def view(x):\n    {line}\n".replace("quart", "duoflask")
    assert len(persons) == 1 and persons[0].startswith(f"4: {said}")


@pytest.mark.parametrize(
    "line",
    [
        "app.add_background_task(f)",
        "app.add_websocket('/x', view_func=f)",
        "app.while_serving(f)",
        "app.before_websocket(f)",
        "await app.startup()",
        "await app.run_task()",
        "uvicorn.run(x, loop='uvloop')",
        "await websocket.send_json(1)",
        "async with app.websocket_context(x): pass",
    ],
)
def test_what_is_there_is_not(migrate: Any, line: str) -> None:
    old = f"{HEAD}import uvicorn\nasync def view(x, f):\n    {line}\n"
    assert migrate(old) == (old.replace("quart", "duoflask"), [])


@pytest.mark.parametrize("kind", ["asyncio.CancelledError", "(OSError, asyncio.CancelledError)"])
def test_a_view_that_catches_its_cancellation_needs_a_person(migrate: Any, kind: str) -> None:
    view = f"async def view():\n    try:\n        await websocket.receive()\n    except {kind}:\n        pass\n"
    _, persons = migrate(HEAD + view)
    assert len(persons) == 1 and "raise duoflask.WebsocketDisconnect" in persons[0]
    assert migrate(HEAD + view.replace("websocket.receive()", "request.form"))[1] == []


def test_form_of_a_test_client_is_its_data(migrate: Any) -> None:
    old = "import quart\nasync def f(client, form):\n    quart.g\n    await client.post('/', form = form, a='form')\n"
    assert migrate(old) == (old.replace("quart", "duoflask").replace("form = form", "data = form"), [])


def notes(migrate: Any, text: str) -> list[str]:
    return [text for *_, text, person in migrate({"a.py": text}).findings if not person]


def test_request_hooks_of_an_app_with_websockets_are_worth_a_word(migrate: Any) -> None:
    hook = "@app.before_request\nasync def f(): ...\n"
    (note,) = notes(migrate, HEAD + hook)
    assert note.startswith(".before_request: it runs for the handshakes of WebSockets, too")
    assert notes(migrate, "from quart import current_app as app\n" + hook) == []


def test_body_limit_is_worth_a_word(migrate: Any) -> None:
    (note,) = notes(migrate, "from quart import Quart\napp = Quart(__name__)\n")
    assert "MAX_CONTENT_LENGTH" in note


def test_websocket_names_move(migrate: Any) -> None:
    old = (
        "from quart import Websocket, has_websocket_context, websocket\n"
        "from quart.ctx import after_this_websocket\n"
        "from quart.signals import websocket_received\n"
        "from quart.testing import WebsocketResponseError\n"
    )
    new = (
        "from duoflask import Websocket, has_websocket_context, websocket\n"
        "from duoflask.websocket_context import after_this_websocket\n"
        "from duoflask.signals import websocket_received\n"
        "from duoflask.testing import WebsocketResponseError\n"
    )
    assert migrate(old) == (new, [])
