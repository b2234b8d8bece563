"""Which files a running program is made of, and which of them have changed.

Owns what counts as code and what is never looked into. Knows no process.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

__all__ = ["Sources", "Snapshot", "changed_names", "code_folders", "snapshot"]

CODE_SUFFIXES: Final = (".py", ".pyi", ".env", ".flaskenv", ".toml")
STATIC_SUFFIXES: Final = (".css", ".js", ".mjs")
# A folder of one of these names, or that is a virtual environment, holds nothing of the program's own.
IGNORED: Final = frozenset(
    {"__pycache__", "node_modules", "site-packages", "dist-packages", "build", "dist", "instance"}
)
MAX_FOLDERS: Final = 2_000  # somebody's home folder is not looked through whole
MAX_FILES: Final = 20_000

Snapshot = dict[str, tuple[int, int]]


@dataclass(slots=True)
class Sources:
    """What is watched.

    `folders` are looked through for code, `trees` for everything (templates), `static` for style and script;
    `files` are watched wherever they are.
    """

    folders: set[str] = field(default_factory=set)
    trees: set[str] = field(default_factory=set)
    static: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    exclude: list[str] = field(default_factory=list)

    def merge(self, told: dict[str, Any]) -> None:
        """Add what a child has told."""
        for name in ("folders", "trees", "static", "files"):
            getattr(self, name).update(item for item in told.get(name, ()) if isinstance(item, str))


def _library_paths() -> tuple[str, ...]:
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parents[1])]
    return tuple(os.path.join(os.path.realpath(path), "") for path in paths if path)


_LIBRARIES: Final = _library_paths()


def code_folders() -> tuple[set[str], set[str]]:
    """The folders of this process's own modules, and their files: what is neither Python's nor installed."""
    folders: set[str] = set()
    files: set[str] = set()
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file:
            continue
        path = os.path.realpath(file)
        if path.startswith(_LIBRARIES) or "site-packages" in path or not os.path.isfile(path):
            continue
        files.add(path)
        name = getattr(module, "__name__", "") or ""
        folder = os.path.dirname(path)
        depth = name.count(".") + (1 if hasattr(module, "__path__") else 0)
        for _ in range(depth):  # the folder that the whole package stands in
            folder = os.path.dirname(folder)
        folders.add(folder)
    return {folder for folder in folders if len(Path(folder).parts) > 2 or folder == os.getcwd()}, files


def snapshot(sources: Sources) -> Snapshot:
    """The time and size of every file that matters."""
    found: Snapshot = {}
    for folder in sorted(sources.folders):
        _walk(folder, CODE_SUFFIXES, found)
    for folder in sorted(sources.trees):
        _walk(folder, None, found)
    for folder in sorted(sources.static):
        _walk(folder, STATIC_SUFFIXES, found)
    for file in sources.files:
        if os.path.isdir(file):
            _walk(file, None, found)
        else:
            _note(file, found)
    if sources.exclude:
        return {name: value for name, value in found.items() if not is_excluded(name, sources.exclude)}
    return found


def is_excluded(name: str, patterns: Iterable[str]) -> bool:
    """Whether a file matches one of the patterns of `fnmatch`."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def folders_of(files: Snapshot, sources: Sources) -> set[str]:
    """The folders to be told about: those of the files, and those in which new files would count."""
    folders = {os.path.dirname(name) for name in files}
    folders |= sources.folders | sources.trees | sources.static
    folders |= {os.path.dirname(os.path.abspath(name)) for name in sources.files}
    return {folder for folder in folders if os.path.isdir(folder)}


def changed_names(before: Snapshot, after: Snapshot) -> list[str]:
    """The files that are new, gone, or different."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _note(file: str, found: Snapshot) -> None:
    try:
        status = os.stat(file)
    except (OSError, ValueError):
        return
    found[os.path.abspath(file)] = (status.st_mtime_ns, status.st_size)


def _walk(root: str, suffixes: tuple[str, ...] | None, found: Snapshot) -> None:
    pending, seen = deque([root]), 0  # the nearest first: what is deep down in a huge tree is told by its name
    while pending and seen < MAX_FOLDERS and len(found) < MAX_FILES:
        folder = pending.popleft()
        seen += 1
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            name = entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not name.startswith(".") and name not in IGNORED and not _is_environment(entry.path):
                        pending.append(entry.path)
                elif (suffixes is None or name.endswith(suffixes)) and not _is_scratch(name):
                    _note(entry.path, found)
            except OSError:
                continue


def _is_scratch(name: str) -> bool:
    """Whether an editor has made a file for itself: a copy, a lock, what is not saved yet."""
    return name.endswith(("~", ".swp", ".swx", ".tmp", "#")) or name.startswith(".#")


def _is_environment(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "pyvenv.cfg"))
