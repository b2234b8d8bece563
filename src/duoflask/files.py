"""`send_file` and `send_from_directory`: the response that carries a file, or the part of it that is asked for.

Owns which file may be opened, what the head says of it, and whether its body is read at once or block by block. Knows
no protocol: what a server does with the body is the gateways' business.

Theory of operation: the file is opened first and then asked about, so that what is checked is what is sent. A short
body is read on the spot, if that is in a thread, and is complete from then on. On an event loop nothing is read: the
gateway reads the body in a thread, block by block, as it does with all long ones. Opening and `fstat` happen where the
function is called.
"""

from __future__ import annotations

import errno
import os
import stat as modes
from collections.abc import Callable
from datetime import datetime
from io import BytesIO, TextIOBase
from time import monotonic
from typing import Any, Final, TypeAlias

from .bridge import starts_on_loop
from .ctx import AppContext, _request_context
from .file_body import MAX_READ_AT_ONCE, FileBody, read_exactly
from .file_head import Pair, caching, described, validators
from .http.errors import NotFound
from .http.headers import Headers
from .http.paths import safe_join
from .http.wire import LENGTHS
from .response import Response
from .response_body import Selection
from .response_conditional import Selected, apply_conditions, is_conditional

__all__ = ["respond_with_file", "respond_with_file_below", "send_file", "send_from_directory"]

# Without O_NONBLOCK, opening a named pipe waits for somebody to write to it.
_OPEN_FLAGS: Final = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
)

# What opening a path of a peer's choice may fail with, for reasons that lie in the path. Others are the server's.
_NO_SUCH_FILE: Final = frozenset(
    getattr(errno, name)
    for name in ("EACCES", "EINVAL", "EISDIR", "ELOOP", "ENAMETOOLONG", "ENODEV", "ENOENT", "ENOTDIR", "ENXIO", "EPERM")
)

_ACCEPTS: Final = ("Accept-Ranges", "bytes")

# Paths below a folder that were found to lead to a file in it, until when, and to which.
_MAX_KEPT: Final = 1024
_found_inside: dict[str, tuple[float, tuple[Any, ...]]] = {}

_WITHOUT_FILE: Final = frozenset({304, 412})

_new: Final = object.__new__

# The arguments of `send_file` behind the first, in their order.
_Options: TypeAlias = tuple[str | None, bool, str | None, bool, bool | str, datetime | int | float | None, Any]


def send_file(
    path_or_file: Any,
    mimetype: str | None = None,
    as_attachment: bool = False,
    download_name: str | None = None,
    conditional: bool = True,
    etag: bool | str = True,
    last_modified: datetime | int | float | None = None,
    max_age: int | Callable[[str | None], int | None] | None = None,
) -> Response:
    """Make a response of a file. The path must not be a peer's: for such ones there is `send_from_directory`.

    In an `async def` view the file is opened on the loop, and read in a thread. Where opening takes long, as it may on
    a network's drive, write `await current_app.sync_to_async(send_file)(path)`.

    Args:
        path_or_file: A path, relative to the app's `root_path`; or a file that is open in binary mode and is sent from
            where it stands, and closed.
        mimetype: The media type; by default guessed from the name.
        as_attachment: Have the browser save the file instead of showing it.
        download_name: The name to save it as; by default the path's last part.
        conditional: Answer conditional and range requests (RFC 9110 13 and 14).
        etag: Whether to send an ETag made of path, size and time of modification; or the tag itself.
        last_modified: By default the file's time of modification.
        max_age: Seconds for caches to keep it, or a function that gets the path and returns them; by default
            `app.get_send_file_max_age`.

    Raises:
        RuntimeError: No request is active.
        OSError: The file cannot be opened, or is no regular file.
        ValueError: The file is open in text mode; or is a `BytesIO` that stands at its end.
        TypeError: There is no name to guess the media type from or to save an attachment as; or it is no file.
        RequestedRangeNotSatisfiable: The file has no such range.
        FileTruncated: It became shorter meanwhile.
    """
    ctx = _request_context("send_file")
    return respond_with_file(
        ctx, path_or_file, mimetype, as_attachment, download_name, conditional, etag, last_modified, max_age
    )


def respond_with_file(ctx: AppContext, path_or_file: Any, *options: Any) -> Response:
    """Make the response of `send_file` for the request of a context; `options` are its other arguments."""
    if isinstance(path_or_file, str) or hasattr(path_or_file, "__fspath__"):
        path = os.path.join(ctx.app.root_path, path_or_file)
        descriptor = os.open(path, _OPEN_FLAGS)
        stat = _stat_of(descriptor, path)
        return _respond(ctx, descriptor, path, 0, stat.st_size, stat.st_mtime, options)
    file = path_or_file
    if not hasattr(file, "read") or starts_on_loop(file.read):
        raise TypeError(
            f"invalid file; expected a path or a file open in binary mode; got {type(file).__name__}. One that is read "
            "with 'await' is sent by 'return Response(async_iterable)'."
        )
    if isinstance(file, TextIOBase):
        raise ValueError(
            f"the file {getattr(file, 'name', '')!r} is open in text mode; expected one open in binary mode, because "
            "bytes are sent; write open(path, 'rb'), or BytesIO for a StringIO"
        )
    start, size = 0, None
    if isinstance(file, BytesIO):
        start = file.tell()
        size = file.getbuffer().nbytes - start
        if start and size <= 0:
            raise ValueError(
                "the BytesIO stands at its end, so that nothing would be sent; write file.seek(0) before send_file"
            )
    return _respond(ctx, file, None, start, size, None, options)


def send_from_directory(
    directory: Any,
    path: Any,
    mimetype: str | None = None,
    as_attachment: bool = False,
    download_name: str | None = None,
    conditional: bool = True,
    etag: bool | str = True,
    last_modified: datetime | int | float | None = None,
    max_age: int | Callable[[str | None], int | None] | None = None,
) -> Response:
    """Make a response of a file below a folder. The path may be a peer's.

    Args:
        directory: The folder, relative to the app's `root_path`. It must not be a peer's.
        path: The file's path below it, with `/` as separator.
        mimetype: As for `send_file`, like all that follow.
        as_attachment: See there.
        download_name: See there.
        conditional: See there.
        etag: See there.
        last_modified: See there.
        max_age: See there.

    Raises:
        NotFound: There is no such regular file; or the path leads out of the folder, by its text or by a symbolic
            link; or it means something else on another platform (`safe_join`).
        RuntimeError: No request is active.
        RequestedRangeNotSatisfiable: The file has no such range.
        FileTruncated: It became shorter meanwhile.
    """
    ctx = _request_context("send_from_directory")
    return respond_with_file_below(
        ctx, directory, path, mimetype, as_attachment, download_name, conditional, etag, last_modified, max_age
    )


def respond_with_file_below(
    ctx: AppContext,
    directory: Any,
    path: Any,
    mimetype: str | None = None,
    as_attachment: bool = False,
    download_name: str | None = None,
    conditional: bool = True,
    etag: bool | str = True,
    last_modified: datetime | int | float | None = None,
    max_age: int | Callable[[str | None], int | None] | None = None,
) -> Response:
    """Make the response of `send_from_directory` for the request of a context."""
    folder = os.path.join(ctx.app.root_path, directory)
    joined = safe_join(folder, os.fspath(path))
    if joined is None:
        raise NotFound
    try:
        descriptor = os.open(joined, _OPEN_FLAGS)
        stat = _stat_of(descriptor, joined)
    except OSError as exc:
        if exc.errno in _NO_SUCH_FILE:
            raise NotFound from None
        raise
    except ValueError:  # what no path may hold
        raise NotFound from None
    if not _is_inside(descriptor, stat, joined, folder):
        os.close(descriptor)
        raise NotFound
    options = (mimetype, as_attachment, download_name, conditional, etag, last_modified, max_age)
    return _respond(ctx, descriptor, joined, 0, stat.st_size, stat.st_mtime, options)


def _stat_of(descriptor: int, path: str) -> os.stat_result:
    """What is known of a file that was opened; one that is no regular file is closed.

    Raises:
        OSError: It is none.
    """
    stat = os.fstat(descriptor)
    if not modes.S_ISREG(stat.st_mode):
        os.close(descriptor)
        if modes.S_ISDIR(stat.st_mode):
            raise IsADirectoryError(errno.EISDIR, "a folder cannot be sent", path)
        raise OSError(errno.EINVAL, "not a regular file; write send_file(open(path, 'rb'))", path)
    return stat


def _is_inside(descriptor: int, stat: os.stat_result, path: str, folder: str) -> bool:
    """Whether an open file lies in a folder, wherever symbolic links on its path have led."""
    # PERF: 4 to 20 us (10 KiB file: 14), so an answer is kept for a second, while the path leads to the same file. A
    # file that is renamed, linked or replaced has another ctime or inode.
    now = monotonic()
    identity = (folder, stat.st_ino, stat.st_dev, stat.st_ctime)
    kept = _found_inside.get(path)
    if kept is not None and kept[0] > now and kept[1] == identity:
        return True
    try:
        actual = os.readlink(f"/proc/self/fd/{descriptor}")  # Linux knows an open file's path
    except OSError:
        actual = os.path.realpath(path)
        if not _is_same(actual, stat):
            return False  # it was replaced meanwhile
    if actual != path and not actual.startswith(os.path.join(os.path.realpath(folder), "")):
        return False
    if len(_found_inside) >= _MAX_KEPT:
        _found_inside.clear()
    _found_inside[path] = (now + 1, identity)
    return True


def _is_same(path: str, stat: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), stat)
    except OSError:
        return False


def _respond(
    ctx: AppContext,
    file: Any,
    path: str | None,
    start: int,
    size: int | None,
    mtime: float | None,
    options: _Options,
) -> Response:
    """Make the response of an open file, or of its descriptor; it is then closed, or belongs to the response's body.

    The data are `size` bytes from `start` on; a size of None is not known.
    """
    mimetype, as_attachment, download_name, conditional, etag, last_modified, max_age = options
    try:
        if max_age is None:
            max_age = ctx.app.get_send_file_max_age(path)
        elif callable(max_age):
            max_age = max_age(path)
        kind, *others = described(path, mimetype, as_attachment, download_name)
        others += validators(path, size, mtime, etag, last_modified)
        others += caching(max_age)
        is_left = path is not None and ctx.app.config["USE_X_SENDFILE"] and path.isprintable()
        if is_left:  # to the server in front; it also does the ranges
            others.append(("X-Sendfile", os.fsencode(path).decode("latin-1")))  # type: ignore[arg-type]
        method = ctx.method if ctx.gateway is not None else ctx.request.method
        conditional = conditional and (method == "GET" or method == "HEAD")
        if conditional and not is_left and size is not None:
            others.append(_ACCEPTS)
        length = () if size is None else (LENGTHS[0 if is_left else size],)
        response = _response(ctx, [kind, *length, *others])
        selected = None
        asks = conditional and is_conditional(ctx.source)
        by_class = asks and type(response).make_conditional is not Response.make_conditional
        if asks and not by_class:
            selected = apply_conditions(response, ctx.source, not is_left, size)
            response.headers.remove("Date")  # every server sends one
        has_file = not is_left and method != "HEAD" and response._status_code not in _WITHOUT_FILE
    except BaseException:
        _close(file)
        raise
    if by_class:
        return _by_class(ctx, response, FileBody(file, start, size, path), is_left)
    if not has_file:
        _close(file)
        return _without_file(response)
    # A view that is marked `inline=True` runs on the loop, but its author promises that it may block.
    return _filled(response, file, path, start, size, selected, not ctx.on_loop or ctx.plan.view_on_loop is None)


def _response(ctx: AppContext, pairs: list[Pair]) -> Response:
    """Make the response of a head; its body is put in later."""
    response: Response
    quick = ctx.app._quick_response
    if quick is None:
        response = ctx.app.response_class(headers=pairs, direct_passthrough=True)
    else:
        response = quick(b"")
        response._headers = fields = _new(Headers)
        fields._list = pairs  # valid by construction
        response.direct_passthrough = True
    return response


def _by_class(ctx: AppContext, response: Response, body: FileBody, is_left: bool) -> Response:
    """Have the class's own `make_conditional` decide what is sent of a file."""
    response._body, response._iterable = None, body
    response = response.make_conditional(ctx.request, not is_left, body.length)
    response.headers.remove("Date")  # every server sends one
    if is_left or response._status_code in _WITHOUT_FILE:
        body.close()
        response._body, response._iterable = b"", None
    return _without_file(response)


def _without_file(response: Response) -> Response:
    """Take from a response what belongs to a body that is not sent."""
    code = response._status_code
    if code == 412:
        response.headers["Content-Length"] = "0"
    if code in _WITHOUT_FILE:
        for name in ("Content-Disposition", "Content-Encoding", "Content-Type", "X-Sendfile"):
            response.headers.remove(name)
    return response


def _filled(
    response: Response,
    file: Any,
    path: str | None,
    start: int,
    size: int | None,
    selected: Selected | None,
    at_once: bool,
) -> Response:
    """Give a response its body: complete, if it is short and may be read here."""
    if selected is not None:
        path = None
        if len(selected.pieces) > 1:
            body: Any = Selection(FileBody(file, start, size), *selected)
            response._body, response._iterable = None, body
            if at_once and int(response.headers["Content-Length"]) <= MAX_READ_AT_ONCE:
                response._body, response._iterable = b"".join(body), None
                body.close()
            return response
        _, first, stop = selected.pieces[0]
        start, size = start + first, stop - first
    if size is None or size > MAX_READ_AT_ONCE or not (at_once or type(file) is BytesIO):
        response._body, response._iterable = None, FileBody(file, start, size, path)
    elif isinstance(file, int):
        try:
            if start:
                os.lseek(file, start, os.SEEK_SET)
            response._body = read_exactly(file, size, path)
        finally:
            os.close(file)
    else:
        response._body = b"".join(FileBody(file, start, size))
        _close(file)
    return response


def _close(file: Any) -> None:
    """Close a file or a descriptor."""
    if isinstance(file, int):
        os.close(file)
    elif type(file) is not BytesIO:  # which holds nothing but memory, and may be looked at later
        close = getattr(file, "close", None)
        if close is not None:
            close()
