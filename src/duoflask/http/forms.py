"""Form data: the body of a request to fields and files, by Werkzeug's hooks and names.

Knows no request; a limit is named by its configuration key. Delimiters and heads of parts are `multipart`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeAlias

from ..lazy import LazyModule
from .body import LimitedStream, parse_content_length, read_limited
from .buffered import BufferedBody, collect
from .environ import content_length_of
from .errors import HTTPException, RequestEntityTooLarge
from .file_storage import FileStorage
from .headers import Headers
from .multidict import MultiDict
from .options import parse_options_header
from .uri import parse_query_as

if TYPE_CHECKING:
    import shutil
    import tempfile

    from . import multipart
else:
    shutil = LazyModule("shutil")
    tempfile = LazyModule("tempfile")
    multipart = LazyModule(f"{__package__}.multipart")

__all__ = [
    "DEFAULT_MAX_FORM_MEMORY_SIZE",
    "DEFAULT_MAX_FORM_PARTS",
    "FormDataParser",
    "FormScan",
    "MultiPartParser",
    "StreamFactory",
    "default_stream_factory",
    "parse_form_data",
    "parse_urlencoded",
]

# Werkzeug's and Flask's defaults.
DEFAULT_MAX_FORM_MEMORY_SIZE = 500_000
DEFAULT_MAX_FORM_PARTS = 1000

_MULTIPART = "multipart/form-data"
_URLENCODED = "application/x-www-form-urlencoded"
_COPY = 1 << 16

# (total_content_length, content_type, filename, content_length), given by name: a file to write to and read from.
StreamFactory: TypeAlias = Callable[..., IO[bytes]]
_Parsed: TypeAlias = "tuple[Any, Any, Any]"


def parse_urlencoded(
    data: bytes,
    max_fields: int | None = DEFAULT_MAX_FORM_PARTS,
    max_memory_size: int | None = DEFAULT_MAX_FORM_MEMORY_SIZE,
    cls: Any = list,
) -> Any:
    """Split the body of an `application/x-www-form-urlencoded` form into its pairs.

    Args:
        data: The body.
        max_fields: The most fields to accept; None for any number.
        max_memory_size: The most bytes to accept; None for any number.
        cls: What to make of the pairs.

    Raises:
        RequestEntityTooLarge: One of the two is exceeded.
    """
    if max_memory_size is not None and len(data) > max_memory_size:
        raise RequestEntityTooLarge(
            f"the form is too large; expected at most {max_memory_size} bytes (MAX_FORM_MEMORY_SIZE)"
        )
    if data and max_fields is not None and data.count(b"&") >= max_fields:
        raise _too_many(max_fields)
    return parse_query_as(cls, data)


def _too_many(limit: int | None) -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"the form has too many fields; expected at most {limit} (MAX_FORM_PARTS)")


def default_stream_factory(
    total_content_length: int | None = None,
    content_type: str | None = None,
    filename: str | None = None,
    content_length: int | None = None,
) -> IO[bytes]:
    """Return an empty file for an upload, in memory up to 500 kB.

    As a `stream_factory` it stands for something better: files that are parts of the body itself, which as a whole is
    in memory up to 2 MiB and in one temporary file above.
    """
    spooled = globals().get("SpooledTemporaryFile", tempfile.SpooledTemporaryFile)
    return spooled(max_size=500 * 1024, mode="rb+") if spooled is not None else tempfile.TemporaryFile("rb+")


def __getattr__(name: str) -> Any:
    if name == "SpooledTemporaryFile":  # Werkzeug's module has it, and None there means that there is none
        return tempfile.SpooledTemporaryFile
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class FormScan:
    """The parts of a multipart body that comes in pieces: texts in memory, files there or as places in the body.

    Args:
        boundary: From `boundary_of`.
        max_memory_size: The most bytes of text, all fields together; None for any number.
        max_parts: The most parts; None for any number.
        keep_files: Keep the content of files, too.
    """

    def __init__(
        self, boundary: bytes, max_memory_size: int | None, max_parts: int | None, keep_files: bool = False
    ) -> None:
        self.settings = (boundary, max_memory_size, max_parts)
        self._scanner = multipart.MultipartScanner(boundary)
        self._room = max_memory_size
        self._keep_files = keep_files
        self._parts: list[multipart.PartHead] = []
        self._error: HTTPException | None = None

    def feed(self, chunk: bytes) -> None:
        """Take the next piece; an error is kept, and raised by `finish`."""
        if self._error is None:
            try:
                self._take(chunk)
            except HTTPException as exc:
                self._parts.clear()
                self._error = exc.with_traceback(None)

    def _take(self, chunk: bytes) -> None:
        _, max_memory_size, max_parts = self.settings
        parts = self._parts
        room = self._room
        for event in self._scanner.feed(chunk):
            if isinstance(event, bytes):
                part = parts[-1]
                part.size += len(event)
                if part.pieces is not None:
                    part.pieces.append(event)
                if room is not None and part.filename is None:
                    room -= len(event)
                    if room < 0:
                        raise RequestEntityTooLarge(
                            f"the form's texts are too large; expected at most {max_memory_size} bytes in sum "
                            "(MAX_FORM_MEMORY_SIZE)"
                        )
            elif event is not None:
                if len(parts) == max_parts:
                    raise _too_many(max_parts)
                if event.filename is None or self._keep_files:
                    event.pieces = []
                parts.append(event)
        self._room = room

    def finish(self) -> list[multipart.PartHead]:
        """Return the parts.

        Raises:
            InvalidMultipart: What was fed is not the whole of a form.
            RequestEntityTooLarge: A limit is exceeded.
        """
        if self._error is None:
            self._scanner.finish()
            return self._parts
        raise copy(self._error)

    @classmethod
    def of(
        cls, mimetype: str, options: Mapping[str, str], max_memory_size: int | None, max_parts: int | None
    ) -> FormScan | None:
        """Return a scan of a body that is about to arrive; None if its Content-Type is not that of a valid form."""
        if mimetype != _MULTIPART:
            return None
        try:
            return cls(multipart.boundary_of(options), max_memory_size, max_parts)
        except multipart.InvalidMultipart:
            return None


class MultiPartParser:
    """Parse multipart/form-data (RFC 7578).

    Args:
        stream_factory: Makes the file that an upload is written to.
        max_form_memory_size: The most bytes of text, all fields together.
        cls: The class of both results.
        buffer_size: How much is read at a time when the body has to be read from a file again.
        max_form_parts: The most parts, files included.
    """

    def __init__(
        self,
        stream_factory: StreamFactory | None = None,
        max_form_memory_size: int | None = None,
        cls: type[Any] | None = None,
        buffer_size: int = 64 * 1024,
        max_form_parts: int | None = None,
    ) -> None:
        self.stream_factory = default_stream_factory if stream_factory is None else stream_factory
        self.max_form_memory_size = max_form_memory_size
        self.max_form_parts = max_form_parts
        self.cls = MultiDict if cls is None else cls
        self.buffer_size = buffer_size

    def fail(self, message: str) -> NoReturn:
        """Raise the error of a malformed body."""
        raise multipart.InvalidMultipart(message)

    def get_part_charset(self, headers: Headers) -> str:
        """Return the charset of a text: what its Content-Type names, if that is safe, or UTF-8."""
        return multipart.charset_of(headers.get("Content-Type"))

    def parse(self, stream: Any, boundary: bytes, content_length: int | None) -> tuple[Any, Any]:
        """Read a body.

        Args:
            stream: Ends where the body does.
            boundary: Of the Content-Type.
            content_length: The length of the body if it is known.

        Returns:
            The texts and the files, as two of `cls`.

        Raises:
            InvalidMultipart: It is malformed, or ends before the final boundary. Also a ValueError.
            RequestEntityTooLarge: A limit is exceeded.
        """
        body = (
            stream if isinstance(stream, (BytesIO, BufferedBody)) else collect(stream, BufferedBody(), content_length)
        )
        fields: list[tuple[str, str]] = []
        files: list[tuple[str, FileStorage]] = []
        for part in self._scanned(body, boundary):
            if part.filename is None:
                fields.append((part.name, b"".join(part.pieces or ()).decode(part.charset, "replace")))
            else:
                content = self._file_of(part, body, content_length)
                files.append((part.name, FileStorage(content, part.filename, part.name, headers=part.headers)))
        return self.cls(fields), self.cls(files)

    def _scanned(self, body: Any, boundary: bytes) -> list[multipart.PartHead]:
        """The parts of a body; it is exhausted then."""
        settings = (boundary, self.max_form_memory_size, self.max_form_parts)
        if not (isinstance(body, BufferedBody) and body.on_disk):
            scan = FormScan(*settings, keep_files=True)
            scan.feed(body.read())
            return scan.finish()
        begin = body.tell()
        known = getattr(body.watch, "__self__", None)  # parsed while it arrived?
        if isinstance(known, FormScan) and known.settings == settings and begin == 0:
            scan = known
        else:
            scan = FormScan(*settings)
            while chunk := body.read(self.buffer_size):
                scan.feed(chunk)
        body.seek(0, 2)
        parts = scan.finish()
        for part in parts if begin else ():
            part.start += begin
        return parts

    def _file_of(self, part: multipart.PartHead, body: Any, content_length: int | None) -> IO[bytes]:
        """A file of one part's content."""
        if part.pieces is not None:
            content: IO[bytes] = BytesIO(b"".join(part.pieces))
        else:
            content = body.window(part.start, part.size)
        if self.stream_factory is default_stream_factory:
            return content
        own = self.stream_factory(
            total_content_length=content_length,
            filename=part.filename,
            content_type=part.content_type,
            content_length=content_length_of(part.headers.get("Content-Length")) or 0,
        )
        shutil.copyfileobj(content, own, _COPY)
        own.seek(0)
        return own


class FormDataParser:
    """Parse the form in a request's body, by its media type.

    Args:
        stream_factory: Makes the file that an upload is written to.
        max_form_memory_size: The most bytes of text in a form.
        max_content_length: The most bytes of a body that `parse_from_environ` reads.
        cls: The class of the results.
        silent: A malformed body gives empty results instead of an error.
        max_form_parts: The most fields of a form.
    """

    def __init__(
        self,
        stream_factory: StreamFactory | None = None,
        max_form_memory_size: int | None = None,
        max_content_length: int | None = None,
        cls: type[Any] | None = None,
        silent: bool = True,
        *,
        max_form_parts: int | None = None,
    ) -> None:
        self.stream_factory = default_stream_factory if stream_factory is None else stream_factory
        self.max_form_memory_size = max_form_memory_size
        self.max_content_length = max_content_length
        self.max_form_parts = max_form_parts
        self.cls = MultiDict if cls is None else cls
        self.silent = silent

    def parse_from_environ(self, environ: Mapping[str, Any]) -> _Parsed:
        """Parse the form in the body of a WSGI request; see `parse`."""
        mimetype, options = parse_options_header(environ.get("CONTENT_TYPE"))
        length = parse_content_length(environ.get("CONTENT_LENGTH") or None)
        limit = self.max_content_length
        if length is not None and limit is not None and length > limit:
            raise RequestEntityTooLarge(f"the body is too large; expected at most {limit} bytes; got {length}")
        stream: Any = BytesIO()
        if environ.get("wsgi.input_terminated") and length is None:
            stream = LimitedStream(environ["wsgi.input"], limit, is_max=True)
        elif length:
            stream = LimitedStream(environ["wsgi.input"], length)
        return self.parse(stream, mimetype.lower(), length, options)

    def parse(
        self, stream: Any, mimetype: str, content_length: int | None, options: Mapping[str, str] | None = None
    ) -> _Parsed:
        """Parse the form in a stream.

        Args:
            stream: Ends where the body does.
            mimetype: Decides how it is parsed.
            content_length: The length of the body if it is known.
            options: The parameters of the media type.

        Returns:
            The stream, the fields and the files; the stream is unread if the media type is not that of a form.

        Raises:
            RequestEntityTooLarge: A limit is exceeded.
            InvalidMultipart: It is malformed, and this parser is not silent.
        """
        try:
            if mimetype == _MULTIPART:
                return self._parse_multipart(stream, mimetype, content_length, options or {})
            if mimetype == _URLENCODED:
                return self._parse_urlencoded(stream, mimetype, content_length, options or {})
        except ValueError:
            if not self.silent:
                raise
        return stream, self.cls(), self.cls()

    def _parse_multipart(
        self, stream: Any, mimetype: str, content_length: int | None, options: Mapping[str, str]
    ) -> _Parsed:
        parser = MultiPartParser(
            stream_factory=self.stream_factory,
            max_form_memory_size=self.max_form_memory_size,
            max_form_parts=self.max_form_parts,
            cls=self.cls,
        )
        form, files = parser.parse(stream, multipart.boundary_of(options), content_length)
        return stream, form, files

    def _parse_urlencoded(
        self, stream: Any, mimetype: str, content_length: int | None, options: Mapping[str, str]
    ) -> _Parsed:
        limit = self.max_form_memory_size
        data = stream.read() if limit is None else read_limited(stream, limit, "MAX_FORM_MEMORY_SIZE")
        return stream, parse_urlencoded(data, self.max_form_parts, limit, self.cls), self.cls()


def parse_form_data(
    environ: Mapping[str, Any],
    stream_factory: StreamFactory | None = None,
    max_form_memory_size: int | None = None,
    max_content_length: int | None = None,
    cls: type[Any] | None = None,
    silent: bool = True,
    *,
    max_form_parts: int | None = None,
) -> _Parsed:
    """Parse the form in the body of a WSGI request; the arguments are those of `FormDataParser`."""
    return FormDataParser(
        stream_factory, max_form_memory_size, max_content_length, cls, silent, max_form_parts=max_form_parts
    ).parse_from_environ(environ)
