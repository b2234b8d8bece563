"""`send_file`, `send_from_directory` and static files: what is sent, what is refused, under both protocols."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import SpooledTemporaryFile, TemporaryFile
from typing import Any

import anyio
import pytest

from duoflask import DuoFlask, Response, files
from duoflask.blueprints import Blueprint
from duoflask.file_body import MAX_READ_AT_ONCE, FileBody
from duoflask.files import send_file, send_from_directory
from duoflask.http.errors import NotFound

TEXT = b"Hello, file!\n"
BIG = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The root of an app with a static folder, and a secret beside it."""
    static = tmp_path / "static"
    (static / "sub").mkdir(parents=True)
    (static / "a.txt").write_bytes(TEXT)
    (static / "sub" / "b.css").write_bytes(b"b {}")
    (static / "big.bin").write_bytes(BIG)
    (static / "empty.txt").write_bytes(b"")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (tmp_path / "static-other").mkdir()
    (tmp_path / "static-other" / "x.txt").write_bytes(b"secret")
    return tmp_path


@pytest.fixture(autouse=True)
def no_descriptor_left() -> Iterator[None]:
    """Every test leaves as many files open as it found."""
    folder = Path("/proc/self/fd")
    if not folder.exists():
        yield
        return

    def regular() -> list[str]:
        found = []
        for entry in folder.iterdir():
            try:
                target = os.readlink(entry)
            except OSError:
                continue
            if "pytest-" in target:
                found.append(target)
        return found

    before = regular()
    yield
    assert regular() == before


def _app(site: Path, **options: Any) -> DuoFlask:
    return DuoFlask(__name__, root_path=str(site), **options)


def _sending(site: Path, colour: str, *args: Any, **kwargs: Any) -> DuoFlask:
    """An app whose one view sends a file, in either colour."""
    app = _app(site)
    if colour == "def":

        @app.route("/", methods=["GET", "POST"])
        def view() -> Response:
            return send_file(*args, **kwargs)

    else:

        @app.route("/", methods=["GET", "POST"])
        async def view_async() -> Response:
            return send_file(*args, **kwargs)

    return app


@pytest.fixture(params=["def", "async def"])
def colour(request: pytest.FixtureRequest) -> str:
    return request.param


# -- static files


def test_static_file_is_served(site: Path, client: Callable[..., Any]) -> None:
    answer = client(_app(site)).get("/static/a.txt")
    assert (answer.status_code, answer.data) == (200, TEXT)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(TEXT))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["Content-Disposition"] == "inline; filename=a.txt"
    assert "ETag" in answer.headers
    assert "Last-Modified" in answer.headers


@pytest.mark.parametrize(("path", "body"), [("sub/b.css", b"b {}"), ("big.bin", BIG), ("empty.txt", b"")])
def test_static_file_of_any_size_is_served(site: Path, client: Callable[..., Any], path: str, body: bytes) -> None:
    answer = client(_app(site)).get(f"/static/{path}")
    assert (answer.status_code, answer.data) == (200, body)
    assert answer.headers["Content-Length"] == str(len(body))


def test_head_tells_the_length_and_opens_nothing_for_long(site: Path, client: Callable[..., Any]) -> None:
    app = _app(site)
    for path, size in (("a.txt", len(TEXT)), ("big.bin", len(BIG))):
        answer = client(app).head(f"/static/{path}")
        assert (answer.status_code, answer.data) == (200, b"")
        assert answer.headers["Content-Length"] == str(size)


def test_range_of_a_head_request_is_ignored(site: Path, client: Callable[..., Any]) -> None:
    # RFC 9110 14.2 defines ranges for GET only
    answer = client(_app(site)).head("/static/a.txt", headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(TEXT)))


TRAVERSALS = [
    *("../secret.txt", "sub/../../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "%2e%2e%2fsecret.txt"),
    *(
        "..%5csecret.txt",
        "%5c..%5csecret.txt",
        "..%c0%afsecret.txt",
        "%c0%ae%c0%ae/secret.txt",
        "%252e%252e/secret.txt",
    ),
    *("..%252fsecret.txt", "....//secret.txt", "..;/secret.txt", "../static-other/x.txt", "%2fetc%2fpasswd"),
    *(
        "//etc/passwd",
        "/etc/passwd",
        "%5c%5cserver%5cshare",
        "//server/share/x",
        "c:/x",
        "c%3a%5cx",
        "file:///etc/passwd",
    ),
    *("a.txt%00", "a.txt%00.png", "%00", "a.txt%0a", "a.txt%0d%0aX-Injected:%201"),
    *(
        "CON",
        "NUL:",
        "nul%3a",
        "aux.txt",
        "com1",
        "NUL::$DATA",
        "a.txt::$DATA",
        "a.txt.",
        "a.txt%20",
        "a.txt..",
        "sub./b.css",
    ),
    *(
        "",
        ".",
        "..",
        "sub",
        "sub/",
        "missing.txt",
        "a.txt/b",
        "x" * 300,
        "x/" * 3000,
        "%ff%fe",
        "~root/x",
        "-",
        "*",
        "a.tx?",
    ),
    *("%EF%BC%8E%EF%BC%8E/secret.txt", "%E2%80%A5/secret.txt", "..%E2%88%95secret.txt", "..%ef%bc%8fsecret.txt"),
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_path_that_is_no_file_of_the_folder_is_a_404(site: Path, client: Callable[..., Any], path: str) -> None:
    (site / "static" / "aux.txt").write_bytes(b"a device on Windows")
    made = client(_app(site))
    answer = made.get(f"/static/{path}")
    if "%c0" in path or "%ff" in path:  # no UTF-8: no rule is asked
        assert answer.status_code in (400, 404)
    elif "//" in path or path[:1] in ("", "/") or path.startswith("%2f"):  # the router merges slashes
        assert answer.status_code in (308, 404)
    else:
        assert answer.status_code == 404
    assert b"secret" not in answer.data
    assert "X-Injected" not in answer.headers


@pytest.mark.parametrize("path", ["a.txt.", "a.txt ", "aux.txt", "back\\slash", "c:x"])
def test_name_that_means_something_else_elsewhere_is_a_404_even_if_it_exists(
    site: Path, client: Callable[..., Any], path: str
) -> None:
    (site / "static" / path).write_bytes(b"here it is only a name")
    assert client(_app(site)).get("/static/" + path.replace(" ", "%20").replace("\\", "%5c")).status_code == 404


def test_symbolic_link_out_of_the_folder_is_a_404(site: Path, client: Callable[..., Any]) -> None:
    static = site / "static"
    (static / "file-out").symlink_to(site / "secret.txt")
    (static / "dir-out").symlink_to(site)
    (static / "sibling").symlink_to(site / "static-other")
    (static / "dangling").symlink_to(site / "nothing")
    (static / "loop").symlink_to(static / "loop")
    (static / "relative").symlink_to("../secret.txt")
    made = client(_app(site))
    for path in (
        "file-out",
        "dir-out/secret.txt",
        "sibling/x.txt",
        "dangling",
        "loop",
        "relative",
        "dir-out/static/a.txt",
    ):
        assert made.get(f"/static/{path}").status_code == (200 if path.endswith("a.txt") else 404), path


def test_symbolic_link_within_the_folder_is_followed(site: Path, client: Callable[..., Any]) -> None:
    (site / "static" / "link.txt").symlink_to("a.txt")
    (site / "static" / "linked").symlink_to("sub")
    (site / "current").symlink_to("static")
    made = client(_app(site, static_folder="current", static_url_path="/static"))
    for path, body in (("link.txt", TEXT), ("linked/b.css", b"b {}"), ("a.txt", TEXT)):
        for _ in range(2):
            assert made.get(f"/static/{path}").data == body


def test_file_that_becomes_a_link_out_of_the_folder_is_a_404(site: Path, client: Callable[..., Any]) -> None:
    made = client(_app(site))
    assert made.get("/static/a.txt").data == TEXT
    (site / "static" / "a.txt").unlink()
    (site / "static" / "a.txt").symlink_to(site / "secret.txt")
    assert made.get("/static/a.txt").status_code == 404


def test_links_are_seen_where_the_system_does_not_tell_an_open_files_path(
    site: Path, client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "static" / "out").symlink_to(site / "secret.txt")
    (site / "static" / "link.txt").symlink_to("a.txt")
    real = os.readlink

    def without_proc(path: Any, **kwargs: Any) -> str:
        if str(path).startswith("/proc/self/fd/"):
            raise FileNotFoundError(path)
        return real(path, **kwargs)

    monkeypatch.setattr(os, "readlink", without_proc)
    made = client(_app(site))
    assert made.get("/static/out").status_code == 404
    assert made.get("/static/link.txt").data == TEXT
    assert made.get("/static/a.txt").data == TEXT


def test_what_is_no_regular_file_is_a_404_and_waits_for_nobody(site: Path, client: Callable[..., Any]) -> None:
    os.mkfifo(site / "static" / "pipe")
    assert client(_app(site)).get("/static/pipe").status_code == 404
    assert client(_app(site)).get("/static/sub").status_code == 404


def test_refused_path_is_not_looked_up(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_up(path: Any, *args: Any) -> int:
        raise AssertionError(f"{path!r} was looked up")

    with _app(site).test_request_context("/"):
        monkeypatch.setattr(files.os, "open", looked_up)
        for path in ("//server/share/x", "\\\\server\\share", "c:/x", "../secret.txt", "aux.txt", "a\0", "/etc/passwd"):
            with pytest.raises(NotFound):
                send_from_directory("static", path)
        with pytest.raises(AssertionError):
            send_from_directory("static", "a.txt")


def test_blueprint_serves_its_own_static_files(site: Path, client: Callable[..., Any]) -> None:
    class Own(Blueprint):
        def get_send_file_max_age(self, filename: str | None) -> int | None:
            return 7

    app = _app(site, static_folder=None)
    own = Own("own", __name__, static_folder="static/sub", static_url_path="/files", root_path=str(site))
    app.register_blueprint(own, url_prefix="/own")
    answer = client(app).get("/own/files/b.css")
    assert (answer.data, answer.headers["Cache-Control"]) == (b"b {}", "public, max-age=7")
    assert client(app).get("/own/files/..%2fa.txt").status_code == 404
    with app.test_request_context("/"):
        assert app.url_for("own.static", filename="b.css") == "/own/files/b.css"


def test_files_above_the_limit_of_open_files_are_no_404(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> int:
        raise OSError(24, "Too many open files")

    app = _app(site)
    with app.test_request_context("/"):
        monkeypatch.setattr(files.os, "open", full)
        with pytest.raises(OSError, match="Too many"):
            send_from_directory("static", "a.txt")


def test_app_without_a_static_folder_has_no_rule(client: Callable[..., Any], site: Path) -> None:
    app = _app(site, static_folder=None)
    assert not app.has_static_folder
    assert app.static_folder is app.static_url_path is None
    assert list(app.url_map.iter_rules()) == []
    assert client(app).get("/static/a.txt").status_code == 404
    with app.test_request_context("/"), pytest.raises(RuntimeError, match="no static folder"):
        app.send_static_file("a.txt")


def test_static_url_path_and_folder_are_set_apart(site: Path, client: Callable[..., Any]) -> None:
    made = client(_app(site, static_folder=site / "static" / "sub", static_url_path="/assets/"))
    assert made.get("/assets/b.css").data == b"b {}"
    assert made.get("/static/sub/b.css").status_code == 404


def test_static_files_at_the_root_leave_other_rules_alone(site: Path, client: Callable[..., Any]) -> None:
    app = _app(site, static_url_path="")
    app.add_url_rule("/a", "a", lambda: "view")
    made = client(app)
    assert made.get("/a.txt").data == TEXT
    assert made.get("/a").text == "view"


def test_url_of_a_static_file_is_built(site: Path) -> None:
    app = _app(site)
    with app.test_request_context("/"):
        assert app.url_for("static", filename="sub/b c.css") == "/static/sub/b%20c.css"


def test_static_files_are_served_on_their_host_only(site: Path, client: Callable[..., Any]) -> None:
    made = client(_app(site, host_matching=True, static_host="static.test"))
    assert made.get("/static/a.txt", base_url="http://static.test/").data == TEXT
    assert made.get("/static/a.txt", base_url="http://other.test/").status_code == 404
    for options in ({"host_matching": True}, {"static_host": "static.test"}):
        with pytest.raises(AssertionError, match="static_host/host_matching"):
            _app(site, **options)


def test_unmatched_method_of_a_static_file_is_a_405(site: Path, client: Callable[..., Any]) -> None:
    answer = client(_app(site)).post("/static/a.txt")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_app_that_is_dropped_is_no_cycle_because_of_its_static_files(site: Path) -> None:
    view = _app(site).view_functions["static"]
    held = [cell.cell_contents for cell in view.__closure__ or ()]
    assert not any(isinstance(item, DuoFlask) for item in held)


# -- how long caches keep it


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "no-cache"),
        (0, "no-cache, max-age=0"),
        (60, "public, max-age=60"),
        (timedelta(hours=1), "public, max-age=3600"),
    ],
)
def test_default_age_is_that_of_the_configuration(
    site: Path, client: Callable[..., Any], value: Any, expected: str
) -> None:
    app = _app(site)
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = value
    answer = client(app).get("/static/a.txt")
    assert answer.headers["Cache-Control"] == expected
    assert ("Expires" in answer.headers) is (value is not None)


def test_app_decides_the_age_by_the_files_name(site: Path, client: Callable[..., Any]) -> None:
    class Own(DuoFlask):
        def get_send_file_max_age(self, filename: str | None) -> int | None:
            return 10 if filename is not None and filename.endswith(".css") else None

    made = client(Own(__name__, root_path=str(site)))
    assert made.get("/static/sub/b.css").headers["Cache-Control"] == "public, max-age=10"
    assert made.get("/static/a.txt").headers["Cache-Control"] == "no-cache"


def test_age_may_be_a_function_of_the_path(site: Path, client: Callable[..., Any], colour: str) -> None:
    seen: list[Any] = []

    def age(path: str | None) -> int:
        seen.append(path)
        return 5

    app = _sending(site, colour, "static/a.txt", max_age=age)
    assert client(app).get("/").headers["Cache-Control"] == "public, max-age=5"
    assert seen == [str(site / "static" / "a.txt")]


# -- conditions and ranges


def test_conditional_requests_are_answered(site: Path, client: Callable[..., Any], colour: str) -> None:
    made = client(_sending(site, colour, "static/a.txt"))
    first = made.get("/")
    etag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    for fields, status in (
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": f"W/{etag}"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Modified-Since": modified}, 304),
        ({"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": modified}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": etag}, 200),
        ({"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, 412),
        ({"If-None-Match": etag, "Range": "bytes=0-1"}, 304),
        ({"If-Match": '"other"', "Range": "bytes=0-1"}, 412),
        ({"If-Modified-Since": "x" * 1000, "If-None-Match": "," * 1000}, 200),
    ):
        answer = made.get("/", headers=fields)
        assert answer.status_code == status, fields
        assert answer.data == (TEXT if status == 200 else b""), fields
        if status == 304:
            assert answer.headers["ETag"] == etag
            assert not {"content-type", "content-length", "last-modified"} & {
                name.lower() for name, _ in answer.headers
            }
        elif status == 412:
            assert answer.headers["Content-Length"] == "0"
    assert made.post("/", headers={"If-None-Match": etag, "Range": "bytes=0-1"}).data == TEXT


RANGES = [
    ("bytes=0-4", 0, 5),
    ("bytes=5-", 5, None),
    ("bytes=-5", -5, None),
    ("bytes=0-0", 0, 1),
    ("bytes=0-99999999999", 0, None),
    ("bytes=-99999999999", 0, None),
    ("bytes=0-1,2-3", 0, 4),
    ("bytes=0-0,99999999999-", 0, 1),
    ("BYTES = 0-4", 0, 5),
]


@pytest.mark.parametrize("name", ["a.txt", "big.bin"])
@pytest.mark.parametrize(("field", "start", "stop"), RANGES)
def test_range_is_sent(
    site: Path, client: Callable[..., Any], colour: str, name: str, field: str, start: int, stop: int | None
) -> None:
    whole = (site / "static" / name).read_bytes()
    answer = client(_sending(site, colour, f"static/{name}")).get("/", headers={"Range": field})
    assert (answer.status_code, answer.data) == (206, whole[start:stop])
    first = whole.index(answer.data) if start else 0
    assert answer.headers["Content-Length"] == str(len(answer.data))
    if name == "a.txt":
        assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.data) - 1}/{len(whole)}"


@pytest.mark.parametrize(
    "field", ["bytes=99999999-", "bytes=5-1", "bytes=", "bytes=-0", "bytes=a-b", "bytes=1", "bytes=+0-1"]
)
def test_range_that_does_not_exist_is_a_416(site: Path, client: Callable[..., Any], colour: str, field: str) -> None:
    answer = client(_sending(site, colour, "static/big.bin")).get("/", headers={"Range": field})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(BIG)}"


@pytest.mark.parametrize("field", ["pages=1-2", "", "x=y"])
def test_range_in_other_units_is_ignored(site: Path, client: Callable[..., Any], field: str) -> None:
    assert client(_app(site)).get("/static/a.txt", headers={"Range": field}).status_code in (
        200,
        416 if "=" not in field else 200,
    )


def test_several_ranges_are_parts_of_one_body(site: Path, client: Callable[..., Any], colour: str) -> None:
    answer = client(_sending(site, colour, "static/big.bin")).get(
        "/", headers={"Range": "bytes=0-1,1000-1099,700000-900000,-3"}
    )
    assert answer.status_code == 206
    assert answer.headers["Content-Length"] == str(len(answer.data))
    assert "Content-Range" not in answer.headers
    kind, _, boundary = answer.headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    mark = b"\r\n--" + boundary.encode()
    opening, *parts, closing = answer.data.split(mark)
    assert (opening, closing) == (b"", b"--\r\n")
    bodies = []
    for part in parts:
        head, _, body = part.partition(b"\r\n\r\n")
        assert b"Content-Type: application/octet-stream" in head
        bodies.append((head.rpartition(b"bytes ")[2], body))
    assert bodies == [
        (b"0-1/1048576", BIG[0:2]),
        (b"1000-1099/1048576", BIG[1000:1100]),
        (b"700000-900000/1048576", BIG[700000:900001]),
        (b"1048573-1048575/1048576", BIG[-3:]),
    ]


def test_short_parts_are_one_complete_body(site: Path, client: Callable[..., Any]) -> None:
    answer = client(_app(site)).get("/static/big.bin", headers={"Range": "bytes=0-1,1000-1001"})
    assert answer.status_code == 206
    assert BIG[1000:1002] in answer.data


def test_many_ranges_are_never_more_than_the_file(site: Path, client: Callable[..., Any]) -> None:
    made = client(_app(site))
    everything = made.get("/static/big.bin", headers={"Range": "bytes=" + ",".join(["0-"] * 60)})
    assert (everything.status_code, everything.data) == (206, BIG)
    refused = made.get(
        "/static/big.bin", headers={"Range": "bytes=" + ",".join(f"{n}000-{n}001" for n in range(1, 200))}
    )
    assert refused.status_code == 416


def test_if_range_decides_whether_the_range_counts(site: Path, client: Callable[..., Any], colour: str) -> None:
    made = client(_sending(site, colour, "static/big.bin"))
    first = made.head("/")
    etag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    for value, status in (
        (etag, 206),
        (f"W/{etag}", 200),
        ('"other"', 200),
        (modified, 206),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 200),
        ("nonsense", 200),
    ):
        answer = made.get("/", headers={"Range": "bytes=0-9", "If-Range": value})
        assert (answer.status_code, len(answer.data)) == (status, 10 if status == 206 else len(BIG)), value


def test_conditional_may_be_switched_off(site: Path, client: Callable[..., Any], colour: str) -> None:
    made = client(_sending(site, colour, "static/a.txt", conditional=False))
    answer = made.get("/", headers={"Range": "bytes=0-1", "If-None-Match": "*"})
    assert (answer.status_code, answer.data) == (200, TEXT)
    assert "Accept-Ranges" not in answer.headers


def test_make_conditional_of_a_response_class_is_called(site: Path, client: Callable[..., Any]) -> None:
    seen: list[Any] = []

    class Own(Response):
        def make_conditional(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(args[1:])
            return super().make_conditional(*args, **kwargs)

    app = _app(site)
    app.response_class = Own
    made = client(app)
    for name, whole in (("a.txt", TEXT), ("big.bin", BIG)):
        answer = made.get(f"/static/{name}", headers={"Range": "bytes=1-3"})
        assert (answer.status_code, answer.data) == (206, whole[1:4])
        assert made.get(f"/static/{name}", headers={"If-None-Match": "*"}).status_code == 304
    assert seen[0] == (True, len(TEXT))


@pytest.mark.parametrize("x_sendfile", [False, True])
def test_overridden_make_conditional_gets_the_same_answers(
    site: Path, client: Callable[..., Any], x_sendfile: bool
) -> None:
    class Own(Response):
        def make_conditional(self, *args: Any, **kwargs: Any) -> Any:
            return super().make_conditional(*args, **kwargs)

    def answers(response_class: type[Response]) -> list[Any]:
        app = _app(site)
        app.response_class = response_class
        app.config["USE_X_SENDFILE"] = x_sendfile
        made = client(app)
        seen = []
        for method in ("GET", "HEAD"):
            for fields in ({"If-None-Match": "*"}, {"If-Match": '"x"'}, {"Range": "bytes=1-3"}):
                answer = made.open("/static/a.txt", method=method, headers=fields)
                seen.append((answer.status_code, sorted(answer.headers), answer.data))
        return seen

    own = answers(Own)
    assert own == answers(Response)
    assert [code for code, _, _ in own[:2]] == [304, 412]
    assert own[1][2] == b""


def test_response_class_of_ones_own_sends_files(site: Path, client: Callable[..., Any]) -> None:
    class Own(Response):
        default_mimetype = "application/json"
        default_status = 201
        automatically_set_content_length = False

    app = _app(site)
    app.response_class = Own
    made = client(app)
    for name, whole in (("a.txt", TEXT), ("big.bin", BIG)):
        answer = made.get(f"/static/{name}")
        assert answer.data == whole
        assert answer.headers["Content-Length"] == str(len(whole))
        assert made.head(f"/static/{name}").headers["Content-Length"] == str(len(whole))


# -- options


def test_path_may_be_relative_absolute_or_pathlike(site: Path, client: Callable[..., Any], colour: str) -> None:
    for path in ("static/a.txt", str(site / "static" / "a.txt"), site / "static" / "a.txt", Path("static/a.txt")):
        answer = client(_sending(site, colour, path)).get("/")
        assert (answer.status_code, answer.data) == (200, TEXT)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.txt", "attachment; filename=a.txt"),
        ("two words.txt", 'attachment; filename="two words.txt"'),
        ('quo"te\\.txt', 'attachment; filename="quo\\"te\\\\.txt"'),
        ("\u0444.txt", "attachment; filename=.txt; filename*=UTF-8''%D1%84.txt"),
        ("na\u00efve \u20ac.txt", "attachment; filename=\"naive .txt\"; filename*=UTF-8''na%C3%AFve%20%E2%82%AC.txt"),
        ("a\r\nX-Injected: 1", "attachment; filename=\"aX-Injected: 1\"; filename*=UTF-8''a%0D%0AX-Injected%3A%201"),
        ("a\0b", "attachment; filename=ab; filename*=UTF-8''a%00b"),
        ("\udcff.txt", "attachment; filename=.txt; filename*=UTF-8''%3F.txt"),
        ("'(*)';.txt", "attachment; filename=\"'(*)';.txt\""),
    ],
)
def test_attachment_has_a_name_that_every_client_reads(
    site: Path, client: Callable[..., Any], colour: str, name: str, expected: str
) -> None:
    app = _sending(site, colour, "static/a.txt", as_attachment=True, download_name=name)
    answer = client(app).get("/")
    assert answer.headers["Content-Disposition"] == expected
    assert "X-Injected" not in answer.headers


def test_packed_file_keeps_its_coding_unless_it_is_saved(site: Path, client: Callable[..., Any]) -> None:
    (site / "static" / "a.tar.gz").write_bytes(b"packed")
    shown = client(_sending(site, "def", "static/a.tar.gz")).get("/")
    assert (shown.headers["Content-Type"], shown.headers["Content-Encoding"]) == ("application/x-tar", "gzip")
    saved = client(_sending(site, "def", "static/a.tar.gz", as_attachment=True)).get("/")
    assert "Content-Encoding" not in saved.headers


def test_media_type_is_given_or_guessed(site: Path, client: Callable[..., Any], colour: str) -> None:
    for options, expected in (
        ({"mimetype": "application/x-own"}, "application/x-own"),
        ({"mimetype": "text/html"}, "text/html; charset=utf-8"),
        ({"download_name": "x.json"}, "application/json"),
        ({"download_name": "x.nobody-knows"}, "application/octet-stream"),
    ):
        answer = client(_sending(site, colour, "static/a.txt", **options)).get("/")
        assert answer.headers["Content-Type"] == expected


def test_etag_and_last_modified_are_given_or_left_out(site: Path, client: Callable[..., Any], colour: str) -> None:
    moment = datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
    answer = client(_sending(site, colour, "static/a.txt", etag="mine", last_modified=moment)).get("/")
    assert answer.headers["ETag"] == '"mine"'
    assert answer.headers["Last-Modified"] == "Mon, 03 Feb 2020 04:05:06 GMT"
    answer = client(_sending(site, colour, "static/a.txt", etag=False, last_modified=0)).get("/")
    assert "ETag" not in answer.headers
    assert answer.headers["Last-Modified"] == "Thu, 01 Jan 1970 00:00:00 GMT"
    not_modified = client(_sending(site, colour, "static/a.txt", etag=False)).get(
        "/", headers={"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"}
    )
    assert not_modified.status_code == 304


def test_etag_that_could_not_be_sent_is_refused(site: Path) -> None:
    with _app(site).test_request_context("/"):
        for etag in ('quo"te', "line\nbreak", "\u20ac"):
            with pytest.raises(ValueError, match="invalid"):
                send_file("static/a.txt", etag=etag)


def test_changed_file_has_another_etag(site: Path, client: Callable[..., Any]) -> None:
    made = client(_app(site))
    first = made.get("/static/a.txt").headers["ETag"]
    (site / "static" / "a.txt").write_bytes(b"longer than it was before")
    assert made.get("/static/a.txt").headers["ETag"] != first


@pytest.mark.parametrize("moment", [-(10**12), 2**40, 10**11])
def test_file_of_an_impossible_time_is_sent(site: Path, client: Callable[..., Any], moment: int) -> None:
    path = site / "static" / "a.txt"
    try:
        os.utime(path, (moment, moment))
    except OverflowError:
        pytest.skip("the file system knows no such time")
    assert client(_app(site)).get("/static/a.txt", headers={"If-Modified-Since": "x"}).data == TEXT


def test_path_of_the_developers_that_cannot_be_sent_is_an_error(site: Path) -> None:
    os.mkfifo(site / "pipe")
    with _app(site).test_request_context("/"):
        with pytest.raises(FileNotFoundError):
            send_file("missing")
        with pytest.raises(IsADirectoryError, match="folder"):
            send_file("static")
        with pytest.raises(OSError, match="not a regular file"):
            send_file("pipe")
        with pytest.raises(NotFound):
            send_from_directory("static", "missing")
        with pytest.raises(NotFound):
            send_from_directory("missing", "a.txt")
        with pytest.raises(TypeError, match="unexpected keyword"):
            send_from_directory("static", "a.txt", nonsense=1)  # type: ignore[call-arg]


def test_files_are_sent_in_a_request_only(site: Path) -> None:
    with pytest.raises(RuntimeError, match="send_file was called while no request is active"):
        send_file("static/a.txt")
    with _app(site).app_context(), pytest.raises(RuntimeError, match="send_from_directory"):
        send_from_directory("static", "a.txt")


# -- open files


def test_open_file_is_sent_from_where_it_stands_and_closed(site: Path, client: Callable[..., Any], colour: str) -> None:
    for opened in (site / "static" / "a.txt", site / "static" / "big.bin"):
        file = opened.open("rb")
        file.seek(3)
        answer = client(_sending(site, colour, file, download_name="x.bin")).get("/")
        assert answer.data == opened.read_bytes()[3:]
        assert "Content-Length" not in answer.headers
        assert "ETag" not in answer.headers
        assert file.closed


def test_other_kinds_of_files_are_sent(site: Path, client: Callable[..., Any], colour: str) -> None:
    class Plain:
        """No more than a file has to be."""

        def __init__(self) -> None:
            self.rest = [b"one ", b"two"]
            self.closed = 0

        def read(self, size: int = -1) -> bytes:
            return self.rest.pop(0) if self.rest else b""

        def close(self) -> None:
            self.closed += 1

    plain = Plain()
    assert client(_sending(site, colour, plain, mimetype="text/plain")).get("/").data == b"one two"
    assert plain.closed == 1
    for file in (TemporaryFile(), SpooledTemporaryFile()):  # noqa: SIM115 - the response closes it
        file.write(TEXT)
        file.seek(0)
        assert client(_sending(site, colour, file, mimetype="text/plain")).get("/").data == TEXT
        assert file.closed


@pytest.mark.parametrize("body", [b"", TEXT, BIG])
def test_bytes_in_memory_are_sent_with_length_and_ranges(
    site: Path, client: Callable[..., Any], colour: str, body: bytes
) -> None:
    answer = client(_sending(site, colour, BytesIO(body), mimetype="text/plain")).get("/")
    assert (answer.data, answer.headers["Content-Length"]) == (body, str(len(body)))
    for value, part in (("bytes=1-3", body[1:4]), ("bytes=-3", body[-3:])):
        answer = client(_sending(site, colour, BytesIO(body), mimetype="text/plain")).get("/", headers={"Range": value})
        assert (answer.status_code, answer.data) == ((206, part) if body else (200, b""))


def test_bytes_in_memory_are_sent_from_where_they_stand(site: Path, client: Callable[..., Any], colour: str) -> None:
    for body in (TEXT, BIG):
        file = BytesIO(body)
        file.seek(2)
        answer = client(_sending(site, colour, file, mimetype="text/plain")).get("/", headers={"Range": "bytes=1-"})
        assert (answer.status_code, answer.data) == (206, body[3:])
        assert answer.headers["Content-Range"] == f"bytes 1-{len(body) - 3}/{len(body) - 2}"


def test_file_that_cannot_be_meant_is_refused(site: Path) -> None:
    forgotten = BytesIO()
    forgotten.write(TEXT)

    class Async:
        async def read(self, size: int = -1) -> bytes:
            return b""

    with _app(site).test_request_context("/"):
        with pytest.raises(ValueError, match="file.seek"):
            send_file(forgotten, mimetype="text/plain")
        with pytest.raises(ValueError, match="text mode"):
            send_file(StringIO("text"), mimetype="text/plain")
        with (site / "static" / "a.txt").open() as text, pytest.raises(ValueError, match="'rb'"):
            send_file(text, mimetype="text/plain")
        with pytest.raises(TypeError, match="download_name"):
            send_file(BytesIO(TEXT))
        with pytest.raises(TypeError, match="a name to save it as"):
            send_file(BytesIO(TEXT), mimetype="text/plain", as_attachment=True)
        with pytest.raises(TypeError, match="async_iterable"):
            send_file(Async(), mimetype="text/plain")
        with pytest.raises(TypeError, match="got NoneType"):
            send_file(None)


def test_open_file_is_closed_where_it_is_not_sent(site: Path, client: Callable[..., Any], colour: str) -> None:
    for method, fields in (("HEAD", {}), ("GET", {"If-None-Match": '"x"'}), ("GET", {"If-Match": '"y"'})):
        file = (site / "static" / "a.txt").open("rb")
        made = client(_sending(site, colour, file, mimetype="text/plain", etag="x"))
        assert made.open("/", method=method, headers=fields).data == b""
        assert file.closed


# -- what the response looks like before it is sent


def test_response_is_marked_as_passed_through(site: Path) -> None:
    with _app(site).test_request_context("/"):
        for path in ("static/a.txt", "static/big.bin"):
            response = send_file(path)
            assert response.direct_passthrough
            assert response.status_code == 200
            response.direct_passthrough = False
            assert response.get_data() == (site / path).read_bytes()
            response.close()


def test_file_of_a_replaced_response_is_closed(site: Path, client: Callable[..., Any]) -> None:
    app = _app(site)

    @app.after_request
    def replace(response: Response) -> Response:
        return Response("replaced")

    assert client(app).get("/static/big.bin").text == "replaced"


def test_file_is_closed_when_an_after_hook_fails(site: Path, client: Callable[..., Any]) -> None:
    app = _app(site)
    app.logger.disabled = True  # pytest would keep the traceback, which holds the response

    @app.after_request
    def fail(response: Response) -> Response:
        raise LookupError("after hook")

    assert client(app).get("/static/big.bin").status_code == 500


# -- where files are read


@pytest.mark.parametrize("size", [10, MAX_READ_AT_ONCE, MAX_READ_AT_ONCE + 1, 1_000_000])
def test_nothing_is_read_on_a_loop(
    site: Path, client: Callable[..., Any], colour: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = os.urandom(size)
    (site / "static" / "any.bin").write_bytes(body)
    on_loop: list[bool] = []

    def note() -> None:
        try:
            anyio.get_current_task()
        except Exception:
            on_loop.append(False)
        else:
            on_loop.append(True)

    real_read, real_exactly = FileBody.read, files.read_exactly

    def read(self: FileBody, count: int = -1) -> bytes:
        note()
        return real_read(self, count)

    def exactly(*args: Any) -> bytes:
        note()
        return real_exactly(*args)

    monkeypatch.setattr(FileBody, "read", read)
    monkeypatch.setattr(files, "read_exactly", exactly)
    assert client(_sending(site, colour, "static/any.bin")).get("/").data == body
    assert on_loop
    assert not any(on_loop)


def test_view_that_may_block_the_loop_reads_there(site: Path) -> None:
    app = _app(site)
    threads: list[int] = []

    @app.route("/", inline=True)
    def view() -> Response:
        threads.append(threading.get_ident())
        response = send_file("static/a.txt")
        assert response.is_sequence
        return response

    with app.test_client(protocol="asgi") as made:
        assert made.get("/").data == TEXT


def test_async_view_may_have_the_file_opened_in_a_thread(site: Path, client: Callable[..., Any]) -> None:
    app = _app(site)

    @app.route("/<name>")
    async def view(name: str) -> Response:
        response: Response = await app.sync_to_async(send_file)(f"static/{name}")
        return response

    made = client(app)
    assert made.get("/a.txt").data == TEXT
    assert made.get("/big.bin").data == BIG


# -- X-Sendfile


def test_file_is_left_to_the_server_in_front(site: Path, client: Callable[..., Any], colour: str) -> None:
    app = _sending(site, colour, "static/big.bin")
    app.config["USE_X_SENDFILE"] = True
    made = client(app)
    for fields in ({}, {"Range": "bytes=0-1"}):
        answer = made.get("/", headers=fields)
        assert (answer.status_code, answer.data) == (200, b"")
        assert answer.headers["X-Sendfile"] == str(site / "static" / "big.bin")
        assert answer.headers["Content-Length"] == "0"
        assert answer.headers["Content-Type"] == "application/octet-stream"
    not_modified = made.get("/", headers={"If-None-Match": answer.headers["ETag"]})
    assert not_modified.status_code == 304
    assert "X-Sendfile" not in not_modified.headers


@pytest.mark.parametrize("name", ["\u0444\u20ac.txt", "line\nbreak.txt"])
def test_path_that_is_no_latin_1_text_never_breaks_the_header(
    site: Path, client: Callable[..., Any], name: str
) -> None:
    (site / "static" / name).write_bytes(TEXT)
    app = _sending(site, "def", f"static/{name}")
    app.config["USE_X_SENDFILE"] = True
    answer = client(app).get("/")
    if "\n" in name:
        assert (answer.data, "X-Sendfile" in answer.headers) == (TEXT, False)
    else:
        assert answer.headers["X-Sendfile"].encode("latin-1").decode() == str(site / "static" / name)


def test_file_object_is_sent_even_so(site: Path, client: Callable[..., Any]) -> None:
    app = _sending(site, "def", BytesIO(TEXT), mimetype="text/plain")
    app.config["USE_X_SENDFILE"] = True
    assert client(app).get("/").data == TEXT
