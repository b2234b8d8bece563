from __future__ import annotations

import io
from typing import Any

import flask
import pytest
import werkzeug.test
from flask.testing import EnvironBuilder as FlaskBuilder
from hypothesis import given, strategies as st
from werkzeug.formparser import parse_form_data

from duoflask.testing import EnvironBuilder, PlainEnvironBuilder, create_environ, stream_encode_multipart
from duoflask.testing.scope import make_scope, read_body


def readable(environ: dict[str, Any]) -> dict[str, Any]:
    result = dict(environ)
    result["wsgi.input"] = result["wsgi.input"].read()
    return result


CASES: list[dict[str, Any]] = [
    {},
    {"path": "/a b/ä?x=1&y=ü"},
    {"path": "/a%20b%2Fc%C3%A4"},
    {"path": "http://example.com/x?y=1"},
    {"path": "//host/x"},
    {"path": ""},
    {"path": "x"},
    {"path": "/x", "base_url": "https://example.org:8443/root/"},
    {"path": "/x", "base_url": "http://bücher.example/röt"},
    {"path": "/x", "query_string": {"a": "1", "b": ["2", "3"]}},
    {"path": "/x", "query_string": "a=%20b&c"},
    {"method": "POST", "data": {"a": "1", "b": ["x y", "ü"], "n": 5}},
    {"method": "POST", "data": "text ü"},
    {"method": "POST", "data": b"\x00\xff", "content_type": "application/octet-stream"},
    {"method": "PUT", "json": {"b": [1], "a": None}},
    {"method": "PUT", "json": [1], "content_type": "application/vnd.x+json"},
    {"method": "POST", "data": "x", "mimetype": "text/plain"},
    {"headers": {"X-A": "1", "Cookie": "a=b"}},
    {"headers": [("X-A", "1"), ("x-a", "2"), ("Content-Type", "text/x")]},
    {"auth": ("user", "pass:wörd")},
    {"environ_base": {"REMOTE_ADDR": "1.2.3.4", "REQUEST_METHOD": "NO"}},
    {"environ_overrides": {"REQUEST_METHOD": "X", "HTTP_X": "y", "my.key": 1}},
    {"multithread": True, "multiprocess": True, "run_once": True},
    {"method": "POST", "content_length": 7},
    {"method": "POST", "input_stream": io.BytesIO(b"abcdef"), "content_type": "a/b"},
    {"base_url": "http://[::1]/"},
]


@pytest.mark.parametrize("case", CASES, ids=[str(index) for index in range(len(CASES))])
def test_environ_is_werkzeugs(case: dict[str, Any]) -> None:
    theirs = readable(werkzeug.test.create_environ(**case))
    for value in case.values():
        if hasattr(value, "seek"):
            value.seek(0)
    ours = readable(create_environ(**case))
    if case.get("base_url") == "http://[::1]/":
        assert ours.pop("SERVER_NAME") == "[::1]"  # Werkzeug says "["
        assert theirs.pop("SERVER_NAME") == "["
    assert ours == theirs


PATHS = st.text(st.sampled_from("/abä%20 &=+;:@.,€{}|"), max_size=12).filter(lambda text: "%" not in text)


@given(
    path=PATHS,
    query=st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.lists(st.text(max_size=3)), max_size=3),
    root=st.sampled_from(["", "/", "/root", "/rö ot/"]),
    form=st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3),
)
def test_any_environ_is_werkzeugs(path: str, query: Any, root: str, form: Any) -> None:
    arguments: dict[str, Any] = {
        "path": f"/{path.lstrip('/')}",
        "base_url": f"http://localhost{root}",
        "query_string": query,
        "method": "POST",
        "data": form,
    }
    assert readable(create_environ(**arguments)) == readable(werkzeug.test.create_environ(**arguments))


APP_CASES: list[dict[str, Any]] = [
    {},
    {"path": "/x?a=1"},
    {"path": "https://example.com:444/x"},
    {"path": "//other/x"},
    {"subdomain": "api"},
    {"url_scheme": "https"},
    {"base_url": "http://base/"},
    {"json": {"b": 1, "a": "ü"}, "method": "POST"},
]


@pytest.mark.parametrize("config", [{}, {"SERVER_NAME": "name:8080"}, {"APPLICATION_ROOT": "/root"}])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("case", APP_CASES, ids=[str(index) for index in range(len(APP_CASES))])
def test_app_environ_is_flasks(case: dict[str, Any], scheme: str, config: dict[str, Any]) -> None:
    app = flask.Flask("app")
    app.config.update(config, PREFERRED_URL_SCHEME=scheme)
    ours = readable(EnvironBuilder(app, **case).get_environ())
    assert ours == readable(FlaskBuilder(app, **case).get_environ())


def test_base_url_excludes_its_parts() -> None:
    with pytest.raises(TypeError, match="base_url"):
        EnvironBuilder(flask.Flask("app"), base_url="http://x/", subdomain="y")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"path": "/?a=1", "query_string": "b"}, ValueError),
        ({"base_url": "http://x/?a"}, ValueError),
        ({"json": 1, "data": "x"}, TypeError),
        ({"data": "x", "input_stream": io.BytesIO()}, TypeError),
        ({"headers": {"X": "a\r\nb"}}, ValueError),
    ],
)
def test_contradictions_are_refused(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        create_environ(**arguments)


def in_memory(*args: Any, **kwargs: Any) -> io.BytesIO:
    return io.BytesIO()


def test_files_become_multipart_that_werkzeug_reads() -> None:
    data = {
        "text": ["a", "b"],
        "file": (io.BytesIO(b"con\r\ntent"), 'na"me\r\n.txt'),
        "typed": (io.BytesIO(b"{}"), "x.bin", "application/json"),
        "many": [(io.BytesIO(b"1"), "1.txt"), (io.BytesIO(b"2"), "2.txt")],
    }
    environ = create_environ(method="POST", data=data)
    _, form, files = parse_form_data(environ, stream_factory=in_memory)
    assert form.getlist("text") == ["a", "b"]
    assert files["file"].read() == b"con\r\ntent"
    assert (files["file"].filename, files["file"].mimetype) == ('na"me%0D%0A.txt', "text/plain")
    assert files["typed"].mimetype == "application/json"
    assert [file.read() for file in files.getlist("many")] == [b"1", b"2"]


def test_a_path_is_opened_as_a_file_and_closed(tmp_path: Any) -> None:
    (tmp_path / "x.txt").write_bytes(b"x")
    builder = PlainEnvironBuilder(method="POST")
    builder.files.add_file("f", tmp_path / "x.txt")
    _, _, files = parse_form_data(builder.get_environ(), stream_factory=in_memory)
    assert files["f"].read() == b"x"
    builder.close()
    assert builder.files["f"].stream.closed


def test_invalid_utf8_in_a_path_reaches_the_app_as_bytes() -> None:
    assert create_environ("/%ff")["PATH_INFO"] == "/\xff"


def test_a_stream_that_cannot_seek_ends_by_itself() -> None:
    class Pipe(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return b""

    environ = create_environ(method="POST", input_stream=Pipe())
    assert environ["wsgi.input_terminated"] is True
    assert "CONTENT_LENGTH" not in environ


@pytest.mark.parametrize("case", [case for case in CASES if not {"input_stream", "content_length"} & set(case)])
def test_a_builder_from_an_environ_builds_the_same(case: dict[str, Any]) -> None:
    environ = create_environ(**case)
    again = PlainEnvironBuilder.from_environ(environ, environ_base=case.get("environ_base")).get_environ()
    for key in ("REQUEST_URI", "RAW_URI", "my.key"):  # not kept
        again.pop(key, None)
        environ.pop(key, None)
    for result in (again, environ):
        result.setdefault("CONTENT_LENGTH", "0")
    assert again == environ


def test_attributes_may_be_changed_before_the_environ_is_made() -> None:
    builder = PlainEnvironBuilder("/x?a=1")
    builder.query_string = None  # type: ignore[assignment]
    builder.args.add("b", "2")
    builder.form = builder.args.copy()
    builder.method = "POST"
    environ = builder.get_environ()
    assert environ["QUERY_STRING"] == "b=2"
    assert environ["wsgi.input"].read() == b"b=2"
    assert environ["CONTENT_TYPE"] == "application/x-www-form-urlencoded"


# -- the same request for ASGI


def test_scope_has_what_the_specification_wants() -> None:
    scope, body = PlainEnvironBuilder(
        "/ä b/%2F?x=ü",
        "https://example.com/root",
        method="POST",
        data=b"body",
        headers=[("X-A", "1"), ("X-A", "2")],
        environ_base={"REMOTE_ADDR": "1.2.3.4", "REMOTE_PORT": "99", "duoflask.key": 5},
    ).get_scope()
    assert body == b"body"
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "https",
        "path": "/root/ä b//",
        "raw_path": b"/root/%C3%A4%20b/%2F",
        "query_string": "x=ü".encode(),
        "root_path": "/root",
        "headers": [
            (b"host", b"example.com"),
            (b"content-length", b"4"),
            (b"x-a", b"1"),
            (b"x-a", b"2"),
        ],
        "client": ("1.2.3.4", 99),
        "server": ("example.com", 443),
        "extensions": {},
        "duoflask.key": 5,
    }


def test_overrides_win_over_fields_in_a_scope() -> None:
    environ = create_environ(headers={"X-A": "1"}, environ_overrides={"HTTP_X_A": "2", "PATH_INFO": "/other"})
    scope = make_scope(environ, [("X-A", "1")])
    assert (b"x-a", b"2") in scope["headers"]
    assert (b"x-a", b"1") not in scope["headers"]
    assert scope["raw_path"] == b"/other"


@pytest.mark.parametrize(
    ("length", "expected"),
    [(None, (b"abcd", False)), ("2", (b"ab", False)), ("9", (b"abcd", True)), ("x", (b"abcd", False))],
)
def test_body_is_read_as_far_as_content_length_says(length: str | None, expected: Any) -> None:
    environ: dict[str, Any] = {"wsgi.input": io.BytesIO(b"abcd")}
    if length is not None:
        environ["CONTENT_LENGTH"] = length
    assert read_body(environ) == expected


@pytest.mark.parametrize("use_tempfile", [False, True])
def test_an_encoded_form_is_in_memory_unless_it_is_large(use_tempfile: bool) -> None:
    stream, length, boundary = stream_encode_multipart({"a": "x" * 500}, use_tempfile, threshold=100)
    assert isinstance(stream, io.BytesIO) != use_tempfile
    environ = {
        "wsgi.input": stream,
        "CONTENT_LENGTH": str(length),
        "CONTENT_TYPE": f"multipart/form-data; boundary={boundary}",
    }
    assert parse_form_data(environ)[1]["a"] == "x" * 500
    stream.close()
