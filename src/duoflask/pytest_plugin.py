"""Fixtures for the tests of applications, which pytest finds by itself: `client` and `async_client`.

A project gives a fixture `app`; every test that takes `client` then runs under WSGI and under ASGI. There is none here:
it would hide that of another plug-in. Knows the app as what makes test clients. A fixture of the same name in a
`conftest.py` goes before these.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from typing import Any, Final

import pytest

__all__ = ["async_client", "client", "pytest_runtest_makereport"]

_NO_APP: Final = """fixture 'app' not found: duoflask's fixtures 'client' and 'async_client' make a client of it.
 Write in conftest.py:

     import pytest

     @pytest.fixture
     def app():
         from hello import app  # the module of your application, or return create_app({"TESTING": True})
         return app"""


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> None:
    """Say what to write where a test takes a fixture from here and the project has no fixture `app`."""
    error = call.excinfo.value if call.excinfo is not None else None
    if not isinstance(error, pytest.FixtureLookupError) or error.argname != "app" or error.msg is not None:
        return
    if any(fixture.func.__module__ == __name__ for fixture in error.fixturestack):
        error.msg = _NO_APP


def _async_fixture() -> Callable[[Any], Any]:
    """What makes a fixture of an `async def` function: pytest-asyncio's; without it, AnyIO's plug-in takes it."""
    try:
        return importlib.import_module("pytest_asyncio").fixture  # type: ignore[no-any-return]
    except ImportError:
        return pytest.fixture


@pytest.fixture(params=["wsgi", "asgi"])
def client(request: pytest.FixtureRequest, app: Any) -> Iterator[Any]:
    """A test client of the fixture `app`: each test that takes it runs under WSGI, then under ASGI."""
    with closing(app.test_client(protocol=request.param)) as made:
        yield made


@_async_fixture()
async def async_client(app: Any) -> AsyncIterator[Any]:
    """A test client of the fixture `app` whose requests are awaited on the test's loop, between start-up and shutdown.

    For `async def` tests, with pytest-asyncio or AnyIO's plug-in.
    """
    async with app.async_test_client() as made:
        yield made
