from __future__ import annotations

from typing import Any

import pytest

from duoflask.server.proxies import ProxyTrust

PLAIN = ("for", "proto")


def apply(
    fields: dict[str, str] | list[tuple[bytes, bytes]],
    *,
    client: Any = ("10.0.0.1", 5),
    proxies: Any = ("10.0.0.0/8",),
    believed: Any = PLAIN,
    kind: str = "http",
) -> Any:
    if isinstance(fields, dict):
        fields = [(f"x-forwarded-{name}".encode(), value.encode()) for name, value in fields.items()]
    scope = {
        "type": kind,
        "client": client,
        "server": ("127.0.0.1", 8000),
        "scheme": "http" if kind == "http" else "ws",
        "path": "/a",
        "root_path": "",
        "headers": [(b"host", b"own"), *fields],
    }
    return ProxyTrust(proxies, believed).apply(scope)


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("192.0.2.7", ("192.0.2.7", 0)),
        ("192.0.2.7:99", ("192.0.2.7", 99)),
        ("6.6.6.6, 192.0.2.7", ("192.0.2.7", 0)),
        ("6.6.6.6, 192.0.2.7, 10.1.1.1", ("192.0.2.7", 0)),
        ("10.1.1.1, 10.2.2.2", ("10.1.1.1", 0)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("[2001:db8::1]:99", ("2001:db8::1", 99)),
        ("[2001:DB8::1]", ("2001:db8::1", 0)),
        ("unknown", ("10.0.0.1", 5)),
        ("192.0.2.7, unknown, 10.1.1.1", ("10.1.1.1", 0)),
        ("evil\u00e9", ("10.0.0.1", 5)),
        ("", ("10.0.0.1", 5)),
        (", ,", ("10.0.0.1", 5)),
        ("1.2.3.4.5", ("10.0.0.1", 5)),
        ("6.6.6.6," + "10.1.1.1," * 5000 + "10.1.1.1", ("10.1.1.1", 0)),
    ],
)
def test_client_is_the_last_hop_that_is_no_proxy(value: str, client: Any) -> None:
    assert apply({"for": value})["client"] == client


def test_several_lines_are_one_list() -> None:
    fields = [(b"x-forwarded-for", b"192.0.2.7"), (b"x-forwarded-for", b"10.1.1.1")]
    assert apply(fields)["client"] == ("192.0.2.7", 0)


def test_scheme_is_what_the_nearest_proxy_says() -> None:
    assert apply({"proto": "https"})["scheme"] == "https"
    assert apply({"proto": "https"}, kind="websocket")["scheme"] == "wss"
    assert apply({"proto": "http, https"})["scheme"] == "https"
    assert apply({"proto": "javascript"})["scheme"] == "http"


def test_what_is_not_to_be_believed_is_not() -> None:
    scope = apply({"host": "evil", "port": "81", "prefix": "/p"})
    assert (scope["server"], scope["path"], scope["root_path"]) == (("127.0.0.1", 8000), "/a", "")
    assert (b"host", b"own") in scope["headers"]


def test_host_port_and_prefix_are_believed_where_the_proxy_sets_them() -> None:
    believed = ("for", "proto", "host", "port", "prefix")
    scope = apply({"host": "site.example", "port": "81", "prefix": "/p/"}, believed=believed)
    assert scope["headers"][0] == (b"host", b"site.example:81")
    assert (scope["server"], scope["path"], scope["root_path"]) == (("site.example", 81), "/p/a", "/p")
    for host in ("a/b", "a@b", "", "a b", "[:1"):
        assert apply({"host": host}, believed=believed)["headers"][0] == (b"host", b"own")


def test_fields_of_anybody_are_removed() -> None:
    scope = apply({"for": "192.0.2.7", "proto": "https", "prefix": "/p"}, client=("192.0.2.1", 5))
    assert (scope["client"], scope["scheme"]) == (("192.0.2.1", 5), "http")
    assert scope["headers"] == [(b"host", b"own")]


@pytest.mark.parametrize(
    ("client", "proxies", "trusted"),
    [
        (("127.0.0.1", 1), ["127.0.0.1"], True),
        (("127.0.0.2", 1), ["127.0.0.1"], False),
        (("::1", 1), ["::1"], True),
        (("::ffff:10.0.0.1", 1), ["10.0.0.0/8"], True),
        (None, ["unix"], True),
        (None, ["127.0.0.1"], False),
        (None, ["*"], True),
        (("192.0.2.9", 1), ["*"], True),
        (("fe80::1%eth0", 1), ["10.0.0.0/8"], False),
    ],
)
def test_whom_to_trust(client: Any, proxies: list[str], trusted: bool) -> None:
    assert (apply({"proto": "https"}, client=client, proxies=proxies)["scheme"] == "https") is trusted


def test_proxy_that_is_no_address_is_an_error() -> None:
    with pytest.raises(ValueError, match="invalid trusted proxy; expected an address"):
        ProxyTrust(["proxy.example"], PLAIN)


@pytest.mark.anyio
async def test_server_believes_nobody_unless_told(connect: Any, echo: Any) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\r\n"
    async with connect(echo) as client:
        await client.send(request)
        await client.answer()
    assert echo.scopes[0]["scheme"] == "http"
    assert (b"x-forwarded-for", b"192.0.2.7") in echo.scopes[0]["headers"]  # ProxyFix may count proxies


@pytest.mark.anyio
async def test_access_log_names_the_client_behind_the_proxy(connect: Any, echo: Any, caplog: Any) -> None:
    caplog.set_level("INFO", "duoflask.access")
    async with connect(echo) as client:
        client.connection.trust = ProxyTrust(["unix"], PLAIN)
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")
        await client.answer()
    assert echo.scopes[0]["client"] == ("192.0.2.7", 0)
    assert '192.0.2.7:0 - "GET / HTTP/1.1" 200' in caplog.text
