"""Flashed messages: categories, filters, and once per request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask
import pytest
from markupsafe import Markup

import duoflask
from duoflask import session
from duoflask.flashing import flash, get_flashed_messages
from duoflask.signals import message_flashed


def build(**config: Any) -> Any:
    app = duoflask.Flask("a")
    app.config.update({"SECRET_KEY": "x" * 16, **config})

    @app.route("/say")
    def say() -> str:
        flash("one")
        flash(Markup("<b>two</b>"), "error")
        return ""

    @app.route("/say/async")
    async def say_async() -> str:
        flash("three", "info")
        return ""

    @app.route("/show")
    def show() -> Any:
        return [get_flashed_messages(), get_flashed_messages(with_categories=True)]

    @app.route("/filter/<category>")
    async def only(category: str) -> Any:
        return get_flashed_messages(category_filter=[category])

    return app


@pytest.mark.parametrize("store", [None, "memory"])
def test_messages_are_shown_once(client: Callable[..., Any], store: str | None) -> None:
    browser = client(build(SESSION_STORE=store))
    browser.get("/say")
    browser.get("/say/async")
    assert browser.get("/show").json == [
        ["one", "<b>two</b>", "three"],
        [["message", "one"], ["error", "<b>two</b>"], ["info", "three"]],
    ]
    response = browser.get("/show")
    assert response.json == [[], []]
    assert response.headers["Vary"] == "Cookie"


def test_filter_by_category(client: Callable[..., Any]) -> None:
    browser = client(build())
    for category, messages in (("error", ["<b>two</b>"]), ("message", ["one"]), ("none", [])):
        browser.get("/say")
        assert browser.get(f"/filter/{category}").json == messages
        assert browser.get("/show").json == [[], []]  # all of them were taken


def test_markup_stays_markup_and_pairs_are_tuples(client: Callable[..., Any]) -> None:
    app = build()
    seen: list[Any] = []

    @app.route("/types")
    def types() -> str:
        seen.extend(get_flashed_messages(with_categories=True))
        return ""

    browser = client(app)
    browser.get("/say")
    browser.get("/types")
    assert [type(item) for item in seen] == [tuple, tuple]
    assert seen[1] == ("error", Markup("<b>two</b>"))
    assert type(seen[1][1]) is Markup


def test_cookie_is_that_of_flask() -> None:
    cookies = []
    for module, say in ((duoflask, flash), (flask, flask.flash)):
        app = module.Flask("a")
        app.secret_key = "x" * 16
        app.add_url_rule("/", "view", lambda say=say: say("hello", "info") or "")
        browser = app.test_client()
        browser.get("/")
        cookies.append(browser.get_cookie("session").value.partition(".")[0])
    assert cookies[0] == cookies[1]


def test_message_flashed_in_this_request_is_shown_in_it(client: Callable[..., Any]) -> None:
    app = build()

    @app.route("/both")
    def both() -> Any:
        flash("now")
        return get_flashed_messages()

    browser = client(app)
    assert browser.get("/both").json == ["now"]
    assert browser.get("/show").json == [[], []]


@pytest.mark.parametrize(
    "kept", [5, "text", None, {"a": 1}, [1, "x", ("only one",), ("a", "b", "c")], [["error", "x"]]]
)
def test_odd_content_is_left_out(client: Callable[..., Any], kept: Any) -> None:
    browser = client(build())
    with browser.session_transaction() as content:
        content["_flashes"] = kept
    expected = [[["error", "x"]]] if kept == [["error", "x"]] else [[]]
    assert browser.get("/show").json[1:] == expected
    with browser.session_transaction() as content:
        content["_flashes"] = kept
    assert browser.get("/say/async").status_code == 200


def test_signal_is_sent(client: Callable[..., Any]) -> None:
    app = build()
    got: list[Any] = []

    def receive(sender: Any, **values: Any) -> None:
        got.append((sender is app, values["message"], values["category"]))

    with message_flashed.connected_to(receive, app):
        client(app).get("/say/async")
    assert got == [(True, "three", "info")]


def test_async_receiver_of_a_def_view(client: Callable[..., Any]) -> None:
    app = build()
    got: list[Any] = []

    async def receive(sender: Any, **values: Any) -> None:
        got.append(values["message"])

    with message_flashed.connected_to(receive, app):
        client(app).get("/say")
    assert got == ["one", "<b>two</b>"]


def test_without_a_session_it_cannot_be_kept() -> None:
    app = duoflask.Flask("a")
    with app.test_request_context():
        with pytest.raises(RuntimeError, match="no secret key is set"):
            flash("x")
        assert get_flashed_messages() == []
    with pytest.raises(RuntimeError, match="Working outside of request context"):
        flash("x")
    with pytest.raises(RuntimeError, match="Working outside of request context"):
        get_flashed_messages()
    assert not session
