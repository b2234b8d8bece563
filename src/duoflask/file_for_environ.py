"""`send_file` and `send_from_directory` without an app: the request is given by hand, as to Werkzeug's.

Owns what stands in for the context that `files` asks. What is sent, and how, is decided there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, cast

from .ctx import AppContext
from .files import respond_with_file, respond_with_file_below
from .request import Request
from .response import BaseResponse
from .typing import WSGIEnvironment

__all__ = ["send_file", "send_from_directory"]


class _StandIn:
    """What `files` asks of a context, and of its app, for a WSGI request that no app has taken."""

    gateway = None
    on_loop = False
    _quick_response = None

    def __init__(
        self, environ: WSGIEnvironment, root_path: Any, use_x_sendfile: bool, response_class: type[BaseResponse] | None
    ) -> None:
        self.source = environ
        self.request = Request(environ, populate_request=False)
        self.app = self
        self.root_path = "" if root_path is None else os.fspath(root_path)
        self.config: Mapping[str, Any] = {"USE_X_SENDFILE": use_x_sendfile}
        self.response_class = BaseResponse if response_class is None else response_class

    def get_send_file_max_age(self, filename: str | None) -> None:
        """Leave it to the caller's `max_age`."""


def send_file(
    path_or_file: Any,
    environ: WSGIEnvironment,
    mimetype: str | None = None,
    as_attachment: bool = False,
    download_name: str | None = None,
    conditional: bool = True,
    etag: bool | str = True,
    last_modified: Any = None,
    max_age: int | Callable[[str | None], int | None] | None = None,
    use_x_sendfile: bool = False,
    response_class: type[BaseResponse] | None = None,
    _root_path: Any = None,
) -> BaseResponse:
    """Make a response of a file; see `files.send_file`, whose errors it raises.

    Args:
        path_or_file: A path, relative to the working folder; or a file that is open in binary mode.
        environ: The request, for its conditions.
        mimetype: As for `files.send_file`, like all that follow up to `max_age`, which here is None by default.
        as_attachment: See there.
        download_name: See there.
        conditional: See there.
        etag: See there.
        last_modified: See there.
        max_age: See there.
        use_x_sendfile: Leave the sending to the server in front, by the header field X-Sendfile.
        response_class: The class of the response.
    """
    ctx = cast("AppContext", _StandIn(environ, _root_path, use_x_sendfile, response_class))
    return respond_with_file(
        ctx, path_or_file, mimetype, as_attachment, download_name, conditional, etag, last_modified, max_age
    )


def send_from_directory(directory: Any, path: Any, environ: WSGIEnvironment, **kwargs: Any) -> BaseResponse:
    """Make a response of a file below a folder; the path may be a peer's. See `files.send_from_directory`.

    Args:
        directory: The folder, relative to the working folder. It must not be a peer's.
        path: The file's path below it, with `/` as separator.
        environ: The request, for its conditions.
        **kwargs: As for `send_file`.

    Raises:
        NotFound: There is no such regular file below the folder.
    """
    stand_in = _StandIn(
        environ,
        kwargs.pop("_root_path", None),
        kwargs.pop("use_x_sendfile", False),
        kwargs.pop("response_class", None),
    )
    return respond_with_file_below(cast("AppContext", stand_in), directory, path, **kwargs)
