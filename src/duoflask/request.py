"""The request: a `Connection` with a body, a route and limits.

Knows no app and no context: what depends on them (`_limits`, `_debug`, `json_module`, `url_rule`, ...) is set
from above. Nothing a peer sends makes an attribute raise anything but an HTTPException.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Self

from .http.body import BufferedBody, LimitedStream, parse_content_length, read_limited
from .http.connection import Connection, environ_from_scope
from .http.descriptors import cached_property
from .http.errors import BadRequest, HTTPException, RequestEntityTooLarge, UnsupportedMediaType
from .http.forms import DEFAULT_MAX_FORM_MEMORY_SIZE, DEFAULT_MAX_FORM_PARTS, parse_urlencoded
from .http.multidict import CombinedMultiDict, MultiDict, iter_multi_items

__all__ = ["Limits", "Request"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a body is read; None for no limit."""

    max_content_length: int | None = None
    max_form_memory_size: int | None = DEFAULT_MAX_FORM_MEMORY_SIZE
    max_form_parts: int | None = DEFAULT_MAX_FORM_PARTS


class Request(Connection):
    """An HTTP request, read-only.

    Args:
        environ: A WSGI environ, or the scope of an ASGI connection.
        populate_request: Put the request into the environ as `werkzeug.request`.
        shallow: Refuse to read the body, and do not populate: for middleware that must leave it to the
            application.
    """

    json_module: Any = json

    url_rule: Any = None
    view_args: dict[str, Any] | None = None
    routing_exception: HTTPException | None = None

    # Set from above: by the context, and `_body` by the ASGI gateway before any function runs.
    _limits: Limits = Limits()
    _debug: bool = False
    _body: Any = None

    _max_content_length: int | None = None
    _max_form_memory_size: int | None = None
    _max_form_parts: int | None = None
    _cached_data: bytes | None = None
    _form_failure: str | None = None

    def __init__(self, environ: Any, populate_request: bool = True, shallow: bool = False) -> None:
        super().__init__(environ)
        self.shallow = shallow
        if populate_request and not shallow and self.scope is None:
            environ["werkzeug.request"] = self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the uploaded files and, under ASGI, free the collected body."""
        for _, file in iter_multi_items(self.__dict__.get("files", ())):
            file.close()
        if isinstance(self._body, BufferedBody):
            self._body.close()

    @cached_property
    def environ(self) -> dict[str, Any]:
        """The WSGI environ; under ASGI one made from the scope (PEP 3333)."""
        environ = environ_from_scope(self)
        if self._body is not None:
            environ["wsgi.input"] = self._body
        return environ

    # the route

    @property
    def endpoint(self) -> str | None:
        """The endpoint that matched; None if none did."""
        return None if self.url_rule is None else self.url_rule.endpoint

    @property
    def blueprint(self) -> str | None:
        """The registered name of the blueprint that the endpoint belongs to."""
        endpoint = self.endpoint
        return endpoint.rpartition(".")[0] if endpoint is not None and "." in endpoint else None

    @property
    def blueprints(self) -> list[str]:
        """The names of the blueprint and of those it is nested in, innermost first."""
        name = self.blueprint
        names = []
        while name:
            names.append(name)
            name = name.rpartition(".")[0]
        return names

    # limits

    @property
    def max_content_length(self) -> int | None:
        """The most bytes that are read of the body: MAX_CONTENT_LENGTH, or less if set for this request."""
        own, limit = self._max_content_length, self._limits.max_content_length
        return limit if own is None else own

    @max_content_length.setter
    def max_content_length(self, value: int | None) -> None:
        limit = self._limits.max_content_length
        if value is not None and limit is not None and value > limit:
            raise ValueError(
                f"max_content_length can only be lowered during a request, from {limit}, because the body may"
                f" have been read already; pass max_content_length={value} to route() to allow more there"
            )
        self._max_content_length = value

    @property
    def max_form_memory_size(self) -> int | None:
        """The most bytes of form data kept in memory: MAX_FORM_MEMORY_SIZE unless set for this request."""
        own = self._max_form_memory_size
        return self._limits.max_form_memory_size if own is None else own

    @max_form_memory_size.setter
    def max_form_memory_size(self, value: int | None) -> None:
        self._max_form_memory_size = value

    @property
    def max_form_parts(self) -> int | None:
        """The most fields of a form: MAX_FORM_PARTS unless set for this request."""
        own = self._max_form_parts
        return self._limits.max_form_parts if own is None else own

    @max_form_parts.setter
    def max_form_parts(self, value: int | None) -> None:
        self._max_form_parts = value

    # the body

    @property
    def input_stream(self) -> Any:
        """The stream below `stream`, without any limit: `wsgi.input`, or what the gateway has collected."""
        return self.environ["wsgi.input"]

    @cached_property
    def stream(self) -> Any:
        """The body as a file; it can be read once and ends where the body does.

        Raises:
            RuntimeError: The request is shallow.
            RequestEntityTooLarge: The body is larger than `max_content_length`. Reading may raise it, too.
            BadRequest: Content-Length is invalid.
        """
        return self._open_body()

    def _open_body(self) -> Any:
        """Return the body after every check that needs no reading; the only place that knows its source."""
        if self.shallow:
            raise RuntimeError("this request is shallow: its body belongs to the application behind the middleware")
        length = None if self._is_chunked else parse_content_length(self.headers.get("Content-Length"))
        limit = self.max_content_length
        body = self._body
        if isinstance(body, BufferedBody) and body.error is None and length is None:
            length = body.size
        if limit is not None and length is not None and length > limit:
            raise RequestEntityTooLarge(
                f"the body is too large; expected at most {limit} bytes (MAX_CONTENT_LENGTH); got {length}"
            )
        if body is None:
            body = self._body = self._wsgi_body(length, limit) if self.scope is None else BytesIO()
        return body

    def _wsgi_body(self, length: int | None, limit: int | None) -> Any:
        if length is not None:
            return LimitedStream(self.environ["wsgi.input"], length) if length else BytesIO()
        if self.environ.get("wsgi.input_terminated"):
            return LimitedStream(self.environ["wsgi.input"], limit, is_max=True)
        return BytesIO()  # nothing says where the body ends: to read could wait for ever

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> Any:
        """Return the body.

        Args:
            cache: Keep it, so that it can be asked for again and a form still be parsed.
            as_text: Decode it as UTF-8, invalid bytes replaced.
            parse_form_data: Parse form data first; the result is empty then.
        """
        data = self._cached_data
        if data is None:
            if parse_form_data:
                self._load_form()
            data = self.stream.read()
            if cache:
                self._cached_data = data
        return data.decode(errors="replace") if as_text else data

    @cached_property
    def data(self) -> bytes:
        """The body; empty if it is form data."""
        return self.get_data(parse_form_data=True)  # type: ignore[no-any-return]

    @property
    def want_form_data_parsed(self) -> bool:
        """Whether the body may be a form: it has a Content-Type."""
        return bool(self.content_type)

    def _load_form(self) -> None:
        """Set `form` and `files`, once."""
        attributes = self.__dict__
        if "form" in attributes:
            return
        pairs: list[tuple[str, str]] = []
        if self.want_form_data_parsed and self.mimetype == "application/x-www-form-urlencoded":
            if self._form_failure is not None:
                raise RequestEntityTooLarge(self._form_failure)
            limit = self.max_form_memory_size
            try:
                data = self._cached_data
                if data is None:
                    data = read_limited(self.stream, limit, "MAX_FORM_MEMORY_SIZE")
                pairs = parse_urlencoded(data, self.max_form_parts, limit)
            except RequestEntityTooLarge as exc:
                # part of the body is gone: what is left of it must not pass for the form at the next access
                self._form_failure = exc.description
                raise
        attributes["form"] = self.parameter_storage_class(pairs)
        attributes["files"] = self.parameter_storage_class()

    @cached_property
    def form(self) -> Any:
        """The fields of a form in the body."""
        self._load_form()
        return self.__dict__["form"]

    @cached_property
    def files(self) -> Any:
        """The uploaded files of a form."""
        self._load_form()
        return self.__dict__["files"]

    @cached_property
    def values(self) -> Any:
        """`args`, and `form` unless the method is GET, read as one."""
        sources = [self.args] if self.method == "GET" else [self.args, self.form]
        return CombinedMultiDict([source if isinstance(source, MultiDict) else MultiDict(source) for source in sources])

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
        kept: dict[bool, Any] = self.__dict__.setdefault("_json_results", {})
        if cache and silent in kept:
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
                kept[silent] = result
        else:
            if cache:
                kept[True] = kept[False] = result
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
        if self._debug:
            raise BadRequest(f"Failed to decode JSON object: {e}") from e
        raise BadRequest() from e
