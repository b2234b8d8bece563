from __future__ import annotations

import importlib.metadata
import os
import ssl
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import duoflask
from duoflask import cli as cli_module, cli_run
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
    for name in ("DUOFLASK_DEBUG", "FLASK_DEBUG", "FLASK_RUN_FROM_CLI", "FROM_FILE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name in ("app", "hello", "wsgi"):  # somebody else's test may have left one
        monkeypatch.delitem(sys.modules, name, raising=False)
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

    def run(load: Any, *args: Any, **kwargs: Any) -> None:
        app = load()
        kept = {name: value for name, value in kwargs.items() if name in ("uds", *DEFAULTS)}
        modes.append({name: value for name, value in kwargs.items() if name not in DEFAULTS})
        calls.append((app.name, app.debug, *args, kept))

    monkeypatch.setattr(cli_run, "run_development", run)
    return calls


DEFAULTS = {"interface": "asgi", "loop": "asyncio"}
modes: list[dict[str, Any]] = []  # the other options of each call


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
    assert served == [("other", True, "::1", 0, {"interface": "wsgi", "loop": "trio"})]
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


def test_debug_mode_turns_on_reloader_and_error_page(served: list[Any]) -> None:
    for args, reload, debugger in (
        (["run"], False, False),
        (["run", "--debug"], True, True),
        (["run", "--debug", "--no-reload"], False, True),
        (["run", "--debug", "--no-debugger", "--no-live-reload"], True, False),
        (["run", "--reload", "--debugger"], True, True),
    ):
        with pytest.MonkeyPatch.context() as patch:
            for name in ("DUOFLASK_DEBUG", "FLASK_DEBUG"):
                patch.delenv(name, raising=False)
            assert CliRunner().invoke(cli, ["-A", "hello", *args]).exit_code == 0
        mode = modes[-1]
        assert (mode["use_reloader"], mode["use_debugger"]) == (reload, debugger)
        assert mode.get("live_reload") is (False if "--no-live-reload" in args else None)
        assert mode["import_path"] == "hello"


def test_files_and_patterns_are_lists(served: list[Any], tmp_path: Path) -> None:
    args = ["-A", "hello", "run", "--extra-files", f"hello.py{os.pathsep}.", "--exclude-patterns", "*.txt"]
    assert CliRunner().invoke(cli, args).exit_code == 0
    assert modes[-1]["extra_files"] == ["hello.py", "."]
    assert modes[-1]["exclude_patterns"] == ["*.txt"]


def test_certificate_and_key_come_together(served: list[Any], tmp_path: Path) -> None:
    (tmp_path / "a.crt").touch()
    (tmp_path / "a.key").touch()
    run = ["-A", "hello", "run"]
    assert CliRunner().invoke(cli, [*run, "--cert", "a.crt", "--key", "a.key"]).exit_code == 0
    assert modes[-1]["ssl_context"] == (str(tmp_path / "a.crt"), str(tmp_path / "a.key"))
    assert CliRunner().invoke(cli, [*run, "--cert", "adhoc"]).exit_code == 0
    assert modes[-1]["ssl_context"] == "adhoc"
    for wrong, message in (
        (["--cert", "a.crt"], "add --key"),
        (["--key", "a.key"], "add --cert"),
        (["--cert", "adhoc", "--key", "a.key"], "leave --key out"),
    ):
        result = CliRunner().invoke(cli, [*run, *wrong])
        assert result.exit_code == 2
        assert message in result.output


def test_env_file_is_read(served: list[Any], tmp_path: Path) -> None:
    (tmp_path / ".flaskenv").write_text("FLASK_APP=nothing\n")
    (tmp_path / "mine").write_text("FLASK_APP=hello:other\nFROM_FILE=1\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASK_APP", "")
        patch.delenv("FLASK_APP")
        assert CliRunner().invoke(cli, ["-e", "mine", "run"]).exit_code == 0
        assert served[0][0] == "other"
        assert load_dotenv(load_defaults=False) is False


@pytest.mark.parametrize("prefix", ["DUOFLASK", "FLASK"])
@pytest.mark.parametrize(("value", "name"), [("1", "hello"), ("true", "hello"), ("0", "other"), ("false", "other")])
def test_env_files_can_be_skipped(prefix: str, value: str, name: str, served: list[Any], tmp_path: Path) -> None:
    (tmp_path / ".flaskenv").write_text("FLASK_APP=hello:other\n")
    (tmp_path / "app.py").write_text("from hello import app")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLASK_APP", "")
        patch.delenv("FLASK_APP")
        assert CliRunner().invoke(cli, ["run"], env={f"{prefix}_SKIP_DOTENV": value}).exit_code == 0
    assert served[0][0] == name


def test_named_env_file_is_read_alone_where_the_usual_ones_are_not_wanted(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FROM_FILE=usual\n")
    (tmp_path / "mine").write_text("OTHER=1\n")
    group = FlaskGroup(create_app=App, load_dotenv=False)
    group.add_command(click.Command("show", callback=lambda: click.echo(os.environ.get("FROM_FILE", "nothing"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTHER", "")
        patch.delenv("OTHER")
        assert CliRunner().invoke(group, ["-e", "mine", "show"]).output == "nothing\n"


def test_address_in_use_is_a_short_error(monkeypatch: pytest.MonkeyPatch, served: list[Any]) -> None:
    def run(*args: Any, **kwargs: Any) -> None:
        raise OSError(98, "cannot listen on 127.0.0.1:5000: Address already in use")

    monkeypatch.setattr(cli_run, "run_development", run)
    result = CliRunner().invoke(cli, ["-A", "hello", "run"])
    assert result.exit_code == 1
    assert result.stderr == "Error: cannot listen on 127.0.0.1:5000: Address already in use\n"


def test_run_without_an_application_says_what_to_write() -> None:
    result = CliRunner().invoke(cli, ["run"])
    assert result.exit_code == 2
    assert "Could not find an application" in result.output


def test_help_lists_commands_even_without_an_application() -> None:
    result = CliRunner().invoke(cli, ["--help"])
    assert result.exit_code == 0
    assert "run" in result.stdout
    assert "Error" not in result.stderr  # nothing was named, and nothing is wrong
    assert "FLASK_APP" in result.stderr


def test_help_says_that_a_named_application_cannot_be_loaded() -> None:
    result = CliRunner().invoke(cli, ["--app", "missing_one", "--help"])
    assert result.exit_code == 0
    assert result.stderr.startswith("Error: Could not import 'missing_one'")


def test_unknown_command_says_that_there_is_no_application() -> None:
    result = CliRunner().invoke(cli, ["missing"])
    assert result.exit_code == 2
    assert "Error: Could not find an application" in result.stderr


@pytest.mark.parametrize("port", ["80000", "-1"])
def test_port_that_no_socket_has_is_refused(port: str, served: list[Any]) -> None:
    result = CliRunner().invoke(cli, ["-A", "hello", "run", "-p", port])
    assert (result.exit_code, served) == (2, [])
    assert f"{port} is not in the range" in result.stderr


@pytest.mark.parametrize("loop", ["trio", "uvloop"])
def test_loop_that_is_not_installed_is_an_error_that_says_what_to_install(
    loop: str, served: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_run.importlib.util, "find_spec", lambda name: None)
    result = CliRunner().invoke(cli, ["-A", "hello", "run", "--loop", loop])
    assert (result.exit_code, served) == (2, [])
    assert f"the package {loop} is not installed: pip install {loop}" in result.stderr
    assert CliRunner().invoke(cli, ["-A", "hello", "run", "--loop", "asyncio"]).exit_code == 0


def test_application_in_the_place_of_an_argument_is_an_error_that_says_where_it_goes(served: list[Any]) -> None:
    result = CliRunner().invoke(cli, ["run", "hello", "--debug"])
    assert (result.exit_code, served) == (2, [])
    assert "Got unexpected extra argument (hello)" in result.stderr
    assert "'duoflask --app hello run'" in result.stderr
    result = CliRunner().invoke(cli, ["-A", "hello", "run", "x", "y"])
    assert "Got unexpected extra arguments (x y)" in result.stderr


def test_version_is_shown() -> None:
    result = CliRunner().invoke(cli, ["--version"])
    assert result.output.startswith(f"Python {sys.version_info[0]}.")
    assert "duoflask " in result.output


def test_package_can_be_run() -> None:
    done = subprocess.run([sys.executable, "-m", "duoflask", "--version"], capture_output=True, text=True, check=True)
    assert "duoflask " in done.stdout and done.stderr == ""


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


class Plugin:
    """What `importlib.metadata` finds of a plug-in."""

    name = "plugin"
    value = "package:plugin"

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    def load(self) -> click.Command:
        if self.error is not None:
            raise self.error
        return click.Command("plugin", callback=lambda: click.echo("plugged"))


def plug(monkeypatch: pytest.MonkeyPatch, group: str, plugin: Plugin) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group, _own=group: [plugin] if group == _own else [])


def test_plugins_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, "duoflask.commands", Plugin())
    assert CliRunner().invoke(FlaskGroup(create_app=App), ["plugin"]).output == "plugged\n"


@pytest.mark.parametrize("patched", [True, False])
def test_plugins_of_flask_are_loaded_where_duoflask_stands_in_for_it(
    patched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug(monkeypatch, "flask.commands", Plugin())
    if patched:
        monkeypatch.setitem(sys.modules, cli_module.FLASK_PATCH, types.ModuleType(cli_module.FLASK_PATCH))
    group = FlaskGroup(create_app=lambda: duoflask.Flask("app"))
    result = CliRunner().invoke(group, ["plugin"])
    assert (result.output == "plugged\n") is patched
    assert ("plugin" in CliRunner().invoke(group, ["--help"]).output) is patched


def test_plugin_that_cannot_be_loaded_is_named_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, "duoflask.commands", Plugin(ImportError("no module named x")))
    result = CliRunner().invoke(FlaskGroup(create_app=App), ["--help"])
    assert "the plug-in 'package:plugin' (duoflask.commands) is left out: no module named x" in result.output
    assert result.exit_code == 0


def routed() -> duoflask.Flask:
    app = duoflask.Flask("routed", static_folder=None)

    async def load_user() -> None:
        pass

    async def show(id: int) -> str:
        return str(id)

    app.before_request(lambda: None)
    app.before_request(load_user)
    app.after_request(lambda response: response)
    app.add_url_rule("/", "index", lambda: "")
    app.add_url_rule("/show/<int:id>", "show", show, methods=["GET", "POST"])
    return app


def test_routes_name_where_each_function_runs() -> None:
    result = routed().test_cli_runner().invoke(cli_module.routes_command)
    head, line, index, show = result.output.splitlines()
    assert head == "Endpoint  Methods    Rule            WSGI / ASGI"
    assert line.startswith("--------  ---------  --------------  ---")
    assert index.split("   ")[-1].strip() == (
        "1 before: inline / worker; 1 before: portal / loop; view, 1 after: inline / worker"
    )
    assert show.split("  ")[-1] == (
        "1 before: inline / worker; 1 before, view: portal / loop; 1 after: inline / worker"
    )


def test_routes_are_sorted_and_show_all_methods_if_asked() -> None:
    runner = routed().test_cli_runner()
    lines = runner.invoke(cli_module.routes_command, ["-s", "rule", "--all-methods"]).output.splitlines()[2:]
    assert [line.split("  ")[0] for line in lines] == ["index", "show"]
    assert "GET, HEAD, OPTIONS, POST" in lines[1]
    lines = runner.invoke(cli_module.routes_command, ["-s", "methods"]).output.splitlines()[2:]
    assert [line.split("  ")[0] for line in lines] == ["index", "show"]


def test_routes_of_an_app_without_rules() -> None:
    result = duoflask.Flask("app", static_folder=None).test_cli_runner().invoke(cli_module.routes_command)
    assert result.output == "No routes were registered.\n"


def test_routes_show_subdomains() -> None:
    app = duoflask.Flask("app", static_folder=None, subdomain_matching=True)
    app.add_url_rule("/", "index", lambda: "", subdomain="api")
    lines = app.test_cli_runner().invoke(cli_module.routes_command).output.splitlines()
    assert lines[0].split() == ["Endpoint", "Methods", "Subdomain", "Rule", "WSGI", "/", "ASGI"]
    assert lines[2].split()[2] == "api"


def test_shell_has_the_context_and_awaits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "startup.py").write_text("before = 1\n")
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "startup.py"))
    monkeypatch.delattr(sys, "__interactivehook__", raising=False)
    app = duoflask.Flask("shelled")
    app.shell_context_processor(lambda: {"answer": 42})
    typed = "print(before, answer, app.name)\nimport anyio\nprint(await anyio.sleep(0, ))\n1/0\n"
    result = app.test_cli_runner().invoke(cli_module.shell_command, input=typed)
    assert "App: shelled" in result.output
    assert "1 42 shelled" in result.output
    assert "None" in result.output
    assert "ZeroDivisionError" in result.output
    assert result.exit_code == 0


def test_certificates_and_path_lists_are_read(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.write_text("")
    cert = cli_module.CertParamType()
    assert cert.convert(str(file), None, None) == str(file)
    assert isinstance(cert.convert(f"{__name__}:CONTEXT", None, None), ssl.SSLContext)
    with pytest.raises(click.BadParameter, match="does not exist"):
        cert.convert("missing.pem", None, None)
    paths = cli_module.SeparatedPathType()
    assert paths.convert(os.pathsep.join(["a", "b"]), None, None) == ["a", "b"]


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
