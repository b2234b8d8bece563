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

# name -> (status, bytes)
REFUSED: dict[str, tuple[int, bytes]] = {
    "lf only": (400, b"GET / HTTP/1.1\nHost: x\n\n"),
    "lf after request line": (400, b"GET / HTTP/1.1\n" + H + b"\r\n"),
    "lf after field": (400, b"GET / HTTP/1.1\r\nHost: x\n\r\n"),
    "lf at the end": (400, b"GET / HTTP/1.1\r\nHost: x\r\n\n"),
    "cr in value": (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n"),
    "cr in target": (400, b"GET /\ra HTTP/1.1\r\nHost: x\r\n\r\n"),
    "cr cr lf": (400, b"GET / HTTP/1.1\r\r\nHost: x\r\n\r\n"),
    "two empty lines first": (400, b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "lf first": (400, b"\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "blank first": (400, b" GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "tls hello": (400, b"\x16\x03\x01\x02\x00\x01\x00"),
    "obs-fold": (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"),
    "obs-fold tab": (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\tc\r\n\r\n"),
    "fold in first field": (400, b"GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
    "nul in value": (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n"),
    "bell in value": (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x07c\r\n\r\n"),
    "del in value": (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x7fc\r\n\r\n"),
    "vertical tab in value": (400, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x0bc\r\n\r\n"),
    "blank before colon": (400, b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
    "no colon": (400, b"GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n"),
    "empty name": (400, b"GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n"),
    "nul in name": (400, b"GET / HTTP/1.1\r\nHost: x\r\nA\0: a\r\n\r\n"),
    "slash in name": (400, b"GET / HTTP/1.1\r\nHost: x\r\nA/b: a\r\n\r\n"),
    "latin-1 in name": (400, b"GET / HTTP/1.1\r\nHost: x\r\nA\xe9: a\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
    "two hosts in 1.0": (400, b"GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n"),
    "empty host": (400, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    "host with path": (400, b"GET / HTTP/1.1\r\nHost: x/a\r\n\r\n"),
    "host with user": (400, b"GET / HTTP/1.1\r\nHost: a@x\r\n\r\n"),
    "host with blank": (400, b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n"),
    "host list": (400, b"GET / HTTP/1.1\r\nHost: x, y\r\n\r\n"),
    "host with bad port": (400, b"GET / HTTP/1.1\r\nHost: x:80a\r\n\r\n"),
    "host with large port": (400, b"GET / HTTP/1.1\r\nHost: x:65536\r\n\r\n"),
    "host with empty port": (400, b"GET / HTTP/1.1\r\nHost: x:\r\n\r\n"),
    "host bad ipv6": (400, b"GET / HTTP/1.1\r\nHost: [:e:1]:80\r\n\r\n"),
    "host open bracket": (400, b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    "host not ascii": (400, b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n"),
    "version 2.0": (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    "version 1.2": (505, b"GET / HTTP/1.2\r\nHost: x\r\n\r\n"),
    "version 9.9": (505, b"GET / HTTP/9.9\r\nHost: x\r\n\r\n"),
    "version 0.9": (505, b"GET / HTTP/0.9\r\nHost: x\r\n\r\n"),
    "http2 preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "version 1.10": (400, b"GET / HTTP/1.10\r\nHost: x\r\n\r\n"),
    "version lower case": (400, b"GET / http/1.1\r\nHost: x\r\n\r\n"),
    "version missing": (400, b"GET /\r\nHost: x\r\n\r\n"),
    "version of another protocol": (400, b"GET / RTSP/1.0\r\nHost: x\r\n\r\n"),
    "blank after version": (400, b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n"),
    "two blanks": (400, b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "tab as blank": (400, b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    "method too long": (501, b"A" * 33 + b" / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "method not a token": (400, b"G(T / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "connect": (501, b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n"),
    "connect to a path": (501, b"CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "asterisk with GET": (400, b"GET * HTTP/1.1\r\nHost: x\r\n\r\n"),
    "relative target": (400, b"GET a/b HTTP/1.1\r\nHost: x\r\n\r\n"),
    "authority as target": (400, b"GET @evil HTTP/1.1\r\nHost: x\r\n\r\n"),
    "query as target": (400, b"GET ?a=b HTTP/1.1\r\nHost: x\r\n\r\n"),
    "authority form with GET": (400, b"GET x:80 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "absolute target of another scheme": (400, b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    "absolute target without host": (400, b"GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n"),
    "absolute target with user": (400, b"GET http://a@x/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    "fragment": (400, b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n"),
    "utf-8 in target": (400, b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "nul in target": (400, b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "broken escape": (400, b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
    "cut escape": (400, b"GET /a%4 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "escapes that are not utf-8": (400, b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n"),
    "te in 1.0": (400, b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "te and cl": (
        400,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    ),
    "cl and te": (
        400,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "te gzip": (501, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "te identity": (501, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n"),
    "te twice": (
        501,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    ),
    "te list": (501, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"),
    "te empty": (501, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n"),
    "te with vertical tab": (400, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n"),
    "te with blank before colon": (400, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n"),
    "te quoted": (501, b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "chunked"\r\n\r\n'),
    "te with parameter": (501, b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked;a=b\r\n\r\n"),
    "cl plus": (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc"),
    "cl minus": (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc"),
    "cl hex": (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc"),
    "cl underscore": (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1_0\r\n\r\nabc"),
    "cl list": (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc"),
    "cl twice the same": (
        400,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    ),
    "cl twice different": (
        400,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    ),
    "cl empty": (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n"),
    "cl float": (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3.0\r\n\r\nabc"),
    "cl huge": (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 19 + b"\r\n\r\n"),
    "cl with blank inside": (400, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 2\r\n\r\nabc"),
    "expectation": (417, b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\nContent-Length: 3\r\n\r\nabc"),
    "line too long": (431, b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 8192 + b"\r\n\r\n"),
    "endless line": (431, b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 8192),
    "target too long": (414, b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "endless target": (414, b"GET /" + b"a" * 8192),
    "too many fields": (431, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100 + b"\r\n"),
    "endless fields": (431, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100),
    "head too large": (431, b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"A: " + b"b" * 8000 + b"\r\n") * 9),
}
BAD_BODIES: dict[str, bytes] = {
    "no size": CHUNKED + b"\r\n",
    "size not hex": CHUNKED + b"g\r\nabc\r\n0\r\n\r\n",
    "size with 0x": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "size signed": CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n",
    "size underscore": CHUNKED + b"1_0\r\nabc\r\n0\r\n\r\n",
    "size too long": CHUNKED + b"0" * 16 + b"3\r\nabc\r\n0\r\n\r\n",
    "blank before size": CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n",
    "blank after size": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "lf after size": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "lf after data": CHUNKED + b"3\r\nabc\n0\r\n\r\n",
    "data too long": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "data too short": CHUNKED + b"4\r\nabc\r\n0\r\n\r\n",
    "nul in extension": CHUNKED + b"3;a=\0\r\nabc\r\n0\r\n\r\n",
    "cr in extension": CHUNKED + b"3;a=\rb\r\nabc\r\n0\r\n\r\n",
    "lf in extension": CHUNKED + b"3;a=\nb\r\nabc\r\n0\r\n\r\n",
    "endless extension": CHUNKED + b"3;" + b"a" * 2000,
    "extensions without data": CHUNKED + (b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 20 + b"0\r\n\r\n",
    "trailer without colon": CHUNKED + b"0\r\nabc\r\n\r\n",
    "trailer folded": CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n",
    "trailer with nul": CHUNKED + b"0\r\nA: \0\r\n\r\n",
    "trailer lf": CHUNKED + b"0\r\nA: b\n\r\n",
    "lf at the end": CHUNKED + b"0\r\n\n",
    "too many trailers": CHUNKED + b"0\r\n" + b"A: b\r\n" * 101 + b"\r\n",
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", REFUSED)
async def test_malformed_head_is_refused_and_reaches_no_application(
    name: str, bytewise: bool, connect: Any, echo: Any
) -> None:
    status, data = REFUSED[name]
    async with connect(echo) as client:
        await (client.send_bytewise(data) if bytewise else client.send(data))
        answer = await client.read_all()
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer
        assert b"\r\nconnection: close\r\n" in answer
        assert answer.count(b"HTTP/1.1 ") == 1
    assert echo.scopes == []


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", BAD_BODIES)
async def test_malformed_chunks_are_refused_and_never_look_whole(
    name: str, bytewise: bool, connect: Any, echo: Any
) -> None:
    data = BAD_BODIES[name]
    async with connect(echo) as client:
        await (client.send_bytewise(data) if bytewise else client.send(data))
        answer = await client.read_all()
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")), answer
        assert b"\r\nconnection: close\r\n" in answer
    assert echo.bodies == []
    assert echo.disconnects == 1


async def test_what_follows_a_refusal_is_not_served(connect: Any, echo: Any) -> None:
    async with connect(echo) as client:
        good = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        await client.send(good + b"GET / HTTP/1.1\nHost: x\r\n\r\n" + good)
        answer = await client.read_all()
    assert [answer.count(b"HTTP/1.1 200 "), answer.count(b"HTTP/1.1 400 "), len(echo.scopes)] == [1, 1, 1]


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
