"""No parser raises anything but its documented errors, takes more than its time, or loses what it is to write again.

One function for each parser. `parsers.py` gives them what a coverage-guided fuzzer draws, `test_parsers.py` random
inputs. Each takes bytes as a peer would send them; a finding is an AssertionError, or whatever leaves the parser.
"""

from __future__ import annotations

import posixpath
import re
import zlib
from collections.abc import Callable, Iterable
from io import BytesIO
from time import thread_time
from typing import Any
from urllib.parse import unquote, urlencode

from duoflask import DuoFlask, Request, Response
from duoflask.http import accept, auth, body, cache_control, cookies, csp, dates, etags, options, ranges, uri
from duoflask.http.age import dump_age, parse_age
from duoflask.http.errors import BadRequest, HTTPException, MethodNotAllowed, RequestEntityTooLarge, SecurityError
from duoflask.http.event_stream import Event, EventParser, parse_event_id
from duoflask.http.forms import FormDataParser, parse_urlencoded
from duoflask.http.forwarded import SCHEMES, Forwarded, read_forwarded, split_port
from duoflask.http.grammar import is_token
from duoflask.http.header_set import parse_set_header
from duoflask.http.headers import Headers
from duoflask.http.link import Link, link_value
from duoflask.http.multipart import InvalidMultipart, MultipartScanner, PartHead
from duoflask.http.multipart_events import Epilogue, MultipartDecoder, NeedData
from duoflask.http.paths import safe_join, secure_filename
from duoflask.http.websocket_wire import Wire
from duoflask.json.tag import TaggedJSONSerializer
from duoflask.middleware import ProxyFix
from duoflask.routing import Map, RequestRedirect, Rule, WebsocketMismatch
from duoflask.server.chunked import ChunkDecoder
from duoflask.server.config import ServerConfig
from duoflask.server.preflight import HeadScanner, Refused, check_head, check_host, split_target
from duoflask.sessions import SecureCookieSessionInterface
from duoflask.sessions.signing import KeptSerializer, _encoded, _signature
from duoflask.urls import make_redirect

__all__ = ["MAX_INPUT", "SECONDS_PER_KIB", "TARGETS", "run_target", "seeds_of"]

# More than the 4300 digits at which `int` refuses.
MAX_INPUT = 5000
# Of CPU time; a parser needs microseconds, and the fuzzer's instrumentation makes it ten times slower.
SECONDS_PER_KIB = 0.05

TARGETS: dict[str, tuple[Callable[[bytes], None], tuple[bytes, ...]]] = {}


def target(*seeds: bytes) -> Callable[[Callable[[bytes], None]], Callable[[bytes], None]]:
    def register(function: Callable[[bytes], None]) -> Callable[[bytes], None]:
        TARGETS[function.__name__] = (function, seeds)
        return function

    return register


def seeds_of(name: str) -> tuple[bytes, ...]:
    return (b"", *TARGETS[name][1])


def run_target(name: str, data: bytes) -> None:
    """Run one target on one input; raise on a finding."""
    function = TARGETS[name][0]
    allowed = SECONDS_PER_KIB * (1 + len(data) / 1024)
    for last in (False, False, True):  # a collection of garbage may fall into one of them
        begin = thread_time()
        function(data)
        taken = thread_time() - begin
        if taken <= allowed:
            return
        assert not last, f"{name} took {taken:.3f} s for {len(data)} bytes; expected at most {allowed:.3f} s"


def field(data: bytes) -> str:
    """A field's value as WSGI and ASGI give it."""
    return data.decode("latin-1")


def text_of(data: bytes) -> str:
    """Text as JSON can carry it, lone surrogates among it."""
    return data.decode("utf-8", "surrogateescape")


def writable(value: str) -> None:
    """What a peer sent is written back: only what cannot stand in a field may be refused."""
    try:
        Headers().add("X", value)
    except ValueError:
        assert re.search(r"[^\t\x20-\x7e\x80-\xff]", value), value


# fields of a request or response


@target(b"a=1&b=%C3%A9+x&c", b"%FF=%zz&=&a==", b"a=%ED%A0%80&\xc3\xa9=%E2%82")
def query(data: bytes) -> None:
    pairs = uri.parse_query(data)
    assert uri.parse_query(urlencode(pairs).encode()) == pairs
    try:
        assert uri.parse_query(data, 3) == pairs
    except ValueError:
        assert data.count(b"&") >= 3


@target(b"a=1&b=%C3%A9+x&c", b"&".join([b"a"] * 12))
def urlencoded(data: bytes) -> None:
    try:
        assert len(parse_urlencoded(data, 10, 1000)) <= 10
    except RequestEntityTooLarge:
        assert len(data) > 1000 or data.count(b"&") >= 10


@target(b'a=1; b="x\\054\\"y"; c={"k":1}', b"a=1;b = 2;\t c", b'a="b\\303\\251";a=\xc3\xa9', b'"a"="b"; ="c')
def cookie(data: bytes) -> None:
    cookies.parse_cookie(field(data))
    for name, value in cookies.parse_cookie_pairs(field(data)):
        if is_token(name):
            dumped = cookies.dump_cookie(name, value, path=None, secure=True, max_size=0)
            if not name.lower().startswith("__host-"):
                assert cookies.parse_cookie_pairs(dumped)[0] == (name, value), (name, value, dumped)


@target(b"text/html;q=0.5, */*;level=1, x/y;q=1.0000", b"en-GB,en_us;q=0.8,*;q=0", b'utf-8;q="1", "a,b";q=.5, ;q=2')
def accept_header(data: bytes) -> None:
    offers: dict[type[Any], tuple[str, ...]] = {
        accept.Accept: ("gzip", "br", ""),
        accept.MIMEAccept: ("text/html", "text/*", "*/*", "a/b;c=d"),
        accept.LanguageAccept: ("en", "en-GB", "de_AT", ""),
        accept.CharsetAccept: ("utf-8", "latin1", ""),
    }
    for cls, matches in offers.items():
        found = accept.parse_accept_header(field(data), cls)
        assert found.best_match(matches) in (None, *matches)
        assert all(0 <= found.quality(offer) <= 1 for offer in matches)
        accept.parse_accept_header(found.to_header(), cls)
        list(found.values())


@target(b'text/html; charset=utf-8; a="b\\"c;"', b"x; a*=utf-8''%C3%A9; b*0=1; b*1*=%20", b'a; b="%22"; c=";d=e')
def options_header(data: bytes) -> None:
    value, found = options.parse_options_header(field(data))
    plain = not any(not key or "*" in key or "%22" in text for key, text in found.items())
    if plain and value:
        assert options.parse_options_header(options.dump_options_header(value, found)) == (value, found)


@target(b'a, "b,c" , "d\\"e", ,f', b'"a', b'"",\t"\\\\"')
def list_header(data: bytes) -> None:
    items = options.parse_list_header(field(data))
    assert options.parse_list_header(options.dump_header(items)) == items


@target(b'a=1, b="c,d", e, f*=utf-8\'\'%C3%A9, g = "h"', b'=a, b==, "c=d"')
def dict_header(data: bytes) -> None:
    found = options.parse_dict_header(field(data))
    if all(is_token(key) and "*" not in key for key in found):
        assert options.parse_dict_header(options.dump_header(found)) == found


@target(b'Accept, accept, "X,Y"', b"*, \xdf")
def set_header(data: bytes) -> None:
    found = parse_set_header(field(data))
    assert parse_set_header(found.to_header()).as_set() == found.as_set()
    assert all(item in found and found.find(item) >= 0 for item in list(found)[:4])


@target(b'max-age=10, no-cache="a, b", private', b"max-age=-1, s-maxage=x, max-stale, min-fresh=" + b"9" * 400)
def cache_control_header(data: bytes) -> None:
    for cls in (cache_control.RequestCacheControl, cache_control.ResponseCacheControl):
        found = cache_control.parse_cache_control_header(field(data), None, cls)
        for name in dir(cls):
            if not name.startswith("_"):
                getattr(found, name)
        writable(found.to_header())


@target(b"default-src 'self'; img-src *;; sandbox", b"a b;A c; \t d-\te")
def csp_header(data: bytes) -> None:
    found = csp.parse_csp_header(field(data))
    try:
        dumped = found.to_header()
    except ValueError:
        return
    assert csp.parse_csp_header(dumped) == found


@target(b'"a", W/"b", c', b"*", b'w/"", "*", W/, "x')
def etags_header(data: bytes) -> None:
    found = etags.parse_etags(field(data))
    again = etags.parse_etags(found.to_header())
    assert (again._strong, again._weak, again.star_tag) == (found._strong, found._weak, found.star_tag)
    found.contains_raw(field(data))
    etags.unquote_etag(field(data))


@target(b"bytes=0-1, 5-, -7", b"bytes = 1-0", b"x=0-" + b"9" * 1001, b"bytes=-0,,1-1")
def range_header(data: bytes) -> None:
    assert ranges.parse_range_header(field(data)) is None or data.partition(b"=")[2].count(b",") < 64
    found = ranges.parse_range_header(field(data), max_ranges=None)
    if found is None:
        return
    again = ranges.parse_range_header(found.to_header(), max_ranges=None)
    assert again is not None and (again.units, again.ranges) == (found.units, found.ranges)
    pieces = found.ranges_for_length(1000)
    assert sum(stop - start for start, stop in pieces) <= 1000
    one = found.make_content_range(1000)
    assert (None if one is None else one.to_header()) == found.to_content_range_header(1000)


@target(b'"a"', b'W/"b"', b"Sun, 06 Nov 1994 08:49:37 GMT", b'"', b"a")
def if_range_header(data: bytes) -> None:
    found = etags.parse_if_range_header(field(data))
    again = etags.parse_if_range_header(found.to_header())
    assert (again.etag, again.date) == (found.etag, found.date)


@target(b"bytes 0-9/10", b"bytes */5", b"x 1-2/*", b"bytes 0-" + b"9" * 1000 + b"/*")
def content_range_header(data: bytes) -> None:
    found = ranges.parse_content_range_header(field(data))
    if found is not None:
        again = ranges.parse_content_range_header(found.to_header())
        assert again is not None and vars(again) == vars(found)


@target(
    b"Sun, 06 Nov 1994 08:49:37 GMT",
    b"Sunday, 06-Nov-94 08:49:37 GMT",
    b"Sun Nov  6 08:49:37 1994",
    b"Mon, 01 Jan 0001 00:00:00 +2359",
)
def date(data: bytes) -> None:
    found = dates.parse_date(field(data))
    if found is not None:
        assert dates.parse_date(dates.http_date(found)) == found.replace(microsecond=0)


@target(b" 12 ", b"9" * 4400, b"\xb2", b"-1", b"1_0")
def age(data: bytes) -> None:
    found = parse_age(field(data))
    assert parse_age(dump_age(found)) == found


@target(b"Basic YTpiOmM=", b'Digest username="a", nc=1, qop', b"Bearer abc==", b"Basic \xff", b"x =a, b==")
def authorization(data: bytes) -> None:
    found = auth.Authorization.from_header(field(data))
    if found is not None:
        dumped = found.to_header()
        repr(found)
        if found.type == "basic" or _rereadable(found):
            assert auth.Authorization.from_header(dumped) == found, dumped


@target(b'Basic realm="a", charset=utf-8', b"Negotiate abc=", b'Digest qop="a,b", stale=true', b"x")
def www_authenticate(data: bytes) -> None:
    found = auth.WWWAuthenticate.from_header(field(data))
    if found is not None:
        dumped = found.to_header()
        if _rereadable(found):
            assert auth.WWWAuthenticate.from_header(dumped) == found, dumped


def _rereadable(found: Any) -> bool:
    keys = found.parameters
    return (
        is_token(found.type)
        and any(value is not None for value in keys.values())
        and all(is_token(key) and "*" not in key for key in keys)
    )


@target(b"example.org:80", b"[::1]:443", b"a.b.:0080", b"[::ffff:1.2.3.4%25x]", b"xn--a", b"\xe4.de")
def host(data: bytes) -> None:
    for scheme in ("http", "https"):
        for trusted in (None, ["example.org", ".b.", "[::1]", field(data)]):
            try:
                found = uri.get_host(scheme, field(data), ("::1", 80), trusted)
            except SecurityError:
                continue
            assert not found or uri.host_is_trusted(found, trusted)
            writable(found)


@target(
    "http://ü:p@bücher.de:8/ä?ö=%20#é".encode(), b"http://[::1", b"//xn--a/%2F%ff", b"a:b", b"\t//x\n", b"\xed\xa0\x80"
)
def iri(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for found in (uri.iri_to_uri(text), uri.iri_to_uri(uri.uri_to_iri(text)), uri.iri_to_uri(uri.iri_to_uri(text))):
        assert found.isascii() and not re.search(r"[\x00-\x20\x7f]", found), found
    uri.get_current_url("http", "h", text, text, data)
    uri.split_root_path(text, "/a")


@target(b"10", b" 7\t", b"+1", b"1" * 20, b"\xb2", b"1,1")
def content_length(data: bytes) -> None:
    for value in (data, field(data)):
        try:
            found = body.parse_content_length(value)
        except BadRequest:
            continue
        assert found is not None and 0 <= found < 10**19


# bodies


def cut(data: bytes) -> tuple[list[bytes], list[list[bytes]]]:
    """Read two places from the first four bytes; return the rest whole, and cut in several ways."""
    rest = data[4:]
    first, second = sorted(int.from_bytes(data[i : i + 2], "big") % (len(rest) + 1) for i in (0, 2))
    ways = [[rest[:first], rest[first:second], rest[second:]]]
    if len(rest) <= 300:
        ways.append([rest[i : i + 1] for i in range(len(rest))])
    return [rest], ways


def _scanned(pieces: Iterable[bytes]) -> tuple[list[Any], str | None]:
    scanner = MultipartScanner(b"b")
    found: list[Any] = []
    try:
        for piece in pieces:
            for event in scanner.feed(piece):
                if isinstance(event, PartHead):
                    found.append((event.name, event.filename, event.fields, event.start))
                    assert event.charset and event.headers is not None
                elif event and found and isinstance(found[-1], bytes):
                    found[-1] += event
                else:
                    found.append(event)
        scanner.finish()
    except InvalidMultipart as exc:
        return found, exc.description
    return [*found, scanner.position], None


_FIELD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
_FILE = (
    b"--b\r\ncontent-disposition: form-data;\r\n name=f; filename*=utf-8''%C3%A9\r\nContent-Type: a/b\r\n\r\n\r\n--\r\n"
)


@target(
    b"\0\5\0\x30" + _FIELD + _FILE + b"--b--\r\n", b"\0\5\0\7\r\n--b--", b"\0\x40\0\x50pre\r\n" + _FIELD[:-2] + _FIELD
)
def multipart(data: bytes) -> None:
    whole, ways = cut(data)
    expected = _scanned(whole)
    for way in ways:
        assert _scanned(way) == expected
    decoder = MultipartDecoder(b"b", 100, max_parts=3)
    try:
        for piece in (*ways[0], None):
            decoder.receive_data(piece)
        assert expected[1] is None
    except RequestEntityTooLarge:
        return
    except InvalidMultipart:
        assert expected[1] is not None
        return
    while not isinstance(decoder.next_event(), (Epilogue, NeedData)):
        pass


@target(b"multipart/form-data; boundary=b\n" + _FIELD + _FILE + b"--b--", b"application/x-www-form-urlencoded\na=1&b")
def form(data: bytes) -> None:
    kind, _, content = data.partition(b"\n")
    environ = {"CONTENT_TYPE": field(kind), "CONTENT_LENGTH": str(len(content)), "REQUEST_METHOD": "POST"}
    for silent in (True, False):
        parser = FormDataParser(None, 1000, 4000, None, silent, max_form_parts=8)
        try:
            _, fields, files = parser.parse_from_environ({**environ, "wsgi.input": BytesIO(content)})
        except RequestEntityTooLarge:
            continue
        except InvalidMultipart:
            assert not silent
            continue
        for file in [file for of_name in files.listvalues() for file in of_name]:
            assert isinstance(file.read(), bytes) and isinstance(secure_filename(file.filename), str)
        assert all(isinstance(value, str) for _, value in fields.items(multi=True))


@target(b'{"a": [1, NaN, "\\ud800"]}', b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"[" * 2000, b"9" * 4999)
def json_body(data: bytes) -> None:
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(data)),
        "wsgi.input": BytesIO(data),
    }
    try:
        Request(environ).get_json()
    except HTTPException as exc:
        assert exc.code == 400


# streams of messages


def _frame(opcode: int, payload: bytes = b"", first: int = 0x80) -> bytes:
    """Return a client's frame whose mask leaves the payload as it is."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes((first | opcode,)) + length + bytes(4) + payload


def _wire(deflate: bool) -> Wire:
    fields = [(name.lower().encode(), value) for name, value in _HANDSHAKE.items()]
    wire = Wire.from_headers(fields, compression=deflate)
    assert wire.next_message() == {"type": "websocket.connect"}
    wire.send({"type": "websocket.accept"})
    wire.outgoing()
    return wire


_HANDSHAKE = {
    "Upgrade": b"websocket",
    "Connection": b"keep-alive, Upgrade",
    "Sec-WebSocket-Version": b"13",
    "Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": b"chat, b",
    "Sec-WebSocket-Extensions": b'permessage-deflate; client_max_window_bits="10"; server_no_context_takeover',
}


def _conversed(pieces: Iterable[bytes], deflate: bool) -> tuple[list[Any], bytes]:
    wire = _wire(deflate)
    messages: list[Any] = []
    answers = b""
    for piece in (*pieces, None):
        wire.feed_eof() if piece is None else wire.feed(piece)
        while (message := wire.next_message()) is not None:
            messages.append(message)
            assert len(messages) < MAX_INPUT
        answers += wire.outgoing()
    assert [message["type"] == "websocket.disconnect" for message in messages].index(True) == len(messages) - 1
    return messages, answers


@target(
    b"\1\5\0\x0c" + _frame(1, b"a", 0) + _frame(9, b"p") + _frame(0, b"\xc3\xa9") + _frame(8, b"\x03\xe8bye"),
    b"\0\5\0\x0c" + _frame(1, zlib.compress(b"hello" * 20, wbits=-10)[:-1] + b"\0", 0xC0) + _frame(2, b"x" * 200),
    b"\0\5\0\x0c" + _frame(1, b"\xe2\x82", 0) + _frame(1) + _frame(10) + _frame(3, b"", 0xA0),
    b"\0\5\0\x0c\x82\xff\0\0\0\0\0\0\0\1\0\0\0\0x" + _frame(8, b"\3"),
)
def websocket_frames(data: bytes) -> None:
    whole, ways = cut(data)
    for deflate in (False, True):
        expected = _conversed(whole, deflate)
        for way in ways:
            assert _conversed(way, deflate) == expected


@target(
    b"\n".join(_HANDSHAKE.values()), b"WebSocket, x\nupgrade\n8\nx\n,\npermessage-deflate; a=b, x", b"\n\n\n\n\n;;="
)
def websocket_handshake(data: bytes) -> None:
    values = data.split(b"\n")
    for count in (len(values), 1, 4, 5):  # the first ones; the others are good
        sent = {**_HANDSHAKE, **dict(zip(_HANDSHAKE, values[:count]))}
        try:
            wire = Wire.from_headers([(name.encode(), value) for name, value in sent.items()])
        except HTTPException as exc:
            assert exc.code in (400, 426)
            continue
        wire.next_message()
        wire.send({"type": "websocket.accept", "subprotocol": next(iter(wire.scope_subprotocols), None)})
        head, *rest = wire.outgoing().split(b"\r\n")
        assert head == b"HTTP/1.1 101 Switching Protocols" and rest[-2:] == [b"", b""]
        assert all(re.fullmatch(rb"[\w-]+: [\t -~]*", line) for line in rest[:-2]), rest


def _heard(pieces: Iterable[bytes]) -> tuple[list[Any], list[Any]]:
    parser = EventParser()
    events = [(event.data, event.event, event.id) for piece in pieces for event in parser.feed(piece)]
    return events, [parser.last_event_id, parser.retry, parser.comments]


@target(
    b"\0\5\0\x0c\xef\xbb\xbfevent: x\r\ndata:a\r\ndata: b\rid:1\n\n: c\nretry: 10\n\ndata\n\n",
    b"\0\1\0\2\r\n\r\rdata: \xe2\x82\n\nid: \0\nid\nfoo: x\ndata:  y\n\n",
)
def event_stream(data: bytes) -> None:
    whole, ways = cut(data)
    events, state = _heard(whole)
    for way in ways:
        assert _heard(way) == (events, state)
    written = b"".join([Event(text, event=(kind or "").replace("\0", "") or None).encode() for text, kind, _ in events])
    assert [text for text, _, _ in _heard([written])[0]] == [text for text, _, _ in events]
    try:
        EventParser(max_event_size=20).feed(whole[0])
    except ValueError:
        assert len(whole[0]) > 20
    found = parse_event_id(field(data))
    assert found is None or not re.search(r"[\0\r\n]", found)


# sessions


_TAGGED = (
    b'{" t":[1,{" b":"YQ=="},{" m":"<b>"}]}',
    b'{"a":{" u":"00000000000000000000000000000001"},"b":{" d":"Sun, 06 Nov 1994 08:49:37 GMT"}}',
    b'{" di":{" t__":[{" di":{"abc":1}}]}}',
    b"[" * 900,
)
_TAGS = TaggedJSONSerializer()


@target(*_TAGGED)
def tagged_json(data: bytes) -> None:
    try:
        value = _TAGS.loads(data.decode())
        text = _TAGS.dumps(value)
    except Exception:  # documented: whatever a tag raises; the session below must not
        return
    assert _TAGS.dumps(_TAGS.loads(text)) == text


_APP = DuoFlask("fuzz")
_APP.secret_key = "key"
_SESSIONS = SecureCookieSessionInterface()


@target(
    b"\0" + _TAGGED[0],
    b"\1" + _TAGGED[1],
    b"\2" + zlib.compress(_TAGGED[2]),
    b"\3",
    b"\2" + zlib.compress(b"1" * 10**6),
)
def session(data: bytes) -> None:
    signer = _SESSIONS.get_signing_serializer(_APP)
    assert isinstance(signer, KeptSerializer)
    kind, content = data[:1], data[1:]
    if kind == b"\0":
        payload = _encoded(content)
    elif kind == b"\1":
        payload = b"." + _encoded(zlib.compress(content))
    elif kind == b"\2":
        payload = b"." + _encoded(content)
    else:
        payload = content
    stamp = signer.dumps({}).split(".")[1].encode()
    signed = payload + b"." + stamp
    opened = _SESSIONS.open_value(_APP, field(signed + b"." + _signature(signer._halves[0], signed)))
    assert isinstance(dict(opened), dict)
    for forged in (field(content), field(signed) + ".x", text_of(content)):
        assert dict(_SESSIONS.open_value(_APP, forged)) == {}


# addresses


@target(b"a/b\n../c", b"..", b"aux.txt", b"a\\b", b"/etc", b"C:x\n.", "ﬁ́/…".encode(), b"a/./b//c/..", b"nul .x")
def paths(data: bytes) -> None:
    text = text_of(data)
    joined = safe_join("/srv/x", *text.split("\n"))
    if joined is not None:
        clean = posixpath.normpath(joined)
        assert clean == "/srv/x" or clean.startswith("/srv/x/"), joined
        assert "\0" not in joined and "\\" not in joined
    name = secure_filename(text)
    assert re.fullmatch(r"[A-Za-z0-9_.-]*", name) and not name.startswith(".")
    assert secure_filename(name).lstrip("_") == name.lstrip("_")


@target(
    b"/a?b=c#d",
    "//ü/é".encode(),
    b"java\tscript:x",
    b"\r\nSet-Cookie: a=b",
    b"http://[",
    b"itms-services://?a",
    b" data:,",
)
def location(data: bytes) -> None:
    response = make_redirect(text_of(data), 302, Response)
    sent = response.headers["Location"]
    assert sent.isascii() and not re.search(r"[\x00-\x20\x7f]", sent), sent
    page = response.get_data(as_text=True)
    for scheme in re.findall(r'<a href="(?:[\x00-\x20]|%[01].|%20)*([A-Za-z][A-Za-z0-9+.-]*):', page):
        assert scheme.lower() in ("http", "https"), page


_MAP = Map(
    [
        Rule("/", endpoint="root"),
        Rule("/s/<a>", endpoint="string", methods=["GET"]),
        Rule("/s/<int:a>", endpoint="int"),
        Rule("/s/<int(fixed_digits=3, signed=True):a>/f/", endpoint="fixed"),
        Rule("/f/<float(signed=True):a>/", endpoint="float"),
        Rule("/u/<uuid:a>", endpoint="uuid", methods=["POST"]),
        Rule("/y/<any(x, yy, 'z z'):a>/<string(minlength=2, maxlength=4):b>", endpoint="any"),
        Rule("/p/<path:a>", endpoint="path"),
        Rule("/p/<path:a>/end/<path:b>", endpoint="paths"),
        Rule("/m/<a>-<int:b>.<c>", endpoint="mixed"),
        Rule("/m/<path:a>.x", endpoint="suffix"),
        Rule("/d/", endpoint="page", defaults={"a": 1}),
        Rule("/d/<int:a>", endpoint="page"),
        Rule("/r/<a>", endpoint="old", redirect_to="/s/<a>"),
        Rule("/w/<a>", endpoint="socket", websocket=True),
        Rule("/n/<path:a>", endpoint="slashes", merge_slashes=False),
        Rule("/ä/<a>/", endpoint="umlaut"),
    ]
)
_ROUTES = (b"/s/12", b"/s/-012/f", b"/f/-1.50", b"/u/12345678-1234-1234-1234-123456789abc", b"/y/z z/abc", b"/d/1")
_MORE_ROUTES = (
    b"/p/a//b/end/c/end/d",
    b"/m/a-1.b",
    b"/m/a.x",
    b"/r/%",
    b"/w/x",
    b"/n//a//",
    "/ä/é".encode(),
    b"/s/" + b"9" * 4500,
)


@target(*_ROUTES, *_MORE_ROUTES)
def route(data: bytes) -> None:
    path = data.decode("utf-8", "replace")
    for scheme in ("http", "ws"):
        adapter = _MAP.bind("example.org", url_scheme=scheme)
        for method in ("GET", "POST"):
            try:
                endpoint, values = adapter.match(path, method)
            except RequestRedirect as exc:
                writable(exc.new_url)
                assert exc.new_url.startswith(("http://example.org/", "ws://example.org/")), exc.new_url
                continue
            except (MethodNotAllowed, WebsocketMismatch):
                continue
            except HTTPException as exc:
                assert exc.code == 404
                continue
            built = adapter.build(endpoint, values, method)
            path_again = unquote(built.removeprefix("ws://example.org").partition("?")[0])
            assert adapter.match(path_again, method) == (endpoint, values), built


# the built-in server


_CONFIG = ServerConfig(max_head=2000, max_line=500, max_fields=6)


def _dechunked(pieces: Iterable[bytes]) -> Any:
    decoder, buffer, found = ChunkDecoder(_CONFIG), bytearray(), b""
    try:
        for piece in pieces:
            buffer += piece
            found += decoder.decode(buffer)
    except Refused as exc:
        assert exc.status in (400, 431)
        return exc.args
    return found, decoder.done, bytes(buffer)


@target(
    b"\0\2\0\5" + b"3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\nGET",
    b"\0\0\0\0" + b"0\r\n\r\n",
    b"\0\1\0\1" + b"fffffffffffffff\r\nx",
)
def chunked(data: bytes) -> None:
    whole, ways = cut(data)
    expected = _dechunked(whole)
    for way in ways:
        assert _dechunked(way) == expected


def _headed(pieces: Iterable[bytes]) -> Any:
    scanner, buffer = HeadScanner(_CONFIG), bytearray()
    try:
        for piece in pieces:
            buffer += piece
            end = scanner.find_end(buffer)
            if end:
                head = bytes(buffer[:end])
                target, length = check_head(head)
                path, query, authority = split_target(head.partition(b" ")[0], target)
                assert length >= -1 and b"?" not in path and b"#" not in path + query
                return head, length, path, query, authority
    except Refused as exc:
        assert exc.status in (400, 414, 431, 501, 505)
        return "refused"  # of several faults, the one that shows first
    return None


@target(
    b"\0\5\0\x20" + b"\r\nGET /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    b"\0\5\0\x20" + b"POST http://h:1/%41 HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"\0\0\0\0" + b"OPTIONS * HTTP/1.1\r\nA:b\r\n c\r\n\r\n",
)
def request_head(data: bytes) -> None:
    whole, ways = cut(data)
    expected = _headed(whole)
    for way in ways:
        assert _headed(way) == expected
    try:
        check_host(whole[0])
    except Refused as exc:
        assert exc.status == 400


# whole requests


_NAMES = (
    b"Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers Authorization Cache-Control"
    b" Content-Length Content-Type Cookie Date Host If-Match If-Modified-Since If-None-Match If-Range"
    b" If-Unmodified-Since Max-Forwards Origin Pragma Range Referer Sec-Fetch-User Transfer-Encoding User-Agent"
    b" X-Forwarded-For X-Other"
).split()
_ATTRIBUTES = [
    name
    for name in dir(Request)
    if not name.startswith("_")
    and name not in ("environ", "scope", "headers", "stream", "json", "data", "form", "files", "values")
    and not isinstance(getattr(Request, name), type)
    and hasattr(getattr(Request, name), "__get__")
    and not callable(getattr(Request, name))
]


def _told(request: Any, name: str) -> str:
    try:
        told = repr(getattr(request, name))
    except HTTPException as exc:
        assert 400 <= (exc.code or 0) < 500
        return repr(exc)
    return re.sub(r" at 0x[0-9a-f]+", "", told)


@target(
    b"\x0bexample.org:80",
    b"\x09a=b",
    b"\x05Basic YTpi",
    b"\x19a, b",
    b'\x08text/html; charset="x"',
    b"\x07+1",
    b"\x14bytes=0-",
)
def request_fields(data: bytes) -> None:
    name = _NAMES[data[0] % len(_NAMES)] if data else b"Host"
    value = re.sub(rb"[\r\n\0]", b"", data[1:]).strip(b" \t")
    key = name.decode().upper().replace("-", "_")
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SERVER_NAME": "s",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "QUERY_STRING": field(value),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        key if key.startswith("CONTENT_") else f"HTTP_{key}": field(value),
    }
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/",
        "query_string": value,
        "server": ("s", 80),
        "headers": [(name.lower(), value)],
    }
    wsgi, asgi = Request(environ), Request(scope)
    for attribute in _ATTRIBUTES:
        told = _told(wsgi, attribute)
        if not attribute.startswith("is_multi"):
            assert _told(asgi, attribute) == told, attribute


@target("/ä b<>.css".encode(), b"</a.css>; rel=preload", b"//h/x.woff2?\xff#y", b"http://[::1/a.js", b"a\r\nX: y")
def link(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        value = link_value(text)
    except (ValueError, TypeError):
        assert not text or re.search(r"[\x00-\x1f\x7f]", text) or text[0] == "<", text
        return
    writable(value)
    assert value[0] == "<" and (text[0] == "<" or value.count("<") == value.count(">") == 1)
    try:
        writable(Link("/a", title=text, media=text).to_header())
    except ValueError:
        assert re.search(r"[^\t\x20-\x7e\x80-\xff]", text), text


@target(b"1.2.3.4, ::1\nhttps, http\na:1, [::1]:2\n1, 65536\n//x, /a/", b'"a,b"\n HTTPS\n:\n\xb2\n/')
def forwarded(data: bytes) -> None:
    sent = dict(zip(_FORWARDED, field(data).split("\n")))
    for count in (0, 1, 2, 40):
        found = read_forwarded(sent.get, x_for=count, x_proto=count, x_host=count, x_port=count, x_prefix=count)
        assert count or found == Forwarded()
        assert found.scheme is None or found.scheme in SCHEMES
        assert found.port is None or 0 < int(found.port) < 65536
        assert not found.prefix or re.match(r"/[^/]", found.prefix), found
        if found.host is not None:
            name, port = split_port(found.host)
            assert found.host.startswith(name if port is None else f"{name}:{port}")


_FORWARDED = [f"X-Forwarded-{name}" for name in ("For", "Proto", "Host", "Port", "Prefix")]
_SEEN = ("host", "scheme", "remote_addr", "root_path", "path", "url", "root_url", "access_route", "server")


@target(b"1.2.3.4, ::1\nhttps\nexample.org:8\n443\n/a/", b"\n\n[::1]\n\n//x", b"\n\na:b:c\n99999\n\xc3\xa9")
def proxy_fix(data: bytes) -> None:
    values = [re.sub(rb"[\r\0]", b"", line).strip(b" \t") for line in data.split(b"\n")]
    sent = list(zip(_FORWARDED, values))
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/p",
        "HTTP_HOST": "h",
        "REMOTE_ADDR": "9.9.9.9",
        "SERVER_NAME": "s",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        **{f"HTTP_{name.upper().replace('-', '_')}": field(value) for name, value in sent},
    }
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "root_path": "",
        "path": "/p",
        "server": ("s", 80),
        "client": ("9.9.9.9", 1),
        "headers": [(b"host", b"h"), *[(name.lower().encode(), value) for name, value in sent]],
    }
    fix = ProxyFix(None, 1, 1, 1, 1, 1)
    wsgi, asgi = (Request(fix.prepare(source)[1]) for source in (environ, scope))
    for attribute in _SEEN:
        assert _told(asgi, attribute) == _told(wsgi, attribute), attribute
