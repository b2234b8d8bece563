from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from duoflask import DuoFlask, request, serving
from duoflask.server import serve
from duoflask.server.tls import (
    generate_adhoc_ssl_context,
    generate_adhoc_ssl_pair,
    is_ssl_error,
    load_ssl_context,
    make_ssl_devcert,
    ssl_context_of,
)

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    return make_ssl_devcert(str(tmp_path_factory.mktemp("tls") / "dev"))


def trusting(pair: tuple[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=pair[0])
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def ask(port: int, context: ssl.SSLContext, data: bytes = GET) -> tuple[bytes, str | None]:
    """Whole answer, and the protocol that was agreed on."""
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as sock:
            sock.sendall(data)
            answer = b""
            while piece := sock.recv(65536):
                answer += piece
            return answer, sock.selected_alpn_protocol()


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send(
        {"type": "http.response.body", "body": scope["scheme"].encode() + b"!" * int(scope["query_string"] or 0)}
    )


async def test_https_is_served(pair: tuple[str, str], anyio_backend: str) -> None:
    async with serve(hello, port=0, lifespan="off", ssl=load_ssl_context(*pair)) as server:
        [address] = server.addresses
        assert address.startswith("https://127.0.0.1:")
        with anyio.fail_after(20):
            answer, alpn = await anyio.to_thread.run_sync(ask, port_of(address), trusting(pair))
            assert answer.endswith(b"\r\n\r\nhttps")
            assert alpn == "http/1.1"
            large = GET.replace(b"GET / ", b"GET /?2000000 ")
            answer, _ = await anyio.to_thread.run_sync(ask, port_of(address), trusting(pair), large)
            assert answer.endswith(b"https" + b"!" * 2_000_000)


async def test_malformed_request_over_tls_is_answered(pair: tuple[str, str], anyio_backend: str) -> None:
    async with serve(hello, port=0, lifespan="off", ssl=load_ssl_context(*pair)) as server:
        with anyio.fail_after(20):
            port = port_of(server.addresses[0])
            answer, _ = await anyio.to_thread.run_sync(ask, port, trusting(pair), b"GET / HTTP/1.1\nHost: x\n\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_failed_handshake_is_one_line_in_the_log(pair: tuple[str, str], anyio_backend: str, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "duoflask.server")
    logged = threading.Semaphore(0)

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.release()

    def plain(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            sock.sendall(GET)
            try:
                while sock.recv(100):
                    pass
            except ConnectionResetError:
                pass
        assert logged.acquire(timeout=20)

    def leaves(port: int) -> None:
        socket.create_connection(("127.0.0.1", port), 10).close()
        assert logged.acquire(timeout=20)

    def distrusts(port: int) -> None:
        with pytest.raises(ssl.SSLError):
            ask(port, ssl.create_default_context())
        assert logged.acquire(timeout=20)

    handler = Handler()
    logging.getLogger("duoflask.server").addHandler(handler)
    try:
        async with serve(hello, port=0, lifespan="off", ssl=load_ssl_context(*pair)) as server:
            with anyio.fail_after(30):
                for client in (plain, leaves, distrusts):
                    await anyio.to_thread.run_sync(client, port_of(server.addresses[0]))
                answer, _ = await anyio.to_thread.run_sync(ask, port_of(server.addresses[0]), trusting(pair))
                assert answer.endswith(b"https")
    finally:
        logging.getLogger("duoflask.server").removeHandler(handler)
    lines = [record.getMessage() for record in caplog.records if record.name == "duoflask.server"]
    assert len(lines) == 3
    assert all(line.startswith("127.0.0.1 - TLS handshake failed: ") and "\n" not in line for line in lines)
    assert lines[0].endswith("the client speaks plain HTTP; this port is HTTPS")
    assert all(record.exc_info is None for record in caplog.records)


async def test_client_that_does_not_shake_hands_is_given_up(pair: tuple[str, str], anyio_backend: str) -> None:
    def silent(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            try:
                return sock.recv(100)
            except ConnectionResetError:
                return b""

    settings: Any = {"lifespan": "off", "ssl": load_ssl_context(*pair), "head_timeout": 0.1}
    async with serve(hello, port=0, **settings) as server:
        with anyio.fail_after(20):
            assert await anyio.to_thread.run_sync(silent, port_of(server.addresses[0])) == b""


async def test_stop_does_not_wait_for_handshakes(pair: tuple[str, str], anyio_backend: str) -> None:
    with anyio.fail_after(20), socket.socket() as client:
        settings: Any = {"lifespan": "off", "ssl": load_ssl_context(*pair), "head_timeout": 1000}
        async with serve(hello, port=0, **settings) as server:
            client.connect(("127.0.0.1", port_of(server.addresses[0])))
            await anyio.sleep(0.05)  # whether it is accepted before or after the stop, it is not waited for


def test_what_stands_for_a_context(pair: tuple[str, str], tmp_path: Path) -> None:
    context = generate_adhoc_ssl_context()
    assert ssl_context_of(None) is None
    assert ssl_context_of(context) is context
    assert isinstance(ssl_context_of("adhoc"), ssl.SSLContext)
    assert isinstance(ssl_context_of(pair), ssl.SSLContext)
    both = tmp_path / "both.pem"
    both.write_text(Path(pair[0]).read_text() + Path(pair[1]).read_text())
    assert isinstance(ssl_context_of(str(both)), ssl.SSLContext)
    assert isinstance(ssl_context_of((str(both),)), ssl.SSLContext)
    with pytest.raises(TypeError, match="invalid ssl_context; expected None, 'adhoc'"):
        ssl_context_of(5)
    with pytest.raises(FileNotFoundError):
        ssl_context_of(("nowhere.pem", "nowhere.key"))


def test_made_up_certificate_is_for_its_names(tmp_path: Path) -> None:
    cert, key = generate_adhoc_ssl_pair("dev.example")
    assert "dev.example" in cert.subject.rfc4514_string()
    assert key.key_size == 256
    paths = make_ssl_devcert(str(tmp_path / "a"), host="h.example")
    assert [Path(path).name for path in paths] == ["a.crt", "a.key"]
    assert Path(paths[1]).stat().st_mode & 0o077 == 0  # nobody else reads the key
    assert "BEGIN CERTIFICATE" in Path(paths[0]).read_text()


def test_made_up_certificate_without_cryptography_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography.x509", None)
    with pytest.raises(RuntimeError, match=r"pip install 'duoflask\[tls\]'"):
        ssl_context_of("adhoc")


def test_is_ssl_error() -> None:
    assert is_ssl_error(ssl.SSLError())
    assert not is_ssl_error(OSError())
    assert not is_ssl_error()
    try:
        raise ssl.SSLEOFError
    except OSError:
        assert is_ssl_error()


@pytest.fixture
def site() -> DuoFlask:
    app = DuoFlask("site")

    @app.route("/")
    def index() -> str:
        return request.url

    return app


@pytest.fixture(params=["pair", "adhoc", "context"])
def ssl_context(request: pytest.FixtureRequest, pair: tuple[str, str]) -> Iterator[Any]:
    return {"pair": pair, "adhoc": "adhoc", "context": load_ssl_context(*pair)}[request.param]


def test_make_server_speaks_tls(site: DuoFlask, ssl_context: Any) -> None:
    server = serving.make_server("127.0.0.1", 0, site, ssl_context=ssl_context)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        trusting_all = ssl.create_default_context()
        trusting_all.check_hostname = False
        trusting_all.verify_mode = ssl.CERT_NONE
        answer, _ = ask(server.port, trusting_all)
        assert answer.endswith(b"\r\n\r\nhttps://localhost/")
    finally:
        server.shutdown()
        thread.join(20)
        server.server_close()


def test_app_run_hands_the_context_to_the_server(
    site: DuoFlask, ssl_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("duoflask.development.run", lambda app, host, port, **options: seen.append(options))
    site.run(ssl_context=ssl_context)
    assert isinstance(seen[0]["ssl"], ssl.SSLContext)
    assert "ssl_context" not in seen[0]


async def test_slow_client_gets_all_before_the_connection_ends(pair: tuple[str, str], anyio_backend: str) -> None:
    size = 6_000_000

    def slow(port: int) -> int:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        sock.connect(("127.0.0.1", port))
        got = 0
        with trusting(pair).wrap_socket(sock, server_hostname="localhost") as secure:
            secure.settimeout(20)
            secure.sendall(GET.replace(b"GET / ", b"GET /?%d " % size))
            time.sleep(2.5)  # longer than any time that the server has for ending a connection
            while data := secure.recv(65_536):
                got += len(data)
        return got

    settings: Any = {"lifespan": "off", "ssl": load_ssl_context(*pair), "keep_alive_timeout": 1, "linger_timeout": 0.5}
    async with serve(hello, port=0, **settings) as server:
        with anyio.fail_after(30):
            assert await anyio.to_thread.run_sync(slow, port_of(server.addresses[0])) > size


async def test_end_of_a_body_without_length_is_said(pair: tuple[str, str], anyio_backend: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"whole", "more_body": scope["path"] == "/fails"})
        await send({"type": "http.response.body", "body": b"", "more_body": scope["path"] == "/fails"})

    def asks(port: int) -> None:
        for path, complete in (("/", True), ("/fails", False)):
            with (
                socket.create_connection(("127.0.0.1", port), 10) as sock,
                trusting(pair).wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False) as secure,
            ):
                secure.sendall(b"GET %b HTTP/1.0\r\n\r\n" % path.encode())
                data = b""
                try:
                    while piece := secure.recv(1000):
                        data += piece
                    assert complete
                    assert data.endswith(b"whole")
                except (ssl.SSLError, ConnectionResetError):
                    assert not complete

    async with serve(app, port=0, lifespan="off", ssl=load_ssl_context(*pair)) as server:
        with anyio.fail_after(20):
            await anyio.to_thread.run_sync(asks, port_of(server.addresses[0]))


async def test_client_that_has_said_close_notify_gets_its_answer(pair: tuple[str, str], anyio_backend: str) -> None:
    def asks(port: int) -> bytes:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting(pair).wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", port), 10) as sock:

            def step(call: Any, *arguments: Any) -> Any:
                while True:
                    try:
                        return call(*arguments)
                    except ssl.SSLWantReadError:
                        sock.sendall(outgoing.read())
                        if not (data := sock.recv(65_536)):
                            return b""
                        incoming.write(data)

            step(tls.do_handshake)
            tls.write(GET)
            with pytest.raises(ssl.SSLWantReadError):
                tls.unwrap()
            sock.sendall(outgoing.read())
            return bytes(step(tls.read, 65_536))

    async with serve(hello, port=0, lifespan="off", ssl=load_ssl_context(*pair)) as server:
        with anyio.fail_after(20):
            answer = await anyio.to_thread.run_sync(asks, port_of(server.addresses[0]))
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_client_cannot_renegotiate(pair: tuple[str, str]) -> None:
    assert load_ssl_context(*pair).options & ssl.OP_NO_RENEGOTIATION
