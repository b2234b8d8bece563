from __future__ import annotations

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
