"""The targets of the coverage-guided fuzzer hold on their seeds and on 200 random inputs (without atheris)."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from types import ModuleType

import pytest


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_targets", Path(__file__).with_name("targets.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


targets = load()
_MARKS = [bytes((byte,)) for byte in b"\"\\'=;, \t\r\n%*/:&?#[]{}<>()@+-.0a\0\x7f\xc3\xa9\xff"]


def mutated(draw: random.Random, seed: bytes) -> bytes:
    data = bytearray(seed)
    for _ in range(draw.randint(1, 6)):
        place = draw.randint(0, len(data))
        way = draw.randrange(4)
        if way == 0:
            data[place : place + draw.randint(1, 4)] = b""
        elif way == 1:
            data[place:place] = draw.choice(_MARKS) * draw.choice((1, 1, 2, 40))
        elif way == 2:
            data[place:place] = data[draw.randint(0, len(data)) :][: draw.randint(1, 20)]
        else:
            data[place : place + 1] = draw.randbytes(1)
    return bytes(data)


@pytest.mark.parametrize("name", targets.TARGETS)
def test_parser_holds_what_its_target_says(name: str) -> None:
    draw = random.Random(name)
    seeds = targets.seeds_of(name)
    for seed in seeds:
        targets.run_target(name, seed)
    for _ in range(200):
        targets.run_target(name, mutated(draw, draw.choice(seeds)))


def test_a_finding_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(data: bytes) -> None:
        raise ValueError(data)

    monkeypatch.setitem(targets.TARGETS, "bad", (failing, ()))
    with pytest.raises(ValueError, match="x"):
        targets.run_target("bad", b"x")


def test_a_parser_that_takes_its_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "SECONDS_PER_KIB", 1e-9)
    with pytest.raises(AssertionError, match=r"took .* s for 3 bytes"):
        targets.run_target("json_body", b"[1]")
