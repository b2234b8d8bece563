"""What a WSGI environ tells, against `werkzeug.wsgi`."""

from __future__ import annotations

import io
from typing import Any

import pytest
import werkzeug._internal
import werkzeug.sansio.utils
import werkzeug.wsgi
from hypothesis import given, strategies as st

from duoflask.http import environ as tools
from duoflask.http.body import LimitedStream
from duoflask.http.errors import RequestEntityTooLarge, SecurityError
from duoflask.response import Response
from duoflask.testing import create_environ


def request(path: str = "/", **overrides: Any) -> dict[str, Any]:
    return {**create_environ(path, "http://localhost:8080/root"), **overrides}


@pytest.mark.parametrize(
    "options",
    [{}, {"root_only": True}, {"strip_querystring": True}, {"host_only": True}, {"trusted_hosts": ["localhost"]}],
)
def test_current_url_is_werkzeugs(options: dict[str, Any]) -> None:
    environ = request("/a b/c?x=ü%20y&z")
    assert tools.get_current_url(environ, **options) == werkzeug.wsgi.get_current_url(environ, **options)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"HTTP_HOST": "a.b:80"},
        {"HTTP_HOST": "a.b:443", "wsgi.url_scheme": "https"},
        {"HTTP_HOST": None, "SERVER_NAME": "s", "SERVER_PORT": "81"},
        {"HTTP_HOST": None, "SERVER_NAME": "/run/sock", "SERVER_PORT": ""},
    ],
)
def test_host_is_werkzeugs(changes: dict[str, Any]) -> None:
    environ = {key: value for key, value in request(**changes).items() if value is not None}
    assert tools.get_host(environ) == werkzeug.wsgi.get_host(environ)


def test_current_url_decodes_the_path() -> None:
    """Werkzeug's shows the bytes as latin-1."""
    assert tools.get_current_url(request("/ü")) == "http://localhost:8080/root/ü"


def test_untrusted_and_malformed_hosts_are_refused() -> None:
    with pytest.raises(SecurityError):
        tools.get_host(request(), ["other"])
    with pytest.raises(SecurityError):
        tools.get_current_url(request(HTTP_HOST="a/b"))


@given(st.text("".join(map(chr, range(256)))))
def test_path_info_is_werkzeugs(path: str) -> None:
    assert tools.get_path_info({"PATH_INFO": path}) == werkzeug.wsgi.get_path_info({"PATH_INFO": path})


@pytest.mark.parametrize("length", ["5", "0", "", None, "x", "-1", "1_0", "\u0661"])
@pytest.mark.parametrize("coding", [None, "chunked", "gzip"])
def test_content_length_is_werkzeugs(length: str | None, coding: str | None) -> None:
    environ = {"CONTENT_LENGTH": length, "HTTP_TRANSFER_ENCODING": coding}
    environ = {key: value for key, value in environ.items() if value is not None}
    expected = werkzeug.wsgi.get_content_length(environ)
    assert tools.get_content_length(environ) == expected


@pytest.mark.parametrize("length", [None, "3"])
@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize("limit", [None, 2, 100])
def test_input_stream_is_werkzeugs(length: str | None, terminated: bool, safe: bool, limit: int | None) -> None:
    def read(module: Any) -> Any:
        stream = io.BytesIO(b"abcdef"[: 3 if terminated else 6])
        environ: dict[str, Any] = {"wsgi.input": stream}
        if terminated:
            environ["wsgi.input_terminated"] = True
        if length is not None:
            environ["CONTENT_LENGTH"] = length
        try:
            return module.get_input_stream(environ, safe, limit).read()
        except Exception as exc:
            return type(exc).__name__

    if terminated and length is None and limit == 2:
        assert (read(tools), read(werkzeug.wsgi)) == ("RequestEntityTooLarge", b"ab")  # never cut in two
    else:
        assert read(tools) == read(werkzeug.wsgi)


def test_input_stream_ends_where_the_body_does() -> None:
    environ = {"wsgi.input": io.BytesIO(b"abcdef"), "CONTENT_LENGTH": "3"}
    assert isinstance(tools.get_input_stream(environ), LimitedStream)
    with pytest.raises(RequestEntityTooLarge):
        tools.get_input_stream(environ, max_content_length=2)


def test_responder_makes_an_application() -> None:
    @tools.responder
    def application(environ: Any, start_response: Any) -> Response:
        return Response(environ["PATH_INFO"])

    seen: list[Any] = []
    assert b"".join(application(request("/x"), lambda *args: seen.append(args))) == b"/x"
    assert seen[0][0] == "200 OK"
    assert application.__name__ == "application"


def test_closing_iterator_calls_everything_once_whatever_is_raised() -> None:
    called = []

    class Body:
        def __iter__(self) -> Any:
            return iter([b"a"])

        def close(self) -> None:
            called.append("body")
            raise LookupError("first")

    def fail() -> None:
        called.append("callback")
        raise ValueError("second")

    iterator = tools.ClosingIterator(Body(), [fail, lambda: called.append("last")])
    assert list(iterator) == [b"a"]
    with pytest.raises(LookupError, match="first"):
        iterator.close()
    assert called == ["body", "callback", "last"]
    tools.ClosingIterator([b""]).close()
    single = []
    tools.ClosingIterator([b""], lambda: single.append(1)).close()
    assert single == [1]


def test_file_wrapper_gives_blocks_and_closes() -> None:
    file = io.BytesIO(b"abcdef")
    wrapped = tools.FileWrapper(file, 4)
    assert (wrapped.seekable(), wrapped.tell()) == (True, 0)
    wrapped.seek(1)
    assert list(wrapped) == [b"bcde", b"f"]
    wrapped.close()
    assert file.closed

    class Bare:
        def read(self, size: int) -> bytes:
            return b""

    bare = tools.FileWrapper(Bare())  # type: ignore[arg-type]
    bare.close()
    bare.seek(0)
    assert (bare.seekable(), bare.tell(), list(bare)) == (False, None, [])


def test_wrap_file_prefers_the_servers_wrapper() -> None:
    file = io.BytesIO(b"x")
    assert isinstance(tools.wrap_file({}, file), tools.FileWrapper)
    assert tools.wrap_file({"wsgi.file_wrapper": lambda *args: args}, file, 5) == (file, 5)


@given(st.text(), st.text())
def test_texts_in_an_environ_are_werkzeugs(text: str, raw: str) -> None:
    if text.isprintable():
        assert tools.wsgi_encoded(text) == werkzeug._internal._wsgi_encoding_dance(text)
        assert tools.wsgi_decoded(tools.wsgi_encoded(text)) == text
    tools.wsgi_decoded(raw)


@pytest.mark.parametrize("coding", [None, "chunked", "gzip"])
@pytest.mark.parametrize("length", [None, "2", " 2", "2 ", "a", "-2", "+2", "1_0", "\u0662"])
def test_announced_length_is_werkzeugs(length: str | None, coding: str | None) -> None:
    assert tools.content_length_of(length, coding) == werkzeug.sansio.utils.get_content_length(length, coding)
