"""The pieces of the parent that need no child: its command line, and the end of descendants."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from duoflask.reloader.processes import descendants, end_all
from duoflask.reloader.supervisor import _forget_compiled, _split_command


@pytest.mark.parametrize(
    ("arguments", "flags", "program"),
    [
        (["app.py", "-m", "x"], [], ["app.py", "-m", "x"]),
        (["-P", "-X", "dev", "app.py"], ["-P", "-X", "dev"], ["app.py"]),
        (["-m", "pkg", "-c"], [], ["-m", "pkg", "-c"]),
        (["-W", "error", "-Im", "pkg"], ["-W", "error", "-I"], ["-m", "pkg"]),
        (["-c", "print()", "x"], [], ["-c", "print()", "x"]),
        ([], [], []),
    ],
)
def test_command_line_is_split(arguments: list[str], flags: list[str], program: list[str]) -> None:
    assert _split_command(arguments) == (flags, program)


def test_stale_bytecode_is_removed(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text("x = 1")
    compiled = Path(importlib.util.cache_from_source(str(source)))
    compiled.parent.mkdir()
    compiled.touch()
    _forget_compiled([str(source), str(tmp_path / "b.py"), str(tmp_path / "c.html")])
    assert not compiled.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
@pytest.mark.parametrize("stubborn", [False, True])
def test_descendants_are_found_and_ended(stubborn: bool) -> None:
    inner = "import signal, time; "
    inner += "signal.signal(signal.SIGTERM, signal.SIG_IGN); " if stubborn else ""
    inner += "print('up', flush=True); time.sleep(100)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    process = subprocess.Popen([sys.executable, "-c", outer], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        found = descendants(process.pid)
        assert len(found) == 1
        end_all(found)
        assert process.wait(20) in (0, 1)
        assert descendants(process.pid) == {}
        end_all(found)  # gone already
    finally:
        process.kill()
        process.communicate()
