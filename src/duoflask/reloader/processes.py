"""The descendants of a process, and their end.

Owns how they are found: no process group is made of them, because only one group may read from a terminal, and a
debugger in the child has to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

__all__ = ["descendants", "end_all"]

END_SECONDS: Final = 2.0


def descendants(pid: int) -> dict[int, str]:
    """The processes that a process has started, and those that these have; each with what tells it from a later one."""
    children: dict[int, list[int]] = {}
    births: dict[int, str] = {}
    for child, parent, birth in _table():
        children.setdefault(parent, []).append(child)
        births[child] = birth
    found: dict[int, str] = {}
    pending = [pid]
    while pending:
        for child in children.get(pending.pop(), ()):
            if child not in found:
                found[child] = births[child]
                pending.append(child)
    return found


def end_all(processes: dict[int, str]) -> None:
    """End processes that may have ended already: by SIGTERM, and by SIGKILL those that stay."""
    left = _signal_all(processes, signal.SIGTERM)
    deadline = time.monotonic() + END_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = _alive(left)
    if left:
        _signal_all(left, getattr(signal, "SIGKILL", signal.SIGTERM))


def _alive(processes: dict[int, str]) -> dict[int, str]:
    now = {pid: birth for pid, _, birth in _table()}
    return {pid: birth for pid, birth in processes.items() if now.get(pid) == birth}


def _signal_all(processes: dict[int, str], number: int) -> dict[int, str]:
    left = _alive(processes) if processes else {}
    for pid in left:
        try:
            os.kill(pid, number)
        except OSError:
            pass
    return left


def _table() -> list[tuple[int, int, str]]:
    """Every process with its parent and its start."""
    if sys.platform == "win32":
        return []
    if os.path.isdir("/proc/self"):
        return [row for entry in os.listdir("/proc") if entry.isdecimal() and (row := _of_proc(entry)) is not None]
    text = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,lstart="], capture_output=True, text=True, check=False).stdout
    rows = [line.split(None, 2) for line in text.splitlines()]
    return [(int(row[0]), int(row[1]), row[2]) for row in rows if len(row) == 3]


def _of_proc(entry: str) -> tuple[int, int, str] | None:
    try:
        text = Path("/proc", entry, "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the command before it may hold anything
    if len(fields) < 20 or fields[0] in "ZX":
        return None
    return int(entry), int(fields[1]), fields[19]
