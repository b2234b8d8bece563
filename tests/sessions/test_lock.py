"""Counters and lists under `session.lock()`: nothing is lost, nothing stands still, nothing stays locked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

import duoflask
from duoflask import session
from duoflask.sessions import Change, StoreUnavailable, store_key
from duoflask.sessions.stores.memory import MemoryStore


@pytest.fixture
def app(kind: str, make: Callable[..., Any]) -> Iterator[Any]:
    made = duoflask.Flask("a")
    made.config["SESSION_STORE"] = make(kind)

    @made.route("/start")
    def start() -> str:
        session["n"] = 0
        return ""

    @made.route("/count")
    def count() -> str:
        with session.lock():
            session["n"] = session["n"] + 1
        return str(session["n"])

    @made.route("/count/async")
    async def count_async() -> str:
        async with session.lock():
            value = session["n"]
            await anyio.sleep(0)
            session["n"] = value + 1
        return str(session["n"])

    @made.route("/n")
    def n() -> Any:
        return dict(session)

    yield made
    made.session_interface.store.close()


def twins(make_client: Callable[..., Any], app: Any, number: int) -> list[Any]:
    """Clients with one session."""
    first = make_client(app)
    first.get("/start")
    clients = [first]
    for _ in range(number - 1):
        clients.append(make_client(app))
        clients[-1].set_cookie("session", first.get_cookie("session").value)
    return clients


def in_threads(*functions: Callable[[], Any]) -> None:
    errors: list[BaseException] = []

    def run(function: Callable[[], Any]) -> None:
        try:
            function()
        except BaseException as exc:
            errors.append(exc)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("paths", [("/count",), ("/count/async",), ("/count", "/count/async")])
def test_counter_under_the_lock_counts_every_request(
    app: Any, loop_client: Callable[..., Any], paths: tuple[str, ...]
) -> None:
    browsers = twins(loop_client, app, 4)

    def work(number: int, browser: Any) -> None:
        for turn in range(4):
            assert browser.get(paths[(number + turn) % len(paths)]).status_code == 200

    in_threads(*(lambda n=n, b=b: work(n, b) for n, b in enumerate(browsers)))
    assert browsers[0].get("/n").json == {"n": 16}


def test_block_reads_the_session_again_under_own_changes(app: Any, client: Callable[..., Any]) -> None:
    @app.route("/work")
    def work() -> str:
        session["mine"], session["both"] = 1, 1
        session.pop("gone")
        other = app.test_client()
        other.set_cookie("session", session.sid)
        other.get("/other")
        with session.lock():
            assert dict(session) == {"n": 5, "mine": 1, "both": 1}
            session["n"] += 1
        return str(session.modified)

    @app.route("/other")
    def other() -> str:
        session.update(n=5, both=2)
        return ""

    @app.route("/more")
    def more() -> str:
        session["gone"] = 1
        return ""

    (browser,) = twins(client, app, 1)
    browser.get("/more")
    assert browser.get("/work").text == "True"
    assert browser.get("/n").json == {"n": 6, "mine": 1, "both": 1}


@pytest.mark.parametrize("path", ["/fail", "/fail/async"])
def test_exception_takes_back_what_the_block_changed(app: Any, client: Callable[..., Any], path: str) -> None:
    @app.route("/fail")
    def fail() -> Any:
        session["before"] = [1]
        with pytest.raises(ZeroDivisionError), session.lock():
            session["n"] = 5
            session["before"].append(2)
            session["inside"] = 1
            del session["keep"]
            1 / 0  # noqa: B018
        return dict(session)

    @app.route("/fail/async")
    async def fail_async() -> Any:
        session["before"] = [1]
        with pytest.raises(ZeroDivisionError):
            async with session.lock():
                session.clear()
                session["inside"] = 1
                1 / 0  # noqa: B018
        return dict(session)

    @app.route("/more")
    def more() -> str:
        session["keep"] = 1
        return ""

    (browser,) = twins(client, app, 1)
    browser.get("/more")
    assert browser.get(path).json == {"n": 0, "before": [1], "keep": 1}
    assert browser.get("/n").json == {"n": 0, "before": [1], "keep": 1}
    assert browser.get("/count").text == "1"  # it was unlocked


def test_new_session_needs_no_lock(app: Any, client: Callable[..., Any]) -> None:
    @app.route("/new")
    def new() -> str:
        with session.lock() as same:
            assert same is session._get_current_object()
            session["a"] = 1
        return ""

    @app.route("/new/async")
    async def new_async() -> str:
        async with session.lock():
            session["a"] = 1
        return ""

    for path in ("/new", "/new/async"):
        browser = client(app)
        browser.get(path)
        assert browser.get("/n").json == {"a": 1}


def test_locked_session_may_get_a_new_id(app: Any, client: Callable[..., Any]) -> None:
    @app.route("/renew")
    async def renew() -> str:
        async with session.lock():
            session.regenerate()
            session["n"] += 1
        return ""

    (browser,) = twins(client, app, 1)
    old = browser.get_cookie("session").value
    browser.get("/renew")
    assert browser.get_cookie("session").value != old
    assert browser.get("/n").json == {"n": 1}
    assert browser.get("/count").text == "2"


def test_session_that_is_deleted_meanwhile_stays_so(app: Any, client: Callable[..., Any]) -> None:
    @app.route("/gone")
    def gone() -> Any:
        session.get("n")
        app.session_interface.store.delete(store_key(session.sid))
        with session.lock():
            session["n"] = session.get("n", 7)
        return dict(session)

    (browser,) = twins(client, app, 1)
    response = browser.get("/gone")
    assert response.json == {"n": 7}
    assert "Set-Cookie" not in response.headers
    assert browser.get("/n").json == {}


@pytest.mark.parametrize("path", ["/wait", "/wait/async"])
def test_session_that_stays_locked_is_a_503(
    app: Any, client: Callable[..., Any], path: str, caplog: pytest.LogCaptureFixture
) -> None:
    @app.route("/wait")
    def wait() -> str:
        with session.lock(timeout=0.1):
            raise AssertionError("it is locked")

    @app.route("/wait/async")
    async def wait_async() -> str:
        async with session.lock(timeout=0.1):
            raise AssertionError("it is locked")

    (browser,) = twins(client, app, 1)
    store = app.session_interface.store
    key = store_key(browser.get_cookie("session").value)
    assert store.lock(key, "somebody", 30)
    began = time.monotonic()
    assert browser.get(path).status_code == 503
    assert time.monotonic() - began < 5
    assert f"a session in the store {store.name} stayed locked for 0.1 s" in caplog.text
    assert browser.get_cookie("session").value not in caplog.text
    store.unlock(key, "somebody")
    assert browser.get("/count").text == "1"


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("path", ["/twice", "/twice/async", "/same"])
def test_lock_inside_itself_is_an_error_at_once(app: Any, client: Callable[..., Any], path: str, fresh: bool) -> None:
    inside = pytest.raises(RuntimeError, match="entered inside its own block")

    @app.route("/twice")
    def twice() -> str:
        with session.lock():
            with inside, session.lock():
                raise AssertionError
            session["n"] = 5
        with session.lock():  # one after the other is no mistake
            session["n"] += 1
        return ""

    @app.route("/same")
    def same() -> str:
        lock = session.lock()
        with lock:
            with inside, lock:
                raise AssertionError
            session["n"] = 6
        return ""

    @app.route("/twice/async")
    async def twice_async() -> str:
        async with session.lock():
            with inside:
                async with session.lock():
                    raise AssertionError
            session["n"] = 5
        async with session.lock():
            session["n"] += 1
        return ""

    browser = client(app) if fresh else twins(client, app, 1)[0]
    began = time.monotonic()
    assert browser.get(path).status_code == 200
    assert time.monotonic() - began < 5
    assert browser.get("/n").json == {"n": 6}
    assert browser.get("/count").text == "7"  # it was unlocked


def test_tasks_of_one_request_take_turns(app: Any, loop_client: Callable[..., Any]) -> None:
    @app.route("/tasks")
    async def tasks() -> str:
        here = session._get_current_object()

        async def add() -> None:
            async with here.lock():
                value = here["n"]
                await anyio.sleep(0.001)
                here["n"] = value + 1

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(add)
        return ""

    (browser,) = twins(loop_client, app, 1)
    assert browser.get("/tasks").status_code == 200
    assert browser.get("/n").json == {"n": 3}


def test_with_on_a_loop_says_what_to_write(client: Callable[..., Any]) -> None:
    app = duoflask.Flask("a")
    app.config["SESSION_STORE"] = "memory"

    @app.route("/")
    async def view() -> str:
        with pytest.raises(RuntimeError, match=r"write 'async with session\.lock\(\):'"), session.lock():
            pass
        return "raised"

    assert client(app).get("/").text == "raised"


def test_workers_that_wait_do_not_keep_the_holder_from_ending(tmp_path: Any) -> None:
    """Every worker thread waits for the lock whose holder needs one to write and unlock."""
    app = duoflask.Flask("a")
    app.config.update(SESSION_STORE=f"sqlite:{tmp_path / 's.db'}", WORKER_THREADS=2)
    waiting = threading.Semaphore(0)

    @app.route("/start")
    def start() -> str:
        session["n"] = 0
        return ""

    @app.route("/hold")
    async def hold() -> str:
        async with session.lock():
            for _ in range(200):
                await anyio.sleep(0.005)
                if waiting._value >= 2:
                    break
            session["n"] += 1
        return str(session["n"])

    @app.route("/wait")
    def wait() -> str:
        waiting.release()
        with session.lock():
            session["n"] += 1
        return str(session["n"])

    async def main() -> None:
        results: list[str] = []
        async with app.async_test_client() as browser, anyio.create_task_group() as group:
            await browser.get("/start")

            async def get(path: str) -> None:
                results.append((await browser.get(path)).text)

            group.start_soon(get, "/hold")
            await anyio.sleep(0.05)
            for _ in range(4):
                group.start_soon(get, "/wait")
        assert sorted(results) == ["1", "2", "3", "4", "5"]

    with anyio.from_thread.start_blocking_portal():
        anyio.run(main)
    app.session_interface.store.close()


@pytest.mark.parametrize("path", ["/inside", "/inside/async"])
def test_changes_inside_values_count(path: str, app: Any, client: Callable[..., Any]) -> None:
    @app.route("/list")
    def make_list() -> str:
        session["list"] = []
        return ""

    def change_outside() -> None:
        session["list"].append("before")
        session.modified = True

    @app.route("/inside")
    def inside() -> Any:
        change_outside()
        with session.lock():
            session["list"].append("in")
        return session["list"]

    @app.route("/inside/async")
    async def inside_async() -> Any:
        change_outside()
        async with session.lock():
            session["list"].append("in")
        return session["list"]

    browser = client(app)
    browser.get("/list")
    assert browser.get(path).json == ["before", "in"]
    assert browser.get("/n").json == {"list": ["before", "in"]}


def test_cancelled_while_it_asks_for_the_lock(client: Callable[..., Any]) -> None:
    class Slow(MemoryStore):
        does_io = True
        is_async = True

        async def load_async(self, key: str) -> Any:
            return self.load(key)

        async def lock_async(self, key: str, token: str, seconds: float) -> bool:
            answer = self.lock(key, token, seconds)
            await anyio.sleep(10)  # it is locked, and the answer is on its way
            return answer

        async def unlock_async(self, key: str, token: str) -> None:
            await anyio.sleep(0)
            self.unlock(key, token)

        async def write_async(self, change: Any) -> bool:
            return self.write(change)

        async def close_async(self) -> None:
            pass

    app = duoflask.Flask("a")
    store = app.config["SESSION_STORE"] = Slow()
    store.write(Change(store_key("A" * 43), time.time() + 60, {"n": "1"}, create=True))

    async def main() -> None:
        scope = {"headers": {"Cookie": "session=" + "A" * 43}}
        async with app.test_request_context(**scope):
            session._awaits_store = True
            with anyio.move_on_after(0.05) as waited:
                async with session.lock():
                    pass
            assert waited.cancelled_caught

    anyio.run(main)
    assert store.lock(store_key("A" * 43), "next", 1)


def test_lock_that_cannot_be_given_back_leaves_what_was_written(client: Callable[..., Any]) -> None:
    class Failing(MemoryStore):
        def unlock(self, key: str, token: str) -> None:
            raise self._unavailable(OSError("gone"))

    app = duoflask.Flask("a")
    store = app.config["SESSION_STORE"] = Failing()
    store.write(Change(store_key("A" * 43), time.time() + 60, {"n": "1"}, create=True))

    @app.route("/")
    def view() -> str:
        with session.lock():
            session["n"] += 1
        return str(session["n"])

    browser = client(app)
    browser.set_cookie("session", "A" * 43)
    assert browser.get("/").text == "2"
    assert store.load(store_key("A" * 43)).values == {"n": "2"}


def test_cancelled_block_is_unlocked(make: Callable[..., Any], tmp_path: Any) -> None:
    app = duoflask.Flask("a")
    app.config["SESSION_STORE"] = f"sqlite:{tmp_path / 's.db'}"
    browser = app.test_client()

    @app.route("/start")
    def start() -> str:
        session["n"] = 0
        return ""

    browser.get("/start")
    key = store_key(browser.get_cookie("session").value)
    store = app.session_interface.store

    async def main() -> None:
        headers = {"Cookie": f"session={browser.get_cookie('session').value}"}
        async with app.test_request_context(headers=headers):
            with anyio.move_on_after(0.05):
                async with session.lock():
                    session["n"] = 5
                    await anyio.sleep(10)
            assert session["n"] == 0

    anyio.run(main)
    assert store.lock(key, "next", 1)
    with pytest.raises(StoreUnavailable), app.test_request_context(), session.lock():
        raise StoreUnavailable
    store.close()
