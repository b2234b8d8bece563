from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import duoflask
from duoflask.middleware import ProxyMiddleware


class Echo(BaseHTTPRequestHandler):
    """Answers with what it has been sent."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = self.headers.get("Content-Length")
        body = b"" if length is None else self.rfile.read(int(length))
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        told = json.dumps(
            {"method": self.command, "uri": self.path, "fields": self.headers.items(), "body": body.decode("latin-1")}
        ).encode()
        self.send_response(418, "Teapot")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.send_header("X-Hop", "1")
        self.send_header("Keep-Alive", "5")
        self.send_header("Connection", "X-Hop")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told)

    do_GET = do_POST = do_HEAD = answer  # noqa: N815 - the standard library's names

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def sender_for(client: Any, targets: Any, **options: Any) -> Any:
    app = duoflask.DuoFlask("proxied")

    @app.get("/")
    def own() -> str:
        return "own"

    ProxyMiddleware.install(app, targets, **options)
    return client(app)


def fields_of(told: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in told["fields"]}


def test_a_request_below_the_prefix_goes_to_the_server(client: Any, server: str) -> None:
    sender = sender_for(client, {"/far": {"target": server, "headers": {"X-More": "m"}}})
    assert sender.get("/").text == "own"
    assert sender.get("/farther").status_code == 404
    response = sender.post(
        "/far/a%20b/%C3%A4$?q=%20&r=1",
        data=b"body",
        headers={"X-A": "1", "Connection": "X-B, close", "X-B": "2", "Keep-Alive": "3"},
    )
    assert response.status_code == 418
    assert "X-Hop" not in response.headers and "Keep-Alive" not in response.headers
    told = response.json
    assert (told["method"], told["uri"], told["body"]) == ("POST", "/far/a%20b/%C3%A4$?q=%20&r=1", "body")
    fields = fields_of(told)
    assert fields["host"] == server.removeprefix("http://")
    assert (fields["x-a"], fields["x-more"], fields["connection"]) == ("1", "m", "close")
    assert "x-b" not in fields and "keep-alive" not in fields


def test_the_prefix_may_be_removed_and_the_host_chosen(client: Any, server: str) -> None:
    sender = sender_for(
        client,
        {
            "/cut/": {"target": f"{server}/root/", "remove_prefix": True, "host": "other.test"},
            "same": {"target": server, "host": None},
        },
    )
    told = sender.get("/cut//x/y").json
    assert (told["uri"], fields_of(told)["host"]) == ("/root/x/y", "other.test")
    assert fields_of(sender.get("/same/", base_url="http://me.test").json)["host"] == "me.test"


def test_a_prefix_that_is_not_ascii_may_be_removed(client: Any, server: str) -> None:
    sender = sender_for(client, {"/\u00e4\u00e4": {"target": server, "remove_prefix": True}})
    assert sender.get("/\u00e4\u00e4/x").json["uri"] == "/x"


def test_a_large_body_and_head(client: Any, server: str) -> None:
    sender = sender_for(client, {"/far": {"target": server}}, chunk_size=1000)
    assert sender.post("/far/", data=b"x" * 300_000).json["body"] == "x" * 300_000
    head = sender.head("/far/")
    assert (head.status_code, head.data) == (418, b"")


def test_a_path_cannot_write_lines_to_the_server(client: Any, server: str) -> None:
    sender = sender_for(client, {"/far": {"target": server}})
    told = sender.get("/far/%0d%0aX-Evil:%201%00%ff").json
    assert told["uri"] == "/far/%0D%0AX-Evil:%201%00%EF%BF%BD" or told["uri"] == "/far/%0D%0AX-Evil:%201%00%FF"
    assert "x-evil" not in fields_of(told)
    assert sender.get("/far/", query_string="a=\xff b\r\n").status_code == 418


def test_a_server_that_is_not_there_is_a_502(client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert sender_for(client, {"/far": {"target": f"http://127.0.0.1:{port}"}}).get("/far/").status_code == 502


@pytest.mark.parametrize(
    "answer",
    [
        b"220 smtp ready\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 700 No\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_server_that_speaks_something_else_is_a_502(client: Any, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def speak() -> None:
            for _ in range(2):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        target = f"http://127.0.0.1:{listening.getsockname()[1]}"
        sender = sender_for(client, {"/far": {"target": target}}, timeout=20)
        assert [sender.get("/far/").status_code for _ in range(2)] == [502, 502]
        thread.join()


def test_a_body_that_ends_early_is_a_400(wsgi_call: Any, server: str) -> None:
    app = ProxyMiddleware(duoflask.DuoFlask("proxied"), {"/far": {"target": server}})
    call = wsgi_call(app, "/far/", method="POST", data=b"12345", environ_overrides={"CONTENT_LENGTH": "10"})
    assert call.status.startswith("400")
    call.read()


@pytest.mark.parametrize("target", ["ftp://a", "a.test", "http://", "//a"])
def test_a_target_that_is_no_url(target: str) -> None:
    with pytest.raises(ValueError, match="invalid target"):
        ProxyMiddleware(lambda environ, start_response: [], {"/": {"target": target}})
