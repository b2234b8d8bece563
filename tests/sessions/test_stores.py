"""What every store promises: changes that touch what they name and nothing else, ends, locks, and no half writes."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from duoflask.sessions import Change, Record, Store, StoreUnavailable, make_store


def key(name: str) -> str:
    return sha256(name.encode()).hexdigest()


A, B = key("a"), key("b")
SOON = 100.0


def change(name: str = A, **fields: Any) -> Change:
    return Change(name, time.time() + fields.pop("seconds", SOON), **fields)


def values(store: Store, name: str = A) -> dict[str, str] | None:
    record = store.load(name)
    return None if record is None else record.values


def test_a_record_is_made_read_changed_and_deleted(store: Store) -> None:
    assert values(store) is None
    assert store.write(change(values={"n": "1", "ü": '"ö"'}, create=True))
    assert values(store) == {"n": "1", "ü": '"ö"'}
    assert store.write(change(values={"n": "2", "m": "3"}, removed=("ü", "unknown")))
    assert values(store) == {"n": "2", "m": "3"}
    assert store.delete(A)
    assert not store.delete(A)
    assert values(store) is None


def test_lone_surrogates_are_kept(store: Store) -> None:
    texts = {"\ud800": '"\udfff"', "\udc80x": "1", "?": "2", chr(0xFFFD): "3"}
    assert store.write(change(values=texts, create=True))
    assert values(store) == texts
    assert store.write(change(values={"\ud800": "4"}, removed=("\udc80x",)))
    assert values(store) == {"\ud800": "4", "?": "2", chr(0xFFFD): "3"}
    assert store.write(change(B, moved_from=A))
    assert values(store, B) == {"\ud800": "4", "?": "2", chr(0xFFFD): "3"}


def test_a_record_has_an_end(store: Store) -> None:
    store.write(change(values={"n": "1"}, create=True))
    record = store.load(A)
    assert isinstance(record, Record)
    assert record.expires == pytest.approx(time.time() + SOON, abs=3)
    store.write(change(seconds=1000))
    record = store.load(A)
    assert record is not None
    assert record.expires == pytest.approx(time.time() + 1000, abs=3)
    assert record.values == {"n": "1"}


def test_a_read_makes_no_record(store: Store) -> None:
    store.load(A)
    assert not store.write(change(values={"n": "1"}))
    assert values(store) is None


def test_a_missing_record_stays_missing_unless_it_is_to_be_made(store: Store) -> None:
    store.write(change(values={"n": "1"}, create=True))
    store.delete(A)
    assert not store.write(change(values={"n": "2"}))
    assert not store.write(change(B, values={"n": "2"}, moved_from=A))
    assert values(store) is None
    assert values(store, B) is None


def test_without_texts_a_record_is_gone(store: Store) -> None:
    store.write(change(values={"n": "1", "m": "2"}, create=True))
    assert store.write(change(removed=("n",)))
    assert not store.write(change(removed=("m",)))
    assert not store.write(change(values={"x": "1"}))


def test_replaced_record_holds_nothing_else(store: Store) -> None:
    store.write(change(values={"n": "1", "m": "2"}, create=True))
    assert store.write(change(values={"x": "3"}, replace=True, create=True))
    assert values(store) == {"x": "3"}
    assert not store.write(change(replace=True, create=True))
    assert values(store) is None


def test_moved_record_has_its_new_key_only(store: Store) -> None:
    store.write(change(values={"n": "1", "m": "2"}, create=True))
    assert store.write(change(B, values={"n": "3"}, removed=("m",), moved_from=A))
    assert values(store) is None
    assert values(store, B) == {"n": "3"}
    assert store.write(change(A, values={"y": "1"}, moved_from=B, replace=True, create=True))
    assert values(store, B) is None
    assert values(store) == {"y": "1"}


def test_ended_record_is_none(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(change(values={"n": "1"}, create=True, seconds=0.05))
    time.sleep(0.1)
    if type(store).__name__ == "CacheStore":  # whole seconds
        time.sleep(1)
    assert values(store) is None
    assert not store.write(change(values={"m": "1"}))
    assert store.write(change(values={"x": "1"}, create=True))
    assert values(store) == {"x": "1"}


def test_writers_of_different_names_lose_nothing(store: Store) -> None:
    store.write(change(values={"start": "0"}, create=True))

    def write(worker: int) -> None:
        for number in range(25):
            assert store.write(change(values={f"{worker}-{number}": str(number)}))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(store) == {"start": "0", **{f"{w}-{n}": str(n) for w in range(8) for n in range(25)}}


def test_two_stores_of_one_place_are_one(kind: str, make: Callable[..., Any], tmp_path: Path) -> None:
    if kind == "memory":
        pytest.skip("each is of its process")
    one, two = (make_store(make(kind), str(tmp_path), 2.0, "session:") for _ in range(2))
    one.write(change(values={"n": "1"}, create=True))
    two.write(change(values={"m": "2"}))
    assert values(one) == {"n": "1", "m": "2"}
    assert one.lock(A, "token", 10)
    assert not two.lock(A, "other", 10)
    one.close()
    two.close()


def test_lock_has_one_holder(store: Store) -> None:
    assert store.lock(A, "one", 10)
    assert not store.lock(A, "two", 10)
    assert store.lock(B, "two", 10)
    store.unlock(A, "two")
    assert not store.lock(A, "two", 10)
    store.unlock(A, "one")
    assert store.lock(A, "two", 10)


def test_lock_ends_by_itself(store: Store) -> None:
    if type(store).__name__ == "CacheStore":
        pytest.skip("whole seconds")
    assert store.lock(A, "one", 0.05)
    time.sleep(0.1)
    assert store.lock(A, "two", 10)
    store.unlock(A, "one")
    assert not store.lock(A, "three", 10)


def test_records_and_sweep(store: Store) -> None:
    if type(store).__name__ == "CacheStore":
        with pytest.raises(NotImplementedError, match="cannot list"):
            next(store.records())
        return
    store.write(change(A, values={"n": "1"}, create=True))
    store.write(change(B, values={"n": "1"}, create=True, seconds=0.05))
    time.sleep(0.1)
    found = dict(store.records())
    assert found.keys() == {A}
    assert found[A] == pytest.approx(time.time() + SOON, abs=3)
    assert store.sweep() == (0 if type(store).__name__ == "RedisStore" else 1)
    assert store.sweep() == 0
    assert values(store) == {"n": "1"}


@pytest.mark.parametrize("kind", ["memory", "files", "sqlite"])
def test_writes_sweep_now_and_then(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(store).__module__
    monkeypatch.setattr(f"{module}.SWEEP_SECONDS", -1)
    monkeypatch.setattr("duoflask.sessions.stores.files.randrange", lambda _: int(B[:2], 16))
    store.write(change(B, values={"n": "1"}, create=True, seconds=0.05))
    time.sleep(0.1)
    store.write(change(A, values={"n": "1"}, create=True))
    assert store.sweep() == 0


# -- SQLite


def test_sqlite_file_and_folder_are_for_their_owner_only(tmp_path: Path) -> None:
    store = make_store("sqlite:deep/er/s.db", str(tmp_path), 1.0, "")
    store.write(change(values={"n": "1"}, create=True))
    assert stat.S_IMODE((tmp_path / "deep/er/s.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "deep/er").stat().st_mode) == 0o700
    store.close()


def test_sqlite_that_stays_locked_is_unavailable(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = make_store(f"sqlite:{tmp_path / 's.db'}", "", 0.05, "")
    store.write(change(values={"n": "1"}, create=True))
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        store.write(change(values={"n": "2"}))
    assert values(store) == {"n": "1"}
    other.execute("ROLLBACK")
    other.close()
    assert store.write(change(values={"n": "2"}))
    assert f"the session store sqlite {tmp_path}/s.db is unavailable: OperationalError" in caplog.text
    store.close()


def test_sqlite_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "s.db").write_bytes(b"something else" * 100)
    store = make_store(f"sqlite:{tmp_path / 's.db'}", "", 0.05, "")
    with pytest.raises(StoreUnavailable):
        store.load(A)


def test_sqlite_change_is_whole_or_not_at_all(tmp_path: Path) -> None:
    store: Any = make_store(f"sqlite:{tmp_path / 's.db'}", "", 1, "")
    store.write(change(values={"n": "1"}, create=True))
    with store._connection() as connection:
        connection.execute(
            "CREATE TRIGGER refusing BEFORE INSERT ON item WHEN new.name = 'm' BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with pytest.raises(StoreUnavailable):
        store.write(change(values={"n": "2", "m": "3"}))
    assert values(store) == {"n": "1"}
    store.close()


# -- files


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    store = make_store(f"files:{tmp_path / 'sessions'}", "", 1, "")
    store.write(change(values={"n": "1"}, create=True))
    paths = [path for path in (tmp_path / "sessions").rglob("*") if path.suffix == ".json"]
    assert [path.name for path in paths] == [f"{A[2:]}.json"]
    assert stat.S_IMODE(paths[0].stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "sessions").stat().st_mode) == 0o700


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "null"])
def test_a_broken_file_is_no_session(tmp_path: Path, content: str) -> None:
    store: Any = make_store(f"files:{tmp_path}", "", 1, "")
    store.write(change(values={"n": "1"}, create=True))
    store._path(A).write_text(content)
    assert values(store) is None


def test_what_killed_writers_leave_is_swept(tmp_path: Path) -> None:
    store: Any = make_store(f"files:{tmp_path}", "", 1, "")
    store.write(change(values={"n": "1"}, create=True))
    left = store._path(A).with_name(f"{A[2:]}.123-4.new")
    left.write_text("{")
    store.sweep()
    assert left.exists()
    import os

    os.utime(left, (1, 1))
    assert store.sweep() == 0
    assert not left.exists()
    assert values(store) == {"n": "1"}


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = make_store(f"files:{tmp_path / 'file' / 'sessions'}", "", 1, "")
    with pytest.raises(StoreUnavailable):
        store.write(change(values={"n": "1"}, create=True))


# -- Redis


def test_redis_is_named_without_its_password() -> None:
    pytest.importorskip("redis")
    assert make_store("redis://user:secret@host:1/2", "", 1, "").name == "redis host:1/2"
    assert make_store("valkey://host", "", 1, "").name == "redis host"
    assert make_store("unix:///run/redis.sock", "", 1, "").name == "redis /run/redis.sock"
    assert make_store("redis", "", 1, "").name == "redis localhost:6379/0"


def test_redis_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    store = make_store(f"unix://{tmp_path}/none", "", 0.2, "")
    for attempt in (lambda: store.load(A), lambda: store.write(change()), lambda: store.delete(A)):
        with pytest.raises(StoreUnavailable):
            attempt()
    with pytest.raises(StoreUnavailable):
        list(store.records())


@pytest.mark.measures
def test_redis_that_does_not_answer_costs_one_timeout(own_redis: Any) -> None:
    store = make_store(own_redis.url, "", 1.0, "")
    store.write(change(values={"n": "1"}, create=True))
    own_redis.freeze()
    began = time.monotonic()
    with pytest.raises(StoreUnavailable):
        store.load(A)
    assert time.monotonic() - began < 1.9
    own_redis.thaw()
    assert values(store) == {"n": "1"}
    store.close()


@pytest.mark.measures
def test_silent_redis_costs_one_timeout_on_asyncio_too(own_redis: Any) -> None:
    store = make_store(own_redis.url, "", 1.0, "")

    async def main() -> None:
        await store.load_async(A)
        own_redis.freeze()
        for _ in range(2):  # an open connection, and one that is being made
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await store.load_async(A)
            assert time.monotonic() - began < 1.9
        own_redis.thaw()
        assert await store.load_async(A) is None
        await store.close_async()

    asyncio.run(main())


def test_redis_loses_no_cancellation(shared_redis: Any) -> None:
    store = make_store(shared_redis.url, "", 2.0, "")

    async def main() -> None:
        async def work() -> None:
            await store.load_async(A)
            await asyncio.sleep(10)

        for turns in range(25):
            task = asyncio.ensure_future(work())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=20)
            assert task.cancelled(), turns
        await store.close_async()

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # that the connections of those loops were never closed
def test_redis_keeps_nothing_of_loops_that_are_closed(shared_redis: Any) -> None:
    store = make_store(shared_redis.url, "", 2.0, "")
    for _ in range(5):
        asyncio.run(store.load_async(A))
    assert len(store._by_loop) == 1

    async def close() -> None:
        await store.load_async(A)
        await store.close_async()

    asyncio.run(close())
    assert not store._by_loop
    gc.collect()


def test_redis_that_moved_a_record_and_is_asked_again_says_so(shared_redis: Any) -> None:
    store = make_store(shared_redis.url, "", 2.0, "again:")
    store.write(change(values={"n": "1"}, create=True))
    move = Change(B, time.time() + 60, {"m": "2"}, moved_from=A)
    assert [store.write(move), store.write(move)] == [True, True]
    assert store.load(B).values == {"n": "1", "m": "2"}
    assert store.load(A) is None
    store.delete(B)
    store.close()


def test_redis_that_was_restarted_is_reached_at_once(own_redis: Any) -> None:
    store = make_store(own_redis.url, "", 1, "")
    store.write(change(values={"n": "1"}, create=True))
    own_redis.stop()
    with pytest.raises(StoreUnavailable):
        store.load(A)
    own_redis.start()
    assert values(store) is None
    assert store.write(change(values={"n": "1"}, create=True))
    store.close()


# -- settings


@pytest.mark.parametrize("setting", ["mongo", "sqlite:///relative", "files:///x", "", "redis2://host", "sqlite3"])
def test_unknown_store_is_an_error_that_lists_them(setting: str) -> None:
    with pytest.raises(ValueError, match=r"expected 'memory', 'files', .*'sqlite'"):
        make_store(setting, "/tmp", 1, "")


def test_other_objects_are_an_error() -> None:
    with pytest.raises(TypeError, match="expected a name, a Store or a cache of cachelib; got int"):
        make_store(5, "/tmp", 1, "")


def test_true_means_sqlite(tmp_path: Path) -> None:
    assert make_store(True, str(tmp_path), 1, "").name == f"sqlite {tmp_path}/sessions.sqlite3"


def test_redis_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    real = importlib.import_module

    def without(name: str, package: str | None = None) -> Any:
        if name == "redis":
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(RuntimeError, match=r"pip install duoflask\[redis\]"):
        make_store("redis://host", "", 1, "")


def test_a_store_of_ones_own_lacks_methods_by_name() -> None:
    store = Store()
    for attempt in (
        lambda: store.load(A),
        lambda: store.write(change()),
        lambda: store.lock(A, "", 1),
        lambda: store.unlock(A, ""),
        lambda: store.delete(A),
    ):
        with pytest.raises(NotImplementedError, match="write one"):
            attempt()
    assert store.sweep() == 0
    assert repr(store) == "<Store store>"
