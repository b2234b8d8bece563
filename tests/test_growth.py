"""What the tests of linear time are worth: they let pass what is linear, and refuse what is not."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from .growth import MAX_RATIO, growth, require_linear, seconds_of


def linear(text: str) -> int:
    return sum(1 for _ in text)


def looks_back(text: str) -> object:
    """Quadratic as regular expressions are."""
    return re.search(r" +$", text + "x")


def looks_up_in_a_list(text: str) -> list[int]:
    seen: list[int] = []
    for number in range(len(text) // 64):
        if number not in seen:
            seen.append(number)
    return seen


def on_blanks(parse: Callable[[str], object]) -> Callable[[int], Callable[[], object]]:
    def make(size: int) -> Callable[[], object]:
        text = " " * size
        return lambda: parse(text)

    return make


@pytest.mark.measures
def test_linear_parser_passes() -> None:
    require_linear(on_blanks(linear), 20_000)


@pytest.mark.measures
@pytest.mark.parametrize(("parse", "size"), [(looks_back, 1_000), (looks_up_in_a_list, 40_000)])
def test_quadratic_parser_is_refused(
    monkeypatch: pytest.MonkeyPatch, parse: Callable[[str], object], size: int
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(AssertionError, match=r"takes [3-9]\.\d\d times as long, expected"):
        require_linear(on_blanks(parse), size)


def test_cheap_work_is_not_asked_twice() -> None:
    sizes: list[int] = []

    def make(size: int) -> Callable[[], object]:
        sizes.append(size)
        return lambda: None

    assert growth(make, 1 << 20) == 2.0
    assert sizes == [1 << 22]


def test_bound_tells_linear_from_quadratic() -> None:
    assert 2.3 <= MAX_RATIO <= 3.0
    assert seconds_of() < 1
