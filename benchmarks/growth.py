"""How cost grows: `python -m benchmarks.growth --help`.

Each series is one thing that grows (routes, hooks, a body, requests in flight, threads) with everything else as in
`benchmarks.inprocess`; and what a process costs before its first request. Times are CPU time, the best of several
blocks, so that a neighbour on the machine is not measured. What is counted in memory runs in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.transports import AsgiDriver, WsgiDriver
from benchmarks.workloads import Workload

__all__ = ["SERIES", "Point", "main"]

BLOCKS = 12
BLOCK_REQUESTS = 2000


@dataclass(frozen=True, slots=True)
class Point:
    """One measured value: of a series, for somebody, at a size."""

    series: str
    contestant: str
    size: int
    value: float
    unit: str


def _best(driver: WsgiDriver | AsgiDriver, requests: int = BLOCK_REQUESTS) -> float:
    """Return the microseconds of CPU time a request takes, the best of some blocks."""
    driver.time(min(requests, 200))
    best = float("inf")
    for _ in range(BLOCKS):
        began = time.process_time()
        driver.time(requests)
        best = min(best, (time.process_time() - began) / requests)
    return best * 1e6


# -- applications


def _duoflask() -> Any:
    from duoflask import DuoFlask

    return DuoFlask("growth", static_folder=None)


def _flask() -> Any:
    from flask import Flask

    return Flask("growth", static_folder=None)


def _add_routes(app: Any, count: int) -> list[str]:
    """Add as many rules; return some of the paths that they answer."""

    def view(id: int, slug: str) -> str:
        return slug

    paths = []
    for index in range(count):
        app.add_url_rule(f"/section{index}/<int:id>/posts/<slug>", f"view{index}", view)
        paths.append(f"/section{index}/{index}/posts/name{index}")
    return list(islice(cycle(paths[:: max(1, count // 512)]), 512))


def _falcon_with_routes(count: int) -> tuple[Any, list[str]]:
    import falcon

    class View:
        def on_get(self, req: Any, resp: Any, id: int, slug: str) -> None:
            resp.text = slug

    app = falcon.App()
    view = View()
    for index in range(count):
        app.add_route(f"/section{index}/{{id:int}}/posts/{{slug}}", view)
    paths = [f"/section{index}/{index}/posts/name{index}" for index in range(count)]
    return app, list(islice(cycle(paths[:: max(1, count // 512)]), 512))


def routes() -> list[Point]:
    """Time a request whose rule has two converters, among ever more rules."""
    points = []
    for count in (10, 100, 1000, 10_000):
        contestants: list[tuple[str, Any, list[str]]] = []
        for name, make in (("duoflask", _duoflask), ("flask", _flask)):
            app = make()
            paths = _add_routes(app, count)
            contestants.append((name, app, paths))
        contestants.append(("falcon", *_falcon_with_routes(count)))
        for name, app, paths in contestants:
            driver = WsgiDriver(app, Workload("routes", tuple(paths), (b"",) * len(paths)))
            points.append(Point("routes", name, count, _best(driver, 300 if name == "flask" else 1500), "us"))
    return points


def hooks() -> list[Point]:
    """Time a request with ever more before hooks, which do nothing."""
    points = []
    for count in (0, 1, 3, 10, 50):
        for name, make in (("duoflask", _duoflask), ("flask", _flask)):
            app = make()
            app.add_url_rule("/", "view", lambda: "text")
            for _ in range(count):
                app.before_request(lambda: None)
            driver = WsgiDriver(app, Workload("hooks", ("/",), (b"text",)))
            points.append(Point("hooks", name, count, _best(driver, 500), "us"))
    return points


def bodies() -> list[Point]:
    """Time a request whose body grows, and is read by the view as a whole."""
    points = []
    for size in (1 << 10, 1 << 15, 1 << 20, 10 << 20, 100 << 20):
        for name, make in (("duoflask", _duoflask), ("flask", _flask)):
            app = make()
            if name == "duoflask":
                from duoflask import request
            else:
                from flask import request  # type: ignore[assignment]

            def view(request: Any = request) -> str:
                return str(len(request.get_data()))

            app.add_url_rule("/", "view", view, methods=["POST"])
            driver = _BodyDriver(app, Workload("body", ("/",), (b"",), method="POST", request_body=bytes(size)))
            requests = max(1, min(500, (4 << 20) // size))
            points.append(Point("body bytes", name, size, _best(driver, requests), "us"))
    return points


class _Connection(io.RawIOBase):
    """A body as it comes from a socket: at most so much at a time, and each read copies."""

    def __init__(self, body: bytes) -> None:
        self._left = memoryview(body)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(len(buffer), len(self._left), 1 << 18)
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class _BodyDriver(WsgiDriver):
    """Reads the body as a server does; `io.BytesIO` would hand the very bytes on."""

    def __init__(self, app: Any, workload: Workload) -> None:
        def read(environ: dict[str, Any], start_response: Any) -> Any:
            environ["wsgi.input"] = io.BufferedReader(_Connection(workload.request_body))
            return app(environ, start_response)

        super().__init__(read, workload)


def threads() -> list[Point]:
    """Time requests of as many threads at once: the context stands on contextvars, not on thread ids."""
    points = []
    for count in (1, 4, 16, 64):
        for name, make in (("duoflask", _duoflask), ("flask", _flask)):
            app = make()
            app.add_url_rule("/", "view", lambda: "text")
            drivers = [WsgiDriver(app, Workload("threads", ("/",), (b"text",))) for _ in range(count)]
            drivers[0].time(100)
            requests, best = 6400 // count, float("inf")
            for _ in range(3):
                workers = [threading.Thread(target=driver.time, args=(requests,)) for driver in drivers]
                began = time.process_time()
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
                best = min(best, (time.process_time() - began) / (requests * count))
            points.append(Point("threads", name, count, best * 1e6, "us"))
    return points


# -- requests in flight, in a process of their own


def _awaiting_app(name: str) -> Any:
    if name == "duoflask":
        app = _duoflask()

        @app.get("/")  # type: ignore[untyped-decorator]
        async def view() -> str:
            await asyncio.sleep(0.01)
            return "text"

        return app
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def endpoint(request: Any) -> Any:
        await asyncio.sleep(0.01)
        return PlainTextResponse("text")

    return Starlette(routes=[Route("/", endpoint)])


def _peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status; the series needs Linux")


def _measure_in_flight(name: str, count: int) -> None:
    loop = asyncio.new_event_loop()
    app = _awaiting_app(name)
    workload = Workload("flight", ("/",), (b"text",))
    AsgiDriver(app, workload, loop, 8).time(64)
    driver = AsgiDriver(app, workload, loop, count)
    Path("/proc/self/clear_refs").write_text("5")
    before, began = _peak_bytes(), time.process_time()
    driver.time(count * 2)
    took = (time.process_time() - began) / (count * 2)
    sys.stdout.write(json.dumps({"us": took * 1e6, "bytes": (_peak_bytes() - before) / count}))


def in_flight() -> list[Point]:
    """Time and weigh requests that await 10 ms, ever more of them at once."""
    points = []
    for count in (1, 100, 1000, 10_000):
        for name in ("duoflask", "starlette"):
            if importlib.util.find_spec(name) is None:
                continue
            found = json.loads(_output("-m", "benchmarks.growth", "--in-flight", f"{name}:{count}"))
            points.append(Point("in flight", name, count, found["us"], "us"))
            if count >= 1000:  # below, an allocator's page says nothing of a request
                points.append(Point("in flight, memory", name, count, found["bytes"], "bytes"))
    return points


# -- a process


def _output(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, check=True, stdout=subprocess.PIPE
    ).stdout.decode()


_IMPORT = "import time; began = time.process_time(); import {0}; print((time.process_time() - began) * 1e3)"
_START = """
import time
import {0} as package
began = time.process_time()
app = package.Flask("start", static_folder=None)
for number in range(20):
    blueprint = package.Blueprint(f"b{{number}}", "start", url_prefix=f"/b{{number}}")
    for index in range(15):
        blueprint.add_url_rule(f"/v{{index}}/<int:id>", f"v{{index}}", lambda id: "text")
    app.register_blueprint(blueprint)
took = time.process_time() - began
for line in open("/proc/self/status"):
    if line.startswith("VmRSS:"):
        print(took * 1e3, int(line.split()[1]) / 1024)
"""


def process() -> list[Point]:
    """Time the import and the start of an app with 300 routes in 20 blueprints; weigh the idle process."""
    points = []
    for name in ("duoflask", "flask"):
        took = min(float(_output("-c", _IMPORT.format(name))) for _ in range(15))
        points.append(Point("import", name, 1, took, "ms"))
        starts = [_output("-c", _START.format(name)).split() for _ in range(7)]
        points.append(Point("start, 300 routes", name, 300, min(float(one[0]) for one in starts), "ms"))
        points.append(Point("idle memory", name, 1, min(float(one[1]) for one in starts), "MiB"))
    return points


SERIES: dict[str, Callable[[], list[Point]]] = {
    "routes": routes,
    "hooks": hooks,
    "bodies": bodies,
    "threads": threads,
    "in-flight": in_flight,
    "process": process,
}


def main(arguments: Sequence[str]) -> int:
    """Measure the series that are asked for and print them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.partition(":")[0])
    parser.add_argument("--only", choices=SERIES, action="append")
    parser.add_argument("--json", metavar="FILE", type=Path)
    parser.add_argument("--in-flight", metavar="NAME:COUNT", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.in_flight:
        name, _, count = options.in_flight.partition(":")
        _measure_in_flight(name, int(count))
        return 0
    points = [point for name in options.only or SERIES for point in SERIES[name]()]
    cells = [("series", "size", "contestant", "value", "unit")]
    cells += [(point.series, str(point.size), point.contestant, f"{point.value:.2f}", point.unit) for point in points]
    sys.stdout.write(
        report.header("python -m benchmarks.growth", "asyncio", BLOCKS) + "\n\n" + report.grid(cells) + "\n"
    )
    if options.json:
        options.json.write_text(json.dumps([vars_of(point) for point in points], indent=1))
    return 0


def vars_of(point: Point) -> dict[str, Any]:
    """Return a point as plain data."""
    return {name: getattr(point, name) for name in Point.__slots__}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
