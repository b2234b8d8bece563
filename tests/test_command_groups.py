from __future__ import annotations

import anyio
import click
from click.testing import CliRunner

from duoflask import DuoFlask, current_app
from duoflask.app_loading import ScriptInfo
from duoflask.command_groups import AppGroup, with_appcontext


def known() -> ScriptInfo:
    return ScriptInfo(create_app=lambda: DuoFlask("known"))


def name_of_app() -> None:
    click.echo(current_app.name if current_app else "no app")


def test_command_of_a_group_runs_in_the_context_of_the_app() -> None:
    group = AppGroup("group")
    group.command("show")(name_of_app)
    assert CliRunner().invoke(group, ["show"], obj=known()).output == "known\n"


def test_command_may_run_without_the_context() -> None:
    group = AppGroup("group")
    group.command("show", with_appcontext=False)(name_of_app)
    assert CliRunner().invoke(group, ["show"], obj=known()).output == "no app\n"


def test_group_in_a_group_is_of_the_same_kind() -> None:
    group = AppGroup("group")

    @group.group("inner")
    def inner() -> None:
        pass

    inner.command("show")(name_of_app)
    assert CliRunner().invoke(group, ["inner", "show"], obj=known()).output == "known\n"


def test_context_that_is_there_is_kept() -> None:
    command = click.Command("show", callback=with_appcontext(name_of_app))
    with DuoFlask("outer").app_context():
        assert CliRunner().invoke(command, obj=known()).output == "outer\n"


def test_context_ends_with_the_command() -> None:
    app, ended = DuoFlask("known"), []
    app.teardown_appcontext(ended.append)
    command = click.Command("show", callback=with_appcontext(name_of_app))
    CliRunner().invoke(command, obj=ScriptInfo(create_app=lambda: app))
    assert ended == [None]


def test_command_without_an_app_says_what_to_write() -> None:
    command = click.Command("show", callback=with_appcontext(name_of_app))
    result = CliRunner().invoke(command)
    assert result.exit_code == 2
    assert "'show' needs an application" in result.output
    assert "obj=ScriptInfo(create_app=...)" in result.output


async def wait_for_name() -> None:
    await anyio.sleep(0)
    name_of_app()


def test_async_command_runs_in_the_context_on_a_loop() -> None:
    group = AppGroup("group")
    group.command("show")(wait_for_name)
    group.command("bare", with_appcontext=False)(wait_for_name)
    assert CliRunner().invoke(group, ["show"], obj=known()).output == "known\n"
    assert CliRunner().invoke(group, ["bare"], obj=known()).output == "no app\n"


def test_def_command_that_returns_a_coroutine_is_waited_for() -> None:
    group = AppGroup("group")
    group.command("show")(lambda: wait_for_name())
    assert CliRunner().invoke(group, ["show"], obj=known()).output == "known\n"


def test_app_runs_its_own_commands_in_tests() -> None:
    app = DuoFlask("own")
    app.cli.command("show")(wait_for_name)
    assert app.test_cli_runner().invoke(args=["show"]).output == "own\n"
    assert app.test_cli_runner().invoke(args="show").exit_code == 0
