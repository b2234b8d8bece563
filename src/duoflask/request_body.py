"""The body of a request: its stream, its form and its parts.

Knows neither route nor JSON. What a peer sends makes no attribute raise anything but an HTTPException.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, Final

from .debughelpers import attach_enctype_error_multidict
from .http.body import (
    CHUNK_BYTES,
    DEFAULT_MAX_BODY_MEMORY,
    LimitedStream,
    drain_input,
    parse_content_length,
    read_limited,
    read_now,
    too_large,
)
from .http.buffered import BufferedBody, collect
from .http.connection import Connection, environ_from_scope
from .http.descriptors import cached_property
from .http.errors import HTTPException, RequestEntityTooLarge, UnsupportedMediaType
from .http.forms import (
    FormDataParser,
    FormScan,
    default_stream_factory,
    parse_urlencoded,
)
from .http.multidict import CombinedMultiDict, MultiDict, iter_multi_items
from .lazy import LazyModule
from .limits import Limits
from .typing import App

if TYPE_CHECKING:
    from .http import multipart, parts
else:
    multipart = LazyModule(f"{__package__}.http.multipart")
    parts = LazyModule(f"{__package__}.http.parts")

__all__ = ["RequestBody"]

_DEFAULT_LIMITS: Final = Limits()
_URLENCODED: Final = "application/x-www-form-urlencoded"


class RequestBody(Connection):
    """A connection's fields and the body that came with them."""

    form_data_parser_class: type[FormDataParser] = FormDataParser
    shallow: bool = False

    # Set from above: by the context, and `_body` by the ASGI gateway before any function runs.
    _app: App | None = None
    url_rule: Any = None
    _body: Any = None
    _announced: int | None = None  # the body's length, where the ASGI gateway has read it from the fields

    _limits: Limits = _DEFAULT_LIMITS
    _max_content_length: int | None = None
    _max_form_memory_size: int | None = None
    _max_form_parts: int | None = None
    _cached_data: bytes | None = None
    _form_error: HTTPException | None = None
    _parts: parts.Parts | None = None

    def close(self) -> None:
        """Close the uploaded files and free the collected body."""
        files = self.__dict__.get("files")
        if files:
            for _, file in iter_multi_items(files):
                file.close()
        if type(self._body) is BufferedBody:  # PERF: isinstance() with an abstract class costs 250 ns for another one
            self._body.close()

    @cached_property
    def environ(self) -> dict[str, Any]:
        """The WSGI environ; under ASGI one made from the scope (PEP 3333)."""
        environ = environ_from_scope(self.scope)
        if self._body is not None:
            environ["wsgi.input"] = self._body
        return environ

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

    def _open_body(self, to_read: bool = False) -> Any:
        """Return the body after every check that needs no reading; the only place that knows its source.

        Args:
            to_read: Return `stream` for somebody who reads all of it: a short body may have been read then.
        """
        if to_read and ("stream" in self.__dict__ or type(self).stream is not _stream):
            return self.stream
        if self.shallow:
            raise RuntimeError("this request is shallow: its body belongs to the application behind the middleware")
        body, limit = self._body, self.max_content_length
        if self.scope is None:
            # PERF: 300 ns less than through `headers`. Not `_announced`: a hook may have put another body there.
            environ = self.environ
            chunked = "HTTP_TRANSFER_ENCODING" in environ and self._is_chunked
            length = None if chunked else parse_content_length(environ.get("CONTENT_LENGTH") or None)
        else:
            length = self._announced
            if length is None and not self._is_chunked:
                length = parse_content_length(self.headers.get("Content-Length"))
        self.__dict__["content_length"] = length
        if length is None and type(body) is BufferedBody and body.error is None:
            length = body.size
        if limit is not None and length is not None and length > limit:
            if body is None and self.scope is None:
                self._body = BytesIO()  # a limit of this request: the gateway has let the body pass
                drain_input(self.environ, length)
            raise too_large(limit, "MAX_CONTENT_LENGTH", length)
        if body is None:
            if self.scope is not None:
                body = BytesIO()
            elif to_read and length and length <= CHUNK_BYTES:
                body = read_now(environ["wsgi.input"], length)
            elif length or (length is None and environ.get("wsgi.input_terminated")):
                body = LimitedStream(environ["wsgi.input"], length or limit, is_max=not length)
            else:
                body = BytesIO()  # nothing says where the body ends: to read could wait for ever
            self._body = body
        elif type(body) is BytesIO and length and self.scope is None:
            body = LimitedStream(body, 0)  # somebody has read it to its end
        return body

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
                self._load_form_data()
            if self._parts is not None:
                self._require_unread()
            data = self._open_body(to_read=True).read()
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

    def make_form_data_parser(self) -> FormDataParser:
        """Make the parser of `form` and `files`: a `form_data_parser_class` with this request's limits."""
        stock = type(self)._get_file_stream is RequestBody._get_file_stream
        return self.form_data_parser_class(
            stream_factory=default_stream_factory if stock else self._get_file_stream,
            max_form_memory_size=self.max_form_memory_size,
            max_content_length=self.max_content_length,
            max_form_parts=self.max_form_parts,
            cls=self.parameter_storage_class,
            silent=False,
        )

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        """Return the file that an upload is written to; an override decides where uploads go."""
        return default_stream_factory(total_content_length, content_type, filename, content_length)

    def _get_stream_for_parsing(self) -> Any:
        """Return `stream`, or what `get_data` has kept of it; a multipart body is collected first."""
        if self._cached_data is not None:
            return BytesIO(self._cached_data)
        stream = self.stream
        if self.mimetype != "multipart/form-data" or isinstance(stream, BufferedBody):
            return stream
        length = self.content_length
        if length is not None and length <= DEFAULT_MAX_BODY_MEMORY:
            return BytesIO(stream.read())  # PERF: 4 us less than with a body that could go to disk
        self._body = self.__dict__["stream"] = self._collected(length)
        return self._body

    def _collected(self, length: int | None) -> BufferedBody:
        """The body read from `stream` to its end; what goes wrong is raised when it is read. Blocks."""
        body = self._limits.new_body()
        if length is None or length > DEFAULT_MAX_BODY_MEMORY:
            body.watch = self._form_watch()
        try:
            return collect(self.stream, body, length)
        except HTTPException as exc:
            body.fail(exc)
            return body

    def _form_watch(self) -> Callable[[bytes], object] | None:
        """What parses a large multipart body while it is collected."""
        scan = FormScan.of(self.mimetype, self.mimetype_params, self.max_form_memory_size, self.max_form_parts)
        return None if scan is None else scan.feed

    def _load_form_data(self) -> None:
        """Set `form` and `files`, once."""
        attributes = self.__dict__
        if "form" in attributes:
            return
        if self._form_error is not None:
            # part of the body is gone: what is left of it must not pass for the form at the next access
            raise copy(self._form_error)
        if self._parts is not None:
            self._require_unread()
        try:
            attributes["stream"], attributes["form"], attributes["files"] = self._parsed_form()
        except (RequestEntityTooLarge, ValueError) as exc:
            if isinstance(exc, HTTPException):
                self._form_error = copy(exc)
            raise
        debug = self._app is not None and self._app.debug
        if debug and self.mimetype != "multipart/form-data" and not attributes["files"]:
            attach_enctype_error_multidict(self)

    def _require_unread(self) -> None:
        """Refuse to take what `parts()` has left of the body for all of it."""
        if self._parts.begun:  # type: ignore[union-attr]  # there are some, or nobody calls
            raise RuntimeError(
                "the body has been read by request.parts() and is not kept; a body is read in one way. Take what you "
                "need from the parts, or use request.form and request.files without parts()."
            )

    def _parsed_form(self) -> tuple[Any, Any, Any]:
        """The stream, and the contents of `form` and `files`."""
        kind = type(self)
        if (
            self._has_mimetype(_URLENCODED)
            and kind.make_form_data_parser is RequestBody.make_form_data_parser
            and kind.want_form_data_parsed is RequestBody.want_form_data_parsed
            and self.form_data_parser_class is FormDataParser
        ):
            return self._urlencoded_form()
        if not self.want_form_data_parsed:
            storage = self.parameter_storage_class
            return self.stream, storage(), storage()
        parser = self.make_form_data_parser()
        return parser.parse(self._get_stream_for_parsing(), self.mimetype, self.content_length, self.mimetype_params)

    def _urlencoded_form(self) -> tuple[Any, Any, Any]:
        """The same of an urlencoded form. PERF: what the parser would do, in 1.5 us less (form, benchmarks/)."""
        limit, data = self.max_form_memory_size, self._cached_data
        storage = self.parameter_storage_class
        if data is None:
            stream = self._open_body(to_read=True)
            length = stream.size if type(stream) is BufferedBody else self.content_length
            if limit is None or (length is not None and length <= limit):
                data = stream.read()
            else:
                data = read_limited(stream, limit, "MAX_FORM_MEMORY_SIZE")
        else:
            stream = self.stream
        return stream, parse_urlencoded(data, self.max_form_parts, limit, storage), storage()

    def parts(self) -> parts.Parts:
        """Read a multipart/form-data body part by part, on a route with `stream_body=True`, however large it is.

        Write `for part in request.parts()` in a `def` view and `async for` in an `async def` view. Each part has
        `name`, `filename` (None for text), `headers`, `content_type`, and is read in the same way: `for chunk in part`,
        or `part.read()`, awaited in an `async def` view. What is not read of a part is skipped with the next.

        Every call returns the same object: what is left of a body must not pass for all of it.

        Raises:
            UnsupportedMediaType: The media type is not multipart/form-data.
            InvalidMultipart: Its boundary is missing or invalid.
            RuntimeError: The form has been parsed already, by `form`, `files` or `values`.
        """
        if self._parts is not None:
            return self._parts
        if "form" in self.__dict__ or self._form_error is not None:
            raise RuntimeError(
                "the body has been read for request.form or request.files and is not kept; a body is read in one way. "
                "Call request.parts() before anything looks at the form, or use the form without parts()."
            )
        if self.mimetype != "multipart/form-data":
            raise UnsupportedMediaType(
                f"the body has no parts; expected Content-Type 'multipart/form-data'; got {self.mimetype!r}"
            )
        boundary = multipart.boundary_of(self.mimetype_params)
        source = self.stream if self._cached_data is None else BytesIO(self._cached_data)
        self._parts = parts.Parts(source, boundary, self.max_form_parts, self.max_form_memory_size)
        return self._parts

    @cached_property
    def form(self) -> Any:
        """The fields of a form in the body."""
        self._load_form_data()
        return self.__dict__["form"]

    @cached_property
    def files(self) -> Any:
        """The uploaded files of a form."""
        self._load_form_data()
        return self.__dict__["files"]

    @cached_property
    def values(self) -> Any:
        """`args`, and `form` unless the method is GET, read as one."""
        sources = [self.args] if self.method == "GET" else [self.args, self.form]
        return CombinedMultiDict([source if isinstance(source, MultiDict) else MultiDict(source) for source in sources])


_stream: Final = RequestBody.stream
