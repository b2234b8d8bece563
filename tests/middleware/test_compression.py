"""Which responses are compressed, and what becomes of their fields."""

from __future__ import annotations

import gzip
import io
import os
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import anyio
import pytest
from hypothesis import given, strategies as st

import duoflask
from duoflask.files import send_from_directory
from duoflask.middleware import CompressionMiddleware, Middleware, compression, filtering
from duoflask.testing import Client, create_environ

TEXT = "compressible " * 200


def make_app(**options: Any) -> duoflask.Flask:
    app = duoflask.Flask("app")
    app.testing = True
    CompressionMiddleware.install(app, **options)
    return app


def answering(*answer: Any, **options: Any) -> duoflask.Flask:
    app = make_app(**options)
    app.add_url_rule("/", "index", lambda: answer if len(answer) > 1 else answer[0], methods=["GET", "POST"])
    return app


def get(client: Any, app: Any, accept: str | None = "gzip", path: str = "/", **options: Any) -> Any:
    headers = {} if accept is None else {"Accept-Encoding": accept}
    return client(app).get(path, headers={**headers, **options.pop("headers", {})}, **options)


def unzipped(response: Any) -> str:
    assert response.headers["Content-Encoding"] == "gzip"
    return gzip.decompress(response.get_data()).decode()


def test_a_text_is_compressed_and_its_fields_are_true(client: Any) -> None:
    response = get(client, answering(TEXT, {"ETag": '"tag"', "Accept-Ranges": "bytes"}))
    data = response.get_data()
    assert len(data) < len(TEXT) / 10
    assert response.headers["Content-Length"] == str(len(data))
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.headers["ETag"] == 'W/"tag"'
    assert "Accept-Ranges" not in response.headers
    assert unzipped(response) == TEXT


@pytest.mark.parametrize(
    ("accept", "compressed"),
    [
        ("gzip", True),
        ("GZIP", True),
        ("*", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip;q=1, identity;q=0.5", True),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=0", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("br", False),
        ("x-gzip-like", False),
        ("identity", False),
        ("", False),
        (None, False),
        ("gzip;q=nonsense", False),
    ],
)
def test_the_client_decides(client: Any, accept: str | None, compressed: bool) -> None:
    response = get(client, answering(TEXT, codings=["gzip"]), accept)
    assert ("Content-Encoding" in response.headers) is compressed
    assert response.headers["Vary"] == "Accept-Encoding"
    assert (unzipped(response) if compressed else response.text) == TEXT


@pytest.mark.parametrize(
    "answer",
    [
        ("x" * 499,),
        (TEXT, 206),
        (TEXT, {"Content-Encoding": "br"}),
        (TEXT, {"Content-Range": "bytes 0-1/2"}),
        (TEXT, {"Cache-Control": "max-age=5, No-Transform"}),
        (TEXT, [("Cache-Control", "public"), ("Cache-Control", "no-transform")]),
        (TEXT, {"Content-Type": "image/png"}),
        (TEXT, {"Content-Type": "application/octet-stream"}),
        (TEXT, {"Content-Type": "video/mp4; codecs=text/plain"}),
        (TEXT, {"Repr-Digest": "sha-256=:x:"}),
        (TEXT, {"Content-MD5": "x"}),
        ("", 204),
    ],
)
def test_what_is_left_alone(client: Any, answer: Any) -> None:
    response = get(client, answering(*answer))
    assert response.headers.get("Content-Encoding") in (None, "br")
    assert response.text == (answer[0] if response.status_code != 204 else "")
    assert "gzip" not in response.headers.values()


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "text/html; charset=utf-8", "application/json", "application/problem+json", "image/svg+xml"]
    + ["application/javascript", "TEXT/CSS", "application/wasm", "text/event-stream", "font/ttf"],
)
def test_kinds_that_shrink(client: Any, kind: str) -> None:
    assert unzipped(get(client, answering(TEXT, {"Content-Type": kind}))) == TEXT


def test_own_kinds_and_sizes(client: Any) -> None:
    app = answering("x" * 20, {"Content-Type": "application/x-own"}, min_bytes=20, mimetypes=["application/x-own"])
    assert unzipped(get(client, app)) == "x" * 20
    app = answering(TEXT, mimetypes=["application/x-own"])
    assert get(client, app).text == TEXT


def test_error_pages_and_other_codes_are_compressed(client: Any) -> None:
    assert unzipped(get(client, answering(TEXT, 404))) == TEXT


def test_a_304_varies_as_the_200_it_stands_for(client: Any) -> None:
    app = make_app()

    @app.route("/")
    def index() -> Any:
        response = duoflask.make_response(TEXT)
        response.add_etag()
        return response.make_conditional(duoflask.request)

    made = client(app)
    first = made.get("/", headers={"Accept-Encoding": "gzip"})
    assert first.headers["ETag"].startswith("W/")
    second = made.get("/", headers={"Accept-Encoding": "gzip", "If-None-Match": first.headers["ETag"]})
    assert (second.status_code, second.get_data()) == (304, b"")
    assert second.headers["Vary"] == "Accept-Encoding"
    assert "Content-Encoding" not in second.headers


def test_head_has_the_fields_of_get_but_the_length(client: Any) -> None:
    app = answering(TEXT)
    made = client(app)
    response = made.head("/", headers={"Accept-Encoding": "gzip"})
    assert response.get_data() == b""
    assert response.headers["Content-Encoding"] == "gzip"
    assert "Content-Length" not in response.headers
    short = client(answering("short")).head("/", headers={"Accept-Encoding": "gzip"})
    assert short.headers["Content-Length"] == "5"


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_each_piece_of_a_stream_leaves_at_once(client: Any, colour: str) -> None:
    app = make_app()
    made = []

    def pieces() -> Iterator[str]:
        for number in range(100):
            made.append(number)
            yield f"piece {number}\n"

    async def pieces_async() -> Any:
        for piece in pieces():
            yield piece

    kind = {"Content-Type": "text/plain"}
    app.add_url_rule("/", "index", lambda: (pieces() if colour == "def" else pieces_async(), kind))
    response = get(client, app)
    assert "Content-Length" not in response.headers
    decompress = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress
    chunks = iter(response.response)
    assert decompress(next(chunks)) == b"piece 0\n"
    assert decompress(next(chunks)) == b"piece 1\n"
    rest = b"".join(map(decompress, chunks)).decode()
    assert rest == "".join(f"piece {number}\n" for number in range(2, 100))


def test_a_stream_with_a_length_loses_it(client: Any) -> None:
    app = make_app()
    app.add_url_rule("/", "index", lambda: (iter([TEXT]), {"Content-Type": "text/plain", "Content-Length": len(TEXT)}))
    response = get(client, app)
    assert "Content-Length" not in response.headers
    assert unzipped(response) == TEXT


def test_a_short_stream_with_a_length_keeps_it(client: Any) -> None:
    app = make_app()
    app.add_url_rule("/", "index", lambda: (iter(["a"]), {"Content-Type": "text/plain", "Content-Length": "1"}))
    response = get(client, app)
    assert (response.headers["Content-Length"], response.text) == ("1", "a")


def test_files_are_compressed_and_their_parts_are_not(client: Any, tmp_path: Path) -> None:
    app = make_app()
    (tmp_path / "a.txt").write_text(TEXT * 100)
    (tmp_path / "a.png").write_bytes(b"x" * 1000)
    app.add_url_rule("/<name>", "file", lambda name: send_from_directory(tmp_path, name))
    assert unzipped(get(client, app, path="/a.txt")) == TEXT * 100
    assert get(client, app, path="/a.png").get_data() == b"x" * 1000
    part = get(client, app, path="/a.txt", headers={"Range": "bytes=0-9"})
    assert (part.status_code, part.text) == (206, TEXT[:10])
    assert part.headers["ETag"].startswith('"')
    assert part.headers["Vary"] == "Accept-Encoding"


def test_a_large_body_is_compressed_in_a_thread() -> None:
    seen = []
    body = os.urandom(1000) * 200

    class Seeing(CompressionMiddleware):
        def worth_it(self, headers: Any, length: int | None) -> bool:
            seen.append(threading.current_thread())
            return super().worth_it(headers, length)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept-encoding", b"gzip")]}
        await Seeing(app)(scope, None, send)

    for backend in ("asyncio", "trio"):
        sent.clear()
        anyio.run(main, backend=backend)
        assert gzip.decompress(sent[1]["body"]) == body
    assert len(body) > filtering.MAX_BYTES_ON_LOOP
    assert threading.current_thread() not in seen


def asgi_messages(app: Any, **scope: Any) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    base = {"type": "http", "method": "GET", "path": "/", "headers": [(b"accept-encoding", b"gzip")]}
    anyio.run(app, {**base, **scope}, None, send)
    return sent


@pytest.mark.parametrize("kind", ["text/plain", "image/png"])
def test_a_file_for_the_server_to_send_is_read_only_to_compress_it(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text(TEXT * 100)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert list(scope["extensions"]) == ["http.response.pathsend"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode())]})
        await send({"type": "http.response.pathsend", "path": str(path)})

    extensions = {"http.response.pathsend": {}, "http.response.zerocopysend": {}}
    start, *bodies = asgi_messages(CompressionMiddleware(app), extensions=extensions)
    if kind == "image/png":
        assert bodies == [{"type": "http.response.pathsend", "path": str(path)}]
    else:
        assert (b"content-encoding", b"gzip") in start["headers"]
        assert gzip.decompress(b"".join(message["body"] for message in bodies)).decode() == TEXT * 100
        assert [message.get("more_body", False) for message in bodies[-2:]] == [True, False]


def test_a_filter_of_bodies_lets_websockets_pass() -> None:
    class Emptying(filtering.ResponseFilter):
        sees_body = True

    class EmptyingMiddleware(Middleware):
        def prepare(self, source: Any) -> Any:
            return self.app, source, Emptying()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(EmptyingMiddleware(app), {"type": "websocket", "path": "/", "headers": []}, None, send)
    assert sent == [{"type": "websocket.accept"}]


def test_a_servers_own_file_wrapper_stays_where_nothing_is_compressed() -> None:
    wrapper = object()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "image/png")])
        return wrapper

    environ = create_environ("/", headers={"Accept-Encoding": "gzip"})
    assert CompressionMiddleware(app)(environ, lambda status, headers: None) is wrapper


def late(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield TEXT.encode()
    yield b"end"


def whole(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(TEXT)))])
    return [TEXT.encode()]


def fails_later(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        raise LookupError
    except LookupError as exc:
        start_response("500 Oops", [("Content-Type", "text/plain")], (type(exc), exc, exc.__traceback__))
    return [TEXT.encode()]


@pytest.mark.parametrize("app", [late, whole, fails_later])
@pytest.mark.parametrize("accept", ["gzip", "identity"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_wsgi_applications_of_every_kind_pass_the_validator(app: Any, accept: str, method: str) -> None:
    if method == "HEAD":
        inner: Any = lambda environ, start_response: [b"".join(app(environ, start_response))][:0]  # noqa: E731
    else:
        inner = validator(app)
    started: list[Any] = []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        started.append((status, dict(headers)))
        return lambda data: None

    environ = create_environ("/", method=method, headers={"Accept-Encoding": accept})
    environ = {key: value for key, value in environ.items() if key not in ("CONTENT_LENGTH", "CONTENT_TYPE") or value}
    body = validator(CompressionMiddleware(inner))(environ, start_response)
    data = b"".join(body)
    body.close()
    status, headers = started[-1]
    assert status == ("500 Oops" if app is fails_later else "200 OK")
    assert headers.get("Content-Encoding") == ("gzip" if accept == "gzip" else None)
    if method == "GET":
        assert (gzip.decompress(data) if accept == "gzip" else data).startswith(TEXT.encode())


@pytest.mark.parametrize("body", ["text", iter(["piece"])], ids=["complete", "pieces"])
def test_a_head_that_the_server_refuses_ends_the_request(body: Any) -> None:
    app = answering(body)
    ended: list[Any] = []
    app.teardown_request(ended.append)

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        raise LookupError("refused")

    with pytest.raises(LookupError, match="refused"):
        app(create_environ("/", headers={"Accept-Encoding": "gzip"}), start_response)
    assert len(ended) == 1


def test_write_is_compressed_too() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"written ")
        return [b"returned"]

    out = io.BytesIO()

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        assert ("Content-Encoding", "gzip") in headers
        return out.write

    for data in CompressionMiddleware(app)(create_environ("/", headers={"Accept-Encoding": "gzip"}), start_response):
        out.write(data)
    assert gzip.decompress(out.getvalue()) == b"written returned"


def test_a_body_that_fails_is_not_finished() -> None:
    closed = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            yield b"x" * 1000
            raise LookupError("half way")

        def close(self) -> None:
            closed.append(True)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Body()

    body = CompressionMiddleware(app)(
        create_environ("/", headers={"Accept-Encoding": "gzip"}), lambda status, headers: None
    )
    got = []
    with pytest.raises(LookupError):
        got.extend(body)
    body.close()
    assert closed == [True]
    with pytest.raises(EOFError):
        gzip.decompress(b"".join(got))


def test_an_asgi_application_that_fails_before_its_body_sends_nothing() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise LookupError

    with pytest.raises(LookupError):
        asgi_messages(CompressionMiddleware(app))


def test_other_messages_pass_by() -> None:
    push = {"type": "http.response.push", "path": "/x", "headers": []}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(push)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    assert asgi_messages(CompressionMiddleware(app))[0] is push


@pytest.mark.parametrize(
    ("options", "message"),
    [({"level": 0}, "expected 1 to 9; got 0"), ({"codings": ["br"]}, r"unknown codings \['br'\]")],
)
def test_a_mistake_is_told_when_it_is_made(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompressionMiddleware(None, **options)


def test_zstd_is_preferred_where_python_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for Python 3.14's module: its words, zlib's bytes."""

    class Compressor:
        FLUSH_BLOCK, FLUSH_FRAME = 1, 2

        def __init__(self, level: int) -> None:
            self._compressor = zlib.compressobj(level)

        def compress(self, data: bytes) -> bytes:
            return self._compressor.compress(data)

        def flush(self, mode: int) -> bytes:
            return self._compressor.flush(zlib.Z_FINISH if mode == self.FLUSH_FRAME else zlib.Z_SYNC_FLUSH)

    monkeypatch.setattr(compression, "_zstd", type("zstd", (), {"ZstdCompressor": Compressor}))
    codings = {"zstd": compression._Zstd, "gzip": compression._gzip}
    monkeypatch.setattr(compression, "_CODINGS", codings)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"a", b"b"])

    client = Client(CompressionMiddleware(app))
    response = client.get("/", headers={"Accept-Encoding": "gzip, zstd"})
    assert (response.headers["Content-Encoding"], zlib.decompress(response.get_data())) == ("zstd", b"ab")
    response = client.get("/", headers={"Accept-Encoding": "gzip, zstd;q=0.5"})
    assert response.headers["Content-Encoding"] == "gzip"
    response.close()


@given(st.lists(st.binary(max_size=300), max_size=8), st.booleans())
def test_what_comes_out_is_what_went_in(pieces: list[bytes], is_list: bool) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces if is_list else iter(pieces)

    client = Client(CompressionMiddleware(app))
    response = client.get("/", headers={"Accept-Encoding": "gzip"})
    data = response.get_data()
    if response.headers.get("Content-Encoding") == "gzip":
        data = gzip.decompress(data)
    assert data == b"".join(pieces)
