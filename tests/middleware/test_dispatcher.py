"""Several applications in one; against Werkzeug's."""

from __future__ import annotations

from typing import Any

import anyio
import flask
import pytest
from werkzeug.exceptions import NotFound as ReferenceNotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware as Reference

import duoflask
from duoflask.exceptions import NotFound
from duoflask.middleware import DispatcherMiddleware
from duoflask.testing import Client


def app_named(name: str) -> duoflask.Flask:
    app = duoflask.Flask(name)

    @app.route("/", defaults={"path": ""})
    @app.route("/<path:path>")
    async def show(path: str) -> str:
        await anyio.sleep(0)
        return f"{duoflask.current_app.name}|{duoflask.request.root_path}|{duoflask.request.path}"

    return app


@pytest.fixture
def dispatched(protocol: str) -> Any:
    made = []

    def client(app: Any) -> Client:
        made.append(Client(app, protocol=protocol))  # type: ignore[arg-type]
        return made[-1]

    yield client
    for opened in made:
        opened.close()


PATHS = ["/", "/x", "/backend", "/backend/", "/backend/x/y", "/backendx", "/backend/api/v", "/a/backend/x"]


@pytest.mark.parametrize("path", PATHS)
def test_longest_prefix_wins_as_in_werkzeug(dispatched: Any, path: str) -> None:
    apps = {"/backend": app_named("backend"), "/backend/api": app_named("api")}
    frontend = app_named("frontend")
    answer = dispatched(DispatcherMiddleware(frontend, apps)).get(path).text
    assert answer == Client(Reference(frontend, apps)).get(path).text
    assert answer.count("|") == 2


def test_applications_of_either_protocol_are_served_under_either(dispatched: Any) -> None:
    old = flask.Flask("old")
    old.add_url_rule("/x", "x", lambda: f"flask {flask.request.root_path}")

    async def new(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"asgi {scope['root_path']}".encode()})

    client = dispatched(DispatcherMiddleware(NotFound(), {"/old": old, "/new": new}))
    assert client.get("/old/x").text == "flask /old"
    assert client.get("/new/x").text == "asgi /new"
    assert client.get("/other").status_code == 404


def test_mounts_may_change(dispatched: Any) -> None:
    dispatcher = DispatcherMiddleware(app_named("main"))
    client = dispatched(dispatcher)
    assert client.get("/b/x").text == "main||/b/x"
    dispatcher.mounts["/b"] = app_named("b")
    assert client.get("/b/x").text == "b|/b|/x"


def test_the_empty_prefix_stands_for_every_path(dispatched: Any) -> None:
    client = dispatched(DispatcherMiddleware(ReferenceNotFound(), {"": app_named("all")}))
    assert client.get("/x").text == "all||/x"


def test_a_prefix_without_a_slash_is_an_error() -> None:
    with pytest.raises(ValueError, match="begins with '/'; got 'backend'"):
        DispatcherMiddleware(app_named("a"), {"backend": app_named("b")})


def test_the_apps_of_a_duoflask_app_keep_their_contexts_apart(dispatched: Any) -> None:
    """The outer view calls the inner app while its own context is active."""
    inner, outer = app_named("inner"), duoflask.Flask("outer")

    @outer.route("/call")
    def call() -> str:
        duoflask.g.mine = 1
        text = inner.test_client().get("/y").text
        return f"{text} {duoflask.current_app.name} {duoflask.g.mine}"

    client = dispatched(DispatcherMiddleware(outer, {"/in": inner}))
    assert client.get("/call").text == "inner||/y outer 1"
    assert client.get("/in/z").text == "inner|/in|/z"


@pytest.mark.parametrize("length", ["abc", "-1", "1_0", "\xb2"])
def test_an_invalid_length_is_a_400_for_an_asgi_application(wsgi_call: Any, length: str) -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it has no request to answer")

    dispatcher = DispatcherMiddleware(app_named("main"), {"/a": asgi})
    served = wsgi_call(dispatcher, "/a", method="POST", environ_overrides={"CONTENT_LENGTH": length})
    assert "invalid Content-Length" in served.read()
    assert served.status.startswith("400")
