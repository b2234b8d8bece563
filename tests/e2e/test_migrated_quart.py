"""A project of Quart's, migrated by `duoflask migrate --write`, under real servers of both protocols."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from duoflask.migrate import migrate_command

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.e2e

PROJECT = Path(__file__).parents[1] / "migrate" / "quart_chat"
WAIT_SECONDS = 20


def _state(server: Server) -> Any:
    return json.loads(server.get("/state")[1])


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def _login(server: Server, user: str) -> str:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS)
    fields = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login", f"user={user}", fields)
    response = connection.getresponse()
    assert (response.status, response.read() != b"") == (302, True)
    connection.close()
    return (response.getheader("Set-Cookie") or "").partition(";")[0]


@pytest.mark.parametrize(
    "project_server", ["uvicorn", "gunicorn-gthread", "gunicorn-gevent", "duoflask-run"], indirect=True
)
def test_migrated_chat(project_server: Callable[[Path], Server], tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"))
    result = CliRunner().invoke(migrate_command, ["--write", str(folder)])
    assert result.exit_code == 0, result.output
    server = project_server(folder)

    def join(path: str, cookie: str = "") -> Any:
        fields = {"Cookie": cookie} if cookie else {}
        url = f"ws://127.0.0.1:{server.port}{path}"
        return connect(url, additional_headers=fields, open_timeout=WAIT_SECONDS)

    assert server.get("/")[1].split() == [b"nobody", b"1"]
    with pytest.raises(InvalidStatus) as refused:
        join("/room/chat")
    assert refused.value.response.status_code == 401
    ada, bob = _login(server, "ada"), _login(server, "bob")
    with join("/room/chat", ada) as first, join("/room/chat", bob) as second:
        first.send("hi")  # this and the next receive have seen the view begin
        assert first.recv(WAIT_SECONDS) == "ada: hi"
        second.send("hello")
        assert first.recv(WAIT_SECONDS) == "bob: hello"
        while second.recv(WAIT_SECONDS) != "bob: hello":
            pass
        assert _state(server)["listeners"] == 2
    _until(lambda: _state(server)["listeners"] == 0)
    with join("/room/echo", ada) as echo:
        echo.send("[1]")
        assert json.loads(echo.recv(WAIT_SECONDS)) == {"from": "ada", "data": [1], "path": "/room/echo"}
    connection = server.connect()
    connection.request("POST", "/mail", '{"to": "eve"}', {"Content-Type": "application/json"})
    assert connection.getresponse().status == 202
    connection.close()
    _until(lambda: _state(server)["log"] == ["start", "mail to eve"])
    server.terminate()
    assert "Traceback" not in server.log()
