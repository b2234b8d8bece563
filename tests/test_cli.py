from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from duoflask import cli as cli_module
from duoflask.cli import AppGroup, FlaskGroup, cli, load_dotenv


class App:
    """What the command line takes for an application."""

    wsgi_app = asgi_app = None
    debug = False

    def __init__(self, name: str = "app") -> None:
        self.name = name


SOURCE = """
class App:
    wsgi_app = asgi_app = None
    debug = False
    def __init__(self, name="app"): self.name = name
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith(("DUOFLASK_", "FLASK_")):
            monkeypatch.delenv(name)
    for name in ("DUOFLASK_DEBUG", "FLASK_DEBUG", "DUOFLASK_RUN_FROM_CLI", "FLASK_RUN_FROM_CLI", "FROM_FILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    (tmp_path / "hello.py").write_text(SOURCE + "app = App('hello')\nother = App('other')")
    calls: list[Any] = []

    def run(app: Any, *args: Any, **kwargs: Any) -> None:
        calls.append((app.name, app.debug, *args, kwargs))

    monkeypatch.setattr(cli_module, "run_server", run)
    return calls


DEFAULTS = {"uds": None, "interface": "asgi", "loop": "asyncio"}


def test_run_serves_the_application(served: list[Any]) -> None:
    result = CliRunner().invoke(cli, ["--app", "hello", "run"])
    assert (result.exit_code, served) == (0, [("hello", False, "127.0.0.1", 5000, DEFAULTS)])


def test_run_takes_its_options(served: list[Any]) -> None:
    args = [
        "-A",
        "hello:other",
        "--debug",
        "run",
        "-h",
        "::1",
        "-p",
        "0",
        "--interface",
        "wsgi",
        "--loop",
        "trio",
    ]
    assert CliRunner().invoke(cli, args).exit_code == 0
    assert served == [("other", True, "::1", 0, {"uds": None, "interface": "wsgi", "loop": "trio"})]
    assert CliRunner().invoke(cli, ["-A", "hello", "run", "--debug", "--uds", "x"]).exit_code == 0
    assert served[1] == ("hello", True, "127.0.0.1", 5000, {**DEFAULTS, "uds": "x"})


@pytest.mark.parametrize("prefix", ["DUOFLASK", "FLASK"])
def test_environment_is_read(prefix: str, served: list[Any]) -> None:
    env = {f"{prefix}_APP": "hello:other", f"{prefix}_RUN_PORT": "81", f"{prefix}_DEBUG": "1"}
    assert CliRunner().invoke(cli, ["run"], env=env).exit_code == 0
    assert served == [("other", True, "127.0.0.1", 81, DEFAULTS)]


def test_own_variables_come_before_those_of_flask(served: list[Any]) -> None:
    env = {"DUOFLASK_APP": "hello:other", "FLASK_APP": "nothing", "DUOFLASK_RUN_INTERFACE": "wsgi"}
    assert CliRunner().invoke(cli, ["run"], env=env).exit_code == 0
    assert (served[0][0], served[0][-1]["interface"]) == ("other", "wsgi")


def test_env_file_is_read(served: list[Any], tmp_path: Path) -> None:
    (tmp_path / ".flaskenv").write_text("FLASK_APP=nothing\n")
    (tmp_path / "mine").write_text("FLASK_APP=hello:other\nFROM_FILE=1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASK_APP", "")
        patch.delenv("FLASK_APP")
        assert CliRunner().invoke(cli, ["-e", "mine", "run"]).exit_code == 0
        assert served[0][0] == "other"
        assert load_dotenv(load_defaults=False) is False


def test_address_in_use_is_a_short_error(monkeypatch: pytest.MonkeyPatch, served: list[Any]) -> None:
    def run(*args: Any, **kwargs: Any) -> None:
        raise OSError(98, "cannot listen on 127.0.0.1:5000: Address already in use")

    monkeypatch.setattr(cli_module, "run_server", run)
    result = CliRunner().invoke(cli, ["-A", "hello", "run"])
    assert (result.exit_code, result.output) == (
        1,
        "Error: cannot listen on 127.0.0.1:5000: Address already in use\n",
    )


def test_run_without_an_application_says_what_to_write() -> None:
    result = CliRunner().invoke(cli, ["run"])
    assert result.exit_code == 2
    assert "Could not find an application" in result.output


def test_help_lists_commands_even_without_an_application() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    assert "run" in result.output
    assert "Could not find an application" in result.output


def test_version_is_shown() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    assert result.output.startswith(f"Python {sys.version_info[0]}.")
    assert "duoflask " in result.output


def test_commands_of_the_application_are_found() -> None:
    class WithCommands(App):
        cli = AppGroup("app")

        def app_context(self) -> Any:
            return click.get_current_context().scope(cleanup=False)

    @WithCommands.cli.command("greet", with_appcontext=False)
    @click.argument("name")
    def greet(name: str) -> None:
        click.echo(f"hello {name}")

    group = FlaskGroup(create_app=WithCommands)
    assert CliRunner().invoke(group, ["greet", "x"]).output == "hello x\n"
    assert "greet" in CliRunner().invoke(group, ["--help"]).output


@pytest.mark.parametrize("wanted", ["duoflask.commands", "flask.commands"])
def test_plugins_are_found(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        name = "plugin"

        def load(self) -> click.Command:
            return click.Command("plugin", callback=lambda: click.echo("plugged"))

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Entry()] if group == wanted else [])
    assert CliRunner().invoke(FlaskGroup(create_app=App), ["plugin"]).output == "plugged\n"
