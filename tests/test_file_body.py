"""What carries a file's bytes: `FileBody`, and what each gateway does with it."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import duoflask
from duoflask import DuoFlask, Response, g
from duoflask.file_body import BLOCK_BYTES, MAX_READ_AT_ONCE, FileBody, FileTruncated, read_exactly
from duoflask.files import send_file
from duoflask.testing import create_environ

BIG = os.urandom(3 * BLOCK_BYTES + 17)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.bin"
    path.write_bytes(BIG)
    return path


def _open_files(path: Path) -> int:
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += os.readlink(entry).startswith(str(path.parent))
    return found


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert _open_files(tmp_path / "any") == 0


def _app(path: Path, ended: list[BaseException | None], colour: str = "def", **options: Any) -> DuoFlask:
    app = DuoFlask(__name__)
    app.logger.disabled = True

    @app.teardown_request
    def note(error: BaseException | None) -> None:
        ended.append(error)

    if colour == "def":
        app.add_url_rule("/", "view", lambda: send_file(path, **options))
    else:

        async def view() -> Response:
            return send_file(path, **options)

        app.add_url_rule("/", "view", view)
    return app


# -- the body itself


def test_part_of_a_file_is_iterated_and_read(big: Path) -> None:
    body = FileBody(os.open(big, os.O_RDONLY), 10, BLOCK_BYTES + 5)
    blocks = list(body)
    assert [len(block) for block in blocks] == [BLOCK_BYTES, 5]
    assert b"".join(blocks) == BIG[10 : BLOCK_BYTES + 15]
    assert body.read(1) == b""
    assert body.seekable()
    assert body.seek(3) == 3
    assert (body.read(4), body.read(0)) == (BIG[13:17], b"")
    assert body.read() == BIG[17 : BLOCK_BYTES + 15]
    body.close()
    body.close()


def test_body_of_an_unknown_length_gives_what_is_there() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb", buffering=0) as pipe:
        body = FileBody(os.fdopen(reader, "rb"))
        pieces = iter(body)
        for piece in (b"one", b"two"):
            pipe.write(piece)
            assert next(pieces) == piece
    assert list(pieces) == []
    assert not body.seekable()
    assert not body.is_short
    body.close()


def test_file_that_has_become_shorter_raises(big: Path) -> None:
    body = FileBody(os.open(big, os.O_RDONLY), 0, len(BIG), str(big))
    os.truncate(big, BLOCK_BYTES + 1)
    seen = []
    with pytest.raises(FileTruncated, match=r"big.bin' became shorter while it was sent; \d+ bytes are missing"):
        for block in body:
            seen.append(len(block))
    assert seen == [BLOCK_BYTES, 1]
    with pytest.raises(FileTruncated):
        body.drain()
    body.close()
    descriptor = os.open(big, os.O_RDONLY)
    with pytest.raises(FileTruncated):
        read_exactly(descriptor, BLOCK_BYTES + 2, str(big))
    os.close(descriptor)


def test_file_that_grows_is_sent_as_announced(big: Path) -> None:
    body = FileBody(os.open(big, os.O_RDONLY), 0, len(BIG))
    with big.open("ab") as more:
        more.write(b"more")
    assert body.drain() == BIG


def test_short_reads_are_put_together(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: real(descriptor, min(size, 1000)))
    descriptor = os.open(big, os.O_RDONLY)
    assert read_exactly(descriptor, 5000, "x") == BIG[:5000]
    os.close(descriptor)


def test_body_that_nobody_closes_gives_its_descriptor_back(big: Path) -> None:
    body = FileBody(os.open(big, os.O_RDONLY), 0, len(BIG))
    assert _open_files(big) == 1
    del body
    assert _open_files(big) == 0
    file = BytesIO(BIG)
    FileBody(file, 0, 5)
    assert not file.closed


# -- a client that leaves, a file that changes, under both protocols


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_server_that_gives_the_body_up_ends_the_request(big: Path, colour: str, wsgi_call: type[Any]) -> None:
    ended: list[BaseException | None] = []
    call = wsgi_call(_app(big, ended, colour))
    assert next(iter(call.body)) == BIG[:BLOCK_BYTES]
    call.close()
    assert ended == [None]
    call = wsgi_call(_app(big, ended, colour))
    call.close()
    assert ended == [None, None]


@pytest.mark.anyio
@pytest.mark.parametrize("colour", ["def", "async def"])
async def test_client_that_leaves_midway_ends_the_request(big: Path, colour: str, channel: type[Any]) -> None:
    ended: list[BaseException | None] = []

    async def fail(message: dict[str, Any]) -> None:
        if len(made.sent) == 2:
            raise ConnectionResetError("gone")

    made = channel(on_send=fail)
    with contextlib.suppress(ConnectionResetError):
        await made.serve(_app(big, ended, colour))
    assert len(ended) == 1
    assert _open_files(big) == 0


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_truncated_file_never_looks_complete_under_wsgi(big: Path, colour: str, wsgi_call: type[Any]) -> None:
    ended: list[BaseException | None] = []
    call = wsgi_call(_app(big, ended, colour))
    os.truncate(big, BLOCK_BYTES + 1)
    with pytest.raises(FileTruncated):
        list(call.body)
    with contextlib.suppress(FileTruncated):
        call.close()
    assert [type(error) for error in ended] == [FileTruncated]
    ended.clear()


@pytest.mark.anyio
@pytest.mark.parametrize("colour", ["def", "async def"])
async def test_truncated_file_never_looks_complete_under_asgi(big: Path, colour: str, channel: type[Any]) -> None:
    ended: list[BaseException | None] = []

    async def truncate(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            os.truncate(big, BLOCK_BYTES + 1)

    made = channel(on_send=truncate)
    with pytest.raises(FileTruncated):
        await made.serve(_app(big, ended, colour))
    assert made.sent[-1]["more_body"] is True
    assert [type(error) for error in ended] == [FileTruncated]
    ended.clear()


def test_growing_file_is_cut_at_its_length(big: Path, client: Callable[..., Any]) -> None:
    app = _app(big, [])

    @app.after_request
    def grow(response: Response) -> Response:
        with big.open("ab") as file:
            file.write(b"more" * 100)
        return response

    answer = client(app).get("/")
    assert answer.data == BIG
    assert answer.headers["Content-Length"] == str(len(BIG))


def test_file_shorter_than_its_size_is_a_500_while_nothing_is_sent(
    tmp_path: Path, client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = tmp_path / "short.bin"
    short.write_bytes(b"x" * 100)
    real = os.fstat

    class Larger:
        def __init__(self, found: os.stat_result) -> None:
            self.found = found
            self.st_size = found.st_size + 1

        def __getattr__(self, name: str) -> Any:
            return getattr(self.found, name)

    app = _app(short, [])
    monkeypatch.setattr("duoflask.files.os.fstat", lambda descriptor: Larger(real(descriptor)))
    assert client(app).get("/").status_code == 500


# -- wsgi.file_wrapper (PEP 3333)


class Wrapper:
    """What gunicorn's `wsgi.file_wrapper` is."""

    def __init__(self, filelike: Any, blksize: int = 8192) -> None:
        self.filelike = filelike
        self.blksize = blksize
        self.close = filelike.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.filelike.read(self.blksize), b"")


def _call(app: DuoFlask, wrapper: Any = Wrapper, **options: Any) -> tuple[str, dict[str, str], Any]:
    started: list[Any] = []
    environ = create_environ("/", **options)
    environ["wsgi.file_wrapper"] = wrapper
    body = app(environ, lambda status, headers, exc_info=None: started.append((status, headers)))
    return started[0][0], dict(started[0][1]), body


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_server_gets_the_file_itself(big: Path, colour: str) -> None:
    ended: list[BaseException | None] = []
    _, headers, body = _call(_app(big, ended, colour))
    assert type(body) is Wrapper
    assert headers["Content-Length"] == str(len(BIG))
    assert os.pread(body.filelike.fileno(), len(BIG), 0) == BIG
    assert os.lseek(body.filelike.fileno(), 0, os.SEEK_CUR) == 0
    assert not hasattr(body.filelike, "seek")  # waitress would end the request in its main thread
    assert ended == []
    body.close()
    body.close()
    assert ended == [None]


def test_server_may_read_the_file_through_the_wrapper(big: Path) -> None:
    ended: list[BaseException | None] = []
    _, _, body = _call(_app(big, ended))
    assert b"".join(body) == BIG
    body.close()
    assert ended == [None]


def test_truncated_file_that_the_server_has_sent_is_an_error_at_the_end(big: Path) -> None:
    ended: list[BaseException | None] = []
    _, _, body = _call(_app(big, ended))
    os.truncate(big, 10)
    with pytest.raises(FileTruncated):
        body.close()
    assert [type(error) for error in ended] == [FileTruncated]
    ended.clear()
    big.write_bytes(BIG)
    _, _, body = _call(_app(big, ended))
    os.truncate(big, BLOCK_BYTES)
    with pytest.raises(FileTruncated):
        list(body)
    with pytest.raises(FileTruncated):
        body.close()
    assert [type(error) for error in ended] == [FileTruncated]
    ended.clear()


@pytest.mark.parametrize(
    "options",
    [{"method": "HEAD"}, {"headers": {"Range": "bytes=1-"}}, {"headers": {"If-None-Match": "*"}}],
    ids=["HEAD", "range", "not modified"],
)
def test_server_gets_whole_files_only(big: Path, options: dict[str, Any]) -> None:
    _, _, body = _call(_app(big, []), **options)
    assert type(body) is not Wrapper
    list(body)
    getattr(body, "close", lambda: None)()


def test_response_that_is_no_file_any_more_is_not_wrapped(big: Path) -> None:
    app = _app(big, [])

    @app.after_request
    def double(response: Response) -> Response:
        inner = response.response
        response.response = (block * 2 for block in inner)
        response.headers.remove("Content-Length")
        response.call_on_close(inner.close)
        return response

    _, _, body = _call(app)
    assert type(body) is not Wrapper
    assert len(b"".join(body)) == 2 * len(BIG)
    body.close()


# -- http.response.pathsend (ASGI)


@pytest.mark.anyio
@pytest.mark.parametrize("colour", ["def", "async def"])
async def test_server_gets_the_path(big: Path, colour: str, channel: type[Any]) -> None:
    ended: list[BaseException | None] = []
    made = channel()
    made.scope["extensions"] = {"http.response.pathsend": {}}
    await made.serve(_app(big, ended, colour))
    start, send = made.sent
    assert start["status"] == 200
    assert (b"content-length", str(len(BIG)).encode()) in start["headers"]
    assert send == {"type": "http.response.pathsend", "path": str(big)}
    assert ended == [None]


@pytest.mark.anyio
@pytest.mark.parametrize("case", ["HEAD", "range", "file object", "another extension", "short"])
async def test_server_gets_no_path_where_it_would_send_something_else(big: Path, case: str, channel: type[Any]) -> None:
    made = channel(method="HEAD" if case == "HEAD" else "GET")
    made.scope["extensions"] = {"http.response.other" if case == "another extension" else "http.response.pathsend": {}}
    if case == "range":
        made.scope["headers"].append((b"range", b"bytes=0-400000"))
    if case == "short":
        os.truncate(big, MAX_READ_AT_ONCE)
    app = _app(big, [])
    if case == "file object":
        app.view_functions["view"] = lambda: send_file(big.open("rb"), mimetype="text/plain")
    await made.serve(app)
    assert {message["type"] for message in made.sent} == {"http.response.start", "http.response.body"}
    sizes = {"HEAD": 0, "range": 400_001, "short": MAX_READ_AT_ONCE}
    assert sum(len(message["body"]) for message in made.sent[1:]) == sizes.get(case, len(BIG))


# -- threads, contexts, memory


def test_body_is_read_in_a_worker_thread_and_ends_before_the_teardown(big: Path) -> None:
    app = DuoFlask(__name__)
    order: list[str] = []
    threads: set[int] = set()

    class Noted(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            threads.add(threading.get_ident())
            assert g.mark == "set in the view"
            return super().read(size)

        def close(self) -> None:
            order.append("closed")
            super().close()

    @app.get("/")
    async def view() -> Response:
        g.mark = "set in the view"
        threads.add(-threading.get_ident())
        return send_file(Noted(BIG), mimetype="text/plain")

    @app.teardown_request
    def note(error: BaseException | None) -> None:
        order.append("torn down")

    with app.test_client(protocol="asgi") as made:
        assert made.get("/").data == BIG
    assert order == ["closed", "torn down"]
    assert {-ident for ident in threads if ident < 0}.isdisjoint(threads)


_DOWNLOAD = """
import asyncio, resource, sys
from duoflask import DuoFlask
from duoflask.files import send_file
from duoflask.testing import create_environ

path, protocol, colour = sys.argv[1:]
app = DuoFlask("download")
if colour == "def":
    app.add_url_rule("/", "view", lambda: send_file(path))
else:
    async def view(): return send_file(path)
    app.add_url_rule("/", "view", view)
sent = 0

def once():
    global sent
    sent = 0
    if protocol == "wsgi":
        body = app(create_environ("/"), lambda *args: None)
        for block in body:
            sent += len(block)
        body.close()
        return
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "scheme": "http",
             "http_version": "1.1", "server": None, "client": None, "root_path": "", "asgi": {"version": "3.0"}}
    async def receive():
        await asyncio.sleep(3600)
    async def send(message):
        global sent
        sent += len(message.get("body", b""))
    asyncio.run(app(scope, receive, send))

import os
whole = os.stat(path).st_size
os.truncate(path, 1 << 20)
once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
os.truncate(path, whole)
once()
print(sent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.measures
@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_download_of_a_gibibyte_takes_no_memory(tmp_path: Path, protocol: str, colour: str) -> None:
    path = tmp_path / "huge.bin"
    path.touch()
    os.truncate(path, 1 << 30)
    environment = {**os.environ, "PYTHONPATH": str(Path(duoflask.__file__).parents[1])}
    command = [sys.executable, "-c", _DOWNLOAD, str(path), protocol, colour]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
    sent, grown = map(int, result.stdout.split())
    assert sent == 1 << 30
    assert grown < 8 * 1024  # KiB


@pytest.mark.parametrize("wrapper", [None, Wrapper])
def test_request_for_a_file_leaves_no_cycle(big: Path, wrapper: Any) -> None:
    app = _app(big, [])

    def serve() -> None:
        _, _, body = _call(app, wrapper)
        assert next(iter(body))
        body.close()

    for _ in range(5):
        serve()
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            serve()
        assert gc.collect() < 50
    finally:
        gc.enable()
