"""Run the benchmarks in process: `python -m benchmarks.inprocess --help`.

Theory of operation. A suite is a protocol and a colour of view; a group is a suite's workload (and, where
requests run at the same time, how many). All contestants of a group are built, started, warmed up and checked
against every path of the workload. Then they take turns: in each round every contestant runs one block, and
the next round begins with another of them. A block is several sub-blocks of about the same length, of which
the fastest counts, so that a neighbour on the machine disturbs one sub-block and not the round; a
contestant's figure is the median of its rounds. The garbage collector stays on, as in a server, with
everything that set-up made frozen out of its sight.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import report
from benchmarks.apps import ASGI_PEERS, WSGI_PEERS, build
from benchmarks.transports import AsgiDriver, Lifespan, WsgiDriver
from benchmarks.workloads import WORKLOADS, Workload, write_file

DEFAULT_ROUNDS = 9
SUB_BLOCKS = 4
SUB_BLOCK_SECONDS = 0.02
QUICK_SUB_BLOCK_SECONDS = 0.004


@dataclass(frozen=True, slots=True)
class Suite:
    """The contestants of one protocol and colour, and the workloads that they serve."""

    name: str
    protocol: str
    builder: str
    contestants: tuple[str, ...]
    workloads: tuple[str, ...] = tuple(WORKLOADS)
    concurrency: tuple[int, ...] = (1,)
    # Threads answer less evenly than a loop: their sub-blocks are this much longer.
    stretch: int = 1


SUITES = (
    Suite("wsgi", "wsgi", "build_wsgi", WSGI_PEERS),
    Suite("asgi", "asgi", "build_asgi", ASGI_PEERS),
    Suite(
        "def-under-asgi",
        "asgi",
        "build_def_asgi",
        ("raw", "duoflask", "starlette", "fastapi"),
        ("plaintext",),
        (1, 16, 64),
        stretch=3,
    ),
    Suite(
        "async-under-wsgi",
        "wsgi",
        "build_async_wsgi",
        ("raw", "duoflask", "flask"),
        ("plaintext",),
        stretch=3,
    ),
)


class WrongAnswer(Exception):
    """A contestant answered something else than its workload asks for."""


@dataclass(slots=True)
class Contestant:
    name: str
    driver: WsgiDriver | AsgiDriver
    row: report.Row
    lifespan: Lifespan | None
    count: int = 1


class Runner:
    """Build, check and time the groups of the chosen suites."""

    def __init__(self, rounds: int, sub_block_seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.rounds = rounds
        self.sub_block_seconds = sub_block_seconds
        self.loop = loop
        self.rows: list[report.Row] = []

    def run(self, suite: Suite, names: Sequence[str]) -> None:
        for workload_name in suite.workloads:
            for concurrency in suite.concurrency:
                label = workload_name if len(suite.concurrency) == 1 else f"{workload_name}, {concurrency} at a time"
                self._run_group(suite, WORKLOADS[workload_name], concurrency, label, names)

    def _run_group(self, suite: Suite, workload: Workload, concurrency: int, label: str, names: Sequence[str]) -> None:
        contestants = []
        for name in names:
            if name not in suite.contestants:
                continue
            app = build(name, suite.builder, workload)
            if app is None:
                continue
            row = report.Row(suite.name, label, name)
            if suite.protocol == "wsgi":
                contestants.append(Contestant(name, WsgiDriver(app, workload), row, None))
            else:
                lifespan = Lifespan(app, self.loop)
                lifespan.start()
                driver = AsgiDriver(app, workload, self.loop, concurrency)
                contestants.append(Contestant(name, driver, row, lifespan))
        for contestant in contestants:
            _check(contestant, suite, workload)
            contestant.count = self._calibrate(contestant.driver, suite.stretch)
        gc.collect()
        gc.freeze()
        for turn in range(self.rounds):
            start = turn % len(contestants) if contestants else 0
            for contestant in contestants[start:] + contestants[:start]:
                contestant.row.rounds.append(self._block(contestant))
        gc.unfreeze()
        for contestant in contestants:
            self.rows.append(contestant.row)
            if contestant.lifespan is not None:
                contestant.lifespan.stop()

    def _calibrate(self, driver: WsgiDriver | AsgiDriver, stretch: int) -> int:
        """Return how many requests fill a sub-block; the search is the warm-up too."""
        wanted = self.sub_block_seconds * stretch
        count = 64
        while True:
            seconds = driver.time(count)
            if seconds >= wanted / 2:
                return max(64, int(count * wanted / seconds))
            count *= 2

    def _block(self, contestant: Contestant) -> float:
        gc.collect()
        time, count = contestant.driver.time, contestant.count
        return min(time(count) for _ in range(SUB_BLOCKS)) / count


def _check(contestant: Contestant, suite: Suite, workload: Workload) -> None:
    for index, path in enumerate(workload.paths):
        answer = contestant.driver.answer(index)
        problem = workload.check(index, answer)
        if problem is not None:
            raise WrongAnswer(f"{suite.name}, {contestant.name}, {path}: {problem}")
        if workload.keeps_cookie and index == 0:
            contestant.driver.send_cookie((answer.header("set-cookie") or "").partition(";")[0])


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inprocess", description=__doc__.partition(".")[0])
    parser.add_argument("--quick", action="store_true", help="shorter blocks: a look, not a figure to publish")
    parser.add_argument(
        "--only",
        metavar="NAME,...",
        default="",
        help="suites, workloads and contestants to keep, e.g. wsgi,plaintext,duoflask,falcon",
    )
    parser.add_argument("--protocol", choices=("wsgi", "asgi"), help="only the suites of this protocol")
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS, help="at least 7 (default: %(default)s)")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write every round's figures here")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is missed")
    options = parser.parse_args(arguments)
    if options.rounds < 7:
        parser.error(f"--rounds; expected at least 7; got {options.rounds}")
    return options


def _selection(only: str) -> tuple[list[Suite], list[str]]:
    """Apply `--only`: within suites, workloads and contestants, naming none of a kind keeps all of it."""
    wanted = [name for name in only.split(",") if name]
    suites = {suite.name for suite in SUITES}
    contestants = dict.fromkeys(name for suite in SUITES for name in suite.contestants)
    unknown = [name for name in wanted if name not in suites | WORKLOADS.keys() | contestants.keys()]
    if unknown:
        known = ", ".join([*sorted(suites), *WORKLOADS, *contestants])
        raise SystemExit(f"--only; expected some of {known}; got {', '.join(unknown)}")
    kept_suites = [suite for suite in SUITES if suite.name in wanted] or list(SUITES)
    workloads = [name for name in WORKLOADS if name in wanted] or list(WORKLOADS)
    names = [name for name in contestants if name in wanted] or list(contestants)
    chosen = []
    for suite in kept_suites:
        kept = tuple(name for name in suite.workloads if name in workloads)
        if kept:
            chosen.append(replace(suite, workloads=kept))
    return chosen, names


def _new_loop(name: str) -> asyncio.AbstractEventLoop:
    if name == "uvloop":
        loop: asyncio.AbstractEventLoop = importlib.import_module("uvloop").new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    command = " ".join(["python -m benchmarks.inprocess", *arguments])
    suites, names = _selection(options.only)
    names = report.available(names)
    write_file()
    logging.disable(logging.CRITICAL)  # one contestant that configures it would have all of them write their 404s
    loop = _new_loop(options.loop)
    seconds = QUICK_SUB_BLOCK_SECONDS if options.quick else SUB_BLOCK_SECONDS
    runner = Runner(options.rounds, seconds, loop)
    print(f"{report.header(command, options.loop, options.rounds)}\n", flush=True)
    try:
        for suite in suites:
            if options.protocol in (None, suite.protocol):
                sys.stderr.write(f"benchmarks: {suite.name} ...\n")
                runner.run(suite, names)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    print(report.tables(runner.rows))
    text, all_met = report.targets(runner.rows)
    print(f"\n{text}")
    if options.json is not None:
        options.json.write_text(json.dumps(report.as_json(runner.rows, command), indent=1) + "\n")
    return 1 if options.strict and not all_met else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
