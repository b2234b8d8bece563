"""`ProxyMiddleware`: hand the requests below some prefixes to other HTTP servers. For development.

Owns what is sent to such a server and what comes back. It waits in a thread: the WSGI server's, or under ASGI a worker.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from ..bridge import Workers
from ..exceptions import BadGateway, HTTPException
from ..foreign import Foreign
from ..http.entity_fields import is_hop_by_hop_header
from ..http.environ import get_content_length, get_input_stream, wsgi_encoded
from ..http.grammar import check_field_name, check_field_value
from ..http.header_views import EnvironHeaders
from ..http.options import parse_list_header
from ..http.wire import parse_status
from .around import Middleware, is_scope, path_of

__all__ = ["ProxyMiddleware"]

_PATH_SAFE: Final = "!$&'()*+,/:;=@"
_QUERY_SAFE: Final = _PATH_SAFE + "?%"
_AUTO: Final = "<auto>"
_NOT_PASSED_ON: Final = frozenset({"content-length", "host"})


class _Target(NamedTuple):
    secure: bool
    host: str
    port: int
    path: str
    remove_prefix: bool
    host_field: str | None
    headers: Mapping[str, str]
    ssl_context: Any


class ProxyMiddleware(Middleware):
    """Hand requests to other servers by the beginning of their path, and all others to the application.

    A server that cannot be reached, or answers with something else than HTTP, is a 502. WebSockets are not handed on.

    Args:
        app: The application, of either protocol or of both.
        targets: For each prefix a dictionary: `target`, the server's URL; `remove_prefix`, whether the server sees the
            path without it; `host`, the Host that the server sees (`"<auto>"`, the default: its own; None: the
            client's); `headers`, more fields for it; `ssl_context`.
        chunk_size: How many bytes are read at a time.
        timeout: Seconds for each step of the conversation with a server.

    Raises:
        ValueError: A target that is no `http` or `https` URL.
    """

    protocols = "both"

    def __init__(
        self, app: Any, targets: Mapping[str, Mapping[str, Any]], chunk_size: int = 16384, timeout: float = 10
    ) -> None:
        workers = Workers()
        super().__init__(Foreign(app, workers=workers))
        self.chunk_size = chunk_size
        self.timeout = timeout
        self.targets = {f"/{key.strip('/')}/".replace("//", "/"): options for key, options in targets.items()}
        self._proxies = {
            prefix: Foreign(partial(self._forward, _target_of(options), prefix), "wsgi", workers)
            for prefix, options in self.targets.items()
        }

    def prepare(self, source: Any) -> tuple[Any, Any, None]:
        """Choose the server, or the application."""
        if not is_scope(source) or source["type"] == "http":
            path = path_of(source)
            for prefix, proxy in self._proxies.items():
                if path.startswith(prefix):
                    return proxy, source, None
        return self.app, source, None

    def _forward(self, target: _Target, prefix: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        kind = http.client.HTTPSConnection if target.secure else http.client.HTTPConnection
        more = {"context": target.ssl_context} if target.secure else {}
        connection = kind(target.host, target.port, timeout=self.timeout, **more)
        try:
            self._send(connection, target, prefix, environ)
            response = connection.getresponse()
            status, fields = _head_of(response)
        except (OSError, http.client.HTTPException, ValueError):
            connection.close()
            return BadGateway()(environ, start_response)  # type: ignore[no-any-return]
        except HTTPException as exc:  # the client has left before the end of its body
            connection.close()
            return exc(environ, start_response)  # type: ignore[no-any-return]
        start_response(status, fields)
        return _Body(response, connection.close, self.chunk_size)

    def _send(self, connection: http.client.HTTPConnection, target: _Target, prefix: str, environ: Any) -> None:
        path = environ["PATH_INFO"]
        if target.remove_prefix:
            path = f"{target.path.rstrip('/')}/{path[len(wsgi_encoded(prefix)) :].lstrip('/')}"
        uri = quote(path.encode("latin-1"), safe=_PATH_SAFE)
        if environ.get("QUERY_STRING"):
            uri = f"{uri}?{quote(environ['QUERY_STRING'].encode('latin-1'), safe=_QUERY_SAFE)}"
        connection.putrequest(environ["REQUEST_METHOD"], uri, skip_host=True, skip_accept_encoding=True)
        for name, value in _fields_for(target, environ):
            connection.putheader(name, value)
        length = get_content_length(environ)
        chunked = length is None and bool(environ.get("wsgi.input_terminated"))
        if chunked and environ["REQUEST_METHOD"] in ("GET", "HEAD") and "HTTP_TRANSFER_ENCODING" not in environ:
            chunked = False
        if length is not None:
            connection.putheader("Content-Length", str(length))
        elif chunked:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        if length or chunked:
            stream = get_input_stream(environ)
            while block := stream.read(self.chunk_size):
                connection.send(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
        if chunked:
            connection.send(b"0\r\n\r\n")


def _target_of(options: Mapping[str, Any]) -> _Target:
    url = urlsplit(options["target"])
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"invalid target of a proxy; expected an http or https URL; got {options['target']!r}")
    host = url.hostname.encode("idna").decode("ascii")
    secure = url.scheme == "https"
    field = options.get("host", _AUTO)
    if field == _AUTO:
        field = f"[{host}]" if ":" in host else host
        field = field if url.port is None else f"{field}:{url.port}"
    return _Target(
        secure,
        host,
        url.port or (443 if secure else 80),
        url.path,
        options.get("remove_prefix", False),
        field,
        options.get("headers") or {},
        options.get("ssl_context"),
    )


def _head_of(response: http.client.HTTPResponse) -> tuple[str, list[tuple[str, str]]]:
    """What is passed on of a server's status and fields.

    Raises:
        ValueError: One of them could not be sent, such as a field folded into several lines.
    """
    status = parse_status(f"{response.status} {response.reason}")[0]
    fields = [(check_field_name(name).title(), check_field_value(value)) for name, value in response.getheaders()]
    named = _named_by_connection(fields)
    return status, [pair for pair in fields if not is_hop_by_hop_header(pair[0]) and pair[0].lower() not in named]


def _named_by_connection(fields: Iterable[tuple[str, str]]) -> set[str]:
    """The fields that a Connection field keeps for one hop (RFC 9110 7.6.1)."""
    return {item.lower() for name, value in fields if name.lower() == "connection" for item in parse_list_header(value)}


def _fields_for(target: _Target, environ: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    fields = list(EnvironHeaders(environ))
    named = _named_by_connection(fields)
    yield "Host", environ.get("HTTP_HOST", "") if target.host_field is None else target.host_field
    for name, value in fields:
        if not is_hop_by_hop_header(name) and name.lower() not in named | _NOT_PASSED_ON:
            yield name, value
    yield from target.headers.items()
    yield "Connection", "close"


class _Body:
    """What the server answers, block by block."""

    def __init__(self, response: http.client.HTTPResponse, close: Callable[[], None], chunk_size: int) -> None:
        self._response = response
        self._chunk_size = chunk_size
        self.close = close

    def __iter__(self) -> Iterator[bytes]:
        while block := self._response.read1(self._chunk_size):
            yield block
