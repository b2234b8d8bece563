"""The response: what a view's answer becomes, for both protocols.

Owns the body in its two shapes (complete bytes, or an iterable of either colour), its end, and how a response answers
as an application of either protocol. The head is `response_head`'s. Knows no app and no context.
"""

from __future__ import annotations

import json as _json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any, Final, TypeVar

from .http.headers import Headers
from .http.wire import CONTENT_TYPES, RAW_PAIRS, content_type_of
from .response_head import ResponseHead
from .typing import Receive, Scope, Send, StartResponse, WSGIEnvironment

__all__ = ["Response", "encoded"]

_R = TypeVar("_R", bound="Response")

_new: Final = object.__new__


class Response(ResponseHead):
    """An HTTP response, itself a WSGI and an ASGI application.

    Args:
        response: The body: str, bytes, an iterable of either, or an async iterable of either.
        status: A code, or a code and a reason phrase, as in `"404 Not Found"`.
        headers: Header fields, as a mapping or pairs.
        mimetype: The media type; text types get the charset parameter.
        content_type: The whole Content-Type field, instead of a mimetype.
        direct_passthrough: The iterable gives bytes and is sent as it is.

    Raises:
        ValueError: A header field or the status that could not be sent.
    """

    default_status = 200
    implicit_sequence_conversion = True
    json_module: Any = _json

    # PERF: slots, because the gateways read all of them for every response (see AppContext).
    __slots__ = ("__dict__", "__weakref__", "_iterable", "_on_close")
    _iterable: Any
    _on_close: tuple[Callable[[], Any], ...]

    direct_passthrough: bool = False

    def __init__(
        self,
        response: Any = None,
        status: int | str | HTTPStatus | None = None,
        headers: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        mimetype: str | None = None,
        content_type: str | None = None,
        direct_passthrough: bool = False,
    ) -> None:
        self._body = self._iterable = self._headers = None
        self._status, self._status_code, self._on_close = "200 OK", 200, ()
        if headers is not None:
            self._headers = fields = Headers(headers)
            if content_type is None and (mimetype is not None or "content-type" not in fields):
                mimetype = self.default_mimetype if mimetype is None else mimetype
                content_type = None if mimetype is None else content_type_of(mimetype, self.charset)
            if content_type is not None:
                fields["Content-Type"] = content_type
        elif content_type is not None:
            self._default_headers = CONTENT_TYPES[content_type]
        elif mimetype is not None and mimetype != self.default_mimetype:
            self._default_headers = CONTENT_TYPES[content_type_of(mimetype, self.charset)]
        if status is not None:
            self.status = status
        elif self.default_status != 200:
            self.status_code = self.default_status
        if direct_passthrough:
            self.direct_passthrough = True
        if response is None:
            self._body = b""
        elif isinstance(response, (str, bytes, bytearray)):
            self.set_data(response)
        else:
            self.response = response
        if not self._has_usual_head and self._headers is None:
            self._headers = self.headers

    # -- body

    @property
    def response(self) -> Any:
        """The body as an iterable."""
        return [self._body] if self._iterable is None else self._iterable

    @response.setter
    def response(self, value: Any) -> None:
        if isinstance(value, (str, bytes, bytearray)):
            self.set_data(value)
            return
        if isinstance(value, (list, tuple)):
            self.set_data(b"".join(map(encoded, value)))
        else:
            self._body = None
            self._iterable = value

    def set_data(self, value: str | bytes | bytearray) -> None:
        """Set a complete body."""
        self._body = value.encode(self.charset) if isinstance(value, str) else bytes(value)
        self._iterable = None
        if self._headers is not None and self.automatically_set_content_length:
            self._headers["Content-Length"] = str(len(self._body))

    def get_data(self, as_text: bool = False) -> Any:
        """The complete body, as bytes or text; an iterable is read to its end.

        Raises:
            RuntimeError: The body is an async iterable, or is passed through directly.
        """
        self.make_sequence()
        body = self._body or b""
        return body.decode(self.charset, "replace") if as_text else body

    data = property(get_data, set_data, doc="The complete body as bytes.")

    def make_sequence(self) -> None:
        """Read an iterable body to its end and keep it as bytes.

        Raises:
            RuntimeError: The body is an async iterable (`await make_sequence_async()` reads it), or passed through
            directly.
        """
        if self._iterable is None:
            return
        if self.direct_passthrough:
            raise RuntimeError("the body is passed through directly and is not kept; set direct_passthrough = False")
        if self.is_async:
            raise RuntimeError(
                "the body is an async iterable, which a 'def' function cannot read; write "
                "'await response.make_sequence_async()' first"
            )
        iterable = self._iterable
        body = b"".join(self.iter_encoded())
        close = getattr(iterable, "close", None)
        if close is not None:
            self.call_on_close(close)
        self._body, self._iterable = body, None

    async def make_sequence_async(self) -> None:
        """Read an iterable body of either colour to its end and keep it as bytes."""
        if self.is_async:
            pieces = [encoded(item) async for item in self._iterable]
            self._body, self._iterable = b"".join(pieces), None
        else:
            self.make_sequence()

    def iter_encoded(self) -> Iterator[bytes]:
        """The body, piece by piece, as bytes."""
        if self._iterable is None:
            return iter([self._body or b""])
        return map(encoded, self._iterable)

    @property
    def is_async(self) -> bool:
        """Whether the body is an async iterable."""
        return hasattr(self._iterable, "__aiter__")

    @property
    def is_streamed(self) -> bool:
        """Whether the body is an iterable whose length is not known."""
        return self._iterable is not None

    @property
    def is_sequence(self) -> bool:
        """Whether the body is complete."""
        return self._iterable is None

    def calculate_content_length(self) -> int | None:
        """The length of a complete body in bytes; None for an iterable."""
        return None if self._body is None else len(self._body)

    def call_on_close(self, func: Callable[[], Any]) -> Callable[[], Any]:
        """Register a function that is called once when the response has been sent or given up."""
        self._on_close = (*self._on_close, func)
        return func

    def close(self) -> None:
        """Close the body and call what `call_on_close` registered, each once."""
        close = getattr(self._iterable, "close", None)
        callbacks, self._on_close = self._on_close, ()
        with ExitStack() as stack:  # calls all of them, whatever they raise
            for callback in reversed(callbacks):
                stack.callback(callback)
            if close is not None:
                stack.callback(close)

    def __enter__(self: _R) -> _R:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # -- JSON

    @property
    def is_json(self) -> bool:
        """Whether the media type is JSON: `application/json` or `application/*+json`."""
        kind = self.mimetype or ""
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))

    @property
    def json(self) -> Any:
        """The body, read as JSON; None if the media type is another."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False) -> Any:
        """Read the body as JSON.

        Args:
            force: Whatever the media type says.
            silent: Answer None where the body is not JSON.
        """
        if not (force or self.is_json):
            return None
        try:
            return self.json_module.loads(self.get_data())
        except ValueError:
            if silent:
                return None
            raise

    # -- as an application

    def get_wsgi_response(self, environ: WSGIEnvironment) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        """The body, the status and the header fields for a WSGI server."""
        body = self.iter_encoded() if self.has_body(environ["REQUEST_METHOD"]) else iter(())
        return _Closing(body, self.close), self._status, self._pairs()

    def __call__(self, source: Any, respond: Any, send: Any = None) -> Any:
        """Answer a request of either protocol.

        `response(environ, start_response)`, `await response(scope, receive, send)`.
        """
        if send is not None:
            return self._asgi(source, respond, send)
        return self._wsgi(source, respond)

    def _wsgi(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body, status, pairs = self.get_wsgi_response(environ)
        start_response(status, pairs)
        return body

    async def _asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [RAW_PAIRS[pair] for pair in self._pairs()]
        await send({"type": "http.response.start", "status": self._status_code, "headers": headers})
        try:
            if self.has_body(scope["method"]):
                if self.is_async:
                    async for item in self._iterable:
                        await send({"type": "http.response.body", "body": encoded(item), "more_body": True})
                else:
                    for item in self.iter_encoded():
                        await send({"type": "http.response.body", "body": item, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.close()

    def __repr__(self) -> str:
        size = f"{len(self._body)} bytes" if self._body is not None else "streamed"
        return f"<{type(self).__name__} {size} [{self._status}]>"

    # -- made of something else

    @classmethod
    def of_body(cls: type[_R], body: bytes, content_type: str | None = None) -> _R:
        """Make a response of a complete body and defaults; the quick way that the dispatcher takes."""
        self = _new(cls)
        self._body = body
        self._iterable = self._headers = None
        self._status = "200 OK"
        self._status_code = 200
        self._on_close = ()
        if content_type is not None:
            self._default_headers = CONTENT_TYPES[content_type]
        return self

    @classmethod
    def force_type(cls: type[_R], response: Any, environ: WSGIEnvironment | None = None) -> _R:
        """Make an instance of this class of another response, or of a WSGI application.

        Args:
            response: A response of another class, or any WSGI application.
            environ: The request for the WSGI application.

        Raises:
            TypeError: A WSGI application without an environ.
        """
        if not isinstance(response, Response):
            if environ is None:
                raise TypeError("cannot make a response of a WSGI application without the environ of a request")
            return cls(*_answer_of(response, environ))
        if not isinstance(response, cls):
            twin = cls.of_body(b"")
            twin.__dict__.update(response.__dict__)
            for name in (*ResponseHead.__slots__, *Response.__slots__[2:]):
                setattr(twin, name, getattr(response, name))
            if response._headers is None and response._default_headers[0] != cls._default_headers[0]:
                twin._headers = response.headers
            return twin
        return response

    @classmethod
    def from_app(cls: type[_R], app: Any, environ: WSGIEnvironment, buffered: bool = False) -> _R:
        """Make a response of what a WSGI application answers."""
        response = cls(*_answer_of(app, environ))
        if buffered:
            response.make_sequence()
        return response


class _Closing:
    """An iterable of bytes with the `close()` that WSGI servers call."""

    __slots__ = ("_body", "close")

    def __init__(self, body: Iterable[bytes], close: Callable[[], None]) -> None:
        self._body = body
        self.close = close

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)


def encoded(item: Any) -> bytes:
    """One piece of a body as bytes."""
    if type(item) is bytes:
        return item
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    raise TypeError(f"invalid piece of a response body; expected str or bytes; got {type(item).__name__}")


def _answer_of(app: Any, environ: WSGIEnvironment) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
    """What a WSGI application answers: body, status, headers."""
    head: list[Any] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], Any]:
        if exc_info is not None and head:
            head.clear()
        head[:] = [status, headers]
        return written.append

    body = app(environ, start_response)
    iterator = iter(body)
    while not head:  # an application may start the response as late as with its first chunk
        try:
            written.append(next(iterator))
        except StopIteration:
            break
    if not head:
        raise TypeError(f"{app!r} did not call start_response; expected a response or a WSGI application")
    return _Closing(_chained(written, iterator), getattr(body, "close", lambda: None)), head[0], head[1]


def _chained(written: list[bytes], rest: Iterator[bytes]) -> Iterator[bytes]:
    yield from written
    yield from rest
