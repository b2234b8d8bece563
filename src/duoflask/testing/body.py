"""The body of a request to send, and the header fields that describe it.

Owns the choice between a stream, form fields and files. Knows neither target nor protocol.
"""

from __future__ import annotations

from io import BytesIO
from typing import IO, Any
from urllib.parse import urlencode

from ..http.age import parse_decimal
from ..http.callback_dict import CallbackDict
from ..http.file_storage import FileMultiDict
from ..http.header_property import header_property, media_parameters
from ..http.headers import Headers
from ..http.multidict import CombinedMultiDict, MultiDict
from ..http.options import dump_options_header
from ..http.wire import content_type_of
from .multipart import stream_encode_multipart

__all__ = ["BodyParts", "encode_form"]

_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


def encode_form(fields: MultiDict[str, Any]) -> str:
    """Encode fields as a query or a form is; those that are None are left out."""
    pairs = [(key, value) for key, value in fields.items(multi=True) if value is not None]
    return urlencode(pairs, safe="!$'()*,/:;?@")  # what needs no quoting in a query, as in Werkzeug


class BodyParts:
    """A body that is a stream, or form fields and files, with its type and length."""

    headers: Headers
    closed = False

    @property
    def content_type(self) -> str | None:
        """The Content-Type field; follows from `form` and `files` if it is not set."""
        value: str | None = self.headers.get("Content-Type")
        if value is None and self._input_stream is None:
            return _MULTIPART if self._files else _FORM if self._form else None
        return value

    @content_type.setter
    def content_type(self, value: str | None) -> None:
        self._set_header("Content-Type", value)

    @property
    def mimetype(self) -> str | None:
        """The media type without parameters."""
        value = self.content_type
        return value.partition(";")[0].strip() if value else None

    @mimetype.setter
    def mimetype(self, value: str) -> None:
        self.content_type = content_type_of(value, "utf-8")

    @property
    def mimetype_params(self) -> CallbackDict[str, str]:
        """The parameters of the media type; changes are written back."""
        return media_parameters(self.headers)

    content_length = header_property[int](
        "Content-Length", None, parse_decimal, str, doc="The Content-Length field, in bytes."
    )

    def _set_header(self, name: str, value: str | None) -> None:
        if value is None:
            self.headers.pop(name, None)
        else:
            self.headers[name] = value

    @property
    def input_stream(self) -> IO[bytes] | None:
        """The body as a stream; setting it drops `form` and `files`."""
        return self._input_stream

    @input_stream.setter
    def input_stream(self, value: IO[bytes] | None) -> None:
        self._input_stream = value
        self._form: MultiDict[str, Any] | None = None
        self._files: FileMultiDict | None = None

    @property
    def form(self) -> MultiDict[str, Any]:
        """The form fields, as long as `input_stream` is not set."""
        self._refuse_stream()
        if self._form is None:
            self._form = MultiDict()
        return self._form

    @form.setter
    def form(self, value: MultiDict[str, Any]) -> None:
        self._input_stream = None
        self._form = value

    @property
    def files(self) -> FileMultiDict:
        """The files, as long as `input_stream` is not set."""
        self._refuse_stream()
        if self._files is None:
            self._files = FileMultiDict()
        return self._files

    @files.setter
    def files(self, value: FileMultiDict) -> None:
        self._input_stream = None
        self._files = value

    def _refuse_stream(self) -> None:
        if self._input_stream is not None:
            raise AttributeError("input_stream is set; set it to None to use form and files")

    def close(self) -> None:
        """Close the files."""
        if not self.closed:
            self.closed = True
            for file in (self._files or FileMultiDict()).values():
                file.close()

    def _encoded_body(self) -> tuple[IO[bytes], int | None, str | None]:
        """The body, its length if it is known, and its type."""
        stream, kind = self._input_stream, self.content_type
        if stream is not None:
            try:
                start = stream.tell()
                length = stream.seek(0, 2) - start
                stream.seek(start)
            except (AttributeError, OSError):
                return stream, self.content_length, kind  # it can be read once only
            return stream, length, kind
        if self.mimetype == _MULTIPART:
            fields: Any = CombinedMultiDict([self.form, self.files])
            stream, length, boundary = stream_encode_multipart(fields)
            return stream, length, dump_options_header(_MULTIPART, {"boundary": boundary})
        if self.mimetype == _FORM:
            body = encode_form(self.form).encode("ascii")
            return BytesIO(body), len(body), kind
        return BytesIO(), self.content_length, kind
