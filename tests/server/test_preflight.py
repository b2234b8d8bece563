from __future__ import annotations

from typing import Any

import h11
import pytest
from hypothesis import given, strategies as st

from duoflask.server.config import ServerConfig
from duoflask.server.preflight import Refused, check_host
from duoflask.server.requests import RequestReader

pytestmark = pytest.mark.anyio

H = b"Host: x\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

ACCEPTED: dict[str, bytes] = {
    "plain": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "one empty line first": b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "1.0 without host": b"GET / HTTP/1.0\r\n\r\n",
    "ipv6 host": b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    "host with underscore": b"GET / HTTP/1.1\r\nHost: my_service:5000\r\n\r\n",
    "tab and obs-text in value": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\tc\xe9\r\n\r\n",
    "empty value": b"GET / HTTP/1.1\r\nHost: x\r\nA:\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "absolute": b"GET http://y:8/a?b HTTP/1.1\r\nHost: x\r\n\r\n",
    "longest line": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 8189 + b"\r\n\r\n",
    "most fields": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 99 + b"\r\n",
    "own method": b"UPDATEREDIRECTREF / HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad escape in the query": b"GET /?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    "double slash": b"GET //evil HTTP/1.1\r\nHost: x\r\n\r\n",
    "chunk extension": CHUNKED + b'3;a="b";c\r\nabc\r\n0;z\r\nT: x\r\n\r\n',
    "chunk size in capitals": CHUNKED + b"A\r\n0123456789\r\n00\r\n\r\n",
    "chunked in capitals": CHUNKED.replace(b"chunked", b"CHUNKED") + b"0\r\n\r\n",
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", ACCEPTED)
async def test_wellformed_request_is_served(name: str, bytewise: bool, connect: Any, echo: Any) -> None:
    data = ACCEPTED[name]
    async with connect(echo) as client:
        await (client.send_bytewise(data) if bytewise else client.send(data))
        answer = await client.answer()
    assert answer.status == 200
    assert len(echo.scopes) == 1


def test_host_check_accepts_names_and_addresses() -> None:
    for host in (b"a", b"a.b-c", b"127.0.0.1:80", b"[::1]", b"[2001:db8::1]:443"):
        check_host(host)


_lines = st.lists(
    st.sampled_from(
        [
            b"Host: x",
            b"Host:  y ",
            b"A: b",
            b"A_b: c",
            b" fold",
            b"Content-Length: 5",
            b"Content-Length: 5x",
            b"A:\x01",
        ]
        + [
            b"Transfer-Encoding: chunked",
            b"Connection: close",
            b"A : b",
            b"\xff: a",
            b"B: \xff",
            b"Expect: 100-continue",
        ]
    ),
    max_size=6,
)
_first = st.sampled_from(
    [b"GET / HTTP/1.1", b"POST /%41?b HTTP/1.0", b"GET * HTTP/1.1", b"G\tT / HTTP/1.1", b"\r\nA / HTTP/1.1"]
)


def _read(data: bytes, cuts: list[int]) -> object:
    reader = RequestReader(ServerConfig())
    last = 0
    body = b""
    head = None
    try:
        for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
            reader.buffer += data[last:cut]
            last = cut
            if head is None:
                head = reader.next_head()
            if head is not None and not reader.body_done:
                body += reader.next_body()
    except Refused as exc:
        return exc.status
    if head is None:
        return None
    return (
        head.method,
        head.path,
        head.query,
        head.headers,
        head.keep_alive,
        head.length,
        body,
        reader.body_done,
    )


@given(_first, _lines, st.binary(max_size=12), st.lists(st.integers(0, 200), max_size=8))
def test_reading_does_not_depend_on_how_bytes_were_split(
    first: bytes, lines: list[bytes], body: bytes, cuts: list[int]
) -> None:
    data = b"\r\n".join([first, *lines]) + b"\r\n\r\n" + body
    assert _read(data, cuts) == _read(data, [])


@given(_first, _lines)
def test_what_h11_refuses_is_refused(first: bytes, lines: list[bytes]) -> None:
    data = b"\r\n".join([first, *lines]) + b"\r\n\r\n"
    ours = _read(data, [])
    if isinstance(ours, tuple):
        oracle = h11.Connection(h11.SERVER)
        oracle.receive_data(data.removeprefix(b"\r\n"))
        event = oracle.next_event()
        assert isinstance(event, h11.Request)
        assert event.method.decode() == ours[0]
