"""A project of Quart's with WebSockets, background work, sessions and tests of its own: run, migrated, run again."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from duoflask.migrate import scan

PROJECT = Path(__file__).parent / "quart_chat"


def check(folder: Path) -> str:
    """Run the project's own tests; what they print to stderr."""
    done = subprocess.run([sys.executable, "-W", "error", "check.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "project"


def test_own_tests_pass_with_quart(project: Path) -> None:
    check(project)


def test_own_tests_pass_migrated(project: Path) -> None:
    found = scan(project)
    assert [finding for result in found.results for finding in result.findings if finding.person] == []
    for result in found.results:
        assert "quart" not in result.new.replace("Quart", "").replace("quart_", ""), result.path
        result.path.write_text(result.new)
    assert check(project) == ""
    assert not any(result.changes for result in scan(project).results)
