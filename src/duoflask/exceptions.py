"""`abort` and the exceptions with a response: each is raised by users and is itself a WSGI and an ASGI application.

Owns what `http.errors` must not know: the response class. All names of `werkzeug.exceptions` can be imported from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from .http import errors as _errors
from .http.errors import *  # noqa: F403
from .http.errors import HTTPException, default_exceptions
from .http.wire import parse_status
from .response import Response

__all__ = [*_errors.__all__, "Aborter", "abort"]


def _send_page(page: bytes, code: int) -> Response:
    response = Response.of_body(page)
    response._status, response._status_code = parse_status(code)
    return response


HTTPException._make_response = Response
HTTPException._send_page = staticmethod(_send_page)


class Aborter:
    """Raises the HTTP exception for a code.

    Args:
        mapping: Codes and exception classes; by default all of `default_exceptions`.
        extra: More of them.
    """

    def __init__(
        self,
        mapping: Mapping[int, type[HTTPException]] | None = None,
        extra: Mapping[int, type[HTTPException]] | None = None,
    ) -> None:
        self.mapping = {**(default_exceptions if mapping is None else mapping), **(extra or {})}

    def __call__(self, code: int | Response, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise the exception for a code, with these arguments, or one that answers with the given response.

        Raises:
            HTTPException: Always, but for a code without an exception.
            LookupError: There is no exception for this code.
        """
        if callable(code):  # a response, also one of another library
            raise HTTPException(response=code)
        if not isinstance(code, int) or code not in self.mapping:
            raise LookupError(f"no exception for the status code {code!r}; expected one of {sorted(self.mapping)}")
        raise self.mapping[code](*args, **kwargs)


_aborter = Aborter()


def abort(code: int | Response, *args: Any, **kwargs: Any) -> NoReturn:
    """Stop here and answer with a status code or a response; by the current app's `aborter` if there is an app.

    Raises:
        HTTPException: Always, but for a code without an exception.
        LookupError: There is no exception for this code.
    """
    ctx = Response._context()
    aborter: Aborter = _aborter if ctx is None else ctx.app.aborter
    aborter(code, *args, **kwargs)
