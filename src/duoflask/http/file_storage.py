"""`FileStorage`, an uploaded file, and `FileMultiDict`, the files of a request to send.

Owns names, types and saving. Where the bytes come from is the business of whoever makes the stream.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

from ..lazy import LazyModule
from .headers import Headers
from .multidict import MultiDict
from .options import parse_options_header

if TYPE_CHECKING:
    import mimetypes
    import shutil
else:
    mimetypes = LazyModule("mimetypes")
    shutil = LazyModule("shutil")

__all__ = ["FileMultiDict", "FileStorage"]


class FileStorage:
    """A file that was uploaded, or that is to be sent. What it lacks itself, its `stream` has: `file.read()`.

    It is true if it has a file name: a form's empty file field is an upload without one.

    Args:
        stream: The content; empty by default.
        filename: As the client has named it, with any path: `secure_filename` makes it fit for a file system. By
            default the stream's own name.
        name: The name of the field.
        content_type: Sets the Content-Type field.
        content_length: Sets the Content-Length field.
        headers: The header fields of the part.
    """

    _parsed_type: tuple[str | None, tuple[str, dict[str, str]]] | None = None

    def __init__(
        self,
        stream: IO[bytes] | None = None,
        filename: str | None = None,
        name: str | None = None,
        content_type: str | None = None,
        content_length: int | None = None,
        headers: Headers | None = None,
    ) -> None:
        self.name = name
        self.stream: Any = BytesIO() if stream is None else stream
        if filename is None:
            own = getattr(stream, "name", None)  # of an open file; an int if it was opened by its descriptor
            filename = os.fsdecode(own) if isinstance(own, (str, bytes, os.PathLike)) else None
            if filename and filename[0] == "<" and filename[-1] == ">":  # "<stdin>"
                filename = None
        else:
            filename = os.fsdecode(filename)
        self.filename = filename
        self.headers = Headers() if headers is None else headers
        if content_type is not None:
            self.headers["Content-Type"] = content_type
        if content_length is not None:
            self.headers["Content-Length"] = str(content_length)

    @property
    def content_type(self) -> str | None:
        """The Content-Type that the client has given to the file."""
        return self.headers.get("Content-Type")  # type: ignore[no-any-return]

    @property
    def content_length(self) -> int:
        """The Content-Length that the client has given to the file, which few do; 0 if there is none."""
        value = self.headers.get("Content-Length", "")
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else 0

    def _content_type_parts(self) -> tuple[str, dict[str, str]]:
        value = self.content_type
        if self._parsed_type is None or self._parsed_type[0] != value:
            self._parsed_type = value, parse_options_header(value)
        return self._parsed_type[1]

    @property
    def mimetype(self) -> str:
        """The media type without parameters, in lower case."""
        return self._content_type_parts()[0].lower()

    @property
    def mimetype_params(self) -> dict[str, str]:
        """The parameters of the media type."""
        return self._content_type_parts()[1]

    def save(self, dst: str | os.PathLike[str] | IO[bytes], buffer_size: int = 16384) -> None:
        """Write what is left of the stream to a file.

        Args:
            dst: A path, or a file opened for writing, which stays open.
            buffer_size: How many bytes are copied at a time.
        """
        if isinstance(dst, (str, os.PathLike)):
            with open(dst, "wb") as file:
                shutil.copyfileobj(self.stream, file, buffer_size)
        else:
            shutil.copyfileobj(self.stream, dst, buffer_size)

    def close(self) -> None:
        """Close the stream, as well as it can be closed."""
        try:
            self.stream.close()
        except Exception:
            pass

    def __bool__(self) -> bool:
        return bool(self.filename)

    def __getattr__(self, name: str) -> Any:
        if name == "stream":  # not there yet, or deleted
            raise AttributeError(name)
        return getattr(self.stream, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.stream)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.filename!r} ({self.content_type!r})>"


class FileMultiDict(MultiDict[str, FileStorage]):
    """The files of a request to send."""

    def add_file(
        self,
        name: str,
        file: str | os.PathLike[str] | IO[bytes] | FileStorage,
        filename: str | None = None,
        content_type: str | None = None,
    ) -> None:
        """Add a file.

        Args:
            name: The field's name.
            file: An open file, the path of one to open, or a `FileStorage`, which is taken as it is.
            filename: What the peer is told; the file's own name by default.
            content_type: Guessed from the file name by default.
        """
        if isinstance(file, FileStorage):
            self.add(name, file)
            return
        if isinstance(file, (str, os.PathLike)):
            filename = os.fspath(file) if filename is None else filename
            file = open(file, "rb")  # noqa: SIM115 - it is sent, and closed, later
        stream: Any = file
        storage = FileStorage(stream, filename, name, content_type)
        if content_type is None and storage.filename:
            storage.headers["Content-Type"] = mimetypes.guess_type(storage.filename)[0] or "application/octet-stream"
        self.add(name, storage)
