from __future__ import annotations

import os
from pathlib import Path

import pytest

from duoflask.migrate.source import Edit, Source, Unreadable, write


def source(folder: Path, raw: bytes) -> Source:
    (folder / "a.py").write_bytes(raw)
    return Source(folder / "a.py")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"print 1\n", "line 1: Missing parentheses"),
        (b"x = '\xff'\n", "encoding"),
        (b"\n\n\nx = '\xff'\n", "utf-8"),
        (b"# coding: nothing\n", "unknown encoding"),
        (b"x = 1\ry = 2\r", "CR alone"),
        (b"x = 1\0\n", "null"),
        (b"-" * 100_000 + b"1", ""),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, raw: bytes, said: str) -> None:
    with pytest.raises(Unreadable) as caught:
        source(tmp_path, raw)
    assert said in str(caught.value)


def test_long_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duoflask.migrate.source.MAX_FILE_SIZE", 5)
    with pytest.raises(Unreadable, match="longer than 5 bytes"):
        source(tmp_path, b"x = 123\n")


def test_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="No such file"):
        Source(tmp_path / "none.py")


def test_edits_are_by_character(tmp_path: Path) -> None:
    found = source(tmp_path, "ä = 'ö', b\n".encode())
    name = found.tree.body[0].value.elts[1]  # type: ignore[attr-defined]
    found.change(*found.span(name), "c")
    assert found.changed() == "ä = 'ö', c\n"


def test_text_that_would_not_parse_is_refused(tmp_path: Path) -> None:
    found = source(tmp_path, b"x = 1\n")
    found.change(0, 1, "=")
    with pytest.raises(Unreadable, match="invalid syntax"):
        found.changed()


def test_overlapping_edits_are_refused(tmp_path: Path) -> None:
    found = source(tmp_path, b"abc = 1\n")
    found.edits = [Edit(0, 2, "x"), Edit(1, 3, "y")]
    with pytest.raises(Unreadable, match="overlap"):
        found.changed()


@pytest.mark.parametrize(
    "raw", ["x = 'ä'\n".encode("utf-8-sig"), "# coding: latin-1\nx = 'ä'\n".encode("latin-1"), b"\x0cx = 1\r\n"]
)
def test_bytes_that_are_not_changed_stay(tmp_path: Path, raw: bytes) -> None:
    found = source(tmp_path, raw)
    write(found, found.changed())
    assert found.path.read_bytes() == raw


def test_mode_stays_and_nothing_else_is_left(tmp_path: Path) -> None:
    found = source(tmp_path, b"x = 1\n")
    os.chmod(found.path, 0o754)
    write(found, "x = 2\n")
    assert found.path.stat().st_mode & 0o777 == 0o754
    assert os.listdir(tmp_path) == ["a.py"]


def test_file_that_has_been_changed_meanwhile_is_left(tmp_path: Path) -> None:
    found = source(tmp_path, b"x = 1\n")
    found.path.write_bytes(b"x = 3\n")
    with pytest.raises(Unreadable, match="meantime"):
        write(found, "x = 2\n")
    assert found.path.read_bytes() == b"x = 3\n"


def test_failed_write_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(*args: object) -> None:
        raise PermissionError(1, "not allowed")

    found = source(tmp_path, b"x = 1\n")
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Unreadable, match="not allowed"):
        write(found, "x = 2\n")
    assert os.listdir(tmp_path) == ["a.py"]
    assert found.path.read_bytes() == b"x = 1\n"
