"""Cross-site requests are refused by what the browser says of their origin, whatever their body; else by a token."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

import duoflask
from duoflask import request, session, websocket
from duoflask.csrf import CSRFError, CSRFProtect, csrf_token
from duoflask.testing import WebsocketResponseError


def build(**config: Any) -> Any:
    app = duoflask.Flask("a")
    app.config.update({"SECRET_KEY": "x" * 16, **config})
    app.extensions["made"] = CSRFProtect(app)

    @app.route("/", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    def view() -> str:
        return request.form.get("a", "") or str(request.get_json(silent=True))

    @app.route("/async", methods=["GET", "POST"])
    async def async_view() -> str:
        return request.form.get("a", "") or str(request.get_json(silent=True))

    @app.route("/token")
    def token() -> str:
        return csrf_token()

    @app.route("/login")
    def login() -> str:
        session["user"] = "ada"
        return ""

    @app.route("/stream", methods=["POST"], stream_body=True)
    def stream() -> str:
        return "streamed"

    return app


BODIES: list[dict[str, Any]] = [{"data": {"a": "1"}}, {"json": {"a": 1}}, {}]

WELCOME = [
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://other.example"},
    {"Origin": "http://localhost"},
    {"Origin": "https://localhost"},
    {"Origin": "http://LOCALHOST:80"},
    {"Origin": "https://app.example.com"},
    {"Origin": "https://app.example.com", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://host:8000", "Host": "host:8000"},
    {"Origin": "https://host", "Host": "host:443"},
]

REFUSED = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "SAME-ORIGIN"},
    {"Sec-Fetch-Site": ""},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Origin": "http://other.example"},
    {"Origin": "http://localhost.other.example"},
    {"Origin": "http://other.example/http://localhost"},
    {"Origin": "http://localhost:8000"},
    {"Origin": "http://user@localhost"},
    {"Origin": "file://localhost"},
    {"Origin": "localhost"},
    {"Origin": ""},
    {"Origin": "null"},
    {"Origin": "http://localhost\t"},
    {"Origin": "http://" + "a" * 100_000},
]


@pytest.mark.parametrize("path", ["/", "/async"])
@pytest.mark.parametrize("headers", WELCOME, ids=str)
def test_own_pages_are_welcome(client: Callable[..., Any], headers: dict[str, str], path: str) -> None:
    browser = client(build(CSRF_TRUSTED_ORIGINS=["https://app.example.com"]))
    browser.get("/login")
    for body in BODIES:
        assert browser.post(path, headers=headers, **body).status_code == 200


@pytest.mark.parametrize("headers", REFUSED, ids=lambda headers: str(headers)[:60])
def test_other_sites_are_refused_whatever_the_body(client: Callable[..., Any], headers: dict[str, str]) -> None:
    browser = client(build())
    browser.get("/login")
    for path in ("/", "/async"):
        for body in BODIES:
            assert browser.post(path, headers=headers, **body).status_code == 403
    for method in ("put", "patch", "delete"):
        assert getattr(browser, method)("/", headers=headers).status_code == 403
    for method in ("get", "head", "options"):
        assert getattr(browser, method)("/", headers=headers).status_code == 200


def test_page_without_tls_does_not_speak_for_a_site_with_it(client: Callable[..., Any]) -> None:
    browser = client(build())
    for origin, status in (("http://localhost", 403), ("http://localhost:443", 403), ("https://localhost", 200)):
        answer = browser.post("/async", base_url="https://localhost", headers={"Origin": origin})
        assert answer.status_code == status


def test_token_is_needed_where_neither_field_speaks(client: Callable[..., Any]) -> None:
    browser = client(build())
    token = browser.get("/token").text
    again = browser.get("/token").text
    assert token != again
    for valid in (token, again):
        assert browser.post("/", data={"a": "1", "csrf_token": valid}).text == "1"
        assert browser.post("/async", json={"a": 1}, headers={"X-CSRF-Token": valid}).text == "{'a': 1}"
        assert browser.post("/", headers={"X-CSRFToken": valid, "Origin": "null"}).status_code == 200
        assert browser.post("/stream", headers={"X-CSRF-Token": valid}).text == "streamed"
    assert browser.post("/stream", data={"csrf_token": token}).status_code == 403
    response = browser.post("/", data={"a": "1"})
    assert response.status_code == 403
    assert "Reload the form" in response.text
    assert browser.post("/", json={"csrf_token": token}).status_code == 403


@pytest.mark.parametrize(
    "token",
    ["", "x", "A" * 86 + "==", "=" * 88, "\u00e9", base64.urlsafe_b64encode(b"\0" * 64).decode(), "A" * 1_000_000],
    ids=range(7),
)
def test_other_tokens_are_refused(client: Callable[..., Any], token: str) -> None:
    browser = client(build(MAX_FORM_MEMORY_SIZE=None))
    browser.get("/token")
    assert browser.post("/", data={"csrf_token": token}).status_code == 403


def test_token_of_another_session_is_refused(client: Callable[..., Any]) -> None:
    app = build()
    attacker, browser = client(app), client(app)
    token = attacker.get("/token").text
    assert browser.post("/", data={"csrf_token": token}).status_code == 200  # it carries nothing to misuse
    browser.get("/login")
    assert browser.post("/", data={"csrf_token": token}).status_code == 403
    browser.get("/token")
    assert browser.post("/", data={"csrf_token": token}).status_code == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Authorization": "Bearer x"}, 200),
        ({"Authorization": "Basic eDp5"}, 403),
        ({"Authorization": "NEGOTIATE x"}, 403),
        ({"Cookie": "other=1"}, 403),
    ],
)
def test_programs_without_ambient_credentials_need_no_token(
    client: Callable[..., Any], headers: dict[str, str], status: int
) -> None:
    assert client(build(), use_cookies=False).post("/", json={}, headers=headers).status_code == status


@pytest.mark.parametrize("odd", [5, "", "zz", None, ["x"], "0" * 63])
def test_odd_secret_in_the_session_is_replaced(client: Callable[..., Any], odd: Any) -> None:
    browser = client(build())
    with browser.session_transaction() as kept:
        kept["_csrf_token"] = odd
    assert browser.post("/", data={"csrf_token": "A" * 86 + "=="}).status_code == 403
    token = browser.get("/token").text
    assert browser.post("/", data={"csrf_token": token}).status_code == 200


def test_exempt_views_and_blueprints(client: Callable[..., Any]) -> None:
    app = build()
    protect = app.extensions["made"]

    @app.route("/hook", methods=["POST"])
    @protect.exempt
    async def hook() -> str:
        return "hooked"

    blueprint = duoflask.blueprints.Blueprint("api", "api") if hasattr(duoflask, "blueprints") else None
    if blueprint is not None:
        blueprint.add_url_rule("/api", "view", lambda: "api", methods=["POST"])
        protect.exempt(blueprint)
        app.register_blueprint(blueprint)
    browser = client(app)
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert browser.post("/hook", headers=headers).text == "hooked"
    assert browser.post("/", headers=headers).status_code == 403
    if blueprint is not None:
        assert browser.post("/api", headers=headers).text == "api"
    with pytest.raises(TypeError, match="expected a view function or a blueprint; got int"):
        protect.exempt(5)


def _sockets() -> Any:
    app = build(CSRF_TRUSTED_ORIGINS=["https://app.example.com"])

    @app.websocket("/socket")
    async def socket() -> None:
        await websocket.send(session.get("user", "nobody"))

    @app.websocket("/socket/def")
    def blocking() -> None:
        websocket.send(session.get("user", "nobody"))

    @app.websocket("/socket/open")
    @app.extensions["made"].exempt
    async def for_all() -> None:
        await websocket.send("hello")

    return app


OWN_SOCKETS = [
    {},
    {"Origin": "http://localhost"},
    {"Origin": "https://localhost"},
    {"Origin": "https://app.example.com"},
    {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"},
]


@pytest.mark.parametrize("path", ["/socket", "/socket/def"])
@pytest.mark.parametrize("headers", OWN_SOCKETS)
def test_own_pages_open_websockets(client: Callable[..., Any], headers: dict[str, str], path: str) -> None:
    browser = client(_sockets())
    browser.get("/login")
    with browser.websocket(path, headers=headers) as ws:
        assert ws.receive() == "ada"


OTHER_SOCKETS = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:8000"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "https://app.example.com.evil.example"},
    {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("path", ["/socket", "/socket/def"])
@pytest.mark.parametrize("headers", OTHER_SOCKETS)
def test_other_sites_open_no_websockets(client: Callable[..., Any], headers: dict[str, str], path: str) -> None:
    browser = client(_sockets())
    browser.get("/login")
    with pytest.raises(WebsocketResponseError) as caught, browser.websocket(path, headers=headers):
        pass
    assert caught.value.response.status_code == 403
    with browser.websocket("/socket/open", headers=headers) as ws:
        assert ws.receive() == "hello"


def test_page_without_tls_opens_no_websocket_of_a_site_with_it(client: Callable[..., Any]) -> None:
    browser = client(_sockets())
    with pytest.raises(WebsocketResponseError):
        browser.websocket("/socket", base_url="https://localhost", headers={"Origin": "http://localhost"}).__enter__()
    with browser.websocket("/socket", base_url="https://localhost", headers={"Origin": "https://localhost"}) as ws:
        assert ws.receive() == "nobody"


@pytest.mark.parametrize("origin", ["https://app.example.co", "https", "", "https://app.example.com"])
def test_trusted_origins_as_text_trust_nobody(client: Callable[..., Any], origin: str) -> None:
    app = build(CSRF_TRUSTED_ORIGINS="https://app.example.com", PROPAGATE_EXCEPTIONS=False)
    headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
    assert client(app).post("/", headers=headers).status_code == 500
    app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(TypeError, match="CSRF_TRUSTED_ORIGINS; expected a list"):
        app.test_client().post("/", headers=headers)


def test_exempt_blueprint_is_known_by_itself_and_not_by_its_name(client: Callable[..., Any]) -> None:
    app = build()
    protect = app.extensions["made"]
    hooks, parent = duoflask.Blueprint("hooks", "a"), duoflask.Blueprint("parent", "a", url_prefix="/nested")
    namesake = duoflask.Blueprint("hooks", "a", url_prefix="/namesake")
    for blueprint in (hooks, namesake):
        blueprint.add_url_rule("/hook", "view", lambda: "hooked", methods=["POST"])
    protect.exempt(hooks)
    parent.register_blueprint(hooks)
    app.register_blueprint(parent)
    app.register_blueprint(hooks, name="again", url_prefix="/again")
    app.register_blueprint(namesake)
    browser = client(app)
    headers = {"Sec-Fetch-Site": "cross-site"}
    found = [
        browser.post(f"{prefix}/hook", headers=headers).status_code for prefix in ("/nested", "/again", "/namesake")
    ]
    assert found == [200, 200, 403]


def test_refusal_is_an_exception_with_a_handler(client: Callable[..., Any]) -> None:
    app = build()

    @app.errorhandler(CSRFError)
    async def refused(error: CSRFError) -> Any:
        return f"no: {error.description}", 403

    response = client(app).post("/", headers={"Sec-Fetch-Site": "cross-site"})
    assert response.text == "no: This request was not made by a page of this site."


def test_unmatched_requests_keep_their_error(client: Callable[..., Any]) -> None:
    browser = client(build())
    headers = {"Sec-Fetch-Site": "cross-site"}
    assert browser.post("/nowhere", headers=headers).status_code == 404
    assert browser.post("/token", headers=headers).status_code == 405


def test_own_requests_do_not_touch_the_session(client: Callable[..., Any]) -> None:
    response = client(build()).post("/", headers={"Sec-Fetch-Site": "same-origin"})
    assert "Vary" not in response.headers


def test_init_app_later(client: Callable[..., Any]) -> None:
    app = duoflask.Flask("a")
    protect = CSRFProtect()
    protect.init_app(app)
    assert app.extensions["csrf"] is protect
    app.add_url_rule("/", "view", lambda: "x", methods=["POST"])
    assert client(app).post("/", headers={"Origin": "http://evil"}).status_code == 403


def test_templates_have_the_token(client: Callable[..., Any]) -> None:
    templating = pytest.importorskip("duoflask.templating")
    app = build()
    app.add_url_rule("/form", "form", lambda: templating.render_template_string("{{ csrf_token() }}"))
    browser = client(app)
    assert browser.post("/", data={"csrf_token": browser.get("/form").text}).status_code == 200
