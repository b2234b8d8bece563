"""The fixture of these tests: what files become."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duoflask.migrate import scan


class Migrated:
    """Files after a scan: their new texts, and what is said of them."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text.encode())
        found = scan(folder)
        self.texts = {
            result.path.relative_to(folder).as_posix(): result.new for result in found.results if result.source
        }
        self.findings = [
            (result.path.relative_to(folder).as_posix(), *finding)
            for result in found.results
            for finding in result.findings
        ]

    @property
    def persons(self) -> list[str]:
        """`line: text` of what needs a person."""
        return [f"{line}: {text}" for _, line, text, person in self.findings if person]


@pytest.fixture
def migrate(tmp_path: Path) -> Callable[..., Any]:
    """Scan files: `migrate("text")` gives the module's new text and its persons; `migrate({...})` a Migrated."""

    def run(files: str | dict[str, str]) -> Any:
        if isinstance(files, dict):
            return Migrated(tmp_path, files)
        found = Migrated(tmp_path, {"module.py": files})
        again = Migrated(tmp_path, {"module.py": found.texts["module.py"]})
        assert again.texts == found.texts, "a second run changes something"
        return found.texts["module.py"], found.persons

    return run
