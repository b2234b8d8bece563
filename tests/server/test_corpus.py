"""The files of corpus/: each is sent whole, line by line, byte by byte and cut at random."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

pytestmark = pytest.mark.anyio

CORPUS = Path(__file__).parent / "corpus"
VALID = sorted((CORPUS / "valid").glob("*.http"))
INVALID = sorted((CORPUS / "invalid").glob("*.http"))
WAYS = ["whole", "lines", "bytes", "random-1", "random-2", "random-3"]


def load(path: Path) -> tuple[list[Any], bytes]:
    """What is expected, and the bytes."""
    lines = path.read_text("ascii").splitlines()
    expected = [json.loads(line[1:]) for line in lines if line.startswith("#")]
    text = "".join(line for line in lines if not line.startswith("#"))
    return expected, text.encode("ascii").decode("unicode_escape").encode("latin-1")


def pieces(data: bytes, way: str) -> Iterator[bytes]:
    if way == "whole":
        yield data
    elif way == "lines":
        yield from data.splitlines(keepends=True)
    elif way == "bytes":
        yield from (data[at : at + 1] for at in range(len(data)))
    else:
        draw = random.Random(way + str(len(data)))
        cuts = sorted(draw.randrange(len(data) + 1) for _ in range(draw.randrange(1, 12)))
        yield from (data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)]))


async def send(client: Any, data: bytes, way: str) -> None:
    try:
        for piece in pieces(data, way):
            if piece:
                await client.stream.send(piece)
                await anyio.lowlevel.checkpoint()
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass  # it was refused before its end


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def check_valid(path: Path, way: str, connect: Any, echo: Any) -> None:
    expected, data = load(path)
    async with connect(echo) as client:
        await send(client, data, way)
        for request in expected:
            answer = await client.answer(request["method"])
            assert answer.status == 200
        assert len(echo.scopes) == len(expected)
        # Nothing of it is left behind: the connection is closed, or serves another request.
        if answer.headers.get("connection") != "close":
            await client.send(b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert (await client.answer()).status == 200
            assert echo.scopes.pop()["path"] == "/last"
            assert echo.bodies.pop() == b""
        assert await client.read_all() == b""
    for request, scope, body in zip(expected, echo.scopes, echo.bodies, strict=True):
        assert (scope["method"], scope["path"], scope["query_string"]) == (
            request["method"],
            request["path"],
            request["query"].encode(),
        )
        assert body == request["body"].encode("latin-1")
        wanted = [tuple(item.encode("latin-1") for item in field) for field in request.get("headers", ())]
        assert scope["headers"] == wanted or (len(wanted) < 2 and set(wanted) <= set(scope["headers"]))


async def check_invalid(path: Path, way: str, connect: Any, echo: Any) -> None:
    [status], data = load(path)
    async with connect(echo) as client:
        await send(client, data, way)
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert b"\r\nconnection: close" in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert echo.bodies == []  # no request was read to its end


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
async def test_valid_requests_are_served(path: Path, way: str, connect: Any, echo: Any) -> None:
    await check_valid(path, way, connect, echo)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
async def test_invalid_request_is_refused(path: Path, way: str, connect: Any, echo: Any) -> None:
    await check_invalid(path, way, connect, echo)


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("way", ["whole", "lines"])
@pytest.mark.parametrize("path", [*VALID, *INVALID][::5], ids=lambda path: path.stem)
async def test_a_part_of_the_corpus_under_trio(path: Path, way: str, connect: Any, echo: Any) -> None:
    await (check_valid if path in VALID else check_invalid)(path, way, connect, echo)


def test_every_file_says_what_is_expected() -> None:
    assert len(VALID) >= 50
    assert len(INVALID) >= 80
    for path in [*VALID, *INVALID]:
        expected, data = load(path)
        assert expected, path
        assert data, path
