from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from duoflask.cli import cli

OLD, NEW = "from flask import g\n", "from duoflask import g\n"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FLASK_RUN_FROM_CLI",):
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(tmp_path)
    Path("a.py").write_text(OLD)


def run(*args: str) -> Result:
    return CliRunner().invoke(cli, ["migrate", *args])


def test_without_write_a_diff_is_shown() -> None:
    result = run(".")
    assert result.exit_code == 0, result.output
    assert "--- a.py\n+++ a.py\n@@ -1 +1 @@\n-from flask import g\n+from duoflask import g\n" in result.output
    assert result.output.endswith("1 files read, 1 would be changed; --write changes them; 0 places need a person\n")
    assert Path("a.py").read_text() == OLD


def test_with_write_files_are_changed_once() -> None:
    result = run("--write", ".")
    assert (result.exit_code, Path("a.py").read_text()) == (0, NEW)
    assert result.output == "changed a.py\n\n1 files read, 1 changed; 0 places need a person\n"
    result = run("--write", "a.py")
    assert (result.exit_code, result.output) == (0, "\n1 files read, 0 changed; 0 places need a person\n")


@pytest.mark.parametrize("write", [(), ("--write",)])
def test_what_needs_a_person_is_listed_and_the_exit_code_is_1(write: tuple[str, ...]) -> None:
    Path("b.py").write_text("import a2wsgi\nfrom flask import safe_join\n")
    Path(".git").mkdir()
    result = run(*write, ".")
    assert result.exit_code == 1
    assert "\nNeeds a person:\nb.py:2: flask.safe_join: write " in result.output
    assert "\nTo know:\nb.py:1: a2wsgi: not needed" in result.output
    assert "\nNot looked into: .git\n" in result.output


def test_file_that_cannot_be_written_needs_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(*args: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", replace)
    result = run("--write", ".")
    assert (result.exit_code, Path("a.py").read_text()) == (1, OLD)
    assert "a.py:1: not written: Permission denied" in result.output


def test_missing_path_is_a_usage_error() -> None:
    assert run("none").exit_code == 2


def test_help_names_the_exit_codes() -> None:
    assert "The exit code is 0 if nothing needs a person, and 1 otherwise." in " ".join(run("--help").output.split())
