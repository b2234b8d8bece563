"""Interim responses: early hints and other 1xx."""

from __future__ import annotations

from typing import Any

import pytest

from duoflask.server.wsgi import WSGIAdapter

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def answer_ok(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def test_early_hints_come_before_the_response(connect: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["extensions"]["http.response.early_hint"] == {}
        links = [b"</a.css>; rel=preload; as=style", b"</b.js>; rel=preload"]
        await send({"type": "http.response.early_hint", "links": links[:1]})
        await send({"type": "http.response.early_hint", "links": links})
        await send({"type": "http.response.informational", "status": 102, "headers": [(b"x-step", b"1")]})
        await answer_ok(send)

    async with connect(app) as client:
        await client.send(GET)
        answer = await client.read_all()
    first = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload; as=style\r\n"
    assert answer.startswith(
        first + b"\r\n" + first + b"link: </b.js>; rel=preload\r\n\r\n"
        b"HTTP/1.1 102 Processing\r\nx-step: 1\r\n\r\nHTTP/1.1 200 OK\r\n"
    )
    assert answer.endswith(b"\r\n\r\nok")


async def test_http_1_0_gets_no_interim_response(connect: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["extensions"] == {}
        await send({"type": "http.response.early_hint", "links": [b"</a.css>"]})
        await answer_ok(send)

    async with connect(app) as client:
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.read_all()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.early_hint", "links": [b"</a>\r\nSet-Cookie: a=b"]},
        {"type": "http.response.informational", "status": 101, "headers": []},
        {"type": "http.response.informational", "status": 200, "headers": []},
        {"type": "http.response.informational", "status": 103, "headers": [(b"a b", b"")]},
        {"type": "http.response.informational", "status": 103, "headers": [(b"content-length", b"5")]},
    ],
)
async def test_what_would_split_or_confuse_is_an_error(message: Any, connect: Any, caplog: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(message)

    async with connect(app) as client:
        await client.send(GET)
        assert (await client.read_all()).startswith(b"HTTP/1.1 500 ")
    assert "ValueError: invalid" in caplog.text


async def test_hints_after_the_response_has_begun_are_an_error(connect: Any) -> None:
    errors: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await send({"type": "http.response.early_hint", "links": []})
        except RuntimeError as exc:
            errors.append(exc)
        await send({"type": "http.response.body", "body": b"ok"})

    async with connect(app) as client:
        await client.send(GET)
        assert (await client.answer()).body == b"ok"
    assert "comes before" in str(errors[0])


async def test_continue_by_the_application_is_the_only_one(connect: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.informational", "status": 100, "headers": []})
        await receive()
        await answer_ok(send)

    async with connect(app) as client:
        await client.send(
            b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"ab")
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.1 200 ")


async def test_wsgi_application_hints_as_under_gunicorn(connect: Any) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        hint = environ.get("wsgi.early_hints")
        if environ["SERVER_PROTOCOL"] == "HTTP/1.0":
            assert hint is None
        else:
            hint([("Link", "</a.css>; rel=preload"), ("X-Other", "dropped")])
        start_response("200 OK", [])
        yield b"ok"
        if hint is not None:
            hint([("Link", "</late.css>")])

    async with connect(WSGIAdapter(app, 5)) as client:
        await client.send(GET)
        answer = await client.read_all()
        assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert b"late" not in answer
    async with connect(WSGIAdapter(app, 5)) as client:
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert (await client.read_all()).startswith(b"HTTP/1.1 200 ")
