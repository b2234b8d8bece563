"""Streamed bodies of both colours under both protocols: their Context, their timing, their errors, their cost."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import os
import threading
import traceback
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from time import process_time
from typing import Any

import anyio
import pytest
import starlette.applications
import starlette.responses
import starlette.routing
import werkzeug.wrappers

import duoflask
from duoflask import DuoFlask, Response, g, request, session
from duoflask.testing import create_environ

COLOURS = ["def", "async def"]
every_colour = pytest.mark.parametrize(("view_colour", "body_colour"), list(itertools.product(COLOURS, COLOURS)))
body_colours = pytest.mark.parametrize("colour", COLOURS)
FULL = os.environ.get("DUOFLASK_FULL") == "1"

variable: ContextVar[str] = ContextVar("variable", default="unset")


def coloured(colour: str, chunks: Callable[[], Iterator[Any]]) -> Any:
    """A body of the wanted colour; an `async def` one suspends before each piece."""
    if colour == "def":
        return chunks()

    async def on_loop() -> AsyncIterator[Any]:
        for chunk in chunks():
            await anyio.lowlevel.checkpoint()
            yield chunk

    return on_loop()


def add_view(app: DuoFlask, colour: str, make: Callable[[], Any], rule: str = "/") -> None:
    """A view of the wanted colour that returns what `make` does."""
    if colour == "def":
        app.add_url_rule(rule, f"view {rule}", make)
        return

    async def view() -> Any:
        await anyio.lowlevel.checkpoint()
        return make()

    app.add_url_rule(rule, f"view {rule}", view)


# -- the Context


@every_colour
@pytest.mark.parametrize("wrapped", [False, True])
def test_every_piece_has_the_requests_context(
    loop_client: Any, view_colour: str, body_colour: str, wrapped: bool
) -> None:
    app = DuoFlask("app")
    app.secret_key = "key"
    app.add_url_rule("/sign-in", "sign_in", lambda: session.update(user="Ada") or "")

    def make() -> Any:
        g.value = "g"
        token = variable.set("set by the view")

        def chunks() -> Iterator[str]:
            for _ in range(3):
                yield f"{g.value} {session['user']} {request.path} {variable.get()} {duoflask.current_app.name};"
            variable.reset(token)  # a token of the view's: it is the same Context
            yield variable.get()

        body = coloured(body_colour, chunks)
        return duoflask.stream_with_context(body) if wrapped else body

    add_view(app, view_colour, make, "/stream")
    made = loop_client(app)
    made.get("/sign-in")
    assert made.get("/stream").text == "g Ada /stream set by the view app;" * 3 + "unset"


@body_colours
def test_what_a_piece_sets_the_next_one_and_the_teardown_see(loop_client: Any, colour: str) -> None:
    app, seen = DuoFlask("app"), []
    app.teardown_request(lambda error: seen.append(variable.get()))

    def chunks() -> Iterator[str]:
        for number in range(3):
            yield variable.get() + ";"
            variable.set(f"set by piece {number}")

    add_view(app, colour, lambda: coloured(colour, chunks))
    assert loop_client(app).get("/").text == "unset;set by piece 0;set by piece 1;"
    assert seen == ["set by piece 2"]


def test_a_def_body_may_run_async_functions(loop_client: Any) -> None:
    app = DuoFlask("app")

    async def double(number: int) -> str:
        await anyio.lowlevel.checkpoint()
        return f"{number * 2} {g.value};"

    def chunks() -> Iterator[str]:
        for number in range(3):
            yield app.ensure_sync(double)(number)

    def make() -> Any:
        g.value = "g"
        return chunks()

    add_view(app, "def", make)
    add_view(app, "async def", make, "/async")
    made = loop_client(app)
    assert made.get("/").text == made.get("/async").text == "0 g;2 g;4 g;"


@body_colours
def test_stream_with_context_around_a_function(client: Any, colour: str) -> None:
    app = DuoFlask("app")

    def make() -> Any:
        @duoflask.stream_with_context
        def chunks() -> Iterator[str]:
            yield request.path

        return chunks()

    add_view(app, colour, make)
    assert client(app).get("/").text == "/"


@body_colours
def test_a_streamed_template_has_the_context(loop_client: Any, colour: str) -> None:
    app = DuoFlask("app")

    def make() -> Any:
        g.value = "g"
        return duoflask.stream_template_string(
            "{% for n in 'ab' %}{{ n }} {{ g.value }} {{ request.path }};{% endfor %}"
        )

    add_view(app, colour, make)
    assert loop_client(app).get("/").text == "a g /;b g /;"


# -- pieces


@body_colours
def test_pieces_may_be_of_each_kind(loop_client: Any, colour: str) -> None:
    app = DuoFlask("app")
    kinds = ["\u20ac", b"b", bytearray(b"c"), memoryview(b"d"), "", b""]
    add_view(app, colour, lambda: coloured(colour, lambda: iter(kinds)))
    assert loop_client(app).get("/").data == "\u20acbcd".encode()


@body_colours
@pytest.mark.parametrize("wrong", [1, None, ["a"]])
def test_a_piece_that_is_no_text_or_bytes_is_an_error(loop_client: Any, caplog: Any, colour: str, wrong: Any) -> None:
    app = DuoFlask("app")
    add_view(app, colour, lambda: coloured(colour, lambda: iter(["a", wrong])))
    with pytest.raises(TypeError, match="invalid piece of a response body; expected str or bytes; got"):
        loop_client(app).get("/").get_data()
    assert [record.getMessage() for record in caplog.records] == ["Exception on / [GET]"]


@body_colours
def test_iter_encoded_of_an_own_response_class_is_used(loop_client: Any, colour: str) -> None:
    class Loud(Response):
        def iter_encoded(self) -> Iterator[bytes]:
            return (chunk.upper() for chunk in super().iter_encoded())

    app = DuoFlask("app")
    app.response_class = Loud
    add_view(app, colour, lambda: iter(["a", "b"]))
    assert loop_client(app).get("/").data == b"AB"


@body_colours
def test_no_piece_waits_for_the_next_one_under_asgi(channel: Any, colour: str) -> None:
    """Not only the first: a quick piece behind another one leaves before a slow one is there."""
    app, gate = DuoFlask("app"), threading.Event()

    def chunks() -> Iterator[str]:
        yield from "abc"
        assert gate.wait(20)
        yield "d"

    async def async_chunks() -> AsyncIterator[str]:
        for piece in "abc":
            yield piece
        while not gate.is_set():
            await anyio.sleep(0.001)
        yield "d"

    add_view(app, colour, chunks if colour == "def" else async_chunks)

    async def open_gate(message: Any) -> None:
        if message.get("body") == b"c":
            gate.set()

    async def main() -> str:
        opened = channel("/", on_send=open_gate)
        await opened.serve(app)
        return opened.text

    assert anyio.run(main) == "abcd"


@body_colours
def test_no_piece_waits_for_the_next_one_under_wsgi(wsgi_call: Any, colour: str) -> None:
    app, gate = DuoFlask("app"), threading.Event()

    def chunks() -> Iterator[str]:
        yield from "abc"
        assert gate.is_set()
        yield "d"

    async def async_chunks() -> AsyncIterator[str]:
        for piece in "abc":
            yield piece
        while not gate.is_set():
            await anyio.sleep(0.001)
        yield "d"

    add_view(app, colour, chunks if colour == "def" else async_chunks)
    call = wsgi_call(app)
    pieces = iter(call.body)
    assert [next(pieces) for _ in range(3)] == [b"a", b"b", b"c"]
    gate.set()
    assert list(pieces) == [b"d"]
    call.close()


def test_an_async_body_that_never_waits_lets_others_have_their_turn(channel: Any) -> None:
    app, turns = DuoFlask("app"), []

    async def chunks() -> AsyncIterator[bytes]:
        while len(turns) < 3:
            yield b"x"

    add_view(app, "def", chunks)

    async def main() -> None:
        async def other() -> None:
            while True:
                turns.append(None)
                await anyio.sleep(0)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(other)
                turns.clear()
                await channel("/").serve(app)
                group.cancel_scope.cancel()

    anyio.run(main)
    assert len(turns) >= 3


# -- errors


@every_colour
@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_an_error_midway_reaches_server_log_and_teardown(
    loop_client: Any, caplog: Any, view_colour: str, body_colour: str, pieces: int
) -> None:
    app, torn = DuoFlask("app"), []
    app.teardown_request(lambda error: torn.append(repr(error)))

    def chunks() -> Iterator[str]:
        for _ in range(pieces):
            yield "x"
        raise LookupError("midway")

    def make() -> Any:
        response = Response(coloured(body_colour, chunks))
        response.call_on_close(lambda: torn.append("closed"))
        return response

    add_view(app, view_colour, make, "/a")
    with pytest.raises(LookupError, match="midway"):
        loop_client(app).get("/a?secret=1").get_data()
    assert torn == ["closed", "LookupError('midway')"]
    (record,) = caplog.records
    assert record.getMessage() == "Exception on /a [GET]"
    assert record.exc_info[0] is LookupError


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@body_colours
def test_pieces_before_an_error_are_sent_and_the_end_is_not(channel: Any, colour: str, backend: str) -> None:
    app = DuoFlask("app")
    app.logger.disabled = True

    def chunks() -> Iterator[str]:
        yield from "abc"
        raise LookupError("midway")

    add_view(app, colour, lambda: coloured(colour, chunks))
    served = channel("/")
    with pytest.raises(LookupError):
        anyio.run(served.serve, app, backend=backend)
    assert served.text == "abc"
    assert served.sent[-1]["more_body"]


@body_colours
@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_a_stream_that_failed_leaves_no_cycle(channel: Any, wsgi_call: Any, protocol: str, colour: str) -> None:
    class Midway(Exception):
        pass

    app, raised = DuoFlask("app"), []
    app.logger.disabled = True

    def chunks() -> Iterator[str]:
        yield "a"
        error = Midway()
        raised.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    add_view(app, colour, lambda: coloured(colour, chunks))

    def fail() -> None:
        try:
            if protocol == "asgi":
                anyio.run(channel("/").serve, app)
            else:
                wsgi_call(app).read()
        except Midway as exc:
            traceback.clear_frames(exc.__traceback__)

    fail()
    gc.collect()
    gc.disable()
    try:
        fail()
        assert len(raised) == 2
        assert raised[1]() is None
    finally:
        gc.enable()


@body_colours
def test_an_iterable_that_makes_its_iterator_has_it_closed_in_the_context(loop_client: Any, colour: str) -> None:
    app, ended = DuoFlask("app"), []

    class Body:
        def __iter__(self) -> Iterator[str]:
            try:
                yield "a"
                raise LookupError
            finally:
                ended.append(request.path)

    class AsyncBody:
        async def __aiter__(self) -> AsyncIterator[str]:
            try:
                yield "a"
                yield "b"
            finally:
                ended.append(request.path)

    class Refusing(Response):
        def close(self) -> None:
            raise AssertionError("the dispatcher closes the body")

    app.logger.disabled = True
    kind = Body if colour == "def" else AsyncBody
    add_view(app, colour, lambda: Refusing(kind()))
    try:
        loop_client(app).get("/").get_data()
    except LookupError:
        assert colour == "def"
    assert ended == ["/"]


@body_colours
def test_an_iterator_given_up_midway_is_closed_in_the_context_under_wsgi(wsgi_call: Any, colour: str) -> None:
    app, ended = DuoFlask("app"), []

    class Body:
        def __iter__(self) -> Iterator[str]:
            try:
                yield from "abc"
            finally:
                ended.append(request.path)

    class AsyncBody:
        async def __aiter__(self) -> AsyncIterator[str]:
            try:
                for piece in "abc":
                    yield piece
            finally:
                ended.append(request.path)

    add_view(app, colour, lambda: Response((Body if colour == "def" else AsyncBody)()))
    call = wsgi_call(app)
    assert next(iter(call.body)) == b"a"
    assert ended == []
    call.close()
    assert ended == ["/"]


def test_an_async_body_that_waits_when_the_server_gives_it_up_is_cancelled(wsgi_call: Any) -> None:
    """The next piece is asked for ahead of time: what would wait for ever must not hold up the server's thread."""
    app, ended = DuoFlask("app"), []
    app.teardown_request(lambda error: ended.append(error))

    async def chunks() -> AsyncIterator[str]:
        yield "a"
        try:
            yield "b"
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        finally:
            await asyncio.sleep(0)
            ended.append(request.path)

    add_view(app, "def", chunks)
    call = wsgi_call(app)
    pieces = iter(call.body)
    assert [next(pieces), next(pieces)] == [b"a", b"b"]
    call.close()
    assert ended == ["cancelled", "/", None]


def test_an_async_body_whose_own_end_has_begun_may_end_it(wsgi_call: Any) -> None:
    app, ended = DuoFlask("app"), []

    async def chunks() -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            await asyncio.sleep(0.001)
            ended.append("closed")

    add_view(app, "def", chunks)
    call = wsgi_call(app)
    pieces = iter(call.body)
    assert [next(pieces), next(pieces)] == [b"a", b"b"]
    call.close()
    assert ended == ["closed"]


# -- cost

SIZE = 1024


def bytes_body(colour: str, count: int) -> Any:
    """Pieces that are all different objects, so that any that is kept counts."""
    if colour == "def":
        return (b"%d" % number * 200 for number in range(count))

    async def on_loop() -> AsyncIterator[bytes]:
        for number in range(count):
            yield b"%d" % number * 200

    return on_loop()


async def discard(app: Any, count: int, path: str = "/") -> int:
    """Serve a request of which nobody keeps anything; answer how many pieces came."""
    pieces = 0
    asked = False

    async def receive() -> Any:
        nonlocal asked
        if asked:
            await anyio.sleep_forever()
        asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal pieces
        if message.get("body"):
            pieces += 1
            if not pieces % 1000:
                await anyio.sleep(0)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1234),
        "server": ("localhost", 80),
    }
    await app(scope, receive, send)
    return pieces


def pull(app: Any) -> int:
    body = app(create_environ("/"), lambda *args: None)
    pieces = sum(1 for _ in body)
    getattr(body, "close", int)()
    return pieces


@pytest.mark.measures
@every_colour
@pytest.mark.parametrize("protocol", ["wsgi", "asgi"])
def test_a_long_stream_keeps_nothing(protocol: str, view_colour: str, body_colour: str) -> None:
    count = 100_000 if FULL else 20_000
    app = DuoFlask("app")
    made = [10]
    add_view(app, view_colour, lambda: bytes_body(body_colour, made[0]))

    def serve() -> int:
        return pull(app) if protocol == "wsgi" else anyio.run(discard, app, made[0])

    assert serve() == 10  # what is made once is there
    made[0] = count
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        assert serve() == count
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert grown < 4 << 20, f"the peak grew by {grown >> 10} KiB"


def least(rounds: int, *runs: Callable[[], object]) -> list[float]:
    """The least CPU time of each, in turns."""
    times = [float("inf")] * len(runs)
    for _ in range(rounds):
        for place, run in enumerate(runs):
            begun = process_time()
            run()
            times[place] = min(times[place], process_time() - begun)
    return times


def plain(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield b"x" * 10


@pytest.mark.measures
def test_a_piece_costs_next_to_nothing_under_wsgi() -> None:
    """At most 0.1 us a piece above the raw callable, and never more than Werkzeug."""
    count = 100_000 if FULL else 20_000

    def raw(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return plain(count)

    app = DuoFlask("app")
    app.add_url_rule("/", "view", lambda: plain(count))
    peer: Any = werkzeug.wrappers.Request.application(lambda request: werkzeug.wrappers.Response(plain(count)))
    raw_time, own, theirs = least(15, lambda: pull(raw), lambda: pull(app), lambda: pull(peer))
    assert own <= theirs
    assert (own - raw_time) / count < (0.1e-6 if FULL else 0.3e-6)


@pytest.mark.measures
@body_colours
def test_a_piece_costs_no_more_than_starlettes_under_asgi(colour: str) -> None:
    count = (100_000 if FULL else 10_000) if colour == "async def" else (100_000 if FULL else 1_000)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield b"x" * 10

    make = chunks if colour == "async def" else lambda: plain(count)

    async def endpoint(request: Any) -> Any:
        return starlette.responses.StreamingResponse(make())

    app = DuoFlask("app")
    add_view(app, colour, make)
    peer = starlette.applications.Starlette(routes=[starlette.routing.Route("/", endpoint)])
    rounds = 7 if colour == "async def" else 1
    own, theirs = least(rounds, lambda: anyio.run(discard, app, count), lambda: anyio.run(discard, peer, count))
    assert own <= theirs * (1 if FULL else 1.3)


def test_nothing_is_logged_by_a_stream_that_ends(loop_client: Any, caplog: Any) -> None:
    app = DuoFlask("app")
    for colour in COLOURS:
        add_view(app, colour, lambda colour=colour: coloured(colour, lambda: iter("ab")), f"/{colour}")
    made = loop_client(app)
    with caplog.at_level(logging.INFO):
        assert [made.get(f"/{colour}").text for colour in COLOURS] == ["ab", "ab"]
    assert caplog.records == []


@pytest.mark.parametrize("scope", ["anyio", "asyncio"])
@pytest.mark.parametrize("given_up", [False, True])
def test_a_time_out_in_an_async_body_that_passes_while_the_server_writes(
    wsgi_call: Any, scope: str, given_up: bool
) -> None:
    app, seen, over = DuoFlask("app"), [], threading.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"0"
        yield b"1"
        asyncio.get_running_loop().call_later(0.05, over.set)
        if scope == "anyio":
            with anyio.move_on_after(0.01):
                await anyio.sleep(100)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.01):
                    await asyncio.sleep(100)
        seen.append("went on")
        yield b"2"

    app.add_url_rule("/", "view", chunks)
    call = wsgi_call(app)
    pieces = iter(call.body)
    assert [next(pieces), next(pieces)] == [b"0", b"1"]
    assert over.wait(20)  # the batch is with the server all the while
    if not given_up:
        assert list(pieces) == [b"2"]
    call.body.close()
    assert seen == ["went on"]
