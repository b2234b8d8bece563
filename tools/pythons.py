"""Run the tests on every CPython from 3.11 up that is found on PATH or in ~/.pyenv/versions.

Each has a virtual environment of its own in .venvs/. A version that is not found is named at the end as
skipped; the exit code is 1 if the tests failed on one of the others, or if none was found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
OLDEST = (3, 11)
# Looked for and named as skipped where missing; newer ones are used if they are found.
EXPECTED = ((3, 11), (3, 12), (3, 13), (3, 14))
PROBE = (
    "import json, sys; v = sys.version_info;"
    "print(json.dumps([sys.implementation.name, v[:3], v.releaselevel, sys.executable]))"
)

Version = tuple[int, int, int]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def candidates() -> Iterator[Path]:
    """Return what may be a Python: on PATH, and below pyenv, whose shims show only the versions in use."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if folder:
            yield from sorted(Path(folder).glob("python3*"))
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob("versions/*/bin/python3"))


def probe(path: Path) -> tuple[Version, str] | None:
    """Return the version and the real executable of a CPython that is new enough, or None."""
    if "-" in path.name or not os.access(path, os.X_OK):
        return None
    try:
        answer = subprocess.run(
            [path, "-I", "-c", PROBE], capture_output=True, text=True, timeout=30, check=True, cwd=ROOT
        )
        name, version, level, executable = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if name != "cpython" or tuple(version[:2]) < OLDEST or level != "final":
        return None
    major, minor, micro = version
    return (major, minor, micro), executable


def find() -> dict[tuple[int, int], tuple[Version, str]]:
    """Return the newest found release of each minor version."""
    found: dict[tuple[int, int], tuple[Version, str]] = {}
    seen: set[Path] = set()
    for path in candidates():
        if path in seen:
            continue
        seen.add(path)
        result = probe(path)
        # A virtual environment's Python (an active one is first on PATH) stands for the one that made it.
        if result is None or (Path(result[1]).parent.parent / "pyvenv.cfg").exists():
            continue
        version, _ = result
        if version > found.get(version[:2], ((0, 0, 0), ""))[0]:
            found[version[:2]] = result
    return found


def run(version: Version, executable: str) -> bool:
    """Make or renew the environment of a version, run the tests in it, and return whether they passed."""
    name = ".".join(map(str, version))
    environment = ROOT / ".venvs" / name
    python = environment / "bin" / "python"
    stamp = environment / ".stamp"
    pyproject = ROOT / "pyproject.toml"
    say(f"\n=== CPython {name} ({executable})")
    if not python.exists() and subprocess.call([executable, "-m", "venv", environment]):
        return False
    if not stamp.exists() or stamp.stat().st_mtime < pyproject.stat().st_mtime:
        if subprocess.call([python, "-m", "pip", "install", "--quiet", "--editable", ".[test]"], cwd=ROOT):
            return False
        stamp.touch()
    command = [python, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider"]
    return subprocess.call([*command, *sys.argv[1:]], cwd=ROOT) == 0


def main() -> int:
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    found = find()
    results = {minor: run(*found[minor]) for minor in sorted(found)}
    say("\n=== summary")
    for minor in sorted({*EXPECTED, *found}):
        if minor in results:
            version = ".".join(map(str, found[minor][0]))
            say(f"CPython {version}: {'passed' if results[minor] else 'FAILED'}")
        else:
            say(f"CPython {minor[0]}.{minor[1]}: SKIPPED, not found on PATH nor in pyenv")
    return 0 if results and all(results.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
