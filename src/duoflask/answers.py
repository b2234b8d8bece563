"""From what a view, hook or error handler returned to a response: all of Flask's forms, and async iterators.

Knows the app only as what has a response class and a JSON provider.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator
from functools import partial
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final

from . import json
from .ctx import _cv_app
from .exceptions import HTTPException
from .http.headers import Headers
from .response import BaseResponse, Response
from .response_head import ResponseHead
from .typing import App

__all__ = ["response_of"]

_GENERATORS: Final = frozenset({GeneratorType, AsyncGeneratorType})

# What a response cannot import: the app's configuration and its JSON.
ResponseHead._context = staticmethod(partial(_cv_app.get, None))
Response.json_module = json


def response_of(app: App, rv: Any) -> Response:
    """Make the response of an answer.

    Raises:
        TypeError: The answer has none of the forms that a view may return.
    """
    if type(rv) is dict or type(rv) is list:
        return app.json.response(rv)  # type: ignore[no-any-return]
    status: Any = None
    headers: Any = None
    if type(rv) in _GENERATORS:  # PERF: 700 ns less than by asking what it is (stream, benchmarks/)
        return app.response_class(rv, status=status, headers=headers)
    if isinstance(rv, tuple):
        rv, status, headers = _unpack(rv)
    if isinstance(rv, HTTPException):
        rv = _foreign(app, rv)
    elif not isinstance(rv, app.response_class):
        if rv is None:
            raise TypeError(
                f"{_culprit()} returned None; expected a response. Write 'return' with a str, bytes, dict, list, "
                "response or "
                "generator on every path, or return '' for an empty page."
            )
        if isinstance(rv, (str, bytes, bytearray, Iterator, AsyncIterable)):
            # The constructor gets status and headers, so that a subclass sees what the response will be.
            rv = app.response_class(rv, status=status, headers=headers)
            status = headers = None
        elif isinstance(rv, (dict, list)):
            rv = app.json.response(rv)
        else:
            rv = _foreign(app, rv)
    if status is not None:
        if isinstance(status, (str, bytes, bytearray)):
            rv.status = status
        else:
            rv.status_code = status
    if headers:
        rv.headers.update(headers)
    return rv  # type: ignore[no-any-return]


def _unpack(rv: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """A tuple's body, status and headers."""
    if len(rv) == 3:
        return rv
    if len(rv) == 2:
        if isinstance(rv[1], (Headers, dict, tuple, list)):
            return rv[0], None, rv[1]
        return rv[0], rv[1], None
    raise TypeError(
        f"{_culprit()} returned a tuple of {len(rv)} items; the tuple must have the form (body, status, headers), "
        "(body, status) or (body, headers)"
    )


def _foreign(app: App, rv: Any) -> Response:
    """The response of an exception, of another response class, or of an application of either protocol."""
    if isinstance(rv, HTTPException):
        rv.__traceback__ = None  # its frames hold the exception: a cycle
        rv = rv.get_response()
        if isinstance(rv, app.response_class):
            return rv
    if isinstance(rv, type):
        raise TypeError(
            f"{_culprit()} returned the class {rv.__name__!r}; expected a response. Write 'return {rv.__name__}(...)'."
        )
    if isinstance(rv, BaseResponse) or callable(rv):
        ctx = _cv_app.get(None)
        environ = ctx.request.environ if ctx is not None and ctx.has_request else None
        try:
            return app.response_class.force_type(rv, environ)
        except TypeError as exc:
            raise TypeError(f"{_culprit()} returned {rv!r}, which is no WSGI or ASGI application: {exc}") from exc
    raise TypeError(
        f"{_culprit()} returned no response: it was a {type(rv).__name__}; expected a str, bytes, dict, "
        "list, tuple, response, generator, async generator, WSGI or ASGI application"
    )


def _culprit() -> str:
    """The view of this request, as an error names it."""
    ctx = _cv_app.get(None)
    endpoint = None if ctx is None or ctx.rule is None else ctx.rule.endpoint
    if endpoint is None:
        return "the function"
    view = ctx.app.view_functions.get(endpoint)  # type: ignore[union-attr]
    return f"the view {getattr(view, '__qualname__', endpoint)!r} (endpoint {endpoint!r})"
