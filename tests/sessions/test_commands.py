"""`duoflask sessions`: list, count, sweep and revoke."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

import duoflask
from duoflask.app_loading import ScriptInfo
from duoflask.cli import cli
from duoflask.sessions import Change, SessionInterface, Store, store_key

A, B, C = (store_key(name) for name in "abc")


@pytest.fixture(params=["files", "sqlite", "redis"])
def app(request: pytest.FixtureRequest, make: Callable[..., Any]) -> Any:
    app = duoflask.Flask("a")
    app.config["SESSION_STORE"] = make(request.param)
    store = app.session_interface.store
    now = time.time()
    for key, seconds in ((A, 100), (B, 200), (C, 0.05)):
        store.write(Change(key, now + seconds, {"n": "1"}, create=True))
    time.sleep(0.1)
    yield app
    store.close()


def run(app: Any, *args: str) -> Any:
    from click.testing import CliRunner

    return CliRunner().invoke(cli, ["sessions", *args], obj=ScriptInfo(create_app=lambda: app))


def test_count_and_list(app: Any) -> None:
    assert run(app, "count").output == "2\n"
    lines = sorted(run(app, "list").output.splitlines())
    assert [line[:16] for line in lines] == sorted([A[:16], B[:16]])
    assert all(line.endswith(" UTC") for line in lines)
    assert run(app, "list", "--limit", "1").output.splitlines()[1:] == ["(and more; --limit 1)"]


def test_sweep(app: Any) -> None:
    expected = "0" if "redis" in app.session_interface.store.name else "1"
    assert run(app, "sweep").output == f"{expected} deleted\n"
    assert run(app, "sweep").output == "0 deleted\n"
    assert run(app, "count").output == "2\n"


def test_revoke(app: Any) -> None:
    assert run(app, "revoke", A[:16]).output == "1 revoked\n"
    assert [line[:16] for line in run(app, "list").output.splitlines()] == [B[:16]]
    assert run(app, "revoke", A[:16], "0" * 8).output == "0 revoked\n"
    assert run(app, "revoke", "--all").output == "1 revoked\n"
    assert run(app, "count").output == "0\n"


@pytest.mark.parametrize("args", [(), ("--all", A[:16]), ("",), (A[:7],)])
def test_revoke_says_what_it_needs(app: Any, args: tuple[str, ...]) -> None:
    result = run(app, "revoke", *args)
    assert result.exit_code == 2
    assert "expected" in result.output
    assert run(app, "count").output == "2\n"


@pytest.mark.parametrize("command", ["list", "count", "sweep"])
def test_signed_cookies_have_no_store(command: str) -> None:
    result = run(duoflask.Flask("a"), command)
    assert result.exit_code == 2
    assert "SESSION_STORE" in result.output


@pytest.mark.parametrize("args", [("list",), ("count",), ("sweep",), ("revoke", "--all")])
def test_memory_of_another_process_is_not_looked_at(args: tuple[str, ...]) -> None:
    app = duoflask.Flask("a")
    app.config["SESSION_STORE"] = "memory"
    result = run(app, *args)
    assert result.exit_code == 2
    assert "in the memory of the process that serves it" in " ".join(result.output.split())


class Lost(Store):
    name = "lost"

    def records(self) -> Any:
        raise self._unavailable(OSError("no route")) from OSError("no route")

    def sweep(self) -> int:
        raise self._unavailable(OSError("no route")) from OSError("no route")


@pytest.mark.parametrize("args", [("list",), ("count",), ("sweep",), ("revoke", "--all")])
def test_failing_stores_end_a_command_in_one_line(args: tuple[str, ...]) -> None:
    app = duoflask.Flask("a")
    app.config["SESSION_STORE"] = Lost()
    result = run(app, *args)
    assert (result.exit_code, result.output) == (1, "Error: the session store lost is unavailable: no route\n")


@pytest.mark.parametrize("args", [("list",), ("count",), ("revoke", "--all")])
def test_caches_cannot_be_listed(args: tuple[str, ...]) -> None:
    app = duoflask.Flask("a")
    app.config["SESSION_STORE"] = pytest.importorskip("cachelib").SimpleCache()
    result = run(app, *args)
    assert result.exit_code == 2
    assert "CacheStore cannot list its sessions" in result.output


def test_an_interface_of_ones_own_is_named() -> None:
    class Own(SessionInterface):
        pass

    app = duoflask.Flask("a")
    app.session_interface = Own()
    assert "kept by its own Own" in run(app, "list").output
