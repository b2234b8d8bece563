"""multipart/form-data as a client writes it (RFC 7578).

Owns the encoding and the collection of files to send. Reading it is `http.forms`' business.
"""

from __future__ import annotations

import mimetypes
import secrets
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import IO, Any, cast

from ..http.buffered import BufferedBody
from ..http.file_storage import FileStorage
from ..http.multidict import MultiDict

__all__ = ["encode_multipart", "iter_fields", "stream_encode_multipart"]


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


_OWN_FIELDS = frozenset({"content-disposition", "content-type"})


def _encode_parts(fields: Iterable[tuple[str, Any]], boundary: str) -> Iterator[bytes]:
    for name, value in fields:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"'
        if not hasattr(value, "read"):
            text = value if isinstance(value, (str, bytes)) else str(value)
            yield f"{head}\r\n\r\n".encode()
            yield text.encode() if isinstance(text, str) else text
            yield b"\r\n"
            continue
        part = value if isinstance(value, FileStorage) else FileStorage(value)
        kind = part.content_type
        if part.filename is not None:
            head += f'; filename="{_quoted(part.filename)}"'
            kind = kind or mimetypes.guess_type(part.filename)[0]
        lines = [head, f"Content-Type: {kind or 'application/octet-stream'}"]
        lines += [f"{key}: {text}" for key, text in part.headers if key.lower() not in _OWN_FIELDS]
        yield ("\r\n".join(lines) + "\r\n\r\n").encode()
        while chunk := part.read(65536):
            yield chunk.encode() if isinstance(chunk, str) else chunk
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
        use_tempfile: Keep a large body on disk.
        threshold: From how many bytes on it is large.
        boundary: A random one by default.

    Returns:
        The body as a stream, its length in bytes and the boundary.
    """
    boundary = boundary or f"duoflask-{secrets.token_hex(16)}"
    body = BufferedBody(threshold if use_tempfile else None)
    for piece in _encode_parts(iter_fields(data), boundary):
        body.add(piece)
        if body.needs_disk:
            body.spill()
    if not body.on_disk:
        return BytesIO(body.read()), body.size, boundary
    return cast("IO[bytes]", body), body.size, boundary


def encode_multipart(values: Mapping[str, Any], boundary: str | None = None) -> tuple[str, bytes]:
    """Encode fields and files; return the boundary and the body."""
    stream, _, boundary = stream_encode_multipart(values, boundary=boundary)
    return boundary, stream.read()
