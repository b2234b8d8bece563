"""Run the benchmarks over real servers: `python -m benchmarks.served --help`. Linux only.

Theory of operation. A setup is a server with its options; all contestants of a setup's workload are started at once,
each in a process of its own, and their answers are checked. Then they take turns: in each round every contestant gets
one burst of requests from `benchmarks.load`, and the next round begins with another of them. What counts is the user
and system CPU time of the server's processes, divided by the requests that were answered: on a machine that the load
generator shares with the server, requests per second say as much about the generator.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import report
from benchmarks.apps import ASGI_PEERS, WSGI_PEERS, takes_part
from benchmarks.load import Load, fetch
from benchmarks.workloads import WORKLOADS, Workload

PYTHON = sys.executable
START_SECONDS = 30
DEFAULT_ROUNDS = 9
DEFAULT_SECONDS = 0.7

_GUNICORN = (PYTHON, "-m", "gunicorn", "-b", "127.0.0.1:{port}", "-w", "1", "benchmarks.served_app:application")
_UVICORN = (PYTHON, "-m", "uvicorn", "--port", "{port}", "--no-access-log", "--log-level", "warning")
_GRANIAN = (PYTHON, "-m", "granian", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--no-access-log")
_TARGET = "benchmarks.served_app:application"
_BUILT_IN = (
    PYTHON,
    "-c",
    (
        "from benchmarks.served_app import application; from duoflask.server import run; "
        "run(application, port={port}, access_log=False)"
    ),
)

_PLAIN = ("plaintext", "json", "params")


@dataclass(frozen=True, slots=True)
class Setup:
    """A server's command line, who runs on it, and how it is asked."""

    name: str
    command: tuple[str, ...]
    builder: str
    contestants: tuple[str, ...]
    workloads: tuple[str, ...] = _PLAIN
    connections: int = 32
    keep_alive: bool = True


SETUPS = (
    Setup("gunicorn-sync", (*_GUNICORN, "-k", "sync"), "build_wsgi", WSGI_PEERS, connections=4, keep_alive=False),
    Setup("gunicorn-gthread", (*_GUNICORN, "-k", "gthread", "--threads", "4"), "build_wsgi", WSGI_PEERS, connections=4),
    Setup("granian-wsgi", (*_GRANIAN, "--interface", "wsgi", _TARGET), "build_wsgi", WSGI_PEERS),
    Setup("uvicorn", (*_UVICORN, "--loop", "uvloop", "--http", "httptools", _TARGET), "build_asgi", ASGI_PEERS),
    Setup("granian-asgi", (*_GRANIAN, "--interface", "asgi", _TARGET), "build_asgi", ASGI_PEERS),
    Setup("uvicorn-h11", (*_UVICORN, "--loop", "asyncio", "--http", "h11", _TARGET), "build_asgi", ("raw", "duoflask")),
    Setup("built-in", _BUILT_IN, "build_asgi", ("raw", "duoflask")),
    Setup(
        "def-under-uvicorn",
        (*_UVICORN, "--loop", "uvloop", "--http", "httptools", _TARGET),
        "build_def_asgi",
        ("raw", "duoflask", "starlette", "fastapi"),
        ("plaintext",),
        connections=64,
    ),
    Setup(
        "async-under-gthread",
        (*_GUNICORN, "-k", "gthread", "--threads", "4"),
        "build_async_wsgi",
        ("raw", "duoflask", "flask"),
        ("plaintext",),
        connections=4,
    ),
)


@dataclass(slots=True)
class Contestant:
    """One server with its application, and what was measured of it."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    load: Load
    cpu: list[float] = field(default_factory=list)  # seconds a request, one figure a round
    rate: list[float] = field(default_factory=list)  # requests a second
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its children, all threads, in seconds."""
    total, pids = 0, [pid]
    while pids:
        current = pids.pop()
        try:
            for task in Path(f"/proc/{current}/task").iterdir():
                total += int((task / "schedstat").read_text().split()[0])
                pids += [int(child) for child in (task / "children").read_text().split()]
        except FileNotFoundError:  # it has just ended
            continue
    return total / 1e9


def _start(setup: Setup, name: str, workload: Workload, stack: ExitStack) -> Contestant:
    port = _free_port()
    command = [part.replace("{port}", str(port)) for part in setup.command]
    environment = {**os.environ, "SERVED": f"{name}:{setup.builder}:{workload.name}", "PYTHONPATH": os.getcwd()}
    log = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    stack.callback(_stop, process)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            said = log.read().decode(errors="replace")
            raise SystemExit(f"{setup.name}, {name}: the server does not start: {' '.join(command)}\n{said}")
        time.sleep(0.05)
    return Contestant(name, process, port, Load(port, workload, setup.connections, setup.keep_alive))


def _answers(port: int) -> bool:
    """Whether a worker answers: gunicorn listens before it has one."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return sock.recv(1) != b""
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(10)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


async def _run(setup: Setup, workload: Workload, names: Sequence[str], rounds: int, seconds: float) -> list[Contestant]:
    with ExitStack() as stack:
        contestants = [_start(setup, name, workload, stack) for name in names]
        for contestant in contestants:
            for index in range(0, len(workload.paths), max(1, len(workload.paths) // 8)):
                answer = await fetch(contestant.port, workload, index)
                problem = workload.check(index, answer)
                if problem is not None:
                    raise SystemExit(f"{setup.name}, {contestant.name}, {workload.paths[index]}: {problem}")
                if len(workload.paths) == 1:
                    contestant.load.expect([answer.body])
            await contestant.load.run(seconds)  # the warm-up
        for turn in range(rounds):
            start = turn % len(contestants)
            for contestant in contestants[start:] + contestants[:start]:
                await _burst(contestant, seconds)
    return contestants


async def _burst(contestant: Contestant, seconds: float) -> None:
    before = _cpu_seconds(contestant.process.pid)
    outcome = await contestant.load.run(seconds)
    contestant.cpu.append((_cpu_seconds(contestant.process.pid) - before) / outcome.requests)
    contestant.rate.append(outcome.requests / outcome.seconds)
    contestant.p50.append(outcome.quantile(0.5))
    contestant.p99.append(outcome.quantile(0.99))


def _rows(setup: Setup, workload: Workload, contestants: Sequence[Contestant]) -> list[tuple[str, ...]]:
    raw = next((item.cpu for item in contestants if item.name == "raw"), None)
    rows = []
    for item in sorted(contestants, key=lambda item: median(item.cpu)):
        cpu = median(item.cpu)
        # round by round: the machine's speed changes between them
        ratio = median(own / floor for own, floor in zip(item.cpu, raw)) if raw else None
        rows.append(
            (
                setup.name,
                workload.name,
                item.name,
                f"{cpu * 1e6:.1f}",
                f"{(max(item.cpu) - min(item.cpu)) / cpu:.0%}",
                f"{ratio:.2f}" if ratio is not None else "-",
                f"{median(item.rate):.0f}",
                f"{median(item.p50) * 1e3:.2f}",
                f"{median(item.p99) * 1e3:.2f}",
            )
        )
    return rows


def _as_json(setup: Setup, workload: str, one: Contestant) -> dict[str, Any]:
    return {
        "setup": setup.name,
        "workload": workload,
        "contestant": one.name,
        "cpu_us": [round(seconds * 1e6, 2) for seconds in one.cpu],
        "requests_per_second": [round(rate) for rate in one.rate],
        "p50_ms": [round(seconds * 1e3, 3) for seconds in one.p50],
        "p99_ms": [round(seconds * 1e3, 3) for seconds in one.p99],
    }


# Of a setup: (figure, contestant, the most that duoflask's may be of the contestant's); "" is every peer.
GOALS = {
    **dict.fromkeys(("gunicorn-sync", "gunicorn-gthread"), (("cpu_us", "raw", 1 / 0.95), ("cpu_us", "", 1.0))),
    "uvicorn": (("cpu_us", "raw", 1 / 0.9), ("cpu_us", "", 1.0)),
    "def-under-uvicorn": (("seconds_a_request", "starlette", 1 / 2.2), ("seconds_a_request", "raw", 1 / 0.75)),
    "async-under-gthread": (("cpu_us", "flask", 1 / 2.5),),
}


def goals(kept: Sequence[dict[str, Any]]) -> str:
    """Compare duoflask with the goals for real servers, by the median of the rounds' ratios."""
    cells: list[tuple[str, ...]] = [("setup", "workload", "figure", "against", "goal", "reached", "verdict")]
    for own in kept:
        if own["contestant"] != "duoflask":
            continue
        others = [one for one in kept if (one["setup"], one["workload"]) == (own["setup"], own["workload"])]
        for figure, name, limit in GOALS.get(own["setup"], ()):
            for other in others:
                if other["contestant"] != name and (name or other["contestant"] in ("raw", "duoflask")):
                    continue
                if figure == "cpu_us":
                    pairs = zip(own["cpu_us"], other["cpu_us"])
                else:
                    pairs = zip(other["requests_per_second"], own["requests_per_second"])
                ratio = median(ours / theirs for ours, theirs in pairs)
                verdict = "met" if ratio <= limit else "MISSED"
                where = (own["setup"], own["workload"], figure, other["contestant"])
                cells.append((*where, f"<= {limit:.2f}", f"{ratio:.2f}", verdict))
    return f"## goals\n\n{report.grid(cells)}"


HEADINGS = ("setup", "workload", "contestant", "CPU us", "spread", "x raw", "requests/s", "p50 ms", "p99 ms")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.served", description=__doc__.partition(".")[0])
    parser.add_argument("--only", default="", metavar="NAME,...", help="setups, workloads and contestants to keep")
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS)
    parser.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="of each burst (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write every round's figures here")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for and print the table."""
    options = _parse(arguments)
    wanted = set(filter(None, options.only.split(",")))
    names = {name for setup in SETUPS for name in setup.contestants}
    loop_name, run = "asyncio", asyncio.run
    try:
        import uvloop

        loop_name, run = "uvloop", uvloop.run  # of the load generator
    except ImportError:
        pass
    command = " ".join(["python -m benchmarks.served", *arguments])
    sys.stdout.write(report.header(command, loop_name, options.rounds) + "\n\n")
    cells: list[tuple[str, ...]] = [HEADINGS]
    kept: list[dict[str, Any]] = []
    for setup in [one for one in SETUPS if one.name in wanted] or SETUPS:
        for name in [one for one in setup.workloads if one in wanted] or setup.workloads:
            chosen = [one for one in setup.contestants if one in wanted or not wanted & names]
            chosen = [one for one in report.available(chosen) if takes_part(one, setup.builder, WORKLOADS[name])]
            found = run(_run(setup, WORKLOADS[name], chosen, options.rounds, options.seconds))
            cells += _rows(setup, WORKLOADS[name], found)
            kept += [_as_json(setup, name, one) for one in found]
    sys.stdout.write(f"{report.grid(cells)}\n\n{goals(kept)}\n")
    if options.json:
        options.json.write_text(json.dumps(kept, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
