"""Waiting for a change."""

from __future__ import annotations

import importlib
import select
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duoflask.reloader import supervise
from duoflask.reloader.watched import Sources
from duoflask.reloader.watcher import Watcher


@pytest.fixture(params=[False, True], ids=["stat", "watchfiles"])
def watcher(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watcher]:
    (tmp_path / "app.py").write_text("one")
    made = Watcher(Sources(folders={str(tmp_path)}), 0.1, request.param)
    yield made
    made.close()


def test_change_is_seen(watcher: Watcher, tmp_path: Path) -> None:
    watcher.start_over()
    assert watcher.changes() == []
    (tmp_path / "app.py").write_text("three")
    assert watcher.changes() == [str(tmp_path / "app.py")]
    watcher.start_over()
    assert watcher.changes() == []


def test_watchfiles_wakes(tmp_path: Path) -> None:
    watcher = Watcher(Sources(folders={str(tmp_path)}), 60, True)
    try:
        watcher.start_over()
        number = 0
        ready: list[Any] = []
        while not ready and number < 100:  # its own thread needs a moment before it watches
            number += 1
            (tmp_path / "app.py").write_text("x" * number)
            ready = select.select([watcher.woken], [], [], 0.3)[0]
        assert ready
        assert watcher.changes() == [str(tmp_path / "app.py")]
        assert not select.select([watcher.woken], [], [], 0)[0]
    finally:
        watcher.close()


def test_what_is_told_later_is_watched_too(watcher: Watcher, tmp_path: Path) -> None:
    templates = tmp_path / "other" / "templates"
    templates.mkdir(parents=True)
    (templates / "a.html").write_text("one")
    watcher.start_over()
    watcher.sources.trees.add(str(templates))
    watcher.take_in()
    assert watcher.changes() == []
    (templates / "a.html").write_text("three")
    assert watcher.changes() == [str(templates / "a.html")]


def test_change_before_something_is_told_is_not_lost(watcher: Watcher, tmp_path: Path) -> None:
    watcher.start_over()
    (tmp_path / "app.py").write_text("changed while the child was starting")
    watcher.take_in()
    assert watcher.changes() == [str(tmp_path / "app.py")]


def test_without_watchfiles_the_clock_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    watcher = Watcher(Sources(folders={str(tmp_path)}), 0.5, None)
    assert (watcher.name, watcher.timeout) == ("stat", 0.5)
    watcher.close()
    with pytest.raises(RuntimeError, match=r"pip install 'duoflask\[reload\]'"):
        Watcher(Sources(), 0.5, True)


def test_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 'auto', 'stat' or 'watchfiles'; got 'guess'"):
        supervise(reloader_type="guess")


def test_huge_tree_is_looked_at_less_often(tmp_path: Path) -> None:
    watcher = Watcher(Sources(folders={str(tmp_path)}), 1, False)
    try:
        watcher.start_over()
        watcher.changes()
        assert watcher.timeout < 10
        watcher._look_seconds = 1.0
        assert watcher.timeout == 20
    finally:
        watcher.close()
