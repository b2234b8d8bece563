"""Fixtures for tests of an app: the client under both protocols, and the two fake servers below it."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from hypothesis import settings

from duoflask.bridge import current_portal
from duoflask.ctx import _cv_app
from duoflask.testing import create_environ

# `make fuzz`: many more draws, and as many for the tests that count cases of their own
# (test_against_werkzeug.py in tests/http and in tests/routing).
settings.register_profile("fuzz", max_examples=20_000, deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    """Tell the tests that draw several cases an example how many are wanted."""
    if config.getoption("--hypothesis-profile", None) == "fuzz":
        os.environ.setdefault("DUOFLASK_FUZZ", "100000")


# The machine is shared, and a run with one failure lands nothing. What talks to real servers, and what measures, is
# asked again before it counts as a failure; whatever is logic alone fails at once. The summary shows each rerun and
# why it was one, and `--max-suite-reruns` ends them where something is broken.
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Allow two reruns to what is marked with `measures`, and one to what is marked with `e2e`."""
    if config.getoption("usepdb"):
        return  # with --pdb the plugin refuses what has reruns
    for item in items:
        if item.get_closest_marker("measures") is not None:
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))
        elif item.get_closest_marker("e2e") is not None:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=1))


_TIMEOUT = pytest.StashKey[Any]()


def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> None:
    """Keep what the time-out of this test is; pytest-timeout itself sets the timer."""
    item.stash[_TIMEOUT] = settings


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin a rerun anew, with a time-out of its own: pytest-timeout sets one for all runs, and a failure ends it."""
    if getattr(item, "execution_count", 1) == 1:
        return
    if _TIMEOUT in item.stash:
        item.ihook.pytest_timeout_cancel_timer(item=item)
        item.ihook.pytest_timeout_set_timer(item=item, settings=item.stash[_TIMEOUT])
    # What the failed run left open would otherwise be a ResourceWarning, and so a failure, of any later test.
    told, sys.unraisablehook = sys.unraisablehook, lambda unraisable: None
    sys.last_value = sys.last_traceback = sys.last_exc = None  # they keep its frames
    gc.collect()
    sys.unraisablehook = told


@pytest.fixture(params=["wsgi", "asgi"])
def protocol(request: pytest.FixtureRequest) -> str:
    """The protocol of the fixture `client`."""
    return request.param


@pytest.fixture
def client(protocol: str) -> Iterator[Callable[..., Any]]:
    """Make a test client: `client(app)`. At the end it is closed, and nothing of its requests may be left."""
    yield from _clients(protocol=protocol)


@pytest.fixture(params=["wsgi-asyncio", "asgi-asyncio", "asgi-trio"])
def loop_client(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Make a test client as `client` does, under ASGI on each loop."""
    protocol, backend = request.param.split("-")
    yield from _clients(protocol=protocol, backend=backend)


def _clients(**options: str) -> Iterator[Callable[..., Any]]:
    opened: list[Any] = []

    def make(app: Any, **kwargs: Any) -> Any:
        made = app.test_client(**{**options, **kwargs})
        opened.append(made)
        return made

    yield make
    for made in opened:
        made.close()
    _require_nothing_left()


def _require_nothing_left() -> None:
    context = _cv_app.get(None)
    _cv_app.set(None)  # type: ignore[arg-type] - a failure must not become the next test's
    assert context is None, f"the request left its context behind: {context!r}"
    loops = [thread.name for thread in threading.enumerate() if thread.name == "duoflask-test-client"]
    assert not loops, "a test client's loop is still running"
    home = current_portal()
    if home is None:
        return
    for _ in range(3):  # a task that has just ended is forgotten by a callback of its own
        turned = threading.Event()
        home.post(turned.set)
        assert turned.wait(20), "the portal's loop is blocked"
    left, home._tasks = home._tasks, set()  # a failure must not become the next test's here either
    for task in left:
        home.post(task.cancel)
    assert not left, f"tasks are left on the portal: {left}"


class Channel:
    """A fake ASGI server's side of one http request.

    Args:
        path: The path.
        query: The query string.
        method: The method.
        body: The request's body; it arrives in one message.
        on_send: Awaited with each message that the app sends, before it counts as sent.
    """

    def __init__(
        self,
        path: str = "/",
        query: bytes = b"",
        *,
        method: str = "GET",
        body: bytes = b"",
        on_send: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        headers = [(b"host", b"localhost")]
        if body:
            headers.append((b"content-length", str(len(body)).encode()))
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1234),
            "server": ("localhost", 80),
        }
        self.sent: list[dict[str, Any]] = []
        self._body: bytes | None = body
        self._on_send = on_send
        self._gone = anyio.Event()

    async def receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if self._on_send is not None:
            await self._on_send(message)
        self.sent.append(message)

    def disconnect(self) -> None:
        """Have the client go away."""
        self._gone.set()

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def text(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent[1:]).decode()

    async def serve(self, app: Any) -> None:
        """Call the app, as a server does."""
        await app(self.scope, self.receive, self.send)


@pytest.fixture
def channel() -> type[Channel]:
    """The fake ASGI channel's class."""
    return Channel


class WSGICall:
    """A fake WSGI server's side of one request, up to the moment it has the body's iterable."""

    def __init__(self, app: Any, path: str = "/", **kwargs: Any) -> None:
        self.status = ""
        self.body = app(create_environ(path, **kwargs), self._start_response)

    def _start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        self.status = status

    def close(self) -> None:
        """What a server does when it has sent the body or given it up."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()

    def read(self) -> str:
        """Read the body and close it."""
        try:
            return b"".join(self.body).decode()
        finally:
            self.close()


@pytest.fixture
def wsgi_call() -> type[WSGICall]:
    """The fake WSGI server's class."""
    return WSGICall


@pytest.fixture(autouse=True)
def process_is_as_before() -> Iterator[None]:
    """Undo what tests leave in the process: apps' loggers that were quietened, the command line's mark."""
    yield
    os.environ.pop("FLASK_RUN_FROM_CLI", None)
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
