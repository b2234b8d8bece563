"""Modules and objects by their dotted names: `import_string`, `find_modules`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

__all__ = ["ImportStringError", "find_modules", "import_string"]


class ImportStringError(ImportError):
    """An object could not be imported by its name; the message says how far the import came.

    Args:
        import_name: The name, with dots.
        exception: What the import raised.
    """

    import_name: str
    exception: BaseException

    def __init__(self, import_name: str, exception: BaseException) -> None:
        self.import_name = import_name
        self.exception = exception
        found, missing = _how_far(import_name)
        reached = f"{found!r} was found{_place_of(found)}, but it has no {missing!r}" if found else "nothing was found"
        super().__init__(
            f"cannot import {import_name!r}: {reached}. Is the name spelt rightly, does its folder stand in sys.path, "
            f"and does no other module hide it? The import raised {type(exception).__name__}: {exception}"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self.import_name!r}, {self.exception!r})>"


def _how_far(name: str) -> tuple[str, str]:
    """The part of a name that can be imported, and the next part."""
    found = ""
    for part in name.split("."):
        longer = f"{found}.{part}" if found else part
        if import_string(longer, silent=True) is None:
            return found, part
        found = longer
    return found, ""


def _place_of(name: str) -> str:
    file = getattr(sys.modules.get(name), "__file__", None)
    return f" in {file!r}" if file else ""


def import_string(import_name: str, silent: bool = False) -> Any:
    """Import a module, or an object of one.

    Args:
        import_name: `package.module`, `package.module.name` or `package.module:name`.
        silent: Return None instead of raising.

    Raises:
        ImportStringError: There is no such module or object, or the module raised ImportError.
    """
    import_name = import_name.replace(":", ".")
    try:
        return _import(import_name)
    except ImportError as exc:
        if silent:
            return None
        error = exc
    raise ImportStringError(import_name, error).with_traceback(error.__traceback__) from None


def _import(name: str) -> Any:
    if not name or name[0] == ".":
        raise ImportError("an absolute name is needed, such as 'package.module'")
    try:
        return import_module(name)
    except ModuleNotFoundError as exc:
        # Where the missing module is another one, the named one was found, and it is what it imports that was not.
        if "." not in name or not f"{name}.".startswith(f"{exc.name}."):
            raise
    module_name, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module_name), attribute)
    except AttributeError as exc:
        raise ImportError(str(exc)) from None


def find_modules(import_path: str, include_packages: bool = False, recursive: bool = False) -> Iterator[str]:
    """Yield the names of the modules in a package; none of them is imported.

    Args:
        import_path: The package.
        include_packages: Yield the packages in it, too.
        recursive: Look into them, too; this imports them.

    Raises:
        ImportStringError: There is no such package.
        ValueError: It is a module.
    """
    path = getattr(import_string(import_path), "__path__", None)
    if path is None:
        raise ValueError(f"{import_path!r} is a module, not a package; expected a package to look into")
    for module in iter_modules(path):
        name = f"{import_path}.{module.name}"
        if not module.ispkg:
            yield name
            continue
        if include_packages:
            yield name
        if recursive:
            yield from find_modules(name, include_packages, True)
