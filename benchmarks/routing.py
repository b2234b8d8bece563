"""Time the router alone: `python -m benchmarks.routing --help`.

Owns no HTTP: rules go in, paths and values come out. Matching is compared at the level of the finder, where each
library hands over what was found: our `Map.find` (the rule for path *and* method, and the arguments; None on a miss),
Falcon's `CompiledRouter.find` (resource, methods and parameters; None on a miss; it leaves the method to its caller),
and Werkzeug's `MapAdapter.match` (raises NotFound, which its caller needs as well; `adapter` is our
`MapAdapter.match`, which does exactly the same work). `memory` is no router: it cuts the path, looks its section up in
one dictionary and hands the rule out, which is the least that any router touches for each of thousands of sections. By
what it grows from 10 to 10,000 rules, the processor waits for memory, and no search costs more.

Contestants take turns; in each round one runs every path of the workload several times, in blocks of which each is
timed, and the fastest time of a block counts. A block comes by again after all the other paths, so what thousands of
paths do to the caches is in its fastest time, too; what another program does to them, or an interruption, is not.
Building has one block, of the same URL.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import falcon.routing
import werkzeug.exceptions
import werkzeug.routing

import duoflask.http.errors
import duoflask.routing
from benchmarks.report import header

SIZES = (10, 300, 10_000)
PATH_COUNT = 4096
# It compares the literals at one place one after the other: with 10,000 rules it compiles for three minutes, and then
# takes 80 us and more.
FALCON_MOST = 1000
RUNS = 5
BLOCK = 128
BLOCKS = PATH_COUNT // BLOCK
SLOW = 0.1
Call = Callable[[Any], Any]


def rules(size: int, syntax: str) -> list[str]:
    """Return `size` rules, of which every third is static; `syntax` has two converters."""
    return [
        f"/section{index}/about" if index % 3 == 1 else syntax.replace("{section}", f"section{index}")
        for index in range(size)
    ]


def paths(size: int) -> dict[str, list[str]]:
    """Return the paths of each workload, spread over all rules."""
    dynamic = [index for index in range(size) if index % 3 != 1]
    static = [index for index in range(size) if index % 3 == 1]
    # A step that is prime to their number visits the rules out of order.
    spread = [(number, dynamic[number * 7919 % len(dynamic)]) for number in range(PATH_COUNT)]
    return {
        "static hit": [f"/section{static[number * 7919 % len(static)]}/about" for number in range(PATH_COUNT)],
        "two converters": [f"/section{section}/{1000 + number}/posts/post-{number}" for number, section in spread],
        "miss, first segment": [f"/nothing{number}/{section}/posts" for number, section in spread],
        "miss, last segment": [
            f"/section{section}/{1000 + number}/nothing/post-{number}" for number, section in spread
        ],
    }


class _Resource:
    def on_get(self, req: Any, resp: Any) -> None:
        pass


def our_map(size: int) -> Any:
    syntax = "/{section}/<int:id>/posts/<slug>"
    return duoflask.routing.Map(
        [duoflask.routing.Rule(rule, endpoint=rule, methods=["GET"]) for rule in rules(size, syntax)]
    )


def their_map(size: int) -> Any:
    syntax = "/{section}/<int:id>/posts/<slug>"
    return werkzeug.routing.Map(
        [werkzeug.routing.Rule(rule, endpoint=rule, methods=["GET"]) for rule in rules(size, syntax)]
    )


def falcon_router(size: int) -> Any:
    router = falcon.routing.CompiledRouter()
    for rule in rules(size, "/{section}/{id:int}/posts/{slug}"):
        router.add_route(rule, _Resource())
    return router


def finder(size: int) -> Call:
    find = our_map(size).find
    return lambda paths: [None for path in paths if find(path, "GET") is paths]


def adapter(size: int) -> Call:
    return _matching(our_map(size).bind("example.com").match, duoflask.http.errors.NotFound)


def memory(size: int) -> Call:
    """Touch what the path leads to, and do nothing else."""
    rules = {rule.rule.split("/")[1]: (rule, size) for rule in our_map(size).iter_rules()}

    def find(path: str, method: str) -> Any:
        segments = path.split("/")
        found = rules.get(segments[1])
        return None if found is None else (found[0], {})

    return lambda paths: [None for path in paths if find(path, "GET") is paths]


def compiled_router(size: int) -> Call:
    find = falcon_router(size).find
    return lambda paths: [None for path in paths if find(path) is paths]


def their_adapter(size: int) -> Call:
    return _matching(their_map(size).bind("example.com").match, werkzeug.exceptions.NotFound)


def _matching(match: Callable[[str, str], Any], missing: type[Exception]) -> Call:
    def run(paths: Sequence[str]) -> None:
        for path in paths:
            try:
                match(path, "GET")
            except missing:
                pass

    return run


CONTESTANTS: dict[str, Callable[[int], Call]] = {
    "duoflask": finder,
    "falcon": compiled_router,
    "adapter": adapter,
    "werkzeug": their_adapter,
    "memory": memory,
}
# What may be as fast as whom: the most of the other's time.
MATCH_GOALS = {"falcon": 1.0, "werkzeug": 0.2}
GROWTH_GOAL, GROWTH_SLACK = 1.3, 0.1

# endpoint, values, options of build
SHAPES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "no argument": ("static", {}, {}),
    "one int": ("one", {"id": 42}, {}),
    "two ints": ("two", {"id": 42, "page": 7}, {}),
    "two texts": ("texts", {"a": "abc", "b": "def"}, {}),
    "text to be quoted": ("text", {"a": "a b/ü"}, {}),
    "path": ("path", {"name": "css/site-1.css"}, {}),
    "query of one": ("one", {"id": 42, "page": 2}, {}),
    "query to be quoted": ("one", {"id": 42, "q": "a b&c", "next": "/x?y=1"}, {}),
    "query of a list": ("one", {"id": 42, "tag": ["a", "b", "c"]}, {}),
    "external": ("one", {"id": 42}, {"force_external": True}),
    "external, https": ("one", {"id": 42}, {"force_external": True, "url_scheme": "https"}),
    "defaults": ("paged", {"page": 1}, {}),
    "one of three rules": ("paged", {"page": 2, "size": 50}, {}),
    "uuid-like any": ("any", {"kind": "about"}, {}),
}
BUILD_RULES: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("/static/page", "static", None),
    ("/item/<int:id>", "one", None),
    ("/item/<int:id>/<int:page>", "two", None),
    ("/text/<a>", "text", None),
    ("/texts/<a>/x/<b>", "texts", None),
    ("/path/<path:name>", "path", None),
    ("/any/<any(about, help):kind>", "any", None),
    ("/paged/", "paged", {"page": 1}),
    ("/paged/<int:page>", "paged", None),
    ("/paged/<int:page>/<int:size>", "paged", None),
)
BUILD_GOAL = 0.2


def builder(module: Any) -> Any:
    """Return a bound map with the rules for building, among 300 others."""
    made = [module.Rule(rule, endpoint=name, defaults=values, methods=["GET"]) for rule, name, values in BUILD_RULES]
    made += [module.Rule(f"/other{number}/<int:id>", endpoint=f"other{number}") for number in range(300)]
    return module.Map(made).bind("example.com")


def _building(module: Any, shape: str) -> Call:
    build = builder(module).build
    endpoint, values, options = SHAPES[shape]

    def run(paths: Sequence[str]) -> None:
        for _ in paths:
            build(endpoint, values)

    def run_external(paths: Sequence[str]) -> None:
        for _ in paths:
            build(endpoint, values, force_external=True)

    def run_https(paths: Sequence[str]) -> None:
        for _ in paths:
            build(endpoint, values, force_external=True, url_scheme="https")

    return run if not options else run_https if "url_scheme" in options else run_external


def _measure(calls: dict[Any, tuple[Call, Sequence[str]]], rounds: int) -> dict[Any, float]:
    """Return the microseconds a piece of work, by contestant."""
    blocks = {
        name: [work[start : start + BLOCK] for start in range(0, len(work), BLOCK)] for name, (_, work) in calls.items()
    }
    best = {name: [float("inf")] * len(blocks[name]) for name in calls}
    for _ in range(rounds):
        for name, (call, work) in calls.items():
            call(work)
            for _ in range(RUNS):
                run = []
                for block in blocks[name]:
                    started = time.perf_counter()
                    call(block)
                    run.append(time.perf_counter() - started)
                best[name] = list(map(min, best[name], run))
                if sum(run) > SLOW:
                    break
    return {name: sum(times) / len(calls[name][1]) * 1e6 for name, times in best.items()}


def _check(size: int) -> None:
    """Hold all contestants to the same answers."""
    ours, theirs = our_map(size), their_map(size).bind("example.com")
    compiled = falcon_router(size) if size <= FALCON_MOST else None
    for name, work in paths(size).items():
        for path in work[::64]:
            found = ours.find(path, "GET")
            if name.startswith("miss"):
                assert found is None and not theirs.test(path), path
            else:
                assert found is not None and (found[0].endpoint, found[1]) == theirs.match(path), path
            if compiled is not None:
                answer = compiled.find(path)
                assert (answer and answer[2]) == (found and found[1]), path


def match_table(rounds: int, sizes: Sequence[int]) -> bool:
    """Print what a match costs; whether every goal is met."""
    met = True
    print("\n| match | rules | " + " | ".join(CONTESTANTS) + " | / falcon | / werkzeug | goals |")
    print("|---|---|" + "---|" * (len(CONTESTANTS) + 3))
    calls = {
        (name, size): make(size)
        for size in sizes
        for name, make in CONTESTANTS.items()
        if name != "falcon" or size <= FALCON_MOST
    }
    work = {size: paths(size) for size in sizes}
    for size in sizes:
        _check(size)
    gc.collect()
    gc.freeze()
    for workload in work[sizes[0]]:
        measured = {key: (call, work[key[1]][workload]) for key, call in calls.items()}
        found: dict[Any, float] = defaultdict(lambda: float("nan"), _measure(measured, rounds))
        for size in sizes:
            ours, first = found["duoflask", size], found["duoflask", sizes[0]]
            missed = [other for other, goal in MATCH_GOALS.items() if ours > goal * found[other, size]]
            if ours > max(first * GROWTH_GOAL, first + GROWTH_SLACK):
                waiting = found["memory", size] - found["memory", sizes[0]]
                missed.append(f"growth by {ours - first:.2f}, memory's {waiting:.2f}")
            met = met and not missed
            cells = [f"{found[other, size]:.2f}" for other in CONTESTANTS]
            ratios = [f"{ours / found[other, size]:.2f}" for other in MATCH_GOALS]
            verdict = "MISSED: " + ", ".join(missed) if missed else "met"
            line = " | ".join([*cells, *ratios]).replace("nan", "-")
            print(f"| {workload} | {size:,} | {line} | {verdict} |", flush=True)
    gc.unfreeze()
    return met


def build_table(rounds: int) -> bool:
    """Print what building costs; whether every goal is met."""
    met = True
    print("\n| build | duoflask | werkzeug | / werkzeug | goal 0.20 |\n|---|---|---|---|---|")
    for shape in SHAPES:
        endpoint, values, options = SHAPES[shape]
        wanted = builder(werkzeug.routing).build(endpoint, values, **options)
        assert builder(duoflask.routing).build(endpoint, values, **options) == wanted, shape
        calls = {"duoflask": _building(duoflask.routing, shape), "werkzeug": _building(werkzeug.routing, shape)}
        found = _measure({name: (call, [""] * BLOCK) for name, call in calls.items()}, rounds * BLOCKS)
        ratio = found["duoflask"] / found["werkzeug"]
        met = met and ratio <= BUILD_GOAL
        verdict = "met" if ratio <= BUILD_GOAL else "MISSED"
        print(f"| {shape} | {found['duoflask']:.2f} | {found['werkzeug']:.2f} | {ratio:.2f} | {verdict} |", flush=True)
    return met


def registration_table(size: int = 10_000) -> bool:
    """Print what registering rules costs, up to the first match; whether the goals are met."""
    print(f"\n| registering {size:,} rules | seconds | MiB |\n|---|---|---|")
    results = {}
    makers: dict[str, Callable[[int], Any]] = {"duoflask": our_map, "werkzeug": their_map}
    for name, make in makers.items():
        seconds = []
        for _ in range(3):
            started = time.process_time()
            _first_match(make(size))
            seconds.append(time.process_time() - started)
        gc.collect()
        tracemalloc.start()
        made = make(size)
        _first_match(made)
        memory = tracemalloc.get_traced_memory()[0] / 2**20
        tracemalloc.stop()
        results[name] = (min(seconds), memory)
        print(f"| {name} | {min(seconds):.2f} | {memory:.1f} |", flush=True)
    return results["duoflask"][0] < 1 and results["duoflask"][1] < 20


def _first_match(made: Any) -> None:
    if isinstance(made, werkzeug.routing.Map):
        made.bind("example.com").match("/section1/about")
    else:
        made.find("/section1/about", "GET")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description=(__doc__ or "").partition(".")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=("match", "build", "register"))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="RULES")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a goal is missed")
    options = parser.parse_args(arguments)
    figures = f"us a path, the fastest of {options.rounds * RUNS} runs, block by block of {BLOCK} paths"
    print(header(" ".join(["python -m benchmarks.routing", *arguments]), "none", options.rounds, figures))
    met = True
    if options.only in (None, "match"):
        met = match_table(options.rounds, options.sizes) and met
    if options.only in (None, "build"):
        met = build_table(options.rounds) and met
    if options.only in (None, "register"):
        met = registration_table() and met
    print("\nevery goal is met" if met else "\nsome goal is MISSED")
    return 1 if options.strict and not met else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
