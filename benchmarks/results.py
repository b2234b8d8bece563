"""Run all benchmarks and write `benchmarks/RESULTS.md` with its plots: `make bench-all`.

Each part runs in a process of its own, and what it prints stands in the page as it is; the plots are drawn of the same
figures. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ["main"]

ROOT = Path(__file__).parent
PLOTS = ROOT.parent / "docs" / "img"
PARTS = {
    "inprocess": ("In process", "benchmarks.inprocess"),
    "served": ("Over real servers", "benchmarks.served"),
    "growth": ("How cost grows", "benchmarks.growth"),
    "routing": ("The router alone", "benchmarks.routing"),
}
OWN, OTHER, FLOOR = "#c2410c", "#94a3b8", "#334155"
GLANCE = (("wsgi", "plaintext"), ("asgi", "plaintext"), ("wsgi", "json"), ("asgi", "json"))
TITLES = {"wsgi": "WSGI", "asgi": "ASGI"}


def _run(module: str, options: Sequence[str], data: Path | None) -> str:
    command = [sys.executable, "-m", module, *options, *(["--json", str(data)] if data else [])]
    sys.stderr.write(f"{' '.join(command)}\n")
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT.parent).stdout.decode()


def _bars(axes: Any, title: str, figures: dict[str, float], unit: str) -> None:
    """Draw one bar a contestant, the shortest first."""
    ordered = sorted(figures.items(), key=lambda item: -item[1])
    names = [name for name, _ in ordered]
    colours = [OWN if name == "duoflask" else FLOOR if name == "raw" else OTHER for name in names]
    bars = axes.barh(names, [value for _, value in ordered], color=colours)
    axes.bar_label(bars, fmt=lambda value: f"{value:.1f}", padding=3, fontsize=8)
    axes.set_title(f"{title}, {unit}", fontsize=10, loc="left")
    axes.margins(x=0.14)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def _figure(panels: Sequence[tuple[str, dict[str, float], str]], path: Path, columns: int = 2) -> None:
    from matplotlib import pyplot

    rows = -(-len(panels) // columns)
    figure, grid = pyplot.subplots(rows, columns, figsize=(5 * columns, 2.6 * rows), squeeze=False)
    for axes, panel in zip(grid.flat, panels):
        _bars(axes, *panel)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def _plot_in_process(data: dict[str, Any]) -> None:
    figures: dict[tuple[str, str], dict[str, float]] = {}
    for row in data["rows"]:
        figures.setdefault((row["suite"], row["workload"]), {})[row["contestant"]] = row["us"]
    glance = [(f"{TITLES[suite]}, {name}", figures[suite, name], "us a request") for suite, name in GLANCE]
    _figure(glance, PLOTS / "benchmark.svg")
    for suite in TITLES:
        panels = [(name, found, "us") for (kind, name), found in figures.items() if kind == suite]
        _figure(panels, PLOTS / f"benchmark-{suite}.svg")


def _plot_served(data: list[dict[str, Any]]) -> None:
    figures: dict[str, dict[str, float]] = {}
    for row in data:
        figures.setdefault(f"{row['setup']}, {row['workload']}", {})[row["contestant"]] = median(row["cpu_us"])
    _figure([(name, found, "CPU us") for name, found in figures.items()], PLOTS / "benchmark-served.svg")


def _plot_growth(data: list[dict[str, Any]]) -> None:
    from matplotlib import pyplot

    lines: dict[str, dict[str, list[tuple[int, float]]]] = {}
    units = {}
    for point in data:
        lines.setdefault(point["series"], {}).setdefault(point["contestant"], []).append(
            (point["size"], point["value"])
        )
        units[point["series"]] = point["unit"]
    grown = {name: found for name, found in lines.items() if len(next(iter(found.values()))) > 1}
    figure, grid = pyplot.subplots(-(-len(grown) // 2), 2, figsize=(10, 2.8 * -(-len(grown) // 2)), squeeze=False)
    for axes, (name, found) in zip(grid.flat, grown.items()):
        for contestant, points in found.items():
            sizes, values = zip(*points)
            axes.plot(sizes, values, marker="o", label=contestant, color=OWN if contestant == "duoflask" else None)
        axes.set_xscale("symlog")
        axes.set_yscale("log")
        axes.set_title(f"{name}, {units[name]}", fontsize=10, loc="left")
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(grid.flat)[len(grown) :]:
        axes.set_visible(False)
    figure.tight_layout()
    figure.savefig(PLOTS / "benchmark-growth.svg", metadata={"Date": None})
    pyplot.close(figure)


PLOTTERS = {"inprocess": _plot_in_process, "served": _plot_served, "growth": _plot_growth}
PICTURES = {"inprocess": ("benchmark-wsgi", "benchmark-asgi"), "served": ("benchmark-served",)}
PICTURES["growth"] = ("benchmark-growth",)


def main(arguments: Sequence[str]) -> int:
    """Run the parts, draw the plots and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=__doc__.partition(":")[0])
    parser.add_argument("--quick", action="store_true", help="shorter blocks: a look, not figures to publish")
    parser.add_argument("--output", type=Path, default=ROOT / "RESULTS.md")
    options = parser.parse_args(arguments)
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "duoflask"
    PLOTS.mkdir(parents=True, exist_ok=True)
    quick = {"inprocess": ["--quick", "--rounds", "7"], "served": ["--rounds", "3", "--seconds", "0.2"]}
    page = ["# Results", "", "Written by `make bench-all`; [README.md](README.md) says what is measured and how.", ""]
    with tempfile.TemporaryDirectory() as folder:
        for name, (title, module) in PARTS.items():
            data = Path(folder) / f"{name}.json" if name in PLOTTERS else None
            text = _run(module, quick.get(name, []) if options.quick else [], data)
            page += [f"# {title}", ""]
            if data is not None:
                PLOTTERS[name](json.loads(data.read_text()))  # type: ignore[operator]
                page += [f"![{title}](../docs/img/{picture}.svg)" for picture in PICTURES[name]] + [""]
            page += [text.strip(), ""]
    options.output.write_text("\n".join(page))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
