"""Which files matter, and which have changed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import duoflask
from duoflask.reloader import watched
from duoflask.reloader.watched import Sources, changed_names, code_folders, snapshot


def names(found: dict[str, tuple[int, int]], root: Path) -> set[str]:
    return {str(Path(name).relative_to(root)) for name in found}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in (
        "app.py",
        "README.md",
        ".env",
        ".hidden/a.py",
        "pkg/__init__.py",
        "pkg/a.py",
        "pkg/a.py~",
        "pkg/a.txt",
        "pkg/__pycache__/a.cpython-311.pyc",
        "pkg/templates/a.html",
        "pkg/templates/deep/b.xml",
        "pkg/static/a.css",
        "pkg/static/a.png",
        "node_modules/x/a.py",
        "venv/pyvenv.cfg",
        "venv/lib/a.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_code_of_a_folder_counts(project: Path) -> None:
    found = snapshot(Sources(folders={str(project)}))
    assert names(found, project) == {"app.py", ".env", "pkg/__init__.py", "pkg/a.py"}


def test_templates_and_static_files_count(project: Path) -> None:
    sources = Sources(trees={str(project / "pkg/templates")}, static={str(project / "pkg/static")})
    expected = {"pkg/templates/a.html", "pkg/templates/deep/b.xml", "pkg/static/a.css"}
    assert names(snapshot(sources), project) == expected


def test_files_and_folders_that_are_named_count(project: Path) -> None:
    sources = Sources(files={str(project / "README.md"), str(project / "pkg/static"), str(project / "missing")})
    assert names(snapshot(sources), project) == {"README.md", "pkg/static/a.css", "pkg/static/a.png"}


@pytest.mark.parametrize("pattern", ["*/pkg/*", "*.py", "*a.py"])
def test_patterns_leave_files_out(project: Path, pattern: str) -> None:
    found = snapshot(Sources(folders={str(project)}, exclude=[pattern]))
    assert str(project / "pkg/a.py") not in found


def test_changes_are_new_gone_and_different_files(project: Path) -> None:
    sources = Sources(folders={str(project)}, files={str(project / "later.cfg")})
    before = snapshot(sources)
    assert changed_names(before, snapshot(sources)) == []
    (project / "pkg/new.py").touch()
    (project / "pkg/a.py").unlink()
    (project / "app.py").write_text("different")
    (project / "later.cfg").touch()
    changed = changed_names(before, snapshot(sources))
    assert changed == sorted(str(project / name) for name in ("app.py", "later.cfg", "pkg/a.py", "pkg/new.py"))


def test_same_size_at_another_time_is_a_change(project: Path) -> None:
    sources = Sources(folders={str(project)})
    before = snapshot(sources)
    os.utime(project / "app.py", ns=(1, 1))
    assert changed_names(before, snapshot(sources)) == [str(project / "app.py")]


def test_folder_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert snapshot(Sources(folders={str(tmp_path / "gone")}, trees={"/nowhere"})) == {}


def test_own_code_is_found_and_libraries_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "watchedpkg" / "sub").mkdir(parents=True)
    (tmp_path / "watchedpkg" / "__init__.py").touch()
    (tmp_path / "watchedpkg" / "sub" / "__init__.py").touch()
    (tmp_path / "watchedpkg" / "sub" / "module.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("watchedpkg.sub.module")
    try:
        folders, files = code_folders()
    finally:
        for name in [name for name in sys.modules if name.startswith("watchedpkg")]:
            del sys.modules[name]
    root = Path(os.path.realpath(tmp_path))
    assert str(root) in folders
    assert not any(folder.startswith(str(root / "watchedpkg")) for folder in folders)
    assert str(root / "watchedpkg/sub/module.py") in files
    assert not any("site-packages" in file for file in files)
    assert str(Path(duoflask.__file__)) not in files


def test_what_a_child_tells_is_added_and_checked() -> None:
    sources = Sources(folders={"/a"})
    sources.merge({"folders": ["/b", 3], "trees": ["/t"], "serving": True, "unknown": ["/x"]})
    assert (sources.folders, sources.trees, sources.files) == ({"/a", "/b"}, {"/t"}, set())


def test_nearest_folders_are_looked_through_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "MAX_FOLDERS", 30)
    for number in range(20):
        deep = tmp_path / f"data{number}" / "a" / "b"
        deep.mkdir(parents=True)
        (deep.parents[1] / "app.py").touch()
    assert len(snapshot(Sources(folders={str(tmp_path)}))) == 20


def test_what_an_editor_keeps_for_itself_does_not_count(tmp_path: Path) -> None:
    for name in ("#page.html#", ".#page.html", "page.html~", ".page.html.swp", ".page.html.swx", "page.html"):
        (tmp_path / name).touch()
    assert names(snapshot(Sources(trees={str(tmp_path)})), tmp_path) == {"page.html"}


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "back").symlink_to(tmp_path)
    (tmp_path / "inner" / "app.py").touch()
    (tmp_path / "inner" / ".#app.py").symlink_to("nobody@nowhere.1")
    assert names(snapshot(Sources(folders={str(tmp_path)})), tmp_path) == {"inner/app.py"}
