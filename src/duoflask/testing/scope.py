"""A WSGI environ as an ASGI scope: the same request for the other protocol."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from ..typing import Scope, WSGIEnvironment

__all__ = ["make_scope", "read_body"]

_PATH_SAFE = "!$&'()*+,/:;=@"


def make_scope(environ: WSGIEnvironment, fields: Iterable[tuple[str, str]] = ()) -> Scope:
    """Return the scope of an http connection (ASGI 3.0, HTTP & WebSocket specification 2.4).

    Args:
        environ: The request. Keys with a dot of other owners than `wsgi` are handed on in the scope.
        fields: The header fields as they were given: an environ has joined repeated ones.
    """
    root = environ.get("SCRIPT_NAME", "").encode("latin-1")
    path = environ.get("PATH_INFO", "").encode("latin-1")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2],
        "method": environ["REQUEST_METHOD"],
        "scheme": environ["wsgi.url_scheme"],
        "path": (root + path).decode(errors="replace"),
        "raw_path": _raw_path(environ, root, path),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "root_path": root.decode(errors="replace"),
        "headers": _raw_headers(environ, fields),
        "client": (environ["REMOTE_ADDR"], int(environ.get("REMOTE_PORT") or 0)) if "REMOTE_ADDR" in environ else None,
        "server": (environ.get("SERVER_NAME", "localhost"), int(environ.get("SERVER_PORT") or 80)),
        "extensions": {},
    }
    scope.update((key, value) for key, value in environ.items() if "." in key and key[:5] != "wsgi.")
    return scope


def _raw_path(environ: WSGIEnvironment, root: bytes, path: bytes) -> bytes:
    """The path as it was written, if the environ still knows."""
    written = urlsplit(environ.get("RAW_URI", "").encode("latin-1").decode(errors="replace")).path
    written = quote(written, safe=_PATH_SAFE + "%")
    if unquote_to_bytes(written) != path:
        written = quote(path, safe=_PATH_SAFE)
    return (quote(root, safe=_PATH_SAFE) + written).encode("ascii")


def _raw_headers(environ: WSGIEnvironment, fields: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    given: dict[str, list[str]] = {}
    for field, text in fields:
        given.setdefault("HTTP_" + field.upper().replace("-", "_"), []).append(text)
    raw: list[tuple[bytes, bytes]] = []
    for key, value in environ.items():
        if key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if value:
                raw.append((key.lower().replace("_", "-").encode("latin-1"), str(value).encode("latin-1")))
        elif key.startswith("HTTP_") and isinstance(value, str):
            name = key[5:].lower().replace("_", "-").encode("latin-1")
            values = given.get(key, [])
            # What was put over the fields afterwards (environ_overrides, the client's cookies) wins.
            for item in values if ", ".join(values) == value else [value]:
                raw.append((name, item.encode("latin-1")))
    return raw


def read_body(environ: WSGIEnvironment) -> tuple[bytes, bool]:
    """Read the body, at most Content-Length bytes of it.

    Returns:
        The bytes, and whether they are fewer than Content-Length promises.
    """
    stream = environ.get("wsgi.input")
    declared = environ.get("CONTENT_LENGTH")
    length = int(declared) if declared and str(declared).isascii() and str(declared).isdecimal() else None
    body: bytes = b"" if stream is None else stream.read() if length is None else stream.read(length)
    return body, length is not None and len(body) < length
