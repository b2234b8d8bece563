"""Early hints: what each kind of server is told, and False where it cannot be told."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from duoflask import Blueprint, DuoFlask, request, url_for
from duoflask.hints import early_hints
from duoflask.http.link import Link

COLOURS = ["def", "async def"]
VALUES = ["</static/a.css>; rel=preload; as=style", "<https://cdn.example>; rel=preconnect"]


def hinting_app(colour: str, times: int = 1) -> DuoFlask:
    app = DuoFlask(__name__)

    def links() -> list[str | Link]:
        return [url_for("static", filename="a.css"), Link("https://cdn.example", rel="preconnect")]

    def view_def() -> str:
        return " ".join([str(early_hints(links())) for _ in range(times)])

    async def view_async() -> str:
        return " ".join([str(await early_hints(links())) for _ in range(times)])

    app.add_url_rule("/", "view", view_def if colour == "def" else view_async)
    return app


@pytest.mark.parametrize("colour", COLOURS)
def test_wsgi_server_with_the_key(wsgi_call, colour):
    sent: list[Any] = []
    app = hinting_app(colour, 2)
    call = wsgi_call(app, environ_overrides={"wsgi.early_hints": sent.append})
    assert call.read() == "True True"
    assert sent == [[("Link", value) for value in VALUES]] * 2


@pytest.mark.parametrize("colour", COLOURS)
def test_wsgi_client_that_knows_http_1_0_only(wsgi_call, colour):
    sent: list[Any] = []
    overrides = {"wsgi.early_hints": sent.append, "SERVER_PROTOCOL": "HTTP/1.0"}
    assert wsgi_call(hinting_app(colour), environ_overrides=overrides).read() == "False"
    assert sent == []


@pytest.mark.parametrize("colour", COLOURS)
def test_server_that_cannot(loop_client, colour):
    assert loop_client(hinting_app(colour)).get("/").text == "False"


@pytest.mark.anyio
@pytest.mark.parametrize("colour", COLOURS)
async def test_asgi_server_with_the_extension(channel, colour):
    exchange = channel()
    exchange.scope["extensions"] = {"http.response.early_hint": {}}
    await exchange.serve(hinting_app(colour, 2))
    hint = {"type": "http.response.early_hint", "links": [value.encode() for value in VALUES]}
    assert exchange.sent[:2] == [hint, hint]
    assert [message["type"] for message in exchange.sent[2:]] == ["http.response.start", "http.response.body"]


@pytest.mark.anyio
@pytest.mark.parametrize("colour", COLOURS)
async def test_gunicorns_asgi_worker(channel, colour):
    module = ModuleType("gunicorn.asgi.protocol")
    source = "def wrap(channel):\n    async def send(message):\n        await channel.send(message)\n    return send\n"
    exec(source, module.__dict__)
    exchange = channel()
    await hinting_app(colour)(exchange.scope, exchange.receive, module.wrap(exchange))
    headers = [(b"link", value.encode()) for value in VALUES]
    assert exchange.sent[0] == {"type": "http.response.informational", "status": 103, "headers": headers}
    assert exchange.sent[1]["type"] == "http.response.start"


@pytest.mark.anyio
async def test_hints_after_the_start_of_the_response_are_refused(channel):
    app = DuoFlask(__name__)

    @app.route("/")
    async def view():
        async def chunks():
            yield str(await early_hints(["/a.css"]))

        return chunks()

    exchange = channel()
    exchange.scope["extensions"] = {"http.response.early_hint": {}}
    await exchange.serve(app)
    assert [message["type"] for message in exchange.sent][:1] == ["http.response.start"]
    assert b"False" in b"".join(message.get("body", b"") for message in exchange.sent)


@pytest.mark.parametrize("colour", COLOURS)
def test_hooks_may_send_them(wsgi_call, colour):
    app, sent = DuoFlask(__name__), []
    blueprint = Blueprint("b", __name__)

    def hook_def():
        early_hints([f"{request.path}.js"])

    async def hook_async():
        await early_hints([f"{request.path}.js"])

    blueprint.before_request(hook_def if colour == "def" else hook_async)
    blueprint.add_url_rule("/x", "view", lambda: "ok")
    app.register_blueprint(blueprint)
    assert wsgi_call(app, "/x", environ_overrides={"wsgi.early_hints": sent.append}).read() == "ok"
    assert sent == [[("Link", "</x.js>; rel=preload; as=script")]]


def test_bad_links_raise(loop_client):
    app = DuoFlask(__name__)
    raised: list[str] = []

    @app.route("/")
    def view():
        for links in ("/a.css", ["/a\r\n"], [1], Link("/a")):
            try:
                early_hints(links)
            except (TypeError, ValueError) as exc:
                raised.append(type(exc).__name__)
        return "ok"

    loop_client(app).get("/")
    assert raised == ["TypeError", "ValueError", "TypeError", "TypeError"]


def test_outside_a_request():
    with pytest.raises(RuntimeError, match="no request is active"):
        early_hints(["/a.css"])


@pytest.mark.parametrize("colour", COLOURS)
def test_wsgi_server_is_told_nothing_once_the_response_has_begun(wsgi_call, colour):
    sent: list[Any] = []
    app = DuoFlask(__name__)

    def body():
        yield str(early_hints(["/a.css"]))

    async def body_async():
        yield str(await early_hints(["/a.css"]))

    app.add_url_rule("/", "view", body if colour == "def" else body_async)
    call = wsgi_call(app, environ_overrides={"wsgi.early_hints": sent.append})
    assert call.read() == "False"
    assert sent == []  # a server writes them into the body


@pytest.mark.parametrize("colour", COLOURS)
def test_no_links_are_no_hint(wsgi_call, colour):
    sent: list[Any] = []
    app = DuoFlask(__name__)

    def view():
        return str(early_hints([]))

    async def view_async():
        return str(await early_hints([]))

    app.add_url_rule("/", "view", view if colour == "def" else view_async)
    assert wsgi_call(app, environ_overrides={"wsgi.early_hints": sent.append}).read() == "False"
    assert sent == []
