from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import anyio
import flask
import pytest
import werkzeug.test
from client_apps import MARK, Boom, LivingApp, asgi_app, wsgi_app

import duoflask
from duoflask import DuoFlask, g, has_request_context, request
from duoflask.response import BaseResponse
from duoflask.testing import (
    Client,
    ClientRedirectError,
    LifespanError,
    PlainEnvironBuilder,
    ProtocolError,
    TestResponse,
)
from duoflask.testing.loop_thread import ASGIRunner


@pytest.fixture(params=["wsgi", "asgi", "asgi-trio"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    if request.param == "wsgi":
        yield Client(wsgi_app)
        return
    backend = "trio" if request.param == "asgi-trio" else "asyncio"
    client = Client(asgi_app, protocol="asgi", backend=backend)
    yield client
    client.close()


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "options", "trace"])
def test_each_method_is_sent(client: Client, method: str) -> None:
    response = getattr(client, method)("/p", headers={"X-A": "1"})
    assert response.json["method"] == method.upper() == response.request.method
    assert response.json["x"] == "1"


def test_head_has_no_body(client: Client) -> None:
    response = client.head("/")
    assert (response.status_code, response.data) == (200, b"")


CALLS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("/",), {}),
    (("/ä b/%2F?x=1&y=%20",), {}),
    (("/x",), {"query_string": {"a": "ü", "b": ["1", "2"]}}),
    (("/x", "http://example.com/root"), {}),
    (("/x",), {"data": {"a": "b c", "d": "ü"}, "method": "POST"}),
    (("/x",), {"json": {"a": [1, None]}, "method": "POST"}),
    (("/x",), {"data": b"\xff\x00", "content_type": "a/b", "method": "PUT"}),
    (("/x",), {"data": "x" * 200_000, "method": "PUT"}),
    (("/x",), {"headers": {"Host": "other.example"}}),
    (("/x",), {"environ_overrides": {"HTTP_X_A": "5"}}),
]


@pytest.mark.parametrize(("args", "kwargs"), CALLS)
def test_call_arguments_are_werkzeugs(client: Client, args: Any, kwargs: Any) -> None:
    theirs = werkzeug.test.Client(wsgi_app).open(*args, **kwargs)
    ours = client.open(*args, **kwargs)
    assert ours.json == theirs.json
    assert ours.status_code == theirs.status_code


def test_response_is_a_response(client: Client) -> None:
    response = client.get("/")
    assert isinstance(response, TestResponse)
    assert isinstance(response, BaseResponse)
    assert (response.status, response.mimetype) == ("200 OK", "application/json")
    assert response.content_type == "application/json"
    assert response.text == response.get_data(as_text=True) == response.data.decode()
    assert response.get_json()["path"] == "/"
    assert response.location is None
    assert response.history == ()
    assert response.request.path == "/"
    assert "Content-Length" not in response.headers


def test_a_response_class_is_mixed_in() -> None:
    class Mine(duoflask.Response):
        def hello(self) -> str:
            return self.status

    response = Client(wsgi_app, Mine).get("/")
    assert isinstance(response, Mine)
    assert isinstance(response, TestResponse)
    assert response.hello() == "200 OK"


def test_an_exception_of_the_app_comes_out_with_its_traceback(client: Client) -> None:
    with pytest.raises(Boom, match="in the app") as info:
        client.get("/boom")
    assert "reply_to" in [frame.name for frame in traceback.extract_tb(info.value.__traceback__)]
    assert client.get("/").status_code == 200


def test_an_exception_becomes_a_500_on_request(client: Client) -> None:
    client.raise_server_exceptions = False
    assert client.get("/boom").status == "500 Internal Server Error"


def test_the_tests_context_is_visible_to_the_app(client: Client) -> None:
    token = MARK.set("here")
    try:
        assert client.get("/").json["mark"] == "here"
    finally:
        MARK.reset(token)


def test_environ_base_holds_for_each_request(client: Client) -> None:
    client.environ_base["HTTP_X_A"] = "base"
    assert client.get("/").json["x"] == "base"
    assert client.get("/", headers={"X-A": "own"}).json["x"] == "own"


def test_builder_environ_and_request_can_be_opened(client: Client) -> None:
    builder = PlainEnvironBuilder("/b", data="x", method="POST")
    for thing in (builder, PlainEnvironBuilder("/b", data="x", method="POST").get_environ()):
        answer = client.open(thing).json
        assert (answer["path"], answer["body"], answer["method"]) == ("/b", "x", "POST")
    assert client.open(client.get("/again").request).json["path"] == "/again"


# -- cookies


def test_cookies_are_kept_and_scoped(client: Client) -> None:
    client.get("/set", query_string={"c": ["a=1", "b=2; Path=/sub"]})
    assert client.get("/").json["cookie"] == "a=1"
    assert client.get("/sub/x").json["cookie"] == "a=1; b=2"
    assert client.get("/", "http://other.example/").json["cookie"] is None
    cookie = client.get_cookie("b", path="/sub")
    assert cookie is not None
    assert cookie.value == "2"


def test_cookies_are_set_and_deleted_by_hand(client: Client) -> None:
    client.set_cookie("a", "x y")
    assert client.get("/").json["cookie"] == "a=x y" or client.get("/").json["cookie"] == 'a="x y"'
    client.delete_cookie("a")
    assert client.get_cookie("a") is None
    client.set_cookie("d", "1", domain="example.com", origin_only=False)
    assert client.get("/", "http://sub.example.com/").json["cookie"] == "d=1"


def test_the_app_deletes_cookies(client: Client) -> None:
    client.set_cookie("a", "1")
    client.get("/set", query_string={"c": "a=; Max-Age=0; Path=/"})
    assert client.get("/").json["cookie"] is None


def test_an_explicit_cookie_field_is_sent_with_the_kept_ones(client: Client) -> None:
    assert client.get("/", headers={"Cookie": "x=1"}).json["cookie"] == "x=1"
    client.set_cookie("a", "1")
    assert client.get("/", headers={"Cookie": "x=1; a=2"}).json["cookie"] == "x=1; a=2"


def test_a_client_without_cookies_keeps_none() -> None:
    client = Client(wsgi_app, use_cookies=False)
    client.get("/set", query_string={"c": "a=1"})
    assert client.get("/").json["cookie"] is None
    with pytest.raises(TypeError, match="use_cookies=True"):
        client.get_cookie("a")


# -- redirects


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT"])
def test_redirects_are_followed_as_werkzeug_follows_them(client: Client, code: int, method: str) -> None:
    arguments: dict[str, Any] = {
        "query_string": {"to": "/to?q=1", "code": str(code)},
        "method": method,
        "data": "body" if method in ("POST", "PUT") else None,
        "headers": {"X-A": "kept"},
        "follow_redirects": True,
    }
    ours = client.open("/redirect", **arguments)
    theirs = werkzeug.test.Client(unread).open("/redirect", **arguments)
    assert len(ours.history) == len(theirs.history) == 1
    assert ours.history[0].status_code == code
    assert ours.history[0].request.path == "/redirect"
    assert ours.request.path == theirs.request.path == "/to"
    if method != "HEAD":
        first, second = ours.json, theirs.json
        first["length"] = first["length"] or "0"  # Werkzeug sends Content-Length: 0
        second["length"] = second["length"] or "0"
        assert first == second


def unread(environ: Any, start_response: Any) -> Any:
    # Werkzeug's client repeats a body only if the app did not read it.
    if environ["PATH_INFO"] == "/redirect":
        environ["CONTENT_LENGTH"] = "0"
        return wsgi_app({**environ, "wsgi.input": BytesIO()}, start_response)
    return wsgi_app(environ, start_response)


def test_a_relative_location_is_resolved(client: Client) -> None:
    answer = client.get("/redirect/x?code=302&to=../y%20z", follow_redirects=True)
    assert answer.request.path == "/y z"


def test_redirects_keep_cookies_and_root(client: Client) -> None:
    client.set_cookie("a", "1", path="/root")
    response = client.get("/redirect?code=302&to=/root/x", "http://localhost/root", follow_redirects=True)
    assert (response.json["root"], response.json["path"], response.json["cookie"]) == ("/root", "/x", "a=1")
    response = client.get("/redirect?code=302&to=/rootless", "http://localhost/root", follow_redirects=True)
    assert (response.json["root"], response.json["path"], response.json["cookie"]) == ("", "/rootless", None)


def test_redirects_are_not_followed_unasked(client: Client) -> None:
    response = client.get("/redirect?code=302&to=/x")
    assert (response.status_code, response.location) == (302, "/x")


def test_a_circle_of_redirects_is_refused(client: Client) -> None:
    with pytest.raises(ClientRedirectError, match="circle"):
        client.get("/circle", follow_redirects=True)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("http://elsewhere.example/", "another site"),
        ("http://sub.localhost/", "allow_subdomain"),
        ("ftp://x/", "expected http"),
    ],
)
def test_redirects_to_elsewhere_are_refused(client: Client, target: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        client.get("/redirect", query_string={"code": "302", "to": target}, follow_redirects=True)


def test_redirects_to_subdomains_can_be_allowed(client: Client) -> None:
    client.allow_subdomain_redirects = True
    query = {"code": "302", "to": "https://sub.localhost:8443/x"}
    response = client.get("/redirect", query_string=query, follow_redirects=True)
    assert response.json["host"] == "sub.localhost:8443"


# -- a real app


def test_a_flask_app_answers_as_to_its_own_client() -> None:
    app = flask.Flask("app")
    app.secret_key = "x"
    app.config["SERVER_NAME"] = "name.example"

    @app.post("/<int:number>")
    def view(number: int) -> Any:
        flask.session["n"] = flask.session.get("n", 0) + number
        return {"n": flask.session["n"], "json": flask.request.json, "url": flask.request.url}

    ours, theirs = Client(app), app.test_client()
    for number in (1, 2):
        call: dict[str, Any] = {"json": {"a": 1}, "subdomain": None}
        first, second = ours.post(f"/{number}", **call), theirs.post(f"/{number}", **call)
        assert (
            first.json
            == second.json
            == {"n": first.json["n"], "json": {"a": 1}, "url": f"http://name.example/{number}"}
        )
    assert first.json["n"] == 3
    assert isinstance(first.request, flask.Request)


def test_a_generator_is_read_on_demand() -> None:
    taken: list[int] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        for number in range(5):
            taken.append(number)
            yield b"%d" % number

    response = Client(app).get("/")
    assert taken == [0]
    assert response.data == b"01234"


# -- ASGI: the app's life


def test_startup_and_shutdown_run_once_around_the_requests() -> None:
    app = LivingApp()
    with Client(app, protocol="asgi") as client:
        assert app.log == []
        assert client.get("/").text == "started"
        assert client.get("/").text == "started"
    assert app.log == ["startup", "request", "request", "shutdown"]


def test_a_closed_client_starts_the_app_anew() -> None:
    app = LivingApp()
    client = Client(app, protocol="asgi")
    client.close()
    for _ in range(2):
        client.get("/")
        client.close()
        client.close()
    assert app.log == ["startup", "request", "shutdown"] * 2


def test_a_forgotten_client_shuts_the_app_down() -> None:
    app = LivingApp()
    Client(app, protocol="asgi").get("/")
    gc.collect()
    assert app.log == ["startup", "request", "shutdown"]


def test_a_client_that_its_own_loop_closes_does_not_wait_for_itself() -> None:
    app = LivingApp()
    runner = ASGIRunner(app, "asyncio")

    async def collect_garbage() -> None:
        runner.close()

    runner._thread.call(collect_garbage)
    runner._thread._thread.join(20)
    assert app.log == ["startup", "shutdown"]


def test_a_client_nobody_closes_does_not_hang_the_interpreter() -> None:
    code = (
        "from client_apps import LivingApp\nfrom duoflask.testing import Client\n"
        "app = LivingApp()\nclient = Client(app, protocol='asgi')\nclient.get('/')\nclient.get('/stream')\n"
        "import atexit; atexit.register(print, 'end')"
    )
    path = sys.path
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", f"import sys; sys.path[:] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


@pytest.mark.parametrize(
    ("fail", "error", "message"),
    [("startup", LifespanError, "no database"), ("raise", Boom, "while starting")],
)
def test_a_failed_startup_comes_out(fail: str, error: type[Exception], message: str) -> None:
    threads = set(threading.enumerate())
    with pytest.raises(error, match=message):
        Client(LivingApp(fail), protocol="asgi").get("/")
    assert set(threading.enumerate()) <= threads  # idle worker threads of other tests may end meanwhile


def test_a_failed_shutdown_comes_out_of_close() -> None:
    client = Client(LivingApp("shutdown"), protocol="asgi")
    client.get("/")
    with pytest.raises(LifespanError, match="stuck"):
        client.close()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_app_that_never_shuts_down_is_cancelled(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duoflask.testing.loop_thread.DEFAULT_MAX_CLOSE_SECONDS", 0.01)
    ended: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            return await send({"type": "http.response.body"})
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(True)

    client = Client(app, protocol="asgi", backend=backend)
    assert client.get("/").status_code == 200
    assert ended == []
    client.close()
    assert ended == [True]


def test_an_endless_stream_is_read_on_demand_and_given_up() -> None:
    app = LivingApp()
    client = Client(app, protocol="asgi")
    response = client.get("/stream")
    body = iter(response.response)
    assert [next(body), next(body)] == [b"0,", b"1,"]
    assert "left" not in app.log
    response.close()
    assert app.log == ["startup", "left"]
    client.get("/stream")
    client.close()
    assert app.log == ["startup", "left", "left", "shutdown"]


def test_a_stream_that_ignores_a_client_that_left_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duoflask.testing.loop_thread.DEFAULT_MAX_CLOSE_SECONDS", 0.01)
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cancelled")

    with Client(app, protocol="asgi") as client:
        client.get("/").close()
        assert log == ["cancelled"]


def test_an_error_in_a_stream_comes_out_where_it_is_read() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise Boom

    with Client(app, protocol="asgi") as client:
        response = client.get("/")
        with pytest.raises(Boom):
            response.get_data()


def test_a_system_exit_leaves_the_client_usable() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError
        if scope["path"] == "/exit":
            raise SystemExit(3)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    with Client(app, protocol="asgi") as client:
        for buffered in (True, False):
            with pytest.raises(SystemExit):
                client.get("/exit", buffered=buffered)
        assert client.get("/").status_code == 204


def test_a_client_works_inside_a_running_loop() -> None:
    async def main() -> str:
        with Client(LivingApp(), protocol="asgi") as client:
            return client.get("/").text

    assert asyncio.run(main()) == "started"


def test_a_truncated_body_ends_in_a_disconnect() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError
        seen.extend([await receive(), await receive()])
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body"})

    with Client(app, protocol="asgi") as client:
        client.post("/", data="ab", environ_overrides={"CONTENT_LENGTH": "5"})
    assert seen == [{"type": "http.request", "body": b"ab", "more_body": True}, {"type": "http.disconnect"}]


# -- WSGI: the app's life; contexts


def test_close_runs_the_apps_shutdown_under_wsgi() -> None:
    class App:
        closed = 0

        def __call__(self, environ: Any, start_response: Any) -> Any:
            return wsgi_app(environ, start_response)

        @property
        def _lifecycle(self) -> App:
            return self

        def stop_portal(self) -> None:
            self.closed += 1

    app = App()
    with Client(app) as client:
        client.get("/")
        assert app.closed == 0
    assert app.closed == 1


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
@pytest.mark.parametrize("colour", ["def", "async def"])
def test_a_with_block_keeps_the_context_of_the_last_request(protocol: Any, colour: str) -> None:
    app = DuoFlask(__name__)
    ended: list[str] = []

    def view(name: str) -> str:
        g.name = name
        return name

    async def async_view(name: str) -> str:
        return view(name)

    app.add_url_rule("/<name>", "view", view if colour == "def" else async_view)
    app.teardown_request(lambda error: ended.append(request.path))

    with app.test_client(protocol=protocol) as client:
        client.get("/one?a=1")
        assert (request.path, request.args["a"], g.name) == ("/one", "1", "one")
        client.get("/two")
        assert (request.path, g.name, request.endpoint) == ("/two", "two", "view")
        with pytest.raises(RuntimeError, match="nested"):
            client.__enter__()
    assert not has_request_context()
    assert ended == ["/one", "/two"]
    client.get("/three")
    assert not has_request_context()
    client.close()


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(ValueError, match="'wsgi' or 'asgi'; got 'http'"):
        Client(wsgi_app, protocol="http")  # type: ignore[arg-type]


def test_a_protocol_error_comes_out() -> None:
    with pytest.raises(ProtocolError):
        Client(lambda environ, start_response: [b"x"]).get("/")


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_responses_of_an_app_are_of_its_class_too(protocol: Any) -> None:
    class Own(duoflask.Response):
        @property
        def json(self) -> Any:
            return 49

        def __eq__(self, other: object) -> bool:
            return self.status_code == other

        __hash__ = None  # type: ignore[assignment]

    app = duoflask.Flask("a")
    app.response_class = Own
    app.add_url_rule("/", view_func=lambda: {"a": 1})
    with app.test_client(protocol=protocol) as client:
        response = client.get("/")
        assert isinstance(response, Own) and response.json == 49
        assert response == 200
        assert client.get("/missing") == 404


def test_client_class_that_was_written_for_flask_gets_flasks_arguments() -> None:
    seen: list[Any] = []

    class Own(Client):
        def __init__(self, application: Any, response_wrapper: Any = None, use_cookies: bool = True) -> None:
            seen.append((application, response_wrapper, use_cookies))
            super().__init__(application, response_wrapper, use_cookies)

    app = duoflask.Flask("a")
    app.test_client_class = Own
    app.test_client(use_cookies=False)
    assert seen == [(app, duoflask.Response, False)]


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_response_is_streamed_until_it_is_read_as_in_werkzeug(protocol: Any) -> None:
    for framework, options in ((flask, {}), (duoflask, {"protocol": protocol})):
        app = framework.Flask("a")
        app.add_url_rule("/", view_func=lambda: "text")
        client = app.test_client(**options)
        response = client.get("/")
        assert response.is_streamed
        assert response.data == b"text"
        assert not response.is_streamed
        assert not client.get("/", buffered=True).is_streamed
        if framework is duoflask:
            client.close()


def test_request_that_an_extensions_own_client_asks_for_carries_the_cookies() -> None:
    for framework in (flask, duoflask):
        app = framework.Flask("a")
        client = app.test_client()
        client.set_cookie("a", "b")
        request = client._request_from_builder_args(args=(), kwargs={"path": "/x?y=1", "headers": {"X-A": "c"}})
        assert (request.path, request.args["y"], request.headers["X-A"]) == ("/x", "1", "c")
        client._add_cookies_to_wsgi(request.environ)
        assert request.environ["HTTP_COOKIE"] == "a=b"


@pytest.mark.parametrize("host", ["[", "[:e:1]:80", "a:b", "a.test:99999", "[::1", ""])
def test_a_host_that_is_none_is_sent(client: Client, host: str) -> None:
    # Whatever a test sends reaches the app; the client itself needs the host for its cookies only.
    assert client.get("/", headers={"Host": host}).status_code == 200
    assert client.get("/", headers={"Host": host}, follow_redirects=True).status_code == 200


def test_an_odd_host_is_the_apps_to_refuse() -> None:
    app = DuoFlask("hosts")

    @app.get("/")
    def view() -> str:
        return request.host

    for protocol in ("wsgi", "asgi"):
        with app.test_client(protocol=protocol) as sender:
            assert sender.get("/", headers={"Host": "[:e:1]:80"}).status_code == 400


def test_the_request_of_a_plain_apps_response_is_a_request(client: Client) -> None:
    sent = client.post("/p?a=1&a=2", data={"b": "c"}).request
    assert isinstance(sent, duoflask.Request)
    assert (sent.args.getlist("a"), sent.path, sent.method) == (["1", "2"], "/p", "POST")


def test_the_response_of_an_apps_client_is_of_its_class() -> None:
    class Mine(duoflask.Response):
        default_mimetype = "text/x-mine"

    app = DuoFlask("classes")
    assert isinstance(app.test_client().get("/"), duoflask.Response)
    app.response_class = Mine
    first, second = app.test_client().get("/"), app.test_client().get("/")
    assert isinstance(first, Mine)
    assert type(first) is type(second)


@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_request_inside_an_application_context_has_a_g_of_its_own(protocol: Any) -> None:
    # As in Flask's next version; in 3.1 the request of a test takes over the context that is active, and its g.
    app = duoflask.Flask("a")

    @app.route("/")
    async def index() -> str:
        g.name = "inner"
        return "ok"

    with app.app_context(), app.test_client(protocol=protocol) as client:
        g.name = "outer"
        assert client.get("/").text == "ok"
        with app.app_context():
            assert "name" not in g

    with app.app_context():
        g.name = "outer"
        client = app.test_client(protocol=protocol)
        client.get("/")
        assert g.name == "outer"
        client.close()


def test_session_transaction_of_an_app_without_a_key_is_an_error() -> None:
    client = duoflask.Flask("app").test_client()
    with pytest.raises(RuntimeError, match=r"did not open a session.*secret_key"), client.session_transaction():
        pass
