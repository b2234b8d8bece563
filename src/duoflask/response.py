"""The response: what a view's answer becomes, for both protocols.

Owns how one is made, what becomes of it under a request's conditions, and its end. The head is `response_head`'s and
`response_fields`', the body `response_content`'s. Knows no app and no context.
"""

from __future__ import annotations

import json as _json
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .bridge import async_to_sync
from .http.etags import generate_etag
from .http.headers import Headers
from .http.wire import CONTENT_TYPES, content_type_of
from .lazy import LazyModule
from .response_application import answer_of, pulled, send_as_asgi
from .response_body import Closing, encoded, selection_of
from .response_conditional import apply_conditions
from .response_content import ResponseContent
from .response_head import ResponseHead
from .typing import WSGIEnvironment

if TYPE_CHECKING:
    import inspect
    from http import HTTPStatus
else:
    inspect = LazyModule("inspect")

__all__ = ["BaseResponse", "Response", "encoded"]

_R = TypeVar("_R", bound="BaseResponse")

_new: Final = object.__new__
_own_dict: Final[Any] = vars(ResponseContent)["__dict__"]
_GENERATORS: Final = frozenset({GeneratorType, AsyncGeneratorType})
_SLOTS: Final = (*ResponseHead.__slots__, "_iterable", "_on_close")


class BaseResponse(ResponseContent):
    """An HTTP response, itself a WSGI and an ASGI application; plain text unless it is told otherwise.

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
    json_module: Any = _json

    # PERF: slots, as in ResponseHead.
    __slots__ = ("_on_close",)
    _on_close: tuple[Callable[[], Any], ...]

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
            self._headers = fields = headers if type(headers) is Headers else Headers(headers)
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
        if type(response) in _GENERATORS:  # PERF: 300 ns less than by asking what it is (stream, benchmarks/)
            self._iterable = response
        elif isinstance(response, (str, bytes, bytearray)):
            self.set_data(response)
        elif response is None or isinstance(response, (list, tuple)):
            if self._headers is None:
                self._headers = self.headers  # while there is no body, and so no Content-Length that hooks would see
            self._body = b"".join(map(encoded, response)) if response else b""
            self._remember(response or ())
        else:
            self.response = response
        if not self._has_usual_head:
            self._note_head()

    @property
    def __dict__(self) -> dict[str, Any]:
        """What no slot holds, and a copy of what the slots hold.

        For classes that make a response of another one by `self.__dict__ = response.__dict__`.
        """
        own: dict[str, Any] = _own_dict.__get__(self)
        try:
            own["_in_slots"] = [getattr(self, name) for name in _SLOTS]
        except AttributeError:  # it is being made
            pass
        return own

    @__dict__.setter
    def __dict__(self, value: dict[str, Any]) -> None:
        _own_dict.__set__(self, value)
        for name, held in zip(_SLOTS, value.get("_in_slots", ())):
            setattr(self, name, held)

    # -- the end

    def call_on_close(self, func: Callable[[], Any]) -> Callable[[], Any]:
        """Register a function that is called once when the response has been sent or given up."""
        self._on_close = (*self._on_close, func)
        return func

    def close(self) -> None:
        """Close the body and call what `call_on_close` registered, each once; what is async runs on the portal."""
        close = getattr(self._iterable, "close", None)
        callbacks, self._on_close = self._on_close, ()
        with ExitStack() as stack:  # calls all of them, whatever they raise
            for callback in reversed(callbacks):
                stack.callback(async_to_sync(callback) if inspect.iscoroutinefunction(callback) else callback)
            if close is not None:
                stack.callback(close)

    async def aclose(self) -> None:
        """Close a body of either colour and call what `call_on_close` registered, each once."""
        body = self._iterable
        callbacks, self._on_close = self._on_close, ()
        async with AsyncExitStack() as stack:
            for callback in reversed(callbacks):
                stack.push_async_callback(_awaited, callback)
            close = getattr(body, "aclose", None) or getattr(body, "close", None)
            if close is not None:
                stack.push_async_callback(_awaited, close)

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

        Raises:
            ValueError: It is not JSON, or nested deeper than Python's recursion limit.
        """
        if not (force or self.is_json):
            return None
        try:
            return self.json_module.loads(self.get_data())
        except (ValueError, RecursionError) as exc:
            if silent:
                return None
            if isinstance(exc, ValueError):
                raise
            raise ValueError("invalid JSON; expected at most some hundred levels; got more") from None

    # -- conditions

    def add_etag(self, overwrite: bool = False, weak: bool = False) -> None:
        """Set the ETag to the SHA-1 of the body, which is read if it is an iterable.

        Args:
            overwrite: Replace an ETag that is there.
            weak: Mark it as weak.
        """
        if overwrite or "ETag" not in self.headers:
            self.set_etag(generate_etag(self.get_data()), weak)

    def freeze(self) -> None:
        """Make the response complete, so that it can be pickled: body read, Content-Length and ETag set."""
        self.make_sequence()
        self.headers["Content-Length"] = str(self._complete_length())
        self.add_etag()

    def make_conditional(
        self: _R, request_or_environ: Any, accept_ranges: bool | str = False, complete_length: int | None = None
    ) -> _R:
        """Answer 304, 412 or 206 where the request's conditions or Range ask for it (RFC 9110 13 and 14).

        Does nothing unless the method is GET or HEAD. Set ETag or Last-Modified before.

        Args:
            request_or_environ: The request, its WSGI environ or its ASGI scope.
            accept_ranges: True to answer ranges of bytes, or the value of Accept-Ranges.
            complete_length: The length of the body. Without it there are no ranges.

        Returns:
            This response.

        Raises:
            RequestedRangeNotSatisfiable: The Range is malformed, has too many ranges, or lies outside the body.
        """
        length = self._complete_length() if complete_length and self.is_sequence else complete_length
        selected = apply_conditions(self, request_or_environ, accept_ranges, length)
        if selected is not None:
            whole = self.is_sequence
            self._iterable = selection_of(self.response, *selected)
            self._body = None
            if whole:
                self.make_sequence()
        elif self.automatically_set_content_length and "Content-Length" not in self.headers and self.is_sequence:
            self.headers["Content-Length"] = str(self._complete_length())
        return self

    # -- as an application

    def get_app_iter(self, environ: WSGIEnvironment) -> Iterable[bytes]:
        """The body for a WSGI server; empty where the method or the status has none."""
        body: Iterable[bytes] = ()
        if self.has_body(environ["REQUEST_METHOD"]):
            body = pulled(self._iterable) if self.is_async else self.iter_encoded()
        return Closing(body, self.close)

    def get_wsgi_response(self, environ: WSGIEnvironment) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        """The body, the status and the header fields for a WSGI server."""
        headers = self.get_wsgi_headers(environ)
        return self.get_app_iter(environ), self._status, headers.to_wsgi_list()

    def __call__(self, source: Any, respond: Any, send: Any = None) -> Any:
        """Answer a request of either protocol.

        `response(environ, start_response)`, `await response(scope, receive, send)`.
        """
        if send is not None:
            return send_as_asgi(self, source, respond, send)
        body, status, pairs = self.get_wsgi_response(source)
        respond(status, pairs)
        return body

    def __repr__(self) -> str:
        if self.is_sequence:
            size = f"{self._complete_length()} bytes"
        else:
            size = "streamed" if self.is_streamed else "likely-streamed"
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
        """Make an instance of this class of another response, or of an application.

        Args:
            response: A response of another class, or a WSGI or ASGI application.
            environ: The request for the application.

        Raises:
            TypeError: An application without an environ, or something that is none.
        """
        if not isinstance(response, BaseResponse):
            if environ is None:
                raise TypeError("cannot make a response of a WSGI or ASGI application without the environ of a request")
            return cls.from_app(response, environ)
        if isinstance(response, cls):
            return response
        twin = cls.of_body(b"")
        twin.__dict__ = dict(response.__dict__)
        if response._headers is None and response._default_headers[0] != cls._default_headers[0]:
            twin._headers = response.headers
        if not cls._has_usual_head:
            twin._note_head()
        return twin

    @classmethod
    def from_app(cls: type[_R], app: Any, environ: WSGIEnvironment, buffered: bool = False) -> _R:
        """Make a response of what an application answers; it must not be called on a running event loop.

        Args:
            app: A WSGI or ASGI application.
            environ: The request.
            buffered: Read the body to its end.

        Raises:
            TypeError: It is no application, or starts no response.
            BaseException: What the application raised.
        """
        taken = answer_of(app, environ)
        try:
            response = cls(*taken)
            if buffered and response.is_async:
                async_to_sync(response.make_sequence_async)()
            elif buffered:
                response.make_sequence()
        except BaseException:  # a head that could not be sent, a body that failed; the application has to end anyhow
            taken.close()
            raise
        return response


class Response(BaseResponse):
    """The response of a view: as `BaseResponse`, but HTML unless it is told otherwise."""

    default_mimetype = "text/html"
    __slots__ = ()


async def _awaited(function: Callable[[], Any]) -> None:
    result = function()
    if inspect.isawaitable(result):
        await result
