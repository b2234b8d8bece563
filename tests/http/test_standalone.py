from __future__ import annotations

from typing import Any

import pytest
from werkzeug.datastructures import Headers as OracleHeaders
from werkzeug.sansio.request import Request as Oracle
from werkzeug.sansio.utils import get_host as oracle_host

from duoflask.http.errors import SecurityError
from duoflask.http.headers import Headers
from duoflask.http.standalone import StandaloneRequest, host_or_nothing

FACTS = ("method", "scheme", "server", "root_path", "path", "query_string", "remote_addr", "url", "host", "full_path")


@pytest.mark.parametrize(
    "parts",
    [
        ("GET", "http", ("a.test", 80), "", "/", b"", "10.0.0.1"),
        ("post", "https", ("a.test", 8443), "/root/", "/p\u00e4th", b"x=1&x=2", None),
        ("GET", "wss", None, "/r", "path", b"", None),
        ("GET", "http", ("/run/socket", None), "", "", b"", None),
    ],
)
def test_the_parts_are_told_as_werkzeug_tells_them(parts: Any) -> None:
    pairs = [("Cookie", "a=b"), ("Cookie", "a=c"), ("X-A", "1"), ("Content-Type", "text/plain; charset=x")]
    *front, remote = parts
    ours, theirs = (
        kind(*front, headers(pairs), remote)
        for kind, headers in ((StandaloneRequest, Headers), (Oracle, OracleHeaders))
    )
    assert [getattr(ours, fact) for fact in FACTS] == [getattr(theirs, fact) for fact in FACTS]
    assert ours.args.to_dict(flat=False) == theirs.args.to_dict(flat=False)
    assert ours.mimetype_params == theirs.mimetype_params
    assert ours.headers["x-a"] == "1"


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ({"Content-Length": "6"}, 6),
        ({"Content-Length": "6", "Transfer-Encoding": "chunked"}, None),
        ({"Content-Length": "-6"}, 0),
        ({"Content-Length": "1_2"}, 0),
        ({}, None),
    ],
)
def test_length(fields: Any, length: Any) -> None:
    request = StandaloneRequest("POST", "http", None, "", "", b"", Headers(fields), None)
    assert request.content_length == length


@pytest.mark.parametrize(
    "host", ["", "a.test", "a.test:80", "a.test:x", "[z]:1", "a@b", "a.test:0", "[::1]:8080", None]
)
def test_malformed_host_is_none(host: str | None) -> None:
    assert host_or_nothing("http", host) == oracle_host("http", host)


def test_host_that_is_not_trusted_is_an_error() -> None:
    assert host_or_nothing("http", "a.test", None, ["a.test"]) == "a.test"
    for host in ("b.test", "[", "b@a.test"):
        with pytest.raises(SecurityError):
            host_or_nothing("http", host, None, ["a.test"])
