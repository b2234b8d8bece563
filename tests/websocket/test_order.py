"""The order of a WebSocket: hooks, view, handlers, refusals, session, signals, teardown; under both protocols."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from duoflask import Blueprint, DuoFlask, abort, g, redirect, request, session
from duoflask.exceptions import InternalServerError
from duoflask.globals import websocket
from duoflask.http.websocket_close import WebsocketDisconnect
from duoflask.signals import (
    got_websocket_exception,
    websocket_finished,
    websocket_received,
    websocket_sent,
    websocket_started,
    websocket_tearing_down,
)
from duoflask.testing.websocket_core import WebsocketResponseError
from duoflask.websocket_context import after_this_websocket


def _app(**config: Any) -> DuoFlask:
    app = DuoFlask("tests.websocket.app")
    app.secret_key = "for tests"
    app.config.update(config)
    return app


def _refusal(client: Any, path: str, **kwargs: Any) -> Any:
    with pytest.raises(WebsocketResponseError) as caught, client.websocket(path, **kwargs):
        pass
    return caught.value.response


@pytest.fixture(params=["async", "def"])
def colour(request: pytest.FixtureRequest) -> str:
    """Whether views and hooks are `async def` or `def`."""
    return request.param


def _coloured(colour: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A `def` function that does not block, as it is or as an `async def` one."""
    if colour == "def":
        return function

    async def twin(*args: Any) -> Any:
        return function(*args)

    return twin


def _echo(app: Any, rule: str, colour: str) -> None:
    if colour == "async":

        @app.websocket(rule, endpoint="echo")
        async def echo(**values: Any) -> None:
            async for message in websocket:
                await websocket.send(f"{values} {message}" if values else message)

    else:

        @app.websocket(rule, endpoint="echo")
        def blocking_echo(**values: Any) -> None:
            for message in websocket:
                websocket.send(f"{values} {message}" if values else message)


def test_echo_in_both_colours(client: Any, colour: str) -> None:
    app = _app()
    _echo(app, "/ws/<int:room>", colour)
    with client(app).websocket("/ws/7") as ws:
        ws.send("one")
        assert ws.receive() == "{'room': 7} one"
        ws.send(b"two")
        assert ws.receive() == "{'room': 7} b'two'"


def test_functions_run_in_the_order_of_the_book(client: Any, colour: str) -> None:
    app = _app()
    calls: list[str] = []

    def note(name: str, result: Any = None) -> Callable[..., Any]:
        def function(*args: Any) -> Any:
            calls.append(name)
            assert websocket.path == "/b/ws"
            assert request.path == "/b/ws"
            return result

        return _coloured(colour, function)

    blueprint = Blueprint("b", "tests.websocket.b", url_prefix="/b")
    for target, prefix in ((app, "app"), (blueprint, "blueprint")):
        target.url_value_preprocessor(note(f"{prefix} values"))
        target.before_request(note(f"{prefix} before_request"))
        target.before_websocket(note(f"{prefix} before_websocket"))
        target.after_websocket(note(f"{prefix} after_websocket"))
        target.teardown_websocket(note(f"{prefix} teardown_websocket"))
        target.teardown_request(note(f"{prefix} teardown_request"))
        target.after_request(note(f"{prefix} after_request"))
    app.teardown_appcontext(note("teardown_appcontext"))
    blueprint.before_app_websocket(note("recorded before_websocket"))
    blueprint.after_app_websocket(note("recorded after_websocket"))
    blueprint.teardown_app_websocket(note("recorded teardown_websocket"))

    def view() -> Any:
        calls.append("view")
        after_this_websocket(note("after_this_websocket"))
        return websocket.accept()

    # One function for both colours: on the loop what it returns is awaited.
    async def async_view() -> Any:
        return await view()

    blueprint.add_websocket("/ws", "ws", async_view if colour == "async" else view)
    app.register_blueprint(blueprint)
    with client(app).websocket("/b/ws") as ws:
        assert ws.wait_closed() == 1000
    assert calls == [
        *("app values", "blueprint values", "app before_request", "blueprint before_request"),
        *("app before_websocket", "recorded before_websocket", "blueprint before_websocket", "view"),
        *("after_this_websocket", "blueprint after_websocket"),
        *("recorded after_websocket", "app after_websocket"),
        *("blueprint teardown_websocket", "recorded teardown_websocket", "app teardown_websocket"),
        *("blueprint teardown_request", "app teardown_request", "teardown_appcontext"),
    ]


@pytest.mark.parametrize("hook", ["before_request", "before_websocket"])
def test_hook_refuses_the_handshake_with_a_response(client: Any, colour: str, hook: str) -> None:
    app = _app()
    calls = []
    getattr(app, hook)(_coloured(colour, lambda: ("not you", 401, {"X-Why": "because"})))

    @app.websocket("/ws")
    async def view() -> None:
        calls.append("view")

    @app.after_request
    def after(response: Any) -> Any:
        response.headers["X-After"] = "yes"
        return response

    @app.teardown_websocket
    def gone(error: Any) -> None:
        calls.append(f"teardown {error}")

    response = _refusal(client(app), "/ws")
    assert (response.status_code, response.text) == (401, "not you")
    assert (response.headers["X-Why"], response.headers["X-After"]) == ("because", "yes")
    assert calls == ["teardown None"]


def test_view_refuses_by_what_it_returns(client: Any, colour: str) -> None:
    app = _app()
    app.add_websocket("/text", "text", _coloured(colour, lambda: ("busy", 503)))
    app.add_websocket("/none", "none", _coloured(colour, lambda: None))
    app.add_websocket("/dict", "dict", _coloured(colour, lambda: ({"why": "full"}, 409)))
    app.add_websocket("/redirect", "redirect", _coloured(colour, lambda: redirect("/elsewhere")))
    app.add_websocket("/abort", "abort", _coloured(colour, lambda: abort(410)))
    app.add_websocket("/chunks", "chunks", _coloured(colour, lambda: (iter(["a", "b"]), 400)))
    made = client(app)
    assert (_refusal(made, "/text").status_code, _refusal(made, "/text").text) == (503, "busy")
    assert _refusal(made, "/none").status_code == 403
    assert _refusal(made, "/dict").get_json() == {"why": "full"}
    assert _refusal(made, "/redirect").location == "/elsewhere"
    assert _refusal(made, "/abort").status_code == 410
    assert _refusal(made, "/chunks").text == "ab"


def test_close_before_accept_refuses(client: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.close(1008, "no")

    assert _refusal(client(app), "/ws").status_code == 403


def test_errors_before_accept_are_answered_by_their_handlers(client: Any, colour: str) -> None:
    app = _app(PROPAGATE_EXCEPTIONS=False)
    app.logger.disabled = True

    def fail() -> None:
        raise KeyError("x")

    app.add_websocket("/key", "key", _coloured(colour, fail))
    app.add_websocket("/value", "value", _coloured(colour, lambda: int("x")))
    app.register_error_handler(KeyError, _coloured(colour, lambda error: (f"handled {error}", 418)))
    app.register_error_handler(404, _coloured(colour, lambda error: ("my own 404", 404)))
    made = client(app)
    assert (_refusal(made, "/key").status_code, _refusal(made, "/key").text) == (418, "handled 'x'")
    assert _refusal(made, "/value").status_code == 500
    page = _coloured(colour, lambda error: (type(error.original_exception).__name__, 500))
    app.error_handler_spec[None][500] = {InternalServerError: page}
    assert _refusal(made, "/value").text == "ValueError"


def test_websocket_to_a_plain_rule_and_the_reverse(client: Any) -> None:
    app = _app()
    app.add_websocket("/ws", "ws", lambda: None)
    app.add_url_rule("/plain", "plain", lambda: "plain")
    made = client(app)
    assert made.get("/ws").status_code == 400
    assert made.get("/plain").text == "plain"


def test_one_path_serves_both(client: Any) -> None:
    app = _app()
    _echo(app, "/both", "async")
    app.add_url_rule("/both", "plain", lambda: "plain")
    made = client(app)
    assert made.get("/both").text == "plain"
    with made.websocket("/both") as ws:
        ws.send("x")
        assert ws.receive() == "x"


@pytest.mark.parametrize("code", [400, 404, 409, 500, 503])
def test_http_exception_after_accept_closes(client: Any, colour: str, code: int, caplog: Any) -> None:
    app = _app()

    if colour == "async":

        @app.websocket("/ws")
        async def view() -> None:
            await websocket.accept()
            abort(code)

    else:

        @app.websocket("/ws")
        def def_view() -> None:
            websocket.accept()
            abort(code)

    with client(app).websocket("/ws") as ws:
        assert ws.wait_closed() == (1008 if code < 500 else 1011)
        assert (str(code) in ws.close_reason) is (code < 500)
    assert not caplog.records


def test_unhandled_error_after_accept_is_logged_and_closes_with_1011(client: Any, colour: str, caplog: Any) -> None:
    app = _app(PROPAGATE_EXCEPTIONS=False)
    told: list[Any] = []
    app.teardown_websocket(told.append)
    seen: list[Any] = []

    def receiver(sender: Any, exception: Exception) -> None:
        seen.append((sender, exception))

    if colour == "async":

        @app.websocket("/ws")
        async def view() -> None:
            await websocket.accept()
            raise ValueError("oh")

    else:

        @app.websocket("/ws")
        def def_view() -> None:
            websocket.accept()
            raise ValueError("oh")

    with got_websocket_exception.connected_to(receiver, app), client(app).websocket("/ws") as ws:
        assert ws.wait_closed() == 1011
    assert [type(error) for error in told] == [ValueError]
    assert [(sender, type(error)) for sender, error in seen] == [(app, ValueError)]
    (record,) = caplog.records
    assert "/ws" in record.getMessage()
    assert record.exc_info[0] is ValueError


def test_unhandled_error_leaves_the_app_while_testing(client: Any, colour: str) -> None:
    app = _app(TESTING=True)

    if colour == "async":

        @app.websocket("/ws")
        async def view() -> None:
            await websocket.accept()
            raise ValueError("oh")

    else:

        @app.websocket("/ws")
        def def_view() -> None:
            websocket.accept()
            raise ValueError("oh")

    with pytest.raises(ValueError, match="oh"), client(app).websocket("/ws") as ws:
        ws.wait_closed()
    assert ws.close_code == 1011


def test_error_handler_may_close_by_itself(client: Any) -> None:
    app = _app()

    @app.errorhandler(LookupError)
    async def handle(error: Exception) -> None:
        await websocket.close(4004, f"no {error.args[0]}")

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.accept()
        raise LookupError("room")

    with client(app).websocket("/ws") as ws:
        assert ws.wait_closed() == 4004
        assert ws.close_reason == "no room"


def test_failing_error_handler_is_an_unhandled_error(client: Any, caplog: Any) -> None:
    app = _app(PROPAGATE_EXCEPTIONS=False)

    @app.errorhandler(LookupError)
    def handle(error: Exception) -> None:
        raise ZeroDivisionError

    @app.websocket("/ws")
    async def view() -> None:
        await websocket.accept()
        raise LookupError

    with client(app).websocket("/ws") as ws:
        assert ws.wait_closed() == 1011
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


def test_signals_tell_the_life_of_a_websocket(client: Any, colour: str) -> None:
    app = _app()
    _echo(app, "/ws", colour)
    told: list[Any] = []
    receivers = []
    for signal in (websocket_started, websocket_received, websocket_sent, websocket_finished, websocket_tearing_down):

        def receiver(sender: Any, name: str = signal.name, **kwargs: Any) -> None:
            assert sender is app
            told.append((name, kwargs))

        receivers.append(receiver)
        signal.connect(receiver, app)
    try:
        with client(app).websocket("/ws") as ws:
            ws.send("x")
            ws.receive()
    finally:
        for signal in (websocket_received, websocket_sent):
            signal.disconnect(receivers.pop(1), app)
    assert told == [
        ("websocket-started", {}),
        ("websocket-received", {"message": "x"}),
        ("websocket-sent", {"message": "x"}),
        ("websocket-finished", {"response": None}),
        ("websocket-tearing-down", {"exc": None}),
    ]


def test_async_receiver_of_a_message_is_awaited_in_both_colours(client: Any, colour: str) -> None:
    app = _app()
    _echo(app, "/ws", colour)
    told: list[Any] = []

    async def receiver(sender: Any, message: str) -> None:
        told.append(message)

    with websocket_received.connected_to(receiver, app), client(app).websocket("/ws") as ws:
        ws.send("x")
        ws.receive()
    assert told == ["x"]


def test_g_and_contextvars_are_kept_for_the_whole_connection(client: Any, colour: str) -> None:
    app = _app()

    @app.before_websocket
    def begin() -> None:
        g.messages = []

    @app.teardown_websocket
    def end(error: Any) -> None:
        seen.append(list(g.messages))

    seen: list[list[Any]] = []
    if colour == "async":

        @app.websocket("/ws")
        async def view() -> None:
            async for message in websocket:
                g.messages.append(message)
                await websocket.send(str(len(g.messages)))

    else:

        @app.websocket("/ws")
        def def_view() -> None:
            for message in websocket:
                g.messages.append(message)
                websocket.send(str(len(g.messages)))

    made = client(app)
    with made.websocket("/ws") as one, made.websocket("/ws") as two:
        for _ in range(3):
            one.send("1")
            two.send("2")
            assert one.receive() == two.receive()
    made.close()
    assert sorted(seen) == [["1"] * 3, ["2"] * 3]


# -- the session


def test_session_goes_with_the_answer_to_the_handshake(client: Any, colour: str) -> None:
    app = _app()

    def begin() -> None:
        session["user"] = "ann"

    app.before_websocket(_coloured(colour, begin))
    _echo(app, "/ws", colour)
    app.add_url_rule("/who", "who", lambda: session.get("user", "nobody"))
    made = client(app)
    with made.websocket("/ws") as ws:
        ws.send("x")
        ws.receive()
        assert "session=" in ws.headers["Set-Cookie"]
        assert ws.headers["Vary"] == "Cookie"
    assert made.get("/who").text == "ann"


def test_session_is_saved_with_a_refusal(client: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> Any:
        session["refused"] = "yes"
        return "no", 403

    app.add_url_rule("/who", "who", lambda: session.get("refused", "no"))
    made = client(app)
    _refusal(made, "/ws")
    assert made.get("/who").text == "yes"


def test_cookie_session_that_changes_after_accept_is_a_warning(client: Any, colour: str, caplog: Any) -> None:
    app = _app()

    if colour == "async":

        @app.websocket("/ws")
        async def view() -> None:
            await websocket.accept()
            session["late"] = 1

    else:

        @app.websocket("/ws")
        def def_view() -> None:
            websocket.accept()
            session["late"] = 1

    with client(app).websocket("/ws") as ws:
        ws.wait_closed()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "before accept()" in record.getMessage()


def test_session_that_is_only_read_is_no_warning(client: Any, caplog: Any) -> None:
    app = _app()

    @app.websocket("/ws")
    async def view() -> None:
        session["a"] = 1
        await websocket.accept()
        await websocket.send(str(session["a"]))

    with client(app).websocket("/ws") as ws:
        assert ws.receive() == "1"
    assert not caplog.records


def test_session_on_the_server_is_saved_at_the_end(client: Any, colour: str, tmp_path: Any, caplog: Any) -> None:
    app = _app(SESSION_STORE=f"sqlite:{tmp_path}/sessions.db")

    if colour == "async":

        @app.websocket("/ws")
        async def view() -> None:
            async for message in websocket:
                session["last"] = message
                await websocket.send("ok")

    else:

        @app.websocket("/ws")
        def def_view() -> None:
            for message in websocket:
                session["last"] = message
                websocket.send("ok")

    @app.get("/begin")
    def begin() -> str:
        session["begun"] = True
        return "begun"

    app.add_url_rule("/last", "last", lambda: session.get("last", "nothing"))
    made = client(app)
    made.get("/begin")
    with made.websocket("/ws") as ws:
        ws.send("hello")
        ws.receive()
    assert made.get("/last").text == "hello"
    assert not caplog.records


def test_session_of_the_server_made_at_accept_is_saved(client: Any, colour: str, tmp_path: Any) -> None:
    app = _app(SESSION_STORE=f"sqlite:{tmp_path}/sessions.db")

    def begin() -> None:
        session["user"] = "bob"

    app.before_websocket(_coloured(colour, begin))
    _echo(app, "/ws", colour)
    app.add_url_rule("/who", "who", lambda: session.get("user", "nobody"))
    made = client(app)
    with made.websocket("/ws") as ws:
        ws.send("x")
        ws.receive()
    assert made.get("/who").text == "bob"


# -- the end


def test_client_that_closes_ends_the_iteration(client: Any, colour: str, caplog: Any) -> None:
    app = _app()
    ended: list[str] = []
    if colour == "async":

        @app.websocket("/ws")
        async def view() -> None:
            async for _ in websocket:
                pass
            ended.append("iteration")

    else:

        @app.websocket("/ws")
        def def_view() -> None:
            for _ in websocket:
                pass
            ended.append("iteration")

    app.teardown_websocket(lambda error: ended.append(f"teardown {error}"))
    app.after_websocket(lambda response: ended.append(f"after {response}"))
    with client(app).websocket("/ws") as ws:
        ws.send("x")
    assert ended == ["iteration", "after None", "teardown None"]
    assert not caplog.records


def test_disconnect_that_leaves_the_view_is_no_error(client: Any, colour: str, caplog: Any) -> None:
    app = _app(TESTING=True)
    caught: list[Any] = []
    if colour == "async":

        @app.websocket("/ws")
        async def view() -> None:
            while True:
                try:
                    await websocket.receive()
                except WebsocketDisconnect as exc:
                    caught.append((exc.code, exc.reason))
                    raise

    else:

        @app.websocket("/ws")
        def def_view() -> None:
            while True:
                try:
                    websocket.receive()
                except WebsocketDisconnect as exc:
                    caught.append((exc.code, exc.reason))
                    raise

    app.teardown_websocket(caught.append)
    with client(app).websocket("/ws") as ws:
        ws.send("x")
        ws.close(4001, "enough")
    assert caught == [(4001, "enough"), None]
    assert not caplog.records


def test_failing_teardown_does_not_skip_the_others(client: Any) -> None:
    app = _app()
    ran: list[str] = []

    @app.teardown_request
    def second(error: Any) -> None:
        ran.append("request")

    @app.teardown_websocket
    def first(error: Any) -> None:
        ran.append("websocket")
        raise ZeroDivisionError

    _echo(app, "/ws", "async")
    with pytest.raises(ZeroDivisionError), client(app).websocket("/ws") as ws:
        ws.send("x")
        ws.receive()
    assert ran == ["websocket", "request"]


def test_registration_after_the_first_websocket_is_refused(client: Any) -> None:
    app = _app()
    _echo(app, "/ws", "async")
    with client(app).websocket("/ws"):
        pass
    with pytest.raises(AssertionError, match="after its first request"):
        app.websocket("/late")


def test_url_rule_options_and_url_for(client: Any) -> None:
    app = _app()

    @app.websocket("/ws/<path:rest>", endpoint="socket", defaults={"more": 1})
    async def view(rest: str, more: int) -> None:
        await websocket.send_json(rest=rest, more=more, url=app.url_for("socket", rest="x"), page=app.url_for("page"))

    app.add_url_rule("/page", "page", lambda: "")
    with client(app).websocket("/ws/a/b") as ws:
        got = ws.receive_json()
    assert got == {"rest": "a/b", "more": 1, "url": "ws://localhost/ws/x", "page": "/page"}
