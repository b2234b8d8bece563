"""How CPU time grows with the size of an input, asked so that other work on the machine does not decide the answer.

The goal is that twice the size takes at most 2.3 times as long, and `make fuzz`, which wants a quiet machine, asks for
that. `make test` lets 3.0 pass: the difference is noise of shared caches and processors. What is quadratic takes 4
times as long and fails under both; n ** 1.5 takes 2.83 times as long and fails under `make fuzz` alone.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable

MAX_RATIO = 2.3 if "DUOFLASK_FUZZ" in os.environ else 3.0
# Seconds for one of the units that sizes count. What takes less is as good as a copy, whose time jumps where the
# processor's caches end.
CHEAP = 10e-9
_ROUNDS = 12
_SECONDS_BETWEEN = 0.1
_LONG_SECONDS = 0.5  # is measured once a turn

# Takes a size, makes the input, and returns what is to be measured. It is called anew for each measurement.
Make = Callable[[int], Callable[[], object]]


def seconds_of(*works: Callable[[], object]) -> float:
    """Return the CPU time that this thread needs for these; the garbage collector keeps out of it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        begun = time.thread_time()
        for work in works:
            work()
        return time.thread_time() - begun
    finally:
        if enabled:
            gc.enable()


def growth(make: Make, size: int, *, doublings: int = 2, cheap: float = CHEAP) -> float:
    """Return how many times longer twice the size takes, as the mean over some doublings.

    The large size is measured in turns with several of the small one, which take about as long together: what else the
    machine does hits both alike. The least times of each count, and are asked for again as long as the answer is too
    large.

    Args:
        make: Makes what is measured.
        size: The small size.
        doublings: How often it is doubled for the large one; over a factor of 4 the steps of memory are evened out.
        cheap: Seconds for a unit of the size below which the answer is 2.
    """
    factor = 1 << doublings
    ratio = small = large = float("inf")
    for turn in range(_ROUNDS):
        if turn:
            time.sleep(_SECONDS_BETWEEN)
        for _ in range(2):  # the first may have to warm up
            large = min(large, seconds_of(make(size * factor)))
            if large < cheap * size * factor:
                return 2.0
            beside = [make(size) for _ in range(min(factor, 4))]
            small = min(small, seconds_of(*beside) / len(beside))
            if large > _LONG_SECONDS:
                break
        ratio = (large / max(small, 1e-7)) ** (1 / doublings)
        if ratio <= MAX_RATIO:
            break
    return ratio


def require_linear(make: Make, size: int, *, doublings: int = 2, cheap: float = CHEAP) -> None:
    """Fail if twice the size takes more than `MAX_RATIO` times as long; the arguments are those of `growth`."""
    ratio = growth(make, size, doublings=doublings, cheap=cheap)
    assert ratio <= MAX_RATIO, f"twice the size of {size} takes {ratio:.2f} times as long, expected {MAX_RATIO} at most"
