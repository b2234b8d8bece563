"""Sessions in Redis or Valkey: the store for several machines.

Owns the clients (a blocking one, and one for each asyncio loop) and the scripts by which a change is one step of the
server's. A session is a hash whose fields are its names; Redis deletes it when it ends.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Iterator
from time import time
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from ..store import Change, Record, Store

__all__ = ["RedisStore"]

# KEYS: the hash. What it holds, and for how many milliseconds still.
# PERF: as one text; redis-py takes 1.5 us for each item of a list (a session of 7,000 names: 25 ms instead of 6).
_LOAD: Final = "return {cjson.encode(redis.call('HGETALL', KEYS[1])), redis.call('PTTL', KEYS[1])}"

# KEYS: the hash, and the one that it has been so far. ARGV: the time to live in milliseconds, create, replace, how many
# names are removed, those names, then names and texts that are set. A record that has moved already has so by this very
# change: its answer was lost with the connection, and redis-py asks again.
_WRITE: Final = """
local exists = redis.call('EXISTS', KEYS[2]) == 1
if KEYS[1] ~= KEYS[2] and not exists then exists, KEYS[2] = redis.call('EXISTS', KEYS[1]) == 1, KEYS[1] end
if not exists and ARGV[2] == '0' then return 0 end
if ARGV[3] == '1' then
    redis.call('DEL', KEYS[2])
elseif exists and KEYS[1] ~= KEYS[2] then
    redis.call('RENAME', KEYS[2], KEYS[1])
end
local removed = tonumber(ARGV[4])
for i = 5, 4 + removed do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = 5 + removed, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""

# KEYS: the lock. ARGV: token, milliseconds. A holder who asks again, because the answer was lost, gets it again.
_LOCK: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

_UNLOCK: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

_SCRIPTS: Final = {"load": _LOAD, "write": _WRITE, "lock": _LOCK, "unlock": _UNLOCK}


class RedisStore(Store):
    """Keeps sessions in Redis or Valkey.

    Args:
        url: `redis://host:6379/0`, `rediss://...` (TLS) or `unix:///path/to/socket?db=0`, as redis-py reads it.
        timeout: How long to wait for a connection, and for an answer, in seconds.
        prefix: What the keys start with.

    Raises:
        RuntimeError: redis-py is not installed.
    """

    is_async: ClassVar[bool] = True

    def __init__(self, url: str = "redis://localhost:6379/0", timeout: float = 2.0, prefix: str = "session:") -> None:
        try:
            self._redis: Any = importlib.import_module("redis")
            self._redis_asyncio: Any = importlib.import_module("redis.asyncio")
        except ImportError:
            raise RuntimeError(
                "sessions in Redis need redis-py, which is not installed; do 'pip install duoflask[redis]'"
            ) from None
        self.url = "redis" + url.removeprefix("valkey") if url.startswith("valkey") else url
        self.timeout = timeout
        self.prefix = prefix
        parts = urlsplit(self.url)
        self.name = f"redis {parts.path if parts.scheme == 'unix' else parts.netloc.rpartition('@')[2] + parts.path}"
        self._troubles = (self._redis.RedisError, OSError)
        self._blocking: dict[str, Any] | None = None
        self._by_loop: dict[asyncio.AbstractEventLoop, dict[str, Any]] = {}

    # -- clients

    def _scripts(self) -> dict[str, Any]:
        """The scripts on the blocking client, made at the first use."""
        scripts = self._blocking
        if scripts is None:
            scripts = self._blocking = self._make(self._redis.Redis, "redis.retry")
        return scripts

    def _scripts_async(self) -> dict[str, Any]:
        """The scripts on the running loop's client."""
        loop = asyncio.get_running_loop()
        scripts = self._by_loop.get(loop)
        if scripts is None:
            for other in list(self._by_loop):
                if other.is_closed():  # without close_async(): a server without lifespan, a test's loop
                    self._by_loop.pop(other, None)
            scripts = self._by_loop[loop] = self._make(self._redis_asyncio.Redis, "redis.asyncio.retry")
        return scripts

    def _make(self, kind: Any, retry_module: str) -> dict[str, Any]:
        retry = importlib.import_module(retry_module).Retry
        no_backoff = importlib.import_module("redis.backoff").NoBackoff()
        client = kind.from_url(
            self.url,
            socket_timeout=self.timeout,
            socket_connect_timeout=self.timeout,
            encoding_errors="surrogatepass",  # as json.loads decodes; a name may come of a client's JSON
            # A connection that Redis has closed, by a restart, is replaced at once; silence is waited for only once.
            retry=retry(no_backoff, 1, (self._redis.ConnectionError,)),
        )
        return {"client": client, **{name: client.register_script(text) for name, text in _SCRIPTS.items()}}

    def _run(self, name: str, keys: list[str], args: list[Any]) -> Any:
        try:
            return self._scripts()[name](keys, args)
        except self._troubles as exc:
            raise self._unavailable(exc) from exc

    async def _run_async(self, name: str, keys: list[str], args: list[Any]) -> Any:
        task: Any = asyncio.current_task()
        cancelled = task.cancelling()
        try:
            # redis-py's asyncio client calls silence while it connects a ConnectionError, and would wait for it twice.
            async with asyncio.timeout(self.timeout):
                answer = await self._scripts_async()[name](keys, args)
        except TimeoutError:
            silence = TimeoutError(f"no answer within {self.timeout} s")
            raise self._unavailable(silence) from silence
        except self._troubles as exc:
            raise self._unavailable(exc) from exc
        if task.cancelling() > cancelled:  # redis-py uses asyncio.wait_for, which loses it before Python 3.12
            raise asyncio.CancelledError
        return answer

    # -- what is asked and answered, for both kinds of client

    def _load_call(self, key: str) -> tuple[str, list[str], list[Any]]:
        return "load", [self.prefix + key], []

    @staticmethod
    def _record(answer: Any) -> Record | None:
        pairs, milliseconds = answer
        texts = json.loads(pairs)
        if not texts:
            return None
        return Record(dict(zip(texts[::2], texts[1::2], strict=True)), time() + milliseconds / 1000)

    def _write_call(self, change: Change) -> tuple[str, list[str], list[Any]]:
        milliseconds = max(int((change.expires - time()) * 1000), 1)
        args: list[Any] = [milliseconds, int(change.create), int(change.replace), len(change.removed), *change.removed]
        for item in change.values.items():
            args += item
        return "write", [self.prefix + change.key, self.prefix + (change.moved_from or change.key)], args

    def _lock_call(self, key: str, token: str, seconds: float) -> tuple[str, list[str], list[Any]]:
        return "lock", [f"{self.prefix}{key}:lock"], [token, max(int(seconds * 1000), 1)]

    def _unlock_call(self, key: str, token: str) -> tuple[str, list[str], list[Any]]:
        return "unlock", [f"{self.prefix}{key}:lock"], [token]

    # -- the store's interface

    def load(self, key: str) -> Record | None:
        return self._record(self._run(*self._load_call(key)))

    async def load_async(self, key: str) -> Record | None:
        """`load` on the running asyncio loop."""
        return self._record(await self._run_async(*self._load_call(key)))

    def write(self, change: Change) -> bool:
        return bool(self._run(*self._write_call(change)) == 1)

    async def write_async(self, change: Change) -> bool:
        """`write` on the running asyncio loop."""
        return bool(await self._run_async(*self._write_call(change)) == 1)

    def lock(self, key: str, token: str, seconds: float) -> bool:
        return bool(self._run(*self._lock_call(key, token, seconds)) == 1)

    async def lock_async(self, key: str, token: str, seconds: float) -> bool:
        """`lock` on the running asyncio loop."""
        return bool(await self._run_async(*self._lock_call(key, token, seconds)) == 1)

    def unlock(self, key: str, token: str) -> None:
        self._run(*self._unlock_call(key, token))

    async def unlock_async(self, key: str, token: str) -> None:
        """`unlock` on the running asyncio loop."""
        await self._run_async(*self._unlock_call(key, token))

    def delete(self, key: str) -> bool:
        try:
            return self._scripts()["client"].delete(self.prefix + key) > 0  # type: ignore[no-any-return]
        except self._troubles as exc:
            raise self._unavailable(exc) from exc

    def records(self) -> Iterator[tuple[str, float]]:
        client = self._scripts()["client"]
        pattern = "".join(f"\\{char}" if char in "*?[]\\^" else char for char in self.prefix) + "*"
        try:
            for found in client.scan_iter(match=pattern, count=500):
                name = found.decode() if isinstance(found, bytes) else found
                milliseconds = client.pttl(name)
                if not name.endswith(":lock") and milliseconds > 0:
                    yield name.removeprefix(self.prefix), time() + milliseconds / 1000
        except self._troubles as exc:
            raise self._unavailable(exc) from exc

    def close(self) -> None:
        scripts, self._blocking = self._blocking, None
        if scripts is not None:
            scripts["client"].close()

    async def close_async(self) -> None:
        """Close the connections of the running asyncio loop."""
        scripts = self._by_loop.pop(asyncio.get_running_loop(), None)
        if scripts is not None:
            await scripts["client"].aclose()
