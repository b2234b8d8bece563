"""No parser of the HTTP layer raises anything but its documented errors, or takes more than its time: see `targets.py`.

    python tests/fuzz/parsers.py NAME [-runs=N | -max_total_time=SECONDS] [libFuzzer's other options, or a file to try]
    python tests/fuzz/parsers.py all [the same]

The first fuzzes one parser, guided by coverage (atheris: `pip install atheris`, where it has a wheel); the second all
of them, as many at a time as there are processors, and tells how many runs each had. Both exit with another code than 0
on a finding. What was found is told, and kept in a file that NAME can be called with.
"""

# ruff: noqa: T201 - a program

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

try:
    import atheris  # type: ignore[import-not-found, import-untyped, unused-ignore]
except ImportError:
    atheris = None

if atheris is None or sys.argv[1:2] == ["all"]:
    import targets
else:
    with atheris.instrument_imports(include=["duoflask"]):
        import targets

_RUNS_RE = re.compile(r"^Done ([0-9]+) runs", re.MULTILINE)
_PROGRESS_RE = re.compile(r"^(?:#|INFO:).*\n", re.MULTILINE)
_WORD_RE = re.compile(rb"[A-Za-z0-9-]{2,40}|[^A-Za-z0-9]{1,2}")  # what seeds are made of
# Each parser's inputs that reach new code, from which the next run starts; `make clean` removes them.
_KEPT = Path(__file__).parents[2] / ".hypothesis" / "parsers"


def fuzz(name: str, arguments: Sequence[str]) -> None:
    """Fuzz one parser; does not return."""

    def run(data: bytes) -> None:
        try:
            targets.run_target(name, data)
        except BaseException:
            print(f"FINDING in {name}: {data!r}", file=sys.stderr)
            raise

    corpus, words = _KEPT / name, _KEPT / f"{name}.dict"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.seeds_of(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    found = sorted({word for seed in targets.seeds_of(name) for word in _WORD_RE.findall(seed)})
    words.write_text("".join(['"' + "".join([f"\\x{byte:02x}" for byte in word]) + '"\n' for word in found]))
    limits = [f"-max_len={targets.MAX_INPUT}", "-timeout=10", f"-dict={words}", f"-artifact_prefix={_KEPT}/{name}-"]
    folders = [] if any(not argument.startswith("-") for argument in arguments) else [str(corpus)]
    atheris.Setup([sys.argv[0], *limits, *arguments, *folders], run)
    atheris.Fuzz()


def _fuzz_in_process(name: str, arguments: Sequence[str]) -> tuple[str, int, str]:
    command = [sys.executable, __file__, name, *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    return name, done.returncode, _PROGRESS_RE.sub("", done.stdout)


def fuzz_all(arguments: Sequence[str]) -> int:
    """Fuzz each parser in a process of its own; return the exit code."""
    failed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, code, said in pool.map(lambda name: _fuzz_in_process(name, arguments), targets.TARGETS):
            runs = _RUNS_RE.search(said)
            if code or runs is None:
                failed.append(name)
                print(f"{name:22} FAILED\n{said[-6000:]}", flush=True)
            else:
                print(f"{name:22} {int(runs[1]):>10,} runs", flush=True)
    print(f"{len(targets.TARGETS)} parsers, " + (f"findings in {', '.join(failed)}" if failed else "no finding"))
    return bool(failed)


def main() -> int:
    """Do what the arguments say."""
    names = ("all", *targets.TARGETS)
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        print(f"{__doc__}\nNAME is one of {', '.join(names)}.", file=sys.stderr)
        return 2
    if atheris is None:
        print("*" * 100)
        print("The coverage-guided half of `make fuzz` is SKIPPED: no atheris; it has no wheel for each CPython.")
        print("*" * 100)
        return 0
    if sys.argv[1] == "all":
        return fuzz_all(sys.argv[2:])
    fuzz(sys.argv[1], sys.argv[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
