"""Server-sent events from sources of both colours, under both protocols."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from duoflask import DuoFlask, g, request
from duoflask.broadcast import Broadcast
from duoflask.exceptions import ServiceUnavailable
from duoflask.http.event_stream import EventParser
from duoflask.sse import Event, last_event_id, sse

variable: ContextVar[str] = ContextVar("variable", default="unset")

COLOURS = ("def", "async def")
SILENT = 0.02  # a heartbeat that tests need not wait for


def read(response: Any) -> list[Event]:
    return EventParser().feed(response.data)


def app_that_sends(colour: str, items: Callable[[], Any], **options: Any) -> DuoFlask:
    """An app whose `/` sends the items of a list through a generator of this colour, from a view of this colour."""
    app = DuoFlask(__name__)
    if colour == "def":

        @app.route("/")
        def view() -> Any:
            def events() -> Iterator[Any]:
                yield from items()

            return sse(events(), **options)
    else:

        @app.route("/")
        async def view_async() -> Any:
            async def events() -> AsyncIterator[Any]:
                for item in items():
                    yield item

            return sse(events(), **options)

    return app


@pytest.mark.parametrize("heartbeat", [15.0, None])
@pytest.mark.parametrize("colour", COLOURS)
def test_items_of_each_kind_are_sent(loop_client: Any, colour: str, heartbeat: float | None) -> None:
    def items() -> list[Any]:
        return ["text\nline", {"a": [1]}, [1, 2], 3, Event("x", "tick", "7"), Event({"b": 2}, id="8"), Event("y"), None]

    response = loop_client(app_that_sends(colour, items, heartbeat=heartbeat)).get("/")
    assert response.status_code == 200
    assert read(response) == [
        Event("text\nline"),
        Event('{"a": [1]}'),
        Event("[1, 2]"),
        Event("3"),
        Event("x", "tick", "7"),
        Event('{"b": 2}', id="8"),
        Event("y", id="8"),
    ]


@pytest.mark.parametrize("colour", COLOURS)
def test_head_of_an_event_stream(client: Any, colour: str) -> None:
    response = client(app_that_sends(colour, list, retry=250, headers={"X-Own": "1"})).get("/")
    assert response.headers["Content-Type"] == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["X-Own"] == "1"
    assert "Content-Length" not in response.headers
    assert response.data == b"retry: 250\n\n"


def test_own_fields_replace_the_usual_ones(client: Any) -> None:
    fields = [("Cache-Control", "no-cache"), ("X-Accel-Buffering", "yes")]
    response = client(app_that_sends("def", list, headers=fields)).get("/")
    assert response.headers.getlist("Cache-Control") == ["no-cache"]
    assert response.headers.getlist("X-Accel-Buffering") == ["yes"]


@pytest.mark.parametrize("colour", COLOURS)
def test_json_is_the_apps_own(client: Any, colour: str) -> None:
    app = app_that_sends(colour, lambda: [{"x": object}])
    app.json.default = lambda value: "own"  # type: ignore[attr-defined]
    assert read(client(app).get("/")) == [Event('{"x": "own"}')]


def test_response_is_of_the_apps_class(client: Any) -> None:
    app = app_that_sends("def", list)

    class Own(app.response_class):  # type: ignore[name-defined]
        pass

    app.response_class = Own
    seen = []
    app.after_request(lambda response: seen.append(type(response)) or response)
    client(app).get("/")
    assert seen == [Own]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("text", "got str"),
        (b"bytes", "got bytes"),
        ({"a": 1}, "got dict"),
        (7, "got int"),
        (lambda: (yield), "has to be called"),
    ],
)
def test_source_that_is_none_says_so(source: Any, error: str) -> None:
    with pytest.raises(TypeError, match=error):
        sse(source)


@pytest.mark.parametrize("heartbeat", [0, -1, float("inf"), float("nan"), "15"])
def test_heartbeat_that_is_no_time_is_refused(heartbeat: Any) -> None:
    with pytest.raises(ValueError, match="invalid heartbeat"):
        sse([], heartbeat=heartbeat)


@pytest.mark.parametrize("colour", COLOURS)
def test_chunks_run_in_the_context_of_the_request(loop_client: Any, colour: str) -> None:
    def items() -> Iterator[str]:
        token = variable.set("generator")
        yield f"{g.user} {request.args['q']}"
        yield variable.get()
        variable.reset(token)  # the chunks share one Context
        yield variable.get()

    app = app_that_sends(colour, items)

    @app.before_request
    def before() -> None:
        g.user = "Ada"
        variable.set("hook")

    response = loop_client(app).get("/?q=1")
    assert [event.data for event in read(response)] == ["Ada 1", "generator", "hook"]


@pytest.mark.parametrize("protocol", ["wsgi", "asgi-asyncio", "asgi-trio"])
def test_heartbeat_leaves_a_silent_async_generator_alone(protocol: str) -> None:
    app = DuoFlask(__name__)
    may_go_on = threading.Event()
    cancelled = []

    @app.route("/")
    async def view() -> Any:
        async def events() -> AsyncIterator[str]:
            for name in ("a", "b"):
                try:
                    while not may_go_on.is_set():
                        await anyio.sleep(0.002)
                except BaseException as exc:
                    cancelled.append(exc)
                    raise
                may_go_on.clear()
                yield name

        return sse(events(), heartbeat=SILENT)

    protocol, _, backend = protocol.partition("-")
    with app.test_client(protocol=protocol, backend=backend or "asyncio") as client:
        chunks = client.get("/").iter_encoded()
        assert next(chunks) == b":\n\n"
        for name in (b"a", b"b"):
            assert [next(chunks), next(chunks), next(chunks)] == [b":\n\n"] * 3
            may_go_on.set()
            chunk = b":\n\n"
            while chunk == b":\n\n":
                chunk = next(chunks)
            assert chunk == b"data: " + name + b"\n\n"
        assert set(chunks) <= {b":\n\n"}
    assert cancelled == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_heartbeat_speaks_for_a_silent_def_generator_under_asgi(backend: str) -> None:
    app = DuoFlask(__name__)
    may_go_on = threading.Event()

    @app.route("/")
    def view() -> Any:
        def events() -> Iterator[str]:
            assert may_go_on.wait(30)
            yield "a"

        return sse(events(), heartbeat=SILENT)

    with app.test_client(protocol="asgi", backend=backend) as client:
        chunks = client.get("/").iter_encoded()
        assert [next(chunks), next(chunks), next(chunks)] == [b":\n\n"] * 3
        may_go_on.set()
        assert [chunk for chunk in chunks if chunk != b":\n\n"] == [b"data: a\n\n"]


@pytest.mark.parametrize("heartbeat", [SILENT, None])
@pytest.mark.parametrize("colour", COLOURS)
def test_client_that_leaves_closes_the_generator_once(loop_client: Any, colour: str, heartbeat: float | None) -> None:
    trail: list[str] = []

    def items() -> Iterator[str]:
        while True:
            yield "x"

    app = DuoFlask(__name__)

    @app.teardown_request
    def teardown(error: BaseException | None) -> None:
        trail.append("teardown")

    @app.route("/def")
    def view() -> Any:
        def events() -> Iterator[str]:
            try:
                yield from items()
            finally:
                trail.append(f"closed for {request.path}")

        return sse(events(), heartbeat=heartbeat)

    @app.route("/async def")
    async def view_async() -> Any:
        async def events() -> AsyncIterator[str]:
            try:
                for item in items():
                    yield item
            finally:
                await anyio.sleep(0)
                trail.append(f"closed for {request.path}")

        return sse(events(), heartbeat=heartbeat)

    response = loop_client(app).get(f"/{colour}")
    chunks = response.iter_encoded()
    for _ in range(3):
        next(chunks)
    response.close()
    assert trail == [f"closed for /{colour}", "teardown"]


def test_client_that_leaves_stops_a_generator_that_waits(channel: Any) -> None:
    """Under ASGI; under WSGI nobody can tell before something is written, which the heartbeat does."""
    app = DuoFlask(__name__)
    trail: list[str] = []
    app.teardown_request(lambda error: trail.append("teardown"))

    @app.route("/")
    async def view() -> Any:
        async def events() -> AsyncIterator[str]:
            yield "a"
            try:
                await anyio.sleep_forever()
            except BaseException as exc:
                trail.append(type(exc).__name__)
                raise
            finally:
                trail.append("closed")

        return sse(events())

    async def main() -> None:
        async def on_send(message: dict[str, Any]) -> None:
            if message.get("body") == b"data: a\n\n":
                made.disconnect()

        made = channel("/", on_send=on_send)
        with anyio.fail_after(20):
            await made.serve(app)

    for backend in ("asyncio", "trio"):
        trail.clear()
        anyio.run(main, backend=backend)
        assert trail[1:] == ["closed", "teardown"]
        assert trail[0] in ("CancelledError", "Cancelled")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_silent_def_generator_is_closed_at_its_next_yield(channel: Any, backend: str) -> None:
    app = DuoFlask(__name__)
    trail: list[str] = []
    may_go_on, waits = threading.Event(), threading.Event()
    app.teardown_request(lambda error: trail.append("teardown"))

    @app.route("/")
    def view() -> Any:
        def events() -> Iterator[str]:
            try:
                yield "a"
                waits.set()
                assert may_go_on.wait(30)
                yield "b"
                yield "never"
            finally:
                trail.append("closed")

        return sse(events())

    async def main() -> None:
        made = channel("/")
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(made.serve, app)
                assert await anyio.to_thread.run_sync(waits.wait, 20)
                made.disconnect()
                await anyio.wait_all_tasks_blocked()
                assert trail == []
                may_go_on.set()
        assert b"never" not in made.text.encode()

    anyio.run(main, backend=backend)
    assert trail == ["closed", "teardown"]


def test_body_that_nobody_wants_closes_its_source(loop_client: Any) -> None:
    closed: list[str] = []

    class Source:
        def __iter__(self) -> Any:
            return self

        def __next__(self) -> str:
            raise AssertionError("it was asked")

        def close(self) -> None:
            closed.append("def")

    class AsyncSource:
        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> str:
            raise AssertionError("it was asked")

        async def aclose(self) -> None:
            closed.append("async def")

    app = DuoFlask(__name__)
    app.add_url_rule("/def", "def", lambda: sse(Source()))
    app.add_url_rule("/async", "async", lambda: sse(AsyncSource()))
    client = loop_client(app)
    for path in ("/def", "/async"):
        client.head(path)
    assert closed == ["def", "async def"]


@pytest.mark.parametrize("heartbeat", [15.0, None])
@pytest.mark.parametrize("colour", COLOURS)
def test_exception_in_a_generator_aborts_and_is_logged(
    loop_client: Any, colour: str, heartbeat: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    def items() -> Iterator[str]:
        yield "a"
        raise LookupError("broken")

    app = app_that_sends(colour, items, heartbeat=heartbeat)
    torn: list[Any] = []
    app.teardown_request(lambda error: torn.append(error))
    response = loop_client(app).get("/")
    with pytest.raises(LookupError, match="broken"):
        for _ in response.iter_encoded():
            pass
    assert [type(error) for error in torn] == [LookupError]
    assert "Exception on / [GET]" in caplog.text


@pytest.mark.parametrize("colour", COLOURS)
def test_bytes_are_refused(loop_client: Any, colour: str) -> None:
    response = loop_client(app_that_sends(colour, lambda: [b"x"])).get("/")
    with pytest.raises(TypeError, match="Decode them, or send base64"):
        response.get_data()


def test_last_event_id_is_the_clients(client: Any) -> None:
    app = DuoFlask(__name__)
    app.add_url_rule("/", "index", lambda: repr(last_event_id()))
    made = client(app)
    assert made.get("/").text == "None"
    for sent, seen in (("7", "7"), ("\xc3\xbc", "\xfc"), ("\xff", "\ufffd"), ("x" * 5000, None)):
        assert made.get("/", headers={"Last-Event-ID": sent}).text == repr(seen)


def test_subscription_is_a_source_in_both_colours(loop_client: Any) -> None:
    app = DuoFlask(__name__)
    broadcast = Broadcast()
    app.add_url_rule("/def", "def", lambda: sse(broadcast.subscribe("news", after=last_event_id())))

    @app.route("/async")
    async def view() -> Any:
        return sse(broadcast.subscribe("news", "other", after=last_event_id()), heartbeat=SILENT)

    client = loop_client(app)
    for path, heartbeats in (("/def", False), ("/async", True)):
        parser = EventParser()
        response = client.get(path)
        chunks = response.iter_encoded()
        assert parser.feed(next(chunks)) == []
        assert parser.last_event_id
        if heartbeats:
            assert next(chunks) == next(chunks) == b":\n\n"
        broadcast.publish("news", "a")
        broadcast.publish("news", {"b": 1})
        events: list[Event] = []
        while len(events) < 2:
            events += parser.feed(next(chunks))
        response.close()
        assert [event.data for event in events] == ["a", '{"b": 1}']
        broadcast.publish("news", "c")
        response = client.get(path, headers={"Last-Event-ID": str(events[0].id)})
        chunks = response.iter_encoded()
        parser = EventParser()
        events = []
        while len(events) < 2:
            events += parser.feed(next(chunks))
        response.close()
        assert [event.data for event in events] == ['{"b": 1}', "c"]
    assert not broadcast.backend._channels["news"].subscribers  # type: ignore[attr-defined]


@pytest.mark.parametrize("colour", COLOURS)
def test_source_that_is_away_ends_the_stream(client: Any, colour: str) -> None:
    """A browser connects again after an end, and never after a 503."""
    app = DuoFlask(__name__)

    class Away:
        def open_now(self) -> None:
            raise ServiceUnavailable

        async def open(self) -> None:
            raise ServiceUnavailable

        pull = pull_now = None

        def close_now(self) -> None:
            pass

        async def aclose(self) -> None:
            pass

    app.add_url_rule("/", "index", lambda: sse(Away()))  # type: ignore[arg-type]
    assert client(app).get("/").data == b""


def test_response_can_be_made_outside_a_request() -> None:
    assert sse(["a"]).data == b":\n\ndata: a\n\n"
