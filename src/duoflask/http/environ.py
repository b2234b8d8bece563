"""What a WSGI environ tells, and the bodies of WSGI applications: the helpers of `werkzeug.wsgi` (PEP 3333)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from functools import update_wrapper
from typing import IO, Any

from .body import LimitedStream, parse_content_length
from .errors import BadRequest, RequestEntityTooLarge
from .uri import get_current_url as _join_url, get_host as _check_host

__all__ = [
    "ClosingIterator",
    "FileWrapper",
    "asks_for_websocket",
    "content_length_of",
    "get_content_length",
    "get_current_url",
    "get_host",
    "get_input_stream",
    "get_path_info",
    "responder",
    "wrap_file",
    "wsgi_decoded",
    "wsgi_encoded",
]

DEFAULT_BUFFER_SIZE = 8192


def asks_for_websocket(environ: Any) -> bool:
    """Whether a request is the handshake of a WebSocket (RFC 6455 4.2.1); its details are not looked at."""
    return (
        "HTTP_UPGRADE" in environ
        and _has_token(environ["HTTP_UPGRADE"], "websocket")
        and _has_token(environ.get("HTTP_CONNECTION", ""), "upgrade")
        and environ["REQUEST_METHOD"] == "GET"
    )


def _has_token(value: str, token: str) -> bool:
    return any(item.strip(" \t").lower() == token for item in value.split(","))


def responder(f: Callable[..., Any]) -> Callable[..., Any]:
    """Make a WSGI application of a function that returns one, such as a response."""

    def application(*args: Any) -> Any:
        return f(*args)(*args[-2:])

    return update_wrapper(application, f)


def get_host(environ: dict[str, Any], trusted_hosts: Iterable[str] | None = None) -> str:
    """Return the host of a request, with its port unless that is the scheme's own.

    Raises:
        SecurityError: The Host is malformed, or not one of `trusted_hosts`.
    """
    port = str(environ.get("SERVER_PORT") or "")
    server = (environ.get("SERVER_NAME", ""), int(port) if port.isascii() and port.isdecimal() else None)
    trusted = None if trusted_hosts is None else list(trusted_hosts)
    return _check_host(environ.get("wsgi.url_scheme", "http"), environ.get("HTTP_HOST"), server, trusted)


def get_current_url(
    environ: dict[str, Any],
    root_only: bool = False,
    strip_querystring: bool = False,
    host_only: bool = False,
    trusted_hosts: Iterable[str] | None = None,
) -> str:
    """Return the address of a request, readable.

    Args:
        environ: The request.
        root_only: End where the application is mounted.
        strip_querystring: End before the query.
        host_only: End behind the host.
        trusted_hosts: As for `get_host`.

    Raises:
        SecurityError: The Host is malformed, or not one of `trusted_hosts`.
    """
    parts: dict[str, Any] = {}
    if not host_only:
        parts["root_path"] = wsgi_decoded(environ.get("SCRIPT_NAME"))
        if not root_only:
            parts["path"] = get_path_info(environ)
            if not strip_querystring:
                parts["query_string"] = environ.get("QUERY_STRING", "").encode("latin-1", "replace")
    return _join_url(environ.get("wsgi.url_scheme", "http"), get_host(environ, trusted_hosts), **parts)


def get_path_info(environ: dict[str, Any]) -> str:
    """Return the path below the application, decoded; bytes that are no UTF-8 are replaced."""
    return wsgi_decoded(environ.get("PATH_INFO"))


def wsgi_decoded(raw: str | None) -> str:
    """Return the text that an environ's value stands for (PEP 3333); bytes that are no UTF-8 are replaced."""
    if not raw or raw.isascii():
        return raw or ""
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")


def wsgi_encoded(text: str) -> str:
    """Return a text as an environ holds it: its UTF-8 bytes, each as a character (PEP 3333)."""
    return text.encode().decode("latin-1")


def get_content_length(environ: dict[str, Any]) -> int | None:
    """Return the announced length of the body: None if there is none, 0 if it is invalid."""
    return content_length_of(environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"))


def content_length_of(http_content_length: str | None, http_transfer_encoding: str | None = None) -> int | None:
    """Return the length that two fields announce: None if there is none, 0 if it is invalid."""
    if (http_transfer_encoding or "").lower() == "chunked":
        return None
    try:
        return parse_content_length(http_content_length)
    except BadRequest:
        return 0


def get_input_stream(
    environ: dict[str, Any], safe_fallback: bool = True, max_content_length: int | None = None
) -> IO[bytes]:
    """Return the body as a stream that ends where the body does.

    Args:
        environ: The request.
        safe_fallback: Without a length, where the server does not end the stream itself: an empty stream; else the
            server's own, whose end nobody knows.
        max_content_length: The most bytes that the body may have.

    Raises:
        RequestEntityTooLarge: It announces more.
    """
    stream: IO[bytes] = environ["wsgi.input"]
    length = get_content_length(environ)
    if length is not None and max_content_length is not None and length > max_content_length:
        raise RequestEntityTooLarge(f"the body is too large; expected at most {max_content_length} bytes; got {length}")
    if environ.get("wsgi.input_terminated", False):
        if max_content_length is not None:
            return LimitedStream(stream, max_content_length, is_max=True)  # type: ignore[return-value]
        return stream
    if length is None:
        return io.BytesIO() if safe_fallback else stream
    return LimitedStream(stream, length)  # type: ignore[return-value]


class ClosingIterator:
    """The body of a WSGI application, with more that happens when the server closes it.

    Args:
        iterable: The body.
        callbacks: Called at `close`, after the body's own `close`; all of them, whatever they raise.
    """

    def __init__(
        self, iterable: Iterable[bytes], callbacks: Callable[[], Any] | Iterable[Callable[[], Any]] | None = None
    ) -> None:
        self._iterator = iter(iterable)
        found = [] if callbacks is None else [callbacks] if callable(callbacks) else list(callbacks)
        close = getattr(iterable, "close", None)
        self._callbacks = found if close is None else [close, *found]

    def __iter__(self) -> ClosingIterator:
        return self

    def __next__(self) -> bytes:
        return next(self._iterator)

    def close(self) -> None:
        """Close the body and call the callbacks.

        Raises:
            BaseException: What the first one that failed raised, when all have run.
        """
        error: BaseException | None = None
        for callback in self._callbacks:
            try:
                callback()
            except BaseException as exc:
                error = error or exc
        if error is not None:
            raise error


class FileWrapper:
    """A file as the body of a WSGI application: its blocks. Closing it closes the file.

    Args:
        file: An object with `read`.
        buffer_size: The bytes of a block.
    """

    def __init__(self, file: IO[bytes], buffer_size: int = DEFAULT_BUFFER_SIZE) -> None:
        self.file = file
        self.buffer_size = buffer_size

    def close(self) -> None:
        """Close the file."""
        close = getattr(self.file, "close", None)
        if close is not None:
            close()

    def seekable(self) -> bool:
        """Say whether the file can seek."""
        seekable = getattr(self.file, "seekable", None)
        return bool(seekable()) if seekable is not None else hasattr(self.file, "seek")

    def seek(self, *args: Any) -> None:
        """Seek in the file, if it can."""
        if hasattr(self.file, "seek"):
            self.file.seek(*args)

    def tell(self) -> int | None:
        """Return the position in the file; None if it does not know."""
        return self.file.tell() if hasattr(self.file, "tell") else None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        block = self.file.read(self.buffer_size)
        if not block:
            raise StopIteration
        return block


def wrap_file(environ: dict[str, Any], file: IO[bytes], buffer_size: int = DEFAULT_BUFFER_SIZE) -> Iterable[bytes]:
    """Wrap a file as a body, by the server's own wrapper if it has one (`wsgi.file_wrapper`).

    A response of it needs `direct_passthrough`.
    """
    wrapper: Callable[..., Iterable[bytes]] = environ.get("wsgi.file_wrapper", FileWrapper)
    return wrapper(file, buffer_size)
