"""The folders that belong to an app or a blueprint: its own, that of its static files, the app's instance folder.

Owns where they are and what is read from them. Knows no request: the view of the static files gets its path.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from datetime import timedelta
from importlib.machinery import ModuleSpec
from typing import IO, Any, Final

from .files import send_from_directory
from .globals import current_app
from .response import Response

__all__ = ["Folders", "instance_path_of", "root_path_of"]

_READING: Final = frozenset({"r", "rb", "rt"})


class Folders:
    """What an app and a blueprint know of their folders."""

    import_name: str
    root_path: str
    """The folder of the module that the object was made in; other paths are relative to it."""
    _static_folder: str | None = None
    _static_url_path: str | None = None

    @property
    def static_folder(self) -> str | None:
        """The folder of the static files, as an absolute path; None if there is none."""
        folder = self._static_folder
        return None if folder is None else os.path.join(self.root_path, folder)

    @static_folder.setter
    def static_folder(self, value: str | os.PathLike[str] | None) -> None:
        self._static_folder = None if value is None else os.fspath(value).rstrip("/\\")

    @property
    def has_static_folder(self) -> bool:
        """Whether there is a static folder; the folder itself need not exist."""
        return self._static_folder is not None

    @property
    def static_url_path(self) -> str | None:
        """The URL that the static files are below; by default the folder's name. None without a folder."""
        if self._static_url_path is not None:
            return self._static_url_path
        folder = self.static_folder
        return None if folder is None else f"/{os.path.basename(folder)}".rstrip("/")

    @static_url_path.setter
    def static_url_path(self, value: str | None) -> None:
        self._static_url_path = None if value is None else value.rstrip("/")

    def get_send_file_max_age(self, filename: str | None) -> int | None:
        """How long caches may keep a file, in seconds: `SEND_FILE_MAX_AGE_DEFAULT`. None has them ask each time.

        Args:
            filename: The file's path; None for one that has none.
        """
        value = current_app.config["SEND_FILE_MAX_AGE_DEFAULT"]
        return int(value.total_seconds()) if isinstance(value, timedelta) else value

    def send_static_file(self, filename: str) -> Response:
        """Answer with a static file; the view of the endpoint `static`.

        Args:
            filename: Its path below the static folder.

        Raises:
            NotFound: See `send_from_directory`.
            RuntimeError: There is no static folder.
        """
        if self._static_folder is None:
            raise RuntimeError(
                f"{self!r} has no static folder to send a file from; pass static_folder='...' where it is made"
            )
        max_age = self.get_send_file_max_age(filename)
        return send_from_directory(self.static_folder, filename, max_age=max_age)

    def open_resource(self, resource: str, mode: str = "rb", encoding: str | None = "utf-8") -> IO[Any]:
        """Open a file of the module's folder for reading.

        Args:
            resource: Its path below `root_path`.
            mode: "rb" for bytes, "r" or "rt" for text.
            encoding: Of the text.

        Raises:
            ValueError: Another mode.
            OSError: The file cannot be opened.
        """
        if mode not in _READING:
            raise ValueError(f"resources can only be opened for reading; expected 'r', 'rt' or 'rb'; got {mode!r}")
        return open(os.path.join(self.root_path, resource), mode, encoding=None if "b" in mode else encoding)


def root_path_of(import_name: str) -> str:
    """The folder of a module or package; the working directory if it has none.

    Raises:
        RuntimeError: A package without a file, such as a namespace package.
    """
    module = sys.modules.get(import_name)
    file: str | None = getattr(module, "__file__", None)
    if file is not None:
        return os.path.dirname(os.path.abspath(file))
    spec = _spec_of(import_name)
    if spec is None or spec.loader is None:
        return os.getcwd()
    get_filename = getattr(spec.loader, "get_filename", None)
    file = get_filename(import_name) if get_filename is not None else spec.origin if spec.has_location else None
    if file is None:
        raise RuntimeError(
            f"the folder of {import_name!r} is not known, because it has no file: it is a namespace package, or its "
            "importer tells none. Pass root_path='...'."
        )
    return os.path.dirname(os.path.abspath(file))


def instance_path_of(import_name: str, name: str) -> str:
    """The default instance folder.

    `instance` beside the module or package; for one that is installed, `var/NAME-instance` below the prefix that it is
    installed in.

    Args:
        import_name: The app's module.
        name: The app's name.
    """
    folder = _import_folder(import_name)
    prefix = _prefix_of(folder)
    return os.path.join(folder, "instance") if prefix is None else os.path.join(prefix, "var", f"{name}-instance")


def _spec_of(import_name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(import_name)
    except (ImportError, ValueError):  # ValueError: `__main__`, or no name at all
        return None


def _import_folder(import_name: str) -> str:
    """The entry of `sys.path` that a module is imported from; the working directory for one that is not found."""
    spec = _spec_of(import_name.partition(".")[0])
    if spec is None:
        return os.getcwd()
    if not spec.submodule_search_locations:
        return os.path.dirname(spec.origin or "")
    if spec.origin is not None and spec.origin != "namespace":
        return os.path.dirname(os.path.dirname(spec.origin))
    locations = list(spec.submodule_search_locations)
    inner = _spec_of(import_name)
    if inner is not None and inner.submodule_search_locations:
        package = os.path.join(os.path.commonpath(list(inner.submodule_search_locations)), "")
        locations = [place for place in locations if package.startswith(os.path.join(place, ""))] or locations
    return os.path.dirname(locations[0])


def _prefix_of(folder: str) -> str | None:
    """The prefix (with lib/ and bin/) whose packages are in a folder; None if it is no such folder."""
    prefix = os.path.abspath(sys.prefix)
    if os.path.join(folder, "").startswith(os.path.join(prefix, "")):
        return prefix
    parent, name = os.path.split(folder)
    if name.lower() != "site-packages":
        return None
    outer, name = os.path.split(parent)
    if name.lower() == "lib":  # Windows: prefix/lib/site-packages
        return outer
    if os.path.basename(outer).lower() == "lib":  # prefix/lib/pythonX.Y/site-packages
        return os.path.dirname(outer)
    return parent
