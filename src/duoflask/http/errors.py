"""HTTP errors: exceptions that know their status code and their headers; their page is `error_page`'s.

An instance keeps the traceback it was raised with, so none may live at module level.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .dates import http_date
from .error_page import _ErrorPage
from .status import HTTP_STATUS_CODES

__all__ = [
    "HTTP_STATUS_CODES",
    "BadGateway",
    "BadHost",
    "BadRequest",
    "BadRequestKeyError",
    "ClientDisconnected",
    "Conflict",
    "ExpectationFailed",
    "FailedDependency",
    "Forbidden",
    "GatewayTimeout",
    "Gone",
    "HTTPException",
    "HTTPVersionNotSupported",
    "ImATeapot",
    "InternalServerError",
    "LengthRequired",
    "Locked",
    "MethodNotAllowed",
    "MisdirectedRequest",
    "NotAcceptable",
    "NotFound",
    "NotImplemented",
    "PreconditionFailed",
    "PreconditionRequired",
    "RequestEntityTooLarge",
    "RequestHeaderFieldsTooLarge",
    "RequestTimeout",
    "RequestURITooLarge",
    "RequestedRangeNotSatisfiable",
    "SecurityError",
    "ServiceUnavailable",
    "TooManyRequests",
    "Unauthorized",
    "UnavailableForLegalReasons",
    "UnprocessableEntity",
    "UnsupportedMediaType",
    "default_exceptions",
]


class HTTPException(_ErrorPage, Exception):
    """An error that is also an answer: raise it anywhere in a request to send its page."""

    def __init__(self, description: str | None = None, response: Any = None) -> None:
        # PERF: super().__init__() would double the 0.2 us that a 404 takes to make (benchmarks/routing.py: adapter).
        if description is not None or response is not None:
            self.args = ()
        if description is not None:
            self.description = description
        self.response = response

    def __call__(self, *args: Any) -> Any:
        """Answer as an application: `(environ, start_response)` or `(scope, receive, send)`."""
        if len(args) == 3:
            return self.get_response(scope=args[0])(*args)
        return self.get_response(*args[:1])(*args)

    def __str__(self) -> str:
        return f"{'???' if self.code is None else self.code} {self.name}: {self.description}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{'???' if self.code is None else self.code}: {self.name}'>"


class BadRequest(HTTPException):
    """400: the request cannot be understood."""

    code = 400
    description = "The request cannot be understood by this server."


class BadRequestKeyError(BadRequest, KeyError):
    """400 for a missing key; also a `KeyError`. Names the key if `show_exception` (debug mode)."""

    show_exception = False
    _description: str = BadRequest.description

    def __init__(self, arg: object = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.args = () if arg is None else (arg,)

    @property
    def description(self) -> str:
        """The text of the page."""
        if not self.show_exception:
            return self._description
        return f"{self._description}\nKeyError: {KeyError.__str__(self)}"

    @description.setter
    def description(self, value: str) -> None:
        self._description = value


class ClientDisconnected(BadRequest):
    """400: the body ended early, most likely because the client went away."""


class SecurityError(BadRequest):
    """400: the request looks like an attack, such as a Host that is not trusted."""


class BadHost(BadRequest):
    """400: the host of the request is malformed."""


class Unauthorized(HTTPException):
    """401: credentials are missing or wrong; `www_authenticate` gives the challenges (RFC 9110 11.6.1)."""

    code = 401
    description = "This address needs valid credentials; the request had none, or they were wrong."

    def __init__(self, description: str | None = None, response: Any = None, www_authenticate: Any = None) -> None:
        super().__init__(description, response)
        if www_authenticate is None:
            self.www_authenticate: tuple[Any, ...] = ()
        elif isinstance(www_authenticate, str) or not isinstance(www_authenticate, (list, tuple, set)):
            self.www_authenticate = (www_authenticate,)
        else:
            self.www_authenticate = tuple(www_authenticate)

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        headers = super().get_headers(environ, scope)
        headers.extend(("WWW-Authenticate", str(challenge)) for challenge in self.www_authenticate)
        return headers


class Forbidden(HTTPException):
    code = 403
    description = "You do not have permission to use this address."


class NotFound(HTTPException):
    code = 404
    description = "Nothing was found at this address. If you typed it, check the spelling."


class MethodNotAllowed(HTTPException):
    """405: not for this method; `valid_methods` become the Allow header (RFC 9110 15.5.6)."""

    code = 405
    description = "The method is not allowed at this address."

    def __init__(
        self, valid_methods: Iterable[str] | None = None, description: str | None = None, response: Any = None
    ) -> None:
        super().__init__(description, response)
        self.valid_methods = valid_methods

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        headers = super().get_headers(environ, scope)
        if self.valid_methods:
            headers.append(("Allow", ", ".join(self.valid_methods)))
        return headers


class NotAcceptable(HTTPException):
    code = 406
    description = "No available form of this resource is acceptable to the request's Accept headers."


class RequestTimeout(HTTPException):
    code = 408
    description = "The request did not arrive completely in the time allowed."


class Conflict(HTTPException):
    code = 409
    description = "The request conflicts with the present state of the resource; it may have changed meanwhile."


class Gone(HTTPException):
    code = 410
    description = "What was at this address has been removed for good, with no new address."


class LengthRequired(HTTPException):
    code = 411
    description = "This request needs a valid Content-Length header."


class PreconditionFailed(HTTPException):
    code = 412
    description = "A precondition of the request does not hold."


class RequestEntityTooLarge(HTTPException):
    code = 413
    description = "The data sent is larger than this server accepts."


class RequestURITooLarge(HTTPException):
    code = 414
    description = "The address of the request is longer than this server accepts."


class UnsupportedMediaType(HTTPException):
    code = 415
    description = "The media type of the request's body is not supported."


class RequestedRangeNotSatisfiable(HTTPException):
    """416: no such range; `length` and `units` give Content-Range (RFC 9110 15.5.17)."""

    code = 416
    description = "The requested range does not exist."

    def __init__(
        self,
        length: int | None = None,
        units: str = "bytes",
        description: str | None = None,
        response: Any = None,
    ) -> None:
        super().__init__(description, response)
        self.length = length
        self.units = units

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        headers = super().get_headers(environ, scope)
        if self.length is not None:
            headers.append(("Content-Range", f"{self.units} */{self.length}"))
        return headers


class ExpectationFailed(HTTPException):
    code = 417
    description = "The expectation of the request's Expect header cannot be met."


class ImATeapot(HTTPException):
    code = 418
    description = "This server is a teapot and cannot brew coffee."


class MisdirectedRequest(HTTPException):
    code = 421
    description = "The request was sent to a server that cannot answer it."


class UnprocessableEntity(HTTPException):
    code = 422
    description = "The request is well formed, but its content cannot be processed."


class Locked(HTTPException):
    code = 423
    description = "The resource is locked."


class FailedDependency(HTTPException):
    code = 424
    description = "The request depends on another action, and that action failed."


class PreconditionRequired(HTTPException):
    code = 428
    description = 'This request must be conditional; send "If-Match" or "If-Unmodified-Since".'


class _RetryAfter(HTTPException):
    def __init__(
        self,
        description: str | None = None,
        response: Any = None,
        retry_after: datetime | int | None = None,
    ) -> None:
        super().__init__(description, response)
        self.retry_after = retry_after

    def get_headers(self, environ: Any = None, scope: Any = None) -> list[tuple[str, str]]:
        headers = super().get_headers(environ, scope)
        if self.retry_after:
            when = self.retry_after
            headers.append(("Retry-After", http_date(when) if isinstance(when, datetime) else str(when)))
        return headers


class TooManyRequests(_RetryAfter):
    """429: a rate limit; `retry_after` is in seconds or a date."""

    code = 429
    description = "Too many requests came in a short time. Try again later."


class RequestHeaderFieldsTooLarge(HTTPException):
    code = 431
    description = "A header field, or all of them together, is larger than this server accepts."


class UnavailableForLegalReasons(HTTPException):
    code = 451
    description = "Access is denied for legal reasons."


class InternalServerError(HTTPException):
    """500: an unhandled error; `original_exception` is what was raised, if anything was."""

    code = 500
    description = "The server met an unexpected error and could not complete the request."

    def __init__(
        self,
        description: str | None = None,
        response: Any = None,
        original_exception: BaseException | None = None,
    ) -> None:
        super().__init__(description, response)
        self.original_exception = original_exception


class NotImplemented(HTTPException):
    code = 501
    description = "The server does not support what the request asks for."


class BadGateway(HTTPException):
    code = 502
    description = "An upstream server gave an invalid answer."


class ServiceUnavailable(_RetryAfter):
    """503: not now; `retry_after` is in seconds or a date."""

    code = 503
    description = "The server cannot answer at the moment. Try again later."


class GatewayTimeout(HTTPException):
    code = 504
    description = "An upstream server did not answer in time."


class HTTPVersionNotSupported(HTTPException):
    code = 505
    description = "The HTTP version of the request is not supported."


default_exceptions: dict[int, type[HTTPException]] = {}
for _class in list(globals().values()):
    # the first class of a code is its base: BadRequest, not SecurityError
    if isinstance(_class, type) and issubclass(_class, HTTPException) and _class.code is not None:
        default_exceptions.setdefault(_class.code, _class)
del _class
