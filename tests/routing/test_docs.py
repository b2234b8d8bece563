"""The examples of docs/routing.md."""

from __future__ import annotations

import doctest
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_examples_of_the_routing_page_are_right() -> None:
    failures, tried = doctest.testfile(
        str(DOCS / "routing.md"),
        module_relative=False,
        optionflags=doctest.ELLIPSIS,
        encoding="utf-8",
    )
    assert tried > 15
    assert not failures
