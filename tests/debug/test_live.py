"""The script in pages and the stream that it listens to."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from duoflask import Flask, Response
from duoflask.debug import ErrorPages, LiveReload
from duoflask.debug.live import EVENTS_PATH, SCRIPT_PATH, script_nonce
from duoflask.http.headers import Headers

from .conftest import BROWSER, Answer

Ask = Callable[..., Answer]
DOCUMENT = {"Sec-Fetch-Dest": "document"}
TAG = '<script src="/__duoflask__/live.js" data-events="/__duoflask__/live" data-key="7-1" defer></script>'
PAGE = "<!doctype html><body><h1>A</h1></body>"


def live(app: Flask, text: Any = PAGE, **fields: str) -> LiveReload:
    def view() -> Any:
        response = Response(text() if callable(text) else text)
        for name, value in fields.items():
            response.headers[name.replace("_", "-")] = value
        return response

    app.add_url_rule("/", "index", view, methods=["GET", "POST"])
    return LiveReload(app, "7-1")


def test_page_gets_the_script(ask: Ask, app: Flask) -> None:
    answer = ask(live(app), headers=DOCUMENT)
    assert answer.text == f"<!doctype html><body><h1>A</h1>\n{TAG}\n</body>"
    assert int(answer.headers["Content-Length"]) == len(answer.body)


@pytest.mark.parametrize("text", ["Hello", "<p>ä", "", "</BODY >", "x" * 100_000 + "</body>" + " " * 5_000])
def test_page_of_any_shape_keeps_its_text(ask: Ask, app: Flask, text: str) -> None:
    answer = ask(live(app, text), headers=DOCUMENT)
    assert answer.text.replace(f"\n{TAG}\n", "") == text
    assert (TAG in answer.text) is bool(text)
    assert int(answer.headers["Content-Length"]) == len(answer.body)


@pytest.mark.parametrize(
    ("headers", "has_it"),
    [
        (DOCUMENT, True),
        ({}, True),  # an old browser, or one without TLS; it is a whole document
        ({"Sec-Fetch-Dest": "empty"}, False),
        ({"Sec-Fetch-Dest": "iframe"}, False),
        ({**DOCUMENT, "X-Requested-With": "XMLHttpRequest"}, False),
        ({**DOCUMENT, "HX-Request": "true"}, False),
    ],
)
def test_only_documents_get_the_script(ask: Ask, app: Flask, headers: dict[str, str], has_it: bool) -> None:
    assert (TAG in ask(live(app), headers=headers).text) is has_it


def test_pieces_of_pages_are_left_alone(ask: Ask, app: Flask) -> None:
    assert ask(live(app, "<li>one</li>")).text == "<li>one</li>"


@pytest.mark.parametrize(
    "fields",
    [
        {"Content_Type": "text/plain"},
        {"Content_Type": "application/json"},
        {"Content_Type": "text/html; charset=UTF-16"},
        {"Content_Encoding": "gzip"},
        {"Content_Disposition": "attachment; filename=a.html"},
        {"Content_Security_Policy": "default-src 'none'"},
        {"Content_Security_Policy": "script-src 'self'; connect-src https://api.example.org"},
        {"Content_Security_Policy": "script-src 'sha256-abc'"},
        {"Content_Security_Policy": "script-src 'self' 'strict-dynamic'"},
        {"Content_Security_Policy": "sandbox allow-forms"},
    ],
)
def test_what_the_script_would_break_is_left_alone(ask: Ask, app: Flask, fields: dict[str, str]) -> None:
    answer = ask(live(app, **fields), headers=DOCUMENT)
    assert answer.text == PAGE


@pytest.mark.parametrize(
    ("policies", "nonce"),
    [
        ([], ""),
        (["default-src 'self'"], ""),
        (["img-src x"], ""),
        (["script-src *; default-src 'none'; connect-src *"], ""),
        (["script-src 'nonce-abc'"], "abc"),
        (["default-src 'none'; script-src 'nonce-abc' 'strict-dynamic'; connect-src 'self'"], "abc"),
        (["script-src-elem 'self'; script-src 'none'"], ""),
        (["script-src 'nonce-abc'", "script-src 'nonce-abc'"], "abc"),
        (["script-src 'nonce-abc', script-src 'nonce-def'"], None),
        (["script-src 'self'", "script-src 'none'"], None),
        (["sandbox allow-scripts; script-src 'self'"], ""),
        (["SCRIPT-SRC 'SELF'"], ""),
        (["script-src"], None),
    ],
)
def test_policies_are_understood(policies: list[str], nonce: str | None) -> None:
    assert script_nonce(Headers([("Content-Security-Policy", policy) for policy in policies])) == nonce


def test_page_with_a_nonce_gets_the_script_with_it(ask: Ask, app: Flask) -> None:
    answer = ask(live(app, Content_Security_Policy="script-src 'nonce-a\"b'"), headers=DOCUMENT)
    assert '<script nonce="a&#34;b" src=' in answer.text


def test_error_page_gets_the_script(ask: Ask, app: Flask) -> None:
    app.add_url_rule("/", "index", lambda: 1 / 0)
    answer = ask(LiveReload(ErrorPages(app), "7-1"), headers={**DOCUMENT, "Accept": BROWSER})
    nonce = answer.headers["Content-Security-Policy"].partition("'nonce-")[2].partition("'")[0]
    assert f'<script nonce="{nonce}" src="/__duoflask__/live.js"' in answer.text


def test_page_of_a_form_asks_before_it_is_sent_again(ask: Ask, app: Flask) -> None:
    assert ' data-key="7-1" data-ask defer' in ask(live(app), headers=DOCUMENT, method="POST", body=b"x").text


@pytest.mark.parametrize("colour", ["def", "async"])
def test_streamed_page_gets_the_script_at_its_end(ask: Ask, app: Flask, colour: str) -> None:
    def sync_pieces() -> Iterator[str]:
        yield "<h1>"
        yield "A</h1>"

    async def async_pieces() -> AsyncIterator[str]:
        yield "<h1>"
        yield "A</h1>"

    wrapped = live(app, sync_pieces if colour == "def" else async_pieces)
    assert ask(wrapped, headers=DOCUMENT).text == f"<h1>A</h1>\n{TAG}\n"
    assert ask(wrapped).text == "<h1>A</h1>"


def test_validators_of_a_changed_body_are_removed(ask: Ask, app: Flask) -> None:
    answer = ask(live(app, ETag='"x"', Last_Modified="Thu, 01 Jan 1970 00:00:00 GMT"), headers=DOCUMENT)
    assert TAG in answer.text and "ETag" not in answer.headers and "Last-Modified" not in answer.headers


def test_head_says_the_length_of_get(ask: Ask, app: Flask) -> None:
    wrapped = live(app)
    got = ask(wrapped, headers=DOCUMENT)
    head = ask(wrapped, headers=DOCUMENT, method="HEAD")
    assert head.body == b"" and head.headers["Content-Length"] == got.headers["Content-Length"]


def test_script_is_served(ask: Ask, app: Flask) -> None:
    answer = ask(live(app), SCRIPT_PATH)
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "EventSource" in answer.text


def test_events_say_the_key_and_end_when_the_server_stops(ask: Ask, app: Flask) -> None:
    stopping = threading.Event()
    stopping_later = threading.Timer(0.3, stopping.set)
    stopping_later.start()
    answer = ask(LiveReload(app, "7-1", stopping), EVENTS_PATH)
    stopping_later.join()
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.text.startswith("retry: 200\ndata: 7-1\n\n")


def test_streams_hold_a_few_threads_only(app: Flask) -> None:
    live = LiveReload(app, "7-1", max_threads=1)
    environ = {"PATH_INFO": EVENTS_PATH, "REQUEST_METHOD": "GET"}
    first, second = [live(environ, lambda *args: None) for _ in range(2)]
    assert next(first) == b"retry: 200\ndata: 7-1\n\n"
    assert list(second) == [b"retry: 1000\ndata: 7-1\n\n"]
    first.close()
    assert next(live(environ, lambda *args: None)).startswith(b"retry: 200\n")


def test_events_end_with_their_page(app: Flask) -> None:
    async def main() -> None:
        sent = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": EVENTS_PATH, "headers": [], "query_string": b""}
        with anyio.fail_after(20):
            await LiveReload(app, "7-1")(scope, receive, send)
        assert sent[0]["status"] == 200

    anyio.run(main)


def test_prefix_of_the_application_is_kept(app: Flask) -> None:
    environ = {"PATH_INFO": "/", "SCRIPT_NAME": "/shop", "REQUEST_METHOD": "GET", "HTTP_SEC_FETCH_DEST": "document"}

    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b"A"]

    body = b"".join(LiveReload(application, "k")(environ, lambda *args: None))
    assert b'src="/shop/__duoflask__/live.js" data-events="/shop/__duoflask__/live"' in body
