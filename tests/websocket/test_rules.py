"""Rules of WebSockets and the plans made of them: hosts, blueprints, changes, rules of extensions, overrides."""

from __future__ import annotations

from typing import Any

import pytest

from duoflask import Blueprint, DuoFlask, request
from duoflask.globals import websocket
from duoflask.linking import is_own_websocket
from duoflask.testing import create_environ
from duoflask.testing.websocket_core import WebsocketResponseError


def _app(**options: Any) -> DuoFlask:
    return DuoFlask("tests.websocket.rules", **options)


async def _hello(**values: Any) -> None:
    await websocket.send_json(values)


def _status(client: Any, path: str, **kwargs: Any) -> int:
    with pytest.raises(WebsocketResponseError) as caught, client.websocket(path, **kwargs):
        pass
    return caught.value.response.status_code  # type: ignore[no-any-return]


def test_host_matching_and_subdomains(client: Any) -> None:
    app = _app(subdomain_matching=True, static_folder=None)
    app.config["SERVER_NAME"] = "example.org"
    app.add_websocket("/ws", "sub", _hello, subdomain="<name>")
    app.add_websocket("/ws", "top", _hello)
    made = client(app)
    with made.websocket("/ws", base_url="http://live.example.org") as ws:
        assert ws.receive_json() == {"name": "live"}
    with made.websocket("/ws", base_url="http://example.org") as ws:
        assert ws.receive_json() == {}


def test_untrusted_host_refuses(client: Any) -> None:
    app = _app()
    app.config["TRUSTED_HOSTS"] = ["example.org"]
    app.add_websocket("/ws", "ws", _hello)
    made = client(app)
    assert _status(made, "/ws", base_url="http://evil.example") == 400
    with made.websocket("/ws", base_url="http://example.org") as ws:
        assert ws.receive_json() == {}


def test_branch_without_its_slash_is_redirected(client: Any) -> None:
    app = _app()
    app.add_websocket("/ws/", "ws", _hello)
    assert _status(client(app), "/ws") == 308


def test_blueprint_answers_what_no_rule_matches(client: Any) -> None:
    app = _app()
    blueprint = Blueprint("b", "tests.websocket.rules", url_prefix="/b", handles_unmatched=True)
    blueprint.register_error_handler(404, lambda error: ("the blueprint's", 404))
    app.register_blueprint(blueprint)
    with pytest.raises(WebsocketResponseError) as caught, client(app).websocket("/b/nothing"):
        pass
    if caught.value.response.text != "the blueprint's":
        pytest.fail(caught.value.response.text)


def test_nested_blueprints_add_up_their_hooks(client: Any) -> None:
    app = _app()
    outer, inner = Blueprint("outer", __name__, url_prefix="/o"), Blueprint("inner", __name__, url_prefix="/i")
    seen: list[str] = []
    outer.before_websocket(lambda: seen.append("outer"))
    inner.before_websocket(lambda: seen.append("inner"))
    inner.add_websocket("/ws", "ws", _hello)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    with client(app).websocket("/o/i/ws") as ws:
        ws.receive_json()
    assert seen == ["outer", "inner"]


def test_changed_registry_is_seen_by_the_next_connection(client: Any) -> None:
    app = _app()
    app.add_websocket("/ws", "ws", _hello)
    made = client(app)
    with made.websocket("/ws") as ws:
        ws.receive_json()
    app.before_websocket_funcs[None].append(lambda: ("closed", 503))
    assert _status(made, "/ws") == 503
    app.before_websocket_funcs[None].clear()
    with made.websocket("/ws") as ws:
        ws.receive_json()


def test_plan_of_a_websocket_is_made_once(client: Any) -> None:
    app = _app()
    app.add_websocket("/ws", "ws", _hello)
    app.add_url_rule("/", "plain", lambda: "plain")
    made = client(app)
    made.get("/")
    assert not any("WebsocketPlan" in type(plan).__name__ for plan in app._plans.values())
    plans = []
    for _ in range(2):
        with made.websocket("/ws") as ws:
            ws.receive_json()
        plans += [plan for plan in app._plans.values() if "WebsocketPlan" in type(plan).__name__]
    assert len(plans) == 2
    assert plans[0] is plans[1]


def test_endpoint_without_a_view_is_named(client: Any) -> None:
    app = _app()
    app.testing = True
    app.add_websocket("/ws", "missing")
    with pytest.raises(LookupError, match="no view function for the endpoint 'missing'"):
        _status(client(app), "/ws")


def test_decorator_endpoint_gives_the_view(client: Any) -> None:
    app = _app()
    app.add_websocket("/ws", "late")
    app.endpoint("late")(_hello)
    with client(app).websocket("/ws") as ws:
        assert ws.receive_json() == {}


def test_override_of_a_step_is_called(client: Any) -> None:
    seen: list[str] = []

    class Own(DuoFlask):
        def preprocess_request(self) -> Any:
            seen.append("preprocess")
            return super().preprocess_request()

        def process_response(self, response: Any) -> Any:
            seen.append("process")
            return super().process_response(response)

        def handle_user_exception(self, e: Exception) -> Any:
            seen.append("handle")
            return super().handle_user_exception(e)

    app = Own("tests.websocket.rules")
    app.add_websocket("/ws", "ws", _hello)
    app.before_request(lambda: seen.append("hook"))
    made = client(app)
    with made.websocket("/ws") as ws:
        ws.receive_json()
    assert _status(made, "/nothing") == 404
    assert seen == ["preprocess", "hook", "preprocess", "hook", "handle", "process"]


def test_rule_of_an_extension_gets_the_handshake_as_a_request() -> None:
    app = _app()
    app.add_url_rule("/sock", "sock", lambda: f"raw {request.path}", websocket=True)
    app.add_websocket("/ws", "ws", _hello)
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "a",
        "Sec-WebSocket-Version": "13",
    }
    client = app.test_client()
    assert client.get("/sock", headers=handshake).text == "raw /sock"
    assert client.get("/sock").status_code == 400
    environ = create_environ("/sock", headers=handshake)
    assert not is_own_websocket(app, environ, "/sock")
    assert is_own_websocket(app, environ, "/ws")
    assert is_own_websocket(app, environ, "/nothing")  # and refused
    assert is_own_websocket(app, environ, None)


def test_store_that_does_not_answer_refuses_with_503(client: Any, tmp_path: Any) -> None:
    from duoflask import session
    from duoflask.sessions import StoreUnavailable

    app = _app()
    app.config["SESSION_STORE"] = f"sqlite:{tmp_path / 's.db'}"

    class Failing(type(app.session_interface)):  # type: ignore[misc]
        def save_session(self, app: Any, session: Any, response: Any) -> Any:
            raise StoreUnavailable

    app.session_interface = Failing(app.session_interface.store)

    @app.websocket("/ws")
    async def view() -> None:
        session["a"] = 1
        await websocket.send("x")

    assert _status(client(app), "/ws") == 503
