"""Broadcasts over each back end; the Redis servers are those of the tests of sessions."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from duoflask.broadcast import Broadcast

_spec = importlib.util.spec_from_file_location(
    "redis_for_tests", Path(__file__).parents[1] / "sessions" / "conftest.py"
)
assert _spec is not None and _spec.loader is not None
_sessions = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_sessions)

shared_redis = _sessions.shared_redis
own_redis = _sessions.own_redis


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Broadcast]]:
    """Make broadcasts of one kind, whose channels are this test's own; they are closed at its end."""
    made: list[Broadcast] = []

    def broadcast(kind: str = "memory", **options: Any) -> Broadcast:
        if kind == "redis":
            options.setdefault("prefix", f"{tmp_path}:")
            options.setdefault("timeout", 20.0)
            kind = request.getfixturevalue("shared_redis").url
        made.append(Broadcast(kind, **options))
        return made[-1]

    yield broadcast
    for one in made:
        one.close()


@pytest.fixture(params=["memory", "redis"])
def broadcast(request: pytest.FixtureRequest, make: Callable[..., Broadcast]) -> Broadcast:
    """A broadcast over each back end in turn."""
    return make(request.param)
