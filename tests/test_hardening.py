"""Attacks on a request and on a response, through a whole app: both protocols and both colours answer alike."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import duoflask
from duoflask import request
from duoflask.testing import create_environ

COLOURS = pytest.mark.parametrize("colour", ["def", "async def"])
MULTIPART = "multipart/form-data; boundary=b"
Answer = tuple[int, dict[str, str], bytes]


def make_app(view: Callable[[], Any], colour: str = "def", **config: Any) -> duoflask.Flask:
    async def async_view() -> Any:
        return view()

    app = duoflask.Flask("app")
    app.logger.disabled = True
    app.config.update(config)
    app.add_url_rule("/", "view", view if colour == "def" else async_view, methods=["GET", "POST"])
    return app


def ask_wsgi(app: Any, body: bytes, fields: list[tuple[str, str]], method: str) -> Answer:
    """The fields are put as gunicorn does: lines of one name are joined."""
    environ = create_environ("/", method=method, input_stream=io.BytesIO(body))
    environ.pop("CONTENT_LENGTH", None)
    for name, value in fields:
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        environ[key] = f"{environ[key]}{'; ' if name == 'Cookie' else ','}{value}" if key in environ else value
    head: list[Any] = []
    answer = app(environ, lambda status, headers, exc_info=None: head.append((int(status[:3]), dict(headers))))
    try:
        data = b"".join(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return *head[-1], data


def ask_asgi(app: Any, body: bytes, fields: list[tuple[str, str]], method: str, pieces: int = 1) -> Answer:
    size = -(-len(body) // pieces) or 1
    messages = [
        {"type": "http.request", "body": body[at : at + size], "more_body": at + size < len(body)}
        for at in range(0, max(len(body), 1), size)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "http_version": "1.1", "method": method, "scheme": "http", "path": "/", "root_path": ""}
    scope |= {"raw_path": b"/", "query_string": b"", "client": ("127.0.0.1", 1), "server": ("localhost", 80)}
    scope["headers"] = [(name.lower().encode(), value.encode("latin-1")) for name, value in fields]
    anyio.run(app, scope, receive, send)
    head = {name.decode("latin-1").title(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return sent[0]["status"], head, b"".join(message.get("body", b"") for message in sent[1:])


def ask(app: Any, body: bytes = b"", *fields: tuple[str, str], length: bool = True, method: str = "POST") -> Answer:
    """Ask under both protocols; the answers must be the same."""
    given = [*fields, ("Content-Length", str(len(body)))] if length else [*fields]
    answers = [asked(app, body, given, method) for asked in (ask_wsgi, ask_asgi)]
    for _, head, _ in answers:
        head.pop("Date", None)
    assert answers[0] == answers[1]
    return answers[0]


def _value(evil: str) -> Any:
    return "x", {"X-A": evil}


def _name(evil: str) -> Any:
    return "x", {f"X-{evil}": "a"}


def _reason(evil: str) -> Any:
    return "x", f"200 {evil}"


def _type(evil: str) -> Any:
    return duoflask.Response("x", mimetype=f"text/{evil}")


def _cookie(**options: Any) -> Any:
    response = duoflask.Response("x")
    response.set_cookie(**options)
    return response


EVIL = ["a\r\nSet-Cookie: evil=1", "a\nSet-Cookie: evil=1", "a\rb", "a\0b", "a\x1bb", "a\x7fb", "a\u2028b", "\ud800"]
SINKS: dict[str, Callable[[str], Any]] = {
    "value": _value,
    "name": _name,
    "reason": _reason,
    "type": _type,
    "cookie's name": lambda evil: _cookie(key=evil, value="1"),
    "cookie's value": lambda evil: _cookie(key="a", value=evil),
    "cookie's path": lambda evil: _cookie(key="a", path=f"/{evil}"),
    "cookie's domain": lambda evil: _cookie(key="a", domain=evil),
    "cookie's samesite": lambda evil: _cookie(key="a", samesite=evil),
    "redirect": lambda evil: duoflask.redirect(f"/{evil}"),
    "file name": lambda evil: duoflask.send_file(
        io.BytesIO(b"x"), mimetype="text/x", as_attachment=True, download_name=evil
    ),
    "etag": lambda evil: duoflask.send_file(io.BytesIO(b"x"), mimetype="text/x", etag=evil),
}


@COLOURS
@pytest.mark.parametrize("sink", SINKS)
@pytest.mark.parametrize("evil", EVIL)
def test_no_field_is_split_by_what_an_app_puts_in(colour: str, sink: str, evil: str) -> None:
    status, head, _ = ask(make_app(lambda: SINKS[sink](evil), colour))
    assert status in (200, 302, 500)
    for name, value in head.items():
        assert name.isascii(), name
        assert name.isprintable(), name
        assert all(" " <= char <= "\xff" and char != "\x7f" for char in value), (name, value)
    assert "evil=1" not in head.get("Set-Cookie", "").partition(";")[0].partition("=")[0]
    assert not head.get("Set-Cookie", "").startswith("evil")


@COLOURS
@pytest.mark.parametrize("value", ["3, 3", "3,3", "3, 4", "+3", "-3", "1_0", "3 ", "\xb2", "0x3", "9" * 20])
def test_a_length_that_is_no_number_is_a_400(colour: str, value: str) -> None:
    app = make_app(lambda: request.get_data(), colour)
    status, _, data = ask(app, b"abc", ("Content-Length", value), length=False)
    assert (status == 400) if value != "3 " else ((status, data) == (200, b"abc"))


@COLOURS
def test_two_lengths_are_a_400(colour: str) -> None:
    app = make_app(lambda: request.get_data(), colour)
    for second in ("3", "2"):
        fields = [("Content-Length", "3"), ("Content-Length", second)]
        assert [asked(app, b"abc", fields, "POST")[0] for asked in (ask_wsgi, ask_asgi)] == [400, 400]


def part(number: int, text: bytes = b"x", more: bytes = b"") -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="f%d"%s\r\n\r\n%s\r\n' % (number, more, text)


BOMBS: dict[str, tuple[str, bytes, str]] = {
    "fields": ("application/x-www-form-urlencoded", b"&".join([b"a=1"] * 1001), "MAX_FORM_PARTS"),
    "text": ("application/x-www-form-urlencoded", b"a=" + b"x" * 500_000, "MAX_FORM_MEMORY_SIZE"),
    "parts": (MULTIPART, b"".join(map(part, range(1001))) + b"--b--", "MAX_FORM_PARTS"),
    "empty files": (MULTIPART, part(1, b"", b'; filename=""') * 1001 + b"--b--", "MAX_FORM_PARTS"),
    "sum of texts": (MULTIPART, part(1, b"x" * 5100) * 100 + b"--b--", "MAX_FORM_MEMORY_SIZE"),
    "part's head": (MULTIPART, part(1, b"x", b"; a=b" * 2000) + b"--b--", "too large"),
    "lines of a head": (MULTIPART, part(1, b"x", b"\r\nX: a" * 20) + b"--b--", "too many lines"),
    "head without an end": (MULTIPART, b"--b\r\nContent-Disposition: " + b"a" * 1_000_000, "too large"),
    "name": (MULTIPART, part(1).replace(b"f1", b"n" * 2000) + b"--b--", "the name of a part"),
}


@COLOURS
@pytest.mark.parametrize("bomb", BOMBS)
def test_form_bombs_are_refused_by_name(colour: str, bomb: str) -> None:
    kind, body, named = BOMBS[bomb]
    status, _, data = ask(make_app(lambda: str(len(request.form)), colour), body, ("Content-Type", kind))
    assert status == (413 if named.isupper() else 400)
    assert named in data.decode()


@COLOURS
def test_megabytes_around_the_parts_and_line_ends_in_them_are_read_over(colour: str) -> None:
    body = b"preamble " * 300_000 + b"\r\n" + part(1, b"\r\n" * 100_000) + b"--b--\r\n" + b"epilogue " * 300_000
    view = make_app(lambda: str(len(request.form["f1"])), colour)
    assert ask(view, body, ("Content-Type", MULTIPART))[2] == b"200000"


@COLOURS
def test_a_form_is_the_same_however_its_body_is_cut(colour: str) -> None:
    def view() -> Any:
        files = [(name, file.filename, file.read().decode()) for name, file in request.files.items(multi=True)]
        return {"form": list(request.form.items(multi=True)), "files": files}

    body = (
        part(1, b"\r\n-b\r\n--\r\n--a\r\n") + part(2, b"\r", b'; filename="\xc3\xa4.txt"') + part(3, b"") + b"--b--\r\n"
    )
    fields = [("Content-Type", MULTIPART), ("Content-Length", str(len(body)))]
    app = make_app(view, colour)
    whole = ask(app, body, fields[0])
    assert whole[0] == 200
    for pieces in (2, 3, 7, 50, len(body)):
        assert ask_asgi(app, body, fields, "POST", pieces)[2] == whole[2]


@COLOURS
@pytest.mark.parametrize(
    "ranges", ["0-," * 5000, "0-0," * 64 + "1-1", ",".join(f"{at}-{at}" for at in range(0, 4000, 2)), "-1," * 3000]
)
def test_range_bombs_give_no_more_than_the_body(colour: str, ranges: str) -> None:
    def view() -> Any:
        response = duoflask.make_response("x" * 10_000)
        return response.make_conditional(request, True, 10_000)

    status, head, data = ask(make_app(view, colour), b"", ("Range", f"bytes={ranges}"), length=False, method="GET")
    assert status in (206, 416)
    assert len(data) <= 10_000
    assert head["Content-Length"] == str(len(data))


@COLOURS
def test_cookie_lines_are_one_and_none_stands_for_a_prefixed_one(colour: str) -> None:
    app = make_app(lambda: dict(request.cookies), colour)
    lines = [("Cookie", 'a=1; j={"a":1}'), ("Cookie", "b=2; =__Host-x=bad"), ("Cookie", "__Host-x=good")]
    assert b"bad" not in ask(app, b"", *lines)[2]
    assert b'"__Host-x":"good"' in ask(app, b"", *lines)[2]


@COLOURS
def test_text_that_is_not_ascii_arrives_everywhere(colour: str) -> None:
    text = "grüße☃𝄞"
    as_latin = text.encode().decode("latin-1")

    def view() -> Any:
        file = request.files["f2"]
        response = duoflask.make_response({"t": request.form["f1"], "n": file.filename, "c": request.cookies["c"]})
        response.set_cookie("c", text)
        response.location = f"/{text}?{text}"
        response.status_code = 201
        return response

    body = part(1, text.encode()) + part(2, b"x", b'; filename="%s"' % text.encode()) + b"--b--"
    status, head, data = ask(make_app(view, colour), body, ("Content-Type", MULTIPART), ("Cookie", f"c={as_latin}"))
    assert (status, duoflask.json.loads(data)) == (201, {"t": text, "n": text, "c": text})
    assert all(value.isascii() for value in head.values())


def test_limits_and_checks_hold_without_assertions() -> None:
    """`python -OO` drops every `assert`, and every docstring."""
    code = (
        "from tests.test_hardening import *\n"
        "for colour in ('def', 'async def'):\n"
        "    for kind, body, named in BOMBS.values():\n"
        "        app = make_app(lambda: str(len(request.form)), colour)\n"
        "        fields = [('Content-Type', kind), ('Content-Length', str(len(body)))]\n"
        "        for asked in (ask_wsgi, ask_asgi):\n"
        "            status, _, data = asked(app, body, fields, 'POST')\n"
        "            if status != (413 if named.isupper() else 400) or named not in data.decode():\n"
        "                raise SystemExit((colour, named, status))\n"
        "    for sink in SINKS.values():\n"
        "        answers = [a(make_app(lambda: sink(EVIL[0]), colour), b'', [], 'GET') for a in (ask_wsgi, ask_asgi)]\n"
        "        if any('\\n' in value for _, head, _ in answers for value in head.values()):\n"
        "            raise SystemExit((colour, answers))\n"
    )
    ran = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
