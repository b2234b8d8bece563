from __future__ import annotations

import asyncio
import io

import pytest

from duoflask.http.buffered import BufferedBody
from duoflask.http.errors import RequestEntityTooLarge
from duoflask.http.multipart import InvalidMultipart
from duoflask.http.parts import Parts


class Chunks:
    """A body as chunks of both colours."""

    def __init__(self, body, size):
        self.body, self.size = body, size

    def __iter__(self):
        for index in range(0, len(self.body), self.size):
            yield self.body[index : index + self.size]

    async def __aiter__(self):
        for piece in self:
            await asyncio.sleep(0)
            yield piece


def part(name, content, filename=None):
    file = "" if filename is None else f'; filename="{filename}"\r\nContent-Type: text/x; charset=latin-1'
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + content + b"\r\n"


BODY = (
    part("a", b"one") + part("f", bytes(range(256)) * 9, "x.bin") + part("e", b"") + part("z", b"\xc3\xa9") + b"--b--"
)
WANTED = [("a", None, b"one"), ("f", "x.bin", bytes(range(256)) * 9), ("e", None, b""), ("z", None, b"\xc3\xa9")]


def walk(body, visit, is_async, **limits):
    """Call a generator function `visit(part)` with each part; what it yields is awaited if it has to be."""
    results = []
    parts = Parts(body, b"b", **limits)

    def run_sync():
        for item in parts:
            results.append(visit(item))

    async def run_async():
        async for item in parts:
            value = visit(item)
            results.append(await value if hasattr(value, "__await__") else value)

    asyncio.run(run_async()) if is_async else run_sync()
    return results


BODIES = {
    "bytes": lambda: Chunks(BODY, 1),
    "chunks": lambda: Chunks(BODY, 7),
    "whole": lambda: Chunks(BODY, 100_000),
    "stream": lambda: io.BytesIO(BODY),
    "collected": lambda: BufferedBody.of([BODY]),
}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("body", BODIES)
def test_parts_are_read_whole(body, is_async):
    heads = []

    def visit(item):
        heads.append((item.name, item.filename))
        return item.read()

    contents = walk(BODIES[body](), visit, is_async)
    assert [(*head, content) for head, content in zip(heads, contents, strict=True)] == WANTED


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_parts_are_read_in_pieces_or_skipped(size, is_async):
    def visit(item):
        async def in_pieces():
            pieces = [await item.read(5), await item.read(0), await item.read(11)]
            pieces += [piece async for piece in item]
            assert await item.read() == await item.read(3) == b""
            return b"".join(pieces)

        if item.name != "f":
            return None  # skipped
        if is_async:
            return in_pieces()
        first = item.read(5)
        assert len(first) == 5
        return first + item.read(11) + b"".join(item) + item.read()

    assert walk(Chunks(BODY, size), visit, is_async) == [None, WANTED[1][2], None, None]


@pytest.mark.parametrize("is_async", [False, True])
def test_text_and_head(is_async):
    def visit(item):
        seen.append((item.content_type, item.mimetype, item.headers["content-disposition"][:9], repr(item)[:9]))
        return item.text()

    seen = []
    texts = walk(Chunks(BODY, 50), visit, is_async)
    assert (texts[0], texts[2], texts[3]) == ("one", "", "é")
    assert seen[1] == ("text/x; charset=latin-1", "text/x", "form-data", "<Part 'f'")
    assert seen[0][:2] == (None, "")


@pytest.mark.parametrize("is_async", [False, True])
def test_limits(is_async):
    with pytest.raises(RequestEntityTooLarge, match="MAX_FORM_PARTS"):
        walk(Chunks(BODY, 50), lambda item: None, is_async, max_parts=3)
    assert len(walk(Chunks(BODY, 50), lambda item: None, is_async, max_parts=4)) == 4
    with pytest.raises(RequestEntityTooLarge, match="MAX_FORM_MEMORY_SIZE"):
        walk(Chunks(BODY, 50), lambda item: item.read(), is_async, max_memory_size=4)
    assert len(walk(Chunks(BODY, 50), lambda item: item.read(), is_async, max_memory_size=5)) == 4


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("body", [b"", b"junk", BODY[:-4], part("a", b"x")], ids=repr)
def test_malformed_body_is_a_400(body, is_async):
    with pytest.raises(InvalidMultipart):
        walk(Chunks(body, 10), lambda item: item.read(), is_async)


def test_mistakes_are_explained():
    parts = Parts(Chunks(BODY, 10), b"b")
    first = next(walker := iter(parts))
    with pytest.raises(TypeError, match="'for' in a 'def' view"):
        asyncio.run(anext(aiter(first)))
    next(walker)
    with pytest.raises(RuntimeError, match="has gone by"):
        first.read()
    with pytest.raises(RuntimeError, match="gone through already"):
        next(iter(parts))
