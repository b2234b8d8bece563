"""Modules and objects by name."""

from __future__ import annotations

import json
import os.path
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import werkzeug.utils

from duoflask.imports import ImportStringError, find_modules, import_string


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "pack_to_find"
    for folder in (root, root / "inner", root / "inner" / "deepest"):
        folder.mkdir()
        (folder / "__init__.py").touch()
        (folder / "module.py").touch()
    (root / "broken.py").write_text("import no_such_module_at_all")
    (root / "raises.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    yield root
    for name in [name for name in sys.modules if name.startswith("pack_to_find")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("json", json),
        ("os.path", os.path),
        ("os:path", os.path),
        ("json.dumps", json.dumps),
        ("json:dumps", json.dumps),
        ("json.JSONDecoder", json.JSONDecoder),
    ],
)
def test_modules_and_their_objects_are_imported(name: str, found: Any) -> None:
    assert import_string(name) is found
    assert werkzeug.utils.import_string(name) is found


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("no_such_module", "nothing was found"),
        ("no_such_module.x", "nothing was found"),
        ("json.no_such_name", "'json' was found in .*, but it has no 'no_such_name'"),
        ("json.decoder.nothing.deeper", "'json.decoder' was found in .*, but it has no 'nothing'"),
        ("", "nothing was found"),
        (".json", "nothing was found"),
        ("json..dumps", "'json' was found"),
        ("pack_to_find.broken", "No module named 'no_such_module_at_all'"),
        ("pack_to_find.broken.x", "No module named 'no_such_module_at_all'"),
    ],
)
def test_what_cannot_be_imported_says_how_far_it_came(packages: Path, name: str, reached: str) -> None:
    with pytest.raises(ImportStringError, match=reached) as caught:
        import_string(name)
    assert caught.value.import_name == name
    assert isinstance(caught.value.exception, ImportError)
    assert repr(name) in repr(caught.value)
    assert import_string(name, silent=True) is None


def test_what_a_module_raises_is_not_hidden(packages: Path) -> None:
    for silent in (False, True):
        with pytest.raises(ZeroDivisionError):
            import_string("pack_to_find.raises", silent=silent)


@pytest.mark.parametrize("include_packages", [False, True])
@pytest.mark.parametrize("recursive", [False, True])
def test_modules_of_a_package_are_found_as_by_werkzeug(packages: Path, include_packages: bool, recursive: bool) -> None:
    found = list(find_modules("pack_to_find", include_packages, recursive))
    assert found == list(werkzeug.utils.find_modules("pack_to_find", include_packages, recursive))
    assert "pack_to_find.module" in found
    assert "pack_to_find.broken" not in sys.modules


def test_a_module_is_no_package(packages: Path) -> None:
    with pytest.raises(ValueError, match="is a module, not a package"):
        list(find_modules("pack_to_find.module"))
