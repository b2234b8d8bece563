"""The request: its JSON, and how it is made. `request_body` has the rest of its body.

Knows no context, and the app only as what has limits, JSON and a debug mode; both are told from above (`_app`,
`url_rule`, ...). Nothing a peer sends makes an attribute raise anything but an HTTPException.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

from .http.errors import BadRequest, HTTPException, UnsupportedMediaType
from .limits import Limits
from .request_body import RequestBody
from .routed import Routed

__all__ = ["Request"]


class _JSONOfApp:
    """The app's provider; the standard library's module where there is no app. A class may set its own in its place."""

    def __get__(self, request: RequestBody | None, owner: type) -> Any:
        app = None if request is None else request._app
        return json if app is None else app.json


class _LimitsOfApp:
    """The limits of a request that no context has told them: its app's, else at each look those of the active app."""

    _USUAL: Final = Limits()

    def __get__(self, request: Request | None, owner: type) -> Any:
        if request is None:
            return self._USUAL
        if request._app is not None:
            limits = request.__dict__["_limits"] = request._app._limits_of(request.url_rule)
            return limits
        context = request._active_context()
        return self._USUAL if context is None else context.app._limits_of(None)


class Request(Routed, RequestBody):
    """An HTTP request, read-only.

    Args:
        environ: A WSGI environ, or the scope of an ASGI connection.
        populate_request: Put the request into the environ as `werkzeug.request`.
        shallow: Refuse to read the body, and do not populate: for middleware that must leave it to the
            application.
    """

    json_module: Any = _JSONOfApp()
    _limits: Any = _LimitsOfApp()
    _json_results: Mapping[bool, Any] = MappingProxyType({})

    # () -> the innermost context; ctx.py sets it
    _active_context: ClassVar[Any] = staticmethod(lambda: None)
    # what a test client makes of its arguments; app_contexts.py sets it
    _made_up_environ: ClassVar[Callable[..., dict[str, Any]]]

    def __init__(self, environ: Any, populate_request: bool = True, shallow: bool = False) -> None:
        # PERF: what the constructor of `Connection` does; its call costs 80 ns.
        if "type" in environ:
            self.scope = environ
        else:
            self.environ = environ
            if populate_request and not shallow:
                environ["werkzeug.request"] = self
        if shallow:
            self.shallow = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @classmethod
    def from_values(cls, *args: Any, **kwargs: Any) -> Self:
        """Make a request of what `duoflask.testing.PlainEnvironBuilder` takes: a path, `method=`, `data=`, ..."""
        return cls(cls._made_up_environ(*args, **kwargs))

    @classmethod
    def application(cls, f: Callable[..., Any]) -> Callable[..., Any]:
        """Turn a function of a request, that returns a WSGI application such as a response, into one itself.

        A method's first arguments are kept. An HTTPException that it raises is the answer.
        """

        @functools.wraps(f)
        def application(*args: Any) -> Any:
            environ = args[-2]
            with cls(environ) as request:
                try:
                    response = f(*args[:-2], request)
                except HTTPException as exc:
                    response = exc.get_response(environ)
                return response(*args[-2:])

        return application

    def is_disconnected(self) -> bool:
        """Whether the client has left; never blocks for long.

        Under ASGI the client's leaving also cancels an `async def` view, unless that shields itself; a `def` view has
        to ask. WSGI servers tell nobody, and the answer is always False.
        """
        context = self._active_context()
        while context is not None and context._request is not self:
            context = context.previous
        return context is not None and context.client_has_left()

    @property
    def time_left(self) -> float | None:
        """How many seconds are left until the time-out of this request, below zero after it; None without one.

        A `def` view cannot be stopped: a long one looks at this, and gives up.
        """
        context = self._active_context()
        while context is not None and context._request is not self:
            context = context.previous
        if context is None or context.deadline is None:
            return None
        return context.deadline - time.monotonic()  # type: ignore[no-any-return]

    # JSON

    @property
    def json(self) -> Any:
        """The body parsed as JSON; see `get_json`."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the body parsed as JSON.

        Args:
            force: Parse it whatever its media type.
            silent: Return None instead of raising.
            cache: Keep the result.

        Raises:
            UnsupportedMediaType: The media type is not JSON's.
            BadRequest: The body is not JSON, or nested deeper than Python's stack allows.
        """
        # two results are kept, because a silent failure says nothing about a loud one
        kept = self._json_results
        if kept and cache and silent in kept:
            return kept[silent]
        if not (force or self.is_json):
            return None if silent else self.on_json_loading_failed(None)
        data = self.get_data(cache=cache)
        try:
            result = self.json_module.loads(data)
        except (ValueError, RecursionError) as exc:
            if silent:
                result = None
            else:
                error = exc if isinstance(exc, ValueError) else ValueError("nested too deeply")
                result = self.on_json_loading_failed(error)
            if cache:
                self._json_results = {**kept, silent: result}
        else:
            if cache:
                self._json_results = {True: result, False: result}
        return result

    def on_json_loading_failed(self, e: ValueError | None) -> Any:
        """Raise the error for a body that is no JSON; what an override returns is the result of `get_json`.

        Args:
            e: What the parser raised; None if the media type is not JSON's. Its text is for debug mode only.
        """
        if e is None:
            raise UnsupportedMediaType(
                f"the body was not read as JSON; expected Content-Type 'application/json'; got {self.mimetype!r}"
            )
        if self._app is not None and self._app.debug:
            raise BadRequest(f"Failed to decode JSON object: {e}") from e
        raise BadRequest() from e
