"""Session interfaces of one's own: every colour, both protocols, and extensions in the manner of Flask-Session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

import duoflask
from duoflask import session
from duoflask.bridge import loop_is_running
from duoflask.sessions import NullSession, SecureCookieSession, SessionInterface, SessionMixin


class Kept(dict[str, Any], SessionMixin):
    pass


class Plain(SessionInterface):
    """Keeps sessions in a dict, by a cookie without any secret."""

    colour = "def"

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []

    def _open(self, request: Any) -> Kept:
        return Kept(self.kept.get(request.cookies.get("session", ""), {}))

    def _save(self, made: Any, response: Any) -> None:
        self.kept["id"] = dict(made)
        response.set_cookie("session", "id")

    def _note(self, what: str) -> None:
        self.calls.append(what + (" on a loop" if loop_is_running() else ""))

    def open_session(self, app: Any, request: Any) -> Any:
        self._note("open")
        return self._open(request)

    def save_session(self, app: Any, session: Any, response: Any) -> Any:
        self._note("save")
        self._save(session, response)


class Async(Plain):
    async def open_session(self, app: Any, request: Any) -> Any:
        self._note("open")
        if "Cookie" in request.headers:
            await anyio.sleep(0)
        return self._open(request)

    async def save_session(self, app: Any, session: Any, response: Any) -> Any:
        self._note("save")
        await anyio.sleep(0)
        self._save(session, response)


class Returning(Plain):
    """`def` methods that return something to await."""

    does_io = False

    def open_session(self, app: Any, request: Any) -> Any:
        async def later() -> Any:
            return self._open(request)

        return later()

    def save_session(self, app: Any, session: Any, response: Any) -> Any:
        async def later() -> None:
            await anyio.sleep(0)
            self._save(session, response)

        return later()


def build(interface: SessionInterface) -> Any:
    app = duoflask.Flask("a")
    app.session_interface = interface

    @app.route("/count")
    def count() -> str:
        session["n"] = session.get("n", 0) + 1
        return str(session["n"])

    @app.route("/count/async")
    async def count_async() -> str:
        session["n"] = session.get("n", 0) + 1
        return str(session["n"])

    return app


@pytest.mark.parametrize("kind", [Plain, Async])
@pytest.mark.parametrize("path", ["/count", "/count/async"])
def test_methods_of_either_colour(kind: type[Plain], path: str, loop_client: Callable[..., Any]) -> None:
    browser = loop_client(build(kind()))
    assert [browser.get(path).text for _ in range(4)] == ["1", "2", "3", "4"]
    with browser.session_transaction() as kept:
        assert kept["n"] == 4
        kept["n"] = 10
    assert browser.get(path).text == "11"


@pytest.mark.parametrize("path", ["/count", "/count/async"])
def test_blocking_methods_stay_off_the_loop(path: str, loop_client: Callable[..., Any]) -> None:
    interface = Plain()
    browser = loop_client(build(interface))
    browser.get(path)
    interface.calls.clear()
    browser.get(path)
    assert interface.calls == ["open", "save"]


@pytest.mark.parametrize("path", ["/count", "/count/async"])
def test_async_methods_run_on_a_loop(path: str, loop_client: Callable[..., Any]) -> None:
    interface = Async()
    browser = loop_client(build(interface))
    browser.get(path)
    interface.calls.clear()
    browser.get(path)
    assert interface.calls == ["open on a loop", "save on a loop"]


def test_result_decides_what_is_awaited(loop_client: Callable[..., Any]) -> None:
    browser = loop_client(build(Returning()))
    assert [browser.get(path).text for path in ("/count", "/count/async", "/count")] == ["1", "2", "3"]


def test_async_interface_that_waits_without_a_cookie_is_an_error_that_says_so(client: Callable[..., Any]) -> None:
    class Waiting(Async):
        async def open_session(self, app: Any, request: Any) -> Any:
            await anyio.sleep(0)
            return Kept()

    app = build(Waiting())
    app.testing = True
    browser = client(app)
    assert browser.get("/count").text == "1"
    browser.delete_cookie("session")
    with pytest.raises(RuntimeError, match=r"Waiting\.open_session\(\) waits .* return a new session at once"):
        browser.get("/count/async")


@pytest.mark.parametrize("kind", [Plain, Async])
def test_none_becomes_a_null_session_which_is_not_saved(kind: type[Plain], client: Callable[..., Any]) -> None:
    class Nothing(kind):  # type: ignore[misc,valid-type]
        def _open(self, request: Any) -> Any:
            return None

    interface = Nothing()
    app = build(interface)
    app.add_url_rule("/read", "read", lambda: str(session.get("a")))
    browser = client(app, raise_server_exceptions=False)
    assert browser.get("/read", headers={"Cookie": "session=1"}).text == "None"
    assert browser.get("/count").status_code == 500
    assert not any("save" in call for call in interface.calls)


def test_null_session_class_of_ones_own(client: Callable[..., Any]) -> None:
    class Quiet(NullSession):
        __setitem__ = SecureCookieSession.__setitem__

    class Interface(Plain):
        null_session_class = Quiet

        def open_session(self, app: Any, request: Any) -> Any:
            return None

    app = build(Interface())
    assert client(app).get("/count").text == "1"
    assert app.session_interface.is_null_session(Quiet())
    assert not app.session_interface.is_null_session(NullSession())


def test_session_is_saved_after_the_after_hooks_and_for_errors_too(client: Callable[..., Any]) -> None:
    interface = Plain()
    app = build(interface)
    order: list[str] = interface.calls

    @app.after_request
    def after(response: Any) -> Any:
        order.append("after")
        return response

    @app.route("/fail")
    def fail() -> str:
        session["a"] = 1
        raise ValueError

    browser = client(app, raise_server_exceptions=False)
    browser.get("/count")
    assert order == ["open", "after", "save"] or order == ["open on a loop", "after", "save"]
    browser.get("/fail")
    assert interface.kept["id"]["a"] == 1


def test_interface_that_is_no_subclass(client: Callable[..., Any]) -> None:
    class Duck:
        def __init__(self) -> None:
            self.kept: Any = Kept()

        def open_session(self, app: Any, request: Any) -> Any:
            return self.kept

        def save_session(self, app: Any, session: Any, response: Any) -> None:
            response.headers["X-Saved"] = str(dict(session))

        def is_null_session(self, obj: Any) -> bool:
            return False

    browser = client(build(Duck()))  # type: ignore[arg-type]
    assert browser.get("/count").headers["X-Saved"] == "{'n': 1}"
    assert browser.get("/count/async").headers["X-Saved"] == "{'n': 2}"


def test_class_attribute_of_a_subclass(client: Callable[..., Any]) -> None:
    interface = Plain()

    class App(duoflask.Flask):
        session_interface = interface

    app = App("a")
    app.config["SESSION_STORE"] = "memory"
    assert app.session_interface is interface

    @app.route("/")
    def view() -> str:
        session["a"] = 1
        return ""

    client(app).get("/")
    assert interface.kept == {"id": {"a": 1}}
    other = Plain()
    app.session_interface = other  # type: ignore[assignment]
    client(app).get("/")
    assert other.kept == {"id": {"a": 1}}


def test_extension_in_the_manner_of_flask_session(client: Callable[..., Any]) -> None:
    """A copy of the shape of Flask-Session's interfaces: it subclasses, sets `app.session_interface`, uses helpers."""

    class ServerSide(SecureCookieSession):
        def __init__(self, initial: Any = None, sid: str = "", permanent: bool | None = None) -> None:
            super().__init__(initial)
            self.sid = sid
            if permanent:
                self.permanent = permanent

    class CacheInterface(SessionInterface):
        def __init__(self) -> None:
            self.cache: dict[str, Any] = {}

        def open_session(self, app: Any, request: Any) -> Any:
            sid = request.cookies.get(app.config["SESSION_COOKIE_NAME"])
            if not sid:
                return ServerSide(sid="new-id", permanent=True)
            return ServerSide(self.cache.get(sid), sid=sid)

        def save_session(self, app: Any, session: Any, response: Any) -> None:
            domain, path = self.get_cookie_domain(app), self.get_cookie_path(app)
            name = app.config["SESSION_COOKIE_NAME"]
            if not session:
                if session.modified:
                    response.delete_cookie(name, domain=domain, path=path)
                return
            if not self.should_set_cookie(app, session):
                return
            self.cache[session.sid] = dict(session)
            response.set_cookie(
                name,
                session.sid,
                expires=self.get_expiration_time(app, session),
                httponly=self.get_cookie_httponly(app),
                domain=domain,
                path=path,
                secure=self.get_cookie_secure(app),
                samesite=self.get_cookie_samesite(app),
            )

    class Extension:
        def __init__(self, app: Any) -> None:
            app.session_interface = CacheInterface()

    app = build(Plain())
    Extension(app)
    browser = client(app)
    assert [browser.get(path).text for path in ("/count", "/count/async", "/count")] == ["1", "2", "3"]
    assert app.session_interface.cache == {"new-id": {"_permanent": True, "n": 3}}


def test_missing_methods_are_named() -> None:
    app = duoflask.Flask("a")
    for method, args in (("open_session", (app, None)), ("save_session", (app, None, None))):
        with pytest.raises(NotImplementedError, match=rf"SessionInterface has no {method}\(\)"):
            getattr(SessionInterface(), method)(*args)


# -- session_transaction


@pytest.mark.parametrize("setting", [None, "memory", "sqlite"])
def test_transaction_reads_and_changes_what_the_next_request_sees(
    loop_client: Callable[..., Any], setting: str | None, tmp_path: Any
) -> None:
    app = duoflask.Flask("a", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="x" * 16, SESSION_STORE=setting)
    app.add_url_rule("/", "view", lambda: dict(session))
    browser = loop_client(app)
    with browser.session_transaction() as kept:
        kept["a"] = 1
    assert browser.get("/").json == {"a": 1}
    with pytest.raises(ZeroDivisionError), browser.session_transaction() as kept:
        kept["a"] = 2
        1 / 0  # noqa: B018
    with browser.session_transaction("/path", method="POST") as kept:
        assert kept == {"a": 1}
        kept.clear()
    assert browser.get("/").json == {}
    assert browser.get_cookie("session") is None
    interface = app.session_interface
    if hasattr(interface, "store"):
        interface.store.close()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("setting", [None, "memory", "sqlite", "redis"])
def test_transaction_of_the_async_client(
    setting: str | None, backend: str, make: Callable[..., Any], tmp_path: Any
) -> None:
    app = duoflask.Flask("a", instance_path=str(tmp_path))
    app.config.update(SECRET_KEY="x" * 16, SESSION_STORE=make(setting) if setting == "redis" else setting)

    @app.route("/")
    async def view() -> Any:
        return dict(session)

    async def main() -> None:
        async with app.async_test_client() as browser:
            async with browser.session_transaction() as kept:
                kept["a"] = 1
            assert (await browser.get("/")).json == {"a": 1}
            async with browser.session_transaction() as kept:
                assert kept["a"] == 1
                kept["a"] = 2
            assert (await browser.get("/")).json == {"a": 2}

    anyio.run(main, backend=backend)
    interface = app.session_interface
    if hasattr(interface, "store"):
        interface.store.close()


def test_transaction_needs_cookies_and_a_session(client: Callable[..., Any]) -> None:
    app = duoflask.Flask("a")
    with pytest.raises(TypeError, match="use_cookies=True"):
        with client(app, use_cookies=False).session_transaction():
            pass
    with pytest.raises(RuntimeError, match=r"did not open a session.*app\.secret_key"):
        with client(app).session_transaction():
            pass
