"""Forms and uploads through an app: the same under both protocols, in views of both colours."""

from __future__ import annotations

import gc
import hashlib
import io
import os
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from duoflask import DuoFlask, Request, Response, request
from duoflask.debughelpers import DebugFilesKeyError
from duoflask.http.body import DEFAULT_MAX_BODY_MEMORY, MAX_DRAINED_BODY
from duoflask.http.errors import BadRequest, RequestEntityTooLarge
from duoflask.http.file_storage import FileStorage
from duoflask.http.forms import FormDataParser
from duoflask.http.headers import Headers
from duoflask.testing import PlainEnvironBuilder, create_environ, encode_multipart, stream_encode_multipart

KIND = "multipart/form-data; boundary=bound"
LARGE = DEFAULT_MAX_BODY_MEMORY + 100_000
COLOURS = pytest.mark.parametrize("colour", ["def", "async def"])


def part(content: bytes = b"text", head: bytes = b'name="a"') -> bytes:
    return b"--bound\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + content + b"\r\n"


END = b"--bound--\r\n"
FILE = b'name="f"; filename="a.bin"'


def view_of(colour: str, function: Callable[[], Any]) -> Callable[[], Any]:
    """A view of this colour that does what a function does."""
    if colour == "def":
        return lambda: function()

    async def view() -> Any:
        return function()

    return view


def echo() -> Any:
    files = [(name, file.filename, len(data := file.read()), hashlib.md5(data).hexdigest()) for name, file in
             request.files.items(multi=True)]  # fmt: skip
    return {"form": request.form.to_dict(flat=False), "files": files}


def app_of(colour: str, function: Callable[[], Any] = echo, **options: Any) -> DuoFlask:
    app = DuoFlask(__name__)
    app.add_url_rule("/", "view", view_of(colour, function), methods=["POST"], **options)
    return app


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


@COLOURS
@pytest.mark.parametrize("size", [0, 1000, LARGE])
def test_upload(client: Any, colour: str, size: int) -> None:
    content = os.urandom(size)
    answer = client(app_of(colour)).post(
        "/", data={"a": ["1", "ü"], "empty": "", "f": (io.BytesIO(content), "ü.bin"), "none": (io.BytesIO(), "")}
    )
    assert answer.json == {
        "form": {"a": ["1", "ü"], "empty": [""]},
        "files": [
            ["f", "ü.bin", size, hashlib.md5(content).hexdigest()],
            ["none", "", 0, hashlib.md5(b"").hexdigest()],
        ],
    }


@COLOURS
def test_files_are_closed_and_none_is_left_open(client: Any, colour: str) -> None:
    kept: list[Any] = []

    def keep() -> str:
        kept.extend(request.files.values())
        return kept[-1].read(5).decode()

    app = app_of(colour, keep)
    sender = client(app)
    body = part(b"x" * LARGE, FILE) + END
    sender.post("/", data=body, content_type=KIND)
    before = descriptors()
    kept.clear()
    for bad in (body, body[:-9], part(b"x" * LARGE, FILE) + part(b"", b"junk") + END, part() * 1001 + body):
        sender.post("/", data=bad, content_type=KIND)
    assert kept[0].closed
    assert kept[0].stream.closed
    kept.clear()
    assert descriptors() == before


@COLOURS
@pytest.mark.parametrize("size", [10, LARGE])
def test_get_data_before_the_form_keeps_both(client: Any, colour: str, size: int) -> None:
    body = part() + part(b"x" * size, FILE) + END

    def view() -> Any:
        if request.args:
            assert request.form["a"] == "text"
            assert request.get_data() == b""
            return {"read": request.stream.read().decode()}
        assert request.get_data() == body
        assert request.get_data(parse_form_data=True) == body
        return echo()

    sender = client(app_of(colour, view))
    assert sender.post("/", data=body, content_type=KIND).json["files"][0][2] == size
    assert sender.post("/?form-first=1", data=body, content_type=KIND).json == {"read": ""}


# limits


@COLOURS
@pytest.mark.parametrize("kind", ["length", "chunked"])
@pytest.mark.parametrize("where", ["MAX_CONTENT_LENGTH", "rule"])
def test_exactly_the_limit_passes_and_one_more_is_a_413(client: Any, colour: str, kind: str, where: str) -> None:
    body = part(b"x" * 200_000, FILE) + END
    options = {"max_content_length": len(body)} if where == "rule" else {}
    app = app_of(colour, **options)
    app.config["MAX_CONTENT_LENGTH"] = 0 if where == "rule" else len(body)
    sender = client(app)

    def send(data: bytes) -> Any:
        if kind == "length":
            return sender.post("/", data=data, content_type=KIND)
        return sender.post("/", input_stream=io.BytesIO(data), content_type=KIND)

    assert send(body).status_code == 200
    refused = send(body + b"!")
    assert refused.status_code == 413
    assert "(MAX_CONTENT_LENGTH)" in refused.text


@COLOURS
@pytest.mark.parametrize(
    ("key", "value", "body"),
    [
        ("MAX_FORM_MEMORY_SIZE", 7, part() + part()),
        ("MAX_FORM_PARTS", 1, part() + part(b"", FILE)),
        ("MAX_FORM_MEMORY_SIZE", 7, part(b"x" * LARGE, FILE) + part() * 2),
        ("MAX_FORM_PARTS", 1, part(b"x" * LARGE, FILE) + part()),
    ],
)
def test_limit_of_forms_is_a_413_that_names_its_key(
    client: Any, colour: str, key: str, value: int, body: bytes
) -> None:
    errors = []

    def view() -> Any:
        for _ in range(2):  # at each access
            try:
                request.form  # noqa: B018
            except RequestEntityTooLarge as exc:
                errors.append(exc)
        return echo()

    app = app_of(colour, view)
    app.config[key] = value
    sender = client(app)
    refused = sender.post("/", data=body + END, content_type=KIND)
    assert (refused.status_code, len(errors)) == (413, 2)
    assert f"({key})" in refused.text
    app.config[key] = value + 1
    assert sender.post("/", data=body + END, content_type=KIND).status_code == 200


@COLOURS
@pytest.mark.parametrize("size", [10, LARGE])
def test_view_sets_limits_of_its_own(client: Any, colour: str, size: int) -> None:
    body = part() * 3 + part(b"x" * size, FILE) + END

    def view() -> Any:
        for name, value in request.args.items():
            setattr(request, name, int(value))
        return echo()

    app = app_of(colour, view)
    app.config["MAX_FORM_PARTS"] = 2
    sender = client(app)
    assert sender.post("/", data=body, content_type=KIND).status_code == 413
    raised = sender.post("/?max_form_parts=4", data=body, content_type=KIND)
    assert raised.json["form"] == {"a": ["text"] * 3}
    assert raised.json["files"][0][2] == size
    lowered = sender.post("/?max_form_parts=4&max_form_memory_size=11", data=body, content_type=KIND)
    assert "(MAX_FORM_MEMORY_SIZE)" in lowered.text
    lowered = sender.post("/?max_form_parts=4&max_content_length=20", data=body, content_type=KIND)
    assert "(MAX_CONTENT_LENGTH)" in lowered.text


@COLOURS
def test_what_is_spooled_ends_somewhere(client: Any, colour: str) -> None:
    app = app_of(colour)
    app.config["MAX_SPOOLED_BODY"] = LARGE
    answer = client(app).post("/", data=part(b"x" * LARGE, FILE) + END, content_type=KIND)
    assert answer.status_code == 413
    assert "(MAX_SPOOLED_BODY)" in answer.text


BAD = {
    "no boundary": ("multipart/form-data", part() + END),
    "long boundary": ("multipart/form-data; boundary=" + "b" * 71, part() + END),
    "no end": (KIND, part()),
    "nothing": (KIND, b"--"),
    "long head": (KIND, part(head=b'name="a"\r\nX: ' + b"x" * 10_000) + END),
    "long name": (KIND, part(head=b'name="%s"' % (b"n" * 2000)) + END),
    "many lines": (KIND, part(head=b'name="a"' + b"\r\nX: y" * 100) + END),
    "NUL in the file name": (KIND, part(head=b'name="a"; filename="a\0.txt"') + END),
    "not UTF-8": (KIND, part(head=b'name="\xff"') + END),
    "large": (KIND, part(b"x" * LARGE, FILE)),
}


@COLOURS
@pytest.mark.parametrize("name", BAD)
def test_malformed_form_is_a_400(client: Any, colour: str, name: str) -> None:
    kind, body = BAD[name]
    answer = client(app_of(colour)).post("/", data=body, content_type=kind)
    assert answer.status_code == 400
    assert "form" in answer.text


@COLOURS
def test_paths_in_file_names_are_kept(client: Any, colour: str) -> None:
    for name in ("../../etc/passwd", "/etc/passwd", "CON", "C:/a.txt", ".."):
        answer = client(app_of(colour)).post("/", data={"f": (io.BytesIO(b"x"), name)})
        assert answer.json["files"][0][1] == name


# the same however it arrives


class Arriving:
    """An ASGI server that hands the body over in pieces, and remembers how many were taken."""

    def __init__(self, body: bytes, size: int, headers: list[tuple[bytes, bytes]], gone: bool = False) -> None:
        self.pieces = [body[index : index + size] for index in range(0, len(body), size)]
        self.count = len(self.pieces)
        self.gone = gone
        self.sent: list[Any] = []
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/",
            "raw_path": b"/",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"x"), (b"content-type", KIND.encode()), *headers],
            "client": None,
            "server": None,
        }

    async def receive(self) -> dict[str, Any]:
        if self.pieces:
            piece = self.pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or self.gone}
        if not self.gone:
            await anyio.sleep_forever()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def serve(self, app: Any) -> Any:
        anyio.run(app, self.scope, self.receive, self.send)
        return self.sent[0]["status"], b"".join(message.get("body", b"") for message in self.sent[1:])


CHUNKED = [(b"transfer-encoding", b"chunked")]


@COLOURS
@pytest.mark.parametrize("size", [1, 7, 65_536])
def test_pieces_make_no_difference(colour: str, size: int) -> None:
    body = part() + part(b"\r\n--boun\r\r\n-" * 40, FILE) + END
    whole = Arriving(body, len(body), CHUNKED).serve(app_of(colour))
    assert Arriving(body, size, CHUNKED).serve(app_of(colour)) == whole
    assert whole[0] == 200


@COLOURS
def test_large_body_is_parsed_while_it_arrives(colour: str, monkeypatch: Any) -> None:
    def no_second_reading(self: Any, size: int = -1) -> bytes:
        raise AssertionError("the body is read again")

    app = app_of(colour, lambda: str(len(request.files["f"].read())))
    monkeypatch.setattr("duoflask.http.buffered.BufferedBody.read", no_second_reading)
    body = part() + part(b"x" * LARGE, FILE) + END
    assert Arriving(body, 65_536, CHUNKED).serve(app) == (200, str(LARGE).encode())


@COLOURS
def test_client_that_leaves_in_the_middle(colour: str) -> None:
    app = app_of(colour)
    before = descriptors()
    body = part(b"x" * LARGE, FILE)
    status, _ = Arriving(body, 65_536, CHUNKED, gone=True).serve(app)
    assert status == 400
    assert descriptors() == before


# the refused body is read a little, so that its client sees the answer


@COLOURS
@pytest.mark.parametrize("headers", [CHUNKED, [(b"content-length", b"10000000")]], ids=["chunked", "length"])
@pytest.mark.parametrize("stream_body", [False, True])
def test_refused_body_is_drained_under_asgi(colour: str, headers: Any, stream_body: bool) -> None:
    async def read_all() -> str:
        async for _ in request.stream:
            pass
        return ""

    app = DuoFlask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1000
    view: Any = view_of(colour, lambda: str(len(b"".join(request.stream))))
    if colour == "async def" and stream_body:
        view = read_all
    app.add_url_rule("/", "view", view, methods=["POST"], stream_body=stream_body)
    for size in (500_000, 10_000_000):
        server = Arriving(b"x" * size, 50_000, headers)
        assert server.serve(app)[0] == 413
        taken = (server.count - len(server.pieces)) * 50_000
        assert taken <= MAX_DRAINED_BODY + 150_000
        assert taken == size or size > MAX_DRAINED_BODY
    waiting = Arriving(b"x" * 500_000, 50_000, [(b"content-length", b"500000"), (b"expect", b"100-continue")])
    assert waiting.serve(app)[0] == 413
    assert waiting.count == len(waiting.pieces)


@COLOURS
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("lowered", [False, True])
def test_refused_body_is_drained_under_wsgi(colour: str, chunked: bool, lowered: bool) -> None:
    def view() -> str:
        request.max_content_length = 1000
        return str(len(request.get_data()))

    app = app_of(colour, view if lowered else lambda: str(len(request.get_data())))
    if not lowered:
        app.config["MAX_CONTENT_LENGTH"] = 1000
    for size in (500_000, 10_000_000):
        source = io.BytesIO(b"x" * size)
        environ = create_environ("/", method="POST", input_stream=source)
        if chunked:
            del environ["CONTENT_LENGTH"]
            environ |= {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
        statuses: list[str] = []
        b"".join(app(environ, lambda status, headers, exc=None, seen=statuses: seen.append(status)))
        assert statuses[0].startswith("413")
        if not (lowered and colour == "async def"):  # there it has been collected
            assert source.tell() == size or MAX_DRAINED_BODY <= source.tell() <= MAX_DRAINED_BODY + 200_000
    waiting = io.BytesIO(b"x" * 5000)
    if not lowered:
        environ = create_environ("/", method="POST", input_stream=waiting, headers={"Expect": "100-continue"})
        b"".join(app(environ, lambda status, headers, exc=None: None))
        assert waiting.tell() == 0


# part by part


def streaming_app(visit: Any) -> DuoFlask:
    app = DuoFlask(__name__)

    @app.post("/def", stream_body=True)
    def view() -> Any:
        return [visit(item) for item in request.parts()]

    @app.post("/async", stream_body=True)
    async def async_view() -> Any:
        found = []
        async for item in request.parts():
            value = visit(item)
            found.append(await value if hasattr(value, "__await__") else value)
        return found

    return app


@COLOURS
def test_what_is_left_of_a_body_never_passes_for_all_of_it(loop_client: Any, colour: str) -> None:
    """After an error that a view swallowed, and after some parts."""

    async def async_view() -> Any:
        with pytest.raises(BadRequest):
            async for _ in request.parts():
                pass
        return [item.name async for item in request.parts()]

    def view() -> Any:
        with pytest.raises(BadRequest):
            for _ in request.parts():
                pass
        return [item.name for item in request.parts()]

    app = DuoFlask(__name__)
    app.testing = True
    app.add_url_rule("/", "view", view if colour == "def" else async_view, methods=["POST"], stream_body=True)
    body = b"--bound\r\nno head\r\n\r\n" + b"x" * 200_000 + b"\r\n" + part(b"forged") + END
    with pytest.raises(RuntimeError, match="gone through already"):
        loop_client(app).post("/", data=body, content_type=KIND)


LOOKS: dict[str, Any] = {
    "form": lambda: request.form,
    "files": lambda: request.files,
    "values": lambda: request.values,
    "data": lambda: request.data,
    "get_data": lambda: request.get_data(),
}


@COLOURS
@pytest.mark.parametrize("look", LOOKS)
def test_a_form_behind_some_parts_is_an_error(loop_client: Any, colour: str, look: str) -> None:
    """What is left of the body would pass for all of it."""

    async def async_view() -> Any:
        async for _ in request.parts():
            return LOOKS[look]()

    def view() -> Any:
        for _ in request.parts():
            return LOOKS[look]()

    app = DuoFlask(__name__)
    app.testing = True
    app.add_url_rule("/", "view", view if colour == "def" else async_view, methods=["POST"], stream_body=True)
    with pytest.raises(RuntimeError, match=r"read by request\.parts\(\) and is not kept"):
        loop_client(app).post("/", data=part() * 3 + END, content_type=KIND)


@COLOURS
def test_parts_behind_a_form_are_an_error(client: Any, colour: str) -> None:
    def view() -> Any:
        assert request.form["a"] == "text"
        with pytest.raises(RuntimeError, match=r"read for request\.form or request\.files"):
            request.parts()
        return "refused"

    app = app_of(colour, view)
    assert client(app).post("/", data=part() + END, content_type=KIND).text == "refused"


@COLOURS
def test_parts_of_a_body_that_is_kept(client: Any, colour: str) -> None:
    def begin() -> None:
        assert request.get_data() == part() * 2 + END

    if colour == "def":
        app = app_of(colour, lambda: begin() or [item.text() for item in request.parts()])
    else:
        app = DuoFlask(__name__)

        @app.post("/")
        async def view() -> Any:
            begin()
            return [await item.text() async for item in request.parts()]

    assert client(app).post("/", data=part() * 2 + END, content_type=KIND).json == ["text", "text"]


@COLOURS
def test_parts_that_nobody_has_gone_through_leave_the_form_alone(client: Any, colour: str) -> None:
    app = app_of(colour, lambda: request.parts() and request.form["a"])
    assert client(app).post("/", data=part() + END, content_type=KIND).text == "text"


@pytest.mark.parametrize("path", ["/def", "/async"])
def test_parts_of_a_streamed_body(loop_client: Any, path: str) -> None:
    body = part(b"x" * 500_000, FILE) + part(b"one") + part(b"") + END
    answer = loop_client(streaming_app(lambda item: item.name)).post(path, data=body, content_type=KIND)
    assert answer.json == ["f", "a", "a"]
    sender = loop_client(streaming_app(lambda item: item.text()))
    assert sender.post(path, data=body, content_type=KIND).json == ["x" * 500_000, "one", ""]
    for bad in (body[:-4], b"junk"):
        assert sender.post(path, data=bad, content_type=KIND).status_code == 400
    assert sender.post(path, data=b"{}", content_type="application/json").status_code == 415
    assert sender.post(path, data=body, content_type="multipart/form-data").status_code == 400


@pytest.mark.parametrize("path", ["/def", "/async"])
def test_limits_of_parts(client: Any, path: str) -> None:
    app = streaming_app(lambda item: item.text())
    sender = client(app)
    body = part() * 3 + END
    for key, value in (("MAX_FORM_PARTS", 2), ("MAX_FORM_MEMORY_SIZE", 11), ("MAX_CONTENT_LENGTH", len(body) - 1)):
        before, app.config[key] = app.config[key], value
        refused = sender.post(path, data=body, content_type=KIND)
        assert refused.status_code == 413
        assert f"({key})" in refused.text
        app.config[key] = before
    assert sender.post(path, data=body, content_type=KIND).status_code == 200


@COLOURS
def test_parts_of_a_collected_body(client: Any, colour: str) -> None:
    if colour == "def":
        app = app_of(colour, lambda: [item.text() for item in request.parts()])
    else:
        app = DuoFlask(__name__)

        @app.post("/")
        async def view() -> Any:
            return [await item.text() async for item in request.parts()]

    assert client(app).post("/", data=part() * 2 + END, content_type=KIND).json == ["text", "text"]


# hooks that extensions use


@COLOURS
def test_form_data_parser_class(client: Any, colour: str) -> None:
    class Parser(FormDataParser):
        def parse(self, stream: Any, mimetype: str, content_length: Any, options: Any = None) -> Any:
            if mimetype == "text/x-form":
                return stream, self.cls([("own", stream.read().decode())]), self.cls()
            return super().parse(stream, mimetype, content_length, options)

    class Own(Request):
        form_data_parser_class = Parser

    app = app_of(colour)
    app.request_class = Own
    sender = client(app)
    assert sender.post("/", data=b"x", content_type="text/x-form").json["form"] == {"own": ["x"]}
    assert sender.post("/", data={"a": "b"}).json["form"] == {"a": ["b"]}


@COLOURS
@pytest.mark.parametrize("size", [10, LARGE])
def test_uploads_go_where_the_request_class_says(client: Any, colour: str, size: int) -> None:
    made: list[Any] = []

    class Own(Request):
        def _get_file_stream(self, *args: Any, **kwargs: Any) -> Any:
            made.append(io.BytesIO())
            return made[-1]

    app = app_of(colour)
    app.request_class = Own
    answer = client(app).post("/", data=part(b"x" * size, FILE) + END, content_type=KIND)
    assert answer.json["files"][0][2] == size
    assert made[0].closed


@COLOURS
def test_make_form_data_parser_has_the_requests_limits(client: Any, colour: str) -> None:
    def view() -> Any:
        request.max_form_parts = 5
        parser = request.make_form_data_parser()
        return [parser.max_form_parts, parser.max_form_memory_size, parser.max_content_length, parser.silent]

    assert client(app_of(colour, view)).post("/").json == [5, 500_000, None, False]


@COLOURS
def test_file_that_was_sent_as_text_is_explained_in_debug_mode(client: Any, colour: str) -> None:
    def view() -> str:
        assert request.files.get("f") is None
        return request.files[request.args["key"]].filename or ""

    app = app_of(colour, view)
    app.debug = True
    sender = client(app)
    with pytest.raises(DebugFilesKeyError, match='enctype="multipart/form-data"') as info:
        sender.post("/?key=f", data={"f": "photo.png"})
    assert "'photo.png'" in str(info.value)
    assert isinstance(info.value, KeyError)
    with pytest.raises(BadRequest, match="other") as other:
        sender.post("/?key=other", data={"f": "photo.png"})
    assert not isinstance(other.value, DebugFilesKeyError)
    app.debug = False
    assert sender.post("/?key=f", data={"f": "photo.png"}).status_code == 400


def test_from_values() -> None:
    made = Request.from_values("/path?a=1", method="POST", data={"b": "2", "f": (io.BytesIO(b"x"), "n")})
    assert (made.path, made.args["a"], made.form["b"], made.files["f"].read()) == ("/path", "1", "2", b"x")

    class Own(Request):
        pass

    assert type(Own.from_values()) is Own


def test_application() -> None:
    @Request.application
    def hello(request: Request) -> Response:
        if request.args:
            raise BadRequest("no arguments")
        return Response(f"hello {request.path}")

    class Host:
        @Request.application
        def method(self, request: Request) -> Response:
            return Response(type(self).__name__)

    def call(app: Any, path: str) -> tuple[str, bytes]:
        statuses: list[str] = []
        body = b"".join(app(create_environ(path), lambda status, headers, exc=None: statuses.append(status)))
        return statuses[0], body

    assert call(hello, "/x") == ("200 OK", b"hello /x")
    assert call(hello, "/?a=1")[0] == "400 BAD REQUEST"
    assert call(Host().method, "/") == ("200 OK", b"Host")


@COLOURS
def test_hook_puts_another_body_into_the_environ(colour: str) -> None:
    """A hook that decompresses does so; under ASGI the body has been collected before hooks."""
    app = app_of(colour, lambda: request.get_data().decode() + str(request.content_length))

    @app.before_request
    def decompress() -> None:
        request.environ |= {"wsgi.input": io.BytesIO(b"a longer body"), "CONTENT_LENGTH": "13"}

    environ = create_environ("/", method="POST", data=b"short")
    assert b"".join(app(environ, lambda status, headers, exc=None: None)) == b"a longer body13"


# the client that leaves


@COLOURS
def test_connected_client(client: Any, colour: str) -> None:
    app = app_of(colour, lambda: str(request.is_disconnected()))
    assert client(app).post("/").text == "False"
    assert Request(create_environ("/")).is_disconnected() is False


def test_def_view_asks_whether_its_client_has_left() -> None:
    asked: list[bool] = []

    def view() -> str:
        asked.append(request.is_disconnected())
        server.gone = True
        until = time.monotonic() + 20
        while not request.is_disconnected() and time.monotonic() < until:
            time.sleep(0.01)
        asked.append(request.is_disconnected())
        return ""

    server = Arriving(b"x", 1, [(b"content-length", b"1")])
    server.serve(app_of("def", view))
    assert asked == [False, True]


def test_async_view_is_told_when_its_client_has_left() -> None:
    asked: list[bool] = []
    app = DuoFlask(__name__)

    @app.post("/")
    async def view() -> str:
        asked.append(request.is_disconnected())
        server.gone = True
        try:
            await anyio.sleep(20)
        finally:
            asked.append(request.is_disconnected())
        return ""

    server = Arriving(b"x", 1, [(b"content-length", b"1")])
    anyio.run(app, server.scope, server.receive, server.send)
    assert asked == [False, True]


# the client that sends


@pytest.mark.parametrize("size", [3, 2_000_000])
def test_encoded_form_is_read_back(size: int) -> None:
    storage = FileStorage(io.BytesIO(b"x" * size), 'qu"ote', headers=Headers({"X-Own": "y", "Content-Type": "a/b"}))
    body, length, boundary = stream_encode_multipart({"a": 'qu"ote\r\n', "f": storage, "bare": io.BytesIO(b"z")})
    builder = PlainEnvironBuilder(
        method="POST", input_stream=body, content_type=f"multipart/form-data; boundary={boundary}"
    )
    assert builder.content_length is None
    with builder.get_request() as made:
        assert made.content_length == length
        assert made.form["a"] == 'qu"ote\r\n'
        file = made.files["f"]
        assert (file.filename, file.content_type, file.headers["x-own"]) == ('qu"ote', "a/b", "y")
        assert len(file.read()) == size
    body.close()


def test_encoded_form_keeps_its_pieces() -> None:
    boundary, body = encode_multipart({"a": "b", "c": 5, "d": b"\xff"}, "bound")
    assert (boundary, body.count(b"--bound")) == ("bound", 4)
    made = Request.from_values(method="POST", data=body, content_type=KIND)
    assert made.form.to_dict() == {"a": "b", "c": "5", "d": "\ufffd"}
