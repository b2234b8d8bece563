"""The portal: one loop in one thread per process, which outlives what its tasks raise; and how it is waited for."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import duoflask
from duoflask import DuoFlask
from duoflask.bridge import current_portal, portal

SOURCE = str(Path(duoflask.__file__).parents[1])


def run(script: str, *options: str) -> str:
    """Run a script in a process of its own, where warnings are errors, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", script],
        capture_output=True,
        text=True,
        timeout=50,
        env={"PYTHONPATH": SOURCE, "PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_portal_is_started_once_whatever_the_concurrency():
    script = """
import threading
from concurrent.futures import ThreadPoolExecutor
from duoflask.bridge import current_portal, portal
assert current_portal() is None
together = threading.Barrier(20)
def get(_):
    together.wait(20)
    return portal()
with ThreadPoolExecutor(20) as pool:
    portals = set(pool.map(get, range(20)))
assert portals == {current_portal()}
print(sum(thread.name == "duoflask-portal" for thread in threading.enumerate()))
"""
    assert run(script) == "1\n"


def test_requests_without_async_functions_start_no_portal_and_no_thread():
    script = """
import threading
from duoflask import DuoFlask
from duoflask.bridge import current_portal
from duoflask.testing import create_environ
app = DuoFlask("x")
app.before_request(lambda: None)
app.teardown_request(lambda error: None)
app.add_url_rule("/", "view", lambda: (part for part in ["a", "b"]))
body = app(create_environ("/"), lambda status, headers: None)
assert b"".join(body) == b"ab"
body.close()
print(current_portal(), threading.active_count())
"""
    assert run(script) == "None 1\n"


def test_forked_child_starts_a_portal_of_its_own():
    script = """
import os
from duoflask import DuoFlask
from duoflask.bridge import current_portal
from duoflask.testing import create_environ
app = DuoFlask("x")
starts = []
@app.before_serving
async def up():
    starts.append(os.getpid())
@app.route("/")
async def view():
    return f"{len(starts)} {starts[-1] == os.getpid()}"
def get():
    return b"".join(app(create_environ("/"), lambda status, headers: None)).decode()
assert get() == "1 True"
parents = current_portal()
child = os.fork()
if not child:
    assert current_portal() is None
    answer = get()
    os._exit(0 if answer == "2 True" and current_portal() is not parents else 1)
_, status = os.waitpid(child, 0)
assert status == 0, status
assert current_portal() is parents
print(get())
"""
    assert run(script, "-W", "ignore:This process:DeprecationWarning") == "1 True\n"


def test_fork_while_another_thread_starts_the_portal_leaves_no_lock_behind():
    script = """
import os
from duoflask.bridge import portal
from duoflask.bridge import portal as _
import duoflask.bridge.portal
module = __import__("sys").modules["duoflask.bridge.portal"]
module._starting.acquire()  # as the other thread would hold it
child = os.fork()
if not child:
    portal()
    os._exit(0)
_, status = os.waitpid(child, 0)
print(status)
"""
    assert run(script, "-W", "ignore:This process:DeprecationWarning") == "0\n"


@contextmanager
def alarm_raises(error: type[BaseException]) -> Iterator[None]:
    """SIGUSR1 raises an error in the main thread, as a server's worker time-out or Ctrl-C does."""

    def handler(number: int, frame: Any) -> None:
        raise error("signal")

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, previous)


class TimeOut(BaseException):
    """What a server's signal handler raises."""


@pytest.mark.parametrize("attempt", range(10))  # the signal reaches the waiting thread at another moment each time
@pytest.mark.parametrize("error", [TimeOut, KeyboardInterrupt, SystemExit, LookupError])
def test_signal_while_the_portal_works_cancels_the_request_and_is_raised(wsgi_call, error, attempt):
    app = DuoFlask(__name__)
    calls: list[Any] = []
    app.teardown_request(lambda exc: calls.append(("def", type(exc), threading.current_thread().name)))

    @app.teardown_request
    async def on_loop(exc):
        await asyncio.sleep(0)
        calls.append(("async def", type(exc)))

    @app.route("/")
    async def view():
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.Event().wait()

    with alarm_raises(error), pytest.raises(error, match="signal"):
        wsgi_call(app)
    assert calls == [
        ("async def", asyncio.CancelledError),
        ("def", asyncio.CancelledError, threading.current_thread().name),
    ]


@pytest.mark.parametrize("attempt", range(10))
def test_second_signal_while_teardown_runs_does_not_stop_it(wsgi_call, attempt):
    app = DuoFlask(__name__)
    calls: list[str] = []

    @app.teardown_request
    async def last(exc):
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(3):
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                calls.append("interrupted")
        calls.append("ended")

    @app.route("/")
    async def view():
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.Event().wait()

    with alarm_raises(TimeOut), pytest.raises(TimeOut):
        wsgi_call(app)
    assert calls[-1] == "ended"


def test_signal_in_a_def_view_tears_down(wsgi_call):
    app = DuoFlask(__name__)
    calls: list[Any] = []

    @app.before_request
    async def hook():
        await asyncio.sleep(0)

    @app.teardown_request
    async def last(exc):
        await asyncio.sleep(0)
        calls.append(type(exc))

    @app.route("/")
    def view():
        os.kill(os.getpid(), signal.SIGUSR1)
        return "never"

    with alarm_raises(TimeOut), pytest.raises(TimeOut):
        wsgi_call(app)
    assert calls == [TimeOut]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_portal_survives_what_a_view_raises(wsgi_call, error):
    app = DuoFlask(__name__)

    @app.route("/fail")
    async def fail():
        raise error

    @app.route("/")
    async def view():
        await asyncio.sleep(0)
        return threading.current_thread().name

    assert wsgi_call(app).read() == "duoflask-portal"
    before = portal()
    with pytest.raises(error):
        wsgi_call(app, "/fail")
    assert wsgi_call(app).read() == "duoflask-portal"
    assert current_portal() is before


def test_views_of_several_threads_wait_on_the_portal_at_the_same_time(wsgi_call):
    app = DuoFlask(__name__)
    inside = 0
    all_inside: list[asyncio.Event] = []

    @app.route("/")
    async def view():
        nonlocal inside
        if not all_inside:
            all_inside.append(asyncio.Event())
        inside += 1
        if inside == 10:
            all_inside[0].set()
        await asyncio.wait_for(all_inside[0].wait(), 10)
        return "ok"

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(lambda _: wsgi_call(app).read(), range(10))) == ["ok"] * 10


def test_exception_of_the_portal_shows_where_it_was_raised(wsgi_call):
    app = DuoFlask(__name__)
    app.testing = True

    async def culprit():
        await asyncio.sleep(0)
        raise KeyError("culprit")

    @app.route("/")
    async def view():
        await culprit()

    with pytest.raises(KeyError) as caught:
        wsgi_call(app)
    assert "culprit" in [entry.name for entry in caught.traceback]


def test_dropped_body_that_nobody_closes_leaves_no_task_for_ever(wsgi_call):
    app = DuoFlask(__name__)
    calls: list[str] = []
    app.teardown_request(lambda exc: calls.append("teardown"))
    app.add_url_rule("/", "view", lambda: (part for part in ["a", "b"]))
    call = wsgi_call(app)
    next(iter(call.body))
    del call
    assert calls == ["teardown"]
