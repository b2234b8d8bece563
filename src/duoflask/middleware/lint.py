"""`LintMiddleware`: warn where a server or an application breaks WSGI or HTTP. For development.

The warnings that Werkzeug's middleware has begin as its own do: filters name them so.

Owns what is looked at: the environ, the answer's head, the body as the server reads it, the server's streams as the
application uses them. An ASGI application passes through: the test client checks those.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..http.grammar import check_field_name, check_field_value
from .around import Middleware, is_scope

__all__ = ["HTTPWarning", "LintMiddleware", "WSGIWarning"]

# PEP 3333, "environ Variables".
_REQUIRED: Final = (
    "REQUEST_METHOD",
    "SERVER_NAME",
    "SERVER_PORT",
    "wsgi.version",
    "wsgi.input",
    "wsgi.errors",
    "wsgi.multithread",
    "wsgi.multiprocess",
    "wsgi.run_once",
)
_BODILESS: Final = frozenset({204, 304})


class WSGIWarning(Warning):
    """Something breaks WSGI (PEP 3333); another server would fail on it."""


class HTTPWarning(Warning):
    """Something breaks HTTP (RFC 9110); a client or a proxy might misunderstand it."""


def _warn(message: str, category: type[Warning] = WSGIWarning) -> None:
    warnings.warn(message, category, stacklevel=3)


class LintMiddleware(Middleware):
    """Warn where the server around a WSGI application, or the application, breaks WSGI or HTTP; change nothing.

    The warnings are `WSGIWarning` and `HTTPWarning`. An ASGI request is passed on as it is.

    Args:
        app: The application.
    """

    def prepare(self, source: Any) -> tuple[Any, Any, None]:
        """Have the application's answer to a WSGI request looked at."""
        return self.app if is_scope(source) else self._run, source, None

    def _run(self, environ: dict[str, Any], start_response: Any) -> Any:
        _check_environ(environ)
        environ["wsgi.input"] = _Input(environ["wsgi.input"])
        environ["wsgi.errors"] = _Errors(environ["wsgi.errors"])
        answer = _Answer(environ["REQUEST_METHOD"])

        def start(*args: Any, **kwargs: Any) -> Callable[[bytes], object]:
            if kwargs:
                _warn(f"start_response was called with names; expected positions; got {sorted(kwargs)}")
            if not 2 <= len(args) <= 3:
                _warn(f"start_response was called with {len(args)} arguments; expected 2 or 3")
            answer.start(*args[:3])
            write = start_response(*args, **kwargs)
            return answer.written(write)

        body = self.app(environ, start)
        if isinstance(body, (str, bytes)):
            _warn(f"the body is sent byte by byte; expected a list or an iterator; got {type(body).__name__}")
        return _Body(body, answer)


def _check_environ(environ: Any) -> None:
    if type(environ) is not dict:
        _warn(f"invalid environ; expected a dict; got {type(environ).__name__}")
    for key in _REQUIRED:
        if key not in environ:
            _warn(f"the environ has no {key!r}")
    if environ.get("wsgi.version") != (1, 0):
        _warn(f"Environ is not a WSGI 1.0 environ. wsgi.version: expected (1, 0); got {environ.get('wsgi.version')!r}")
    for key in ("SCRIPT_NAME", "PATH_INFO"):
        value = environ.get(key, "")
        if value and not value.startswith("/"):
            _warn(f"{key!r} does not start with a slash: {value!r}")


class _Answer:
    """What the application has said of its answer, and how much of the body has come."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._code: int | None = None
        self._length: int | None = None
        self._sent = 0
        self.started = False

    def start(self, status: Any = "", headers: Any = (), exc_info: Any = None) -> None:
        """Look at the head."""
        if self.started and exc_info is None:
            _warn("start_response was called twice; a second call needs exc_info")
        self.started = True
        self._code = _check_status(status)
        if type(headers) is not list:
            _warn(f"Header list is not a list. Expected one; got {type(headers).__name__}")
        if exc_info is not None and not isinstance(exc_info, tuple):
            _warn(f"invalid exc_info; expected a tuple; got {type(exc_info).__name__}")
        fields: dict[str, str] = {}
        for item in headers:
            if type(item) is not tuple or len(item) != 2:
                _warn(f"Header items must be 2-item tuples. Expected one of two strings; got {item!r}")
            else:
                name, value = item
                _check_field(name, value)
                fields[str(name).lower()] = str(value)
        self._check_fields(fields)

    def _check_fields(self, fields: dict[str, str]) -> None:
        length = fields.get("content-length")
        if length is not None:
            if length.isascii() and length.isdecimal():
                self._length = int(length)
            else:
                _warn(f"invalid Content-Length; expected digits; got {length!r}", HTTPWarning)
        tag = fields.get("etag", '""')
        if not (tag.removeprefix("W/").startswith('"') and tag.endswith('"') and len(tag.removeprefix("W/")) > 1):
            _warn(f"invalid ETag; expected it in double quotes; got {tag!r}", HTTPWarning)
        if self._is_bodiless and self._length:
            _warn(f"a response {self._code} has no body, but Content-Length {self._length}", HTTPWarning)

    @property
    def _is_bodiless(self) -> bool:
        return self._code is not None and (100 <= self._code < 200 or self._code in _BODILESS)

    def written(self, write: Callable[[bytes], object]) -> Callable[[bytes], object]:
        """What the application gets as `write`."""

        def checked(data: bytes) -> object:
            self.piece(data)
            return write(data)

        return checked

    def piece(self, data: Any) -> None:
        """Look at a piece of the body."""
        if not isinstance(data, bytes):
            _warn(f"invalid piece of a body; expected bytes; got {type(data).__name__}")
            return
        if data and not self.started:
            _warn("a piece of the body came before start_response was called")
        self._sent += len(data)

    def end(self) -> None:
        """Look at the whole, when the body has been read to its end."""
        if not self.started:
            _warn("the body ended before start_response was called")
        if self._sent and (self._is_bodiless or self._method == "HEAD"):
            _warn(f"an answer to {self._method} with status {self._code} has no body; got one", HTTPWarning)
        elif self._length not in (None, self._sent) and not self._is_bodiless and self._method != "HEAD":
            _warn(f"Content-Length is {self._length}, but the body has {self._sent} bytes", HTTPWarning)


def _check_status(status: Any) -> int | None:
    if not isinstance(status, str):
        _warn(f"invalid status; expected str; got {type(status).__name__}")
        return None
    code, space, _ = status.partition(" ")
    if len(code) != 3 or not (code.isascii() and code.isdecimal()):
        _warn(f"invalid status code; expected three digits; got {code!r}")
    if not space or len(code) != 3:
        _warn(f"invalid status; expected three digits, a blank and a phrase; got {status!r}")
    number = int(code) if code.isascii() and code.isdecimal() and len(code) <= 4 else None
    if number is not None and not 100 <= number <= 599:
        kind = WSGIWarning if number < 100 else HTTPWarning
        _warn(f"invalid status code; expected 100-599 (RFC 9110 15); got {number}", kind)
    return number


def _check_field(name: Any, value: Any) -> None:
    if type(name) is not str or type(value) is not str:
        _warn(f"invalid header field; expected two strings; got {name!r}: {value!r}")
        return
    if name.lower() == "status":
        _warn("The status header is not supported. It is CGI's and not WSGI's; hand the status to start_response")
    try:
        check_field_name(name)
        check_field_value(value)
    except ValueError as exc:
        _warn(f"invalid header field {name!r}: {exc}")


class _Body:
    """The application's body, looked at as the server reads it."""

    def __init__(self, body: Any, answer: _Answer) -> None:
        self._body = body
        self._iterator = iter(body)
        self._answer = answer
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._closed:
            _warn("the server reads the body after it has closed it")
        try:
            piece: bytes = next(self._iterator)
        except StopIteration:
            self._answer.end()
            raise
        self._answer.piece(piece)
        return piece

    def close(self) -> None:
        """Close the body."""
        self._closed = True
        close = getattr(self._body, "close", None)
        if close is not None:
            close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            _warn("the server has not closed the body")


class _Stream:
    """One of the server's streams, handed on with all that it has."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stream)

    def close(self) -> None:
        """Close the stream, which is the server's to do."""
        _warn("the application closes a stream that is the server's")
        self._stream.close()


class _Input(_Stream):
    """`wsgi.input`."""

    def read(self, *args: Any) -> bytes:
        """Read from the body."""
        if not args:
            _warn("wsgi.input is read without a size; some servers wait for ever then; write request.stream")
        data: bytes = self._stream.read(*args)
        return data


class _Errors(_Stream):
    """`wsgi.errors`."""

    def write(self, text: str) -> Any:
        """Write to the server's log."""
        if not isinstance(text, str):
            _warn(f"invalid text for wsgi.errors; expected str; got {type(text).__name__}")
        return self._stream.write(text)
