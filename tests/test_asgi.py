from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

import duoflask

BACKENDS = ["asyncio", "trio"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


def serve(app: Any, channel: Any, backend: str = "asyncio") -> Any:
    """Serve the channel's request; returns the channel."""
    anyio.run(channel.serve, app, backend=backend)
    return channel


# -- messages


def agen() -> AsyncIterator[str]:
    async def chunks() -> AsyncIterator[str]:
        yield "a"
        await anyio.sleep(0)
        yield "b"

    return chunks()


@pytest.mark.parametrize(
    ("view", "bodies"),
    [
        (lambda: "text", [b"text"]),
        (lambda: "", [b""]),
        (lambda: iter(()), [b""]),
        (lambda: iter(["a", "b"]), [b"a", b"b", b""]),
        (agen, [b"a", b"b", b""]),
        (lambda: ("", 204), [b""]),
        (lambda: (iter("ab"), 304), [b""]),
    ],
)
def test_messages_come_in_the_order_of_the_protocol(view: Any, bodies: Any, backend: str, channel: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "view", view)
    sent = serve(app, channel("/"), backend).sent
    assert [message["type"] for message in sent] == [
        "http.response.start",
        *["http.response.body"] * len(bodies),
    ]
    assert [message.get("body", b"") for message in sent[1:]] == bodies
    assert [message.get("more_body", False) for message in sent[1:]] == [True] * (len(bodies) - 1) + [False]
    start = sent[0]
    assert type(start["status"]) is int
    for name, value in start["headers"]:
        assert type(name) is type(value) is bytes
        assert name == name.lower()


def test_streamed_body_that_fails_is_not_ended(backend: str, channel: Any) -> None:
    app = duoflask.Flask("app")
    app.logger.disabled = True

    @app.route("/")
    def view() -> Iterator[str]:
        yield "a"
        raise ZeroDivisionError

    opened = channel("/")
    with pytest.raises(ZeroDivisionError):
        serve(app, opened, backend)
    assert [message.get("more_body") for message in opened.sent[1:]] == [True]


def test_response_starts_before_the_first_chunk_is_made(channel: Any) -> None:
    app, opened = duoflask.Flask("app"), channel("/")

    @app.route("/")
    async def view() -> AsyncIterator[str]:
        yield str(len(opened.sent))

    assert serve(app, opened).text == "1"


# -- paths


@pytest.mark.parametrize(
    ("path", "root_path", "seen"),
    [
        ("/x", "", "/x"),
        ("/root/x", "/root", "/x"),
        ("/x", "/root", "/x"),
        ("/root", "/root", "/"),
        ("/root/", "/root", "/"),
        ("/rooted/x", "/root", "/rooted/x"),
        ("/\u00e4/x", "/\u00e4", "/x"),
        ("", "", "/"),
    ],
)
def test_root_path_is_taken_off_whether_the_server_left_it_or_not(
    path: str, root_path: str, seen: str, channel: Any
) -> None:
    app = duoflask.Flask("app")

    def view(name: str = "") -> str:
        return f"{duoflask.request.path} {duoflask.request.root_path} /{name}"

    app.add_url_rule("/", "root", view)
    app.add_url_rule("/<path:name>", "view", view)
    opened = channel(path or "/")
    opened.scope.update(path=path, root_path=root_path)
    opened.scope["raw_path"] = path.encode()
    assert serve(app, opened).text == f"{seen} {root_path} {seen}"


def test_scope_without_optional_keys_is_enough(channel: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/<name>", "view", lambda name: f"{name} {duoflask.request.url} {duoflask.request.remote_addr}")
    opened = channel("/x")
    for key in ("raw_path", "root_path", "client", "server", "scheme", "asgi", "http_version"):
        del opened.scope[key]
    assert serve(app, opened).text == "x http://localhost/x None"


# -- how servers call the app


def test_asgi_2_call_shape_serves(channel: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "view", lambda: "two")
    opened = channel("/")

    async def main() -> None:
        await app(opened.scope)(opened.receive, opened.send)

    anyio.run(main)
    assert opened.text == "two"


def test_call_without_arguments_is_a_type_error() -> None:
    # uvicorn calls a factory so, and takes the TypeError for "this is the app itself"
    with pytest.raises(TypeError):
        duoflask.Flask("app")()  # type: ignore[call-arg]


@pytest.mark.parametrize("source", [{}, {"no": "type"}, "x", None])
def test_single_argument_that_is_no_scope_is_a_type_error(source: Any) -> None:
    with pytest.raises(TypeError, match="environ, start_response"):
        duoflask.Flask("app")(source)


def test_servers_take_the_app_for_asgi_3() -> None:
    app = duoflask.Flask("app")
    assert asyncio.iscoroutinefunction(app.__call__)
    assert inspect.iscoroutinefunction(app.asgi_app)
    assert not inspect.iscoroutinefunction(app.wsgi_app)
    assert not inspect.isclass(app)


def test_unknown_connection_is_refused() -> None:
    app = duoflask.Flask("app")

    async def nothing(*args: Any) -> Any:
        raise AssertionError

    with pytest.raises(RuntimeError, match="'telnet'"):
        anyio.run(app, {"type": "telnet"}, nothing, nothing)


def test_middleware_wraps_asgi_app(channel: Any) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/inner", "view", lambda: "inner")
    inner = app.asgi_app

    async def outer(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "path": "/inner"}, receive, send)

    app.asgi_app = outer  # type: ignore[method-assign]
    assert serve(app, channel("/")).text == "inner"


# -- lifespan


def lifespan(app: Any, backend: str) -> list[dict[str, Any]]:
    waiting, sent = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}], []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    anyio.run(app, {"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send, backend=backend)
    return sent


def test_lifespan_runs_functions_of_both_colours(backend: str) -> None:
    app, log = duoflask.Flask("app"), []

    @app.before_serving
    async def start() -> None:
        await anyio.sleep(0)
        log.append("start")

    app.before_serving(lambda: log.append("start too"))
    app.after_serving(lambda: log.append("stop"))
    assert [message["type"] for message in lifespan(app, backend)] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert log == ["start", "start too", "stop"]


def test_failed_start_up_is_told_to_the_server(backend: str) -> None:
    app = duoflask.Flask("app")
    app.logger.disabled = True
    app.before_serving(lambda: 1 // 0)
    [message] = lifespan(app, backend)
    assert message["type"] == "lifespan.startup.failed"
    assert "ZeroDivisionError" in message["message"]


# -- a client that leaves


def leaving_app(body: Callable[[], Any]) -> tuple[duoflask.Flask, list[str]]:
    app, log = duoflask.Flask("app"), []
    app.teardown_request(lambda exc: log.append(type(exc).__name__))
    app.add_url_rule("/", "view", body, methods=["GET", "POST"])
    return app, log


def test_client_that_leaves_cancels_a_view_that_waits(backend: str, channel: Any) -> None:
    opened = None
    finished = []

    async def view() -> str:
        opened.disconnect()
        await anyio.sleep_forever()
        finished.append("view")
        return "never"

    app, log = leaving_app(view)

    async def main() -> None:
        nonlocal opened
        opened = channel("/")
        with anyio.fail_after(20):
            await opened.serve(app)

    anyio.run(main, backend=backend)
    assert finished == []
    assert opened.sent == []
    assert len(log) == 1
    assert "Cancelled" in log[0]


def test_client_that_leaves_lets_a_def_view_end(backend: str, channel: Any) -> None:
    finished = []

    def view() -> str:
        finished.append("view")
        return "done"

    app, log = leaving_app(view)

    async def main() -> None:
        opened = channel("/")
        opened.disconnect()
        with anyio.fail_after(20):
            await opened.serve(app)

    anyio.run(main, backend=backend)
    assert finished == ["view"]
    assert len(log) == 1


def test_view_that_reads_its_streamed_body_is_not_raced_for_it(backend: str, channel: Any) -> None:
    app = duoflask.Flask("app")

    @app.post("/", stream_body=True)
    async def view() -> str:
        await anyio.sleep(0)
        await anyio.sleep(0)
        return b"".join([piece async for piece in duoflask.request.stream]).decode()

    assert serve(app, channel("/", method="POST", body=b"all of it"), backend).text == "all of it"


def test_watching_ends_with_the_request(channel: Any) -> None:
    app = duoflask.Flask("app")

    @app.route("/")
    async def view() -> str:
        await anyio.sleep(0)
        return "x"

    async def main() -> int:
        before = len(asyncio.all_tasks())
        for _ in range(3):
            opened = channel("/")
            await opened.serve(app)
            assert opened.text == "x"
        for _ in range(3):
            await asyncio.sleep(0)
        return len(asyncio.all_tasks()) - before

    assert anyio.run(main) == 0


# -- sync iterators


def test_sync_iterator_is_pumped_off_the_loop(backend: str, channel: Any) -> None:
    app, threads = duoflask.Flask("app"), set()

    @app.route("/")
    async def view() -> Any:
        def chunks() -> Iterator[str]:
            for number in range(5):
                threads.add(threading.get_ident())
                yield str(number)

        return chunks()

    assert serve(app, channel("/"), backend).text == "01234"
    assert threading.get_ident() not in threads


def test_first_chunk_of_a_slow_iterator_leaves_at_once(channel: Any) -> None:
    app, gate = duoflask.Flask("app"), threading.Event()

    @app.route("/")
    def view() -> Iterator[str]:
        yield "first"
        assert gate.wait(20)
        yield "second"

    async def open_gate(message: Any) -> None:
        if message.get("body") == b"first":
            gate.set()

    async def main() -> Any:
        opened = channel("/", on_send=open_gate)
        await opened.serve(app)
        return opened

    assert anyio.run(main).text == "firstsecond"


def test_slow_server_makes_the_iterator_wait(channel: Any) -> None:
    app, made = duoflask.Flask("app"), []

    @app.route("/")
    def view() -> Iterator[bytes]:
        for number in range(20):
            made.append(number)
            yield b"x" * 65536

    ahead = []

    async def count(message: Any) -> None:
        ahead.append(len(made))

    async def main() -> None:
        await channel("/", on_send=count).serve(app)

    anyio.run(main)
    assert len(ahead) == 22
    assert all(count <= place + 1 for place, count in enumerate(ahead))


def test_context_is_alive_in_every_chunk(backend: str, channel: Any) -> None:
    app = duoflask.Flask("app")

    @app.route("/<kind>")
    def view(kind: str) -> Any:
        duoflask.g.value = kind

        def chunks() -> Iterator[str]:
            for _ in range(3):
                yield duoflask.g.value
                yield duoflask.request.path

        async def async_chunks() -> AsyncIterator[str]:
            for chunk in chunks():
                await anyio.sleep(0)
                yield chunk

        return chunks() if kind == "def" else async_chunks()

    for kind in ("def", "async"):
        assert serve(app, channel(f"/{kind}"), backend).text == f"{kind}/{kind}" * 3
