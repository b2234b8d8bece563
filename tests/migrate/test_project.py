from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from duoflask.migrate import scan

PATCH = "import duoflask.flask_patch  # noqa: F401  # isort: skip\n"


@pytest.mark.parametrize("name", [".git", ".venv", "node_modules", "__pycache__", "venv", "other"])
def test_folders_of_others_are_skipped(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "a.py").write_text("import flask")
    if name == "other":
        (folder / "pyvenv.cfg").touch()
    (tmp_path / "b.txt").write_text("import flask")
    found = scan(tmp_path)
    assert found.results == []
    assert found.skipped == ([] if name == "__pycache__" else [folder])


def test_folder_that_is_named_is_read(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "a.py").write_text("from flask import g")
    assert [result.changes for result in scan(tmp_path / "venv").results] == [True]


def test_file_that_is_named_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from flask import g")
    (tmp_path / "b.py").write_text("from flask import g")
    assert [result.new for result in scan(tmp_path / "a.py").results] == ["from duoflask import g"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "a.py").write_text("from flask import g")
    (tmp_path / "project" / "a.py").symlink_to(tmp_path / "a.py")
    (tmp_path / "project" / "folder").symlink_to(tmp_path)
    assert scan(tmp_path / "project").results == []


def test_file_that_does_not_parse_needs_a_person(migrate: Any) -> None:
    found = migrate({"a.py": "print 1\n", "b.py": "from flask import g\n"})
    assert len(found.persons) == 1 and found.persons[0].startswith("1: not read: line 1")
    assert found.texts == {"b.py": "from duoflask import g\n"}


def test_nothing_is_imported(migrate: Any) -> None:
    assert migrate({"a.py": "import flask\nraise SystemExit\n"}).persons == []


@pytest.mark.parametrize(
    ("before", "rest"),
    [
        ("", "import flask_login\nfrom duoflask import Flask\napp = Flask(__name__)\n"),
        ('"""Docs."""\nfrom __future__ import annotations\n\n# text\n', "import flask_login\nFlask(1)\n"),
        ("# licence\n", "@f\nclass A: pass\nimport flask_login\nFlask(1)\n"),
    ],
)
def test_extensions_get_the_patch_where_the_app_is_made(migrate: Any, before: str, rest: str) -> None:
    found = migrate({"app.py": before + rest, "b.py": "import flask_login\n"})
    assert found.texts == {"app.py": before + PATCH + rest, "b.py": "import flask_login\n"}
    assert found.persons == []
    assert len([finding for finding in found.findings if "flask_login imports Flask" in finding[2]]) == 1
    again = migrate(found.texts)
    assert again.texts == found.texts
    assert again.findings == []


def test_extensions_without_an_app_need_a_person(migrate: Any) -> None:
    found = migrate({"a.py": "from flask_login import current_user\n"})
    assert found.texts == {"a.py": "from flask_login import current_user\n"}
    assert "no module here makes an application" in found.persons[0]


def test_modules_of_the_project_are_no_extensions(migrate: Any) -> None:
    files = {"my_flask/__init__.py": "from my_flask import b\n", "my_flask/b.py": "Flask(1)\n"}
    found = migrate(files)
    assert (found.texts, found.findings) == (files, [])


@pytest.mark.parametrize("module", ["asgiref.wsgi", "a2wsgi", "asgiref.sync"])
def test_adapters_are_worth_a_word(migrate: Any, module: str) -> None:
    found = migrate({"a.py": f"from {module} import x\n"})
    assert [person for *_, person in found.findings] == [False]
    assert found.findings[0][2].startswith(f"{module}: ")
