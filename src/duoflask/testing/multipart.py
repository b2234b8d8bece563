"""multipart/form-data as a client writes it (RFC 7578).

Owns the encoding and the collection of files to send. Reading it is `http.forms`' business.
"""

from __future__ import annotations

import mimetypes
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import IO, Any

from ..http.multidict import MultiDict

__all__ = ["FileMultiDict", "FilePart", "encode_multipart", "iter_fields", "stream_encode_multipart"]


class FilePart:
    """A file to send: a stream, its name and its media type."""

    def __init__(self, stream: IO[bytes], filename: str | None = None, content_type: str | None = None) -> None:
        self.stream = stream
        name = filename if filename is not None else getattr(stream, "filename", getattr(stream, "name", None))
        self.filename: str | None = name if isinstance(name, str) else None
        self.content_type = content_type or getattr(stream, "content_type", None)

    def read(self, size: int = -1) -> bytes:
        """Read from the stream."""
        data: bytes | str = self.stream.read(size)
        return data.encode() if isinstance(data, str) else data

    def close(self) -> None:
        """Close the stream."""
        self.stream.close()


class FileMultiDict(MultiDict[str, Any]):
    """The files of a request to send."""

    def add_file(
        self,
        name: str,
        file: str | os.PathLike[str] | IO[bytes] | Any,
        filename: str | None = None,
        content_type: str | None = None,
    ) -> None:
        """Add a file.

        Args:
            name: The field's name.
            file: An open file, or the path of one to open.
            filename: What the peer is told; the file's own name by default.
            content_type: Guessed from the file name by default.
        """
        if isinstance(file, (str, os.PathLike)):
            filename = filename or os.fspath(file)
            file = open(file, "rb")  # noqa: SIM115 - it is sent, and closed, later
        self.add(name, FilePart(file, filename, content_type))


def iter_fields(data: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield names and values; a list is several values, a tuple is one (a file and what belongs to it)."""
    if isinstance(data, MultiDict):
        yield from data.items(multi=True)
        return
    for name, value in data.items():
        if isinstance(value, list):
            for item in value:
                yield name, item
        else:
            yield name, value


def _quoted(text: str) -> str:
    # HTML Standard, "multipart/form-data encoding algorithm": these three and nothing else.
    return text.replace("\n", "%0A").replace("\r", "%0D").replace('"', "%22")


def _encode_parts(fields: Iterable[tuple[str, Any]], boundary: str) -> Iterator[bytes]:
    for name, value in fields:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
        if not hasattr(value, "read"):
            text = value if isinstance(value, (str, bytes)) else str(value)
            yield f"{head}\r\n\r\n".encode()
            yield text.encode() if isinstance(text, str) else text
            yield b"\r\n"
            continue
        part = value if isinstance(value, FilePart) else FilePart(value)
        kind = part.content_type
        if part.filename is not None:
            head += f'; filename="{_quoted(part.filename)}"'
            kind = kind or mimetypes.guess_type(part.filename)[0]
        yield f"{head}\r\nContent-Type: {kind or 'application/octet-stream'}\r\n\r\n".encode()
        while chunk := part.read(65536):
            yield chunk
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def stream_encode_multipart(
    data: Mapping[str, Any],
    use_tempfile: bool = True,
    threshold: int = 512 * 1024,
    boundary: str | None = None,
) -> tuple[IO[bytes], int, str]:
    """Encode fields and files.

    Args:
        data: Names and values; what has a `read` method is a file.
        use_tempfile: Accepted for Werkzeug's sake; the body is kept in memory.
        threshold: Accepted for Werkzeug's sake.
        boundary: A random one by default.

    Returns:
        The body as a stream, its length in bytes and the boundary.
    """
    boundary = boundary or f"duoflask-{secrets.token_hex(16)}"
    body = b"".join(_encode_parts(iter_fields(data), boundary))
    return BytesIO(body), len(body), boundary


def encode_multipart(values: Mapping[str, Any], boundary: str | None = None) -> tuple[str, bytes]:
    """Encode fields and files; return the boundary and the body."""
    stream, _, boundary = stream_encode_multipart(values, boundary=boundary)
    return boundary, stream.read()
