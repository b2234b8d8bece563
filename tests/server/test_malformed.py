"""A table of malformed requests: each is answered by the server itself and its connection closed."""

from __future__ import annotations

from typing import Any

import pytest

from duoflask import DuoFlask

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


def _head(*fields: bytes, first: bytes = b"POST / HTTP/1.1") -> bytes:
    return b"\r\n".join([first, b"Host: x", *fields, b"", b""])


SMUGGLED = b"GET /admin HTTP/1.1\r\nHost: x\r\n\r\n"

# Spellings of Transfer-Encoding that one parser or another has taken for chunked, or for nothing at all.
for _value in (
    b"xchunked",
    b"x-chunked",
    b"chunkedx",
    b"chunk",
    b"chun ked",
    b"chunked chunked",
    b"chunked,",
    b",chunked",
    b", chunked",
    b"chunked, identity",
    b"identity, chunked",
    b"gzip",
    b"deflate",
    b"compress",
    b"br, chunked",
    b"chunked, gzip",
    b"chunked;q=1",
    b"chunked ;a",
    b"'chunked'",
    b"[chunked]",
    b"=chunked",
    b"chunked=1",
    b"\\chunked",
    b"ch\xadunked",
    b"chun\xe2\x84\xaaed",
    b"\xa0chunked",
    b"chunked\xa0",
    b"\xef\xbb\xbfchunked",
    b"cow",
    b"0",
    b"%63hunked",
    b"chunked\tchunked",
    b"c",
    b"chunked/1.0",
    b"*",
    b"trailers",
):
    REFUSED[f"te {_value!r}"] = (501, _head(b"Transfer-Encoding: " + _value) + b"0\r\n\r\n" + SMUGGLED)
for _line in (
    b"Transfer-Encoding: chunked\0",
    b"Transfer-Encoding: \0chunked",
    b"Transfer-Encoding: chunked\x0b",
    b"Transfer-Encoding: \x0cchunked",
    b"Transfer-Encoding: chunked\x7f",
    b"Transfer-Encoding: chunked\x1f",
    b"Transfer-Encoding\t: chunked",
    b"Transfer-Encoding\0: chunked",
    b"Transfer-Encoding\xa0: chunked",
    b"Transfer Encoding: chunked",
    b"\xffTransfer-Encoding: chunked",
    b"Transfer-Encoding",
    b"Transfer-Encoding chunked",
    b"Transfer-Encoding; chunked",
    b"Transfer-Encoding:\r\n chunked",
    b"Transfer-Encoding:\r\n\tchunked",
    b"A: b\r\n Transfer-Encoding: chunked",
    b"A: b\nTransfer-Encoding: chunked",
    b"A: b\rTransfer-Encoding: chunked",
    b"A: b\n\rTransfer-Encoding: chunked",
    b'"Transfer-Encoding": chunked',
    b"Transfer-Encoding\x0b: chunked",
    b"Transfer-Encoding: chunked\r",
    b"\x0bTransfer-Encoding: chunked",
    b":Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nContent-Length: 0",
    b"content-length: 0\r\ntransfer-encoding: CHUNKED",
    b"Transfer-Encoding: gzip\r\nContent-Length: 5",
    b"TRANSFER-ENCODING: chunked\r\nCONTENT-LENGTH: 5",
    b"Transfer-Encoding:\r\nContent-Length: 5",
    b"Transfer-Encoding: identity\r\nContent-Length: 5",
    b"Content-Length: 5\r\nA: b\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
):
    REFUSED[f"te line {_line!r}"] = (400, _head(_line) + b"0\r\n\r\n" + SMUGGLED)
REFUSED["te twice in different case"] = (501, _head(b"Transfer-Encoding: chunked", b"transfer-encoding: chunked"))
REFUSED["te twice, gzip first"] = (501, _head(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"))
REFUSED["te twice, identity last"] = (501, _head(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"))
REFUSED["te twice, empty first"] = (501, _head(b"Transfer-Encoding:", b"Transfer-Encoding: chunked"))
for _version in (b"1.0", b"1.0\r\nConnection: keep-alive"):
    _first = b"POST / HTTP/" + _version
    REFUSED[f"te under {_version!r}"] = (400, _head(b"Transfer-Encoding: chunked", first=_first) + b"0\r\n\r\n")
    REFUSED[f"te and cl under {_version!r}"] = (
        400,
        _head(b"Transfer-Encoding: chunked", b"Content-Length: 5", first=_first) + b"0\r\n\r\n",
    )

for _value in (
    b"-0",
    b"+0",
    b"-1",
    b"++3",
    b"0x0",
    b"0b1",
    b"0o7",
    b"1e1",
    b"3e0",
    b".3",
    b"3.",
    b"3;3",
    b"3,",
    b",3",
    b"3,3",
    b"3, 4",
    b"3 3",
    b"3\t3",
    b"'3'",
    b'"3"',
    b"3abc",
    b"abc",
    b"NaN",
    b"inf",
    b"\xb3",
    b"\xd9\xa3",
    b"\xef\xbc\x93",
    b"\xa03",
    b"3\xa0",
    b"1,000",
    b"1'000",
    b"1__0",
    b"_1",
    b"1_",
    b"3/4",
    b"3=3",
    b"#3",
    b"3%",
    b"18446744073709551619",
    b"9" * 4000,
    b"0" * 19,
    b"(3)",
    b"[3]",
    b"{3}",
    b"3L",
    b"3h",
    b"\xe2\x80\x8b3",
    b"chunked",
    b"*",
):
    REFUSED[f"cl {_value[:24]!r}"] = (400, _head(b"Content-Length: " + _value) + b"abc" + SMUGGLED)
for _line in (
    b"Content-Length: 3\0",
    b"Content-Length: \x0b3",
    b"Content-Length: 3\x0c",
    b"Content-Length: 3\x7f",
    b"Content-Length : 3",
    b"Content-Length\t: 3",
    b"Content-Length\0: 3",
    b"Content-Length\xa0: 3",
    b"Content Length: 3",
    b"Content-Length 3",
    b"Content-Length",
    b"Content-Length:\r\n 3",
    b"A: b\r\n Content-Length: 3",
    b"A: b\nContent-Length: 3",
    b"A: b\rContent-Length: 3",
    b"Content-Length: 0\r\nContent-Length: 3",
    b"Content-Length: 3\r\ncontent-length: 3",
    b"Content-Length: 3\r\nA: b\r\nCONTENT-LENGTH: 03",
    b"Content-Length: 3\r\nContent-Length:",
    b"Content-Length:\r\nContent-Length: 3",
    b"Content-Length: 3\r",
    b"Content-Length: 3\n",
    b"Content-Length: 3\r\n\tContent-Length: 4",
):
    REFUSED[f"cl line {_line!r}"] = (400, _head(_line) + b"abc" + SMUGGLED)

for _version in (
    b"HTTP/1",
    b"HTTP/1.",
    b"HTTP/.1",
    b"HTTP/11",
    b"HTTP/1.1.1",
    b"HTTP/ 1.1",
    b"HTTP/1,1",
    b"HTTP/-1.1",
    b"HTTP/1.1x",
    b"Http/1.1",
    b"HTTP/1.\xb9",
    b"HTTP/one.one",
    b"HTTPS/1.1",
    b"HTP/1.1",
    b"ICY",
    b"HTTP/01.1",
    b"HTTP/1.01",
    b"HTTP",
    b"HTTP/",
    b"/1.1",
    b"1.1",
    b"HTTP\\1.1",
    b"HTTP/1.1\t",
    b"HTTP/1.1\0",
    b"HTTP/1.1;a=b",
    b"HTTP/+1.1",
    b"HTTP/1.1 HTTP/1.1",
    b"SHTTP/1.1",
    b"HTTP/\xef\xbc\x911.1",
):
    REFUSED[f"version {_version!r}"] = (400, _head(first=b"GET / " + _version))
for _version in (b"HTTP/0.0", b"HTTP/0.1", b"HTTP/1.3", b"HTTP/1.9", b"HTTP/2.1", b"HTTP/3.0", b"HTTP/7.1"):
    REFUSED[f"version {_version!r}"] = (505, _head(first=b"GET / " + _version))

for _target in (
    b"",
    b"..",
    b"../a",
    b"./",
    b"a",
    b"a:80",
    b"x/a",
    b"@",
    b"\\",
    b"\\\\evil\\a",
    b"**",
    b"*a",
    b"*/",
    b";a",
    b"&a",
    b"%2fa",
    b"//#a",
    b"/a#",
    b"/?a#b",
    b"http:",
    b"http:/",
    b"http://",
    b"http:a",
    b"http:/x/",
    b"http:///",
    b"http://?a",
    b"http://x:y/",
    b"http://x:99999/",
    b"http://x y/",
    b"http://x\\a/",
    b"http://x%2fa/",
    b"http://[::1/",
    b"http://[::g]/",
    b"http://:80/",
    b"http://x@y/",
    b"http://x:80@y/",
    b"https://",
    b"ws://x/",
    b"file:///a",
    b"javascript:a",
    b"gopher://x/",
    b"mailto:a@x",
    b"data:,a",
    b"//x/%",
    b"/%",
    b"/%1",
    b"/%g1",
    b"/%1g",
    b"/%u0041",
    b"/%%41",
    b"/% 41",
    b"/%c0%af",
    b"/%c3",
    b"/%ed%a0%80",
    b"/%f8%88%80%80%80",
    b"/%fe",
    b"/\x7f",
    b"/\x80",
    b"/\xff",
    b"/a b",
    b"/a\tb",
    b"/a\x01",
    b"/a\x1b[0m",
    b"http://x/a b",
    b"http://\xc3\xa9/",
    b"http://x/#",
):
    REFUSED[f"target {_target!r}"] = (400, _head(first=b"GET " + _target + b" HTTP/1.1"))
for _target in (b"x:80", b"/", b"*", b"http://x/", b"x"):
    REFUSED[f"connect {_target!r}"] = (501, _head(first=b"CONNECT " + _target + b" HTTP/1.1"))
for _method in (b"POST", b"HEAD", b"PUT", b"DELETE", b"TRACE", b"options"):
    REFUSED[f"asterisk with {_method!r}"] = (400, _head(first=_method + b" * HTTP/1.1"))

for _method in (
    b"",
    b"G ET",
    b"G\0T",
    b"(GET)",
    b"G\xc3\x89T",
    b"GET,",
    b'"GET"',
    b"GET:",
    b"G/T",
    b"G=T",
    b"G@T",
    b"G[T",
    b"G\\T",
    b"G{T",
    b"G;T",
    b"G?T",
    b"\x00GET",
    b"\x7fGET",
    b"\xef\xbb\xbfGET",
    b"<GET",
    b"G\x1bT",
    b"\x80\x80\x01\x03\x01",
):
    REFUSED[f"method {_method!r}"] = (400, _head(first=_method + b" / HTTP/1.1"))
REFUSED["method of 4000 characters"] = (501, _head(first=b"A" * 4000 + b" / HTTP/1.1"))

for _first in (
    b"GET",
    b"GET /",
    b"GET / ",
    b"GET HTTP/1.1",
    b" / HTTP/1.1",
    b"GET /\tHTTP/1.1",
    b"GET\x0b/ HTTP/1.1",
    b"GET /  HTTP/1.1",
    b"GET / HTTP/1.1 ",
    b"GET / HTTP/1.1 x",
    b"GET / / HTTP/1.1",
    b"GET\xa0/ HTTP/1.1",
    b"GET /\x0cHTTP/1.1",
    b"HTTP/1.1 200 OK",
    b"Host: x",
    b"{}",
    b"<html>",
    b"GET / HTTP/1.1\r",
    b"\tGET / HTTP/1.1",
    b"\x0bGET / HTTP/1.1",
    b"SSH-2.0-OpenSSH_9.6",
    b"EHLO x",
    b"*1",
    b"*3\r\n$3\r\nSET",
    b"0",
):
    REFUSED[f"first line {_first!r}"] = (400, _head(first=_first))

for _host in (
    b"x:",
    b"x:a",
    b"x:-1",
    b"x:+80",
    b"x:80:80",
    b"x:000080",
    b"x:65536",
    b"x:8_0",
    b":80",
    b"x/",
    b"x?a",
    b"x#a",
    b"x\\a",
    b"@",
    b"a@",
    b"x,y",
    b"x;y",
    b"x y",
    b"x\ty",
    b"[::1",
    b"::1",
    b"[]",
    b"[::1]x",
    b"[::1]:",
    b"[::1%25eth0]",
    b"[::1%eth0]",
    b"[v1.a]",
    b"[::g]",
    b"[1.2.3.4]",
    b"x%00",
    b"x%2ey",
    b"<x>",
    b'"x"',
    b"x'",
    b"x|y",
    b"x^y",
    b"x`",
    b"x{y}",
    b"x*",
    b"*",
    b"x$y",
    b"x!",
    b"x&y=z",
    b"http://x",
    b"\xff",
    b"x\xc3\xa9",
    b"x\xa0",
    b"x=1",
    b"(x)",
    b"x+y",
    b"~x",
    b"x:\xd9\xa3",
):
    REFUSED[f"host {_host!r}"] = (400, b"GET / HTTP/1.1\r\nHost: " + _host + b"\r\n\r\n")
REFUSED["host twice, in different case"] = (400, _head(b"HOST: y"))
REFUSED["host last and first"] = (400, _head(b"A: b", b"host: x"))
REFUSED["host folded"] = (400, b"GET / HTTP/1.1\r\nHost:\r\n x\r\n\r\n")
REFUSED["host only as Host_"] = (400, b"GET / HTTP/1.1\r\nHost_: x\r\n\r\n")
REFUSED["absolute target, no Host"] = (400, b"GET http://x/ HTTP/1.1\r\nA: b\r\n\r\n")
REFUSED["absolute target, bad Host"] = (400, b"GET http://x/ HTTP/1.1\r\nHost: a/b\r\n\r\n")
REFUSED["absolute target, two Hosts"] = (400, _head(b"Host: x", first=b"GET http://x/ HTTP/1.1"))

for _code in (*range(0x00, 0x09), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F):
    REFUSED[f"control {_code:#04x} in a value"] = (400, _head(b"A: b" + bytes([_code]) + b"c"))
for _code in b'(),/;<=>?@[\\]{}" \x01\x0b\x7f\x80\xff':
    REFUSED[f"{_code:#04x} in a name"] = (400, _head(b"A" + bytes([_code]) + b"B: c"))
for _line in (
    b"A",
    b":",
    b": b",
    b" : b",
    b" ",
    b"\t",
    b"A b",
    b"=",
    b"A;b",
    b"\xef\xbb\xbfA: b",
    b"A\t: b",
    b" A: b",
    b"\tA: b",
):
    REFUSED[f"field line {_line!r}"] = (400, _head(_line))
for _line in (
    b"A: b\n",
    b"A: b\nB: c",
    b"A: b\r",
    b"A: b\rB: c",
    b"A: b\r\r",
    b"\n",
    b"\r",
    b"A:\nb",
    b"A\n: b",
    b"A: b\n\n",
    b"A: b\n\nGET / HTTP/1.1",
):
    REFUSED[f"bare end of line {_line!r}"] = (400, _head(_line))
for _line in (b"A: b\r\n c", b"A: b\r\n\tc", b"A: b\r\n ", b"A:\r\n b", b"A: b\r\n  c: d", b"A: b\r\n\t\t"):
    REFUSED[f"folded {_line!r}"] = (400, _head(_line))
for _value in (b"100-continued", b"200-ok", b"100-continue, a", b"a", b"100 continue", b"100-continue;a=b"):
    REFUSED[f"expect {_value!r}"] = (417, _head(b"Expect: " + _value, b"Content-Length: 3") + b"abc")

_CHUNK_SIZES = (
    b"",
    b" ",
    b"\t3",
    b" 3",
    b"3 ",
    b"3\t",
    b"-3",
    b"+3",
    b"0x3",
    b"0X3",
    b"3h",
    b"g",
    b"3g",
    b"3_0",
    b"3.0",
    b"3,",
    b"3 3",
    b"'3'",
    b"\xb3",
    b"3\0",
    b"\x003",
    b"3\x0b",
    b"3 \x0b;a",
    b"0" * 16,
    b"f" * 16,
    b"fffffffffffffffff",
    b"10000000000000003",
    b"3:a",
    b"3=a",
    b"3 a",
    b"3/a",
    b"3\\a",
    b"3#a",
    b"3;a\0",
    b"3;a\x01",
    b"3;\x7f",
    b"3;a=\x0b",
    b"3;a\x1b",
    b"\xef\xbc\x93",
    b"3\xa0",
    b"3;" + b"a" * 1100,
    b"\r3",
    b"3\r",
    b"3;a\rb",
    b"3\r\r",
    b"None",
    b"%33",
)
for _size in _CHUNK_SIZES:
    BAD_BODIES[f"chunk size {_size[:24]!r}"] = CHUNKED + _size + b"\r\nabc\r\n0\r\n\r\n" + SMUGGLED
for _after in (b"", b"\n", b"\r", b"\n\r", b"x\r\n", b" \r\n", b"\0\r\n", b"\r\r\n", b"\r\n\n"):
    BAD_BODIES[f"after a chunk's data {_after!r}"] = CHUNKED + b"3\r\nabc" + _after + b"0\r\n\r\n" + SMUGGLED
for _trailer in (
    b"a",
    b" a: b",
    b"\ta: b",
    b"a : b",
    b": b",
    b"a\0: b",
    b"a: b\0",
    b"a: b\x0b",
    b"a: b\n",
    b"a: b\rc: d",
    b"a: b\r\n c",
    b"a\xff: b",
    b"a: b\nc: d",
    b"GET / HTTP/1.1",
    b"a\n",
    b"a b: c",
    b"a;b: c",
):
    BAD_BODIES[f"trailer {_trailer!r}"] = CHUNKED + b"0\r\n" + _trailer + b"\r\n\r\n" + SMUGGLED
BAD_BODIES["last chunk with lf"] = CHUNKED + b"0\n\r\n" + SMUGGLED
BAD_BODIES["last chunk and lf lf"] = CHUNKED + b"0\n\n" + SMUGGLED
BAD_BODIES["bare lf instead of every end"] = CHUNKED + b"3\nabc\n0\n\n" + SMUGGLED
BAD_BODIES["trailer too long"] = CHUNKED + b"0\r\nA: " + b"b" * 9000 + b"\r\n\r\n"
BAD_BODIES["trailers too large"] = CHUNKED + b"0\r\n" + (b"A: " + b"b" * 8000 + b"\r\n") * 9 + b"\r\n"


def test_there_are_at_least_two_hundred_kinds() -> None:
    assert len(REFUSED) + len(BAD_BODIES) >= 400


@pytest.fixture
def anyio_backend() -> str:
    """The parser knows no loop: the table runs under asyncio, a part of it under trio."""
    return "asyncio"


@pytest.fixture
def site() -> Any:
    """A duoflask application; `site.seen` are the requests that reached a view."""
    app = DuoFlask("site")
    app.seen = []  # type: ignore[attr-defined]
    methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"]

    @app.route("/", defaults={"path": ""}, methods=methods)
    @app.route("/<path:path>", methods=methods)
    async def view(path: str) -> str:
        app.seen.append(path)  # type: ignore[attr-defined]
        return "ok"

    return app


async def _check(name: str, bytewise: bool, connect: Any, site: Any) -> None:
    status, data = REFUSED[name] if name in REFUSED else (0, BAD_BODIES[name])
    async with connect(site) as client:
        await (client.send_bytewise(data) if bytewise else client.send(data))
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.1 %d " % status if status else (b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")), answer
    assert b"\r\nconnection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert site.seen == []


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", [*REFUSED, *BAD_BODIES])
async def test_malformed_request_is_refused_and_reaches_no_view(
    name: str, bytewise: bool, connect: Any, site: Any
) -> None:
    await _check(name, bytewise, connect, site)


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("name", [*REFUSED, *BAD_BODIES][::7])
async def test_malformed_request_is_refused_under_trio(name: str, connect: Any, site: Any) -> None:
    await _check(name, False, connect, site)


@pytest.mark.parametrize("name", list(BAD_BODIES)[::3])
async def test_application_that_reads_broken_chunks_is_cancelled(name: str, connect: Any, echo: Any) -> None:
    async with connect(echo) as client:
        await client.send(BAD_BODIES[name])
        await client.read_all()
    assert len(echo.scopes) == 1
    assert echo.bodies == []


@pytest.mark.parametrize("name", ["lf only", "te and cl", "cl list", "version 2.0", "te gzip"])
async def test_error_in_a_pipeline_ends_it_after_what_came_before(name: str, connect: Any, site: Any) -> None:
    good = b"GET /good HTTP/1.1\r\nHost: x\r\n\r\n"
    async with connect(site) as client:
        await client.send(good + good + REFUSED[name][1] + SMUGGLED * 3)
        answer = await client.read_all()
    assert answer.count(b"HTTP/1.1 200 ") == 2
    assert answer.count(b"HTTP/1.1 ") == 3
    assert site.seen == ["good", "good"]


@pytest.mark.parametrize("name", ["size not hex", "data too long", "lf after data", "trailer folded"])
async def test_what_follows_a_broken_body_is_not_served(name: str, connect: Any, site: Any) -> None:
    async with connect(site) as client:
        await client.send(BAD_BODIES[name] + SMUGGLED * 3)
        answer = await client.read_all()
    assert answer.count(b"HTTP/1.1 ") == 1
    assert site.seen == []


@pytest.mark.parametrize(
    "field", [b"Transfer_Encoding: chunked", b"Content_Length: 3", b"X_Forwarded_For: 1.2.3.4", b"Host_: y"]
)
async def test_field_with_an_underscore_is_as_if_it_had_not_been_sent(field: bytes, connect: Any, echo: Any) -> None:
    async with connect(echo) as client:
        await client.send(_head(field))
        assert (await client.answer()).body == b"POST "
    assert [name for name, _ in echo.scopes[0]["headers"]] == [b"host"]


async def test_trailer_cannot_speak_for_the_head(connect: Any, echo: Any) -> None:
    trailers = (
        b"Content-Length: 99\r\nTransfer-Encoding: gzip\r\nHost: evil\r\nAuthorization: Basic eDp5\r\nCookie: a=b\r\n"
    )
    async with connect(echo) as client:
        await client.send(CHUNKED + b"3\r\nabc\r\n0\r\n" + trailers + b"\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer()).body == b"POST abc"
        assert (await client.answer()).body == b"GET "
    assert [[name for name, _ in scope["headers"]] for scope in echo.scopes] == [
        [b"host", b"transfer-encoding"],
        [b"host"],
    ]
