"""The folders of an app, held against Flask's."""

from __future__ import annotations

import importlib
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import flask
import pytest
from hypothesis import given, strategies as st

from duoflask import DuoFlask
from duoflask.folders import instance_path_of, root_path_of


@given(
    folder=st.none() | st.sampled_from(["static", "a/b", "/abs/site", "static/", "..", "x\\", "", "/"]),
    url=st.none() | st.sampled_from(["", "/", "/s", "/s/", "/a/b//"]),
)
def test_static_folder_and_url_are_those_of_flask(folder: str | None, url: str | None) -> None:
    def made(kind: Any) -> tuple[Any, ...]:
        try:
            app = kind("name", static_folder=folder, static_url_path=url, root_path="/root")
        except ValueError:
            return ("refused",)
        rules = [str(rule) for rule in app.url_map.iter_rules()]
        return app.static_folder, app.static_url_path, app.has_static_folder, rules

    assert made(DuoFlask) == made(flask.Flask)


def test_static_folder_may_be_pathlike_and_changed() -> None:
    app = DuoFlask("name", static_folder=Path("assets"), root_path="/root")
    assert (app.static_folder, app.static_url_path) == ("/root/assets", "/assets")
    app.static_folder = "/other/"
    app.static_url_path = "/u/"
    assert (app.static_folder, app.static_url_path) == ("/other", "/u")
    app.static_folder = None
    assert not app.has_static_folder


@pytest.mark.parametrize(("value", "expected"), [(None, None), (5, 5), (timedelta(minutes=1), 60)])
def test_age_is_that_of_the_configuration(value: Any, expected: int | None) -> None:
    app = DuoFlask("name")
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = value
    with app.app_context():
        assert app.get_send_file_max_age("a.txt") == expected


def test_resources_are_opened_for_reading(tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text("sch\u00e4ma", "utf-8")
    app = DuoFlask("name", root_path=str(tmp_path))
    with app.open_resource("schema.sql") as file:
        assert file.read() == "sch\u00e4ma".encode()
    for mode in ("r", "rt"):
        with app.open_resource("schema.sql", mode, encoding="utf-8") as file:
            assert file.read() == "sch\u00e4ma"
    for mode in ("w", "rb+", "a", "x"):
        with pytest.raises(ValueError, match="only be opened for reading"):
            app.open_resource("schema.sql", mode)
    with pytest.raises(FileNotFoundError):
        app.open_resource("missing")


def test_instance_resources_are_opened_for_both(tmp_path: Path) -> None:
    app = DuoFlask("name", instance_path=str(tmp_path))
    with app.open_instance_resource("x.txt", "w") as file:
        file.write("\u00e4")
    with app.open_instance_resource("x.txt") as file:
        assert file.read() == "\u00e4".encode()


def test_instance_path_is_absolute(tmp_path: Path) -> None:
    assert DuoFlask("name", instance_path=str(tmp_path)).instance_path == str(tmp_path)
    with pytest.raises(ValueError, match="it must be absolute; got 'instance'"):
        DuoFlask("name", instance_path="instance")


def test_relative_configuration_comes_from_the_instance_folder(tmp_path: Path) -> None:
    (tmp_path / "app.cfg").write_text("ANSWER = 42\n")
    app = DuoFlask("name", instance_path=str(tmp_path), instance_relative_config=True)
    app.config.from_pyfile("app.cfg")
    assert app.config["ANSWER"] == 42


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make files importable: `importable("folder", "a/b.py")` puts the folder on `sys.path`."""
    known = set(sys.modules)

    def make(folder: str, *paths: str) -> Path:
        root = tmp_path / folder
        for path in paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text("")
        monkeypatch.syspath_prepend(str(root))
        importlib.invalidate_caches()
        return root

    yield make
    for name in set(sys.modules) - known:
        if name.startswith("duotest"):
            del sys.modules[name]


LAYOUTS = [
    ("here", "duotest_module.py", "duotest_module"),
    ("here", "duotest_package/__init__.py", "duotest_package"),
    ("here", "duotest_package/inner/app.py", "duotest_package.inner.app"),
    ("here", "duotest_namespace/part/__init__.py", "duotest_namespace.part"),
    ("here", "duotest_namespace/deep/part/__init__.py", "duotest_namespace.deep.part"),
    ("prefix/lib/python3.11/site-packages", "duotest_installed.py", "duotest_installed"),
    ("prefix/lib/python3.11/site-packages", "duotest_dir/__init__.py", "duotest_dir"),
    ("prefix/Lib/site-packages", "duotest_windows.py", "duotest_windows"),
    ("prefix/other/site-packages", "duotest_odd.py", "duotest_odd"),
    ("here", "duotest_nothing.py", "duotest_missing"),
    ("here", "duotest_nothing.py", "__main__"),
    ("here", "duotest_nothing.py", ""),
]


@pytest.mark.parametrize(("folder", "path", "name"), LAYOUTS)
@pytest.mark.parametrize("imported", [False, True])
def test_folders_of_any_layout_are_those_of_flask(
    importable: Any, folder: str, path: str, name: str, imported: bool
) -> None:
    importable(folder, path)
    if imported and name.startswith("duotest") and "missing" not in name:
        importlib.import_module(name)
    assert root_path_of(name) == flask.helpers.get_root_path(name)
    if name != "__main__":
        theirs = flask.Flask(name, static_folder=None).instance_path
        ours = DuoFlask(name, static_folder=None)
        assert ours.instance_path == theirs == instance_path_of(name, ours.name)


def test_namespace_package_has_no_folder_of_its_own(importable: Any) -> None:
    importable("here", "duotest_namespace2/part/__init__.py")
    importlib.import_module("duotest_namespace2")
    with pytest.raises(RuntimeError, match=r"Pass root_path='\.\.\.'"):
        root_path_of("duotest_namespace2")


def test_module_of_the_prefix_has_its_instance_there() -> None:
    assert instance_path_of("duoflask_no_such_module", "x") == os.path.join(os.getcwd(), "instance")
    assert instance_path_of("pytest", "x") == flask.Flask("pytest").auto_find_instance_path().replace("pytest-", "x-")
