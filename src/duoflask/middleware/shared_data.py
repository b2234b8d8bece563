"""`SharedDataMiddleware`: files below some prefixes, everything else to the application.

Owns which file a path stands for. The answer itself is that of `send_from_directory`, given by a small app of our own,
which also is why ranges, conditions and the server's fast ways of sending files work here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from functools import partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import anyio

from ..app import DuoFlask
from ..files import send_from_directory
from ..http.environ import wsgi_encoded
from ..http.paths import safe_join
from ..response import Response
from .around import Middleware, is_scope, path_of

__all__ = ["SharedDataMiddleware"]


class _Export(NamedTuple):
    prefix: str
    folder: str
    name: str | None
    """The one file that it exports, if it is no folder."""
    app: DuoFlask


class SharedDataMiddleware(Middleware):
    """Serve files from folders or packages, and hand over to the application where there is none.

    Args:
        app: The application, of either protocol or of both.
        exports: Folders and files by prefix, such as `{"/static": "/srv/static", "/favicon.ico": "/srv/favicon.ico"}`;
            a pair stands for a folder in a package: `{"/admin": ("my_package", "static")}`. A mapping or pairs; the
            first that has the file wins.
        disallow: A pattern (`fnmatch`) for names that are not served.
        cache: Whether to send validators and to answer conditional requests.
        cache_timeout: For how many seconds caches may keep a file.
        fallback_mimetype: The media type of files whose name tells none.

    Raises:
        TypeError: An export is neither a path nor a pair.
        ValueError: A package that cannot be found, or is not in a folder.
    """

    def __init__(
        self,
        app: Any,
        exports: Mapping[str, Any] | Iterable[tuple[str, Any]],
        disallow: str | None = None,
        cache: bool = True,
        cache_timeout: int = 60 * 60 * 12,
        fallback_mimetype: str = "application/octet-stream",
    ) -> None:
        super().__init__(app)
        self.disallow = disallow
        self.cache = cache
        self.cache_timeout = cache_timeout
        self.fallback_mimetype = fallback_mimetype
        pairs = exports.items() if isinstance(exports, Mapping) else exports
        self.exports = [self._export(prefix, target) for prefix, target in pairs]

    def is_allowed(self, filename: str) -> bool:
        """Say whether a file is served; to be replaced by subclasses.

        Args:
            filename: Its name, without folders.
        """
        return self.disallow is None or not fnmatch(filename, self.disallow)

    def prepare(self, source: Any) -> tuple[Any, Any, None]:
        """Choose the file, if there is one."""
        scope = is_scope(source)
        method = source.get("method") if scope else source["REQUEST_METHOD"]
        path = path_of(source)
        wanted = [] if method not in ("GET", "HEAD") else [item for item in self.exports if _is_below(path, item)]
        if not wanted:
            return self.app, source, None
        if scope:
            return partial(self._answer_on_loop, wanted, path), source, None
        return *self._choose(wanted, path, source), None

    async def _answer_on_loop(self, wanted: list[_Export], path: str, scope: Any, receive: Any, send: Any) -> None:
        """Look for the file in a thread."""
        app, scope = await anyio.to_thread.run_sync(self._choose, wanted, path, scope)
        await app(scope, receive, send)

    def _choose(self, wanted: list[_Export], path: str, source: Any) -> tuple[Any, Any]:
        for export in wanted:
            name = export.name or path[len(export.prefix) :].lstrip("/")
            joined = safe_join(export.folder, name) if name else None
            # Of the file that is found: a path has many spellings (`x/../secret.cgi/.`).
            if joined is not None and self.is_allowed(os.path.basename(joined)) and _is_file(joined):
                return export.app, _for_file(source, name)
        return self.app, source

    def _export(self, prefix: str, target: Any) -> _Export:
        if isinstance(target, tuple):
            package, path = target
            spec = find_spec(package)
            if spec is None or spec.origin is None or not os.path.isdir(os.path.dirname(spec.origin)):
                raise ValueError(f"cannot export {target!r}; expected a package that lies in a folder; got {package!r}")
            target = os.path.join(os.path.dirname(spec.origin), path)
        elif not isinstance(target, (str, os.PathLike)):
            raise TypeError(f"invalid export; expected a path or a pair of package and path; got {target!r}")
        folder, name = os.path.abspath(target), None
        if os.path.isfile(folder):
            folder, name = os.path.split(folder)
        prefix = "/" + prefix.strip("/") if prefix.strip("/") else ""
        return _Export(prefix, folder, name, self._files_app(folder))

    def _files_app(self, folder: str) -> DuoFlask:
        app = DuoFlask(__name__, static_folder=None, template_folder=None)

        @app.get("/<path:name>")
        def file(name: str) -> Response:
            age = self.cache_timeout if self.cache else None
            response = send_from_directory(folder, name, conditional=self.cache, etag=self.cache, max_age=age)
            if response.mimetype == "application/octet-stream":
                response.content_type = self.fallback_mimetype
            return response

        return app


def _is_below(path: str, export: _Export) -> bool:
    rest = path[len(export.prefix) :]
    if not path.startswith(export.prefix):
        return False
    return not rest if export.name is not None else rest[:1] == "/"


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # what no path may hold
        return False


def _for_file(source: Any, name: str) -> Any:
    if is_scope(source):
        return {**source, "root_path": "", "path": f"/{name}"}
    return {**source, "SCRIPT_NAME": "", "PATH_INFO": wsgi_encoded(f"/{name}")}
