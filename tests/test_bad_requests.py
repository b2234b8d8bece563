"""Wrong requests, sent as servers pass them on: what has no right to reach a function does not (rule 7)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import anyio
import pytest

import duoflask
from duoflask.testing import create_environ


def ask(
    protocol: str,
    app: Any,
    path: str = "/",
    *,
    lengths: Iterable[str] = (),
    chunks: Iterable[bytes] = (),
    chunked: bool = False,
    cut: bool = False,
    raw_path: bytes | None = None,
    query: bytes = b"",
    content_type: str = "text/plain",
) -> tuple[int, str]:
    """Send a POST below every check of a client; `cut`: the client leaves when it has sent the chunks."""
    lengths, chunks = list(lengths), list(chunks)
    if protocol == "wsgi":
        environ = create_environ("/", method="POST")
        environ.pop("CONTENT_LENGTH", None)
        environ.update(
            {
                "PATH_INFO": path if raw_path is None else raw_path.decode("latin-1"),
                "QUERY_STRING": query.decode("latin-1"),
                "CONTENT_TYPE": content_type,
                "wsgi.input": _Input(b"".join(chunks), cut and chunked),
            }
        )
        if lengths:
            environ["CONTENT_LENGTH"] = ",".join(lengths)
        if chunked:
            environ.update({"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True})
        started: list[str] = []
        body = app(environ, lambda status, headers, exc_info=None: started.append(status))
        text = b"".join(body).decode()
        getattr(body, "close", lambda: None)()
        return int(started[0][:3]), text
    headers = [(b"host", b"localhost"), (b"content-type", content_type.encode())]
    headers += [(b"content-length", length.encode("latin-1", "replace")) for length in lengths]
    headers += [(b"transfer-encoding", b"chunked")] if chunked else []
    shown = raw_path.decode("utf-8", "replace") if raw_path is not None else path
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": shown,
        "raw_path": b"".join(b"%%%02x" % byte for byte in raw_path) if raw_path is not None else path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": None,
        "server": ("localhost", 80),
    }
    return anyio.run(_ask_asgi, app, scope, chunks, cut)


class _Input(io.BytesIO):
    """What a server gives as `wsgi.input`; it fails where a chunked body was cut."""

    def __init__(self, data: bytes, fails: bool) -> None:
        super().__init__(data)
        self._fails = fails

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if not data and self._fails:
            raise OSError("the client has left")
        return data


async def _ask_asgi(app: Any, scope: Any, chunks: list[bytes], cut: bool) -> tuple[int, str]:
    last = {"type": "http.disconnect"} if cut else {"type": "http.request", "body": b"", "more_body": False}
    waiting = [*({"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks), last]
    sent: list[Any] = []
    done = anyio.Event()

    async def receive() -> Any:
        if waiting:
            return waiting.pop(0)
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    done.set()
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:]).decode()


def make_app(**config: Any) -> tuple[duoflask.Flask, list[str]]:
    """An app whose functions write down that they were reached."""
    app, reached = duoflask.Flask("app"), []
    app.config.update(config)
    app.before_request(lambda: reached.append("hook"))

    @app.post("/")
    def view() -> Any:
        reached.append("view")
        return str(len(duoflask.request.get_data()))

    @app.post("/async")
    async def async_view() -> Any:
        reached.append("view")
        return str(len(duoflask.request.get_data()))

    @app.post("/blind")
    def blind() -> Any:
        reached.append("view")
        return "did not look"

    @app.post("/form")
    async def form() -> Any:
        return ",".join(duoflask.request.form.values())

    @app.post("/json")
    def json() -> Any:
        return str(duoflask.request.get_json(force=True))

    return app, reached


LOOKS = ["/", "/async"]


# -- Content-Length


@pytest.mark.parametrize(
    "length",
    ["-1", "+1", "1_0", "1,1", "1, 1", "abc", "0x1", "1.0", "1 2", "\u00b2", "9" * 20, "5;5", "--", "1e3"],
)
@pytest.mark.parametrize("path", ["/", "/async", "/blind"])
def test_invalid_content_length_is_a_400_before_any_function(path: str, length: str, protocol: str) -> None:
    app, reached = make_app()
    status, text = ask(protocol, app, path, lengths=[length], chunks=[b"x"])
    assert status == 400
    assert "Content-Length" in text
    assert reached == []


@pytest.mark.parametrize("lengths", [["1", "2"], ["5", "5"], ["-1", "5"], ["5", "abc"]])
def test_double_content_length_is_a_400_before_any_function(lengths: list[str], protocol: str) -> None:
    app, reached = make_app()
    status, text = ask(protocol, app, lengths=lengths, chunks=[b"12345"])
    assert status == 400
    assert "Content-Length" in text
    assert reached == []


@pytest.mark.parametrize("path", LOOKS)
def test_declared_length_at_the_limit_is_read(path: str, protocol: str) -> None:
    app, _ = make_app(MAX_CONTENT_LENGTH=5)
    assert ask(protocol, app, path, lengths=["5"], chunks=[b"123", b"45"]) == (200, "5")


@pytest.mark.parametrize("path", ["/", "/async", "/blind"])
def test_declared_length_over_the_limit_is_a_413_before_any_function(path: str, protocol: str) -> None:
    app, reached = make_app(MAX_CONTENT_LENGTH=5)
    status, text = ask(protocol, app, path, lengths=["6"], chunks=[b"123456"])
    assert status == 413
    assert "expected at most 5 bytes" in text
    assert reached == []


def test_refused_body_meets_the_error_handlers_and_the_after_hooks(protocol: str) -> None:
    app, reached = make_app(MAX_CONTENT_LENGTH=5)
    app.register_error_handler(413, lambda error: ("too much", 413))
    app.after_request(lambda response: reached.append("after") or response)
    assert ask(protocol, app, lengths=["6"], chunks=[b"123456"]) == (413, "too much")
    assert reached == ["after"]


# -- bodies that are not what was announced


@pytest.mark.parametrize("path", LOOKS)
def test_chunked_body_at_the_limit_is_read(path: str, protocol: str) -> None:
    app, _ = make_app(MAX_CONTENT_LENGTH=5)
    assert ask(protocol, app, path, chunks=[b"123", b"45"], chunked=True) == (200, "5")


@pytest.mark.parametrize("path", LOOKS)
def test_chunked_body_over_the_limit_is_a_413_at_the_first_look(path: str, protocol: str) -> None:
    app, reached = make_app(MAX_CONTENT_LENGTH=5)
    assert ask(protocol, app, path, chunks=[b"123", b"456"], chunked=True)[0] == 413
    assert reached == ["hook", "view"]


def test_chunked_body_over_the_limit_is_nothing_to_who_does_not_look(protocol: str) -> None:
    app, _ = make_app(MAX_CONTENT_LENGTH=5)
    assert ask(protocol, app, "/blind", chunks=[b"123", b"456"], chunked=True) == (200, "did not look")


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", LOOKS)
def test_body_that_ends_early_is_a_400_at_the_first_look(path: str, chunked: bool, protocol: str) -> None:
    app, reached = make_app()
    lengths = [] if chunked else ["9"]
    assert ask(protocol, app, path, lengths=lengths, chunks=[b"123"], chunked=chunked, cut=True)[0] == 400
    assert reached == ["hook", "view"]


def test_body_that_ends_early_is_nothing_to_who_does_not_look(protocol: str) -> None:
    app, _ = make_app()
    assert ask(protocol, app, "/blind", lengths=["9"], chunks=[b"123"], cut=True) == (200, "did not look")


def test_body_shorter_than_announced_is_a_400_though_the_channel_ended_well(protocol: str) -> None:
    app, _ = make_app()
    assert ask(protocol, app, lengths=["9"], chunks=[b"123"])[0] == 400


@pytest.mark.parametrize("path", [*LOOKS, "/streamed"])
@pytest.mark.parametrize("length", ["3", "9"])
def test_length_of_a_chunked_body_counts_for_nothing(path: str, length: str, protocol: str) -> None:
    """RFC 9112 6.3; h11 passes such a request on with both fields."""
    app, _ = make_app()

    @app.post("/streamed", stream_body=True)
    async def streamed() -> str:
        return str(sum([len(chunk) async for chunk in duoflask.request.stream]))

    @app.post("/length")
    def announced() -> str:
        before = duoflask.request.content_length
        return str((before, len(duoflask.request.get_data()), duoflask.request.content_length))

    assert ask(protocol, app, path, lengths=[length], chunks=[b"1234", b"56"], chunked=True) == (200, "6")
    assert ask(protocol, app, "/length", lengths=[length], chunks=[b"123456"], chunked=True)[1] == "(None, 6, None)"


def test_body_error_is_raised_at_every_look(protocol: str) -> None:
    app, errors = duoflask.Flask("app"), []

    @app.post("/")
    def view() -> Any:
        for look in (duoflask.request.get_data, duoflask.request.get_json, lambda: duoflask.request.form):
            try:
                look()
            except duoflask.HTTPException as exc:
                errors.append(exc.code)
        return "survived"

    form = "application/x-www-form-urlencoded"
    assert ask(protocol, app, lengths=["9"], chunks=[b"a=1"], cut=True, content_type=form) == (
        200,
        "survived",
    )
    assert errors == [400, 415, 400]


def test_form_over_its_limit_is_a_413(protocol: str) -> None:
    app, _ = make_app(MAX_FORM_MEMORY_SIZE=5)
    form = "application/x-www-form-urlencoded"
    assert ask(protocol, app, "/form", lengths=["5"], chunks=[b"a=123"], content_type=form) == (200, "123")
    assert ask(protocol, app, "/form", lengths=["6"], chunks=[b"a=1234"], content_type=form)[0] == 413
    assert ask(protocol, app, "/form", chunks=[b"a=12", b"34"], chunked=True, content_type=form)[0] == 413


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b"", b"nul"])
def test_body_that_is_no_json_is_a_400(body: bytes, protocol: str) -> None:
    app, _ = make_app()
    assert ask(protocol, app, "/json", lengths=[str(len(body))], chunks=[body])[0] == 400


def test_body_over_what_may_be_spooled_is_a_413_under_asgi() -> None:
    app, _ = make_app(MAX_SPOOLED_BODY=5)
    assert ask("asgi", app, chunks=[b"12345"], chunked=True) == (200, "5")
    status, text = ask("asgi", app, chunks=[b"123456"], chunked=True)
    assert (status, "MAX_SPOOLED_BODY" in text) == (413, True)


def test_large_body_is_spooled_and_read_back(protocol: str) -> None:
    app, _ = make_app()
    chunks = [b"x" * 65536] * 20
    assert ask(protocol, app, "/async", chunks=chunks, chunked=True) == (200, str(20 * 65536))


def test_body_for_a_path_without_a_rule_is_left_alone(protocol: str) -> None:
    app, reached = make_app(MAX_CONTENT_LENGTH=5)
    assert ask(protocol, app, "/none", lengths=["6"], chunks=[b"123456"])[0] == 404
    assert reached == ["hook"]


# -- limits of a rule and of a request


@pytest.mark.parametrize("colour", ["def", "async def"])
@pytest.mark.parametrize(("own", "of_app"), [(8, 5), (5, 8), (8, None)])
def test_rule_has_its_own_limit(own: int, of_app: int | None, colour: str, protocol: str) -> None:
    app, reached = make_app(MAX_CONTENT_LENGTH=of_app)

    def view() -> str:
        return str(len(duoflask.request.get_data()))

    async def async_view() -> str:
        return view()

    app.post("/own", endpoint="own", max_content_length=own)(view if colour == "def" else async_view)
    body = b"x" * own
    assert ask(protocol, app, "/own", lengths=[str(own)], chunks=[body]) == (200, str(own))
    assert ask(protocol, app, "/own", chunks=[body], chunked=True) == (200, str(own))
    reached.clear()
    assert ask(protocol, app, "/own", lengths=[str(own + 1)], chunks=[body + b"x"])[0] == 413
    assert reached == []
    assert ask(protocol, app, "/own", chunks=[body, b"x"], chunked=True)[0] == 413


def test_limit_can_be_lowered_by_a_hook(protocol: str) -> None:
    app, _ = make_app(MAX_CONTENT_LENGTH=8)
    app.before_request(lambda: setattr(duoflask.request, "max_content_length", 3))
    assert ask(protocol, app, lengths=["3"], chunks=[b"123"]) == (200, "3")
    assert ask(protocol, app, lengths=["4"], chunks=[b"1234"])[0] == 413
    assert ask(protocol, app, chunks=[b"1234"], chunked=True)[0] == 413


def test_limit_cannot_be_raised_by_a_hook(protocol: str) -> None:
    app, _ = make_app(MAX_CONTENT_LENGTH=8, TESTING=True)
    app.before_request(lambda: setattr(duoflask.request, "max_content_length", 9))
    with pytest.raises(ValueError, match=r"pass max_content_length=9 to route\(\)"):
        ask(protocol, app, lengths=["3"], chunks=[b"123"])


# -- stream_body=True


def streaming_app(**config: Any) -> tuple[duoflask.Flask, list[bytes]]:
    app, pieces = duoflask.Flask("app"), []
    app.config.update(config)

    @app.post("/def", stream_body=True)
    def in_thread() -> str:
        pieces.extend(duoflask.request.stream)
        return str(sum(map(len, pieces)))

    @app.post("/async", stream_body=True)
    async def on_loop() -> str:
        async for piece in duoflask.request.stream:
            pieces.append(piece)
        return str(sum(map(len, pieces)))

    @app.post("/read", stream_body=True)
    def read() -> str:
        stream = duoflask.request.stream
        return repr([stream.read(2), stream.read(), stream.read(1)])

    @app.post("/blind", stream_body=True)
    async def blind() -> str:
        return "did not look"

    @app.post("/own", stream_body=True, max_content_length=9)
    async def own() -> str:
        return str(sum([len(piece) async for piece in duoflask.request.stream]))

    return app, pieces


STREAMS = ["/def", "/async"]


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("chunked", [False, True])
def test_streamed_body_arrives_whole(path: str, chunked: bool, protocol: str) -> None:
    app, pieces = streaming_app()
    chunks = [b"1" * 70_000, b"2", b"", b"3" * 5]
    lengths = [] if chunked else ["70006"]
    assert ask(protocol, app, path, lengths=lengths, chunks=chunks, chunked=chunked) == (200, "70006")
    assert b"".join(pieces) == b"".join(chunks)


@pytest.mark.parametrize("path", STREAMS)
def test_streamed_body_may_be_empty(path: str, protocol: str) -> None:
    app, _ = streaming_app()
    assert ask(protocol, app, path, lengths=["0"]) == (200, "0")
    assert ask(protocol, app, path) == (200, "0")


def test_streamed_body_is_a_file_for_def_views(protocol: str) -> None:
    app, _ = streaming_app()
    assert ask(protocol, app, "/read", lengths=["5"], chunks=[b"123", b"45"]) == (200, "[b'12', b'345', b'']")


@pytest.mark.parametrize("path", STREAMS)
def test_streamed_body_at_the_limit_is_read(path: str, protocol: str) -> None:
    app, _ = streaming_app(MAX_CONTENT_LENGTH=5)
    assert ask(protocol, app, path, chunks=[b"123", b"45"], chunked=True) == (200, "5")
    app, _ = streaming_app(MAX_CONTENT_LENGTH=5)
    assert ask(protocol, app, path, lengths=["5"], chunks=[b"123", b"45"]) == (200, "5")


@pytest.mark.parametrize("path", STREAMS)
def test_streamed_body_over_the_limit_is_a_413_where_it_is_read(path: str, protocol: str) -> None:
    app, _ = streaming_app(MAX_CONTENT_LENGTH=5)
    assert ask(protocol, app, path, chunks=[b"123", b"456"], chunked=True)[0] == 413


@pytest.mark.parametrize("path", [*STREAMS, "/blind"])
def test_streamed_body_declared_over_the_limit_is_a_413(path: str, protocol: str) -> None:
    app, pieces = streaming_app(MAX_CONTENT_LENGTH=5)
    assert ask(protocol, app, path, lengths=["6"], chunks=[b"123456"])[0] == 413
    assert pieces == []


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("chunked", [False, True])
def test_streamed_body_that_ends_early_is_a_400(path: str, chunked: bool, protocol: str) -> None:
    app, _ = streaming_app()
    lengths = [] if chunked else ["9"]
    assert ask(protocol, app, path, lengths=lengths, chunks=[b"123"], chunked=chunked, cut=True)[0] == 400


def test_streamed_body_may_be_left_unread(protocol: str) -> None:
    app, _ = streaming_app()
    assert ask(protocol, app, "/blind", lengths=["3"], chunks=[b"123"]) == (200, "did not look")


def test_streamed_body_has_the_limit_of_its_rule(protocol: str) -> None:
    app, _ = streaming_app(MAX_CONTENT_LENGTH=5)
    assert ask(protocol, app, "/own", chunks=[b"123456789"], chunked=True) == (200, "9")
    assert ask(protocol, app, "/own", chunks=[b"123456789", b"0"], chunked=True)[0] == 413
    assert ask(protocol, app, "/own", lengths=["10"], chunks=[b"1234567890"])[0] == 413


# -- the target


@pytest.mark.parametrize("raw", [b"/\xff", b"/a/\xc3", b"/\xed\xa0\x80", b"/\xc0\xaf"])
def test_path_that_is_no_utf_8_is_a_400_and_reaches_no_view(raw: bytes, protocol: str) -> None:
    app, reached = make_app()
    app.add_url_rule("/<path:name>", "any", lambda name: reached.append("view") or "", methods=["POST"])
    status, text = ask(protocol, app, raw_path=raw)
    assert (status, "UTF-8" in text) == (400, True)
    assert "view" not in reached


def test_replacement_character_in_a_path_is_a_character(protocol: str) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/<name>", "any", lambda name: name, methods=["POST"])
    assert ask(protocol, app, raw_path="/\ufffd".encode()) == (200, "\ufffd")


@pytest.mark.parametrize("query", [b"a=%", b"a=%zz", b"a=%ff", b"a=\xff", b"&&=&a", b"a=%00", b"%"])
def test_bad_escape_in_a_query_is_kept(query: bytes, protocol: str) -> None:
    app = duoflask.Flask("app")
    app.add_url_rule("/", "view", lambda: repr(dict(duoflask.request.args)), methods=["POST"])
    status, text = ask(protocol, app, query=query)
    assert status == 200
    if protocol == "asgi":
        assert text == ask("wsgi", app, query=query)[1]
