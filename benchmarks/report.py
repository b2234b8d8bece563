"""What is printed after a run: the machine and the versions, the tables, and the goals met or missed.

The text is also valid Markdown, so that a run can be kept in `benchmarks/RESULTS.md` as it is.
"""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.apps import ASGI_PEERS, WSGI_PEERS

__all__ = ["TARGETS", "Row", "as_json", "available", "grid", "header", "tables", "targets"]

DISTRIBUTIONS = (
    "duoflask",
    "flask",
    "werkzeug",
    "falcon",
    "bottle",
    "starlette",
    "fastapi",
    "blacksheep",
    "quart",
    "asgiref",
    "anyio",
    "uvloop",
)


@dataclass(slots=True)
class Row:
    """One contestant's times in one workload of one suite: seconds a request, one figure a round."""

    suite: str
    workload: str
    contestant: str
    rounds: list[float] = field(default_factory=list)

    @property
    def microseconds(self) -> float:
        """Return the median of the rounds."""
        return median(self.rounds) * 1e6


@dataclass(frozen=True, slots=True)
class Target:
    """In a suite's workloads duoflask takes at most `limit` times a contestant's time."""

    suite: str
    contestant: str
    limit: float
    limit_text: str
    workloads: tuple[str, ...]


_PLAIN = ("plaintext", "json", "params", "hooks")
_IO = ("fields", "form", "body", "upload", "file")
TARGETS = (
    # Issue 2, "What it must reach".
    Target("wsgi", "falcon", 0.8, "0.8", _PLAIN),
    Target("wsgi", "flask", 1 / 12, "1/12", _PLAIN),
    Target("asgi", "blacksheep", 0.8, "0.8", _PLAIN),
    Target("asgi", "falcon", 0.8, "0.8", _PLAIN),
    Target("def-under-asgi", "starlette", 0.5, "0.5", _PLAIN),
    Target("async-under-wsgi", "flask", 0.2, "0.2", _PLAIN),
    # Issue 4: no more than any peer.
    *(Target("wsgi", name, 1.0, "1", _IO) for name in ("falcon", "bottle", "werkzeug", "flask")),
    *(Target("asgi", name, 1.0, "1", _IO) for name in ("blacksheep", "falcon", "starlette", "quart")),
    # Issue 5.
    Target("wsgi", "flask", 0.2, "0.2", ("session",)),
    Target("asgi", "starlette", 1.0, "1", ("session",)),
    Target("asgi", "quart", 1.0, "1", ("session",)),
    # Issue 9: no more than any peer, and 5% above the template engine itself.
    *(Target("wsgi", name, 1.0, "1", ("missing",)) for name in WSGI_PEERS[2:]),
    *(Target("asgi", name, 1.0, "1", ("missing", "stream")) for name in ASGI_PEERS[2:]),
    Target("wsgi", "raw", 1.05, "1.05", ("template",)),
    Target("asgi", "raw", 1.05, "1.05", ("template",)),
)


def header(command: str, loop_name: str, rounds: int, figures: str = "") -> str:
    """Describe the run: command, date, CPU, Python, versions and what Falcon's wheel has compiled."""
    figures = figures or f"us a request, median of {rounds} interleaved rounds; spread: (max - min) / median"
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [
        f"- command: `{command}`",
        f"- date: {today}",
        f"- CPU: {_cpu()}, {os.cpu_count()} cores; {platform.system()} {platform.release()}",
        f"- Python: {platform.python_implementation()} {platform.python_version()}; loop: {loop_name}",
        f"- versions: {', '.join(_versions())}",
        f"- falcon: {_falcon_build()}",
        f"- figures: {figures}",
    ]
    return "\n".join(lines)


def tables(rows: Sequence[Row]) -> str:
    """Lay out one table a suite: time, spread, and the ratios to the raw callable and to duoflask."""
    parts = []
    for suite in dict.fromkeys(row.suite for row in rows):
        cells: list[tuple[str, ...]] = [("workload", "contestant", "us", "spread", "x raw", "x duoflask")]
        cells.extend(_cells([row for row in rows if row.suite == suite]))
        parts.append(f"## {suite}\n\n{grid(cells)}")
    return "\n\n".join(parts)


def targets(rows: Sequence[Row]) -> tuple[str, bool]:
    """Compare duoflask with the goals of the issues, by the median of the rounds' ratios.

    Each round's two figures were taken within a second of each other: a machine that is shared changes its speed for
    minutes, and then the medians of the two may come of different speeds.

    Returns:
        The text, and whether every goal that could be measured was met.
    """
    rounds = {(row.suite, row.workload, row.contestant): row.rounds for row in rows}
    workloads = list(dict.fromkeys((row.suite, row.workload) for row in rows))
    cells = [("suite", "workload", "against", "goal", "reached", "verdict")]
    all_met = True
    for target in TARGETS:
        for suite, workload in workloads:
            if suite != target.suite or workload.partition(",")[0] not in target.workloads:
                continue
            ours = rounds.get((suite, workload, "duoflask"))
            theirs = rounds.get((suite, workload, target.contestant))
            if not ours or not theirs:
                reached, verdict = "-", "not measured"
            else:
                ratio = median(own / other for own, other in zip(ours, theirs))
                met = ratio <= target.limit
                all_met = all_met and met
                reached = f"{ratio:.2f}" if target.limit > 0.1 else f"1/{1 / ratio:.1f}"
                verdict = "met" if met else "MISSED"
            cells.append((suite, workload, target.contestant, f"<= {target.limit_text}", reached, verdict))
    return f"## targets\n\n{grid(cells)}", all_met


def as_json(rows: Sequence[Row], command: str) -> dict[str, Any]:
    """Return the run as plain data."""
    return {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "python": platform.python_version(),
        "versions": dict(version.split(" ", 1) for version in _versions()),
        "rows": [
            {
                "suite": row.suite,
                "workload": row.workload,
                "contestant": row.contestant,
                "us": round(row.microseconds, 3),
                "rounds_us": [round(seconds * 1e6, 3) for seconds in row.rounds],
            }
            for row in rows
        ],
    }


def available(names: Sequence[str]) -> list[str]:
    """Leave out contestants that are not installed, and say so."""
    found = []
    for name in names:
        try:
            importlib.import_module(f"benchmarks.apps.{name}")
        except ImportError as exc:
            sys.stderr.write(f"benchmarks: {name} is left out: {exc}\n")
        else:
            found.append(name)
    return found


def _cells(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for workload in dict.fromkeys(row.workload for row in rows):
        group = [row for row in rows if row.workload == workload]
        times = {row.contestant: row.microseconds for row in group}
        for row in sorted(group, key=lambda row: row.microseconds):
            us = row.microseconds
            spread = (max(row.rounds) - min(row.rounds)) / median(row.rounds)
            yield (
                workload,
                row.contestant,
                f"{us:.2f}",
                f"{spread:.0%}",
                f"{us / times['raw']:.2f}" if "raw" in times else "-",
                f"{us / times['duoflask']:.2f}" if "duoflask" in times else "-",
            )


def grid(cells: Sequence[tuple[str, ...]]) -> str:
    """Lay out rows as a Markdown table; the first is its head."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [_line(row, widths) for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width) for cell, width in zip(row, widths)]
    return "| " + " | ".join(padded) + " |"


def _versions() -> Iterator[str]:
    for name in DISTRIBUTIONS:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            found = importlib.util.find_spec(name) is not None
            yield f"{name} (from source)" if found else f"{name} (not installed)"


def _falcon_build() -> str:
    if importlib.util.find_spec("falcon") is None:
        return "not installed"
    names = ("falcon.app", "falcon.asgi.app", "falcon.request", "falcon.response", "falcon.cyutil.uri")
    compiled = []
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None and spec.origin.endswith((".so", ".pyd")):
            compiled.append(name)
    if not compiled:
        return "NOT compiled: pure Python, its figures are not those of the goals"
    return f"compiled: {', '.join(compiled)}; in Python: {', '.join(n for n in names if n not in compiled)}"


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
