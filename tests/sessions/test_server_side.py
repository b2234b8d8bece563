"""Sessions on the server: ids, what is written and when, on every store, under both protocols and in both colours."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

import duoflask
from duoflask import request, session
from duoflask.sessions import (
    Change,
    NullSession,
    Record,
    SecureCookieSessionInterface,
    ServerSideSession,
    ServerSideSessionInterface,
    Store,
    StoreUnavailable,
    store_key,
)

ID_RE = re.compile(r"[A-Za-z0-9_-]{43}")


def build(setting: Any, **config: Any) -> Any:
    """An app with server-side sessions, without a secret key."""
    app = duoflask.Flask("a")
    app.config.update(SESSION_STORE=setting, **config)

    @app.route("/set")
    def set_it() -> str:
        session.update(request.args)
        return "set"

    @app.route("/set/async")
    async def set_async() -> str:
        session.update(request.args)
        return "set"

    @app.route("/get")
    def get_it() -> Any:
        return dict(session)

    @app.route("/get/async")
    async def get_async() -> Any:
        return dict(session)

    @app.route("/drop/<name>")
    def drop(name: str) -> str:
        session.pop(name, None)
        return "dropped"

    @app.route("/clear")
    async def clear() -> str:
        session.clear()
        return "cleared"

    @app.route("/login")
    async def login() -> str:
        session.regenerate()
        session["user"] = "ada"
        return "in"

    @app.route("/plain")
    def plain() -> str:
        return "plain"

    return app


@pytest.fixture
def app(kind: str, make: Callable[..., Any]) -> Iterator[Any]:
    """The app on each store in turn."""
    made = build(make(kind))
    yield made
    made.session_interface.store.close()


def sid(browser: Any) -> str | None:
    cookie = browser.get_cookie("session")
    return None if cookie is None else cookie.value


def count(app: Any) -> int:
    store = app.session_interface.store
    if type(store).__name__ == "CacheStore":
        return sum(1 for name in store.cache._cache if ":lock" not in name and ":writer" not in name)
    return sum(1 for _ in store.records())


# -- what is kept


def test_what_one_request_sets_the_next_one_gets(app: Any, loop_client: Callable[..., Any]) -> None:
    browser = loop_client(app)
    browser.get("/set?a=1")
    browser.get("/set/async?b=2")
    browser.get("/set?a=3")
    assert browser.get("/get").json == {"a": "3", "b": "2"}
    assert browser.get("/get/async").json == {"a": "3", "b": "2"}
    browser.get("/drop/a")
    assert browser.get("/get/async").json == {"b": "2"}
    assert count(app) == 1


def test_cookie_carries_256_random_bits(app: Any, client: Callable[..., Any]) -> None:
    browsers = [client(app), client(app)]
    ids = []
    for browser in browsers:
        response = browser.get("/set?a=1")
        ids.append(sid(browser))
        assert ID_RE.fullmatch(ids[-1])
        assert response.headers["Set-Cookie"] == f"session={ids[-1]}; HttpOnly; Path=/"
    assert ids[0] != ids[1]


def test_values_are_tagged_json(client: Callable[..., Any]) -> None:
    app = build("memory")
    value = {"tuple": (1, b"x", datetime(2020, 1, 2, tzinfo=UTC)), " t": 5}

    @app.route("/keep")
    def keep() -> str:
        session["v"] = value
        session[1] = 2  # type: ignore[index]
        return ""

    seen: list[Any] = []

    @app.route("/look")
    def look() -> str:
        seen.append(dict(session))
        return ""

    browser = client(app)
    browser.get("/keep")
    browser.get("/look")
    assert seen == [{"v": value, "1": 2}]
    (record,) = app.session_interface.store._records.values()
    assert record.values["1"] == "2"
    assert record.values["v"].startswith('{" t"') or '{" t":[1,{" b":"eA=="}' in record.values["v"]


@pytest.mark.parametrize("setting", [None, "memory"])
def test_value_that_cannot_be_kept_is_named(client: Callable[..., Any], setting: str | None) -> None:
    app = build("memory")
    app.config.update(SESSION_STORE=setting, PROPAGATE_EXCEPTIONS=True)
    app.secret_key = "k" * 16

    @app.route("/keep")
    def keep() -> str:
        session["fine"] = [1]
        session["user"] = {"who": object()}
        return ""

    @app.route("/lock")
    def lock() -> str:
        with session.lock():
            session["user"] = {"who": object()}
        return ""

    for path in ("/keep", "/lock")[: 1 if setting is None else 2]:
        with pytest.raises(TypeError, match="object is not JSON serializable") as caught:
            client(app).get(path)
        (note,) = caught.value.__notes__
        assert note.startswith("session['user'] cannot be kept. ")


def test_store_sees_no_ids(app: Any, client: Callable[..., Any]) -> None:
    if type(app.session_interface.store).__name__ == "CacheStore":
        pytest.skip("it lists none")
    browser = client(app)
    browser.get("/set?a=1")
    assert [key for key, _ in app.session_interface.store.records()] == [store_key(sid(browser) or "")]


def test_a_read_makes_no_record_and_no_cookie(app: Any, client: Callable[..., Any]) -> None:
    browser = client(app)
    for path in ("/get", "/get/async", "/plain", "/drop/x"):
        assert browser.get(path).status_code == 200
    assert sid(browser) is None
    assert count(app) == 0
    assert browser.get("/get").headers["Vary"] == "Cookie"
    assert "Vary" not in browser.get("/plain").headers


@pytest.mark.parametrize(
    "hostile",
    [
        "x",
        "../../../../etc/passwd",
        "A" * 42,
        "A" * 44,
        "A" * 43,
        "*" * 43,
        "session:*",
        "0" * 64,
        "%00" * 14 + "A",
        "A" * 100_000,
        "A" * 42 + "\u00e9".encode().decode("latin-1"),
    ],
)
def test_hostile_ids_open_nothing_and_are_not_adopted(app: Any, client: Callable[..., Any], hostile: str) -> None:
    browser = client(app, use_cookies=False)
    headers = {"Cookie": f"session={hostile}"}
    assert browser.get("/get", headers=headers).json == {}
    assert count(app) == 0
    response = browser.get("/set?a=1", headers=headers)
    assert response.status_code == 200
    assert f"session={hostile};" not in response.headers["Set-Cookie"]


def test_emptied_session_is_deleted_with_its_cookie(app: Any, client: Callable[..., Any]) -> None:
    for path in ("/clear", "/drop/a"):
        browser = client(app)
        browser.get("/set?a=1")
        response = browser.get(path)
        assert "Max-Age=0" in response.headers["Set-Cookie"]
        assert sid(browser) is None
        assert count(app) == 0


# -- ids


def test_regenerate_gives_a_new_id_and_ends_the_old_one(app: Any, client: Callable[..., Any]) -> None:
    browser, attacker = client(app), client(app, use_cookies=False)
    browser.get("/set?cart=3")
    old = sid(browser)
    browser.get("/login")
    assert sid(browser) != old
    assert browser.get("/get").json == {"cart": "3", "user": "ada"}
    assert attacker.get("/get", headers={"Cookie": f"session={old}"}).json == {}
    assert count(app) == 1


def test_regenerate_of_a_new_session(app: Any, client: Callable[..., Any]) -> None:
    browser = client(app)
    browser.get("/login")
    assert browser.get("/get").json == {"user": "ada"}
    assert count(app) == 1


def test_deleted_session_is_not_revived_by_who_still_has_it(
    app: Any, client: Callable[..., Any], protocol: str
) -> None:
    @app.route("/slow")
    def slow() -> str:
        session["seen"] = 1
        store = app.session_interface.store
        store.delete(store_key(session.sid))  # another request logs the user out meanwhile
        return "slow"

    browser = client(app)
    browser.get("/set?user=ada")
    response = browser.get("/slow")
    assert "Set-Cookie" not in response.headers
    assert count(app) == 0
    assert browser.get("/get").json == {}


# -- changes


def test_two_requests_that_change_different_names_both_keep_their_change(
    app: Any, loop_client: Callable[..., Any]
) -> None:
    inside, go_on = threading.Barrier(2), threading.Barrier(2)

    @app.route("/both/<name>")
    def both(name: str) -> str:
        session[name] = name
        inside.wait(20)  # both have read the session
        go_on.wait(20)
        return "both"

    first = loop_client(app)
    first.get("/set?a=1&b=2&gone=3")
    others = [loop_client(app), loop_client(app)]
    for other in others:
        other.set_cookie("session", sid(first))
    threads = [
        threading.Thread(target=other.get, args=(f"/both/{name}",)) for other, name in zip(others, "ab", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first.get("/get").json == {"a": "a", "b": "b", "gone": "3"}


CHANGES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "set": (lambda: session.__setitem__("n", 1), {"n": 1}),
    "same value": (lambda: session.__setitem__("a", 1), {"a": 1}),
    "delete": (lambda: session.__delitem__("a"), {"a": None}),
    "pop": (lambda: session.pop("a"), {"a": None}),
    "popitem": (lambda: session.popitem(), {"list": None}),
    "setdefault": (lambda: session.setdefault("n", []).append(1), {"n": [1]}),
    "update": (lambda: session.update({"n": 1}, m=2), {"n": 1, "m": 2}),
    "or": (lambda: session.__ior__({"n": 1}), {"n": 1}),
    "set and delete": (lambda: (session.__setitem__("other", 1), session.pop("other")), {"other": None}),
    "permanent": (lambda: setattr(session, "permanent", True), {"_permanent": True}),
    "inside, with another": (lambda: (session["list"].append(2), session.update(n=1)), {"list": [1, 2], "n": 1}),
    "inside, marked": (lambda: (session["list"].append(2), setattr(session, "modified", True)), {"list": [1, 2]}),
    "inside, unmarked": (lambda: session["list"].append(2), {}),
    "unmarked": (lambda: (session.update(n=1), setattr(session, "modified", False)), {}),
    "nothing": (lambda: session.pop("zz", None), {}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_only_what_changed_is_written(name: str, client: Callable[..., Any]) -> None:
    change, expected = CHANGES[name]
    app = build("memory")
    store = app.session_interface.store

    @app.route("/change")
    def view() -> str:
        session.get("a")
        # Meanwhile another request writes other names.
        original(Change(store_key(session.sid), time.time() + 60, {"other": '"kept"'}))
        return str(change())

    browser = client(app)
    with browser.session_transaction() as kept:
        kept.update(a=1, list=[1])
    written: list[Change] = []
    original = store.write
    store.write = lambda item: (written.append(item), original(item))[1]
    browser.get("/change")
    texts: dict[str, Any] = {}
    for item in written:
        texts.update({key: duoflask.json.loads(text) for key, text in item.values.items()})
        texts.update(dict.fromkeys(item.removed))
    assert texts == expected
    with browser.session_transaction() as kept:
        assert dict(kept) == {
            key: value for key, value in {"a": 1, "list": [1], "other": "kept", **expected}.items() if value is not None
        }


def test_clear_and_set_leaves_nothing_of_others(client: Callable[..., Any]) -> None:
    app = build("memory")
    store = app.session_interface.store

    @app.route("/change")
    def change() -> str:
        store.write(Change(store_key(session.sid), time.time() + 60, {"other": "1"}))
        session.clear()
        session["n"] = 1
        return ""

    browser = client(app)
    browser.get("/set?a=1")
    before = sid(browser)
    browser.get("/change")
    assert sid(browser) != before
    assert browser.get("/get").json == {"n": 1}


def test_cleared_session_has_a_new_id_and_the_old_one_opens_nothing(app: Any, client: Callable[..., Any]) -> None:
    @app.route("/relogin")
    async def relogin() -> str:
        session.clear()  # so begins the login of Flask's tutorial
        session["user"] = "ada"
        return ""

    browser, attacker = client(app), client(app)
    attacker.get("/set?a=1")
    browser.set_cookie("session", sid(attacker))
    browser.get("/relogin")
    assert browser.get("/get").json == {"user": "ada"}
    assert attacker.get("/get").json == {}
    assert count(app) == 1


@pytest.mark.parametrize("path", ["/body", "/body/async"])
def test_body_is_there_although_the_store_was_read_first(path: str, app: Any, client: Callable[..., Any]) -> None:
    @app.route("/body", methods=["POST"])
    def body() -> Any:
        return [request.form.get("n"), request.get_json(silent=True), session.get("a")]

    @app.route("/body/async", methods=["POST"])
    async def body_async() -> Any:
        return [request.form.get("n"), request.get_json(silent=True), session.get("a")]

    @app.route("/body/stream", methods=["POST"], stream_body=True)
    def stream() -> Any:
        return request.get_data()

    browser = client(app)
    browser.get("/set?a=1")
    assert browser.post(path, data={"n": "2"}).json == ["2", None, "1"]
    assert browser.post(path, json={"n": 2}).json == [None, {"n": 2}, "1"]
    assert browser.post("/body/stream", data=b"abc").data == b"abc"


def test_emptying_does_not_take_what_another_request_adds(client: Callable[..., Any]) -> None:
    app = build("memory")
    store = app.session_interface.store

    @app.route("/change")
    def change() -> str:
        store.write(Change(store_key(session.sid), time.time() + 60, {"other": "1"}))
        del session["a"]
        return ""

    browser = client(app)
    browser.get("/set?a=1")
    browser.get("/change")
    assert browser.get("/get").json == {"other": 1}


# -- ends


def test_session_ends_after_its_lifetime(client: Callable[..., Any]) -> None:
    app = build("memory", PERMANENT_SESSION_LIFETIME=1.0)
    browser = client(app)
    browser.get("/set?a=1")
    assert browser.get("/get").json == {"a": "1"}
    time.sleep(1.05)
    assert browser.get("/get").json == {}


@pytest.mark.parametrize(("permanent", "refresh", "prolonged"), [(1, True, True), (1, False, False), (0, True, False)])
def test_reading_prolongs_a_permanent_session(
    client: Callable[..., Any], permanent: int, refresh: bool, prolonged: bool
) -> None:
    app = build("memory", PERMANENT_SESSION_LIFETIME=1000, SESSION_REFRESH_EACH_REQUEST=refresh)
    browser = client(app)
    browser.get("/set?a=1" + "&_permanent=1" * permanent)
    (record,) = app.session_interface.store._records.values()
    record.expires -= 100
    response = browser.get("/get")
    (record,) = app.session_interface.store._records.values()
    assert (record.expires > time.time() + 990) is prolonged
    assert ("Set-Cookie" in response.headers) is prolonged
    before = record.expires
    browser.get("/get")  # at once again: the cookie is set, the store is left alone
    (record,) = app.session_interface.store._records.values()
    assert record.expires == before


# -- when it is read


class Slow(Store):
    """A store that says what it is asked, and in which kind of thread."""

    name = "slow"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails = False

    def _note(self, what: str) -> None:
        from duoflask.bridge import loop_is_running

        self.calls.append(f"{what}{' on the loop' if loop_is_running() else ''}")
        if self.fails:
            raise self._unavailable(OSError("gone"))

    def load(self, key: str) -> Record | None:
        self._note("load")
        return Record({"a": "1"}, time.time() + 60)

    def write(self, change: Change) -> bool:
        self._note("write")
        return True

    def lock(self, key: str, token: str, seconds: float) -> bool:
        self._note("lock")
        return True

    def unlock(self, key: str, token: str) -> None:
        self._note("unlock")


KNOWN = {"Cookie": "session=" + "A" * 43}


@pytest.mark.parametrize("path", ["/get", "/get/async"])
def test_store_with_io_is_read_before_the_first_function_and_never_on_the_loop(
    loop_client: Callable[..., Any], path: str
) -> None:
    store = Slow()
    app = build(store)
    order: list[str] = []

    @app.before_request
    async def before() -> None:
        order.extend(store.calls)

    browser = loop_client(app, use_cookies=False)
    assert browser.get(path, headers=KNOWN).json == {"a": 1}
    assert order == store.calls == ["load"]


@pytest.mark.parametrize("path", ["/set?b=1", "/set/async?b=1"])
def test_store_with_io_is_written_off_the_loop(loop_client: Callable[..., Any], path: str) -> None:
    store = Slow()
    browser = loop_client(build(store), use_cookies=False)
    browser.get(path, headers=KNOWN)
    assert store.calls == ["load", "write"]


def test_store_is_not_asked_without_the_cookie(loop_client: Callable[..., Any]) -> None:
    store = Slow()
    browser = loop_client(build(store), use_cookies=False)
    for headers in ({}, {"Cookie": "other=1"}):
        assert browser.get("/get/async", headers=headers).json == {}
        assert browser.get("/plain", headers=headers).text == "plain"
    assert store.calls == []
    browser.get("/set/async?a=1")
    assert store.calls == ["write"]


def test_store_is_read_and_nobody_looks(client: Callable[..., Any]) -> None:
    store = Slow()
    response = client(build(store), use_cookies=False).get("/plain", headers=KNOWN)
    assert store.calls == ["load"]
    assert "Vary" not in response.headers


def test_rule_opts_out(loop_client: Callable[..., Any]) -> None:
    store = Slow()
    app = build(store)
    app.add_url_rule("/health", "health", lambda: "fine", session=False)

    @app.route("/late", session=False)
    def late() -> Any:
        return dict(session)

    @app.route("/late/async", session=False)
    async def late_async() -> str:
        with pytest.raises(RuntimeError, match=r"take session=False off this URL rule"):
            session.get("a")
        return "raised"

    browser = loop_client(app, use_cookies=False)
    assert browser.get("/health", headers=KNOWN).text == "fine"
    assert store.calls == []
    assert browser.get("/late", headers=KNOWN).json == {"a": 1}
    assert store.calls == ["load"]
    assert browser.get("/late/async", headers=KNOWN).text == "raised"


def test_handler_of_a_404_has_the_session(loop_client: Callable[..., Any]) -> None:
    app = build(Slow())

    @app.errorhandler(404)
    async def missing(error: Any) -> Any:
        return dict(session), 404

    assert loop_client(app, use_cookies=False).get("/nowhere", headers=KNOWN).json == {"a": 1}


def test_memory_is_looked_at_only_when_somebody_looks(client: Callable[..., Any]) -> None:
    app = build("memory")
    store = app.session_interface.store
    reads: list[str] = []
    original = store.load
    store.load = lambda key: (reads.append(key), original(key))[1]
    browser = client(app)
    browser.get("/set?a=1")
    browser.get("/plain")
    assert reads == []
    browser.get("/get/async")
    assert len(reads) == 1


def test_contexts_of_ones_own(app: Any) -> None:
    browser = app.test_client()
    browser.get("/set?a=1")
    headers = {"Cookie": f"session={sid(browser)}"}
    with app.test_request_context(headers=headers):
        assert session["a"] == "1"

    async def main() -> None:
        async with app.test_request_context(headers=headers):
            assert session["a"] == "1"
            store = app.session_interface.store
            if store.is_async:
                await store.close_async()

    anyio.run(main)


def test_copied_context_has_the_session_that_was_read(client: Callable[..., Any]) -> None:
    store = Slow()
    app = build(store)

    @app.route("/copy")
    async def copy() -> str:
        found: list[Any] = []

        @duoflask.copy_current_request_context
        async def inner() -> None:
            found.append(dict(session))

        async with anyio.create_task_group() as group:
            group.start_soon(inner)
        return str(found)

    assert client(app, use_cookies=False).get("/copy", headers=KNOWN).text == "[{'a': 1}]"
    assert store.calls == ["load"]


# -- a store that fails


def test_a_store_that_cannot_be_read_is_a_503(
    loop_client: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = Slow()
    app = build(store)
    store.fails = True

    @app.errorhandler(503)
    async def unavailable(error: Any) -> Any:
        assert isinstance(error, StoreUnavailable)
        return f"later {session.get('a')} {len(session)}", 503

    @app.after_request
    def after(response: Any) -> Any:
        response.headers["X-After"] = str(session.get("a"))
        with pytest.raises(RuntimeError, match="its store did not answer"):
            session["a"] = 1
        return response

    browser = loop_client(app, use_cookies=False)
    for path in ("/get", "/get/async", "/plain"):
        response = browser.get(path, headers=KNOWN)
        assert (response.status_code, response.text) == (503, "later None 0")
        assert response.headers["X-After"] == "None"
    assert store.calls == ["load"] * 3
    assert caplog.record_tuples[0] == (
        "duoflask.sessions",
        logging.ERROR,
        "the session store slow is unavailable: OSError: gone",
    )
    store.fails = False
    del app.after_request_funcs[None][:]
    assert browser.get("/get", headers=KNOWN).json == {"a": 1}


@pytest.mark.parametrize("path", ["/set?b=1", "/set/async?b=1", "/stream"])
def test_a_store_that_cannot_be_written_is_a_503(loop_client: Callable[..., Any], path: str) -> None:
    store = Slow()
    app = build(store)
    closed: list[bool] = []

    @app.before_request
    def fail() -> None:
        store.fails = True

    @app.route("/stream")
    def stream() -> Any:
        session["b"] = 1
        response = duoflask.Response(iter(["x"]))
        response.call_on_close(lambda: closed.append(True))
        return response

    response = loop_client(app, use_cookies=False).get(path, headers=KNOWN)
    assert response.status_code == 503
    assert "Try again in a moment" in response.text
    assert store.calls == ["load", "write"]
    assert closed == [True] * (path == "/stream")


def test_a_lazily_opened_store_that_fails_is_a_503(client: Callable[..., Any]) -> None:
    store = Slow()
    app = build(store)
    store.fails = True
    app.add_url_rule("/late", "late", lambda: str(session.get("a")), session=False)
    assert client(app, use_cookies=False).get("/late", headers=KNOWN).status_code == 503


@pytest.mark.parametrize("texts", [{"a": "{"}, {"a": "1,2"}, {"a": '{" u":"x"}'}, {"a": ""}, {"a": "1", "b": "["}])
def test_a_record_that_cannot_be_read_is_no_error_for_ever(
    client: Callable[..., Any], texts: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    app = build("memory")
    store = app.session_interface.store
    store.write(Change(store_key("A" * 43), time.time() + 60, texts, create=True))
    browser = client(app, use_cookies=False)
    assert browser.get("/get", headers=KNOWN).json == {}
    assert "cannot be read" in caplog.text
    response = browser.get("/set?a=1", headers=KNOWN)
    assert "session=" + "A" * 43 not in response.headers["Set-Cookie"]


# -- which interface


def test_setting_chooses_the_interface_at_any_time(tmp_path: Path, client: Callable[..., Any]) -> None:
    app = build(None, SECRET_KEY="x" * 16)
    browser = client(app)
    assert type(app.session_interface) is SecureCookieSessionInterface
    browser.get("/set?a=1")
    app.config["SESSION_STORE"] = f"sqlite:{tmp_path / 's.db'}"
    assert browser.get("/get").json == {}
    browser.get("/set?a=2")
    interface = app.session_interface
    assert type(interface) is ServerSideSessionInterface
    assert interface.store.name.endswith("s.db")
    assert browser.get("/get/async").json == {"a": "2"}
    assert app.session_interface is interface
    assert interface.store.timeout == 2.0
    app.config["SESSION_STORE_TIMEOUT"] = 1.0
    assert app.session_interface.store.timeout == 1.0
    assigned = SecureCookieSessionInterface()
    app.session_interface = assigned
    assert app.session_interface is assigned
    interface.store.close()


def test_relative_paths_are_below_the_instance_folder(tmp_path: Path) -> None:
    app = duoflask.Flask("a", instance_path=str(tmp_path))
    for setting, name in (
        (True, "sqlite {}/sessions.sqlite3"),
        ("sqlite:x.db", "sqlite {}/x.db"),
        ("files", "files {}/sessions"),
    ):
        app.config["SESSION_STORE"] = setting
        assert app.session_interface.store.name == name.format(tmp_path)


def test_unset_and_empty_settings_mean_cookies() -> None:
    app = duoflask.Flask("a")
    for setting in (None, "", False):
        app.config["SESSION_STORE"] = setting
        assert type(app.session_interface) is SecureCookieSessionInterface


def test_session_object() -> None:
    made = ServerSideSession({"a": 1})
    assert made.new
    assert not made.modified
    assert not made.accessed
    assert made == {"a": 1}
    assert ID_RE.fullmatch(made.sid)
    assert made.sid == made.sid
    with pytest.raises(KeyError):
        made.pop("b")
    assert not isinstance(made, NullSession)


def test_new_is_told(client: Callable[..., Any]) -> None:
    app = build("memory")
    app.add_url_rule("/new", "new", lambda: str(session.new))
    browser = client(app)
    assert browser.get("/new").text == "True"
    browser.get("/set?a=1")
    assert browser.get("/new").text == "False"
