"""URIs: percent-encoding, query strings, the Host field, and the addresses a request is told by.

What a peer sends is decoded without an exception: bytes that are not UTF-8 stay percent-encoded. The only
error is `SecurityError` for a Host that is malformed or not trusted.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from ipaddress import AddressValueError, IPv6Address
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit, urlunsplit

from .errors import SecurityError
from .multidict import ImmutableMultiDict, dict_of_pieces

__all__ = [
    "decode_percent",
    "get_current_url",
    "get_host",
    "host_is_trusted",
    "iri_to_uri",
    "parse_query",
    "parse_query_as",
    "quote_path",
    "split_root_path",
    "uri_to_iri",
]

# What needs no quoting, https://url.spec.whatwg.org/#percent-encoded-bytes; "%" because it may be quoted
# already.
_PATH_SAFE = "%!$&'()*+,/:;=@"
_QUERY_SAFE = "%!$&'()*+,/:;=?@"
_FRAGMENT_SAFE = "%!#$&'()*+,/:;=?@"
_USER_SAFE = "%!$&'()*+,;="

# RFC 1035 2.3.4, less the length octets at both ends.
_MAX_HOST = 253

_ESCAPES_RE = re.compile(r"(?:%[0-9A-Fa-f]{2})+")


def _keep_quoted(exc: UnicodeError) -> tuple[str, int]:
    assert isinstance(exc, UnicodeDecodeError)
    return quote(exc.object[exc.start : exc.end], safe=""), exc.end


codecs.register_error("duoflask.percent", _keep_quoted)


def decode_percent(raw: bytes) -> str:
    """Decode bytes as UTF-8; those that are not stay percent-encoded."""
    return raw.decode("utf-8", "duoflask.percent")


def parse_query(raw: bytes, max_fields: int | None = None) -> list[tuple[str, str]]:
    """Split `application/x-www-form-urlencoded` data into its pairs (WHATWG URL 5.1).

    Blank values are kept, a malformed escape stays as it is, bytes that are not UTF-8 stay percent-encoded.

    Args:
        raw: The data, such as the query string without its `?`.
        max_fields: The most pairs to accept.

    Raises:
        ValueError: There are more than `max_fields` separators; nothing has been split then.
    """
    if raw and max_fields is not None and raw.count(b"&") >= max_fields:
        raise ValueError(f"too many fields; expected at most {max_fields}; got {raw.count(b'&') + 1}")
    pairs: list[tuple[str, str]] = parse_query_as(list, raw)
    return pairs


def parse_query_as(cls: Any, raw: bytes) -> Any:
    """Return `cls` made of the pairs of `parse_query`."""
    if not raw:
        return cls([])
    # PERF: decoded as a whole, ten fields take 2 us, each by itself 5; `+` and `%` are ASCII, which stands for itself.
    text = raw.replace(b"+", b" ").decode("utf-8", "duoflask.percent")
    pieces = text.split("&")
    if cls is ImmutableMultiDict and "%" not in text:
        result = dict_of_pieces(pieces)
        if result is not None:
            return result
    return cls(_pairs(pieces))


def _pairs(pieces: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for piece in pieces:
        if piece:
            name, _, value = piece.partition("=")
            if "%" in piece:
                if "%" in name:
                    name = unquote_to_bytes(name).decode("utf-8", "duoflask.percent")
                value = unquote_to_bytes(value).decode("utf-8", "duoflask.percent")
            pairs.append((name, value))
    return pairs


def quote_path(path: str) -> str:
    """Percent-encode a path; what is encoded already stays."""
    return quote(path, safe=_PATH_SAFE)


def _unquote(text: str, keep: frozenset[int]) -> str:
    """Decode the escapes of `text`, but for those of the bytes in `keep` and those that are not UTF-8."""
    if "%" not in text:
        return text

    def decode(match: re.Match[str]) -> str:
        run = match.group()
        out: list[str] = []
        pending = bytearray()
        for position in range(0, len(run), 3):
            byte = int(run[position + 1 : position + 3], 16)
            if byte in keep:
                if pending:
                    out.append(pending.decode("utf-8", "duoflask.percent"))
                    pending.clear()
                out.append(run[position : position + 3])
            else:
                pending.append(byte)
        if pending:
            out.append(pending.decode("utf-8", "duoflask.percent"))
        return "".join(out)

    return _ESCAPES_RE.sub(decode, text)


_KEEP_ALWAYS = frozenset((*range(0x21), 0x25, 0x7F))
_KEEP_FRAGMENT = _KEEP_ALWAYS
_KEEP_QUERY = _KEEP_ALWAYS | frozenset(b"&=+#")
_KEEP_PATH = _KEEP_ALWAYS | frozenset(b"/?#")
_KEEP_USER = _KEEP_ALWAYS | frozenset(b":@/?#")


def uri_to_iri(uri: str) -> str:
    """Return the readable form of a URI.

    UTF-8 escapes and Punycode are decoded, reserved characters left as they are.
    What is no URI at all comes back unchanged.
    """
    try:
        parts = urlsplit(uri)
        host = _decode_idna(parts.hostname or "")
        netloc = _join_netloc(
            host,
            parts.port,
            None if parts.username is None else _unquote(parts.username, _KEEP_USER),
            None if parts.password is None else _unquote(parts.password, _KEEP_USER),
        )
    except ValueError:
        return uri
    return urlunsplit(
        (
            parts.scheme,
            netloc,
            _unquote(parts.path, _KEEP_PATH),
            _unquote(parts.query, _KEEP_QUERY),
            _unquote(parts.fragment, _KEEP_FRAGMENT),
        )
    )


def iri_to_uri(iri: str) -> str:
    """Return the ASCII form of an IRI: unsafe characters percent-encoded, the host in Punycode.

    What cannot be split (`http://[`, a port that is no number) or has no Punycode is percent-encoded as a
    whole, so the result is always ASCII without control characters.
    """
    try:
        parts = urlsplit(iri)
        host = parts.hostname or ""
        if not host.isascii():
            if len(host) > _MAX_HOST:  # the codec's time is quadratic
                raise ValueError("too long for a host")
            host = host.encode("idna").decode("ascii")
        netloc = _join_netloc(
            quote(host, safe=_USER_SAFE + ":[]"),
            parts.port,
            None if parts.username is None else quote(parts.username, safe=_USER_SAFE),
            None if parts.password is None else quote(parts.password, safe=_USER_SAFE),
        )
    except ValueError:
        return quote(iri, safe=_FRAGMENT_SAFE + "[]")
    uri = urlunsplit(
        (
            parts.scheme,
            netloc,
            quote(parts.path, safe=_PATH_SAFE),
            quote(parts.query, safe=_QUERY_SAFE),
            quote(parts.fragment, safe=_FRAGMENT_SAFE),
        )
    )
    if not netloc and uri.startswith(f"{parts.scheme}:?") and iri.lstrip()[len(parts.scheme) + 1 :].startswith("//"):
        return f"{parts.scheme}://{uri[len(parts.scheme) + 1 :]}"  # itms-services://?action=...: an empty authority
    return uri


def _join_netloc(host: str, port: int | None, username: str | None, password: str | None) -> str:
    netloc = f"[{host}]" if ":" in host else host
    if port is not None:
        netloc = f"{netloc}:{port}"
    if username is not None:
        user = username if password is None else f"{username}:{password}"
        netloc = f"{user}@{netloc}"
    return netloc


def _decode_idna(host: str) -> str:
    if "xn--" not in host or not host.isascii():
        return host
    labels = []
    for label in host.split("."):
        try:
            labels.append(label.encode("ascii").decode("idna"))
        except UnicodeError:
            labels.append(label)
    return ".".join(labels)


# RFC 9110 7.2: Host = uri-host [ ":" port ]. Of RFC 3986's reg-name only letters, digits, "-", "." and "_"
# (container networks use it) are let through, because the value goes into URLs and route matching.
_HOST_RE = re.compile(r"([A-Za-z0-9._-]+|\[([0-9A-Fa-f:.]+)\])(?::([1-9][0-9]{0,4}))?")


def _split_host(value: str) -> str | None:
    """Return the host without its port, None if the value is malformed."""
    match = _HOST_RE.fullmatch(value)
    if match is None:
        return None
    host, address, port = match.groups()
    if port is not None and int(port) > 65535:
        return None
    if address is not None:
        try:
            IPv6Address(address)
        except AddressValueError:
            return None
    return host


def host_is_trusted(hostname: str | None, trusted_list: Collection[str] | str | None = None) -> bool:
    """Say whether a Host value is well formed and, if there is a list, on it.

    Args:
        hostname: `host` or `host:port`.
        trusted_list: Hosts without port; one that begins with a dot also stands for its subdomains. Compared
            without case, as RFC 9110 4.2.3 says.
    """
    host = _split_host(hostname) if hostname else None
    if host is None:
        return False
    if not trusted_list:
        return True
    host = host.lower()
    for trusted in (trusted_list,) if isinstance(trusted_list, str) else trusted_list:
        name = _trusted_name(trusted)
        if name is None:
            return False
        if host == name.removeprefix(".") or (name.startswith(".") and host.endswith(name)):
            return True
    return False


def _trusted_name(trusted: str) -> str | None:
    if trusted.startswith("["):
        return trusted.partition("]")[0].lower() + "]"
    dot = "." if trusted.startswith(".") else ""
    name = trusted.removeprefix(".").partition(":")[0]
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    return dot + name.lower()


def get_host(
    scheme: str,
    host_header: str | None,
    server: tuple[str, int | None] | None = None,
    trusted_hosts: Collection[str] | None = None,
) -> str:
    """Return the host of a request, with its port unless that is the scheme's own.

    Args:
        scheme: Such as `https` or `ws`.
        host_header: The Host field; None if there is none (HTTP/1.0), then `server` is used.
        server: The server's address; a unix socket (no port) has no host.
        trusted_hosts: See `host_is_trusted`.

    Returns:
        The host, or the empty string if there is neither a Host nor a server address.

    Raises:
        SecurityError: The Host is malformed (RFC 9110 7.2) or not trusted.
    """
    if host_header is not None:
        host = host_header
        if not host and not trusted_hosts:
            return ""
    elif server is not None and server[1] is not None:
        name = server[0]
        if ":" in name and not name.startswith("["):
            name = f"[{name}]"
        host = f"{name}:{server[1]}"
    else:
        return ""
    if scheme in ("http", "ws"):
        host = host.removesuffix(":80")
    elif scheme in ("https", "wss"):
        host = host.removesuffix(":443")
    if host_is_trusted(host, trusted_hosts):
        return host
    if _split_host(host) is None:
        raise SecurityError(f"invalid Host; expected host[:port]; got {host[:100]!r}")
    raise SecurityError(f"the host {host!r} is not trusted")


def get_current_url(
    scheme: str,
    host: str,
    root_path: str | None = None,
    path: str | None = None,
    query_string: bytes | None = None,
) -> str:
    """Return the readable address of a request; a part that is None ends it.

    Args:
        scheme: Such as `https`.
        host: As `get_host` gives it.
        root_path: Where the application is mounted.
        path: The path below `root_path`, decoded.
        query_string: What stands behind the `?`.
    """
    url = f"{scheme}://{host}/"
    if root_path is not None:
        # exactly one slash behind the host, or the root path could become part of it
        root = root_path.removeprefix("/").rstrip("/")
        if root:
            url += quote_path(root) + "/"
        if path is not None:
            url += quote_path(path.lstrip("/"))
            if query_string:
                url += "?" + quote(query_string, safe=_QUERY_SAFE)
    return uri_to_iri(url)


def split_root_path(path: str, root_path: str) -> str:
    """Return an ASGI scope's path without its root_path.

    The specification has counted `root_path` as part of `path` since 2.4; older servers and proxies leave it
    out.
    """
    if not root_path or not path.startswith(root_path):
        return path
    rest = path[len(root_path) :]
    return rest if not rest or rest[0] == "/" else path
